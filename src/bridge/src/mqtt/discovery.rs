//! The box as a device of Home Assistant: one retained message that describes all its entities.
//!
//! Home Assistant refuses a whole device for one key at its root that it does not know, and ignores what it does not know
//! in a component: what only newer versions have stands in the components. A component that is left out stays; one that
//! has only its platform is removed. See its documentation, "MQTT discovery".

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::topics::{Topics, is_job};

/// Buttons, at most: the device's description has to fit into one packet.
pub const JOBS_MAX: usize = 500;
/// What an event of the box can be: how a run ended, and a press that started nothing.
pub const EVENT_TYPES: &[&str] = &["succeeded", "failed", "timed_out", "canceled", "interrupted", NOT_STARTED];
/// A press that started nothing.
pub const NOT_STARTED: &str = "not_started";
/// Before the name of a job in its component's.
const JOB: &str = "job_";

/// A box as it is described.
pub struct Device<'a> {
    /// Its topics.
    pub topics: &'a Topics,
    /// What people call it.
    pub name: &'a str,
    /// The daemon's version.
    pub version: &'a str,
    /// What may be started.
    pub jobs: &'a BTreeSet<String>,
    /// What had a button once and has none any more.
    pub gone: &'a BTreeSet<String>,
    /// How long a press may take, in seconds.
    pub press_age_max_s: u32,
}

impl Device<'_> {
    /// The message.
    pub fn describe(&self) -> Value {
        json!({
            "device": {
                "identifiers": [self.topics.device()],
                "name": self.name,
                "manufacturer": "Runabout",
                "model": "Command queue",
                "sw_version": self.version,
            },
            "origin": { "name": "runabout-bridge", "sw_version": env!("CARGO_PKG_VERSION") },
            "availability_topic": self.topics.status(),
            "components": self.components(),
        })
    }

    fn components(&self) -> Map<String, Value> {
        let (runs, failure) = (self.topics.runs(), self.topics.failure());
        let mut components = Map::new();
        let mut add = |key: &str, name: &str, platform: &str, icon: &str, more: Value| {
            let mut component = json!({
                "platform": platform,
                "unique_id": format!("{}_{key}", self.topics.device()),
                "name": name,
                "icon": icon,
                "qos": 1,
            });
            if let (Some(all), Value::Object(more)) = (component.as_object_mut(), more) {
                all.extend(more);
            }
            components.insert(key.to_owned(), component);
        };
        let count = |of: &str| {
            let template = format!("{{{{ value_json.{of} }}}}");
            json!({ "state_topic": runs, "value_template": template, "state_class": "measurement" })
        };
        add("queued", "Queued", "sensor", "mdi:tray-full", count("queued"));
        add("running", "Running", "sensor", "mdi:cog-play", count("running"));
        let last_failure = json!({
            "state_topic": failure,
            "value_template": "{{ value_json.at }}",
            "device_class": "timestamp",
            "json_attributes_topic": failure,
        });
        add("failure", "Last failure", "sensor", "mdi:alert-circle", last_failure);
        let event = json!({ "state_topic": self.topics.event(), "event_types": EVENT_TYPES });
        add("event", "Run", "event", "mdi:flag-checkered", event);
        for job in self.jobs {
            let button = json!({
                "command_topic": self.topics.press(job),
                // When it was pressed. A press that comes late starts nothing.
                "command_template": "{{ now().timestamp() }}",
                "retain": false,
                "message_expiry_interval": self.press_age_max_s,
            });
            add(&format!("{JOB}{job}"), job, "button", "mdi:play", button);
        }
        for job in self.gone.difference(self.jobs) {
            components.insert(format!("{JOB}{job}"), json!({ "platform": "button" }));
        }
        components
    }
}

/// The jobs that have a button by a description, which anybody may have written who may write to the broker.
pub fn buttons_in(description: &[u8]) -> BTreeSet<String> {
    let told: Value = serde_json::from_slice(description).unwrap_or_default();
    let keys = told["components"].as_object().into_iter().flat_map(Map::keys);
    keys.filter_map(|key| key.strip_prefix(JOB)).filter(|job| is_job(job)).take(JOBS_MAX).map(str::to_owned).collect()
}
