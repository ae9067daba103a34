//! The two threads and what they work with: transactions, reads, room on the disk, recovery, and output on its way in.
//!
//! It knows how a job is run and committed, never what a job does: that stands in the tables, above it.

pub mod backlog;
pub mod ballast;
pub mod checkpoint;
pub mod committed;
pub mod database;
pub mod job;
pub mod orders;
pub mod output;
pub mod reader;
pub mod reads;
pub mod recovery;
pub mod requests;
pub mod room;
pub mod rules;
pub mod shared;
pub mod state;
pub mod thread;
pub mod transaction;
pub mod writer;
