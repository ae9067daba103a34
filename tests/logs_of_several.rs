//! `runabout logs` of several runs: each line whole and behind its run's number, each once, until all have ended.

use serde_json::{Value, json};

use crate::common::{Daemon, cli, start};

/// The lines of a run, without what stands before them.
fn lines_of(text: &str, run: i64) -> Vec<&str> {
    let prefix = format!("{run}| ");
    text.lines().filter_map(|line| line.strip_prefix(&prefix)).collect()
}

#[test]
fn followed_together_their_lines_never_mix() {
    let daemon = Daemon::start();
    daemon.put("/v1/queues/default", &json!({"slots": 3})).expect(200);
    let gate = daemon.gate("gate");
    // Pieces of lines by turns; the last one unfinished.
    let talk = |name: &str| {
        format!(
            "for n in 1 2 3 4 5; do printf '{name}'; printf ' %s' $n; echo; done; printf '{name} error\\n' >&2; printf tail"
        )
    };
    let a = daemon.sh(&talk("a"));
    let b = daemon.sh(&format!("{}; {}", talk("b"), gate.wait()));
    let c = daemon.sh("printf 'head '; sleep 0.3; echo and rest");
    let follower = start(&daemon, &["logs", "-f", &a.to_string(), &b.to_string(), &c.to_string(), &a.to_string()]);
    follower.until_said(&format!("{a}| tail\n"));
    follower.until_said(&format!("{c}| head and rest\n"));
    gate.open();
    let ended = follower.ended().expect(0);
    let text = ended.text();
    let numbered =
        |name: &str| -> Vec<String> { (1..=5).map(|n| format!("{name} {n}")).chain(["tail".to_owned()]).collect() };
    assert_eq!(lines_of(&text, a), numbered("a"));
    assert_eq!(lines_of(&text, b), numbered("b"));
    assert_eq!(lines_of(&text, c), ["head and rest"]);
    assert_eq!(text.lines().count(), 13, "nothing else: {text}");
    let mut errors: Vec<&str> = ended.stderr.lines().collect();
    errors.sort_unstable();
    assert_eq!(errors, [format!("{a}| a error"), format!("{b}| b error")]);
}

#[test]
fn without_following_one_is_printed_after_the_other() {
    let daemon = Daemon::start();
    let (a, b) = (daemon.sh("echo one; printf two"), daemon.sh("echo three >&2; echo four"));
    for run in [a, b] {
        daemon.wait_ended(run);
    }
    let both = cli(&daemon, &["logs", &b.to_string(), &a.to_string()]).expect(0);
    assert_eq!((both.text(), both.stderr), (format!("{b}| four\n{a}| one\n{a}| two\n"), format!("{b}| three\n")));
    // Ended before anybody came.
    let followed = cli(&daemon, &["logs", "-f", &a.to_string(), &b.to_string()]).expect(0);
    assert_eq!(followed.text(), format!("{a}| one\n{a}| two\n{b}| four\n"));
    let newest = cli(&daemon, &["logs", "--after", "-1", &a.to_string(), "last"]).expect(0);
    assert_eq!(newest.text(), "", "the newest event of each is its end");
    let one = cli(&daemon, &["logs", &a.to_string()]).expect(0);
    assert_eq!(one.text(), "one\ntwo", "of one, the bytes alone");
    let json = cli(&daemon, &["logs", "-f", "--json", &a.to_string(), &b.to_string()]).expect(0).text();
    let events: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), daemon.events(a).len() + daemon.events(b).len());
}

#[test]
fn what_cannot_be_followed_is_told() {
    let daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("true"));
    daemon.wait_ended(daemon.sh("true"));
    for follow in [&["logs", "-f", "1", "42"][..], &["logs", "1", "42"]] {
        assert!(cli(&daemon, follow).expect(1).stderr.contains("no run 42"));
    }
    assert!(cli(&daemon, &["logs", "-f", "--after", "7", "1", "2"]).expect(2).stderr.contains("--after"));
    daemon.delete("/v1/runs/2").expect(204);
    assert!(cli(&daemon, &["logs", "-f", "1", "2"]).expect(1).stderr.contains("run 2 was removed"));
}

#[test]
fn a_removal_that_is_none_of_theirs_is_not_told() {
    let daemon = Daemon::start();
    let runs: Vec<String> = (0..3).map(|n| daemon.sh(&format!("echo {n}")).to_string()).collect();
    daemon.wait_ended(3);
    daemon.delete("/v1/runs/2").expect(204);
    let both = cli(&daemon, &["logs", "-f", &runs[0], &runs[2]]).expect(0);
    assert_eq!((both.text(), both.stderr.as_str()), ("1| 0\n3| 2\n".to_owned(), ""));
}

#[test]
fn a_restart_in_the_middle_is_survived_with_each_line_once() {
    let mut daemon = Daemon::start();
    let a = daemon.sh("for n in 1 2 3; do echo $n; done; sleep 1000");
    let b = daemon.sh("echo after");
    let follower = start(&daemon, &["logs", "-f", &a.to_string(), &b.to_string()]);
    follower.until_said(&format!("{a}| 3\n"));
    daemon.kill9();
    daemon.start_again();
    let ended = follower.ended().expect(0);
    assert_eq!(ended.text(), format!("{a}| 1\n{a}| 2\n{a}| 3\n{b}| after\n"));
}
