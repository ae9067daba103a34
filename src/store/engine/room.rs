//! Space: the minimum of free space, the quota and its hard limit, the ballast; and what waits while there is too
//! little.
//!
//! It decides what a transaction may carry, never what a job does. It never refuses what frees space or ends a run.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use crate::dir::{Dir, FileAt};
use crate::replica::Counted;
use crate::store::engine::ballast::{BALLAST_BYTES, Ballast, START_FILES};
use crate::store::error::{Fault, StoreError};
use crate::store::file::pages::{page_bytes, used_bytes};
use crate::store::refusal::{Refusal, Shortage};
use crate::store::settings::Quota;

/// Pause before everything is tried again after a write failed.
const RETRY: Duration = Duration::from_secs(1);
/// Free space needed beyond the ballast before it is created again.
const MARGIN_BYTES: u64 = 1_024 * 1_024;
/// With less free space a start gives the ballast back: opening the database takes a few pages.
const START_BYTES_MIN: u64 = 1_024 * 1_024;
/// Initial size of the write-ahead log's index.
const INDEX_BYTES: usize = 32 * 1_024;
/// Hard limit of the database's size, in percent of the quota: beyond it not even output is stored.
const WALL_PERCENT: u64 = 125;
/// Submits stop here while something can be pruned, in percent of the quota: half-way between the quota, around which
/// pruning keeps a busy database, and the hard limit, so that accepted runs can be started, recorded and ended.
const GROWTH_PERCENT: u64 = 112;
/// Size of the write-ahead log beside the database: a checkpoint is made from 4 MiB on.
const LOG_BYTES: u64 = 5 * 1_024 * 1_024;
/// How often the size of the file system is looked up.
const QUOTA_LOOK: Duration = Duration::from_secs(10);
/// Largest number of pages in SQLite.
const PAGES_MAX: u64 = 0xffff_fffe;
/// Space that one transaction may need: a database this close to its hard limit has met it.
const TRANSACTION_BYTES: u64 = 4 * 1_024 * 1_024;

/// What a transaction carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// The jobs, waiting output and new claims.
    Whole,
    /// The jobs alone, and of those only essential ones: ends, cancels, deletes.
    Essential,
}

/// The space that the database has and may use.
pub struct Room {
    /// The database's file.
    file: FileAt,
    /// `limits.disk_free_bytes`.
    floor_bytes: u64,
    quota: Quota,
    quota_bytes: u64,
    /// When the size of the file system was last looked up.
    quota_looked: Instant,
    ballast: Ballast,
    held: Option<Held>,
    /// Whether the last check refused submits: the begin and the end of that are logged.
    refuses: Cell<bool>,
    /// Whether the last check found room for the ballast.
    has_room: Cell<bool>,
    /// Size of what Litestream keeps beside the database.
    replica: RefCell<Counted>,
}

/// Why and since when output, claims and submits wait.
struct Held {
    why: Refusal,
    since: Instant,
    next_try: Instant,
}

impl Room {
    /// Looks up the figures of the file system. On a full disk gives the ballast back, so that the database can be
    /// opened.
    pub fn new(file: &FileAt, floor_bytes: u64, quota: &Quota) -> Room {
        let mut ballast = Ballast::find(&file.dir);
        if has_none(&file.dir) {
            ballast.give_back();
        }
        let mut room = Room {
            file: file.clone(),
            floor_bytes,
            quota: quota.clone(),
            quota_bytes: 0,
            quota_looked: Instant::now(),
            ballast,
            held: None,
            refuses: Cell::new(false),
            has_room: Cell::new(true),
            replica: RefCell::default(),
        };
        room.look_at_quota(true);
        room
    }

    /// What the next transaction may carry. While writes fail, everything is tried once a second.
    pub fn load(&mut self) -> Load {
        let Some(held) = &mut self.held else { return Load::Whole };
        if Instant::now() < held.next_try {
            return Load::Essential;
        }
        // The ballast comes first: what waits would fill the space that it gave, and leave nothing for the ends.
        let free = free_bytes(&self.file.dir).unwrap_or(0);
        if self.ballast.is_given() && !(free >= BALLAST_BYTES + MARGIN_BYTES && self.ballast.make()) {
            held.next_try = Instant::now() + RETRY;
            return Load::Essential;
        }
        Load::Whole
    }

