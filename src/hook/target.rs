//! The target of a hook, read once as browsers read it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::{Host, Url};

/// The longest, in characters.
pub const TARGET_CHARS_MAX: usize = 2_048;

/// Where a hook posts to. Shown without what may be a secret: path, query and credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// Whether by TLS.
    pub https: bool,
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// `Host` as it is sent.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// `Authorization`, where the URL has a user.
    pub authorization: Option<String>,
}

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is allowed, for people; the text itself is not repeated.
    pub fn parse(text: &str) -> Result<Target, String> {
        const FORM: &str = "must be a URL like https://HOST/PATH or http://HOST:PORT/PATH";
        if text.chars().count() > TARGET_CHARS_MAX {
            return Err(format!("must have at most {TARGET_CHARS_MAX} characters"));
        }
        // The library leaves these out in silence.
        if text.chars().any(|char| char.is_whitespace() || char.is_control()) {
            return Err(format!("{FORM}, without spaces"));
        }
        let url = Url::parse(text).map_err(|why| format!("{FORM}: {why}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FORM.to_owned());
        }
        if url.fragment().is_some() {
            return Err(format!("{FORM}; what stands behind # is never sent"));
        }
        let https = url.scheme() == "https";
        let (host, shown) = match url.host() {
            Some(Host::Ipv6(address)) => (address.to_string(), format!("[{address}]")),
            Some(host) if !host.to_string().is_empty() => (host.to_string(), host.to_string()),
            _ => return Err(FORM.to_owned()),
        };
        let port = url.port_or_known_default().filter(|port| *port > 0).ok_or(FORM)?;
        let is_usual = port == if https { 443 } else { 80 };
        let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let has_user = !url.username().is_empty() || url.password().is_some();
        let user = || format!("{}:{}", decoded(url.username()), decoded(url.password().unwrap_or_default()));
        Ok(Target {
            https,
            host,
            port,
            authority: if is_usual { shown } else { format!("{shown}:{port}") },
            path,
            authorization: has_user.then(|| format!("Basic {}", STANDARD.encode(user()))),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}", if self.https { "https" } else { "http" }, self.authority)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Target({self}/…)")
    }
}

/// What is percent-encoded in a user or a password, as the characters that were meant.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_as_a_browser_reads_it() {
        let read = |text: &str| {
            let target = Target::parse(text).expect(text);
            (target.to_string(), target.host, target.port, target.path)
        };
        let told =
            |shown: &str, host: &str, port, path: &str| (shown.to_owned(), host.to_owned(), port, path.to_owned());
        assert_eq!(read("https://a.example"), told("https://a.example", "a.example", 443, "/"));
        assert_eq!(read("http://A.example:80/x?y=z"), told("http://a.example", "a.example", 80, "/x?y=z"));
        assert_eq!(
            read("http://[::1]:8123/api/webhook/s3cret"),
            told("http://[::1]:8123", "::1", 8123, "/api/webhook/s3cret")
        );
        assert_eq!(
            read("https://bücher.example/ü"),
            told("https://xn--bcher-kva.example", "xn--bcher-kva.example", 443, "/%C3%BC")
        );
        // What browsers take for an address is one.
        assert_eq!(read("http://0x7f.1/").1, "127.0.0.1");
        let with_user = Target::parse("https://me:p%40ss@a.example/").expect("it is one");
        assert_eq!(with_user.authorization.as_deref(), Some("Basic bWU6cEBzcw=="));
        assert!(!format!("{with_user:?} {with_user}").contains("ss"), "no credentials are shown");
        for wrong in
            ["", "a", "ftp://a/", "http://", "http://a b/", "http://a/\nb", "http://a/#b", "http://a:0/", "unix:/a"]
        {
            assert!(Target::parse(wrong).is_err(), "{wrong:?}");
        }
        assert!(Target::parse(&format!("http://a/{}", "x".repeat(TARGET_CHARS_MAX))).is_err());
    }
}
