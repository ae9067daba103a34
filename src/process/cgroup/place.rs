//! Finds the cgroup (version 2) that this process is in, and whether what lies below it was delegated to us.
//!
//! It only looks. A cgroup that nobody delegated belongs to the service manager, whatever its permissions are: making or
//! moving anything in it would break what that one knows.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, fgetxattr, fstat, fstatfs, openat};
use rustix::io::Errno;
use rustix::process::geteuid;

/// What a file system of cgroups of version 2 answers to statfs (`CGROUP2_SUPER_MAGIC` in <linux/magic.h>).
const CGROUP2_MAGIC: u64 = 0x6367_7270;
/// By which a service manager marks what it delegates, readable for everybody …
const DELEGATED_USER: &str = "user.delegate";
/// … and, on older systems, for root alone.
const DELEGATED_TRUSTED: &str = "trusted.delegate";
/// The cgroup of the daemon itself, below the delegated one, also where systemd makes it (`DelegateSubgroup=`).
pub(super) const LEAF: &str = "daemon";

/// A delegated cgroup.
#[derive(Debug)]
pub(super) struct Place {
    pub dir: OwnedFd,
    pub path: PathBuf,
    /// Whether we are in its [`LEAF`] already.
    pub in_leaf: bool,
}

/// Finds the delegated cgroup that we are in.
///
/// # Errors
/// Why there is none, for people.
pub(super) fn find() -> Result<Place, String> {
    let own = fs::read_to_string("/proc/self/cgroup").map_err(|error| format!("/proc/self/cgroup: {error}"))?;
    let mounts =
        fs::read_to_string("/proc/self/mountinfo").map_err(|error| format!("/proc/self/mountinfo: {error}"))?;
    let own = own_path(&own).ok_or("this system has no cgroups of version 2")?;
    let Mounted { path, is_read_only } = mounted(&mounts, own)?;
    let dir = open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let leaf_of = (path.file_name() == Some(LEAF.as_ref())).then(|| path.parent()).flatten();
    let place = if is_delegated(&dir, &path) {
        Place { dir, path, in_leaf: false }
    } else {
        let above = leaf_of.and_then(|above| Some((open(above).ok()?, above)));
        match above.filter(|(dir, above)| is_delegated(dir, above)) {
            Some((dir, above)) => Place { dir, path: above.to_path_buf(), in_leaf: true },
            None => return Err(format!("the cgroup {} is not delegated", path.display())),
        }
    };
    if is_read_only {
        return Err(format!("the cgroup {} is mounted read-only", place.path.display()));
    }
    Ok(place)
}

/// The service of a service manager that a cgroup is in. The manager of a person is above those that it has.
pub(super) fn service_of(path: &Path) -> Option<String> {
    let steps = path.iter().filter_map(|step| step.to_str());
    let mut services = steps.filter(|step| step.ends_with(".service") && !step.starts_with("user@"));
    services.next_back().map(str::to_owned)
}

/// A directory of cgroups of version 2, whatever else may be mounted there.
fn open(path: &Path) -> io::Result<OwnedFd> {
    let dir =
        openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    if fstatfs(&dir)?.f_type as u64 != CGROUP2_MAGIC {
        return Err(io::Error::other("no cgroup of version 2"));
    }
    Ok(dir)
}

