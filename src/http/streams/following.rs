//! What a reader is sent and when, whatever carries it: `hello`, the events and where some are gone, `caught_up`, a
//! heartbeat where nothing else happens, and how it ends.
//!
//! Knows no wire. Never encodes an event, and never asks for more than its transport takes.

use std::time::Duration;

use bytes::Bytes;
use futures_lite::{FutureExt as _, StreamExt as _, stream};

use super::frames;
use super::refusal::refusal;
use crate::feed::{Follower, Form, Framing, Part, Shown, Step};
use crate::http::app::App;
use crate::http::error::Problem;
use crate::numbers::Position;
use crate::run::Outcome;
use crate::scope::{Cursor, Scope};
use crate::store::StoreError;
use crate::text;
use crate::timer::Quiet;
use crate::wire::Frame;

/// A heartbeat goes out after this long without anything else.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What is there to be sent at once.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Objects in the transport's framing, in this order; never a part of one.
    pub bytes: Vec<Bytes>,
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
    sent: Sent,
    hello: Bytes,
    is_over: bool,
}

impl Following {
    /// The events of a scope from a cursor on, in a transport's framing.
    ///
    /// # Errors
    /// When the run is not there, the filter names one that never was, or the cursor cannot be followed.
    pub async fn open(app: &App, scope: Scope, cursor: &Cursor, framing: Framing) -> Result<Following, Problem> {
        let instance = app.store.instance();
        let opened = Follower::open(&app.hub, scope.clone(), Form::Framed(framing), cursor).await;
        let (follower, opening) = opened.map_err(|error| refusal(error, &scope, instance))?;
        let is_over = opening.head.ended().is_some() && opening.after == opening.head.last();
        let mut sent = Sent { framing, instance: instance.to_owned(), cursor: opening.after, scope };
        let hello = sent.object("hello", opening.after, &frames::hello(&sent.scope.clone(), instance, &opening));
        Ok(Following { follower, sent, hello, is_over })
    }

    /// Whether it has ended, and the cursor stands at its end.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// All that its reader is sent, for as long as it is asked; only up to `caught_up` for one that does not stay.
    pub(super) fn batches(self, stays: bool) -> stream::Boxed<Batch> {
        let Following { follower, sent, hello, .. } = self;
        // The Follower's way through a page must survive whatever else happens meanwhile.
        let steps = stream::unfold(follower, async |mut follower| Some((follower.next().await, follower)));
        let batches = Batches { sent, steps: steps.boxed(), stays, is_over: false, heartbeat: Quiet::new(HEARTBEAT) };
        let first = Batch { bytes: vec![hello], ending: None };
        let rest = stream::unfold(batches, async |mut batches| Some((batches.next().await?, batches)));
        stream::once(first).chain(rest).boxed()
    }
}

/// What a reader is sent behind its `hello`.
struct Batches {
    sent: Sent,
    steps: stream::Boxed<Result<Step, StoreError>>,
    stays: bool,
    is_over: bool,
    heartbeat: Quiet,
}

impl Batches {
    async fn next(&mut self) -> Option<Batch> {
        if self.is_over {
            return None;
        }
        let step = async { Some(self.steps.next().await) };
        let quiet = async {
            self.heartbeat.over().await;
            None
        };
        let batch = match step.or(quiet).await {
            Some(Some(Ok(step))) => self.batch(step),
            Some(None | Some(Err(_))) => Batch { bytes: Vec::new(), ending: Some(Ending::Broken) },
            None => Batch { bytes: vec![self.sent.heartbeat()], ending: None },
        };
        self.heartbeat.put_off();
        self.is_over = batch.ending.is_some();
        Some(batch)
    }

    fn batch(&mut self, step: Step) -> Batch {
        let (bytes, ending) = match step {
            Step::Events(parts) => (self.sent.events(&parts), None),
            step => {
                let (object, ending) = self.other(step);
                (object.into_iter().collect(), ending)
            }
        };
        Batch { bytes, ending }
    }

    /// What is no event: at most one object.
    fn other(&mut self, step: Step) -> (Option<Bytes>, Option<Ending>) {
        let sent = &mut self.sent;
        match step {
            Step::Gap(gap) => {
                // What is left of a partial one follows, and must not be passed over by who comes back.
                let after = if gap.partial { sent.cursor } else { gap.to };
                (Some(sent.object("gap", after, &Frame::gap(&gap))), None)
            }
            Step::Cursor(at) => (Some(sent.object("cursor", at, &Frame::Cursor { id: at })), None),
            Step::CaughtUp(at) => {
                let frame = frames::caught_up(&sent.scope, at);
                (Some(sent.object("caught_up", at, &frame)), (!self.stays).then_some(Ending::Complete))
            }
            Step::End { outcome, last } => (sent.end(&outcome, last), Some(Ending::Complete)),
            Step::Closing => (None, Some(Ending::Closing)),
            Step::Gone => (None, Some(Ending::Gone)),
            Step::Events(_) => (None, None),
        }
    }
}

/// Where a reader stands, and how it is shown what comes next.
struct Sent {
    framing: Framing,
    instance: String,
    scope: Scope,
    /// What it was sent so far.
    cursor: Position,
}

impl Sent {
    fn events(&mut self, parts: &[Part]) -> Vec<Bytes> {
        if let Some(last) = parts.last().and_then(|part| part.marks().last()) {
            self.cursor = self.scope.position(last.id, last.seq);
        }
        parts.iter().map(Part::bytes).collect()
    }

    /// The last object, of what can end.
    fn end(&mut self, outcome: &Outcome, last: Position) -> Option<Bytes> {
        match self.scope {
            Scope::Run(run) => Some(self.object("end", last, &frames::end(run, outcome, last))),
            Scope::All(_) => None,
        }
    }

    fn object(&mut self, name: &'static str, cursor: Position, frame: &Frame<'_>) -> Bytes {
        self.cursor = cursor;
        self.framed(name, Some(cursor), frame)
    }

    fn heartbeat(&self) -> Bytes {
        self.framed("heartbeat", None, &frames::heartbeat(&self.scope, self.cursor))
    }

    fn framed(&self, name: &'static str, cursor: Option<Position>, frame: &Frame<'_>) -> Bytes {
        let text = text::json(frame).unwrap_or_default();
        let mut framed = Vec::with_capacity(text.len() + 64);
        (self.framing.lay)(&Shown { name, cursor, text: &text, instance: &self.instance }, &mut framed);
        framed.into()
    }
}
