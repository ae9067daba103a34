//! Runabout.
#![allow(missing_docs)]

pub mod access;
pub mod client;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod event;
pub mod feed;
pub mod home;
pub mod http;
pub mod logging;
pub mod maintenance;
pub mod metrics;
pub mod run;
pub mod runner;
pub mod scheduler;
pub mod signals;
pub mod state_dir;
pub mod store;
pub mod wake;
