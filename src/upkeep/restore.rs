//! `restore`: puts a copy in the place of the database, while no daemon runs.
//!
//! The old database is kept. The copy gets a new instance, so that readers do not go on with their old cursors, and its ids
//! continue after the highest ones known, so that no id stands for two things.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;

use super::files::{Interrupts, NewFile, count, is_same, with_suffix};
use super::place;
use crate::cli::args::{Global, RestoreOptions};
use crate::cli::print;
use crate::client::failure::Failure;
use crate::clock::UnixMs;
use crate::dir::{FileAt, NameTaken};
use crate::holder;
use crate::numbers::{EventId, RunId};
use crate::replica;
use crate::state_lock::{StateLock, StateLockError};
use crate::store::OpenError;
use crate::store::beside::{self, Anew, CopyError, Health, ReadOnlyDatabase, Summary};

/// 128 + SIGINT.
const INTERRUPTED: u8 = 130;
/// The highest id that is believed; one beyond it comes from a damaged database.
const ID_MAX: i64 = 1 << 53;
/// How often interrupts are looked for while standard input brings nothing.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
/// Bytes read at a time.
const CHUNK_BYTES: usize = 65_536;

/// Puts the copy in place and prints what was done.
pub fn restore(global: &Global, options: &RestoreOptions) -> Result<u8, Failure> {
    let dir = place::chosen(global)?;
    let state = StateLock::open(&dir).map_err(|error| match error {
        StateLockError::Held(..) => Failure::Own(format!(
            "{error}\nstop it first, as by `systemctl stop runabout` or a SIGTERM; `runabout drain` lets it finish"
        )),
        other => Failure::Own(other.to_string()),
    })?;
    refuse_while_others_read(&state.database())?;
    let _ = state.announce("restoring a copy");
    let interrupts = Interrupts::note();
    match replace(&state, options, &interrupts) {
        Ok(Some(restored)) => {
            restored.tell(global.json, options)?;
            warn_of_replica(&state.database());
            Ok(0)
        }
        Ok(None) => {
            print::warn("interrupted; nothing was changed");
            Ok(INTERRUPTED)
        }
        Err(failure) => Err(failure),
    }
}

/// Refuses while another process has the database open: it would go on with the old file and take its content for that of
/// the new one.
fn refuse_while_others_read(database: &FileAt) -> Result<(), Failure> {
    let path = database.path();
    let shown = path.display();
    match holder::of(database, None) {
        Ok(None) => Ok(()),
        Ok(Some(holder)) => Err(Failure::Own(format!(
            "{shown}: {holder} has it open, and what it reads or copies after a restore would be of neither; nothing was \
             changed. End it first. Litestream also needs `litestream reset {shown}` and an empty place for its replica \
             before it starts again: see docs/litestream.md"
        ))),
        Err(error) => Err(Failure::Own(format!("{shown}: who has it open cannot be seen: {error}"))),
    }
}

/// Warns that Litestream would apply its changes of the old file to the new one.
fn warn_of_replica(database: &FileAt) {
    if replica::bytes(database) > 0 {
        print::warn(&format!(
            "{} has changes of the file that was replaced: before Litestream starts again, `litestream reset {}`, and give \
             it an empty place for its replica (docs/litestream.md)",
            replica::folder(database).display(),
            database.path().display()
        ));
    }
}

/// The result of a restore.
struct Restored {
    database: PathBuf,
    kept: Option<PathBuf>,
    instance: String,
    holds: Summary,
}

/// Checks the copy and puts it in the database's place; `None` when it was interrupted.
fn replace(state: &StateLock, options: &RestoreOptions, interrupts: &Interrupts) -> Result<Option<Restored>, Failure> {
    let (dir, database) = (state.dir(), state.database());
    let failed = |path: &Path| {
        let shown = path.display().to_string();
        move |error: io::Error| Failure::Own(format!("{shown}: {error}"))
    };
    let spooled = if options.file == Path::new("-") {
        let spool = NewFile::make(dir, "runabout.db.received").map_err(failed(dir.path()))?;
        if !receive(&spool, interrupts).map_err(failed(&spool.at().path()))? {
            return Ok(None);
        }
        Some(spool)
    } else {
        None
    };
    let (source, shown) = match &spooled {
        Some(spool) => (spool.at().path(), "standard input".to_owned()),
        None => (options.file.clone(), options.file.display().to_string()),
    };
    if is_same(&source, &database.path()) {
        return Err(Failure::Own(format!("{shown} is the database itself")));
    }
    let fresh = NewFile::make(dir, "runabout.db.restored").map_err(failed(dir.path()))?;
    let Some(mut holds) = copy_checked(&source, &shown, fresh.at(), interrupts)? else { return Ok(None) };
    drop(spooled);
    let log_is_in = beside::fold_log(&database).is_ok();
    let (run, event) = given_out(state, &holds);
    let anew = Anew { run, event, no_sessions: options.no_sessions, pause: options.pause };
    let instance = beside::make_anew(fresh.at(), &anew).map_err(|error| Failure::Own(format!("{shown}: {error}")))?;
    if options.no_sessions {
        holds.sessions = 0;
    }
    dir.give(fresh.file()).map_err(failed(&database.path()))?;
    state.lock_file().give().map_err(failed(dir.path()))?;
    // The copy took a while, in which another process may have opened it.
    refuse_while_others_read(&database)?;
    let kept = put_in_place(fresh, &database, log_is_in).map_err(failed(&database.path()))?;
    Ok(Some(Restored { database: database.path(), kept: kept.map(|kept| dir.path().join(kept)), instance, holds }))
}

