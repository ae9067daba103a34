//! WebSocket: text frames, one JSON object each. Of what the client sends only pongs and the close matter.
//!
//! What a reader is sent is framed already, the same for all of them: it goes to the socket as it is, beside the library
//! that reads frames and writes pings, pongs and closes, and never in the middle of one. Never waits for a client that
//! takes nothing.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_io::Timer;
use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::handshake::derive_accept_key;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use async_tungstenite::tungstenite::{self, Message};
use bytes::Bytes;
use futures_lite::io::{AsyncWrite, AsyncWriteExt as _};
use futures_lite::{FutureExt as _, Stream as _, StreamExt as _, future, stream};
use futures_util::SinkExt;
use hyper::body::Buf as _;
use hyper::upgrade::OnUpgrade;
use tide::{Response, StatusCode};

use super::following::{Batch, Ending, Following};
use super::guard::StreamGuard;
use crate::feed::{Framing, Shown};
use crate::http::app::{Answer, Request, head};
use crate::http::error::Problem;
use crate::http::head::Head;
use crate::http::server::metered::Taken;
use crate::http::server::rope::Rope;
use crate::http::server::transport::{Transport, raw_stream};
use crate::timer::{shared, within};

/// The one subprotocol.
const SUBPROTOCOL: &str = "runabout.v1";
/// A ping goes out this often.
const PING: Duration = Duration::from_secs(20);
/// How long a client may take to answer a close before the connection is dropped.
const CLOSE_GRACE: Duration = Duration::from_secs(2);
/// The same where the session or the daemon ends: no client may delay that.
const CLOSE_GRACE_SHORT: Duration = Duration::from_millis(300);
/// Each connection's read buffer: what clients send are pongs and closes, of a few bytes.
const READ_BUFFER_BYTES: usize = 256;
/// Pings, pongs and closes that are written together, and how much of them may wait.
const WRITE_BUFFER_BYTES: usize = 1024;
const WRITE_BUFFER_BYTES_MAX: usize = 4 * WRITE_BUFFER_BYTES;
/// Parts that are written at once.
const SLICES_MAX: usize = 16;
/// The longest message that a client may send.
const INCOMING_BYTES_MAX: usize = 64 * 1024;

/// A text frame each, not masked, since that is for clients.
pub(super) const FRAMING: Framing = Framing { name: "websocket", lay };

/// The first byte of a text frame that is whole.
const WHOLE_TEXT: u8 = 0x81;

