//! WebSocket: text frames, one JSON object each. What the client says is read for its pongs and its close, and ignored.
//!
//! Never encodes an event: the Follower's text is the frame's. Never waits for a client that takes nothing.

use std::pin::Pin;
use std::time::{Duration, Instant};

use async_io::Timer;
use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::handshake::derive_accept_key;
use async_tungstenite::tungstenite::protocol::frame::Frame as WireFrame;
use async_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use async_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use async_tungstenite::tungstenite::{self, Message};
use bytes::Bytes;
use futures_lite::{FutureExt as _, StreamExt as _, future, stream};
use futures_util::SinkExt;
use hyper::upgrade::OnUpgrade;
use tide::{Response, StatusCode};

use super::StreamOfSession;
use crate::access::Identity;
use crate::clock::UnixMs;
use crate::event::Cursor;
use crate::feed::{Follower, Hello, Step};
use crate::http::app::{Answer, App, Request, head};
use crate::http::handlers::events::refusal;
use crate::http::server::{Taken, Transport, raw_stream};
use crate::http::types::Frame;
use crate::http::{Head, Problem};
use crate::metrics::OfTransport;
use crate::run::RunId;
use crate::store::StoreError;

/// The one subprotocol.
const SUBPROTOCOL: &str = "runabout.v1";
/// A ping goes out this often.
const PING: Duration = Duration::from_secs(20);
/// A heartbeat goes out after this long without anything else.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a client may take to answer a close before the connection is dropped.
const CLOSE_GRACE: Duration = Duration::from_secs(2);
/// The same where the session or the daemon ends: nobody's silence holds either up.
const CLOSE_GRACE_SHORT: Duration = Duration::from_millis(300);
/// Each connection's read buffer: what clients send are pongs and closes.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Frames are gathered up to here before they are written.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;
/// The longest frame is 16 KiB of control bytes, which are 98 KiB of JSON.
const WRITE_BUFFER_BYTES_MAX: usize = WRITE_BUFFER_BYTES + 128 * 1024;
/// The longest message that a client may send.
const INCOMING_BYTES_MAX: usize = 64 * 1024;

/// Close codes: gone away, revoked, deleted, and the daemon's own fault.
mod code {
    pub const NORMAL: u16 = 1000;
    pub const GOING_AWAY: u16 = 1001;
    pub const INTERNAL: u16 = 1011;
    pub const SESSION_ENDED: u16 = 4401;
    pub const RUN_DELETED: u16 = 4410;
}

