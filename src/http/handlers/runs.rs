//! `/v1/runs` and the paths below a run, except its events and log.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tide::{Response, StatusCode};

use crate::clock::UnixMs;
use crate::feed::wait_for_end;
use crate::http::app::{
    self, Answer, Request, by, json, json_body, json_text, no_query, nothing, query, run_id, shared_json, text,
};
use crate::http::audit::did;
use crate::http::error::Problem;
use crate::http::query::Query;
use crate::http::streams::answer::answer;
use crate::http::streams::read_request::ReadRequest;
use crate::http::types::fields::Fields;
use crate::http::types::filter::{filter_from, parameters, path_with};
use crate::http::types::incoming::{PRIORITY_MAX, SECONDS_MAX, change_from, queue_name, spec_from, tag};
use crate::run::{Cause, Origin, Run, RunId, Spec, Status};
use crate::scope::Scope;
use crate::store::{Became, Cancel, Filter, IdempotencyKey, NewRun, Refusal, StoreError, Ties};
use crate::timer::within;
use crate::wire::RunBody;
use crate::wire::Violation;

/// Runs that a list shows unless told otherwise.
const LIST_DEFAULT: i64 = 50;
/// Runs that a list shows at most.
const LIST_MAX: i64 = 500;
/// Bytes of runs at which a list is cut short: 1 MiB. It is less where many answers are on their way to clients that do
/// not take them.
const LIST_BYTES_MAX: usize = 1_048_576;
/// The longest `wait_s`, in seconds: shorter than what proxies and clients give up after.
pub(super) const WAIT_MAX_S: i64 = 300;
/// The type of a body that is a script.
const SHELL_SCRIPT: &str = "text/x-shellscript";
/// Characters of an idempotency key.
const KEY_CHARS_MAX: usize = 255;
/// Characters of a cancel's reason.
const REASON_CHARS_MAX: usize = 1_000;

/// `POST /v1/runs`
pub async fn submit(request: Request) -> Answer {
    let key = idempotency_key(&request)?;
    let read = ReadRequest::from_the_start(&request)?;
    let mut query = query(&request);
    let follow = query.boolean("follow").unwrap_or(false);
    let (content_type, body) = app::typed_body(&request, &["application/json", SHELL_SCRIPT]).await?;
    let mut fields = if content_type == SHELL_SCRIPT { script_fields(&body) } else { Fields::of_body(&body) }?;
    fields.fill(query_fields(&mut query));
    fields.also_wrong(query.into_violations());
    let spec = spec_of(&request, fields).await?;
    let idempotency = key.map(|key| idempotency_of(key, &request, &content_type, &body));
    let new = NewRun { spec, idempotency, retry_of: None, origin: Origin::of(Cause::Submit), by: by(&request)? };
    let submitted = request.state().store.submit(new).await?;
    let id = submitted.run.id;
    // In a box: it is as large as all the rest, and few ask for it.
    let mut response =
        if follow { Box::pin(answer(request, Scope::Run(id), read)).await? } else { shown(&request, &submitted.run)? };
    response.set_status(if submitted.became == Became::New { StatusCode::Created } else { StatusCode::Ok });
    response.insert_header("location", format!("/v1/runs/{id}"));
    // A repeated request changes nothing, nor does one that another run stands for.
    Ok(match submitted.became {
        Became::New => did(response, format_args!("run {id} was submitted")),
        Became::Changed => did(response, format_args!("run {id} was submitted anew")),
        Became::Known => response,
    })
}

/// The idempotency key with a hash of what it stands for: type, query and body of the request.
pub(super) fn idempotency_of(key: String, request: &Request, content_type: &str, body: &[u8]) -> IdempotencyKey {
    let mut sha = Sha256::new();
    // Lengths first: no two requests run together into the same bytes.
    for part in [content_type.as_bytes(), request.url().query().unwrap_or_default().as_bytes(), body] {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    IdempotencyKey { key, request_sha256: sha.finalize().into() }
}

/// A run that was submitted: as it is, or its number alone.
pub(super) fn shown(request: &Request, run: &Run) -> Answer {
    if app::head(request)?.accept()?.is_some_and(prefers_text) {
        return Ok(text(StatusCode::Ok, format!("{}\n", run.id)));
    }
    show(StatusCode::Ok, run)
}

/// Whether `Accept` names plain text and not JSON.
fn prefers_text(accept: &str) -> bool {
    let mut types = accept.split(',').map(|item| item.split(';').next().unwrap_or_default().trim());
    types.clone().any(|item| item.eq_ignore_ascii_case("text/plain"))
        && !types.any(|item| item.eq_ignore_ascii_case("application/json"))
}

pub(super) fn idempotency_key(request: &Request) -> Result<Option<String>, Problem> {
    let Some(key) = app::head(request)?.idempotency_key()? else { return Ok(None) };
    if key.is_empty() || key.len() > KEY_CHARS_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let detail = format!("Idempotency-Key must be 1 to {KEY_CHARS_MAX} visible ASCII characters");
        return Err(Problem::bad_request(detail));
    }
    Ok(Some(key.to_owned()))
}

