//! Starts the daemon's parts in order, and shuts them down in the reverse order.
//!
//! It decides nothing about runs.

mod args;
mod left_files;
mod listening;
mod on_signal;
mod prepare;
mod refusal;
mod room;
mod socket;
mod survivors;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_io::Timer;
use futures_lite::FutureExt as _;
use futures_lite::future::{self, Boxed};
use smol::lock::Semaphore;
use smol::{Executor, Task};

pub use self::args::ServeArgs;
use self::on_signal::{on_hangups, on_signals};
use self::prepare::{Prepared, prepare};
use self::refusal::Refusal;
use crate::artifacts::Artifacts;
use crate::clock::UnixMs;
use crate::clock_steps::ClockSteps;
use crate::config::{CHECK_MS_MAX, Config};
use crate::feed::{Hub, HubLimits};
use crate::hooks::{Hooks, Own};
use crate::http::address::PageAddress;
use crate::http::app::{App, AppParts, SEARCHES_MAX, WHOLE_RUNS_MAX};
use crate::http::middleware::SocketPolicy;
use crate::http::middleware::cookie_name;
use crate::http::middleware::{Gate, StoredSessions};
use crate::http::open_streams::OpenStreams;
use crate::http::routes;
use crate::http::server::{self, Listeners, Site};
use crate::http::types::limits::Offered;
use crate::inputs::Inputs;
use crate::maintenance::{self, Maintenance};
use crate::metrics::{Metrics, OfRoute};
use crate::run_tokens::RunTokens;
use crate::runner::{
    self, Environment, Graces, Groups, Keepers, Machine, OomWatch, Running, Shortage, appender, children,
};
use crate::signals::{RepeatedSignal, Signals};
use crate::state_lock::{StateLock, StateLockError};
use crate::store::backlog::Pace;
use crate::store::{Order, Store, StoreConfig};
use crate::systemd::InheritedSockets;
use crate::timer::within;
use crate::wake::{Bell, Phase, Stop};
use crate::zone_changes::ZoneChanges;
use crate::{logging, scheduler, system, systemd};

/// How long streams may take for the last events once all runs are settled.
const STREAMS_GRACE: Duration = Duration::from_secs(2);
/// When what only the start needed is given back: the program's pages, more than half of all that is resident.
const SETTLED: Duration = Duration::from_millis(250);
/// Turns of readers' streams before everybody else has one: each writes to a socket, which takes some 15 µs.
const STREAMS_IN_A_ROW: usize = 16;

/// Serves until it is told to stop; returns the process's exit code.
pub fn serve(args: ServeArgs) -> ExitCode {
    match prepare(&args).and_then(|prepared| prepared.map_or(Ok(0), run)) {
        Ok(code) => ExitCode::from(code),
        Err(Refusal(code, why)) => {
            logging::refuse(&why);
            ExitCode::from(code)
        }
    }
}

fn run(prepared: Prepared) -> Result<u8, Refusal> {
    let Prepared { config, state_dir, account, tls, stop_all } = prepared;
    let failed = |why: String| Refusal(1, why);
    let failed_to_write = |why: String| failed(room::missing_or(&state_dir, why));
    let inherited = InheritedSockets::take().map_err(failed)?;
    system::close_inherited_on_exec();
    let is_nohup = system::is_ignored(libc::SIGHUP);
    system::default_signals_for_children();
    let signals = Signals::take_over(is_nohup).map_err(|error| failed(format!("signals: {error}")))?;
    let state = StateLock::open_own(&state_dir).map_err(|error| match error {
        StateLockError::Held(..) => failed(error.to_string()),
        _ => failed_to_write(error.to_string()),
    })?;
    let (bell, metrics) = (Bell::default(), Arc::new(Metrics::new()));
    let stop = Stop::new(bell.clone());
    // Before anything asks what time it is.
    let steps = ClockSteps::watch();
    let (database, shown) = (state.database(), state.database().path());
    let store_config = store_config(&config, &state);
    let store = Store::open(&database, &store_config, &bell, &stop, &metrics)
        .map_err(|error| failed_to_write(format!("{}: {error}", shown.display())))?;
    let policy = SocketPolicy::new(&config.access).map_err(failed)?;
    let (listeners, place) = listening::listen(&state, &config, tls, &policy, inherited)?;
    if let Err(error) = state.announce(&place.said) {
        log::warn!("the lock file does not say who holds it: {error}");
    }
    let mut environment = Environment::new(store.instance()).reached_at(place.url, place.path);
    if let Some(account) = account {
        environment = environment.of_user(account);
    }
    let (executor, streams) = (Arc::new(Executor::new()), Arc::new(Executor::new()));
    let daemon = Daemon {
        artifacts: left_files::artifacts(&config, &state, environment.becomes()),
        config,
        store,
        bell,
        stop,
        metrics,
        environment: Arc::new(environment),
        keepers: survivors::keepers(&state),
        stop_all,
        executor: executor.clone(),
        streams: streams.clone(),
        database: shown,
        page: place.page,
    };
    let _clock = executor.spawn(daemon.follow_clock(steps));
    let _zones = ZoneChanges::watch().ok().map(|changes| executor.spawn(daemon.follow_zones(changes)));
    let _socket = place.socket.clone().map(|(own, again)| executor.spawn(own.keep(again)));
    // One thread: the executors, the reactor between their turns, and every task of the daemon.
    let serving = executor.run(daemon.serve(listeners, policy, signals, &place.said));
    let code = smol::block_on(serving.or(run_streams(&streams)));
    if let Some((socket, _)) = place.socket {
        socket.remove();
    }
    // The lock goes last, so that the next daemon finds nothing half done.
    drop(state);
    Ok(code)
}

