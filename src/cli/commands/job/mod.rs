//! `job`: lists, makes, changes, starts and deletes jobs.

mod apply;
mod crontab;
mod list;

use hyper::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::list::{all_jobs, path_of};
use super::add::submit_from;
use super::context::{Context, one_value};
use super::named::{enable, rm};
use crate::cli::args::{JobCommand, SetOptions};
use crate::cli::print::{self, Colour, Paint, Table};
use crate::cli::view::{RunView, read};
use crate::client::connection::Ask;
use crate::client::failure::Failure;
use crate::client::random_key;
use crate::text::printable;
use crate::wire::{DueBody, FiringBody, JobBody};

/// Does what the words say.
pub async fn job(context: &Context, command: JobCommand) -> Result<u8, Failure> {
    match command {
        JobCommand::Ls => ls(context).await,
        JobCommand::Show { name } => show(context, &name).await,
        JobCommand::Set(options) => set(context, *options).await,
        JobCommand::Rm { names } => rm(context, "job", path_of, &names).await,
        JobCommand::Enable { name } => enable(context, "job", path_of, &name, true).await,
        JobCommand::Disable { name } => enable(context, "job", path_of, &name, false).await,
        JobCommand::Run { name, values } => run(context, &name, &values).await,
        JobCommand::Next { name, count } => next(context, &name, count.unwrap_or(5)).await,
        JobCommand::Firings { name, limit } => firings(context, &name, limit.unwrap_or(20)).await,
        JobCommand::Apply { dir, dry_run } => apply::apply(context, &dir, dry_run).await,
        JobCommand::ImportCrontab { file, system } => crontab::import(&file, system),
    }
}

async fn ls(context: &Context) -> Result<u8, Failure> {
    let jobs = all_jobs(context).await?;
    if context.json {
        print::answer_json(&json!(jobs).to_string())?;
        return Ok(0);
    }
    let mut table = Table::new(&["JOB", "STATE", "NEXT", "LAST", "SCHEDULE"]);
    for job in &jobs {
        let (state, colour) = standing(job);
        let last = job.last.as_ref().map_or("-".to_owned(), |last| format!("{} ({})", last.status, last.run));
        table.row([
            (&printable(&job.name), Colour::Plain),
            (state, colour),
            (job.next_at.as_deref().unwrap_or("-"), Colour::Plain),
            (&last, Colour::Plain),
            (&printable(&schedule(job)), Colour::Plain),
        ]);
    }
    print::answer(&table.show(Paint::new()))?;
    Ok(0)
}

fn standing(job: &JobBody<'_>) -> (&'static str, Colour) {
    match (job.enabled, &job.broken) {
        (_, Some(_)) => ("broken", Colour::Red),
        (true, None) => ("enabled", Colour::Plain),
        (false, None) => ("disabled", Colour::Yellow),
    }
}

fn schedule(job: &JobBody<'_>) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let expressions = match &job.schedule {
        Value::Array(several) => several.iter().map(text).collect::<Vec<_>>().join(" | "),
        one => text(one),
    };
    match (&job.zone, expressions.is_empty(), &job.after_job) {
        (Some(zone), false, _) => format!("{expressions} ({zone})"),
        (_, true, Some(after)) => format!("after {} has {}", after.job, after.when),
        _ => "-".to_owned(),
    }
}

async fn show(context: &Context, name: &str) -> Result<u8, Failure> {
    let body = context.daemon.ask(&Ask::get(path_of(name))).await?;
    if context.json {
        print::answer_json(one_value(&body)?)?;
        return Ok(0);
    }
    let job: JobBody = read(&body)?;
    let (state, _) = standing(&job);
    let mut lines = vec![
        format!("{:<14}{}", "job", job.name),
        format!("{:<14}{state}", "state"),
        format!("{:<14}{}", "schedule", schedule(&job)),
        format!("{:<14}{}", "next", job.next_at.as_deref().unwrap_or("-")),
    ];
    let mut more = |name: &str, value: Option<String>| {
        lines.extend(value.map(|value| format!("{name:<14}{value}")));
    };
    more("broken", job.broken.clone());
    more("last", job.last.as_ref().map(|last| format!("run {}: {}", last.run, last.status)));
    more("catch up", Some(job.catch_up.to_string()));
    more("overlap", Some(job.overlap.to_string()));
    more("jitter", Some(format!("{} s", job.jitter_s)).filter(|_| job.jitter_s > 0));
    more("deadline", job.start_deadline_s.map(|seconds| format!("{seconds} s")));
    for (name, param) in job.params.iter() {
        more("param", Some(format!("{name} {}", json!(param))));
    }
    more("run", Some(job.run.to_string()));
    let lines: Vec<String> = lines.iter().map(|line| printable(line).into_owned()).collect();
    print::answer(&lines.join("\n"))?;
    Ok(0)
}

