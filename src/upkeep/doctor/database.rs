//! Checks the database, opened read-only while its daemon works: schema, size, log, damage.

use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::time::Duration;

use super::super::files::{count, size};
use super::cursors;
use super::finding::{Finding, Level, Subject};
use super::hooks;
use super::jobs;
use crate::clock::UnixMs;
use crate::dir::FileAt;
use crate::holder;
use crate::replica;
use crate::state_dir::{DATABASE, database_path};
use crate::state_lock::{held_by, was_closed};
use crate::store::OpenError;
use crate::store::beside::{Health, Measures, ReadOnlyDatabase, Summary};

/// How long the check for damage may take without `--full`.
const CHECK_MAX: Duration = Duration::from_secs(10);
/// Offset in the file's header of the version that tells its journal mode.
const WRITE_VERSION: usize = 18;
/// A log that is longer than this is kept from being moved into the database by a reader.
const LOG_BYTES_MAX: u64 = 64 << 20;
/// When the newest event is this far ahead of the clock, the clock was set back.
const AHEAD_MS_MAX: i64 = 60_000;

/// Runs all checks of the database.
pub(super) fn look(subject: &Subject) -> Vec<Finding> {
    let path = database_path(&subject.dir);
    let file = match &subject.found {
        Ok(dir) => dir.file(DATABASE),
        // What is wrong with the directory was told.
        Err(_) => return Vec::new(),
    };
    match file.dir.read(&file.name) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return vec![Finding::warn("database", "there is none yet", "the first start of a daemon makes it")];
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return vec![Finding::unseen("database", &path, &error)];
        }
        Err(error) => {
            return vec![Finding::fail("database", format!("{}: {error}", path.display()), "no daemon would start")];
        }
    }
    let log_bytes = file.with_suffix("-wal").bytes().unwrap_or(0);
    // Without a daemon and a log nobody writes it: then not even a lock is taken.
    let still = matches!(subject.held, Ok(None)) && log_bytes == 0 && matches!(holder::of(&file, None), Ok(None));
    let findings = opened(subject, &file, still);
    let is_bad = findings.iter().any(|finding| finding.level == Level::Fail);
    let mut findings = match held_by(&file.dir) {
        // Unless a daemon came meanwhile.
        Ok(Some(_)) if still && is_bad => opened(subject, &file, false),
        _ => findings,
    };
    findings.push(log(log_bytes, subject.is_held(), was_closed(&file.dir)));
    findings.extend(beside(subject, &file));
    findings
}

/// Reports another process that has it open, and the size of Litestream's folder.
fn beside(subject: &Subject, file: &FileAt) -> Option<Finding> {
    const CHECK: &str = "beside";
    let bytes = replica::bytes(file);
    let holder = match holder::of(file, subject.pid()) {
        Ok(None) if bytes == 0 => return None,
        Ok(None) => "nobody else has it open".to_owned(),
        Ok(Some(holder)) => format!("{holder} has it open, too"),
        Err(error) => format!("who has it open cannot be seen: {error}"),
    };
    if bytes == 0 {
        return Some(Finding::ok(CHECK, holder));
    }
    let found = format!("{holder}; Litestream keeps {} in {}", size(bytes), replica::folder(file).display());
    Some(if bytes > LOG_BYTES_MAX {
        let advice =
            "it keeps minutes of changes, and all of them while it cannot reach its replica: see docs/litestream.md";
        Finding::warn(CHECK, found, advice)
    } else {
        Finding::ok(CHECK, found)
    })
}

fn opened(subject: &Subject, file: &FileAt, still: bool) -> Vec<Finding> {
    let path = &file.path();
    // Before SQLite has it open: whoever closes it afterwards takes SQLite's locks away.
    let journal_mode = journal_mode(file);
    let beside = match ReadOnlyDatabase::open(file, still) {
        Ok(beside) => beside,
        Err(error) => return vec![unusable(path, &error)],
    };
    let mut findings = Vec::new();
    match beside.measures().and_then(|measures| Ok((measures, beside.summary()?))) {
        Ok((measures, summary)) => {
            findings.push(measured(&beside, journal_mode, &measures, &summary));
            findings.extend(time(&summary));
            findings.extend(hooks::look(&beside));
            findings.extend(cursors::look(subject, &beside, summary.last_event));
        }
        Err(error) => findings.push(unusable(path, &error)),
    }
    findings.push(health(subject, path, &beside));
    findings.extend(jobs::look(subject, &beside));
    findings
}

