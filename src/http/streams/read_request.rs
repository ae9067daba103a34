//! How events are asked for: in which form, from which cursor, and whether the reader stays when it has caught up.

use super::page::{PAGE_DEFAULT, PAGE_MAX};
use super::websocket::upgrade_required;
use crate::http::accept::ranges;
use crate::http::app::{Request, head};
use crate::http::error::Problem;
use crate::http::head::Head;
use crate::http::query::Query;
use crate::numbers::Position;
use crate::scope::Cursor;

const CURSORS: &str = "must be a seq (of all runs an id), \"latest\", -N for the newest N, or INSTANCE-SEQ";
const NO_UPGRADE: &str = "a WebSocket needs HTTP/1.1 with 'Upgrade: websocket' and 'Connection: Upgrade', which a proxy in between \
    may have taken away: docs/proxies.md has how it passes them on";
const SSE: &str = "text/event-stream";
const NDJSON: &str = "application/x-ndjson";

/// The forms in which events are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON object with what is there.
    Page,
    /// Frames, by an upgrade.
    WebSocket,
    /// Server-sent events.
    Sse,
    /// One object a line.
    Ndjson,
}

impl Form {
    /// The form that a request asks for.
    ///
    /// # Errors
    /// 400 for headers that cannot be read, 426 for a WebSocket's request that cannot become one: a proxy that does not
    /// pass `Upgrade` on passes the key on, and a page would tell its client nothing.
    fn of(head: &Head) -> Result<Form, Problem> {
        if head.wants_websocket()? {
            return Ok(Form::WebSocket);
        }
        if head.websocket_key()?.is_some() {
            return Err(upgrade_required(NO_UPGRADE));
        }
        Ok(Form::accepted(head.accept()?.unwrap_or_default()))
    }

    /// The form with the highest weight in `Accept`; at a tie a named type comes before a wildcard, then the first one.
    fn accepted(accept: &str) -> Form {
        let mut best = (Form::Page, 0, false);
        for (name, weight) in ranges(accept) {
            let form = match name {
                name if name.eq_ignore_ascii_case(SSE) => Form::Sse,
                name if name.eq_ignore_ascii_case(NDJSON) => Form::Ndjson,
                _ => Form::Page,
            };
            let is_named = !name.ends_with("/*");
            if weight > best.1 || (weight == best.1 && weight > 0 && is_named && !best.2) {
                best = (form, weight, is_named);
            }
        }
        best.0
    }
}

/// How events are asked for.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// In which form.
    pub(super) form: Form,
    /// From where on.
    pub(super) cursor: Cursor,
    /// Whether the cursor is a `Last-Event-ID`: a browser that reconnects.
    pub(super) comes_back: bool,
    /// Whether the stream goes on after `caught_up`.
    pub(super) stays: bool,
    /// Events of a page, at most.
    pub(super) limit: usize,
}

impl ReadRequest {
    /// What the headers and these parameters ask for; `default` is the cursor of who gives none. What is wrong with the
    /// parameters is remembered with the query, which the caller hands to [`ReadRequest::finish`] once it has read its
    /// own.
    ///
    /// # Errors
    /// 400 for headers that cannot be read.
    pub fn read(request: &Request, query: &mut Query, default: Cursor) -> Result<ReadRequest, Problem> {
        let head = head(request)?;
        let form = Form::of(head)?;
        let after = query.text("after", |text| Cursor::parse(text).map(drop).ok_or_else(|| CURSORS.to_owned()));
        let mut cursor = after.as_deref().and_then(Cursor::parse).unwrap_or(default);
        let last_id = if form == Form::Sse { head.last_event_id()? } else { None };
        if let Some(text) = last_id {
            match Cursor::parse(text) {
                Some(last) => cursor = last,
                None => query.wrong("Last-Event-ID", "value", CURSORS),
            }
        }
        let follow = query.boolean("follow");
        let message = match (form, follow) {
            (Form::Page, Some(true)) => {
                "a page ends: ask with 'Accept: application/x-ndjson' or 'Accept: text/event-stream'"
            }
            (Form::Sse | Form::WebSocket, Some(false)) => "this stream is live: ask for a page, or for NDJSON",
            _ => "",
        };
        if !message.is_empty() {
            query.wrong("follow", "value", message);
        }
        if form != Form::Page && !query.all("limit").is_empty() {
            query.wrong("limit", "unknown", "is for a page: a stream has no limit");
        }
        let stays = form != Form::Ndjson || follow == Some(true);
        Ok(ReadRequest { form, cursor, comes_back: last_id.is_some(), stays, limit: PAGE_DEFAULT })
    }

    /// Reads the limit of a page, and refuses all that is wrong with the parameters.
    ///
    /// # Errors
    /// 422 with every violation.
    pub fn finish(self, mut query: Query) -> Result<ReadRequest, Problem> {
        let limit = if self.form == Form::Page { query.integer("limit", 1, PAGE_MAX) } else { None };
        query.finish()?;
        Ok(ReadRequest { limit: limit.map_or(self.limit, |limit| limit as usize), ..self })
    }

    /// All of something that was just made, live: by SSE where that is asked for, else as NDJSON.
    ///
    /// # Errors
    /// 400 for headers that cannot be read.
    pub fn from_the_start(request: &Request) -> Result<ReadRequest, Problem> {
        let form = match Form::accepted(head(request)?.accept()?.unwrap_or_default()) {
            Form::Sse => Form::Sse,
            _ => Form::Ndjson,
        };
        let cursor = Cursor::After(Position(0));
        Ok(ReadRequest { form, cursor, comes_back: false, stays: true, limit: PAGE_DEFAULT })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_only_for_who_names_it() {
        for (accept, form) in [
            ("", Form::Page),
            ("*/*", Form::Page),
            ("text/*", Form::Page),
            ("application/json", Form::Page),
            ("text/html, application/xhtml+xml, */*;q=0.8", Form::Page),
            ("text/event-stream", Form::Sse),
            ("Text/Event-Stream; charset=utf-8", Form::Sse),
            ("application/x-ndjson", Form::Ndjson),
            ("*/*, application/x-ndjson", Form::Ndjson),
            ("text/event-stream, */*", Form::Sse),
            ("application/x-ndjson, text/event-stream", Form::Ndjson),
            ("application/x-ndjson;q=0.5, text/event-stream;q=0.9", Form::Sse),
            ("application/json, text/event-stream", Form::Page),
            ("text/event-stream;q=0.1, */*", Form::Page),
            ("text/event-stream;q=0", Form::Page),
            ("text/event-stream;q=x", Form::Sse),
            (",;,", Form::Page),
        ] {
            assert_eq!(Form::accepted(accept), form, "{accept:?}");
        }
    }
}
