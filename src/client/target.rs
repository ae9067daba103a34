//! Where a daemon is: its socket, or an address on a network with what that takes.
//!
//! Nothing is looked up in the environment or in a file here, and nothing is connected.

use std::fmt;
use std::path::PathBuf;

use hyper::Uri;

use super::failure::Failure;
use crate::tls::NO_TLS;

/// A daemon's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Its Unix socket: same machine, no token.
    Socket {
        /// Where it is.
        path: PathBuf,
        /// The command line that would start a daemon there.
        start: String,
    },
    /// HTTP over TCP.
    Network(Address),
}

/// A daemon on a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Whether it is by TLS.
    pub https: bool,
    /// Whom to believe instead of the system's authorities: the path of their certificates.
    pub ca: Option<PathBuf>,
    /// Name or IP, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// `Host` as it is sent.
    pub authority: String,
    /// What a proxy in between wants in front of every path; empty, or `/…` without an end slash.
    pub prefix: String,
    /// The session's token.
    pub token: Option<String>,
}

impl Target {
    /// Whether it is on a network, without TLS.
    pub fn is_plain(&self) -> bool {
        matches!(self, Target::Network(Address { https: false, .. }))
    }

    /// The same place with this token.
    pub fn with_token(self, token: String) -> Target {
        match self {
            Target::Network(address) => Target::Network(Address { token: Some(token), ..address }),
            socket => socket,
        }
    }

    /// Whether it is on this machine, so that the caller's directory and `PATH` mean something to it.
    pub fn is_local(&self) -> bool {
        matches!(self, Target::Socket { .. })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Socket { path, .. } => path.display().fmt(out),
            Target::Network(Address { https, authority, prefix, .. }) => {
                write!(out, "{}://{authority}{prefix}", if *https { "https" } else { "http" })
            }
        }
    }
}

/// Reads `http://HOST[:PORT][/PREFIX]`, `HOST:PORT` or `unix:PATH`; `source` is where it stood.
pub fn parse(url: &str, source: &str) -> Result<Target, Failure> {
    let wrong = |why: &str| Failure::Usage(format!("{source}: {url:?}: {why}"));
    if let Some(path) = url.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') {
            return Err(wrong("after unix: comes an absolute path"));
        }
        return Ok(Target::Socket { path: path.into(), start: "runabout serve".to_owned() });
    }
    if url.starts_with("https:") && !cfg!(feature = "tls") {
        return Err(wrong(NO_TLS));
    }
    let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let forms = "it must be http://HOST:PORT, https://HOST:PORT or unix:PATH";
    let uri: Uri = full.parse().map_err(|_| wrong(forms))?;
    let (https, authority) = match (uri.scheme_str(), uri.authority()) {
        (Some(scheme @ ("http" | "https")), Some(authority)) if !authority.host().is_empty() => {
            (scheme == "https", authority)
        }
        _ => return Err(wrong(forms)),
    };
    if authority.as_str().contains('@') {
        return Err(wrong("a token goes into RUNABOUT_TOKEN, not into the URL"));
    }
    if uri.query().is_some() || url.contains('#') {
        return Err(wrong("it must end with the path"));
    }
    let port = match authority.as_str().strip_prefix(authority.host()) {
        Some("") | None if https => 443,
        Some("") | None => 80,
        Some(port) => port.trim_start_matches(':').parse().map_err(|_| wrong("its port is not one"))?,
    };
    Ok(Target::Network(Address {
        https,
        ca: None,
        host: authority.host().trim_start_matches('[').trim_end_matches(']').to_owned(),
        port,
        authority: authority.as_str().to_owned(),
        prefix: uri.path().trim_end_matches('/').to_owned(),
        token: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_curl_reads_them() {
        let address = |url: &str| match parse(url, "--url").expect(url) {
            Target::Network(address) => (address.host, address.port, address.prefix),
            Target::Socket { path, .. } => (path.display().to_string(), 0, String::new()),
        };
        assert_eq!(address("http://pi.local:7867/"), ("pi.local".to_owned(), 7867, String::new()));
        assert_eq!(address("pi:7867"), ("pi".to_owned(), 7867, String::new()));
        assert_eq!(address("http://[::1]:7867/run/about/"), ("::1".to_owned(), 7867, "/run/about".to_owned()));
        assert_eq!(address("http://pi"), ("pi".to_owned(), 80, String::new()));
        assert_eq!(address("unix:/a/b.sock").0, "/a/b.sock");
        assert_eq!(address("unix:///a/b.sock").0, "/a/b.sock");
        for wrong in ["", "ftp://pi", "http://u:p@pi", "http://pi/?a=1", "http://pi:99999", "unix:a", "/"] {
            assert!(parse(wrong, "--url").is_err(), "{wrong:?}");
        }
        assert_eq!(parse("https://pi", "--url").is_ok(), cfg!(feature = "tls"));
    }
}
