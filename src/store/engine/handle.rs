//! The handle by which everything async reaches the store thread: one short function a request.

use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};

use crate::clock::UnixMs;
use crate::dir::FileAt;
use crate::event::Kind;
use crate::metrics::Metrics;
use crate::numbers::Seq;
use crate::run::{Ask, Exit, Outcome, Run, RunId};
use crate::store::engine::backlog::Backlog;
use crate::store::engine::committed::Committed;
use crate::store::engine::job::{Job, WriteOf};
use crate::store::engine::orders::Order;
use crate::store::engine::reads::{Door, READS_MAX, Read, ReadThread};
use crate::store::engine::room::{Load, Room};
use crate::store::engine::shared::Shared;
use crate::store::engine::state::{Counts, Queue};
use crate::store::engine::thread::StoreThread;
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::file::migrate::OpenError;
use crate::store::file::migrate::Sharing;
use crate::store::file::place::Place;
use crate::store::file::{lineage, migrate};
use crate::store::settings::StoreConfig;
use crate::store::tables::attempts::{LeftRun, ProcessMark};
use crate::store::tables::lists::{Filter, RunPage};
use crate::store::tables::runs::{Change, NewRun, Submitted};
use crate::store::tables::sessions::Sessions;
use crate::store::tables::{attempts, events, lists, queues, retention, runs};
use crate::wake::{Bell, Stop};

/// Jobs that may wait for the thread; who comes then waits for a place.
const JOBS_MAX: usize = 4_096;

/// Reaches the store's two threads; cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(in crate::store) jobs: Sender<Job>,
    pub(in crate::store) reads: Sender<Read>,
    pub(in crate::store) shared: Arc<Shared>,
    pub(in crate::store) backlog: Backlog,
    committed: Committed,
    orders: Receiver<Order>,
    pub(in crate::store) bell: Bell,
    instance: Arc<str>,
    cookie_id: Arc<str>,
    pub(in crate::store) sessions: Arc<Sessions>,
}

impl Store {
    /// Opens the database and starts its threads.
    ///
    /// # Errors
    /// When the file is not ours, is newer than this binary, or cannot be opened.
    pub fn open(
        file: &FileAt,
        config: &StoreConfig,
        bell: &Bell,
        stop: &Stop,
        metrics: &Arc<Metrics>,
    ) -> Result<Store, OpenError> {
        let mut room = Room::new(file, config.disk_free_bytes_min, &config.quota);
        let (mut conn, sharing) = migrate::open_in(&mut room, file, (!config.was_closed).then_some(config.check_max))?;
        let state = lineage::settle(&mut conn, config.remembered.as_ref())?;
        (config.remember)(&state.high_water());
        let rules = config.rules(room.quota_bytes(), retention::figure(&conn, "PRAGMA page_size")?);
        room.set_wall(&conn, Load::Whole)?;
        room.keep_ballast();
        room.keep_part();
        migrate::accept(&conn)?;
        let place = Place::of(&conn, &file.path(), sharing);
        let door = Arc::<Door>::default();
        if sharing == Sharing::All {
            door.open(file)?;
        }
        let (jobs, inbox) = async_channel::bounded(JOBS_MAX);
        let (reads, asked) = async_channel::bounded(READS_MAX);
        // Unbounded in form alone: whoever runs commands takes an order as soon as it comes, and closes it when it ends.
        let (orders_in, orders) = async_channel::unbounded();
        let store = Store {
            jobs,
            reads,
            shared: Arc::default(),
            backlog: Backlog::default(),
            committed: Committed::default(),
            orders,
            bell: bell.clone(),
            instance: state.instance.as_str().into(),
            cookie_id: lineage::cookie_id(&conn, &state.instance)?.into(),
            sessions: Arc::default(),
        };
        let thread = StoreThread {
            conn,
            state,
            jobs: inbox,
            door: door.clone(),
            shared: store.shared.clone(),
            sessions: store.sessions.clone(),
            backlog: store.backlog.clone(),
            committed: store.committed.clone(),
            orders: orders_in,
            bell: bell.clone(),
            stop: stop.clone(),
            metrics: metrics.clone(),
            queued_runs_max: config.queued_runs_max,
            remember: config.remember.clone(),
            note_closed: config.note_closed.clone(),
            rules,
            file: file.clone(),
            sharing,
            place,
            room,
            recoveries: 0,
            checkpoint_due: None,
            left: Vec::new(),
            broken: None,
        };
        store.shared.publish(&thread.state, &rules);
        let reading = ReadThread {
            reads: asked,
            jobs: store.jobs.clone(),
            door,
            shared: store.shared.clone(),
            metrics: metrics.clone(),
        };
        start("store", stop, move || thread.run())?;
        start("reads", stop, move || reading.run())?;
        Ok(store)
    }

