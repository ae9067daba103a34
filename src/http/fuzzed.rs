//! Doors for a fuzzer: what handlers make of a body before they do anything with it. `tests/fuzz/targets` has the inputs.
//!
//! Only in a build of those (`--cfg fuzzing`); nothing of the daemon may use it.

use serde_json::{Map, Value};

use super::error::Problem;
use super::types::fields::Fields;
use super::types::{hooks, incoming, jobs, queues};
use crate::clock::UnixMs;
use crate::event::Kind;
use crate::hook::{HookSpec, Secret};
use crate::hooks::Own;
use crate::job::JobSpec;
use crate::run::Spec;
use crate::store::{Change, QueueChange};

/// A submit.
pub fn submit(body: &[u8], now: UnixMs) -> Result<Spec, Problem> {
    incoming::spec_from(Fields::of_body(body)?, now)
}

/// A change of a run.
pub fn change(body: &[u8]) -> Result<Change, Problem> {
    incoming::change_from(Fields::of_body(body)?)
}

/// Events to append.
pub fn events(body: &[u8]) -> Result<Vec<(Kind, String)>, Problem> {
    incoming::events_from(body)
}

/// A job.
pub fn job(body: &[u8], now: UnixMs) -> Result<JobSpec, Problem> {
    jobs::job_from(Fields::of_body(body)?, now)
}

/// The values with which a job is started.
pub fn start(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    jobs::values_from(Fields::of_body(body)?)
}

/// A hook.
pub fn hook(body: &[u8]) -> Result<(HookSpec, Option<Secret>), Problem> {
    hooks::hook_from(Fields::of_body(body)?, Own::new(None))
}

/// A queue.
pub fn queue(body: &[u8]) -> Result<QueueChange, Problem> {
    queues::queue_from(Fields::of_body(body)?)
}
