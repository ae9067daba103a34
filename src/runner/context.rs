//! What every attempt works with.

use std::sync::Arc;

use super::environment::Environment;
use super::graces::Graces;
use super::oom::OomWatch;
use super::running::Running;
use super::shortage::Shortage;
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
    /// Whether the kernel killed it for memory.
    pub oom: Arc<OomWatch>,
    /// By what the gate knows its command.
    pub tokens: RunTokens,
    /// Whether something is wanting that commands need to be started.
    pub shortage: Shortage,
    /// How long it may take to stop.
    pub graces: Graces,
}
