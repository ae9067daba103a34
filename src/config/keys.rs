//! The table of configuration keys: the place of each in the file, the values it allows, and the field it sets.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Cidr, Config, Host, Listen, Origin, SocketRole};
use crate::access::Role;
use crate::run::{CPU_PERCENT_MAX, TASKS_MAX};

/// One configuration key.
pub(super) struct Key {
    /// The table it stands in; empty at the top.
    pub table: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// The kind of its value.
    pub kind: Kind,
}

/// The kind of a key's value, what is allowed, and the setter.
pub(super) enum Kind {
    /// A whole number from the first to the second.
    Number(u64, u64, fn(&mut Config, u64)),
    /// `true` or `false`.
    Switch(fn(&mut Config, bool)),
    /// A text; the setter returns whether it is allowed. The second says for people what is.
    Text(fn(&mut Config, &str) -> bool, &'static str),
    /// A list of texts; the setter returns the first that is not allowed.
    List(fn(&mut Config, &[String]) -> Result<(), String>, &'static str),
}

impl Key {
    /// `[table] name`, as an error shows it.
    pub fn shown(&self) -> String {
        if self.table.is_empty() { self.name.to_owned() } else { format!("{}.{}", self.table, self.name) }
    }

    /// Its environment variable.
    pub fn variable(&self) -> String {
        let table = if self.table.is_empty() { String::new() } else { format!("{}_", self.table) };
        format!("RUNABOUT_{table}{}", self.name).to_uppercase()
    }

    /// What it allows, for people.
    pub fn allowed(&self) -> String {
        match &self.kind {
            Kind::Number(min, max, _) => format!("a whole number from {min} to {max}"),
            Kind::Switch(_) => "true or false".to_owned(),
            Kind::Text(_, allowed) | Kind::List(_, allowed) => (*allowed).to_owned(),
        }
    }
}

/// What the keys of `[tls]` allow.
const TLS_PATH: &str = "the absolute path of a PEM file, or \"\" for none";
const MIB: u64 = 1_048_576;
const TIB: u64 = MIB * MIB;
const DAY_S: u64 = 86_400;

const fn number(table: &'static str, name: &'static str, min: u64, max: u64, set: fn(&mut Config, u64)) -> Key {
    Key { table, name, kind: Kind::Number(min, max, set) }
}

const fn text(
    table: &'static str,
    name: &'static str,
    set: fn(&mut Config, &str) -> bool,
    allowed: &'static str,
) -> Key {
    Key { table, name, kind: Kind::Text(set, allowed) }
}

/// Every key. The maxima of sizes in memory fit 32 bits, for machines whose `usize` is that small.
pub(super) const KEYS: &[Key] = &[
    text("", "listen", listen, "an IP address and a port, like \"127.0.0.1:7867\" or \"[::1]:7867\", or \"none\""),
    text("", "log", log, "\"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\""),
    text(
        "access",
        "socket",
        socket,
        "an absolute path of at most 107 bytes, or \"\" for the one in the state directory",
    ),
    text("access", "socket_group", socket_group, "a group's name or number, or \"\" for none"),
    text("access", "socket_role", socket_role, "\"viewer\", \"operator\" or \"admin\""),
    Key {
        table: "access",
        name: "allowed_hosts",
        kind: Kind::List(allowed_hosts, "a list of host names without scheme, port and path"),
    },
    Key {
        table: "access",
        name: "allowed_origins",
        kind: Kind::List(allowed_origins, "a list of web origins, like \"https://panel.example:8443\""),
    },
    Key {
        table: "access",
        name: "trusted_proxies",
        kind: Kind::List(trusted_proxies, "a list of IP addresses and networks, like \"10.0.0.0/8\""),
    },
    Key {
        table: "access",
        name: "allow_plaintext",
        kind: Kind::Switch(|config, on| config.access.allow_plaintext = on),
    },
    text("tls", "cert", tls_cert, TLS_PATH),
    text("tls", "key", tls_key, TLS_PATH),
    number("limits", "head_bytes", 1_024, MIB, |config, n| config.limits.head_bytes = n as usize),
    number("limits", "headers", 16, 1_000, |config, n| config.limits.headers = n as usize),
    number("limits", "body_bytes", 1_024, 64 * MIB, |config, n| config.limits.body_bytes = n as usize),
    number("limits", "head_s", 1, 3_600, |config, n| config.limits.head_s = n),
    number("limits", "body_s", 1, 3_600, |config, n| config.limits.body_s = n),
    number("limits", "connections", 1, 65_536, |config, n| config.limits.connections = n as usize),
    number("limits", "connections_per_client", 1, 65_536, |config, n| {
        config.limits.connections_per_client = n as usize
    }),
    number("limits", "queued_runs", 1, 10_000_000, |config, n| config.limits.queued_runs = n as usize),
    number("limits", "stream_buffer_events", 1, 65_536, |config, n| config.limits.stream_buffer_events = n as usize),
    number("limits", "stream_buffer_bytes", 1_024, 64 * MIB, |config, n| {
        config.limits.stream_buffer_bytes = n as usize
    }),
    number("limits", "stream_total_bytes", 1_024, 1_024 * MIB, |config, n| {
        config.limits.stream_total_bytes = n as usize
    }),
    number("limits", "stream_stall_s", 1, DAY_S, |config, n| config.limits.stream_stall_s = n),
    number("limits", "disk_free_bytes", 0, TIB, |config, n| config.limits.disk_free_bytes = n),
    number("limits", "output_bytes_per_run", 64 * 1_024, TIB, |config, n| config.limits.output_bytes_per_run = n),
    number("limits", "artifact_bytes_per_run", 0, TIB, |config, n| config.limits.artifact_bytes_per_run = n),
    number("output", "flush_ms", 0, 60_000, |config, n| config.output.flush_ms = n),
    number("output", "flush_unwatched_ms", 0, 600_000, |config, n| config.output.flush_unwatched_ms = n),
    number("runs", "kill_grace_s", 0, 3_600, |config, n| config.runs.kill_grace_s = n),
    number("runs", "shutdown_grace_s", 0, 3_600, |config, n| config.runs.shutdown_grace_s = n),
    number("runs", "memory_bytes_max", 0, TIB, |config, n| config.runs.memory_bytes_max = n as i64),
    number("runs", "cpu_percent_max", 0, CPU_PERCENT_MAX as u64, |config, n| config.runs.cpu_percent_max = n as i64),
    number("runs", "tasks_max", 0, TASKS_MAX as u64, |config, n| config.runs.tasks_max = n as i64),
    text("runs", "user", user, "a user's name or number, or \"\" for the daemon's own"),
    number("retention", "interval_s", 1, DAY_S, |config, n| config.retention.interval_s = n),
    number("retention", "db_bytes", 0, TIB, |config, n| config.retention.db_bytes = n),
    number("retention", "artifact_bytes", 0, TIB, |config, n| config.retention.artifact_bytes = n),
    number("retention", "runs_days", 0, 36_500, |config, n| config.retention.runs_days = n),
    number("retention", "runs_count", 0, 100_000_000, |config, n| config.retention.runs_count = n),
    number("retention", "cursor_days", 0, 36_500, |config, n| config.retention.cursor_days = n),
    number("sessions", "ttl_s", 0, 36_500 * DAY_S, |config, n| config.sessions.ttl_s = n),
    number("sessions", "enrollment_ttl_s", 1, 7 * DAY_S, |config, n| config.sessions.enrollment_ttl_s = n),
];

fn listen(config: &mut Config, text: &str) -> bool {
    config.listen = match (text, text.parse::<SocketAddr>()) {
        ("none", _) => Listen::Nowhere,
        (_, Ok(address)) => Listen::At(address),
        _ => return false,
    };
    true
}

fn log(config: &mut Config, text: &str) -> bool {
    config.log = match text {
        "off" => log::LevelFilter::Off,
        "error" => log::LevelFilter::Error,
        "warn" => log::LevelFilter::Warn,
        "info" => log::LevelFilter::Info,
        "debug" => log::LevelFilter::Debug,
        "trace" => log::LevelFilter::Trace,
        _ => return false,
    };
    true
}

fn socket(config: &mut Config, text: &str) -> bool {
    config.access.socket = (!text.is_empty()).then(|| PathBuf::from(text));
    is_path_or_empty(text) && text.len() <= crate::state_dir::SOCKET_PATH_BYTES_MAX
}

fn socket_group(config: &mut Config, text: &str) -> bool {
    config.access.socket_group = (!text.is_empty()).then(|| text.to_owned());
    can_be_account(text)
}

fn user(config: &mut Config, text: &str) -> bool {
    config.runs.user = (!text.is_empty()).then(|| text.to_owned());
    can_be_account(text)
}

/// Whether a user or group can have this name; the daemon looks up whether there is one.
fn can_be_account(text: &str) -> bool {
    text.len() <= 255 && !text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, ':' | ','))
}

