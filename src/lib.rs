//! Runabout.
#![allow(missing_docs)]

pub mod clock;
pub mod event;
pub mod run;
pub mod runner;
pub mod store;
pub mod wake;