/// Writes down all of standard input; answers whether it came to its end.
fn receive(to: &NewFile, interrupts: &Interrupts) -> io::Result<bool> {
    let mut file = to.file();
    let mut input = io::stdin().lock();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&LOOK)) {
            _ if interrupts.came() => return Ok(false),
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        match input.read(&mut chunk)? {
            0 => return Ok(true),
            count => file.write_all(&chunk[..count])?,
        }
    }
}

/// Copies what can take the database's place, and nothing else.
fn copy_checked(source: &Path, shown: &str, to: &FileAt, interrupts: &Interrupts) -> Result<Option<Summary>, Failure> {
    let failed = |error: OpenError| match error {
        OpenError::Foreign => Failure::Own(format!("{shown} is no Runabout database")),
        error => Failure::Own(format!("{shown}: {error}")),
    };
    let from = open_source(source, shown).and_then(|from| from.map_err(failed))?;
    match from.copy_to(to, || !interrupts.came()) {
        Ok(()) => {}
        Err(CopyError::Stopped) => return Ok(None),
        Err(CopyError::Failed(error)) => return Err(failed(error)),
    }
    let copy = ReadOnlyDatabase::open(to, true).map_err(failed)?;
    match copy.check(false, None).map_err(failed)? {
        Health::Damaged(faults) => {
            Err(Failure::Own(format!("{shown} is damaged; nothing was changed: {}", faults.join("; "))))
        }
        Health::Sound | Health::Unfinished if interrupts.came() => Ok(None),
        Health::Sound | Health::Unfinished => copy.summary().map(Some).map_err(failed),
    }
}

/// Opens what is to be restored, whosever it is.
fn open_source(source: &Path, shown: &str) -> Result<Result<ReadOnlyDatabase, OpenError>, Failure> {
    let refused = |error: io::Error| Failure::Own(format!("{shown}: {error}"));
    // Whoever names it by a link means what that leads to.
    let real = source.canonicalize().map_err(refused)?;
    if !fs::metadata(&real).map_err(refused)?.is_file() {
        return Err(Failure::Own(format!("{shown} is no file")));
    }
    // Only a file-by-file copy of a state directory has a log. SQLite opens that too, so that it has to pass the checks of
    // `dir` as well.
    if !["-wal", "-shm"].iter().any(|suffix| with_suffix(&real, suffix).symlink_metadata().is_ok()) {
        return Ok(ReadOnlyDatabase::open_named(&real));
    }
    let file = FileAt::named(&real).map_err(refused)?;
    Ok(ReadOnlyDatabase::open(&file, false))
}

/// The highest ids of a run and an event that the old database, its lock file and the copy know of.
fn given_out(state: &StateLock, copy: &Summary) -> (RunId, EventId) {
    let there = ReadOnlyDatabase::open(&state.database(), false).and_then(|there| there.summary());
    let there = there.ok().map(|there| (there.last_run, there.last_event));
    let remembered = state.lock_file().remembered().map(|had| (had.run, had.event));
    let known = [there, remembered].into_iter().flatten().filter(|(run, event)| run.0 <= ID_MAX && event.0 <= ID_MAX);
    known.fold((copy.last_run, copy.last_event), |(run, event), known| (run.max(known.0), event.max(known.1)))
}

/// Puts the copy in the database's place and renames what is there, even a link; returns its new name.
fn put_in_place(fresh: NewFile, database: &FileAt, log_is_in: bool) -> io::Result<Option<String>> {
    let FileAt { dir, name } = database;
    let time: String = UnixMs::now().to_string().chars().filter(char::is_ascii_alphanumeric).collect();
    let kept = format!("{name}.before-restore-{time}");
    let is_there = dir.look(name)?.is_some();
    for suffix in ["-wal", "-shm"] {
        // The log belongs to the old database; applied to the copy it would damage it.
        let log = format!("{name}{suffix}");
        if dir.look(&log)?.is_some() {
            match log_is_in {
                true => dir.remove(&log)?,
                false => dir.rename(&log, dir, format!("{kept}{suffix}"), NameTaken::Keep)?,
            }
        }
    }
    if is_there {
        fresh.exchange(name, &kept)?;
        return Ok(Some(kept));
    }
    fresh.name(OsStr::new(name), NameTaken::Keep)?;
    Ok(None)
}

impl Restored {
    fn tell(&self, json: bool, options: &RestoreOptions) -> Result<(), Failure> {
        let Restored { database, kept, instance, holds } = self;
        if json {
            let text = json!({
                "database": database.to_string_lossy(), "kept": kept.as_ref().map(|kept| kept.to_string_lossy()),
                "instance": instance, "runs": holds.runs, "queued": holds.queued, "sessions": holds.sessions,
                "last_run": holds.last_run, "last_event": holds.last_event,
            });
            return print::answer_json(&text.to_string());
        }
        let mut lines = vec![format!(
            "{}: {}, events up to {}; its instance is {instance} now",
            database.display(),
            count(holds.runs, "run"),
            holds.last_event
        )];
        if let Some(kept) = kept {
            lines.push(format!("what was there is kept: {}", kept.display()));
        }
        if holds.queued > 0 && !options.pause {
            let runs = count(holds.queued, "queued run");
            lines.push(format!(
                "{runs} in it will start with the daemon, also where they have run since; --pause holds them"
            ));
        }
        if holds.sessions > 0 {
            let sessions = count(holds.sessions, "session");
            lines.push(format!("{sessions} of it can be used again; see `runabout sessions`"));
        }
        if options.pause {
            lines.push("all queues are paused; go on with `runabout queue NAME --resume`".to_owned());
            lines.push("all hooks are disabled; go on with `runabout hook enable NAME`".to_owned());
        }
        print::answer(&lines.join("\n"))
    }
}
