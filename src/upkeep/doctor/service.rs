//! Checks the daemon itself: whether it answers, what it reports, where it listens.
//!
//! A daemon that does not run is no failure; one that holds the lock and does not answer is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::finding::{Finding, Subject};
use crate::client::connection::{Ask, Daemon};
use crate::client::failure::Failure;
use crate::client::target::Target;
use crate::config::Listen;
use crate::text::printable;

/// How long an answer may take, in seconds.
const ANSWER_S: u64 = 10;
/// How long a connection on this machine may take.
const CONNECT: Duration = Duration::from_secs(2);

/// Runs all checks of the daemon.
pub(super) fn look(subject: &Subject) -> Vec<Finding> {
    match &subject.held {
        Ok(None) => vec![
            Finding::warn("daemon", "none runs on this state directory", "start one: `runabout serve`, or its service"),
            listens_without(subject),
        ],
        Ok(Some(who)) => [daemon(subject), vec![listens(who)]].concat(),
        // The lock is none, which was told.
        Err(error) if error.kind() == std::io::ErrorKind::Other => Vec::new(),
        // That it cannot be seen was told with the lock; its socket may be for us all the same.
        Err(_) => daemon(subject),
    }
}

fn ask(subject: &Subject, path: &str) -> Result<Vec<u8>, Failure> {
    let daemon = Daemon::new(Target::Socket { path: subject.socket(), start: "runabout serve".to_owned() });
    let ask = Ask { answer_s: ANSWER_S, ..Ask::get(path) };
    smol::block_on(daemon.ask(&ask)).map(|body| body.to_vec())
}

fn daemon(subject: &Subject) -> Vec<Finding> {
    const CHECK: &str = "daemon";
    let failed = |failure: Failure| match failure {
        Failure::NotAllowed(why) => Finding::warn(CHECK, why, "be root, or the user that it runs as"),
        Failure::Refused(problem) if problem.status == 403 => {
            Finding::warn(CHECK, problem.to_string(), "be root, or the user that it runs as")
        }
        Failure::Refused(problem) => Finding::fail(CHECK, problem.to_string(), "see its log"),
        other => {
            let why = other.to_string();
            let first = why.lines().next().unwrap_or_default().to_owned();
            Finding::fail(CHECK, first, "it holds the lock and does not answer: see its log, then restart it")
        }
    };
    match ask(subject, "/readyz").and_then(|_| ask(subject, "/v1/system")) {
        Ok(body) => {
            // An older daemon cannot be drained.
            let drain = ask(subject, "/v1/drain").unwrap_or_default();
            let read = |body: &[u8]| -> Value { serde_json::from_slice(body).unwrap_or_default() };
            let system = read(&body);
            [answers(&system, &read(&drain))].into_iter().chain(proxies(&system)).chain(limits(&system)).collect()
        }
        Err(failure) => vec![failed(failure)],
    }
}

fn answers(system: &Value, drain: &Value) -> Finding {
    const CHECK: &str = "daemon";
    let text = |key: &str| printable(system[key].as_str().unwrap_or("unknown")).into_owned();
    let (version, ours) = (text("version"), env!("CARGO_PKG_VERSION"));
    let found = format!("version {version}, instance {}, since {}", text("instance"), text("started_at"));
    if drain["draining"] == true {
        return Finding::warn(CHECK, format!("{found}; drained: it starts nothing"), "`runabout drain --undo`");
    }
    if version != ours {
        return Finding::warn(CHECK, found, format!("this program is version {ours}: restart the daemon"));
    }
    Finding::ok(CHECK, found)
}

/// Reports which limits of runs cannot be enforced, and why.
fn limits(system: &Value) -> Option<Finding> {
    const CHECK: &str = "limits";
    // A daemon of before has none.
    let refused = system["limits_unavailable"].as_object()?;
    match refused.values().next().and_then(Value::as_str) {
        None => {
            Some(Finding::ok(CHECK, "each run has a cgroup of its own; memory, processors and tasks can be limited"))
        }
        Some(why) => {
            let names: Vec<&str> = refused.keys().map(String::as_str).collect();
            let found = format!(
                "{} cannot be limited: {}. Delegate=yes in its unit, without ProtectControlGroups=, gives each run a cgroup, \
                 as does `systemd-run --user --scope -p Delegate=yes runabout serve`",
                names.join(", "),
                printable(why)
            );
            Some(Finding::ok(CHECK, found))
        }
    }
}

/// Reports proxies that forward requests without naming the client.
fn proxies(system: &Value) -> Option<Finding> {
    let first = system["silent_proxies"].get(0)?.as_str()?;
    let found = format!("the trusted proxy {} sends no X-Forwarded-For", printable(first));
    let advice = "who is behind it chooses the address that is throttled and logged, if it passes theirs on: \
                  have it set that header; see docs/proxies.md";
    Some(Finding::warn("proxies", found, advice))
}

/// Checks the address that the daemon says it listens on.
fn listens(who: &str) -> Finding {
    const CHECK: &str = "listen";
    let place = who.split_once("listening on ").map_or("", |(_, place)| place);
    let address = place.split_once("://").and_then(|(_, address)| address.parse::<SocketAddr>().ok());
    match address {
        None if place.is_empty() => Finding::warn(CHECK, "it is starting, or being restored", "look again in a moment"),
        None => Finding::ok(CHECK, format!("{place} alone; no TCP")),
        Some(address) if is_taken(address) => Finding::ok(CHECK, place),
        Some(_) => {
            Finding::fail(CHECK, format!("{place} takes no connection"), "a firewall on this machine, or see its log")
        }
    }
}

/// Checks whether a daemon could bind its port.
fn listens_without(subject: &Subject) -> Finding {
    const CHECK: &str = "listen";
    match subject.config.listen {
        Listen::Nowhere => Finding::ok(CHECK, "the Unix socket alone, once a daemon runs"),
        Listen::At(address) if address.port() != 0 && is_taken(address) => {
            let advice = "another program or daemon has it: choose another listen, or end that one";
            Finding::warn(CHECK, format!("something else listens at {address}"), advice)
        }
        Listen::At(address) => Finding::ok(CHECK, format!("{address}, once a daemon runs")),
    }
}

fn is_taken(address: SocketAddr) -> bool {
    let host = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    TcpStream::connect_timeout(&SocketAddr::new(host, address.port()), CONNECT).is_ok()
}
