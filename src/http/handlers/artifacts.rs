//! `/v1/runs/:id/artifacts` and the files below it.
//!
//! A file comes from a command, so that a browser must never take it for anything but bytes to be saved.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::Arc;

use bytes::Bytes;
use futures_lite::stream;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tide::{Response, StatusCode};

use crate::artifacts::is_name;
use crate::http::app::{self, Answer, Request, json, no_query, nothing, run_id};
use crate::http::error::Problem;
use crate::http::server::reply::Streamed;
use crate::http::server::rope::Rope;
use crate::http::streams::StreamGuard;
use crate::run::{Artifact, RunId};
use crate::wire::{ArtifactBody, ArtifactList, ArtifactState};

/// Bytes that are read of a file at a time, for each client that takes them.
const PIECE_BYTES: u64 = 64 * 1_024;
/// What need not be encoded in the extended value of a parameter, by RFC 8187.
const ATTRIBUTE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_').remove(b'~');
/// Nothing in it is ever shown, and were it shown, nothing in it could do anything.
const POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";

/// `GET /v1/runs/:id/artifacts`
pub async fn list(request: Request) -> Answer {
    let run = run_id(&request)?;
    no_query(&request)?;
    let app = request.state();
    let stored = app.store.artifacts(run).await?;
    let (state, artifacts) = match (stored.is_live, stored.are_removed) {
        (true, _) => (ArtifactState::Live, app.artifacts.look(run).await),
        (false, true) => (ArtifactState::Removed, Vec::new()),
        (false, false) => (ArtifactState::Kept, stored.artifacts),
    };
    json(
        StatusCode::Ok,
        &ArtifactList { state: state.into(), artifacts: artifacts.iter().map(ArtifactBody::of).collect() },
    )
}

/// `GET /v1/runs/:id/artifacts/NAME`
pub async fn read(request: Request) -> Answer {
    let run = run_id(&request)?;
    no_query(&request)?;
    let name = name_in(&request, run)?;
    let head = app::head(&request)?;
    let (range, if_range) = (head.range()?.map(str::to_owned), head.if_range()?.map(str::to_owned));
    let (file, artifact) = open(&request, run, &name).await?;
    let tag = artifact.sha256.map(|sha256| format!("\"{sha256}\""));
    let bytes = artifact.bytes.unsigned_abs();
    if tag.as_ref().is_some_and(|tag| head.knows(tag) == Ok(true)) {
        let mut response = nothing();
        response.set_status(StatusCode::NotModified);
        return Ok(described(response, &name, tag.as_deref()));
    }
    // A part goes with what the client has only where both are of the same file.
    let is_same = if_range.is_none_or(|given| Some(given) == tag);
    let part = range.filter(|_| is_same).and_then(|range| Part::of(&range, bytes)).unwrap_or(Part::Whole);
    let (status, from, to) = match part {
        Part::Whole => (StatusCode::Ok, 0, bytes),
        Part::Bytes(from, to) => (StatusCode::PartialContent, from, to),
        Part::Outside => {
            return Err(Problem::range_not_satisfiable(format!("{name} has {bytes} bytes; ask for some of them"))
                .with_header("content-range", format!("bytes */{bytes}")));
        }
    };
    let guard = Arc::new(StreamGuard::open(&request, "artifact"));
    let held = guard.clone();
    let pieces = stream::try_unfold((Arc::new(file), from), move |(file, at)| {
        let _held = &held;
        async move { piece(file, at, to).await }
    });
    let mut response = Response::new(status);
    response.insert_ext(Streamed::new(pieces, async move { guard.session_end().await }).of_length(to - from));
    response.insert_header("content-type", "application/octet-stream");
    if status == StatusCode::PartialContent {
        response.insert_header("content-range", format!("bytes {from}-{}/{bytes}", to - 1));
    }
    Ok(described(response, &name, tag.as_deref()))
}

/// The next piece of a file up to `to`, read where nobody waits for the medium.
async fn piece(file: Arc<File>, at: u64, to: u64) -> io::Result<Option<(Rope, (Arc<File>, u64))>> {
    if at >= to {
        return Ok(None);
    }
    let wanted = usize::try_from((to - at).min(PIECE_BYTES)).unwrap_or(0);
    let own = file.clone();
    let bytes = smol::unblock(move || {
        let mut piece = vec![0; wanted];
        own.read_exact_at(&mut piece, at).map(|()| piece)
    });
    // A file that became shorter breaks the answer off: its length was told.
    let bytes = Bytes::from(bytes.await?);
    Ok(Some((bytes.into(), (file, at + wanted as u64))))
}

