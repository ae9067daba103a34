//! Deliveries: an end that is told to a hook, written in the transaction of the end with all that will be sent.
//!
//! In order for each hook: what is behind another one waits for it, whether that is sent or waits to be tried again. A dead one
//! lets the next go. There are never more than [`DELIVERIES_MAX`].

use event_listener::EventListener;
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use crate::clock::UnixMs;
use crate::event::Finished;
use crate::hook::{
    Again, Attempt, DELIVERIES_MAX, Delivery, DeliveryStatus, Ended, Form, Hook, LONGEST_WAIT_MS, Message, Parcel,
};
use crate::numbers::{EventId, RunId};
use crate::run::Run;
use crate::store::engine::writer::{Writer, json};
use crate::store::error::StoreError;
use crate::store::refusal::Refusal;
use crate::store::sql;
use crate::store::tables::handle::Store;
use crate::store::tables::hook_rows;

/// Deliveries that one transaction removes.
const PIECE_ROWS: i64 = 500;
/// Deliveries that are over and go at once where there are as many as there may be.
const LUMP_ROWS: i64 = 100;

impl Store {
    /// Resolves when something may be due that was not before.
    pub fn listen_for_deliveries(&self) -> EventListener {
        self.published.listen_for_deliveries()
    }

    /// How many deliveries are to be sent.
    pub fn pending_deliveries(&self) -> i64 {
        self.published.pending_deliveries()
    }

    /// The hooks that are enabled and have something to send, and when the first of that is due.
    pub async fn hook_lines(&self) -> Result<Vec<(String, UnixMs)>, StoreError> {
        if self.published.pending_deliveries() == 0 {
            return Ok(Vec::new());
        }
        self.requests.read(|snapshot| lines(snapshot.conn)).await
    }

    /// What a hook has to send now.
    pub async fn next_delivery(&self, hook: String) -> Result<Option<Parcel>, StoreError> {
        self.requests.read(move |snapshot| next(snapshot.conn, &hook)).await
    }

    /// Writes down what came of an attempt; returns where the delivery stands now, `None` where it is gone. `chance` is from 0
    /// to 1.
    pub async fn record_attempt(
        &self,
        hook: String,
        id: i64,
        attempt: Attempt,
        chance: f64,
    ) -> Result<Option<DeliveryStatus>, StoreError> {
        self.requests.write(move |tx| record(tx, &hook, id, &attempt, chance)).await
    }

    /// A hook's deliveries before one, the newest first.
    pub async fn deliveries(
        &self,
        hook: String,
        status: Option<DeliveryStatus>,
        before: i64,
        max: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.requests.read(move |snapshot| list(snapshot.conn, &hook, status, before, max)).await
    }

    /// Has a delivery sent again, as it was, as soon as those before it are over.
    pub async fn redeliver(&self, hook: String, id: i64) -> Result<Delivery, StoreError> {
        self.requests.write(move |tx| redeliver(tx, &hook, id)).await
    }

    /// Makes a delivery that tells of no run.
    pub async fn test_hook(&self, hook: String) -> Result<Delivery, StoreError> {
        self.requests.write(move |tx| test(tx, &hook)).await
    }
}

/// Writes the end of a run for each hook that tells of it.
pub fn write_end(tx: &mut Writer<'_>, run: &Run, finished: &Finished, event: EventId) -> Result<(), StoreError> {
    let enabled = tx.counters.hooks.enabled.clone();
    let mut wanting = enabled.iter().filter(|(_, spec)| spec.wants(run, finished.outcome.status)).peekable();
    if wanting.peek().is_none() {
        return Ok(());
    }
    let (instance, host) = (tx.counters.instance.clone(), host());
    let ended = Ended { run, finished, event, at: tx.now, instance: &instance, host: &host };
    let webhook_id = format!("{instance}-{event}");
    let mut made: Vec<(Form, String)> = Vec::new();
    for (name, spec) in wanting {
        let message = match made.iter().find(|(form, _)| *form == spec.body) {
            Some((_, message)) => message.clone(),
            None => {
                let message = json(&Message::of(&ended, spec.body));
                made.push((spec.body, message.clone()));
                message
            }
        };
        insert(tx, name, &webhook_id, Some(run.id), &message)?;
    }
    Ok(())
}

