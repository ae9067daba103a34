//! Runabout.
#![allow(missing_docs)]

pub mod access;
pub mod clock;
pub mod config;
pub mod event;
pub mod home;
pub mod http;
pub mod logging;
pub mod run;
pub mod runner;
pub mod state_dir;
pub mod store;
pub mod wake;
