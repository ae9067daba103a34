//! The part that a service manager has, by hand: whoever connects to `keep.sock` gets a keeper in a cgroup of its own, and with
//! the keeper all that is left in there goes.

use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::net::{Shutdown, shutdown};

use crate::cgroups::Delegated;
use crate::common::{Daemon, TempDir, binary};

/// Starts keepers until it is dropped; those that run then are left to the daemon's own end.
pub struct Manager {
    runtime: PathBuf,
    units: Arc<Mutex<Vec<PathBuf>>>,
    listener: UnixListener,
    listening: Option<JoinHandle<()>>,
    _of_daemon: Delegated,
}

impl Manager {
    /// A daemon whose service manager has keepers; `None`, with a word about it, where no cgroup can be delegated.
    pub fn with_daemon(config: &str) -> Option<(Manager, Daemon)> {
        let own = Delegated::make()?;
        let (dir, builder) = (TempDir::new(), own.daemon().config(config));
        let manager = Manager::at(dir.path(), own);
        let runtime = manager.runtime.to_str().unwrap().to_owned();
        // It is found by that.
        let daemon = builder.env("RUNTIME_DIRECTORY", &runtime).start_in(dir);
        Some((manager, daemon))
    }

    fn at(dir: &Path, own: Delegated) -> Manager {
        let (runtime, mark) = (dir.join("runtime"), dir.to_owned());
        std::fs::DirBuilder::new().mode(0o700).create(&runtime).unwrap();
        let listener = UnixListener::bind(runtime.join("keep.sock")).unwrap();
        let units = Arc::new(Mutex::new(Vec::new()));
        let (started, incoming) = (units.clone(), listener.try_clone().unwrap());
        let listening = std::thread::spawn(move || {
            // Until it is shut down.
            while let Ok((stream, _)) = incoming.accept() {
                let delegated = Delegated::make().unwrap();
                started.lock().unwrap().push(delegated.0.clone());
                let connection = OwnedFd::from(stream);
                let enter = format!("echo 0 >{}/cgroup.procs && exec \"$@\"", delegated.0.display());
                let mut unit = Command::new("sh");
                unit.args(["-c", &enter, "sh", binary(), "keep"]).env("SUITE_DIR", &mark).stdin(connection);
                let mut keeper = unit.spawn().unwrap();
                // Its copy of the connection would keep that from ever ending.
                drop(unit);
                std::thread::spawn(move || {
                    let _ = keeper.wait();
                    drop(delegated);
                });
            }
        });
        Manager { runtime, units, listener, listening: Some(listening), _of_daemon: own }
    }

    /// The cgroup of the unit that was started last; gone with its keeper.
    #[track_caller]
    pub fn newest(&self) -> Delegation {
        Delegation(self.units.lock().unwrap().last().expect("a keeper was asked for").clone())
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = shutdown(&self.listener, Shutdown::Both);
        let _ = self.listening.take().map(JoinHandle::join);
    }
}

/// The cgroup of a unit, as long as that is there.
pub struct Delegation(PathBuf);

impl Delegation {
    /// Whether its unit is there.
    pub fn is_there(&self) -> bool {
        self.0.exists()
    }

    /// Those in it.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
        let dirs = entries.filter(|entry| entry.path().is_dir());
        let mut names: Vec<String> = dirs.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// The one of a run's first attempt.
    pub fn of_run(&self, run: i64) -> Option<PathBuf> {
        let name = self.names().into_iter().find(|name| name.starts_with(&format!("run-{run}.1-")))?;
        Some(self.0.join(name))
    }

    /// The processes in one of those in it.
    pub fn pids_of(&self, name: &str) -> Vec<i32> {
        let pids = std::fs::read_to_string(self.0.join(name).join("cgroup.procs")).unwrap_or_default();
        pids.lines().filter_map(|pid| pid.parse().ok()).collect()
    }
}
