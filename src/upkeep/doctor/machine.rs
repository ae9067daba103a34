//! Checks the machine: its clock, and the limits of processes.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::{PidfdFlags, Resource, getpid, getrlimit, pidfd_open};

use super::finding::{Finding, Subject};
use crate::clock::UnixMs;
use crate::system::is_clock_synchronised;

/// Descriptors that a daemon needs besides its connections: its files, and the pipes of some commands.
const OTHER_DESCRIPTORS: u64 = 128;

/// Runs all checks of the machine.
pub(super) fn look(subject: &Subject) -> Vec<Finding> {
    let mut findings = vec![clock(), descriptors(subject)];
    findings.extend(memory(subject));
    findings.push(processes());
    findings
}

fn clock() -> Finding {
    const CHECK: &str = "clock";
    let now = UnixMs::now();
    if !now.is_believed() {
        let advice = "set it: delays go by it, and nothing expires before it is right";
        return Finding::warn(CHECK, format!("{now}: that is before this program was built"), advice);
    }
    match is_clock_synchronised() {
        Some(true) => Finding::ok(CHECK, format!("{now}, synchronised")),
        Some(false) => {
            let advice =
                "delays, expiries and times of events go by it: switch NTP on, as by `timedatectl set-ntp true`";
            Finding::warn(CHECK, format!("{now}, not synchronised"), advice)
        }
        None => Finding::ok(CHECK, now.to_string()),
    }
}

fn descriptors(subject: &Subject) -> Finding {
    const CHECK: &str = "descriptors";
    let daemons = subject.pid().and_then(|pid| of_process(pid).map(|limit| (limit, "the daemon")));
    let (limit, whose) = daemons.unwrap_or_else(|| (getrlimit(Resource::Nofile).current, "a daemon started from here"));
    let needed = subject.config.limits.connections as u64 + OTHER_DESCRIPTORS;
    match limit {
        Some(limit) if limit < needed => Finding::warn(
            CHECK,
            format!("{whose} may have {limit}, limits.connections wants {needed}"),
            "LimitNOFILE= in its unit, `ulimit -n` in its shell, or fewer connections",
        ),
        Some(limit) => Finding::ok(CHECK, format!("{whose} may have {limit}; {needed} are wanted")),
        None => Finding::ok(CHECK, format!("{whose} may have any number")),
    }
}

/// Checks the system calls by which a command's end and its processes are noticed. A container's filter treats this process
/// like the daemon.
fn processes() -> Finding {
    const CHECK: &str = "processes";
    if !Path::new("/proc/self/stat").exists() {
        let advice = "mount /proc: without it a stop reaches a command's own process group only, and what a daemon that \
                      died left running cannot be found";
        return Finding::fail(CHECK, "/proc is not mounted", advice);
    }
    match pidfd_open(getpid(), PidfdFlags::empty()) {
        Err(error @ (Errno::NOSYS | Errno::PERM)) => Finding::warn(
            CHECK,
            format!("no pidfds ({error}): commands are watched by SIGCHLD"),
            "Linux 5.3, or a container whose filter lets pidfd_open and pidfd_send_signal through",
        ),
        _ => Finding::ok(CHECK, "pidfds and /proc are there"),
    }
}

/// The soft limit on descriptors of another process; `None` when it cannot be read.
fn of_process(pid: i32) -> Option<Option<u64>> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next())?;
    if soft == "unlimited" { Some(None) } else { Some(Some(soft.parse().ok()?)) }
}

/// Checks whether cgroups report what the kernel kills for lack of memory.
fn memory(subject: &Subject) -> Option<Finding> {
    const CHECK: &str = "cgroup";
    let pid = subject.pid()?;
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let own = PathBuf::from("/sys/fs/cgroup").join(own);
    // Where each run has a cgroup of its own the daemon is in a leaf, and the memory is counted above.
    let has_events = |dir: &Path| dir.join("memory.events").exists();
    Some(if has_events(&own) || own.ends_with("daemon") && own.parent().is_some_and(has_events) {
        Finding::ok(CHECK, "a command that the kernel kills for its memory ends with the reason oom")
    } else {
        Finding::ok(CHECK, "no memory.events: a command killed for its memory ends with the reason signaled")
    })
}
