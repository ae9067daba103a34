//! A file system of a test's own, small enough to be filled.
//!
//! It is mounted in a mount namespace of its own, so that nobody else sees it and nothing stays mounted; the test runs
//! once more in there. As root, or as a user where the system lets users make namespaces; elsewhere it is skipped.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::statvfs;

use super::TempDir;

/// Set in the namespace.
const MARK: &str = "SUITE_NAMESPACE";

/// Runs the test of this name (`file::function`) where it may mount.
pub fn in_namespace(test: &str, body: impl FnOnce()) {
    if std::env::var_os(MARK).is_some() {
        return body();
    }
    let can_mount = |flags: &&&str| {
        let tried = "d=$(mktemp -d) && mount -t tmpfs -o size=1m tmpfs $d && umount $d && rmdir $d";
        let mut command = Command::new("unshare");
        command.args([flags, "sh", "-c", tried]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let Some(flags) = ["-m", "-Urm"].iter().find(can_mount) else {
        eprintln!("skipped: this user may not mount a file system, nor make a namespace to do so");
        return;
    };
    let mut again = Command::new("unshare");
    again.arg(flags).arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]).env(MARK, "1");
    let done = again.output().unwrap();
    eprint!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "see above");
    assert!(String::from_utf8_lossy(&done.stdout).contains("1 passed"), "there is no test {test}");
}

/// The file system under a state directory; unmounted when it is dropped. Declare it before the daemon.
pub struct SmallDisk {
    dir: PathBuf,
    state: PathBuf,
}

impl SmallDisk {
    /// Mounts one of this size in place of the state directory of a daemon that is to be started in `dir`.
    pub fn mount(dir: &TempDir, mib: u64) -> SmallDisk {
        SmallDisk::mount_with(dir, &format!("size={mib}m"))
    }

    /// The same with other options of tmpfs(5).
    pub fn mount_with(dir: &TempDir, options: &str) -> SmallDisk {
        let state = dir.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let options = format!("{options},mode=700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&state).status();
        assert!(mounted.unwrap().success());
        SmallDisk { dir: dir.path().to_owned(), state }
    }

    /// Makes and mounts a file system of another kind in a file; `None`, with a word, where that cannot be done.
    pub fn mount_image(dir: &TempDir, kind: &str, mib: u64) -> Option<SmallDisk> {
        let (image, state) = (dir.path().join("image"), dir.path().join("state"));
        let words = "truncate -s \"${1}m\" \"$2\" && mkfs.\"$3\" -q \"$2\" && mkdir \"$4\" && mount -o loop \"$2\" \"$4\" && \
                     chmod 700 \"$4\"";
        let mut command = Command::new("sh");
        command.args(["-c", words, "sh", &mib.to_string()]).arg(&image).arg(kind).arg(&state);
        let done = command.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").output().unwrap();
        if done.status.success() {
            return Some(SmallDisk { dir: dir.path().to_owned(), state });
        }
        eprintln!("skipped on {kind}: {}", String::from_utf8_lossy(&done.stderr));
        let _ = std::fs::remove_dir(&state);
        None
    }

    /// It grows, or shrinks.
    pub fn resize(&self, mib: u64) {
        let options = format!("remount,size={mib}m");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.state).status().unwrap().success());
    }

    /// What is free.
    pub fn free_bytes(&self) -> u64 {
        let vfs = statvfs(&self.state).unwrap();
        vfs.f_bavail * vfs.f_frsize
    }

    /// Somebody else fills it, until so much is left.
    pub fn fill(&self, leave_bytes: u64) {
        let mut filler = match OpenOptions::new().create(true).append(true).open(self.filler()) {
            Ok(filler) => filler,
            // Not even a name finds room.
            Err(error) if error.kind() == ErrorKind::StorageFull => return,
            Err(error) => panic!("{error}"),
        };
        while self.free_bytes() > leave_bytes {
            let piece = vec![b'x'; (self.free_bytes() - leave_bytes).min(65_536) as usize];
            match filler.write(&piece) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Somebody else makes room again.
    pub fn make_room(&self) {
        File::create(self.filler()).unwrap();
        // Some file systems give it back with what they write next.
        let _ = rustix::fs::syncfs(File::open(&self.state).unwrap());
    }

    fn filler(&self) -> PathBuf {
        self.state.join("filler")
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.state
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.state).status();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
