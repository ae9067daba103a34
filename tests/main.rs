//! What Runabout promises, checked against the real binary: a file a requirement, a test a behaviour.
//!
//! Each test starts its own daemon on port 0 in its own directory; nothing is shared, nothing is left behind.

// A test may panic: that is how it fails.
#![allow(clippy::unwrap_used)]

mod attack_browser;
mod attack_load;
mod attack_names;
mod attack_wire;
mod child_world;
mod common;
mod crash;
mod daemon_api;
mod harness;
mod held_pipe;
mod http_errors;
mod indexes;
mod layers;
mod one_thread;
mod orphans;
mod process_tree;
mod routes_table;
mod runs_api;
mod scheduler_idle;
mod shutdown;
mod ws_backpressure;
mod ws_push;
mod ws_resume;
