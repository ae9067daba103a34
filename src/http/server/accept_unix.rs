//! Accepts connections on the Unix socket: identifies the peer by its credentials, and admits it or turns it away.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_channel::Receiver;
use async_io::Async;
use futures_lite::future;
use smol::Executor;

use super::admission::{admit, pause, spawn, turn_away};
use super::connection::{self, TURN_AWAY};
use super::connection_limits::{Client, ConnectionLimits};
use super::serving::Serving;
use super::transport::Transport;
use crate::access::{Identity, Role};
use crate::credentials::Credentials;
use crate::descriptors::For;
use crate::http::error::Problem;
use crate::http::middleware::Source;
use crate::http::middleware::who::SocketPolicy;
use crate::wake::Phase;

/// Least time between two log lines about refused peers.
const REFUSED_LOG_PAUSE: Duration = Duration::from_secs(60);
/// Connections over the Unix socket of all whom `access.socket_group` lets in …
const GROUP_CONNECTIONS_MAX: usize = 256;
/// … and of one user of them.
const GROUP_CONNECTIONS_PER_USER_MAX: usize = 64;
/// Connections of root and the daemon's own user, which are counted apart from the group's.
const ADMIN_CONNECTIONS_MAX: usize = 512;

/// What comes next at the Unix socket.
enum Next {
    Accepted(io::Result<Async<UnixStream>>),
    /// The socket's file had vanished; this listener replaces it.
    Listener(Async<UnixListener>),
}

/// Accepts for as long as it is polled.
pub(super) async fn accept_unix<S>(
    mut listener: Async<UnixListener>,
    again: &Receiver<Async<UnixListener>>,
    policy: SocketPolicy,
    serving: &Arc<Serving<S>>,
    executor: &Executor<'static>,
) where
    S: Clone + Send + Sync + 'static,
{
    let stall = Duration::from_secs(serving.site.limits.stream_stall_s);
    let of_group = ConnectionLimits::new(GROUP_CONNECTIONS_MAX, GROUP_CONNECTIONS_PER_USER_MAX);
    let of_admins = ConnectionLimits::new(ADMIN_CONNECTIONS_MAX, ADMIN_CONNECTIONS_MAX);
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
        let peer = refused.unless_meant(peer, &policy);
        let is_admin = peer.as_ref().is_ok_and(|identity| identity.role == Role::Admin);
        let (places, purpose) = if is_admin { (&of_admins, For::Admin) } else { (&of_group, For::Client) };
        match admit(places, user, &stream, purpose, &mut logged) {
            Ok(permit) => {
                let transport = Transport::unix(stream, stall, Some(permit));
                spawn(executor, connection::serve(serving.clone(), Source::Unix(peer), transport, Phase::Closing));
            }
            Err(full) => {
                let transport = async move { Some(Transport::unix(stream, TURN_AWAY, None)) };
                turn_away(serving, executor, transport, full);
            }
        }
    }
}

/// Logs refused peers: the first at once, then at most one line a minute.
#[derive(Default)]
struct Refused {
    logged: Option<Instant>,
    since: usize,
}

impl Refused {
    /// The identity of a peer, or its refusal, which is logged.
    fn unless_meant(&mut self, peer: io::Result<Credentials>, policy: &SocketPolicy) -> Result<Identity, Problem> {
        let peer = peer.map_err(|error| {
            self.log(&format!("somebody whom the kernel does not tell ({error})"));
            Problem::forbidden("the kernel does not tell who is at the other end of the Unix socket")
        })?;
        policy.identify(&peer).inspect_err(|_| {
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
