//! What commands leave in `$RUNABOUT_ARTIFACTS`: a directory for each running command, and one for each run that left
//! something.
//!
//! All of it is in `artifacts/` in the state directory. To make and remove a directory costs a fifth of what a run that does
//! nothing costs in all, so that one that was left empty is given to the next run: such a run writes nothing. What a run left
//! is renamed to its number, by which a process that outlives it finds it no more.
//!
//! Whoever runs as the commands' user writes there: no name is followed that could lead elsewhere, only regular files with one
//! name are read, and nothing is waited for. Whatever reads or removes many files does so on a thread that comes and goes.

mod keep;
mod passage;
mod remove;
mod seen;
mod walk;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::fs::{AtFlags, Mode, chownat, mkdirat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid};
use smol::lock::Semaphore;

pub use self::keep::{Kept, Limits};
use self::seen::Seen;
pub use self::walk::is_name;
use crate::accounts::Account;
use crate::clock::UnixMs;
use crate::dir::Dir;
use crate::numbers::RunId;
use crate::run::Artifact;

/// The name of the directory in the state directory.
pub const ARTIFACTS: &str = "artifacts";
/// What the directory of a running command is called, before its number.
const WORK: &str = "work-";
/// That of one that outlives the daemon, before its run's number: the next daemon has to know it.
const LASTING: &str = "lasting-";
/// What is to be removed is called so, before a number.
const GONE: &str = "gone-";
/// Empty directories that wait for the next runs: as many as there are commonly slots.
const FREE_MAX: usize = 64;
/// Runs whose files are read or removed at a time. The others wait for their turn.
const AT_ONCE: usize = 2;

/// Reaches all directories; cheap to clone.
#[derive(Clone)]
pub struct Artifacts(Option<Arc<Site>>);

/// Where they are, or will be when the first command starts: a disk that is full at the start is no reason to be without.
struct Site {
    state_dir: Arc<Dir>,
    /// The user whose commands write there, where that is not the daemon's.
    account: Option<Account>,
    limits: Limits,
    parts: OnceLock<Arc<Parts>>,
    is_told: AtomicBool,
}

struct Parts {
    dir: Dir,
    account: Option<Account>,
    limits: Limits,
    places: Mutex<Places>,
    turns: Semaphore,
    /// Set when what is under way is to be brief.
    hurry: AtomicBool,
}

/// Who has which directory.
#[derive(Default)]
struct Places {
    free: Vec<u64>,
    /// The last number that was given out.
    last: u64,
    of: HashMap<RunId, Place>,
    /// How those that are given from run to run were when they were last looked into, and empty.
    empty: HashMap<Place, Seen>,
}

/// The directory of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    /// One that goes on to the next run where it was left empty.
    Shared(u64),
    /// One of its own, which outlives the daemon.
    Lasting(RunId),
}

impl Place {
    fn name(self) -> String {
        match self {
            Place::Shared(number) => work(number),
            Place::Lasting(run) => format!("{LASTING}{run}"),
        }
    }
}

/// The directory of a command that has ended and left something in it.
pub struct LeftIn(Place);

impl Artifacts {
    /// Those of a state directory. `account` is whom commands run as.
    pub fn of(state_dir: Arc<Dir>, account: Option<&Account>, limits: Limits) -> Artifacts {
        if limits.bytes_per_run == 0 {
            return Artifacts(None);
        }
        let own = geteuid().as_raw();
        let account = account.filter(|account| account.uid != own).cloned();
        Artifacts(Some(Arc::new(Site { state_dir, account, limits, parts: OnceLock::new(), is_told: false.into() })))
    }

