//! Runabout.
#![allow(missing_docs)]

pub mod client;
pub mod clock;
pub mod daemon;
pub mod event;
pub mod run;
pub mod runner;
pub mod state_dir;
pub mod store;
pub mod wake;
