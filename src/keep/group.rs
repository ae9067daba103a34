//! The cgroup of a keeper's command: limits hold in it, and an end reaches all that is in it.
//!
//! It is made in what was delegated to the keeper's own unit, or in the daemon's part where the daemon says so. The keeper
//! removes it, because no daemon may be there; what is left alone in one goes with the unit, or is the daemon's to tend.

use rustix::process::Pid;

use super::protocol::{Cgroup, Hello, Unstarted};
use crate::process::cgroup::{Cgroups, Group};
use crate::process::{Identity, is_shortage, procfs, session};
use crate::run::RunId;

/// Makes the one that the daemon asks for; `None` where there can be none and no limit needs it.
pub(super) fn make(asked: &Cgroup, own: &Hello) -> Result<Option<Group>, Unstarted> {
    let Cgroup { is_beside_daemon, limits } = asked;
    let cgroups = if *is_beside_daemon { Cgroups::of_daemon(&own.instance) } else { Cgroups::of_keeper(&own.instance) };
    let none = |why: String, is_shortage: bool| match limits.is_none() {
        true => Ok(None),
        false => Err(Unstarted { why: format!("no cgroup for its limits: {why}"), is_shortage }),
    };
    let cgroups = match cgroups {
        Ok(cgroups) => cgroups,
        Err(why) => return none(why, false),
    };
    if let Some((name, why)) = cgroups.enforced().refuses(limits) {
        return Err(Unstarted { why: format!("its limit {name} cannot be enforced: {why}"), is_shortage: false });
    }
    cgroups
        .make(RunId(own.run), own.attempt, limits)
        .map(Some)
        .or_else(|error| none(error.to_string(), is_shortage(&error)))
}

/// The live processes in it that have left their leader's session.
pub(super) fn strangers(group: Option<&Group>, leader: Pid) -> Vec<Identity> {
    let pids = group.map(Group::pids).unwrap_or_default();
    let is_stranger = |stat: &procfs::Stat| stat.session != leader.as_raw_nonzero().get();
    session::alive(pids).filter(|(_, stat)| is_stranger(stat)).map(|(identity, _)| identity).collect()
}
