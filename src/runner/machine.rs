//! How the machine stands at the moment of a failure: what an operator would look at first, when it is too late to look.
//!
//! It reads a few files of /proc, and nothing that could wait, as another's network file system would.

use std::fs;
use std::path::PathBuf;

use crate::free_space::FreeSpace;
use crate::run::{Biggest, FailureContext};

/// The machine, and where the daemon's state is on it.
#[derive(Debug)]
pub struct Machine {
    state_dir: PathBuf,
}

impl Machine {
    /// With the state in this directory.
    pub fn with_state_in(state_dir: PathBuf) -> Machine {
        Machine { state_dir }
    }

    /// How it stands now.
    pub(super) fn now(&self, biggest: Option<Biggest>) -> FailureContext {
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let load = fs::read_to_string("/proc/loadavg").ok();
        let disk = FreeSpace::at(&self.state_dir).ok();
        FailureContext {
            load: load.and_then(|text| parse_load(&text)),
            memory_available_bytes: kib_of(&memory, "MemAvailable"),
            memory_total_bytes: kib_of(&memory, "MemTotal"),
            disk_free_bytes: disk.and_then(|disk| i64::try_from(disk.free_bytes).ok()),
            biggest,
        }
    }
}

fn parse_load(text: &str) -> Option<[f64; 3]> {
    let mut numbers = text.split_ascii_whitespace().map(|number| number.parse().ok());
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

/// The bytes of a line `KEY: NUMBER kB`.
fn kib_of(text: &str, key: &str) -> Option<i64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        assert_eq!(parse_load("0.52 1.00 12.07 2/345 6789\n"), Some([0.52, 1.0, 12.07]));
        assert_eq!(parse_load("0.52 1.00\n"), None);
        let memory = "MemTotal:        2048 kB\nMemFree:  1 kB\nMemAvailable:    1000 kB\n";
        assert_eq!((kib_of(memory, "MemAvailable"), kib_of(memory, "Mem")), (Some(1_024_000), None));
    }

    #[test]
    fn this_machine_stands_somehow() {
        let seen = Machine::with_state_in(std::env::temp_dir()).now(None);
        assert!(seen.load.is_some() && seen.disk_free_bytes.is_some(), "{seen:?}");
        assert!(
            seen.memory_available_bytes <= seen.memory_total_bytes && seen.memory_total_bytes > Some(0),
            "{seen:?}"
        );
    }
}
