//! The web page: static files, embedded in the binary and served to everybody. `build/page.rs` makes them, of the sources
//! that lie here, when the binary is built.
//!
//! The page is a client of the public API. No file is generated for a request or depends on who asks, and none is
//! loaded from elsewhere. `POLICY` bounds what the page may do in a browser.

use std::io::Read as _;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::read::GzDecoder;
use sha2::{Digest as _, Sha256};
use tide::{Body, Response, StatusCode};

use super::accept::ranges;
use super::app::{Answer, Request, head};
use crate::http::error::Problem;

/// What the page may do: its own scripts and styles, its own daemon, nothing inline but the line that sets light or dark
/// before anything is drawn, nobody's frame, and no text that is made into markup but by the one library that makes it of
/// the page's own templates.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let inline = include_str!("index.html").split_once("<script>").and_then(|(_, rest)| rest.split_once("</script>"));
    let hash = BASE64.encode(Sha256::digest(inline.map_or("", |(script, _)| script)));
    format!(
        "default-src 'none'; script-src 'self' 'sha256-{hash}'; style-src 'self'; connect-src 'self'; \
         img-src 'self' data:; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types lit-html"
    )
});

/// For a file whose name holds the hash of its text: a browser keeps it and does not ask again.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// One file of the page.
pub struct File {
    /// Its path.
    pub path: &'static str,
    content_type: &'static str,
    /// The hash of what it says.
    tag: &'static str,
    bytes: &'static [u8],
    /// Whether `bytes` are compressed with gzip.
    is_packed: bool,
    /// Bytes of what it says.
    length: usize,
    /// Whether its path changes with what it says.
    is_hashed: bool,
}

include!(concat!(env!("OUT_DIR"), "/page.rs"));

impl File {
    /// What it says.
    fn unpacked(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.length);
        // What was packed when this binary was built can be unpacked.
        if !self.is_packed || GzDecoder::new(self.bytes).read_to_end(&mut text).is_err() {
            return self.bytes.to_vec();
        }
        text
    }
}

/// Whether the path is a file of the page.
pub fn is_file(path: &str) -> bool {
    FILES.iter().any(|file| file.path == path)
}

/// `GET /` and `GET /page/*`. A browser keeps each file. Those without a hash in their path it asks for again, if only
/// whether they are still the same: an open page and a newer daemon never mix.
pub async fn read(request: Request) -> Answer {
    let path = request.url().path();
    let file = FILES.iter().find(|file| file.path == path);
    let file = file.ok_or_else(|| Problem::not_found(format!("there is nothing at {path}")))?;
    let head = head(&request)?;
    let is_packed = file.is_packed && takes_gzip(head.accept_encoding()?.unwrap_or_default());
    // Two forms of one text have a tag each.
    let [plain, packed] = ["", "-gz"].map(|form| format!("\"{}{form}\"", file.tag));
    let is_known = head.knows(&plain)? || head.knows(&packed)?;
    let mut response = Response::new(if is_known { StatusCode::NotModified } else { StatusCode::Ok });
    if !is_known {
        response.set_body(Body::from_bytes(if is_packed { file.bytes.to_vec() } else { file.unpacked() }));
    }
    if is_packed && !is_known {
        response.insert_header("content-encoding", "gzip");
    }
    if file.is_packed {
        response.insert_header("vary", "Accept-Encoding");
    }
    response.insert_header("content-type", file.content_type);
    response.insert_header("etag", if is_packed { packed } else { plain });
    response.insert_header("cache-control", if file.is_hashed { FOR_EVER } else { "no-cache" });
    response.insert_header("content-security-policy", POLICY.as_str());
    Ok(response)
}

/// Whether `Accept-Encoding` names gzip, or everything, and not with a weight of 0 (RFC 9110, 12.5.3). Who says nothing gets
/// the text as it is.
fn takes_gzip(accepted: &str) -> bool {
    let weight_of = |coding: &str| ranges(accepted).find(|(name, _)| name.eq_ignore_ascii_case(coding));
    let weight = weight_of("gzip").or_else(|| weight_of("x-gzip")).or_else(|| weight_of("*"));
    weight.is_some_and(|(_, weight)| weight > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_can_be_unpacked() {
        for file in FILES {
            assert_eq!(file.unpacked().len(), file.length, "{}", file.path);
        }
    }

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
        for accepted in ["gzip, deflate, br", "GZIP", "*", "br;q=1.0, gzip;q=0.1, *;q=0", "x-gzip", "identity, *;q=0.5"]
        {
            assert!(takes_gzip(accepted), "{accepted}");
        }
        for accepted in ["", "identity", "br", "gzip;q=0", "gzip;q=0, *", "*;q=0", "deflate"] {
            assert!(!takes_gzip(accepted), "{accepted}");
        }
    }
}
