//! Checks `Host`, against web pages whose name was pointed at this machine (DNS rebinding).
//!
//! Never resolves a name: the attacker controls what it resolves to.

use hyper::http::HeaderMap;
use hyper::http::header::HOST;

use crate::config::{Authority, Host};
use crate::http::error::Problem;
use crate::http::head::once;

/// The request's own host and port.
///
/// # Errors
/// 400 where there is none, more than one, or one that is not a host; 421 where it is not answered to.
pub fn check(headers: &HeaderMap, allowed: &[String], own_name: &str) -> Result<Authority, Problem> {
    let text = once(headers, &HOST)?.unwrap_or_default();
    let authority = Authority::parse(text)
        .ok_or_else(|| Problem::bad_request("one Host header with a host's name or address is needed"))?;
    if answers_to(&authority.host, allowed, own_name) {
        return Ok(authority);
    }
    Err(Problem::host_not_allowed(format!(
        "this daemon does not answer to the host {}: add it to allowed_hosts in [access] of its configuration",
        authority.host
    )))
}

fn answers_to(host: &Host, allowed: &[String], own_name: &str) -> bool {
    let name = match host {
        // A page's address cannot be pointed elsewhere when it is no name.
        Host::Ip(_) => return true,
        Host::Name(name) => name.as_str(),
    };
    let own_name = own_name.strip_suffix('.').unwrap_or(own_name);
    let is_own = |name: &str| !own_name.is_empty() && name.eq_ignore_ascii_case(own_name);
    name == "localhost"
        || is_own(name)
        || name.strip_suffix(".local").is_some_and(is_own)
        || allowed.iter().any(|other| other == name)
}

/// The host name of this machine, as it is now.
pub fn own_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(hosts: &[&str]) -> u16 {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, host.parse().expect("a value"));
        }
        check(&headers, &["nas.example".to_owned()], "pi").map_or_else(|problem| problem.status, |_| 200)
    }

    #[test]
    fn only_known_hosts_are_answered_to() {
        for host in [
            "127.0.0.1:7867",
            "[::1]:7867",
            "192.168.1.2",
            "localhost",
            "LocalHost:1",
            "localhost.",
            "pi",
            "PI.local",
            "nas.example:80",
        ] {
            assert_eq!(status(&[host]), 200, "{host}");
        }
        for host in
            ["evil.example", "localhost.evil", "127.0.0.1.evil", "0x7f.1", "127.1", "pi.lan", "x.nas.example", "local"]
        {
            assert_eq!(status(&[host]), 421, "{host}");
        }
        for hosts in [
            &[][..],
            &[""],
            &["localhost", "localhost"],
            &["a@localhost"],
            &["localhost/x?"],
            &["localhost:x"],
            &["::1"],
            &["localhost, evil"],
        ] {
            assert_eq!(status(hosts), 400, "{hosts:?}");
        }
    }
}
