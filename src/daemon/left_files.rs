//! The files that commands leave: where they are, how much they may be, and when they go.

use std::sync::Arc;

use smol::Executor;

use crate::accounts::Account;
use crate::artifacts::{Artifacts, Limits};
use crate::config::Config;
use crate::run::RunId;
use crate::state_lock::StateLock;
use crate::store::Store;

/// Where they are.
pub(super) fn artifacts(config: &Config, state: &StateLock, account: Option<&Account>) -> Artifacts {
    let limits = Limits { bytes_per_run: config.limits.artifact_bytes_per_run };
    Artifacts::of(state.dir().clone(), account, limits)
}

/// Bytes that all of them may have.
pub(super) fn quota_bytes(config: &Config, state: &StateLock) -> u64 {
    let total = state.dir().free_space().map_or(u64::MAX, |space| space.total_bytes);
    config.retention.artifact_bytes_on(total)
}

/// Removes those of a run. What a stop leaves undone is done at the next start.
pub(super) fn remove(artifacts: &Artifacts, run: RunId, executor: &Arc<Executor<'static>>) {
    let artifacts = artifacts.clone();
    executor.spawn(async move { artifacts.remove(run).await }).detach();
}

/// Removes what runs left that are gone, and what a dead daemon was about to remove.
pub(super) async fn recover(artifacts: Artifacts, store: Store) {
    let found = artifacts.recover().await;
    let known = match store.with_artifacts(found.clone()).await {
        Ok(known) => known,
        Err(error) => return log::warn!("which artifacts are left over cannot be told: {error:?}"),
    };
    for run in found.into_iter().filter(|run| !known.contains(run)) {
        artifacts.remove(run).await;
    }
}
