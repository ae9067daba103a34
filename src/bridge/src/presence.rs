//! A box says that it is there, and takes cancels while it is.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::args::Nats;
use crate::daemon::{Daemon, System};
use crate::hub::{ANSWER, BOXES, Hub};
use crate::metrics::Metrics;
use crate::publish::Doubt;
use crate::work::is_fleet_id;

/// A third of what the bucket keeps an entry.
const EVERY: Duration = Duration::from_secs(30);

/// Writes this box's entry now and again. A hub without the bucket is left alone: events go on.
pub async fn show(hub: &Hub, daemon: &Daemon, system: &System, options: &Nats, metrics: &Metrics) -> Doubt {
    let name = options.name.clone().unwrap_or_else(host_name);
    let (mut told, mut of) = (Value::Null, u64::MAX);
    loop {
        // Without an event no count has changed, and an idle daemon is left alone.
        let events = metrics.events.load(std::sync::atomic::Ordering::Relaxed);
        if events != of {
            told = match daemon.counts().await {
                Ok(told) => told,
                Err(failure) => return Doubt(failure.to_string()),
            };
            of = events;
        }
        let entry = json!({
            "name": name,
            "site": options.site,
            "tags": options.tags,
            "version": system.version,
            "last_id": metrics.last_id.load(std::sync::atomic::Ordering::Relaxed),
            "queued": told["queued"].as_u64().unwrap_or(0),
            "running": told["running"].as_u64().unwrap_or(0),
            "at": format!("{:.3}", jiff::Timestamp::now()),
        });
        let subject = format!("$KV.{BOXES}.{}", system.instance);
        let put = hub.client.request(subject, entry.to_string().into());
        let _ = tokio::time::timeout(ANSWER, put).await;
        tokio::time::sleep(EVERY).await;
    }
}

/// Answers cancels by fleet id until the connection ends.
pub async fn control(hub: &Hub, daemon: &Daemon, system: &System) -> Doubt {
    let subject = format!("rb.ctl.{}.cancel", system.instance);
    let mut asked = match hub.client.subscribe(subject).await {
        Ok(asked) => asked,
        Err(error) => return Doubt(format!("cannot listen for cancels: {error}")),
    };
    while let Some(message) = asked.next().await {
        let answer = cancel(daemon, &message.payload).await;
        if let Some(reply) = message.reply {
            let _ = hub.client.publish(reply, answer.to_string().into()).await;
        }
    }
    Doubt("the hub ended what it was asked to listen for".to_owned())
}

async fn cancel(daemon: &Daemon, payload: &[u8]) -> Value {
    let body: Value = serde_json::from_slice(payload).unwrap_or_default();
    let Some(id) = body["cancel"].as_str().filter(|id| is_fleet_id(id)) else {
        return json!({ "error": "a body like {\"cancel\":\"FLEET_ID\"} is wanted" });
    };
    match daemon.cancel(id).await {
        Ok(Some(run)) => json!({ "run": run["id"], "status": run["status"] }),
        Ok(None) => json!({ "error": "nothing of that id is here", "code": "not_here" }),
        Err(failure) => json!({ "error": failure.to_string() }),
    }
}

/// What this machine is called.
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}
