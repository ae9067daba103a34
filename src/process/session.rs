//! Finds and signals the processes of a command: all of its session, whatever groups they have made.
//!
//! A session id is not reused while its leader is unreaped or any process is left in it. Nothing here waits.

use rustix::process::{Pid, Signal, kill_process_group};

use super::identity::Identity;
use super::procfs;
use crate::run::{RunId, StopSignal};
use crate::system;

/// Every live process of these sessions, with its session id.
pub fn members_of(sessions: &[Pid]) -> impl Iterator<Item = (i32, Identity, procfs::Stat)> {
    procfs::pids().filter_map(move |pid| {
        let is_in = |session: i32| sessions.iter().any(|wanted| wanted.as_raw_nonzero().get() == session);
        if !is_in(system::session_and_group(pid).0) {
            return None;
        }
        let stat = procfs::stat(pid).filter(|stat| !stat.is_dead && is_in(stat.session))?;
        Some((stat.session, Identity { pid, start_ticks: stat.start_ticks }, stat))
    })
}

/// Those of these processes that live, with how they stand.
pub fn alive(pids: Vec<i32>) -> impl Iterator<Item = (Identity, procfs::Stat)> {
    pids.into_iter().filter_map(|pid| {
        let stat = procfs::stat(pid).filter(|stat| !stat.is_dead)?;
        Some((Identity { pid, start_ticks: stat.start_ticks }, stat))
    })
}

/// The live processes of a session.
pub fn members(session: Pid) -> Vec<Identity> {
    members_of(&[session]).map(|(_, identity, _)| identity).collect()
}

/// A signal and SIGCONT to all of a session whose leader is not reaped: to its own group in one call that no fork escapes, to
/// other groups one by one. Looked up before any signal is sent, so that what a handler starts to clean up gets none itself.
///
/// The leader comes before those it may wait for, or it would go on to its next command; but after those that are stopped: the
/// kernel sends them SIGHUP when their leader ends, and they would die of that unheard.
pub fn terminate_all(leader: Pid, signal: Signal) {
    let group = leader.as_raw_nonzero().get();
    let (mut stopped, mut others) = (Vec::new(), Vec::new());
    for (_, identity, stat) in members_of(&[leader]).filter(|(_, _, stat)| stat.group != group) {
        if stat.is_stopped { &mut stopped } else { &mut others }.push(identity);
    }
    terminate(&stopped, signal);
    signal_group(leader, signal);
    signal_group(leader, Signal::CONT);
    terminate(&others, signal);
}

/// SIGHUP to those of a session that ignore this signal, as every interactive shell does with SIGTERM: so they are told when a
/// terminal is closed.
pub fn hang_up(leader: Pid, ignored: Signal) {
    for identity in members(leader).iter().filter(|identity| procfs::ignores(identity.pid, ignored)) {
        identity.signal(&[Signal::HUP, Signal::CONT]);
    }
}

/// SIGKILL to the leader's own group in one call, and to who else is in its session. The leader is not reaped yet.
pub fn kill_all(leader: Pid) {
    signal_group(leader, Signal::KILL);
    members(leader).iter().for_each(|member| member.signal(&[Signal::KILL]));
}

/// One signal to a leader's own group.
pub fn signal_group(leader: Pid, signal: Signal) {
    // Nobody left, or not allowed (a setuid program): there is no more to be done about either.
    let _ = kill_process_group(leader, signal);
}

/// Sends each of them the signal that asks it to end, and SIGCONT in case it is stopped.
pub fn terminate(who: &[Identity], signal: Signal) {
    for identity in who {
        identity.signal(&[signal, Signal::CONT]);
    }
}

/// The signal of this name.
pub const fn signal_of(name: StopSignal) -> Signal {
    match name {
        StopSignal::Term => Signal::TERM,
        StopSignal::Int => Signal::INT,
        StopSignal::Hup => Signal::HUP,
        StopSignal::Quit => Signal::QUIT,
        StopSignal::Usr1 => Signal::USR1,
        StopSignal::Usr2 => Signal::USR2,
    }
}

/// The process, if it is alive and its environment names this run of this database, whatever session it is in.
pub fn tagged(pid: i32, run: RunId, instance: &str) -> Option<Identity> {
    let is_own = i32::try_from(std::process::id()) == Ok(pid);
    if is_own || tag(&procfs::environment(pid), instance) != Some(run) {
        return None;
    }
    let stat = procfs::stat(pid).filter(|stat| !stat.is_dead)?;
    Some(Identity { pid, start_ticks: stat.start_ticks })
}

/// The run that an environment names, if it names this database as well.
pub fn tag(environment: &[u8], instance: &str) -> Option<RunId> {
    let value = |key: &str| {
        let entries = environment.split(|&byte| byte == 0);
        entries.filter_map(|entry| entry.strip_prefix(key.as_bytes())).next_back()
    };
    if value("RUNABOUT_INSTANCE=")? != instance.as_bytes() {
        return None;
    }
    std::str::from_utf8(value("RUNABOUT_RUN_ID=")?).ok()?.parse().ok().map(RunId)
}
