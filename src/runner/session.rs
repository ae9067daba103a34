//! Waits for the end of an attempt's processes, and kills those that do not end.
//!
//! Processes are searched for only when the end of the attempt was requested: an ordinary exit leaves background processes
//! alone.

use std::time::{Duration, Instant};

use async_io::Timer;
use rustix::process::Signal;

use super::graces::KILL_PATIENCE;
use super::member::Member;
pub(super) use crate::process::session::{
    alive, hang_up, kill_all, members, members_of, signal_group, signal_of, tag, tagged, terminate, terminate_all,
};
use crate::process::{Identity, procfs};
use crate::run::RunId;
use crate::timer::within;

/// Processes that are waited for at once; the others are searched for again afterwards.
const HELD_MAX: usize = 64;
/// Pause between two searches for processes that were forked while their session was being killed.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Waits until they are gone; of many, until the first ones are.
pub(super) async fn gone(who: &[Identity]) {
    let held: Vec<Member> = who.iter().filter_map(|&identity| Member::open(identity)).take(HELD_MAX).collect();
    for member in &held {
        member.gone().await;
    }
}

/// Sends SIGKILL until a search finds no process, or [`KILL_PATIENCE`] is over; returns the processes that are left then.
///
/// A search is faster than a fork, so that processes that fork meanwhile are found in the end.
pub(super) async fn kill(run: RunId, mut look: impl FnMut() -> Vec<Identity>) -> Vec<Identity> {
    let patience_up = Instant::now() + KILL_PATIENCE;
    loop {
        let left = look();
        // Nobody is seen either where nobody can look.
        if left.is_empty() && procfs::can_be_read() {
            return left;
        }
        if Instant::now() >= patience_up {
            log::error!("run {run}: {} processes outlive SIGKILL; it is settled without them", left.len());
            return left;
        }
        left.iter().for_each(|identity| identity.signal(&[Signal::KILL]));
        if left.is_empty() {
            Timer::after(LOOK_AGAIN).await;
        } else {
            let _ = within(LOOK_AGAIN, gone(&left)).await;
        }
    }
}
