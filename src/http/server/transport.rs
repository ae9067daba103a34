//! The byte stream of a connection: TCP with or without TLS, or Unix. It records when the client last took a byte, and
//! closes so that the client can read what was sent last.
//!
//! Every wait for the client has a limit, also the one for its close.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use async_io::{Async, Timer};
use futures_lite::future::Boxed;
use futures_lite::io::{AsyncRead, AsyncWrite};
use hyper::body::Bytes;
use hyper::upgrade::Upgraded;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::connection_limits::Permit;
use super::fragment::Lines;
use super::metered::{Metered, Taken};
use super::tls::Secured;

/// How long a client that is sent away may take to read why and close: without it the kernel would answer what it still
/// sends with a reset, which throws the answer away.
const LINGER: Duration = Duration::from_secs(1);
/// How long a client that has closed its side is still answered: some send a request and close their half at once, and
/// nothing tells them from those that have gone but a write that fails.
const HALF_CLOSED: Duration = Duration::from_millis(250);
/// How often a client is looked at that has sent more than its answer needs, while that is under way.
const GLANCE: Duration = Duration::from_secs(2);
/// What is read and thrown away while it lingers, in bytes.
const LINGER_BYTES_MAX: usize = 1_048_576;
/// Reads in a row that find something before everybody else gets a turn: a client that never stops sending would have the
/// one thread for itself.
const READS_IN_A_ROW_MAX: u32 = 2;

/// The byte stream of one client.
pub struct Transport {
    io: Io,
    /// Reads that found something since the last one that did not, or since the last turn of the others.
    reads_in_a_row: u32,
    taken: Taken,
    /// How long the client may take no byte of what is there for it; none once a stream looks after that itself.
    stall: Option<Duration>,
    stalled: Option<(Instant, Timer)>,
    has_written: bool,
    /// When the client closed its side, and what waits until that is told.
    eof: Option<(Instant, Timer)>,
    /// When to look next whether a client is gone that sent bytes which nobody reads.
    glance: Option<Timer>,
    state: Arc<ConnectionState>,
    closing: Closing,
    /// Its place among the connections that are open at once.
    _permit: Option<Permit>,
}

/// What the connection tells its transport, and an answer its connection.
#[derive(Default)]
pub(super) struct ConnectionState {
    /// An answer is under way.
    pub is_busy: AtomicBool,
    /// Its end is not waited for.
    pub is_hurried: AtomicBool,
    /// When the answer that is under way must have ended.
    cut_after: Mutex<Option<Boxed<()>>>,
    /// What the client sends, as long as it is HTTP.
    lines: Mutex<Lines>,
    /// A piece of the answer is on its way, and who waits until it has left.
    sending: Mutex<(bool, Option<Waker>)>,
}

impl ConnectionState {
    /// The connection is cut when this is over, where the answer is still under way then.
    pub fn cut_after(&self, until: Option<Boxed<()>>) {
        let before = std::mem::replace(&mut *self.lock(), until);
        // Outside the lock: what is dropped here may have a lot to say about it.
        drop(before);
    }

    /// Waits until the connection is to be cut. It is polled whenever the connection is.
    pub async fn cut(&self) {
        poll_fn(|cx| match &mut *self.lock() {
            Some(until) => until.as_mut().poll(cx),
            None => Poll::Pending,
        })
        .await;
    }

