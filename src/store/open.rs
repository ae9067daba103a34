//! Opens the database, also on a full disk, and starts the store's two threads.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use crate::dir::FileAt;
use crate::event::HighWater;
use crate::metrics::Metrics;
use crate::store::engine::backlog::Backlog;
use crate::store::engine::committed::Committed;
use crate::store::engine::counters::Counters;
use crate::store::engine::database::{Database, Disk, Log, Outside};
use crate::store::engine::published::Published;
use crate::store::engine::reads::{ReadConnection, ReadThread};
use crate::store::engine::requests::Requests;
use crate::store::engine::room::{Load, Room};
use crate::store::engine::rules::Rules;
use crate::store::engine::thread::StoreThread;
use crate::store::engine::transaction::Steps;
use crate::store::file::connect::{Sharing, accept};
use crate::store::file::error::OpenError;
use crate::store::file::open_files::OpenFiles;
use crate::store::file::pages::figure;
use crate::store::file::{instance, migrate};
use crate::store::settings::StoreConfig;
use crate::store::tables::handle::Store;
use crate::store::tables::{attempts, cursors, dependents, events, output, quota};
use crate::wake::{Bell, Stop};

/// Steps of the tables in every transaction.
const STEPS: Steps = Steps {
    append_output: output::append_ready,
    tell_ends: dependents::tell,
    claim: attempts::claim,
    tell_removed: events::tell_removed,
    is_live_excess: quota::is_live_excess,
};

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
        // Unbounded in form alone: whoever runs commands takes an order as soon as it comes, and closes it when it ends.
        let (orders_in, orders) = async_channel::unbounded();
        let outside = Outside {
            read_conn: Arc::<ReadConnection>::default(),
            published: Arc::<Published>::default(),
            backlog: Backlog::default(),
            committed: Committed::default(),
            orders: orders_in,
            bell: bell.clone(),
            stop: stop.clone(),
            metrics: metrics.clone(),
        };
        let database = open_database(file, config, outside)?;
        let (requests, jobs, reads) = Requests::new();
        let outside = &database.outside;
        let store = Store {
            requests,
            published: outside.published.clone(),
            backlog: outside.backlog.clone(),
            committed: outside.committed.clone(),
            orders,
            bell: bell.clone(),
            instance: database.counters.instance.as_str().into(),
            cookie_id: instance::cookie_id(&database.conn, &database.counters.instance)?.into(),
            sessions: Arc::default(),
        };
        store.published.publish(&database.counters, &database.rules);
        let reading = ReadThread {
            reads,
            jobs: store.requests.jobs(),
            read_conn: outside.read_conn.clone(),
            published: store.published.clone(),
            metrics: metrics.clone(),
        };
        let writing = StoreThread { database, jobs, steps: STEPS, left: Vec::new() };
        start("store", stop, move || writing.run())?;
        start("reads", stop, move || reading.run())?;
        Ok(store)
    }
}

/// Opens the database, settles its name, and loads what is kept in memory.
fn open_database(file: &FileAt, config: &StoreConfig, outside: Outside) -> Result<Database, OpenError> {
    let mut room = Room::new(file, config.disk_free_bytes_min, &config.quota);
    let (mut conn, sharing) = open_in(&mut room, file, (!config.was_closed).then_some(config.check_max))?;
    let mut counters = settle(&mut conn, config.remembered.as_ref())?;
    let last = counters.last_event();
    cursors::settle(&conn, &mut counters.cursors, last)?;
    (config.remember)(&counters.high_water());
    let rules = Rules::new(config, room.quota_bytes(), figure(&conn, "PRAGMA page_size")?);
    room.set_wall(&conn, Load::Whole)?;
    room.keep_ballast();
    room.keep_part();
    accept(&conn)?;
    let files = OpenFiles::of(&conn, &file.path(), sharing);
    let database = Database {
        conn,
        counters,
        rules,
        disk: Disk { file: file.clone(), sharing, files, room },
        log: Log {
            due: None,
            gave_back_at: None,
            remember: config.remember.clone(),
            note_closed: config.note_closed.clone(),
        },
        outside,
        recoveries: 0,
        broken: None,
    };
    database.open_for_readers()?;
    Ok(database)
}

/// Opens the file. On a full disk, gives the ballast back, and if need be opens it alone.
fn open_in(room: &mut Room, file: &FileAt, check_max: Option<Duration>) -> Result<(Connection, Sharing), OpenError> {
    let first = match migrate::open(file, check_max, Sharing::All) {
        Err(OpenError::Failed(why)) if room.has_none() => OpenError::Failed(why),
        other => return other.map(|conn| (conn, Sharing::All)),
    };
    if room.give_ballast_back() {
        if let Ok(conn) = migrate::open(file, check_max, Sharing::All) {
            return Ok((conn, Sharing::All));
        }
    }
    let conn = migrate::open(file, check_max, Sharing::Nobody).map_err(|_| first)?;
    log::warn!("the disk is full: until there is room nobody else can open the database");
    Ok((conn, Sharing::Nobody))
}

/// Loads the memory. Where the database is older than `had`, the one that was in its place, gives it a new name first.
fn settle(conn: &mut Connection, had: Option<&HighWater>) -> Result<Counters, OpenError> {
    let counters = Counters::load(conn)?;
    let Some(had) = had.filter(|had| counters.high_water().is_behind(had)) else { return Ok(counters) };
    let name = instance::begin_anew(conn, had.run, had.event)?;
    log::warn!(
        "the database is older than the one that was here ({had}): somebody put a copy in its place; its readers are \
         told by a new instance, {name}, and no id is given out twice"
    );
    Ok(Counters::load(conn)?)
}

/// Starts one of the two threads. A panic in it ends the daemon.
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