    /// Makes output, claims and submits wait, because a write found no room or a read-only file system.
    pub fn hold(&mut self, conn: &Connection, fault: &Fault) {
        let next_try = Instant::now() + RETRY;
        if let Some(held) = &mut self.held {
            held.next_try = next_try;
            return;
        }
        let Some(why) = self.refusal(conn, fault) else { return };
        log::error!("nothing more can be written: {why}. Output stays in the commands' pipes; it is tried again");
        self.held = Some(Held { why, since: Instant::now(), next_try });
    }

    /// The quota in bytes.
    pub fn quota_bytes(&self) -> u64 {
        self.quota_bytes
    }

    /// Looks up the size of the file system, which may change, every 10 s or `now`. Returns whether the quota changed.
    pub fn look_at_quota(&mut self, now: bool) -> bool {
        if !now && self.quota_looked.elapsed() < QUOTA_LOOK {
            return false;
        }
        self.quota_looked = Instant::now();
        let total = total_bytes(&self.file.dir);
        let wanted = (self.quota)(total);
        // A quota that its file system has no room for would never be met: the disk would be full before.
        let beside = self.floor_bytes.saturating_add(BALLAST_BYTES + LOG_BYTES);
        let fits = (total.saturating_sub(beside) / WALL_PERCENT * 100).max(total / 2);
        let quota_bytes = wanted.min(fits);
        let changed = quota_bytes != self.quota_bytes;
        if changed && quota_bytes < wanted {
            log::warn!(
                "retention.db_bytes is {wanted}, and the file system has {total} bytes in all: {quota_bytes} are used"
            );
        }
        self.quota_bytes = quota_bytes;
        changed
    }

    /// Whether output, claims and submits wait.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Why they wait, with current figures.
    pub fn why_held(&self, conn: &Connection) -> Option<Refusal> {
        self.held.as_ref().map(|held| match held.why {
            Refusal::NoRoom(_) => Refusal::NoRoom(self.shortage_met(conn)),
            ref why => why.clone(),
        })
    }

    /// Lets them go on: something was written that had been waiting.
    pub fn release(&mut self) {
        if let Some(held) = self.held.take() {
            log::info!("the database can be written again, after {} s", held.since.elapsed().as_secs());
            self.has_room.set(true);
            self.keep_ballast();
        }
    }

    /// The error that a caller gets for a fault.
    pub fn told(&self, conn: &Connection, fault: &Fault) -> StoreError {
        self.refusal(conn, fault).map_or_else(|| fault.clone().into(), StoreError::Refused)
    }

    /// The refusal that stands for a fault, if there is one.
    fn refusal(&self, conn: &Connection, fault: &Fault) -> Option<Refusal> {
        match fault {
            Fault::Full => Some(Refusal::NoRoom(self.shortage_met(conn))),
            Fault::ReadOnly => Some(Refusal::ReadOnly),
            _ => None,
        }
    }

    /// What SQLite had too little of, with current figures.
    fn shortage_met(&self, conn: &Connection) -> Shortage {
        let free_bytes = free_bytes(&self.file.dir).unwrap_or(0);
        let used_bytes = used_bytes(conn).unwrap_or(0);
        let wall_bytes = percent(self.quota_bytes, WALL_PERCENT);
        if free_bytes > TRANSACTION_BYTES && used_bytes.saturating_add(TRANSACTION_BYTES) > wall_bytes {
            return Shortage::Quota { used_bytes, quota_bytes: self.quota_bytes };
        }
        let needed_bytes = self.floor_bytes.max(BALLAST_BYTES + MARGIN_BYTES);
        Shortage::Disk { free_bytes, needed_bytes, replica_bytes: self.replica_bytes() }
    }

    /// Checks whether the database may grow by something new, with one `statvfs` and two figures of SQLite.
    /// `prunable`: whether something can be pruned.
    ///
    /// # Errors
    /// [`Refusal::NoRoom`] with what there is too little of.
    pub fn may_grow(&self, conn: &Connection, prunable: bool) -> Result<(), StoreError> {
        let shortage = self.shortage(conn, prunable)?;
        match (self.refuses.replace(shortage.is_some()), &shortage) {
            (false, Some(shortage)) => log::warn!("submits are refused: {shortage}"),
            (true, None) => log::info!("submits are taken again"),
            _ => {}
        }
        shortage.map_or(Ok(()), |shortage| Err(Refusal::NoRoom(shortage).into()))
    }

