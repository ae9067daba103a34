//! Waits for descriptors and times on the thread that runs the daemon's tasks: no helper thread, no lock that somebody else
//! holds, and where nothing changes what is waited for, one system call a wait.
//!
//! A reactor belongs to its thread. What waits ([`Async`], [`Timer`]) enters the reactor of the thread that polls it, so
//! that it must be polled within [`block_on`] there, and by one thread only. The client, which runs on whatever its program
//! runs futures on, uses async-io instead: its reactor serves many threads, and has a thread of its own that takes the
//! events away from one that is busy, and wakes it for each.

mod io;
mod sources;
mod thread;
mod timer;
mod times;

pub use self::io::Async;
pub use self::thread::block_on;
pub use self::timer::{Quiet, Timer, until, within};

#[cfg(test)]
mod tests;