/// This machine's name.
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn insert(
    tx: &mut Writer<'_>,
    hook: &str,
    webhook_id: &str,
    run: Option<RunId>,
    message: &str,
) -> Result<i64, StoreError> {
    make_room(tx)?;
    let id = tx.counters.hooks.last_id + 1;
    tx.prepare(sql::DELIVERIES_INSERT)?.execute(named_params! {
        ":id": id, ":hook": hook, ":webhook_id": webhook_id, ":run": run, ":message": message, ":now": tx.now.0,
    })?;
    let hooks = &mut tx.counters.hooks;
    hooks.last_id = id;
    hooks.rows += 1;
    hooks.pending += 1;
    hooks.touch();
    Ok(id)
}

/// Sees to it that there is room for one more: the oldest that are over go first. Where none is, the longest line loses its
/// first, so that a target that is away for long costs no other hook anything.
fn make_room(tx: &mut Writer<'_>) -> Result<(), StoreError> {
    if tx.counters.hooks.rows < DELIVERIES_MAX || remove_over(tx, UnixMs(i64::MAX), LUMP_ROWS)? > 0 {
        return Ok(());
    }
    let longest = {
        let mut counts = tx.prepare(sql::DELIVERIES_COUNT_PENDING)?;
        let counts = counts.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let counts: Vec<(String, i64)> = counts.collect::<Result<_, _>>()?;
        counts.into_iter().max_by_key(|(_, count)| *count)
    };
    let Some((hook, _)) = longest else { return Ok(()) };
    if let Some(first) = first_pending(tx.conn, &hook)? {
        remove(tx, first.id)?;
        tx.counters.hooks.pending -= 1;
        tx.counters.hooks.dropped += 1;
    }
    Ok(())
}

/// Removes deliveries that were over by a time, the oldest first; returns how many.
pub fn remove_over(tx: &mut Writer<'_>, until: UnixMs, rows_max: i64) -> Result<usize, StoreError> {
    let over: Vec<i64> = {
        let mut statement = tx.prepare(sql::DELIVERIES_OVER)?;
        let ids = statement.query_map(named_params! {":until": until.0, ":rows": rows_max}, |row| row.get(0))?;
        ids.collect::<Result<_, _>>()?
    };
    for id in &over {
        remove(tx, *id)?;
    }
    if !over.is_empty() {
        tx.counters.hooks.look_up_oldest_end(tx.conn)?;
    }
    Ok(over.len())
}

/// Removes a piece of those that are too old; returns how many.
pub fn expire(tx: &mut Writer<'_>) -> Result<usize, StoreError> {
    let until = tx.rules.age_ms.filter(|_| tx.now.is_believed()).map(|age_ms| UnixMs(tx.now.0.saturating_sub(age_ms)));
    let oldest = tx.counters.hooks.oldest_end;
    match until.filter(|until| oldest.is_some_and(|oldest| oldest <= *until)) {
        Some(until) => remove_over(tx, until, PIECE_ROWS),
        None => Ok(0),
    }
}

/// Removes a piece of a hook's deliveries; returns whether that was all of them.
pub fn remove_of_hook(tx: &mut Writer<'_>, hook: &str) -> Result<bool, StoreError> {
    let ids: Vec<i64> = {
        let mut statement = tx.prepare(sql::DELIVERIES_OF_HOOK)?;
        let ids = statement.query_map(named_params! {":hook": hook, ":rows": PIECE_ROWS}, |row| row.get(0))?;
        ids.collect::<Result<_, _>>()?
    };
    let is_all = ids.len() < PIECE_ROWS as usize;
    for id in ids {
        remove(tx, id)?;
    }
    // How many of them were to be sent was not looked at.
    let counters = &mut tx.counters.hooks;
    let mut pending = tx.conn.prepare_cached(sql::DELIVERIES_COUNT_PENDING)?;
    let counts: Vec<i64> = pending.query_map([], |row| row.get(1))?.collect::<Result<_, _>>()?;
    counters.pending = counts.into_iter().sum();
    counters.look_up_oldest_end(tx.conn)?;
    Ok(is_all)
}

