//! The gate: Host, Origin and who is asking, for every request and every upgrade alike, before any routing.
//!
//! No request gets around it. Which paths are open to everybody, the table of routes says.

mod forwarded;
pub(super) mod grant;
pub mod host;
pub mod origin;
mod proxies;
mod stored;
mod throttle;
pub(super) mod who;

use std::sync::Arc;

use hyper::Method;
use hyper::http::header::{HOST, ORIGIN};
use hyper::http::request::Parts;

use self::forwarded::Forwarded;
pub use self::grant::Grant;
use self::origin::From;
use self::proxies::SilentProxies;
pub use self::stored::StoredSessions;
use self::throttle::Throttle;
use self::who::Presented;
pub use self::who::{
    Lookup, Peer, Sessions, SocketPolicy, cookie_max_age_s, cookie_name, forget_cookie, session_cookie,
};
use crate::access::{How, Identity, Token};
use crate::config::{Access, Authority};
use crate::http::error::Problem;
use crate::run_tokens::RunTokens;

/// The other end of a connection.
#[derive(Clone, Debug)]
pub enum Source {
    /// A TCP peer.
    Tcp {
        /// Its address.
        address: std::net::SocketAddr,
        /// Whether it speaks TLS.
        https: bool,
    },
    /// A peer of the Unix socket: its identity as the kernel tells, or the refusal.
    Unix(Result<Identity, Problem>),
}

/// The gate's decision on a request.
pub struct Admission {
    /// Where it comes from.
    pub peer: Peer,
    /// The origin of `allowed_origins` that may read the answer, also where it is a refusal.
    pub readable_by: Option<String>,
    /// The session's cookie, where it is renewed.
    pub set_cookie: Option<String>,
    /// Whether it is let in, or the refusal.
    pub outcome: Result<Entry, Problem>,
}

/// How a request is let in.
#[derive(Debug)]
pub enum Entry {
    /// A preflight of a page of an allowed origin: it is granted.
    Preflight,
    /// With an identity, or without one where the path is open.
    Request(Option<(Identity, Grant)>),
}

/// Who may talk to the daemon.
pub struct Gate {
    access: Access,
    sessions: Arc<dyn Sessions>,
    run_tokens: RunTokens,
    throttle: Arc<Throttle>,
    silent_proxies: Arc<SilentProxies>,
    cookie_name: String,
    /// Whether everybody may send this method to this path.
    is_open: fn(&str, &str) -> bool,
}

impl Gate {
    /// A gate with these sessions, whose cookie goes by that name, and the commands that run now; `is_open` says which
    /// method and path are everybody's.
    pub fn new(
        access: Access,
        sessions: Arc<dyn Sessions>,
        run_tokens: RunTokens,
        cookie_name: String,
        is_open: fn(&str, &str) -> bool,
    ) -> Gate {
        Gate {
            access,
            sessions,
            run_tokens,
            throttle: Arc::default(),
            silent_proxies: Arc::default(),
            cookie_name,
            is_open,
        }
    }

    /// Checks a request in the order of the contract: Host, Origin, identity.
    pub async fn admit(&self, source: &Source, parts: &Parts) -> Admission {
        let mut admission = Admission {
            peer: Peer {
                address: None,
                https: false,
                throttle: self.throttle.clone(),
                silent_proxies: self.silent_proxies.clone(),
            },
            readable_by: None,
            set_cookie: None,
            outcome: Ok(Entry::Preflight),
        };
        admission.outcome = self.decide(source, parts, &mut admission).await;
        admission
    }

