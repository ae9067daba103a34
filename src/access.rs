//! Who somebody is, what a role may, and how tokens are made.
//!
//! No I/O but the system's random bytes. A token in clear is never stored and never logged: only its SHA-256 is.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::run::RunId;
use crate::words::words;

words! {
    /// What somebody may do; each role may what the ones before it may.
    Role {
        /// Reads.
        Viewer = "viewer",
        /// Also submits, changes, cancels, retries, appends events, deletes finished runs.
        Operator = "operator",
        /// Also makes tokens, lists and revokes sessions, changes queues, asks for maintenance.
        Admin = "admin",
    }
}

impl Role {
    /// Whether this role may do what needs `needed`.
    pub fn may(self, needed: Role) -> bool {
        self >= needed
    }
}

/// How somebody proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A token in the `Authorization` header, which no browser sends by itself.
    Bearer,
    /// The session's cookie, which a browser sends by itself.
    Cookie,
    /// The Unix socket, by the kernel's word.
    Local,
}

/// The longest life of a session that has an end, in seconds: ten years.
pub const SESSION_TTL_MAX_S: i64 = 315_360_000;

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What they may do.
    pub role: Role,
    /// `session:NAME`, `local:USER` or `run:ID`.
    pub name: String,
    /// The one run to which they may append events, and nothing else they may do, whatever their role.
    pub scope: Option<RunId>,
    /// The session's id, where there is one.
    pub session: Option<i64>,
    /// How they proved it.
    pub how: How,
    /// Where this use moved the session's expiry: the seconds that its cookie, which is sent again, is to be kept from now.
    pub renewed_s: Option<u64>,
}

impl Identity {
    /// The command of a run, by its token.
    pub fn of_run(run: RunId) -> Identity {
        Identity {
            // The least there is, for where somebody looked at the role alone.
            role: Role::Viewer,
            name: format!("run:{run}"),
            scope: Some(run),
            session: None,
            how: How::Bearer,
            renewed_s: None,
        }
    }
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Traded once for a session; starts with `rbe_`.
    Enrollment,
    /// A session's; starts with `rbs_`.
    Session,
    /// A running command's, for events of its own run; starts with `rbr_`.
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

/// 160 random bits: nobody guesses it, and SHA-256 without salt is enough to store it.
const RANDOM_BYTES: usize = 20;

/// A token in clear. It is shown once and not kept; `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// Where the system has no random bytes to give.
    pub fn make(kind: TokenKind) -> Result<Token, getrandom::Error> {
        let mut bytes = [0; RANDOM_BYTES];
        getrandom::fill(&mut bytes)?;
        let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
        Ok(Token(digits.fold(kind.prefix().to_owned(), |token, digits| token + &digits)))
    }

    /// The token in `text`, if it has the form of one of this kind.
    pub fn parse(kind: TokenKind, text: &str) -> Option<Token> {
        let digits = text.strip_prefix(kind.prefix())?;
        let valid =
            digits.len() == 2 * RANDOM_BYTES && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        valid.then(|| Token(text.to_owned()))
    }

    /// In clear, to be shown this once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored and looked up.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// The same of a session's token that a browser keeps as its cookie. A browser sends a cookie to every port of its
    /// host, whoever listens there; so that nobody can use one as a bearer's token, it is another number.
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
