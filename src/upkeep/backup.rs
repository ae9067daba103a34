//! `backup`: copies one state of the database into a file, also while the daemon works.
//!
//! The daemon is not involved: other processes may read its database. A copy gets its name once it is complete, checked and
//! flushed.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FileType;
use serde_json::json;

use super::files::{Interrupts, NewFile, count, size};
use super::place;
use crate::artifacts::ARTIFACTS;
use crate::cli::args::{BackupOptions, Global};
use crate::cli::print;
use crate::client::failure::Failure;
use crate::dir::{Dir, FileAt, NameTaken};
use crate::holder;
use crate::state_dir::{CONFIG, DATABASE};
use crate::state_lock::held_by;
use crate::store::OpenError;
use crate::store::beside::{CopyError, Health, ReadOnlyDatabase, Summary};
use crate::text::printable;

/// 128 + SIGINT.
const INTERRUPTED: u8 = 130;

/// Makes the copy and prints what it holds.
pub fn backup(global: &Global, options: &BackupOptions) -> Result<u8, Failure> {
    let path = place::chosen(global)?;
    let to_stdout = options.file == Path::new("-");
    if to_stdout && io::stdout().is_terminal() {
        return Err(Failure::Usage("standard output is a terminal: name a FILE, or send it somewhere".to_owned()));
    }
    let dir = place::opened(&path)?;
    let target = if to_stdout { None } else { Some(Target::choose(&dir, options)?) };
    let database = dir.file(DATABASE);
    let still = is_still(&database);
    open(&database, still)?;
    let fresh = match &target {
        Some(Target { dir, name }) => NewFile::make(dir, &format!(".{}", name.to_string_lossy())),
        None => {
            let dir = std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty()).map_or("/var/tmp".into(), PathBuf::from);
            let opened = Dir::open(&dir).map_err(|error| own(&dir, &error))?;
            NewFile::make(&Arc::new(opened), "runabout-backup")
        }
    };
    let fresh = fresh.map_err(|error| own(&options.file, &error))?;
    let copied = match copy(&database, still, fresh.at()) {
        // A daemon started meanwhile, and the copy may hold a part of what it wrote.
        _ if still && !is_still(&database) => copy(&database, false, fresh.at())?,
        copied => copied?,
    };
    let Some(copied) = copied else {
        print::warn("interrupted; there is no copy");
        return Ok(INTERRUPTED);
    };
    let bytes = fresh.at().bytes().unwrap_or(0);
    match &target {
        Some(Target { name, .. }) => {
            let taken = if options.force { NameTaken::Replace } else { NameTaken::Keep };
            fresh.name(name, taken).map_err(|error| own(&options.file, &error))?;
        }
        None => send(&fresh)?,
    }
    // A daemon that cannot be seen counts as running.
    let runs = !matches!(held_by(&dir), Ok(None));
    let file = (!to_stdout).then_some(&*options.file);
    tell(global.json, &database.path(), file, bytes, &copied, runs)?;
    Ok(0)
}

/// Whether no process writes the database and it has no log: according to the daemon's locks, and to SQLite's own, since
/// whoever may write the directory can replace the lock file.
fn is_still(database: &FileAt) -> bool {
    let has_log = database.with_suffix("-wal").bytes().is_some_and(|bytes| bytes > 0);
    matches!(held_by(&database.dir), Ok(None)) && !has_log && matches!(holder::of(database, None), Ok(None))
}

/// Opens the database for reading.
fn open(database: &FileAt, still: bool) -> Result<ReadOnlyDatabase, Failure> {
    let path = database.path();
    let shown = path.display();
    // SQLite's own messages do not distinguish these.
    match database.dir.look(&database.name) {
        Ok(None) => return Err(no_database(&path)),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(not_yours(&path)),
        _ => {}
    }
    match database.dir.read(&database.name) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(not_yours(&path)),
        Err(error) => return Err(own(&path, &error)),
        Ok(_) => {}
    }
    ReadOnlyDatabase::open(database, still).map_err(|error| Failure::Own(format!("{shown}: {error}")))
}

fn no_database(path: &Path) -> Failure {
    Failure::Own(format!("there is no database {}: where is the daemon's --state-dir?", path.display()))
}

fn not_yours(path: &Path) -> Failure {
    Failure::Own(format!("{} is not yours to read: be root, or the user that the daemon runs as", path.display()))
}

/// The file that the copy becomes.
struct Target {
    dir: Arc<Dir>,
    name: OsString,
}

