//! Stands in for `tls` in a build without TLS: its types have no values.

use std::convert::Infallible;
use std::io;
use std::net::TcpStream;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_io::Async;

use super::metered::{Metered, Taken};
use crate::config;
use crate::tls::NO_TLS;

/// Has no values.
#[derive(Debug)]
pub struct Tls(Infallible);

impl Tls {
    /// Always `None`.
    ///
    /// # Errors
    /// Where it names a certificate.
    pub fn load(config: &config::Tls) -> Result<Option<Arc<Tls>>, String> {
        if *config == config::Tls::default() { Ok(None) } else { Err(format!("tls: {NO_TLS}")) }
    }

    /// Never called.
    ///
    /// # Errors
    /// None.
    pub fn reload(&self) -> Result<(), String> {
        match self.0 {}
    }

    pub(super) async fn accept(&self, _: Metered<Async<TcpStream>>) -> io::Result<Secured> {
        match self.0 {}
    }
}

/// There is none.
pub(super) struct Secured(Infallible);

impl Secured {
    pub fn taken(&self) -> Taken {
        match self.0 {}
    }

    pub fn holds_back(&self) -> bool {
        match self.0 {}
    }

    pub fn poll_read(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.0 {}
    }

    pub fn poll_read_raw(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.0 {}
    }

    pub fn poll_write(&mut self, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        match self.0 {}
    }

    pub fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }

    pub fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }

    pub fn socket(&self) -> BorrowedFd<'_> {
        match self.0 {}
    }

    pub fn shut_down_writing(&self) {
        match self.0 {}
    }
}
