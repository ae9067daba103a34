//! `kill -9` of the daemon under load, again and again: what was acknowledged is there, what was shown stays as it
//! was, nothing is started twice, nothing is left behind.
//!
//! The test keeps a journal of all that it was told, and every attempt writes its own line into a file beside the
//! database: the truth about what was started does not come from the one that is tested.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::common::{Client, DEADLINE, Daemon, Frame, Random, Reader, Transcript, Via, eventually, wait_gone};

/// How often the daemon is killed.
const ROUNDS: u64 = 8;
/// Clients that submit a run, follow it to its end, and go on with the next.
const FOLLOWERS: u64 = 5;
/// Runs that one more client submits as fast as it can, in each round.
const BURST: u64 = 12;
/// A crash comes when so many more events were seen, and up to as many again.
const EVENTS_PER_ROUND: u64 = 80;

/// A request to submit, as it was sent.
#[derive(Clone, Debug)]
struct Request {
    key: String,
    body: Value,
}

/// What the test was told, and by it may insist on.
#[derive(Default)]
struct Journal {
    /// Sent and not answered: they may have happened or not.
    open: Vec<Request>,
    /// Answered with 2xx.
    acknowledged: BTreeMap<i64, Request>,
    /// A cancel of it was answered with 2xx.
    canceled: BTreeSet<i64>,
    /// Every event that was seen, by run and seq.
    seen: BTreeMap<(i64, i64), Value>,
    /// Which run and seq an event's id was.
    ids: BTreeMap<i64, (i64, i64)>,
    /// The last object of those that were seen to end.
    ended: BTreeMap<i64, Value>,
    /// Where readers were when the daemon died.
    cut: Vec<Transcript>,
}

impl Journal {
    /// Notes an event; fails where it was given out before as something else.
    #[track_caller]
    fn see(&mut self, event: Value) {
        let (run, seq, id) = (int(&event["run"]), int(&event["seq"]), int(&event["id"]));
        assert_eq!(*self.ids.entry(id).or_insert((run, seq)), (run, seq), "id {id} was given out twice");
        let before = self.seen.entry((run, seq)).or_insert_with(|| event.clone());
        assert_eq!(*before, event, "seq {seq} of run {run} was given out with other content");
    }

    /// Notes how a run ended; terminal is final.
    #[track_caller]
    fn see_end(&mut self, end: &Value) {
        let before = self.ended.entry(int(&end["run"])).or_insert_with(|| end.clone());
        assert_eq!(before, end, "terminal is not final");
    }

    fn next_of(&self, run: i64) -> i64 {
        self.seen.range((run, 0)..=(run, i64::MAX)).next_back().map_or(0, |((_, seq), _)| *seq)
    }
}

fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// The journal, and what its writers share.
struct Load<'a> {
    client: &'a Client,
    journal: &'a Mutex<Journal>,
    side: &'a Path,
    events: &'a AtomicU64,
}

