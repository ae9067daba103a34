//! A descriptor that never blocks, and waits in the reactor instead.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, ready};

use futures_lite::io::{AsyncRead, AsyncWrite};

use super::sources::{Source, Waiting, Way, lock};
use super::thread::Reactor;

/// A descriptor that does not block. It enters the reactor of the thread that first waits for it.
pub struct Async<T: AsFd + Send + Sync + 'static> {
    shared: Arc<Shared<T>>,
    place: OnceLock<(Arc<Reactor>, u64)>,
}

struct Shared<T> {
    io: T,
    waiting: Mutex<Waiting>,
}

impl<T: AsFd + Send + Sync> Source for Shared<T> {
    fn fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }

    fn waiting(&self) -> &Mutex<Waiting> {
        &self.waiting
    }
}

impl<T: AsFd + Send + Sync + 'static> Async<T> {
    /// A descriptor that may block until now.
    ///
    /// # Errors
    /// Where it cannot be kept from that.
    pub fn new(io: T) -> io::Result<Async<T>> {
        rustix::io::ioctl_fionbio(&io, true)?;
        Ok(Async::new_nonblocking(io))
    }

    /// A descriptor that does not block already.
    pub fn new_nonblocking(io: T) -> Async<T> {
        Async { shared: Arc::new(Shared { io, waiting: Mutex::default() }), place: OnceLock::new() }
    }

    /// What it is.
    pub fn get_ref(&self) -> &T {
        &self.shared.io
    }

    /// Waits until there is something to read, or the end.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    pub async fn readable(&self) -> io::Result<()> {
        self.comes(Way::In).await
    }

    /// Waits until there is room to write, or nobody who reads.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    pub async fn writable(&self) -> io::Result<()> {
        self.comes(Way::Out).await
    }

    /// Whether it became readable since this was answered last; else the task is woken when it does.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    pub fn poll_readable(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.poll(Way::In, cx)
    }

    fn poll(&self, way: Way, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if lock(&self.shared.waiting).take_untold(way) {
            return Poll::Ready(Ok(()));
        }
        self.wait_for(way, cx).map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending)
    }

    /// Waits for what comes from now on: what nobody waited for may be long over.
    fn comes(&self, way: Way) -> impl Future<Output = io::Result<()>> + '_ {
        let mut before = None;
        poll_fn(move |cx| {
            let came = lock(&self.shared.waiting).came(way);
            if *before.get_or_insert(came) != came {
                return Poll::Ready(Ok(()));
            }
            self.wait_for(way, cx).map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending)
        })
    }

    fn wait_for(&self, way: Way, cx: &Context<'_>) -> io::Result<()> {
        let (reactor, id) = match self.place.get() {
            Some(place) => place,
            None => {
                let reactor = Reactor::current()?;
                let id = reactor.next_id();
                let source: Arc<dyn Source> = self.shared.clone();
                reactor.sources.insert(id, Arc::downgrade(&source));
                self.place.get_or_init(|| (reactor, id))
            }
        };
        reactor.sources.wait_for(*id, &*self.shared, way, cx)
    }

    /// Tries, and waits where that would block.
    fn poll_with<R>(
        &self,
        way: Way,
        cx: &Context<'_>,
        mut work: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            match work(&self.shared.io) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.poll(way, cx))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }

    async fn with<R>(&self, way: Way, mut work: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        poll_fn(|cx| self.poll_with(way, cx, &mut work)).await
    }
}

impl<T: AsFd + fmt::Debug + Send + Sync + 'static> fmt::Debug for Async<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Async").field(&self.shared.io).finish()
    }
}

impl<T: AsFd + Send + Sync + 'static> Drop for Async<T> {
    fn drop(&mut self) {
        if let Some((reactor, id)) = self.place.get() {
            reactor.sources.remove(*id, &*self.shared);
        }
    }
}

impl<T: AsFd + Send + Sync + 'static> AsFd for Async<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.io.as_fd()
    }
}

impl Async<TcpListener> {
    /// The next connection, and its other end.
    ///
    /// # Errors
    /// Those of accept(2).
    pub async fn accept(&self) -> io::Result<(Async<TcpStream>, SocketAddr)> {
        let (stream, address) = self.with(Way::In, TcpListener::accept).await?;
        Ok((Async::new(stream)?, address))
    }
}

impl Async<UnixListener> {
    /// The next connection.
    ///
    /// # Errors
    /// Those of accept(2).
    pub async fn accept(&self) -> io::Result<(Async<UnixStream>, UnixAddr)> {
        let (stream, address) = self.with(Way::In, UnixListener::accept).await?;
        Ok((Async::new(stream)?, address))
    }
}

impl Async<TcpStream> {
    /// Reads what comes next without taking it.
    ///
    /// # Errors
    /// Those of recv(2).
    pub async fn peek(&self, bytes: &mut [u8]) -> io::Result<usize> {
        self.with(Way::In, |stream| stream.peek(bytes)).await
    }
}

impl<T: AsFd + Send + Sync + 'static> AsyncRead for Async<T>
where
    for<'a> &'a T: Read,
{
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_with(Way::In, cx, |mut io| io.read(bytes))
    }
}

impl<T: AsFd + Send + Sync + 'static> AsyncWrite for Async<T>
where
    for<'a> &'a T: Write,
{
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_with(Way::Out, cx, |mut io| io.write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(Way::Out, cx, |mut io| io.write_vectored(slices))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The kernel has what was written.
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Closed when it is dropped; whoever wants the other end to know before that shuts it down.
        Poll::Ready(Ok(()))
    }
}