impl Target {
    /// Checks the target before anything is done.
    fn choose(state_dir: &Dir, options: &BackupOptions) -> Result<Target, Failure> {
        let file = &options.file;
        let refused = |why: &str| Err(Failure::Own(format!("{}: {why}", file.display())));
        if file.is_dir() {
            return refused("it is a directory; name a file in it");
        }
        let absolute = std::path::absolute(file).map_err(|error| own(file, &error))?;
        let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
            return refused("it is no name for a file");
        };
        let dir = Dir::open(parent).map_err(|error| own(parent, &error))?;
        let own_file = [DATABASE, "runabout.lock", "runabout.sock", CONFIG];
        let shown = name.to_string_lossy();
        if own_file.iter().any(|own| shown.starts_with(own)) && dir.is_same(state_dir) {
            return refused("that is a file of the daemon's own; choose another name");
        }
        let there = dir.look(name).map_err(|error| own(file, &error))?;
        match there.map(|there| FileType::from_raw_mode(there.st_mode)) {
            None => {}
            Some(FileType::RegularFile | FileType::Symlink) if options.force => {}
            Some(FileType::RegularFile | FileType::Symlink) => {
                return refused("it is there already; --force replaces it");
            }
            Some(_) => return refused("it is no file"),
        }
        Ok(Target { dir: Arc::new(dir), name: name.to_owned() })
    }
}

/// What a copy holds, and what belongs to its runs and is not in it.
struct Copied {
    summary: Summary,
    artifacts: i64,
    artifact_bytes: i64,
}

/// Copies and checks the copy; `None` when it was interrupted.
fn copy(database: &FileAt, still: bool, to: &FileAt) -> Result<Option<Copied>, Failure> {
    let failed = |error: OpenError| Failure::Own(format!("{}: {error}", database.path().display()));
    let beside = open(database, still)?;
    let interrupts = Interrupts::note();
    match beside.copy_to(to, || !interrupts.came()) {
        Ok(()) => {}
        Err(CopyError::Stopped) => return Ok(None),
        Err(CopyError::Failed(error)) => return Err(failed(error)),
    }
    let copy = ReadOnlyDatabase::open(to, true).map_err(failed)?;
    match copy.check(false, None).map_err(failed)? {
        Health::Damaged(faults) => Err(Failure::Own(format!(
            "{} is damaged, and so would be its copy: {}; `runabout doctor --full` looks closer, an older copy \
             may be put back with `runabout restore`",
            database.path().display(),
            faults.join("; ")
        ))),
        Health::Sound | Health::Unfinished if interrupts.came() => Ok(None),
        Health::Sound | Health::Unfinished => {
            let summary = copy.summary().map_err(failed)?;
            let (artifacts, artifact_bytes) = copy.artifacts().map_err(failed)?;
            Ok(Some(Copied { summary, artifacts, artifact_bytes }))
        }
    }
}

fn send(fresh: &NewFile) -> Result<(), Failure> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Own("who was to take the copy has gone".to_owned()),
        _ => Failure::Own(format!("cannot write standard output: {error}")),
    };
    let mut copy = fresh.file();
    let mut out = io::stdout().lock();
    io::copy(&mut copy, &mut out).and_then(|_| out.flush()).map_err(failed)
}

fn tell(
    json: bool,
    database: &Path,
    file: Option<&Path>,
    bytes: u64,
    copied: &Copied,
    daemon: bool,
) -> Result<(), Failure> {
    let Copied { summary, artifacts, artifact_bytes } = copied;
    let Summary { instance, runs, queued, sessions, last_run, last_event, .. } = summary;
    let text = if json {
        json!({
            "database": database.to_string_lossy(), "file": file.map(|file| file.to_string_lossy()), "bytes": bytes, "instance": instance, "runs": runs,
            "queued": queued, "sessions": sessions, "last_run": last_run, "last_event": last_event,
            "daemon_running": daemon, "artifacts_left_out": artifacts,
        })
        .to_string()
    } else {
        let shown = |path: &Path| printable(&path.to_string_lossy()).into_owned();
        let name = file.map_or("standard output".to_owned(), shown);
        let beside = if daemon { "made while the daemon works" } else { "no daemon runs" };
        let (file_size, runs) = (size(bytes), count(*runs, "run"));
        let copy = format!("{name}: a copy of {}: {file_size}, {runs}, events up to {last_event}", shown(database));
        let left_out = left_out(*artifacts, *artifact_bytes, &shown(&database.with_file_name(ARTIFACTS)));
        format!("{copy}; checked; {beside}{left_out}")
    };
    // Standard output may carry the copy itself.
    match file {
        Some(_) => print::answer(&text),
        None if json => {
            let _ = writeln!(io::stderr(), "{text}");
            Ok(())
        }
        None => {
            print::note(&text);
            Ok(())
        }
    }
}

/// Says of files beside the database that the copy is without them.
fn left_out(artifacts: i64, bytes: i64, dir: &str) -> String {
    if artifacts == 0 {
        return String::new();
    }
    let (files, size) = (count(artifacts, "artifact"), size(u64::try_from(bytes).unwrap_or(0)));
    format!("; without {files} ({size}): copy {dir} too")
}

fn own(path: &Path, error: &io::Error) -> Failure {
    Failure::Own(format!("{}: {error}", path.display()))
}
