//! Reads from the kernel who is at the other end of a Unix socket.
//!
//! A peer in another PID namespace, such as another container, has no process id here, but a user and groups. `rustix` fails
//! for such a peer and does not read groups.

use std::io;
use std::os::fd::AsFd;

use crate::accounts;
use crate::system::socket_option;

/// SO_PEERGROUPS of socket(7), since Linux 4.13. An older kernel answers it with an error.
const PEER_GROUPS: libc::c_int = 59;
/// The most groups that a process can have: NGROUPS_MAX of the kernel's limits.h.
const GROUPS_MAX: usize = 65_536;

/// The credentials that a peer had when it connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Its effective user id.
    pub uid: u32,
    /// Its effective group id.
    pub gid: u32,
    /// Its process id; `None` when it is in another PID namespace.
    pub pid: Option<i32>,
    /// Its supplementary groups; `None` when the kernel is too old to say.
    pub groups: Option<Vec<u32>>,
}

impl Credentials {
    /// Reads the credentials of a connected socket's peer.
    ///
    /// # Errors
    /// When it is not a connected Unix socket.
    pub fn of_peer(socket: impl AsFd) -> io::Result<Credentials> {
        let mut numbers = [0_u32; 3];
        // The kernel's `struct ucred`: pid, uid, gid.
        socket_option(&socket, libc::SO_PEERCRED, &mut numbers)?;
        let [pid, uid, gid] = numbers;
        let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0);
        Ok(Credentials { uid, gid, pid, groups: groups_of(&socket).ok() })
    }

    /// Whether the peer is in a group, according to the kernel, else to its process, else to the group's entry in
    /// /etc/group.
    pub fn is_in(&self, group: u32) -> bool {
        let has = |groups: &[u32]| groups.contains(&group);
        let by_process = || self.pid.and_then(|pid| accounts::process_groups(pid, self.uid));
        self.gid == group
            || self.groups.as_deref().map_or_else(|| by_process().is_some_and(|groups| has(&groups)), has)
            || accounts::is_listed(self.uid, group)
    }
}

fn groups_of(socket: &impl AsFd) -> io::Result<Vec<u32>> {
    let mut groups = vec![0; 32];
    let count = match socket_option(socket, PEER_GROUPS, &mut groups) {
        Err(error) if error.raw_os_error() == Some(libc::ERANGE) => {
            groups.resize(GROUPS_MAX, 0);
            socket_option(socket, PEER_GROUPS, &mut groups)?
        }
        count => count?,
    };
    groups.truncate(count);
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn the_kernel_tells_user_groups_and_process() {
        let (one, _other) = UnixStream::pair().expect("a pair");
        let peer = Credentials::of_peer(&one).expect("told");
        let own = rustix::process::getgroups().expect("groups");
        assert_eq!((peer.uid, peer.gid), (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()));
        assert_eq!(peer.pid, i32::try_from(std::process::id()).ok());
        let mut told = peer.groups.clone().expect("Linux 4.13 or newer");
        let mut own: Vec<u32> = own.into_iter().map(|group| group.as_raw()).collect();
        told.sort_unstable();
        own.sort_unstable();
        assert_eq!(told, own);
        assert!(peer.is_in(peer.gid) && !peer.is_in(4_242_424));
        assert!(Credentials::of_peer(std::fs::File::open("/").expect("opened")).is_err());
    }
}
