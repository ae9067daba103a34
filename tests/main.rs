//! What Runabout promises, checked against the real binary: a file a requirement, a test a behaviour.
//!
//! Each test starts its own daemon on port 0 in its own directory; nothing is shared, nothing is left behind.

// A test may panic: that is how it fails.
#![allow(clippy::unwrap_used)]

mod access;
mod all_runs;
mod all_runs_output;
mod all_runs_resume;
mod attack_browser;
mod attack_frames;
mod attack_load;
mod attack_names;
mod attack_wire;
mod audit;
mod backpressure;
mod backup;
mod cancel_races;
mod child_world;
mod client_crate;
mod command_line;
mod common;
mod configuration;
mod crash;
mod daemon_api;
mod damaged;
mod disk_failing;
mod disk_full;
mod disk_full_start;
mod displaced;
mod docs;
mod doctor;
mod drain;
mod enroll_web;
mod examples;
mod foreign_files;
mod harness;
mod headers;
mod held_pipe;
mod http_errors;
mod http_limits;
mod indexes;
mod layers;
mod lines;
mod litestream;
mod locked;
mod log;
mod login;
mod logs_of_several;
mod maintenance;
mod metrics;
mod one_thread;
mod openapi;
mod openapi_answers;
mod openapi_requests;
mod origins;
mod orphans;
mod other_systems;
mod pacing;
mod packages;
mod page;
mod pages_a_commit;
mod process_tree;
#[cfg(feature = "tls")]
mod proxies;
mod push;
mod quota;
mod reads;
mod removed;
mod restore;
mod resume;
mod retention;
mod retention_clock;
mod routes_table;
mod run_interrupted;
mod run_token;
mod runs_api;
mod runs_bulk;
mod runs_changed;
mod runs_found;
mod runs_list;
mod runs_user;
mod scheduler_idle;
mod schemas;
mod service;
mod session_life;
mod shutdown;
mod slow_medium;
mod streams;
mod terminal;
#[cfg(feature = "tls")]
mod tls;
mod transitions;
mod waits;
mod whole_session;
mod wire_recorded;
