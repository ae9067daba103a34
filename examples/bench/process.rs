//! A server under test as a process: what it holds, what it writes, and its end.

use std::path::Path;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How long a server may take until it can be reached.
const START: Duration = Duration::from_secs(20);
/// How long nothing is written before everything counts as written: longer than any pause before a checkpoint.
const QUIET: Duration = Duration::from_millis(1_300);
/// How long that is waited for.
const SETTLE: Duration = Duration::from_secs(30);

/// Dropped, it is stopped and waited for.
pub struct Process(Child);

impl Process {
    /// Starts it; without the variable that has a program written in Rust keep a map of itself for backtraces, which
    /// makes pueue seven times as large (`findings/pueue-backtrace-memory.sh`).
    pub fn start(command: &mut Command) -> Process {
        command.env_remove("RUST_BACKTRACE");
        Process(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// The child itself.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Waits until it can be reached.
    pub fn until<T>(mut self, mut reached: impl FnMut() -> Option<T>) -> (Process, T) {
        let begun = Instant::now();
        loop {
            if let Some(with) = reached() {
                return (self, with);
            }
            assert!(self.0.try_wait().unwrap().is_none(), "a server ended at its start: {:?}", self.0);
            assert!(begun.elapsed() < START, "a server cannot be reached: {:?}", self.0);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Its resident memory in MiB: `Rss` of smaps_rollup, which is counted, while `VmRSS` is estimated.
    pub fn resident_mib(&self) -> f64 {
        let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.0.id())).unwrap();
        number(&rollup, "Rss:") / 1024.0
    }

    /// Seconds that it has worked so far, all its threads together, to a hundredth.
    pub fn cpu_s(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        // The name, in brackets, may hold anything; behind it the state is the third field, the two times 14 and 15.
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks = |field: usize| fields[field - 3].parse::<f64>().unwrap();
        (ticks(14) + ticks(15)) / rustix::param::clock_ticks_per_second() as f64
    }

    /// How often its threads have gone to sleep so far.
    pub fn switches(&self) -> f64 {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        let status = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap());
        status.map(|status| number(&status, "voluntary_ctxt_switches:")).sum()
    }

    /// Bytes that it has had written to the medium so far: pages of 4 KiB that it made dirty, flushed ones anew. The
    /// journal of the file system is not in it.
    pub fn written_bytes(&self) -> f64 {
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.0.id())).unwrap();
        number(&io, "write_bytes:")
    }

    /// The same once it writes no more: also what it moved to its place behind everybody's back.
    pub fn settled_bytes(&self) -> f64 {
        let begun = Instant::now();
        let (mut bytes, mut since) = (self.written_bytes(), Instant::now());
        while since.elapsed() < QUIET {
            assert!(begun.elapsed() < SETTLE, "it does not stop writing");
            std::thread::sleep(Duration::from_millis(50));
            let now = self.written_bytes();
            if now != bytes {
                (bytes, since) = (now, Instant::now());
            }
        }
        bytes
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

/// The number behind a word at the beginning of a line.
fn number(text: &str, word: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(word)).unwrap_or_else(|| panic!("no {word}"));
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// The cores that this program may use.
fn allowed() -> &'static CpuSet {
    static ALLOWED: OnceLock<CpuSet> = OnceLock::new();
    ALLOWED.get_or_init(|| sched_getaffinity(None).unwrap())
}

/// How many those are.
pub fn cores() -> usize {
    allowed().count() as usize
}

/// Has this thread, and what it starts from now on, run on one of them alone: the first is 0.
pub fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set((0..CpuSet::MAX_CPU).filter(|core| allowed().is_set(*core)).nth(core).expect("there are so many cores"));
    sched_setaffinity(None, &set).unwrap();
}

/// Lets it run on all of them again.
pub fn unpin() {
    sched_setaffinity(None, allowed()).unwrap();
}

/// Runs a command to its end; fails where it does.
pub fn done(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Appends what a server says to a file beside its state.
pub fn log(dir: &Path) -> std::fs::File {
    std::fs::File::options().create(true).append(true).open(dir.join("log")).unwrap()
}
