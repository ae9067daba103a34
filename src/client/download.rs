//! A body of any length, piece by piece: nobody holds all of it.

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use smol_hyper::rt::FuturesIo;

use super::connection::{Ask, Daemon};
use super::failure::Failure;
use crate::dial::beside;

impl Daemon {
    /// Asks for a body that may be of any length, and gives it piece by piece to `take`.
    ///
    /// # Errors
    /// As [`Daemon::ask`], and those of `take`. A body that is broken off is lost.
    pub async fn download(&self, ask: &Ask, mut take: impl FnMut(&[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
        let stream = self.connect().await?;
        let request = self.request(ask)?;
        let (mut sender, connection) =
            http1::handshake(FuturesIo::new(stream)).await.map_err(|error| self.lost(&error))?;
        let taken = async {
            let answered = async { sender.send_request(request).await.map_err(|error| self.lost(&error)) };
            let response = self.within(ask.answer_s, answered).await?;
            if !response.status().is_success() {
                return self.read(response).await.map(drop);
            }
            let mut body = response.into_body();
            let next = async |body: &mut Incoming| body.frame().await.transpose().map_err(|error| self.lost(&error));
            while let Some(frame) = self.within(ask.answer_s, next(&mut body)).await? {
                take(frame.data_ref().map_or(&[], |bytes| bytes))?;
            }
            Ok(())
        };
        beside(connection, taken).await
    }
}