/// Answers an upgrade with 101 and follows the run from the cursor on; every refusal comes before.
pub async fn answer(mut request: Request, run: RunId, cursor: &Cursor) -> Answer {
    let head = head(&request)?;
    let accept_key = accept_key(head)?;
    let subprotocol = asks_for_subprotocol(head)?;
    let app = request.state().clone();
    let identity = request.ext::<Identity>().cloned();
    // Noted before anything is waited for: a session that is revoked from here on ends this stream too.
    let reader = Reader::new(app.clone(), run, identity);
    let opened = Follower::open(&app.hub, run, cursor).await;
    let (follower, hello) = opened.map_err(|error| refusal(error, app.store.instance()))?;
    let request: &mut tide::http::Request = request.as_mut();
    let on_upgrade = request
        .ext_mut()
        .remove::<OnUpgrade>()
        .ok_or_else(|| Problem::bad_request("this connection cannot become a WebSocket; use HTTP/1.1"))?;
    (app.spawn)(Box::pin(async move {
        // The client may go before the answer has reached it.
        let Ok(upgraded) = on_upgrade.await else { return };
        let Some((transport, already_read)) = raw_stream(upgraded) else { return };
        reader.serve(transport, already_read, follower, hello).await;
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

fn accept_key(head: &Head) -> Result<String, Problem> {
    if head.websocket_version()? != Some("13") {
        let problem = Problem::upgrade_required("only version 13 of WebSocket is spoken here");
        return Err(problem.with_header("sec-websocket-version", "13").with_header("upgrade", "websocket"));
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
    Step(Option<Result<Step, StoreError>>),
    Said(Option<Result<Message, tungstenite::Error>>),
    Heartbeat,
    Ping,
    SessionEnded,
    /// It took no byte and sent no pong for too long.
    Stalled,
}

/// Why a connection ends.
enum End {
    /// With a close frame of this code.
    Close(u16, &'static str),
    /// Without a word: the client is gone, or takes nothing.
    Drop,
}

impl From<tungstenite::Error> for End {
    fn from(_: tungstenite::Error) -> End {
        End::Drop
    }
}

type Socket = WebSocketStream<Transport>;

/// One reader of a run.
struct Reader {
    app: App,
    run: RunId,
    stall: Duration,
    session: StreamOfSession,
    identity: Option<Identity>,
}

impl Reader {
    fn new(app: App, run: RunId, identity: Option<Identity>) -> Reader {
        app.metrics.readers.get_or_create(&OfTransport { transport: "websocket" }).inc();
        let session = app.streams.open(identity.as_ref().and_then(|identity| identity.session));
        let stall = Duration::from_secs(app.config.limits.stream_stall_s);
        Reader { app, run, stall, session, identity }
    }

    async fn serve(self, transport: Transport, already_read: Bytes, follower: Follower, hello: Hello) {
        let taken = transport.taken();
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
            .max_message_size(Some(INCOMING_BYTES_MAX))
            .max_frame_size(Some(INCOMING_BYTES_MAX));
        let mut socket =
            WebSocketStream::from_partially_read(transport, already_read.into(), Role::Server, Some(config)).await;
        let end = match self.follow(&mut socket, &taken, follower, &hello).await {
            Ok(end) | Err(end) => end,
        };
        if let End::Close(code, reason) = end {
            close(&mut socket, code, reason).await;
        }
    }

    /// Writes the run's events until something ends it.
    async fn follow(&self, socket: &mut Socket, taken: &Taken, follower: Follower, hello: &Hello) -> Result<End, End> {
        // Who is told nothing owes nothing: only a ping that was sent waits for its pong.
        let mut unanswered: Option<Instant> = None;
        let mut said_at = Instant::now();
        let mut ping_at = said_at + PING;
        let mut last_seq = hello.after;
        // The Follower's way through a page must survive whatever else happens meanwhile.
        let steps = stream::unfold(follower, async |mut follower| Some((follower.next().await, follower)));
        let mut steps = std::pin::pin!(steps);
        let mut session_end = std::pin::pin!(self.session_end());
        let hello = json(&Frame::hello(self.run.0, self.app.store.instance(), hello));
        self.send(socket, taken, session_end.as_mut(), vec![hello]).await?;
        loop {
            let steps = steps.as_mut();
            let ended = session_end.as_mut();
            let stalled_at = unanswered.map(|since| taken.last().max(since) + self.stall);
            let next = self.next(socket, steps, ended, said_at + HEARTBEAT, ping_at, stalled_at).await;
            let mut end = None;
            let frames = match next {
                Next::Step(Some(Ok(step))) => match step {
                    Step::Events(events) => {
                        last_seq = events.last().map_or(last_seq, |event| event.seq);
                        events.iter().map(|event| event.text.clone()).collect()
                    }
                    Step::Gap(gap) => {
                        last_seq = gap.to;
                        vec![json(&Frame::gap(&gap))]
                    }
                    Step::Cursor { id } => {
                        last_seq = id;
                        vec![json(&Frame::Cursor { id })]
                    }
                    Step::CaughtUp { seq } => vec![json(&Frame::CaughtUp { seq })],
                    Step::End(ended) => {
                        end = Some(End::Close(code::NORMAL, ""));
                        vec![json(&Frame::end(self.run.0, &ended))]
                    }
                    Step::Closing => return Ok(End::Close(code::GOING_AWAY, "the daemon is stopping; come back")),
                    Step::Gone => return Ok(End::Close(code::RUN_DELETED, "the run was deleted")),
                },
                Next::Step(_) => return Ok(End::Close(code::INTERNAL, "the database cannot be read")),
                Next::Said(None | Some(Err(_)) | Some(Ok(Message::Close(_)))) => return Ok(End::Drop),
                Next::Said(Some(Ok(message))) => {
                    if matches!(message, Message::Pong(_)) {
                        unanswered = None;
                    }
                    // One read holds hundreds of messages, each with its answer: the others come in between.
                    future::yield_now().await;
                    continue;
                }
                Next::Heartbeat => vec![json(&Frame::Heartbeat { last_seq })],
                Next::Ping => {
                    ping_at = Instant::now() + PING;
                    unanswered.get_or_insert_with(Instant::now);
                    let ping = socket.send(Message::Ping(Bytes::new()));
                    self.unless_ended(ping, taken, session_end.as_mut()).await?;
                    continue;
                }
                Next::SessionEnded => return Ok(End::Close(code::SESSION_ENDED, "the session has ended")),
                Next::Stalled => return Ok(End::Drop),
            };
            self.send(socket, taken, session_end.as_mut(), frames).await?;
            said_at = Instant::now();
            if let Some(end) = end {
                return Ok(end);
            }
        }
    }

    async fn next(
        &self,
        socket: &mut Socket,
        mut steps: Pin<&mut impl stream::Stream<Item = Result<Step, StoreError>>>,
        session_end: Pin<&mut impl Future<Output = ()>>,
        heartbeat_at: Instant,
        ping_at: Instant,
        stalled_at: Option<Instant>,
    ) -> Next {
        let timer_at = heartbeat_at.min(ping_at);
        let timer = async {
            Timer::at(stalled_at.map_or(timer_at, |at| at.min(timer_at))).await;
            if stalled_at.is_some_and(|at| Instant::now() >= at) {
                Next::Stalled
            } else if heartbeat_at <= ping_at {
                Next::Heartbeat
            } else {
                Next::Ping
            }
        };
        let ended = async {
            session_end.await;
            Next::SessionEnded
        };
        let said = async { Next::Said(socket.next().await) };
        let step = async { Next::Step(steps.next().await) };
        ended.or(said).or(timer).or(step).await
    }

    /// Waits until the session is revoked or has expired; other requests may renew it meanwhile.
    async fn session_end(&self) {
        let expired = async {
            let mut expires_at = self.identity.as_ref().and_then(|identity| identity.expires_at);
            while let Some(at) = expires_at {
                let left_ms = (at.0 - UnixMs::now().0).max(0).unsigned_abs();
                Timer::after(Duration::from_millis(left_ms)).await;
                let session = self.identity.as_ref().and_then(|identity| identity.session);
                let known = self.app.store.sessions().await.unwrap_or_default();
                match known.into_iter().find(|known| Some(known.id) == session) {
                    Some(renewed) if renewed.expires_at != Some(at) => expires_at = renewed.expires_at,
                    _ => return,
                }
            }
            future::pending().await
        };
        self.session.revoked().or(expired).await;
    }

    /// Feeds all frames, then flushes once.
    async fn send(
        &self,
        socket: &mut Socket,
        taken: &Taken,
        session_end: Pin<&mut impl Future<Output = ()>>,
        frames: Vec<Bytes>,
    ) -> Result<(), End> {
        let sent = async {
            for text in frames {
                let frame = WireFrame::message(text, OpCode::Data(Data::Text), true);
                SinkExt::feed(socket, Message::Frame(frame)).await?;
            }
            SinkExt::flush(socket).await
        };
        self.unless_ended(sent, taken, session_end).await
    }

    /// Writes to a client that takes it, and whose session lasts. A close cannot be put behind half a frame, so that a
    /// client that takes nothing loses its connection with its session.
    async fn unless_ended(
        &self,
        writing: impl Future<Output = Result<(), tungstenite::Error>>,
        taken: &Taken,
        session_end: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(), End> {
        let ended = async {
            session_end.await;
            Err(End::Drop)
        };
        timely(writing, taken, self.stall).or(ended).await
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.app.metrics.readers.get_or_create(&OfTransport { transport: "websocket" }).dec();
    }
}

fn json(frame: &Frame<'_>) -> Bytes {
    serde_json::to_vec(frame).unwrap_or_default().into()
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

/// Says why it ends and waits a moment for the client's own close.
async fn close(socket: &mut Socket, code: u16, reason: &'static str) {
    let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
    let closed = async {
        if socket.close(Some(frame)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    let grace = match code {
        code::GOING_AWAY | code::SESSION_ENDED => CLOSE_GRACE_SHORT,
        _ => CLOSE_GRACE,
    };
    let late = async {
        Timer::after(grace).await;
    };
    closed.or(late).await;
}
