//! Claims ready runs for free slots, and fires jobs that are due. It does not poll: it waits for a commit, the next due time,
//! or the safety timeout.
//!
//! The store decides what is claimed, in one statement each; this task decides when to ask, and passes the store's orders
//! on while it waits. It never holds a run back that the store has claimed.

use std::sync::Arc;
use std::time::Duration;

use futures_lite::FutureExt as _;
use log::Level;

use crate::clock::UnixMs;
use crate::metrics::{Metrics, OfCause};
use crate::store::{FaultLog, Order, Store};
use crate::system;
use crate::timer::mostly_within;
use crate::wake::{Bell, Phase, Stop};

/// The longest sleep. A clock that is set forward rings the Bell; where the system cannot notify of that, it is noticed after
/// this.
const SAFETY: Duration = Duration::from_secs(90);
/// How long nothing was committed when what the work before needed is given back.
const REST: Duration = Duration::from_secs(1);
/// The pause after a claim that failed.
const RETRY: Duration = Duration::from_secs(1);

/// Why the scheduler woke.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    Signal,
    Due,
    Rest,
    Safety,
}

/// Claims what is ready until the daemon stops, and has the store's orders done as they come; answers when no further claim
/// can come.
///
/// While `held` says for how long, nothing is claimed: what a command needs to be started is wanting.
pub async fn run(
    store: &Store,
    bell: &Bell,
    stop: &Stop,
    metrics: &Arc<Metrics>,
    held: impl Fn() -> Option<Duration>,
    obey: impl Fn(Order),
) {
    let obey = |order| {
        if let Order::Start(claimed) = &order {
            metrics.run_wait.observe(claimed.waited_ms as f64 / 1_000.0);
        }
        obey(order);
    };
    let orders = store.orders();
    // A claim that takes long must not hold up a stop.
    let obeying = async {
        while let Ok(order) = orders.recv().await {
            obey(order);
        }
    };
    store.open_claims(true);
    claim(store, bell, stop, metrics, held).or(obeying).await;
    store.open_claims(false);
    // A claim that was under way is published before this is answered.
    let _ = store.barrier().await;
    orders.close();
    while let Ok(order) = orders.try_recv() {
        obey(order);
    }
}

/// Asks for claims whenever the store's hint says that there is something to claim, until the daemon stops.
async fn claim(store: &Store, bell: &Bell, stop: &Stop, metrics: &Metrics, held: impl Fn() -> Option<Duration>) {
    let faults = FaultLog::new(Level::Warn);
    // Whether anything was committed since memory was given back.
    let mut has_worked = false;
    while !stop.reached(Phase::Stopping) {
        let rung = bell.listen();
        let until = |due: UnixMs| Duration::from_millis((due.0 - UnixMs::now().0).max(0) as u64);
        let fires_in = store.next_firing().map(until);
        if fires_in == Some(Duration::ZERO) {
            match store.fire().await {
                Ok(()) => faults.over(),
                Err(error) => {
                    faults.failed(&error, format_args!("jobs that are due were not started, trying again"));
                    stop.wait_at_most(Phase::Stopping, RETRY).await;
                }
            }
            continue;
        }
        let due_in = store.next_due().map(until);
        let held_for = held();
        // A claim also takes along what is still to be told of ends, which goes on while nothing is started.
        if store.telling() || held_for.is_none() && (store.claimable() || due_in == Some(Duration::ZERO)) {
            match store.claim().await {
                Ok(()) => faults.over(),
                Err(error) => {
                    faults.failed(&error, format_args!("claiming failed, trying again"));
                    stop.wait_at_most(Phase::Stopping, RETRY).await;
                }
            }
            continue;
        }
        if stop.reached(Phase::Stopping) {
            break;
        }
        let idle = if has_worked { (REST, Cause::Rest) } else { (SAFETY, Cause::Safety) };
        let (sleep, on_time) = match held_for.or(due_in).into_iter().chain(fires_in).min() {
            Some(due_in) if due_in < idle.0 => (due_in, Cause::Due),
            _ => idle,
        };
        // Every commit rings, so that this hardly ever takes its time.
        let slept = mostly_within(sleep, rung).await;
        has_worked |= slept.is_some();
        let cause = match slept.map_or(on_time, |()| Cause::Signal) {
            // Only a ring that leaves something to do counts as one: every commit rings.
            Cause::Signal if (!store.claimable() || held().is_some()) && !is_due(store.next_firing()) => continue,
            Cause::Signal => "signal",
            Cause::Due => "due",
            // Once for all that was done, so that it counts as the end of that.
            Cause::Rest => {
                system::give_memory_back();
                has_worked = false;
                continue;
            }
            Cause::Safety => "safety",
        };
        metrics.scheduler_wakeups.get_or_create(&OfCause { cause }).inc();
    }
}

fn is_due(at: Option<UnixMs>) -> bool {
    at.is_some_and(|at| at <= UnixMs::now())
}

#[cfg(test)]
mod tests;
