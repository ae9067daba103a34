//! The daemon held to the model: nothing acknowledged is lost, nothing shown is changed, no number stands for two things,
//! nothing was started twice, nothing is left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::load::LINES;
use super::told::{Book, Mark, Told, int};
use crate::common::{DEADLINE, Daemon, Frame, Reader, eventually, output_of};
use crate::receiver::Receiver;

/// Finished runs that are kept; 0: all.
pub type Kept = i64;

/// What SQLite may say of a database after anything that is not damage: its own rules, and those of the house.
#[track_caller]
pub fn check_database(path: &Path, pragma: &str) {
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    database.busy_timeout(DEADLINE).unwrap();
    let said: String = database.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0)).unwrap();
    assert_eq!(said, "ok");
    let rules = [
        ("each reference leads somewhere", "SELECT COUNT(*) FROM pragma_foreign_key_check"),
        (
            "seqs are 1 to n",
            "SELECT COUNT(*) FROM (SELECT run FROM run_events WHERE run > 0 AND run IN (SELECT id FROM runs) GROUP BY run
             HAVING MIN(seq) <> 1 OR MAX(seq) <> COUNT(*) OR COUNT(DISTINCT seq) <> COUNT(*))",
        ),
        ("each run has a beginning", "SELECT COUNT(*) FROM runs WHERE id NOT IN (SELECT run FROM run_events WHERE seq = 1)"),
        (
            "whatever has ended says so once",
            "SELECT COUNT(*) FROM runs WHERE (ended_at IS NOT NULL)
             <> ((SELECT COUNT(*) FROM run_events WHERE run = runs.id AND kind = 'finished') = 1)",
        ),
        (
            "finished comes last",
            "SELECT COUNT(*) FROM run_events JOIN run_events AS later ON later.run = run_events.run
             AND later.seq > run_events.seq WHERE run_events.kind = 'finished' AND run_events.run > 0",
        ),
        (
            "a time has one run",
            "SELECT COUNT(*) FROM (SELECT 1 FROM runs WHERE scheduled_for IS NOT NULL AND cause = 'schedule'
             GROUP BY job, scheduled_for HAVING COUNT(*) > 1)",
        ),
    ];
    for (rule, sql) in rules {
        let wrong =
            database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(wrong, 0, "{rule}");
    }
}

impl Told {
    /// Holds a daemon that serves again to all that was told.
    #[track_caller]
    pub fn check(&self, daemon: &Daemon, kept: Kept) {
        check_database(&daemon.state_dir().join("runabout.db"), "quick_check");
        let started = self.started();
        let runs: Vec<i64> = self.book().runs.keys().copied().collect();
        for run in runs {
            self.check_run(daemon, run, kept, &started);
        }
        self.check_jobs(daemon);
        let sessions: Vec<String> = self.book().sessions.iter().rev().take(4).cloned().collect();
        for token in sessions {
            daemon.tcp().with_token(&token).get("/v1/session").expect(200);
        }
    }

    #[track_caller]
    fn check_run(&self, daemon: &Daemon, run: i64, kept: Kept, started: &BTreeMap<(i64, i64), i32>) {
        let answer = daemon.get(&format!("/v1/runs/{run}"));
        let book = self.book();
        if answer.status == 410 {
            let may_be_gone = book.going.contains(&run) || (kept > 0 && finished(daemon) >= kept);
            return assert!(may_be_gone, "run {run} is gone: {:?}", book.runs[&run]);
        }
        assert_eq!(answer.status, 200, "run {run} was acknowledged: {}", answer.text());
        assert!(!book.gone.contains(&run), "run {run} was deleted");
        drop(book);
        let Some(events) = events_of(daemon, run) else { return };
        let now = answer.json();
        let book = self.book();
        for (seq, seen) in book.seen_of(run) {
            assert_eq!(events.get(seq as usize - 1), Some(seen), "seq {seq} of run {run} was shown");
        }
        for ((_, seq), data) in book.appended.range((run, 0)..=(run, i64::MAX)) {
            let event = events.get(*seq as usize - 1);
            assert_eq!(event.map(|event| &event["data"]), Some(data), "seq {seq} of run {run} was appended");
        }
        if book.canceled.contains(&run) {
            assert!(events.iter().any(|event| event["kind"] == "cancel_requested"), "the cancel of run {run} is lost");
        }
        if let Some(end) = book.ended.get(&run) {
            let ended = json!([now["status"], now["reason"], now["exit_code"], now["signal"]]);
            assert_eq!(&ended, end, "terminal is final, run {run}");
        }
        // An attempt is on the medium before its process is.
        for (_, attempt) in started.keys().filter(|(of, _)| *of == run) {
            let is_it = |event: &Value| event["kind"] == "started" && event["data"]["attempt"] == *attempt;
            assert!(events.iter().any(is_it), "attempt {attempt} of run {run} was started, and nobody knows of it");
        }
        if book.runs[&run].body["survive"] == true {
            check_survivor(&now, &events);
        }
    }

