//! Text in what runs printed is found, from the newest run down, without an index and without others waiting for it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{Client, DEADLINE, Daemon, cli, eventually};

/// All lines that are found, page after page, each as run and line.
#[track_caller]
fn found(client: &Client, query: &str) -> Vec<(i64, String)> {
    let (mut lines, mut next) = (Vec::new(), Some(format!("/v1/search?{query}")));
    while let Some(path) = next {
        let page = client.get(&path).expect(200).json();
        let hits = page["hits"].as_array().unwrap();
        let line = |hit: &Value| (hit["run"].as_i64().unwrap(), hit["line"].as_str().unwrap().to_owned());
        lines.extend(hits.iter().map(line));
        next = page["next"].as_str().map(str::to_owned);
    }
    lines
}

#[test]
fn lines_are_found_in_the_runs_that_filters_leave() {
    let daemon = Daemon::start();
    daemon.put("/v1/queues/gpu", &json!({})).expect(201);
    let mut runs = Vec::new();
    for body in [
        json!({"script": "echo an ERROR here; echo fine; echo another Error >&2", "tags": ["a"], "name": "first"}),
        json!({"script": "printf 'no such thing\\n'", "queue": "gpu"}),
        json!({"script": "printf 'err'; sleep 0.3; printf 'or in two pieces\\nerror\\n'; exit 3", "queue": "gpu"}),
        json!({"script": "printf 'error \\377 \\033[31mred\\n'"}),
    ] {
        let run = daemon.submit(&body);
        daemon.wait_ended(run);
        runs.push(run);
    }
    let of =
        |lines: &[(usize, &str)]| lines.iter().map(|(nth, line)| (runs[*nth], (*line).to_owned())).collect::<Vec<_>>();
    let red = (3, "error \u{fffd} \u{1b}[31mred");
    let third = [(2, "error"), (2, "error in two pieces")];
    let first = [(0, "another Error"), (0, "an ERROR here")];
    let everything = of(&[&[red], &third[..], &first[..]].concat());
    for limit in [1, 2, 3, 500] {
        let mut lines = found(&daemon, &format!("text=error&limit={limit}"));
        // Of two streams the order is as it was read.
        lines[3..].sort();
        let mut wanted = everything.clone();
        wanted[3..].sort();
        assert_eq!(lines, wanted, "limit={limit}");
    }
    assert_eq!(found(&daemon, "text=error&queue=gpu"), of(&third));
    assert_eq!(found(&daemon, "text=error&exit=3"), of(&third));
    assert_eq!(found(&daemon, "text=error&tag=a").len(), 2);
    assert_eq!(found(&daemon, "text=error&q=first").len(), 2);
    assert_eq!(found(&daemon, &format!("text=error&run={}", runs[2])), of(&third));
    assert_eq!(found(&daemon, &format!("text=error&before={}", runs[2])).len(), 2);
    assert_eq!(found(&daemon, "text=two%20pieces"), of(&third[1..]));
    assert_eq!(found(&daemon, "text=nowhere"), Vec::new());
    let hit = daemon.get("/v1/search?text=two%20pieces").expect(200).json()["hits"][0].clone();
    let seq = daemon
        .events(runs[2])
        .into_iter()
        .find(|event| event["data"]["text"].as_str().is_some_and(|text| text.contains("pieces")));
    assert_eq!((&hit["seq"], &hit["stream"], &hit["cut"]), (&seq.unwrap()["seq"], &json!("stdout"), &json!(false)));

    for (query, field) in [
        ("", "text"),
        ("text=", "text"),
        ("text=x&before=0", "before"),
        ("text=x&before=1.2.3.4", "before"),
        ("text=x&before=%2B1", "before"),
        ("text=x&limit=501", "limit"),
    ] {
        let problem = daemon.get(&format!("/v1/search?{query}")).expect_problem(422, "invalid");
        assert_eq!(problem["details"]["violations"][0]["field"], field, "{query}");
    }
    daemon.get("/v1/search?text=x&run=4242").expect_problem(404, "run_not_found");
    daemon.delete(&format!("/v1/runs/{}", runs[0])).expect(204);
    assert_eq!(found(&daemon, "text=another"), Vec::new());
    daemon.get(&format!("/v1/search?text=x&run={}", runs[0])).expect_problem(410, "run_pruned");

    let said = cli(&daemon, &["search", "ERROR", "-q", "gpu"]).expect(0).text();
    assert_eq!(said, format!("{0}| error\n{0}| error in two pieces\n", runs[2]));
    let said = cli(&daemon, &["search", "red", "--run", "last"]).expect(0).text();
    assert_eq!(said, format!("{}| error \u{fffd} \\x1b[31mred\n", runs[3]));
    let told = cli(&daemon, &["--json", "search", "error", "--limit", "2"]).expect(0).json();
    assert_eq!(told.as_array().unwrap().len(), 2);
    assert_eq!(cli(&daemon, &["search", "nowhere"]).expect(0).text(), "");
}

#[test]
fn much_output_is_looked_through_in_pieces_and_a_page_says_how_far() {
    let daemon = Daemon::with_config("[limits]\noutput_bytes_per_run = 268435456\n");
    let old = daemon.sh("echo a needle");
    daemon.wait_ended(old);
    // Some 80 MB, of which one page sees no more than 64.
    let line = "x".repeat(99);
    let much = daemon.sh(&format!("echo needle; yes {line} | head -n 800000; echo needle"));
    eventually(6 * DEADLINE, "all is printed", || daemon.run(much)["status"] == "succeeded");
    let page = daemon.get("/v1/search?text=needle").expect(200).json();
    assert_eq!(page["hits"].as_array().unwrap().len(), 1, "{page}");
    assert_eq!(page["looked_back_to"], daemon.run(much)["created_at"]);
    assert!(page["next"].as_str().unwrap().contains(&format!("before={much}.")), "{page}");
    // Others are served meanwhile.
    let (found, slowest) = std::thread::scope(|scope| {
        let searchers: Vec<Client> = (0..6).map(|_| (*daemon).clone()).collect();
        let searches: Vec<_> =
            searchers.into_iter().map(|client| scope.spawn(move || found(&client, "text=Needle"))).collect();
        let mut slowest = Duration::ZERO;
        while !searches.iter().all(|search| search.is_finished()) {
            let begun = Instant::now();
            daemon.get(&format!("/v1/runs/{old}")).expect(200);
            slowest = slowest.max(begun.elapsed());
        }
        (searches.into_iter().map(|search| search.join().unwrap()).next_back().unwrap(), slowest)
    });
    assert_eq!(found, [(much, "needle".to_owned()), (much, "needle".to_owned()), (old, "a needle".to_owned())]);
    println!("the slowest answer beside it took {slowest:?}");
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
}
