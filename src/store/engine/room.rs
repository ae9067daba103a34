//! How much room there is: the floor of free space, the quota and its wall, the ballast; and what has to wait while
//! there is too little.
//!
//! It decides what a transaction may carry, never what a job does. It never refuses what frees room or ends a run.

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

/// How long a database that could not be written is left alone before everything is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// What must be free beyond the ballast before it is made again after a full disk.
const MARGIN_BYTES: u64 = 1_024 * 1_024;
/// With less than this free the start gives the ballast back: opening takes a few pages.
const START_BYTES_MIN: u64 = 1_024 * 1_024;
/// The index of the write-ahead log, as it begins.
const INDEX_BYTES: usize = 32 * 1_024;
/// The wall, where even output stops, in percent of the quota.
const WALL_PERCENT: u64 = 125;
/// Where submits stop while something can be pruned: half-way between the quota, around which pruning keeps a busy
/// database, and the wall, so that what was taken can be started, recorded and ended.
const GROWTH_PERCENT: u64 = 112;
/// What the log may take up beside the database: it is moved there from 4 MiB on.
const LOG_BYTES: u64 = 5 * 1_024 * 1_024;
/// How often a database that is written asks for the size of its file system.
const QUOTA_LOOK: Duration = Duration::from_secs(10);
/// The most pages that SQLite can count.
const PAGES_MAX: u64 = 0xffff_fffe;
/// What one transaction may need: a database so close to its wall met the wall.
const TRANSACTION_BYTES: u64 = 4 * 1_024 * 1_024;

/// What a transaction carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// The jobs, waiting output, new claims.
    Whole,
    /// The jobs alone, and of those only what must be: ends, cancels, deletes.
    Essential,
}

/// The room that the database has.
pub struct Room {
    /// The database's file.
    file: FileAt,
    /// `limits.disk_free_bytes`.
    floor_bytes: u64,
    quota: Quota,
    quota_bytes: u64,
    /// When the file system was last asked for its size.
    quota_looked: Instant,
    ballast: Ballast,
    held: Option<Held>,
    /// Whether the last look refused: said once when that begins and once when it is over.
    refuses: Cell<bool>,
    /// Whether the last look saw room for the ballast.
    has_room: Cell<bool>,
    /// What Litestream keeps beside it.
    replica: RefCell<Counted>,
}

/// Output, claims and submits wait.
struct Held {
    why: Refusal,
    since: Instant,
    next_try: Instant,
}

impl Room {
    /// Looks around; on a disk that is full to the brim gives the ballast back, so that the database can be opened.
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

    /// What the next transaction may carry. While writes fail, everything is tried once in a while.
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

    /// A write found no room, or a file system that takes none: from now on output, claims and submits wait.
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

    /// What the database may have in use.
    pub fn quota_bytes(&self) -> u64 {
        self.quota_bytes
    }

    /// Looks, once in a while or `now`, how large the file system is: it may grow, shrink, or be another one. Answers
    /// whether the quota changed.
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

    /// Whether something is held back.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Why something is held back, in figures of now.
    pub fn why_held(&self, conn: &Connection) -> Option<Refusal> {
        self.held.as_ref().map(|held| match held.why {
            Refusal::NoRoom(_) => Refusal::NoRoom(self.shortage_met(conn)),
            ref why => why.clone(),
        })
    }

    /// Something was written that had been held back.
    pub fn release(&mut self) {
        if let Some(held) = self.held.take() {
            log::info!("the database can be written again, after {} s", held.since.elapsed().as_secs());
            self.has_room.set(true);
            self.keep_ballast();
        }
    }

    /// What SQLite's own error means to a caller.
    pub fn told(&self, conn: &Connection, fault: &Fault) -> StoreError {
        self.refusal(conn, fault).map_or_else(|| fault.clone().into(), StoreError::Refused)
    }

    /// The refusal that a fault is to a caller, if it is none of the daemon's own.
    fn refusal(&self, conn: &Connection, fault: &Fault) -> Option<Refusal> {
        match fault {
            Fault::Full => Some(Refusal::NoRoom(self.shortage_met(conn))),
            Fault::ReadOnly => Some(Refusal::ReadOnly),
            _ => None,
        }
    }

    /// What SQLite ran short of, in figures of now.
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

    /// Whether the database may grow by something new: a look at the disk and at two figures in SQLite's cache.
    /// `prunable`: whether there is something that goes by itself.
    ///
    /// # Errors
    /// What there is too little of.
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

    /// What Litestream keeps beside the database.
    fn replica_bytes(&self) -> u64 {
        self.replica.borrow_mut().bytes(&self.file)
    }

    /// Whether a client's events may be added: beyond what pruning and trimming keep to, nothing comes from outside.
    ///
    /// # Errors
    /// That there is too much already.
    pub fn may_append(&self, conn: &Connection) -> Result<(), StoreError> {
        let (used_bytes, quota_bytes) = (used_bytes(conn)?, self.quota_bytes);
        if used_bytes <= percent(quota_bytes, GROWTH_PERCENT) {
            return Ok(());
        }
        Err(Refusal::NoRoom(Shortage::Quota { used_bytes, quota_bytes }).into())
    }

    /// Makes the ballast where it is missing and the last look saw room for it.
    pub fn keep_ballast(&mut self) {
        if self.ballast.is_kept() || self.held.is_some() || !self.has_room.replace(false) {
            return;
        }
        let room_bytes = self.floor_bytes.saturating_add(BALLAST_BYTES);
        if free_bytes(&self.file.dir).is_some_and(|free| free >= room_bytes) {
            self.ballast.make();
        }
    }

    /// Keeps as much of a ballast as there is room for, so that the next start finds something to give back.
    pub fn keep_part(&mut self) {
        self.ballast.make_part();
    }

    /// Whether so little is free that the database may not be opened, as all programs open it.
    pub fn has_none(&self) -> bool {
        has_none(&self.file.dir) || refuses_a_file(&self.file.dir)
    }

    /// Gives the ballast back to what must be written; whether there was any.
    pub fn give_ballast_back(&mut self) -> bool {
        let given = self.ballast.give_back();
        if given {
            log::warn!("the disk is full: what was kept for the ends of runs is given back");
        }
        given
    }

    /// Lets SQLite grow to the wall, or, for what must be, beyond it.
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

/// What is free for us on the file system of a directory.
fn free_bytes(dir: &Dir) -> Option<u64> {
    dir.free_space().ok().map(|space| space.free_bytes)
}

/// Whether less is free than a start takes, in bytes or in files.
fn has_none(dir: &Dir) -> bool {
    dir.free_space().is_ok_and(|space| {
        space.free_bytes < START_BYTES_MIN || space.free_files.is_some_and(|files| files < START_FILES)
    })
}

/// Whether a file as large as the index of the log finds no room: a quota of its user is in no figure of the file system.
fn refuses_a_file(dir: &Dir) -> bool {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let written =
        openat(dir, ".", flags, Mode::RUSR | Mode::WUSR).and_then(|file| rustix::io::write(&file, &[0; INDEX_BYTES]));
    matches!(written, Err(Errno::NOSPC | Errno::DQUOT) | Ok(0..INDEX_BYTES))
}

fn percent(bytes: u64, percent: u64) -> u64 {
    bytes.saturating_mul(percent) / 100
}