/// The store's limits, and where it records how far it has come.
fn store_config(config: &Config, state: &StateLock) -> StoreConfig {
    let (lock, remembering) = (state.lock_file(), state.lock_file());
    let retention = config.retention.clone();
    StoreConfig {
        queued_runs_max: config.limits.queued_runs as i64,
        disk_free_bytes_min: config.limits.disk_free_bytes,
        quota: Arc::new(move |file_system_bytes| retention.quota_bytes(file_system_bytes)),
        artifact_bytes: left_files::quota_bytes(config, state),
        output_bytes_per_run: config.limits.output_bytes_per_run,
        runs_days: config.retention.runs_days,
        runs_count: config.retention.runs_count,
        cursor_days: config.retention.cursor_days,
        check_max: Duration::from_millis(CHECK_MS_MAX),
        remembered: lock.remembered(),
        was_closed: lock.note_opened(),
        note_closed: Arc::new(move || lock.note_closed()),
        remember: Arc::new(move |reached| remembering.remember(reached)),
    }
}

/// The parts that live as long as the daemon.
struct Daemon {
    config: Config,
    store: Store,
    bell: Bell,
    stop: Stop,
    metrics: Arc<Metrics>,
    environment: Arc<Environment>,
    keepers: Result<Arc<Keepers>, Arc<str>>,
    /// A stop ends also what survives it.
    stop_all: bool,
    artifacts: Artifacts,
    executor: Arc<Executor<'static>>,
    /// Of the readers' streams alone: see [`run_streams`].
    streams: Arc<Executor<'static>>,
    database: PathBuf,
    page: Option<PageAddress>,
}

impl Daemon {
    async fn serve(self, listeners: Listeners, policy: SocketPolicy, signals: Signals, listening: &str) -> u8 {
        let limits = &self.config.limits;
        let hub_limits = HubLimits {
            reader_events: limits.stream_buffer_events,
            reader_bytes: limits.stream_buffer_bytes,
            total_bytes: limits.stream_total_bytes,
        };
        let hub = Hub::new(self.store.clone(), hub_limits, self.metrics.clone());
        let context = self.runner_context();
        let streams = OpenStreams::default();
        let (maintenance, requests) = Maintenance::new();
        let site = self.site(&hub, &context, maintenance, &streams);

        // What a dead daemon left is told while this one serves already: its slots stay taken until it is gone.
        runner::warn_of_what_is_missing();
        let orphans = self.take_over(&context).await;
        // Zones may have new data since.
        maintenance::look_at_schedules(&self.store).await;
        let fan_out = self.keep("push", self.fan_out(&hub));
        let appender = self.keep("output", appender::append(self.store.clone(), self.pace()));
        let (ends, hangup) = signals.split();
        let on_signal =
            self.keep("signals", on_signals(ends, self.stop.clone(), context.running.clone(), context.groups.clone()));
        let on_hangup =
            hangup.map(|hangup| self.keep("reload", on_hangups(hangup, listeners.tls.clone(), listening.to_owned())));
        let on_child = self.watch_children(&context.running);
        let maintenance = self.executor.spawn(self.maintain(requests));
        let scheduler = self.executor.spawn(self.schedule(context.clone()));
        let (stop, executor) = (self.stop.clone(), self.executor.clone());
        let server = self.executor.spawn(server::serve(listeners, site, policy, stop, executor));

        let alive = self.executor.spawn(keep_alive(self.store.clone()));
        let _settled = self.executor.spawn(async {
            Timer::after(SETTLED).await;
            system::give_memory_back();
        });
        say(listening);
        systemd::ready(listening);
        self.stop.wait(Phase::Stopping).await;
        log::info!("stopping");
        systemd::stopping(context.graces.shutdown);

        // The mirror of the start: no claims, runs settled, their last events pushed, streams ended, store closed.
        scheduler.await;
        survivors::end_all(&context.running, self.stop_all);
        context.settled().await;
        drop(orphans);
        maintenance.await;
        appender.cancel().await;
        fan_out.cancel().await;
        hub.close();
        let _ = within(STREAMS_GRACE, streams.wait_empty()).await;
        self.stop.raise(Phase::Closing);
        server.await;
        drop((on_hangup, on_child));
        on_signal.cancel().await;
        alive.cancel().await;
        self.store.close().await;
        u8::from(self.stop.has_failed())
    }

