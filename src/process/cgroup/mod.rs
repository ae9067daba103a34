//! Cgroups of version 2: one for each attempt, where a service manager delegates a part of its tree to the daemon, or to a
//! keeper.
//!
//! The daemon itself moves into a leaf beside those of the attempts, because a cgroup that hands controllers on to others
//! may have no process of its own. Nothing outside of the delegated part is ever written, and nothing in it that does not
//! have a name of ours. All of it is files: nothing here waits, but for the kernel.

mod group;
mod place;

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, flock, mkdirat, openat, unlinkat};
use rustix::io::Errno;

pub use self::group::Group;
use self::place::{LEAF, Place, service_of};
use crate::run::{Enforced, Limits, RunId};

/// What the name of an attempt's cgroup begins with.
const PREFIX: &str = "run-";
/// The cgroup of a keeper that has a unit of its own, beside that of its command.
const KEEPER_LEAF: &str = "keeper";
/// Names that are tried for one attempt: another process may have made them, or what is in them may not end.
const NAMES_MAX: u32 = 8;

/// The delegated cgroup of this daemon, with those of its attempts in it.
#[derive(Debug)]
pub struct Cgroups {
    /// Locked for as long as it is open: two daemons below one cgroup would remove each other's.
    root: Arc<OwnedFd>,
    path: PathBuf,
    instance: String,
    enforced: Enforced,
    has_made_leaf: bool,
}

/// An attempt's cgroup that an earlier daemon left.
#[derive(Debug)]
pub struct LeftGroup {
    /// Whose it is.
    pub run: RunId,
    /// Which attempt of it.
    pub attempt: i64,
    /// The cgroup.
    pub group: Group,
}

impl Cgroups {
    /// Takes charge of the delegated cgroup that this process is in, and moves the process into a leaf of it. `instance` is
    /// the database's.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub fn take_over(instance: &str) -> Result<Cgroups, String> {
        let Place { dir, path, in_leaf } = place::find()?;
        let shown = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        flock(&dir, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            Errno::WOULDBLOCK => format!("another daemon uses the cgroup {}", path.display()),
            error => shown(&error),
        })?;
        if !in_leaf {
            enter(&dir, LEAF).map_err(|error| shown(&error))?;
        }
        Ok(Cgroups::at(dir, path, instance, !in_leaf))
    }

    /// The cgroup that was delegated to this process alone, a keeper in a unit of its own; moves the process into a leaf of it.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub fn of_keeper(instance: &str) -> Result<Cgroups, String> {
        let Place { dir, path, in_leaf } = place::find()?;
        if in_leaf {
            return Err(format!("the keeper is in the daemon's part of {}", path.display()));
        }
        enter(&dir, KEEPER_LEAF).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Cgroups::at(dir, path, instance, true))
    }

    /// The delegated cgroup of the daemon that has started this process, a keeper, which so is in the daemon's leaf.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub fn of_daemon(instance: &str) -> Result<Cgroups, String> {
        let Place { dir, path, in_leaf } = place::find()?;
        if !in_leaf {
            return Err(format!("the keeper is in {}, beside no daemon", path.display()));
        }
        Ok(Cgroups::at(dir, path, instance, false))
    }

    fn at(dir: OwnedFd, path: PathBuf, instance: &str, has_made_leaf: bool) -> Cgroups {
        let enforced = hand_on_controllers(&dir);
        Cgroups { root: Arc::new(dir), path, instance: instance.to_owned(), enforced, has_made_leaf }
    }

    /// The service of a service manager that it belongs to, and with which it may end.
    pub fn service(&self) -> Option<String> {
        service_of(&self.path)
    }

    /// Which limits hold in it.
    pub fn enforced(&self) -> &Enforced {
        &self.enforced
    }

    /// Where it is, for people.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Makes the cgroup of an attempt, with these limits.
    ///
    /// # Errors
    /// When the kernel refuses it or one of the limits.
    pub fn make(&self, run: RunId, attempt: i64, limits: &Limits) -> io::Result<Group> {
        let own = name_of(&self.instance, run, attempt);
        let mut name = own.clone();
        for nth in 2..=NAMES_MAX {
            match mkdirat(&self.root, name.as_str(), Mode::from_raw_mode(0o755)) {
                Ok(()) => break,
                // Of an earlier start of the same attempt, which there is only where a database was put back.
                Err(Errno::EXIST) => name = format!("{own}.{nth}"),
                Err(error) => return Err(error.into()),
            }
        }
        let group = Group::open(self.root.clone(), c_name(name)?)?;
        group.limit(limits, &self.enforced).inspect_err(|_| drop(group.remove()))?;
        Ok(group)
    }

    /// The cgroups of attempts of this database that are there, with and without processes.
    pub fn left(&self) -> Vec<LeftGroup> {
        let Ok(entries) = Dir::read_from(self.root.as_fd()) else { return Vec::new() };
        let names = entries.flatten().filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned));
        let ours = names.filter_map(|name| {
            let (run, attempt) = parse_name(&name, &self.instance)?;
            let group = Group::open(self.root.clone(), c_name(name).ok()?).ok()?;
            Some(LeftGroup { run, attempt, group })
        });
        ours.collect()
    }

    /// Leaves the delegated cgroup as it was found: the next process that is started in it must be allowed to be there,
    /// which it is not while controllers are handed on. What still runs in cgroups of attempts runs on without limits.
    pub fn leave(&self) {
        for controller in group::CONTROLLERS {
            let _ = group::write(&self.root, "cgroup.subtree_control", &format!("-{controller}"));
        }
        // Where the service manager has made the leaf, it is the one to remove it, too.
        if self.has_made_leaf {
            let _ = group::write(&self.root, "cgroup.procs", "0");
            let _ = unlinkat(&*self.root, LEAF, AtFlags::REMOVEDIR);
        }
    }
}

