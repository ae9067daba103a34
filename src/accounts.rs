//! Names and groups of the system's accounts, read from /etc/passwd and /etc/group: a static binary has no name service.
//!
//! An entry that cannot be read counts as absent.

use std::fs::{metadata, read_to_string};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

#[cfg(target_os = "linux")]
use rustix::thread::CapabilitySet;

/// The extended attribute in which Linux keeps a file's POSIX access list.
const ACCESS_LIST: &str = "system.posix_acl_access";

/// An account that commands can run as: its line of /etc/passwd and its groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its user id.
    pub uid: u32,
    /// Its primary group.
    pub gid: u32,
    /// All its groups, the primary one first.
    pub groups: Vec<u32>,
    /// Its home directory; `None` where the entry has no absolute path.
    #[serde(skip)]
    pub home: Option<PathBuf>,
    /// Its shell; /bin/sh where the entry names none, as passwd(5) says.
    pub shell: String,
}

impl Account {
    /// Finds an account by its name or, where there is no such name, by its user id.
    pub fn find(user: &str) -> Option<Account> {
        Account::find_in(&entries("/etc/passwd"), &entries("/etc/group"), user)
    }

    /// Finds an account by its user id.
    pub fn find_uid(uid: u32) -> Option<Account> {
        Account::find(&user_name(uid)?)
    }

    /// The account that `runs.user` names, if this process may run commands as that user.
    ///
    /// # Errors
    /// When there is no such account, or this process may not. The text is for people and names the key.
    #[cfg(target_os = "linux")]
    pub fn for_runs(user: &str) -> Result<Account, String> {
        let Some(account) = Account::find(user) else {
            return Err(format!(
                "runs.user: there is no user {user:?}; allowed: a user's name or number, or \"\" for the daemon's own"
            ));
        };
        let own = rustix::process::geteuid();
        if own.as_raw() == account.uid {
            return Ok(account);
        }
        // KILL, because a signal to somebody else's process needs it too.
        let needed = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::KILL;
        let may = rustix::thread::capabilities(None).is_ok_and(|own| own.effective.contains(needed));
        if own.is_root() && may {
            return Ok(account);
        }
        let who = if own.is_root() { "root without CAP_SETUID, CAP_SETGID and CAP_KILL" } else { "not root" };
        Err(format!(
            "runs.user: the daemon is {who}, so it cannot run commands as {user:?}; allowed: \"\" and its own user"
        ))
    }

    /// Whether this account may read a file, by the modes on the way to it; a POSIX access list counts as permission.
    pub fn may_read(&self, file: &Path) -> bool {
        self.may(file, 0o4)
    }

    /// Whether this account may enter a directory; judged as in [`Account::may_read`].
    pub fn may_enter(&self, dir: &Path) -> bool {
        self.may(dir, 0o1)
    }

    /// A path that cannot be examined counts as allowed.
    fn may(&self, path: &Path, bits: u32) -> bool {
        let Ok(path) = path.canonicalize() else { return true };
        let allows = |path: &Path, bits: u32| {
            let Ok(there) = metadata(path) else { return true };
            let shift = match (there.uid() == self.uid, self.groups.contains(&there.gid())) {
                (true, _) => 6,
                (false, true) => 3,
                (false, false) => 0,
            };
            there.mode() >> shift & bits == bits || rustix::fs::getxattr(path, ACCESS_LIST, &mut [0_u8; 0]).is_ok()
        };
        self.uid == 0 || (allows(&path, bits) && path.ancestors().skip(1).all(|dir| allows(dir, 0o1)))
    }

    fn find_in(passwd: &[Vec<String>], group: &[Vec<String>], user: &str) -> Option<Account> {
        let by = |field: usize| passwd.iter().find(|fields| fields.get(field).is_some_and(|text| text == user));
        let fields = by(0).or_else(|| by(2)).filter(|fields| !fields[0].is_empty())?;
        // The last number means "no change" to the kernel: setresuid(2).
        let id = |field: usize| fields.get(field)?.parse::<u32>().ok().filter(|id| *id != u32::MAX);
        let (uid, gid) = (id(2)?, id(3)?);
        let mut groups = vec![gid];
        for entry in group {
            let Some(id) = entry.get(2).and_then(|id| id.parse().ok()) else { continue };
            let is_member = entry.get(3).is_some_and(|members| members.split(',').any(|member| member == fields[0]));
            if is_member && !groups.contains(&id) {
                groups.push(id);
            }
        }
        let home = fields.get(5).map(PathBuf::from).filter(|home| home.is_absolute());
        let shell = fields.get(6).filter(|shell| !shell.is_empty()).map_or("/bin/sh", String::as_str);
        Some(Account { name: fields[0].clone(), uid, gid, groups, home, shell: shell.to_owned() })
    }
}

