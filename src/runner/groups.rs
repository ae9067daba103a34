//! The cgroups of attempts: made before a start, removed after the end, or when what was left alone in one has ended.
//!
//! Without a delegated cgroup there is none, and attempts that ask for no limits do without.

use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_io::Async;
use rustix::fs::inotify;

use super::unstarted::Unstarted;
use crate::keep::protocol::Cgroup;
use crate::process::cgroup::{Cgroups, Group, LeftGroup};
use crate::process::is_shortage;
use crate::run::{Enforced, Limits, RunId};

/// The cgroups of this daemon's attempts; cheap to clone.
#[derive(Clone)]
pub struct Groups(Arc<Everything>);

struct Everything {
    cgroups: Option<Cgroups>,
    enforced: Arc<Enforced>,
    /// The most that an attempt gets, of each that can be enforced.
    most: Limits,
    /// Those with processes whose attempt is over.
    lingering: Mutex<Vec<Group>>,
    /// Attempts that have a keeper, which removes the cgroup where there is one.
    kept: Mutex<Vec<(RunId, i64)>>,
    /// Notices of the kernel that one of these has become empty.
    notices: Option<Async<OwnedFd>>,
}

impl Groups {
    /// Takes charge of the delegated cgroup, if there is one; else the log says why not. `most` is the most that an attempt
    /// may have. `instance` is the database's.
    pub fn take_over(instance: &str, most: &Limits) -> Groups {
        let found = Cgroups::take_over(instance);
        let enforced = match &found {
            Ok(cgroups) => cgroups.enforced().clone(),
            Err(why) => Enforced::nothing(why),
        };
        match &found {
            Ok(cgroups) => log::info!("each run has a cgroup of its own, below {}", cgroups.path().display()),
            Err(why) => log::debug!("runs have no cgroups of their own: {why}"),
        }
        let held = enforced.held(most);
        if let Some((name, why)) = enforced.refuses(most) {
            log::warn!("runs.{name}_max cannot be enforced: {why}");
        }
        let notices = found.is_ok().then(watcher).and_then(|notices| {
            notices.inspect_err(|error| log::warn!("inotify: {error}: empty cgroups are removed later")).ok()
        });
        Groups(Arc::new(Everything {
            cgroups: found.ok(),
            enforced: Arc::new(enforced),
            most: held,
            lingering: Mutex::default(),
            kept: Mutex::default(),
            notices,
        }))
    }

    /// None at all, for this reason.
    #[cfg(test)]
    pub(super) fn none(why: &str) -> Groups {
        Groups(Arc::new(Everything {
            cgroups: None,
            enforced: Arc::new(Enforced::nothing(why)),
            most: Limits::default(),
            lingering: Mutex::default(),
            kept: Mutex::default(),
            notices: None,
        }))
    }

    /// Which limits hold.
    pub fn enforced(&self) -> Arc<Enforced> {
        self.0.enforced.clone()
    }

    /// What the keeper of an attempt is told of the cgroup for its command. One that this daemon has started has it beside the
    /// daemon's own, and only for limits: while it is there, the delegated cgroup cannot be left as it was found.
    ///
    /// # Errors
    /// Why a limit that was asked for cannot be enforced, for people.
    pub(super) fn of_keeper(&self, is_beside_daemon: bool, limits: &Limits) -> Result<Option<Cgroup>, String> {
        if let Some((name, why)) = self.0.enforced.refuses(limits) {
            return Err(format!("its limit {name} cannot be enforced: {why}"));
        }
        let limits = limits.within(&self.0.most);
        if is_beside_daemon {
            if limits.is_none() {
                return Ok(None);
            }
            self.outlives().map_err(|why| format!("its limits cannot be enforced: {why}"))?;
        }
        Ok(Some(Cgroup { is_beside_daemon, limits }))
    }

