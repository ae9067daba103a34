//! The Follower against a real store: what no transport can be made to show at will.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use async_io::Timer;
use futures_lite::FutureExt as _;
use futures_lite::future::{self, block_on};

use super::*;
use crate::dir::Dir;
use crate::event::{Event, Kind, Stream};
use crate::feed::HubLimits;
use crate::metrics::Metrics;
use crate::run::{RunId, Spec};
use crate::scope::EventFilter;
use crate::store::{Change, NewRun, Store, StoreConfig};
use crate::wake::{Bell, Stop};

const QUIET: Duration = Duration::from_millis(20);

/// A store with its hub, in a directory that goes with it.
struct World {
    hub: Hub,
    bell: Bell,
    dir: PathBuf,
}

impl World {
    fn new(reader_events: usize) -> World {
        let nonce = getrandom::u64().expect("random numbers");
        let dir = std::env::temp_dir().join(format!("runabout-all-{nonce:x}"));
        std::fs::create_dir(&dir).expect("a directory");
        let (bell, metrics) = (Bell::default(), Arc::new(Metrics::new()));
        let config = StoreConfig::unlimited();
        let file = Arc::new(Dir::open(&dir).expect("opened")).file("runabout.db");
        let store = Store::open(&file, &config, &bell, &Stop::new(bell.clone()), &metrics);
        let limits = HubLimits { reader_events, reader_bytes: 1 << 20, total_bytes: 1 << 26 };
        let hub = Hub::new(store.expect("a store"), limits, metrics);
        World { hub, bell, dir }
    }

    fn store(&self) -> &Store {
        self.hub.store()
    }

    async fn submit(&self, queue: &str) -> RunId {
        let new = NewRun { spec: Spec::plain(queue), idempotency: None, retry_of: None, by: "test".into() };
        self.store().submit(new).await.expect("submitted").run.id
    }

    async fn say(&self, run: RunId, count: usize) {
        let events = vec![(Kind::Message, "{}".to_owned()); count];
        self.store().append(run, events).await.expect("appended");
    }

    async fn end(&self, run: RunId) {
        self.store().cancel(run, "test".into(), None).await.expect("canceled");
    }

    async fn follow(&self, filter: &EventFilter, after: i64) -> Follower {
        let scope = Scope::All(filter.clone());
        let opened = Follower::open(&self.hub, scope, Form::Json, &Cursor::After(Position(after))).await;
        Follower { cursor_every: QUIET, ..opened.expect("opened").0 }
    }

    /// What `work` gives, while the fan-out does its own.
    fn beside_the_fan_out<T>(&self, work: impl Future<Output = T>) -> T {
        let fan_out = async {
            self.hub.fan_out(&self.bell).await;
            future::pending().await
        };
        block_on(work.or(fan_out))
    }

    /// Every event there is, by pages that hide nothing.
    async fn everything(&self) -> Vec<Event> {
        self.by_pages(&EventFilter::new(Some(Kind::ALL.to_vec()), None, None), 0, 500).await
    }