    /// Gives a command its directory, which is empty; `None` where commands get none. `lasts`: the command outlives the daemon.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn begin(&self, run: RunId, lasts: bool) -> io::Result<Option<PathBuf>> {
        let Some(site) = &self.0 else { return Ok(None) };
        let parts = match site.parts(true) {
            Ok(parts) => parts,
            Err(Closed::Lacking(error)) => return Err(error),
            Err(Closed::Unusable(why)) => {
                if !site.is_told.swap(true, Ordering::Relaxed) {
                    let path = site.state_dir.path().join(ARTIFACTS);
                    log::warn!("{}: commands get no RUNABOUT_ARTIFACTS: {why}", path.display());
                }
                return Ok(None);
            }
        };
        let mut places = parts.places();
        let place = if lasts { parts.make_lasting(run, &mut places)? } else { parts.shared(&mut places)? };
        places.of.insert(run, place);
        Ok(Some(parts.dir.path().join(place.name())))
    }

    /// Knows again the directory of a command that has outlived the daemon before.
    pub fn adopt(&self, run: RunId) {
        let Some(parts) = self.parts() else { return };
        if walk::enter(parts.dir.as_fd(), Place::Lasting(run).name().as_ref()).is_ok() {
            parts.places().of.insert(run, Place::Lasting(run));
        }
    }

    fn parts(&self) -> Option<Arc<Parts>> {
        self.0.as_ref()?.parts(false).ok()
    }

    /// Takes the directory back after the command's end. An empty one waits for the next run.
    pub fn end(&self, run: RunId) -> Option<LeftIn> {
        let parts = self.parts()?;
        let mut places = parts.places();
        let place = places.of.remove(&run)?;
        if !parts.is_usable(place, &mut places) {
            return Some(LeftIn(place));
        }
        match place {
            Place::Shared(number) if places.free.len() < FREE_MAX => places.free.push(number),
            _ => {
                places.empty.remove(&place);
                let _ = unlinkat(&parts.dir, place.name(), AtFlags::REMOVEDIR);
            }
        }
        None
    }

    /// Keeps what a command left under its run's number, in the place of what an earlier attempt left: hashes the files, and
    /// removes what is no artifact. `bytes_max` is what all may have together.
    pub async fn keep(&self, run: RunId, left: LeftIn, bytes_max: u64) -> Kept {
        let Some(parts) = self.parts() else { return Kept::default() };
        let _turn = parts.turns.acquire().await;
        let own = parts.clone();
        smol::unblock(move || own.keep(run, left.0, bytes_max)).await
    }

    /// What a running command has in its directory now, by name and without hashes.
    pub async fn look(&self, run: RunId) -> Vec<Artifact> {
        let Some(parts) = self.parts() else { return Vec::new() };
        let _turn = parts.turns.acquire().await;
        let own = parts.clone();
        smol::unblock(move || own.look(run)).await
    }

    /// Opens an artifact: of a running command what it has there now, else what the run left.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is no such file; and when it is not one that may be read.
    pub async fn read(&self, run: RunId, name: String) -> io::Result<File> {
        let Some(parts) = self.parts() else { return Err(ErrorKind::NotFound.into()) };
        smol::unblock(move || walk::open_file(parts.dir_of(run)?.as_fd(), &name, parts.owner(run))).await
    }

    /// Removes what a run left, if it left anything.
    pub async fn remove(&self, run: RunId) {
        let Some(parts) = self.parts() else { return };
        let _turn = parts.turns.acquire().await;
        let own = parts.clone();
        smol::unblock(move || own.discard(&run.to_string())).await;
    }

    /// The runs that have a directory of their own, at the start; and removes what a dead daemon left behind besides.
    pub async fn recover(&self) -> Vec<RunId> {
        let Some(parts) = self.parts() else { return Vec::new() };
        let (runs, left) = parts.found();
        if !left.is_empty() {
            smol::unblock(move || parts.clear(&left)).await;
        }
        runs
    }

    /// Lets what is under way end soon: files are no longer hashed.
    pub fn hurry(&self) {
        if let Some(parts) = self.parts() {
            parts.hurry.store(true, Ordering::Relaxed);
        }
    }
}

/// Why there is no directory.
enum Closed {
    /// Something is wanting that may come back.
    Lacking(io::Error),
    /// It cannot be used as it is, and why.
    Unusable(String),
}

impl From<io::Error> for Closed {
    fn from(error: io::Error) -> Closed {
        Closed::Lacking(error)
    }
}

