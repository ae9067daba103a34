//! The runner: each claimed attempt from its start to its settled end, and what a dead daemon left.
//!
//! It does what the store orders. Pieces of output go to the backlog, then one exit goes to the store. It knows neither who
//! reads nor how a run is asked for, and starts nothing whose claim is not on the medium.

pub mod appender;
mod artifacts;
mod attempt;
mod child;
pub mod children;
mod context;
mod environment;
mod execution;
mod feed;
mod graces;
mod groups;
mod keepers;
pub mod kept;
mod left_behind;
mod machine;
mod member;
pub mod orphans;
mod pipes;
pub mod running;
mod session;
mod settle;
mod shortage;
mod supervise;
mod unstarted;

pub use crate::process::OomWatch;
use crate::process::{pidfds_are_there, procfs};
use crate::store::Order;
use attempt::attempt;
pub use context::Context;
pub use environment::Environment;
pub use graces::Graces;
pub use groups::Groups;
pub use keepers::Keepers;
pub use machine::Machine;
pub use running::Running;
pub use shortage::Shortage;

/// Says once, at the start, what this system lacks and what that means.
pub fn warn_of_what_is_missing() {
    if !pidfds_are_there() {
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
        Order::Start(claimed) => Some(attempt(context.clone(), *claimed)),
        // For whoever has the files.
        Order::RemoveArtifacts(_) => None,
        Order::Stop { run, asked, now } => {
            // Where nothing runs any more, it has ended before the order came.
            context.running.ask(run, asked);
            if now {
                context.running.hurry(run);
            }
            None
        }
    }
}