/// Opens what was written down of a file, or what a command that runs has there now.
async fn open(request: &Request, run: RunId, name: &str) -> Result<(File, Artifact), Problem> {
    let app = request.state();
    let outcome = app.store.run_head(run).await?.outcome;
    let is_live = !outcome.status.is_terminal();
    let known = if is_live { None } else { app.store.artifact(run, name.to_owned()).await? };
    if known.is_none() && !is_live {
        if app.store.artifacts(run).await?.are_removed {
            return Err(Problem::artifact_gone(format!(
                "the artifacts of run {run} were removed to make room (retention.artifact_bytes)"
            )));
        }
        return Err(not_found(run, name));
    }
    let gone = || {
        Problem::artifact_gone(format!(
            "{name} of run {run} is not there as it was when the run ended: somebody removed or changed it"
        ))
    };
    let opened = app.artifacts.read(run, name.to_owned()).await;
    let file = match opened {
        Ok(file) => file,
        Err(_) if !is_live => return Err(gone()),
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(not_found(run, name)),
        // A link, a pipe, a directory: what the system says of it is no help.
        Err(_) => {
            return Err(Problem::artifact_not_found(format!(
                "{name} of run {run} is no regular file with one name; GET /v1/runs/{run}/artifacts lists what is kept"
            )));
        }
    };
    let found = file.metadata().map_err(|error| Problem::internal(error.to_string()))?;
    let now = Artifact {
        name: name.to_owned(),
        bytes: i64::try_from(found.size()).unwrap_or(i64::MAX),
        sha256: None,
        modified_at: crate::clock::UnixMs(found.mtime().saturating_mul(1_000) + found.mtime_nsec() / 1_000_000),
    };
    match known {
        None => Ok((file, now)),
        Some(known) if known.bytes == now.bytes && known.modified_at == now.modified_at => Ok((file, known)),
        Some(_) => Err(gone()),
    }
}

fn not_found(run: RunId, name: &str) -> Problem {
    Problem::artifact_not_found(format!("run {run} has no artifact {name}; GET /v1/runs/{run}/artifacts lists them"))
}

/// The name behind `/artifacts/`, as it was before it was encoded.
fn name_in(request: &Request, run: RunId) -> Result<String, Problem> {
    let path = request.url().path();
    let encoded = path.split_once("/artifacts/").map_or("", |(_, name)| name);
    let name = percent_decode_str(encoded).decode_utf8().ok().filter(|name| is_name(name));
    name.map(String::from).ok_or_else(|| not_found(run, encoded))
}

/// Headers of a file, of all of it or a part, or of one that the client has.
fn described(mut response: Response, name: &str, tag: Option<&str>) -> Response {
    let last = name.rsplit('/').next().unwrap_or(name);
    let plain: String =
        last.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' }).collect();
    let extended = utf8_percent_encode(last, ATTRIBUTE);
    response
        .insert_header("content-disposition", format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{extended}"));
    response.insert_header("accept-ranges", "bytes");
    response.insert_header("content-security-policy", POLICY);
    response.insert_header("cross-origin-resource-policy", "same-origin");
    response.insert_header("cache-control", "private, no-cache, no-transform");
    if let Some(tag) = tag {
        response.insert_header("etag", tag);
    }
    response
}

/// What `Range` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// All of it.
    Whole,
    /// From the first, up to and without the second.
    Bytes(u64, u64),
    /// Nothing that is there.
    Outside,
}

impl Part {
    /// `None` for what is not one range of bytes, which RFC 9110 lets be ignored.
    fn of(range: &str, bytes: u64) -> Option<Part> {
        let range = range.trim().strip_prefix("bytes=")?.trim();
        let (first, last) = range.split_once('-')?;
        let number = |text: &str| {
            text.trim().parse::<u64>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit() || b == b' '))
        };
        let part = match (first.trim(), last.trim()) {
            ("", last) => {
                let last = number(last)?;
                if last == 0 {
                    return Some(Part::Outside);
                }
                (bytes.saturating_sub(last), bytes)
            }
            (first, "") => (number(first)?, bytes),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                if last < first {
                    return None;
                }
                (first, last.saturating_add(1).min(bytes))
            }
        };
        Some(if part.0 < part.1 { Part::Bytes(part.0, part.1) } else { Part::Outside })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_answered_and_anything_else_ignored() {
        for (range, part) in [
            ("bytes=0-0", Some(Part::Bytes(0, 1))),
            ("bytes=2-", Some(Part::Bytes(2, 10))),
            ("bytes=-3", Some(Part::Bytes(7, 10))),
            ("bytes=-99", Some(Part::Bytes(0, 10))),
            ("bytes=5-99", Some(Part::Bytes(5, 10))),
            ("bytes=10-", Some(Part::Outside)),
            ("bytes=-0", Some(Part::Outside)),
            ("bytes=3-2", None),
            ("bytes=0-1,3-4", None),
            ("bytes=", None),
            ("bytes=a-", None),
            ("bytes=+1-2", None),
            ("lines=0-1", None),
            ("bytes=99999999999999999999-", None),
        ] {
            assert_eq!(Part::of(range, 10), part, "{range}");
        }
        assert_eq!(Part::of("bytes=0-", 0), Some(Part::Outside));
    }
}
