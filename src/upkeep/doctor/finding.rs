//! What the checks look at, and what each of them finds.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::choose::SYSTEM_SOCKET;
use crate::config::Config;
use crate::dir::Dir;
use crate::state_dir::socket_path;

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Ok,
    /// It works, with something to note; or it could not be checked.
    Warn,
    /// It does not work, or will not for long.
    Fail,
}

impl Level {
    pub(super) fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "fail",
        }
    }
}

/// The finding of one check.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) level: Level,
    pub(super) found: String,
    /// What to do about it.
    pub(super) advice: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Finding {
        Finding { check, level: Level::Ok, found: found.into(), advice: None }
    }

    pub(super) fn warn(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { check, level: Level::Warn, found: found.into(), advice: Some(advice.into()) }
    }

    pub(super) fn fail(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { check, level: Level::Fail, found: found.into(), advice: Some(advice.into()) }
    }

    /// It exists, but this user may not read it.
    pub(super) fn unseen(check: &'static str, what: &Path, error: &io::Error) -> Finding {
        let advice = "be root, or the user that the daemon runs as";
        Finding::warn(check, format!("{}: {error}", what.display()), advice)
    }
}

/// What the checks look at.
pub(super) struct Subject {
    pub(super) dir: PathBuf,
    /// The state directory, opened.
    pub(super) found: io::Result<Arc<Dir>>,
    /// The configuration as the daemon would read it; defaults when it is wrong.
    pub(super) config: Config,
    /// The holder of the lock, as it describes itself.
    pub(super) held: io::Result<Option<String>>,
    /// Whether the whole database is checked.
    pub(super) full: bool,
}

impl Subject {
    /// Whether a daemon holds the state directory.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.held, Ok(Some(_)))
    }

    /// The daemon's socket: as configured, else in the state directory, else where its service has it.
    pub(super) fn socket(&self) -> PathBuf {
        let usual = self.config.access.socket.clone().unwrap_or_else(|| socket_path(&self.dir));
        let system = Path::new(SYSTEM_SOCKET);
        if self.is_held() && !usual.exists() && system.exists() { system.to_path_buf() } else { usual }
    }

    /// The daemon's process id, where it is known.
    pub(super) fn pid(&self) -> Option<i32> {
        pid_of(self.held.as_ref().ok()?.as_deref()?)
    }
}

/// The process id in the holder's description of itself.
pub(super) fn pid_of(who: &str) -> Option<i32> {
    who.strip_prefix("pid ")?.split(',').next()?.parse().ok()
}
