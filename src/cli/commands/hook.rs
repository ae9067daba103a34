//! `hook`: lists, makes, changes, tests and deletes hooks, and lists and repeats their deliveries.
//!
//! A secret never is an argument, which everybody on the machine can read, and is printed by the command that had it made.

use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::context::{Context, one_value};
use super::named::{enable, rm};
use crate::cli::args::{HookCommand, HookSetOptions};
use crate::cli::print::{self, Colour, Paint, Table};
use crate::cli::view::read;
use crate::client::connection::{Ask, encoded};
use crate::client::failure::Failure;
use crate::hook::DeliveryStatus;
use crate::text::printable;
use crate::wire::{DeliveryBody, HookBody};

/// More than a secret or a target has.
const TEXT_BYTES_MAX: u64 = 16 << 10;
/// How long a test waits for its target's answer.
const TEST_S: u64 = 15;
/// How often it looks for that.
const LOOK_MS: u64 = 100;

/// Does what the words say.
pub async fn hook(context: &Context, command: HookCommand) -> Result<u8, Failure> {
    match command {
        HookCommand::Ls => ls(context).await,
        HookCommand::Show { name } => show(context, &name).await,
        HookCommand::Set(options) => set(context, *options).await,
        HookCommand::Rm { names } => rm(context, "hook", path_of, &names).await,
        HookCommand::Enable { name } => enable(context, "hook", path_of, &name, true).await,
        HookCommand::Disable { name } => enable(context, "hook", path_of, &name, false).await,
        HookCommand::Deliveries { name, status, limit } => deliveries(context, &name, status, limit).await,
        HookCommand::Redeliver { name, id } => redeliver(context, &name, id).await,
        HookCommand::Test { name } => test(context, &name).await,
    }
}

fn path_of(name: &str) -> String {
    format!("/v1/hooks/{}", encoded(name))
}

#[derive(Deserialize)]
struct Hooks {
    hooks: Vec<HookBody<'static>>,
}

async fn ls(context: &Context) -> Result<u8, Failure> {
    let body = context.daemon.ask(&Ask::get("/v1/hooks")).await?;
    if context.json {
        let listed: Value = read(&body)?;
        print::answer_json(&listed["hooks"].to_string())?;
        return Ok(0);
    }
    let mut table = Table::new(&["HOOK", "STATE", "BODY", ">PENDING", ">DEAD", "TARGET", "TELLS OF"]);
    for hook in read::<Hooks>(&body)?.hooks {
        let (state, colour) = standing(&hook);
        table.row([
            (&hook.name, Colour::Plain),
            (state, colour),
            (&hook.body.to_string(), Colour::Plain),
            (&hook.pending.to_string(), Colour::Plain),
            (&hook.dead.to_string(), Colour::Plain),
            (site(&hook.url), Colour::Plain),
            (&tells_of(&hook), Colour::Plain),
        ]);
    }
    print::answer(&table.show(Paint::new()))?;
    Ok(0)
}

fn standing(hook: &HookBody<'_>) -> (&'static str, Colour) {
    match (hook.enabled, hook.failures > 0) {
        (false, _) if hook.disabled_why.is_some() => ("stopped", Colour::Red),
        (false, _) => ("disabled", Colour::Yellow),
        (true, true) => ("failing", Colour::Red),
        (true, false) => ("enabled", Colour::Plain),
    }
}

/// Scheme and host of a target: the rest of it often is a secret, and a list is looked at by others.
fn site(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find(['/', '?', '#', '\\']).map_or(url.len(), |at| host + at);
    match url[host..end].rfind('@') {
        Some(at) => &url[host + at + 1..end],
        None => &url[..end],
    }
}

fn tells_of(hook: &HookBody<'_>) -> String {
    let on: Vec<String> = hook.on.iter().map(ToString::to_string).collect();
    let mut text = on.join(",");
    for (what, of) in [("job", &hook.job), ("queue", &hook.queue), ("tag", &hook.tag)] {
        if let Some(of) = of {
            text.push_str(&format!(" of {what} {of}"));
        }
    }
    text
}