fn remove(tx: &mut Writer<'_>, id: i64) -> Result<(), StoreError> {
    tx.prepare(sql::DELIVERIES_DELETE)?.execute(named_params! {":id": id})?;
    tx.prepare(sql::META_RAISE)?.execute(named_params! {":key": "removed_delivery_id", ":value": id})?;
    tx.counters.hooks.rows -= 1;
    Ok(())
}

/// The first of a hook's deliveries that is to be sent.
pub struct First {
    pub id: i64,
    pub webhook_id: String,
    pub message: String,
    pub failures: i64,
    pub next_at: UnixMs,
    pub error: Option<String>,
}

impl First {
    /// When it is due. A wait that is longer than any is a clock's that was set back since.
    fn due_at(&self, now: UnixMs) -> UnixMs {
        if self.next_at.0 > now.0.saturating_add(LONGEST_WAIT_MS) { now } else { self.next_at }
    }
}

/// Reads it.
pub fn first_pending(conn: &Connection, hook: &str) -> Result<Option<First>, StoreError> {
    let mut statement = conn.prepare_cached(sql::DELIVERIES_FIRST_PENDING)?;
    let first = statement.query_row(named_params! {":hook": hook}, |row| {
        Ok(First {
            id: row.get("id")?,
            webhook_id: row.get("webhook_id")?,
            message: row.get("message")?,
            failures: row.get("failures")?,
            next_at: UnixMs(row.get("next_at")?),
            error: row.get("error")?,
        })
    });
    Ok(first.optional()?)
}

fn lines(conn: &Connection) -> Result<Vec<(String, UnixMs)>, StoreError> {
    let now = UnixMs::now();
    let mut list = conn.prepare_cached(sql::HOOKS_LIST)?;
    let names: Vec<String> = list.query_map([], |row| row.get("name"))?.collect::<Result<_, _>>()?;
    let mut lines = Vec::new();
    for name in names {
        let is_enabled = hook_rows::find(conn, &name)?.is_some_and(|row| row.hook.spec.enabled);
        if let Some(first) = if is_enabled { first_pending(conn, &name)? } else { None } {
            lines.push((name, first.due_at(now)));
        }
    }
    Ok(lines)
}

fn next(conn: &Connection, hook: &str) -> Result<Option<Parcel>, StoreError> {
    let Some(row) = hook_rows::find(conn, hook)?.filter(|row| row.hook.spec.enabled) else { return Ok(None) };
    let now = UnixMs::now();
    let Some(first) = first_pending(conn, hook)?.filter(|first| first.due_at(now) <= now) else { return Ok(None) };
    // What cannot be read was changed by another program; sent as it is, it is told by the target's answer.
    let message = serde_json::from_str(&first.message).unwrap_or(Message {
        content_type: "text/plain".to_owned(),
        headers: Vec::new(),
        body: first.message,
    });
    Ok(Some(Parcel { id: first.id, webhook_id: first.webhook_id, spec: row.hook.spec, keys: row.keys, message }))
}

fn record(
    tx: &mut Writer<'_>,
    hook: &str,
    id: i64,
    attempt: &Attempt,
    chance: f64,
) -> Result<Option<DeliveryStatus>, StoreError> {
    // Not the first that is to be sent: an older one may have been asked for again meanwhile.
    let Some(before) = failures_of_pending(tx.conn, hook, id)? else { return Ok(None) };
    let failures = before + i64::from(!attempt.is_delivered());
    let again = match attempt.is_gone() {
        true => Again::Never,
        false => Again::after(failures, chance, attempt.retry_after_s),
    };
    let (status, next_at) = match again {
        _ if attempt.is_delivered() => (DeliveryStatus::Delivered, None),
        Again::In(wait_ms) => (DeliveryStatus::Pending, Some(tx.now.0.saturating_add(wait_ms))),
        Again::Never => (DeliveryStatus::Dead, None),
    };
    let is_over = status != DeliveryStatus::Pending;
    tx.prepare(sql::DELIVERIES_RECORD)?.execute(named_params! {
        ":id": id, ":stands": status.as_str(), ":failures": failures, ":due_at": next_at,
        ":ended_at": is_over.then_some(tx.now.0), ":response_status": attempt.response_status, ":error": attempt.error,
    })?;
    if is_over {
        tx.counters.hooks.pending -= 1;
        tx.counters.hooks.oldest_end = Some(tx.counters.hooks.oldest_end.map_or(tx.now, |oldest| oldest.min(tx.now)));
    }
    if attempt.is_gone() {
        hook_rows::stop(tx, hook, "its target answered 410 Gone: it wants no more")?;
    }
    Ok(Some(status))
}

