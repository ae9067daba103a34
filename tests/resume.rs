//! A reader that comes back gets what it has not seen, once and in order: whatever the cursor's form, wherever it
//! was cut off, and whoever died in between.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::common::{
    Client, Daemon, Frame, Opening, Random, Reader, Transcript, Via, eventually, output_of, over_each, wait_gone,
};

over_each!(and pages:
    readers_that_drop_off_at_random_points_get_every_byte_once,
    a_reader_resumes_across_a_restart_that_queued_its_run_again,
    a_reader_resumes_across_kill_9_and_nothing_that_it_saw_is_taken_back,
    a_run_that_died_with_the_daemon_ends_for_the_reader_that_comes_back,
    events_that_are_gone_are_told_as_a_gap_and_the_rest_follows,
    a_reader_of_a_queued_run_is_told_when_it_starts,
);

/// Pieces of output that are written one after the other, each to one of the two streams.
struct Pieces {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    script: String,
}

/// Writes random pieces into files, and a script that prints them: lines, characters of several bytes, any bytes.
fn pieces(dir: &Path, count: u64, seed: u64) -> Pieces {
    let mut random = Random::new(seed);
    let mut pieces = Pieces { stdout: Vec::new(), stderr: Vec::new(), script: String::new() };
    for number in 0..count {
        let len = 1 + random.below(if number % 7 == 0 { 40_000 } else { 300 });
        let bytes: Vec<u8> = match random.below(3) {
            0 => (0..len).map(|at| if at % 40 == 39 { b'\n' } else { b'a' + (at % 26) as u8 }).collect(),
            1 => "aä€😀".chars().cycle().take(len as usize).collect::<String>().into_bytes(),
            _ => (0..len).map(|_| random.below(256) as u8).collect(),
        };
        std::fs::write(dir.join(format!("p{number}")), &bytes).unwrap();
        let (stream, redirect) = match random.below(2) {
            0 => (&mut pieces.stdout, ""),
            _ => (&mut pieces.stderr, " >&2"),
        };
        stream.extend(bytes);
        pieces.script.push_str(&format!("cat {}/p{number}{redirect}\n", dir.display()));
    }
    pieces
}

/// Follows a run to its end over many connections, each dropped after a random number of frames.
fn follow_with_drops(vias: &[Via], clients: &[&Client], run: i64, seed: u64) -> Transcript {
    let mut random = Random::new(seed);
    let mut told = Transcript::of(run);
    let mut instance = String::new();
    loop {
        let client = clients[random.below(clients.len() as u64) as usize];
        // A browser that has seen the last event is told that there is nothing more, by a 204.
        let has_all = told.events.last().is_some_and(|(_, _, kind)| kind == "finished");
        let after = match random.below(2) {
            1 if !instance.is_empty() && !has_all => format!("{instance}-{}", told.cursor),
            _ => told.cursor.to_string(),
        };
        told.via = vias[random.below(vias.len() as u64) as usize];
        let mut reader = Reader::try_open(client, told, &after).unwrap();
        instance = reader.hello["instance"].as_str().unwrap().to_owned();
        for _ in 0..random.below(30) {
            if let Frame::End(_) = reader.next() {
                assert_eq!(reader.next(), Frame::Closed(1000));
                return reader.disconnect();
            }
        }
        told = reader.disconnect();
    }
}

fn same_bytes(told: &Transcript, stdout: &[u8], stderr: &[u8]) {
    // Not by assert_eq!, which would print megabytes.
    assert_eq!((told.stdout.len(), told.stderr.len()), (stdout.len(), stderr.len()));
    assert!(told.stdout == stdout && told.stderr == stderr, "other bytes of the same length");
}

/// What a reader saw is what is stored: nothing that it was shown was taken back.
fn same_events(told: &Transcript, events: &[Value]) {
    let stored = events.iter().map(|event| {
        (event["seq"].as_i64().unwrap(), event["id"].as_i64().unwrap(), event["kind"].as_str().unwrap().to_owned())
    });
    assert_eq!(told.events, stored.collect::<Vec<_>>());
}

