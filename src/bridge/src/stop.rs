//! When to stop: SIGTERM and SIGINT.

use tokio::signal::unix::{SignalKind, signal};

use crate::told::Refusal;

/// Waits for one of them. Everything else is dropped then, which is safe at any time: what was not acknowledged is found
/// again at the hub's own end of the stream.
///
/// # Errors
/// The system gives no signals.
pub async fn asked() -> Result<(), Refusal> {
    let refusal = |error: std::io::Error| Refusal::No(format!("cannot wait for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(refusal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refusal)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
