//! What clients say of jobs.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::fields::Fields;
use super::incoming::{queue_name, spec_from};
use crate::clock::UnixMs;
use crate::http::error::Problem;
use crate::job::{AfterEnd, AfterJob, CHOICES_MAX, CatchUp, JobSpec, Overlap, PARAMS_MAX, Param, TEXT_CHARS_MAX};
use crate::run::Spec;
use crate::schedule::{EXPRESSIONS_MAX, Schedule, Zone};

/// Seconds by which jitter may delay a run: a day.
const JITTER_MAX_S: i64 = 86_400;
/// The longest deadline, in seconds: ten years.
const DEADLINE_MAX_S: i64 = 315_360_000;
const PARAM_TYPES: [&str; 4] = ["choice", "integer", "text", "boolean"];

/// Whether a text may name a job.
pub fn job_name(text: &str) -> Result<(), String> {
    queue_name(text)
}

/// What a PUT says that a job is.
///
/// # Errors
/// All that is wrong with it at once.
pub fn job_from(mut fields: Fields, now: UnixMs) -> Result<JobSpec, Problem> {
    let run = run_from(&mut fields, now);
    let (schedule, zone) = schedule_from(&mut fields, now);
    let starts_itself = !schedule.is_empty() || fields.gives("after_job");
    let params = params_from(&mut fields, starts_itself);
    let after_job = after_job_from(&mut fields);
    let enabled = fields.boolean("enabled").unwrap_or(true);
    let catch_up = fields.word("catch_up", CatchUp::ALL, CatchUp::as_str).unwrap_or(CatchUp::Latest);
    let overlap = fields.word("overlap", Overlap::ALL, Overlap::as_str).unwrap_or(Overlap::One);
    let jitter_s = fields.integer("jitter_s", 0, JITTER_MAX_S).unwrap_or(0);
    let start_deadline_s = fields.integer("start_deadline_s", 1, DEADLINE_MAX_S);
    // What a GET shows besides; a job that was read can be put back.
    for read_only in ["name", "next_at", "last", "broken", "version", "created_at", "changed_at"] {
        fields.take(read_only);
    }
    fields.finish()?;
    Ok(JobSpec {
        run: run.unwrap_or_else(|| Spec::plain("")),
        schedule,
        zone,
        enabled,
        catch_up,
        overlap,
        jitter_s,
        start_deadline_s,
        params,
        after_job,
    })
}

fn run_from(fields: &mut Fields, now: UnixMs) -> Option<Spec> {
    let given = match fields.take("run") {
        Some(Value::Object(given)) => given,
        Some(_) => {
            fields.wrong("run", "type", "must be an object: what a submit says");
            return None;
        }
        None => {
            fields.wrong("run", "required", "is needed: what a submit says, like {\"script\":\"true\"}");
            return None;
        }
    };
    let mut run = Fields::of(given, "run.");
    for timed in ["delay_s", "not_before", "start_before"] {
        if run.take(timed).is_some() {
            run.wrong(
                timed,
                "unsupported",
                "is for a run of its own; a job has its schedule, jitter_s and start_deadline_s",
            );
        }
    }
    match spec_from(run, now) {
        Ok(spec) => Some(spec),
        Err(problem) => {
            let told = problem.details["violations"].as_array().cloned().unwrap_or_default();
            fields.also_wrong(told.into_iter().filter_map(|told| serde_json::from_value(told).ok()).collect());
            None
        }
    }
}

/// Expressions and their zone, read once to see that they are right and can be due at all.
pub fn schedule_from(fields: &mut Fields, now: UnixMs) -> (Vec<String>, Option<String>) {
    let expressions = match fields.take("schedule") {
        None => Vec::new(),
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) if several.len() <= EXPRESSIONS_MAX => {
            let texts: Vec<String> = several.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            if texts.len() < several.len() {
                fields.wrong("schedule", "type", "must be a string, or an array of strings");
            }
            texts
        }
        Some(_) => {
            fields.wrong("schedule", "type", format!("must be a string, or an array of at most {EXPRESSIONS_MAX}"));
            Vec::new()
        }
    };
    let named = fields.text("zone", |_| Ok(()));
    if expressions.is_empty() && named.is_none() {
        return (expressions, None);
    }
    let zone = match named.as_deref().map_or_else(Zone::of_system, Zone::named) {
        Ok(zone) => zone,
        Err(why) => {
            fields.wrong("zone", "unknown_zone", why.to_string());
            Zone::utc()
        }
    };
    let is_list = expressions.len() > 1;
    let field = |index: usize| if is_list { format!("schedule[{index}]") } else { "schedule".to_owned() };
    match Schedule::parse(&expressions, zone.clone(), now) {
        Ok(schedule) => {
            if let Some(index) = schedule.never(now) {
                fields.wrong(&field(index), "never", "can never be due: there is no such day");
            }
        }
        Err(wrong) => fields.wrong(&field(wrong.index), "value", wrong.to_string()),
    }
    (expressions, Some(zone.name().to_owned()))
}