async fn set(context: &Context, options: SetOptions) -> Result<u8, Failure> {
    let mut params = Map::new();
    for param in &options.param {
        let described = param.split_once('=').and_then(|(name, text)| Some((name, serde_json::from_str(text).ok()?)));
        let (name, value) = described.ok_or_else(|| {
            let param = printable(param);
            let like = r#"--param 'level={"type":"integer","default":5}'"#;
            Failure::Usage(format!("--param {param}: a parameter is described in JSON, as by {like}"))
        })?;
        params.insert(name.to_owned(), value);
    }
    let after_job = options.after_job.as_deref().map(|after| match after.split_once(':') {
        Some((job, when)) => json!({"job": job, "when": when}),
        None => json!(after),
    });
    if options.submit.request_key().is_some() || options.submit.delay.is_some() {
        return Err(Failure::Usage(
            "--key and --delay are for a run of its own; a job has --schedule and --jitter".into(),
        ));
    }
    let mut job = json!({
        "schedule": options.schedule, "zone": options.zone, "enabled": !options.disabled, "catch_up": options.catch_up,
        "overlap": options.overlap, "jitter_s": options.jitter, "start_deadline_s": options.start_deadline,
        "params": params, "after_job": after_job,
    });
    job["run"] = json!(submit_from(options.submit, context).await?);
    let body = context.daemon.ask(&Ask::new(Method::PUT, path_of(&options.job)).with(&job)).await?;
    if context.json {
        print::answer_json(one_value(&body)?)?;
    } else {
        let job: JobBody = read(&body)?;
        let next = job.next_at.map_or(String::new(), |next| format!(", next at {next}"));
        print::note(&format!("job {}: set{next}", printable(&job.name)));
    }
    Ok(0)
}

async fn run(context: &Context, name: &str, values: &[String]) -> Result<u8, Failure> {
    let job: JobBody = read(&context.daemon.ask(&Ask::get(path_of(name))).await?)?;
    let mut params = Map::new();
    for value in values {
        let (key, text) = value
            .split_once('=')
            .ok_or_else(|| Failure::Usage(format!("{}: it must be NAME=VALUE", printable(value))))?;
        // A shell has texts alone; what the job asks for says what they are.
        let typed = match job.params.get(key) {
            Some(crate::job::Param::Integer { .. } | crate::job::Param::Boolean { .. }) => {
                serde_json::from_str(text).unwrap_or_else(|_| text.into())
            }
            _ => Value::from(text),
        };
        params.insert(key.to_owned(), typed);
    }
    let ask = Ask::new(Method::POST, format!("{}/runs", path_of(name))).with(&json!({ "params": params }));
    let body = context.daemon.ask(&Ask { key: Some(random_key("cli")?), ..ask }).await?;
    if context.json {
        print::answer_json(one_value(&body)?)?;
    } else {
        print::answer(&read::<RunView>(&body)?.id.to_string())?;
    }
    Ok(0)
}

#[derive(Deserialize)]
struct Preview {
    firings: Vec<DueBody>,
}

async fn next(context: &Context, name: &str, count: i64) -> Result<u8, Failure> {
    let job: JobBody = read(&context.daemon.ask(&Ask::get(path_of(name))).await?)?;
    if job.schedule.is_null() {
        print::note(&format!("job {} has no schedule", printable(name)));
        return Ok(0);
    }
    if !job.enabled {
        print::note(&format!("job {} is disabled", printable(name)));
    }
    let wish = json!({"schedule": job.schedule, "zone": job.zone, "count": count, "every_from": job.created_at});
    let body = context.daemon.ask(&Ask::new(Method::POST, "/v1/jobs/preview").with(&wish)).await?;
    if context.json {
        let preview: Value = read(&body)?;
        print::answer_json(&preview["firings"].to_string())?;
        return Ok(0);
    }
    let firings = read::<Preview>(&body)?.firings;
    let line = |due: &DueBody| match &due.why {
        Some(why) => format!("{}  {why}", due.local),
        None => due.local.clone(),
    };
    print::answer(&firings.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    Ok(0)
}

#[derive(Deserialize)]
struct Firings {
    firings: Vec<FiringBody>,
}

async fn firings(context: &Context, name: &str, limit: i64) -> Result<u8, Failure> {
    let body = context.daemon.ask(&Ask::get(format!("{}/firings?limit={limit}", path_of(name)))).await?;
    if context.json {
        let listed: Value = read(&body)?;
        print::answer_json(&listed["firings"].to_string())?;
        return Ok(0);
    }
    let mut table = Table::new(&["SCHEDULED FOR", ">RUN", "SKIPPED", ">TIMES", "BEHIND"]);
    for firing in read::<Firings>(&body)?.firings {
        let number = |run: Option<crate::numbers::RunId>| run.map_or("-".to_owned(), |run| run.to_string());
        let skipped = firing.skipped.as_ref().map_or("-".to_owned(), ToString::to_string);
        let colour = if firing.skipped.is_some() { Colour::Yellow } else { Colour::Plain };
        table.row([
            (&firing.scheduled_for, Colour::Plain),
            (&number(firing.run), Colour::Plain),
            (&skipped, colour),
            (&firing.count.to_string(), Colour::Plain),
            (&number(firing.behind), Colour::Plain),
        ]);
    }
    print::answer(&table.show(Paint::new()))?;
    Ok(0)
}
