//! A connection that serves one request after another, for what is asked often: keys, as they are typed.
//!
//! The daemon closes one that is quiet; then the request goes out again on a new one. So only what may be repeated is asked
//! here.

use std::future::Future;
use std::pin::Pin;

use futures_lite::future;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use smol_hyper::rt::FuturesIo;

use super::connection::{Ask, Daemon};
use super::failure::Failure;

/// The connection to a daemon, made when it is needed.
pub struct Kept {
    daemon: Daemon,
    open: Option<Open>,
}

struct Open {
    sender: SendRequest<Full<Bytes>>,
    /// What moves the bytes, while somebody waits for an answer.
    connection: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Kept {
    /// To this daemon; it need not be there yet.
    pub fn new(daemon: &Daemon) -> Kept {
        Kept { daemon: daemon.clone(), open: None }
    }

    /// Asks and gives the body of a 2xx.
    ///
    /// # Errors
    /// As [`Daemon::ask`].
    pub async fn ask(&mut self, ask: &Ask) -> Result<Bytes, Failure> {
        let was_open = self.open.is_some();
        match self.once(ask).await {
            Err(Failure::Lost(_)) if was_open => self.once(ask).await,
            answer => answer,
        }
    }

    async fn once(&mut self, ask: &Ask) -> Result<Bytes, Failure> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.opened().await?,
        };
        let request = self.daemon.request(ask)?;
        let Open { sender, connection } = &mut open;
        let answered = async {
            sender.ready().await.map_err(|error| self.daemon.lost(&error))?;
            let response = sender.send_request(request).await.map_err(|error| self.daemon.lost(&error))?;
            self.daemon.read(response).await
        };
        let driven = async {
            connection.await;
            future::pending().await
        };
        let answer = self.daemon.within(ask.answer_s, future::or(answered, driven)).await;
        // A refusal was read to its end like any answer.
        if matches!(answer, Ok(_) | Err(Failure::Refused(_))) {
            self.open = Some(open);
        }
        answer
    }

    async fn opened(&self) -> Result<Open, Failure> {
        let stream = self.daemon.connect().await?;
        let (sender, connection) =
            http1::handshake(FuturesIo::new(stream)).await.map_err(|error| self.daemon.lost(&error))?;
        let connection = Box::pin(async {
            // Its errors reach who waits for an answer.
            let _ = connection.await;
        });
        Ok(Open { sender, connection })
    }
}
