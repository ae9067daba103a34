//! In the place of `interrupts` where there are no Unix signals: Ctrl-C ends this process, and the run goes on.

use futures_lite::future;

use crate::client::failure::Failure;

/// Nothing ever arrives.
pub struct Interrupts;

impl Interrupts {
    /// Leaves Ctrl-C as it is.
    ///
    /// # Errors
    /// None.
    pub fn listen() -> Result<Interrupts, Failure> {
        Ok(Interrupts)
    }

    /// Waits for ever.
    pub async fn next(&mut self) {
        future::pending().await
    }
}