    async fn by_pages(&self, filter: &EventFilter, after: i64, rows_max: usize) -> Vec<Event> {
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

impl Drop for World {
    fn drop(&mut self) {
        block_on(self.store().close());
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn kinds(kinds: &[Kind]) -> EventFilter {
    EventFilter::new(Some(kinds.to_vec()), None, None)
}

/// Reads until it has so many events; answers their ids.
async fn ids(follower: &mut Follower, count: usize) -> Vec<i64> {
    let mut ids = Vec::new();
    while ids.len() < count {
        if let Step::Events(events) = follower.next().await.expect("a step") {
            ids.extend(events.iter().map(|event| event.id.0));
        }
    }
    ids
}

#[test]
fn a_reader_who_is_shown_nothing_is_moved_on() {
    let world = World::new(256);
    world.beside_the_fan_out(async {
        let run = world.submit("default").await;
        let mut follower = world.follow(&kinds(&[Kind::Finished]), 0).await;
        assert!(matches!(follower.next().await, Ok(Step::CaughtUp(Position(1)))));
        world.say(run, 3).await;
        // All three were committed together.
        assert!(matches!(follower.next().await, Ok(Step::Cursor(Position(4)))));
        let begun = Instant::now();
        let quiet = async {
            Timer::after(QUIET * 3).await;
            Ok(Step::Closing)
        };
        // Where nothing was hidden since, nothing is told.
        let next = follower.next().or(quiet).await;
        assert!(matches!(next, Ok(Step::Closing)) && begun.elapsed() >= QUIET * 3, "{next:?}");
        world.end(run).await;
        assert_eq!(ids(&mut follower, 1).await, [6], "cancel_requested is hidden, finished is not");
    });
}

#[test]
fn a_reader_far_behind_is_moved_on_while_it_catches_up() {
    let world = World::new(256);
    world.beside_the_fan_out(async {
        let run = world.submit("default").await;
        for _ in 0..25 {
            world.say(run, 1_000).await;
        }
        let mut follower = world.follow(&kinds(&[Kind::Finished]), 0).await;
        for id in [10_000, 20_000] {
            let step = follower.next().await;
            assert!(matches!(step, Ok(Step::Cursor(at)) if at.0 == id), "{step:?}");
        }
        assert!(matches!(follower.next().await, Ok(Step::CaughtUp(Position(25_001)))));
    });
}

#[test]
fn a_fan_out_that_is_stopped_in_the_middle_has_lost_nothing() {
    let world = World::new(256);
    block_on(async {
        let run = world.submit("default").await;
        let mut followers = Vec::new();
        for _ in 0..100 {
            let mut follower = world.follow(&kinds(&[Kind::Message]), 1).await;
            assert!(matches!(follower.next().await, Ok(Step::CaughtUp(_))));
            followers.push(follower);
        }
        world.say(run, 200).await;
        // Polled once: 200 events for 100 readers are more than it sends before it lets others run.
        let mut fan_out = Box::pin(world.hub.fan_out(&world.bell));
        assert!(future::poll_once(&mut fan_out).await.is_none());
        let pushed = world.hub.pushed().0;
        assert!(pushed > 1 && pushed < 201, "{pushed}: it was not interrupted");
        drop(fan_out);
        world.hub.close();
        for mut follower in followers {
            assert_eq!(ids(&mut follower, 200).await, (2..=201).collect::<Vec<i64>>());
        }
    });
}

#[test]
fn a_reader_whose_channel_overflows_goes_back_to_the_pages() {
    let world = World::new(4);
    world.beside_the_fan_out(async {
        let run = world.submit("default").await;
        let mut follower = world.follow(&EventFilter::new(None, None, None), 0).await;
        assert_eq!(ids(&mut follower, 1).await, [1]);
        for _ in 0..20 {
            world.say(run, 7).await;
        }
        assert_eq!(ids(&mut follower, 140).await, (2..=141).collect::<Vec<i64>>());
        world.say(run, 1).await;
        assert_eq!(ids(&mut follower, 1).await, [142], "live again");
    });
}

#[test]
fn a_run_that_is_moved_takes_its_events_to_the_other_queue() {
    let world = World::new(256);
    world.beside_the_fan_out(async {
        world.store().put_queue("gpu".into(), Some(1), Some(true)).await.expect("a queue");
        let run = world.submit("default").await;
        let filter = EventFilter::new(None, Some("gpu".into()), None);
        let mut follower = world.follow(&filter, 0).await;
        assert!(matches!(follower.next().await, Ok(Step::CaughtUp(Position(1)))));
        world.say(run, 2).await;
        assert!(matches!(follower.next().await, Ok(Step::Cursor(Position(3)))));
        let change = Change { queue: Some("gpu".into()), ..Change::default() };
        world.store().change(run, change, "test".into()).await.expect("changed");
        world.say(run, 1).await;
        assert_eq!(ids(&mut follower, 2).await, [4, 5]);
        let all: Vec<i64> = world.by_pages(&filter, 0, 2).await.iter().map(|event| event.id.0).collect();
        assert_eq!(all, [1, 2, 3, 4, 5], "read later, they are all of the queue that it is in now");
    });
}

#[test]
fn what_is_deleted_under_a_reader_is_told_before_it_is_missed() {
    let world = World::new(256);
    block_on(async {
        world.store().put_queue("gpu".into(), Some(1), Some(true)).await.expect("a queue");
        let filter = EventFilter::new(None, Some("gpu".into()), None);
        let mut live = world.follow(&filter, 0).await;
        assert!(matches!(live.next().await, Ok(Step::CaughtUp(Position(0)))));
        let run = world.submit("gpu").await;
        let mut behind = world.follow(&filter, 0).await;
        world.end(run).await;
        world.store().delete(run).await.expect("deleted");
        // What both were offered is of a run that is in no queue any more.
        world.hub.close();
        for follower in [&mut live, &mut behind] {
            let step = follower.next().await;
            let told = matches!(step, Ok(Step::Gap(Gap { from: Position(1), to: Position(3), partial: true, .. })));
            assert!(told, "{step:?}");
        }
    });
}

/// A day's worth of everything: output and messages of several runs by turns, some of them deleted.
async fn busy(world: &World) -> Vec<RunId> {
    world.store().put_queue("gpu".into(), Some(1), Some(true)).await.expect("a queue");
    let mut runs = Vec::new();
    for nth in 0..8 {
        runs.push(world.submit(if nth % 3 == 0 { "gpu" } else { "default" }).await);
    }
    let chance = || getrandom::u32().expect("random numbers") as usize;
    let intakes: Vec<_> = runs.iter().map(|run| world.store().backlog().open(*run)).collect();
    for _ in 0..300 {
        let nth = chance() % runs.len();
        if chance() % 2 == 0 {
            intakes[nth].push(Stream::Stdout, b"a line\n");
            world.store().flush().await.expect("committed");
        } else {
            world.say(runs[nth], chance() % 4).await;
        }
    }
    for run in &runs[..3] {
        world.end(*run).await;
    }
    world.store().delete(runs[1]).await.expect("deleted");
    runs
}

#[test]
fn every_filter_shows_from_everywhere_what_a_look_at_everything_does() {
    let world = World::new(256);
    block_on(async {
        let runs = busy(&world).await;
        let everything = world.everything().await;
        assert!(everything.windows(2).all(|two| two[0].id < two[1].id) && everything.len() > 300);
        let last_id = everything[everything.len() - 1].id.0;
        let kinds =
            [None, Some(vec![Kind::Finished]), Some(vec![Kind::Output, Kind::Queued]), Some(vec![Kind::Message])];
        let named = [None, Some(vec![runs[4]]), Some(vec![runs[0], runs[1], runs[5]])];
        let queues = [None, Some("gpu".to_owned())];
        for (kinds, named) in kinds.iter().flat_map(|kinds| named.iter().map(move |named| (kinds, named))) {
            for queue in &queues {
                let filter = EventFilter::new(kinds.clone(), queue.clone(), named.clone());
                let in_queue = |run: RunId| {
                    queue.is_none() || runs.iter().position(|have| *have == run).is_some_and(|nth| nth % 3 == 0)
                };
                let shown: Vec<i64> = everything
                    .iter()
                    .filter(|event| filter.shows(event.kind, event.run) && in_queue(event.run))
                    .map(|event| event.id.0)
                    .collect();
                for (after, rows_max) in [(0, 500), (0, 1), (last_id / 3, 7), (last_id / 2, 40), (last_id, 5)] {
                    let pages = world.by_pages(&filter, after, rows_max).await;
                    let ids: Vec<i64> = pages.iter().map(|event| event.id.0).collect();
                    let expected: Vec<i64> = shown.iter().copied().filter(|id| *id > after).collect();
                    assert_eq!(ids, expected, "{filter:?} after {after}, {rows_max} at a time");
                }
                for count in [1, 5, 1_000] {
                    let scope = Scope::All(filter.clone());
                    let opening = resolve(world.store(), &scope, &Cursor::Newest(count)).await.expect("a cursor");
                    let left = shown.iter().filter(|id| **id > opening.after.0).count();
                    assert_eq!(left, shown.len().min(count as usize), "{filter:?}: the newest {count}");
                }
            }
        }
    });
}
