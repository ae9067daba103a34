//! What Runabout promises, checked against the real binary: a file a requirement, a test a behaviour.
//!
//! Each test starts its own daemon on port 0 in its own directory; nothing is shared, nothing is left behind.

// A test may panic: that is how it fails.
#![allow(clippy::unwrap_used)]

mod common;
mod harness;
mod http_errors;
mod one_thread;
mod scheduler_idle;
mod shutdown;
#[cfg(feature = "tls")]
mod tls;
mod ws_backpressure;
mod ws_push;
mod ws_resume;
