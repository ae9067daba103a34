//! SIGTERM ends the daemon in order: commands are told, every run is settled, every reader gets the last events of
//! what it follows; a second signal ends it at once, and the next start settles what is left.

use std::time::{Duration, Instant};

use runabout::run::{Ask, Exit, Measured, Status};
use runabout::store::{Cancel, Order};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::{
    Client, DEADLINE, Daemon, Reader, TempDir, Via, eventually, new_run, over_each, proc_exists, store, wait_gone,
};

over_each!(a_stalled_reader_does_not_hold_up_the_end);

/// Waits until a command has said that it is ready.
fn ready(daemon: &Daemon, run: i64) {
    Reader::open(daemon, run, 0).until_stdout("ready\n");
}

fn status_and_reason(run: &Value) -> (String, String) {
    let text = |field: &str| run[field].as_str().unwrap_or_default().to_owned();
    (text("status"), text("reason"))
}

fn interrupted(reason: &str) -> (String, String) {
    ("interrupted".to_owned(), reason.to_owned())
}

#[test]
fn signals_that_mean_nothing_to_it_do_not_end_it_nor_reach_its_commands() {
    let daemon = Daemon::start();
    daemon.signal(Signal::USR1);
    daemon.signal(Signal::USR2);
    let run = daemon.sh("kill -USR1 $$");
    let ended = daemon.wait_ended(run);
    assert_eq!((&ended["status"], &ended["signal"]), (&json!("failed"), &json!(10)), "as ever, they end a command");
    daemon.get("/readyz").expect(200);
}

#[test]
fn an_idle_daemon_ends_within_a_second_and_leaves_nothing_but_its_database() {
    let mut daemon = Daemon::start();
    let tcp = daemon.tcp_as("viewer");
    daemon.wait_ended(daemon.sh("seq 1 20000"));
    // Connections that say nothing hold nobody up.
    let (silent, silent_tcp) = (daemon.connect(), tcp.connect());
    let took = daemon.stop();
    println!("idle, to its end: {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    drop((silent, silent_tcp));
    assert!(!daemon.state_dir().join("runabout.sock").exists(), "the socket is still there");
    let wal = daemon.state_dir().join("runabout.db-wal");
    let wal_bytes = std::fs::metadata(wal).map_or(0, |wal| wal.len());
    assert_eq!(wal_bytes, 0, "checkpointed");
    daemon.start_again();
    daemon.signal(Signal::INT);
    assert_eq!(daemon.wait_exit(Duration::from_secs(5)).code(), Some(0), "SIGINT is the same");
}

#[test]
fn it_says_one_line_on_standard_output_and_no_more() {
    let mut daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("echo hello; echo error >&2"));
    daemon.signal(Signal::TERM);
    let said = daemon.stdout();
    daemon.wait_exit(DEADLINE);
    let address = said.strip_prefix("listening on http://127.0.0.1:").unwrap_or_else(|| panic!("{said:?}"));
    assert!(address.ends_with('\n') && address.trim_end().parse::<u16>().is_ok(), "{said:?}");
    let mut daemon = Daemon::builder().listen("none").start();
    daemon.signal(Signal::TERM);
    let socket = daemon.state_dir().join("runabout.sock");
    assert_eq!(daemon.stdout(), format!("listening on {}\n", socket.display()));
    daemon.wait_exit(DEADLINE);
}