/// How often a delivery that is to be sent has failed; `None` where it is gone or over.
fn failures_of_pending(conn: &Connection, hook: &str, id: i64) -> Result<Option<i64>, StoreError> {
    let mut statement = conn.prepare_cached(sql::DELIVERIES_GET)?;
    let found = statement.query_row(named_params! {":hook": hook, ":id": id}, |row| {
        let is_pending = row.get_ref("status")?.as_str()? == DeliveryStatus::Pending.as_str();
        Ok(if is_pending { Some(row.get("failures")?) } else { None })
    });
    Ok(found.optional()?.flatten())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let time = |column: &str| row.get::<_, Option<i64>>(column).map(|at| at.map(UnixMs));
    Ok(Delivery {
        id: row.get("id")?,
        webhook_id: row.get("webhook_id")?,
        run: row.get::<_, Option<i64>>("run")?.map(RunId),
        status: DeliveryStatus::parse(row.get_ref("status")?.as_str()?).unwrap_or(DeliveryStatus::Dead),
        attempts: row.get("attempts")?,
        created_at: UnixMs(row.get("created_at")?),
        next_at: time("next_at")?,
        ended_at: time("ended_at")?,
        response_status: row.get("response_status")?,
        error: row.get("error")?,
    })
}

fn get(conn: &Connection, hook: &str, id: i64) -> Result<Delivery, StoreError> {
    let mut statement = conn.prepare_cached(sql::DELIVERIES_GET)?;
    let found = statement.query_row(named_params! {":hook": hook, ":id": id}, from_row).optional()?;
    found.ok_or_else(|| Refusal::DeliveryNotFound { hook: hook.to_owned(), id }.into())
}

fn list(
    conn: &Connection,
    hook: &str,
    status: Option<DeliveryStatus>,
    before: i64,
    max: usize,
) -> Result<Vec<Delivery>, StoreError> {
    let Hook { name, .. } = hook_rows::get(conn, hook)?.hook;
    let rows_max = i64::try_from(max).unwrap_or(i64::MAX);
    let Some(status) = status else {
        let mut statement = conn.prepare_cached(sql::DELIVERIES_LIST)?;
        let rows =
            statement.query_map(named_params! {":hook": name, ":before": before, ":rows": rows_max}, from_row)?;
        return Ok(rows.collect::<Result<_, _>>()?);
    };
    let mut statement = conn.prepare_cached(sql::DELIVERIES_LIST_BY_STATUS)?;
    let values = named_params! {":hook": name, ":stands": status.as_str(), ":before": before, ":rows": rows_max};
    Ok(statement.query_map(values, from_row)?.collect::<Result<_, _>>()?)
}

fn redeliver(tx: &mut Writer<'_>, hook: &str, id: i64) -> Result<Delivery, StoreError> {
    let spec = hook_rows::get(tx.conn, hook)?.hook.spec;
    let delivery = get(tx.conn, hook, id)?;
    if !spec.enabled {
        return Err(Refusal::HookDisabled(hook.to_owned()).into());
    }
    tx.may_add()?;
    tx.prepare(sql::DELIVERIES_REDELIVER)?.execute(named_params! {":id": id, ":now": tx.now.0})?;
    tx.counters.hooks.pending += i64::from(delivery.status != DeliveryStatus::Pending);
    tx.counters.hooks.look_up_oldest_end(tx.conn)?;
    tx.counters.hooks.touch();
    get(tx.conn, hook, id)
}

fn test(tx: &mut Writer<'_>, hook: &str) -> Result<Delivery, StoreError> {
    let spec = hook_rows::get(tx.conn, hook)?.hook.spec;
    if !spec.enabled {
        return Err(Refusal::HookDisabled(hook.to_owned()).into());
    }
    tx.may_grow()?;
    let message = Message::test(hook, spec.body, tx.now, &tx.counters.instance, &host());
    let webhook_id = format!("{}-test-{}", tx.counters.instance, tx.counters.hooks.last_id + 1);
    let id = insert(tx, hook, &webhook_id, None, &json(&message))?;
    get(tx.conn, hook, id)
}
