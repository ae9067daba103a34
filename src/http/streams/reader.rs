//! What a reader is told and when, whatever carries it: `hello`, the events and where some are gone, `caught_up`, a
//! heartbeat where nothing else happens, and how it ends.
//!
//! Knows no wire, and no run from all runs: it follows whatever yields [`Step`]s. Never encodes an event, and never asks
//! for more than its transport takes.

use std::time::Duration;

use async_io::Timer;
use bytes::Bytes;
use futures_lite::{FutureExt as _, StreamExt as _, stream};

use crate::event::Cursor;
use crate::feed::{Encoded, Ended, Follower, Step};
use crate::http::Problem;
use crate::http::app::App;
use crate::http::handlers::events::refusal;
use crate::http::types::Frame;
use crate::numbers::Position;
use crate::run::RunId;
use crate::store::StoreError;
use crate::text;

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

/// What is there to be told at once.
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
    /// All of it was told: `end` was, or `caught_up` where the reader does not stay.
    Told,
    /// The daemon ends first.
    Closing,
    /// What was followed was deleted.
    Gone,
    /// The store cannot be read.
    Broken,
}

/// What is followed, in the words of its objects.
pub trait Subject: Send + 'static {
    /// The cursor behind an event.
    fn place(&self, event: &Encoded) -> Position;
    /// `caught_up` at a cursor.
    fn caught_up(&self, at: Position) -> Frame<'static>;
    /// `heartbeat` at a cursor.
    fn heartbeat(&self, at: Position) -> Frame<'static>;
    /// `end`, for what can end.
    fn end(&self, ended: &Ended) -> Frame<'static>;
}

impl Subject for RunId {
    fn place(&self, event: &Encoded) -> Position {
        event.seq.into()
    }

    fn caught_up(&self, at: Position) -> Frame<'static> {
        Frame::CaughtUp { seq: at }
    }

    fn heartbeat(&self, at: Position) -> Frame<'static> {
        Frame::Heartbeat { last_seq: at }
    }

    fn end(&self, ended: &Ended) -> Frame<'static> {
        Frame::end(*self, ended)
    }
}

/// Something that a reader is about to follow.
pub struct Following {
    subject: Box<dyn Subject>,
    hello: Object,
    cursor: Position,
    is_over: bool,
    steps: stream::Boxed<Result<Step, StoreError>>,
}

impl Following {
    /// What yields these steps, from a cursor on.
    pub fn new(
        subject: impl Subject,
        hello: &Frame<'_>,
        after: Position,
        steps: impl stream::Stream<Item = Result<Step, StoreError>> + Send + 'static,
    ) -> Following {
        let hello = Object { name: "hello", cursor: Some(after), text: json(hello) };
        Following { subject: Box::new(subject), hello, cursor: after, is_over: false, steps: steps.boxed() }
    }

    /// A run from a cursor on.
    ///
    /// # Errors
    /// When the run is not there, or the cursor not in it.
    pub async fn run(app: &App, run: RunId, cursor: &Cursor) -> Result<Following, Problem> {
        let instance = app.store.instance();
        let opened = Follower::open(&app.hub, run, cursor).await;
        let (follower, hello) = opened.map_err(|error| refusal(error, instance))?;
        let is_over = hello.head.outcome.status.is_terminal() && hello.after == hello.head.last_seq;
        // The Follower's way through a page must survive whatever else happens meanwhile.
        let steps = stream::unfold(follower, async |mut follower| Some((follower.next().await, follower)));
        let following = Following::new(run, &Frame::hello(run, instance, &hello), hello.after.into(), steps);
        Ok(Following { is_over, ..following })
    }

    /// Whether it has ended, and the cursor stands at its end.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// All that its reader is told, for as long as it is asked; only up to `caught_up` for one that does not stay.
    pub(super) fn tell(self, stays: bool) -> stream::Boxed<Batch> {
        let Following { subject, hello, cursor, steps, .. } = self;
        let reader = Reader { subject, cursor, steps, stays, is_over: false };
        let first = Batch { objects: vec![hello], ending: None };
        let rest = stream::unfold(reader, async |mut reader| Some((reader.next().await?, reader)));
        stream::once(first).chain(rest).boxed()
    }
}

struct Reader {
    subject: Box<dyn Subject>,
    /// What it was told so far.
    cursor: Position,
    steps: stream::Boxed<Result<Step, StoreError>>,
    stays: bool,
    is_over: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<Batch> {
        if self.is_over {
            return None;
        }
        let quiet = async {
            Timer::after(HEARTBEAT).await;
            None
        };
        let step = async { Some(self.steps.next().await) };
        let batch = match step.or(quiet).await {
            Some(Some(Ok(step))) => self.take(step),
            Some(None | Some(Err(_))) => Batch { objects: Vec::new(), ending: Some(Ending::Broken) },
            None => {
                let text = json(&self.subject.heartbeat(self.cursor));
                Batch { objects: vec![Object { name: "heartbeat", cursor: None, text }], ending: None }
            }
        };
        self.is_over = batch.ending.is_some();
        Some(batch)
    }

    fn take(&mut self, step: Step) -> Batch {
        let (objects, ending) = match step {
            Step::Events(events) => (events.iter().map(|event| self.event(event)).collect(), None),
            Step::Gap(gap) => {
                // What is left of a partial one follows, and must not be passed over by who comes back.
                let after = if gap.partial { self.cursor } else { gap.to };
                (vec![self.object("gap", after, &Frame::gap(&gap))], None)
            }
            Step::Cursor { id } => (vec![self.object("cursor", id.into(), &Frame::Cursor { id })], None),
            Step::CaughtUp { seq } => {
                let object = self.object("caught_up", seq, &self.subject.caught_up(seq));
                (vec![object], (!self.stays).then_some(Ending::Told))
            }
            Step::End(ended) => {
                let object = self.object("end", ended.last_seq.into(), &self.subject.end(&ended));
                (vec![object], Some(Ending::Told))
            }
            Step::Closing => (Vec::new(), Some(Ending::Closing)),
            Step::Gone => (Vec::new(), Some(Ending::Gone)),
        };
        Batch { objects, ending }
    }

    fn event(&mut self, event: &Encoded) -> Object {
        self.cursor = self.subject.place(event);
        Object { name: "event", cursor: Some(self.cursor), text: event.text.clone() }
    }

    fn object(&mut self, name: &'static str, cursor: Position, frame: &Frame<'_>) -> Object {
        self.cursor = cursor;
        Object { name, cursor: Some(cursor), text: json(frame) }
    }
}

fn json(frame: &Frame<'_>) -> Bytes {
    text::json(frame).unwrap_or_default().into()
}
