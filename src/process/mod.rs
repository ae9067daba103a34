//! One command as a process: described, started, looked at, signalled. Without an executor and without the store, because two
//! programs start commands: the daemon, as a child with pipes, and what outlives it.
//!
//! Nothing here waits, and nothing decides when a command ends.

mod again;
pub mod biggest;
mod born;
pub mod cgroup;
mod description;
mod exec;
mod identity;
mod oom;
pub mod oom_score;
pub mod procfs;
mod program;
pub mod pty;
pub mod session;
mod spawn;

pub use again::start_again;
pub use description::{Description, Directory};
pub use identity::{Identity, pidfds_are_there};
pub use oom::OomWatch;
pub use oom_score::OomScore;
pub use spawn::{Start, Started, entered, is_shortage};
