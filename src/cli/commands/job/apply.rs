//! `job apply`: makes the daemon's jobs those of a directory's files, and says what that changes.
//!
//! A file is only read; what is put there by hand, comments included, stays as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hyper::Method;
use serde_json::{Map, Value, json};

use super::list::{all_jobs, path_of};
use crate::cli::commands::context::Context;
use crate::cli::print::{self, Colour, Paint};
use crate::client::connection::{Ask, OnlyIf};
use crate::client::failure::Failure;
use crate::text::{printable, printable_lines};
use crate::wire::JobBody;

/// Bytes of a file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Something that makes the daemon's jobs those of the files.
struct Step<'a> {
    name: String,
    what: &'static str,
    /// What the job is to be; `None` where it is deleted.
    file: Option<&'a Value>,
    /// What it has to be for that: what it was when it was compared.
    only_if: OnlyIf,
}

/// Does it, or only says what it would do.
pub async fn apply(context: &Context, dir: &Path, dry_run: bool) -> Result<u8, Failure> {
    // All files before anything is done to the first job.
    let files = files_of(dir)?;
    let jobs: BTreeMap<String, JobBody<'static>> =
        all_jobs(context).await?.into_iter().map(|job| (job.name.to_string(), job)).collect();
    let steps = steps(&files, &jobs);
    for (nth, step) in steps.iter().enumerate() {
        if !dry_run {
            step.take(context).await.map_err(|failure| told(failure, step, &steps[nth + 1..]))?;
        }
        if !context.json {
            let (mark, colour) = match step.what {
                "make" => ("+", Colour::Green),
                "change" => ("~", Colour::Yellow),
                _ => ("-", Colour::Red),
            };
            print::answer(&Paint::new().paint(&format!("{mark} {}", printable(&step.name)), colour))?;
        }
    }
    if context.json {
        let told: Vec<Value> = steps.iter().map(|step| json!({"job": step.name, "what": step.what})).collect();
        print::answer_json(&json!(told).to_string())?;
    } else if steps.is_empty() {
        print::note(&format!("nothing to change: the daemon has the {} jobs of {}", files.len(), dir.display()));
    }
    Ok(0)
}

fn steps<'a>(files: &'a BTreeMap<String, Value>, jobs: &BTreeMap<String, JobBody<'static>>) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    for name in in_order(files) {
        let file = &files[name];
        let (what, only_if) = match jobs.get(name) {
            None => ("make", OnlyIf::IsAbsent),
            Some(job) if differ(file, &json!(job)) => ("change", OnlyIf::Is(job.version)),
            Some(_) => continue,
        };
        steps.push(Step { name: name.clone(), what, file: Some(file), only_if });
    }
    let gone = jobs.iter().filter(|(name, _)| !files.contains_key(*name));
    let gone: BTreeMap<String, Value> = gone.map(|(name, job)| (name.clone(), json!(job))).collect();
    // Those that follow others go before them.
    steps.extend(in_order(&gone).into_iter().rev().map(|name| Step {
        name: name.clone(),
        what: "delete",
        file: None,
        only_if: OnlyIf::Is(jobs[name].version),
    }));
    steps
}

impl Step<'_> {
    async fn take(&self, context: &Context) -> Result<(), Failure> {
        let ask = match self.file {
            Some(file) => Ask::new(Method::PUT, path_of(&self.name)).with(file),
            None => Ask::new(Method::DELETE, path_of(&self.name)),
        };
        context.daemon.ask(&Ask { only_if: Some(self.only_if), ..ask }).await.map(drop)
    }
}

/// What the daemon said, and what is left undone because of it.
fn told(failure: Failure, step: &Step<'_>, left: &[Step<'_>]) -> Failure {
    let Failure::Refused(mut problem) = failure else { return failure };
    let name = printable(&step.name);
    let why = match problem.status {
        412 => format!("job {name} was changed by somebody else meanwhile, and is left as they made it"),
        404 => format!("job {name} was deleted by somebody else meanwhile"),
        // They follow, each on its line.
        _ if problem.violations().len() > 1 => format!("job {name}: {} things are wrong", problem.violations().len()),
        _ => format!("job {name}: {}", problem.detail),
    };
    let left: Vec<_> = left.iter().map(|step| printable(&step.name)).collect();
    let left = match left.as_slice() {
        [] => String::new(),
        left => format!("; not done yet: {}", left.join(", ")),
    };
    problem.detail = format!("{why}{left}; once that is settled, apply again does the rest").into();
    Failure::Refused(problem)
}