    fn runner_context(&self) -> runner::Context {
        let seconds = Duration::from_secs;
        let config = &self.config.runs;
        runner::Context {
            store: self.store.clone(),
            running: Running::default(),
            environment: self.environment.clone(),
            artifacts: self.artifacts.clone(),
            oom: Arc::new(OomWatch::from_now_on()),
            groups: Groups::take_over(self.store.instance(), &config.most()),
            machine: Arc::new(Machine::with_state_in(
                self.database.parent().map_or_else(|| PathBuf::from("/"), PathBuf::from),
            )),
            tokens: RunTokens::default(),
            inputs: Inputs::default(),
            shortage: Shortage::default(),
            keepers: self.keepers.clone(),
            graces: Graces { kill: seconds(config.kill_grace_s), shutdown: seconds(config.shutdown_grace_s) },
        }
    }

    fn pace(&self) -> Pace {
        let ms = Duration::from_millis;
        let config = &self.config.output;
        Pace { watched: ms(config.flush_ms), unwatched: ms(config.flush_unwatched_ms) }
    }

    fn site(&self, hub: &Hub, runner: &runner::Context, maintenance: Maintenance, streams: &OpenStreams) -> Site<App> {
        let executor = Arc::downgrade(&self.streams);
        let (running, detached) = (runner.running.clone(), runner.running.clone());
        let app = App::new(AppParts {
            store: self.store.clone(),
            artifacts: self.artifacts.clone(),
            hub: hub.clone(),
            detached: Arc::new(move || detached.detached()),
            stopped_processes: Arc::new(move |runs| Box::pin(running.clone().stopped(runs))),
            inputs: runner.inputs.clone(),
            maintenance,
            metrics: self.metrics.clone(),
            config: self.config.clone(),
            stop: self.stop.clone(),
            streams: streams.clone(),
            whole_runs: Semaphore::new(WHOLE_RUNS_MAX),
            searches: Semaphore::new(SEARCHES_MAX),
            // A stream belongs to its client; it ends with it, or when the hub closes.
            spawn: Arc::new(move |stream: Boxed<()>| {
                if let Some(executor) = executor.upgrade() {
                    executor.spawn(stream).detach();
                }
            }),
            started_at: UnixMs::now(),
            database: self.database.clone(),
            page: self.page,
            limits: Offered {
                enforced: runner.groups.enforced(),
                most: self.config.runs.most(),
                no_survivors: survivors::no_limits(runner),
            },
            own: Own::new(self.page.as_ref().map(|page| page.bound)),
            user: self.environment.user(),
        });
        let sessions = Arc::new(StoredSessions::new(self.store.clone()));
        let (access, name) = (self.config.access.clone(), cookie_name(&self.store));
        let gate = Gate::new(access, sessions, runner.tokens.clone(), name, routes::is_open);
        let metrics = self.metrics.clone();
        let observer = Arc::new(move |route, status| {
            metrics.http_requests.get_or_create(&OfRoute { route, status }).inc();
        });
        Site { app: routes::router(app), gate, limits: self.config.limits.clone(), observer }
    }

    /// Goes on with what survived a daemon, ends and settles the other attempts that it left, and removes the cgroups that
    /// become empty.
    async fn take_over(&self, context: &runner::Context) -> Vec<Task<()>> {
        let left = match self.store.left_running().await {
            Ok(left) => left,
            Err(error) => {
                log::error!("what was left running cannot be read: {error:?}");
                self.stop.fail();
                return Vec::new();
            }
        };
        let mut tasks = survivors::take_over(left, context, &self.executor);
        tasks.push(self.executor.spawn(left_files::recover(self.artifacts.clone(), self.store.clone())));
        tasks.push(self.executor.spawn(context.groups.clone().tend()));
        tasks
    }

