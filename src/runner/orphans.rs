//! What a dead daemon left running: found by its marks, told, killed, and only then settled.
//!
//! Liveness is looked up, never guessed. Nobody is signalled but by a pidfd whose process was looked
//! at again after it was opened: a pid that was given out anew is never hit.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use async_io::{Async, Timer};
use futures_lite::future;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::process::has_exited;
use super::running::Switch;
use super::settle::{End, settle};
use super::{AFTERMATH, Context, KILL_PATIENCE, procfs};
use crate::run::{Ask, Exit, RunId};
use crate::store::LeftRun;

/// How many of a group's processes are waited for at once; the others are looked for again then.
const MEMBERS_MAX: usize = 64;
/// Between two looks for what was forked while its group was being killed.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// An attempt that a dead daemon left, with those of its processes that are known.
#[derive(Debug)]
pub struct Orphan {
    left: LeftRun,
    who: Who,
    known: HashSet<Identity>,
}

/// A process that was seen, by what no other has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Identity {
    pid: i32,
    start_ticks: i64,
}

/// By what an attempt's processes are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// Nobody is left.
    Nobody,
    /// The group of the leader that was written down.
    Group(i32),
    /// All that were started with the run's number: the daemon died before it could write.
    Tagged,
}

/// One look at all processes.
struct Snapshot(Vec<Seen>);

struct Seen {
    identity: Identity,
    group: i32,
    is_zombie: bool,
    /// Of which of this database's runs it says it is.
    tag: Option<RunId>,
}

/// A live process that cannot be mistaken.
struct Member {
    pid: i32,
    pidfd: Async<OwnedFd>,
}

/// Looks once for what is left of all these attempts.
pub fn find(left: Vec<LeftRun>, instance: &str) -> Vec<Orphan> {
    if left.is_empty() {
        return Vec::new();
    }
    let (snapshot, boot_id) = (Snapshot::take(instance), procfs::boot_id());
    left.into_iter().map(|left| Orphan::new(left, &snapshot, &boot_id)).collect()
}

impl Orphan {
    /// Whose it is.
    pub fn run(&self) -> RunId {
        self.left.run
    }

    /// Ends what is left of the attempt and settles it. Dropping the future leaves it to the next
    /// daemon.
    ///
    /// It counts as running from this call on, so that a shutdown hurries it and waits for it.
    pub fn settle(self, context: Context) -> impl Future<Output = ()> + Send {
        let switch = context.running.register(self.left.run);
        self.execute(context, switch)
    }

    async fn execute(mut self, context: Context, switch: Switch) {
        let (run, attempt) = (self.left.run, self.left.attempt);
        let hurried = async {
            switch.hurried().await;
            Timer::after(context.graces.shutdown).await;
        };
        self.end(context.world.instance(), context.graces.kill, hurried).await;
        let asked = if self.left.cancel_requested { Ask::Cancel } else { Ask::DaemonLost };
        let end = End { run, attempt, process: None, asked: Some(asked), exit: Exit::Unknown };
        settle(&context.store, &switch, end).await;
    }

    fn new(left: LeftRun, snapshot: &Snapshot, boot_id: &str) -> Orphan {
        let who = match &left.process {
            None => Who::Tagged,
            Some(mark) if mark.boot_id != boot_id => Who::Nobody,
            Some(mark) => {
                let has_pid = snapshot.0.iter().find(|seen| seen.identity.pid == mark.pid);
                let is_ours = match has_pid {
                    // Given out anew, which it is not while its group has anybody.
                    Some(seen) => seen.identity.start_ticks == mark.start_ticks,
                    None => snapshot.0.iter().any(|seen| seen.group == mark.pid && seen.tag == Some(left.run)),
                };
                if is_ours { Who::Group(mark.pid) } else { Who::Nobody }
            }
        };
        let mut orphan = Orphan { left, who, known: HashSet::new() };
        if let (Who::Group(_), Some(mark)) = (who, &orphan.left.process) {
            orphan.known.insert(Identity { pid: mark.pid, start_ticks: mark.start_ticks });
        }
        orphan.know(snapshot);
        orphan
    }

    /// SIGTERM and SIGCONT to all; SIGKILL to what is left when the leader has gone and a moment has
    /// passed, the grace is up, or it is `hurried`; at last gives up on what even that does not end.
    async fn end(&mut self, instance: &str, grace: Duration, hurried: impl Future<Output = ()>) {
        let members = self.members(&Snapshot::take(instance));
        if members.is_empty() {
            return;
        }
        log::info!("run {}: ending {} processes that a dead daemon left", self.left.run, members.len());
        signal(&members, Signal::TERM);
        signal(&members, Signal::CONT);
        let told = Instant::now();
        let grace_up = async {
            told.checked_add(grace).map_or_else(Timer::never, Timer::at).await;
        };
        let patient = async {
            if let Some(leader) = members.iter().find(|member| self.is_leader(member.pid)) {
                has_exited(&leader.pidfd).await;
            }
            future::or(all_gone(&members), async { _ = Timer::after(AFTERMATH).await }).await;
        };
        future::or(patient, future::or(grace_up, hurried)).await;
        drop(members);
        self.kill(instance).await;
    }