impl Site {
    fn parts(&self, make: bool) -> Result<Arc<Parts>, Closed> {
        if let Some(parts) = self.parts.get() {
            return Ok(parts.clone());
        }
        let own = geteuid().as_raw();
        let dir = match self.state_dir.enter(ARTIFACTS) {
            Err(error) if make && error.kind() == ErrorKind::NotFound => self.state_dir.make_private(ARTIFACTS)?,
            found => found.map_err(|error| match error.raw_os_error() {
                Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOENT) => Closed::Lacking(error),
                _ => Closed::Unusable(error.to_string()),
            })?,
        };
        if dir.uid() != own {
            let why = format!("it belongs to uid {}: remove it, or chown it to uid {own}", dir.uid());
            return Err(Closed::Unusable(why));
        }
        if let Some(account) = &self.account {
            for dir in [&*self.state_dir, &dir] {
                passage::open(dir, account).map_err(|error| Closed::Unusable(error.to_string()))?;
            }
        }
        let parts = Arc::new(Parts {
            dir,
            account: self.account.clone(),
            limits: self.limits,
            // Numbers of a daemon that died are not met again.
            places: Mutex::new(Places { last: UnixMs::now().0.unsigned_abs(), ..Places::default() }),
            turns: Semaphore::new(AT_ONCE),
            hurry: AtomicBool::new(false),
        });
        Ok(self.parts.get_or_init(|| parts).clone())
    }
}

impl Drop for Parts {
    /// Removes the directories that wait for runs: no more come.
    fn drop(&mut self) {
        let free = std::mem::take(&mut self.places().free);
        for place in free {
            let _ = unlinkat(&self.dir, work(place), AtFlags::REMOVEDIR);
        }
    }
}

impl Parts {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An empty directory, which is there or is made.
    fn shared(&self, places: &mut Places) -> io::Result<Place> {
        if let Some(place) = places.free.pop().map(Place::Shared).filter(|place| self.is_usable(*place, places)) {
            return Ok(place);
        }
        places.last += 1;
        let place = Place::Shared(places.last);
        self.make(&place.name())?;
        Ok(place)
    }

    fn make_lasting(&self, run: RunId, places: &mut Places) -> io::Result<Place> {
        let place = Place::Lasting(run);
        // What an attempt of before may have left goes at the next start.
        places.last += 1;
        match renameat(&self.dir, place.name(), &self.dir, format!("{GONE}{}", places.last)) {
            Err(Errno::NOENT) => {}
            other => other?,
        }
        self.make(&place.name())?;
        Ok(place)
    }

