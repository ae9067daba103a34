//! Identifies who asks: over the Unix socket by the peer's credentials, else by a token.
//!
//! A token is looked up by its SHA-256 and never logged.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use hyper::http::HeaderMap;
use hyper::http::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL, UPGRADE};

use super::proxies::SilentProxies;
use super::throttle::Throttle;
use crate::access::{How, Identity, Role, SESSION_TTL_MAX_S, Token, TokenKind};
use crate::accounts;
use crate::config::Access;
use crate::credentials::Credentials;
use crate::http::error::Problem;
use crate::http::head::once;
use crate::http::middleware::grant::Grant;
use crate::store::Store;

/// Different cookies of our name in one request: one for each path above what is asked for, whatever else set them.
const COOKIES_MAX: usize = 8;

/// The result of looking up a session.
pub type Lookup<'a> = Pin<Box<dyn Future<Output = Result<Option<(Identity, Grant)>, Problem>> + Send + 'a>>;

/// Where sessions are looked up.
pub trait Sessions: Send + Sync + 'static {
    /// Uses the session of the token with this SHA-256, if it is valid now; its `how` is overwritten by the caller.
    ///
    /// An error is one of the store's: it is answered as it is, and says nothing about the token.
    fn by_token(&self, token_sha256: [u8; 32]) -> Lookup<'_>;
}

/// Where a request comes from; stored in the extensions of tide's request.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The client's address, as a trusted proxy reports it; `None` on the Unix socket.
    pub address: Option<IpAddr>,
    /// Whether it came by https, as a trusted proxy reports it.
    pub https: bool,
    pub(super) throttle: Arc<Throttle>,
    pub(super) silent_proxies: Arc<SilentProxies>,
}

impl Peer {
    /// The answer to a bad token: `refusal`, or 429 where too many came from there. The Unix socket is exempt.
    pub fn refuse_token(&self, token: &str, refusal: Problem) -> Problem {
        match self.address.map(|address| self.throttle.count(address, token, Instant::now())) {
            Some(Err(limited)) => limited,
            _ => refusal,
        }
    }

    /// Trusted proxies that were seen to send no client address.
    pub fn silent_proxies(&self) -> Vec<IpAddr> {
        self.silent_proxies.seen()
    }

    /// 429 where too many bad tokens came from there.
    ///
    /// # Errors
    /// `rate_limited`.
    pub fn check_tries(&self) -> Result<(), Problem> {
        self.address.map_or(Ok(()), |address| self.throttle.check(address, Instant::now()))
    }
}

/// Who may use the Unix socket.
#[derive(Clone, Copy, Debug)]
pub struct SocketPolicy {
    uid: u32,
    group: Option<u32>,
    role: Role,
}

impl SocketPolicy {
    /// The policy that the configuration asks for.
    ///
    /// # Errors
    /// Where the group does not exist, as text for people.
    pub fn new(access: &Access) -> Result<SocketPolicy, String> {
        let group = match &access.socket_group {
            None => None,
            Some(name) => Some(accounts::group_id(name).ok_or_else(|| {
                format!("access.socket_group: there is no group {name:?}; allowed: a group's name or number")
            })?),
        };
        Ok(SocketPolicy { uid: rustix::process::geteuid().as_raw(), group, role: access.socket_role.0 })
    }

    /// The group that the socket must be open to.
    pub fn group(&self) -> Option<u32> {
        self.group
    }

    /// The identity of a peer.
    ///
    /// # Errors
    /// 403 for a peer that the policy does not let in.
    pub fn identify(&self, peer: &Credentials) -> Result<Identity, Problem> {
        let uid = peer.uid;
        let role = if uid == self.uid || uid == 0 {
            Role::Admin
        } else {
            match self.group {
                Some(group) if peer.is_in(group) => self.role,
                _ => {
                    return Err(Problem::forbidden(
                        "the Unix socket is for the daemon's own user, root, and access.socket_group",
                    ));
                }
            }
        };
        let user = accounts::user_name(uid).unwrap_or_else(|| uid.to_string());
        Ok(Identity {
            role,
            name: format!("local:{user}"),
            scope: None,
            jobs: None,
            session: None,
            how: How::Local,
            renewed_s: None,
        })
    }
}

/// What a request presents over TCP.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Presented {
    Nothing,
    /// In the `Authorization` header, or among a WebSocket's subprotocols, whatever it is.
    Bearer(String),
    /// In cookies of our name; a browser sends all that it has for this host and path, whoever set them.
    Cookies(Vec<String>),
}

impl Presented {
    /// Reads what a request presents. A bearer token comes before cookies.
    ///
    /// # Errors
    /// 400 where `Authorization` came twice or is not ASCII, where there is more than one token, since which of them
    /// counts is not guessed, or where there are more cookies than a browser has reason to send.
    pub fn by(headers: &HeaderMap, cookie_name: &str) -> Result<Presented, Problem> {
        let mut tokens = subprotocol_tokens(headers)?;
        let authorization = once(headers, &AUTHORIZATION)?.unwrap_or_default();
        if let Some((scheme, token)) = authorization.split_once(' ') {
            let token = token.trim();
            if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() {
                tokens.push(token);
            }
        }
        match tokens.as_slice() {
            [] => {}
            [token] => return Ok(Presented::Bearer((*token).to_owned())),
            _ => return Err(Problem::bad_request("there is more than one token in this request; send one")),
        }
        let cookies = cookies(headers, cookie_name);
        match cookies.len() {
            0 => Ok(Presented::Nothing),
            1..=COOKIES_MAX => Ok(Presented::Cookies(cookies)),
            _ => Err(Problem::bad_request(format!("more than {COOKIES_MAX} cookies are called {cookie_name}"))),
        }
    }
}

