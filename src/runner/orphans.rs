//! Takes over the attempts that a dead daemon left running: their processes are found, terminated and killed, and only then
//! the run is settled.
//!
//! Whether a process is alive is read, never guessed. Each is checked again after its pidfd was opened and before it is
//! signalled, so that a reused pid is never hit.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use async_io::Timer;
use futures_lite::future;

use super::context::Context;
use super::graces::AFTERMATH;
use super::groups::Held;
use super::running::Switch;
use super::settle::{End, settle};
use super::{artifacts, left_behind, session};
use crate::process::cgroup::LeftGroup;
use crate::process::{Identity, procfs};
use crate::run::{Ask, Exit, Measured, RunId};
use crate::store::{LeftRun, ProcessMark};
use crate::system;
use crate::timer::{until, within};

/// An attempt that a dead daemon left, with those of its processes that are known.
struct Orphan {
    left: LeftRun,
    who: Who,
    known: HashSet<Identity>,
    /// The cgroups of the attempt that are there.
    groups: Vec<Held>,
}

/// How an attempt's processes are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// None is left.
    Nobody,
    /// They cannot be found: there is no /proc.
    Unseen,
    /// By the session of the recorded leader.
    Session(i32),
    /// By the run's id in their environment: nothing that can be compared was recorded.
    Tagged,
}

/// A process of the session, or of its leader's group.
struct Seen {
    identity: Identity,
    is_dead: bool,
    /// Whether its environment names the run.
    is_tagged: bool,
}

/// Takes over the attempts that a dead daemon left: logs what is left of each, and returns a future that settles it.
///
/// Each is ended, and its run settled. It counts as running from this call on, so that a shutdown expedites it and waits for
/// it. Dropping a future leaves its attempt to the next daemon.
pub fn take_over(left: Vec<LeftRun>, context: &Context) -> Vec<impl Future<Output = ()> + Send + use<>> {
    let mut orphans = find(left, context.environment.instance());
    for LeftGroup { run, attempt, group } in context.groups.left() {
        // Of a run that has ended: it goes when what it left behind has ended.
        let group = context.groups.hold(group);
        let of = |orphan: &&mut Orphan| (orphan.left.run, orphan.left.attempt) == (run, attempt);
        if let Some(orphan) = orphans.iter_mut().find(of) {
            orphan.groups.push(group);
        }
    }
    orphans.into_iter().map(|orphan| orphan.settle(context.clone())).collect()
}

/// Ends and settles one attempt whose keeper was killed.
pub(super) async fn end(left: LeftRun, context: Context, switch: Switch) {
    switch.ask(if left.cancel_requested { Ask::Cancel } else { Ask::DaemonLost });
    let group = context.groups.take_back(left.run, left.attempt);
    if let Some(mut orphan) = find(vec![left], context.environment.instance()).pop() {
        orphan.groups.extend(group);
        orphan.execute(context, switch).await;
    }
}

/// Searches once for what is left of all these attempts, and logs it.
fn find(left: Vec<LeftRun>, instance: &str) -> Vec<Orphan> {
    let boot_id = procfs::boot_id();
    let mut found: Vec<Orphan> = left.into_iter().map(|left| Orphan::new(left, instance, &boot_id)).collect();
    found.iter_mut().for_each(|orphan| orphan.say(instance));
    found
}

impl Orphan {
    /// Ends what is left of the attempt and settles it.
    fn settle(self, context: Context) -> impl Future<Output = ()> + Send {
        let switch = context.running.register(self.left.run);
        context.artifacts.adopt(self.left.run);
        // Asked before anybody else can: a cancel that comes later finds it decided.
        switch.ask(if self.left.cancel_requested { Ask::Cancel } else { Ask::DaemonLost });
        self.execute(context, switch)
    }

    async fn execute(mut self, context: Context, switch: Switch) {
        let (run, attempt) = (self.left.run, self.left.attempt);
        let options = self.left.options.clone();
        let stopped = async {
            switch.expedited().await;
            Timer::after(context.graces.shutdown).await;
        };
        let expedited = future::or(stopped, switch.hurried());
        let left = self.end(context.environment.instance(), context.graces.kill, expedited).await;
        left_behind::tell(&context, run, &left, left_behind::end_by(&options)).await;
        drop(self);
        let (asked, measured) = (switch.asked_now(), Measured::default());
        let end = End { run, attempt, process: None, asked, exit: Exit::Unknown, measured };
        artifacts::keep(&context, &switch, run).await;
        settle(&context.store, &switch, end).await;
    }