fn lay(shown: &Shown<'_>, out: &mut Vec<u8>) {
    let text = shown.text.as_bytes();
    out.push(WHOLE_TEXT);
    // RFC 6455, 5.2: the length in seven bits, or which of two longer forms follows.
    match (u8::try_from(text.len()), u16::try_from(text.len())) {
        (Ok(len @ ..=125), _) => out.push(len),
        (_, Ok(len)) => {
            out.push(126);
            out.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(text.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(text);
}

/// Close codes: those of RFC 6455, 7.4.1, and two of this protocol's own.
mod code {
    pub const NORMAL: u16 = 1000;
    pub const GOING_AWAY: u16 = 1001;
    pub const PROTOCOL_ERROR: u16 = 1002;
    pub const NOT_UTF8: u16 = 1007;
    pub const TOO_BIG: u16 = 1009;
    pub const INTERNAL: u16 = 1011;
    pub const SESSION_ENDED: u16 = 4401;
    pub const RUN_DELETED: u16 = 4410;
}

/// Answers an upgrade with 101, and then sends what `opening` opens. Every refusal comes before.
pub async fn answer(mut request: Request, opening: impl Future<Output = Result<Following, Problem>>) -> Answer {
    let head = head(&request)?;
    let accept_key = accept_key(head)?;
    let subprotocol = asks_for_subprotocol(head)?;
    let app = request.state().clone();
    let guard = StreamGuard::open(&request, "websocket");
    let following = opening.await?;
    let request: &mut tide::http::Request = request.as_mut();
    let on_upgrade = request
        .ext_mut()
        .remove::<OnUpgrade>()
        .ok_or_else(|| Problem::bad_request("this connection cannot become a WebSocket; use HTTP/1.1"))?;
    let spawn = app.spawn.clone();
    (app.spawn)(Box::pin(async move {
        // The client may go before the answer has reached it.
        let Ok(upgraded) = on_upgrade.await else { return };
        let Some((transport, already_read)) = raw_stream(upgraded) else { return };
        // A task of its own: what it took to come here is not kept for as long as the reader stays.
        spawn(Box::pin(serve(guard, transport, already_read, following.batches(true))));
    }));
    let mut response = Response::new(StatusCode::SwitchingProtocols);
    response.insert_header("upgrade", "websocket");
    response.insert_header("connection", "Upgrade");
    response.insert_header("sec-websocket-accept", accept_key);
    if subprotocol {
        response.insert_header("sec-websocket-protocol", SUBPROTOCOL);
    }
    Ok(response)
}

/// The refusal of what is no handshake, with what one would be.
pub(super) fn upgrade_required(detail: &str) -> Problem {
    let problem = Problem::upgrade_required(detail);
    problem.with_header("sec-websocket-version", "13").with_header("upgrade", "websocket")
}

fn accept_key(head: &Head) -> Result<String, Problem> {
    if head.websocket_version()? != Some("13") {
        return Err(upgrade_required("only version 13 of WebSocket is spoken here"));
    }
    let key = head.websocket_key()?.unwrap_or_default();
    // 16 bytes in base64, by RFC 6455.
    use base64::Engine as _;
    match base64::engine::general_purpose::STANDARD.decode(key) {
        Ok(bytes) if bytes.len() == 16 => Ok(derive_accept_key(key.as_bytes())),
        _ => Err(Problem::bad_request("Sec-WebSocket-Key must be 16 bytes in base64")),
    }
}

fn asks_for_subprotocol(head: &Head) -> Result<bool, Problem> {
    let asked = head.websocket_protocol()?.unwrap_or_default();
    Ok(asked.split(',').any(|protocol| protocol.trim() == SUBPROTOCOL))
}

/// What happens next on a connection.
enum Next {
    Batch(Option<Batch>),
    Said(Option<Result<Message, tungstenite::Error>>),
    Ping,
    SessionEnded,
    /// It took no byte and sent no pong for too long.
    Stalled,
}

/// Why a connection ends.
enum End {
    /// With a close frame of this code.
    Close(u16, &'static str),
    /// With the answer to the client's own close, which lies ready.
    Answer,
    /// Without a close frame: the client is gone, or takes nothing.
    Drop,
}

impl From<tungstenite::Error> for End {
    fn from(error: tungstenite::Error) -> End {
        use tungstenite::Error;
        use tungstenite::error::ProtocolError;
        match error {
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => End::Drop,
            Error::Protocol(_) => End::Close(code::PROTOCOL_ERROR, "what came is no frame that a client may send"),
            Error::Utf8(_) => End::Close(code::NOT_UTF8, "a text must be UTF-8"),
            Error::Capacity(_) => End::Close(code::TOO_BIG, "a message may have 64 KiB here"),
            _ => End::Drop,
        }
    }
}

impl From<Ending> for End {
    fn from(ending: Ending) -> End {
        match ending {
            Ending::Complete => End::Close(code::NORMAL, ""),
            Ending::Closing => End::Close(code::GOING_AWAY, "the daemon is stopping; come back"),
            Ending::Gone => End::Close(code::RUN_DELETED, "the run was deleted"),
            Ending::Broken => End::Close(code::INTERNAL, "the database cannot be read"),
        }
    }
}

type Socket = WebSocketStream<Transport>;

async fn serve(guard: StreamGuard, transport: Transport, already_read: Bytes, batches: stream::Boxed<Batch>) {
    let taken = transport.taken();
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(INCOMING_BYTES_MAX))
        .max_frame_size(Some(INCOMING_BYTES_MAX));
    // Copied, since it is nearly nothing, and dropped: it holds the whole buffer that the request was read into.
    let first = already_read.to_vec();
    drop(already_read);
    let socket = WebSocketStream::from_partially_read(transport, first, Role::Server, Some(config)).await;
    let mut connection = Connection::new(socket, taken, guard.stall());
    let end = match connection.follow(batches, pin!(guard.session_end())).await {
        Ok(end) | Err(end) => end,
    };
    let is_sent = close(&mut connection.socket, end).await;
    // It is a reader no longer.
    drop(guard);
    if is_sent {
        // What it still sends is thrown away: answered with a reset it would take what was said with it.
        let _ = connection.socket.get_mut().linger().await;
    }
}

/// One client, and what is known of it.
struct Connection {
    socket: Socket,
    /// Something may be there to be read: all that is known before the socket was asked.
    is_readable: bool,
    /// What was read may have left an answer in the library that has not been written yet.
    owes_answer: bool,
    taken: Taken,
    stall: Duration,
    ping_at: Instant,
    /// Since when a ping waits for its pong. Who is told nothing owes nothing.
    unanswered: Option<Instant>,
    timer: Timer,
    timer_at: Instant,
}

impl Connection {
    fn new(socket: Socket, taken: Taken, stall: Duration) -> Connection {
        let ping_at = shared(Instant::now() + PING);
        Connection {
            socket,
            is_readable: true,
            owes_answer: false,
            taken,
            stall,
            ping_at,
            unanswered: None,
            timer: Timer::at(ping_at),
            timer_at: ping_at,
        }
    }

    /// Sends batches until something ends the connection.
    async fn follow(
        &mut self,
        mut batches: stream::Boxed<Batch>,
        mut session_end: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<End, End> {
        loop {
            match self.next(&mut batches, session_end.as_mut()).await {
                Next::Batch(Some(Batch { bytes, ending })) => {
                    self.send(session_end.as_mut(), bytes.into_iter().collect()).await?;
                    if let Some(ending) = ending {
                        return Ok(ending.into());
                    }
                }
                Next::Batch(None) => return Ok(Ending::Broken.into()),
                Next::Said(Some(Ok(Message::Close(_)))) => return Ok(End::Answer),
                Next::Said(Some(Err(error))) => return Ok(error.into()),
                Next::Said(None) => return Ok(End::Drop),
                Next::Said(Some(Ok(message))) => {
                    if matches!(message, Message::Pong(_)) {
                        self.unanswered = None;
                    }
                    // One read holds hundreds of messages, each with its answer: the others come in between.
                    future::yield_now().await;
                }
                Next::Ping => {
                    self.ping_at = shared(Instant::now() + PING);
                    self.unanswered.get_or_insert_with(Instant::now);
                    let ping = self.socket.send(Message::Ping(Bytes::new()));
                    unless_ended(ping, &self.taken, self.stall, session_end.as_mut()).await?;
                }
                Next::SessionEnded => return Ok(End::Close(code::SESSION_ENDED, "the session has ended")),
                Next::Stalled => return Ok(End::Drop),
            }
        }
    }

    async fn next(
        &mut self,
        batches: &mut stream::Boxed<Batch>,
        session_end: Pin<&mut impl Future<Output = ()>>,
    ) -> Next {
        let ended = async {
            session_end.await;
            Next::SessionEnded
        };
        let batch = async { Next::Batch(batches.next().await) };
        let own = poll_fn(|cx| match self.poll_said(cx) {
            Poll::Ready(said) => Poll::Ready(Next::Said(said)),
            Poll::Pending => self.poll_timer(cx),
        });
        ended.or(own).or(batch).await
    }

    /// The client's next message. The socket is asked only where there may be something: a reader who is written to all
    /// the time says nothing for most of it.
    fn poll_said(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, tungstenite::Error>>> {
        if !self.is_readable {
            ready!(self.socket.get_ref().poll_readable(cx));
        }
        let said = Pin::new(&mut self.socket).poll_next(cx);
        self.is_readable = said.is_ready();
        self.owes_answer |= said.is_ready();
        said
    }

    /// Looks at the timer when it fires, and not each time that what it stands for is put off.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            let stalled_at = self.unanswered.map(|since| self.taken.last().max(since) + self.stall);
            let due = stalled_at.map_or(self.ping_at, |at| at.min(self.ping_at));
            if due < self.timer_at {
                self.timer_at = due;
                self.timer.set_at(due);
            }
            ready!(Pin::new(&mut self.timer).poll(cx));
            let now = Instant::now();
            if stalled_at.is_some_and(|at| now >= at) {
                return Poll::Ready(Next::Stalled);
            }
            // Also where it is rung again by its own end: it must not be asked for once more before it is set.
            self.timer_at = if now >= self.ping_at { shared(now + PING) } else { due };
            self.timer.set_at(self.timer_at);
            if now >= self.ping_at {
                return Poll::Ready(Next::Ping);
            }
        }
    }

    /// Writes frames behind all that the library has to write.
    async fn send(&mut self, session_end: Pin<&mut impl Future<Output = ()>>, frames: Rope) -> Result<(), End> {
        let Connection { socket, owes_answer, taken, stall, .. } = self;
        let sent = async {
            if std::mem::take(owes_answer) {
                SinkExt::flush(socket).await?;
            }
            Ok(write_all(socket.get_mut(), frames).await?)
        };
        unless_ended(sent, taken, *stall, session_end).await
    }
}

/// Writes a rope, as much at once as the socket takes. What it does not take stays where it is, shared with whoever else
/// is sent the same.
async fn write_all(transport: &mut Transport, mut rope: Rope) -> io::Result<()> {
    while !rope.is_empty() {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = rope.chunks_vectored(&mut slices);
        let written = poll_fn(|cx| Pin::new(&mut *transport).poll_write_vectored(cx, &slices[..count])).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rope.advance(written);
    }
    transport.flush().await
}

/// Writes to a client that takes it, and whose session lasts. A close cannot be put behind half a frame, so that a
/// client that takes nothing loses its connection with its session.
async fn unless_ended(
    writing: impl Future<Output = Result<(), tungstenite::Error>>,
    taken: &Taken,
    stall: Duration,
    session_end: Pin<&mut impl Future<Output = ()>>,
) -> Result<(), End> {
    let ended = async {
        session_end.await;
        Err(End::Drop)
    };
    timely(writing, taken, stall).or(ended).await
}

/// Writes, for as long as the client takes a byte now and then.
async fn timely(
    writing: impl Future<Output = Result<(), tungstenite::Error>>,
    taken: &Taken,
    stall: Duration,
) -> Result<(), End> {
    let started = Instant::now();
    let stalled = async {
        loop {
            let until = taken.last().max(started) + stall;
            if Instant::now() >= until {
                return Err(End::Drop);
            }
            Timer::at(until).await;
        }
    };
    async { writing.await.map_err(End::from) }.or(stalled).await
}

/// Sends the close, or answers the client's own, and waits a moment for the client's answer; whether it was sent.
async fn close(socket: &mut Socket, end: End) -> bool {
    let (frame, grace) = match end {
        End::Close(code, reason) => {
            let grace = match code {
                code::GOING_AWAY | code::SESSION_ENDED => CLOSE_GRACE_SHORT,
                _ => CLOSE_GRACE,
            };
            (Some(CloseFrame { code: CloseCode::from(code), reason: reason.into() }), grace)
        }
        End::Answer => (None, CLOSE_GRACE),
        End::Drop => return false,
    };
    let closed = async {
        let sent = match frame {
            Some(frame) => socket.close(Some(frame)).await,
            None => SinkExt::flush(socket).await,
        };
        if sent.is_ok() {
            // Nothing comes behind its close, nor is anything read as a frame behind what was none.
            while let Some(Ok(_)) = socket.next().await {}
        }
        sent.is_ok()
    };
    within(grace, closed).await.unwrap_or(false)
}