#[test]
fn a_loaded_daemon_tells_its_commands_settles_every_run_and_ends_every_stream() {
    let mut daemon = Daemon::with_config("[runs]\nshutdown_grace_s = 1");
    daemon.put("/v1/queues/wide", &json!({"slots": 8})).expect(201);
    let submit = |script: &str, on_interrupt: &str| {
        daemon.submit(&json!({"script": script, "queue": "wide", "on_interrupt": on_interrupt}))
    };
    let polite = submit("trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.02; done", "fail");
    let plain = submit("echo ready; exec sleep 600", "fail");
    let stubborn = submit("trap '' TERM; echo ready; while :; do sleep 0.02; done", "fail");
    let parent = submit("(trap '' TERM; while :; do sleep 0.02; done) & echo ready; exec sleep 600", "fail");
    let again = submit("echo ready; exec sleep 600", "requeue");
    let waiting = daemon.sh("echo ready; exec sleep 600");
    let queued = daemon.sh("true");
    let tcp = daemon.tcp_as("viewer");
    let clients: [&Client; 2] = [&daemon, &tcp];
    let runs = [polite, plain, stubborn, parent, again, waiting, queued];
    let mut readers: Vec<Reader> =
        runs.iter().enumerate().map(|(at, &run)| Reader::open(clients[at % 2], run, 0)).collect();
    readers[..6].iter_mut().for_each(|reader| reader.until_stdout("ready\n"));
    readers[6].until_caught_up();
    let begun = Instant::now();
    daemon.signal(Signal::TERM);
    for (reader, run) in readers.iter_mut().zip(runs) {
        let code = reader.until_closed();
        let ends = ![again, queued].contains(&run);
        assert_eq!(code, Some(if ends { 1000 } else { 1001 }), "run {run}");
        if ends {
            let end = reader.end().unwrap();
            assert_eq!(status_and_reason(end), interrupted("shutdown"), "{end}");
            assert_eq!(reader.told.events.last().unwrap().2, "finished");
        }
    }
    assert_eq!(readers[0].told.stdout, b"ready\nbye\n", "what it printed at its end");
    assert_eq!(
        readers[4].told.events.iter().map(|(_, _, kind)| kind.as_str()).collect::<Vec<_>>(),
        ["queued", "started", "output", "attempt_ended", "queued"]
    );
    assert_eq!(daemon.wait_exit(DEADLINE).code(), Some(0));
    let took = begun.elapsed();
    println!("loaded, to its end: {took:?}");
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(10), "{took:?}");
    assert!(daemon.descendants().is_empty(), "{:?}", daemon.descendants());
    assert!(!daemon.state_dir().join("runabout.sock").exists());
    // What was queued starts with the next daemon, and what was settled stays as it was.
    daemon.start_again();
    for (run, exit_code, signal) in [
        (polite, json!(3), json!(null)),
        (plain, json!(null), json!(15)),
        (stubborn, json!(null), json!(9)),
        (parent, json!(null), json!(15)),
    ] {
        let run = daemon.run(run);
        assert_eq!(status_and_reason(&run), interrupted("shutdown"), "{run}");
        assert_eq!((&run["exit_code"], &run["signal"]), (&exit_code, &signal), "{run}");
    }
    ready(&daemon, again);
    assert_eq!(daemon.run(again)["attempt"], 2);
    daemon.wait_ended(queued);
}

#[test]
fn while_it_stops_it_starts_nothing_and_answers_on_its_socket_alone() {
    let mut daemon = Daemon::with_config("[runs]\nshutdown_grace_s = 60");
    let gate = daemon.gate("last");
    let run = daemon.sh(&format!("trap '' TERM; echo ready; {}", gate.wait()));
    let queued = daemon.sh("true");
    ready(&daemon, run);
    let tcp = daemon.tcp_as("viewer");
    assert_eq!(daemon.get("/readyz").status, 200);
    daemon.signal(Signal::TERM);
    eventually(DEADLINE, "it is not ready any more", || daemon.get("/readyz").status == 503);
    assert_eq!(daemon.get("/healthz").status, 200);
    eventually(DEADLINE, "TCP is closed", || tcp.call("GET", "/healthz").try_send().is_err());
    // It waits for the command, as it must: it may still print, and be read.
    let mut reader = Reader::open(&daemon, run, 0);
    reader.until_stdout("ready\n");
    let late = daemon.post("/v1/runs", &json!({"script": "true"}));
    assert!(matches!(late.status, 201 | 503), "{late:?}");
    assert_eq!(daemon.kinds(queued), ["queued"]);
    gate.open();
    let end = reader.until_end();
    assert_eq!(status_and_reason(&end), interrupted("shutdown"));
    assert_eq!(daemon.wait_exit(DEADLINE).code(), Some(0));
    daemon.start_again();
    assert_eq!(daemon.wait_ended(queued)["status"], "succeeded");
    if late.status == 201 {
        assert_eq!(daemon.wait_ended(late.json()["id"].as_i64().unwrap())["status"], "succeeded");
    }
}

#[test]
fn a_second_signal_kills_and_exits_at_once_and_the_next_start_settles() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut daemon = Daemon::with_config("[runs]\nshutdown_grace_s = 600\nkill_grace_s = 1");
        let run = daemon.sh(
            "trap '' TERM; (trap '' TERM; while :; do sleep 0.02; done) & echo ready; while :; do sleep 0.02; done",
        );
        ready(&daemon, run);
        let pid = daemon.wait_running(run);
        let mut reader = Reader::open(&daemon, run, "latest");
        reader.until_caught_up();
        daemon.signal(Signal::TERM);
        eventually(DEADLINE, "it stops", || daemon.get("/readyz").status == 503);
        assert!(proc_exists(pid), "the command ignores SIGTERM");
        let begun = Instant::now();
        daemon.signal(signal);
        assert_eq!(daemon.wait_exit(Duration::from_secs(5)).code(), Some(code));
        println!("from the second signal to the end: {:?}", begun.elapsed());
        wait_gone(pid);
        eventually(DEADLINE, "its group is gone", || daemon.descendants().is_empty());
        assert_eq!(reader.until_closed(), None);
        daemon.start_again();
        let mut reader = Reader::resume(&daemon, reader.disconnect());
        let end = reader.until_end();
        assert_eq!(end["status"], "interrupted", "{end}");
        assert!(["shutdown", "daemon_lost"].contains(&end["reason"].as_str().unwrap()), "{end}");
    }
}

