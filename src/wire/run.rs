//! A run, and a page of runs.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::outcome::OutcomeBody;
use super::word::Word;
use crate::clock::UnixMs;
use crate::numbers::{RunId, Seq};
use crate::run::{Cause, Command, Hold, OnInterrupt, Options, Reason, Run, Status, Usage, Waiting, WaitsFor};

/// A run. Values of `env` and `stdin` are never given back.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RunBody<'a> {
    /// Its number.
    pub id: RunId,
    /// A label for people.
    pub name: Option<Cow<'a, str>>,
    /// Where it stands.
    pub status: Word<Status>,
    /// Why it ended.
    pub reason: Option<Word<Reason>>,
    /// The queue in which it waits or waited.
    pub queue: Cow<'a, str>,
    /// -1000 to 1000, high first.
    pub priority: i64,
    /// Labels to filter by.
    pub tags: Cow<'a, [String]>,
    /// Program and arguments, or `None`.
    pub command: Option<Cow<'a, [String]>>,
    /// Text for `/bin/sh -c`, or `None`.
    pub script: Option<Cow<'a, str>>,
    /// Where it runs; `None` is the home of the user it runs as, else `/`.
    pub cwd: Option<Cow<'a, str>>,
    /// The names of the variables that the submit gave.
    pub env_keys: Vec<Cow<'a, str>>,
    /// The attempt that runs or will run next, or the last one; from 1.
    pub attempt: i64,
    /// The command's exit code.
    pub exit_code: Option<i64>,
    /// The number of the signal that ended it.
    pub signal: Option<i64>,
    /// Why it could not start.
    pub error: Option<Cow<'a, str>>,
    /// `data` of the newest `progress` event.
    pub progress: Option<Cow<'a, RawValue>>,
    /// While it runs, the process that leads it.
    pub pid: Option<i64>,
    /// Those of its processes that are stopped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stopped_pids: Vec<i32>,
    /// Since when nothing is heard of its command, which survives the daemon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detached_since: Option<String>,
    /// While it is queued: what it waits for beside what holds it back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<Word<WaitsFor>>,
    /// Where it waits for a slot: of the runs that have one, the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<RunId>,
    /// The newest event.
    pub last_seq: Seq,
    /// Bytes of output that were recorded, over all attempts.
    pub output_bytes: i64,
    /// Files that it left to be fetched.
    #[serde(skip_serializing_if = "is_none")]
    pub artifacts: i64,
    /// Their bytes; 0 once they were removed to make room.
    #[serde(skip_serializing_if = "is_none")]
    pub artifact_bytes: i64,
    /// When it was submitted, as all times RFC 3339 in UTC.
    pub created_at: String,
    /// Not started before this time.
    pub not_before: Option<String>,
    /// When its last attempt started.
    pub started_at: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// Seconds from the start of an attempt to SIGTERM.
    pub timeout_s: Option<i64>,
    /// When its end was first asked for.
    pub cancel_requested_at: Option<String>,
    /// What its last attempt used; `None` until it has ended, and where nobody saw that.
    pub usage: Option<Cow<'a, Usage>>,
    /// The run that it repeats.
    pub retry_of: Option<RunId>,
    /// Why it waits, while it is queued; empty where it waits for a slot alone.
    pub held_by: Vec<Word<Hold>>,
    /// While it waits for them, the runs that it needs and the one of its key whose turn it is; for one run alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits_for_runs: Vec<RunId>,
    /// Runs that wait and need it, 100 at most; for one run alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needed_by: Vec<RunId>,
    /// What made it.
    pub cause: Word<Cause>,
    /// The job that it belongs to.
    pub job: Option<Cow<'a, str>>,
    /// When the job's schedule was due.
    pub scheduled_for: Option<String>,
    /// Missed times that it stands for, its own among them; up to 1,000.
    pub missed: Option<i64>,
    /// What the daemon's end does to it.
    pub on_interrupt: Word<OnInterrupt>,
    /// Whether it never expires.
    pub keep: bool,
    /// What it works on: one run of a key runs at a time.
    pub key: Option<Cow<'a, str>>,
    /// What else its submit said.
    #[serde(flatten)]
    pub options: Cow<'a, Options>,
    /// In a list: the fields that are cut short.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub truncated: Vec<Cow<'a, str>>,
}

