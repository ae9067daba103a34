//! What daemon and keeper tell each other, beside bytes and numbers. Version 2: version 1 knew of no cgroups.
//!
//! It is JSON, so that a field which a later version adds is skipped by an earlier one and has its default where an earlier
//! one left it out. A field is never given another meaning: that takes a new version, which both ends negotiate by their
//! first frames. A daemon understands every version that a keeper may still speak, since keepers outlive upgrades.

use serde::{Deserialize, Serialize};

use crate::process::Description;
use crate::run::{Biggest, Exit, Limits};

/// The version that this build speaks.
pub const VERSION: u32 = 2;
/// The first one that starts a command in a cgroup of its own, or not at all.
pub const WITH_CGROUPS: u32 = 2;

/// From the daemon: for whom a connection is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hello {
    /// The highest version that the daemon speaks.
    pub version: u32,
    /// The database's.
    pub instance: String,
    /// The run.
    pub run: i64,
    /// Its attempt.
    pub attempt: i64,
    /// The name of the keeper's socket in its directory; only in a keeper's first connection, which also brings the directory
    /// itself as a descriptor.
    pub name: String,
}

/// From the keeper: who answers, and how far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Welcome {
    /// The version that both speak.
    pub version: u32,
    /// The keeper's process, …
    pub pid: i32,
    /// … and when it started, in clock ticks since the boot.
    pub start_ticks: i64,
    /// The database's.
    pub instance: String,
    /// The run.
    pub run: i64,
    /// Its attempt.
    pub attempt: i64,
    /// The run's token, which the command was given.
    pub token: Option<String>,
    /// Whether it was never told what to start.
    pub is_waiting: bool,
    /// The command's process, once it was started.
    pub leader: Option<Started>,
    /// Offset of the first byte of output that it still has.
    pub held_from: u64,
    /// Bytes of input that it was given.
    pub input_given: u64,
    /// Why the command was asked to end, if it was: a word of `run::Ask`.
    pub asked: Option<String>,
}

/// A command to start, and how long it may take.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Exec {
    /// What is started.
    pub command: Description,
    /// The run's token, for daemons to come.
    #[serde(default)]
    pub token: Option<String>,
    /// Milliseconds until it is asked to end; `None`: no limit.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// Milliseconds from there to SIGKILL.
    pub grace_ms: u64,
    /// The number of the signal that asks it to end; 0 is SIGTERM.
    #[serde(default)]
    pub stop_signal: i32,
    /// Whether what its leader leaves in its session ends with it, however that ends.
    #[serde(default)]
    pub ends_left: bool,
    /// Where it is started, as far as there are cgroups.
    #[serde(default)]
    pub cgroup: Option<Cgroup>,
}

/// A cgroup that is made for a command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cgroup {
    /// Whether it is beside that of the daemon, which has started the keeper; else it is in the keeper's own unit.
    pub is_beside_daemon: bool,
    /// What holds in it. A command with limits is not started without it.
    pub limits: Limits,
}

/// Hides the command's environment.
impl std::fmt::Debug for Exec {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Exec({:?})", self.command.words.first())
    }
}

/// A process that was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Started {
    /// Its pid, which is that of its session.
    pub pid: i32,
    /// When it started, in clock ticks since the boot.
    pub start_ticks: i64,
}

/// Ask a command to end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stop {
    /// Why: a word of `run::Ask`.
    pub asked: String,
    /// Milliseconds from SIGTERM to SIGKILL.
    pub grace_ms: u64,
}

/// How a command ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ended {
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether it left a core.
    pub core: bool,
    /// Whether the kernel killed it for lack of memory, by its own cgroup's word.
    pub oom: bool,
    /// It was not started, and why.
    pub unstarted: Option<Unstarted>,
    /// Who asked for its end: a word of `run::Ask`.
    pub asked: Option<String>,
    /// Processor time in user mode, of the command and of what it has waited for, in milliseconds.
    pub user_ms: i64,
    /// The same in the kernel.
    pub system_ms: i64,
    /// The most memory that one of these had at a time, in bytes; of a cgroup, all of them together.
    pub memory_peak_bytes: i64,
    /// Its own process, where that was ended for lack of memory.
    pub biggest: Option<Biggest>,
}

/// Why a command was not started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unstarted {
    /// For people.
    pub why: String,
    /// Whether descriptors, processes or memory were wanting, which come back.
    pub is_shortage: bool,
}

impl Ended {
    /// How it ended, in the run's terms.
    pub fn exit(&self) -> Exit {
        match (&self.unstarted, self.code, self.signal) {
            (Some(unstarted), ..) => Exit::SpawnFailed(unstarted.why.clone()),
            (None, Some(code), _) => Exit::Code(code),
            (None, None, Some(_)) if self.oom => Exit::Oom,
            (None, None, Some(signal)) => Exit::Signal(signal),
            (None, None, None) => Exit::Unknown,
        }
    }
}
