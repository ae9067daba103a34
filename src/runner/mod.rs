//! One claimed attempt, from its spawn to its settled end.
//!
//! Pieces with their order go to the backlog, then one exit goes to the store. The runner knows
//! neither who reads nor how a run is asked for, and starts nothing whose claim is not on the medium.

pub mod appender;
pub mod children;
pub mod inherited;
mod left_behind;
mod member;
mod oom;
pub mod orphans;
mod output;
mod posix_spawn;
mod process;
mod procfs;
pub mod running;
mod session;
mod settle;
mod shortage;
mod spawn;
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_io::Timer;
use futures_lite::future;
use rustix::process::Signal;

use crate::run::{Ask, Exit};
use crate::run_tokens::RunTokens;
use crate::store::backlog::Intake;
use crate::store::{Claimed, Order, ProcessMark, Store};
pub use appender::Pacing;
pub use oom::OomWatch;
use output::Output;
use process::{Pipes, Process, Unstarted};
pub use running::Running;
use running::Switch;
use settle::{End, PATIENCE, settle};
pub use shortage::Shortage;
pub use world::World;

/// What only a background child adds after its leader's end is read for this long, and what is left
/// of a session that was told lives for this long.
const AFTERMATH: Duration = Duration::from_millis(250);
/// An ending run whose output finds no room for so long has it committed by itself.
const FLUSH_AFTER: Duration = Duration::from_secs(1);
/// A command that is over by then is written down together with its end, in one commit less; any other is written down
/// then, before any of its output. A daemon that dies meanwhile leaves a process that its environment tells.
const RECORD_DELAY: Duration = Duration::from_millis(10);
/// A process that SIGKILL has not ended by now is stuck in the kernel; its run is settled without it.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// What every attempt needs; cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// Where it is recorded.
    pub store: Store,
    /// Where it can be reached.
    pub running: Running,
    /// What its command finds.
    pub world: Arc<World>,
    /// Whether the kernel killed it for memory.
    pub oom: Arc<OomWatch>,
    /// By what the gate knows its command.
    pub tokens: RunTokens,
    /// Whether something is wanting that commands need to be started.
    pub shortage: Shortage,
    /// How long it may take to stop.
    pub graces: Graces,
}

/// From SIGTERM to SIGKILL.
#[derive(Clone, Copy, Debug)]
pub struct Graces {
    /// `kill_grace_s`: after a cancel or a timeout, and for what a dead daemon left.
    pub kill: Duration,
    /// `shutdown_grace_s`.
    pub shutdown: Duration,
}

/// Says once, at the start, what this system lacks and what that means.
pub fn warn_of_what_is_missing() {
    if !member::are_there() {
        log::warn!("no pidfds here (Linux 5.3, and no filter that refuses them): commands are watched by SIGCHLD");
    }
    if !procfs::is_there() {
        log::warn!(
            "/proc is not mounted: a stop reaches a command's own process group and nothing else of it, and what a \
             daemon that died left running cannot be found"
        );
    }
}

/// Does what the store orders. Of a start the attempt is answered, which somebody has to execute.
pub fn obey(context: &Context, order: Order) -> Option<impl Future<Output = ()> + Send + use<>> {
    match order {
        Order::Start(claimed) => Some(attempt(context.clone(), claimed)),
        Order::Stop { run, asked } => {
            // Where nothing runs any more, it has ended before the order came.
            context.running.ask(run, asked);
            None
        }
    }
}

/// Executes a claimed attempt and settles it. Dropping the future leaves the command running.
///
/// It counts as running from this call on, not from the first poll: a shutdown that has seen the
/// last claim misses none, and a stop that follows the start finds it.
fn attempt(context: Context, claimed: Claimed) -> impl Future<Output = ()> + Send {
    let switch = context.running.register(claimed.run);
    execute(context, claimed, switch)
}

async fn execute(context: Context, claimed: Claimed, switch: Switch) {
    let (run, attempt) = (claimed.run, claimed.attempt);
    let settle = async |process: Option<ProcessMark>, asked: Option<Ask>, exit: Exit| {
        settle(&context.store, &switch, End { run, attempt, process, asked, exit }).await;
    };
    if let Some(asked) = switch.asked_now() {
        return settle(None, Some(asked), Exit::Unknown).await;
    }
    let deadline = claimed.timeout_s.and_then(deadline_after);
    let token = match context.tokens.issue(run) {
        Ok(token) => token,
        Err(error) => return settle(None, None, Exit::SpawnFailed(format!("no random numbers: {error}"))).await,
    };
    let (process, pipes) = match Process::spawn(&context.world, &claimed, &token) {
        Ok(started) => started,
        Err(Unstarted { why, is_shortage: false }) => return settle(None, None, Exit::SpawnFailed(why)).await,
        Err(Unstarted { why, is_shortage: true }) => {
            let (pause, is_first) = context.shortage.note();
            // Of those that fail together the first speaks for all.
            let level = if is_first { log::Level::Warn } else { log::Level::Debug };
            log::log!(level, "run {run} cannot be started yet: {why}; it is tried again in {} ms", pause.as_millis());
            let retry_ms = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
            return settle(None, switch.asked_now(), Exit::Postponed { why, retry_ms }).await;
        }
    };
    context.shortage.is_over();
    switch.set_session(Some(process.pid()));
    let mark = process.mark(&context.world);
    let is_long = async {
        Timer::after(RECORD_DELAY).await;
        true
    };
    let is_over = async { !dead(&process).await };
    let unrecorded =
        if future::or(is_over, is_long).await { record(&context, &claimed, mark).await } else { Some(mark) };
    let intake = context.store.backlog().open(run);
    let stdin = claimed.stdin.as_deref().unwrap_or_default();
    let supervised = supervise(&process, pipes, stdin, &intake, &switch, context.graces, deadline);
    // Where output waits for room, what an ended command left in its pipes must not: only its end can make some.
    let flushed = async {
        process.exited().await;
        loop {
            Timer::after(FLUSH_AFTER).await;
            // Tried again; the store says why.
            let _ = context.store.flush_run(run).await;
        }
    };
    let asked = future::or(supervised, flushed).await;
    if asked.is_some() {
        left_behind::tell(&context, run, &[]).await;
    }
    let exit = match reap(process, &context.running, &switch) {
        Exit::Signal(signal) if asked.is_none() && signal == Signal::KILL.as_raw() && context.oom.take() => Exit::Oom,
        exit => exit,
    };
    // Before anybody is told that it has ended.
    drop(token);
    settle(unrecorded, asked, exit).await;
}

