//! Cache of the sessions in use: which token opens which session, and until when, without asking the thread.
//!
//! All holders share one record of a session: requests, streams, the list. A use moves its end at once, and is written
//! now and then. A revocation takes effect here right after its COMMIT, whether or not whoever asked for it is still
//! there. A use that is not written is never forgotten, unless it cannot be written.

use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_listener::Event;

use super::session::{Session, TokenSha256, expiry};
use crate::clock::UnixMs;
use crate::timer::within;

/// Sessions that stay cached though nobody holds them; some 300 bytes each.
const KEPT_MAX: usize = 1_024;
/// A use counts when the last counted one is older than this, in milliseconds, or than this part of the session's
/// lifetime: ten requests of a page are one use.
const USE_MS: i64 = 60_000;
const USE_PART: i64 = 16;
/// A use is written when the last written one is older than this, in seconds, or than half of the session's lifetime,
/// …
const WRITE_AFTER_S: i64 = 3_600;
/// … and again after this, in milliseconds, where it could not be.
const WRITE_AGAIN_MS: i64 = 60_000;

/// A session that is in use; cheap to clone.
#[derive(Clone)]
pub struct LiveSession(Arc<Live>);

struct Live {
    token_sha256: TokenSha256,
    record: Mutex<Record>,
    /// Rung when it has ended and when the clock was set.
    changed: Event,
}

struct Record {
    session: Session,
    /// Its last use by the database.
    written: UnixMs,
    /// Its end by the database.
    written_end: Option<UnixMs>,
    /// When a write of its use was last requested.
    tried: UnixMs,
    /// It was revoked or has expired.
    is_over: bool,
}

/// A use of a session.
#[derive(Debug)]
pub struct SessionUse {
    /// The session.
    pub session: LiveSession,
    /// Whether it counts, which moves the session's end.
    pub has_moved: bool,
    /// Whether it is to be written.
    pub(super) is_due: bool,
}

impl LiveSession {
    /// The session as it is now.
    pub fn session(&self) -> Session {
        self.lock().session.clone()
    }

    /// Whether it was neither revoked nor has expired.
    pub fn is_valid(&self) -> bool {
        self.lock().is_valid(UnixMs::now())
    }

    /// Waits until it is revoked or has expired; uses postpone that.
    pub async fn ended(&self) {
        loop {
            let changed = self.0.changed.listen();
            let left = {
                let (record, now) = (self.lock(), UnixMs::now());
                if !record.is_valid(now) {
                    return;
                }
                record.session.expires_at.map(|at| Duration::from_millis((at.0 - now.0).max(0).unsigned_abs()))
            };
            let Some(left) = left else {
                changed.await;
                continue;
            };
            let _ = within(left, changed).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.lock().is_over = true;
        self.0.changed.notify(usize::MAX);
    }

    fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl fmt::Debug for LiveSession {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "LiveSession({})", self.lock().session.id)
    }
}

impl Record {
    fn is_valid(&self, now: UnixMs) -> bool {
        !self.is_over && self.session.is_valid(now)
    }

    fn is_written(&self) -> bool {
        self.written == self.session.last_used_at
    }

    /// Moves its end; returns whether this counts as a use, and whether that is to be written.
    fn use_at(&mut self, now: UnixMs) -> (bool, bool) {
        let ttl_ms = if self.session.ttl_s > 0 { self.session.ttl_s.saturating_mul(1_000) } else { i64::MAX };
        if now.0 - self.session.last_used_at.0 < USE_MS.min(ttl_ms / USE_PART) {
            return (false, false);
        }
        self.session.renew(now);
        let after_ms = (WRITE_AFTER_S * 1_000).min(ttl_ms / 2);
        let is_due = now.0 - self.written.0 >= after_ms && now.0 - self.tried.0 >= after_ms.min(WRITE_AGAIN_MS);
        if is_due {
            self.tried = now;
        }
        (true, is_due)
    }
}

/// All sessions in use.
#[derive(Default)]
pub struct Sessions(Mutex<Known>);

#[derive(Default)]
struct Known {
    by_token: HashMap<TokenSha256, LiveSession>,
    /// Number of changes: what was read from the database before one is not cached after it.
    generation: u64,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses the session of this token, if it is known here and has not ended.
    pub fn use_by(&self, token_sha256: &TokenSha256) -> Option<SessionUse> {
        let session = self.lock().by_token.get(token_sha256)?.clone();
        let mut record = session.lock();
        // Read under the lock: whoever expires sessions sees every use of a time before its own.
        let now = UnixMs::now();
        if !record.is_valid(now) {
            drop(record);
            self.forget(&session);
            return None;
        }
        let (has_moved, is_due) = record.use_at(now);
        drop(record);
        Some(SessionUse { session, has_moved, is_due })
    }

