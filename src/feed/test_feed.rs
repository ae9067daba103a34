//! For tests: a store with its hub, in a directory that goes with it.

use std::path::PathBuf;
use std::sync::Arc;

use async_io::block_on;
use futures_lite::FutureExt as _;
use futures_lite::future;

use super::hub::Hub;
use super::mailboxes::HubLimits;
use super::stretch::{Form, Framing};
use crate::dir::Dir;
use crate::event::{Event, Kind};
use crate::metrics::Metrics;
use crate::numbers::{Position, RunId};
use crate::run::{Cause, Origin, Spec};
use crate::scope::{EventFilter, Scope};
use crate::store::{Cancel, NewRun, PAGE_BYTES_MAX, PageLimits, Store, StoreConfig};
use crate::wake::{Bell, Stop};

/// How the followers of these tests are shown events: one text a line.
pub(super) const FORM: Form = Form::Framed(Framing {
    name: "lines",
    lay: |shown, out| {
        out.extend_from_slice(shown.text.as_bytes());
        out.push(b'\n');
    },
});

/// A store with its hub, in a directory that goes with it.
pub(super) struct TestFeed {
    pub hub: Hub,
    pub bell: Bell,
    dir: PathBuf,
}

impl TestFeed {
    /// With room for so many events in each mailbox.
    pub fn new(reader_events: usize) -> TestFeed {
        TestFeed::with(reader_events, StoreConfig::unlimited())
    }

    /// The same, with other settings of the store.
    pub fn with(reader_events: usize, config: StoreConfig) -> TestFeed {
        let nonce = getrandom::u64().expect("random numbers");
        let dir = std::env::temp_dir().join(format!("runabout-feed-{nonce:x}"));
        std::fs::create_dir(&dir).expect("a directory");
        let (bell, metrics) = (Bell::default(), Arc::new(Metrics::new()));
        let file = Arc::new(Dir::open(&dir).expect("opened")).file("runabout.db");
        let store = Store::open(&file, &config, &bell, &Stop::new(bell.clone()), &metrics);
        let limits = HubLimits { reader_events, reader_bytes: 1 << 20, total_bytes: 1 << 26 };
        let hub = Hub::new(store.expect("a store"), limits, metrics);
        TestFeed { hub, bell, dir }
    }

    pub fn store(&self) -> &Store {
        self.hub.store()
    }

    pub async fn submit(&self, queue: &str) -> RunId {
        let new = NewRun {
            spec: Spec::plain(queue),
            idempotency: None,
            retry_of: None,
            origin: Origin::of(Cause::Submit),
            by: "test".into(),
        };
        self.store().submit(new).await.expect("submitted").run.id
    }

    pub async fn say(&self, run: RunId, count: usize) {
        let events = vec![(Kind::Message, "{}".to_owned()); count];
        self.store().append(run, events).await.expect("appended");
    }

    pub async fn end(&self, run: RunId) {
        self.store().cancel(run, "test".into(), Cancel::default()).await.expect("canceled");
    }

    /// What `work` gives, while the fan-out does its own.
    pub fn beside_the_fan_out<T>(&self, work: impl Future<Output = T>) -> T {
        let fan_out = async {
            self.hub.fan_out(&self.bell).await;
            future::pending().await
        };
        block_on(work.or(fan_out))
    }

    /// Every event there is, by pages that hide nothing.
    pub async fn everything(&self) -> Vec<Event> {
        self.by_pages(&EventFilter::new(Some(Kind::ALL.to_vec()), None, None), 0, 500).await
    }

    pub async fn by_pages(&self, filter: &EventFilter, after: i64, rows_max: usize) -> Vec<Event> {
        let (mut events, mut after) = (Vec::new(), Position(after));
        let limits = PageLimits { rows: rows_max, ..PageLimits::within(PAGE_BYTES_MAX) };
        loop {
            let page = self.store().page(Scope::All(filter.clone()), after, limits).await.expect("a page");
            assert!(page.through > after || after >= page.head.last(), "a page that leads nowhere: {page:?}");
            assert!(
                page.events.len() <= rows_max
                    && page.events.last().is_none_or(|last| Position::from(last.id) <= page.through)
            );
            after = page.through;
            events.extend(page.events);
            if after >= page.head.last() {
                return events;
            }
        }
    }
}

impl Drop for TestFeed {
    fn drop(&mut self) {
        block_on(self.store().close());
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