    fn new(left: LeftRun, instance: &str, boot_id: &str) -> Orphan {
        let run = left.run;
        let mut orphan = Orphan { left, who: Who::Tagged, known: HashSet::new(), groups: Vec::new() };
        if !procfs::is_there() {
            orphan.who = Who::Unseen;
        } else if let Some(mark) = orphan.left.process.clone().filter(ProcessMark::is_known) {
            orphan.who = Who::Nobody;
            let leader = (mark.boot_id == boot_id).then(|| Seen::look(mark.pid, run, instance));
            let is_ours = match leader {
                None => false,
                // A pid that was given out anew has another start, and another environment. By that one also, because
                // another time namespace counts another start where the kernel does not say by how much.
                Some(Some(seen)) => seen.identity.start_ticks == mark.start_ticks || seen.is_tagged,
                // Not given out anew while its session has anybody.
                Some(None) => Seen::of_session(mark.pid, run, instance).any(|seen| seen.is_tagged),
            };
            if is_ours {
                orphan.who = Who::Session(mark.pid);
                orphan.known.insert(Identity { pid: mark.pid, start_ticks: mark.start_ticks });
            }
        }
        orphan
    }

    /// Logs what is left, that nothing is, or that it cannot be found out.
    fn say(&mut self, instance: &str) {
        let run = self.left.run;
        let pids: Vec<String> = self.look(instance).iter().map(|identity| identity.pid.to_string()).collect();
        match (self.who, &self.left.process) {
            (Who::Unseen, Some(mark)) => log::warn!(
                "run {run} was running when a daemon died; without /proc nobody can tell whether its process {} still \
                 runs, and it is left alone",
                mark.pid
            ),
            (Who::Unseen, None) => log::warn!(
                "run {run} was running when a daemon died; without /proc nobody can tell what of it still runs, and that \
                 is left alone"
            ),
            _ if pids.is_empty() => log::warn!("run {run} was running when a daemon died; nothing of it is left"),
            _ => log::warn!("run {run} was left running by a daemon that died; ended are: {}", pids.join(", ")),
        }
    }

    /// Its signal and SIGCONT to all; SIGKILL to what is left when the leader has gone and a moment has
    /// passed, the grace is up, or it is `expedited`; returns the processes that outlive even that.
    async fn end(&mut self, instance: &str, grace: Duration, expedited: impl Future<Output = ()>) -> Vec<Identity> {
        let members = self.look(instance);
        if members.is_empty() {
            return members;
        }
        session::terminate(&members, session::signal_of(self.left.options.stop_signal));
        let grace_up = Instant::now().checked_add(grace);
        let patient = async {
            let leaders: Vec<Identity> = members.iter().copied().filter(|member| self.is_leader(member.pid)).collect();
            session::gone(&leaders).await;
            let _ = within(AFTERMATH, session::gone(&members)).await;
        };
        let _ = until(grace_up, future::or(patient, expedited)).await;
        self.groups.iter().for_each(|group| group.kill());
        session::kill(self.left.run, || self.look(instance)).await
    }

    fn is_leader(&self, pid: i32) -> bool {
        match self.who {
            Who::Session(leader) => pid == leader,
            // Of several that carry the run's number, the one that leads a group.
            Who::Tagged => procfs::stat(pid).is_some_and(|stat| stat.group == pid),
            Who::Nobody | Who::Unseen => false,
        }
    }

    /// Its live processes; they are known from then on.
    fn look(&mut self, instance: &str) -> Vec<Identity> {
        let run = self.left.run;
        let seen: Vec<Seen> = match self.who {
            Who::Nobody | Who::Unseen => Vec::new(),
            Who::Tagged => {
                let found = procfs::pids().filter_map(|pid| session::tagged(pid, run, instance));
                found.map(|identity| Seen { identity, is_dead: false, is_tagged: true }).collect()
            }
            Who::Session(session) => Seen::of_session(session, run, instance).collect(),
        };
        let held = session::alive(self.groups.iter().flat_map(|group| group.pids()).collect());
        let held: Vec<Identity> = held.map(|(identity, _)| identity).collect();
        // While one of it is left that is known, or says whose it is, the session's number was not given out anew.
        if !seen.iter().any(|seen| seen.is_tagged || self.known.contains(&seen.identity)) {
            return held;
        }
        self.known.extend(seen.iter().map(|seen| seen.identity));
        let of_session = seen.iter().filter(|seen| !seen.is_dead).map(|seen| seen.identity);
        let of_session: Vec<Identity> = of_session.filter(|identity| !held.contains(identity)).collect();
        held.into_iter().chain(of_session).collect()
    }
}

impl Seen {
    fn look(pid: i32, run: RunId, instance: &str) -> Option<Seen> {
        let stat = procfs::stat(pid)?;
        let is_tagged = session::tag(&procfs::environment(pid), instance) == Some(run);
        let identity = Identity { pid, start_ticks: stat.start_ticks };
        Some(Seen { identity, is_dead: stat.is_dead, is_tagged })
    }

    /// All processes of a session, dead ones too; and of the group of that id, which is all that an older version made.
    fn of_session(session: i32, run: RunId, instance: &str) -> impl Iterator<Item = Seen> {
        let is_in = move |pid: i32| {
            let of = system::session_and_group(pid);
            of.0 == session || of.1 == session
        };
        procfs::pids().filter(move |&pid| is_in(pid)).filter_map(move |pid| Seen::look(pid, run, instance))
    }
}

#[cfg(test)]
#[path = "orphans_tests.rs"]
mod tests;