    #[track_caller]
    fn check_jobs(&self, daemon: &Daemon) {
        let jobs = self.book().jobs.clone();
        for (name, known) in jobs {
            let answer = daemon.get(&format!("/v1/jobs/{name}"));
            assert!(matches!(answer.status, 200 | 404), "{}", answer.text());
            let now = (answer.status == 200).then(|| answer.json()["run"]["name"].clone());
            assert!(now == known.sure || known.maybe.contains(&now), "job {name}: it is {now:?} and was {known:?}");
            self.note(Mark::Changed(name, now));
        }
    }

    /// Ends all that runs, and holds what is left to the model: every reader had every event, every end was sent to the hook,
    /// no process and no file is left. The daemon is stopped then.
    pub fn settle(&self, daemon: &mut Daemon, kept: Kept, hook: Option<&Receiver>) {
        let of = |status: &str| daemon.get(&format!("/v1/runs?status={status}&limit=500")).expect(200).json();
        let mut canceled = BTreeSet::new();
        // Nothing more becomes due.
        for job in daemon.get("/v1/jobs").expect(200).json()["jobs"].as_array().unwrap() {
            let name = job["name"].as_str().unwrap();
            if !self.book().jobs.contains_key(name) {
                daemon.delete(&format!("/v1/jobs/{name}")).expect(204);
            }
        }
        eventually(DEADLINE, "all runs have ended", || {
            let open: Vec<i64> = ["queued", "running"]
                .into_iter()
                .flat_map(|status| of(status)["runs"].as_array().unwrap().clone())
                .map(|run| int(&run["id"]))
                .collect();
            for run in open.iter().filter(|run| canceled.insert(**run)) {
                daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({"reason": "the end"}));
            }
            open.is_empty()
        });
        self.check(daemon, kept);
        let keep = daemon.state_dir().join("keep");
        eventually(DEADLINE, "no keeper's file is left", || names(&keep).is_empty());
        eventually(DEADLINE, "no process is left", || daemon.descendants().is_empty());
        self.check_readers(daemon);
        if let Some(hook) = hook {
            self.check_deliveries(daemon, hook);
        }
        daemon.stop();
        let left = names(&daemon.state_dir());
        let known = ["artifacts", "keep", "runabout.ballast", "runabout.db", "runabout.lock"];
        assert!(left.iter().all(|name| known.contains(&name.as_str())), "what is this: {left:?}");
        // Which makes files beside it.
        check_database(&daemon.state_dir().join("runabout.db"), "integrity_check");
    }

    /// Each reader goes on where it was, to what is the newest, and has then had all that there is.
    #[track_caller]
    fn check_readers(&self, daemon: &Daemon) {
        let database = daemon.state_dir().join("runabout.db");
        let there = ids(&database);
        for told in std::mem::take(&mut *self.readers()) {
            let via = told.via;
            let mut reader = Reader::resume(daemon, told);
            loop {
                match reader.next() {
                    Frame::Event(event) => self.note(Mark::Seen(event)),
                    Frame::CaughtUp(_) => break,
                    frame => assert!(matches!(frame, Frame::Gap(..) | Frame::Cursor(_)), "{frame:?}"),
                }
            }
            let had: BTreeSet<i64> = reader.told.events.iter().map(|(_, id, _)| *id).collect();
            assert_eq!(had.len(), reader.told.events.len(), "an event came twice");
            // What retention took meanwhile was told as a gap.
            let still: BTreeSet<i64> = ids(&database).intersection(&there).copied().collect();
            let missed: Vec<&i64> = still.difference(&had).collect();
            assert!(missed.is_empty(), "the reader by {via:?} never had the events {missed:?}");
        }
    }

    /// Each end was sent at least once, and under one id always the same.
    #[track_caller]
    fn check_deliveries(&self, daemon: &Daemon, hook: &Receiver) {
        let mut open: BTreeSet<i64> = self.book().ended.keys().copied().filter(|run| *run > 0).collect();
        open.retain(|run| daemon.get(&format!("/v1/runs/{run}")).status == 200);
        eventually(DEADLINE, "each end is sent to the hook", || {
            let mut bodies: BTreeMap<String, Vec<u8>> = BTreeMap::new();
            for heard in hook.wait(0) {
                let first = bodies.entry(heard.header("webhook-id").to_owned()).or_insert_with(|| heard.body.clone());
                assert_eq!(*first, heard.body, "two messages have one id");
                open.remove(&heard.run());
            }
            open.is_empty()
        });
    }
}

/// All events of a run, or nothing where it was removed meanwhile.
#[track_caller]
fn events_of(daemon: &Daemon, run: i64) -> Option<Vec<Value>> {
    let mut events: Vec<Value> = Vec::new();
    loop {
        let page = daemon.get(&format!("/v1/runs/{run}/events?after={}", events.len()));
        if page.status == 410 {
            return None;
        }
        let page = page.expect(200).json();
        let more = page["events"].as_array().unwrap();
        if more.is_empty() {
            return Some(events);
        }
        for event in more {
            assert_eq!(event["seq"], events.len() + 1, "a hole before {event}");
            events.push(event.clone());
        }
    }
}