/// The name of an attempt's cgroup. `instance` is the database's.
pub fn name_of(instance: &str, run: RunId, attempt: i64) -> String {
    format!("{PREFIX}{run}.{attempt}-{instance}")
}

/// The run and the attempt that a cgroup's name names, if it is one of this database.
fn parse_name(name: &str, instance: &str) -> Option<(RunId, i64)> {
    let (numbers, rest) = name.strip_prefix(PREFIX)?.split_once('-')?;
    let is_ours = rest.strip_prefix(instance).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let (run, attempt) = numbers.split_once('.')?;
    is_ours.then_some((RunId(run.parse().ok()?), attempt.parse().ok()?))
}

/// Moves this process into a leaf, which is made where it is missing.
fn enter(dir: &OwnedFd, leaf: &str) -> io::Result<()> {
    // 0 is the writer.
    group::write(&made(dir, leaf)?, "cgroup.procs", "0")
}

/// Makes a cgroup, or opens the one that is there.
fn made(dir: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    match mkdirat(dir, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(openat(dir, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
}

/// Hands each controller that there is on to the cgroups of attempts. One that cannot be says why.
fn hand_on_controllers(dir: &OwnedFd) -> Enforced {
    let here = group::read(dir, "cgroup.controllers").unwrap_or_default();
    let of = |controller: &str| {
        if !here.split_ascii_whitespace().any(|known| known == controller) {
            return Some(format!(
                "the controller {controller} is not delegated here (a machine of cgroups of version 1 keeps it there)"
            ));
        }
        match group::write(dir, "cgroup.subtree_control", &format!("+{controller}")) {
            Ok(()) => None,
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                Some(format!("the controller {controller} cannot be used: other processes are in the daemon's cgroup"))
            }
            Err(error) => Some(format!("the controller {controller} cannot be used: {error}")),
        }
    };
    Enforced { no_memory: of("memory"), no_cpu: of("cpu"), no_tasks: of("pids") }
}

fn c_name(name: String) -> io::Result<CString> {
    Ok(CString::new(name)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_database_are_its_own() {
        let parse = |name: &str| parse_name(name, "k3v9x2m7q0tz");
        assert_eq!(parse("run-42.1-k3v9x2m7q0tz"), Some((RunId(42), 1)));
        assert_eq!(parse("run-42.3-k3v9x2m7q0tz.2"), Some((RunId(42), 3)));
        for other in ["run-42.1-000000000000", "run-42.1", "run-x.1-k3v9x2m7q0tz", "daemon", "run-4-k3v9x2m7q0tz"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
