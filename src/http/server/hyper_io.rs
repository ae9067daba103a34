//! The byte stream of a connection as hyper reads and writes it.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::io::{AsyncRead, AsyncWrite};

use super::transport::Transport;

/// Bytes of one read.
const READ_BYTES: usize = 16 * 1_024;

thread_local! {
    /// Where all connections read, one after the other: what they read goes on from here at once, so that nobody has to
    /// keep a buffer, or to clear one for each read.
    static SPACE: RefCell<[u8; READ_BYTES]> = const { RefCell::new([0; READ_BYTES]) };
}

impl hyper::rt::Read for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut wanted: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        SPACE.with_borrow_mut(|space| {
            let size = READ_BYTES.min(wanted.remaining());
            let count = ready!(AsyncRead::poll_read(self, cx, &mut space[..size]))?;
            wanted.put_slice(&space[..count]);
            Poll::Ready(Ok(()))
        })
    }
}

impl hyper::rt::Write for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(self, cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(self, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_close(self, cx)
    }
}