fn socket_role(config: &mut Config, text: &str) -> bool {
    let role = Role::parse(text).filter(|role| *role != Role::Trigger);
    config.access.socket_role = role.map_or(config.access.socket_role, SocketRole);
    role.is_some()
}

fn tls_cert(config: &mut Config, text: &str) -> bool {
    config.tls.cert = (!text.is_empty()).then(|| PathBuf::from(text));
    is_path_or_empty(text)
}

fn tls_key(config: &mut Config, text: &str) -> bool {
    config.tls.key = (!text.is_empty()).then(|| PathBuf::from(text));
    is_path_or_empty(text)
}

fn is_path_or_empty(text: &str) -> bool {
    text.is_empty() || (text.starts_with('/') && !text.contains('\0'))
}

fn allowed_hosts(config: &mut Config, names: &[String]) -> Result<(), String> {
    config.access.allowed_hosts = each(names, |name| match Host::parse(name)? {
        Host::Name(name) => Some(name),
        Host::Ip(_) => None,
    })?;
    Ok(())
}

fn allowed_origins(config: &mut Config, origins: &[String]) -> Result<(), String> {
    config.access.allowed_origins = each(origins, Origin::parse)?;
    Ok(())
}

fn trusted_proxies(config: &mut Config, networks: &[String]) -> Result<(), String> {
    config.access.trusted_proxies = each(networks, Cidr::parse)?;
    Ok(())
}

/// Parses all texts; fails with the first that cannot be parsed.
fn each<T>(texts: &[String], parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, String> {
    texts.iter().map(|text| parse(text).ok_or_else(|| text.clone())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_field_is_set_by_a_key_of_its_name() {
        let shown = format!("{:#?}", Config::default());
        let (mut table, mut fields) = ("", BTreeSet::new());
        for line in shown.lines() {
            let Some((name, value)) = line.trim_start().split_once(": ") else { continue };
            match line.find(name) {
                Some(4) if value.ends_with('{') => table = name,
                Some(4) => drop(fields.insert(("", name))),
                Some(8) => drop(fields.insert((table, name))),
                _ => {}
            }
        }
        // What the configuration found out, and nobody sets.
        assert!(fields.remove(&("", "overridden")), "{shown}");
        assert_eq!(fields, KEYS.iter().map(|key| (key.table, key.name)).collect());
    }
}
