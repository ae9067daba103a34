//! Artifacts: what is written down of the files that runs left. The files themselves are somebody else's business.

use rusqlite::{OptionalExtension, Row, named_params};

use crate::clock::UnixMs;
use crate::run::{Artifact, Run, RunId, Status};
use crate::store::engine::orders::Order;
use crate::store::engine::snapshot::Snapshot;
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::sql;
use crate::store::tables::handle::Store;
use crate::store::tables::heads::run_head;
use crate::store::tables::run_row::get;

/// The files that a run left.
#[derive(Clone, Debug)]
pub struct RunArtifacts {
    /// Whether the run goes on, so that nothing is written down yet.
    pub is_live: bool,
    /// Whether they were removed to make room.
    pub are_removed: bool,
    /// By name.
    pub artifacts: Vec<Artifact>,
}

impl Store {
    /// Bytes that another run may leave: what is not taken by runs that are kept.
    pub async fn artifact_room(&self) -> Result<u64, StoreError> {
        self.requests
            .write(|tx| {
                let (_, kept) = bytes(tx)?;
                Ok(u64::try_from(tx.rules.artifact_bytes - kept).unwrap_or(0))
            })
            .await
    }

    /// Writes down what an attempt left, in the place of what was left before. The run has not ended yet.
    pub async fn keep_artifacts(&self, run: RunId, artifacts: Vec<Artifact>) -> Result<(), StoreError> {
        self.requests.write(move |tx| keep(tx, run, &artifacts)).await
    }

    /// What a run left.
    pub async fn artifacts(&self, run: RunId) -> Result<RunArtifacts, StoreError> {
        self.requests.read(move |snapshot| list(snapshot, run)).await
    }

    /// One file of a run; `None` where nothing of that name is written down.
    pub async fn artifact(&self, run: RunId, name: String) -> Result<Option<Artifact>, StoreError> {
        self.requests
            .read(move |snapshot| {
                let mut statement = snapshot.conn.prepare_cached(sql::ARTIFACTS_GET)?;
                Ok(statement.query_row(named_params! {":run": run, ":name": name}, from_row).optional()?)
            })
            .await
    }

    /// Of these runs, those that may have files: they have not ended, or left some.
    pub async fn with_artifacts(&self, runs: Vec<RunId>) -> Result<Vec<RunId>, StoreError> {
        self.requests
            .read(move |snapshot| {
                let may_have =
                    |run: &Run| !run.outcome.status.is_terminal() || run.artifact_bytes > 0 || run.artifacts > 0;
                let has = |id: &RunId| match get(snapshot.conn, *id, None) {
                    Ok(run) => Ok(may_have(&run)),
                    Err(StoreError::Refused(_)) => Ok(false),
                    Err(error) => Err(error),
                };
                let mut found = Vec::new();
                for run in runs {
                    if has(&run)? {
                        found.push(run);
                    }
                }
                Ok(found)
            })
            .await
    }
}

fn keep(tx: &mut Writer<'_>, run: RunId, artifacts: &[Artifact]) -> Result<(), StoreError> {
    let status = run_head(tx.conn, run)?.outcome.status;
    if status != Status::Running {
        return Ok(());
    }
    tx.prepare(sql::ARTIFACTS_DELETE)?.execute(named_params! {":run": run})?;
    let mut insert = tx.prepare(sql::ARTIFACTS_INSERT)?;
    for Artifact { name, bytes, sha256, modified_at } in artifacts {
        insert.execute(named_params! {
            ":run": run, ":name": name, ":bytes": bytes, ":sha256": sha256,
            ":modified_at": modified_at.0,
        })?;
    }
    let sum: i64 = artifacts.iter().map(|artifact| artifact.bytes).sum();
    count(tx, run, artifacts.len() as i64, sum)
}

fn count(tx: &mut Writer<'_>, run: RunId, artifacts: i64, sum: i64) -> Result<(), StoreError> {
    tx.prepare(sql::ARTIFACTS_COUNT)?.execute(named_params! {":run": run, ":artifacts": artifacts, ":bytes": sum})?;
    tx.counters.artifact_bytes = bytes(tx)?.0;
    Ok(())
}

/// Bytes of all, and of those that stay.
fn bytes(tx: &Writer<'_>) -> Result<(i64, i64), StoreError> {
    Ok(tx.prepare(sql::ARTIFACTS_BYTES)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

/// Forgets what a run left, which is about to be removed.
pub fn forget(tx: &mut Writer<'_>, run: &Run) -> Result<(), StoreError> {
    if run.artifacts == 0 {
        return Ok(());
    }
    tx.prepare(sql::ARTIFACTS_DELETE)?.execute(named_params! {":run": run.id})?;
    tx.counters.artifact_bytes -= run.artifact_bytes;
    tx.orders.push(Order::RemoveArtifacts(run.id));
    Ok(())
}

/// Removes the artifacts of one run where all together have too many bytes; returns of how many.
pub fn make_room(tx: &mut Writer<'_>) -> Result<usize, StoreError> {
    if !tx.rules.are_artifacts_exceeded(tx.counters) {
        return Ok(0);
    }
    let mut statement = tx.prepare(sql::ARTIFACTS_NEXT_VICTIM)?;
    let victim: Option<(RunId, i64)> = statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((run, artifacts)) = victim else {
        // Of runs that are kept, or go on.
        tx.counters.artifacts_stay = bytes(tx)?.0;
        return Ok(0);
    };
    tx.prepare(sql::ARTIFACTS_DELETE)?.execute(named_params! {":run": run})?;
    count(tx, run, artifacts, 0)?;
    tx.orders.push(Order::RemoveArtifacts(run));
    Ok(1)
}

fn list(snapshot: &Snapshot<'_>, id: RunId) -> Result<RunArtifacts, StoreError> {
    let run = get(snapshot.conn, id, None)?;
    let mut statement = snapshot.conn.prepare_cached(sql::ARTIFACTS_LIST)?;
    let artifacts: Vec<Artifact> =
        statement.query_map(named_params! {":run": id}, from_row)?.collect::<Result<_, _>>()?;
    let are_removed = run.artifacts > 0 && artifacts.is_empty();
    Ok(RunArtifacts { is_live: !run.outcome.status.is_terminal(), are_removed, artifacts })
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Artifact> {
    Ok(Artifact {
        name: row.get("name")?,
        bytes: row.get("bytes")?,
        sha256: row.get("sha256")?,
        modified_at: UnixMs(row.get("modified_at")?),
    })
}