impl Load<'_> {
    /// A command that first says in the side file that it was started.
    fn script(&self, rest: &str) -> String {
        format!("echo $RUNABOUT_RUN_ID $RUNABOUT_ATTEMPT $$ >>{}\n{rest}", self.side.display())
    }

    /// Something short, something chatty, something that fails, something that is repeated when it is interrupted.
    fn body(&self, random: &mut Random) -> Value {
        let chatty = "i=0; while [ $i -lt 12 ]; do echo line $i; echo err $i >&2; sleep 0.02; i=$((i+1)); done";
        match random.below(5) {
            0 => json!({"script": self.script("echo short")}),
            1 => json!({"script": self.script("head -c 40000 /dev/zero | tr '\\0' x; exit 3")}),
            2 => json!({"script": self.script("sleep 0.2; echo ü | tr -d '\\n'; kill -9 $$")}),
            3 => json!({"script": self.script(chatty), "on_interrupt": "requeue"}),
            _ => json!({"script": self.script(chatty), "priority": 5}),
        }
    }

    /// Submits; `None` when the daemon died over it.
    fn submit(&self, key: &str, body: Value) -> Option<i64> {
        let request = Request { key: key.to_owned(), body };
        self.journal.lock().unwrap().open.push(request.clone());
        let run = ask_submit(self.client, &request, &[201])?;
        let mut journal = self.journal.lock().unwrap();
        journal.open.retain(|open| open.key != request.key);
        assert!(journal.acknowledged.insert(run, request).is_none(), "the id {run} was given out twice");
        Some(run)
    }

    /// Asks for a run's end; whether it was answered.
    fn cancel(&self, run: i64) -> bool {
        let Ok(answer) = self.client.call("POST", &format!("/v1/runs/{run}/cancel")).try_send() else { return false };
        assert!(matches!(answer.status, 200 | 202), "{}", answer.text());
        let told = answer.json();
        if answer.status == 202 || told["status"] == "canceled" {
            self.journal.lock().unwrap().canceled.insert(run);
        }
        true
    }

    /// Follows to the end; `false` when the daemon died over it.
    fn follow(&self, told: Transcript) -> bool {
        let cursor = told.cursor.to_string();
        let Ok(mut reader) = Reader::try_open(self.client, told.clone(), &cursor) else {
            self.journal.lock().unwrap().cut.push(told);
            return false;
        };
        loop {
            match reader.next() {
                Frame::Event(event) => {
                    self.journal.lock().unwrap().see(event);
                    self.events.fetch_add(1, Ordering::Relaxed);
                }
                Frame::Gap(from, to) => panic!("nothing was removed, yet there is a gap from {from} to {to}"),
                Frame::End(end) => self.journal.lock().unwrap().see_end(&end),
                Frame::Closed(code) => {
                    assert_eq!(code, 1000);
                    return true;
                }
                Frame::Lost => {
                    self.journal.lock().unwrap().cut.push(reader.disconnect());
                    return false;
                }
                Frame::CaughtUp(_) | Frame::Heartbeat(_) | Frame::Cursor(_) => {}
            }
        }
    }

    /// One client's work until the daemon dies.
    fn work(&self, round: u64, who: u64) {
        let mut random = Random::new(round * 100 + who);
        for number in 0.. {
            let Some(run) = self.submit(&format!("{round}-{who}-{number}"), self.body(&mut random)) else { return };
            if random.below(6) == 0 && !self.cancel(run) {
                return;
            }
            let via = Via::STREAMS[random.below(3) as usize];
            if !self.follow(Transcript::of(run).by(via)) {
                return;
            }
        }
    }

    /// Fills the queue, and starts what will surely be left running.
    fn burst(&self, round: u64) {
        let stubborn = "sh -c 'trap \"\" TERM; exec sleep 300' & trap '' TERM; exec sleep 300";
        let mut spec = json!({"script": self.script(stubborn), "queue": "long"});
        if round % 2 == 0 {
            spec["on_interrupt"] = "requeue".into();
            spec["script"] = self.script(&format!("[ $RUNABOUT_ATTEMPT = 1 ] || exit 0\n{stubborn}")).into();
        }
        if self.submit(&format!("{round}-long"), spec).is_none() {
            return;
        }
        let mut random = Random::new(round);
        for number in 0..BURST {
            let Some(run) = self.submit(&format!("{round}-burst-{number}"), self.body(&mut random)) else { return };
            if random.below(4) == 0 && !self.cancel(run) {
                return;
            }
        }
    }
}

/// Submits under a key; `None` when no answer came.
fn ask_submit(client: &Client, request: &Request, statuses: &[u16]) -> Option<i64> {
    let call = client.call("POST", "/v1/runs").header("Idempotency-Key", &request.key).json(&request.body);
    let answer = call.try_send().ok()?;
    assert!(statuses.contains(&answer.status), "{}: {}", answer.status, answer.text());
    Some(int(&answer.json()["id"]))
}

/// `(run, attempt)` and the pid of everything that was ever started; fails where one was started twice.
#[track_caller]
fn started(side: &Path) -> BTreeMap<(i64, i64), i32> {
    let mut started = BTreeMap::new();
    for line in std::fs::read_to_string(side).unwrap_or_default().lines() {
        let words: Vec<i64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        let [run, attempt, pid] = words[..] else { panic!("{line:?}") };
        let twice = started.insert((run, attempt), pid as i32);
        assert_eq!(twice, None, "attempt {attempt} of run {run} was started twice");
    }
    started
}

