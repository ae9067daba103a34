//! Asking again: when a request may be repeated, and what is said meanwhile.
//!
//! Only for requests whose repetition changes nothing: reads, cancels, and submits with a key. A daemon that was
//! never met is not waited for.

use std::time::{Duration, Instant};

use hyper::body::Bytes;

use super::print;
use crate::client::connection::{Ask, Daemon};
use crate::client::failure::Failure;
use crate::client::patience::{Backoff, first_line};

/// How far a daemon's absence is borne.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Whether a daemon has been met there, so that its absence is a restart and not a wrong address.
    pub met: bool,
    /// For how long; `None` is for ever.
    pub at_most: Option<Duration>,
}

/// Asks until there is an answer, and says so on a terminal.
///
/// # Errors
/// What asking again cannot change, and what outlasts the patience.
pub async fn ask_until_answered(daemon: &Daemon, ask: &Ask, patience: &mut Patience) -> Result<Bytes, Failure> {
    let started = Instant::now();
    let mut backoff = Backoff::new();
    let mut said = false;
    loop {
        let failure = match daemon.ask(ask).await {
            Ok(answer) => {
                patience.met = true;
                if said {
                    print::note("the daemon is back");
                }
                return Ok(answer);
            }
            Err(failure) => failure,
        };
        patience.met |= matches!(failure, Failure::Lost(_));
        let worn_out = patience.at_most.is_some_and(|most| started.elapsed() > most);
        if !patience.met || !failure.may_pass() || worn_out {
            return Err(failure);
        }
        if !said {
            print::note(&format!("{}; trying again", first_line(&failure)));
            said = true;
        }
        backoff.wait().await;
    }
}
