//! What has to be in the hub: making it, and saying what is wrong with it.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::stream::{Compression, Config, DiscardPolicy, RetentionPolicy, StorageType};

use crate::args::Nats;
use crate::daemon::Daemon;
use crate::hub::{BOXES, EVENTS, EVENTS_PREFIX, Hub, WORK};
use crate::publish::Publisher;
use crate::told::{Refusal, say};
use crate::work::{consumer_config, consumers};

/// Events are kept at the hub for thirty days.
const EVENTS_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
/// The first version whose streams take batches as a whole.
const ATOMIC_SINCE: (i64, i64, i64) = (2, 12, 0);
/// The first version whose messages may have an end of their own.
const TTL_SINCE: (i64, i64, i64) = (2, 11, 0);
/// A box says every 30 s that it is there; one that has missed three times is gone.
const BOXES_AGE: Duration = Duration::from_secs(90);
/// Under which name the hub is asked.
const SETUP: &str = "setup";

/// Makes streams and buckets, or brings them up to date. What is there keeps its messages.
///
/// # Errors
/// The hub says no, or is not there.
pub async fn make(options: &Nats) -> Result<(), Refusal> {
    let hub = Hub::connect(&options.hub, SETUP).await?;
    let context = jetstream::new(hub.client.clone());
    let atomic = is_since(&hub, ATOMIC_SINCE);
    if !atomic {
        say(&format!("the hub is {}, older than 2.12: events will go one by one", hub.client.server_info().version));
    }
    for config in [events(options, atomic), work(options, is_since(&hub, TTL_SINCE)), boxes(options)] {
        let name = config.name.clone();
        let made = context.create_or_update_stream(config).await;
        made.map_err(|error| Refusal::No(format!("the stream {name} cannot be made: {error}")))?;
        say(&format!("stream {name} is there"));
    }
    let mut names = consumers(None, &options.tags);
    for instance in &options.boxes {
        names.extend(consumers(Some(instance), &[]));
    }
    // Setting up from elsewhere, without a daemon, makes what is of no single box.
    if options.boxes.is_empty()
        && let Ok(system) = Daemon::named(&options.daemon)?.system().await
    {
        names.extend(consumers(Some(&system.instance), &[]));
    }
    for name in names {
        let config = consumer_config(&name, options.replicas as usize);
        let made = context.create_consumer_on_stream(config, WORK).await;
        made.map_err(|error| Refusal::No(format!("the consumer {name} cannot be made: {error}")))?;
        say(&format!("consumer {name} is there"));
    }
    Ok(())
}

/// Says everything that is wrong, and what to do about it.
///
/// # Errors
/// Something is.
pub async fn check(options: &Nats) -> Result<(), Refusal> {
    let mut wrong = Vec::new();
    let daemon = Daemon::named(&options.daemon)?;
    let instance = match daemon.system().await {
        Ok(system) => {
            say(&format!("daemon: {} {}", system.instance, system.version));
            match daemon.cursor().await {
                Ok(Some(cursor)) => {
                    say(&format!("daemon: it keeps events after {} for us ({})", cursor.id, cursor.moved_at))
                }
                _ => say("daemon: it has no cursor of ours: its retention waits for nobody yet"),
            }
            Some(system.instance)
        }
        Err(failure) => {
            wrong.push(format!("daemon: {failure}"));
            None
        }
    };
    let instance = instance.as_deref();
    match Hub::connect(&options.hub, instance.unwrap_or(SETUP)).await {
        Err(refusal @ Refusal::Usage(_)) => return Err(refusal),
        Err(refusal) => wrong.push(format!("hub: {refusal}")),
        Ok(hub) => {
            let tail = tail_of(&hub, instance.unwrap_or(SETUP), &mut wrong).await;
            settings(&hub, tail, &mut wrong).await;
            if !options.no_work {
                work_of(&hub, &consumers(instance, &options.tags), &mut wrong).await;
            }
        }
    }
    if wrong.is_empty() {
        say("nothing is wrong");
        return Ok(());
    }
    Err(Refusal::No(wrong.join("\nrunabout-bridge: ")))
}

/// What a box has to be allowed for its events. Gives whether it is.
async fn tail_of(hub: &Hub, instance: &str, wrong: &mut Vec<String>) -> bool {
    match Publisher::at_the_tail(hub, instance).await {
        Ok(publisher) => {
            say(&format!("hub: it has the events of {instance} up to id {}", publisher.tail().id));
            true
        }
        Err(doubt) => {
            wrong.push(missing(EVENTS, &doubt.0));
            false
        }
    }
}