/// What the database says of itself, read beside the daemon.
#[track_caller]
fn check_database(daemon: &Daemon, started: &BTreeMap<(i64, i64), i32>) {
    let path = daemon.state_dir().join("runabout.db");
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    database.busy_timeout(DEADLINE).unwrap();
    let said: String = database.query_row("PRAGMA quick_check", [], |row| row.get(0)).unwrap();
    assert_eq!(said, "ok");
    let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT COUNT(*) FROM pragma_foreign_key_check"), 0);
    let holes = "SELECT COUNT(*) FROM (SELECT run FROM run_events GROUP BY run
                                       HAVING MIN(seq) <> 1 OR MAX(seq) <> COUNT(*) OR COUNT(DISTINCT seq) <> COUNT(*))";
    assert_eq!(count(holes), 0, "seqs are 1 to n");
    assert_eq!(count("SELECT COUNT(*) FROM runs WHERE id NOT IN (SELECT run FROM run_events WHERE seq = 1)"), 0);
    for table in ["events", "output"] {
        let of_none = format!("SELECT COUNT(*) FROM {table} WHERE run > 0 AND run NOT IN (SELECT id FROM runs)");
        assert_eq!(count(&of_none), 0, "{table} of runs that are gone");
    }
    let ends = "SELECT COUNT(*) FROM runs WHERE (ended_at IS NOT NULL)
                <> ((SELECT COUNT(*) FROM run_events WHERE run = runs.id AND kind = 'finished') = 1)";
    assert_eq!(count(ends), 0, "whatever has ended says so once");
    let behind = "SELECT COUNT(*) FROM run_events JOIN run_events AS later ON later.run = run_events.run
                  AND later.seq > run_events.seq WHERE run_events.kind = 'finished'";
    assert_eq!(count(behind), 0, "finished comes last");
    // An attempt is on the medium before its process is.
    let mut known = database.prepare("SELECT COUNT(*) FROM attempts WHERE run = ?1 AND attempt = ?2").unwrap();
    for of in started.keys() {
        let rows: i64 = known.query_row([of.0, of.1], |row| row.get(0)).unwrap();
        assert_eq!(rows, 1, "{of:?} was started, and nobody knows of it");
    }
}

/// Everything that was told still holds, of the runs that are given.
#[track_caller]
fn check_runs(daemon: &Daemon, journal: &Journal, runs: impl Iterator<Item = i64>) {
    for run in runs {
        let events = daemon.events(run);
        for (seq, seen) in journal.seen.range((run, 0)..=(run, i64::MAX)).map(|((_, seq), seen)| (*seq, seen)) {
            assert_eq!(events.get(seq as usize - 1), Some(seen), "seq {seq} of run {run} was seen");
        }
        if journal.canceled.contains(&run) {
            assert!(events.iter().any(|event| event["kind"] == "cancel_requested"), "the cancel of run {run} is lost");
        }
        if let Some(end) = journal.ended.get(&run) {
            let now = daemon.run(run);
            let both = |of: &Value| json!([of["status"], of["reason"], of["exit_code"], of["last_seq"]]);
            assert_eq!(both(&now), both(end), "terminal is not final");
        }
    }
}

/// Every unanswered request is made again: it has happened or happens now, once.
#[track_caller]
fn settle_open_requests(daemon: &Daemon, journal: &mut Journal) {
    for request in std::mem::take(&mut journal.open) {
        let run = ask_submit(daemon, &request, &[200, 201]).expect("an answer");
        assert!(journal.acknowledged.insert(run, request).is_none(), "run {run} stands for two requests");
    }
}

