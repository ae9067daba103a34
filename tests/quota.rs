//! The output quota: of what a run prints, its beginning and the newest stay; what went is a gap that says so, wherever
//! one reads; everything else that happened to the run stays, and the counters are true.

use serde_json::{Value, json};

use crate::common::{DEADLINE, Daemon, Frame, Reader, beside, eventually, number, output_of};

const MIB: usize = 1_024 * 1_024;
/// Each line of what is printed, newline included.
const LINE: usize = 16;

fn daemon(quota: usize) -> Daemon {
    Daemon::with_config(&format!("[limits]\noutput_bytes_per_run = {quota}"))
}

/// A command that prints so many numbered lines.
fn lines(count: usize) -> String {
    format!("seq -f %015.0f 1 {count}")
}

/// The lines that it prints.
fn printed(count: usize) -> Vec<u8> {
    (1..=count).flat_map(|line| format!("{line:015}\n").into_bytes()).collect()
}

/// Every event that is left of a run, and the gaps between them, by pages.
fn pages(daemon: &Daemon, run: i64) -> (Vec<Value>, Vec<Value>) {
    let (mut events, mut gaps, mut after) = (Vec::new(), Vec::new(), 0);
    loop {
        let page = daemon.get(&format!("/v1/runs/{run}/events?after={after}")).expect(200).json();
        let more = page["events"].as_array().unwrap();
        let Some(last) = more.last() else { return (events, gaps) };
        after = last["seq"].as_i64().unwrap();
        events.extend(more.iter().cloned());
        gaps.extend(page["gaps"].as_array().unwrap().iter().cloned());
    }
}

/// Checks that the beginning and the newest are there, byte for byte, and no more than half as much again as may.
#[track_caller]
fn assert_kept(events: &[Value], all: &[u8], quota: usize) {
    let (left, _) = output_of(events);
    let head = MIB.min(quota / 2);
    assert!((quota..=quota + quota / 2).contains(&left.len()), "{} bytes of {quota}", left.len());
    // One cut, and it is behind the beginning.
    let cut = left.iter().zip(all).take_while(|(left, all)| left == all).count();
    assert!(cut >= head, "the first {cut} bytes are there");
    assert!(left[cut..] == all[all.len() - (left.len() - cut)..], "the newest are not as they were printed");
    assert!(left.len() - cut >= quota - head - 2 * 16_384, "the newest {} bytes are there", left.len() - cut);
}