/// What each file says, by the name of its job.
fn files_of(dir: &Path) -> Result<BTreeMap<String, Value>, Failure> {
    let shown = dir.display();
    let wrong = |why: String| Failure::Usage(format!("{shown}: {}", printable_lines(&why)));
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir).map_err(|error| wrong(error.to_string()))? {
        let path = entry.map_err(|error| wrong(error.to_string()))?.path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        let text = read_file(&path).map_err(|why| wrong(format!("{}.toml: {why}", printable(&name))))?;
        let table: toml::Table = text.parse().map_err(|error| wrong(format!("{}.toml: {error}", printable(&name))))?;
        files.insert(name, serde_json::to_value(table).unwrap_or_default());
    }
    Ok(files)
}

fn read_file(path: &Path) -> Result<String, String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > FILE_BYTES_MAX {
        return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

/// The job that one follows.
fn followed(job: &Value) -> Option<&str> {
    let after = job.get("after_job")?;
    after.as_str().or_else(|| after.get("job").and_then(Value::as_str))
}

/// The names so that a job comes behind the one that it follows. A circle comes last, for the daemon to refuse.
fn in_order(jobs: &BTreeMap<String, Value>) -> Vec<&String> {
    let (mut ordered, mut known) = (Vec::new(), BTreeSet::new());
    while ordered.len() < jobs.len() {
        let before = ordered.len();
        for (name, job) in jobs {
            let is_ready =
                followed(job).is_none_or(|followed| known.contains(followed) || !jobs.contains_key(followed));
            if is_ready && known.insert(name.as_str()) {
                ordered.push(name);
            }
        }
        if ordered.len() == before {
            ordered.extend(jobs.keys().filter(|name| !known.contains(name.as_str())));
            break;
        }
    }
    ordered
}

/// Whether a file says something else than the daemon has. What it leaves out is what the daemon takes then.
fn differ(file: &Value, job: &Value) -> bool {
    let mut said = json!({
        "schedule": null, "enabled": true, "catch_up": "latest", "overlap": "one", "jitter_s": 0,
        "start_deadline_s": null, "params": {}, "after_job": null,
    });
    let mut run = json!({"queue": "default", "priority": 0, "on_interrupt": "fail"});
    for (key, value) in file.as_object().into_iter().flatten() {
        match key.as_str() {
            "run" => run
                .as_object_mut()
                .into_iter()
                .for_each(|run| run.extend(value.as_object().cloned().unwrap_or_default())),
            _ => said[key] = value.clone(),
        }
    }
    said["run"] = run;
    if let Some(after) = said["after_job"].as_str() {
        said["after_job"] = json!({"job": after, "when": "succeeded"});
    }
    if said["after_job"].is_object() && said["after_job"]["when"].is_null() {
        said["after_job"]["when"] = json!("succeeded");
    }
    if let Some([one]) = said["schedule"].as_array().map(Vec::as_slice) {
        said["schedule"] = one.clone();
    }
    let differs = |key: &String, value: &Value| whole(value) != whole(job.get(key).unwrap_or(&Value::Null));
    said.as_object().is_none_or(|said| said.iter().any(|(key, value)| differs(key, value)))
}

/// A value without what says nothing: nulls, and what is empty or false by itself.
fn whole(value: &Value) -> Value {
    let says = |value: &Value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    };
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (key.clone(), whole(value)));
            Value::Object(
                fields.filter(|(key, value)| says(value) && !(key == "keep" && value == false)).collect::<Map<_, _>>(),
            )
        }
        other if says(other) => other.clone(),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_says_what_the_daemon_has_changes_nothing() {
        let job = json!({
            "name": "a", "run": {"script": "true", "queue": "default", "priority": 0, "on_interrupt": "fail"},
            "schedule": "@daily", "zone": "Europe/Berlin", "enabled": true, "catch_up": "latest", "overlap": "one",
            "jitter_s": 0, "start_deadline_s": null, "params": {}, "after_job": {"job": "b", "when": "succeeded"},
        });
        let file = |more: Value| {
            let mut file = json!({"run": {"script": "true"}, "schedule": ["@daily"], "after_job": "b"});
            file.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
            differ(&file, &job)
        };
        assert!(!file(json!({})) && !file(json!({"zone": "Europe/Berlin"})));
        assert!(
            file(json!({"zone": "UTC"}))
                && file(json!({"enabled": false}))
                && file(json!({"after_job": {"job": "b", "when": "ended"}}))
        );
        assert!(file(json!({"run": {"script": "true", "timeout_s": 5}})), "{job}");
    }

    #[test]
    fn what_follows_comes_behind_what_it_follows() {
        let jobs = BTreeMap::from([
            ("a".to_owned(), json!({"after_job": "c"})),
            ("b".to_owned(), json!({})),
            ("c".to_owned(), json!({"after_job": {"job": "b"}})),
        ]);
        assert_eq!(in_order(&jobs), ["b", "c", "a"]);
    }
}