/// Writes the process down. Answers it where the store cannot take it: then its end takes it along, and a daemon that dies
/// meanwhile leaves a process that its environment tells.
async fn record(context: &Context, claimed: &Claimed, mark: ProcessMark) -> Option<ProcessMark> {
    let run = claimed.run;
    let error = context.store.record_process(run, claimed.attempt, mark.clone()).await.err()?;
    if !error.is_told_by_the_store() {
        log::error!("the process of run {run} could not be recorded yet: {error}");
    }
    Some(mark)
}

/// Reads a started command's output and sees it to its end; answers who asked for that, if anybody.
async fn supervise(
    process: &Process,
    pipes: Pipes,
    stdin: &str,
    intake: &Intake,
    switch: &Switch,
    graces: Graces,
    deadline: Option<Instant>,
) -> Option<Ask> {
    let mut output = Output::new(pipes.stdout, pipes.stderr);
    let gone = {
        let pumped = async {
            output.pump(intake).await;
            future::pending().await
        };
        let fed = async {
            output::feed(pipes.stdin, stdin).await;
            future::pending().await
        };
        future::or(until_gone(process, switch, graces, deadline), future::or(pumped, fed)).await
    };
    let swept = async {
        let Some((_, kill_at)) = gone else { return };
        // Whoever is left of its session, until nobody is or its time is up.
        let too_late = async {
            Timer::at(kill_at).await;
        };
        future::or(session::gone(&process.members()), too_late).await;
        process.kill_group();
        session::kill(switch.run(), || process.members()).await;
    };
    // What the store cannot take is lost with the daemon, or a full disk would keep it from ever ending.
    let given_up = async {
        switch.hurried().await;
        Timer::after(PATIENCE).await;
    };
    let drained = future::or(output.drain(intake, Instant::now() + AFTERMATH), given_up);
    future::zip(drained, swept).await;
    gone.map(|(asked, _)| asked)
}

/// Waits for the leader's end, and brings it about where somebody asks: then answers who, and when
/// what is left of its session is to be killed.
async fn until_gone(
    process: &Process,
    switch: &Switch,
    graces: Graces,
    deadline: Option<Instant>,
) -> Option<(Ask, Instant)> {
    let asked = async { Some(switch.asked().await) };
    let exited = async {
        process.exited().await;
        switch.close()
    };
    let late = async {
        deadline.map_or_else(Timer::never, Timer::at).await;
        switch.ask(Ask::Timeout);
        switch.asked_now()
    };
    // The ask first: what was told that it decides has decided.
    let asked = future::or(asked, future::or(exited, late)).await?;
    process.tell();
    let grace = if asked == Ask::Shutdown { graces.shutdown } else { graces.kill };
    let grace_up = Instant::now().checked_add(grace);
    let patient = async {
        grace_up.map_or_else(Timer::never, Timer::at).await;
        false
    };
    let hurried = async {
        switch.hurried().await;
        Timer::after(graces.shutdown).await;
        false
    };
    let is_dead = future::or(dead(process), future::or(patient, hurried)).await;
    let sweep_at = Instant::now() + AFTERMATH;
    if is_dead {
        return Some((asked, grace_up.map_or(sweep_at, |up| up.min(sweep_at))));
    }
    process.kill_group();
    process.members().iter().for_each(|member| member.signal(&[Signal::KILL]));
    let stuck = async {
        Timer::after(KILL_PATIENCE).await;
        false
    };
    if !future::or(dead(process), stuck).await {
        log::error!("process {:?} outlives SIGKILL; its run is settled without it", process.pid());
    }
    Some((asked, Instant::now()))
}

async fn dead(process: &Process) -> bool {
    process.exited().await;
    true
}

/// `None` where it is beyond all clocks.
fn deadline_after(seconds: i64) -> Option<Instant> {
    Instant::now().checked_add(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// Frees the leader's pid, after which its session is signalled no more.
fn reap(process: Process, running: &Running, switch: &Switch) -> Exit {
    switch.set_session(None);
    process.reap().unwrap_or_else(|pid| {
        running.leave_unreaped(pid);
        Exit::Unknown
    })
}

#[cfg(test)]
mod tests;
