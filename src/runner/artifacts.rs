//! What a command left in its directory, between its end and that of its attempt: written down before the run is settled, so
//! that whoever sees its end finds all of it.

use async_io::Timer;
use futures_lite::future;
use log::Level;
use serde_json::json;

use super::context::Context;
use super::running::Switch;
use super::settle::PATIENCE;
use crate::artifacts::Kept;
use crate::event::Kind;
use crate::run::RunId;
use crate::store::FaultLog;

/// Makes what the command of a run left into its artifacts.
pub(super) async fn keep(context: &Context, switch: &Switch, run: RunId) {
    let Some(left) = context.artifacts.end(run) else { return };
    let kept = async {
        let room = context.store.artifact_room().await.unwrap_or(0);
        record(context, run, context.artifacts.keep(run, left, room).await).await;
    };
    // A stop of the daemon waits for no hash.
    let hurried = async {
        switch.expedited().await;
        context.artifacts.hurry();
        Timer::after(PATIENCE).await;
    };
    future::or(kept, hurried).await;
}

async fn record(context: &Context, run: RunId, kept: Kept) {
    let told = |error: &_| {
        FaultLog::new(Level::Error).failed(error, format_args!("what run {run} left could not be recorded"));
    };
    if !kept.removed.is_empty() {
        let text = format!("not kept as artifacts: {}", kept.removed.join("; "));
        log::warn!("run {run}: {text}");
        let data = json!({"level": "warn", "text": text}).to_string();
        if let Err(error) = context.store.append(run, vec![(Kind::Message, data)]).await {
            told(&error);
        }
    }
    if !kept.artifacts.is_empty() {
        if let Err(error) = context.store.keep_artifacts(run, kept.artifacts).await {
            told(&error);
            context.artifacts.remove(run).await;
        }
    }
}
