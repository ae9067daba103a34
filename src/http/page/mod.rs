//! The web page: static files, embedded in the binary and served to everybody.
//!
//! The page is a client of the public API. No file is generated for a request or depends on who asks, and none is
//! loaded from elsewhere. `POLICY` bounds what the page may do in a browser.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};
use tide::{Body, Response, StatusCode};

use super::app::{Answer, Request, head};
use crate::http::error::Problem;

/// What the page may do: its own scripts and styles, its own daemon, nothing inline, nobody's frame, and no text that is
/// made into markup but by the one library that makes it of the page's own templates.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; \
                      require-trusted-types-for 'script'; trusted-types lit-html";

const HTML: &str = "text/html; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

/// One file of the page.
pub struct File {
    /// Its path.
    pub path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

/// A file that is answered at `/page/NAME`.
macro_rules! file {
    ($name:literal, $content_type:expr) => {
        File { path: concat!("/page/", $name), content_type: $content_type, bytes: include_bytes!($name) }
    };
}

/// All of it.
pub const FILES: &[File] = &[
    File { path: "/", content_type: HTML, bytes: include_bytes!("index.html") },
    file!("style.css", CSS),
    file!("log.css", CSS),
    file!("icon.svg", SVG),
    file!("app.js", JS),
    file!("api.js", JS),
    file!("stream.js", JS),
    file!("feed.js", JS),
    file!("live.js", JS),
    file!("lines.js", JS),
    file!("ansi.js", JS),
    file!("log.js", JS),
    file!("search.js", JS),
    file!("format.js", JS),
    file!("html.js", JS),
    file!("parts.js", JS),
    file!("views/enter.js", JS),
    file!("views/runs.js", JS),
    file!("views/strip.js", JS),
    file!("views/run.js", JS),
    file!("views/events.js", JS),
    file!("views/output.js", JS),
    file!("views/submit.js", JS),
    file!("views/queues.js", JS),
    file!("views/access.js", JS),
    file!("vendor/lit-html/lit-html.js", JS),
    file!("vendor/lit-html/directive.js", JS),
    file!("vendor/lit-html/directive-helpers.js", JS),
    file!("vendor/lit-html/directives/repeat.js", JS),
    file!("vendor/lit-html/LICENSE", TEXT),
];

/// The entity tags of [`FILES`], in their order: hashes of the contents.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let tag = |file: &File| {
        let hash = Sha256::digest(file.bytes);
        let digits: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("\"{digits}\"")
    };
    FILES.iter().map(tag).collect()
});

/// Whether the path is a file of the page.
pub fn is_file(path: &str) -> bool {
    FILES.iter().any(|file| file.path == path)
}

/// `GET /` and `GET /page/*`. A browser keeps each file, and asks whether it is still the same: an open page and a newer
/// daemon never mix.
pub async fn read(request: Request) -> Answer {
    let path = request.url().path();
    let found = FILES.iter().zip(TAGS.iter()).find(|(file, _)| file.path == path);
    let (file, tag) = found.ok_or_else(|| Problem::not_found(format!("there is nothing at {path}")))?;
    let known = head(&request)?.knows(tag)?;
    let mut response = Response::new(if known { StatusCode::NotModified } else { StatusCode::Ok });
    if !known {
        response.set_body(Body::from_bytes(file.bytes.to_vec()));
    }
    response.insert_header("content-type", file.content_type);
    response.insert_header("etag", tag);
    response.insert_header("cache-control", "no-cache");
    response.insert_header("content-security-policy", POLICY);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_lies_here_is_served() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/page");
        for folder in ["", "views", "vendor/lit-html", "vendor/lit-html/directives"] {
            for entry in std::fs::read_dir(root.join(folder)).expect("the folder").flatten() {
                let name = entry.path().strip_prefix(&root).expect("below it").display().to_string();
                let is_served = is_file(&format!("/page/{name}")) || name == "index.html";
                let is_other = entry.path().is_dir() || ["mod.rs", "package.json"].contains(&name.as_str());
                assert!(is_served || is_other, "{name} is not in FILES");
            }
        }
    }
}
