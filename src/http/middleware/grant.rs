//! What a request was let in by, and for how long that is valid. It is checked again wherever a request has waited,
//! and for as long as a stream is open.

use futures_lite::future;

use crate::access::Token;
use crate::run_tokens::RunTokens;
use crate::store::LiveSession;

/// What a request was let in by; stored in the extensions of tide's request.
#[derive(Clone, Debug)]
pub enum Grant {
    /// The peer of the Unix socket, as the kernel names it; valid without an end.
    Peer,
    /// A session.
    Session(LiveSession),
    /// The token of an attempt.
    Attempt(Token, RunTokens),
}

impl Grant {
    /// Whether it is still valid.
    pub fn is_valid(&self) -> bool {
        match self {
            Grant::Peer => true,
            Grant::Session(session) => session.is_valid(),
            Grant::Attempt(token, tokens) => tokens.run_of(token).is_some(),
        }
    }

    /// Waits until the session has ended; for ever where it is none, since what an attempt's token may do never waits.
    pub async fn ended(&self) {
        match self {
            Grant::Session(session) => session.ended().await,
            Grant::Peer | Grant::Attempt(..) => future::pending().await,
        }
    }
}
