//! The hub's stream of events, read whole.

use std::time::Duration;

use async_nats::jetstream::{self, stream::Stream};
use futures_util::StreamExt as _;

use super::Hub;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub subject: String,
    pub id: i64,
    pub body: serde_json::Value,
}

impl Stored {
    pub fn is_gap(&self) -> bool {
        self.subject.ends_with(".0.gap")
    }

    /// As the daemon's own list has it.
    pub fn event(&self) -> (i64, i64, i64, String) {
        let number = |name: &str| self.body[name].as_i64().unwrap();
        let event = (number("id"), number("run"), number("seq"), self.body["kind"].as_str().unwrap().to_owned());
        let tokens: Vec<&str> = self.subject.split('.').collect();
        assert_eq!((event.0, &*event.1.to_string(), &*event.3), (self.id, tokens[3], tokens[4]), "{self:?}");
        event
    }
}

pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    block_on_for(super::PATIENCE, work)
}

pub fn block_on_for<T>(patience: Duration, work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(patience, work).await.expect("in time") })
}

pub async fn stream(hub: &Hub) -> Stream {
    let client = async_nats::connect(hub.url()).await.unwrap();
    jetstream::new(client).get_stream("RB_EVENTS").await.unwrap()
}

/// All that the hub has of one box, in the stream's order.
pub fn stored(hub: &Hub, instance: &str) -> Vec<Stored> {
    block_on(async {
        let stream = stream(hub).await;
        let filter = format!("rb.ev.{instance}.*.*");
        let config = jetstream::consumer::pull::Config {
            filter_subject: filter,
            ack_policy: jetstream::consumer::AckPolicy::None,
            inactive_threshold: Duration::from_secs(30),
            ..Default::default()
        };
        let consumer = stream.create_consumer(config).await.unwrap();
        let expected = consumer.cached_info().num_pending;
        let mut all = Vec::new();
        while (all.len() as u64) < expected {
            let mut messages = consumer.fetch().max_messages(1000).messages().await.unwrap();
            while let Some(message) = messages.next().await {
                let message = message.unwrap();
                let id = message.headers.as_ref().unwrap().get("Rb-Id").unwrap().as_str().parse().unwrap();
                let body = serde_json::from_slice(&message.payload).unwrap();
                all.push(Stored { subject: message.subject.to_string(), id, body });
            }
        }
        all
    })
}

/// The id of the last event that the hub has of a box.
pub fn last_id(hub: &Hub, instance: &str) -> Option<i64> {
    block_on(async {
        let client = async_nats::connect(hub.url()).await.ok()?;
        let stream = jetstream::new(client).get_stream("RB_EVENTS").await.ok()?;
        let last = stream.get_last_raw_message_by_subject(&format!("rb.ev.{instance}.>")).await.ok()?;
        last.headers.get("Rb-Id")?.as_str().parse().ok()
    })
}

/// From the first message of a box to its last, by the hub's clock.
pub fn span(hub: &Hub, instance: &str) -> Duration {
    block_on(async {
        let stream = stream(hub).await;
        let last = stream.get_last_raw_message_by_subject(&format!("rb.ev.{instance}.>")).await.unwrap();
        let first = stream.cached_info().state.first_timestamp;
        let ns = last.time.unix_timestamp_nanos() - first.unix_timestamp_nanos();
        Duration::from_nanos(u64::try_from(ns).unwrap())
    })
}