    fn shortage(&self, conn: &Connection, prunable: bool) -> Result<Option<Shortage>, Fault> {
        // What cannot be asked is no reason to refuse.
        if let Some(free_bytes) = free_bytes(&self.file.dir) {
            if free_bytes < self.floor_bytes {
                let (needed_bytes, replica_bytes) = (self.floor_bytes, self.replica_bytes());
                return Ok(Some(Shortage::Disk { free_bytes, needed_bytes, replica_bytes }));
            }
            self.has_room.set(free_bytes >= self.floor_bytes.saturating_add(BALLAST_BYTES));
        }
        let used_bytes = used_bytes(conn)?;
        let quota_bytes = self.quota_bytes;
        let is_full = used_bytes > if prunable { percent(quota_bytes, GROWTH_PERCENT) } else { quota_bytes };
        Ok(is_full.then_some(Shortage::Quota { used_bytes, quota_bytes }))
    }

    /// Size of what Litestream keeps beside the database, in bytes.
    fn replica_bytes(&self) -> u64 {
        self.replica.borrow_mut().bytes(&self.file)
    }

    /// Checks whether a client's events may be stored: none are beyond the size that pruning and trimming maintain.
    ///
    /// # Errors
    /// [`Refusal::NoRoom`] where the database is too large.
    pub fn may_append(&self, conn: &Connection) -> Result<(), StoreError> {
        let (used_bytes, quota_bytes) = (used_bytes(conn)?, self.quota_bytes);
        if used_bytes <= percent(quota_bytes, GROWTH_PERCENT) {
            return Ok(());
        }
        Err(Refusal::NoRoom(Shortage::Quota { used_bytes, quota_bytes }).into())
    }

    /// Creates the ballast where it is missing and the last check found room for it.
    pub fn keep_ballast(&mut self) {
        if self.ballast.is_kept() || self.held.is_some() || !self.has_room.replace(false) {
            return;
        }
        let room_bytes = self.floor_bytes.saturating_add(BALLAST_BYTES);
        if free_bytes(&self.file.dir).is_some_and(|free| free >= room_bytes) {
            self.ballast.make();
        }
    }

    /// Creates as much of the ballast as there is room for, so that the next start has something to give back.
    pub fn keep_part(&mut self) {
        self.ballast.make_part();
    }

    /// Whether so little is free that the database may fail to open in the usual way.
    pub fn has_none(&self) -> bool {
        has_none(&self.file.dir) || refuses_a_file(&self.file.dir)
    }

    /// Gives the ballast back; returns whether there was any.
    pub fn give_ballast_back(&mut self) -> bool {
        let given = self.ballast.give_back();
        if given {
            log::warn!("the disk is full: what was kept for the ends of runs is given back");
        }
        given
    }

    /// Sets the hard limit of the database's size; for essential writes there is none.
    pub fn set_wall(&self, conn: &Connection, load: Load) -> Result<(), Fault> {
        let pages = match load {
            // Where what may not go fills it up to there, as kept runs can, what runs prints and ends all the same: the
            // wall gives way to one transaction, and what that brought is trimmed by the next.
            Load::Whole => {
                let gives_way_to = used_bytes(conn)?.saturating_add(TRANSACTION_BYTES);
                (percent(self.quota_bytes, WALL_PERCENT).max(gives_way_to) / page_bytes(conn)?).min(PAGES_MAX)
            }
            Load::Essential => PAGES_MAX,
        };
        // What is larger already stays so.
        conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
        Ok(())
    }
}

/// The size of the file system of a directory.
fn total_bytes(dir: &Dir) -> u64 {
    dir.free_space().map_or(u64::MAX, |space| space.total_bytes)
}

/// Free space on the file system of a directory.
fn free_bytes(dir: &Dir) -> Option<u64> {
    dir.free_space().ok().map(|space| space.free_bytes)
}

/// Whether less is free than a start needs, in bytes or in files.
fn has_none(dir: &Dir) -> bool {
    dir.free_space().is_ok_and(|space| {
        space.free_bytes < START_BYTES_MIN || space.free_files.is_some_and(|files| files < START_FILES)
    })
}

/// Whether a file of the size of the log's index cannot be written: no figure of the file system shows a user's quota.
fn refuses_a_file(dir: &Dir) -> bool {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let written =
        openat(dir, ".", flags, Mode::RUSR | Mode::WUSR).and_then(|file| rustix::io::write(&file, &[0; INDEX_BYTES]));
    matches!(written, Err(Errno::NOSPC | Errno::DQUOT) | Ok(0..INDEX_BYTES))
}

fn percent(bytes: u64, percent: u64) -> u64 {
    bytes.saturating_mul(percent) / 100
}
