//! `/v1/jobs` and the paths below a job.

use serde_json::json;
use tide::StatusCode;

use super::runs::{idempotency_key, idempotency_of, shown};
use crate::access::Role;
use crate::clock::UnixMs;
use crate::http::app::{self, Answer, Request, by, identity, json_body, json_text, no_query, nothing, query, raw_json};
use crate::http::audit::did;
use crate::http::error::Problem;
use crate::http::types::fields::Fields;
use crate::http::types::jobs::{job_from, job_name, schedule_from, values_from};
use crate::job::Job;
use crate::schedule::{Due, Schedule, Zone};
use crate::store::{Became, IfMatch, schedule_of};
use crate::wire::{DueBody, FiringBody, JobBody, Violation};

/// Jobs, or firings, that a list shows unless told otherwise.
const LIST_DEFAULT: i64 = 100;
/// Jobs, or firings, that a list shows at most.
const LIST_MAX: i64 = 1_000;
/// Bytes at which a list is cut short.
const LIST_BYTES_MAX: usize = 1_048_576;
/// Times that a preview shows at most.
const PREVIEW_MAX: i64 = 1_000;

fn name_of(request: &Request) -> String {
    request.param("name").unwrap_or_default().to_owned()
}

fn body_of<'a>(request: &Request, job: &'a Job) -> Result<JobBody<'a>, Problem> {
    Ok(JobBody::new(job, schedule_of(job).err(), identity(request)?.role.may(Role::Operator)))
}

fn show(request: &Request, status: StatusCode, job: &Job) -> Answer {
    let mut response = app::json(status, &body_of(request, job)?)?;
    response.insert_header("etag", format!("\"{}\"", job.version));
    Ok(response)
}

