//! File descriptors: who may take the last ones. Clients leave some for commands, commands leave some for those who look
//! after the daemon, and nobody takes the last of all, which the database needs.
//!
//! The kernel gives out the lowest number that is free: a new descriptor's number says how many are open at least, so that
//! nothing is counted.

use std::os::fd::{AsFd, AsRawFd as _};
use std::sync::OnceLock;

use rustix::process::{Resource, getrlimit};

/// Of all descriptors the part that clients leave to commands …
const CLIENTS_LEAVE_PART: usize = 4;
/// … at least so many, of which a small command's start takes a dozen for a moment, and at most so many: 60 commands.
const CLIENTS_LEAVE: std::ops::RangeInclusive<usize> = 32..=256;
/// What a command leaves: its own start takes two for each of its three pipes, two to hear of the exec, one to see its end.
const COMMANDS_LEAVE: usize = 16;
/// What those who look after the daemon leave.
const ADMINS_LEAVE: usize = 8;

/// Whom a descriptor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// Somebody who may be anybody.
    Client,
    /// A command that is about to be started.
    Command,
    /// root, or the daemon's own user.
    Admin,
}

/// Whether a new descriptor may be used for that; else it is to be closed again.
pub fn may_use(descriptor: impl AsFd, purpose: For) -> bool {
    static LIMIT: OnceLock<usize> = OnceLock::new();
    let limit = *LIMIT.get_or_init(|| {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    let number = usize::try_from(descriptor.as_fd().as_raw_fd()).unwrap_or(0);
    number < limit.saturating_sub(left_by(purpose, limit))
}

fn left_by(purpose: For, limit: usize) -> usize {
    match purpose {
        For::Client => (limit / CLIENTS_LEAVE_PART).clamp(*CLIENTS_LEAVE.start(), *CLIENTS_LEAVE.end()),
        For::Command => COMMANDS_LEAVE,
        For::Admin => ADMINS_LEAVE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_leave_more_than_commands_and_these_more_than_admins() {
        for limit in [64, 256, 1_024, 524_288] {
            let left = [For::Client, For::Command, For::Admin].map(|purpose| left_by(purpose, limit));
            assert!(left.windows(2).all(|pair| pair[0] > pair[1]) && left[0] < limit, "{limit}: {left:?}");
        }
        assert!(may_use(std::io::stderr(), For::Client));
    }
}
