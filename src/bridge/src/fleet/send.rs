//! `add` and `cancel`.

use std::time::Duration;

use async_nats::header::HeaderMap;
use async_nats::jetstream::Context;
use serde_json::{Value, json};

use super::{boxes, instance_of, print};
use crate::args::Add;
use crate::hub::{Hub, WORK};
use crate::told::{Refusal, say};
use crate::work::is_fleet_id;

/// For a box's answer.
const ANSWER: Duration = Duration::from_secs(3);
/// Messages of waiting work that are looked through for a cancel.
const WAITING_MAX: u64 = 10_000;

/// Sends work, and prints its fleet id.
pub async fn add(context: &Context, add: &Add) -> Result<(), Refusal> {
    let subject = match (&add.at, &add.tag) {
        (Some(named), _) => format!("rb.work.box.{}", instance_of(context, named).await?),
        (None, Some(tag)) => format!("rb.work.tag.{tag}"),
        (None, None) => return Err(Refusal::Usage("--box or --tag says who is to run it".to_owned())),
    };
    let mut body = match (&add.script, add.command.as_slice()) {
        (Some(script), []) => json!({ "script": script }),
        (None, command @ [_, ..]) => json!({ "command": command }),
        _ => return Err(Refusal::Usage("give either -s SCRIPT or -- CMD…".to_owned())),
    };
    for (key, value) in [("name", &add.name), ("queue", &add.queue)] {
        if let Some(value) = value {
            body[key] = json!(value);
        }
    }
    let mut headers = HeaderMap::new();
    let id = match &add.id {
        Some(id) if is_fleet_id(id) => id.clone(),
        Some(id) => return Err(Refusal::Usage(format!("--id {id:?}: 1 to 64 letters, digits or _-.: are wanted"))),
        None => std::iter::repeat_with(fastrand::alphanumeric).take(20).collect(),
    };
    headers.insert("Nats-Msg-Id", &*id);
    if let Some(within_s) = add.within_s {
        let before = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(i64::from(within_s));
        body["start_before"] = json!(before.to_string());
        // The hub forgets it then, so that a box that comes back is not even asked.
        headers.insert("Nats-TTL", &*format!("{within_s}s"));
    }
    let refusal = |error: &dyn std::fmt::Display| Refusal::No(format!("{WORK}: {error}"));
    let sent = context.publish_with_headers(subject, headers, body.to_string().into()).await;
    sent.map_err(|error| refusal(&error))?.await.map_err(|error| refusal(&error))?;
    print(&id)
}

/// Takes work back where it waits, else has the box that runs it cancel it.
pub async fn cancel(hub: &Hub, context: &Context, id: &str, at: Option<&str>) -> Result<(), Refusal> {
    if !is_fleet_id(id) {
        return Err(Refusal::Usage(format!("{id:?} is no fleet id")));
    }
    if taken_back(context, id).await? {
        say(&format!("{id} waited for a box, and does not any more"));
        return Ok(());
    }
    let asked = match at {
        Some(named) => vec![instance_of(context, named).await?],
        None => boxes(context).await?.into_iter().map(|one| one.instance).collect(),
    };
    let body = json!({ "cancel": id }).to_string();
    for instance in &asked {
        let request = hub.client.request(format!("rb.ctl.{instance}.cancel"), body.clone().into());
        if let Ok(Ok(answer)) = tokio::time::timeout(ANSWER, request).await {
            let answer: Value = serde_json::from_slice(&answer.payload).unwrap_or_default();
            if answer["run"].is_i64() {
                return print(&format!("{instance}/{} {}", answer["run"], answer["status"].as_str().unwrap_or("-")));
            }
        }
    }
    let (Some(_), [instance]) = (at, asked.as_slice()) else {
        return Err(Refusal::No(format!("no box that is there has {id}; --box names one that is away")));
    };
    let sent = context.publish(format!("rb.work.ctl.{instance}"), body.into()).await;
    let refusal = |error: &dyn std::fmt::Display| Refusal::No(format!("{WORK}: {error}"));
    sent.map_err(|error| refusal(&error))?.await.map_err(|error| refusal(&error))?;
    say(&format!("{instance} is away, and is told when it comes back"));
    Ok(())
}

async fn taken_back(context: &Context, id: &str) -> Result<bool, Refusal> {
    let refusal = |error: &dyn std::fmt::Display| Refusal::No(format!("{WORK}: {error}"));
    let stream = context.get_stream(WORK).await.map_err(|error| refusal(&error))?;
    let state = &stream.cached_info().state;
    if state.messages == 0 {
        return Ok(false);
    }
    let first = state.first_sequence.max(state.last_sequence.saturating_sub(WAITING_MAX));
    for sequence in first..=state.last_sequence {
        let Ok(message) = stream.get_raw_message(sequence).await else { continue };
        if message.headers.get("Nats-Msg-Id").is_some_and(|named| named.as_str() == id) {
            return stream.delete_message(sequence).await.map_err(|error| refusal(&error));
        }
    }
    Ok(false)
}
