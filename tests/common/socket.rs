//! One connection to the daemon, over TCP or over its Unix socket.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use super::DEADLINE;

/// Where a daemon listens.
#[derive(Clone, Debug)]
pub enum Address {
    /// The path of its Unix socket.
    Unix(PathBuf),
    /// Its TCP address.
    Tcp(SocketAddr),
}

/// A blocking connection; a read that gets nothing within the deadline is an error.
pub enum Socket {
    /// Over the Unix socket.
    Unix(UnixStream),
    /// Over TCP.
    Tcp(TcpStream),
}

impl Socket {
    /// Connects.
    pub fn connect(address: &Address) -> io::Result<Socket> {
        let socket = match address {
            Address::Unix(path) => Socket::Unix(UnixStream::connect(path)?),
            Address::Tcp(address) => Socket::Tcp(TcpStream::connect_timeout(address, DEADLINE)?),
        };
        socket.read_within(DEADLINE);
        match &socket {
            Socket::Unix(stream) => stream.set_write_timeout(Some(DEADLINE))?,
            Socket::Tcp(stream) => {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(DEADLINE))?;
            }
        }
        Ok(socket)
    }

    /// Sets how long a read may take.
    pub fn read_within(&self, limit: Duration) {
        let limit = Some(limit.max(Duration::from_millis(1)));
        match self {
            Socket::Unix(stream) => stream.set_read_timeout(limit),
            Socket::Tcp(stream) => stream.set_read_timeout(limit),
        }
        .unwrap();
    }

    /// Says that nothing more will be sent.
    pub fn close_half(&self) {
        let _ = match self {
            Socket::Unix(stream) => stream.shutdown(Shutdown::Write),
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Write),
        };
    }

    /// Whether an error is a read's time that ran out.
    pub fn is_timeout(error: &io::Error) -> bool {
        matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self {
                Socket::Unix(stream) => stream.read(buffer),
                Socket::Tcp(stream) => stream.read(buffer),
            };
            // A process that is stopped and continued finds its timed reads interrupted, by signal(7).
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Unix(stream) => stream.write(bytes),
            Socket::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
