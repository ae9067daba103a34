//! Hosts, web origins and networks, as requests and the configuration name them.
//!
//! Strict on purpose: a form that programs could read differently is refused. Names are never resolved.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host without its port: an IP literal, or a name in lower case without a final dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// `127.0.0.1`, or `[::1]` with its brackets.
    Ip(IpAddr),
    /// A valid host name.
    Name(String),
}

impl Host {
    /// Parses a host; `None` when it is empty or has a byte that no host name has.
    pub fn parse(text: &str) -> Option<Host> {
        if let Some(inner) = text.strip_prefix('[') {
            return inner.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(|ip| Host::Ip(ip.into()));
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Some(Host::Ip(ip.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let valid = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        (name.len() <= 253 && name.split('.').all(valid)).then(|| Host::Name(name.to_ascii_lowercase()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Ip(IpAddr::V6(ip)) => write!(out, "[{ip}]"),
            Host::Ip(ip) => ip.fmt(out),
            Host::Name(name) => name.fmt(out),
        }
    }
}

/// A host with an optional port, as in a `Host` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// The host.
    pub host: Host,
    /// The port, if one is named.
    pub port: Option<u16>,
}

impl Authority {
    /// Parses `host` or `host:port`, and nothing else, such as user names or paths.
    pub fn parse(text: &str) -> Option<Authority> {
        let (host, port) = match text.rfind(':') {
            Some(colon) if !text.ends_with(']') => (&text[..colon], &text[colon + 1..]),
            _ => (text, ""),
        };
        let port = match port {
            "" => None,
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse::<u16>().ok()?),
            _ => return None,
        };
        Some(Authority { host: Host::parse(host)?, port })
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(out, "{}:{port}", self.host),
            None => self.host.fmt(out),
        }
    }
}

/// A web origin: scheme, host and port. `null` is not one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    https: bool,
    host: Host,
    port: u16,
}

impl Origin {
    /// The origin of a page on this host and port.
    pub fn of(https: bool, authority: &Authority) -> Origin {
        let port = authority.port.unwrap_or(if https { 443 } else { 80 });
        Origin { https, host: authority.host.clone(), port }
    }

    /// Parses `scheme://host` or `scheme://host:port`, as a browser writes it.
    pub fn parse(text: &str) -> Option<Origin> {
        let (scheme, authority) = text.split_once("://")?;
        let https = match scheme {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        Some(Origin::of(https, &Authority::parse(authority)?))
    }
}

/// A network: an address and the number of its leading bits that count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cidr {
    base: IpAddr,
    bits: u32,
}

impl fmt::Display for Cidr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.base, self.bits)
    }
}

impl Cidr {
    /// Parses `10.0.0.0/8`, `fd00::/8`, or an address alone.
    pub fn parse(text: &str) -> Option<Cidr> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let base: IpAddr = address.parse().ok()?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
            None => most,
        };
        (bits <= most).then_some(Cidr { base, bits })
    }

    /// Whether it has more than 256 IPv4 addresses, or more than one IPv6 /64.
    pub fn is_wide(&self) -> bool {
        self.bits < if self.base.is_ipv4() { 24 } else { 64 }
    }

    /// Whether the address is in it; an IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - self.bits).unwrap_or(0);
                base.to_bits() & mask == other.to_bits() & mask
            }
            (IpAddr::V6(base), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - self.bits).unwrap_or(0);
                base.to_bits() & mask == other.to_bits() & mask
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_strictly() {
        for text in [
            "",
            ".",
            "a..b",
            "a b",
            "good/admin?",
            "a@evil",
            "[::1",
            "::1",
            "[::1%25eth0]",
            "h\u{e9}",
            "a:1:2",
            "a:+1",
            "a:65536",
            "a:x",
        ] {
            assert_eq!(Authority::parse(text), None, "{text:?}");
        }
        let shown = |text: &str| Authority::parse(text).map(|authority| authority.to_string());
        for (text, expected) in [
            ("LOCALHOST:80", "localhost:80"),
            ("nas.local.", "nas.local"),
            ("[::1]:7867", "[::1]:7867"),
            ("[::1]", "[::1]"),
            ("127.0.0.1:", "127.0.0.1"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected));
        }
        assert_eq!(Host::parse("127.1"), Some(Host::Name("127.1".to_owned())));
    }

    #[test]
    fn origins_are_compared_with_their_default_ports() {
        let own = |https, text| Authority::parse(text).map(|authority| Origin::of(https, &authority));
        assert_eq!(Origin::parse("http://LocalHost"), own(false, "localhost:80"));
        assert_eq!(Origin::parse("https://a.example"), own(true, "a.example"));
        assert_ne!(Origin::parse("https://a.example"), own(false, "a.example"));
        for text in ["null", "", "http://", "http://a/", "http://a@b", "ftp://a", "http://a http://b"] {
            assert_eq!(Origin::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn networks_contain_what_they_should() {
        let contains = |network: &str, address: &str| {
            Cidr::parse(network).map(|cidr| cidr.contains(address.parse().expect("an address")))
        };
        assert_eq!(contains("10.0.0.0/8", "10.255.0.1"), Some(true));
        assert_eq!(contains("10.0.0.0/8", "::ffff:10.1.1.1"), Some(true));
        assert_eq!(contains("10.0.0.0/8", "11.0.0.1"), Some(false));
        assert_eq!(contains("127.0.0.1", "127.0.0.2"), Some(false));
        assert_eq!(contains("0.0.0.0/0", "8.8.8.8"), Some(true));
        assert_eq!(contains("fd00::/8", "fdff::1"), Some(true));
        assert_eq!(contains("::/0", "1.2.3.4"), Some(false));
        for text in ["10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+1", "x", "10.0.0.0/", "fd00::/129"] {
            assert_eq!(Cidr::parse(text), None, "{text:?}");
        }
    }
}
