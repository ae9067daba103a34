//! In the place of `tls` where it was not built in: it says so.

use std::path::Path;

use smol::net::TcpStream;

use super::failure::Failure;
use crate::tls::NO_TLS;

/// There is none.
#[derive(Clone, Debug, Default)]
pub struct Tls {}

impl Tls {
    /// Says that there is none.
    ///
    /// # Errors
    /// Always.
    pub async fn secure(&self, _: TcpStream, _: &str, _: Option<&Path>) -> Result<Result<TcpStream, String>, Failure> {
        Err(Failure::Usage(NO_TLS.to_owned()))
    }
}
