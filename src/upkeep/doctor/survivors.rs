//! Checks whether the commands of runs that survive the daemon can: its service manager may end them with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::finding::{Finding, Subject};

/// The service manager's socket for keepers, in the runtime directory.
const SOCKET: &str = "keep.sock";

/// Checks the unit that the daemon runs in, if any.
pub(super) fn look(subject: &Subject) -> Option<Finding> {
    let pid = subject.pid()?;
    let runtime = variable(pid, "RUNTIME_DIRECTORY").and_then(|all| std::env::split_paths(&all).next());
    let unit = unit_of(&std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default())?;
    let mode = || kill_mode(&unit.name, unit.is_persons);
    Some(judged(&unit.name, runtime.map(|dir| dir.join(SOCKET)).filter(|socket| socket.exists()).as_deref(), mode))
}

fn judged(unit: &str, socket: Option<&Path>, kill_mode: impl FnOnce() -> Option<String>) -> Finding {
    const CHECK: &str = "survivors";
    if let Some(socket) = socket {
        return Finding::ok(CHECK, format!("each in a unit of its own, by {}", socket.display()));
    }
    match kill_mode().as_deref() {
        Some("process" | "none") => Finding::ok(CHECK, format!("{unit} leaves them when the daemon stops")),
        _ => Finding::warn(
            CHECK,
            format!("{unit} ends the commands of runs that are to survive the daemon"),
            "KillMode=process in it, or the units of the package: runabout-keep.socket; see docs/survive.md",
        ),
    }
}

/// The service that a process is in, by its cgroup.
#[derive(Debug, PartialEq)]
struct Unit {
    name: String,
    /// A person's service manager has it.
    is_persons: bool,
}

fn unit_of(cgroups: &str) -> Option<Unit> {
    let path = cgroups.lines().find_map(|line| line.strip_prefix("0::"))?;
    // The manager's own unit is above those that it has; what the daemon makes below its unit is none.
    let name = path.rsplit('/').find(|step| step.ends_with(".service"))?;
    let is_manager = name.starts_with("user@");
    (!is_manager).then(|| Unit { name: name.to_owned(), is_persons: path.contains("/user@") })
}

fn kill_mode(unit: &str, is_persons: bool) -> Option<String> {
    let mut systemctl = Command::new("systemctl");
    if is_persons {
        systemctl.arg("--user");
    }
    let said = systemctl.args(["show", "--property=KillMode", "--value", unit]).output().ok()?;
    let mode = String::from_utf8(said.stdout).ok()?.trim().to_owned();
    (!mode.is_empty()).then_some(mode)
}

fn variable(pid: i32, name: &str) -> Option<PathBuf> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let entries = environment.split(|&byte| byte == 0);
    let value = entries.filter_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")).next()?;
    Some(PathBuf::from(String::from_utf8(value.to_vec()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upkeep::doctor::finding::Level;

    #[test]
    fn the_unit_is_told_from_its_manager_and_from_what_is_in_it() {
        let unit = |name: &str, is_persons| Some(Unit { name: name.to_owned(), is_persons });
        assert_eq!(unit_of("0::/system.slice/runabout.service/daemon\n"), unit("runabout.service", false));
        let persons = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/mine.service";
        assert_eq!(unit_of(persons), unit("mine.service", true));
        assert_eq!(unit_of("0::/user.slice/user-1000.slice/session-3.scope"), None);
        assert_eq!(unit_of("0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.scope"), None);
    }

    #[test]
    fn a_unit_that_ends_them_is_told_with_what_it_must_say() {
        let level = |socket, mode: Option<&str>| judged("mine.service", socket, || mode.map(str::to_owned)).level;
        assert_eq!(level(Some(Path::new("/run/mine/keep.sock")), None), Level::Ok);
        assert_eq!(level(None, Some("process")), Level::Ok);
        assert_eq!(level(None, Some("mixed")), Level::Warn);
        let told = judged("mine.service", None, || None);
        assert!(told.advice.is_some_and(|advice| advice.contains("KillMode=process")), "{}", told.found);
    }
}
