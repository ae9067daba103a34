//! The request headers that handlers may need, as they came and checked when they are read. All others are out of reach.
//!
//! A value that is not visible ASCII, or a header that came twice, never reaches a handler: it gets a 400 to answer with.

use hyper::http::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::http::error::Problem;

/// The headers of one request, stored in the extensions of tide's request. It shows those that a handler has reason to
/// read; never a token.
#[derive(Default)]
pub struct Head {
    headers: HeaderMap,
    /// Whether the request can be upgraded at all: GET, HTTP/1.1, an `Upgrade` header and no body.
    upgradable: bool,
}

impl Head {
    /// The head with these headers.
    pub fn of(headers: HeaderMap, upgradable: bool) -> Head {
        Head { headers, upgradable }
    }

    /// `Accept`.
    ///
    /// # Errors
    /// 400 where it is not visible ASCII or came twice; so with all of these.
    pub fn accept(&self) -> Result<Option<&str>, Problem> {
        once(&self.headers, &ACCEPT)
    }

    /// `Accept-Encoding`.
    ///
    /// # Errors
    /// See [`Head::accept`].
    pub fn accept_encoding(&self) -> Result<Option<&str>, Problem> {
        once(&self.headers, &ACCEPT_ENCODING)
    }

    /// `Content-Type`.
    ///
    /// # Errors
    /// See [`Head::accept`].
    pub fn content_type(&self) -> Result<Option<&str>, Problem> {
        once(&self.headers, &CONTENT_TYPE)
    }

    /// `If-Match`.
    ///
    /// # Errors
    /// See [`Head::accept`].
    pub fn if_match(&self) -> Result<Option<&str>, Problem> {
        once(&self.headers, &IF_MATCH)
    }

    /// `If-None-Match`.
    ///
    /// # Errors
    /// See [`Head::accept`].
    pub fn if_none_match(&self) -> Result<Option<&str>, Problem> {
        once(&self.headers, &IF_NONE_MATCH)
    }

    /// Whether `If-None-Match` names this entity tag. It is compared weakly, by RFC 9110 13.1.2.
    ///
    /// # Errors
    /// See [`Head::accept`].
    pub fn knows(&self, tag: &str) -> Result<bool, Problem> {
        let mut tags = self.if_none_match()?.unwrap_or_default().split(',').map(str::trim);
        Ok(tags.any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == tag))
    }

    /// `Range`.
    ///
    /// # Errors
    /// See [`Head::accept`].
    pub fn range(&self) -> Result<Option<&str>, Problem> {
        once(&self.headers, &RANGE)
    }

    /// `If-Range`.
    ///
    /// # Errors
    /// See [`Head::accept`].
    pub fn if_range(&self) -> Result<Option<&str>, Problem> {
        once(&self.headers, &IF_RANGE)
    }

    /// `Idempotency-Key`.
    ///
    /// # Errors
    /// See [`Head::accept`].
    pub fn idempotency_key(&self) -> Result<Option<&str>, Problem> {
        once(&self.headers, &HeaderName::from_static("idempotency-key"))
    }

    /// `Last-Event-ID`.
    ///
    /// # Errors
    /// See [`Head::accept`].
    pub fn last_event_id(&self) -> Result<Option<&str>, Problem> {
        once(&self.headers, &HeaderName::from_static("last-event-id"))
    }

    /// Whether a WebSocket is asked for, by a request that can become one.
    ///
    /// # Errors
    /// See [`Head::accept`].
    pub fn wants_websocket(&self) -> Result<bool, Problem> {
        let upgrade = once(&self.headers, &UPGRADE)?;
        let connection = self.headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
        let connection = connection.flat_map(|value| value.split(','));
        let is_upgrade = connection.into_iter().any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
        let is_websocket =
            upgrade.is_some_and(|value| value.split(',').any(|token| token.trim().eq_ignore_ascii_case("websocket")));
        Ok(self.upgradable && is_upgrade && is_websocket)
    }

    /// `Sec-WebSocket-Key`.
    ///
    /// # Errors
    /// See [`Head::accept`].
    pub fn websocket_key(&self) -> Result<Option<&str>, Problem> {
        once(&self.headers, &SEC_WEBSOCKET_KEY)
    }

    /// `Sec-WebSocket-Version`.
    ///
    /// # Errors
    /// See [`Head::accept`].
    pub fn websocket_version(&self) -> Result<Option<&str>, Problem> {
        once(&self.headers, &SEC_WEBSOCKET_VERSION)
    }

    /// `Sec-WebSocket-Protocol`: the list of subprotocols asked for.
    ///
    /// # Errors
    /// See [`Head::accept`].
    pub fn websocket_protocol(&self) -> Result<Option<&str>, Problem> {
        once(&self.headers, &SEC_WEBSOCKET_PROTOCOL)
    }
}

/// The value of a header that may come once.
///
/// # Errors
/// 400 where it came more often, or has bytes other than visible ASCII, space and tab.
pub fn once<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => visible(name, value).map(Some),
        _ => Err(Problem::bad_request(format!("the header {name} came more than once"))),
    }
}

fn visible<'a>(name: &HeaderName, value: &'a HeaderValue) -> Result<&'a str, Problem> {
    value
        .to_str()
        .map_err(|_| Problem::bad_request(format!("the header {name} holds bytes that are not visible ASCII")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(pairs: &[(&'static str, &[u8])]) -> Head {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value).expect("a value"));
        }
        Head::of(headers, true)
    }

    #[test]
    fn a_header_is_judged_when_it_is_asked_for() {
        let head = head(&[
            ("idempotency-key", "é".as_bytes()),
            ("accept", b"a"),
            ("accept", b"b"),
            ("content-type", b"application/json"),
        ]);
        assert_eq!(head.content_type(), Ok(Some("application/json")));
        assert_eq!(head.last_event_id(), Ok(None));
        assert_eq!(head.accept().map_err(|problem| problem.code), Err("bad_request"));
        assert_eq!(head.idempotency_key().map_err(|problem| problem.code), Err("bad_request"));
    }

    #[test]
    fn a_tag_is_found_in_a_list() {
        let knows = |list: &'static str| head(&[("if-none-match", list.as_bytes())]).knows("\"a\"");
        assert!(["\"a\"", "\"b\", W/\"a\"", "*"].into_iter().all(|list| knows(list) == Ok(true)));
        assert!(["\"b\"", "a", ""].into_iter().all(|list| knows(list) == Ok(false)));
    }

    #[test]
    fn a_websocket_is_asked_for_in_two_headers() {
        let asks = |pairs: &[(&'static str, &[u8])]| head(pairs).wants_websocket();
        assert_eq!(asks(&[("upgrade", b"WebSocket"), ("connection", b"keep-alive, Upgrade")]), Ok(true));
        assert_eq!(asks(&[("upgrade", b"h2c"), ("connection", b"Upgrade")]), Ok(false));
        assert_eq!(asks(&[("upgrade", b"websocket")]), Ok(false));
    }
}
