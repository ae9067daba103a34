//! A socket that records when its other end last took a byte.
//!
//! What the kernel took counts as taken.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_lite::io::{AsyncRead, AsyncWrite};
use rustix::net::{Shutdown, shutdown};

use async_io::Async;

/// When the client last took a byte: shared with whoever wants to know whether it still does.
#[derive(Clone, Debug)]
pub struct Taken {
    base: Instant,
    ms: Arc<AtomicU64>,
}

impl Taken {
    pub(super) fn new() -> Taken {
        Taken { base: Instant::now(), ms: Arc::default() }
    }

    fn note(&self) {
        self.ms.store(u64::try_from(self.base.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// When the client last took a byte, or when it connected.
    pub fn last(&self) -> Instant {
        self.base + Duration::from_millis(self.ms.load(Ordering::Relaxed))
    }
}

/// A socket that notes when its other end takes a byte, below all that encrypts.
pub(super) struct Metered<S> {
    socket: S,
    taken: Taken,
    /// The last read found less than there was space for: before the next one there must be something new.
    is_drained: AtomicBool,
}

impl<S> Metered<S> {
    /// A fresh socket.
    pub fn new(socket: S) -> Metered<S> {
        Metered { socket, taken: Taken::new(), is_drained: AtomicBool::new(false) }
    }

    /// When the other end last took a byte.
    pub fn taken(&self) -> Taken {
        self.taken.clone()
    }

    /// The socket itself.
    pub fn socket(&self) -> &S {
        &self.socket
    }
}

impl<T: AsFd + Send + Sync + 'static> Metered<Async<T>> {
    /// Waits until there is something new to read. Whoever waits for that asks here, and not the socket: what it says once
    /// it does not say again to the read that follows.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.socket.poll_readable(cx))?;
        self.is_drained.store(false, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsFd + Send + Sync + 'static> AsyncRead for Metered<Async<T>>
where
    Async<T>: AsyncRead,
{
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_drained.load(Ordering::Relaxed) {
            ready!(this.poll_readable(cx))?;
        }
        let count = ready!(Pin::new(&mut this.socket).poll_read(cx, bytes))?;
        // The end is found again by whoever asks again.
        this.is_drained.store((1..bytes.len()).contains(&count), Ordering::Relaxed);
        Poll::Ready(Ok(count))
    }
}

impl<S: AsyncWrite + AsFd + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.socket).poll_write(cx, bytes));
        this.taken.note();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.socket).poll_write_vectored(cx, slices));
        this.taken.note();
        Poll::Ready(written)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sockets have no buffer on this side.
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The reactor's own close does nothing: without this the client would not learn that there is no more.
        Poll::Ready(Ok(shutdown(&self.socket, Shutdown::Write)?))
    }
}
