//! What the daemon is asked for Home Assistant's sake.

use std::collections::BTreeSet;

use runabout::client::{Events, Failure, Filter};
use runabout::event::Kind;
use serde_json::{Value, json};

use crate::daemon::Daemon;

/// What moves the counts, ends a run, or changes what may be started.
const KINDS: &[Kind] = &[Kind::Queued, Kind::Started, Kind::AttemptEnded, Kind::Finished, Kind::JobChanged];
/// Runs among which the newest failure is looked for: the one that ended last need not have begun last.
const FAILURES: u32 = 50;
/// Jobs that one page shows.
const JOBS_PAGE: u32 = 500;

/// Statuses that are a failure.
pub const FAILED: &[&str] = &["failed", "timed_out", "interrupted"];

/// What the daemon says of itself, as far as it is shown.
pub struct Look {
    /// Of which database.
    pub instance: String,
    /// Its version.
    pub version: String,
    /// Runs that wait.
    pub queued: u64,
    /// Runs that run.
    pub running: u64,
}

impl Daemon {
    /// What it says of itself now.
    ///
    /// # Errors
    /// As the client has them.
    pub async fn look(&self) -> Result<Look, Failure> {
        let told = self.client.request("GET", "/v1/system", None, None).await?;
        let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        let count = |status: &str| told["runs"][status].as_u64().unwrap_or_default();
        let (instance, version) = (text("instance"), text("version"));
        Ok(Look { instance, version, queued: count("queued"), running: count("running") })
    }

    /// Whether it lets us start jobs.
    ///
    /// # Errors
    /// As the client has them.
    pub async fn lets_us_start(&self) -> Result<bool, Failure> {
        let told = self.client.request("GET", "/v1/session", None, None).await?;
        Ok(matches!(told["role"].as_str(), Some("operator" | "admin")))
    }

    /// The jobs that a button can start: those that need nothing said.
    ///
    /// # Errors
    /// As the client has them.
    pub async fn startable_jobs(&self) -> Result<BTreeSet<String>, Failure> {
        let mut names = BTreeSet::new();
        let mut path = format!("/v1/jobs?limit={JOBS_PAGE}");
        loop {
            let told = self.client.request("GET", &path, None, None).await?;
            for job in told["jobs"].as_array().into_iter().flatten() {
                if needs_nothing(&job["params"]) {
                    names.extend(job["name"].as_str().map(str::to_owned));
                }
            }
            match told["next"].as_str() {
                Some(next) => next.clone_into(&mut path),
                None => return Ok(names),
            }
        }
    }

    /// Starts a job under a key; gives the run.
    ///
    /// # Errors
    /// As the client has them.
    pub async fn start_job(&self, job: &str, params: &Value, key: &str) -> Result<Value, Failure> {
        let body = json!({ "params": params });
        self.client.request("POST", &format!("/v1/jobs/{job}/runs"), Some(&body), Some(key)).await
    }

    /// The failure that ended last; null where there is none.
    ///
    /// # Errors
    /// As the client has them.
    pub async fn last_failure(&self) -> Result<Value, Failure> {
        let path = format!("/v1/runs?status={}&limit={FAILURES}", FAILED.join(","));
        let mut told = self.client.request("GET", &path, None, None).await?;
        let runs = told["runs"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let ended = |run: &Value| run["ended_at"].as_str().map(str::to_owned);
        Ok(runs.into_iter().max_by_key(ended).unwrap_or_default())
    }

    /// Which job made a run; null for none, and for a run that is gone.
    ///
    /// # Errors
    /// As the client has them.
    pub async fn job_of(&self, run: i64) -> Result<Value, Failure> {
        match self.client.request("GET", &format!("/v1/runs/{run}"), None, None).await {
            Ok(mut told) => Ok(told["job"].take()),
            Err(Failure::Refused(problem)) if matches!(problem.status, 404 | 410) => Ok(Value::Null),
            Err(failure) => Err(failure),
        }
    }

    /// The id of its newest event.
    ///
    /// # Errors
    /// As the client has them.
    pub async fn last_event(&self) -> Result<i64, Failure> {
        let told = self.client.request("GET", "/v1/events?after=latest&limit=1", None, None).await?;
        Ok(told["last_id"].as_i64().unwrap_or_default())
    }

    /// What happens after `id` of this database, as far as it is shown.
    pub fn happenings(&self, instance: &str, id: i64) -> Events {
        self.client.follow_all(&Filter { kinds: KINDS.to_vec(), ..Filter::default() }, &format!("{instance}-{id}"))
    }
}

/// Whether a job's parameters may all be left out. Texts and booleans always may.
fn needs_nothing(params: &Value) -> bool {
    let may_be_left_out =
        |param: &Value| matches!(param["type"].as_str(), Some("text" | "boolean")) || !param["default"].is_null();
    params.as_object().is_none_or(|params| params.values().all(may_be_left_out))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::needs_nothing;

    #[test]
    fn a_button_can_start_what_needs_nothing_said() {
        for params in [
            json!({}),
            json!(null),
            json!({"note": {"type": "text"}, "dry": {"type": "boolean"}}),
            json!({"level": {"type": "integer", "default": 0}, "room": {"type": "choice", "of": ["a"], "default": "a"}}),
        ] {
            assert!(needs_nothing(&params), "{params}");
        }
        for params in [json!({"level": {"type": "integer"}}), json!({"a": {"type": "text"}, "b": {"type": "choice"}})] {
            assert!(!needs_nothing(&params), "{params}");
        }
    }
}