    /// Whether cgroups beside the daemon's own outlive it.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn outlives(&self) -> Result<(), String> {
        match self.0.cgroups.as_ref().and_then(Cgroups::service) {
            None => Ok(()),
            Some(service) => {
                Err(format!("its cgroup would end with {service} (runabout-keep.socket gives it a unit of its own)"))
            }
        }
    }

    /// Leaves the cgroup of an attempt to its keeper, if there is one, until [`Groups::take_back`].
    pub(super) fn leave_to_keeper(&self, run: RunId, attempt: i64) {
        self.kept().push((run, attempt));
    }

    /// The cgroup of an attempt whose keeper is gone, or about to go.
    pub(super) fn take_back(&self, run: RunId, attempt: i64) -> Option<Held> {
        self.kept().retain(|kept| *kept != (run, attempt));
        let left = self.left().into_iter().find(|left| (left.run, left.attempt) == (run, attempt))?;
        Some(self.hold(left.group))
    }

    /// Makes the one of an attempt with these limits, within the most that one may have.
    ///
    /// # Errors
    /// Where a limit was asked for that cannot be enforced, or not now.
    pub(super) fn make(&self, run: RunId, attempt: i64, limits: &Limits) -> Result<Option<Held>, Unstarted> {
        if let Some((name, why)) = self.0.enforced.refuses(limits) {
            return Err(format!("its limit {name} cannot be enforced: {why}").into());
        }
        let limits = limits.within(&self.0.most);
        let Some(cgroups) = &self.0.cgroups else { return Ok(None) };
        match cgroups.make(run, attempt, &limits) {
            Ok(group) => Ok(Some(Held { groups: self.clone(), group: Some(group) })),
            Err(error) if limits.is_none() => {
                log::warn!("run {run} has no cgroup of its own: {error}");
                Ok(None)
            }
            Err(error) => {
                let why = format!("no cgroup for its limits: {error}");
                Err(Unstarted { why, is_shortage: is_shortage(&error) })
            }
        }
    }

    /// Those that are there, of attempts and otherwise, but for what keepers have.
    pub(super) fn left(&self) -> Vec<LeftGroup> {
        let kept = self.kept().clone();
        let mut left = self.all();
        left.retain(|left| !kept.contains(&(left.run, left.attempt)));
        left
    }

    fn all(&self) -> Vec<LeftGroup> {
        self.0.cgroups.as_ref().map(Cgroups::left).unwrap_or_default()
    }

    /// Removes one when it is dropped.
    pub(super) fn hold(&self, group: Group) -> Held {
        Held { groups: self.clone(), group: Some(group) }
    }

    /// Kills all that is in one of an attempt that is under way.
    pub fn kill_all(&self) {
        let lingering: Vec<String> = self.lingering().iter().map(Group::name).collect();
        for LeftGroup { group, .. } in self.left() {
            if !lingering.contains(&group.name()) {
                group.kill();
            }
        }
    }

    /// Removes those of ended attempts that become empty.
    pub async fn tend(self) {
        let Some(notices) = &self.0.notices else { return std::future::pending().await };
        loop {
            if let Err(error) = notices.readable().await {
                log::warn!("inotify: {error}: empty cgroups are removed at the next start");
                return std::future::pending().await;
            }
            // What was noticed is looked up: the notices themselves do not count.
            let _ = rustix::io::read(notices, &mut [0; 4_096]);
            self.lingering().retain(|group| group.remove().is_err());
        }
    }

    /// Leaves the delegated cgroup as it was found, once all attempts are over; not while one outlives the daemon in there,
    /// whose limits would go.
    pub fn leave(&self) {
        let is_empty_of_kept = || self.all().len() == self.left().len();
        if let Some(cgroups) = self.0.cgroups.as_ref().filter(|_| is_empty_of_kept()) {
            cgroups.leave();
        }
    }

    fn release(&self, group: Group) {
        let Err(error) = group.remove() else { return };
        if !group.is_populated() {
            log::debug!("cgroup {}: {error}", group.name());
        }
        // First the watch, then another look: it may have become empty in between.
        if let Some(notices) = &self.0.notices {
            let events = format!("/proc/self/fd/{}/cgroup.events", group.as_fd().as_raw_fd());
            if let Err(error) = inotify::add_watch(notices, events, inotify::WatchFlags::MODIFY) {
                log::debug!("cgroup {}: {error}", group.name());
            }
        }
        if group.remove().is_err() {
            self.lingering().push(group);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<(RunId, i64)>> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lingering(&self) -> MutexGuard<'_, Vec<Group>> {
        self.0.lingering.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn watcher() -> io::Result<Async<OwnedFd>> {
    let notices = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    Async::new_nonblocking(notices)
}

/// The cgroup of an attempt, which is removed when this is dropped, or when it becomes empty after that.
pub(super) struct Held {
    groups: Groups,
    group: Option<Group>,
}

impl Deref for Held {
    type Target = Group;

    fn deref(&self) -> &Group {
        self.group.as_ref().expect("it is taken by the drop alone")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            self.groups.release(group);
        }
    }
}
