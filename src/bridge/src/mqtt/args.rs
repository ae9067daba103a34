//! What may be said to `mqtt`. As everywhere, secrets are named by their files.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use crate::args::DaemonArgs;

/// `mqtt`.
#[derive(clap::Args, Clone)]
pub struct Mqtt {
    /// The broker.
    #[command(flatten)]
    pub broker: BrokerArgs,
    /// The daemon.
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// A TOML file with these options by their long names, such as `server = "mqtt://broker"` and `jobs = ["a", "b"]`.
    #[arg(long, env = "RUNABOUT_MQTT_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What people call this box; by default its host name.
    #[arg(long, env = "RUNABOUT_MQTT_NAME", value_name = "NAME")]
    pub name: Option<String>,
    /// What stands for this box in topics and in Home Assistant's registry; by default the daemon's instance, which a
    /// restored database changes.
    #[arg(long, env = "RUNABOUT_MQTT_INSTANCE", value_name = "ID", value_parser = id)]
    pub instance: Option<String>,
    /// Under which topic Home Assistant looks for devices, and says that it has started (PREFIX/status).
    #[arg(long, env = "RUNABOUT_MQTT_DISCOVERY_PREFIX", value_name = "PREFIX", default_value = "homeassistant", value_parser = prefix)]
    pub discovery_prefix: String,
    /// Under which topic this box's own are: PREFIX/INSTANCE/….
    #[arg(long, env = "RUNABOUT_MQTT_TOPIC_PREFIX", value_name = "PREFIX", default_value = "runabout", value_parser = prefix)]
    pub topic_prefix: String,
    /// The jobs that may be started from there, by commas; by default all.
    #[arg(long, env = "RUNABOUT_MQTT_JOBS", value_delimiter = ',', value_name = "NAMES")]
    pub jobs: Vec<String>,
    /// A press that is older starts nothing, in seconds; also one that is as much ahead of this clock.
    #[arg(long, env = "RUNABOUT_MQTT_PRESS_AGE_MAX_S", value_name = "S", default_value = "60",
          value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub press_age_max_s: u32,
    /// How often the daemon is looked at where nothing happens, in seconds: one that has died is offline after that.
    #[arg(long, env = "RUNABOUT_MQTT_LOOK_EVERY_S", value_name = "S", default_value = "30",
          value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub look_every_s: u32,
    /// The longest wait before the broker is tried again, in seconds. Each wait is drawn from nought to a bound that
    /// doubles up to this.
    #[arg(long, env = "RUNABOUT_MQTT_RECONNECT_MAX_S", value_name = "S", default_value = "60",
          value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub reconnect_max_s: u32,
    /// Serve metrics for Prometheus at http://ADDR:PORT/metrics.
    #[arg(long, env = "RUNABOUT_MQTT_METRICS", value_name = "ADDR:PORT")]
    pub metrics: Option<std::net::SocketAddr>,
    /// Say what is wrong with the daemon and the broker, and end. It changes nothing there.
    #[arg(long, conflicts_with = "remove")]
    pub check: bool,
    /// Take this box out of Home Assistant and all that the broker keeps of it, and end.
    #[arg(long)]
    pub remove: bool,
}

/// Where the broker is, and who we are to it.
#[derive(clap::Args, Clone)]
pub struct BrokerArgs {
    /// The broker: mqtt://HOST:PORT (1883), or with TLS mqtts://HOST:PORT (8883).
    #[arg(long, env = "RUNABOUT_MQTT", value_name = "URL")]
    pub server: String,
    /// A file with one line, USER:PASSWORD.
    #[arg(long, env = "RUNABOUT_MQTT_PASSWORD_FILE", value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// A PEM file with whom to believe about the broker's certificate, beside the system's authorities.
    #[arg(long, env = "RUNABOUT_MQTT_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Our own certificate to the broker, a PEM file; with --key.
    #[arg(long, env = "RUNABOUT_MQTT_CERT", value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// The key of --cert, a PEM file.
    #[arg(long, env = "RUNABOUT_MQTT_KEY", value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// The protocol. With 5 the broker drops presses that are too old, and says what it forbids.
    #[arg(long, env = "RUNABOUT_MQTT_PROTOCOL", value_name = "VERSION", default_value = "5")]
    pub protocol: Protocol,
}

/// A version of MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// 5.0.
    #[value(name = "5")]
    V5,
    /// 3.1.1, which brokers before 2019 speak.
    #[value(name = "3.1.1")]
    V3,
}

impl Mqtt {
    /// The longest wait before the broker is tried again.
    pub fn reconnect_max(&self) -> Duration {
        Duration::from_secs(self.reconnect_max_s.into())
    }

    /// How often the daemon is looked at where nothing happens.
    pub fn look_every(&self) -> Duration {
        Duration::from_secs(self.look_every_s.into())
    }
}

/// Home Assistant takes no other characters in a topic of discovery.
fn id(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if text.is_empty() || text.len() > 64 || !text.bytes().all(allowed) {
        return Err("must be 1 to 64 letters, digits, _ or -".to_owned());
    }
    Ok(text.to_owned())
}

/// Levels of a topic; what begins with `$` is the broker's own.
fn prefix(text: &str) -> Result<String, String> {
    let is_level = |level: &str| !level.is_empty() && !level.contains(['+', '#']) && !level.contains(char::is_control);
    if text.len() > 128 || text.starts_with('$') || !text.split('/').all(is_level) {
        return Err("must be levels of a topic, such as home/boxes, without + and #, of at most 128 bytes".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{id, prefix};

    #[test]
    fn what_cannot_be_part_of_a_topic_is_refused() {
        for good in ["runabout", "home/boxes", "häuser/scheune 7"] {
            assert_eq!(prefix(good).as_deref(), Ok(good));
        }
        for bad in ["", "/", "a/", "/a", "a//b", "a/+", "#", "$SYS", "a\0b", "a\nb"] {
            assert!(prefix(bad).is_err(), "{bad:?}");
        }
        assert!(id("k3v9x2m7q0tz").is_ok() && id("a/b").is_err() && id("ä").is_err() && id("").is_err());
    }
}