/// `GET /v1/jobs`
pub async fn list(request: Request) -> Answer {
    let mut query = query(&request);
    let limit = query.integer("limit", 1, LIST_MAX).unwrap_or(LIST_DEFAULT) as usize;
    let after = query.text("after", job_name).unwrap_or_default();
    query.finish()?;
    let (store, own) = (&request.state().store, &identity(&request)?.jobs);
    let mut jobs = match own {
        Some(own) => store.jobs_among(own.iter().cloned().collect(), after, limit + 1).await?,
        None => store.jobs(after, limit + 1).await?,
    };
    let mut is_cut = jobs.len() > limit;
    jobs.truncate(limit);
    let (mut bodies, mut last) = (String::new(), None);
    for job in &jobs {
        let body = json_text(&body_of(&request, job)?)?;
        if last.is_some() && bodies.len() + body.len() > LIST_BYTES_MAX {
            is_cut = true;
            break;
        }
        if last.is_some() {
            bodies.push(',');
        }
        bodies.push_str(&body);
        last = Some(&job.name);
    }
    let next = last.filter(|_| is_cut).map(|name| format!("/v1/jobs?limit={limit}&after={name}"));
    Ok(raw_json(StatusCode::Ok, format!(r#"{{"jobs":[{bodies}],"next":{}}}"#, json_text(&next)?)))
}

/// `GET /v1/jobs/:name`
pub async fn get(request: Request) -> Answer {
    no_query(&request)?;
    let job = request.state().store.job(name_of(&request)).await?;
    show(&request, StatusCode::Ok, &job)
}

/// What `If-Match` asks for, or `If-None-Match`, which compares weakly.
fn condition(request: &Request) -> Result<IfMatch, Problem> {
    let head = app::head(request)?;
    let version = |tag: &str| tag.trim().strip_prefix('"')?.strip_suffix('"')?.parse().ok();
    let weak = |tag: &str| version(tag.trim().strip_prefix("W/").unwrap_or(tag));
    Ok(match (head.if_match()?.map(str::trim), head.if_none_match()?.map(str::trim)) {
        (None, None) => IfMatch::Always,
        (None, Some("*")) => IfMatch::Absent,
        (None, Some(tags)) => IfMatch::Others(tags.split(',').filter_map(weak).collect()),
        // It cannot be there and not there.
        (Some(_), Some("*")) => IfMatch::Versions(Vec::new()),
        (Some("*"), _) => IfMatch::Exists,
        (Some(tags), _) => IfMatch::Versions(tags.split(',').filter_map(version).collect()),
    })
}

/// `PUT /v1/jobs/:name`
pub async fn put(request: Request) -> Answer {
    no_query(&request)?;
    let (name, condition) = (name_of(&request), condition(&request)?);
    let mut fields = json_body(&request).await?;
    if let Err(message) = job_name(&name) {
        fields.wrong("name", "value", message);
    }
    let spec = job_from(fields, UnixMs::now())?;
    // One that is not there is refused by the store.
    let of_queue = request.state().store.queue(&spec.run.queue).unwrap_or_default();
    request.state().limits.check_run("run.", &spec.run.options, &of_queue)?;
    let put = request.state().store.put_job(name.clone(), spec, condition, by(&request)?).await?;
    let response = show(&request, if put.created { StatusCode::Created } else { StatusCode::Ok }, &put.job)?;
    Ok(match (put.created, put.changed) {
        (true, _) => did(response, format_args!("job {name} was made")),
        (false, true) => did(response, format_args!("job {name} was changed")),
        (false, false) => response,
    })
}

/// `PATCH /v1/jobs/:name`
pub async fn change(request: Request) -> Answer {
    no_query(&request)?;
    let (name, condition) = (name_of(&request), condition(&request)?);
    let mut fields = json_body(&request).await?;
    if !fields.gives("enabled") {
        fields.wrong("enabled", "required", "must be true or false");
    }
    let enabled = fields.boolean("enabled").unwrap_or(false);
    fields.finish()?;
    let job = request.state().store.enable_job(name.clone(), enabled, condition, by(&request)?).await?;
    let verb = if enabled { "enabled" } else { "disabled" };
    Ok(did(show(&request, StatusCode::Ok, &job)?, format_args!("job {name} was {verb}")))
}

/// `DELETE /v1/jobs/:name`
pub async fn delete(request: Request) -> Answer {
    no_query(&request)?;
    let (name, condition) = (name_of(&request), condition(&request)?);
    request.state().store.delete_job(name.clone(), condition, by(&request)?).await?;
    Ok(did(nothing(), format_args!("job {name} was removed")))
}

/// `POST /v1/jobs/:name/runs`
pub async fn start(request: Request) -> Answer {
    no_query(&request)?;
    let (name, key) = (name_of(&request), idempotency_key(&request)?);
    let (content_type, body) = app::typed_body(&request, &["application/json"]).await?;
    let values = values_from(Fields::of_body(&body)?)?;
    let idempotency = key.map(|key| {
        let path = request.url().path();
        idempotency_of(key, &request, &format!("{content_type} {path}"), &body)
    });
    let started = request.state().store.start_job(name.clone(), values, idempotency, by(&request)?).await?;
    let id = started.run.id;
    let mut response = shown(&request, &started.run)?;
    response.set_status(if started.became == Became::New { StatusCode::Created } else { StatusCode::Ok });
    response.insert_header("location", format!("/v1/runs/{id}"));
    Ok(if started.became == Became::New {
        did(response, format_args!("job {name} was started as run {id}"))
    } else {
        response
    })
}

/// `GET /v1/jobs/:name/firings`
pub async fn firings(request: Request) -> Answer {
    let name = name_of(&request);
    let mut query = query(&request);
    let limit = query.integer("limit", 1, LIST_MAX).unwrap_or(LIST_DEFAULT) as usize;
    let time = "must be a time like 2026-11-23T06:32:01Z";
    let before = query.text("before", |text| UnixMs::parse(text).map(drop).ok_or_else(|| time.to_owned()));
    query.finish()?;
    let before = before.as_deref().and_then(UnixMs::parse).unwrap_or(UnixMs(i64::MAX));
    let firings = request.state().store.firings(name.clone(), before, limit).await?;
    let last = firings.last().filter(|_| firings.len() == limit);
    let next = last.map(|firing| format!("/v1/jobs/{name}/firings?limit={limit}&before={}", firing.scheduled_for));
    let bodies: Vec<FiringBody> = firings.iter().map(FiringBody::from).collect();
    app::json(StatusCode::Ok, &json!({ "firings": bodies, "next": next }))
}

/// `POST /v1/jobs/preview`
pub async fn preview(request: Request) -> Answer {
    no_query(&request)?;
    let mut fields = json_body(&request).await?;
    let now = UnixMs::now();
    let from = fields.time("from").unwrap_or(now);
    let count = fields.integer("count", 1, PREVIEW_MAX).unwrap_or(10);
    let every_from = fields.time("every_from").unwrap_or(from);
    let is_given = fields.gives("schedule");
    let (expressions, zone) = schedule_from(&mut fields, from);
    if expressions.is_empty() && (!is_given || fields.is_right()) {
        fields.wrong("schedule", "required", "is needed: an expression of cron, or a list of them");
    }
    fields.finish()?;
    let zone = Zone::named(zone.as_deref().unwrap_or("UTC")).map_err(|why| wrong("zone", &why))?;
    let schedule = Schedule::parse(&expressions, zone, every_from).map_err(|why| wrong("schedule", &why))?;
    let mut dues = Vec::new();
    let mut at = from;
    while let Some(due) = (dues.len() < count as usize).then(|| schedule.next(at)).flatten() {
        at = due.at;
        dues.push(due_body(schedule.zone(), &due));
    }
    app::json(StatusCode::Ok, &json!({ "zone": schedule.zone().name(), "firings": dues }))
}

fn wrong(field: &str, why: &dyn std::fmt::Display) -> Problem {
    Problem::violations(vec![Violation::new(field, "value", why.to_string())])
}

fn due_body(zone: &Zone, due: &Due) -> DueBody {
    DueBody {
        at: due.at.to_string(),
        local: zone.show(due.at),
        change: due.shift.as_ref().map(|shift| shift.as_str().to_owned()),
        why: due.shift.as_ref().map(|shift| shift.why()),
    }
}
