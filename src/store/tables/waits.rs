//! Why queued runs wait, as far as their own rows do not tell: by what the writing thread publishes of each queue, and one
//! look at each full queue, however many runs are asked about.

use std::collections::BTreeMap;

use rusqlite::named_params;

use crate::run::{Run, RunId, Status, Waiting, WaitsFor};
use crate::store::error::StoreError;
use crate::store::sql;
use crate::store::tables::handle::Store;

impl Store {
    /// What each of these runs waits for; those that wait for nothing are left out.
    ///
    /// # Errors
    /// Where nothing can be read.
    pub async fn waits<'a>(
        &self,
        runs: impl IntoIterator<Item = &'a Run>,
    ) -> Result<BTreeMap<RunId, Waiting>, StoreError> {
        let queued = runs.into_iter().filter(|run| run.outcome.status == Status::Queued);
        let mut waits: BTreeMap<RunId, (Waiting, String)> =
            queued.map(|run| (run.id, (self.wait_of(run), run.spec.queue.clone()))).collect();
        waits.retain(|_, (waiting, _)| !waiting.waits_for.is_empty());
        let full = waits.values().filter(|(waiting, _)| waiting.waits_for.contains(&WaitsFor::Slot));
        let mut first: BTreeMap<String, Option<RunId>> = full.map(|(_, queue)| (queue.clone(), None)).collect();
        if !first.is_empty() {
            first = self.first_running(first).await?;
        }
        let behind = |(waiting, queue): (Waiting, String)| {
            let behind = first.get(&queue).copied().flatten().filter(|_| waiting.waits_for.contains(&WaitsFor::Slot));
            Waiting { behind, ..waiting }
        };
        Ok(waits.into_iter().map(|(run, wait)| (run, behind(wait))).collect())
    }

    fn wait_of(&self, run: &Run) -> Waiting {
        let queue = self.published.queue(&run.spec.queue).unwrap_or_default();
        let mut waits_for = Vec::new();
        let all = [
            (WaitsFor::Drain, self.draining()),
            (WaitsFor::Pause, queue.paused),
            // What is held back does not wait for one yet.
            (WaitsFor::Slot, run.held_by.is_nothing() && queue.running >= queue.slots),
        ];
        waits_for.extend(all.into_iter().filter(|(_, waits)| *waits).map(|(what, _)| what));
        Waiting { waits_for, behind: None }
    }

    async fn first_running(
        &self,
        mut queues: BTreeMap<String, Option<RunId>>,
    ) -> Result<BTreeMap<String, Option<RunId>>, StoreError> {
        self.requests
            .read(move |snapshot| {
                let mut first = snapshot.conn.prepare_cached(sql::RUNS_FIRST_RUNNING)?;
                for (queue, run) in &mut queues {
                    *run = first.query_row(named_params! {":queue": queue}, |row| row.get(0))?;
                }
                Ok(queues)
            })
            .await
    }
}
