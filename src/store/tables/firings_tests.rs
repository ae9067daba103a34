//! Years of jobs by a clock in the test's hand, held against a model: what was due, what is written down of it and told, and
//! when each job is due next, over clocks that are set, sleep, and crashes at each step of a firing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_io::block_on;
use proptest::prelude::*;
use serde_json::Value;

use crate::clock::UnixMs;
use crate::dir::Dir;
use crate::event::{Data, Event, Kind};
use crate::job::{CatchUp, JobSpec, Overlap, QUEUED_MAX, Skipped, offset_ms};
use crate::metrics::Metrics;
use crate::numbers::RunId;
use crate::run::{Exit, HeldBy, Hold, Measured, Options, Retry, Spec, Status};
use crate::schedule::{Schedule, Zone};
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::settings::StoreConfig;
use crate::store::tables::cancel::Cancel;
use crate::store::tables::firings::{fire, look_again};
use crate::store::tables::handle::Store;
use crate::store::tables::jobs::{self, IfMatch};
use crate::store::tables::queues::QueueChange;
use crate::wake::{Bell, Stop};

mod acts;
mod model;

use self::acts::{Act, How, act, how};
use self::model::{Alive, Expected, Known, Written};

const NAMES: [&str; 3] = ["a", "b", "c"];
const SCHEDULES: [&str; 4] = ["@every 6h", "30 2 * * *", "0 */8 * * *", "0 2 1 * *"];
const ZONE: &str = "Europe/Berlin";
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Missed times are counted to here.
const COUNTED: i64 = 1_000;
/// As early as a machine without a clock of its own begins.
const YEAR_1970: i64 = 12_345;

/// The store beside the model of it.
struct World {
    store: Store,
    dir: PathBuf,
    now: i64,
    /// Whether the clock was ever set back: then a time may be told of again by one that stands for many.
    was_set_back: bool,
    jobs: BTreeMap<&'static str, Known>,
    written: BTreeMap<(String, i64), Written>,
}

fn new_dir() -> PathBuf {
    let dir = std::env::temp_dir().join(format!("runabout-firings-{:x}", getrandom::u64().expect("random numbers")));
    std::fs::create_dir(&dir).expect("a directory");
    dir
}

fn open(dir: &Path) -> Store {
    let file = Arc::new(Dir::open(dir).expect("opened")).file("runabout.db");
    let bell = Bell::default();
    let stop = Stop::new(bell.clone());
    Store::open(&file, &StoreConfig::unlimited(), &bell, &stop, &Arc::new(Metrics::new())).expect("a store")
}

/// What is told of a time: the job, the time, why it has no run, and how many times it stands for.
type Told = (String, i64, Option<String>, i64);

/// What is told of a job's times: which, and the reason where there is no run.
fn told(event: &Event) -> Option<Told> {
    if !matches!(event.kind, Kind::JobFired | Kind::JobSkipped) {
        return None;
    }
    let Data::Json(data) = &event.data else { panic!("{event:?}") };
    let data: Value = serde_json::from_str(data).expect("JSON");
    let text = |field: &str| data[field].as_str().map(str::to_owned);
    let at = UnixMs::parse(&text("scheduled_for").expect("a time")).expect("a time");
    let count =
        if event.kind == Kind::JobFired { data["missed"].as_i64().unwrap_or(1) } else { data["count"].as_i64()? };
    Some((text("job").expect("a job"), at.0, text("reason"), count))
}

impl World {
    async fn new(now: i64, starts_in_1970: bool, hows: &[How; 3]) -> World {
        let dir = new_dir();
        let (store, is_believed) = (open(&dir), !starts_in_1970);
        let (jobs, written) = (BTreeMap::new(), BTreeMap::new());
        let mut world = World { store, dir, now, was_set_back: false, jobs, written };
        world
            .store
            .put_queue("default".into(), QueueChange { slots: Some(2), ..QueueChange::default() })
            .await
            .expect("a queue");
        world.now = if is_believed { now } else { YEAR_1970 };
        for (job, how) in hows.iter().enumerate() {
            world.put(job, job, how).await;
        }
        world.fire(None).await;
        assert!(is_believed || world.written.is_empty(), "a clock that is not believed fires nothing");
        world.now = now;
        world.look().await;
        world
    }

