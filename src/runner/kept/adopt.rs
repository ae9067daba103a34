//! Takes over what keepers have kept: at the start of a daemon, each attempt of the database that has one.

use super::feed::Feed;
use super::follow::follow;
use super::pieces::KeptPieces;
use crate::keep::frame::Frame;
use crate::keep::place::{attempt_of, name_of};
use crate::keep::protocol::{Hello, Stop, VERSION};
use crate::process::procfs;
use crate::run::{Ask, RunId};
use crate::runner::context::Context;
use crate::runner::execution::Outlet;
use crate::runner::keepers::{KeeperMark, Whereabouts};
use crate::store::LeftRun;

/// Takes over the attempts that have a keeper: returns a future for each, which attends to it as the daemon before did, and
/// the attempts that have none, or had it before a reboot.
pub fn take_over(
    left: Vec<LeftRun>,
    context: &Context,
) -> (Vec<LeftRun>, Vec<impl Future<Output = ()> + Send + use<>>) {
    let (mut orphans, mut kept) = (Vec::new(), Vec::new());
    for left in left {
        match pieces_of(&left, context) {
            Some(pieces) => kept.push(adopt(left, context.clone(), pieces)),
            None => orphans.push(left),
        }
    }
    (orphans, kept)
}

fn hello_of(instance: &str, run: RunId, attempt: i64) -> Hello {
    let name = name_of(instance, run, attempt);
    Hello { version: VERSION, instance: instance.to_owned(), run: run.0, attempt, name }
}

fn pieces_of(left: &LeftRun, context: &Context) -> Option<KeptPieces> {
    let kept = left.kept.as_ref()?;
    let mark = KeeperMark::parse(&kept.keeper)?;
    // After a reboot nothing of it is left, neither in memory nor beside it.
    if mark.boot_id != procfs::boot_id() {
        return None;
    }
    let place = Whereabouts::of(&mark, context.keepers.as_ref().ok());
    let hello = hello_of(context.environment.instance(), left.run, left.attempt);
    let input = context.inputs.open(left.run, left.options.stdin.is_some(), left.options.pty);
    let feed = Feed::new(kept.stdin.clone(), input).sized(left.options.pty);
    Some(KeptPieces::new(place, hello, mark, None, None, feed))
}

/// It counts as running from this call on.
fn adopt(left: LeftRun, context: Context, pieces: KeptPieces) -> impl Future<Output = ()> + Send {
    let switch = context.running.register(left.run);
    context.artifacts.adopt(left.run);
    context.groups.leave_to_keeper(left.run, left.attempt);
    switch.set_survives(true);
    if left.cancel_requested {
        switch.ask(Ask::Cancel);
    }
    async move {
        let stored = left.kept.as_ref().map_or(0, |kept| kept.stored_bytes);
        let mut outlet = Outlet::from(context.store.backlog().open(left.run), stored);
        follow(&context, left, switch, pieces, None, &mut outlet).await;
    }
}

/// The attempts that have a keeper or left something, and are over by this database: their daemons died between recording the
/// end and saying so. To be called before anything is started.
pub fn over(context: &Context, running: &[(RunId, i64)]) -> Vec<(RunId, i64)> {
    let Ok(keepers) = &context.keepers else { return Vec::new() };
    let instance = context.environment.instance();
    let mut over: Vec<(RunId, i64)> =
        keepers.names().unwrap_or_default().iter().filter_map(|name| attempt_of(name, instance)).collect();
    over.sort_unstable();
    over.dedup();
    over.retain(|attempt| !running.contains(attempt));
    over
}

/// Ends keepers of attempts that are over, and removes what others left.
pub async fn clear(context: &Context, over: Vec<(RunId, i64)>) {
    let Ok(keepers) = &context.keepers else { return };
    let instance = context.environment.instance();
    for (run, attempt) in over {
        let hello = hello_of(instance, run, attempt);
        match keepers.connect(&hello).await {
            Ok(mut link) => {
                log::warn!("attempt {attempt} of run {run} is over by the database and has a keeper: it is ended");
                link.send(&Frame::Stop(Stop { asked: Ask::DaemonLost.as_str().to_owned(), grace_ms: 0 }));
                link.send(&Frame::Release);
                let _ = link.write();
            }
            // What is silent is left alone.
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {}
            Err(_) => keepers.forget(&hello.name),
        }
    }
}