/// Whether it is marked as delegated; or is ours while the one above it is not, which is how it is done by hand. A user's
/// own service manager owns all of its cgroups, so that its ownership alone says nothing.
fn is_delegated(dir: impl AsFd, path: &Path) -> bool {
    if [DELEGATED_USER, DELEGATED_TRUSTED].iter().any(|name| is_marked(&dir, name)) {
        return true;
    }
    let own = geteuid();
    let is_ours = |dir: &OwnedFd, name: &str| {
        let file = openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        file.and_then(|file| fstat(&file)).is_ok_and(|stat| stat.st_uid == own.as_raw())
    };
    let here = openat(&dir, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let above = path.parent().and_then(|above| open(above).ok());
    match (own.is_root(), here, above) {
        (false, Ok(here), Some(above)) => {
            is_ours(&here, "cgroup.procs")
                && is_ours(&here, "cgroup.subtree_control")
                && !is_ours(&above, "cgroup.procs")
        }
        _ => false,
    }
}

fn is_marked(dir: impl AsFd, name: &str) -> bool {
    let mut value = [0; 8];
    match fgetxattr(dir, name, &mut value) {
        Ok(length) => &value[..length] == b"1",
        Err(Errno::NODATA | Errno::NOTSUP | Errno::PERM) => false,
        Err(_) => false,
    }
}

/// Our cgroup of version 2, as its namespace has it.
fn own_path(cgroups: &str) -> Option<&str> {
    cgroups.lines().find_map(|line| line.strip_prefix("0::"))
}

#[derive(Debug, PartialEq, Eq)]
struct Mounted {
    path: PathBuf,
    is_read_only: bool,
}

/// Where this cgroup can be reached.
fn mounted(mountinfo: &str, own: &str) -> Result<Mounted, String> {
    let mut is_mounted = false;
    for line in mountinfo.lines() {
        let Some((mount, kind)) = line.split_once(" - ") else { continue };
        let fields: Vec<&str> = mount.split(' ').collect();
        let (Some("cgroup2"), &[_, _, _, root, point, options, ..]) = (kind.split(' ').next(), fields.as_slice())
        else {
            continue;
        };
        is_mounted = true;
        let Ok(below) = Path::new(own).strip_prefix(unescaped(root)) else { continue };
        let is_read_only = options.split(',').any(|option| option == "ro");
        // Where nothing is below, a separator would be left at the end.
        let point = PathBuf::from(unescaped(point));
        let path = if below.as_os_str().is_empty() { point } else { point.join(below) };
        return Ok(Mounted { path, is_read_only });
    }
    Err(match is_mounted {
        true => format!("the cgroup {own} is not below what is mounted here"),
        false => "no file system of cgroups of version 2 is mounted".to_owned(),
    })
}

/// A path of mountinfo, where space, tab, newline and backslash stand as three octal digits (proc_pid_mountinfo(5)).
fn unescaped(path: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(path.to_owned(), |path, (code, character)| path.replace(code, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 24 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:5 - cgroup2 cgroup2 rw,nsdelegate
32 30 0:28 / /sys/fs/cgroup/memory rw,nosuid shared:6 - cgroup cgroup rw,memory
";

    #[test]
    fn a_cgroup_is_found_where_it_is_mounted() {
        let at = |text: &str, own: &str| mounted(text, own).map(|found| (found.path, found.is_read_only));
        let found = at(HYBRID, "/system.slice/a b.service");
        assert_eq!(found, Ok(("/sys/fs/cgroup/unified/system.slice/a b.service".into(), false)));
        let inner = "40 30 0:27 /docker/abc /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n";
        assert_eq!(at(inner, "/docker/abc"), Ok(("/sys/fs/cgroup".into(), true)));
        assert_eq!(at(inner, "/docker/abc/x"), Ok(("/sys/fs/cgroup/x".into(), true)));
        assert!(at(inner, "/elsewhere").is_err_and(|why| why.contains("/elsewhere")));
        let spaced = "40 30 0:27 / /mnt/a\\040b rw - cgroup2 cgroup rw\n";
        assert_eq!(at(spaced, "/"), Ok(("/mnt/a b".into(), false)));
        assert!(at("30 24 0:26 / /sys rw - sysfs sysfs rw\n", "/").is_err_and(|why| why.contains("mounted")));
    }

    #[test]
    fn a_service_is_told_from_a_scope_and_from_the_manager_above_it() {
        let of = |path: &str| service_of(Path::new(path));
        assert_eq!(of("/sys/fs/cgroup/system.slice/mine.service"), Some("mine.service".to_owned()));
        let persons = "/sys/fs/cgroup/user.slice/user-7.slice/user@7.service/app.slice/";
        assert_eq!(of(&format!("{persons}a.service")), Some("a.service".to_owned()));
        assert_eq!((of(&format!("{persons}run-1.scope")), of("/sys/fs/cgroup")), (None, None));
    }

    #[test]
    fn our_own_cgroup_is_the_one_of_version_2() {
        assert_eq!(own_path("4:memory:/a\n1:name=systemd:/b\n0::/c/d.service\n"), Some("/c/d.service"));
        assert_eq!(own_path("4:memory:/a\n"), None);
    }
}
