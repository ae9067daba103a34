//! What every attempt works with.

use std::sync::Arc;

use super::environment::Environment;
use super::execution::Ended;
use super::graces::Graces;
use super::groups::Groups;
use super::keepers::Keepers;
use super::machine::Machine;
use super::running::Running;
use super::shortage::Shortage;
use crate::artifacts::Artifacts;
use crate::inputs::Inputs;
use crate::process::OomWatch;
use crate::run::{Ask, Exit, Measured};
use crate::run_tokens::RunTokens;
use crate::store::Store;

/// What every attempt needs; cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// Where it is recorded.
    pub store: Store,
    /// Where it can be reached.
    pub running: Running,
    /// What its command finds.
    pub environment: Arc<Environment>,
    /// Whether the kernel killed it for memory, where its cgroup does not say so.
    pub oom: Arc<OomWatch>,
    /// Where each has a cgroup of its own.
    pub groups: Groups,
    /// How the machine stands.
    pub machine: Arc<Machine>,
    /// Where it leaves files.
    pub artifacts: Artifacts,
    /// By what the gate knows its command.
    pub tokens: RunTokens,
    /// How clients reach it.
    pub inputs: Inputs,
    /// Whether something is wanting that commands need to be started.
    pub shortage: Shortage,
    /// Where keepers are found; or why there can be none, for people.
    pub keepers: Result<Arc<Keepers>, Arc<str>>,
    /// How long it may take to stop.
    pub graces: Graces,
}

impl Context {
    /// Waits until no attempt is under way; then the delegated cgroup is left as it was found.
    pub async fn settled(&self) {
        self.running.wait_empty().await;
        self.groups.leave();
    }

    /// What is told of an end beside it: what it used, and how the machine stands where it is a failure.
    pub(super) fn measured(&self, asked: Option<Ask>, ended: Ended) -> Measured {
        let Ended { exit, usage, biggest } = ended;
        let has_failed = matches!(asked, None | Some(Ask::Timeout)) && exit != Exit::Code(0);
        let context = has_failed.then(|| self.machine.now(biggest.filter(|_| exit == Exit::Oom)));
        Measured { usage, context }
    }

    /// Whether the kernel has killed a process of ours for lack of memory that was not told yet. Where each attempt counts
    /// its own, a kill among all of them says nothing of one.
    pub(super) fn was_out_of_memory(&self) -> bool {
        self.groups.enforced().no_memory.is_some() && self.oom.take()
    }
}
