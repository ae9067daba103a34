//! Run tokens: with one, a command appends events to its own run while its attempt lasts, and can do nothing else.
//!
//! They are kept in memory only, by SHA-256: an attempt that outlives its daemon has its token with its keeper. They are a
//! convenience, not a security boundary, since every process of the command's user can read its environment.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::access::{Token, TokenKind};
use crate::run::RunId;

/// The tokens that are valid now, one for each attempt; cheap to clone.
#[derive(Clone, Default)]
pub struct RunTokens(Arc<Mutex<HashMap<[u8; 32], RunId>>>);

impl RunTokens {
    /// Makes a token for an attempt of this run. It is valid until the returned value is dropped.
    ///
    /// # Errors
    /// When the system has no random bytes to give.
    pub fn issue(&self, run: RunId) -> Result<RunToken, getrandom::Error> {
        let token = Token::make(TokenKind::Run)?;
        self.valid().insert(token.sha256(), run);
        Ok(RunToken { tokens: self.clone(), token })
    }

    /// Makes the token of an attempt that outlived its daemon valid again, until the returned value is dropped. `None` where
    /// it has not the form of one.
    pub fn adopt(&self, run: RunId, text: &str) -> Option<RunToken> {
        let token = Token::parse(TokenKind::Run, text)?;
        self.valid().insert(token.sha256(), run);
        Some(RunToken { tokens: self.clone(), token })
    }

    /// The run whose command was given this token.
    pub fn run_of(&self, token: &Token) -> Option<RunId> {
        self.valid().get(&token.sha256()).copied()
    }

    fn valid(&self) -> MutexGuard<'_, HashMap<[u8; 32], RunId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RunTokens {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "RunTokens({})", self.valid().len())
    }
}

/// An attempt's token; invalid once this is dropped.
#[derive(Debug)]
pub struct RunToken {
    tokens: RunTokens,
    token: Token,
}

impl RunToken {
    /// The token in clear text, for the command's environment.
    pub fn reveal(&self) -> &str {
        self.token.reveal()
    }
}

impl Drop for RunToken {
    fn drop(&mut self) {
        self.tokens.valid().remove(&self.token.sha256());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_its_runs_own_and_dies_with_it() {
        let tokens = RunTokens::default();
        let (one, other) = (tokens.issue(RunId(1)).expect("random"), tokens.issue(RunId(2)).expect("random"));
        let known = |text: &str| tokens.run_of(&Token::parse(TokenKind::Run, text).expect("a token's form"));
        assert_eq!((known(one.reveal()), known(other.reveal())), (Some(RunId(1)), Some(RunId(2))));
        let text = one.reveal().to_owned();
        assert!(!format!("{one:?}").contains(&text[4..]), "Debug hides it");
        drop(one);
        assert_eq!((known(&text), known(other.reveal())), (None, Some(RunId(2))));
    }
}
