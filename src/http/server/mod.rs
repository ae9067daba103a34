//! The server: it accepts connections, speaks HTTP on them, and closes them again, all within limits.
//!
//! It knows no route. It never spins where descriptors run out, and no connection outlives [`serve`], but for those that
//! became streams.

mod bridge;
mod census;
mod connection;
mod fragment;
mod listen;
pub mod metered;
pub mod reply;
pub mod rope;
mod shared;
mod target;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;
pub mod transport;

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_channel::Receiver;
use futures_lite::FutureExt;
use futures_lite::future::{self, zip};
use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle, set_tcp_user_timeout};
use smol::{Async, Executor, Timer};

pub use self::bridge::{Observer, RouteLabel, Site};
use self::census::{Census, Client, Permit};
use self::connection::{Arrived, TURN_AWAY};
pub use self::listen::{Listeners, SocketFile, UnixAgain, bind_tcp, bind_unix, take_tcp};
pub use self::metered::Taken;
pub use self::reply::Streamed;
pub use self::rope::Rope;
use self::shared::{DRAIN, Open, Shared};
pub use self::tls::Tls;
pub use self::transport::{Transport, raw_stream};
use super::middleware::{Locals, Source};
use crate::access::{Identity, Role};
use crate::credentials::Credentials;
use crate::descriptors::{self, For};
use crate::http::Problem;
use crate::wake::{Phase, Stop};

/// How long it waits before it tries to accept again where the system would not: descriptors or memory ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often that is logged, at most.
const ACCEPT_LOG_PAUSE: Duration = Duration::from_secs(60);
/// How often it is logged, at most, that somebody was sent away from the Unix socket.
const REFUSED_LOG_PAUSE: Duration = Duration::from_secs(60);
/// After this long without a byte either way the kernel asks whether a client is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Connections over the Unix socket of all whom `access.socket_group` lets in …
const GROUP_CONNECTIONS_MAX: usize = 256;
/// … and of one user of them.
const GROUP_CONNECTIONS_PER_USER_MAX: usize = 64;
/// Those of root and the daemon's own user: they take no place of the others, nor the others theirs.
const ADMIN_CONNECTIONS_MAX: usize = 512;
/// Connections beyond the limit that are told so at the same time; further ones are closed without a word.
const TURNED_AWAY_MAX: usize = 32;
/// The same where they take what is left of the descriptors.
const TURNED_AWAY_SHORT_MAX: usize = 4;

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
        match place(&census, address.ip(), &stream, For::Client, &mut logged) {
            Ok(permit) => {
                let arrived = Arrived { stream, tls: tls.cloned(), permit: Some(permit) };
                spawn(executor, connection::serve_tcp(shared.clone(), address, arrived));
            }
            Err(full) => {
                let arrived = Arrived { stream, tls: tls.cloned(), permit: None };
                turn_away(shared, executor, arrived.greeted(TURN_AWAY), full);
            }
        }
    }
}

/// Why there is no place for a connection.
struct Full {
    why: &'static str,
    /// At most so many are told at the same time.
    told_max: usize,
}

/// A place for one more connection, or why there is none.
fn place(
    census: &Arc<Census>,
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
    census.admit(client).ok_or(Full { why, told_max: TURNED_AWAY_MAX })
}

/// Tells a client why it is turned away, if not too many others are told just now; what it holds meanwhile is a descriptor.
fn turn_away<S>(
    shared: &Arc<Shared<S>>,
    executor: &Executor<'static>,
    greeted: impl Future<Output = Option<Transport>> + Send + 'static,
    Full { why, told_max }: Full,
) where
    S: Clone + Send + Sync + 'static,
{
    if shared.turned_away.load(Ordering::SeqCst) < told_max {
        shared.turned_away.fetch_add(1, Ordering::SeqCst);
        let shared = shared.clone();
        spawn(executor, async move {
            connection::turn_away(greeted, why).await;
            shared.turned_away.fetch_sub(1, Ordering::SeqCst);
        });
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
    let of_group = Census::new(GROUP_CONNECTIONS_MAX, GROUP_CONNECTIONS_PER_USER_MAX);
    let of_admins = Census::new(ADMIN_CONNECTIONS_MAX, ADMIN_CONNECTIONS_MAX);
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
        let peer = Credentials::of_peer(stream.get_ref());
        let user = Client::User(peer.as_ref().map_or(u32::MAX, |peer| peer.uid));
        let peer = refused.unless_meant(peer, &locals);
        let is_admin = peer.as_ref().is_ok_and(|identity| identity.role == Role::Admin);
        let (census, purpose) = if is_admin { (&of_admins, For::Admin) } else { (&of_group, For::Client) };
        match place(census, user, &stream, purpose, &mut logged) {
            Ok(permit) => {
                let transport = Transport::unix(stream, stall, Some(permit));
                spawn(executor, connection::serve(shared.clone(), Source::Unix(peer), transport, Phase::Closing));
            }
            Err(full) => {
                let transport = async move { Some(Transport::unix(stream, TURN_AWAY, None)) };
                turn_away(shared, executor, transport, full);
            }
        }
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
    log_now_and_then(logged, &format!("no connection can be accepted: {error}"));
    Timer::after(ACCEPT_PAUSE).await;
}

fn log_now_and_then(logged: &mut Option<Instant>, what: &str) {
    if logged.is_none_or(|last| last.elapsed() >= ACCEPT_LOG_PAUSE) {
        log::error!("{what}");
        *logged = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests;
