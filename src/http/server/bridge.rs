//! Converts hyper's requests to tide's and the answers back. What tide's request type would misread, or panic on, is
//! refused before.
//!
//! No handler runs before the gate has decided, none takes the daemon down, and one whose client has gone is dropped.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_lite::FutureExt;
use hyper::body::{Body as _, Incoming};
use hyper::http::header::{self, HeaderMap, TRANSFER_ENCODING, UPGRADE};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Version};

use super::reply::{self, Reply};
use super::target::{self, Fragment};
use crate::config::Limits;
use crate::http::body::Body;
use crate::http::error::Problem;
use crate::http::head::Head;
use crate::http::middleware::{Admission, Entry, Gate, Source, origin};

/// Longest body of a request without a token, in bytes: an enrollment token and a name.
const STRANGERS_BODY_BYTES_MAX: usize = 16 * 1_024;

/// The route that answered, set in the extensions of tide's response by the route table: never a path that a client made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteLabel(pub &'static str);

/// Called for every answer with the route's label (`none` without a route) and the status.
pub type Observer = Arc<dyn Fn(&'static str, u16) + Send + Sync>;

/// Everything that a connection needs to answer requests.
pub struct Site<S> {
    /// The routes.
    pub app: tide::Server<S>,
    /// The gate.
    pub gate: Gate,
    /// Limits of a request.
    pub limits: Limits,
    /// Counts the answers.
    pub observer: Observer,
}

impl<S: Clone + Send + Sync + 'static> Site<S> {
    /// The answer to one request.
    pub(super) async fn answer(&self, source: &Source, request: Request<Incoming>) -> Response<Reply> {
        let answered = AssertUnwindSafe(self.answer_or_panic(source, request)).catch_unwind().await;
        let (label, response) = answered.unwrap_or_else(|panic| {
            log::error!("a handler panicked: {}", message(panic.as_ref()));
            let mut response = reply::problem(&Problem::internal("a fault of the daemon; its log says more"));
            // What it left of the request is unknown.
            reply::set(response.headers_mut(), header::CONNECTION, "close");
            (None, response)
        });
        (self.observer)(label.map_or("none", |RouteLabel(label)| label), response.status().as_u16());
        finished(response)
    }

    async fn answer_or_panic(
        &self,
        source: &Source,
        mut request: Request<Incoming>,
    ) -> (Option<RouteLabel>, Response<Reply>) {
        let on_upgrade = is_upgradable(&request).then(|| hyper::upgrade::on(&mut request));
        let (mut parts, incoming) = request.into_parts();
        let body_within = Duration::from_secs(self.limits.body_s);
        let body = Body::new(incoming, &parts.headers, self.limits.body_bytes, body_within);
        let ended = body.ended();
        let Admission { peer, readable_by, set_cookie, outcome } = self.gate.admit(source, &parts).await;
        let (label, mut response) = match outcome {
            Err(refusal) => (None, reply::problem(&refusal)),
            Ok(Entry::Preflight) => (None, preflight()),
            Ok(Entry::Request(identity)) => match crossing(&parts) {
                Err(refusal) => (None, reply::problem(&refusal)),
                Ok(mut crossing) => {
                    let extensions = crossing.ext_mut();
                    extensions.insert(Head::of(std::mem::take(&mut parts.headers), on_upgrade.is_some()));
                    let is_stranger = identity.is_none();
                    extensions.insert(if is_stranger { body.of_a_stranger(STRANGERS_BODY_BYTES_MAX) } else { body });
                    extensions.insert(peer);
                    if let Some((identity, grant)) = identity {
                        extensions.insert(identity);
                        extensions.insert(grant);
                    }
                    if let Some(on_upgrade) = on_upgrade {
                        extensions.insert(on_upgrade);
                    }
                    self.ask(crossing, &parts).await
                }
            },
        };
        let headers = response.headers_mut();
        if let Some(origin) = readable_by {
            may_read(headers, &origin);
        }
        if let Some(cookie) = set_cookie.filter(|_| !headers.contains_key(header::SET_COOKIE)) {
            reply::set(headers, header::SET_COOKIE, &cookie);
        }
        if !ended.load(Ordering::Relaxed) {
            // What is left of the body must not be read as the next request.
            reply::set(headers, header::CONNECTION, "close");
        }
        (label, response)
    }

    async fn ask(&self, crossing: tide::http::Request, parts: &Parts) -> (Option<RouteLabel>, Response<Reply>) {
        let is_upgradable = crossing.ext().get::<hyper::upgrade::OnUpgrade>().is_some();
        // A tide server answers; it has no errors of its own.
        let answer: tide::http::Response = match self.app.respond(crossing).await {
            Ok(answer) => answer,
            Err(error) => tide::http::Response::new(error.status()),
        };
        let label = answer.ext().get::<RouteLabel>().copied();
        let mut answered = reply::from_tide(answer, parts.method == Method::HEAD);
        if matches!(&answered, Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS && !is_upgradable) {
            answered = Err(Problem::internal("an upgrade that nobody asked for"));
        }
        let response = answered.unwrap_or_else(|problem| {
            if problem.status >= 500 {
                log::error!("{} of {}: {}", problem.status, label.map_or("none", |label| label.0), problem.detail);
            }
            reply::problem(&problem)
        });
        (label, response)
    }
}

