//! What the daemon says fits other people's parsers: a line of JSON is a line to whoever splits text by Unicode's line
//! ends, and no object of a stream is longer than 60 KiB. Parsed, bytes and texts are what they were.

use serde_json::{Value, json};

use crate::common::{Daemon, Reader, Via, beside, cli, wire_json};

/// What the wire has escaped beyond JSON, the most of it: DEL, control characters of two bytes, Unicode's line ends.
const RAW: &str = "a\u{7f}b\u{80}c\u{85}d\u{9f}e\u{2028}f\u{2029}g";

/// Everything that `path` answers, as a client would get it by this `Accept`.
fn text(daemon: &Daemon, accept: &str, path: &str) -> String {
    daemon.call("GET", path).header("Accept", accept).send().expect(200).text()
}

/// What Python's `str.splitlines` takes for the end of a line.
fn unicode_lines(text: &str) -> Vec<&str> {
    let ends = ['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];
    text.split_terminator(ends).collect()
}

#[test]
fn a_line_is_a_line_to_whoever_splits_by_unicode() {
    let daemon = Daemon::start();
    // A name and a tag may hold what is no control character.
    let named = "x\u{2028}y\u{2029}z";
    let printed = daemon.dir().join("printed");
    std::fs::write(&printed, RAW).unwrap();
    let gate = daemon.gate("reported");
    let script = format!("cat {}; {}", printed.display(), gate.wait());
    let submit = json!({"script": script, "name": named, "tags": [named], "env": {RAW.trim(): RAW}});
    let run = daemon.post("/v1/runs", &submit).expect(201).json()["id"].as_i64().unwrap();
    let data = json!({"text": RAW, RAW: [RAW]});
    let report = json!([{"kind": "message", "data": data}, {"kind": "progress", "data": data}]);
    daemon.post(&format!("/v1/runs/{run}/events"), &report).expect(201);
    gate.open();
    let ended = daemon.wait_ended(run);
    assert_eq!((&ended["name"], &ended["tags"][0], &ended["progress"]), (&named.into(), &named.into(), &data));
    assert_eq!(ended["env_keys"][0], RAW);
    for via in Via::ALL {
        // The reader looks at each object's text.
        let mut reader = Reader::open_by(via, &daemon, run, 0);
        let mut kinds = Vec::new();
        loop {
            let event = reader.until("the next event", |frame| matches!(frame, crate::common::Frame::Event(_)));
            let crate::common::Frame::Event(event) = event else { unreachable!("it was just seen to be one") };
            let kind = event["kind"].as_str().unwrap().to_owned();
            match kind.as_str() {
                "message" | "progress" => assert_eq!(event["data"], data),
                "output" => assert_eq!(event["data"]["text"], RAW),
                "finished" => {
                    assert_eq!((&event["data"]["name"], &event["data"]["tags"][0]), (&named.into(), &named.into()))
                }
                _ => {}
            }
            kinds.push(kind);
            if kinds.last().is_some_and(|kind| kind == "finished") {
                break;
            }
        }
        assert!(
            ["message", "progress", "output"].iter().all(|kind| kinds.iter().any(|told| told == kind)),
            "{kinds:?}"
        );
        assert_eq!(reader.disconnect().stdout, RAW.as_bytes(), "{via:?}");
    }
    let lines = text(&daemon, "application/x-ndjson", &format!("/v1/runs/{run}/events"));
    unicode_lines(&lines).into_iter().for_each(|line| _ = wire_json(line));
    let sse = text(&daemon, "text/event-stream", &format!("/v1/runs/{run}/events"));
    let fields = ["event: ", "id: ", "data: ", "retry: "];
    for line in unicode_lines(&sse).into_iter().filter(|line| !line.is_empty()) {
        assert!(fields.iter().any(|field| line.starts_with(field)), "{line:?}");
    }
    assert_eq!(sse.matches("retry: ").count(), 1, "{sse}");
    // Lists, one run, and what is wrong with a request say it alike; what was printed stays what it was.
    for path in ["/v1/runs".to_owned(), format!("/v1/runs/{run}"), format!("/v1/events?runs={run}&after=0")] {
        daemon.get(&path).expect(200).json();
    }
    let wrong = daemon.post("/v1/runs", &json!({"script": "a", RAW: 1})).expect(422).json();
    assert_eq!(wrong["details"]["violations"][0]["field"], RAW);
    assert_eq!(daemon.get(&format!("/v1/runs/{run}/log")).expect(200).body, RAW.as_bytes());
}

#[test]
fn no_object_is_longer_than_60_kib_however_its_bytes_are_written() {
    let daemon = Daemon::start();
    let script = "head -c 100000 /dev/zero; head -c 40000 /dev/zero | tr '\\0' '\\033' >&2; \
                  head -c 30000 /dev/zero | tr '\\0' '\\177'";
    let run = daemon.sh(script);
    daemon.wait_ended(run);
    for via in Via::ALL {
        let mut reader = Reader::open_by(via, &daemon, run, 0);
        reader.until_end();
        let told = reader.disconnect();
        assert_eq!((told.stdout.len(), told.stderr.len()), (130_000, 40_000), "{via:?}");
        assert!(told.stdout[..100_000].iter().all(|byte| *byte == 0) && told.stderr.iter().all(|byte| *byte == 0x1b));
    }
    // Whatever a client appends is measured as it is sent.
    let gate = daemon.gate("appended");
    let run = daemon.sh(&gate.wait());
    let append = |count: usize| {
        let event = json!({"kind": "message", "data": {"text": "\u{7f}".repeat(count)}});
        daemon.post(&format!("/v1/runs/{run}/events"), &event)
    };
    append(2_728).expect(201);
    append(2_729).expect_problem(422, "invalid");
    gate.open();
    // The longest name, tags and error together.
    let label = |count: usize| "\u{2028}".repeat(count);
    let tags: Vec<String> = (0..50).map(|nth| format!("{nth:02}{}", label(98))).collect();
    let program = format!("/{}", "\u{7f}".repeat(100_000));
    let submit = json!({"command": [program], "name": label(255), "tags": tags});
    let run = daemon.post("/v1/runs", &submit).expect(201).json()["id"].as_i64().unwrap();
    let error = daemon.wait_ended(run)["error"].as_str().unwrap().to_owned();
    assert!(error.chars().count() == 4_200 && error.contains("/\u{7f}") && error.contains('…'), "{error:.100}");
    let mut reader = Reader::open(&daemon, run, 0);
    reader.until_end();
}

#[test]
fn a_long_piece_of_an_older_build_travels_as_base64() {
    let mut daemon = Daemon::start();
    let run = daemon.sh("echo old");
    daemon.wait_ended(run);
    daemon.stop();
    let zeros = "\0".repeat(16 * 1024);
    let changed = beside(&daemon).execute("UPDATE output SET data = ?1", [&zeros]).unwrap();
    assert_eq!(changed, 1);
    daemon.start_again();
    for via in Via::ALL {
        let mut reader = Reader::open_by(via, &daemon, run, 0);
        reader.until_end();
        assert_eq!(reader.disconnect().stdout, zeros.as_bytes(), "{via:?}");
    }
    assert_eq!(cli(&daemon, &["logs", &run.to_string()]).expect(0).stdout, zeros.as_bytes());
}

#[test]
fn a_list_parameter_takes_commas_and_repeats() {
    let daemon = Daemon::start();
    let (ended, failed) = (daemon.sh("true"), daemon.sh("false"));
    daemon.wait_ended(ended);
    daemon.wait_ended(failed);
    let ids = |answer: &Value, list: &str, id: &str| -> Vec<i64> {
        answer[list].as_array().unwrap().iter().map(|item| item[id].as_i64().unwrap()).collect()
    };
    for query in ["status=succeeded,failed", "status=succeeded&status=failed", "status=failed,queued&status=succeeded"]
    {
        let list = daemon.get(&format!("/v1/runs?{query}")).expect(200).json();
        assert_eq!(ids(&list, "runs", "id"), [failed, ended], "{query}");
    }
    let next = daemon.get("/v1/runs?limit=1&status=succeeded&status=failed").expect(200).json();
    let next = daemon.get(next["next"].as_str().unwrap()).expect(200).json();
    assert_eq!(ids(&next, "runs", "id"), [ended]);
    for query in ["kinds=started,finished", "kinds=started&kinds=finished"] {
        for runs in [format!("runs={ended},{failed}"), format!("runs={failed}&runs={ended}&runs={ended}")] {
            let page = daemon.get(&format!("/v1/events?after=0&{query}&{runs}")).expect(200).json();
            assert_eq!(ids(&page, "events", "run"), [ended, ended, failed, failed], "{query}&{runs}");
        }
    }
    for wrong in
        ["/v1/runs?status=failed&status=done", "/v1/runs?status=failed&status=", "/v1/events?kinds=a&kinds=queued"]
    {
        daemon.get(wrong).expect_problem(422, "invalid");
    }
}

#[test]
fn a_submits_query_stands_where_its_json_says_nothing() {
    let daemon = Daemon::start();
    let query = "name=q&priority=7&timeout_s=60&delay_s=3600&cwd=/&tag=a,b&tag=c";
    let submit = |body: Value| daemon.post(&format!("/v1/runs?{query}"), &body).expect(201).json();
    let run = submit(json!({"command": ["true"]}));
    let told = ["name", "priority", "timeout_s", "cwd", "tags"].map(|field| run[field].clone());
    assert_eq!(told, [json!("q"), json!(7), json!(60), json!("/"), json!(["a,b", "c"])]);
    assert!(run["not_before"].is_string(), "{run}");
    let run = submit(json!({"command": ["true"], "name": null, "priority": 1, "tags": []}));
    let told = ["name", "priority", "timeout_s", "tags"].map(|field| run[field].clone());
    assert_eq!(told, [json!(null), json!(1), json!(60), json!([])]);
    let twice = daemon.post("/v1/runs?delay_s=1", &json!({"script": "a", "not_before": "2099-01-01T00:00:00Z"}));
    twice.expect_problem(422, "invalid");
}
