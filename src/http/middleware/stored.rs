//! Sessions as the gate asks for them, from the store.

use std::future::Future;
use std::pin::Pin;

use super::who::Sessions;
use crate::access::{How, Identity};
use crate::http::Problem;
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
    fn by_token(
        &self,
        token_sha256: [u8; 32],
    ) -> Pin<Box<dyn Future<Output = Result<Option<Identity>, Problem>> + Send + '_>> {
        Box::pin(async move {
            let found = self.0.session_by_token(token_sha256).await?;
            Ok(found.map(|SessionUse { session, renewed }| Identity {
                role: session.role,
                name: format!("session:{}", session.name),
                scope: None,
                session: Some(session.id),
                expires_at: session.expires_at,
                how: How::Bearer,
                renewed_s: renewed.then_some(session.ttl_s.unsigned_abs()),
            }))
        })
    }
}
