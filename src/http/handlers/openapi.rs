//! `/openapi.json`: the reference of this API, OpenAPI 3.1, written by hand in `src/http/openapi.json`.
//!
//! Open to everybody: of this daemon it tells only the version.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};
use tide::{Response, StatusCode};

use crate::http::app::{Answer, Request, head, no_query, raw_json};

/// The document and its entity tag.
struct Document {
    text: String,
    etag: String,
}

/// Made on the first request, and then kept.
static DOCUMENT: LazyLock<Document> = LazyLock::new(|| {
    let version = concat!("\"version\": \"", env!("CARGO_PKG_VERSION"), "\"");
    let text = include_str!("../openapi.json").replacen("\"version\": \"0.0.0\"", version, 1);
    let digits: String = Sha256::digest(&text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Document { text, etag: format!("\"{digits}\"") }
});

/// `GET /openapi.json`
pub async fn read(request: Request) -> Answer {
    no_query(&request)?;
    let Document { text, etag } = &*DOCUMENT;
    let is_known = head(&request)?.knows(etag)?;
    let mut response =
        if is_known { Response::new(StatusCode::NotModified) } else { raw_json(StatusCode::Ok, text.clone()) };
    response.insert_header("etag", etag);
    response.insert_header("cache-control", "no-cache");
    Ok(response)
}
