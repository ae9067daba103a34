//! Whether there is a place for one more connection, and what it is told where there is none.

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

/// How long it waits before it tries to accept again where the system would not: descriptors or memory ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often that is logged, at most.
const ACCEPT_LOG_PAUSE: Duration = Duration::from_secs(60);
/// Connections beyond the limit that are told so at the same time; further ones are closed without a word.
const TURNED_AWAY_MAX: usize = 32;
/// The same where they take what is left of the descriptors.
const TURNED_AWAY_SHORT_MAX: usize = 4;

/// Why there is no place for a connection.
pub(super) struct Full {
    why: &'static str,
    /// At most so many are told at the same time.
    told_max: usize,
}

/// A place for one more connection, or why there is none.
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

/// Tells a client why it is turned away, if not too many others are told just now; what it holds meanwhile is a descriptor.
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

/// A connection belongs to its client: it ends when that one goes, and at the latest when the daemon closes.
pub(super) fn spawn(executor: &Executor<'static>, connection: impl Future<Output = ()> + Send + 'static) {
    executor.spawn(connection).detach();
}

/// Waits where trying again at once would only fail again.
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
