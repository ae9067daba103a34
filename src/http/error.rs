//! Refusals: RFC 9457 problems, and the one table of their codes.
//!
//! `detail` is for people, and never holds what is internal, secret, or longer than a screen.

use std::borrow::Cow;

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::inputs::Untaken;
use crate::job::ParamError;
use crate::numbers::{EventId, RunId};
use crate::store::{Fault, Refusal, Shortage, StoreError};
use crate::text;
use crate::wire::ProblemBody;
pub use crate::wire::Violation;

/// A refusal, as `application/problem+json`.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The status of the answer.
    pub status: u16,
    /// Stable, for programs.
    pub code: &'static str,
    /// For people.
    pub detail: String,
    /// An object; what it holds depends on the code.
    pub details: Value,
    /// Headers that belong to it: `Allow`, `Retry-After`, `WWW-Authenticate`. Names in lower case, values ASCII.
    pub headers: Vec<(&'static str, String)>,
}

/// Violations that are told of one request. A body of 1 MiB can have half a million, and an answer of a hundred times that.
pub const VIOLATIONS_MAX: usize = 100;
/// Length of `detail`, in bytes, beyond which the remaining violations are only counted.
const DETAIL_BYTES_MAX: usize = 1_000;

/// Writes the table once: as constructors, and for the reference.
macro_rules! problems {
    ($($(#[$doc:meta])* $code:ident = $status:literal,)+) => {
        /// Every code with its status, for the reference.
        pub const CODES: &[(&str, u16)] = &[$((stringify!($code), $status),)+];

        impl Problem {
            $($(#[$doc])* pub fn $code(detail: impl Into<String>) -> Problem {
                Problem::new($status, stringify!($code), detail.into())
            })+
        }
    };
}

problems! {
    /// A request that is not understood: its path, or a header that is needed.
    bad_request = 400,
    /// A body that is not JSON.
    bad_json = 400,
    /// No token, or one that is unknown or expired. Use [`Problem::challenge`], which adds the header.
    unauthorized = 401,
    /// An enrollment token that is unknown, used up or expired, alike.
    enrollment_invalid = 401,
    /// Known, but not allowed to.
    forbidden = 403,
    /// A web page of another origin.
    origin_not_allowed = 403,
    /// No such path, or nothing of that name.
    not_found = 404,
    /// No such run, and there never was.
    run_not_found = 404,
    /// No such queue.
    queue_not_found = 404,
    /// No such job.
    job_not_found = 404,
    /// No such hook.
    hook_not_found = 404,
    /// The hook has no such delivery, or not any more.
    delivery_not_found = 404,
    /// No such durable cursor.
    cursor_not_found = 404,
    /// No such artifact of the run.
    artifact_not_found = 404,
    /// A known path; `Allow` says what may be done there.
    method_not_allowed = 405,
    /// A body that took too long.
    body_timeout = 408,
    /// The run has not ended.
    run_not_finished = 409,
    /// A run that waits needs it.
    run_needed = 409,
    /// The run has started.
    run_not_queued = 409,
    /// The run has ended.
    run_finished = 409,
    /// The run has all the events that it can have.
    run_full = 409,
    /// The queue `default` stays.
    queue_protected = 409,
    /// Runs wait or run in the queue.
    queue_not_empty = 409,
    /// Another job follows it.
    job_followed = 409,
    /// The hook is disabled: nothing is sent.
    hook_disabled = 409,
    /// A cursor beyond the newest event.
    cursor_ahead = 409,
    /// A cursor of another database.
    instance_changed = 409,
    /// No command of the run is under way.
    run_not_running = 409,
    /// The command takes no input, or no more of it.
    no_stdin = 409,
    /// Somebody else writes to the command.
    stdin_busy = 409,
    /// The command has no terminal.
    no_terminal = 409,
    /// The run was there and is gone.
    run_pruned = 410,
    /// The artifact was there and is gone, or is not what it was.
    artifact_gone = 410,
    /// It is not what `If-Match` says.
    precondition_failed = 412,
    /// A body that is too long.
    body_too_large = 413,
    /// A body of a type that is not read here.
    unsupported_media_type = 415,
    /// None of it is in the range that is asked for.
    range_not_satisfiable = 416,
    /// A `Host` that is not answered to.
    host_not_allowed = 421,
    /// Well-formed, but wrong. Use [`Problem::violations`].
    invalid = 422,
    /// Another body under a key that was used.
    idempotency_mismatch = 422,
    /// A limit that cannot be enforced here.
    limits_unavailable = 422,
    /// A WebSocket of another version.
    upgrade_required = 426,
    /// Too many runs wait.
    queue_full = 429,
    /// The command has not read what was sent before.
    stdin_full = 429,
    /// As many jobs as there may be.
    too_many_jobs = 429,
    /// As many hooks as there may be.
    too_many_hooks = 429,
    /// As many durable cursors as there may be.
    too_many_cursors = 429,
    /// Too many bad tokens from one address.
    rate_limited = 429,
    /// A fault of the daemon; its log says more.
    internal = 500,
    /// The database cannot be read or written.
    storage_unavailable = 503,
    /// Starting, stopping, or too many connections or readers.
    unavailable = 503,
    /// Too little room on the disk, or in the database's quota.
    storage_full = 507,
}

impl Problem {
    fn new(status: u16, code: &'static str, detail: String) -> Problem {
        Problem { status, code, detail, details: json!({}), headers: Vec::new() }
    }

    /// 422 with all violations, up to [`VIOLATIONS_MAX`].
    pub fn violations(violations: Vec<Violation>) -> Problem {
        let mut detail = String::new();
        for (nth, Violation { field, message, .. }) in violations.iter().enumerate() {
            let separator = if nth == 0 { "" } else { "; " };
            if detail.len() > DETAIL_BYTES_MAX {
                detail.push_str(&format!("{separator}and {} more", violations.len() - nth));
                break;
            }
            // What is wrong with the whole body has no field.
            let colon = if field.is_empty() { "" } else { ": " };
            detail.push_str(&format!("{separator}{field}{colon}{message}"));
        }
        Problem::invalid(detail).with_details(json!({ "violations": violations }))
    }

    /// Joins the violations of the query and of the body in one answer.
    #[must_use]
    pub fn joined(self, other: Problem) -> Problem {
        let told = |problem: &Problem| problem.details["violations"].as_array().cloned().unwrap_or_default();
        let violations: Vec<Value> = told(&self).into_iter().chain(told(&other)).collect();
        let detail = format!("{}; {}", self.detail, other.detail);
        Problem::invalid(detail).with_details(json!({ "violations": violations }))
    }

    /// 401 with `WWW-Authenticate`.
    pub fn challenge(detail: impl Into<String>) -> Problem {
        Problem::unauthorized(detail).with_header("www-authenticate", "Bearer")
    }

    /// Why a command did not get what was sent to it.
    pub fn untaken(run: RunId, why: Untaken) -> Problem {
        match why {
            Untaken::NotRunning => Problem::run_not_running(format!(
                "no command of run {run} is under way here; send again once its `started` event has come"
            )),
            Untaken::NoInput => Problem::no_stdin(format!(
                "run {run} takes no input; that has to be asked for at its submit, with \"stdin\": \"open\""
            )),
            Untaken::Ended => Problem::no_stdin(format!(
                "run {run} takes no more input: its end was sent, or the command has closed it"
            )),
            Untaken::NoTerminal => Problem::no_terminal(format!(
                "run {run} has no terminal; that has to be asked for at its submit, with \"pty\": {{}}"
            )),
            Untaken::Full => Problem::stdin_full(format!(
                "the command of run {run} has not read what was sent before; nothing was taken, send it again"
            ))
            .retry_after_s(1),
            Untaken::Busy { name, idle_in } => {
                Problem::stdin_busy(format!("{name} writes to run {run}; with take=true you do, in its place"))
                    .with_details(json!({ "writer": name, "idle_in_s": idle_in.as_secs() + 1 }))
            }
        }
    }

    /// 405 for a path that is known; `allow` is the list for `Allow`.
    pub fn wrong_method(allow: &str) -> Problem {
        Problem::method_not_allowed(format!("this path takes {allow}")).with_header("allow", allow)
    }

    /// The same with these `details`, which are an object.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Problem {
        self.details = details;
        self
    }

    /// The same with one header more.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Problem {
        self.headers.push((name, value.into()));
        self
    }

    /// The same with `Retry-After`.
    #[must_use]
    pub fn retry_after_s(self, seconds: u64) -> Problem {
        self.with_header("retry-after", seconds.max(1).to_string())
    }

    /// The body.
    pub fn to_json(&self) -> String {
        let title =
            StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error");
        let Problem { status, code, detail, details, .. } = self;
        let body = ProblemBody {
            r#type: "about:blank".into(),
            title: title.into(),
            status: *status,
            code: (*code).into(),
            detail: detail.into(),
            details: Cow::Borrowed(details),
        };
        // Strings, numbers and a Value always can be written as JSON.
        text::json(&body).unwrap_or_default()
    }
}

