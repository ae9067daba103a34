//! Streams of events. `reader` decides what a reader is told and when, `seat` holds its place; the transports frame what
//! it is told, and nothing else.

mod all_runs;
mod open;
mod reader;
mod seat;
pub mod websocket;

pub use self::open::OpenStreams;
pub use self::reader::{Following, Subject};
