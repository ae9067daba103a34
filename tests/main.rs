//! What Runabout promises, checked against the real binary: a file a requirement, a test a behaviour.
//!
//! Each test starts its own daemon on port 0 in its own directory; nothing is shared, nothing is left behind.

// A test may panic: that is how it fails.
#![allow(clippy::unwrap_used)]

mod access;
mod attack_browser;
mod attack_frames;
mod attack_load;
mod attack_names;
mod attack_wire;
mod audit;
mod child_world;
mod command_line;
mod common;
mod configuration;
mod crash;
mod daemon_api;
mod examples;
mod harness;
mod headers;
mod held_pipe;
mod http_errors;
mod http_limits;
mod indexes;
mod layers;
mod maintenance;
mod one_thread;
mod origins;
mod orphans;
mod pacing;
mod process_tree;
mod routes_table;
mod run_interrupted;
mod run_token;
mod runs_api;
mod runs_user;
mod scheduler_idle;
mod shutdown;
mod slow_medium;
#[cfg(feature = "tls")]
mod tls;
mod ws_backpressure;
mod ws_push;
mod ws_resume;
