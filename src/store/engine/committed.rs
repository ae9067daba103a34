//! Events that were committed and not yet handed to the readers, in commit order.
//!
//! Nothing enters before its COMMIT. Dropping what is in here is safe: readers find it in the database.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::event::Event;

/// The queue between the store thread and the fan-out.
#[derive(Clone, Default)]
pub struct Committed(Arc<Mutex<VecDeque<Event>>>);

impl Committed {
    /// Appends the events of a commit. Only the writing thread calls it, before it rings the Bell.
    pub(in crate::store) fn push(&self, events: Vec<Event>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.is_empty() {
            *waiting = events.into();
        } else {
            waiting.extend(events);
        }
    }

    /// Takes the next event. One by one, so that a task that is dropped between two loses none.
    pub fn take(&self) -> Option<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}