fn readers_that_drop_off_at_random_points_get_every_byte_once(via: Via) {
    let daemon = Daemon::start();
    let pieces = pieces(daemon.dir(), 300, 1);
    let gate = daemon.gate("start");
    let run = daemon.sh(&format!("{}\n{}", gate.wait(), pieces.script));
    let tcp = daemon.tcp_as("viewer");
    let clients: [&Client; 2] = [&daemon, &tcp];
    let told: Vec<Transcript> = std::thread::scope(|scope| {
        let readers: Vec<_> =
            (0..4).map(|seed| scope.spawn(move || follow_with_drops(&[via], &clients, run, seed))).collect();
        gate.open();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    let events = daemon.events(run);
    for told in &told {
        same_bytes(told, &pieces.stdout, &pieces.stderr);
        same_events(told, &events);
    }
    println!("connections: {:?}", told.iter().map(|told| told.connections).collect::<Vec<_>>());
    let (stdout, stderr) = output_of(&events);
    assert!(stdout == pieces.stdout && stderr == pieces.stderr, "the pages have other bytes");
    assert_eq!(daemon.run(run)["output_bytes"], stdout.len() + stderr.len());
    // Once more, from the start, when nothing is live, each time by another way.
    same_bytes(&follow_with_drops(&Via::ALL, &clients, run, 9), &stdout, &stderr);
}

#[test]
fn characters_that_are_written_in_parts_arrive_whole() {
    let daemon = Daemon::start();
    let parts = [
        ("a", "0.02"),
        (r"\303", "0.02"),
        (r"\244", "0.02"),
        (r"\342", "0.3"),
        (r"\202", "0.02"),
        (r"\254", "0.02"),
        (r"\360\237", "0.3"),
        (r"\230", "0.02"),
        (r"\200", "0.3"),
        (r"end\n", "0"),
    ];
    // The other stream speaks in the middle of each character.
    let script: String = parts
        .iter()
        .map(|(bytes, pause)| format!("printf '{bytes}'; printf 'e\\303\\251' >&2; sleep {pause}\n"))
        .collect();
    let run = daemon.sh(&script);
    let mut reader = Reader::open(&daemon, run, 0);
    reader.until_end();
    let told = reader.disconnect();
    same_bytes(&told, "aä€😀end\n".as_bytes(), "eé".repeat(parts.len()).as_bytes());
    for event in daemon.events(run).iter().filter(|event| event["kind"] == "output") {
        assert!(event["data"]["text"].is_string(), "{event}");
    }
}

#[test]
fn a_character_that_is_never_finished_arrives_as_its_bytes() {
    let daemon = Daemon::start();
    let run = daemon.sh(r"printf 'ok\303'; printf '\360\237' >&2");
    let mut reader = Reader::open(&daemon, run, 0);
    reader.until_end();
    same_bytes(&reader.disconnect(), b"ok\xc3", b"\xf0\x9f");
}

#[test]
fn lines_of_a_mebibyte_arrive_whole_and_are_cut_between_characters() {
    let daemon = Daemon::start();
    let line = format!("{}\n", "é".repeat(512 * 1024));
    std::fs::write(daemon.dir().join("line"), &line).unwrap();
    let cat = format!("cat {}/line", daemon.dir().display());
    let run = daemon.sh(&format!("printf x; {cat}; {cat} >&2; {cat}"));
    let told = follow_with_drops(&Via::ALL, &[&daemon], run, 3);
    same_bytes(&told, format!("x{line}{line}").as_bytes(), line.as_bytes());
    for event in daemon.events(run).iter().filter(|event| event["kind"] == "output") {
        assert!(event["data"]["text"].is_string(), "cut inside a character: seq {}", event["seq"]);
    }
}

#[test]
fn a_cursor_has_four_forms_and_each_resumes_where_it_says() {
    let daemon = Daemon::start();
    let gate = daemon.gate("go");
    let run = daemon.sh(&format!("echo before; {}; echo after", gate.wait()));
    let mut first = Reader::open(&daemon, run, 0);
    first.until_stdout("before\n");
    let instance = first.hello["instance"].as_str().unwrap().to_owned();
    // queued, started, output: three events so far.
    let forms = [
        ("0".to_owned(), 0),
        ("2".to_owned(), 2),
        ("latest".to_owned(), 3),
        ("-1".to_owned(), 2),
        ("-2".to_owned(), 1),
        ("-50".to_owned(), 0),
        (format!("{instance}-0"), 0),
        (format!("{instance}-3"), 3),
    ];
    let mut readers: Vec<Reader> = forms
        .iter()
        .map(|(form, after)| {
            let page = daemon.get(&format!("/v1/runs/{run}/events?after={form}")).expect(200).json();
            assert_eq!(page["events"].as_array().unwrap().len() as i64, 3 - after, "after={form}: {page}");
            assert_eq!((&page["first_seq"], &page["last_seq"], &page["gaps"]), (&json!(1), &json!(3), &json!([])));
            assert_eq!(page["status"], "running");
            let reader = Reader::open(&daemon, run, form);
            let expected = json!({"type": "hello", "run": run, "instance": instance, "after": after,
                "first_seq": 1, "last_seq": 3, "status": "running"});
            assert_eq!(reader.hello, expected, "after={form}");
            reader
        })
        .collect();
    let unnamed = Opening::new(&daemon, format!("/v1/runs/{run}/events")).ask().unwrap().0;
    assert_eq!(unnamed.status, 101);
    gate.open();
    first.until_end();
    for (reader, (form, after)) in readers.iter_mut().zip(&forms) {
        reader.until_end();
        assert_eq!(reader.told.events, first.told.events[*after as usize..], "after={form}");
    }
}

#[test]
fn a_cursor_that_cannot_be_followed_is_refused_before_the_upgrade_and_for_a_page() {
    let daemon = Daemon::start();
    let run = daemon.sh("true");
    daemon.wait_ended(run);
    let instance = daemon.get("/v1/system").json()["instance"].as_str().unwrap().to_owned();
    let path = |after: &str| format!("/v1/runs/{run}/events?after={after}");
    let refusals = |after: &str| [daemon.get(&path(after)), Opening::new(&daemon, path(after)).refused()];
    let details = json!({"last_seq": 3, "instance": instance});
    for ahead in ["4", "999999999999", &format!("{instance}-4")] {
        for refusal in refusals(ahead) {
            assert_eq!(refusal.expect_problem(409, "cursor_ahead")["details"], details, "{ahead}");
        }
    }
    let other = if instance.starts_with('a') { "b" } else { "a" }.repeat(12);
    for changed in [format!("{other}-0"), format!("{other}-2"), format!("{other}-4")] {
        for refusal in refusals(&changed) {
            assert_eq!(refusal.expect_problem(409, "instance_changed")["details"], details, "{changed}");
        }
    }
    for unreadable in
        ["", "x", "1x", "1.5", "%2B1", "--1", "-", "newest", "LATEST", "99999999999999999999", "abc-1", "1-1"]
    {
        for refusal in refusals(unreadable) {
            let problem = refusal.expect_problem(422, "invalid");
            assert_eq!(problem["details"]["violations"][0]["field"], "after", "{unreadable:?}: {problem}");
        }
    }
    for refusal in [
        daemon.get(&format!("/v1/runs/{run}/events?after=0&after=1")),
        Opening::new(&daemon, format!("/v1/runs/{run}/events?after=0&nope=1")).refused(),
    ] {
        refusal.expect_problem(422, "invalid");
    }
}

#[test]
fn reconnecting_after_the_end_gives_hello_caught_up_and_end() {
    let daemon = Daemon::start();
    let run = daemon.sh("echo one; exit 7");
    let mut reader = Reader::open(&daemon, run, 0);
    let end = reader.until_end();
    let told = reader.disconnect();
    for after in [told.cursor.to_string(), "latest".to_owned()] {
        let mut again = Reader::open(&daemon, run, after);
        assert_eq!((&again.hello["status"], &again.hello["last_seq"]), (&json!("failed"), &json!(told.cursor)));
        assert_eq!(again.next(), Frame::CaughtUp(told.cursor));
        assert_eq!(again.next(), Frame::End(end.clone()));
        assert_eq!(again.next(), Frame::Closed(1000));
    }
    let page = daemon.get(&format!("/v1/runs/{run}/events?after=latest")).json();
    assert_eq!((&page["events"], &page["status"]), (&json!([]), &json!("failed")));
}

#[test]
fn a_page_is_cut_by_its_limit_and_by_its_bytes_and_the_next_one_goes_on() {
    let daemon = Daemon::start();
    let run = daemon.sh("seq 1 400000");
    daemon.wait_ended(run);
    let page = daemon.get(&format!("/v1/runs/{run}/events?after=1&limit=3")).json();
    let seqs: Vec<i64> =
        page["events"].as_array().unwrap().iter().map(|event| event["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, [2, 3, 4]);
    let page = daemon.get(&format!("/v1/runs/{run}/events?limit=10000")).expect(200);
    let (cut, bytes) = (page.json(), page.body.len());
    assert!(cut["events"].as_array().unwrap().len() < cut["last_seq"].as_u64().unwrap() as usize);
    assert!((1 << 20) - 40_000 < bytes && bytes < (1 << 20) + 200, "{bytes}");
    let (stdout, _) = output_of(&daemon.events(run));
    let lines: String = (1..=400_000).map(|number| format!("{number}\n")).collect();
    assert!(stdout == lines.as_bytes(), "{} bytes of {}", stdout.len(), lines.len());
    // One control byte is six bytes of JSON: what counts is what is sent.
    let controls = daemon.sh("head -c 1000000 /dev/zero");
    daemon.wait_ended(controls);
    let page = daemon.get(&format!("/v1/runs/{controls}/events?limit=10000")).expect(200);
    assert!(page.body.len() < (1 << 20) + 200, "{}", page.body.len());
    assert!(output_of(&daemon.events(controls)).0 == vec![0; 1_000_000]);
    for wrong in ["0", "10001", "x", "-1"] {
        daemon.get(&format!("/v1/runs/{run}/events?limit={wrong}")).expect_problem(422, "invalid");
    }
}

fn a_reader_resumes_across_a_restart_that_queued_its_run_again(via: Via) {
    let mut daemon = Daemon::start();
    let run = daemon.submit(&json!({
        "script": "echo attempt $RUNABOUT_ATTEMPT; [ $RUNABOUT_ATTEMPT = 3 ] || exec sleep 600",
        "on_interrupt": "requeue",
    }));
    let mut told = Transcript::of(run).by(via);
    for attempt in 1..=2 {
        let mut reader = Reader::resume(&daemon, told);
        reader.until_stdout(&format!("attempt {attempt}\n"));
        daemon.stop();
        // Who asks for pages finds nobody there, and may have missed the last ones.
        let closed = if via == Via::Pages { None } else { Some(1001) };
        assert_eq!(reader.until_closed(), closed, "come back");
        told = reader.disconnect();
        if via == Via::Pages {
            daemon.start_again();
            continue;
        }
        let last: Vec<&str> = told.events.iter().rev().take(2).map(|(_, _, kind)| kind.as_str()).collect();
        assert_eq!(last, ["queued", "attempt_ended"], "the last events before the close");
        daemon.start_again();
    }
    let mut reader = Reader::resume(&daemon, told);
    assert_eq!(reader.until_end()["status"], "succeeded");
    let told = reader.disconnect();
    assert_eq!(told.stdout, b"attempt 1\nattempt 2\nattempt 3\n");
    same_events(&told, &daemon.events(run));
    assert_eq!(daemon.run(run)["attempt"], 3);
}

fn a_reader_resumes_across_kill_9_and_nothing_that_it_saw_is_taken_back(via: Via) {
    let mut daemon = Daemon::with_config("[runs]\nkill_grace_s = 1");
    let run = daemon.submit(&json!({
        "script": "while :; do i=$((i + 1)); echo line $i of $RUNABOUT_ATTEMPT; sleep 0.01; done",
        "on_interrupt": "requeue",
    }));
    let mut told = Transcript::of(run).by(via);
    for attempt in 1..=4 {
        let mut reader = Reader::resume(&daemon, told);
        let enough = format!(" of {attempt}\n").into_bytes();
        reader.until("output of this attempt", |frame| {
            matches!(frame, Frame::Event(event) if event["kind"] == "output"
                && event["data"]["text"].as_str().unwrap().as_bytes().ends_with(&enough))
        });
        let seen = reader.told.cursor;
        reader.until(
            "some more of it",
            |frame| matches!(frame, Frame::Event(event) if event["seq"].as_i64() > Some(seen + attempt)),
        );
        daemon.kill9();
        // What the kernel still holds was sent before the crash and counts as shown.
        assert_eq!(reader.until_closed(), None);
        told = reader.disconnect();
        daemon.start_again();
        same_events(&told, &daemon.events(run)[..told.events.len()]);
    }
    let mut reader = Reader::resume(&daemon, told);
    reader.until_stdout(" of 5\n");
    daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({})).expect(202);
    assert_eq!(reader.until_end()["status"], "canceled");
    let told = reader.disconnect();
    same_events(&told, &daemon.events(run));
    assert_eq!(told.events.iter().filter(|(_, _, kind)| kind == "started").count(), 5);
    assert!(daemon.descendants().is_empty(), "{:?}", daemon.descendants());
}

fn a_run_that_died_with_the_daemon_ends_for_the_reader_that_comes_back(via: Via) {
    let mut daemon = Daemon::start();
    let run = daemon.sh("echo here; exec sleep 600");
    let mut reader = Reader::open_by(via, &daemon, run, 0);
    reader.until_stdout("here\n");
    let pid = daemon.wait_running(run);
    daemon.kill9();
    assert_eq!(reader.until_closed(), None);
    daemon.start_again();
    let mut reader = Reader::resume(&daemon, reader.disconnect());
    let end = reader.until_end();
    assert_eq!((&end["status"], &end["reason"]), (&json!("interrupted"), &json!("daemon_lost")));
    assert_eq!(reader.told.stdout, b"here\n");
    wait_gone(pid);
}

fn a_reader_of_a_queued_run_is_told_when_it_starts(via: Via) {
    let daemon = Daemon::start();
    let gate = daemon.gate("first");
    let first = daemon.sh(&gate.wait());
    let second = daemon.sh("echo second");
    let mut reader = Reader::open_by(via, &daemon, second, "latest");
    assert_eq!(reader.hello["status"], "queued");
    reader.until_caught_up();
    assert_eq!(reader.next_within(Duration::from_millis(100)), None);
    gate.open();
    reader.until_kind("started");
    assert_eq!(reader.until_end()["status"], "succeeded");
    assert_eq!(reader.told.stdout, b"second\n");
    eventually(Duration::from_secs(5), "the first has ended", || daemon.run(first)["status"] == "succeeded");
}

fn events_that_are_gone_are_told_as_a_gap_and_the_rest_follows(via: Via) {
    let mut daemon = Daemon::start();
    let gate = daemon.gate("go");
    let run = daemon.sh(&gate.wait());
    daemon.wait_running(run);
    let messages = json!([{"kind": "message"}, {"kind": "message"}, {"kind": "message"}, {"kind": "message"}]);
    daemon.post(&format!("/v1/runs/{run}/events"), &messages).expect(201);
    gate.open();
    daemon.wait_ended(run);
    let last = 7;
    assert_eq!(daemon.events(run).len() as i64, last);
    daemon.stop();
    let database = Connection::open(daemon.state_dir().join("runabout.db")).unwrap();
    database.execute("DELETE FROM events WHERE run = ?1 AND seq IN (1, 3, 4)", [run]).unwrap();
    drop(database);
    daemon.start_again();
    for (after, gaps, left) in [(0, &[(1, 1), (3, 4)][..], last - 3), (3, &[(4, 4)], last - 4), (4, &[], last - 4)] {
        let mut reader = Reader::open_by(via, &daemon, run, after);
        reader.until_end();
        assert_eq!((&reader.told.gaps[..], reader.told.events.len() as i64), (gaps, left), "after {after}");
    }
    // A cursor that stands at a gap's end has it behind it.
    let mut reader = Reader::open_by(via, &daemon, run, 2);
    assert_eq!(reader.next(), Frame::Gap(3, 4));
    let mut reader = Reader::resume(&daemon, reader.disconnect());
    assert!(matches!(reader.next(), Frame::Event(event) if event["seq"] == 5));
}