    /// A request by the test's clock.
    async fn write<T: Send + 'static>(
        &self,
        mut does: impl FnMut(&mut Writer<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        let now = UnixMs(self.now);
        let by_the_clock = move |tx: &mut Writer<'_>| {
            tx.now = now;
            does(tx)
        };
        self.store.requests.write(by_the_clock).await.expect("written")
    }

    async fn act(&mut self, act: &Act) {
        match *act {
            Act::Pass(ms) => self.now += ms,
            Act::Set(ms) => {
                self.was_set_back |= ms < 0;
                self.now = (self.now + ms).max(YEAR_1970);
                self.look().await;
            }
            Act::Without { works_ms, off_ms } => {
                let right_at = self.now + off_ms;
                self.start_again().await;
                self.now = YEAR_1970;
                self.look().await;
                self.fire(None).await;
                self.now += works_ms;
                self.fire(None).await;
                self.now = right_at;
                self.look().await;
            }
            Act::Crash { step, before_ms, off_ms } => {
                self.now += before_ms;
                self.fire(Some(step)).await;
                self.now += off_ms;
                self.look().await;
            }
            Act::Put { job, schedule, ref how } => self.put(job, schedule, how).await,
            Act::Enable { job, enabled } => {
                let spec = JobSpec { enabled, ..self.jobs[NAMES[job]].spec.clone() };
                self.put_spec(NAMES[job], spec).await;
            }
            Act::Claim => self.claim().await,
            Act::End { run, code } => self.end(run, code).await,
        }
        self.fire(None).await;
    }

    async fn put(&mut self, job: usize, schedule: usize, how: &How) {
        let retry = Retry { attempts: 3, delay_s: 3_600, ..Retry::default() };
        let options = Options { retry: how.retries.then_some(retry), ..Options::default() };
        let spec = JobSpec {
            run: Spec { options, ..Spec::plain("default") },
            schedule: vec![SCHEDULES[schedule].into()],
            zone: Some(ZONE.into()),
            enabled: true,
            catch_up: how.catch_up,
            overlap: how.overlap,
            jitter_s: how.jitter_s,
            start_deadline_s: how.deadline_s,
            params: BTreeMap::new(),
            after_job: None,
        };
        self.put_spec(NAMES[job], spec).await;
    }

    async fn put_spec(&mut self, name: &'static str, spec: JobSpec) {
        let (now, sent) = (self.now, spec.clone());
        self.write(move |tx| jobs::put(tx, name, &sent, &IfMatch::Always, "test").map(drop)).await;
        let Some(known) = self.jobs.get_mut(name) else {
            self.jobs.insert(name, Known::new(spec, now));
            return;
        };
        // A schedule that is new, or enabled anew, owes nothing for the time before.
        if (&known.spec.schedule, known.spec.enabled) != (&spec.schedule, spec.enabled) {
            known.nothing_is_lost(name, &self.written, self.was_set_back);
            (known.owed_from, known.accounted_at, known.fired_at) = (now, now, now);
            known.highest_at = 0;
            known.told.clear();
        }
        known.spec = spec;
    }

    async fn start_again(&mut self) {
        self.store.close().await;
        self.store = open(&self.dir);
    }

    /// What the daemon does at its start, and whenever the clock is set.
    async fn look(&mut self) {
        self.write(|tx| look_again(tx, "")).await;
        let now = self.now;
        for known in self.jobs.values_mut().filter(|_| UnixMs(now).is_believed()) {
            if UnixMs(known.accounted_at).is_believed() {
                known.accounted_at = known.accounted_at.min(now);
                // A schedule of which nothing was fired owes what is due by the clock as it is now.
                if known.highest_at == 0 {
                    (known.owed_from, known.fired_at) = (known.accounted_at, known.accounted_at);
                }
            } else {
                (known.accounted_at, known.owed_from, known.fired_at) = (now, now, now);
            }
        }
    }

    /// What waits is started where a slot is free.
    async fn claim(&self) {
        self.store.open_claims(true);
        self.write(|tx| {
            tx.claim_wanted = true;
            Ok(())
        })
        .await;
        self.store.open_claims(false);
        while self.store.orders().try_recv().is_ok() {}
    }

    async fn end(&self, run: usize, code: i32) {
        let all: Vec<Alive> = self.alive().await.into_values().flatten().collect();
        let Some(run) = all.get(run % all.len().max(1)) else { return };
        let id = RunId(run.id.expect("it is stored"));
        if run.is_running {
            let attempt = self.store.run(id).await.expect("the run").attempt;
            self.store.finish(id, attempt, None, None, Exit::Code(code), Measured::default()).await.expect("finished");
        } else {
            self.store.cancel(id, "test".into(), Cancel::default()).await.expect("canceled");
        }
    }

    /// The runs of each job that have not ended.
    async fn alive(&self) -> BTreeMap<String, Vec<Alive>> {
        self.write(|tx| {
            let mut statement = tx.conn.prepare(
                "SELECT job, id, status, held_by, scheduled_for FROM runs WHERE status IN ('queued', 'running') ORDER BY id",
            )?;
            let mut all = BTreeMap::<String, Vec<Alive>>::new();
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let is_running = Status::parse(&row.get::<_, String>("status")?) == Some(Status::Running);
                let has_begun = is_running || HeldBy::from_bits(row.get("held_by")?).has(Hold::Retry);
                let (id, scheduled_for) = (Some(row.get("id")?), row.get("scheduled_for")?);
                all.entry(row.get("job")?).or_default().push(Alive { id, is_running, has_begun, scheduled_for });
            }
            Ok(all)
        })
        .await
    }

    /// Fires what is due, and holds what is there then against what should be. With `dies_at`, what is on the medium when so
    /// many rows were changed is what it goes on with.
    async fn fire(&mut self, dies_at: Option<usize>) {
        let alive = self.alive().await;
        let is_due = |known: &Known| known.next_at().is_some_and(|at| at <= self.now) && UnixMs(self.now).is_believed();
        let due: Vec<&str> = self.jobs.iter().filter(|(_, known)| is_due(known)).map(|(name, _)| *name).collect();
        let expected: Vec<(&str, Expected)> = due
            .into_iter()
            .map(|name| (name, self.jobs[name].expected(name, self, alive.get(name).cloned().unwrap_or_default())))
            .collect();
        let copy = new_dir();
        let died = Arc::new(AtomicBool::new(false));
        let is_to_die = dies_at.is_some();
        let mut dies = dies_at.map(|step| Dies { step, from: self.dir.clone(), to: copy.clone(), died: died.clone() });
        let mut events = Vec::new();
        for nth in 0..=NAMES.len() {
            if nth > 0 && self.store.published.next_firing().is_none_or(|at| at.0 > self.now) {
                break;
            }
            let (instance, dies) = (self.store.instance().to_owned(), dies.take());
            events.extend(self.write(move |tx| fire_or_die(tx, &instance, dies.clone())).await);
        }
        if died.load(Ordering::SeqCst) {
            self.store.close().await;
            let _ = std::fs::remove_dir_all(std::mem::replace(&mut self.dir, copy));
            self.store = open(&self.dir);
            // Nothing of it is there: no firing, no run, and it is due as it was.
            return self.agrees().await;
        }
        let _ = std::fs::remove_dir_all(copy);
        let mut to_tell = Vec::new();
        for (name, expected) in expected {
            let known = self.jobs.get_mut(name).expect("known");
            known.accounted_at = self.now;
            known.highest_at = known.highest_at.max(self.now);
            known.fired_at = known.fired_at.max(self.now);
            for (at, count) in &expected.told {
                *known.told.entry(*at).or_default() += *count as usize;
            }
            for (at, written) in expected.written {
                let reason = written.skipped.map(|why| why.as_str().to_owned());
                to_tell.push((name.to_owned(), at, reason, written.count));
                self.written.insert((name.to_owned(), at), written);
            }
            for at in expected.replaced {
                to_tell.push((name.to_owned(), at, Some("replaced".to_owned()), 1));
                let written = self.written.get_mut(&(name.to_owned(), at)).expect("it was written");
                (written.skipped, written.behind) = (Some(Skipped::Replaced), None);
            }
        }
        events.sort();
        to_tell.sort();
        assert_eq!(events, to_tell, "what is told is what is written");
        self.agrees().await;
        if is_to_die {
            // It had less to do than that: it dies right behind it.
            self.start_again().await;
        }
    }

    /// What is stored is what the model knows.
    async fn agrees(&self) {
        let (written, runs, next) = self
            .write(|tx| {
                let mut written = BTreeMap::new();
                let mut firings = tx.conn.prepare("SELECT * FROM firings")?;
                let mut rows = firings.query([])?;
                while let Some(row) = rows.next()? {
                    let skipped = row.get::<_, Option<String>>("skipped")?.as_deref().and_then(Skipped::parse);
                    let behind = row.get::<_, Option<i64>>("behind")?.map(Some);
                    let has_run = row.get::<_, Option<i64>>("run")?.is_some();
                    let is = Written { has_run, skipped, count: row.get("count")?, behind };
                    written.insert((row.get("job")?, row.get("scheduled_for")?), is);
                }
                let mut scheduled = tx
                    .conn
                    .prepare("SELECT job, scheduled_for, count(*) AS count FROM runs GROUP BY job, scheduled_for")?;
                let runs = scheduled.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?;
                let runs = runs.collect::<Result<BTreeMap<(String, i64), i64>, _>>()?;
                let mut next = tx.conn.prepare("SELECT name, next_at FROM jobs")?;
                let next = next.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
                Ok((written, runs, next.collect::<Result<BTreeMap<String, Option<i64>>, _>>()?))
            })
            .await;
        assert_eq!(
            written.keys().collect::<Vec<_>>(),
            self.written.keys().collect::<Vec<_>>(),
            "the times written down"
        );
        for (of, is) in &written {
            // Of a run that came in the same firing the model does not know the number.
            let behind = self.written[of].behind.map(|known| known.or(is.behind.flatten()));
            assert_eq!(*is, Written { behind, ..self.written[of].clone() }, "{of:?}");
        }
        assert!(runs.values().all(|count| *count == 1), "a time has two runs: {runs:?}");
        let with_run: Vec<&(String, i64)> = written.iter().filter(|(_, is)| is.has_run).map(|(of, _)| of).collect();
        assert_eq!(runs.keys().collect::<Vec<_>>(), with_run, "each run has its firing, and each firing its run");
        let due: BTreeMap<String, Option<i64>> =
            self.jobs.iter().map(|(name, known)| ((*name).to_owned(), known.next_at())).collect();
        assert_eq!(next, due, "when each is due next, now {}", UnixMs(self.now));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Where a firing dies.
#[derive(Clone)]
struct Dies {
    /// After so many changes of rows.
    step: usize,
    from: PathBuf,
    to: PathBuf,
    died: Arc<AtomicBool>,
}

/// Fires a piece; what is on the medium when it dies is copied.
fn fire_or_die(tx: &mut Writer<'_>, instance: &str, dies: Option<Dies>) -> Result<Vec<Told>, StoreError> {
    if let Some(Dies { step, from, to, died }) = dies {
        let mut changes = 0;
        let see = move |_, _: &str, _: &str, _| {
            changes += 1;
            if changes == step {
                for name in ["runabout.db", "runabout.db-wal"] {
                    std::fs::copy(from.join(name), to.join(name)).expect("copied");
                }
                died.store(true, Ordering::SeqCst);
            }
        };
        tx.conn.update_hook(Some(see))?;
    }
    let before = tx.events.len();
    let fired = fire(tx, instance);
    tx.conn.update_hook(None::<fn(rusqlite::hooks::Action, &str, &str, i64)>)?;
    fired.map(|()| tx.events[before..].iter().filter_map(told).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_time_is_fired_once_or_told_why_not(
        starts_in_1970 in any::<bool>(),
        hows in [how(), how(), how()],
        acts in prop::collection::vec(act(), 1..30),
    ) {
        block_on(async {
            // So far ahead that a clock that is set back is still believed.
            let now = UnixMs::now().0 + 1_000 * DAY_MS;
            let mut world = World::new(now, starts_in_1970, &hows).await;
            for act in &acts {
                world.act(act).await;
            }
            world.start_again().await;
            world.look().await;
            world.agrees().await;
            for (name, known) in &world.jobs {
                known.nothing_is_lost(name, &world.written, world.was_set_back);
            }
            world.store.close().await;
        });
    }
}
