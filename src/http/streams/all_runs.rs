//! All runs at once, as something to follow: by `id`, and without an end.

use futures_lite::stream;

use super::reader::{Following, Subject};
use crate::event::{Cursor, EventFilter};
use crate::feed::{AllFollower, Encoded, Ended};
use crate::http::Problem;
use crate::http::app::App;
use crate::http::handlers::all_events::refusal;
use crate::http::types::Frame;
use crate::numbers::{Position, RunId};

/// All runs.
struct AllRuns;

impl Subject for AllRuns {
    fn place(&self, event: &Encoded) -> Position {
        event.id.into()
    }

    fn caught_up(&self, at: Position) -> Frame<'static> {
        Frame::AllCaughtUp { id: at }
    }

    fn heartbeat(&self, at: Position) -> Frame<'static> {
        Frame::AllHeartbeat { last_id: at }
    }

    /// A single run's; its follower of all never says so.
    fn end(&self, ended: &Ended) -> Frame<'static> {
        Frame::end(RunId(0), ended)
    }
}

impl Following {
    /// What the filter shows of all runs, from a cursor on.
    ///
    /// # Errors
    /// When the cursor cannot be followed, or the filter names a run that never was.
    pub async fn all(app: &App, filter: EventFilter, cursor: &Cursor) -> Result<Following, Problem> {
        let instance = app.store.instance();
        let opened = AllFollower::open(&app.hub, filter, cursor).await;
        let (follower, hello) = opened.map_err(|error| refusal(error, instance))?;
        // The Follower's way through a page must survive whatever else happens meanwhile.
        let steps = stream::unfold(follower, async |mut follower| Some((follower.next().await, follower)));
        Ok(Following::new(AllRuns, &Frame::all_hello(instance, &hello), hello.after.into(), steps))
    }
}
