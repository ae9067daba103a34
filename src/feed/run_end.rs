//! Waiting for the end of a run.

use super::hub::Hub;
use super::subscription::Live;
use crate::run::RunId;
use crate::store::StoreError;

/// Waits until a run has ended; answers at once where it has, or where the daemon ends.
///
/// # Errors
/// When the run is not there or the store cannot be read.
pub async fn wait_for_end(hub: &Hub, run: RunId) -> Result<(), StoreError> {
    let live = hub.subscribe_to_end(run);
    while !hub.store().run_head(run).await?.outcome.status.is_terminal() {
        if matches!(live.next().await, Live::Stretch(_) | Live::Closed) {
            break;
        }
    }
    Ok(())
}