/// Whatever the daemon went through, each byte came once, and the exit code is the command's.
#[track_caller]
fn check_survivor(run: &Value, events: &[Value]) {
    let (stdout, stderr) = output_of(events);
    let whole: String = (1..=LINES).map(|number| format!("{number}\n")).collect();
    let is_begin = |have: &[u8]| whole.as_bytes().starts_with(have);
    assert!(is_begin(&stdout) && is_begin(&stderr), "bytes are missing, twice or in another order: {run}");
    if run["reason"] == "exited" {
        assert_eq!(run["exit_code"], 9, "{run}");
        assert!((stdout.len(), stderr.len()) == (whole.len(), whole.len()), "bytes are missing: {run}");
    }
}

fn finished(daemon: &Daemon) -> i64 {
    let runs = daemon.get("/v1/system").expect(200).json()["runs"].clone();
    let not = ["queued", "running"];
    runs.as_object().unwrap().iter().filter(|(status, _)| !not.contains(&status.as_str())).map(|(_, n)| int(n)).sum()
}

fn ids(database: &Path) -> BTreeSet<i64> {
    let database = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut ids = database.prepare("SELECT id FROM run_events").unwrap();
    ids.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

impl Book {
    /// Holds what lies on the medium to what was told: it may have more.
    #[track_caller]
    pub fn check(&self, database: &Path) {
        let database = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        database.busy_timeout(DEADLINE).unwrap();
        let runs: BTreeMap<i64, bool> =
            rows(&database, "SELECT id, cancel_requested_at IS NOT NULL FROM runs", |row| {
                Ok((row.get(0)?, row.get(1)?))
            });
        for run in self.runs.keys() {
            assert!(runs.contains_key(run) || self.going.contains(run), "run {run} was acknowledged and is not there");
            assert!(!runs.contains_key(run) || !self.gone.contains(run), "run {run} was deleted and is there");
        }
        for run in self.canceled.iter().filter(|run| runs.contains_key(run)) {
            assert!(runs[run], "the cancel of run {run} was acknowledged and is not there");
        }
        self.check_events(&database);
        let attempts: BTreeSet<(i64, i64)> =
            rows(&database, "SELECT run, attempt FROM attempts", |row| Ok((row.get(0)?, row.get(1)?)));
        let unknown = self.started.iter().filter(|(run, _)| runs.contains_key(run)).find(|of| !attempts.contains(of));
        assert_eq!(unknown, None, "it was started, and nobody knows of it");
        let sessions: BTreeSet<Vec<u8>> = rows(&database, "SELECT token_sha256 FROM sessions", |row| row.get(0));
        for token in &self.sessions {
            assert!(sessions.contains(&Sha256::digest(token)[..]), "a session was given out and is not there");
        }
        let jobs: BTreeMap<String, String> =
            rows(&database, "SELECT name, definition FROM jobs", |row| Ok((row.get(0)?, row.get(1)?)));
        for (name, known) in &self.jobs {
            let now = jobs.get(name).map(|text| serde_json::from_str::<Value>(text).unwrap()["run"]["name"].clone());
            assert!(now == known.sure || known.maybe.contains(&now), "job {name}: it is {now:?} and was {known:?}");
        }
    }

    #[track_caller]
    fn check_events(&self, database: &Connection) {
        let sql = "SELECT id, run, seq, kind, CAST(data AS BLOB) FROM run_events";
        let events: BTreeMap<i64, (i64, i64, String, Vec<u8>)> =
            rows(database, sql, |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))));
        let removed = |run: &i64| self.going.contains(run);
        for ((run, seq), event) in self.seen.iter().filter(|((run, _), _)| !removed(run)) {
            let id = int(&event["id"]);
            let Some((has_run, has_seq, kind, data)) = events.get(&id) else {
                panic!("an event was shown and is not there: {event}");
            };
            let is_it = (has_run, has_seq, kind.as_str()) == (run, seq, event["kind"].as_str().unwrap());
            let is_same = match kind.as_str() {
                "output" => {
                    let (out, err) = output_of(std::slice::from_ref(event));
                    *data == [out, err].concat()
                }
                _ => serde_json::from_slice::<Value>(data).unwrap() == event["data"],
            };
            assert!(is_it && is_same, "an event was shown as {event} and is {:?}", events[&id]);
        }
        for ((run, seq), data) in self.appended.iter().filter(|((run, _), _)| !removed(run)) {
            let is_it = |(of, at, _, text): &&(i64, i64, String, Vec<u8>)| {
                (of, at) == (run, seq) && serde_json::from_slice::<Value>(text).is_ok_and(|have| have == *data)
            };
            assert!(events.values().any(|event| is_it(&event)), "seq {seq} of run {run} was appended and is not there");
        }
    }
}

#[track_caller]
fn rows<T, C: FromIterator<T>>(
    database: &Connection,
    sql: &str,
    row: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> C {
    database.prepare(sql).unwrap().query_map([], row).unwrap().map(Result::unwrap).collect()
}