/// Whether a file has a POSIX access list.
#[cfg(target_os = "linux")]
pub fn has_access_list(path: &Path) -> bool {
    rustix::fs::getxattr(path, ACCESS_LIST, &mut [0_u8; 0]).is_ok()
}

/// The name of the account with this user id.
pub fn user_name(uid: u32) -> Option<String> {
    let mut fields =
        entries("/etc/passwd").into_iter().filter(|fields| fields.get(2).and_then(|id| id.parse().ok()) == Some(uid));
    fields.next()?.into_iter().next()
}

/// The id of a group that is given by its name or its id.
pub fn group_id(group: &str) -> Option<u32> {
    let named = entries("/etc/group").into_iter().find(|fields| fields.first().is_some_and(|name| name == group));
    named.map_or_else(|| group.parse().ok(), |fields| fields.get(2)?.parse().ok())
}

/// The supplementary groups of a process; `None` where it does not run as this user any more.
pub fn process_groups(pid: i32, uid: u32) -> Option<Vec<u32>> {
    let status = read_to_string(format!("/proc/{pid}/status")).ok()?;
    let numbers = |label: &str| -> Option<Vec<u32>> {
        let line = status.lines().find_map(|line| line.strip_prefix(label))?;
        Some(line.split_whitespace().filter_map(|number| number.parse().ok()).collect())
    };
    // The second is the effective one, which SO_PEERCRED tells.
    (numbers("Uid:")?.get(1) == Some(&uid)).then(|| numbers("Groups:"))?
}

/// Whether the group's entry in /etc/group lists the user.
pub fn is_listed(uid: u32, gid: u32) -> bool {
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
    fn an_account_is_found_by_name_then_by_number_with_all_its_groups() {
        let read = |text: &str| -> Vec<Vec<String>> {
            text.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect()
        };
        let passwd =
            read("+::::::\n1000:x:7:7::relative:\njob:x:1000:100:Jobs,,:/srv/job:/bin/bash\n:x:8:8::/:\nbad:x");
        let group = read("users:x:100:job\nvideo:x:44:ann,job\njobs:x:45:jobber\nx:x:44:job\nbroken:x:y:job\n+");
        let find = |user: &str| Account::find_in(&passwd, &group, user);
        let job = find("job").expect("there");
        assert_eq!((job.uid, job.gid, job.groups.as_slice()), (1000, 100, &[100, 44][..]));
        assert_eq!((job.home, job.shell.as_str()), (Some("/srv/job".into()), "/bin/bash"));
        let odd = find("1000").expect("there");
        assert_eq!((odd.name.as_str(), odd.uid, odd.home, odd.shell.as_str()), ("1000", 7, None, "/bin/sh"));
        assert_eq!(find("100").or(find("8")).or(find("")).or(find("bad")).or(find("+")), None);
    }

    #[test]
    fn what_an_account_may_is_what_its_bits_say_all_the_way_down() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = std::env::temp_dir().join(format!("runabout-may-{}", std::process::id()));
        let (dir, file) = (place.join("a"), place.join("a/key"));
        std::fs::create_dir_all(&dir).expect("a directory");
        std::fs::write(&file, "").expect("a file");
        let (own, group) = (metadata(&file).expect("there").uid(), metadata(&file).expect("there").gid());
        let account = |uid, gid| Account {
            name: "x".to_owned(),
            uid,
            gid,
            groups: vec![gid],
            home: None,
            shell: "/bin/sh".to_owned(),
        };
        let chmod = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
        };
        let (stranger, member) = (account(4_242_424, 4_242_424), account(4_242_424, group));
        chmod(&file, 0o640);
        chmod(&dir, 0o755);
        assert!(!stranger.may_read(&file) && member.may_read(&file) && stranger.may_enter(&dir));
        chmod(&file, 0o604);
        assert!(stranger.may_read(&file) && !member.may_read(&file), "a group's bits hold for its members");
        chmod(&dir, 0o700);
        assert!(!stranger.may_read(&file) && !stranger.may_enter(&dir) && account(own, 7).may_enter(&dir));
        assert!(account(0, 0).may_read(&file) && stranger.may_read(&place.join("none")));
        std::fs::remove_dir_all(place).expect("removed");
    }

    #[test]
    fn a_process_of_somebody_else_has_no_say() {
        let own = i32::try_from(std::process::id()).expect("a pid");
        assert!(process_groups(own, rustix::process::geteuid().as_raw()).is_some());
        assert_eq!(process_groups(own, 4_242_424), None);
    }
}
