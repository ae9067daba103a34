//! Where a reader begins: its cursor, made into a position in the scope.

use crate::numbers::{EventId, Position};
use crate::scope::{Cursor, EventFilter, Scope};
use crate::store::{AllHead, Head, Store, StoreError};

/// Where a reader begins, and where the scope stands.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The cursor, made into a position.
    pub after: Position,
    /// Where the scope stands.
    pub head: Head,
}

/// Why a cursor cannot be followed.
#[derive(Clone, Debug)]
pub enum OpenError {
    /// It lies beyond the newest event.
    CursorAhead {
        /// The newest event.
        last: Position,
    },
    /// It is of another database.
    InstanceChanged {
        /// The newest event.
        last: Position,
    },
    /// The run is not there, or the store.
    Store(StoreError),
}

/// Makes a cursor into a position. The newest N are N that the scope shows, as far as there are so many.
///
/// # Errors
/// When the cursor is beyond the newest event or of another database, the run is not there, the filter names one that
/// never was, or the store cannot be read.
pub async fn resolve(store: &Store, scope: &Scope, cursor: &Cursor) -> Result<Opening, OpenError> {
    let head = store.head(scope.clone()).await.map_err(OpenError::Store)?;
    let last = head.last();
    let after = match cursor {
        Cursor::After(position) => *position,
        Cursor::Latest | Cursor::Newest(0) => last,
        Cursor::Newest(count) => before_newest(store, scope, &head, *count).await.map_err(OpenError::Store)?,
        Cursor::Of(instance, _) if instance != store.instance() => return Err(OpenError::InstanceChanged { last }),
        Cursor::Of(_, position) => *position,
    };
    if after > last { Err(OpenError::CursorAhead { last }) } else { Ok(Opening { after, head }) }
}

/// The position in front of the newest `count` events that the scope shows.
async fn before_newest(store: &Store, scope: &Scope, head: &Head, count: i64) -> Result<Position, StoreError> {
    match (scope, head) {
        (Scope::All(filter), Head::All(head)) => before_newest_shown(store, filter, head, count).await,
        // What is gone is not asked for by somebody who wants the newest.
        (_, head) => Ok(Position(head.last().0.saturating_sub(count)).max(head.first().previous())),
    }
}

/// The same through a filter: looked for from the end, a piece at a time.
async fn before_newest_shown(
    store: &Store,
    filter: &EventFilter,
    head: &AllHead,
    count: i64,
) -> Result<Position, StoreError> {
    let mut left = usize::try_from(count).unwrap_or(usize::MAX);
    let mut before: EventId = head.last_id.next();
    loop {
        let piece = store.newest(filter.clone(), before, left).await?;
        left = left.saturating_sub(piece.found);
        match piece.down_to {
            Some(down_to) if left == 0 => return Ok(down_to.previous().into()),
            Some(down_to) => before = down_to,
            None => return Ok(head.first_id.previous().into()),
        }
    }
}
