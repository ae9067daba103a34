//! `backup`: one moment of the database, in a file of its own, while the daemon works.
//!
//! The daemon is not asked: others may read its database beside it. A copy gets its name when it is whole, has been
//! checked, and is on the medium.

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::files::{Fresh, Interrupts, count, size, with_suffix};
use super::place;
use crate::client::args::{BackupOptions, Global};
use crate::client::failure::Failure;
use crate::client::print;
use crate::home::held_by;
use crate::state_dir::database_path;
use crate::store::OpenError;
use crate::store::beside::{Beside, CopyError, Health, Summary};
use crate::text::printable;

/// 128 + SIGINT.
const INTERRUPTED: u8 = 130;

/// Makes the copy and says what is in it.
pub fn backup(global: &Global, options: &BackupOptions) -> Result<u8, Failure> {
    let dir = place::chosen(global)?;
    let to_stdout = options.file == Path::new("-");
    if to_stdout && io::stdout().is_terminal() {
        return Err(Failure::Usage("standard output is a terminal: name a FILE, or send it somewhere".to_owned()));
    }
    if !to_stdout {
        check_name(&dir, options)?;
    }
    let database = database_path(&dir);
    let still = is_still(&dir, &database);
    open(&database, still)?;
    let fresh = if to_stdout {
        let dir = std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty()).map_or("/var/tmp".into(), PathBuf::from);
        Fresh::make(&dir, "runabout-backup").map_err(|error| own(&dir, &error))?
    } else {
        let (dir, name) = split(&options.file);
        Fresh::make(&dir, &format!(".{name}")).map_err(|error| own(&dir, &error))?
    };
    let copied = match copy(&database, still, fresh.path()) {
        // A daemon came meanwhile, whose writes may be in it by halves.
        _ if still && !is_still(&dir, &database) => copy(&database, false, fresh.path())?,
        copied => copied?,
    };
    let Some(copied) = copied else {
        print::warn("interrupted; there is no copy");
        return Ok(INTERRUPTED);
    };
    let bytes = fs::metadata(fresh.path()).map_or(0, |file| file.len());
    if to_stdout {
        send(fresh)?;
    } else {
        fresh.name(&options.file, options.force).map_err(|error| own(&options.file, &error))?;
    }
    let daemon = held_by(&dir).ok().flatten();
    let file = (!to_stdout).then_some(&*options.file);
    tell(global.json, &database, file, bytes, &copied, daemon.is_some())?;
    Ok(0)
}

/// Whether nobody writes it, and all of it is in its one file.
fn is_still(dir: &Path, database: &Path) -> bool {
    let has_log = fs::metadata(with_suffix(database, "-wal")).is_ok_and(|log| log.len() > 0);
    matches!(held_by(dir), Ok(None)) && !has_log
}

/// Opens the database beside its daemon, if it has one.
fn open(database: &Path, still: bool) -> Result<Beside, Failure> {
    let shown = database.display();
    // SQLite's own words do not tell these apart.
    fs::File::open(database).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Failure::Own(format!("there is no database {shown}: where is the daemon's --state-dir?"))
        }
        io::ErrorKind::PermissionDenied => {
            Failure::Own(format!("{shown} is not yours to read: be root, or the user that the daemon runs as"))
        }
        _ => own(database, &error),
    })?;
    Beside::open(database, still).map_err(|error| Failure::Own(format!("{shown}: {error}")))
}

/// What can be known to be wrong before anything is done.
fn check_name(state_dir: &Path, options: &BackupOptions) -> Result<(), Failure> {
    let file = &options.file;
    let refused = |why: &str| Err(Failure::Own(format!("{}: {why}", file.display())));
    let (dir, name) = split(file);
    let own_file = ["runabout.db", "runabout.lock", "runabout.sock", "config.toml"];
    if own_file.iter().any(|own| name.starts_with(own)) && super::files::is_same(&dir, state_dir) {
        return refused("that is a file of the daemon's own; choose another name");
    }
    match fs::symlink_metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(own(file, &error)),
        Ok(_) if file.is_dir() => refused("it is a directory; name a file in it"),
        Ok(there) if !there.is_file() && !there.is_symlink() => refused("it is no file"),
        Ok(_) if !options.force => refused("it is there already; --force replaces it"),
        Ok(_) => Ok(()),
    }
}

/// Copies and checks; `None` where somebody wanted an end to it.
fn copy(database: &Path, still: bool, to: &Path) -> Result<Option<Summary>, Failure> {
    let failed = |error: OpenError| Failure::Own(format!("{}: {error}", database.display()));
    let beside = open(database, still)?;
    let interrupts = Interrupts::note();
    match beside.copy_to(to, || !interrupts.came()) {
        Ok(()) => {}
        Err(CopyError::Stopped) => return Ok(None),
        Err(CopyError::Failed(error)) => return Err(failed(error)),
    }
    let copy = Beside::open(to, true).map_err(failed)?;
    match copy.check(false, None).map_err(failed)? {
        Health::Damaged(faults) => Err(Failure::Own(format!(
            "{} is damaged, and so would be its copy: {}; `runabout doctor --full` looks closer, an older copy \
             may be put back with `runabout restore`",
            database.display(),
            faults.join("; ")
        ))),
        Health::Sound | Health::Unfinished if interrupts.came() => Ok(None),
        Health::Sound | Health::Unfinished => copy.summary().map(Some).map_err(failed),
    }
}

fn send(fresh: Fresh) -> Result<(), Failure> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Own("who was to take the copy has gone".to_owned()),
        _ => Failure::Own(format!("cannot write standard output: {error}")),
    };
    let mut copy = fresh.anonymous().map_err(failed)?;
    let mut out = io::stdout().lock();
    io::copy(&mut copy, &mut out).and_then(|_| out.flush()).map_err(failed)
}

fn tell(
    json: bool,
    database: &Path,
    file: Option<&Path>,
    bytes: u64,
    copied: &Summary,
    daemon: bool,
) -> Result<(), Failure> {
    let Summary { instance, runs, queued, sessions, last_run, last_event, .. } = copied;
    let text = if json {
        json!({
            "database": database.to_string_lossy(), "file": file.map(|file| file.to_string_lossy()), "bytes": bytes, "instance": instance, "runs": runs,
            "queued": queued, "sessions": sessions, "last_run": last_run, "last_event": last_event,
            "daemon_running": daemon,
        })
        .to_string()
    } else {
        let shown = |path: &Path| printable(&path.to_string_lossy()).into_owned();
        let name = file.map_or("standard output".to_owned(), shown);
        let beside = if daemon { "made while the daemon works" } else { "no daemon runs" };
        let (size, runs) = (size(bytes), count(*runs, "run"));
        format!("{name}: a copy of {}: {size}, {runs}, events up to {last_event}; checked; {beside}", shown(database))
    };
    // The copy itself may be what standard output is for.
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

/// The directory that a file is in, and its name there.
fn split(file: &Path) -> (PathBuf, String) {
    let dir = match file.parent() {
        Some(dir) if dir.as_os_str().is_empty() => Path::new("."),
        Some(dir) => dir,
        None => Path::new("/"),
    };
    // SQLite follows no link to a copy, so that it is told a way without any.
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    (dir, file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()))
}

fn own(path: &Path, error: &io::Error) -> Failure {
    Failure::Own(format!("{}: {error}", path.display()))
}