fn params_from(fields: &mut Fields, starts_itself: bool) -> BTreeMap<String, Param> {
    let mut params = BTreeMap::new();
    let given = match fields.take("params") {
        None => return params,
        Some(Value::Object(given)) if given.len() <= PARAMS_MAX => given,
        Some(_) => {
            fields.wrong("params", "type", format!("must be an object of at most {PARAMS_MAX} parameters"));
            return params;
        }
    };
    for (name, value) in given {
        let field = format!("params.{name}");
        if !is_param_name(&name) {
            fields.wrong(&field, "value", "a name must be 1 to 32 of a-z, 0-9 and _, and begin with a letter");
            continue;
        }
        let Some(param) = param_from(fields, &field, value) else { continue };
        if let Err(why) = param.check() {
            fields.wrong(&field, "value", why);
        } else if starts_itself && param.default_value().is_none() {
            fields.wrong(&field, "required", "needs a default: the job starts by itself, with nobody there to say it");
        }
        params.insert(name, param);
    }
    params
}

/// One parameter, which stands at `field`.
fn param_from(fields: &mut Fields, field: &str, value: Value) -> Option<Param> {
    let Value::Object(given) = value else {
        fields.wrong(field, "type", "must be an object like {\"type\":\"choice\",\"of\":[\"a\",\"b\"]}");
        return None;
    };
    let mut inner = fields.object_of(field, given);
    if !inner.gives("type") {
        inner.wrong("type", "required", format!("must be one of {}", PARAM_TYPES.join(", ")));
    }
    let any = |_: &str| Ok(());
    let param = match inner.word("type", &PARAM_TYPES, |word| word) {
        Some("choice") => {
            if !inner.gives("of") {
                inner.wrong("of", "required", "is needed: the texts to choose from");
            }
            let of = inner.texts("of", CHOICES_MAX, any).unwrap_or_default();
            Some(Param::Choice { of, default: inner.text("default", any) })
        }
        Some("integer") => Some(Param::Integer {
            min: inner.integer("min", i64::MIN, i64::MAX),
            max: inner.integer("max", i64::MIN, i64::MAX),
            default: inner.integer("default", i64::MIN, i64::MAX),
        }),
        Some("text") => {
            Some(Param::Text { max: inner.integer("max", 1, TEXT_CHARS_MAX), default: inner.text("default", any) })
        }
        Some("boolean") => Some(Param::Boolean { default: inner.boolean("default") }),
        _ => {
            // Which fields it has depends on its type.
            inner.given.clear();
            None
        }
    };
    let wrong_before = fields.violations.len();
    fields.take_back(inner);
    param.filter(|_| fields.violations.len() == wrong_before)
}

fn is_param_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() <= 32 && name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase()) && name.bytes().all(allowed)
}

fn after_job_from(fields: &mut Fields) -> Option<AfterJob> {
    match fields.take("after_job")? {
        Value::String(job) => Some(AfterJob { job, when: AfterEnd::Succeeded }),
        Value::Object(given) => {
            let mut inner = Fields::of(given, "after_job.");
            let job = inner.text("job", job_name);
            let when = inner.word("when", AfterEnd::ALL, AfterEnd::as_str).unwrap_or(AfterEnd::Succeeded);
            if job.is_none() && inner.is_right() {
                inner.wrong("job", "required", "is needed: the name of a job");
            }
            inner.refuse_unknown();
            fields.also_wrong(std::mem::take(&mut inner.violations));
            job.map(|job| AfterJob { job, when })
        }
        _ => {
            fields.wrong("after_job", "type", "must be the name of a job, or {\"job\":NAME,\"when\":\"ended\"}");
            None
        }
    }
}

/// The values of parameters in the body of a start.
///
/// # Errors
/// All that is wrong with it at once; the values themselves are the job's to check.
pub fn values_from(mut fields: Fields) -> Result<Map<String, Value>, Problem> {
    let values = match fields.take("params") {
        None => Map::new(),
        Some(Value::Object(values)) => values,
        Some(_) => {
            fields.wrong("params", "type", "must be an object");
            Map::new()
        }
    };
    fields.finish()?;
    Ok(values)
}
