//! The server: it accepts connections, speaks HTTP on them, and closes them again, all within limits.
//!
//! It knows no route. It never spins where descriptors run out, and no connection outlives [`serve`], but for those that
//! became streams.

mod bridge;
mod census;
mod connection;
mod fragment;
mod listen;
mod metered;
mod reply;
mod rope;
mod target;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;
mod transport;

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_channel::Receiver;
use event_listener::Event;
use futures_lite::FutureExt;
use futures_lite::future::{self, zip};
use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle, set_tcp_user_timeout};
use smol::{Async, Executor, Timer};

pub use self::bridge::{Observer, RouteLabel, Site};
use self::census::Census;
use self::connection::Arrived;
pub use self::listen::{Listeners, SocketFile, UnixAgain, bind_tcp, bind_unix, take_tcp};
pub use self::metered::Taken;
pub use self::reply::Streamed;
pub use self::rope::Rope;
pub use self::tls::Tls;
pub use self::transport::{Transport, raw_stream};
use super::middleware::{Locals, Source};
use crate::access::Identity;
use crate::credentials::Credentials;
use crate::http::Problem;
use crate::wake::{Phase, Stop};

/// How long it waits before it tries to accept again where the system would not: descriptors or memory ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often that is logged, at most.
const ACCEPT_LOG_PAUSE: Duration = Duration::from_secs(60);
/// How often it is logged, at most, that somebody was sent away from the Unix socket.
const REFUSED_LOG_PAUSE: Duration = Duration::from_secs(60);
/// How long answers that are under way may take once everything else has ended.
const DRAIN: Duration = Duration::from_millis(500);
/// After this long without a byte either way the kernel asks whether a client is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// This many connections at once are a burst, whose memory goes back when the last of them has gone.
const BURST: usize = 16;
/// Connections beyond the limit that are told so at the same time; further ones are closed without a word.
const TURNED_AWAY_MAX: usize = 32;

/// What all connections share.
struct Shared<S> {
    site: Site<S>,
    stop: Stop,
    open: Open,
    turned_away: AtomicUsize,
}

/// How many connections speak HTTP, how many did since the last burst, and a bell for when one ends.
#[derive(Default)]
struct Open {
    count: AtomicUsize,
    peak: AtomicUsize,
    ended: Event,
}

/// Serves until the daemon is closing and every answer that was under way has left, or `DRAIN` later.
///
/// At [`Phase::Stopping`] TCP is done: no new connection, idle ones close, the others after their answer. The Unix socket
/// goes on until [`Phase::Closing`].
pub async fn serve<S>(listeners: Listeners, site: Site<S>, locals: Locals, stop: Stop, executor: Arc<Executor<'static>>)
where
    S: Clone + Send + Sync + 'static,
{
    let shared = Arc::new(Shared { site, stop: stop.clone(), open: Open::default(), turned_away: AtomicUsize::new(0) });
    let Listeners { tcp, tls, unix, unix_again } = listeners;
    let tcp = async {
        if let Some(tcp) = tcp {
            accept_tcp(&tcp, tls.as_ref(), &shared, &executor).or(stop.wait(Phase::Stopping)).await;
        }
    };
    let unix = async {
        accept_unix(unix, &unix_again, locals, &shared, &executor).or(stop.wait(Phase::Closing)).await;
    };
    zip(tcp, unix).await;
    let drained = async {
        while shared.open.count.load(Ordering::SeqCst) > 0 {
            let ended = shared.open.ended.listen();
            if shared.open.count.load(Ordering::SeqCst) > 0 {
                ended.await;
            }
        }
    };
    let too_late = async {
        Timer::after(DRAIN).await;
    };
    drained.or(too_late).await;
}

async fn accept_tcp<S>(
    listener: &Async<TcpListener>,
    tls: Option<&Arc<Tls>>,
    shared: &Arc<Shared<S>>,
    executor: &Executor<'static>,
) where
    S: Clone + Send + Sync + 'static,
{
    let limits = &shared.site.limits;
    let stall_ms = u32::try_from(limits.stream_stall_s.saturating_mul(1_000)).unwrap_or(u32::MAX);
    let census = Census::new(limits.connections, limits.connections_per_client);
    let mut logged = None;
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                pause(&error, &mut logged).await;
                continue;
            }
        };
        // Small answers leave at once; it fails only for a client that has gone.
        let _ = stream.get_ref().set_nodelay(true);
        // What the kernel has taken is not what the client has: one that vanished is found out by its missing
        // acknowledgements, a ping's too.
        let _ = set_tcp_user_timeout(stream.get_ref(), stall_ms);
        // Where nothing is sent, as in the log of a quiet command, the kernel asks whether the other end is there.
        let _ = set_socket_keepalive(stream.get_ref(), true);
        let _ = set_tcp_keepidle(stream.get_ref(), KEEPALIVE);
        match census.admit(address.ip()) {
            Some(permit) => {
                let arrived = Arrived { stream, tls: tls.cloned(), permit: Some(permit) };
                spawn(executor, connection::serve_tcp(shared.clone(), address, arrived));
            }
            None if shared.turned_away.load(Ordering::SeqCst) < TURNED_AWAY_MAX => {
                shared.turned_away.fetch_add(1, Ordering::SeqCst);
                let shared = shared.clone();
                let arrived = Arrived { stream, tls: tls.cloned(), permit: None };
                spawn(executor, async move {
                    connection::turn_away(arrived).await;
                    shared.turned_away.fetch_sub(1, Ordering::SeqCst);
                });
            }
            None => {}
        }
    }
}

