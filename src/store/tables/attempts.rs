//! Attempts: claim, process, end, and attempts that a dead daemon left.

use async_channel::Receiver;
use rusqlite::named_params;

use crate::clock::UnixMs;
use crate::run::{Ask, Exit, Measured, OnInterrupt, Options, Outcome, RunId, Status};
use crate::store::engine::orders::{Claimed, Order};
use crate::store::engine::output::Output;
use crate::store::engine::snapshot::Snapshot;
use crate::store::engine::writer::Writer;
use crate::store::error::StoreError;
use crate::store::sql;
use crate::store::tables::handle::Store;
use crate::store::tables::life::Again;
use crate::store::tables::run_row::{command_from, get_in, parsed};
use crate::store::tables::{life, output};

/// Identity of a process, which no other process ever had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessMark {
    /// Pid of the leader, and so id of its session and group.
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`, in clock ticks since boot, whatever time namespace it was read in; 0 where there is
    /// no /proc.
    pub start_ticks: i64,
    /// `/proc/sys/kernel/random/boot_id`; empty where there is no /proc.
    pub boot_id: String,
}

impl ProcessMark {
    /// Whether a process can be compared with it.
    pub fn is_known(&self) -> bool {
        self.start_ticks != 0 && !self.boot_id.is_empty()
    }
}

/// An attempt that the database says is running, found at the start.
#[derive(Clone, Debug)]
pub struct LeftRun {
    /// The run.
    pub run: RunId,
    /// Number of the attempt.
    pub attempt: i64,
    /// `None` where the daemon died before it could write it.
    pub process: Option<ProcessMark>,
    /// Whether a cancel was asked for before the daemon died.
    pub cancel_requested: bool,
    /// What its submit said.
    pub options: Options,
    /// Who keeps its command, where that outlives the daemon.
    pub kept: Option<KeptRun>,
}

/// What an attempt that is kept goes on with.
#[derive(Clone, Debug)]
pub struct KeptRun {
    /// What [`Store::record_keeper`] was given.
    pub keeper: String,
    /// Text for standard input.
    pub stdin: Option<String>,
    /// Bytes of the attempt's output that are stored.
    pub stored_bytes: u64,
}

impl Store {
    /// What commits ask of whoever runs commands, in their order.
    pub fn orders(&self) -> &Receiver<Order> {
        &self.orders
    }

    /// Whether a claim would find something.
    pub fn claimable(&self) -> bool {
        self.published.claimable()
    }

    /// Whether ends are still to be told to those who wait for them: whoever commits next tells some.
    pub fn telling(&self) -> bool {
        self.published.telling()
    }

    /// When the next delayed run becomes due.
    pub fn next_due(&self) -> Option<UnixMs> {
        self.published.next_due()
    }

    /// Allows or forbids claims in the commit that ends a run.
    pub fn open_claims(&self, open: bool) {
        self.published.open_claims(open);
    }

    /// Claims due runs for free slots; they come as [`Store::orders`].
    pub async fn claim(&self) -> Result<(), StoreError> {
        self.requests.write(want_claims).await
    }

    /// Writes the attempt's process down.
    pub async fn record_process(&self, run: RunId, attempt: i64, process: ProcessMark) -> Result<(), StoreError> {
        self.requests.write(move |tx| record_process(tx, run, attempt, &process)).await
    }

    /// Writes down who is to keep the attempt's command, in words of the caller's.
    pub async fn record_keeper(&self, run: RunId, attempt: i64, keeper: String) -> Result<(), StoreError> {
        let record = move |tx: &mut Writer<'_>| {
            tx.prepare(sql::ATTEMPTS_RECORD_KEEPER)?
                .execute(named_params! {":run": run.0, ":attempt": attempt, ":keeper": keeper})?;
            Ok(())
        };
        self.requests.write(record).await
    }

    /// Settles an attempt together with all waiting output of the run; `process` where the attempt was over before it
    /// was recorded. `None` where it was settled before.
    pub async fn finish(
        &self,
        run: RunId,
        attempt: i64,
        process: Option<ProcessMark>,
        asked: Option<Ask>,
        exit: Exit,
        measured: Measured,
    ) -> Result<Option<Outcome>, StoreError> {
        self.requests.write(move |tx| finish(tx, run, attempt, process.as_ref(), asked, &exit, &measured)).await
    }

    /// The attempts that a dead daemon left.
    pub async fn left_running(&self) -> Result<Vec<LeftRun>, StoreError> {
        self.requests.read(left_running).await
    }
}

/// Makes this transaction claim, unless it carries only essential jobs.
fn want_claims(tx: &mut Writer<'_>) -> Result<(), StoreError> {
    tx.may_add()?;
    tx.claim_wanted = true;
    Ok(())
}

/// Admits due runs, then claims for every free slot.
pub fn claim(tx: &mut Writer<'_>) -> Result<(), StoreError> {
    // This very transaction may have queued what must not be started any more.
    tx.counters.look_up_due(tx.conn)?;
    if tx.counters.next_due.is_some_and(|due| due <= tx.now) {
        life::expire(tx)?;
    }
    life::admit(tx)?;
    let free: Vec<(String, i64)> = tx
        .counters
        .queues
        .iter()
        .filter(|(_, queue)| queue.claimable() > 0)
        .map(|(name, queue)| (name.clone(), queue.claimable()))
        .collect();
    for (name, slots) in free {
        for _ in 0..slots {
            if !claim_one(tx, &name)? {
                break;
            }
        }
    }
    Ok(())
}

fn claim_one(tx: &mut Writer<'_>, queue: &str) -> Result<bool, StoreError> {
    let now = tx.now;
    // What a run does not say itself its queue says.
    let of_queue = tx.counters.queues.get(queue).cloned().unwrap_or_default();
    let claimed = life::start(tx, queue, |row| {
        let options = Options::from_column(row.get_ref("options")?.as_str()?);
        let limits = options.limits.or(&of_queue.limits);
        let survive = options.survive.or(of_queue.survive.then_some(true));
        let since: i64 = row.get::<_, Option<i64>>("not_before")?.unwrap_or(0).max(row.get("created_at")?);
        let claimed = Claimed {
            run: RunId(row.get("id")?),
            attempt: row.get("attempt")?,
            command: command_from(row)?,
            cwd: row.get("cwd")?,
            env: parsed(row.get_ref("env")?.as_str()?),
            stdin: row.get("stdin")?,
            timeout_s: row.get("timeout_s")?,
            options: Options { limits, survive, ..options },
            artifacts_dir: None,
            waited_ms: (now.0 - since).max(0),
        };
        Ok((claimed, row.get("output_bytes")?))
    })?;
    let Some((claimed, output_bytes)) = claimed else {
        // The counts said that there was one: somebody else wrote to the database. Find them again.
        tx.counters.recount_queued(tx.conn)?;
        return Ok(false);
    };
    let output = Output::of_earlier_attempts(tx.conn, claimed.run, output_bytes)?;
    tx.counters.output.insert(claimed.run, output);
    tx.orders.push(Order::Start(Box::new(claimed)));
    Ok(true)
}

/// Writes the attempt's process down.
fn record_process(tx: &mut Writer<'_>, run: RunId, attempt: i64, process: &ProcessMark) -> Result<(), StoreError> {
    tx.prepare(sql::ATTEMPTS_RECORD_PROCESS)?.execute(named_params! {
        ":run": run.0, ":attempt": attempt, ":pid": process.pid, ":start_ticks": process.start_ticks,
        ":boot_id": process.boot_id,
    })?;
    Ok(())
}

/// Settles an attempt with its waiting output, in one transaction.
fn finish(
    tx: &mut Writer<'_>,
    id: RunId,
    attempt: i64,
    process: Option<&ProcessMark>,
    asked: Option<Ask>,
    exit: &Exit,
    measured: &Measured,
) -> Result<Option<Outcome>, StoreError> {
    let run = get_in(tx, id)?;
    if run.outcome.status != Status::Running || run.attempt != attempt {
        return Ok(None);
    }
    if let Some(process) = process {
        record_process(tx, id, attempt, process)?;
    }
    let pieces = tx.backlog.take_all(id);
    output::append(tx, pieces)?;
    let is_canceled = run.cancel_requested_at.is_some();
    let retry_ms = if let Exit::Postponed { retry_ms, .. } = exit { Some(*retry_ms) } else { None };
    // Nothing was started whose end somebody else could have asked for.
    let asked = if is_canceled && retry_ms.is_some() { Some(Ask::Cancel) } else { asked };
    // Whoever asked first decides, but what somebody canceled is not started again.
    let on_interrupt = if is_canceled { OnInterrupt::Fail } else { run.spec.on_interrupt };
    let mut outcome = Outcome::of(asked, exit, on_interrupt);
    let retry = run.spec.options.retry.as_ref().filter(|_| !is_canceled);
    if outcome.status == Status::Queued {
        life::requeue(tx, &run, &outcome, measured, retry_ms.map_or(Again::Now, Again::Postponed))?;
    } else if let Some(retry) = retry.filter(|retry| retry.follows(&outcome, run.failures)) {
        life::requeue(tx, &run, &outcome, measured, Again::Retried(retry.wait_ms(run.failures + 1, chance())))?;
        outcome.status = Status::Queued;
    } else {
        life::end(tx, &run, &outcome, measured)?;
    }
    Ok(Some(outcome))
}

/// A number from 0 to 1; where the system has none to give, the middle.
fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

/// Attempts that are running by the database.
fn left_running(snapshot: &Snapshot<'_>) -> Result<Vec<LeftRun>, StoreError> {
    let mut statement = snapshot.conn.prepare_cached(sql::RUNS_RUNNING)?;
    let rows = statement.query_map([], |row| {
        let kept = match row.get("keeper")? {
            // Its row counts what earlier attempts have printed; for now.
            Some(keeper) => Some((keeper, row.get("stdin")?, row.get::<_, i64>("output_bytes")?)),
            None => None,
        };
        let process = match (row.get("pid")?, row.get("start_ticks")?, row.get("boot_id")?) {
            (Some(pid), Some(start_ticks), Some(boot_id)) => Some(ProcessMark { pid, start_ticks, boot_id }),
            _ => None,
        };
        let left = LeftRun {
            run: RunId(row.get("id")?),
            attempt: row.get("attempt")?,
            process,
            cancel_requested: row.get::<_, Option<i64>>("cancel_requested_at")?.is_some(),
            options: Options::from_column(row.get_ref("options")?.as_str()?),
            kept: None,
        };
        Ok((left, kept))
    })?;
    let with_output = |row: rusqlite::Result<_>| {
        let (mut left, kept): (LeftRun, Option<(String, Option<String>, i64)>) = row?;
        if let Some((keeper, stdin, earlier)) = kept {
            let printed = Output::load(snapshot.conn, left.run)?.printed;
            let stored_bytes = u64::try_from(printed - earlier).unwrap_or(0);
            left.kept = Some(KeptRun { keeper, stdin, stored_bytes });
        }
        Ok::<_, StoreError>(left)
    };
    rows.map(with_output).collect()
}