/// Most runs leave nothing.
fn is_none(count: &i64) -> bool {
    *count == 0
}

impl<'a> RunBody<'a> {
    /// The run as a client sees it.
    pub fn new(run: &'a Run) -> RunBody<'a> {
        let spec = &run.spec;
        let time = |at: &Option<UnixMs>| at.map(|at| at.to_string());
        let text = |text: &'a Option<String>| text.as_deref().map(Cow::Borrowed);
        RunBody {
            id: run.id,
            name: text(&spec.name),
            status: run.outcome.status.into(),
            reason: run.outcome.reason.map(Word::from),
            queue: spec.queue.as_str().into(),
            priority: spec.priority,
            tags: spec.tags.as_slice().into(),
            command: if let Command::Argv(argv) = &spec.command { Some(argv.into()) } else { None },
            script: if let Command::Script(script) = &spec.command { Some(script.into()) } else { None },
            cwd: text(&spec.cwd),
            env_keys: spec.env.keys().map(Cow::from).collect(),
            attempt: run.attempt,
            exit_code: run.outcome.exit_code,
            signal: run.outcome.signal,
            error: text(&run.outcome.error),
            progress: run.progress.as_deref().and_then(|text| serde_json::from_str(text).ok()).map(Cow::Borrowed),
            pid: run.pid,
            stopped_pids: Vec::new(),
            detached_since: None,
            waits_for: Vec::new(),
            behind: None,
            last_seq: run.last_seq,
            output_bytes: run.output_bytes,
            artifacts: run.artifacts,
            artifact_bytes: run.artifact_bytes,
            created_at: run.created_at.to_string(),
            not_before: time(&spec.not_before),
            started_at: time(&run.started_at),
            ended_at: time(&run.ended_at),
            timeout_s: spec.timeout_s,
            cancel_requested_at: time(&run.cancel_requested_at),
            usage: run.usage.as_ref().map(Cow::Borrowed),
            retry_of: run.retry_of,
            held_by: run.held_by.iter().map(Word::from).collect(),
            waits_for_runs: Vec::new(),
            needed_by: Vec::new(),
            cause: run.origin.cause.into(),
            job: text(&run.origin.job),
            scheduled_for: time(&run.origin.scheduled_for),
            missed: run.origin.missed,
            on_interrupt: spec.on_interrupt.into(),
            keep: spec.keep,
            key: text(&spec.key),
            options: Cow::Borrowed(&spec.options),
            truncated: Vec::new(),
        }
    }

    /// The same, with when it was last heard of.
    pub fn with_detached(self, since: Option<&UnixMs>) -> RunBody<'a> {
        RunBody { detached_since: since.map(ToString::to_string), ..self }
    }

    /// The same, with those of its processes that are stopped.
    pub fn with_stopped(self, stopped_pids: Vec<i32>) -> RunBody<'a> {
        RunBody { stopped_pids, ..self }
    }

    /// The same, with what it waits for.
    pub fn with_waiting(self, waiting: Waiting) -> RunBody<'a> {
        let waits_for = waiting.waits_for.into_iter().map(Word::from).collect();
        RunBody { waits_for, behind: waiting.behind, ..self }
    }

    /// How it stands or ended.
    pub fn outcome(&self) -> OutcomeBody {
        OutcomeBody {
            status: self.status.clone(),
            reason: self.reason.clone(),
            exit_code: self.exit_code,
            signal: self.signal,
            error: self.error.as_deref().map(str::to_owned),
        }
    }

    /// What its newest `progress` event said; null where there was none.
    pub fn progress_value(&self) -> Value {
        self.progress.as_ref().and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }
}

/// A page of runs, each as it came.
#[derive(Debug, Deserialize)]
pub struct RunsPage {
    /// The newest first.
    pub runs: Vec<Box<RawValue>>,
    /// Path and query of the next page; `None` on the last.
    pub next: Option<String>,
    /// Where enough was looked at before the page was full: when the last of that was submitted.
    #[serde(default)]
    pub looked_back_to: Option<String>,
}