/// What comes next at the Unix socket.
enum Next {
    Accepted(io::Result<Async<UnixStream>>),
    /// Its file had vanished; this one has its name now.
    Listener(Async<UnixListener>),
}

async fn accept_unix<S>(
    mut listener: Async<UnixListener>,
    again: &Receiver<Async<UnixListener>>,
    locals: Locals,
    shared: &Arc<Shared<S>>,
    executor: &Executor<'static>,
) where
    S: Clone + Send + Sync + 'static,
{
    let stall = Duration::from_secs(shared.site.limits.stream_stall_s);
    let mut logged = None;
    let mut refused = Refused::default();
    loop {
        let replaced = async {
            match again.recv().await {
                Ok(listener) => Next::Listener(listener),
                // Nobody makes it again.
                Err(_) => future::pending().await,
            }
        };
        let accepted = async { Next::Accepted(listener.accept().await.map(|(stream, _)| stream)) };
        let stream = match future::or(accepted, replaced).await {
            Next::Listener(new) => {
                listener = new;
                continue;
            }
            Next::Accepted(accepted) => accepted,
        };
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                pause(&error, &mut logged).await;
                continue;
            }
        };
        let peer = refused.unless_meant(Credentials::of_peer(stream.get_ref()), &locals);
        let source = Source::Unix(peer);
        let transport = Transport::unix(stream, stall);
        spawn(executor, connection::serve(shared.clone(), source, transport, Phase::Closing));
    }
}

/// Who was sent away from the Unix socket: a line at once, then one a minute at most, however often somebody tries.
#[derive(Default)]
struct Refused {
    logged: Option<Instant>,
    since: usize,
}

impl Refused {
    /// The peer as it may come in, or why not.
    fn unless_meant(&mut self, peer: io::Result<Credentials>, locals: &Locals) -> Result<Identity, Problem> {
        let peer = peer.map_err(|error| {
            self.log(&format!("somebody whom the kernel does not tell ({error})"));
            Problem::forbidden("the kernel does not tell who is at the other end of the Unix socket")
        })?;
        locals.identify(&peer).inspect_err(|_| {
            let process = peer.pid.map_or("in another PID namespace".to_owned(), |pid| format!("pid {pid}"));
            self.log(&format!("uid {}, gid {}, {process}", peer.uid, peer.gid));
        })
    }

    fn log(&mut self, who: &str) {
        if self.logged.is_some_and(|last| last.elapsed() < REFUSED_LOG_PAUSE) {
            self.since += 1;
            return;
        }
        let more = match std::mem::take(&mut self.since) {
            0 => String::new(),
            more => format!("; so were {more} more since the last such line"),
        };
        log::warn!("refused at the Unix socket, which is for members of access.socket_group: {who}{more}");
        self.logged = Some(Instant::now());
    }
}

/// A connection belongs to its client: it ends when that one goes, and at the latest when the daemon closes.
fn spawn(executor: &Executor<'static>, connection: impl Future<Output = ()> + Send + 'static) {
    executor.spawn(connection).detach();
}

/// Waits where trying again at once would only fail again.
async fn pause(error: &io::Error, logged: &mut Option<Instant>) {
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) {
        return;
    }
    if logged.is_none_or(|last| last.elapsed() >= ACCEPT_LOG_PAUSE) {
        log::error!("no connection can be accepted: {error}");
        *logged = Some(Instant::now());
    }
    Timer::after(ACCEPT_PAUSE).await;
}

#[cfg(test)]
mod tests;