/// Whether the request can become something else than HTTP: a body would lie between the two.
fn is_upgradable(request: &Request<Incoming>) -> bool {
    request.headers().contains_key(UPGRADE)
        && request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && request.body().is_end_stream()
}

/// The request as tide sees it: a constant authority, the path as it came, and no header.
fn crossing(parts: &Parts) -> Result<tide::http::Request, Problem> {
    if parts.extensions.get::<Fragment>().is_some() {
        return Err(Problem::bad_request("the target holds a #, which is never sent; percent-encode it as %23"));
    }
    target::check(&parts.uri)?;
    check_transfer_encoding(&parts.headers)?;
    let url = tide::http::Url::parse(&format!("http://runabout{}", target::as_sent(&parts.uri)));
    match url {
        Ok(url) if url.path() == parts.uri.path() => Ok(tide::http::Request::new(method(&parts.method), url)),
        _ => Err(Problem::bad_request("the path is not one that everybody reads alike")),
    }
}

/// hyper takes any list that ends in `chunked`; what else is in it would be decoded by nobody.
fn check_transfer_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if only.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Problem::bad_request("of the transfer encodings only chunked is read here")),
    }
}

/// HEAD is GET without the body; what no route can take becomes a method that none takes.
fn method(method: &Method) -> tide::http::Method {
    use tide::http::Method as Tide;
    match *method {
        Method::GET | Method::HEAD => Tide::Get,
        Method::POST => Tide::Post,
        Method::PUT => Tide::Put,
        Method::PATCH => Tide::Patch,
        Method::DELETE => Tide::Delete,
        Method::OPTIONS => Tide::Options,
        _ => Tide::Unlink,
    }
}

fn preflight() -> Response<Reply> {
    let mut response = Response::new(Reply::whole(hyper::body::Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    reply::set(response.headers_mut(), header::ACCESS_CONTROL_ALLOW_METHODS, origin::CORS_METHODS);
    reply::set(response.headers_mut(), header::ACCESS_CONTROL_ALLOW_HEADERS, origin::CORS_HEADERS);
    response
}

/// Adds the headers that let a page of this origin read the answer.
fn may_read(headers: &mut HeaderMap, origin: &str) {
    reply::set(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    reply::set(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, origin::CORS_EXPOSED);
    reply::set(headers, header::VARY, "Origin");
}

fn finished(mut response: Response<Reply>) -> Response<Reply> {
    reply::finish(response.headers_mut());
    response
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
