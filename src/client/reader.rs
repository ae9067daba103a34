//! The client for other programs: a submit that goes through once, and streams of events that miss none.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::stream::{self, Stream, StreamExt as _};
use hyper::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::connection::{Ask, Daemon, encoded};
use super::failure::Failure;
use super::follow::{Follower, Line, Step};
use super::patience::{Patience, ask_until_answered};
use super::target::{Address, Target, parse};
use crate::event::Kind;
use crate::numbers::RunId;
use crate::wire::{ReceivedEvent, ReceivedGap, RunBody, Submit};

/// How long a daemon that hung up during a request is waited for.
const LOST_S: u64 = 60;

/// A run, as it was answered.
pub type Run = RunBody<'static>;

/// A daemon, and who asks it. Cheap to clone; each request and each stream is a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    target: Target,
}

/// Which events of all runs are shown; all of it has to hold. By default every event but output.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of these kinds; empty is all, output only where `runs` are named.
    pub kinds: Vec<Kind>,
    /// Only of these runs, at most 100; empty is all.
    pub runs: Vec<RunId>,
    /// Only of runs in this queue.
    pub queue: Option<String>,
}

/// An event, and what a reader needs to know with it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The event.
    pub event: ReceivedEvent,
    /// Events in front of it that are gone for good; empty but for who was away for longer than events are kept.
    pub gone: Vec<ReceivedGap>,
    /// Where to go on: a stream from here begins with what follows this event.
    pub cursor: String,
    /// The event as it came: JSON on one line.
    pub line: Line,
}

/// A stream of events, in order, each once. It outlives connections and restarts of the daemon.
pub struct Events(stream::Boxed<Result<Delivery, Failure>>);

impl Stream for Events {
    type Item = Result<Delivery, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next(context)
    }
}

impl Client {
    /// The daemon at `http://HOST:PORT`, `https://HOST:PORT` or `unix:/path/of/its/socket`; it need not be there yet.
    ///
    /// # Errors
    /// [`Failure::Usage`] where the URL is none of these.
    pub fn new(url: &str) -> Result<Client, Failure> {
        Ok(Client { target: parse(url, "the daemon's URL")? })
    }

    /// The same with the token of a session, which every address but a Unix socket needs.
    #[must_use]
    pub fn with_token(self, token: impl Into<String>) -> Client {
        Client { target: self.target.with_token(token.into()) }
    }

    /// The same, for `https`, known by the certificates in this PEM file instead of the system's authorities.
    #[must_use]
    pub fn with_authority(self, file: impl Into<PathBuf>) -> Client {
        let target = match self.target {
            Target::Network(address) => Target::Network(Address { ca: Some(file.into()), ..address }),
            socket => socket,
        };
        Client { target }
    }

    /// Submits a command. It carries a key of its own, so that it is queued once however often it has to be sent: a daemon
    /// that hung up in between is asked again for up to 60 seconds.
    ///
    /// # Errors
    /// [`Failure::Refused`] with what the daemon says; otherwise why there is no answer.
    pub async fn submit(&self, submit: &Submit) -> Result<Run, Failure> {
        self.submit_once(submit, &random_key("api")?).await
    }

    /// The same with a key of the caller's, so that also another process can repeat it: with the same key and the same
    /// words nothing is queued twice.
    ///
    /// # Errors
    /// As [`Client::submit`].
    pub async fn submit_once(&self, submit: &Submit, key: &str) -> Result<Run, Failure> {
        self.asked(Ask { key: Some(key.to_owned()), ..Ask::new(Method::POST, "/v1/runs").with(submit) }).await
    }

    /// A run as it stands.
    ///
    /// # Errors
    /// As [`Client::submit`].
    pub async fn run(&self, run: RunId) -> Result<Run, Failure> {
        self.asked(Ask::get(format!("/v1/runs/{run}"))).await
    }

