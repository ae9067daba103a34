//! The address at which a browser reaches the daemon.
//!
//! It is what the daemon itself knows: a proxy's address or another name only a person can tell.

use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Addresses beyond any network of ours (RFC 5737, RFC 3849): which way out leads there is asked, nothing is sent.
const ELSEWHERE: [(&str, &str); 2] = [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")];

/// A TCP address that the daemon listens at.
#[derive(Clone, Copy, Debug)]
pub struct PageAddress {
    /// Whether TLS is spoken there.
    pub https: bool,
    /// The address that was bound.
    pub bound: SocketAddr,
}

impl PageAddress {
    /// As a URL. Nobody can connect to the wildcard address; in its place stands the address that faces the network
    /// now, or this host's name where no route leads out.
    pub fn url(&self) -> String {
        let PageAddress { https, bound } = *self;
        let scheme = if https { "https" } else { "http" };
        let (port, bound) = (bound.port(), bound.ip().to_canonical());
        match if bound.is_unspecified() { facing_the_network(bound) } else { Some(bound) } {
            Some(ip) => format!("{scheme}://{}", SocketAddr::new(ip, port)),
            None => format!("{scheme}://{}:{port}", local_name()),
        }
    }
}

/// The name by which multicast DNS finds this host, which the daemon answers to.
fn local_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    if name.contains('.') || name == "localhost" { name } else { format!("{name}.local") }
}

fn facing_the_network(bound: IpAddr) -> Option<IpAddr> {
    let towards = |(from, to): &(&str, &str)| {
        let socket = UdpSocket::bind(from).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    // IPv6's "every address" takes IPv4 too, and that is what a phone can be told by heart.
    ELSEWHERE.iter().filter_map(towards).find(|ip| !ip.is_unspecified() && (bound.is_ipv6() || ip.is_ipv4()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(bound: &str, https: bool) -> String {
        PageAddress { https, bound: bound.parse().expect("an address") }.url()
    }

    #[test]
    fn a_browser_is_told_an_address_that_it_can_connect_to() {
        assert_eq!(url("127.0.0.1:7867", false), "http://127.0.0.1:7867");
        assert_eq!(url("192.168.0.7:443", true), "https://192.168.0.7:443");
        assert_eq!(url("[fd00::7]:7867", false), "http://[fd00::7]:7867");
        for every in ["0.0.0.0:7867", "[::]:7867", "[::ffff:0.0.0.0]:7867"] {
            let told = url(every, false);
            let address: SocketAddr = told.trim_start_matches("http://").parse().expect(&told);
            assert!(!address.ip().is_unspecified() && address.port() == 7867, "{told}");
        }
    }
}
