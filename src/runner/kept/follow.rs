//! Attends to one command that a keeper has, from its start or from where the daemon before left it.

use async_io::Timer;
use futures_lite::future;
use log::Level;

use super::execution::Kept;
use super::pieces::KeptPieces;
use crate::process::cgroup::{self, Group};
use crate::process::{Identity, biggest};
use crate::run::{Ask, Exit};
use crate::run_tokens::RunToken;
use crate::runner::context::Context;
use crate::runner::execution::{Ended, Execution as _, Outlet};
use crate::runner::running::Switch;
use crate::runner::settle::{End, settle};
use crate::runner::supervise::{FLUSH_AFTER, RECORD_DELAY, postponed, supervise};
use crate::runner::{artifacts, left_behind, orphans, session};
use crate::store::{FaultLog, LeftRun};
use crate::timer::within;

/// Attends to a command that a keeper has, until its end is settled, its keeper was killed, or the daemon goes.
pub(super) async fn follow(
    context: &Context,
    mut left: LeftRun,
    switch: Switch,
    mut pieces: KeptPieces,
    token: Option<RunToken>,
    outlet: &mut Outlet,
) {
    let run = left.run;
    let kept = Kept::new(pieces.shared(), context.graces, context.environment.boot_id().to_owned());
    pieces.attend(&switch, &context.tokens, token);
    let fate = fate_of(context, &left, &switch, &kept, &mut pieces, outlet).await;
    let process = kept.unrecorded();
    pieces.end_token();
    switch.remote().set_detached(None);
    match fate {
        Fate::Left => {}
        Fate::Lost => {
            switch.set_survives(false);
            switch.set_session(None);
            left.process = left.process.or(process);
            left.cancel_requested |= switch.asked_now() == Some(Ask::Cancel);
            log::warn!("run {run}: its keeper was killed");
            orphans::end(left, context.clone(), switch).await;
            pieces.forget();
        }
        Fate::Ended(asked) => {
            let end_left_by = left_behind::end_by(&left.options);
            let group = context.groups.take_back(run, left.attempt);
            let in_group = session::alive(group.as_deref().map(Group::pids).unwrap_or_default());
            let in_group: Vec<Identity> = in_group.map(|(identity, _)| identity).collect();
            if asked.is_some() || end_left_by.is_some() {
                left_behind::tell(context, run, &in_group, end_left_by).await;
            } else {
                left_behind::tell_of(context, run, &in_group).await;
            }
            drop(group);
            switch.set_session(None);
            // Whom the keeper heard first; what it never heard was asked all the same.
            let asked = kept.asked().or(asked);
            let shortage = kept.shortage();
            let ended =
                with_biggest(kept.exit(), || cgroup::name_of(context.environment.instance(), run, left.attempt));
            let exit = match shortage {
                Some(why) => postponed(context, run, why),
                None => ended.exit.clone(),
            };
            artifacts::keep(context, &switch, run).await;
            let measured = context.measured(asked, ended);
            let end = End { run, attempt: left.attempt, process, asked, exit, measured };
            if settle(&context.store, &switch, end).await {
                pieces.release().await;
            }
        }
    }
}

/// Passes its output on until one of the three has come.
async fn fate_of(
    context: &Context,
    left: &LeftRun,
    switch: &Switch,
    kept: &Kept,
    pieces: &mut KeptPieces,
    outlet: &mut Outlet,
) -> Fate {
    let supervised = async {
        let asked = supervise(kept, pieces, outlet, switch, context.graces, None, left.options.left).await;
        Fate::Ended(asked)
    };
    let beside = async {
        record(context, left, kept, switch).await;
        kept.exited().await;
        // Where output waits for room, what an ended command left must not: only its end can make some.
        loop {
            Timer::after(FLUSH_AFTER).await;
            // Tried again; the store says why.
            let _ = context.store.flush_run(left.run).await;
        }
    };
    let lost = async {
        kept.lost().await;
        Fate::Lost
    };
    let gone = async {
        switch.left().await;
        Fate::Left
    };
    future::or(future::or(gone, lost), future::or(supervised, beside)).await
}

/// What the kernel says that it killed first; else what the keeper has seen.
fn with_biggest(ended: Ended, cgroup: impl FnOnce() -> String) -> Ended {
    let killed = (ended.exit == Exit::Oom).then(|| biggest::killed_in(&cgroup())).flatten();
    Ended { biggest: killed.or(ended.biggest), ..ended }
}

enum Fate {
    /// It has ended, and who asked for that.
    Ended(Option<Ask>),
    /// Its keeper is gone without a word.
    Lost,
    /// The daemon goes.
    Left,
}

/// Records the command's process once it is known, unless its end comes with it.
async fn record(context: &Context, left: &LeftRun, kept: &Kept, switch: &Switch) {
    let Some(mark) = kept.started().await else { return };
    switch.set_session(kept.session());
    if left.process.as_ref().is_some_and(|known| known.pid == mark.pid) {
        kept.is_recorded();
        return;
    }
    if within(RECORD_DELAY, kept.exited()).await.is_some() {
        return;
    }
    match context.store.record_process(left.run, left.attempt, mark).await {
        Ok(()) => kept.is_recorded(),
        Err(error) => FaultLog::new(Level::Error)
            .failed(&error, format_args!("the process of run {} could not be recorded yet", left.run)),
    }
}
