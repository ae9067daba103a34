//! Which web pages may use the daemon: its own, and those of `allowed_origins`.
//!
//! `null` is never one of them. Without that list there are no CORS headers at all.

use hyper::Method;
use hyper::http::header::{ORIGIN, UPGRADE};
use hyper::http::request::Parts;

use crate::config::{Authority, Origin};
use crate::http::error::Problem;
use crate::http::head::once;

/// The origin of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// No `Origin`: not sent by a page, or by one that does not say so.
    Nowhere,
    /// A page of the daemon itself.
    Own,
    /// A page of `allowed_origins`; the header's text, for the answer.
    Allowed(String),
    /// Any other page, `null` among them.
    Foreign,
}

/// Methods that a page of an allowed origin may use.
pub const CORS_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// Headers that it may send.
pub const CORS_HEADERS: &str = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID";
/// Headers of the answer that it may read.
pub const CORS_EXPOSED: &str = "Location, Retry-After";

/// The origin of a request to the host `own`, which came by https or not.
///
/// # Errors
/// 400 where `Origin` came twice or is not ASCII.
pub fn of(parts: &Parts, https: bool, own: Option<&Authority>, allowed: &[Origin]) -> Result<From, Problem> {
    let Some(text) = once(&parts.headers, &ORIGIN)? else { return Ok(From::Nowhere) };
    let Some(origin) = Origin::parse(text) else { return Ok(From::Foreign) };
    if own.is_some_and(|own| Origin::of(https, own) == origin) {
        return Ok(From::Own);
    }
    Ok(if allowed.contains(&origin) { From::Allowed(text.to_owned()) } else { From::Foreign })
}

/// Whether a page must not make this request unless its origin may use the daemon.
pub fn is_guarded(parts: &Parts) -> bool {
    parts.headers.contains_key(UPGRADE) || ![Method::GET, Method::HEAD, Method::OPTIONS].contains(&parts.method)
}

/// The refusal.
pub fn refusal() -> Problem {
    Problem::origin_not_allowed(
        "a web page of another origin may not do this: add its origin to allowed_origins in [access] of the daemon's configuration",
    )
}

/// The refusal of a request that has a cookie but no `Origin`.
pub fn refusal_of_cookie() -> Problem {
    Problem::origin_not_allowed(
        "with the cookie alone this needs an Origin header: browsers send it, others give a bearer token",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(origin: &str, https: bool, own: &str) -> From {
        let request = hyper::Request::builder().header("origin", origin).body(()).expect("a request");
        let allowed = [Origin::parse("https://panel.example").expect("an origin")];
        of(&request.into_parts().0, https, Authority::parse(own).as_ref(), &allowed).expect("read")
    }

    #[test]
    fn an_origin_is_its_own_only_exactly() {
        assert_eq!(from("http://localhost:7867", false, "localhost:7867"), From::Own);
        assert_eq!(from("https://nas.example", true, "nas.example"), From::Own);
        assert_eq!(from("https://panel.example", false, "x"), From::Allowed("https://panel.example".to_owned()));
        for origin in [
            "null",
            "http://localhost",
            "https://localhost:7867",
            "http://127.0.0.1:7867",
            "http://localhost:7867.evil",
            "http://evil@localhost:7867",
            "",
        ] {
            assert_eq!(from(origin, false, "localhost:7867"), From::Foreign, "{origin}");
        }
    }
}
