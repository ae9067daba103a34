//! HTTP: the only place that names tide, hyper and tungstenite.
//!
//! `server` speaks HTTP, `middleware` identifies who asks, `routes` is the table of paths, `handlers` answer, `streams`
//! carry events, `error` has the refusals. It reaches down to feed and store, and knows no runner.

pub mod accept;
pub mod address;
pub mod app;
pub mod audit;
pub mod body;
pub mod error;
#[cfg(fuzzing)]
pub mod fuzzed;
pub mod handlers;
pub mod head;
pub mod middleware;
pub mod open_streams;
pub mod page;
mod query;
pub mod routes;
pub mod server;
pub mod streams;
pub mod types;
