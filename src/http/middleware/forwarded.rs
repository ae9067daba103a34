//! `X-Forwarded-*` of a trusted proxy: the client's address, scheme and host.
//!
//! From any other peer these headers are ignored.

use std::net::IpAddr;

use hyper::http::HeaderMap;

use crate::config::{Authority, Cidr};
use crate::http::error::Problem;

/// The request as the client sent it to the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// The client's address: the first from the right that is no trusted proxy.
    pub address: IpAddr,
    /// Whether it was sent by https.
    pub https: bool,
    /// The host it was sent to, where a proxy says so.
    pub host: Option<Authority>,
    /// Whether the peer is a trusted proxy, or may be one.
    pub is_by_proxy: bool,
}

impl Forwarded {
    /// Reads these headers of a request from `peer`, which came by https or not.
    ///
    /// # Errors
    /// 400 where a trusted proxy names a host that is none.
    pub fn read(headers: &HeaderMap, peer: IpAddr, https: bool, trusted: &[Cidr]) -> Result<Forwarded, Problem> {
        let peer = peer.to_canonical();
        let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
        let mut said = Forwarded { address: peer, https, host: None, is_by_proxy: is_trusted(peer) };
        if !said.is_by_proxy {
            return Ok(said);
        }
        // Each proxy adds the one who spoke to it on the right; what is left of the first stranger is a stranger's word.
        let mut trusted_hops = 0;
        for text in list(headers, "x-forwarded-for").iter().rev() {
            let Some(address) = address(text) else { break };
            said.address = address.to_canonical();
            if !is_trusted(said.address) {
                break;
            }
            trusted_hops += 1;
        }
        said.https = believed(&list(headers, "x-forwarded-proto"), trusted_hops)
            .map_or(https, |scheme| scheme.eq_ignore_ascii_case("https"));
        said.host = match believed(&list(headers, "x-forwarded-host"), trusted_hops) {
            None => None,
            Some(text) => Some(
                Authority::parse(text)
                    .ok_or_else(|| Problem::bad_request("the proxy's X-Forwarded-Host is not a host"))?,
            ),
        };
        Ok(said)
    }
}

/// The entry of the trusted proxy that is farthest away; one that does not add to the list has written the only one.
fn believed<'a>(list: &[&'a str], trusted_hops: usize) -> Option<&'a str> {
    let last = list.len().checked_sub(1)?;
    list.get(last.saturating_sub(trusted_hops)).copied()
}

/// The items of a header that is a list, over all its lines.
fn list<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|item| !item.is_empty()).collect()
}

/// `1.2.3.4`, `1.2.3.4:5`, `::1` or `[::1]:5`.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(with_port).or_else(in_brackets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(peer: &str, pairs: &[(&'static str, &str)]) -> Forwarded {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().expect("a value"));
        }
        let trusted = [Cidr::parse("10.0.0.0/8").expect("a network"), Cidr::parse("::1").expect("an address")];
        Forwarded::read(&headers, peer.parse().expect("an address"), false, &trusted).expect("read")
    }

    #[test]
    fn strangers_are_not_believed() {
        let said = read(
            "1.2.3.4",
            &[("x-forwarded-for", "9.9.9.9"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "evil")],
        );
        let address = "1.2.3.4".parse().expect("an address");
        assert_eq!(said, Forwarded { address, https: false, host: None, is_by_proxy: false });
    }

    #[test]
    fn the_list_is_walked_from_the_right_to_the_first_stranger() {
        let address = |list: &str| read("10.0.0.1", &[("x-forwarded-for", list)]).address.to_string();
        assert_eq!(address("6.6.6.6, 9.9.9.9, 10.0.0.2"), "9.9.9.9");
        assert_eq!(address("9.9.9.9:123"), "9.9.9.9");
        assert_eq!(address("junk, 10.0.0.3"), "10.0.0.3");
        assert_eq!(address("[2001:db8::1]:5"), "2001:db8::1");
        assert_eq!(address(""), "10.0.0.1");
    }

    #[test]
    fn scheme_and_host_are_those_of_the_farthest_trusted_proxy() {
        let pairs = [
            ("x-forwarded-for", "9.9.9.9, 10.0.0.2"),
            ("x-forwarded-proto", "ftp, https, http"),
            ("x-forwarded-host", "a.example:8443"),
        ];
        let said = read("10.0.0.1", &pairs);
        assert!(said.https);
        assert_eq!(said.host.map(|host| host.to_string()).as_deref(), Some("a.example:8443"));
        assert!(!read("10.0.0.1", &[("x-forwarded-proto", "https, http")]).https);
    }
}
