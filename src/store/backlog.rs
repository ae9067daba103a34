//! Output on its way in.

use std::time::Instant;

use crate::event::Stream;
use crate::run::RunId;

pub struct Piece {
    pub run: RunId,
    pub stream: Stream,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Default)]
pub struct Backlog;

impl Backlog {
    pub fn take_ready(&self, _now: Instant) -> Vec<Piece> {
        unimplemented!()
    }
}
