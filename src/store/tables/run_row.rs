//! Reads a run's row.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use crate::clock::UnixMs;
use crate::run::{
    Cause, Command, Conflict, HeldBy, OnInterrupt, Options, Origin, Outcome, Reason, Run, RunId, Spec, Status,
};
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::refusal::Refusal;
use crate::store::sql;

/// Bit of the column `keep`: a client keeps the run.
const KEPT: i64 = 1;
/// Bit of the column `keep`: a run that waits needs it.
pub const NEEDED: i64 = 2;

/// Reads a run. `printed`: bytes of its output by the memory, while it runs.
pub fn get(conn: &Connection, run: RunId, printed: Option<i64>) -> Result<Run, StoreError> {
    let mut statement = conn.prepare_cached(sql::RUNS_GET)?;
    let found = statement.query_row(named_params! {":id": run.0}, |row| from_row(row, printed)).optional()?;
    found.map_or_else(|| Err(absent(conn, run)?.into()), Ok)
}

/// Reads a run in a transaction.
pub fn get_in(tx: &Writer<'_>, run: RunId) -> Result<Run, StoreError> {
    get(tx.conn, run, tx.counters.output.get(&run).map(|output| output.printed))
}

/// The refusal for a run that does not exist: it was removed, or never existed. Every id up to the last one was given
/// out.
pub fn absent(conn: &Connection, run: RunId) -> Result<Refusal, StoreError> {
    let was_there = run >= RunId(1) && run <= last_run(conn)?;
    Ok(if was_there { Refusal::RunPruned(run) } else { Refusal::RunNotFound(run) })
}

/// Highest run id that was given out.
pub fn last_run(conn: &Connection) -> Result<RunId, StoreError> {
    let newest: Option<RunId> = conn.prepare_cached(sql::RUNS_MAX_ID)?.query_row([], |row| row.get(0))?;
    let mut removed = conn.prepare_cached(sql::META_GET)?;
    let removed: RunId = removed.query_row(named_params! {":key": "removed_run_id"}, |row| row.get(0))?;
    Ok(newest.unwrap_or_default().max(removed))
}

fn from_row(row: &Row<'_>, printed: Option<i64>) -> rusqlite::Result<Run> {
    let outcome = outcome_from(row)?;
    // Of a run that does not run its row is right, and the memory may be of before.
    let printed = printed.filter(|_| outcome.status == Status::Running);
    let keep: i64 = row.get("keep")?;
    let time =
        |column: &str| -> rusqlite::Result<Option<UnixMs>> { Ok(row.get::<_, Option<i64>>(column)?.map(UnixMs)) };
    Ok(Run {
        id: RunId(row.get("id")?),
        outcome,
        spec: Spec {
            command: command_from(row)?,
            name: row.get("name")?,
            queue: row.get("queue")?,
            priority: row.get("priority")?,
            tags: parsed(row.get_ref("tags")?.as_str()?),
            cwd: row.get("cwd")?,
            env: parsed(row.get_ref("env")?.as_str()?),
            stdin: row.get("stdin")?,
            timeout_s: row.get("timeout_s")?,
            not_before: time("not_before")?,
            on_interrupt: OnInterrupt::parse(row.get_ref("on_interrupt")?.as_str()?).unwrap_or(OnInterrupt::Fail),
            keep: keep & KEPT != 0,
            key: row.get("key")?,
            conflict: Conflict::default(),
            options: Options::from_column(row.get_ref("options")?.as_str()?),
        },
        held_by: HeldBy::from_bits(row.get("held_by")?),
        is_needed: keep & NEEDED != 0,
        failures: row.get("failures")?,
        attempt: row.get("attempt")?,
        progress: row.get("progress")?,
        pid: row.get("pid")?,
        last_seq: row.get("last_seq")?,
        output_bytes: printed.map_or_else(|| row.get("output_bytes"), Ok)?,
        artifacts: row.get("artifacts")?,
        artifact_bytes: row.get("artifact_bytes")?,
        created_at: UnixMs(row.get("created_at")?),
        started_at: time("started_at")?,
        ended_at: time("ended_at")?,
        cancel_requested_at: time("cancel_requested_at")?,
        usage: row.get_ref("usage")?.as_str_or_null()?.and_then(|text| serde_json::from_str(text).ok()),
        retry_of: row.get::<_, Option<i64>>("retry_of")?.map(RunId),
        origin: Origin {
            cause: Cause::parse(row.get_ref("cause")?.as_str()?).unwrap_or(Cause::Submit),
            job: row.get("job")?,
            scheduled_for: time("scheduled_for")?,
            missed: row.get("missed")?,
        },
    })
}

/// The outcome of a row that has its five columns.
pub fn outcome_from(row: &Row<'_>) -> rusqlite::Result<Outcome> {
    Ok(Outcome {
        status: Status::parse(row.get_ref("status")?.as_str()?).unwrap_or(Status::Interrupted),
        reason: row.get_ref("reason")?.as_str_or_null()?.and_then(Reason::parse),
        exit_code: row.get("exit_code")?,
        signal: row.get("signal")?,
        error: row.get("error")?,
    })
}

/// The command of a row that has the columns `command` and `script`.
pub fn command_from(row: &Row<'_>) -> rusqlite::Result<Command> {
    Ok(match row.get::<_, Option<String>>("script")? {
        Some(script) => Command::Script(script),
        None => Command::Argv(parsed(row.get_ref("command")?.as_str()?)),
    })
}

/// Parses JSON that this program wrote; anything else reads as empty.
pub fn parsed<T: serde::de::DeserializeOwned + Default>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_default()
}
