//! Sessions as the gate asks for them, from the store.

use super::who::{Lookup, Sessions, cookie_max_age_s};
use crate::access::{How, Identity, Role};
use crate::http::middleware::grant::Grant;
use crate::store::{SessionUse, Store};

/// The sessions of the database.
pub struct StoredSessions(Store);

impl StoredSessions {
    /// Those of this store.
    pub fn new(store: Store) -> StoredSessions {
        StoredSessions(store)
    }
}

impl Sessions for StoredSessions {
    fn by_token(&self, token_sha256: [u8; 32]) -> Lookup<'_> {
        Box::pin(async move {
            let found = self.0.session_by_token(token_sha256).await?;
            Ok(found.map(|SessionUse { session: live, has_moved, .. }| {
                let session = live.session();
                let identity = Identity {
                    role: session.role,
                    name: format!("session:{}", session.name),
                    scope: None,
                    // Also where the row names no job: then it may start none.
                    jobs: (session.role == Role::Trigger).then(|| session.jobs.unwrap_or_default().into()),
                    session: Some(session.id),
                    how: How::Bearer,
                    renewed_s: has_moved.then(|| cookie_max_age_s(session.ttl_s)),
                };
                (identity, Grant::Session(live))
            }))
        })
    }
}
