//! The two threads and what they work with: transactions, reads, room on the disk, recovery, and output on its way in.

pub mod alive;
pub mod backlog;
pub mod ballast;
pub mod committed;
pub mod drain;
pub mod handle;
pub mod job;
pub mod orders;
pub mod reads;
pub mod recovery;
pub mod room;
pub mod shared;
pub mod state;
pub mod thread;
pub mod transaction;
pub mod writer;