#[test]
fn of_what_a_run_prints_the_first_mebibyte_and_the_newest_stay() {
    let quota = 3 * MIB;
    let daemon = daemon(quota);
    let count = 12 * MIB / LINE;
    let run = daemon.sh(&format!("{}; echo last words >&2", lines(count)));
    let ended = daemon.wait_ended(run);
    let all = printed(count);
    assert_eq!(ended["output_bytes"], all.len() + 11, "what was printed, not what is left");
    let (events, gaps) = pages(&daemon, run);
    let (_, stderr) = output_of(&events);
    assert_eq!(stderr, b"last words\n");
    assert_kept(&events, &all, quota);
    let kinds: Vec<&str> =
        events.iter().map(|event| event["kind"].as_str().unwrap()).filter(|kind| *kind != "output").collect();
    assert_eq!(kinds, ["queued", "started", "finished"]);
    // One gap, for what went; and the ends of it are events that are there.
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let gap = &gaps[0];
    assert_eq!((&gap["type"], &gap["reason"]), (&json!("gap"), &json!("quota")));
    let seqs: Vec<i64> = events.iter().map(|event| event["seq"].as_i64().unwrap()).collect();
    let (from, to) = (gap["from"].as_i64().unwrap(), gap["to"].as_i64().unwrap());
    assert!(
        seqs.contains(&(from - 1)) && seqs.contains(&(to + 1)) && !seqs.iter().any(|seq| (from..=to).contains(seq))
    );
    // A page from inside the gap goes on after it, and a stream tells it in its place.
    let inside = daemon.get(&format!("/v1/runs/{run}/events?after={from}&limit=1")).expect(200).json();
    assert_eq!((&inside["events"][0]["seq"], &inside["gaps"][0]["from"]), (&json!(to + 1), &json!(from + 1)));
    let mut reader = Reader::open(&daemon, run, 0);
    reader.until_end();
    let told = reader.disconnect();
    assert_eq!(told.gaps, [(from, to)]);
    assert_eq!(told.events.iter().map(|(seq, ..)| *seq).collect::<Vec<_>>(), seqs);
    // It is counted, and what kept account goes with the run.
    let database = beside(&daemon);
    let gone = number(&database, "SELECT events FROM trimmed_runs");
    assert_eq!(gone, to - from + 1);
    let (left, _) = output_of(&events);
    let (bytes, lines) = (all.len() - left.len(), count - left.iter().filter(|byte| **byte == b'\n').count());
    assert_eq!(gap["trimmed"], json!({"events": gone, "lines": lines, "bytes": bytes}));
    assert_eq!(daemon.metrics().get("pruned_total{what=\"events\"}"), gone as f64);
    assert_eq!(number(&database, "SELECT value FROM meta WHERE key = 'removed_event_id'"), {
        let first = number(&database, &format!("SELECT min(id) FROM run_events WHERE run = {run} AND seq > {to}"));
        first - 1
    });
    let logs = daemon.cli().args(["logs", &run.to_string()]).output().unwrap();
    assert!(logs.stdout.starts_with(&all[..MIB]) && logs.stdout.ends_with(&all[all.len() - MIB..]));
    let said = String::from_utf8_lossy(&logs.stderr);
    assert!(
        said.contains(&format!("are gone (quota); of this run {lines} lines are missing in all, {bytes} bytes")),
        "{said}"
    );
    daemon.delete(&format!("/v1/runs/{run}")).expect(204);
    assert_eq!(number(&database, "SELECT count(*) FROM trimmed_runs"), 0);
}

#[test]
fn a_small_quota_is_kept_too_and_what_is_within_it_is_not_touched() {
    let quota = 64 * 1_024;
    let daemon = daemon(quota);
    let within = daemon.sh(&lines(quota / LINE));
    assert_eq!(daemon.wait_ended(within)["output_bytes"], quota);
    assert_eq!(output_of(&daemon.events(within)).0, printed(quota / LINE));
    let count = 20 * quota / LINE;
    let run = daemon.sh(&lines(count));
    daemon.wait_ended(run);
    let (events, gaps) = pages(&daemon, run);
    assert_kept(&events, &printed(count), quota);
    assert!(gaps.len() == 1 && gaps[0]["reason"] == "quota", "{gaps:?}");
}

#[test]
fn it_is_bounded_at_every_moment() {
    let quota = MIB;
    let daemon = daemon(quota);
    let database = beside(&daemon);
    let run = daemon.sh("yes 'what is printed for ever' | head -c 60000000");
    let stored =
        format!("SELECT coalesce(sum(octet_length(data)), 0) FROM run_events WHERE run = {run} AND kind = 'output'");
    let mut most = 0;
    let mut looks = 0;
    let mut reader = Reader::open(&daemon, run, 0);
    while reader.end().is_none() {
        most = most.max(number(&database, &stored));
        looks += 1;
        // However often it falls behind: each event once, in order, or told as gone.
        for _ in 0..200 {
            if matches!(reader.next(), Frame::End(_)) {
                break;
            }
        }
    }
    println!("at most {most} bytes in {looks} looks");
    assert!(most <= (quota + quota / 2) as i64, "{most} bytes");
    assert_eq!(daemon.run(run)["output_bytes"], 60_000_000);
    let file = std::fs::metadata(daemon.state_dir().join("runabout.db")).unwrap().len();
    assert!(file < 4 * MIB as u64, "{file} bytes");
}