/// Whether a signal was sent that the process has not taken yet: another of its kind would be lost in it.
fn is_pending(pid: i32, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << (signal.as_raw() - 1)) != 0
}

/// So coreutils' `timeout` ends what it has started: its child, and then its whole group.
#[test]
fn a_signal_that_comes_twice_at_once_is_one() {
    let mut daemon = Daemon::start();
    let run = daemon.sh("trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.02; done");
    ready(&daemon, run);
    daemon.signal(Signal::TERM);
    while is_pending(daemon.pid(), Signal::TERM) {}
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait_exit(DEADLINE).code(), Some(0));
    daemon.start_again();
    assert_eq!(status_and_reason(&daemon.run(run)), interrupted("shutdown"));
}

#[test]
fn whoever_waits_for_the_end_of_a_run_is_answered_by_the_shutdown() {
    let mut daemon = Daemon::start();
    let run = daemon.sh("echo ready; exec sleep 600");
    let queued = daemon.sh("true");
    ready(&daemon, run);
    let client: &Client = &daemon;
    // Each looks at the run once before it waits.
    let looks = || client.metrics().get("store_requests_total{kind=\"read\"}");
    let before = looks();
    let answers = std::thread::scope(|scope| {
        let waiting = [run, queued].map(|id| {
            let client = client.clone();
            scope.spawn(move || client.get(&format!("/v1/runs/{id}?wait_s=300")).expect(200).json())
        });
        eventually(DEADLINE, "both wait", || looks() >= before + 2.0);
        daemon.signal(Signal::TERM);
        waiting.map(|answer| answer.join().unwrap())
    });
    assert_eq!(status_and_reason(&answers[0]), interrupted("shutdown"));
    assert_eq!(answers[1]["status"], "queued");
    assert_eq!(daemon.wait_exit(DEADLINE).code(), Some(0));
}

fn a_stalled_reader_does_not_hold_up_the_end(via: Via) {
    let mut daemon = Daemon::start();
    let run = daemon.sh("seq 1 500000; echo done >&2; exec sleep 600");
    let stalled = Reader::open_by(via, &daemon, run, 0);
    let mut fast = Reader::open_by(via, &daemon, run, 0);
    while fast.told.stderr.is_empty() {
        fast.next();
    }
    let begun = Instant::now();
    daemon.signal(Signal::TERM);
    assert_eq!(status_and_reason(&fast.until_end()), interrupted("shutdown"));
    assert_eq!(daemon.wait_exit(DEADLINE).code(), Some(0));
    println!("with a stalled reader, to its end: {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // It comes back with its cursor and gets the rest.
    daemon.start_again();
    let mut back = Reader::resume(&daemon, stalled.disconnect());
    assert_eq!(status_and_reason(&back.until_end()), interrupted("shutdown"));
    let expected: String = (1..=500_000).map(|number| format!("{number}\n")).collect();
    assert!(back.told.stdout == expected.as_bytes());
}

#[test]
fn a_cancel_that_came_before_the_shutdown_decides() {
    let mut daemon = Daemon::with_config("[runs]\nkill_grace_s = 600\nshutdown_grace_s = 1");
    let run = daemon.sh("trap '' TERM; echo ready; while :; do sleep 0.02; done");
    ready(&daemon, run);
    let mut reader = Reader::open(&daemon, run, 0);
    daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({"reason": "enough"})).expect(202);
    reader.until_kind("cancel_requested");
    daemon.signal(Signal::TERM);
    let end = reader.until_end();
    assert_eq!(status_and_reason(&end), ("canceled".to_owned(), "canceled".to_owned()));
    assert_eq!(daemon.wait_exit(DEADLINE).code(), Some(0));
}

#[test]
fn what_was_canceled_is_not_tried_again_where_the_stop_came_before_the_cancel() {
    let dir = TempDir::new();
    let store = store(&dir);
    store.open_claims(true);
    for is_canceled in [false, true] {
        let outcome = smol::block_on(async {
            let run = store.submit(new_run()).await.unwrap().run.id;
            store.claim().await.unwrap();
            let Order::Start(claimed) = store.orders().recv().await.unwrap() else { panic!("no start") };
            if is_canceled {
                store.cancel(run, "somebody".into(), Cancel::default()).await.unwrap();
            }
            // There was no descriptor for it when the daemon was stopped.
            let exit = Exit::Postponed { why: "too many open files".into(), retry_ms: 60_000 };
            store
                .finish(claimed.run, claimed.attempt, None, Some(Ask::Shutdown), exit, Measured::default())
                .await
                .unwrap()
                .unwrap()
        });
        assert_eq!(outcome.status, if is_canceled { Status::Canceled } else { Status::Queued });
    }
    smol::block_on(store.close());
}
