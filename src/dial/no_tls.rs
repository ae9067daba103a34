//! In the place of `tls` where it was not built in: it says so.

use std::path::Path;

use smol::net::TcpStream;

use super::Unusable;
use crate::tls::NO_TLS;

/// There is none.
#[derive(Clone, Debug, Default)]
pub struct Tls {}

impl Tls {
    /// None.
    pub fn new(_: &'static str) -> Tls {
        Tls {}
    }

    /// Says that there is none.
    ///
    /// # Errors
    /// Always.
    pub async fn secure(&self, _: TcpStream, _: &str, _: Option<&Path>) -> Result<Result<TcpStream, String>, Unusable> {
        Err(Unusable(NO_TLS.to_owned()))
    }
}
