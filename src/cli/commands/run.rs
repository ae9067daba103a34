//! `run`: submits, follows, and exits as the command did.
//!
//! The command's bytes are all that standard output gets. Ctrl-C, a closed output and a lost daemon are told apart:
//! only the first two may end the run.

use std::cell::Cell;
use std::time::Duration;

use async_io::Timer;
use futures_lite::future;
use hyper::Method;
use hyper::body::Bytes;
use serde_json::json;

use super::add::Submission;
#[cfg(unix)]
use super::attach::{Over, Session};
use super::context::Context;
use super::notices::gap_text;
use crate::cli::args::RunOptions;
use crate::cli::interrupts::Interrupts;
use crate::cli::notify::tell_ended;
use crate::cli::patience::{Patience, ask_until_answered};
use crate::cli::print;
use crate::cli::sink::Outputs;
use crate::cli::view::{RunView, read};
use crate::client::connection::{Ask, encoded};
use crate::client::failure::Failure;
use crate::client::follow::{Follower, Step};
use crate::run::Status;
use crate::text::{printable, printable_json};
use crate::wire::{DrainBody, OutcomeBody, QueueBody, RunsPage, What};

/// A run that has not started by then has something to wait for.
const QUEUED_NOTE_MS: u64 = 1_000;
/// From when nobody reads its output any more until a run that says nothing is canceled: `echo x | head -n 1` is no cancel.
const CLOSED_GRACE_MS: u64 = 500;
/// How many of the runs ahead are named.
const AHEAD_NAMED: usize = 3;
/// Left running by a second Ctrl-C: 128 + SIGINT.
const LEFT_RUNNING: u8 = 130;
/// Canceled: 128 + SIGTERM.
#[cfg(unix)]
const CANCELED: u8 = 143;

/// Submits, follows, and gives the command's exit code.
pub async fn run(context: &Context, options: RunOptions) -> Result<u8, Failure> {
    #[cfg(unix)]
    if options.submit.tty && options.submit.stdin && !context.json {
        return sit(context, options).await;
    }
    // Standard input may be read here: until that is done, Ctrl-C ends us as it always does.
    let submit = Submission::new(options.submit, context).await?;
    let mut interrupts = Interrupts::listen()?;
    let mut interrupted = false;
    let Some(body) = submitted(context, &submit, &mut interrupts, &mut interrupted).await? else {
        return Ok(LEFT_RUNNING);
    };
    let run: RunView = read(&body)?;
    let following = Following { context, run: run.id.0, waits: Cell::new(true), canceled: Cell::new(false) };
    let watched = future::or(following.attend(&mut interrupts, interrupted), following.tell_why_it_waits());
    match future::or(following.follow(), watched).await {
        Ok(Ended::With(outcome)) => {
            if let Some(complaint) = outcome.complaint(run.id.0).filter(|_| !following.canceled.get()) {
                print::warn(&complaint);
            }
            // Whoever ended it by Ctrl-C knows.
            if options.notify && !following.canceled.get() {
                tell_ended(&context.runs_to_tell(&[run.id.0]).await);
            }
            Ok(outcome.exit_code())
        }
        Ok(Ended::LeftRunning) => {
            print::note(&format!("run {} goes on; `runabout logs -f {}` follows it", run.id, run.id));
            Ok(LEFT_RUNNING)
        }
        Err(Failure::OutputClosed) => {
            // Who read it has what they wanted.
            let cancel = async { following.cancel("its output was closed").await.map(|()| 0) };
            let left = async {
                interrupts.next().await;
                Ok(LEFT_RUNNING)
            };
            future::or(cancel, left).await
        }
        Err(Failure::Own(text)) => Err(Failure::Own(format!("{text}; run {} goes on", run.id))),
        Err(failure) => Err(failure),
    }
}

/// The same, where somebody sits at it.
#[cfg(unix)]
async fn sit(context: &Context, options: RunOptions) -> Result<u8, Failure> {
    let submit = Submission::new(options.submit, context).await?;
    let run = read::<RunView>(&submit.send(context).await?)?.id.0;
    let session = Session::new(context, run, true)?;
    match session.sit("0", false).await? {
        Over::Ended(outcome) => {
            outcome.complaint(run).iter().for_each(|complaint| print::warn(complaint));
            if options.notify {
                tell_ended(&context.runs_to_tell(&[run]).await);
            }
            Ok(outcome.exit_code())
        }
        Over::Detached => Ok(0),
        Over::Interrupted if session.has_started() => Ok(LEFT_RUNNING),
        Over::Interrupted => {
            let following = Following { context, run, waits: Cell::new(true), canceled: Cell::new(true) };
            following.cancel("interrupted").await?;
            Ok(CANCELED)
        }
    }
}