/// The one table from the store's refusals to status and code.
impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let detail = refusal.to_string();
        match refusal {
            Refusal::RunNotFound(_) => Problem::run_not_found(detail),
            Refusal::RunPruned(_) => Problem::run_pruned(detail),
            Refusal::RunNotFinished(_) => Problem::run_not_finished(detail),
            Refusal::RunNeeded { by, .. } => Problem::run_needed(detail).with_details(json!({ "needed_by": by })),
            Refusal::NeedUnknown { index, .. } => {
                Problem::violations(vec![Violation::new(format!("after[{index}]"), "unknown_run", detail)])
            }
            Refusal::RunNotQueued(_) => Problem::run_not_queued(detail),
            Refusal::RunFinished(_) => Problem::run_finished(detail),
            Refusal::RunFull(_) => Problem::run_full(detail),
            Refusal::QueueFull { limit } => {
                Problem::queue_full(detail).retry_after_s(QUEUE_FULL_RETRY_S).with_details(json!({ "limit": limit }))
            }
            Refusal::QueueUnknown(_) => Problem::violations(vec![Violation::new("queue", "unknown_queue", detail)]),
            Refusal::QueueNotFound(_) => Problem::queue_not_found(detail),
            Refusal::QueueProtected => Problem::queue_protected(detail),
            Refusal::QueueNotEmpty(_) => Problem::queue_not_empty(detail),
            Refusal::IdempotencyMismatch => Problem::idempotency_mismatch(detail),
            Refusal::EnrollmentInvalid => Problem::enrollment_invalid(detail).with_header("www-authenticate", "Bearer"),
            Refusal::EnrollmentTokenNotFound(_) | Refusal::SessionNotFound(_) => Problem::not_found(detail),
            Refusal::JobNotFound(_) => Problem::job_not_found(detail),
            Refusal::JobChanged(_) => Problem::precondition_failed(detail),
            Refusal::JobFollowsItself(_) | Refusal::JobToFollowUnknown(_) | Refusal::JobFollowsTooMany { .. } => {
                Problem::violations(vec![Violation::new("after_job", "value", detail)])
            }
            Refusal::JobFollowed { .. } => Problem::job_followed(detail),
            Refusal::TooManyJobs { limit } => {
                Problem::too_many_jobs(detail).retry_after_s(ROOM_RETRY_S).with_details(json!({ "limit": limit }))
            }
            Refusal::HookNotFound(_) => Problem::hook_not_found(detail),
            Refusal::HookDisabled(_) => Problem::hook_disabled(detail),
            Refusal::DeliveryNotFound { .. } => Problem::delivery_not_found(detail),
            Refusal::TooManyHooks { limit } => {
                Problem::too_many_hooks(detail).retry_after_s(ROOM_RETRY_S).with_details(json!({ "limit": limit }))
            }
            Refusal::CursorNotFound(_) => Problem::cursor_not_found(detail),
            Refusal::TooManyCursors { limit } => {
                Problem::too_many_cursors(detail).retry_after_s(ROOM_RETRY_S).with_details(json!({ "limit": limit }))
            }
            Refusal::CursorAhead { instance, last } => {
                Problem::cursor_ahead(detail).with_details(newest(last, &instance))
            }
            Refusal::InstanceChanged { instance, last } => {
                Problem::instance_changed(detail).with_details(newest(last, &instance))
            }
            Refusal::ParamsInvalid(wrong) => {
                let told = |error: &ParamError| {
                    Violation::new(format!("params.{}", error.name), error.reason, error.message.clone())
                };
                Problem::violations(wrong.iter().map(told).collect())
            }
            Refusal::NoRoom(shortage) => {
                Problem::storage_full(detail).retry_after_s(ROOM_RETRY_S).with_details(figures(shortage))
            }
            Refusal::ReadOnly => Problem::storage_unavailable(detail).retry_after_s(STORAGE_RETRY_S),
        }
    }
}