fn unusable(path: &Path, error: &OpenError) -> Finding {
    let advice = match error {
        // It says what to do itself.
        OpenError::Damaged(_) => "",
        OpenError::Failed(_) => {
            "keep a copy of the state directory as it is; `runabout restore FILE` puts a backup back"
        }
        OpenError::Foreign | OpenError::Newer { .. } => "nothing was changed",
    };
    Finding::fail("database", format!("{}: {error}", path.display()), advice)
}

fn measured(beside: &ReadOnlyDatabase, journal_mode: &str, measures: &Measures, summary: &Summary) -> Finding {
    let bytes = |pages: i64| size((pages * measures.page_bytes).unsigned_abs());
    Finding::ok(
        "database",
        format!(
            "{}, {} of it free; {}, events up to {}; schema {}, journal_mode {journal_mode}",
            bytes(measures.pages),
            bytes(measures.free_pages),
            count(summary.runs, "run"),
            summary.last_event,
            beside.schema
        ),
    )
}

/// The journal mode according to the header: opened as immutable it would have none.
fn journal_mode(file: &FileAt) -> &'static str {
    let mut head = [0; 20];
    let read = file.dir.read(&file.name).and_then(|mut file| file.read_exact(&mut head));
    match (read, head[WRITE_VERSION]) {
        (Ok(()), 2) => "wal",
        // As a restored copy is before its first daemon.
        (Ok(()), 1) => "delete",
        _ => "unknown",
    }
}

/// Compares the clock with the newest recorded time.
fn time(summary: &Summary) -> Option<Finding> {
    let newest = UnixMs(summary.last_at?);
    (newest.0 > UnixMs::now().0 + AHEAD_MS_MAX).then(|| {
        let advice = "it was set back, or is wrong since the start: delays and expiries go by it";
        Finding::warn("clock", format!("it is behind the newest event, which was {newest}"), advice)
    })
}

fn health(subject: &Subject, path: &Path, beside: &ReadOnlyDatabase) -> Finding {
    const CHECK: &str = "health";
    let limit = (!subject.full).then_some(CHECK_MAX);
    match beside.check(subject.full, limit) {
        Ok(Health::Sound) if subject.full => Finding::ok(CHECK, "sound, with its indexes"),
        Ok(Health::Sound) => Finding::ok(CHECK, "sound; --full looks at its indexes too"),
        Ok(Health::Unfinished) => {
            Finding::ok(CHECK, format!("nothing found in {} s; --full looks at all of it", CHECK_MAX.as_secs()))
        }
        Ok(Health::Damaged(faults)) => Finding::fail(
            CHECK,
            format!("{} is damaged: {}", path.display(), faults.join("; ")),
            "stop the daemon, keep a copy of the state directory, and put a backup back: `runabout restore FILE`",
        ),
        Err(error) => Finding::fail(CHECK, format!("{}: {error}", path.display()), "it cannot be read"),
    }
}

fn log(bytes: u64, is_held: bool, was_closed: bool) -> Finding {
    const CHECK: &str = "log";
    let found = format!("{} in runabout.db-wal", size(bytes));
    if bytes > LOG_BYTES_MAX {
        let advice =
            "somebody reads the database for long, so that it cannot be taken in: Litestream, a backup, sqlite3?";
        return Finding::warn(CHECK, found, advice);
    }
    match (bytes, is_held) {
        (0, _) | (_, true) => Finding::ok(CHECK, found),
        (_, false) => {
            let why = if was_closed {
                "somebody else had the database open when the last daemon stopped"
            } else {
                "the last daemon did not end by itself"
            };
            Finding::ok(CHECK, format!("{found}; {why}; the next takes it in"))
        }
    }
}
