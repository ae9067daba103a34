//! One connection to the daemon, over TCP, with TLS or without, or over its Unix socket.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::encrypted::{Tls, tcp_of, tls};
use super::DEADLINE;

/// Where a daemon listens.
#[derive(Clone, Debug)]
pub enum Address {
    /// The path of its Unix socket.
    Unix(PathBuf),
    /// Its TCP address.
    Tcp(SocketAddr),
    /// Its TCP address, and the authority that must have signed its certificate.
    Tls(SocketAddr, PathBuf),
}

/// A blocking connection; a read that gets nothing within the deadline is an error.
pub enum Socket {
    /// Over the Unix socket.
    Unix(UnixStream),
    /// Over TCP.
    Tcp(TcpStream),
    /// Over TCP with TLS.
    Tls(Box<Tls>),
}

impl Socket {
    /// Connects.
    pub fn connect(address: &Address) -> io::Result<Socket> {
        let socket = match address {
            Address::Unix(path) => Socket::Unix(UnixStream::connect(path)?),
            Address::Tcp(address) => Socket::Tcp(TcpStream::connect_timeout(address, DEADLINE)?),
            Address::Tls(address, authority) => Socket::Tls(Box::new(tls(address, authority)?)),
        };
        socket.read_within(DEADLINE);
        match &socket {
            Socket::Unix(stream) => stream.set_write_timeout(Some(DEADLINE))?,
            Socket::Tcp(stream) => {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(DEADLINE))?;
            }
            Socket::Tls(_) => {}
        }
        Ok(socket)
    }

    /// Sets how long a read may take.
    pub fn read_within(&self, limit: Duration) {
        let limit = Some(limit.max(Duration::from_millis(1)));
        match self {
            Socket::Unix(stream) => stream.set_read_timeout(limit),
            Socket::Tcp(stream) => stream.set_read_timeout(limit),
            Socket::Tls(stream) => tcp_of(stream).set_read_timeout(limit),
        }
        .unwrap();
    }

    /// Says that nothing more will be sent.
    pub fn close_half(&self) {
        let _ = match self {
            Socket::Unix(stream) => stream.shutdown(Shutdown::Write),
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Socket::Tls(stream) => tcp_of(stream).shutdown(Shutdown::Write),
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
                Socket::Tls(stream) => stream.read(buffer),
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
            Socket::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Socket::Tls(stream) => stream.flush(),
            Socket::Tcp(_) | Socket::Unix(_) => Ok(()),
        }
    }
}

#[cfg(feature = "tls")]
mod encrypted {
    use std::sync::Arc;

    use futures_rustls::pki_types::CertificateDer;
    use futures_rustls::pki_types::pem::PemObject as _;
    use futures_rustls::rustls::crypto::ring;
    use futures_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

    use super::*;

    /// A blocking TLS client, which knows nothing of the daemon's own use of the library.
    pub type Tls = StreamOwned<ClientConnection, TcpStream>;

    /// Connects and shakes hands.
    pub fn tls(address: &SocketAddr, authority: &Path) -> io::Result<Tls> {
        let tcp = TcpStream::connect_timeout(address, DEADLINE)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(DEADLINE))?;
        tcp.set_write_timeout(Some(DEADLINE))?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let session = ClientConnection::new(Arc::new(config), address.ip().into()).unwrap();
        let mut stream = StreamOwned::new(session, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }

    pub fn tcp_of(stream: &Tls) -> &TcpStream {
        &stream.sock
    }
}

#[cfg(not(feature = "tls"))]
mod encrypted {
    use super::*;

    /// There is none.
    pub type Tls = TcpStream;

    pub fn tls(_: &SocketAddr, _: &Path) -> io::Result<Tls> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn tcp_of(stream: &Tls) -> &TcpStream {
        stream
    }
}