/// The answer to the submit; `None` when a second Ctrl-C came before it.
async fn submitted(
    context: &Context,
    submit: &Submission,
    interrupts: &mut Interrupts,
    interrupted: &mut bool,
) -> Result<Option<Bytes>, Failure> {
    let given_up = async {
        interrupts.next().await;
        *interrupted = true;
        print::note("it is being submitted, then canceled; Ctrl-C again gives up");
        interrupts.next().await;
        Ok(None)
    };
    let sent = async { submit.send(context).await.map(Some) };
    future::or(sent, given_up).await
}

/// How the following came to its end.
enum Ended {
    With(OutcomeBody),
    LeftRunning,
}

struct Following<'a> {
    context: &'a Context,
    run: i64,
    /// Whether it has not been started yet.
    waits: Cell<bool>,
    /// Whether we asked for its end.
    canceled: Cell<bool>,
}

impl Following<'_> {
    async fn follow(&self) -> Result<Ended, Failure> {
        let outputs = Outputs::open()?;
        let closed = async {
            let failure = outputs.closed().await;
            // What has said its last may end by itself.
            Timer::after(Duration::from_millis(CLOSED_GRACE_MS)).await;
            Err(failure)
        };
        future::or(self.print(&outputs), closed).await
    }

    async fn print(&self, outputs: &Outputs) -> Result<Ended, Failure> {
        let mut follower = Follower::new(&self.context.daemon, self.run, "0", true);
        let mut finished: Option<OutcomeBody> = None;
        loop {
            match follower.next().await? {
                Step::Event(event, line) => {
                    self.waits.set(matches!(event.what, What::Queued));
                    if self.context.json {
                        outputs.line(&printable_json(&line)).await?;
                    }
                    match event.what {
                        What::Output(..) if self.context.json => {}
                        What::Output(stream, bytes) => outputs.piece(stream, &bytes).await?,
                        What::Finished(outcome) => finished = Some(outcome),
                        What::Started(_) | What::Queued | What::Other => {}
                    }
                }
                Step::Gap(gap, line) => {
                    if self.context.json {
                        outputs.line(&printable_json(&line)).await?;
                    }
                    print::warn(&gap_text(&gap));
                }
                Step::CaughtUp => {}
                Step::Away(why) => print::note(&format!("{why}; reconnecting")),
                Step::Back(seq) => print::note(&format!("connected again, going on after event {seq}")),
                // `end` has no signal and no error text: the event before it has.
                Step::End(end) => return self.outcome(finished, end).await.map(Ended::With),
            }
        }
    }

    async fn outcome(&self, finished: Option<OutcomeBody>, end: OutcomeBody) -> Result<OutcomeBody, Failure> {
        if let Some(outcome) = finished {
            return Ok(outcome);
        }
        match self.context.daemon.ask(&Ask::get(format!("/v1/runs/{}", self.run))).await {
            Ok(body) => Ok(read::<RunView>(&body)?.outcome()),
            Err(_) => Ok(end),
        }
    }

    /// Ctrl-C once cancels; twice leaves it running. Ends only by the second.
    async fn attend(&self, interrupts: &mut Interrupts, mut interrupted: bool) -> Result<Ended, Failure> {
        if !interrupted {
            interrupts.next().await;
            interrupted = true;
        }
        self.canceled.set(interrupted);
        print::note(&format!("canceling run {}; Ctrl-C again leaves it running", self.run));
        let cancel = async {
            if let Err(failure) = self.cancel("interrupted").await {
                print::warn(&failure.to_string());
            }
            future::pending().await
        };
        future::or(cancel, interrupts.next()).await;
        Ok(Ended::LeftRunning)
    }

    async fn cancel(&self, reason: &str) -> Result<(), Failure> {
        let ask = Ask::new(Method::POST, format!("/v1/runs/{}/cancel", self.run)).with(&json!({ "reason": reason }));
        let mut patience = Patience { met: true, at_most: None };
        ask_until_answered(&self.context.daemon, &ask, &mut patience).await.map(drop)
    }

    /// Tells a person once, after a second, what stands in front. Never ends.
    async fn tell_why_it_waits(&self) -> Result<Ended, Failure> {
        Timer::after(Duration::from_millis(QUEUED_NOTE_MS)).await;
        if self.waits.get() {
            // That it waits is no failure, and not being able to say why is none either.
            match self.why_it_waits().await.ok().flatten().filter(|_| self.waits.get()) {
                Some(Wait::Passes(why)) => print::note(&why),
                Some(Wait::ForSomebody(why)) => print::warn(&why),
                None => {}
            }
        }
        future::pending().await
    }

    async fn why_it_waits(&self) -> Result<Option<Wait>, Failure> {
        let daemon = &self.context.daemon;
        let run: RunView = read(&daemon.ask(&Ask::get(format!("/v1/runs/{}", self.run))).await?)?;
        if run.status.known() != Some(Status::Queued) {
            return Ok(None);
        }
        // A daemon that cannot be drained does not know the path.
        let drain = daemon.ask(&Ask::get("/v1/drain")).await.and_then(|body| read::<DrainBody>(&body));
        if drain.is_ok_and(|drain| drain.draining) {
            let why = "queued: the daemon is drained and starts nothing (runabout drain --undo)";
            return Ok(Some(Wait::ForSomebody(why.to_owned())));
        }
        let name = encoded(&run.queue);
        let queue: QueueBody = read(&daemon.ask(&Ask::get(format!("/v1/queues/{name}"))).await?)?;
        let path = format!("/v1/runs?status=running&queue={name}&limit={}", AHEAD_NAMED + 1);
        let page: RunsPage = read(&daemon.ask(&Ask::get(path)).await?)?;
        let ahead: Result<Vec<RunView>, Failure> = page.runs.iter().map(|run| read(run.get().as_bytes())).collect();
        let ahead: Vec<i64> = ahead?.iter().map(|run| run.id.0).collect();
        Ok(Some(waiting(&run, &queue, &ahead)))
    }
}

