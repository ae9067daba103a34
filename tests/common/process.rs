//! What the system says of a process, and signals to one.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::{DEADLINE, eventually};

/// Sends a signal; whether the process was there.
pub fn signal(pid: i32, signal: Signal) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| rustix::process::kill_process(pid, signal).is_ok())
}

/// Sends SIGKILL; whether the process was there.
pub fn kill(pid: i32) -> bool {
    signal(pid, Signal::KILL)
}

/// Whether a process is there and not a zombie.
pub fn proc_exists(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
    !matches!(state, None | Some("Z" | "X"))
}

/// A process's arguments, separated by blanks; empty when it is gone.
pub fn command_line(pid: i32) -> String {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ").trim_end().to_owned()
}

/// The names of a process's threads.
pub fn threads(pid: i32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let name = |task: PathBuf| std::fs::read_to_string(task.join("comm")).ok();
    tasks.filter_map(|task| name(task.ok()?.path())).map(|name| name.trim_end().to_owned()).collect()
}

/// The memory of its own that a process has resident, in bytes: without pages of files, which come and go.
pub fn resident_bytes(pid: i32) -> u64 {
    status_field(&format!("/proc/{pid}/status"), "RssAnon:") * 1024
}

/// The pages of files, as of its program, that a process has mapped and resident, in bytes.
pub fn resident_file_bytes(pid: i32) -> u64 {
    status_field(&format!("/proc/{pid}/status"), "RssFile:") * 1024
}

/// Does `work` and answers the most memory that a process had resident meanwhile, in bytes.
pub fn highest_resident_bytes(pid: i32, work: impl FnOnce()) -> u64 {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut highest = 0;
            while !over.load(Ordering::Relaxed) {
                highest = highest.max(resident_bytes(pid));
                // Between two samples; nothing waits for it.
                std::thread::sleep(Duration::from_millis(5));
            }
            highest
        });
        let worked = catch_unwind(AssertUnwindSafe(work));
        over.store(true, Ordering::Relaxed);
        let highest = watching.join().unwrap();
        worked.unwrap_or_else(|panic| resume_unwind(panic));
        highest
    })
}

/// The processor time that a process has used, in milliseconds.
pub fn cpu_ms(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // utime and stime are fields 14 and 15 of proc_pid_stat(5); the state, field 3, is the first behind the name.
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    ticks * 1_000 / rustix::param::clock_ticks_per_second()
}

/// How many descriptors a process has open.
pub fn open_descriptors(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// How often the threads of a process went to sleep of their own accord, all together.
pub fn voluntary_switches(pid: i32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks
        .map(|task| status_field(&format!("{}/status", task.unwrap().path().display()), "voluntary_ctxt_switches:"))
        .sum()
}

fn status_field(path: &str, name: &str) -> u64 {
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().and_then(|value| value.parse().ok()).unwrap()
}

/// Every live process whose environment has this `NAME=VALUE`.
pub fn live_pids_with(variable: &str) -> Vec<i32> {
    let pid_of = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse::<i32>().ok();
    let has = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|have| have == variable.as_bytes()) && proc_exists(*pid)
    };
    std::fs::read_dir("/proc").unwrap().filter_map(|entry| pid_of(entry.ok()?)).filter(has).collect()
}

/// Whether `strace` can be used here; tests that can do without it look.
pub fn strace_is_there() -> bool {
    let mut tried = Command::new("strace");
    tried.args(["-o", "/dev/null", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    tried.status().is_ok_and(|status| status.success())
}

/// `strace -f` on a process that runs; detached when it is dropped.
pub struct Traced {
    strace: Child,
    log: PathBuf,
}

impl Traced {
    /// Attaches and waits until it is attached. `log` gets one line a system call.
    pub fn attach(pid: i32, log: PathBuf) -> Traced {
        let mut command = Command::new("strace");
        command.args(["-f", "-q", "-o"]).arg(&log).args(["-p", &pid.to_string()]);
        let strace = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let traced = Traced { strace, log };
        let tasks = || std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|task| task.unwrap().path());
        let is_traced = |task: PathBuf| status_field(&format!("{}/status", task.display()), "TracerPid:") != 0;
        eventually(DEADLINE, "strace is attached", || tasks().all(is_traced));
        // Being attached to makes every thread begin its call anew; and the kernel's timer, once set for a timeout of
        // the last request that was not needed after all, still goes off once: a second after it, at most.
        let (mut seen, mut since) = (0, Instant::now());
        eventually(DEADLINE, "the attaching is over", || {
            let now = traced.calls().len();
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
            since.elapsed() > Duration::from_millis(1200)
        });
        traced
    }

    /// Attaches and makes calls fail: `calls` are their names, `what` is like `error=EIO:when=3`, counted from now on.
    pub fn inject(pid: i32, log: PathBuf, calls: &str, what: &str) -> Traced {
        let mut command = Command::new("strace");
        command.args(["-f", "-q", "-o"]).arg(&log).args(["-e", &format!("trace={calls}")]);
        command.args(["-e", &format!("inject={calls}:{what}"), "-p", &pid.to_string()]);
        let strace = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let tasks = || std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        // What is to die at once may be gone before anybody has looked.
        let is_traced = |task: std::fs::DirEntry| {
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            !status.lines().any(|line| line.split_whitespace().eq(["TracerPid:", "0"]))
        };
        eventually(DEADLINE, "strace is attached", || tasks().all(is_traced));
        Traced { strace, log }
    }

    /// The system calls that were finished or begun so far, one a line.
    pub fn calls(&self) -> Vec<String> {
        std::fs::read_to_string(&self.log).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        signal(self.strace.id() as i32, Signal::TERM);
        let _ = self.strace.wait();
    }
}
