//! Reports processes that left a run's session and so outlive its requested end. They are not killed.
//!
//! They are found by their environment, which is not enough to kill them for: a command may have started a service that is
//! meant to stay.

use std::collections::BTreeMap;

use futures_lite::future;
use log::Level;
use serde_json::json;

use super::context::Context;
use super::member::Identity;
use super::{procfs, session};
use crate::event::Kind;
use crate::run::RunId;
use crate::store::FaultLog;

/// Environments that are read (about 12 µs each) before other tasks get their turn.
const READ_AT_ONCE: usize = 32;
/// Processes that are named, at most.
const NAMED_MAX: usize = 50;

/// Searches for them, and reports them in the log and by a message of the run. `also` are known to be left.
pub(super) async fn report(context: &Context, run: RunId, also: &[Identity]) {
    let mut left: BTreeMap<i32, String> = BTreeMap::new();
    let mut found = also.to_vec();
    for (count, pid) in procfs::pids().enumerate() {
        found.extend(session::tagged(pid, run, context.environment.instance()));
        if count % READ_AT_ONCE == READ_AT_ONCE - 1 {
            future::yield_now().await;
        }
    }
    for pid in found.into_iter().filter(|identity| identity.lives()).map(|identity| identity.pid) {
        left.insert(pid, procfs::name(pid));
    }
    if left.is_empty() {
        return;
    }
    let count = left.len();
    let (pids, names): (Vec<i32>, Vec<String>) = left.into_iter().take(NAMED_MAX).unzip();
    let named: Vec<String> = pids.iter().zip(&names).map(|(pid, name)| format!("{pid} ({name})")).collect();
    let text = format!("still running after the end of the run: {}", named.join(", "));
    log::warn!("run {run}: {text}");
    let data = json!({"level": "warning", "text": text, "left_behind": {"pids": pids, "names": names, "count": count}});
    if let Err(error) = context.store.append(run, vec![(Kind::Message, data.to_string())]).await {
        FaultLog::new(Level::Error)
            .failed(&error, format_args!("run {run}: what it left behind could not be recorded"));
    }
}
