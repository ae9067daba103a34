//! A command's standing with the out-of-memory killer: it goes before the daemon.
//!
//! The daemon's own score is what it was, but for the moment of a spawn.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

/// How much likelier than the daemon a command is to be killed for memory …
const OOM_SCORE_ABOVE: i32 = 500;
/// … and the most that the kernel takes.
const OOM_SCORE_MAX: i32 = 1000;

/// The score belongs to the process, so there is one lock for it, whoever spawns.
static OOM_SCORE: Mutex<()> = Mutex::new(());

/// How a child comes to its higher score.
#[derive(Debug)]
pub enum OomScore {
    /// It inherits it: the daemon's own is raised around the spawn. No moment is left in which the
    /// child has the daemon's.
    Inherit {
        /// The file that sets it.
        score: File,
        /// The caller's own.
        own: i32,
        /// The command's.
        raised: i32,
    },
    /// It is given it after the spawn, because the daemon may not lower its own again.
    Give(i32),
    /// There is none to be given.
    Same,
}

impl OomScore {
    /// Finds out by a small step up and down again what the kernel allows here.
    pub fn by_trial() -> OomScore {
        let _one_at_a_time = OOM_SCORE.lock().unwrap_or_else(PoisonError::into_inner);
        let path = "/proc/self/oom_score_adj";
        let read = || fs::read_to_string(path).ok()?.trim().parse::<i32>().ok();
        let Some(own) = read() else { return OomScore::Same };
        let raised = (own + OOM_SCORE_ABOVE).min(OOM_SCORE_MAX);
        if raised == own {
            return OomScore::Same;
        }
        let trial = || -> io::Result<File> {
            let score = OpenOptions::new().write(true).open(path)?;
            write_score(&score, own + 1)?;
            write_score(&score, own)?;
            Ok(score)
        };
        match trial() {
            Ok(score) => OomScore::Inherit { score, own, raised },
            Err(_) => OomScore::Give(raised),
        }
    }

    /// Calls `spawn` so that its child has the higher score.
    pub fn with_raised_score<T>(&self, spawn: impl FnOnce() -> T) -> T {
        let OomScore::Inherit { score, own, raised } = self else { return spawn() };
        let _one_at_a_time = OOM_SCORE.lock().unwrap_or_else(PoisonError::into_inner);
        let wrote = write_score(score, *raised);
        let answer = spawn();
        if let Err(error) = wrote.and_then(|()| write_score(score, *own)) {
            log::warn!("cannot set the oom_score_adj: {error}");
        }
        answer
    }

    /// Gives a child the score that it did not inherit.
    pub fn give_score(&self, pid: i32) {
        let OomScore::Give(score) = *self else { return };
        if let Err(error) = fs::write(format!("/proc/{pid}/oom_score_adj"), score.to_string()) {
            log::debug!("cannot set the oom_score_adj of process {pid}: {error}");
        }
    }
}

fn write_score(score: &File, value: i32) -> io::Result<()> {
    score.write_all_at(value.to_string().as_bytes(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_likelier_to_be_killed_for_memory_than_the_daemon() {
        let own = |text: &str| text.trim().parse::<i32>().expect("a number");
        let before = {
            let _alone = OOM_SCORE.lock().expect("not poisoned");
            own(&fs::read_to_string("/proc/self/oom_score_adj").expect("readable"))
        };
        let score = OomScore::by_trial();
        let mut command = std::process::Command::new("cat");
        command.arg("/proc/self/oom_score_adj");
        let told = score.with_raised_score(|| command.output()).expect("cat").stdout;
        assert_eq!(own(&String::from_utf8_lossy(&told)), (before + OOM_SCORE_ABOVE).min(OOM_SCORE_MAX));
        let _alone = OOM_SCORE.lock().expect("not poisoned");
        assert_eq!(own(&fs::read_to_string("/proc/self/oom_score_adj").expect("readable")), before);
    }

    #[test]
    fn a_child_can_be_given_its_score_after_the_spawn() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        OomScore::Give(777).give_score(child.id() as i32);
        let score = fs::read_to_string(format!("/proc/{}/oom_score_adj", child.id())).expect("readable");
        assert_eq!(score.trim(), "777");
        child.kill().expect("ours");
        child.wait().expect("ours");
    }
}