#[test]
fn nothing_that_was_told_is_lost_however_often_the_daemon_is_killed() {
    let mut daemon = Daemon::with_config("[runs]\nkill_grace_s = 1\n");
    daemon.put("/v1/queues/default", &json!({"slots": 4})).expect(200);
    daemon.put("/v1/queues/long", &json!({"slots": 8})).expect(201);
    let instance = daemon.get("/v1/system").expect(200).json()["instance"].clone();
    let side = daemon.dir().join("side");
    let journal = Mutex::new(Journal::default());
    let events = AtomicU64::new(0);
    let mut random = Random::new(1);
    let mut checked = BTreeSet::new();
    for round in 0..ROUNDS {
        let client = Client::clone(&daemon);
        let load = Load { client: &client, journal: &journal, side: &side, events: &events };
        let enough = events.load(Ordering::Relaxed) + EVENTS_PER_ROUND + random.below(EVENTS_PER_ROUND);
        std::thread::scope(|scope| {
            let load = &load;
            scope.spawn(move || load.burst(round));
            for who in 0..FOLLOWERS {
                scope.spawn(move || load.work(round, who));
            }
            eventually(DEADLINE, "enough was seen", || events.load(Ordering::Relaxed) >= enough);
            // Not always right behind an event.
            std::thread::sleep(Duration::from_micros(random.below(20_000)));
            daemon.kill9();
        });
        let left = daemon.descendants();
        daemon.start_again();

        let mut told = journal.lock().unwrap();
        assert_eq!(daemon.get("/v1/system").expect(200).json()["instance"], instance);
        settle_open_requests(&daemon, &mut told);
        check_database(&daemon, &started(&side));
        let fresh: Vec<i64> = told.acknowledged.keys().copied().filter(|run| !checked.contains(run)).collect();
        check_runs(&daemon, &told, fresh.iter().copied());
        for run in fresh.into_iter().filter(|run| told.ended.contains_key(run)) {
            // The same key is the same run, also after a crash.
            assert_eq!(ask_submit(&daemon, &told.acknowledged[&run], &[200]), Some(run));
            checked.insert(run);
        }
        let cut = std::mem::take(&mut told.cut);
        drop(told);
        // Whoever was cut off resumes and is told exactly the rest: the reader insists on it.
        for transcript in cut {
            let scope = transcript.scope.clone();
            assert!(load.follow(transcript), "{scope:?} is not followed to its end");
        }
        // What the dead daemon left is gone by the time its runs are settled.
        left.into_iter().for_each(wait_gone);
    }

    let journal = journal.into_inner().unwrap();
    for &run in journal.acknowledged.keys() {
        daemon.wait_ended(run);
    }
    assert_eq!(daemon.descendants(), [0; 0], "something is left running");
    let started = started(&side);
    check_database(&daemon, &started);
    check_runs(&daemon, &journal, journal.acknowledged.keys().copied());
    let mut keys = BTreeSet::new();
    for (&run, request) in &journal.acknowledged {
        assert!(keys.insert(&request.key), "{} stands for two runs", request.key);
        let now = daemon.run(run);
        let attempts: Vec<i64> = started.range((run, 0)..=(run, i64::MAX)).map(|((_, attempt), _)| *attempt).collect();
        assert!(attempts.iter().all(|attempt| *attempt <= int(&now["attempt"])), "{attempts:?} of {now}");
        if matches!(now["status"].as_str(), Some("succeeded" | "failed")) {
            assert_eq!(attempts.last(), now["attempt"].as_i64().as_ref(), "it was never started: {now}");
        }
        // From any point on there is exactly the rest.
        let after = random.below(journal.next_of(run) as u64 + 1) as i64;
        let mut reader = Reader::open(&daemon, run, after);
        reader.until_end();
        let whole = daemon.events(run);
        let rest: Vec<i64> = whole.iter().skip(after as usize).map(|event| int(&event["id"])).collect();
        let got: Vec<i64> = reader.told.events.iter().map(|(_, id, _)| *id).collect();
        assert_eq!(got, rest, "run {run} after {after}");
    }
    let counts = daemon.get("/v1/system").expect(200).json()["runs"].clone();
    let total: i64 = counts.as_object().unwrap().values().map(int).sum();
    assert_eq!(total as usize, journal.acknowledged.len(), "there are runs that nobody asked for");
    eprintln!("{} runs, {} attempts, {} events seen", journal.acknowledged.len(), started.len(), journal.seen.len());
    daemon.stop();
}