    /// Watches for the end of child processes. Without pidfds there is no other way to notice it, so that nothing is started
    /// when this fails.
    fn watch_children(&self, running: &Running) -> Option<Task<()>> {
        if !children::are_to_be_watched() {
            return None;
        }
        let running = running.clone();
        match RepeatedSignal::of_children() {
            Ok(signal) => Some(self.keep("children", children::watch(signal, move |pid| running.owns(pid)))),
            Err(error) => {
                log::error!("SIGCHLD: {error}");
                self.stop.fail();
                None
            }
        }
    }

    fn fan_out(&self, hub: &Hub) -> impl Future<Output = ()> + Send + 'static {
        let (hub, bell) = (hub.clone(), self.bell.clone());
        async move { hub.fan_out(&bell).await }
    }

    fn maintain(&self, requests: maintenance::Requests) -> impl Future<Output = ()> + Send + 'static {
        let (store, stop, metrics) = (self.store.clone(), self.stop.clone(), self.metrics.clone());
        let interval = Duration::from_secs(self.config.retention.interval_s);
        let own = Own::new(self.page.as_ref().map(|page| page.bound));
        let hooks = Hooks::new(store.clone(), own, metrics.clone(), self.executor.clone(), stop.clone());
        async move {
            future::zip(maintenance::run(&store, requests, interval, &stop, &metrics), hooks.run()).await;
        }
    }

    /// Watches for steps of the clock. Without it they are noticed later: at the scheduler's safety timeout and the next pass
    /// of maintenance.
    fn follow_clock(&self, steps: io::Result<ClockSteps>) -> impl Future<Output = ()> + Send + 'static {
        let (store, bell) = (self.store.clone(), self.bell.clone());
        async move {
            match steps {
                Ok(steps) => maintenance::follow_clock(steps, &store, &bell).await,
                Err(error) => log::warn!("whether the clock is set cannot be told: {error}"),
            }
        }
    }

    /// Watches for new data of zones. A system without any has none that could change: what it has is in the binary.
    fn follow_zones(&self, changes: ZoneChanges) -> impl Future<Output = ()> + Send + 'static {
        let (store, bell) = (self.store.clone(), self.bell.clone());
        async move { maintenance::follow_zones(changes, &store, &bell).await }
    }

    fn schedule(&self, context: runner::Context) -> impl Future<Output = ()> + Send + 'static {
        let (store, bell, stop) = (self.store.clone(), self.bell.clone(), self.stop.clone());
        let (metrics, executor) = (self.metrics.clone(), self.executor.clone());
        async move {
            let obey = |order| {
                if let Order::RemoveArtifacts(run) = order {
                    return left_files::remove(&context.artifacts, run, &executor);
                }
                if let Some(attempt) = runner::obey(&context, order) {
                    // Registered with `Running`, for whose end the shutdown waits.
                    executor.spawn(attempt).detach();
                }
            };
            scheduler::run(&store, &bell, &stop, &metrics, || context.shortage.left(), obey).await;
        }
    }

    /// Spawns a task that must not end by itself. If it does, the daemon stops and exits with 1.
    fn keep(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) -> Task<()> {
        let stop = self.stop.clone();
        self.executor.spawn(async move {
            task.await;
            log::error!("the task {name:?} ended unexpectedly");
            stop.fail();
        })
    }
}

/// Runs the readers' streams, a few at a time: in between comes everything else that is there to be done, and the reactor is
/// asked for more. So a commit that goes out to a thousand readers holds up no request, and the next commit is made meanwhile.
async fn run_streams<T>(streams: &Executor<'_>) -> T {
    loop {
        streams.tick().await;
        let _ = (1..STREAMS_IN_A_ROW).all(|_| streams.try_tick());
        future::yield_now().await;
    }
}

/// Notifies the service manager's watchdog from the async thread, after the store's thread has answered. If one of them is
/// stuck, nothing is sent; a slow one, as on a bad medium, has the second half of the interval.
async fn keep_alive(store: Store) {
    let Some(interval) = systemd::watchdog_interval() else { return };
    loop {
        Timer::after(interval).await;
        if store.answers().await {
            systemd::alive();
        }
    }
}

/// Prints the one line on standard output that says where the daemon listens.
fn say(listening: &str) {
    let mut out = io::stdout();
    if writeln!(out, "{listening}").and_then(|()| out.flush()).is_err() {
        log::warn!("standard output is closed; {listening}");
    }
}