/// Where the events of all runs stand, for who has a cursor that leads nowhere.
fn newest(last: EventId, instance: &str) -> Value {
    json!({ "last_id": last, "instance": instance })
}

/// What there is too little of.
fn figures(shortage: Shortage) -> Value {
    match shortage {
        Shortage::Disk { free_bytes, needed_bytes, .. } => {
            json!({ "free_bytes": free_bytes, "needed_bytes": needed_bytes })
        }
        Shortage::Quota { used_bytes, quota_bytes } => {
            json!({ "used_bytes": used_bytes, "quota_bytes": quota_bytes })
        }
    }
}

/// A fault is for the daemon's log; a client learns when to try again.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        let fault = match error {
            StoreError::Refused(refusal) => return refusal.into(),
            StoreError::Failed(fault) => fault,
        };
        let detail = fault.to_string();
        match fault {
            Fault::NoSuchMove { .. } => Problem::internal(detail),
            Fault::Full => Problem::storage_full(detail).retry_after_s(ROOM_RETRY_S),
            Fault::Stopping => Problem::unavailable(detail).retry_after_s(STORAGE_RETRY_S),
            Fault::ReadOnly
            | Fault::Displaced
            | Fault::Io { .. }
            | Fault::Damaged(_)
            | Fault::Stalled(_)
            | Fault::Unavailable(_)
            | Fault::GivenUp(_) => Problem::storage_unavailable(detail).retry_after_s(STORAGE_RETRY_S),
        }
    }
}