    /// Kills until a look finds nobody.
    async fn kill(&mut self, instance: &str) {
        let patience_up = Instant::now() + KILL_PATIENCE;
        loop {
            let members = self.members(&Snapshot::take(instance));
            if members.is_empty() {
                return;
            }
            if Instant::now() >= patience_up {
                let run = self.left.run;
                log::error!("run {run}: {} processes outlive SIGKILL; it is settled without them", members.len());
                return;
            }
            signal(&members, Signal::KILL);
            future::or(all_gone(&members), async { _ = Timer::at(patience_up).await }).await;
            Timer::after(LOOK_AGAIN).await;
        }
    }

    fn is_leader(&self, pid: i32) -> bool {
        match self.who {
            Who::Group(leader) => pid == leader,
            // Of several that carry the run's number, the one that leads a group.
            Who::Tagged => procfs::stat(pid).is_some_and(|stat| stat.group == pid),
            Who::Nobody => false,
        }
    }

    /// Opens what the snapshot shows of it, live and still the same.
    fn members(&mut self, snapshot: &Snapshot) -> Vec<Member> {
        let identities = self.know(snapshot);
        identities.into_iter().filter_map(Member::open).take(MEMBERS_MAX).collect()
    }

    /// Adds to the known what the snapshot shows of it; answers those that live.
    fn know(&mut self, snapshot: &Snapshot) -> Vec<Identity> {
        let found: Vec<&Seen> = snapshot.0.iter().filter(|seen| self.is_ours(seen, snapshot)).collect();
        self.known.extend(found.iter().map(|seen| seen.identity));
        found.iter().filter(|seen| !seen.is_zombie).map(|seen| seen.identity).collect()
    }

    fn is_ours(&self, seen: &Seen, snapshot: &Snapshot) -> bool {
        let is_tagged = seen.tag == Some(self.left.run);
        match self.who {
            Who::Nobody => false,
            Who::Tagged => is_tagged,
            // While one that is known is left, the group's number cannot have been given out anew.
            Who::Group(group) => {
                let is_known = |other: &Seen| other.group == group && self.known.contains(&other.identity);
                seen.group == group && (is_tagged || snapshot.0.iter().any(is_known))
            }
        }
    }
}

impl Snapshot {
    /// Looks at every process but our own.
    fn take(instance: &str) -> Snapshot {
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let seen = procfs::pids().into_iter().filter(|&pid| pid != own).filter_map(|pid| {
            let stat = procfs::stat(pid)?;
            let identity = Identity { pid, start_ticks: stat.start_ticks };
            let tag = tag(&procfs::environment(pid), instance);
            Some(Seen { identity, group: stat.group, is_zombie: stat.is_zombie, tag })
        });
        Snapshot(seen.collect())
    }
}

impl Member {
    /// Opens first, looks then: what is found is what was opened.
    fn open(identity: Identity) -> Option<Member> {
        let pidfd = pidfd_open(Pid::from_raw(identity.pid)?, PidfdFlags::empty()).ok()?;
        let stat = procfs::stat(identity.pid)?;
        if stat.is_zombie || stat.start_ticks != identity.start_ticks {
            return None;
        }
        Some(Member { pid: identity.pid, pidfd: Async::new_nonblocking(pidfd).ok()? })
    }
}

fn signal(members: &[Member], signal: Signal) {
    for member in members {
        // Gone meanwhile, or not ours to signal (a setuid program).
        let _ = pidfd_send_signal(member.pidfd.get_ref(), signal);
    }
}

async fn all_gone(members: &[Member]) {
    for member in members {
        has_exited(&member.pidfd).await;
    }
}

/// The run that an environment names, where it names this database too.
fn tag(environment: &[u8], instance: &str) -> Option<RunId> {
    let value = |key: &str| {
        let entries = environment.split(|&byte| byte == 0);
        entries.filter_map(|entry| entry.strip_prefix(key.as_bytes())).next_back()
    };
    if value("RUNABOUT_INSTANCE=")? != instance.as_bytes() {
        return None;
    }
    std::str::from_utf8(value("RUNABOUT_RUN_ID=")?).ok()?.parse().ok().map(RunId)
}

#[cfg(test)]
#[path = "orphans_tests.rs"]
mod tests;