#[test]
fn a_reader_that_keeps_up_sees_all_of_it() {
    let daemon = daemon(64 * 1_024);
    let mut feed = daemon.feed("lines");
    let run = daemon.sh(&format!("while read -r n; do head -c 20000 /dev/zero; echo \" $n\"; done < {}", feed.path()));
    let mut reader = Reader::open(&daemon, run, 0);
    for piece in 1..=20 {
        feed.say(&format!("{piece}\n"));
        reader.until_stdout(&format!(" {piece}\n"));
    }
    drop(feed);
    reader.until_end();
    let told = reader.disconnect();
    assert_eq!(told.gaps, []);
    assert!(told.stdout.len() > 20 * 20_000);
    let (events, gaps) = pages(&daemon, run);
    assert!(events.len() < told.events.len() && gaps[0]["reason"] == "quota");
}

#[test]
fn what_is_not_output_stays_where_it_was() {
    let daemon = daemon(64 * 1_024);
    let mut feed = daemon.feed("lines");
    let run = daemon.sh(&format!("while read -r n; do head -c 30000 /dev/zero; echo \" $n\"; done < {}", feed.path()));
    let mut reader = Reader::open(&daemon, run, 0);
    for percent in 1..=10 {
        feed.say(&format!("{percent}\n"));
        reader.until_stdout(&format!(" {percent}\n"));
        let told =
            json!([{"kind": "progress", "data": {"percent": percent}}, {"kind": "message", "data": {"text": "x"}}]);
        daemon.post(&format!("/v1/runs/{run}/events"), &told).expect(201);
    }
    drop(feed);
    let ended = daemon.wait_ended(run);
    assert_eq!(ended["progress"]["percent"], 10);
    let (events, gaps) = pages(&daemon, run);
    let percents: Vec<i64> = events.iter().filter_map(|event| event["data"]["percent"].as_i64()).collect();
    assert_eq!(percents, (1..=10).collect::<Vec<_>>());
    assert_eq!(events.iter().filter(|event| event["kind"] == "message").count(), 10);
    assert!(gaps.len() > 1 && gaps.iter().all(|gap| gap["reason"] == "quota"), "{gaps:?}");
    // Each gap says what went in all, with those beside it.
    let database = beside(&daemon);
    let went = |what: &str| number(&database, &format!("SELECT {what} FROM trimmed_runs"));
    let trimmed = json!({"events": went("events"), "lines": went("lines"), "bytes": went("bytes")});
    assert!(gaps.iter().all(|gap| gap["trimmed"] == trimmed), "{gaps:?}");
    // Events and gaps together are all there was.
    let of_gaps = gaps.iter().map(|gap| gap["to"].as_i64().unwrap() - gap["from"].as_i64().unwrap() + 1).sum::<i64>();
    assert_eq!(events.len() as i64 + of_gaps, ended["last_seq"].as_i64().unwrap());
}

