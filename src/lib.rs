//! Runabout.
#![allow(missing_docs)]

pub mod access;
pub mod clock;
pub mod event;
pub mod feed;
pub mod metrics;
pub mod run;
pub mod runner;
pub mod store;
pub mod wake;
