//! The way out: the daemon's events to the hub, in order, each once, or the range that is gone.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use runabout::client::{Delivery, Events};
use serde_json::json;
use tokio::time::Instant;

use crate::args::Nats;
use crate::daemon::{Daemon, System};
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::publish::{Batch, Doubt, Outgoing, Publisher};
use crate::told::say;

/// The durable cursor is moved at most this often: each move is a commit on the box's medium.
const CURSOR_EVERY: Duration = Duration::from_secs(5);
/// One that does not move is put again after this, so that the box knows that its reader is there.
const CURSOR_AGAIN: Duration = Duration::from_secs(86_400);
/// Until a daemon has taken our cursor when we stop.
const CURSOR_LAST: Duration = Duration::from_millis(300);

/// What the sending of events needs and tells.
pub struct Out<'a> {
    /// The hub.
    pub hub: &'a Hub,
    /// The daemon.
    pub daemon: &'a Daemon,
    /// Which one it is.
    pub system: &'a System,
    /// How fast, and whether output goes, too.
    pub options: &'a Nats,
    /// What is counted.
    pub metrics: &'a Metrics,
    /// Rung when something happened at the box that may have freed a slot.
    pub happened: &'a tokio::sync::Notify,
}

/// Sends until something goes wrong.
pub async fn send(out: &Out<'_>) -> Doubt {
    let mut cursor = CursorAtDaemon { daemon: out.daemon, put: Instant::now(), is: 0, at: None, wanted: true };
    match sent(out, &mut cursor).await {
        Ok(never) => match never {},
        Err(doubt) => doubt,
    }
}

async fn sent(out: &Out<'_>, cursor: &mut CursorAtDaemon<'_>) -> Result<std::convert::Infallible, Doubt> {
    let mut publisher = Publisher::at_the_tail(out.hub, &out.system.instance).await?;
    let mut reader = Reader { gap_to: publisher.tail().gap_to, metrics: out.metrics };
    // Where the hub has nothing of this box it lost all, or let it expire, and gets all that is left.
    let id = publisher.tail().id;
    // What comes after it is kept from now on.
    cursor.is = id;
    cursor.put().await;
    let opened = out.daemon.events(&out.system.instance, id, out.options.output).await;
    let mut events = opened.map_err(|failure| Doubt(failure.to_string()))?;
    let mut pace = Pace::new(out.options);
    let mut pending = Batch::default();
    loop {
        if pending.messages.is_empty() {
            tokio::select! {
                delivery = events.next() => reader.take(delivery, &mut pending)?,
                () = cursor.due() => { cursor.put().await; continue }
            }
        }
        reader.take_ready(&mut events, &mut pending)?;
        let batch = std::mem::take(&mut pending);
        out.happened.notify_one();
        {
            let mut append = std::pin::pin!(async {
                pace.wait(&batch).await;
                publisher.append(&batch).await
            });
            // What comes meanwhile is the next batch: the daemon is read while the hub writes.
            loop {
                tokio::select! {
                    done = &mut append => break done?,
                    delivery = events.next(), if !pending.is_full() => reader.take(delivery, &mut pending)?,
                }
            }
        }
        Metrics::add(&out.metrics.events, batch.messages.len());
        Metrics::add(&out.metrics.batches, 1);
        out.metrics.last_id.store(publisher.tail().id.unsigned_abs(), Ordering::Relaxed);
        cursor.moved_to(publisher.tail().id).await;
    }
}

/// Tells the daemon at the end how far the hub is, so that it need not keep more than that.
pub async fn last_words(daemon: &Daemon, metrics: &Metrics) {
    let id = i64::try_from(metrics.last_id.load(Ordering::Relaxed)).unwrap_or(0);
    if id > 0 {
        let _ = tokio::time::timeout(CURSOR_LAST, daemon.move_cursor(id)).await;
    }
}

/// Makes messages of what the daemon tells.
struct Reader<'a> {
    gap_to: i64,
    metrics: &'a Metrics,
}

