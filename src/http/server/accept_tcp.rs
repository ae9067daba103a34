//! Accepts TCP connections: sets up each socket, and admits it or turns it away.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use async_io::Async;
use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle, set_tcp_user_timeout};
use smol::Executor;

use super::admission::{admit, pause, spawn, turn_away};
use super::connection::{self, Arrived, TURN_AWAY};
use super::connection_limits::ConnectionLimits;
use super::serving::Serving;
use super::tls::Tls;
use crate::descriptors::For;

/// Idle time after which the kernel probes whether a client is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Accepts for as long as it is polled.
pub(super) async fn accept_tcp<S>(
    listener: &Async<TcpListener>,
    tls: Option<&Arc<Tls>>,
    serving: &Arc<Serving<S>>,
    executor: &Executor<'static>,
) where
    S: Clone + Send + Sync + 'static,
{
    let limits = &serving.site.limits;
    let stall_ms = u32::try_from(limits.stream_stall_s.saturating_mul(1_000)).unwrap_or(u32::MAX);
    let places = ConnectionLimits::new(limits.connections, limits.connections_per_client);
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
        match admit(&places, address.ip(), &stream, For::Client, &mut logged) {
            Ok(permit) => {
                let arrived = Arrived { stream, tls: tls.cloned(), permit: Some(permit) };
                spawn(executor, connection::serve_tcp(serving.clone(), address, arrived));
            }
            Err(full) => {
                let arrived = Arrived { stream, tls: tls.cloned(), permit: None };
                turn_away(serving, executor, arrived.greeted(TURN_AWAY), full);
            }
        }
    }
}
