//! The daemon's metrics, in the OpenMetrics text format. Counters move where things happen; reading them counts nothing.

mod process;

use std::fmt::Write as _;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::event::Kind;
use crate::job::Skipped;
use crate::run::Status;

/// The transports of readers.
const TRANSPORTS: [&str; 4] = ["websocket", "sse", "ndjson", "log"];

impl EncodeLabelValue for Status {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.as_str().encode(encoder)
    }
}

impl EncodeLabelValue for Kind {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.as_str().encode(encoder)
    }
}

macro_rules! labels {
    ($($name:ident { $($field:ident: $type:ty),+ })+) => {$(
        #[doc = "A label set."]
        #[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
        pub struct $name { $(#[doc = "A label."] pub $field: $type),+ }
    )+};
}

labels! {
    OfStatus { status: Status }
    OfKind { kind: Kind }
    OfRequest { kind: &'static str }
    OfTransport { transport: &'static str }
    OfRoute { route: &'static str, status: u16 }
    OfCause { cause: &'static str }
    OfWhat { what: &'static str }
    OfOutcome { outcome: &'static str }
    OfCursor { cursor: String }
}

/// All metrics of the daemon.
pub struct Metrics {
    registry: Registry,
    /// Current runs by status.
    pub runs: Family<OfStatus, Gauge>,
    /// Runs that ended.
    pub runs_finished: Family<OfStatus, Counter>,
    /// Seconds from due to claimed.
    pub run_wait: Histogram,
    /// Seconds from started to ended.
    pub run_duration: Histogram,
    /// Events that were committed.
    pub events: Family<OfKind, Counter>,
    /// Transactions that were committed.
    pub commits: Counter,
    /// Seconds that commits took, flush included.
    pub commit: Histogram,
    /// Requests to the store, `read` or `write`.
    pub store_requests: Family<OfRequest, Counter>,
    /// Live readers of events.
    pub readers: Family<OfTransport, Gauge>,
    /// Readers that fell behind and went back to reading pages from SQLite.
    pub reader_resyncs: Counter,
    /// Answered requests.
    pub http_requests: Family<OfRoute, Counter>,
    /// Wake-ups of the scheduler by cause: `signal`, `due` or `safety`.
    pub scheduler_wakeups: Family<OfCause, Counter>,
    /// Times at which jobs were due, by what became of them: `run`, or why there was none.
    pub job_firings: Family<OfOutcome, Counter>,
    /// Seconds from the time at which a job was due to its firing.
    pub job_late: Histogram,
    /// When the first job is due, in seconds since 1970; 0: none is.
    pub job_next: Gauge,
    /// Deliveries to hooks by outcome of an attempt: `delivered`, `failed` (and tried again), `dead`, or `dropped` unsent.
    pub hook_deliveries: Family<OfOutcome, Counter>,
    /// Deliveries that are to be sent.
    pub hook_queue: Gauge,
    /// Rows that were removed because they expired.
    pub pruned: Family<OfWhat, Counter>,
    /// Runs that were removed though a durable cursor held them: the database was full.
    pub unread_pruned: Counter,
    /// How many event ids each durable cursor is behind the newest.
    pub cursor_behind: Family<OfCursor, Gauge>,
    /// Seconds since each was last put.
    pub cursor_age: Family<OfCursor, Gauge>,
    /// Size of the database file, in bytes.
    pub database_bytes: Gauge,
    /// Free space on the database's file system, in bytes.
    pub disk_free_bytes: Gauge,
    /// 1 while the database can be written, 0 while the disk is full, read-only or failing.
    pub storage_writable: Gauge,
    /// Failures of the medium after which the database was opened again.
    pub store_recoveries: Counter,
    /// 1 while no run is started because of `runabout drain`.
    pub draining: Gauge,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl Metrics {
    /// All metrics, at zero.
    pub fn new() -> Metrics {
        let seconds =
            || Histogram::new([0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3_600.0, 21_600.0]);
        let mut metrics = Metrics {
            registry: Registry::with_prefix("runabout"),
            runs: Family::default(),
            runs_finished: Family::default(),
            run_wait: seconds(),
            run_duration: seconds(),
            events: Family::default(),
            commits: Counter::default(),
            commit: Histogram::new([0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]),
            store_requests: Family::default(),
            readers: Family::default(),
            reader_resyncs: Counter::default(),
            http_requests: Family::default(),
            scheduler_wakeups: Family::default(),
            job_firings: Family::default(),
            job_late: seconds(),
            job_next: Gauge::default(),
            hook_deliveries: Family::default(),
            hook_queue: Gauge::default(),
            pruned: Family::default(),
            unread_pruned: Counter::default(),
            cursor_behind: Family::default(),
            cursor_age: Family::default(),
            database_bytes: Gauge::default(),
            disk_free_bytes: Gauge::default(),
            storage_writable: Gauge::default(),
            store_recoveries: Counter::default(),
            draining: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("runs", "Runs there are", self.runs.clone());
        r.register("runs_finished", "Runs that ended", self.runs_finished.clone());
        r.register_with_unit("run_wait", "From due to claimed", Unit::Seconds, self.run_wait.clone());
        r.register_with_unit("run_duration", "From started to ended", Unit::Seconds, self.run_duration.clone());
        r.register("events", "Events that were committed", self.events.clone());
        r.register("commits", "Transactions that were committed", self.commits.clone());
        r.register_with_unit("commit", "How long a commit took, flush included", Unit::Seconds, self.commit.clone());
        r.register("store_requests", "What the store was asked", self.store_requests.clone());
        r.register("readers", "Live readers of events", self.readers.clone());
        r.register("reader_resyncs", "Readers sent back to SQLite", self.reader_resyncs.clone());
        r.register("http_requests", "Answered requests", self.http_requests.clone());
        r.register("scheduler_wakeups", "Why the scheduler woke", self.scheduler_wakeups.clone());
        r.register("job_firings", "Times at which jobs were due", self.job_firings.clone());
        r.register_with_unit("job_late", "From due to fired", Unit::Seconds, self.job_late.clone());
        r.register_with_unit("job_next", "When the first job is due, since 1970", Unit::Seconds, self.job_next.clone());
        r.register("hook_deliveries", "Attempts to tell hooks of ends", self.hook_deliveries.clone());
        r.register("hook_queue", "Ends that are still to be told to hooks", self.hook_queue.clone());
        r.register("pruned", "Rows that expired", self.pruned.clone());
        let unread = self.unread_pruned.clone();
        r.register("unread_pruned", "Runs that went though a cursor held them", unread);
        r.register("cursor_behind", "Event ids from a cursor to the newest", self.cursor_behind.clone());
        r.register_with_unit("cursor_age", "Since a cursor was put", Unit::Seconds, self.cursor_age.clone());
        r.register_with_unit("database", "Size of the database file", Unit::Bytes, self.database_bytes.clone());
        let free = self.disk_free_bytes.clone();
        r.register_with_unit("disk_free", "Free space where the database is", Unit::Bytes, free);
        r.register("storage_writable", "Whether the database can be written", self.storage_writable.clone());
        let recoveries = self.store_recoveries.clone();
        r.register("store_recoveries", "Failures of the medium that were recovered from", recoveries);
        r.register("draining", "1 while runs wait because of `runabout drain`", self.draining.clone());
        r.register_collector(Box::new(process::Process));
        self.touch();
    }

    /// A counter that nobody touched yet is 0, not missing.
    fn touch(&self) {
        for &status in Status::ALL {
            drop(self.runs.get_or_create(&OfStatus { status }));
            if status.is_terminal() {
                drop(self.runs_finished.get_or_create(&OfStatus { status }));
            }
        }
        for &kind in Kind::ALL {
            drop(self.events.get_or_create(&OfKind { kind }));
        }
        for kind in ["read", "write"] {
            drop(self.store_requests.get_or_create(&OfRequest { kind }));
        }
        for cause in ["signal", "due", "safety"] {
            drop(self.scheduler_wakeups.get_or_create(&OfCause { cause }));
        }
        for outcome in std::iter::once("run").chain(Skipped::ALL.iter().map(|why| why.as_str())) {
            drop(self.job_firings.get_or_create(&OfOutcome { outcome }));
        }
        for outcome in ["delivered", "failed", "dead", "dropped"] {
            drop(self.hook_deliveries.get_or_create(&OfOutcome { outcome }));
        }
        for transport in TRANSPORTS {
            drop(self.readers.get_or_create(&OfTransport { transport }));
        }
        for what in
            ["sessions", "enrollment_tokens", "idempotency_keys", "runs", "events", "firings", "hook_deliveries"]
        {
            drop(self.pruned.get_or_create(&OfWhat { what }));
        }
    }

    /// Live readers over all transports.
    pub fn readers_now(&self) -> i64 {
        TRANSPORTS.iter().map(|transport| self.readers.get_or_create(&OfTransport { transport }).get()).sum()
    }

    /// The text of `GET /metrics`. The process's own figures are read at this moment.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut out, &self.registry);
        out
    }

    /// The same in the older text format of Prometheus, 0.0.4, in which a counter's family has the name of its samples, and
    /// there are no units and no end mark.
    pub fn encode_as_text(&self) -> String {
        let standard = self.encode();
        let mut out = String::with_capacity(standard.len());
        let mut help = None;
        for line in standard.lines() {
            let mut words = line.splitn(4, ' ');
            match (words.next(), words.next(), words.next(), words.next()) {
                // It comes before the type.
                (Some("#"), Some("HELP"), Some(_), text) => help = text,
                (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                    let total = if kind == "counter" { "_total" } else { "" };
                    let help = help.take().unwrap_or_default();
                    let _ = writeln!(out, "# HELP {name}{total} {help}\n# TYPE {name}{total} {kind}");
                }
                (Some("#"), ..) => {}
                _ => {
                    out.push_str(line);
                    out.push('\n');
                }
            }
        }
        out
    }
}
