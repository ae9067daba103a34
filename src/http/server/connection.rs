//! One connection, from its first byte to its last.
//!
//! Every wait has a deadline: for the head, for a client that takes nothing, at the end.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_io::{Async, Timer};
use futures_lite::FutureExt;
use futures_lite::io::AsyncWriteExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;

use super::connection_limits::Permit;
use super::head_timer::HeadTimer;
use super::metered::Metered;
use super::reply::Busy;
use super::serving::{Counted, DRAIN, Serving};
use super::target::{Fragment, as_sent};
use super::tls::Tls;
use super::transport::Transport;
use crate::http::error::{PROBLEM_JSON, Problem};
use crate::http::middleware::Source;
use crate::timer::within;
use crate::wake::Phase;

/// Least size of hyper's buffer.
const BUFFER_BYTES_MIN: usize = 8_192;
/// Time limit of a 503 to a connection that is turned away.
pub(super) const TURN_AWAY: Duration = Duration::from_secs(1);
/// What every connection of TLS starts with: a record that is a handshake's. No request starts with it.
const TLS_HANDSHAKE: u8 = 22;

/// Serves a TCP connection, after the TLS handshake where TLS is spoken.
pub(super) async fn serve_tcp<S>(serving: Arc<Serving<S>>, address: SocketAddr, arrived: Arrived)
where
    S: Clone + Send + Sync + 'static,
{
    let limits = &serving.site.limits;
    let source = Source::Tcp { address, https: arrived.tls.is_some() };
    let leave = async {
        serving.stop.wait(Phase::Stopping).await;
        None
    };
    let greeted = arrived.greeted(Duration::from_secs(limits.stream_stall_s)).or(leave);
    if let Some(Some(transport)) = within(Duration::from_secs(limits.head_s), greeted).await {
        serve(serving, source, transport, Phase::Stopping).await;
    }
}

/// Serves requests until the client goes, or until the daemon reaches `last_phase` and no answer is under way.
pub(super) async fn serve<S>(serving: Arc<Serving<S>>, source: Source, transport: Transport, last_phase: Phase)
where
    S: Clone + Send + Sync + 'static,
{
    let _counted = Counted::new(&serving);
    let state = transport.state();
    let limits = &serving.site.limits;
    let answer = service_fn(|mut request: Request<Incoming>| {
        if state.lines().had_fragment(as_sent(request.uri())) {
            request.extensions_mut().insert(Fragment);
        }
        let (serving, source, busy) = (&serving, &source, Busy::new(state.clone()));
        async move { Ok::<_, Infallible>(serving.site.answer(source, request).await.map(|reply| reply.until_sent(busy))) }
    });
    let mut speaking = http1::Builder::new()
        .timer(HeadTimer)
        .header_read_timeout(Duration::from_secs(limits.head_s))
        .max_headers(limits.headers)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(BUFFER_BYTES_MIN))
        .half_close(false)
        .serve_connection(transport, answer)
        .with_upgrades();
    let leave = async {
        serving.stop.wait(last_phase).await;
        None
    };
    let cut = async {
        state.cut().await;
        Some(false)
    };
    let ended = async {
        // Whatever went wrong with a client is the client's affair; hyper has answered it where it could.
        let is_other_protocol = (&mut speaking).await.is_err_and(|error| error.is_parse());
        Some(is_other_protocol)
    };
    // The cut comes last: an answer says when it must end while it is made.
    if let Some(is_other_protocol) = ended.or(leave).or(cut).await {
        if let Some(parts) = speaking.into_parts().filter(|_| is_other_protocol) {
            refuse_protocol(parts.io).await;
        }
        return;
    }
    state.is_hurried.store(true, Ordering::Relaxed);
    Pin::new(&mut speaking).graceful_shutdown();
    let too_late = async {
        serving.stop.wait(Phase::Closing).await;
        Timer::after(DRAIN).await;
    };
    async { drop(speaking.await) }.or(too_late).or(state.cut()).await;
}

/// Answers HTTP/2 with prior knowledge with 400: hyper closes without an answer there.
async fn refuse_protocol(mut transport: Transport) {
    if !transport.has_written() {
        let _ =
            transport.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
        let _ = transport.close().await;
    }
}

/// Answers a connection beyond the limit with 503, before its request is read.
pub(super) async fn turn_away(greeted: impl Future<Output = Option<Transport>>, why: &str) {
    let body = Problem::unavailable(why).to_json();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: {PROBLEM_JSON}\r\ncontent-length: {}\r\nretry-after: 1\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let sent = async {
        let Some(mut transport) = greeted.await else { return };
        if transport.write_all(answer.as_bytes()).await.is_ok() {
            let _ = transport.close().await;
        }
    };
    let _ = within(TURN_AWAY, sent).await;
}

/// A TCP connection before its handshake.
pub(super) struct Arrived {
    /// Its socket.
    pub stream: Async<TcpStream>,
    /// TLS, where it is spoken.
    pub tls: Option<Arc<Tls>>,
    /// Its place among the connections, unless it is turned away.
    pub permit: Option<Permit>,
}

impl Arrived {
    /// The connection after its handshake, if any; `None` where that failed, which the client was told.
    pub(super) async fn greeted(self, stall: Duration) -> Option<Transport> {
        let Arrived { stream, tls, permit } = self;
        let Some(tls) = tls else { return Some(Transport::tcp(stream, stall, permit)) };
        let mut first = [0];
        match stream.peek(&mut first).await {
            Ok(1) if first == [TLS_HANDSHAKE] => {}
            Ok(1) => {
                refuse_protocol(Transport::tcp(stream, stall, permit)).await;
                return None;
            }
            _ => return None,
        }
        match tls.accept(Metered::new(stream)).await {
            Ok(secured) => Some(Transport::tls(secured, stall, permit)),
            Err(error) => {
                log::debug!("no TLS with a client: {error}");
                None
            }
        }
    }
}
