//! Jobs and their firings.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::submit::Submit;
use super::word::Word;
use crate::job::{AfterJob, CatchUp, Firing, Job, LastRun, Overlap, Param, Skipped};
use crate::numbers::RunId;
use crate::run::{Command, Conflict, OnConflict, Spec, Status};

/// A job. Whoever only reads is shown no values of its `env` and `stdin`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JobBody<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// The submit that it makes.
    pub run: Value,
    /// An expression of cron, a list of them, or null.
    pub schedule: Value,
    /// The zone by whose clock they are read.
    pub zone: Option<Cow<'a, str>>,
    /// Whether its schedule and `after_job` start it.
    pub enabled: bool,
    /// What is done about missed times.
    pub catch_up: Word<CatchUp>,
    /// What is done while an earlier run is on its way.
    pub overlap: Word<Overlap>,
    /// Seconds by which runs may start later than the schedule says.
    pub jitter_s: i64,
    /// Seconds after its time from which a run is not started any more.
    pub start_deadline_s: Option<i64>,
    /// What whoever starts it may say.
    pub params: Cow<'a, BTreeMap<String, Param>>,
    /// The job whose run's end starts it.
    pub after_job: Option<Cow<'a, AfterJob>>,
    /// When its schedule is due next.
    pub next_at: Option<String>,
    /// Its newest run.
    pub last: Option<LastRunBody>,
    /// Why it does not start although it is enabled: its zone is gone, say.
    pub broken: Option<String>,
    /// Told apart from every other state of a job of that name; in quotes it is what `If-Match` takes.
    pub version: i64,
    /// When it was made.
    pub created_at: String,
    /// When it was last changed.
    pub changed_at: String,
}

/// The newest run of a job.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LastRunBody {
    /// Its number.
    pub run: RunId,
    /// Where it stands.
    pub status: Word<Status>,
    /// The time that it was for.
    pub scheduled_for: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
}

impl From<&LastRun> for LastRunBody {
    fn from(last: &LastRun) -> LastRunBody {
        LastRunBody {
            run: last.run,
            status: last.status.into(),
            scheduled_for: last.scheduled_for.map(|at| at.to_string()),
            ended_at: last.ended_at.map(|at| at.to_string()),
        }
    }
}

impl<'a> JobBody<'a> {
    /// The job as a client sees it; `whole` with what only those may see who may change it.
    pub fn new(job: &'a Job, broken: Option<String>, whole: bool) -> JobBody<'a> {
        let spec = &job.spec;
        let mut run = serde_json::to_value(Submit::of(&spec.run)).unwrap_or_default();
        if !whole {
            run.get_mut("env").and_then(Value::as_object_mut).into_iter().flatten().for_each(|(_, value)| {
                *value = Value::Null;
            });
            run.get_mut("stdin").into_iter().for_each(|stdin| *stdin = Value::Null);
        }
        JobBody {
            name: job.name.as_str().into(),
            run,
            schedule: match spec.schedule.as_slice() {
                [] => Value::Null,
                [one] => one.as_str().into(),
                several => several.into(),
            },
            zone: spec.zone.as_deref().map(Cow::from),
            enabled: spec.enabled,
            catch_up: spec.catch_up.into(),
            overlap: spec.overlap.into(),
            jitter_s: spec.jitter_s,
            start_deadline_s: spec.start_deadline_s,
            params: Cow::Borrowed(&spec.params),
            after_job: spec.after_job.as_ref().map(Cow::Borrowed),
            next_at: job.next_at.map(|at| at.to_string()),
            last: job.last.as_ref().map(LastRunBody::from),
            broken,
            version: job.version,
            created_at: job.created_at.to_string(),
            changed_at: job.changed_at.to_string(),
        }
    }
}

impl Submit {
    /// The submit that makes such a run at once.
    pub fn of(spec: &Spec) -> Submit {
        let Conflict { on_conflict, debounce_s, debounce_max_s } = spec.conflict;
        Submit {
            script: if let Command::Script(script) = &spec.command { Some(script.clone()) } else { None },
            command: if let Command::Argv(argv) = &spec.command { Some(argv.clone()) } else { None },
            name: spec.name.clone(),
            queue: Some(spec.queue.clone()),
            priority: Some(spec.priority),
            tags: spec.tags.clone(),
            cwd: spec.cwd.clone(),
            env: spec.env.clone(),
            stdin: spec.stdin.clone(),
            timeout_s: spec.timeout_s,
            delay_s: None,
            on_interrupt: Some(spec.on_interrupt),
            keep: spec.keep,
            key: spec.key.clone(),
            on_conflict: spec.key.as_ref().map(|_| on_conflict),
            debounce_s: (on_conflict == OnConflict::Debounce).then_some(debounce_s),
            debounce_max_s,
            options: spec.options.clone(),
        }
    }
}

/// A firing: a time at which a job was due, and what became of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FiringBody {
    /// The time.
    pub scheduled_for: String,
    /// Its run.
    pub run: Option<RunId>,
    /// Why it has none, or was replaced.
    pub skipped: Option<Word<Skipped>>,
    /// How many times it stands for, up to 1,000.
    pub count: i64,
    /// The run that was in the way.
    pub behind: Option<RunId>,
    /// When it was written down.
    pub at: String,
}

impl From<&Firing> for FiringBody {
    fn from(firing: &Firing) -> FiringBody {
        FiringBody {
            scheduled_for: firing.scheduled_for.to_string(),
            run: firing.run,
            skipped: firing.skipped.map(Word::from),
            count: firing.count,
            behind: firing.behind,
            at: firing.at.to_string(),
        }
    }
}

/// A time at which a schedule is due.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DueBody {
    /// The time, in UTC.
    pub at: String,
    /// The same by the zone's clock, with its offset.
    pub local: String,
    /// `moved`, `merged` or `repeated` where a change of the clock did that.
    pub change: Option<String>,
    /// The same in a sentence.
    pub why: Option<String>,
}