    async fn decide(&self, source: &Source, parts: &Parts, admission: &mut Admission) -> Result<Entry, Problem> {
        let own = match source {
            Source::Tcp { address, https } => {
                admission.peer.address = Some(address.ip().to_canonical());
                let own = host::check(&parts.headers, &self.access.allowed_hosts, &host::own_name())?;
                let said = Forwarded::read(&parts.headers, address.ip(), *https, &self.access.trusted_proxies)?;
                if said.is_by_proxy {
                    self.silent_proxies.look(address.ip(), &parts.headers, &own.host, &self.access.allowed_hosts);
                }
                admission.peer.address = Some(said.address);
                admission.peer.https = said.https;
                Some(said.host.unwrap_or(own))
            }
            // No name leads a browser to the Unix socket, so its Host says nothing but which origin is its own.
            Source::Unix(_) if parts.headers.contains_key(ORIGIN) => {
                parts.headers.get(HOST).and_then(|host| Authority::parse(host.to_str().ok()?))
            }
            Source::Unix(_) => None,
        };
        let from = origin::of(parts, admission.peer.https, own.as_ref(), &self.access.allowed_origins)?;
        if let From::Allowed(text) = &from {
            admission.readable_by = Some(text.clone());
            if parts.method == Method::OPTIONS {
                return Ok(Entry::Preflight);
            }
        }
        if from == From::Foreign && origin::is_guarded(parts) {
            return Err(origin::refusal());
        }
        let identity = match source {
            _ if (self.is_open)(parts.method.as_str(), parts.uri.path()) => {
                if parts.method == Method::POST {
                    admission.peer.check_tries()?;
                }
                None
            }
            _ => {
                let presented = Presented::by(&parts.headers, &self.cookie_name)?;
                Some(match (who::run_token(&presented), source) {
                    (Some(token), _) => self.by_run_token(token, admission)?,
                    (None, Source::Unix(identity)) => (identity.clone()?, Grant::Peer),
                    (None, Source::Tcp { .. }) => {
                        self.by_token(presented, parts, own.as_ref(), &from, admission).await?
                    }
                })
            }
        };
        Ok(Entry::Request(identity))
    }

    fn by_run_token(&self, token: Token, admission: &Admission) -> Result<(Identity, Grant), Problem> {
        match self.run_tokens.run_of(&token).map(Identity::of_run) {
            Some(identity) => Ok((identity, Grant::Attempt(token, self.run_tokens.clone()))),
            None => {
                let detail = "this token is of no attempt that runs now: a run's token ends with its attempt";
                Err(admission.peer.refuse_token(token.reveal(), Problem::challenge(detail)))
            }
        }
    }

    async fn by_token(
        &self,
        presented: Presented,
        parts: &Parts,
        own: Option<&Authority>,
        from: &From,
        admission: &mut Admission,
    ) -> Result<(Identity, Grant), Problem> {
        let sessions = self.sessions.as_ref();
        match presented {
            Presented::Nothing => Err(Problem::challenge(how_to(own, admission.peer.https))),
            Presented::Bearer(token) => match who::by_token(sessions, &token, How::Bearer).await? {
                Some(known) => Ok(known),
                None => {
                    let detail =
                        format!("this token is unknown, expired or revoked; {}", how_to(own, admission.peer.https));
                    Err(admission.peer.refuse_token(&token, Problem::challenge(detail)))
                }
            },
            Presented::Cookies(tokens) => {
                let found = self.by_cookies(tokens).await?;
                let (token, identity, grant) =
                    found.ok_or_else(|| Problem::challenge(how_to(own, admission.peer.https)))?;
                if *from == From::Nowhere && origin::is_guarded(parts) {
                    return Err(origin::refusal_of_cookie());
                }
                admission.set_cookie = identity
                    .renewed_s
                    .map(|max_age_s| session_cookie(&self.cookie_name, &token, max_age_s, admission.peer.https));
                Ok((identity, grant))
            }
        }
    }
}

impl Gate {
    /// The one session that the cookies name. Cookies of no session are ignored: they are expired or another server's.
    ///
    /// # Errors
    /// 400 where they name two sessions: one may have been planted.
    async fn by_cookies(&self, tokens: Vec<String>) -> Result<Option<(String, Identity, Grant)>, Problem> {
        let mut found: Option<(String, Identity, Grant)> = None;
        for token in tokens {
            let Some((identity, grant)) = who::by_token(self.sessions.as_ref(), &token, How::Cookie).await? else {
                continue;
            };
            if found.is_some() {
                return Err(Problem::bad_request(format!(
                    "cookies of two different sessions came, all called {}: remove this site's cookies in the browser, \
                     and let it in anew",
                    self.cookie_name
                )));
            }
            found = Some((token, identity, grant));
        }
        Ok(found)
    }
}

/// Command lines that would work, for a client without a token. The host was checked, so that it holds nothing special
/// to a shell.
fn how_to(own: Option<&Authority>, https: bool) -> String {
    let scheme = if https { "https" } else { "http" };
    let base = own.map_or_else(String::new, |own| format!("{scheme}://{own}"));
    format!(
        "a session's token is needed. On the daemon's machine, this gets one: \
         curl -H 'Content-Type: application/json' -d \"{{\\\"token\\\":\\\"$(runabout enroll --role operator)\\\"}}\" {base}/v1/enroll \
         and this uses it: curl -H \"Authorization: Bearer $SESSION_TOKEN\" {base}/v1/runs"
    )
}
