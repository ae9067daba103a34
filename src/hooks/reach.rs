//! Where this daemon itself listens: a hook that submitted a run at each end of one would never come to rest.

use std::net::{IpAddr, SocketAddr};

/// The daemon's own listener on TCP, if it has one.
#[derive(Clone, Copy, Debug)]
pub struct Own(Option<SocketAddr>);

impl Own {
    /// The daemon listens here.
    pub fn new(bound: Option<SocketAddr>) -> Own {
        Own(bound)
    }

    /// Whether an address is the daemon's own. Of a connection, `from` is our end of it: on a machine's own addresses both ends
    /// have the same.
    pub fn is(&self, to: SocketAddr, from: Option<IpAddr>) -> bool {
        let Some(bound) = self.0 else { return false };
        if to.port() != bound.port() {
            return false;
        }
        let (to, own) = (to.ip().to_canonical(), bound.ip().to_canonical());
        if own.is_unspecified() {
            return to.is_loopback() || to.is_unspecified() || from.is_some_and(|from| from.to_canonical() == to);
        }
        // 0.0.0.0 as a target is this machine's loopback.
        to == own || (to.is_unspecified() && own.is_loopback())
    }

    /// Whether a host that needs no look-up is the daemon's own, at this port.
    pub fn is_named(&self, host: &str, port: u16) -> bool {
        let local = host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost");
        let addresses: Vec<IpAddr> = match host.parse() {
            Ok(address) => vec![address],
            Err(_) if local => vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])],
            Err(_) => Vec::new(),
        };
        addresses.into_iter().any(|address| self.is(SocketAddr::new(address, port), None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemon_knows_itself_under_all_its_addresses() {
        let is = |bound: &str, to: &str, from: &str| {
            Own::new(bound.parse().ok()).is(to.parse().expect(to), from.parse().ok())
        };
        for (bound, to, from, expected) in [
            ("127.0.0.1:7867", "127.0.0.1:7867", "127.0.0.1", true),
            ("127.0.0.1:7867", "127.0.0.1:7868", "127.0.0.1", false),
            ("127.0.0.1:7867", "[::ffff:127.0.0.1]:7867", "", true),
            ("127.0.0.1:7867", "0.0.0.0:7867", "127.0.0.1", true),
            ("127.0.0.1:7867", "192.168.0.7:7867", "192.168.0.7", false),
            ("0.0.0.0:7867", "192.168.0.7:7867", "192.168.0.7", true),
            ("0.0.0.0:7867", "192.168.0.8:7867", "192.168.0.7", false),
            ("0.0.0.0:7867", "127.8.8.8:7867", "127.0.0.1", true),
            ("[::]:7867", "[fe80::1]:7867", "fe80::1", true),
            ("none", "127.0.0.1:7867", "127.0.0.1", false),
        ] {
            assert_eq!(is(bound, to, from), expected, "{bound} {to} from {from:?}");
        }
        let own = Own::new("127.0.0.1:7867".parse().ok());
        assert!(own.is_named("LocalHost", 7867) && own.is_named("runabout.localhost", 7867));
        assert!(!own.is_named("localhost", 80) && !own.is_named("pi.local", 7867));
    }
}
