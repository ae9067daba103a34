//! The lines of the table: what is measured, in which unit, beside whom, and what is to be reached.

use crate::bench::BEFORE;
use crate::no_ops::SPAWN;
use crate::output::FILE;
use crate::peers::{NATS, REDIS, SQLITE};

/// Which of two figures is the better one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Better {
    More,
    Less,
}

/// What is to be reached.
#[derive(Clone, Copy)]
pub enum Goal {
    /// So many times as good as another one's figure.
    Times(f64, &'static str),
    /// At most this.
    AtMost(f64),
}

/// A line of the table.
pub struct Line {
    pub key: &'static str,
    pub what: &'static str,
    pub unit: &'static str,
    pub better: Better,
    pub goals: &'static [Goal],
}

use Better::{Less, More};
use Goal::{AtMost, Times};

/// What is no worse than before: a little less may be the machine's own noise.
const AS_BEFORE: &[Goal] = &[Times(0.95, BEFORE)];

const fn line(
    key: &'static str,
    what: &'static str,
    unit: &'static str,
    better: Better,
    goals: &'static [Goal],
) -> Line {
    Line { key, what, unit, better, goals }
}

/// The lines of the parts, in the order of the table.
#[rustfmt::skip]
pub const LINES: &[Line] = &[
    line("fan_out_100", "events of 200 bytes × 100 WebSocket readers, the server on one core", "M/s", More, &[Times(1.5, NATS)]),
    line("fan_out_1000", "the same × 1,000 readers", "M/s", More, &[Times(1.5, NATS)]),
    line("fan_out_server", "… of its core the server used", "%", More, &[]),
    line("fan_out_client", "… of the other core the client used", "%", Less, &[]),
    line("reader_idle", "memory of an idle reader", "KiB", Less, &[AtMost(12.0)]),
    line("readers_resident", "resident with 1,000 readers in that load", "MiB", Less, &[AtMost(20.0)]),
    line("submit_1", "submits, each on the medium before its answer, one connection", "/s", More, &[Times(0.85, REDIS)]),
    line("submit_64", "the same, 64 connections", "/s", More, &[Times(0.7, REDIS), Times(1.8, BEFORE)]),
    line("written_submit", "written to the medium, a submit", "KiB", Less, &[AtMost(18.0)]),
    line("written_no_op", "… a run that does nothing, from claim to end", "KiB", Less, &[AtMost(24.0)]),
    line("written_line", "… a watched line of output in a commit of its own", "KiB", Less, &[AtMost(6.0)]),
    line("no_ops_1", "runs that do nothing, 1 slot, every event on the medium", "/s", More, &[Times(0.75, SPAWN)]),
    line("no_ops_8", "the same, 8 slots", "/s", More, &[Times(0.95, SPAWN)]),
    line("output", "output of one command into SQLite and to a live reader", "MB/s", More, &[Times(0.8, FILE)]),
    line("memory_idle", "resident, idle", "MiB", Less, &[AtMost(6.0)]),
    line("memory_runs", "… after 100,000 runs", "MiB", Less, &[AtMost(8.0)]),
    line("memory_runs_1000", "… after 1,000 runs", "MiB", Less, &[]),
    line("memory_burst", "… in the burst of 64 connections", "MiB", Less, &[AtMost(9.0)]),
    line("memory_burst_over", "… behind it", "MiB", Less, AS_BEFORE),
    line("memory_output", "… after 200 MB of output", "MiB", Less, &[AtMost(9.0)]),
    line("binary", "the binary: the page, the reference and the manual in it", "MiB", Less, AS_BEFORE),
    line("push_p50", "from an append to a live reader, half of them within", "ms", Less, AS_BEFORE),
    line("push_p99", "… 99 % within", "ms", Less, AS_BEFORE),
    line("catch_up", "a reader that catches up on 300,000 events", "k/s", More, &[Times(2.0, SQLITE)]),
    line("jobs_memory", "resident for 1,000 jobs that fire at night", "MiB", Less, &[AtMost(2.0)]),
    line("jobs_switches", "… how often the daemon wakes up for them, a minute", "times", Less, &[AtMost(1.0)]),
    line("storm_p50", "from a submit to its start, while 200 others fail each second and are tried again, half of them within", "ms", Less, AS_BEFORE),
    line("storm_p99", "… 99 % within", "ms", Less, &[AtMost(200.0)]),
    line("prune_took", "2 million events of 20,000 runs pruned, while 50 submits a second go on", "s", Less, AS_BEFORE),
    line("prune_submit_p50", "… half of those submits within", "ms", Less, AS_BEFORE),
    line("prune_submit_p99", "… 99 % within", "ms", Less, AS_BEFORE),
    line("prune_submit_slowest", "… the slowest", "ms", Less, &[]),
    line("prune_file", "… the file behind it", "MB", Less, AS_BEFORE),
];

/// What is measured with more and more rows, in microseconds; `@` and the number of rows stand behind the key.
#[rustfmt::skip]
pub const GROWTH: &[Line] = &[
    line("growth_submit", "a submit", "µs", Less, &[]),
    line("growth_claim", "claim, start and end of a run", "µs", Less, &[]),
    line("growth_list", "a page of a list", "µs", Less, &[]),
    line("growth_by_status", "a page of a list by status", "µs", Less, &[]),
    line("growth_by_tag", "a page of a list by tag and name", "µs", Less, &[]),
    line("growth_events", "a page of events, from the middle", "µs", Less, &[]),
    line("growth_prune", "a run that is pruned", "µs", Less, &[]),
    line("growth_start", "the first start, from the first schema", "µs", Less, &[]),
];

/// What holds a line of the table where it is, in that line's unit.
pub struct Limit {
    pub line: &'static str,
    pub key: &'static str,
    pub what: &'static str,
}

const fn limit(line: &'static str, key: &'static str, what: &'static str) -> Limit {
    Limit { line, key, what }
}

/// The limits, each measured without a daemon.
#[rustfmt::skip]
pub const LIMITS: &[Limit] = &[
    limit("fan_out_100", "limit_fan_out_100", "one core that writes each batch to 100 sockets, and does nothing else"),
    limit("fan_out_100", "limit_fan_out_100_two", "… two batches by one write"),
    limit("submit_1", "limit_submit_1", "one flush of the 12 KiB that a commit writes"),
    limit("submit_64", "limit_submit_64", "SQLite alone with the same rows, 64 of them a commit"),
    limit("no_ops_1", "limit_no_ops_1", "start `/bin/true`, wait for it, flush 12 KiB, one after the other"),
    limit("no_ops_8", "posix_spawn, 8 at once", "start `/bin/true` eight at once, and nothing else, on all cores"),
    limit("output", "limit_output", "SQLite alone with the same rows of 16 KiB, 64 KiB a commit, nobody reads"),
];

/// A line by its key.
pub fn find(key: &str) -> &'static Line {
    let name = key.split('@').next().unwrap_or(key);
    let name = LIMITS.iter().find(|limit| limit.key == name).map_or(name, |limit| limit.line);
    LINES.iter().chain(GROWTH).find(|line| line.key == name).unwrap_or_else(|| panic!("no line {key}"))
}

impl Line {
    /// How many times as good the one figure is as the other.
    pub fn times(&self, ours: f64, theirs: f64) -> f64 {
        match self.better {
            More => ours / theirs,
            Less => theirs / ours,
        }
    }
}

/// A figure with three digits.
pub fn figure(value: f64) -> String {
    let digits = if value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    // Thousands apart.
    let first = whole.len() % 3;
    let groups: Vec<_> = std::iter::once(&whole[..first])
        .chain((first..whole.len()).step_by(3).map(|at| &whole[at..at + 3]))
        .filter(|group| !group.is_empty())
        .collect();
    groups.join(",") + rest
}
