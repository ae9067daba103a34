//! What /proc says about processes: the only source for who is alive and whose it is.
//!
//! An answer is old as soon as it is given: before acting on a pid, hold its pidfd and look again.

use std::fs;

/// The few fields of /proc/PID/stat that tell one process from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Dead, and only kept for a parent that has not asked yet.
    pub is_zombie: bool,
    /// Its process group.
    pub group: i32,
    /// Clock ticks from the boot to its start; a later process of the same pid has another.
    pub start_ticks: i64,
}

/// Reads a process's state; `None` when it is gone.
pub fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&String::from_utf8_lossy(&text))
}

/// The pids of all processes that can be seen.
pub fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The environment that a process was started with, as `KEY=VALUE` and a zero each; empty when it may not be read.
pub fn environment(pid: i32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/environ")).unwrap_or_default()
}

/// The name of this boot; empty where the kernel has none.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// The name in field 2 may hold spaces and parentheses: the fields count from its last one.
fn parse_stat(text: &str) -> Option<Stat> {
    let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    let start_ticks = fields.nth(16)?.parse().ok()?;
    Some(Stat { is_zombie: matches!(state, "Z" | "X" | "x"), group, start_ticks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_moves_no_field() {
        let line = "42 (a) S 9 (b)) Z 1 40 39 0 -1 4194304 95 0 0 0 0 0 0 0 20 0 1 0 8671 2830336 0";
        assert_eq!(parse_stat(line), Some(Stat { is_zombie: true, group: 40, start_ticks: 8671 }));
        assert_eq!(parse_stat("42 (a"), None);
    }

    #[test]
    fn our_own_process_is_found() {
        let pid = std::process::id() as i32;
        assert!(pids().contains(&pid) && stat(pid).is_some_and(|stat| !stat.is_zombie));
        assert!(!boot_id().is_empty());
    }
}