async fn show(context: &Context, name: &str) -> Result<u8, Failure> {
    let body = context.daemon.ask(&Ask::get(path_of(name))).await?;
    if context.json {
        print::answer_json(one_value(&body)?)?;
        return Ok(0);
    }
    let hook: HookBody = read(&body)?;
    let more = [
        ("hook", Some(hook.name.to_string())),
        ("state", Some(standing(&hook).0.to_owned())),
        ("why", hook.disabled_why.as_ref().map(ToString::to_string)),
        ("target", Some(hook.url.to_string())),
        ("body", Some(hook.body.to_string())),
        ("tells of", Some(tells_of(&hook))),
        ("may be us", hook.allow_self.then(|| "yes".to_owned())),
        ("two secrets", hook.rotating_until.as_ref().map(|until| format!("until {until}"))),
        ("pending", Some(hook.pending.to_string())),
        ("dead", Some(hook.dead.to_string())),
        ("failed", (hook.failures > 0).then(|| format!("{} times", hook.failures))),
        ("error", hook.error.as_ref().map(ToString::to_string)),
        ("next try", hook.next_at.clone()),
        ("made", Some(hook.created_at.clone())),
        ("changed", Some(hook.changed_at.clone())),
    ];
    let lines = more.into_iter().filter_map(|(name, value)| value.map(|value| format!("{name:<14}{value}")));
    let lines: Vec<String> = lines.map(|line| printable(&line).into_owned()).collect();
    print::answer(&lines.join("\n"))?;
    Ok(0)
}

async fn set(context: &Context, options: HookSetOptions) -> Result<u8, Failure> {
    let from_stdin = options.to == "-";
    if from_stdin && options.secret_file.as_deref() == Some(Path::new("-")) {
        return Err(Failure::Usage("standard input is the target already: --secret-file needs a file".to_owned()));
    }
    let url = if from_stdin { text_of(Path::new("-"), "--to")? } else { options.to };
    let secret = options.secret_file.as_deref().map(|file| text_of(file, "--secret-file")).transpose()?;
    let on = (!options.on.is_empty()).then_some(options.on);
    let wish = json!({
        "url": url, "secret": secret, "on": on, "job": options.job, "queue": options.queue, "tag": options.tag,
        "enabled": !options.disabled, "body": options.body, "allow_self": options.allow_self,
    });
    let body = context.daemon.ask(&Ask::new(Method::PUT, path_of(&options.hook)).with(&wish)).await?;
    if context.json {
        print::answer_json(one_value(&body)?)?;
        return Ok(0);
    }
    let hook: HookBody = read(&body)?;
    print::note(&format!("hook {}: set", hook.name));
    if let Some(secret) = &hook.secret {
        print::note("its receiver checks signatures by this secret, which is shown this once:");
        print::answer(&printable(secret))?;
    }
    Ok(0)
}

/// What a file or standard input says, without the line end.
fn text_of(file: &Path, option: &str) -> Result<String, Failure> {
    let wrong = |error: io::Error| Failure::Usage(format!("{option} {}: {error}", printable(&file.to_string_lossy())));
    let mut text = String::new();
    let mut from: Box<dyn Read> = match file == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(std::fs::File::open(file).map_err(wrong)?),
    };
    from.by_ref().take(TEXT_BYTES_MAX).read_to_string(&mut text).map_err(wrong)?;
    match text.trim() {
        "" => Err(Failure::Usage(format!("{option} {}: there is nothing in it", printable(&file.to_string_lossy())))),
        text => Ok(text.to_owned()),
    }
}

#[derive(Deserialize)]
struct Deliveries {
    deliveries: Vec<DeliveryBody>,
}