/// Why a run waits.
#[derive(Debug, PartialEq, Eq)]
enum Wait {
    /// By itself that will be over: news for a terminal.
    Passes(String),
    /// Until somebody does something, so that a script is told, too.
    ForSomebody(String),
}

fn waiting(run: &RunView, queue: &QueueBody, ahead: &[i64]) -> Wait {
    let name = &queue.name;
    if queue.paused {
        return Wait::ForSomebody(format!("queued: queue \"{name}\" is paused (runabout queue {name} --resume)"));
    }
    if let Some(why) = run.why_it_waits() {
        return Wait::Passes(format!("queued: {}", printable(&why)));
    }
    let slots = if queue.slots == 1 { "1 slot".to_owned() } else { format!("{} slots", queue.slots) };
    let named: Vec<String> = ahead.iter().take(AHEAD_NAMED).map(i64::to_string).collect();
    let behind = match named.as_slice() {
        [] => format!("{} others", queue.queued.saturating_sub(1)),
        [one] => format!("run {one}"),
        more => format!("runs {}{}", more.join(", "), if ahead.len() > AHEAD_NAMED { ", …" } else { "" }),
    };
    Wait::Passes(format!("queued behind {behind}: queue \"{name}\" has {slots}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Hold, RunId};

    #[test]
    fn a_person_is_told_what_stands_in_front() {
        let mut queue = QueueBody { name: "default".into(), slots: 1, ..QueueBody::default() };
        let mut run = RunView::default();
        let passes = |text: &str| Wait::Passes(text.to_owned());
        assert_eq!(waiting(&run, &queue, &[12]), passes("queued behind run 12: queue \"default\" has 1 slot"));
        queue.slots = 4;
        let many = "queued behind runs 15, 14, 13, …: queue \"default\" has 4 slots";
        assert_eq!(waiting(&run, &queue, &[15, 14, 13, 12]), passes(many));
        run.not_before = Some("2026-11-23T06:32:01.000Z".to_owned());
        run.held_by = vec![Hold::Time.into()];
        assert_eq!(waiting(&run, &queue, &[]), passes("queued: held back until 2026-11-23T06:32:01.000Z"));
        (run.held_by, run.waits_for_runs) = (vec![Hold::After.into(), Hold::Key.into()], vec![RunId(7), RunId(9)]);
        let why = "queued: waits for runs 7, 9 to end; one run of its key runs at a time";
        assert_eq!(waiting(&run, &queue, &[]), passes(why));
        queue.paused = true;
        let paused = "queued: queue \"default\" is paused (runabout queue default --resume)";
        assert_eq!(waiting(&run, &queue, &[]), Wait::ForSomebody(paused.to_owned()));
    }
}
