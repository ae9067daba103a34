//! Identities, roles and tokens.
//!
//! No I/O except for the system's random bytes. A token in clear text is never stored or logged; only its SHA-256 is.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::run::RunId;
use crate::words::words;

words! {
    /// What a client may do; each role includes the ones before it, but `trigger`, which is bound to jobs and stands apart.
    Role {
        /// Starts the jobs that it is bound to and follows their runs.
        Trigger = "trigger",
        /// Reads.
        Viewer = "viewer",
        /// Also submits, changes, cancels, retries, appends events, deletes finished runs.
        Operator = "operator",
        /// Also makes tokens, lists and revokes sessions, changes queues, asks for maintenance.
        Admin = "admin",
    }
}

impl Role {
    /// Whether this role includes `needed`.
    pub fn may(self, needed: Role) -> bool {
        self >= needed
    }
}

/// How a client was authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A token in the `Authorization` header, which no browser sends by itself.
    Bearer,
    /// The session's cookie, which a browser sends by itself.
    Cookie,
    /// The Unix socket, by the credentials that the kernel reports.
    Local,
}

/// The longest life of a session that has an end, in seconds: ten years.
pub const SESSION_TTL_MAX_S: i64 = 315_360_000;

/// The client that makes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What it may do.
    pub role: Role,
    /// `session:NAME`, `local:USER` or `run:ID`.
    pub name: String,
    /// With a run token: the run to which it may append events. It may do nothing else, whatever its role.
    pub scope: Option<RunId>,
    /// With the role `trigger`: the jobs that it may start. It may do nothing else.
    pub jobs: Option<Arc<[String]>>,
    /// The session's id, if there is a session.
    pub session: Option<i64>,
    /// How it was authenticated.
    pub how: How,
    /// If this use renewed the session: for how many seconds from now its cookie, which is sent again, is to be kept.
    pub renewed_s: Option<u64>,
}

impl Identity {
    /// The identity of a run's command, which has a run token.
    pub fn of_run(run: RunId) -> Identity {
        Identity {
            // The least role, in case a check looks at the role only.
            role: Role::Viewer,
            name: format!("run:{run}"),
            scope: Some(run),
            jobs: None,
            session: None,
            how: How::Bearer,
            renewed_s: None,
        }
    }
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// It is traded for a session; starts with `rbe_`.
    Enrollment,
    /// It authenticates a session; starts with `rbs_`.
    Session,
    /// It lets a running command append events to its own run; starts with `rbr_`.
    Run,
}

impl TokenKind {
    const fn prefix(self) -> &'static str {
        match self {
            TokenKind::Enrollment => "rbe_",
            TokenKind::Session => "rbs_",
            TokenKind::Run => "rbr_",
        }
    }
}

/// Random bytes of a token: with 160 bits it cannot be guessed, and unsalted SHA-256 is enough to store it.
const RANDOM_BYTES: usize = 20;

/// A token in clear text. It is shown once and not stored; `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Makes a token.
    ///
    /// # Errors
    /// When the system has no random bytes to give.
    pub fn make(kind: TokenKind) -> Result<Token, getrandom::Error> {
        let mut bytes = [0; RANDOM_BYTES];
        getrandom::fill(&mut bytes)?;
        let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
        Ok(Token(digits.fold(kind.prefix().to_owned(), |token, digits| token + &digits)))
    }

    /// Parses a token of this kind.
    pub fn parse(kind: TokenKind, text: &str) -> Option<Token> {
        let digits = text.strip_prefix(kind.prefix())?;
        let valid =
            digits.len() == 2 * RANDOM_BYTES && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        valid.then(|| Token(text.to_owned()))
    }

    /// The token in clear text.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The hash by which it is stored and looked up.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// The hash of a session's token that a browser keeps as its cookie. A browser sends a cookie to every port of a host,
    /// whoever listens there; the hash differs so that a cookie cannot be used as a bearer token.
    pub fn cookie_sha256(&self) -> [u8; 32] {
        Sha256::new().chain_update("cookie:").chain_update(&self.0).finalize().into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Token(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_include_the_ones_before_them() {
        assert!(
            Role::Admin.may(Role::Viewer) && Role::Operator.may(Role::Operator) && !Role::Viewer.may(Role::Operator)
        );
    }

    #[test]
    fn tokens_are_long_distinct_and_hidden() {
        let (one, other) =
            (Token::make(TokenKind::Session).expect("random"), Token::make(TokenKind::Session).expect("random"));
        assert_ne!(one, other);
        assert_eq!(one.reveal().len(), 44);
        assert_eq!(Token::parse(TokenKind::Session, one.reveal()), Some(one.clone()));
        assert_eq!(Token::parse(TokenKind::Enrollment, one.reveal()), None);
        assert!(!format!("{one:?}").contains(one.reveal()));
        assert_eq!(Token::parse(TokenKind::Session, "rbs_zz"), None);
        assert_ne!(one.sha256(), one.cookie_sha256());
    }
}
