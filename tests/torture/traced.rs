//! System calls by their kind and number: `strace` waits for the n-th of a kind, and kills there or answers an error.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{DEADLINE, Random, eventually, kill, proc_exists};

/// Calls of one kind.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub name: &'static str,
    /// As `strace` takes them; `?` where a processor may not have one.
    pub calls: &'static str,
    /// How many a thread makes in a moment of work, at least.
    pub often: u64,
}

pub const WRITE: Kind = Kind { name: "write", calls: "write,writev,pwrite64,pwritev,ftruncate,fallocate", often: 60 };
pub const FLUSH: Kind = Kind { name: "flush", calls: "fsync,fdatasync,sync_file_range,msync", often: 12 };
pub const RENAME: Kind = Kind {
    name: "rename",
    calls: "?rename,?renameat,renameat2,?unlink,unlinkat,?mkdir,mkdirat,?link,linkat,?rmdir",
    often: 3,
};
pub const SPAWN: Kind = Kind { name: "spawn", calls: "clone,?clone3,?vfork,?fork,execve", often: 8 };
pub const SIGNAL: Kind = Kind { name: "signal", calls: "kill,tgkill,tkill,pidfd_send_signal,pidfd_open", often: 4 };
pub const SEND: Kind = Kind { name: "send", calls: "sendto,sendmsg,write,writev", often: 80 };
pub const ANY: Kind = Kind { name: "any", calls: "all", often: 400 };

/// What is done there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// SIGKILL in place of the call.
    Before,
    /// SIGKILL when it has done its work and before anything else is done by its thread.
    After,
}

/// The n-th call of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub kind: Kind,
    pub nth: u64,
    pub moment: Moment,
}

impl Point {
    /// Any of these, at a number that is reached soon; the first ones more often.
    pub fn any(random: &mut Random, kinds: &[Kind]) -> Point {
        let kind = kinds[random.below(kinds.len() as u64) as usize];
        let most = 1 + random.below(kind.often);
        let moment = if random.below(2) == 0 { Moment::Before } else { Moment::After };
        Point { kind, nth: 1 + random.below(most), moment }
    }

    fn expressions(self) -> [String; 2] {
        let Point { kind, nth, moment } = self;
        let what = match moment {
            Moment::Before => "signal=KILL",
            // Long enough for whoever looks at the log.
            Moment::After => "delay_exit=60000000",
        };
        [format!("trace={}", kind.calls), format!("inject={}:{what}:when={nth}", kind.calls)]
    }

    /// In front of a command that is to die there.
    pub fn wrapper(self, log: &Path) -> Vec<String> {
        assert_eq!(self.moment, Moment::Before, "nobody looks at the log of what is started so");
        let [trace, inject] = self.expressions();
        wrapper(&trace, &inject, log)
    }
}

/// `strace` in front of a command, on all of its threads, and on what it starts until that is another program.
pub fn wrapper(trace: &str, inject: &str, log: &Path) -> Vec<String> {
    let log = log.display().to_string();
    let words = ["strace", "-f", "-b", "execve", "-qq", "-e", "signal=none", "-o", &log, "-e", trace, "-e", inject];
    words.map(str::to_owned).to_vec()
}

/// `strace` on the threads that a process has, and not on what it starts.
pub struct Traced {
    strace: Child,
    log: PathBuf,
    pid: i32,
}

impl Traced {
    /// Attaches; from now on calls are counted, for each thread by itself.
    pub fn attach(pid: i32, log: PathBuf, trace: &str, inject: &str) -> Traced {
        let _ = std::fs::remove_file(&log);
        let mut command = Command::new("strace");
        command.args(["-qq", "-e", "signal=none", "-e", trace, "-e", inject, "-o"]).arg(&log);
        for task in tasks(pid) {
            command.args(["-p", &task]);
        }
        let strace = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let is_traced = |task: &String| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/task/{task}/status")).unwrap_or_default();
            !status.lines().any(|line| line.split_whitespace().eq(["TracerPid:", "0"]))
        };
        // What dies at its first call may be gone by now.
        eventually(DEADLINE, "strace is attached", || tasks(pid).iter().all(is_traced));
        Traced { strace, log, pid }
    }

    /// Attaches, to kill it at this point.
    pub fn to_kill(pid: i32, log: PathBuf, point: Point) -> Traced {
        let [trace, inject] = point.expressions();
        Traced::attach(pid, log, &trace, &inject)
    }

    /// Waits until the process is dead, for so long at most; kills it where the call is done. Whether it came to the point.
    pub fn wait_dead(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while proc_exists(self.pid) {
            if self.calls().contains("(DELAYED)") {
                kill(self.pid);
                // It would hold the dead for as long as the call was to be delayed.
                kill(self.strace.id() as i32);
                return true;
            }
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// The calls so far, one a line.
    pub fn calls(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        if !proc_exists(self.pid) {
            let _ = self.strace.kill();
        }
        // By its own end it lets go of what it holds.
        crate::common::signal(self.strace.id() as i32, rustix::process::Signal::TERM);
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            if self.strace.try_wait().unwrap().is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

fn tasks(pid: i32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| task.file_name().into_string().ok()).collect()
}
