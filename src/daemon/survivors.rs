//! What of a daemon's commands outlives it: where their keepers are, who is left by a stop, who is found by a start.

use std::sync::Arc;

use smol::{Executor, Task};

use crate::run::Ask;
use crate::runner::{self, Keepers, Running, kept, orphans};
use crate::state_lock::StateLock;
use crate::store::LeftRun;
use crate::systemd;

/// Where keepers are, or why no run can survive the daemon.
pub(super) fn keepers(state: &StateLock) -> Result<Arc<Keepers>, Arc<str>> {
    let opened = Keepers::open(state.dir(), systemd::runtime_directory().as_deref());
    opened
        .map(Arc::new)
        .map_err(|why| Arc::from(format!("no run can survive the daemon: {why}; its next start looks again")))
}

/// Why limits cannot be enforced for what survives the daemon, for people, whenever that is asked; `None` where they can. What
/// can be enforced at all is the daemon's own cgroup's to say: a unit for keepers is delegated as the daemon's is.
pub(super) fn no_limits(context: &runner::Context) -> Arc<dyn Fn() -> Option<String> + Send + Sync> {
    let (groups, keepers) = (context.groups.clone(), context.keepers.clone());
    Arc::new(move || match &keepers {
        Err(why) => Some(why.to_string()),
        Ok(keepers) if keepers.have_units() => None,
        Ok(_) => groups.outlives().err(),
    })
}

/// Asks all that runs to end, and lets survivors be, unless `all` are to go.
pub(super) fn end_all(running: &Running, all: bool) {
    if all {
        return running.ask_all(Ask::Shutdown);
    }
    let survivors = running.ask_all_but_survivors(Ask::Shutdown);
    if !survivors.is_empty() {
        let runs: Vec<String> = survivors.iter().map(ToString::to_string).collect();
        log::info!("left running, for the next daemon: the commands of runs {}", runs.join(", "));
    }
}

/// Goes on with what survived a daemon, and ends and settles the other attempts that it left.
pub(super) fn take_over(left: Vec<LeftRun>, context: &runner::Context, executor: &Executor<'static>) -> Vec<Task<()>> {
    let running: Vec<_> = left.iter().map(|left| (left.run, left.attempt)).collect();
    let over = kept::over(context, &running);
    let (left, kept) = kept::take_over(left, context);
    let kept = kept.into_iter().map(|kept| executor.spawn(kept));
    let orphans = orphans::take_over(left, context).into_iter().map(|orphan| executor.spawn(orphan));
    let clearing = context.clone();
    let clear = executor.spawn(async move { kept::clear(&clearing, over).await });
    kept.chain(orphans).chain([clear]).collect()
}