    /// Makes a directory that the command may write.
    fn make(&self, name: &str) -> io::Result<()> {
        mkdirat(&self.dir, name, Mode::RWXU)?;
        if let Some(Account { uid, gid, .. }) = self.account {
            // In a directory that is ours alone the name is still what was just made.
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            if let Err(error) = chownat(&self.dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW) {
                let _ = unlinkat(&self.dir, name, AtFlags::REMOVEDIR);
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Whether a command's directory is as it was made: empty, and its owner's alone.
    fn is_usable(&self, place: Place, places: &mut Places) -> bool {
        let mut seen = places.empty.remove(&place);
        let is_usable = seen::is_as_made(self.dir.as_fd(), &place.name(), self.work_uid(), &mut seen);
        if let (Place::Shared(_), Some(seen)) = (place, seen) {
            places.empty.insert(place, seen);
        }
        is_usable
    }

    fn work_uid(&self) -> u32 {
        self.account.as_ref().map_or_else(|| geteuid().as_raw(), |account| account.uid)
    }

    /// The only user whose files are read: what another owns was put there by a link, and commands of the daemon's own user
    /// could read that themselves.
    fn files_of(&self) -> Option<u32> {
        self.account.as_ref().map(|account| account.uid)
    }

    /// Whose files are read of this run: once it has ended they are the daemon's own.
    fn owner(&self, run: RunId) -> Option<u32> {
        self.files_of().filter(|_| self.places().of.contains_key(&run))
    }

    fn dir_of(&self, run: RunId) -> io::Result<OwnedFd> {
        let place = self.places().of.get(&run).copied();
        walk::enter(self.dir.as_fd(), place.map_or_else(|| run.to_string(), Place::name).as_ref())
    }

    fn look(&self, run: RunId) -> Vec<Artifact> {
        self.dir_of(run).map_or_else(|_| Vec::new(), |dir| keep::look(dir.as_fd(), self.files_of()))
    }

    fn keep(&self, run: RunId, place: Place, bytes_max: u64) -> Kept {
        let name = run.to_string();
        self.discard(&name);
        if let Err(error) = renameat(&self.dir, place.name(), &self.dir, &name) {
            log::error!("what run {run} left cannot be kept: {error}");
            self.discard(&place.name());
            return Kept::default();
        }
        let limits = Limits { bytes_per_run: self.limits.bytes_per_run.min(bytes_max) };
        let discard = |from: BorrowedFd<'_>, name: &OsStr| self.discard_from(from, name);
        let kept =
            self.enter_own(&name).map(|dir| keep::keep(dir.as_fd(), &discard, self.files_of(), limits, &self.hurry));
        let kept = kept.unwrap_or_else(|error| {
            log::error!("what run {run} left cannot be read: {error}");
            Kept::default()
        });
        if kept.artifacts.is_empty() {
            self.discard(&name);
        } else if let Err(error) = self.dir.sync() {
            log::warn!("what run {run} left may not be on the medium: {error}");
        }
        kept
    }

    fn enter_own(&self, name: &str) -> io::Result<OwnedFd> {
        let dir = walk::enter(self.dir.as_fd(), name.as_ref())?;
        keep::seal(dir.as_fd(), self.files_of().is_some())?;
        Ok(dir)
    }

    /// Removes something of that name, whatever it is.
    fn discard(&self, name: &str) {
        self.discard_from(self.dir.as_fd(), name.as_ref());
    }

    fn discard_from(&self, from: BorrowedFd<'_>, name: &OsStr) {
        let gone = {
            let mut places = self.places();
            places.last += 1;
            format!("{GONE}{}", places.last)
        };
        match renameat(from, name, &self.dir, &gone) {
            Err(Errno::NOENT) => return,
            Err(error) => return log::warn!("an artifact's directory cannot be removed: {error}"),
            Ok(()) => {}
        }
        if let Err(error) = remove::tree(self.dir.as_fd(), &gone) {
            log::warn!("{}: {error}; it is tried again at the next start", self.dir.path().join(gone).display());
        }
    }

    /// The numbers that directories have, and the names of what is to be removed. Empty ones are removed at once.
    fn found(&self) -> (Vec<RunId>, Vec<String>) {
        let (mut runs, mut left) = (Vec::new(), Vec::new());
        for name in walk::names(self.dir.as_fd(), usize::MAX).unwrap_or_default() {
            let Some(name) = name.to_str().map(str::to_owned) else { continue };
            let number = |prefix: &str| name.strip_prefix(prefix).and_then(|number| number.parse::<u64>().ok());
            let run = |number: u64| RunId(i64::try_from(number).unwrap_or(0));
            let place = number(WORK).map(Place::Shared).or_else(|| Some(Place::Lasting(run(number(LASTING)?))));
            match (place, number(GONE), number("")) {
                (Some(place), ..) if self.is_taken(place) => {}
                (Some(_), ..) | (_, Some(_), _) if unlinkat(&self.dir, &name, AtFlags::REMOVEDIR).is_err() => {
                    left.push(name);
                }
                (Some(_), ..) | (_, Some(_), _) => {}
                (_, _, Some(number)) => runs.push(run(number)),
                _ => {}
            }
        }
        (runs, left)
    }

    fn clear(&self, left: &[String]) {
        for name in left {
            if let Err(error) = remove::tree(self.dir.as_fd(), name) {
                log::warn!("{}: it cannot be removed: {error}", self.dir.path().join(name).display());
            }
        }
    }

    /// Whether this daemon has given out the directory, or keeps it for the next run.
    fn is_taken(&self, place: Place) -> bool {
        let places = self.places();
        places.free.iter().any(|free| Place::Shared(*free) == place) || places.of.values().any(|of| *of == place)
    }
}

fn work(place: u64) -> String {
    format!("{WORK}{place}")
}
