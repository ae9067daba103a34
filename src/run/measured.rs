//! What was measured at the end of an attempt: what it used, and how the machine stood when it failed.

use serde::{Deserialize, Serialize};

/// What an attempt has used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Milliseconds of processor time of its own code.
    pub user_ms: i64,
    /// Milliseconds of processor time that the kernel worked for it.
    pub system_ms: i64,
    /// The most memory that it had. By its cgroup that of all its processes together with the files that they had read;
    /// else the resident set of the largest one, in which Linux counts what its parent had when that started it.
    pub memory_peak_bytes: Option<i64>,
}

/// How the machine stood when a run failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailureContext {
    /// The load of the last minute, 5 and 15 minutes.
    pub load: Option<[f64; 3]>,
    /// Bytes of memory that were left to be had, without swap.
    pub memory_available_bytes: Option<i64>,
    /// Bytes of memory of the machine.
    pub memory_total_bytes: Option<i64>,
    /// Bytes that were free where the daemon's state is.
    pub disk_free_bytes: Option<i64>,
    /// Where it was killed for lack of memory: its largest process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub biggest: Option<Biggest>,
}

/// A process that was the largest of its run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Biggest {
    /// Its number, which may be another's by now.
    pub pid: i64,
    /// The name of its program, as the kernel has it.
    pub name: String,
    /// Bytes that it had in memory.
    pub rss_bytes: i64,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// `None` where nothing was started, or nobody saw its end.
    pub usage: Option<Usage>,
    /// Of a failure alone.
    pub context: Option<FailureContext>,
}
