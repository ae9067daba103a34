//! A socket that records when its other end last took a byte.
//!
//! What the kernel took counts as taken.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_lite::io::{AsyncRead, AsyncWrite};
use rustix::net::{Shutdown, shutdown};

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
}

impl<S> Metered<S> {
    /// A fresh socket.
    pub fn new(socket: S) -> Metered<S> {
        Metered { socket, taken: Taken::new() }
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

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_read(cx, bytes)
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