    /// A piece of the answer was handed over.
    pub fn sending(&self) {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner).0 = true;
    }

    /// Waits until it has left.
    pub fn poll_sent(&self, cx: &Context<'_>) -> Poll<()> {
        let mut sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        if sending.0 {
            sending.1 = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// All that was handed over has left, or is not waited for any more.
    pub fn sent(&self) {
        let waits = std::mem::take(&mut *self.sending.lock().unwrap_or_else(PoisonError::into_inner)).1;
        if let Some(waits) = waits {
            waits.wake();
        }
    }

    /// What the client sends, line by line.
    pub fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Boxed<()>>> {
        self.cut_after.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Io {
    Tcp(Metered<Async<TcpStream>>),
    Tls(Box<Secured>),
    Unix(Metered<Async<UnixStream>>),
}

enum Closing {
    Open,
    /// Sending the close of TLS, for which a client that takes nothing is not waited.
    Ending(Timer),
    Lingering(Timer, usize),
    Closed,
}

impl Transport {
    /// A TCP client.
    pub(super) fn tcp(stream: Async<TcpStream>, stall: Duration, permit: Option<Permit>) -> Transport {
        Transport::new(Io::Tcp(Metered::new(stream)), stall, permit)
    }

    /// A TCP client after the TLS handshake.
    pub(super) fn tls(secured: Secured, stall: Duration, permit: Option<Permit>) -> Transport {
        Transport::new(Io::Tls(Box::new(secured)), stall, permit)
    }

    /// A Unix client.
    pub(super) fn unix(stream: Async<UnixStream>, stall: Duration, permit: Option<Permit>) -> Transport {
        Transport::new(Io::Unix(Metered::new(stream)), stall, permit)
    }

    fn new(io: Io, stall: Duration, permit: Option<Permit>) -> Transport {
        Transport {
            taken: io.taken(),
            io,
            reads_in_a_row: 0,
            stall: Some(stall),
            stalled: None,
            has_written: false,
            eof: None,
            glance: None,
            state: Arc::default(),
            closing: Closing::Open,
            _permit: permit,
        }
    }

    /// When the client last took a byte.
    pub fn taken(&self) -> Taken {
        self.taken.clone()
    }

    /// Waits until a read may find something, or that the client has closed: without asking the socket each time.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.eof.is_some() { Poll::Ready(()) } else { self.io.poll_readable(cx).map(|_| ()) }
    }

    /// Closes after an upgrade as an answer closes: the client can read what was said last.
    ///
    /// # Errors
    /// Where the connection is broken already.
    pub async fn linger(&mut self) -> io::Result<()> {
        self.state.is_hurried.store(false, Ordering::Relaxed);
        poll_fn(|cx| Pin::new(&mut *self).poll_close(cx)).await
    }

    /// What the connection tells it.
    pub(super) fn state(&self) -> Arc<ConnectionState> {
        self.state.clone()
    }

    /// Whether anything was written to the client.
    pub(super) fn has_written(&self) -> bool {
        self.has_written
    }

    /// Waits until a client that closed its side has been answered, or takes no more.
    fn poll_half_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((since, timer)) = &mut self.eof else { return Poll::Ready(()) };
        let is_answering = self.state.is_busy.load(Ordering::Relaxed) || self.stalled.is_some();
        let until = self.taken.last().max(*since) + HALF_CLOSED;
        if !is_answering || until <= Instant::now() {
            return Poll::Ready(());
        }
        timer.set_at(until);
        Pin::new(timer).poll(cx).map(|_| ())
    }

    /// Notices that the client has gone behind bytes that nobody reads: an end that lies behind them is not found by
    /// reading, because while an answer is under way no more is read than the next request may need.
    fn notice_gone(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let is_unread = self.reads_in_a_row > 0 && self.eof.is_none() && self.state.is_busy.load(Ordering::Relaxed);
        if !is_unread {
            self.glance = None;
            return Ok(());
        }
        while Pin::new(self.glance.get_or_insert_with(|| Timer::after(GLANCE))).poll(cx).is_ready() {
            self.glance = None;
            let takes = self.taken.last() + HALF_CLOSED > Instant::now();
            if !takes && self.io.has_hung_up() {
                return Err(io::Error::new(io::ErrorKind::ConnectionReset, "the client has gone"));
            }
        }
        Ok(())
    }

    /// What was done, or an error where the client has taken nothing for too long.
    fn unless_stalled<T>(&mut self, done: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let Some(stall) = self.stall else { return done };
        if done.is_ready() {
            if !self.io.holds_back() {
                self.stalled = None;
            }
            return done;
        }
        let (since, timer) = self.stalled.get_or_insert_with(|| (Instant::now(), Timer::never()));
        let until = self.taken.last().max(*since) + stall;
        if until > Instant::now() {
            timer.set_at(until);
            ready!(Pin::new(timer).poll(cx));
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl Io {
    fn taken(&self) -> Taken {
        match self {
            Io::Tcp(stream) => stream.taken(),
            Io::Tls(stream) => stream.taken(),
            Io::Unix(stream) => stream.taken(),
        }
    }

    /// Whether the other end has closed, be there something to read before that or not.
    fn has_hung_up(&self) -> bool {
        let socket = match self {
            Io::Tcp(stream) => stream.socket().as_fd(),
            Io::Tls(stream) => stream.socket(),
            Io::Unix(stream) => stream.socket().as_fd(),
        };
        let mut asked = [PollFd::from_borrowed_fd(socket, PollFlags::RDHUP)];
        poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|found| found > 0)
    }

    /// Whether something that was written has not left yet.
    fn holds_back(&self) -> bool {
        matches!(self, Io::Tls(stream) if stream.holds_back())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Io::Tcp(stream) => Pin::new(stream).poll_read(cx, bytes),
            Io::Tls(stream) => stream.poll_read(cx, bytes),
            Io::Unix(stream) => Pin::new(stream).poll_read(cx, bytes),
        }
    }

    /// Reads to throw away, without asking what it is.
    fn poll_read_raw(&mut self, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Io::Tls(stream) => stream.poll_read_raw(cx, bytes),
            plain => plain.poll_read(cx, bytes),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Io::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Io::Tls(stream) => stream.poll_write(cx, bytes),
            Io::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Io::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            // One record after the other.
            Io::Tls(stream) => stream.poll_write(cx, slices.first().map_or(&[], |slice| slice)),
            Io::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    /// Waits until a read may find something; what is decrypted already lies where this cannot see it.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Io::Tcp(stream) => stream.poll_readable(cx),
            Io::Tls(_) => Poll::Ready(Ok(())),
            Io::Unix(stream) => stream.poll_readable(cx),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Io::Tls(stream) => stream.poll_flush(cx),
            Io::Tcp(_) | Io::Unix(_) => Poll::Ready(Ok(())),
        }
    }

    /// Says that nothing more comes.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Io::Tcp(stream) => Pin::new(stream).poll_close(cx),
            Io::Tls(stream) => stream.poll_close(cx),
            Io::Unix(stream) => Pin::new(stream).poll_close(cx),
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.eof.is_none() {
            if this.reads_in_a_row == READS_IN_A_ROW_MAX {
                this.reads_in_a_row = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match this.io.poll_read(cx, bytes) {
                Poll::Pending => {
                    this.reads_in_a_row = 0;
                    return Poll::Pending;
                }
                Poll::Ready(Ok(0)) if !bytes.is_empty() => this.eof = Some((Instant::now(), Timer::never())),
                read => {
                    if let (Poll::Ready(Ok(count)), Some(_)) = (&read, this.stall) {
                        this.state.lines().read(&bytes[..*count]);
                    }
                    this.reads_in_a_row += 1;
                    return read;
                }
            }
        }
        this.poll_half_closed(cx).map(|()| Ok(0))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = this.io.poll_write(cx, bytes);
        this.has_written |= written.is_ready();
        this.unless_stalled(written, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = this.io.poll_write_vectored(cx, slices);
        this.has_written |= written.is_ready();
        this.unless_stalled(written, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.notice_gone(cx)?;
        let flushed = this.io.poll_flush(cx);
        if flushed.is_ready() {
            // It is asked for when nothing is left above.
            this.state.sent();
        }
        this.unless_stalled(flushed, cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match &mut this.closing {
                Closing::Open => this.closing = Closing::Ending(Timer::after(LINGER)),
                Closing::Ending(until) => {
                    let is_hurried = this.state.is_hurried.load(Ordering::Relaxed);
                    if this.io.poll_close(cx).is_pending() {
                        if !is_hurried {
                            ready!(Pin::new(until).poll(cx));
                        }
                        if let Io::Tls(stream) = &this.io {
                            stream.shut_down_writing();
                        }
                    }
                    let lingers = this.eof.is_none() && !is_hurried;
                    this.closing = if lingers {
                        Closing::Lingering(Timer::after(LINGER), LINGER_BYTES_MAX)
                    } else {
                        Closing::Closed
                    };
                }
                Closing::Lingering(until, bytes_left) => {
                    let is_over = *bytes_left == 0 || Pin::new(until).poll(cx).is_ready();
                    let mut thrown_away = [0; 4_096];
                    let read =
                        if is_over { 0 } else { ready!(this.io.poll_read_raw(cx, &mut thrown_away)).unwrap_or(0) };
                    if read == 0 {
                        this.closing = Closing::Closed;
                    } else {
                        *bytes_left = bytes_left.saturating_sub(read);
                    }
                }
                Closing::Closed => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// The bytes themselves, after an upgrade, and those of them that were read already.
///
/// From here on the stream looks after stalled clients itself, by [`Transport::taken`], and closing is immediate.
/// `None` only where the upgrade is not one of this server.
pub fn raw_stream(upgraded: Upgraded) -> Option<(Transport, Bytes)> {
    let parts = upgraded.downcast::<Transport>().ok()?;
    let mut transport = parts.io;
    transport.stall = None;
    transport.stalled = None;
    transport.state.is_hurried.store(true, Ordering::Relaxed);
    Some((transport, parts.read_buf))
}
