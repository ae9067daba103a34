//! Records the end of an attempt, and tries again until that succeeds: a full disk must not lose how a command ended, nor
//! free its slot before that is known.
//!
//! Gives up only when the daemon stops; the next start then counts the run as interrupted.

use std::time::Duration;

use async_io::Timer;
use futures_lite::future;
use log::Level;

use super::running::Switch;
use crate::run::{Ask, Exit, Measured, RunId};
use crate::store::{Fault, FaultLog, ProcessMark, Store, StoreError};

/// Pause before an end that could not be recorded is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long it is still tried while the daemon stops.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How an attempt ended.
pub(super) struct End {
    /// Whose it was.
    pub run: RunId,
    /// Which one.
    pub attempt: i64,
    /// Its process, if that was not recorded before.
    pub process: Option<ProcessMark>,
    /// Who requested it, if anybody.
    pub asked: Option<Ask>,
    /// How the process ended.
    pub exit: Exit,
    /// What was measured then.
    pub measured: Measured,
}

/// Records an end; false where that was given up.
pub(super) async fn settle(store: &Store, switch: &Switch, end: End) -> bool {
    let written = async {
        let faults = FaultLog::new(Level::Error);
        loop {
            let End { run, attempt, process, asked, exit, measured } = &end;
            match store.finish(*run, *attempt, process.clone(), *asked, exit.clone(), measured.clone()).await {
                Ok(_) => return true,
                Err(StoreError::Failed(Fault::GivenUp(_))) => return false,
                Err(error) => {
                    faults.failed(&error, format_args!("run {run} has ended, which cannot be recorded yet"));
                }
            }
            Timer::after(RETRY).await;
        }
    };
    let given_up = async {
        // What outlives the daemon is not asked to end; the next one is told again.
        future::or(switch.expedited(), switch.left()).await;
        Timer::after(PATIENCE).await;
        false
    };
    let is_written = future::or(written, given_up).await;
    if !is_written {
        log::error!(
            "run {} has ended ({:?}), which could not be recorded; it will count as interrupted",
            end.run,
            end.exit
        );
    }
    is_written
}