async fn deliveries(
    context: &Context,
    name: &str,
    status: Option<DeliveryStatus>,
    limit: Option<i64>,
) -> Result<u8, Failure> {
    let status = status.map_or(String::new(), |status| format!("&status={status}"));
    let path = format!("{}/deliveries?limit={}{status}", path_of(name), limit.unwrap_or(50));
    let body = context.daemon.ask(&Ask::get(path)).await?;
    if context.json {
        let listed: Value = read(&body)?;
        print::answer_json(&listed["deliveries"].to_string())?;
    } else {
        print::answer(&table(&read::<Deliveries>(&body)?.deliveries))?;
    }
    Ok(0)
}

fn table(deliveries: &[DeliveryBody]) -> String {
    let mut table = Table::new(&[">ID", ">RUN", "STATUS", ">TRIES", ">ANSWER", "MADE", "NEXT TRY", "ERROR"]);
    for delivery in deliveries {
        let colour = match delivery.status.known() {
            Some(DeliveryStatus::Dead) => Colour::Red,
            Some(DeliveryStatus::Pending) => Colour::Yellow,
            _ => Colour::Plain,
        };
        table.row([
            (&delivery.id.to_string(), Colour::Plain),
            (&delivery.run.map_or("test".to_owned(), |run| run.to_string()), Colour::Plain),
            (&delivery.status.to_string(), colour),
            (&delivery.attempts.to_string(), Colour::Plain),
            (&delivery.response_status.map_or("-".to_owned(), |status| status.to_string()), Colour::Plain),
            (&delivery.created_at, Colour::Plain),
            (delivery.next_at.as_deref().unwrap_or("-"), Colour::Plain),
            (delivery.error.as_deref().unwrap_or("-"), Colour::Plain),
        ]);
    }
    table.show(Paint::new())
}

async fn redeliver(context: &Context, name: &str, id: i64) -> Result<u8, Failure> {
    let path = format!("{}/deliveries/{id}/redeliver", path_of(name));
    let body = context.daemon.ask(&Ask::new(Method::POST, path).with(&json!({}))).await?;
    if context.json {
        print::answer_json(one_value(&body)?)?;
    } else {
        print::note(&format!("delivery {id} of hook {name}: is sent again"));
    }
    Ok(0)
}

/// Sends a test and waits for what its target says: who tests wants to know whether it works.
async fn test(context: &Context, name: &str) -> Result<u8, Failure> {
    let ask = Ask::new(Method::POST, format!("{}/test", path_of(name))).with(&json!({}));
    let mut delivery: DeliveryBody = read(&context.daemon.ask(&ask).await?)?;
    let path = format!("{}/deliveries?limit=1&before={}", path_of(name), delivery.id.saturating_add(1));
    let until = Instant::now() + Duration::from_secs(TEST_S);
    while delivery.error.is_none() && delivery.ended_at.is_none() && Instant::now() < until {
        smol::Timer::after(Duration::from_millis(LOOK_MS)).await;
        let found: Deliveries = read(&context.daemon.ask(&Ask::get(path.as_str())).await?)?;
        match found.deliveries.into_iter().next().filter(|found| found.id == delivery.id) {
            Some(found) => delivery = found,
            None => break,
        }
    }
    if context.json {
        print::answer_json(&json!(delivery).to_string())?;
    } else {
        print::answer(&table(std::slice::from_ref(&delivery)))?;
    }
    if delivery.status.known() == Some(DeliveryStatus::Delivered) {
        return Ok(0);
    }
    if delivery.error.is_none() {
        print::warn(&format!(
            "there is no answer yet; what is before it goes first: runabout hook deliveries {name} --status pending"
        ));
    }
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_shows_nothing_of_a_target_that_may_be_a_secret() {
        for (url, shown) in [
            ("https://hooks.example/T0/B0/xyz", "https://hooks.example"),
            ("http://user:secret@[::1]:8080/a@b", "[::1]:8080"),
            ("https://a.example?token=secret", "https://a.example"),
            ("https://a.example", "https://a.example"),
        ] {
            assert_eq!(site(url), shown);
        }
    }
}
