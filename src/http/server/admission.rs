//! Admits a connection within the limits, or turns it away with the reason.

use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_io::Timer;
use smol::Executor;

use super::connection;
use super::connection_limits::{Client, ConnectionLimits, Permit};
use super::serving::Serving;
use super::transport::Transport;
use crate::descriptors::{self, For};

/// Pause before the next accept after one that failed for lack of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Least time between two log lines about that.
const ACCEPT_LOG_PAUSE: Duration = Duration::from_secs(60);
/// Connections beyond the limit that are answered with 503 at a time; further ones are closed without an answer.
const TURNED_AWAY_MAX: usize = 32;
/// The same where descriptors run out.
const TURNED_AWAY_SHORT_MAX: usize = 4;

/// Why a connection is not admitted.
pub(super) struct Full {
    why: &'static str,
    /// How many are answered at a time.
    told_max: usize,
}

/// Admits one more connection, or says why not.
pub(super) fn admit(
    limits: &Arc<ConnectionLimits>,
    client: impl Into<Client>,
    stream: &impl AsFd,
    purpose: For,
    logged: &mut Option<Instant>,
) -> Result<Permit, Full> {
    if !descriptors::may_use(stream, purpose) {
        log_now_and_then(logged, "connections are turned away: the file descriptors that are left are for commands");
        let why =
            "no file descriptors left for more connections: raise the limit of open files, LimitNOFILE= in the unit";
        return Err(Full { why, told_max: TURNED_AWAY_SHORT_MAX });
    }
    let why =
        "too many connections: limits.connections, limits.connections_per_client; over the Unix socket 64 of one user";
    limits.admit(client).ok_or(Full { why, told_max: TURNED_AWAY_MAX })
}

/// Answers with the reason, unless too many are being answered already: each holds a descriptor meanwhile.
pub(super) fn turn_away<S>(
    serving: &Arc<Serving<S>>,
    executor: &Executor<'static>,
    greeted: impl Future<Output = Option<Transport>> + Send + 'static,
    Full { why, told_max }: Full,
) where
    S: Clone + Send + Sync + 'static,
{
    if serving.turned_away.load(Ordering::SeqCst) < told_max {
        serving.turned_away.fetch_add(1, Ordering::SeqCst);
        let serving = serving.clone();
        spawn(executor, async move {
            connection::turn_away(greeted, why).await;
            serving.turned_away.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// Runs a connection on its own: it ends when its client goes, at the latest when the daemon closes.
pub(super) fn spawn(executor: &Executor<'static>, connection: impl Future<Output = ()> + Send + 'static) {
    executor.spawn(connection).detach();
}

/// Logs a failed accept, and pauses unless the next may succeed at once.
pub(super) async fn pause(error: &io::Error, logged: &mut Option<Instant>) {
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) {
        return;
    }
    log_now_and_then(logged, &format!("no connection can be accepted: {error}"));
    Timer::after(ACCEPT_PAUSE).await;
}

fn log_now_and_then(logged: &mut Option<Instant>, what: &str) {
    if logged.is_none_or(|last| last.elapsed() >= ACCEPT_LOG_PAUSE) {
        log::error!("{what}");
        *logged = Some(Instant::now());
    }
}
