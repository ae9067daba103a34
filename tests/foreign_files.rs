//! Whoever may write the state directory, as each command may that runs as the daemon's user, leads nobody else out of it:
//! links, pipes and files of others at the names in it are refused, and nothing waits for them. A daemon believes nothing
//! that stands in somebody else's directory. What needs another user is tried as root only.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{FileType, Mode, mknodat};
use rustix::process::geteuid;
use rustix::thread::{set_thread_gid, set_thread_groups, set_thread_uid};

use crate::common::{Daemon, Ended, Running, TempDir, binary};

/// A user that nobody is.
const USER: u32 = 4_711;
/// The database last: without it nobody looks for its log.
const NAMES: [&str; 4] = ["runabout.lock", "runabout.db-wal", "runabout.db-shm", "runabout.db"];

/// A state directory with a database in it, of a user of its own where this is root; and a copy beside it.
struct Place {
    dir: TempDir,
}

impl Place {
    #[track_caller]
    fn new() -> Place {
        let place = Place { dir: TempDir::new() };
        // The tests may be built where only root may look. Not copied by this process, which starts programs all the
        // time: each would have the copy open for writing for a moment, and so nobody could execute it.
        assert!(Command::new("cp").arg(binary()).arg(place.program()).status().unwrap().success());
        std::fs::set_permissions(place.dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::create_dir(place.state()).unwrap();
        std::fs::set_permissions(place.state(), PermissionsExt::from_mode(0o700)).unwrap();
        if geteuid().is_root() {
            chown(place.state(), Some(USER), Some(USER)).unwrap();
        }
        place
    }

    /// … after its daemon has run.
    #[track_caller]
    fn used() -> Place {
        let place = Place::new();
        let mut daemon = place.daemon();
        daemon.child.wait().unwrap();
        place.owned_file("secret");
        let copy = place.dir.path().join("copy.db");
        run(place.command(&["backup", copy.to_str().unwrap()])).expect(0);
        place
    }

    /// Its user's daemon, which has run one command and stops, or works until it is dropped.
    fn daemon(&self) -> Running {
        let script =
            "\"$0\" serve --listen none & until \"$0\" run -C / -- true 2>/dev/null; do sleep 0.1; done; kill $!; wait";
        let mut command = Command::new("sh");
        self.as_user(command.args(["-c", script]).arg(self.program()).env("RUNABOUT_STATE_DIR", self.state()));
        Running::start(command)
    }

    fn as_user(&self, command: &mut Command) {
        use std::os::unix::process::CommandExt as _;
        if geteuid().is_root() {
            command.uid(USER).gid(USER);
        }
    }

    fn program(&self) -> PathBuf {
        self.dir.path().join("runabout")
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn copy(&self) -> String {
        self.dir.path().join("copy.db").to_str().unwrap().to_owned()
    }

    /// The caller's own file, outside.
    fn owned_file(&self, name: &str) -> PathBuf {
        let file = self.dir.path().join(name);
        std::fs::write(&file, "not yours").unwrap();
        file
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program());
        command.args(arguments).arg("--state-dir").arg(self.state()).env_remove("RUNABOUT_STATE_DIR");
        command.stdin(Stdio::null());
        command
    }

    fn at(&self, name: &str) -> PathBuf {
        self.state().join(name)
    }

    /// Puts something else at a name; as root that is the directory's user's.
    fn replace(&self, name: &str, make: impl FnOnce(&Path)) {
        let _ = std::fs::remove_file(self.at(name));
        make(&self.at(name));
        if geteuid().is_root() {
            std::os::unix::fs::lchown(self.at(name), Some(USER), Some(USER)).unwrap();
        }
    }
}

#[track_caller]
fn run(command: Command) -> Ended {
    Running::start(command).ended()
}

fn pipe(at: &Path) {
    mknodat(rustix::fs::CWD, at, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

#[test]
fn a_link_at_any_name_leads_nobody_to_what_it_names() {
    let place = Place::used();
    let secret = place.dir.path().join("secret");
    let before = std::fs::metadata(&secret).unwrap();
    for name in NAMES {
        place.replace(name, |at| symlink(&secret, at).unwrap());
        // A daemon, as its own user, and the others as whoever calls them.
        let mut serve = place.command(&["serve", "--listen", "none"]);
        place.as_user(&mut serve);
        for command in [serve, place.command(&["doctor"]), place.command(&["backup", "-"])] {
            let done = run(command);
            let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), done.stderr);
            // Without a lock to be seen, a copy is made as beside a daemon.
            let is_copy = said.starts_with("SQLite format 3");
            assert!(is_copy || (!done.status.success() && said.contains("symbolic link")), "{name}: {done:?}");
        }
        let restored = run(place.command(&["restore", &place.copy()]));
        if name == "runabout.lock" {
            assert!(restored.expect(1).stderr.contains("symbolic link"));
            std::fs::remove_file(place.at(name)).unwrap();
        } else {
            // What is there is moved away by its name, and the copy is put in its place.
            restored.expect(0);
        }
        let after = std::fs::metadata(&secret).unwrap();
        let facts = |file: &std::fs::Metadata| (file.uid(), file.gid(), file.mode(), file.mtime_nsec(), file.len());
        assert_eq!(facts(&after), facts(&before), "{name}");
        assert_eq!(std::fs::read(&secret).unwrap(), b"not yours");
    }
}

#[test]
fn a_pipe_at_any_name_keeps_nobody_waiting() {
    let place = Place::used();
    for name in ["config.toml"].into_iter().chain(NAMES) {
        place.replace(name, pipe);
        let mut serve = place.command(&["serve", "--listen", "none"]);
        place.as_user(&mut serve);
        for command in [serve, place.command(&["doctor"])] {
            let done = run(command);
            let said = format!("{}{}", done.text(), done.stderr);
            assert!(!done.status.success() && said.contains("a pipe"), "{name}: {done:?}");
        }
        // It may succeed where neither lock nor configuration is needed for it.
        let _ = run(place.command(&["backup", "-"]));
        std::fs::remove_file(place.at(name)).unwrap();
    }
}

#[test]
fn what_root_restores_belongs_to_the_directorys_user() {
    let place = Place::used();
    std::fs::hard_link(place.at("runabout.db"), place.at("second")).unwrap();
    let said = run(place.command(&["backup", "-"])).expect(1).stderr;
    assert!(said.contains("2 names"), "{said}");
    run(place.command(&["restore", &place.copy()])).expect(0);
    let owner = std::fs::metadata(place.state()).unwrap().uid();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(place.state()).unwrap().map(Result::unwrap) {
        let file = entry.metadata().unwrap();
        assert_eq!(file.uid(), owner, "{entry:?}");
        names.push(entry.file_name().into_string().unwrap());
    }
    assert!(names.iter().any(|name| name.contains("before-restore")), "{names:?}");
    assert!(!names.iter().any(|name| name.ends_with(".part")), "{names:?}");
    // And so its daemon goes on with it.
    let mut daemon = place.daemon();
    assert!(daemon.child.wait().unwrap().success());
}

#[test]
fn a_lock_that_a_command_has_replaced_hides_no_daemon() {
    let daemon = Daemon::start();
    let lock = daemon.state_dir().join("runabout.lock");
    let cli = |arguments: &[&str]| crate::common::cli(&daemon, arguments);
    for is_made_anew in [true, false] {
        std::fs::remove_file(&lock).unwrap();
        if is_made_anew {
            std::fs::write(&lock, "pid 1, nobody\n").unwrap();
        }
        let copy = daemon.dir().join(format!("copy-{is_made_anew}.db")).to_str().unwrap().to_owned();
        let told = cli(&["--json", "backup", &copy]).expect(0).json();
        assert_eq!(told["daemon_running"], true, "{told}");
        let refused = cli(&["restore", &copy]).expect(1);
        assert!(refused.stderr.contains("held by another daemon"), "{refused:?}");
        let mut second = daemon.cli();
        second.args(["serve", "--listen", "none"]);
        let second = run(second).expect(1);
        assert!(second.stderr.contains("held by another daemon"), "{second:?}");
    }
    daemon.wait_ended(daemon.sh("true"));
}

#[test]
fn what_somebody_else_says_is_believed_by_no_daemon() {
    if !geteuid().is_root() {
        println!("skipped: only root can give a directory away");
        return;
    }
    let place = Place::new();
    let config = |owner: u32| {
        std::fs::write(place.at("config.toml"), "[access]\nsocket_role = \"admin\"\n").unwrap();
        chown(place.at("config.toml"), Some(owner), Some(owner)).unwrap();
    };
    config(USER);
    let refused = run(place.command(&["serve", "--listen", "none"])).expect(1);
    assert!(refused.stderr.contains(&format!("it belongs to uid {USER}, and the daemon is uid 0")), "{refused:?}");
    assert!(std::fs::read_dir(place.state()).unwrap().count() == 1, "it left something there");
    run(place.command(&["serve", "--check"])).expect(0);
    chown(place.state(), Some(0), Some(0)).unwrap();
    let refused = run(place.command(&["serve", "--check"])).expect(2);
    assert!(refused.stderr.contains("config.toml") && refused.stderr.contains("it belongs to uid 4711"), "{refused:?}");
    config(0);
    run(place.command(&["serve", "--check"])).expect(0);
    // A link on the way is its owner's word, too.
    let link = place.dir.path().join("link");
    symlink(place.state(), &link).unwrap();
    let check = || {
        let mut command = Command::new(binary());
        command.args(["serve", "--check", "--state-dir"]).arg(&link).env_remove("RUNABOUT_STATE_DIR");
        run(command)
    };
    check().expect(0);
    std::os::unix::fs::lchown(&link, Some(USER), Some(USER)).unwrap();
    let refused = check().expect(1);
    assert!(refused.stderr.contains("the symbolic link") && refused.stderr.contains("uid 4711"), "{refused:?}");
}

#[test]
fn somebody_who_swaps_names_all_the_time_gets_nothing_from_root() {
    if !geteuid().is_root() {
        println!("skipped: needs root and another user");
        return;
    }
    let place = Place::used();
    let secret = place.dir.path().join("secret");
    let before = std::fs::metadata(&secret).unwrap();
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Threads have users of their own; this one's is the directory's.
        scope.spawn(|| {
            set_thread_groups(&[]).unwrap();
            set_thread_gid(rustix::fs::Gid::from_raw(USER)).unwrap();
            set_thread_uid(rustix::fs::Uid::from_raw(USER)).unwrap();
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                for name in NAMES {
                    let aside = place.at("aside");
                    let _ = std::fs::rename(place.at(name), &aside);
                    let _ = symlink(&secret, place.at(name));
                    let _ = std::fs::rename(&aside, place.at(name));
                }
            }
        });
        for _ in 0..4 {
            for arguments in [vec!["restore", &place.copy()], vec!["doctor"], vec!["backup", "-"]] {
                // It may fail, in whatever way; what counts is what becomes of others' files.
                let _ = run(place.command(&arguments));
            }
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let file = std::fs::metadata(&secret).unwrap();
    assert_eq!((file.uid(), file.mode() & 0o7777), (before.uid(), before.mode() & 0o7777));
    assert_eq!(std::fs::read(&secret).unwrap(), b"not yours");
}