/// The specification that the fields make. Where something is wrong with it, the queue is looked up too, so that all
/// that is wrong is told at once; where nothing is, the store looks it up anyway.
async fn spec_of(request: &Request, fields: Fields) -> Result<Spec, Problem> {
    let queue = fields.peek_text("queue").filter(|queue| queue_name(queue).is_ok()).map(str::to_owned);
    match (spec_from(fields, UnixMs::now()), queue) {
        (Err(problem), Some(queue)) => match request.state().store.queue(&queue) {
            Err(StoreError::Refused(Refusal::QueueNotFound(_))) => {
                Err(problem.joined(Refusal::QueueUnknown(queue).into()))
            }
            _ => Err(problem),
        },
        (Ok(spec), _) => {
            // One that is not there is refused by the store.
            let of_queue = request.state().store.queue(&spec.queue).unwrap_or_default();
            request.state().limits.check_run("", &spec.options, &of_queue)?;
            Ok(spec)
        }
        (spec, _) => spec,
    }
}

/// A script as the body: the one field that it is.
fn script_fields(body: &[u8]) -> Result<Fields, Problem> {
    let script = std::str::from_utf8(body)
        .map_err(|_| Problem::violations(vec![Violation::new("script", "value", "the script must be UTF-8")]))?;
    Ok(Fields::of(Map::from_iter([("script".into(), script.into())]), ""))
}

/// What the query says of a submit, as the fields that a JSON body would have it in.
fn query_fields(query: &mut Query) -> Map<String, Value> {
    let mut fields = Map::new();
    for parameter in ["name", "queue", "cwd"] {
        if let Some(value) = query.text(parameter, |_| Ok(())) {
            fields.insert(parameter.into(), value.into());
        }
    }
    for (parameter, min, max) in
        [("priority", -PRIORITY_MAX, PRIORITY_MAX), ("timeout_s", 1, SECONDS_MAX), ("delay_s", 0, SECONDS_MAX)]
    {
        // A number beyond these is told by the field, as one of the body is.
        let number =
            |text: &str| text.parse::<i64>().map_err(|_| format!("must be a whole number between {min} and {max}"));
        let text = query.text(parameter, |text| number(text).map(drop));
        if let Some(Ok(number)) = text.as_deref().map(number) {
            fields.insert(parameter.into(), number.into());
        }
    }
    let mut tags = query.all("tag");
    tags.retain(|text| tag(text).map_err(|message| query.wrong("tag", "value", message)).is_ok());
    if !tags.is_empty() {
        fields.insert("tags".into(), tags.into());
    }
    fields
}