/// What the streams are like. A box need not be allowed to see that.
async fn settings(hub: &Hub, may_be_hidden: bool, wrong: &mut Vec<String>) {
    let context = jetstream::new(hub.client.clone());
    say(&format!("hub: nats-server {}", hub.client.server_info().version));
    let atomic = is_since(hub, ATOMIC_SINCE);
    if !atomic {
        say("hub: older than 2.12: events go one by one, with the same promise");
    }
    let mut events = match context.get_stream(EVENTS).await {
        Ok(stream) => stream,
        Err(_) if may_be_hidden => {
            return say("hub: these credentials may not see how its streams are set, which a box need not");
        }
        Err(_) => return,
    };
    if let Ok(info) = events.info().await {
        let config = &info.config;
        if atomic && !config.allow_atomic_publish {
            say(&format!("hub: {EVENTS} takes no batches (allow_atomic): events go one by one; --setup allows them"));
        }
        if config.allow_rollup {
            let why = "with it one box's Nats-Rollup header empties the stream for all: take it away";
            wrong.push(format!("hub: {EVENTS} allows rollups: {why}"));
        }
        if config.discard != DiscardPolicy::Old {
            wrong.push(format!("hub: {EVENTS} refuses new events when it is full: set discard to old"));
        }
    }
    match context.get_stream(WORK).await {
        Err(error) => wrong.push(missing(WORK, &error)),
        Ok(stream) if stream.cached_info().config.retention != RetentionPolicy::WorkQueue => {
            wrong.push(format!("hub: {WORK} is no work queue: what one box has taken is given to others, too"));
        }
        Ok(_) => {}
    }
    if let Err(error) = context.get_key_value(BOXES).await {
        wrong.push(missing(BOXES, &error));
    }
}

/// Whether each consumer answers. What one may have given for that is given back.
async fn work_of(hub: &Hub, names: &[String], wrong: &mut Vec<String>) {
    for name in names {
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{WORK}.{name}");
        let asked = hub.client.request(subject, r#"{"batch":1,"no_wait":true}"#.into()).await;
        match asked {
            Ok(message) => {
                if let (None, Some(reply)) = (message.status, message.reply) {
                    let _ = hub.client.publish(reply, "-NAK".into()).await;
                    let _ = hub.client.flush().await;
                }
            }
            Err(error) => wrong.push(missing(&format!("the consumer {name} of {WORK}"), &error)),
        }
    }
}

fn missing(name: &str, error: &dyn std::fmt::Display) -> String {
    format!("hub: {name}: {error}; `runabout-bridge nats --setup` makes it, with credentials that may")
}

fn is_since(hub: &Hub, (major, minor, patch): (i64, i64, i64)) -> bool {
    hub.client.is_server_compatible(major, minor, patch)
}

fn events(options: &Nats, atomic: bool) -> Config {
    Config {
        name: EVENTS.to_owned(),
        description: Some("What happened on all boxes: INSTANCE.RUN.KIND".to_owned()),
        subjects: vec![format!("{EVENTS_PREFIX}.*.*.*")],
        max_age: EVENTS_AGE,
        max_bytes: options.max_bytes,
        discard: DiscardPolicy::Old,
        storage: StorageType::File,
        num_replicas: options.replicas as usize,
        compression: Some(Compression::S2),
        allow_direct: true,
        allow_atomic_publish: atomic,
        ..Config::default()
    }
}

fn work(options: &Nats, ttl: bool) -> Config {
    Config {
        name: WORK.to_owned(),
        description: Some("What waits to be run: box.INSTANCE or tag.TAG; cancels: ctl.INSTANCE".to_owned()),
        subjects: ["box", "tag", "ctl"].map(|whose| format!("rb.work.{whose}.*")).to_vec(),
        retention: RetentionPolicy::WorkQueue,
        storage: StorageType::File,
        num_replicas: options.replicas as usize,
        allow_direct: true,
        allow_message_ttl: ttl,
        ..Config::default()
    }
}

/// A bucket as others have it, but without rollups and markers, which need them: by a header one box could empty it for all.
fn boxes(options: &Nats) -> Config {
    Config {
        name: format!("KV_{BOXES}"),
        description: Some("Which boxes are there".to_owned()),
        subjects: vec![format!("$KV.{BOXES}.>")],
        max_messages_per_subject: 1,
        max_age: BOXES_AGE,
        duplicate_window: BOXES_AGE,
        discard: DiscardPolicy::New,
        deny_delete: true,
        storage: StorageType::File,
        num_replicas: options.replicas as usize,
        allow_direct: true,
        ..Config::default()
    }
}
