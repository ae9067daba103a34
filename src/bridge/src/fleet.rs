//! What people ask of all boxes at once, answered by the hub: which are there, what they run, what happened to a run; and
//! work for any of them. A run is named BOX/RUN, BOX by its instance or by its name.
//!
//! Events keep the numbers that their box has given them, so that a reader goes on at the hub where he stopped at the box, and
//! back.

mod events;
mod read;
mod send;

use async_nats::jetstream::kv::Store;
use async_nats::jetstream::{self, Context};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::args::{Fleet, FleetCommand};
use crate::hub::{BOXES, Hub};
use crate::told::{Refusal, say};

/// Does what was asked.
///
/// # Errors
/// The hub says no, or is not there.
pub async fn ask(options: &Fleet) -> Result<(), Refusal> {
    let hub = Hub::connect(&options.hub, "fleet").await?;
    let context = jetstream::new(hub.client.clone());
    match &options.command {
        FleetCommand::Boxes { json } => boxes_listed(&context, *json).await,
        FleetCommand::Ls(list) => read::list(&context, list).await,
        FleetCommand::Show { run } => read::show(&context, run).await,
        FleetCommand::Logs(logs) => read::logs(&context, logs).await,
        FleetCommand::Add(add) => send::add(&context, add).await,
        FleetCommand::Cancel { id, at } => send::cancel(&hub, &context, id, at.as_deref()).await,
    }
}

/// A box that said that it is there.
pub struct Box {
    /// Its database.
    pub instance: String,
    /// What it said.
    pub told: Value,
}

/// All that are there.
pub async fn boxes(context: &Context) -> Result<Vec<Box>, Refusal> {
    let refusal = |error: &dyn std::fmt::Display| Refusal::No(format!("{BOXES}: {error}"));
    let bucket: Store = context.get_key_value(BOXES).await.map_err(|error| refusal(&error))?;
    let mut keys = bucket.keys().await.map_err(|error| refusal(&error))?;
    let mut boxes = Vec::new();
    while let Some(key) = keys.next().await {
        let instance = key.map_err(|error| refusal(&error))?;
        let entry = bucket.get(instance.clone()).await.map_err(|error| refusal(&error))?;
        let told = entry.and_then(|entry| serde_json::from_slice(&entry).ok());
        boxes.extend(told.map(|told| Box { instance, told }));
    }
    boxes.sort_by_key(|one| one.told["name"].to_string());
    Ok(boxes)
}

/// The instance of a box that is named by it or by its name. One that is away is known by its instance alone.
pub async fn instance_of(context: &Context, named: &str) -> Result<String, Refusal> {
    let boxes = boxes(context).await?;
    let mut fit = boxes.iter().filter(|one| one.instance == named || one.told["name"] == named);
    match (fit.next(), fit.next()) {
        (Some(one), None) => Ok(one.instance.clone()),
        (Some(_), Some(_)) => {
            Err(Refusal::Usage(format!("several boxes are called {named}: name one by its instance")))
        }
        (None, _) if is_instance(named) => Ok(named.to_owned()),
        (None, _) => Err(Refusal::No(format!("no box {named} is there; one that is away is named by its instance"))),
    }
}

fn is_instance(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

async fn boxes_listed(context: &Context, as_json: bool) -> Result<(), Refusal> {
    let boxes = boxes(context).await?;
    if as_json {
        let all: Vec<Value> = boxes
            .iter()
            .map(|one| {
                let mut told = json!({ "instance": one.instance });
                let fields = told.as_object_mut().into_iter().zip(one.told.as_object());
                for (into, from) in fields {
                    into.extend(from.clone());
                }
                told
            })
            .collect();
        return print(&Value::Array(all).to_string());
    }
    if boxes.is_empty() {
        say("no box is there");
    }
    for one in &boxes {
        let text = |name: &str| printable(one.told[name].as_str().unwrap_or("-"));
        let tags: Vec<&str> = one.told["tags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let tags = printable(&tags.join(","));
        let (queued, running) = (&one.told["queued"], &one.told["running"]);
        let (name, site, at) = (text("name"), text("site"), text("at"));
        print(&format!("{} {name:<16} {site:<10} {queued:>3} queued {running:>3} running  {at} {tags}", one.instance))?;
    }
    Ok(())
}

/// A line on standard output. Who has stopped reading it ends the program without a word.
pub fn print(line: &str) -> Result<(), Refusal> {
    use std::io::Write as _;
    let written = writeln!(std::io::stdout().lock(), "{line}");
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => other.map_err(|error| Refusal::No(format!("standard output: {error}"))),
    }
}

/// What others wrote, without what a terminal would obey.
pub fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}
