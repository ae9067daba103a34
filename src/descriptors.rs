//! Reserves file descriptors: clients leave some for commands, commands leave some for administrators, and those leave the
//! last ones to the database.
//!
//! The kernel gives out the lowest free number, so that a new descriptor's number shows how many are open at least. Nothing
//! is counted.

use std::os::fd::{AsFd, AsRawFd as _};
use std::sync::OnceLock;

use rustix::process::{Resource, getrlimit};

/// Clients leave one in this many descriptors to commands, …
const CLIENTS_LEAVE_PART: usize = 4;
/// … but at least as many as the start of a small command takes for a moment (a dozen), and at most those of 60 commands.
const CLIENTS_LEAVE: std::ops::RangeInclusive<usize> = 32..=256;
/// Descriptors that a command leaves: its own start takes two for each of its three pipes, two to learn of the exec, one to
/// see its end.
const COMMANDS_LEAVE: usize = 16;
/// Descriptors that administrators leave.
const ADMINS_LEAVE: usize = 8;

/// The purpose of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// A client's connection.
    Client,
    /// A command that is about to be started.
    Command,
    /// A connection of root or of the daemon's own user.
    Admin,
}

/// Whether a new descriptor may be used for this purpose; if not, the caller closes it.
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
