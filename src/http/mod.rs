//! HTTP: the only place that names tide, hyper and tungstenite.
//!
//! `server` speaks the wire, `middleware` knows who is asking, `error` says no. It reaches down to feed and store, and of the
//! runner only to the switches of what runs.

pub mod accept;
pub mod address;
pub mod app;
pub mod audit;
pub mod body;
pub mod error;
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
