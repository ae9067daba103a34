//! Reads /proc: which processes are alive, and to which session, group and run they belong.
//!
//! What was read may be outdated at once: before acting on a pid, open its pidfd and read again.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::OnceLock;

use rustix::process::Signal;

/// More than a line has that describes a process: 52 numbers of up to 20 digits, and a name.
const LINE_BYTES_MAX: usize = 2_048;

/// The few fields of /proc/PID/stat that tell one process from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// None of its threads runs any more: it is a zombie.
    pub is_dead: bool,
    /// Stopped by a signal, until SIGCONT.
    pub is_stopped: bool,
    /// Its process group.
    pub group: i32,
    /// Its session, by the pid of its first leader.
    pub session: i32,
    /// Clock ticks from the boot to its start, whatever time namespace we are in; a later process of the same pid has
    /// another.
    pub start_ticks: i64,
}

/// Whether /proc is mounted.
pub fn is_there() -> bool {
    Path::new("/proc/self/stat").exists()
}

/// Reads a process's state; `None` when it is gone or cannot be read.
pub fn stat(pid: i32) -> Option<Stat> {
    try_stat(pid).unwrap_or_default()
}

/// Reads a process's state; `None` when it is gone.
///
/// # Errors
/// When it cannot be read for lack of descriptors or memory.
pub fn try_stat(pid: i32) -> io::Result<Option<Stat>> {
    let mut line = [0; LINE_BYTES_MAX];
    let line = match read_line(&format!("/proc/{pid}/stat"), &mut line) {
        Ok(line) => line,
        Err(error) if is_shortage(&error) => return Err(error),
        Err(_) => return Ok(None),
    };
    let stat = parse_stat(&String::from_utf8_lossy(line));
    Ok(stat.map(|stat| Stat { start_ticks: stat.start_ticks - offset_ticks(), ..stat }))
}

/// Whether the list of processes can be read now, if /proc is mounted at all.
pub fn can_be_read() -> bool {
    !fs::read_dir("/proc").is_err_and(|error| is_shortage(&error))
}

/// Whether descriptors or memory are lacking, which is temporary.
fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM))
}

/// The pids of all visible processes.
pub fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The environment that a process was started with, as `KEY=VALUE` and a zero each; empty when it may not be read.
pub fn environment(pid: i32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/environ")).unwrap_or_default()
}

/// The name of its program as the kernel keeps it; a process may change it.
pub fn name(pid: i32) -> String {
    let mut line = [0; LINE_BYTES_MAX];
    let name = read_line(&format!("/proc/{pid}/comm"), &mut line).unwrap_or_default();
    String::from_utf8_lossy(name).trim_end().to_owned()
}

/// What is in a file of one short line. The kernel gives all of it by one read, where one that does not know how much is to
/// come takes five.
fn read_line<'a>(path: &str, line: &'a mut [u8; LINE_BYTES_MAX]) -> io::Result<&'a [u8]> {
    let mut file = File::open(path)?;
    loop {
        match file.read(line) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            length => return Ok(&line[..length?]),
        }
    }
}

/// Whether it ignores this signal; false where that cannot be read.
pub fn ignores(pid: i32, signal: Signal) -> bool {
    let status = fs::read(format!("/proc/{pid}/status")).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).and_then(parse_mask);
    mask.is_some_and(|mask| mask >> (signal.as_raw() - 1) & 1 == 1)
}

fn parse_mask(text: &str) -> Option<u64> {
    u64::from_str_radix(text.trim(), 16).ok()
}

/// The id of this boot; empty where the kernel has none.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// The name in field 2 may hold spaces and parentheses: the fields count from its last one.
fn parse_stat(text: &str) -> Option<Stat> {
    let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    let threads: i64 = fields.nth(13)?.parse().ok()?;
    let start_ticks = fields.nth(1)?.parse().ok()?;
    // A process whose first thread has ended looks like a zombie while its others run on.
    let is_dead = matches!(state, "Z" | "X" | "x") && threads <= 1;
    Some(Stat { is_dead, is_stopped: state == "T", group, session, start_ticks })
}

/// What this time namespace adds to the start of every process that is looked at from within it
/// (time_namespaces(7)), in ticks.
fn offset_ticks() -> i64 {
    static OFFSET: OnceLock<i64> = OnceLock::new();
    *OFFSET.get_or_init(|| {
        let namespace = |name: &str| fs::read_link(format!("/proc/self/ns/{name}")).ok();
        // The offsets are those of the children's namespace; before Linux 6.1 that may be another than ours.
        if namespace("time") != namespace("time_for_children") {
            return 0;
        }
        let offsets = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
        parse_offset(&offsets, rustix::param::clock_ticks_per_second())
    })
}

fn parse_offset(offsets: &str, ticks_per_second: u64) -> i64 {
    let boottime = offsets.lines().find_map(|line| line.trim_start().strip_prefix("boottime"));
    let mut numbers = boottime.unwrap_or_default().split_ascii_whitespace().map(|number| number.parse::<i64>());
    let (Some(Ok(seconds)), Some(Ok(nanoseconds))) = (numbers.next(), numbers.next()) else { return 0 };
    let ticks_per_second = i64::try_from(ticks_per_second).unwrap_or(100);
    seconds * ticks_per_second + nanoseconds * ticks_per_second / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_moves_no_field() {
        let line = "42 (a) S 9 (b)) Z 1 40 39 0 -1 4194304 95 0 0 0 0 0 0 0 20 0 1 0 8671 2830336 0";
        let stat = Stat { is_dead: true, is_stopped: false, group: 40, session: 39, start_ticks: 8671 };
        assert_eq!(parse_stat(line), Some(stat));
        assert_eq!(parse_stat("42 (a"), None);
        let other_threads = line.replace(" 20 0 1 0 ", " 20 0 2 0 ");
        assert!(parse_stat(&other_threads).is_some_and(|stat| !stat.is_dead), "its other threads run on");
        assert!(parse_stat(&line.replace(") Z", ") T")).is_some_and(|stat| stat.is_stopped));
    }

    #[test]
    fn our_own_process_is_found() {
        let pid = std::process::id() as i32;
        assert!(pids().any(|found| found == pid) && stat(pid).is_some_and(|stat| !stat.is_dead));
        assert!(!boot_id().is_empty() && !name(pid).is_empty() && is_there());
    }

    #[test]
    fn the_offset_of_a_time_namespace_is_in_ticks() {
        assert_eq!(parse_offset("monotonic           0         0\nboottime      -86400 500000000\n", 100), -8_639_950);
        assert_eq!(parse_offset("", 100), 0);
    }
}
