//! What an answer means: taken, not taken and why, and when its sender wants to be asked again.

use hyper::header::{HeaderMap, LOCATION, RETRY_AFTER};
use hyper::{StatusCode, Version};

use crate::clock::UnixMs;
use crate::hook::Attempt;

/// Characters of an answer's body that are repeated to people.
const BODY_CHARS_SHOWN: usize = 200;

/// Reads an answer. Its body is what of it came in time, of a taken one nothing.
pub fn read(status: StatusCode, headers: &HeaderMap, body: &[u8], now: UnixMs) -> Attempt {
    let response_status = Some(status.as_u16());
    if status.is_success() {
        return Attempt { response_status, retry_after_s: None, error: None };
    }
    let mut error = format!("it answered {status}");
    if status.is_redirection() && headers.contains_key(LOCATION) {
        // Nor is it shown: it may hold what the URL holds.
        error.push_str(", a redirect, and none is followed: name the place itself");
    }
    let said: String = String::from_utf8_lossy(body).trim().chars().take(BODY_CHARS_SHOWN).collect();
    if !said.is_empty() {
        error.push_str(": ");
        error.push_str(&said);
    }
    let wait = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    Attempt { response_status, retry_after_s: wait.and_then(|wait| seconds(wait.trim(), now)), error: Some(error) }
}

/// `Retry-After` in seconds: a number, or a time of HTTP.
fn seconds(wait: &str, now: UnixMs) -> Option<i64> {
    if let Ok(seconds) = wait.parse::<i64>() {
        return Some(seconds);
    }
    let at = jiff::fmt::rfc2822::parse(wait).ok()?;
    Some((at.timestamp().as_millisecond() - now.0).div_euclid(1_000) + 1)
}

/// Of an answer that did not come.
pub fn failed(error: impl Into<String>) -> Attempt {
    Attempt { response_status: None, retry_after_s: None, error: Some(error.into()) }
}

/// Whether another request may follow on the same connection.
pub fn may_follow(version: Version, headers: &HeaderMap) -> bool {
    let closes = headers.get_all(hyper::header::CONNECTION).iter().any(|value| {
        value.to_str().is_ok_and(|value| value.split(',').any(|word| word.trim().eq_ignore_ascii_case("close")))
    });
    version == Version::HTTP_11 && !closes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whether_it_was_taken_and_when_to_come_again() {
        let now = UnixMs(784_111_777_000);
        let answer = |status: u16, header: Option<&str>, body: &[u8]| {
            let mut headers = HeaderMap::new();
            header.into_iter().for_each(|value| drop(headers.insert(RETRY_AFTER, value.parse().expect("it is one"))));
            read(StatusCode::from_u16(status).expect("it is one"), &headers, body, now)
        };
        assert!(answer(204, None, b"").is_delivered() && answer(200, Some("9"), b"x").is_delivered());
        assert!(answer(410, None, b"").is_gone() && !answer(404, None, b"").is_gone());
        assert_eq!(answer(503, Some("120"), b"").retry_after_s, Some(120));
        assert_eq!(answer(429, Some("Sun, 06 Nov 1994 08:50:37 GMT"), b"").retry_after_s, Some(61));
        assert_eq!(answer(429, Some("soon"), b"").retry_after_s, None);
        let error = answer(500, None, "\u{fc}\nx".repeat(1_000).as_bytes()).error.expect("it is one");
        assert!(
            error.starts_with("it answered 500 Internal Server Error: ü") && error.chars().count() < 300,
            "{error}"
        );
    }
}
