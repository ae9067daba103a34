//! What one hook has to send now: one after another, over one connection where the target keeps it.

use std::sync::Arc;
use std::time::Duration;

use async_io::Timer;
use log::Level;

use super::post::Post;
use super::reach::Own;
use crate::hook::{Attempt, DeliveryStatus, Parcel, Target};
use crate::metrics::{Metrics, OfOutcome};
use crate::store::{FaultLog, Store};
use crate::text::printable;

/// The pause after what came of an attempt could not be written down: it is not sent again for that.
const RETRY: Duration = Duration::from_secs(1);

/// One hook's deliveries.
pub struct Line {
    hook: String,
    store: Store,
    metrics: Arc<Metrics>,
    faults: FaultLog,
    post: Post,
}

impl Line {
    pub fn new(hook: String, store: Store, own: Own, metrics: Arc<Metrics>) -> Line {
        Line { hook, store, metrics, faults: FaultLog::new(Level::Warn), post: Post::new(own) }
    }

    /// Sends until nothing is due.
    pub async fn send_due(mut self) {
        loop {
            match self.store.next_delivery(self.hook.clone()).await {
                Ok(Some(parcel)) => {
                    self.faults.over();
                    let attempt = self.post.send(&parcel).await;
                    self.record(&parcel, attempt).await;
                }
                Ok(None) => return,
                Err(error) => {
                    self.faults.failed(&error, format_args!("what is to be told to a hook cannot be read"));
                    let _ = Timer::after(RETRY).await;
                }
            }
        }
    }

    /// Writes down what came of an attempt, however long that takes.
    async fn record(&mut self, parcel: &Parcel, attempt: Attempt) {
        let chance = getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX));
        let became = loop {
            match self.store.record_attempt(self.hook.clone(), parcel.id, attempt.clone(), chance).await {
                Ok(became) => break became,
                Err(error) => {
                    self.faults.failed(&error, format_args!("what a hook's target answered cannot be written down"));
                    let _ = Timer::after(RETRY).await;
                }
            }
        };
        self.faults.over();
        let Some(became) = became else { return };
        let outcome = match became {
            DeliveryStatus::Delivered => "delivered",
            DeliveryStatus::Pending => "failed",
            DeliveryStatus::Dead => "dead",
        };
        self.metrics.hook_deliveries.get_or_create(&OfOutcome { outcome }).inc();
        let Some(error) = &attempt.error else { return };
        // Of the path and the query nothing is told: they may be a secret.
        let (hook, id, target) = (&self.hook, parcel.id, Target::parse(&parcel.spec.url));
        let target = target.map_or_else(|_| "an unusable URL".to_owned(), |target| target.to_string());
        let error = printable(error);
        match became {
            _ if attempt.is_gone() => {
                log::warn!("hook {hook} is disabled: {target} wants no more of it (410 Gone)");
            }
            DeliveryStatus::Dead => {
                log::warn!("hook {hook}: delivery {id} to {target} is not tried again: {error}");
            }
            _ => log::info!("hook {hook}: delivery {id} to {target} failed and is tried again: {error}"),
        }
    }
}