    /// Asks a run to end.
    ///
    /// # Errors
    /// As [`Client::submit`].
    pub async fn cancel(&self, run: RunId) -> Result<Run, Failure> {
        self.asked(Ask::new(Method::POST, format!("/v1/runs/{run}/cancel"))).await
    }

    /// Asks for anything else of the HTTP interface, once: a method, a path with its query, a body, and an
    /// `Idempotency-Key`. Gives the answer's JSON, null where it is empty.
    ///
    /// # Errors
    /// [`Failure::Usage`] for a method that is none; otherwise as [`Client::submit`].
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<Value, Failure> {
        let named = Method::from_bytes(method.as_bytes());
        let method = named.map_err(|_| Failure::Usage(format!("{method}: no method of HTTP")))?;
        let mut ask = Ask { key: key.map(str::to_owned), ..Ask::new(method, path) };
        if let Some(body) = body {
            ask = ask.with(body);
        }
        let answer = self.daemon().ask(&ask).await?;
        if answer.is_empty() { Ok(Value::Null) } else { understood(&answer) }
    }

    /// The events of a run after a cursor, and those to come; it ends behind the run's last. A cursor is `0` for all of
    /// them, `latest`, `-N` for the newest N, or the `cursor` of an earlier [`Delivery`].
    ///
    /// A daemon that cannot be reached at the beginning is an error. Once it was met, a lost connection is made again for
    /// as long as it takes, and reading goes on after the last event that was delivered. The stream ends behind an error:
    /// the run or the session is gone, or the database is another one.
    pub fn follow(&self, run: RunId, cursor: &str) -> Events {
        delivered(Follower::new(&self.daemon(), run.0, cursor, false))
    }

    /// The events of all runs that a filter shows, as [`Client::follow`]; it has no end.
    pub fn follow_all(&self, filter: &Filter, cursor: &str) -> Events {
        delivered(Follower::filtered(&self.daemon(), &filter.query(), cursor))
    }

    fn daemon(&self) -> Daemon {
        Daemon::new(self.target.clone())
    }

    async fn asked(&self, ask: Ask) -> Result<Run, Failure> {
        let mut patience = Patience { met: false, at_most: Some(Duration::from_secs(LOST_S)) };
        let body = ask_until_answered(&self.daemon(), &ask, &mut patience, |_| ()).await?;
        understood(&body)
    }
}

fn understood<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body)
        .map_err(|error| Failure::Own(format!("the daemon's answer cannot be understood: {error}")))
}

impl Filter {
    fn query(&self) -> String {
        let kinds: Vec<&str> = self.kinds.iter().map(|kind| kind.as_str()).collect();
        let runs: Vec<String> = self.runs.iter().map(RunId::to_string).collect();
        let named =
            [("kinds", kinds.join(",")), ("runs", runs.join(",")), ("queue", self.queue.clone().unwrap_or_default())];
        let given = named.into_iter().filter(|(_, value)| !value.is_empty());
        given.map(|(name, value)| format!("{name}={}", encoded(&value))).collect::<Vec<_>>().join("&")
    }
}

/// What a follower tells, without what concerns its connections alone.
fn delivered(follower: Follower) -> Events {
    let events = stream::try_unfold(follower, async |mut follower| {
        let mut gone = Vec::new();
        loop {
            match follower.next().await? {
                Step::Event(event, line) => {
                    let cursor = follower.cursor();
                    return Ok(Some((Delivery { event, gone, cursor, line }, follower)));
                }
                Step::Gap(gap, _) => gone.push(gap),
                Step::CaughtUp | Step::Away(_) | Step::Back(_) => {}
                Step::End(_) => return Ok(None),
            }
        }
    });
    Events(events.boxed())
}

/// A key for a submit that nobody else uses.
pub(crate) fn random_key(prefix: &str) -> Result<String, Failure> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| Failure::Own(format!("no random numbers: {error}")))?;
    let mut key = format!("{prefix}-");
    for byte in bytes {
        let _ = write!(key, "{byte:02x}");
    }
    Ok(key)
}
