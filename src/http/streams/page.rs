//! A page: the events of a scope that are there, as one JSON object.

use tide::StatusCode;

use super::refusal::refusal;
use crate::event::Gap;
use crate::feed::{Opening, resolve};
use crate::http::app::{Answer, Request, shared_json};
use crate::scope::{Cursor, Scope};
use crate::store::{AllHead, Head, PAGE_ROWS_MAX, PageLimits, RunHead};
use crate::text;
use crate::wire::Frame;

/// Events that a page shows unless told otherwise.
pub const PAGE_DEFAULT: usize = 1_000;
/// Events that a page shows at most.
pub const PAGE_MAX: i64 = 10_000;
/// Bytes of events at which a page is cut short: 1 MiB. It is less where many are on their way to clients that do not
/// take them.
const PAGE_BYTES_MAX: usize = 1_048_576;

/// Answers with the events of a scope from a cursor on, at most `limit` of them.
pub async fn answer(request: &Request, scope: &Scope, cursor: &Cursor, limit: usize) -> Answer {
    let app = request.state();
    app.store.reveal(scope.watched_runs()).await;
    let opened = resolve(&app.store, scope, cursor).await;
    let Opening { after: begin, mut head } = opened.map_err(|error| refusal(error, scope, app.store.instance()))?;
    let share = app.hub.budget().share(PAGE_BYTES_MAX);
    let mut text = PageText::default();
    let mut after = begin;
    'full: while text.count < limit {
        let limits = PageLimits { rows: (limit - text.count).min(PAGE_ROWS_MAX), ..PageLimits::within(share.bytes()) };
        let piece = app.store.page(scope.clone(), after, limits).await?;
        head = piece.head;
        for event in &piece.events {
            if !text.event(&event.encode(), share.bytes()) {
                break 'full;
            }
            let position = scope.position(event.id, event.seq);
            head.gap_between(after, position).iter().for_each(|gap| text.gap(gap));
            after = position;
        }
        after = piece.through;
        if after >= head.last() {
            break;
        }
    }
    // Who wants the newest does not ask for what is gone.
    if !matches!(cursor, Cursor::Newest(_)) {
        head.gap_behind(begin).iter().for_each(|gap| text.gap(gap));
    }
    Ok(shared_json(StatusCode::Ok, text.finish(&stands(&head)), share))
}

/// Where the scope stands, as the last fields of the page.
fn stands(head: &Head) -> String {
    match head {
        Head::Run(RunHead { first_seq, last_seq, outcome, .. }) => {
            format!(r#""first_seq":{first_seq},"last_seq":{last_seq},"status":"{}""#, outcome.status)
        }
        Head::All(AllHead { first_id, last_id, .. }) => format!(r#""first_id":{first_id},"last_id":{last_id}"#),
    }
}

/// A page under construction, as the text that it becomes: events are encoded once and never parsed again.
#[derive(Default)]
struct PageText {
    events: String,
    gaps: Vec<String>,
    /// Events that are in it.
    count: usize,
}

impl PageText {
    /// Adds an event, unless it is full with those before. Measured as it is sent: control bytes are six times as long
    /// in JSON.
    fn event(&mut self, encoded: &str, bytes_max: usize) -> bool {
        if self.count > 0 {
            if self.events.len() + encoded.len() > bytes_max {
                return false;
            }
            self.events.push(',');
        }
        self.events.push_str(encoded);
        self.count += 1;
        true
    }

    fn gap(&mut self, gap: &Gap) {
        self.gaps.push(text::json(&Frame::gap(gap)).unwrap_or_default());
    }

    /// The page, with the fields that say where things stand.
    fn finish(self, stands: &str) -> String {
        format!(r#"{{"events":[{}],"gaps":[{}],{stands}}}"#, self.events, self.gaps.join(","))
    }
}