    pub(in crate::store) async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Writer<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write_as(true, work).await
    }

    /// Has something written, and waits for neither a place nor the answer.
    pub(in crate::store) fn write_later(
        &self,
        work: impl FnMut(&mut Writer<'_>) -> Result<(), StoreError> + Send + 'static,
    ) {
        let (reply, _) = async_channel::bounded(1);
        let _ = self.jobs.try_send(Job::Write(Box::new(WriteOf { is_urgent: false, work, result: None, reply })));
    }

    /// The same for what is much and may wait for what is urgent.
    pub(in crate::store) async fn write_bulk<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Writer<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write_as(false, work).await
    }

    async fn write_as<T: Send + 'static>(
        &self,
        is_urgent: bool,
        work: impl FnMut(&mut Writer<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = async_channel::bounded(1);
        self.send(Job::Write(Box::new(WriteOf { is_urgent, work, result: None, reply }))).await?;
        answer.recv().await.map_err(gone)?
    }

    pub(in crate::store) async fn send(&self, job: Job) -> Result<(), StoreError> {
        self.jobs.send(job).await.map_err(gone)
    }

    // ---- what is known without asking

    /// The name of this database.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// What this database's cookie is called by: its first name, which a restored copy keeps, as it keeps the sessions.
    pub fn cookie_id(&self) -> &str {
        &self.cookie_id
    }

    /// Output that waits for a commit.
    pub fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// Events that were committed and wait for the fan-out.
    pub fn committed(&self) -> &Committed {
        &self.committed
    }

    /// What commits ask of whoever runs commands, in their order.
    pub fn orders(&self) -> &Receiver<Order> {
        &self.orders
    }

    /// Whether a claim would find something.
    pub fn claimable(&self) -> bool {
        self.shared.claimable()
    }

    /// When the next delayed run becomes due.
    pub fn next_due(&self) -> Option<UnixMs> {
        self.shared.next_due()
    }

    /// How many runs there are of each status, in the order of `Status::ALL`.
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// Lets the thread claim in the commit that ends a run, or forbids it.
    pub fn open_claims(&self, open: bool) {
        self.shared.open_claims(open);
    }

    // ---- runs

    /// Makes a run, or finds the one that its idempotency key stands for.
    pub async fn submit(&self, new: NewRun) -> Result<Submitted, StoreError> {
        self.write(move |tx| runs::submit(tx, &new)).await
    }

    /// One run.
    pub async fn run(&self, run: RunId) -> Result<Run, StoreError> {
        self.read(move |reader| runs::get(reader.conn, run, reader.printed(run))).await
    }

    /// A page of runs.
    pub async fn runs(&self, filter: Filter) -> Result<RunPage, StoreError> {
        self.read(move |reader| lists::list(reader, &filter)).await
    }

    /// Changes a run.
    pub async fn change(&self, run: RunId, change: Change, by: String) -> Result<Run, StoreError> {
        self.write(move |tx| runs::change(tx, run, &change, &by)).await
    }

    /// Asks for a run's end; answers it, and whether it still runs: then the order to stop it is on its way.
    pub async fn cancel(&self, run: RunId, by: String, reason: Option<String>) -> Result<(Run, bool), StoreError> {
        self.write(move |tx| runs::cancel(tx, run, &by, reason.as_deref())).await
    }

    /// Makes a new run of an ended one's specification.
    pub async fn retry(&self, run: RunId, by: String) -> Result<Run, StoreError> {
        self.write(move |tx| runs::retry(tx, run, &by)).await
    }

    /// Removes an ended run and its events.
    pub async fn delete(&self, run: RunId) -> Result<(), StoreError> {
        self.write(move |tx| runs::delete(tx, run)).await
    }

    // ---- events; what reads them stands with `events` and `all_events`

    /// Appends a client's events, all or none; answers the last `seq`.
    pub async fn append(&self, run: RunId, events: Vec<(Kind, String)>) -> Result<Seq, StoreError> {
        self.write_bulk(move |tx| events::append(tx, run, &events)).await
    }

    /// Commits what the backlog has ready; answers what a commit lately took.
    pub async fn flush(&self) -> Result<Duration, StoreError> {
        let (reply, answer) = async_channel::bounded(1);
        self.send(Job::Flush(reply)).await?;
        answer.recv().await.map_err(gone)?
    }

    /// Commits what of this run's output is ready, also while other output waits for room: for a run that is ending.
    pub async fn flush_run(&self, run: RunId) -> Result<(), StoreError> {
        self.write(move |tx| tx.append_output(tx.backlog.take_ready_of(run))).await
    }

    // ---- attempts

    /// Fills free slots with what is due; what was claimed comes by [`Store::orders`].
    pub async fn claim(&self) -> Result<(), StoreError> {
        self.write(attempts::want_claims).await
    }

    /// Writes the attempt's process down.
    pub async fn record_process(&self, run: RunId, attempt: i64, process: ProcessMark) -> Result<(), StoreError> {
        self.write(move |tx| attempts::record_process(tx, run, attempt, &process)).await
    }

    /// Settles an attempt, with all output of the run that still waits, in one transaction; `process` where it was
    /// over before it was recorded.
    /// `None` when it was settled before.
    pub async fn finish(
        &self,
        run: RunId,
        attempt: i64,
        process: Option<ProcessMark>,
        asked: Option<Ask>,
        exit: Exit,
    ) -> Result<Option<Outcome>, StoreError> {
        self.write(move |tx| attempts::finish(tx, run, attempt, process.as_ref(), asked, &exit)).await
    }

    /// The attempts that a dead daemon left.
    pub async fn left_running(&self) -> Result<Vec<LeftRun>, StoreError> {
        self.read(attempts::left_running).await
    }

    // ---- queues

    /// Every queue with what is in it, by name.
    pub fn queues(&self) -> Vec<(String, Queue)> {
        self.shared.queues()
    }

    /// One queue.
    pub fn queue(&self, name: &str) -> Result<Queue, StoreError> {
        self.shared.queue(name).ok_or_else(|| StoreError::QueueNotFound(name.to_owned()))
    }

    /// Makes or changes a queue; answers whether it is new.
    pub async fn put_queue(
        &self,
        name: String,
        slots: Option<i64>,
        paused: Option<bool>,
    ) -> Result<(Queue, bool), StoreError> {
        self.write(move |tx| queues::put(tx, &name, slots, paused)).await
    }

    /// Removes an empty queue.
    pub async fn delete_queue(&self, name: String) -> Result<(), StoreError> {
        self.write(move |tx| queues::delete(tx, &name)).await
    }
}

pub(in crate::store) fn gone<E>(_: E) -> StoreError {
    closed()
}

/// What is answered once the store is closed.
pub(in crate::store) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}

/// Starts one of the two threads. Where a panic ends it the daemon ends too: nothing would work any more.
fn start(name: &str, stop: &Stop, work: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
    let ends = Ends(stop.clone());
    let started = std::thread::Builder::new().name(name.into()).spawn(move || {
        let _ends = ends;
        work();
    });
    started.map(drop).map_err(|error| OpenError::Failed(error.to_string()))
}

struct Ends(Stop);

impl Drop for Ends {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail();
        }
    }
}
