//! Requests about sessions.

use super::live::{LiveSession, SessionUse, Sessions};
use super::session::{Session, SessionPage, TokenSha256};
use super::table;
use crate::clock::UnixMs;
use crate::store::error::StoreError;
use crate::store::tables::handle::Store;

impl Store {
    /// Finds the session of a token and uses it, which renews it; `None` where it was revoked or has expired. Only
    /// asks the thread where the session was not used lately.
    pub async fn session_by_token(&self, token_sha256: TokenSha256) -> Result<Option<SessionUse>, StoreError> {
        loop {
            if let Some(used) = self.sessions.use_by(&token_sha256) {
                if used.is_due {
                    self.write_uses(Sessions::due);
                }
                return Ok(Some(used));
            }
            let generation = self.sessions.generation();
            let found = self.requests.read(move |reader| table::by_token(reader, &token_sha256)).await?;
            let Some(session) = found.filter(|session| session.is_valid(UnixMs::now())) else { return Ok(None) };
            if self.sessions.learn(generation, token_sha256, session) {
                self.write_uses(Sessions::unwritten);
            }
        }
    }

    /// Requests that uses are written and waits for nothing; where that fails, a later use tries again.
    fn write_uses(&self, which: fn(&Sessions) -> Vec<LiveSession>) {
        let sessions = self.sessions.clone();
        self.requests.write_later(move |tx| match &tx.held {
            Some(_) => Ok(()),
            None => table::write_uses(tx, &sessions, which(&sessions)),
        });
    }

    /// Writes all uses that are not written.
    pub(in crate::store) async fn write_all_uses(&self) -> Result<(), StoreError> {
        let sessions = self.sessions.clone();
        if sessions.unwritten().is_empty() {
            return Ok(());
        }
        self.requests.write(move |tx| table::write_uses(tx, &sessions, sessions.unwritten())).await
    }

    /// Reads a page of at most `limit` sessions with ids below `before`, as they are now.
    pub async fn sessions(&self, before: i64, limit: i64) -> Result<SessionPage, StoreError> {
        let mut stored = self.requests.read(move |reader| table::list(reader, before, limit.saturating_add(1))).await?;
        let shown = usize::try_from(limit).unwrap_or(usize::MAX).min(stored.len());
        let has_more = stored.len() > shown;
        stored.truncate(shown);
        let next = stored.last().filter(|_| has_more).map(|last| last.id);
        let (mut live, now) = (self.sessions.by_id(), UnixMs::now());
        let as_it_is = |stored: Session| live.remove(&stored.id).unwrap_or(stored);
        let sessions = stored.into_iter().map(as_it_is).filter(|session| session.is_valid(now)).collect();
        Ok(SessionPage { sessions, next })
    }

    /// Revokes a session. From the answer on its token opens nothing, and its streams end.
    pub async fn delete_session(&self, id: i64) -> Result<(), StoreError> {
        let sessions = self.sessions.clone();
        self.requests.write(move |tx| table::delete(tx, &sessions, id)).await
    }
}