    /// The generation to pass to [`Sessions::learn`]; take it before the session is read.
    pub fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Caches a session that was read, unless something has changed since `generation`: then it must be read again.
    /// Returns whether uses should be written so that other sessions can be dropped.
    pub fn learn(&self, generation: u64, token_sha256: TokenSha256, session: Session) -> bool {
        let mut known = self.lock();
        if known.generation != generation {
            return false;
        }
        let is_crowded = known.by_token.len() >= KEPT_MAX && known.make_room();
        // Of two who read it at once, both are to hold the same.
        known.by_token.entry(token_sha256).or_insert_with(|| {
            let (written, written_end) = (session.last_used_at, session.expires_at);
            let record = Record { session, written, written_end, tried: UnixMs(i64::MIN / 2), is_over: false };
            LiveSession(Arc::new(Live { token_sha256, record: Mutex::new(record), changed: Event::new() }))
        });
        is_crowded
    }

    fn forget(&self, session: &LiveSession) {
        session.end();
        let mut known = self.lock();
        if known.by_token.get(&session.0.token_sha256).is_some_and(|other| Arc::ptr_eq(&other.0, &session.0)) {
            known.by_token.remove(&session.0.token_sha256);
        }
    }

    /// The sessions as they are now, by id.
    pub fn by_id(&self) -> HashMap<i64, Session> {
        self.lock().by_token.values().map(LiveSession::session).map(|session| (session.id, session)).collect()
    }

    /// Sessions with a use that is not written.
    pub fn unwritten(&self) -> Vec<LiveSession> {
        self.that(|record| !record.is_written())
    }

    /// Sessions that have expired by the database and were used since.
    pub fn outlived(&self, now: UnixMs) -> Vec<LiveSession> {
        self.that(|record| {
            !record.is_written() && record.is_valid(now) && record.written_end.is_some_and(|end| end <= now)
        })
    }

    /// Sessions whose use was requested to be written and is not yet.
    pub fn due(&self) -> Vec<LiveSession> {
        self.that(|record| !record.is_written() && record.tried > record.written)
    }

    fn that(&self, is_wanted: impl Fn(&Record) -> bool) -> Vec<LiveSession> {
        self.lock().by_token.values().filter(|session| is_wanted(&session.lock())).cloned().collect()
    }

    /// Wakes everyone who waits for an end, since the clock was set.
    pub fn clock_was_set(&self) {
        self.lock().by_token.values().for_each(|session| _ = session.0.changed.notify(usize::MAX));
    }

    /// Applies the changes of a committed transaction.
    pub(super) fn commit(&self, Changes { written, ended, shifted }: Changes) {
        for (session, used) in written {
            let mut record = session.lock();
            (record.written, record.written_end) = (used, expiry(used, record.session.ttl_s));
        }
        if ended.is_empty() && shifted.is_none() {
            return;
        }
        let mut known = self.lock();
        known.generation += 1;
        known.by_token.retain(|_, session| {
            let has_ended = ended.contains(&session.lock().session.id);
            if has_ended {
                session.end();
            }
            !has_ended
        });
        if let Some((made, by_ms)) = shifted {
            known.by_token.values().for_each(|session| session.lock().shift(&made, by_ms));
        }
    }
}

impl Record {
    fn shift(&mut self, made: &RangeInclusive<i64>, by_ms: i64) {
        if !made.contains(&self.session.created_at.0) {
            return;
        }
        let later = |at: UnixMs| UnixMs(at.0 + by_ms);
        let session = &mut self.session;
        (session.created_at, session.last_used_at) = (later(session.created_at), later(session.last_used_at));
        session.expires_at = session.expires_at.map(later);
        (self.written, self.written_end) = (later(self.written), self.written_end.map(later));
    }
}

impl Known {
    /// Drops sessions that nobody holds. Those whose use is not written stay, up to a limit. Returns whether some of
    /// them are left.
    fn make_room(&mut self) -> bool {
        self.by_token.retain(|_, session| session.is_held() || !session.lock().is_written());
        if self.by_token.len() >= 2 * KEPT_MAX {
            self.by_token.retain(|_, session| session.is_held());
        }
        self.by_token.len() >= KEPT_MAX
    }
}

/// Changes of sessions by a transaction, applied once it is committed.
#[derive(Default)]
pub(super) struct Changes {
    /// Sessions whose use was written, and that use.
    pub written: Vec<(LiveSession, UnixMs)>,
    /// Ids of sessions that have ended.
    pub ended: Vec<i64>,
    /// Sessions made between two times are moved by so many milliseconds.
    pub shifted: Option<(RangeInclusive<i64>, i64)>,
}
