//! A client of the daemon: its place, a connection to it, and a reader of events that misses none.
//!
//! Reading order: `target` (to whom), `connection` (one request), `patience` (again), `follow` (a run's events), `failure` (what can go wrong). It knows the daemon by its HTTP interface alone: it must never import the
//! store, the runner, the feed or the server, and it prints nothing.

pub(crate) mod connection;
pub(crate) mod failure;
pub(crate) mod follow;
pub(crate) mod patience;
pub(crate) mod target;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;
