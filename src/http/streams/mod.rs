//! Events on their way to readers. `read_request` says how they are asked for, `following` what a reader is sent and
//! when, `guard` counts the stream and ties it to its session; `websocket`, `sse` and `ndjson` frame what is sent, and
//! nothing else. `page` answers with what is there, `log` with the bytes that a command wrote.

pub mod answer;
mod body;
mod following;
mod frames;
mod guard;
pub mod log;
mod ndjson;
mod page;
pub mod read_request;
mod refusal;
mod sse;
mod websocket;

pub use self::guard::StreamGuard;