/// `GET /v1/runs`
pub async fn list(request: Request) -> Answer {
    let mut query = query(&request);
    let filter = filter_from(&mut query);
    let filter = Filter {
        limit: query.integer("limit", 1, LIST_MAX).unwrap_or(LIST_DEFAULT) as usize,
        before: query.integer("before", 1, i64::MAX).map(RunId),
        ..filter
    };
    query.finish()?;
    let app = request.state();
    let turn = if filter.sought.is_anything() { None } else { Some(app.searches.acquire().await) };
    let page = app.store.runs(filter.clone()).await?;
    drop(turn);
    let share = request.state().hub.budget().share(LIST_BYTES_MAX);
    let detached = (app.detached)();
    let mut stopped = stopped(&request, page.runs.iter().map(|listed| &listed.run)).await;
    let mut waits = request.state().store.waits(page.runs.iter().map(|listed| &listed.run)).await?;
    let (mut runs, mut next_before, mut looked_back_to) = (String::new(), page.next_before, page.looked_back_to);
    for (at, listed) in page.runs.iter().enumerate() {
        let stopped = stopped.remove(&listed.run.id).unwrap_or_default();
        let waiting = waits.remove(&listed.run.id).unwrap_or_default();
        let run = json_text(
            &RunBody::listed(listed)
                .with_detached(detached.get(&listed.run.id))
                .with_stopped(stopped)
                .with_waiting(waiting),
        )?;
        if at > 0 {
            if runs.len() + run.len() > share.bytes() {
                (next_before, looked_back_to) = (Some(page.runs[at - 1].run.id), None);
                break;
            }
            runs.push(',');
        }
        runs.push_str(&run);
    }
    let next = json_text(&next_before.map(|before| next_page(&filter, before)))?;
    let looked_back_to = json_text(&looked_back_to.map(|at| at.to_string()))?;
    let text = format!(r#"{{"runs":[{runs}],"next":{next},"looked_back_to":{looked_back_to}}}"#);
    Ok(shared_json(StatusCode::Ok, text, share))
}

/// The path of the next page of the list.
fn next_page(filter: &Filter, before: RunId) -> String {
    let whence = [("limit", filter.limit.to_string()), ("before", before.to_string())];
    path_with("/v1/runs", parameters(filter).into_iter().chain(whence))
}

/// `GET /v1/runs/:id`
pub async fn get(request: Request) -> Answer {
    let id = waited_for(&request).await?;
    let app = request.state();
    // How long it is shows only when it was read.
    let _turn = app.whole_runs.acquire().await;
    let run = app.store.run(id).await?;
    let detached = (app.detached)();
    let stopped = stopped(&request, [&run]).await.remove(&run.id).unwrap_or_default();
    let waiting = app.store.waits([&run]).await?.remove(&run.id).unwrap_or_default();
    let ties = if run.is_needed || !run.held_by.is_nothing() { app.store.ties(id).await? } else { Ties::default() };
    let text = json_text(
        &RunBody::new(&run)
            .with_detached(detached.get(&id))
            .with_stopped(stopped)
            .with_waiting(waiting)
            .with_ties(ties),
    )?;
    match app.hub.budget().whole(text.len()) {
        Some(share) => Ok(shared_json(StatusCode::Ok, text, share)),
        None => {
            Err(Problem::unavailable("more large answers are on their way than clients take; try again in a moment")
                .with_header("retry-after", "1"))
        }
    }
}

/// `GET /v1/runs/:id/exit_code`
pub async fn exit_code(request: Request) -> Answer {
    let id = waited_for(&request).await?;
    let outcome = request.state().store.run_head(id).await?.outcome;
    if !outcome.status.is_terminal() {
        return Err(Problem::run_not_finished(format!(
            "run {id} is {}; add ?wait_s=300 to wait for its end",
            outcome.status
        )));
    }
    Ok(text(StatusCode::Ok, format!("{}\n", outcome.shell_exit_code())))
}

/// The run in the path, once it has ended or `wait_s` is up.
async fn waited_for(request: &Request) -> Result<RunId, Problem> {
    let mut query = query(request);
    let wait_s = query.integer("wait_s", 1, WAIT_MAX_S);
    let run = run_id(request)?;
    query.finish()?;
    let app = request.state();
    if let Some(wait_s) = wait_s {
        let wait = Duration::from_secs(wait_s.unsigned_abs());
        let ended = async { Ok(within(wait, wait_for_end(&app.hub, run)).await.unwrap_or(Ok(()))?) };
        app::while_let_in(request, ended).await?;
    }
    Ok(run)
}

/// `PATCH /v1/runs/:id`
pub async fn change(request: Request) -> Answer {
    let run = run_id(&request)?;
    no_query(&request)?;
    let change = change_from(json_body(&request).await?)?;
    let response = show(StatusCode::Ok, &request.state().store.change(run, change, by(&request)?).await?)?;
    Ok(did(response, format_args!("run {run} was changed")))
}

/// `POST /v1/runs/:id/cancel`
pub async fn cancel(request: Request) -> Answer {
    let id = run_id(&request)?;
    no_query(&request)?;
    let how = cancel_from(&request).await?;
    let app = request.state();
    let (run, still_runs) = app.store.cancel(id, by(&request)?, how).await?;
    let response = show(if still_runs { StatusCode::Accepted } else { StatusCode::Ok }, &run)?;
    Ok(did(response, format_args!("the cancel of run {id} was asked for")))
}

/// How the body says that runs are to be canceled.
pub(super) async fn cancel_from(request: &Request) -> Result<Cancel, Problem> {
    let mut fields = json_body(request).await?;
    let reason = fields.text("reason", |text| {
        let fits = text.chars().count() <= REASON_CHARS_MAX;
        if fits { Ok(()) } else { Err(format!("must be at most {REASON_CHARS_MAX} characters")) }
    });
    let now = fields.boolean("now").unwrap_or(false);
    fields.finish()?;
    Ok(Cancel { reason, now })
}

/// `POST /v1/runs/:id/retry`
pub async fn retry(request: Request) -> Answer {
    let old = run_id(&request)?;
    no_query(&request)?;
    json_body(&request).await?.finish()?;
    let run = request.state().store.retry(old, by(&request)?).await?;
    let mut response = show(StatusCode::Created, &run)?;
    response.insert_header("location", format!("/v1/runs/{}", run.id));
    Ok(did(response, format_args!("run {} was submitted as a retry of run {old}", run.id)))
}

/// `DELETE /v1/runs/:id`
pub async fn delete(request: Request) -> Answer {
    let run = run_id(&request)?;
    no_query(&request)?;
    request.state().store.delete(run).await?;
    Ok(did(nothing(), format_args!("run {run} was deleted")))
}

/// Which processes of those that run are stopped now.
async fn stopped<'a>(request: &Request, runs: impl IntoIterator<Item = &'a Run>) -> BTreeMap<RunId, Vec<i32>> {
    let running = runs.into_iter().filter(|run| run.outcome.status == Status::Running).map(|run| run.id);
    let running: BTreeSet<RunId> = running.collect();
    if running.is_empty() { BTreeMap::new() } else { (request.state().stopped_processes)(running).await }
}

fn show(status: StatusCode, run: &Run) -> Result<Response, Problem> {
    json(status, &RunBody::new(run))
}
