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
        Vec::new()
    }
    pub fn take_all(&self, _run: RunId) -> Vec<Piece> {
        Vec::new()
    }
    pub fn put_back(&self, _: Vec<Piece>) {}
}

pub struct Watch;
impl Backlog {
    pub fn watch(&self, _run: RunId) -> Watch { Watch }
    pub fn glance(&self, _run: RunId) {}
    pub fn has_waiting(&self, _run: RunId) -> bool { false }
}
