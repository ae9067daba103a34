//! The Follower against a real store: what no transport can be made to show at will.

use std::time::Instant;

use async_io::Timer;
use async_io::block_on;
use futures_lite::future;

use super::*;
use crate::event::{Kind, Stream};
use crate::feed::test_feed::{FORM, TestFeed};
use crate::run::RunId;
use crate::scope::EventFilter;
use crate::store::{Change, QueueChange};

const QUIET: Duration = Duration::from_millis(20);

/// Follows what a filter shows of all runs, and is moved on soon where that is nothing.
async fn follow(feed: &TestFeed, filter: &EventFilter, after: i64) -> Follower {
    let opened = Follower::open(&feed.hub, Scope::All(filter.clone()), FORM, &Cursor::After(Position(after))).await;
    Follower { quiet: Quiet::new(QUIET), ..opened.expect("opened").0 }
}

fn kinds(kinds: &[Kind]) -> EventFilter {
    EventFilter::new(Some(kinds.to_vec()), None, None)
}

/// Reads until it has so many events; answers their ids.
async fn ids(follower: &mut Follower, count: usize) -> Vec<i64> {
    let mut ids = Vec::new();
    while ids.len() < count {
        if let Step::Events(events) = follower.next().await.expect("a step") {
            ids.extend(events.iter().flat_map(Part::marks).map(|mark| mark.id.0));
        }
    }
    ids
}

#[test]
fn a_reader_who_is_shown_nothing_is_moved_on() {
    let feed = TestFeed::new(256);
    feed.beside_the_fan_out(async {
        let run = feed.submit("default").await;
        let mut follower = follow(&feed, &kinds(&[Kind::Finished]), 0).await;
        assert!(matches!(follower.next().await, Ok(Step::CaughtUp(Position(1)))));
        feed.say(run, 3).await;
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
        feed.end(run).await;
        assert_eq!(ids(&mut follower, 1).await, [6], "cancel_requested is hidden, finished is not");
    });
}

#[test]
fn a_reader_far_behind_is_moved_on_while_it_catches_up() {
    let feed = TestFeed::new(256);
    feed.beside_the_fan_out(async {
        let run = feed.submit("default").await;
        for _ in 0..25 {
            feed.say(run, 1_000).await;
        }
        let mut follower = follow(&feed, &kinds(&[Kind::Finished]), 0).await;
        for id in [10_000, 20_000] {
            let step = follower.next().await;
            assert!(matches!(step, Ok(Step::Cursor(at)) if at.0 == id), "{step:?}");
        }
        assert!(matches!(follower.next().await, Ok(Step::CaughtUp(Position(25_001)))));
    });
}

#[test]
fn a_fan_out_that_is_stopped_in_the_middle_has_lost_nothing() {
    let feed = TestFeed::new(256);
    block_on(async {
        let run = feed.submit("default").await;
        let mut followers = Vec::new();
        for _ in 0..100 {
            let mut follower = follow(&feed, &kinds(&[Kind::Message]), 1).await;
            assert!(matches!(follower.next().await, Ok(Step::CaughtUp(_))));
            followers.push(follower);
        }
        feed.say(run, 200).await;
        // Polled once: 200 events for 100 readers are more than it sends before it lets others run.
        let mut fan_out = Box::pin(feed.hub.fan_out(&feed.bell));
        assert!(future::poll_once(&mut fan_out).await.is_none());
        let pushed = feed.hub.pushed().0;
        assert!(pushed > 1 && pushed < 201, "{pushed}: it was not interrupted");
        drop(fan_out);
        feed.hub.close();
        for mut follower in followers {
            assert_eq!(ids(&mut follower, 200).await, (2..=201).collect::<Vec<i64>>());
        }
    });
}

#[test]
fn a_reader_whose_channel_overflows_goes_back_to_the_pages() {
    let feed = TestFeed::new(4);
    feed.beside_the_fan_out(async {
        let run = feed.submit("default").await;
        let mut follower = follow(&feed, &EventFilter::new(None, None, None), 0).await;
        assert_eq!(ids(&mut follower, 1).await, [1]);
        for _ in 0..20 {
            feed.say(run, 7).await;
        }
        assert_eq!(ids(&mut follower, 140).await, (2..=141).collect::<Vec<i64>>());
        feed.say(run, 1).await;
        assert_eq!(ids(&mut follower, 1).await, [142], "live again");
    });
}

#[test]
fn a_run_that_is_moved_takes_its_events_to_the_other_queue() {
    let feed = TestFeed::new(256);
    feed.beside_the_fan_out(async {
        feed.store()
            .put_queue("gpu".into(), QueueChange { slots: Some(1), paused: Some(true), ..QueueChange::default() })
            .await
            .expect("a queue");
        let run = feed.submit("default").await;
        let filter = EventFilter::new(None, Some("gpu".into()), None);
        let mut follower = follow(&feed, &filter, 0).await;
        assert!(matches!(follower.next().await, Ok(Step::CaughtUp(Position(1)))));
        feed.say(run, 2).await;
        assert!(matches!(follower.next().await, Ok(Step::Cursor(Position(3)))));
        let change = Change { queue: Some("gpu".into()), ..Change::default() };
        feed.store().change(run, change, "test".into()).await.expect("changed");
        feed.say(run, 1).await;
        assert_eq!(ids(&mut follower, 2).await, [4, 5]);
        let all: Vec<i64> = feed.by_pages(&filter, 0, 2).await.iter().map(|event| event.id.0).collect();
        assert_eq!(all, [1, 2, 3, 4, 5], "read later, they are all of the queue that it is in now");
    });
}

