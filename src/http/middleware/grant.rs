//! What a request was let in by, and until when: looked at again wherever a request has waited, and for as long as a
//! stream is open.

use futures_lite::future;

use crate::access::Token;
use crate::run_tokens::RunTokens;
use crate::store::LiveSession;

/// What a request was let in by, in the extensions of tide's.
#[derive(Clone, Debug)]
pub enum Grant {
    /// The kernel's word of who is at the other end of the socket: it never ends.
    Peer,
    /// A session.
    Session(LiveSession),
    /// The token of an attempt.
    Attempt(Token, RunTokens),
}

impl Grant {
    /// Whether it still lets anybody in.
    pub fn is_valid(&self) -> bool {
        match self {
            Grant::Peer => true,
            Grant::Session(session) => session.is_valid(),
            Grant::Attempt(token, tokens) => tokens.run_of(token).is_some(),
        }
    }

    /// Waits until a session has ended. Nothing else is waited for: what an attempt's token does takes no time.
    pub async fn ended(&self) {
        match self {
            Grant::Session(session) => session.ended().await,
            Grant::Peer | Grant::Attempt(..) => future::pending().await,
        }
    }
}
