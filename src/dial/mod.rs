//! What every connection that this program makes stands on: streams, TLS, and the words for what went wrong.
//!
//! It knows neither whom it connects to nor what is said there.

#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;

use std::future::Future;

use futures_lite::future;
use futures_lite::io::{AsyncRead, AsyncWrite};

pub use self::tls::Tls;

/// A stream of bytes both ways, whatever is under it.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// There is nobody to believe, or nothing to be believed: why, and what would help, for people.
#[derive(Debug)]
pub struct Unusable(pub String);

/// Drives a connection while `work` uses it; its errors reach `work` by themselves.
pub async fn beside<T>(connection: impl Future, work: impl Future<Output = T>) -> T {
    let drive = async {
        connection.await;
        future::pending().await
    };
    // The work is looked at first, so that an answer that came with the connection's end is not missed.
    future::or(work, drive).await
}

/// The innermost error's words, without the number that std adds.
pub fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