/// The tokens among the subprotocols of a WebSocket: a page cannot give its WebSocket a header.
fn subprotocol_tokens(headers: &HeaderMap) -> Result<Vec<&str>, Problem> {
    if !headers.contains_key(UPGRADE) {
        return Ok(Vec::new());
    }
    let asked = once(headers, &SEC_WEBSOCKET_PROTOCOL)?.unwrap_or_default();
    let tokens = asked.split(',').filter_map(|protocol| protocol.trim().strip_prefix("bearer."));
    Ok(tokens.filter(|token| !token.is_empty()).collect())
}

/// The different values of the cookies of one name. The others are other programs': cookies know no ports, and may hold
/// any byte.
fn cookies(headers: &HeaderMap, name: &str) -> Vec<String> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let values = pairs.filter_map(|pair| std::str::from_utf8(pair).ok()?.trim().strip_prefix(name)?.strip_prefix('='));
    let mut different = Vec::new();
    for value in values {
        if !different.iter().any(|known| known == value) {
            different.push(value.to_owned());
        }
    }
    different
}

/// Seconds that a browser is to keep the cookie of a session that lives `ttl_s` from each use; 0 of those: it never expires,
/// and neither does a cookie that is sent again with each use.
pub fn cookie_max_age_s(ttl_s: i64) -> u64 {
    if ttl_s > 0 { ttl_s.unsigned_abs() } else { SESSION_TTL_MAX_S.unsigned_abs() }
}

/// The `Set-Cookie` of a session.
pub fn session_cookie(cookie_name: &str, token: &str, max_age_s: u64, https: bool) -> String {
    let secure = if https { "; Secure" } else { "" };
    format!("{cookie_name}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={max_age_s}{secure}")
}

/// The `Set-Cookie` that removes the cookie.
pub fn forget_cookie(cookie_name: &str, https: bool) -> String {
    session_cookie(cookie_name, "", 0, https)
}

/// The name of a database's cookie: two daemons on one host, which share their cookies, do not log each other out.
pub fn cookie_name(store: &Store) -> String {
    format!("runabout_{}", store.cookie_id())
}

/// The token of a run that was presented, if it was: it alone decides then, also for somebody who may more.
pub(super) fn run_token(presented: &Presented) -> Option<Token> {
    match presented {
        Presented::Bearer(text) => Token::parse(TokenKind::Run, text),
        Presented::Cookies(_) | Presented::Nothing => None,
    }
}

/// The identity that a session's token stands for.
pub(super) async fn by_token(
    sessions: &dyn Sessions,
    text: &str,
    how: How,
) -> Result<Option<(Identity, Grant)>, Problem> {
    let Some(token) = Token::parse(TokenKind::Session, text) else { return Ok(None) };
    let sha256 = if how == How::Cookie { token.cookie_sha256() } else { token.sha256() };
    let found = sessions.by_token(sha256).await?;
    Ok(found.map(|(identity, grant)| (Identity { how, ..identity }, grant)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presented(pairs: &[(&'static str, &str)]) -> Presented {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().expect("a value"));
        }
        Presented::by(&headers, "runabout_abc").expect("read")
    }

    #[test]
    fn a_bearer_token_beats_the_cookie() {
        assert_eq!(
            presented(&[("authorization", "bearer T"), ("cookie", "runabout_abc=C")]),
            Presented::Bearer("T".to_owned())
        );
        assert_eq!(
            presented(&[("authorization", "Basic T"), ("cookie", "a=b; runabout_abc=C; c=\u{e9}")]),
            Presented::Cookies(vec!["C".to_owned()])
        );
        let protocols = ("sec-websocket-protocol", "runabout.v1, bearer.P");
        let upgrade = ("upgrade", "websocket");
        assert_eq!(presented(&[upgrade, protocols, ("cookie", "runabout_abc=C")]), Presented::Bearer("P".to_owned()));
        assert_eq!(presented(&[protocols]), Presented::Nothing);
        assert_eq!(presented(&[("authorization", "Bearer "), ("cookie", "runabout_abcd=C")]), Presented::Nothing);
        let several = [("cookie", "runabout_abc=C; runabout_abc=D"), ("cookie", "runabout_abc=C;runabout_abc=")];
        assert_eq!(presented(&several), Presented::Cookies(["C", "D", ""].map(str::to_owned).to_vec()));
    }

    #[test]
    fn the_daemons_user_and_root_are_admins() {
        let policy = SocketPolicy { uid: 1_000, group: Some(50), role: Role::Operator };
        let who = |uid, gid| {
            policy
                .identify(&Credentials { uid, gid, pid: None, groups: None })
                .map(|identity| identity.role)
                .map_err(|problem| problem.status)
        };
        assert_eq!(
            (who(1_000, 1), who(0, 0), who(4_242, 50), who(4_242, 51)),
            (Ok(Role::Admin), Ok(Role::Admin), Ok(Role::Operator), Err(403))
        );
        let supplementary = SocketPolicy { group: Some(60), ..policy };
        let peer = Credentials { uid: 4_242, gid: 51, pid: None, groups: Some(vec![60]) };
        assert_eq!(supplementary.identify(&peer).map(|identity| identity.role).ok(), Some(Role::Operator));
    }
}