impl Reader<'_> {
    fn take(
        &mut self,
        delivery: Option<<Events as futures_util::Stream>::Item>,
        batch: &mut Batch,
    ) -> Result<(), Doubt> {
        let delivery: Delivery = match delivery {
            Some(Ok(delivery)) => delivery,
            Some(Err(failure)) => return Err(Doubt(failure.to_string())),
            None => return Err(Doubt("the daemon's events ended".to_owned())),
        };
        for gap in &delivery.gone {
            self.gap(gap.from, gap.to, &gap.reason, batch);
        }
        let event = &delivery.event;
        batch.push(Outgoing {
            id: event.id.0,
            run: event.run.0,
            seq: event.seq.0,
            kind: event.kind.to_string(),
            gap_to: self.gap_to,
            body: Bytes::copy_from_slice(delivery.line.as_bytes()),
        });
        Ok(())
    }

    /// A gap is told once: what of it was told before, perhaps by another process, is left out.
    fn gap(&mut self, from: i64, to: i64, reason: &str, batch: &mut Batch) {
        if to <= self.gap_to {
            return;
        }
        let from = from.max(self.gap_to + 1);
        self.gap_to = to;
        let body = json!({ "type": "gap", "from": from, "to": to, "reason": reason, "partial": true }).to_string();
        say(&format!("events {from} to {to} were removed before the hub had them ({reason}); it is told so"));
        Metrics::add(&self.metrics.gaps, 1);
        // Behind it comes what is left of the range.
        let id = from - 1;
        batch.push(Outgoing { id, run: 0, seq: 0, kind: "gap".to_owned(), gap_to: to, body: body.into() });
    }

    fn take_ready(&mut self, events: &mut Events, batch: &mut Batch) -> Result<(), Doubt> {
        while !batch.is_full() {
            match events.next().now_or_never() {
                Some(delivery) => self.take(delivery, batch)?,
                None => break,
            }
        }
        Ok(())
    }
}

/// Keeps to so many events and bytes a second, on average.
struct Pace {
    per_s: f64,
    bytes_per_s: f64,
    free_at: Instant,
}

impl Pace {
    fn new(options: &Nats) -> Pace {
        Pace { per_s: options.rate.into(), bytes_per_s: options.rate_bytes.into(), free_at: Instant::now() }
    }

    async fn wait(&mut self, batch: &Batch) {
        tokio::time::sleep_until(self.free_at).await;
        let takes_s = |amount: usize, per_s: f64| if per_s > 0.0 { amount as f64 / per_s } else { 0.0 };
        let takes_s = takes_s(batch.messages.len(), self.per_s).max(takes_s(batch.bytes, self.bytes_per_s));
        self.free_at = Instant::now() + Duration::from_secs_f64(takes_s);
    }
}

/// Our cursor at the daemon, moved now and then.
struct CursorAtDaemon<'a> {
    daemon: &'a Daemon,
    /// What the hub has.
    is: i64,
    /// When it was last put, and where; `None`: the daemon did not answer.
    put: Instant,
    at: Option<i64>,
    /// The daemon has such a thing.
    wanted: bool,
}

impl CursorAtDaemon<'_> {
    async fn moved_to(&mut self, id: i64) {
        self.is = id;
        if self.wanted && self.put.elapsed() >= CURSOR_EVERY {
            self.put().await;
        }
    }

    /// Waits until it is time, where the box has gone quiet since.
    async fn due(&self) {
        if !self.wanted {
            std::future::pending::<()>().await;
        }
        let wait = if self.at == Some(self.is) { CURSOR_AGAIN } else { CURSOR_EVERY };
        tokio::time::sleep_until(self.put + wait).await;
    }

    async fn put(&mut self) {
        self.put = Instant::now();
        match self.daemon.move_cursor(self.is).await {
            Ok(wanted) => (self.wanted, self.at) = (wanted, Some(self.is)),
            // A daemon that is away may be back by the next time; its events tell.
            Err(_) => self.at = None,
        }
    }
}