/// `Retry-After` of a full queue, in seconds.
const QUEUE_FULL_RETRY_S: u64 = 5;
/// `Retry-After` where there is no room, in seconds: somebody has to make room.
const ROOM_RETRY_S: u64 = 60;
/// `Retry-After` where the store does not answer, in seconds.
const STORAGE_RETRY_S: u64 = 5;

/// The type of [`Problem::to_json`].
pub const PROBLEM_JSON: &str = "application/problem+json";

impl From<Problem> for tide::Response {
    fn from(problem: Problem) -> tide::Response {
        let mut response = tide::Response::new(
            tide::StatusCode::try_from(problem.status).unwrap_or(tide::StatusCode::InternalServerError),
        );
        response.set_body(problem.to_json());
        response.insert_header("content-type", PROBLEM_JSON);
        for (name, value) in &problem.headers {
            response.insert_header(*name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_looks_as_the_contract_says() {
        assert_eq!(
            Problem::run_not_found("no run 42").to_json(),
            r#"{"type":"about:blank","title":"Not Found","status":404,"code":"run_not_found","detail":"no run 42","details":{}}"#
        );
        let both = Problem::violations(vec![
            Violation::new("a", "unknown", "no such field"),
            Violation::new("b", "required", "is needed"),
        ]);
        assert_eq!((both.status, both.code), (422, "invalid"));
        assert_eq!(both.details["violations"][1]["field"], "b");
    }

    #[test]
    fn every_status_has_a_title_and_crosses_into_tide() {
        for (code, status) in CODES {
            assert!(StatusCode::from_u16(*status).is_ok_and(|status| status.canonical_reason().is_some()), "{code}");
            assert!(tide::StatusCode::try_from(*status).is_ok(), "{code}");
        }
    }
}
