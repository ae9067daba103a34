//! Names and groups of the system's accounts, from their files: a static binary has no name service.
//!
//! What cannot be read is nobody's name and nobody's group.

use std::fs::read_to_string;

/// The account's name, if it has one.
pub fn user_name(uid: u32) -> Option<String> {
    let mut fields =
        entries("/etc/passwd").into_iter().filter(|fields| fields.get(2).and_then(|id| id.parse().ok()) == Some(uid));
    fields.next()?.into_iter().next()
}

/// The number of a group, given by its name or number.
pub fn group_id(group: &str) -> Option<u32> {
    let named = entries("/etc/group").into_iter().find(|fields| fields.first().is_some_and(|name| name == group));
    named.map_or_else(|| group.parse().ok(), |fields| fields.get(2)?.parse().ok())
}

/// Whether a process of this user is in the group: by what the kernel says of the process, else by the group's entry.
///
/// The primary group, which the caller knows from the socket, is not looked at here.
pub fn is_member(pid: i32, uid: u32, gid: u32) -> bool {
    process_groups(pid, uid).is_some_and(|groups| groups.contains(&gid)) || is_listed(uid, gid)
}

/// The supplementary groups of a process, if it is still one of this user's.
fn process_groups(pid: i32, uid: u32) -> Option<Vec<u32>> {
    let status = read_to_string(format!("/proc/{pid}/status")).ok()?;
    let numbers = |label: &str| -> Option<Vec<u32>> {
        let line = status.lines().find_map(|line| line.strip_prefix(label))?;
        Some(line.split_whitespace().filter_map(|number| number.parse().ok()).collect())
    };
    // The second is the effective one, which SO_PEERCRED tells.
    (numbers("Uid:")?.get(1) == Some(&uid)).then(|| numbers("Groups:"))?
}

fn is_listed(uid: u32, gid: u32) -> bool {
    let Some(user) = user_name(uid) else { return false };
    let entry =
        entries("/etc/group").into_iter().find(|fields| fields.get(2).and_then(|id| id.parse().ok()) == Some(gid));
    entry
        .and_then(|fields| fields.into_iter().nth(3))
        .is_some_and(|members| members.split(',').any(|member| member == user))
}

fn entries(path: &str) -> Vec<Vec<String>> {
    let text = read_to_string(path).unwrap_or_default();
    text.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_by_name_and_groups_by_both() {
        assert_eq!(user_name(0).as_deref(), Some("root"));
        assert_eq!((group_id("root"), group_id("0"), group_id("no-such-group")), (Some(0), Some(0), None));
    }

    #[test]
    fn a_process_of_somebody_else_has_no_say() {
        let own = i32::try_from(std::process::id()).expect("a pid");
        assert!(process_groups(own, rustix::process::geteuid().as_raw()).is_some());
        assert_eq!(process_groups(own, 4_242_424), None);
    }
}
