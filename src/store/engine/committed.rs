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

    /// Takes the next events: at most so many, and as many as have no more than so many bytes of data, but one in any case.
    pub fn take(&self, events_max: usize, bytes_max: usize) -> Vec<Event> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = 0;
        let fits = |event: &&Event| {
            bytes += event.data.len();
            bytes <= bytes_max
        };
        let count = waiting.iter().take(events_max).take_while(fits).count().max(1).min(waiting.len());
        waiting.drain(..count).collect()
    }
}
