//! Asking again, with a note for a person at a terminal.

use hyper::body::Bytes;

use super::print;
use crate::client::connection::{Ask, Daemon};
use crate::client::failure::Failure;
pub use crate::client::patience::Patience;
use crate::client::patience::ask_until_answered as ask_again;

/// Asks until there is an answer, and says so on a terminal.
///
/// # Errors
/// What asking again cannot change, and what outlasts the patience.
pub async fn ask_until_answered(daemon: &Daemon, ask: &Ask, patience: &mut Patience) -> Result<Bytes, Failure> {
    ask_again(daemon, ask, patience, print::note).await
}
