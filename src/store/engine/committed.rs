//! Events on their way out: what was committed and is not handed to the readers yet, in commit order.
//!
//! Nothing enters before its COMMIT. Dropping what is in here is safe: readers find it in SQLite.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::event::Event;

/// The queue between the store thread and the fan-out.
#[derive(Clone, Default)]
pub struct Committed(Arc<Mutex<VecDeque<Event>>>);

impl Committed {
    /// Puts a commit's events behind those that wait. Called by the store thread alone, before it rings the Bell.
    pub(in crate::store) fn push(&self, events: Vec<Event>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.is_empty() {
            *waiting = events.into();
        } else {
            waiting.extend(events);
        }
    }

    /// Takes the next one. One by one, so that whoever is interrupted between two has lost none.
    pub fn take(&self) -> Option<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}
