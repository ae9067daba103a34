//! Checks the path of a request: it is routed as it came, or refused.
//!
//! A path that a proxy could read differently than the daemon is refused, never normalised.

use hyper::Uri;

use crate::http::error::Problem;

/// Marks a request whose target had a `#` and more behind it, which is no longer in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment;

/// Path and query.
pub(super) fn as_sent(target: &Uri) -> &str {
    target.path_and_query().map_or("/", |target| target.as_str())
}

/// Looks at the request's target.
///
/// # Errors
/// 400 where it is not a plain path, or one that normalising would change.
pub(super) fn check(target: &Uri) -> Result<(), Problem> {
    let path = target.path();
    if target.scheme().is_some() || target.authority().is_some() || !path.starts_with('/') {
        return Err(Problem::bad_request("the request's target must be a path that starts with /"));
    }
    let bytes = path.as_bytes();
    if bytes.iter().any(|byte| !is_plain(*byte)) {
        return Err(Problem::bad_request("the path holds a character that must be percent-encoded"));
    }
    if path.contains("//") {
        return Err(Problem::bad_request("the path holds an empty segment"));
    }
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%') {
        match bytes.get(at + 1..at + 3).and_then(decoded) {
            Some(byte) if must_be_encoded(byte) => {}
            Some(_) => return Err(Problem::bad_request("the path encodes a character that must not be encoded")),
            None => return Err(Problem::bad_request("the path holds a % that encodes nothing")),
        }
    }
    // Encoded dots were refused above.
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(Problem::bad_request("the path holds a . or .. segment"));
    }
    Ok(())
}

/// What RFC 3986 allows in a path, and the percent sign.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte)
}

/// What cannot stand in a path as it is, and means the same to everybody when it is encoded.
fn must_be_encoded(byte: u8) -> bool {
    let is_unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    !is_unreserved && !byte.is_ascii_control() && !matches!(byte, b'/' | b'\\')
}

fn decoded(digits: &[u8]) -> Option<u8> {
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_that_everybody_reads_alike_is_routed() {
        let status = |target: &str| {
            target.parse::<Uri>().map_or(0, |uri| check(&uri).map_or_else(|problem| problem.status, |()| 200))
        };
        for target in ["/", "/v1/runs", "/v1/runs/42?x=../..%2e", "/v1/queues/a%20b", "/v1/runs/", "/a.b/..c"] {
            assert_eq!(status(target), 200, "{target}");
        }
        for target in [
            "/x/../admin",
            "/x/./y",
            "/..",
            "/x/%2e%2e/admin",
            "/x/.%2E",
            "//x",
            "/x//y",
            "/x\\y",
            "/x%5cy",
            "/x%2fy",
            "/x%00",
            "/x%0a",
            "/x%",
            "/x%4",
            "/x%zz",
            "/x%+1",
            "/%72uns",
            "http://localhost/x",
            "*",
            "/{x}",
            "/x\"",
            "/é",
        ] {
            assert_eq!(status(target), 400, "{target}");
        }
    }
}
