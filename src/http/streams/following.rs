//! What a reader is sent and when, whatever carries it: `hello`, the events and where some are gone, `caught_up`, a
//! heartbeat where nothing else happens, and how it ends.
//!
//! Knows no wire. Never encodes an event, and never asks for more than its transport takes.

use std::time::Duration;

use bytes::Bytes;
use futures_lite::{StreamExt as _, stream};

use super::frames;
use super::refusal::refusal;
use crate::feed::{Follower, Step};
use crate::feed::{Form, SharedEvent};
use crate::http::app::App;
use crate::http::error::Problem;
use crate::numbers::Position;
use crate::run::Outcome;
use crate::scope::{Cursor, Scope};
use crate::store::StoreError;
use crate::text;
use crate::timer::within;
use crate::wire::Frame;

/// A heartbeat goes out after this long without anything else.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// One object of a stream.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its type.
    pub name: &'static str,
    /// Where its reader stands behind it; a heartbeat says nothing of that.
    pub cursor: Option<Position>,
    /// All of it as JSON, on one line.
    pub text: Bytes,
}

/// What is there to be sent at once.
#[derive(Clone, Debug)]
pub struct Batch {
    /// In this order.
    pub objects: Vec<Object>,
    /// Why nothing comes behind them, where that is so.
    pub ending: Option<Ending>,
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All of it was sent: `end` was, or `caught_up` where the reader does not stay.
    Complete,
    /// The daemon ends first.
    Closing,
    /// What was followed was deleted.
    Gone,
    /// The store cannot be read.
    Broken,
}

/// Something that a reader is about to follow.
pub struct Following {
    follower: Follower,
    scope: Scope,
    hello: Object,
    cursor: Position,
    is_over: bool,
}

impl Following {
    /// The events of a scope from a cursor on.
    ///
    /// # Errors
    /// When the run is not there, the filter names one that never was, or the cursor cannot be followed.
    pub async fn open(app: &App, scope: Scope, cursor: &Cursor) -> Result<Following, Problem> {
        let instance = app.store.instance();
        let opened = Follower::open(&app.hub, scope.clone(), Form::Json, cursor).await;
        let (follower, opening) = opened.map_err(|error| refusal(error, &scope, instance))?;
        let is_over = opening.head.ended().is_some() && opening.after == opening.head.last();
        let text = json(&frames::hello(&scope, instance, &opening));
        let hello = Object { name: "hello", cursor: Some(opening.after), text };
        Ok(Following { follower, scope, hello, cursor: opening.after, is_over })
    }

    /// Whether it has ended, and the cursor stands at its end.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// All that its reader is sent, for as long as it is asked; only up to `caught_up` for one that does not stay.
    pub(super) fn batches(self, stays: bool) -> stream::Boxed<Batch> {
        let Following { follower, scope, hello, cursor, .. } = self;
        // The Follower's way through a page must survive whatever else happens meanwhile.
        let steps = stream::unfold(follower, async |mut follower| Some((follower.next().await, follower)));
        let batches = Batches { scope, cursor, steps: steps.boxed(), stays, is_over: false };
        let first = Batch { objects: vec![hello], ending: None };
        let rest = stream::unfold(batches, async |mut batches| Some((batches.next().await?, batches)));
        stream::once(first).chain(rest).boxed()
    }
}

/// What a reader is sent behind its `hello`.
struct Batches {
    scope: Scope,
    /// What it was sent so far.
    cursor: Position,
    steps: stream::Boxed<Result<Step, StoreError>>,
    stays: bool,
    is_over: bool,
}

impl Batches {
    async fn next(&mut self) -> Option<Batch> {
        if self.is_over {
            return None;
        }
        let batch = match within(HEARTBEAT, self.steps.next()).await {
            Some(Some(Ok(step))) => self.batch(step),
            Some(None | Some(Err(_))) => Batch { objects: Vec::new(), ending: Some(Ending::Broken) },
            None => {
                let text = json(&frames::heartbeat(&self.scope, self.cursor));
                Batch { objects: vec![Object { name: "heartbeat", cursor: None, text }], ending: None }
            }
        };
        self.is_over = batch.ending.is_some();
        Some(batch)
    }

    fn batch(&mut self, step: Step) -> Batch {
        let (objects, ending) = match step {
            Step::Events(events) => (events.iter().map(|event| self.event(event)).collect(), None),
            Step::Gap(gap) => {
                // What is left of a partial one follows, and must not be passed over by who comes back.
                let after = if gap.partial { self.cursor } else { gap.to };
                (vec![self.object("gap", after, &Frame::gap(&gap))], None)
            }
            Step::Cursor(at) => (vec![self.object("cursor", at, &Frame::Cursor { id: at })], None),
            Step::CaughtUp(at) => {
                let frame = frames::caught_up(&self.scope, at);
                (vec![self.object("caught_up", at, &frame)], (!self.stays).then_some(Ending::Complete))
            }
            Step::End { outcome, last } => (self.end(&outcome, last), Some(Ending::Complete)),
            Step::Closing => (Vec::new(), Some(Ending::Closing)),
            Step::Gone => (Vec::new(), Some(Ending::Gone)),
        };
        Batch { objects, ending }
    }

    /// The last object, of what can end.
    fn end(&mut self, outcome: &Outcome, last: Position) -> Vec<Object> {
        match self.scope {
            Scope::Run(run) => vec![self.object("end", last, &frames::end(run, outcome, last))],
            Scope::All(_) => Vec::new(),
        }
    }

    fn event(&mut self, event: &SharedEvent) -> Object {
        self.cursor = self.scope.position(event.id, event.seq);
        Object { name: "event", cursor: Some(self.cursor), text: event.body.clone() }
    }

    fn object(&mut self, name: &'static str, cursor: Position, frame: &Frame<'_>) -> Object {
        self.cursor = cursor;
        Object { name, cursor: Some(cursor), text: json(frame) }
    }
}

fn json(frame: &Frame<'_>) -> Bytes {
    text::json(frame).unwrap_or_default().into()
}
