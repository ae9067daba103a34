//! TLS of the server: the certificate, its reload, and the encrypted connection.
//!
//! A certificate that cannot be used never replaces one that can.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use async_io::Async;
use futures_lite::io::{AsyncRead, AsyncWrite};
use futures_rustls::TlsAcceptor;
use futures_rustls::rustls::{ServerConfig, crypto};
use futures_rustls::server::TlsStream;

use super::metered::{Metered, Taken};
use crate::config;
use crate::tls::{certificates, private_key, provider};

/// What a client that takes nothing may leave encrypted in memory: one record. rustls would keep four.
const UNSENT_BYTES_MAX: usize = 16_384;
/// HTTP/2 is not spoken here; a client that offers both must know.
const PROTOCOL: &[u8] = b"http/1.1";

/// The certificate that new connections are served with.
#[derive(Debug)]
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    served: Mutex<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the pair that the configuration names, if it does.
    ///
    /// # Errors
    /// What is wrong with it, with the key and the file, for people.
    pub fn load(config: &config::Tls) -> Result<Option<Arc<Tls>>, String> {
        let (Some(cert), Some(key)) = (config.cert.clone(), config.key.clone()) else { return Ok(None) };
        let served = Mutex::new(pair(&cert, &key)?);
        Ok(Some(Arc::new(Tls { cert, key, served })))
    }

    /// Reads the same files again, for the connections to come; those that are open keep what they have.
    ///
    /// # Errors
    /// What is wrong with them; the old pair stays.
    pub fn reload(&self) -> Result<(), String> {
        let pair = pair(&self.cert, &self.key)?;
        *self.served.lock().unwrap_or_else(PoisonError::into_inner) = pair;
        Ok(())
    }

    /// Makes the handshake. The caller sets its time limit.
    pub(super) async fn accept(&self, stream: Metered<Async<TcpStream>>) -> io::Result<Secured> {
        let served = self.served.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let bounded = |session: &mut futures_rustls::rustls::ServerConnection| {
            session.set_buffer_limit(Some(UNSENT_BYTES_MAX));
        };
        TlsAcceptor::from(served).accept_with(stream, bounded).await.map(Secured)
    }
}

/// A certificate and its key, ready to be served.
fn pair(cert: &PathBuf, key: &PathBuf) -> Result<Arc<ServerConfig>, String> {
    let wrong = |name: &str, path: &PathBuf, why: String, allowed: &str| {
        format!("tls.{name}: {}: {why}; allowed: {allowed}", path.display())
    };
    let allowed = "a PEM file with the certificate first, then those that lead to its authority";
    let chain = certificates(cert).map_err(|why| wrong("cert", cert, why, allowed))?;
    let allowed = "a PEM file with the private key that belongs to tls.cert, without a passphrase";
    let private = private_key(key).map_err(|why| wrong("key", key, why, allowed))?;
    let provider: Arc<crypto::CryptoProvider> = provider();
    let mut served = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| wrong("key", key, format!("with {}: {error}", cert.display()), allowed))?;
    served.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(Arc::new(served))
}

/// One encrypted connection.
pub(super) struct Secured(TlsStream<Metered<Async<TcpStream>>>);

impl Secured {
    /// When the client last took a byte: of what is encrypted, by the socket's word.
    pub fn taken(&self) -> Taken {
        self.0.get_ref().0.taken()
    }

    /// Whether something that was written has not left yet.
    pub fn holds_back(&self) -> bool {
        self.0.get_ref().1.wants_write()
    }

    pub fn poll_read(&mut self, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.0).poll_read(cx, bytes) {
            // Who closes without a word of TLS has closed all the same: a request says itself where it ends.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(0)),
            read => read,
        }
    }

    /// Reads what is on the socket, encrypted: to throw it away.
    pub fn poll_read_raw(&mut self, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.0.get_mut().0).poll_read(cx, bytes)
    }

    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    /// Says that nothing more comes, in TLS and then in TCP.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }

    /// The socket below.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.0.get_ref().0.socket().as_fd()
    }

    /// Says it in TCP alone, to a client that takes nothing.
    pub fn shut_down_writing(&self) {
        let _ = self.0.get_ref().0.socket().get_ref().shutdown(Shutdown::Write);
    }
}

impl Drop for Secured {
    /// A stream that ends without a word of TLS looks cut off to its client. It is one attempt, which waits for nothing.
    fn drop(&mut self) {
        let (stream, session) = self.0.get_mut();
        session.send_close_notify();
        let _ = session.write_tls(&mut stream.socket().get_ref());
    }
}