#[test]
fn what_is_deleted_under_a_reader_is_told_before_it_is_missed() {
    let feed = TestFeed::new(256);
    block_on(async {
        feed.store()
            .put_queue("gpu".into(), QueueChange { slots: Some(1), paused: Some(true), ..QueueChange::default() })
            .await
            .expect("a queue");
        let filter = EventFilter::new(None, Some("gpu".into()), None);
        let mut live = follow(&feed, &filter, 0).await;
        assert!(matches!(live.next().await, Ok(Step::CaughtUp(Position(0)))));
        let run = feed.submit("gpu").await;
        let mut behind = follow(&feed, &filter, 0).await;
        feed.end(run).await;
        feed.store().delete(run).await.expect("deleted");
        // What both were offered is of a run that is in no queue any more.
        feed.hub.close();
        for follower in [&mut live, &mut behind] {
            let step = follower.next().await;
            let told = matches!(step, Ok(Step::Gap(Gap { from: Position(1), to: Position(3), partial: true, .. })));
            assert!(told, "{step:?}");
        }
    });
}

/// A day's worth of everything: output and messages of several runs by turns, some of them deleted.
async fn busy(feed: &TestFeed) -> Vec<RunId> {
    feed.store()
        .put_queue("gpu".into(), QueueChange { slots: Some(1), paused: Some(true), ..QueueChange::default() })
        .await
        .expect("a queue");
    let mut runs = Vec::new();
    for nth in 0..8 {
        runs.push(feed.submit(if nth % 3 == 0 { "gpu" } else { "default" }).await);
    }
    let chance = || getrandom::u32().expect("random numbers") as usize;
    let intakes: Vec<_> = runs.iter().map(|run| feed.store().backlog().open(*run)).collect();
    for _ in 0..300 {
        let nth = chance() % runs.len();
        if chance() % 2 == 0 {
            intakes[nth].push(Stream::Stdout, b"a line\n");
            feed.store().flush().await.expect("committed");
        } else {
            feed.say(runs[nth], chance() % 4).await;
        }
    }
    for run in &runs[..3] {
        feed.end(*run).await;
    }
    feed.store().delete(runs[1]).await.expect("deleted");
    runs
}

#[test]
fn every_filter_shows_from_everywhere_what_a_look_at_everything_does() {
    let feed = TestFeed::new(256);
    block_on(async {
        let runs = busy(&feed).await;
        let everything = feed.everything().await;
        assert!(everything.windows(2).all(|two| two[0].id < two[1].id) && everything.len() > 300);
        let last_id = everything[everything.len() - 1].id.0;
        let kinds =
            [None, Some(vec![Kind::Finished]), Some(vec![Kind::Output, Kind::Queued]), Some(vec![Kind::Message])];
        let named = [None, Some(vec![runs[4]]), Some(vec![runs[0], runs[1], runs[5]])];
        let queues = [None, Some("gpu".to_owned())];
        for (kinds, named) in kinds.iter().flat_map(|kinds| named.iter().map(move |named| (kinds, named))) {
            for queue in &queues {
                let filter = EventFilter::new(kinds.clone(), queue.clone(), named.clone());
                // What belongs to no single run is of every queue.
                let in_queue = |run: RunId| {
                    queue.is_none()
                        || run == RunId::NONE
                        || runs.iter().position(|have| *have == run).is_some_and(|nth| nth % 3 == 0)
                };
                let shown: Vec<i64> = everything
                    .iter()
                    .filter(|event| filter.shows(event.kind, event.run) && in_queue(event.run))
                    .map(|event| event.id.0)
                    .collect();
                for (after, rows_max) in [(0, 500), (0, 1), (last_id / 3, 7), (last_id / 2, 40), (last_id, 5)] {
                    let pages = feed.by_pages(&filter, after, rows_max).await;
                    let ids: Vec<i64> = pages.iter().map(|event| event.id.0).collect();
                    let expected: Vec<i64> = shown.iter().copied().filter(|id| *id > after).collect();
                    assert_eq!(ids, expected, "{filter:?} after {after}, {rows_max} at a time");
                }
                for count in [1, 5, 1_000] {
                    let scope = Scope::All(filter.clone());
                    let opening = resolve(feed.store(), &scope, &Cursor::Newest(count)).await.expect("a cursor");
                    let left = shown.iter().filter(|id| **id > opening.after.0).count();
                    assert_eq!(left, shown.len().min(count as usize), "{filter:?}: the newest {count}");
                }
            }
        }
    });
}