#[test]
fn the_counters_are_true_after_a_crash_and_over_several_attempts() {
    let quota = 64 * 1_024;
    let mut daemon = daemon(quota);
    let gate = daemon.gate("again");
    let again = gate.wait();
    let script = format!(
        "head -c 400000 /dev/zero; echo; [ $RUNABOUT_ATTEMPT = 1 ] && sleep 600; {again}; head -c 300000 /dev/zero"
    );
    let run = daemon.submit(&json!({"script": script, "on_interrupt": "requeue"}));
    eventually(DEADLINE, "it has printed", || daemon.run(run)["output_bytes"] == 400_001);
    daemon.kill9();
    daemon.start_again();
    eventually(DEADLINE, "it prints again", || daemon.run(run)["output_bytes"] == 800_002);
    // Stopped in order, with what it had printed told by the run's row: the counts go on from there.
    daemon.restart();
    eventually(DEADLINE, "it prints once more", || daemon.run(run)["output_bytes"] == 1_200_003);
    gate.open();
    let ended = daemon.wait_ended(run);
    assert_eq!((&ended["attempt"], &ended["output_bytes"]), (&json!(3), &json!(1_500_003)), "{ended}");
    let database = beside(&daemon);
    let left = number(&database, "SELECT sum(octet_length(data)) FROM run_events WHERE kind = 'output'");
    let gone = number(&database, "SELECT bytes FROM trimmed_runs");
    assert_eq!(left + gone, 1_500_003);
    assert!(left <= (quota + quota / 2) as i64, "{left}");
    let (events, gaps) = pages(&daemon, run);
    assert!(gaps.iter().all(|gap| gap["reason"] == "quota"), "{gaps:?}");
    let starts = events.iter().filter(|event| event["kind"] == "started").count();
    assert_eq!(starts, 3);
    // A hole that the quota did not make is somebody's who removed it.
    let first = events.iter().find(|event| event["kind"] == "output").unwrap()["seq"].as_i64().unwrap();
    database.execute("DELETE FROM output WHERE run = ?1 AND seq = ?2", (run, first)).unwrap();
    assert!(pages(&daemon, run).1.iter().any(|gap| gap["from"] == first && gap["reason"] == "pruned"));
}

#[test]
fn a_command_that_prints_single_bytes_does_not_store_thirty_times_as_much() {
    let daemon = daemon(64 * 1_024);
    // By turns on both streams, so that each is an event.
    let run = daemon.sh("i=0; while [ $i -lt 3000 ]; do echo; echo >&2; i=$((i + 1)); done");
    let ended = daemon.wait_ended(run);
    assert_eq!(ended["output_bytes"], 6_000);
    let rows = number(&beside(&daemon), "SELECT count(*) FROM run_events");
    let events = ended["last_seq"].as_i64().unwrap();
    println!("{rows} rows of {events} events");
    assert!(rows <= 64 * 1_024 / 64 * 3 / 2 + 3, "{rows} rows");
}

#[test]
fn the_newest_piece_stays_also_where_a_run_may_keep_less_than_its_beginning() {
    let daemon = Daemon::with_config("[limits]\noutput_bytes_per_run = 600000\n[retention]\ndb_bytes = 2097152");
    daemon.put("/v1/queues/wide", &json!({"slots": 16})).expect(201);
    let submit = |script: String| daemon.submit(&json!({"script": script, "queue": "wide"}));
    let has_printed = |run: i64, bytes: usize| {
        eventually(DEADLINE, "it has printed", || daemon.run(run)["output_bytes"] == bytes);
    };
    let gate = daemon.gate("later");
    let run = submit(format!("{}; {}; echo later", lines(900_000 / LINE), gate.wait()));
    has_printed(run, 900_000);
    let last_seq = daemon.run(run)["last_seq"].as_i64().unwrap();
    // Each of them may keep less now than the 300,000 bytes of its beginning. They print once all are there, since a submit
    // is refused while what they print is more than the quota.
    let all_there = daemon.dir().join("all_there");
    let script =
        format!("until [ -e {} ]; do sleep 0.02; done; {}; sleep 600", all_there.display(), lines(600_000 / LINE));
    let others: Vec<i64> = (0..10).map(|_| submit(script.clone())).collect();
    std::fs::write(&all_there, "").unwrap();
    others.iter().for_each(|run| has_printed(*run, 600_000));
    assert_eq!(daemon.run(run)["last_seq"], last_seq, "no seq is given out twice");
    gate.open();
    assert_eq!(daemon.wait_ended(run)["last_seq"], last_seq + 2);
    let wrong = "SELECT count(*) FROM output WHERE NOT EXISTS
                 (SELECT 1 FROM output_blocks WHERE block = output.id >> 6 AND run = output.run AND key <= output.key)";
    assert_eq!(number(&beside(&daemon), wrong), 0, "what is left is found by its id");
}
