//! The store's two threads and what they need: transactions, reads, space, recovery, output that waits.
//!
//! It knows how jobs are run and committed; what a job does is defined in the tables above it.

pub mod backlog;
pub mod ballast;
pub mod checkpoint;
pub mod committed;
pub mod counters;
pub mod cursor_counters;
pub mod database;
pub mod hook_counters;
pub mod job;
pub mod orders;
pub mod output;
pub mod published;
pub mod reads;
pub mod recovery;
pub mod reply;
pub mod requests;
pub mod room;
pub mod rules;
pub mod snapshot;
pub mod thread;
pub mod transaction;
pub mod writer;
