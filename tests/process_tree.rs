//! A run's end reaches its whole process group: whoever asks, whatever its processes do about it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{DEADLINE, Daemon, Reader, Response, eventually, proc_exists, wait_gone};

/// Far less than the grace of ten seconds: what ends within it was not waited for.
const SOON: Duration = Duration::from_secs(5);
/// Between the leader's end and SIGKILL for what is left of its group.
const AFTERMATH: Duration = Duration::from_millis(250);

/// A leader, its child and its grandchild, each of which says its name and pid and then obeys every signal.
const FAMILY: &str = r#"
sh -c 'sh -c "echo grandchild \$\$; exec sleep 300" & echo child $$; wait' &
echo leader $$
wait"#;
/// A leader that obeys SIGTERM, and its child, which does not.
const STUBBORN_CHILD: &str = r#"
sh -c 'trap "" TERM; echo child $$; exec sleep 300' &
echo leader $$
wait"#;
/// A leader that does not obey SIGTERM.
const STUBBORN_LEADER: &str = "trap '' TERM; echo leader $$; exec sleep 300";

/// A run whose processes have all said who they are.
struct Tree<'a> {
    daemon: &'a Daemon,
    run: i64,
    pids: BTreeMap<String, i32>,
}

impl<'a> Tree<'a> {
    /// Submits it and waits until each of `names` has said its pid.
    #[track_caller]
    fn grow(daemon: &'a Daemon, spec: &Value, names: &[&str]) -> Tree<'a> {
        let run = daemon.submit(spec);
        let mut reader = Reader::open(daemon, run, 0);
        let mut pids = BTreeMap::new();
        while !names.iter().all(|name| pids.contains_key(*name)) {
            reader.until_kind("output");
            let said = String::from_utf8_lossy(&reader.told.stdout).into_owned();
            let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let words = whole.lines().filter_map(|line| line.split_once(' '));
            pids = words.map(|(name, pid)| (name.to_owned(), pid.parse().unwrap())).collect();
        }
        Tree { daemon, run, pids }
    }

    fn cancel(&self) -> Response {
        cancel(self.daemon, self.run)
    }

    /// Waits for the run's end and for that of all its processes.
    #[track_caller]
    fn ended(&self) -> Value {
        let run = self.daemon.wait_ended(self.run);
        self.pids.values().for_each(|&pid| wait_gone(pid));
        run
    }
}

fn cancel(daemon: &Daemon, run: i64) -> Response {
    daemon.call("POST", &format!("/v1/runs/{run}/cancel")).send()
}

/// `status, reason, exit_code, signal`
#[track_caller]
fn assert_ending(run: &Value, status: &str, reason: &str, exit_code: impl Into<Value>, signal: impl Into<Value>) {
    let ending = json!([run["status"], run["reason"], run["exit_code"], run["signal"]]);
    assert_eq!(ending, json!([status, reason, exit_code.into(), signal.into()]), "{run}");
}

/// The last event of a run says the same as the run.
#[track_caller]
fn assert_finished_alike(daemon: &Daemon, run: &Value) {
    let events = daemon.events(run["id"].as_i64().unwrap());
    let last = events.last().unwrap();
    assert_eq!(last["kind"], "finished", "{last}");
    for field in ["status", "reason", "exit_code", "signal", "error"] {
        assert_eq!(last["data"][field], run[field], "{field} in {last}");
    }
}

fn is_stopped(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
}

#[test]
fn a_cancel_ends_the_leader_its_children_and_theirs() {
    let daemon = Daemon::start();
    let tree = Tree::grow(&daemon, &json!({"script": FAMILY}), &["leader", "child", "grandchild"]);
    let asked = Instant::now();
    let run = tree.cancel().expect(202).json();
    assert_eq!((&run["status"], run["cancel_requested_at"].is_string()), (&"running".into(), true), "{run}");
    let run = tree.ended();
    assert!(asked.elapsed() < SOON, "it took {:?}", asked.elapsed());
    assert_ending(&run, "canceled", "canceled", Value::Null, 15);
    assert_finished_alike(&daemon, &run);
    assert_eq!(run["pid"], Value::Null);
    assert_eq!(daemon.kinds(tree.run), ["queued", "started", "cancel_requested", "finished"]);
    assert_eq!(daemon.get(&format!("/v1/runs/{}/exit_code", tree.run)).expect(200).text(), "143\n");
}

#[test]
fn a_timeout_ends_the_leader_its_children_and_theirs() {
    let daemon = Daemon::start();
    let tree = Tree::grow(&daemon, &json!({"script": FAMILY, "timeout_s": 2}), &["leader", "child", "grandchild"]);
    let run = tree.ended();
    assert_ending(&run, "timed_out", "timeout", Value::Null, 15);
    assert_finished_alike(&daemon, &run);
    assert_eq!(run["cancel_requested_at"], Value::Null);
    assert_eq!(daemon.kinds(tree.run), ["queued", "started", "finished"]);
    let finished = daemon.events(tree.run).pop().unwrap();
    assert!(finished["data"]["duration_ms"].as_i64().unwrap() >= 2_000, "{finished}");
    assert_eq!(daemon.get(&format!("/v1/runs/{}/exit_code", tree.run)).expect(200).text(), "124\n");
}

#[test]
fn a_leader_that_ignores_sigterm_is_killed_when_the_grace_is_up() {
    let daemon = Daemon::with_config("[runs]\nkill_grace_s = 1\n");
    let tree = Tree::grow(&daemon, &json!({"script": STUBBORN_LEADER}), &["leader"]);
    let asked = Instant::now();
    tree.cancel().expect(202);
    let run = tree.ended();
    let took = asked.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(1) + SOON, "it took {took:?}");
    assert_ending(&run, "canceled", "canceled", Value::Null, 9);

    let late = Tree::grow(&daemon, &json!({"script": STUBBORN_LEADER, "timeout_s": 1}), &["leader"]);
    let run = late.ended();
    assert_ending(&run, "timed_out", "timeout", Value::Null, 9);
    let finished = daemon.events(late.run).pop().unwrap();
    assert!(finished["data"]["duration_ms"].as_i64().unwrap() >= 2_000, "{finished}");
}

#[test]
fn a_group_whose_members_all_ignore_sigterm_is_killed_whole() {
    let daemon = Daemon::with_config("[runs]\nkill_grace_s = 1\n");
    let script = r#"
        trap '' TERM
        sh -c 'sh -c "echo grandchild \$\$; exec sleep 300" & echo child $$; wait' &
        echo leader $$
        wait"#;
    let tree = Tree::grow(&daemon, &json!({"script": script}), &["leader", "child", "grandchild"]);
    tree.cancel().expect(202);
    assert_ending(&tree.ended(), "canceled", "canceled", Value::Null, 9);
}

#[test]
fn a_child_that_ignores_sigterm_is_killed_a_moment_after_its_leader() {
    let daemon = Daemon::start();
    let tree = Tree::grow(&daemon, &json!({"script": STUBBORN_CHILD}), &["leader", "child"]);
    let asked = Instant::now();
    tree.cancel().expect(202);
    let run = tree.ended();
    let took = asked.elapsed();
    assert!(took >= AFTERMATH && took < SOON, "it took {took:?}");
    assert_ending(&run, "canceled", "canceled", Value::Null, 15);

    let tree = Tree::grow(&daemon, &json!({"script": STUBBORN_CHILD, "timeout_s": 2}), &["leader", "child"]);
    assert_ending(&tree.ended(), "timed_out", "timeout", Value::Null, 15);
}

#[test]
fn a_child_that_obeys_has_a_moment_to_clean_up_after_its_leader() {
    let daemon = Daemon::start();
    let cleaned = daemon.dir().join("cleaned");
    let script = format!(
        r#"sh -c 'trap "echo cleaned >{}; exit" TERM; echo child $$; sleep 300 & wait' &
        echo leader $$
        wait"#,
        cleaned.display()
    );
    let tree = Tree::grow(&daemon, &json!({"script": script}), &["leader", "child"]);
    tree.cancel().expect(202);
    tree.ended();
    assert_eq!(std::fs::read_to_string(cleaned).unwrap(), "cleaned\n");
}

#[test]
fn stopped_processes_are_continued_so_that_they_are_told() {
    let daemon = Daemon::start();
    let script = r#"
        sh -c 'echo child $$; kill -STOP $$; exec sleep 300' &
        echo leader $$
        kill -STOP $$
        wait"#;
    let tree = Tree::grow(&daemon, &json!({"script": script}), &["leader", "child"]);
    eventually(DEADLINE, "both are stopped", || tree.pids.values().all(|&pid| is_stopped(pid)));
    let asked = Instant::now();
    tree.cancel().expect(202);
    let run = tree.ended();
    assert!(asked.elapsed() < SOON, "it took {:?}", asked.elapsed());
    assert_ending(&run, "canceled", "canceled", Value::Null, 15);
}

#[test]
fn an_exit_code_is_recorded_though_the_run_was_canceled() {
    let daemon = Daemon::start();
    for code in [0, 7] {
        let script = format!("trap 'echo told 1; exit {code}' TERM; echo leader $$; sleep 300 & wait");
        let tree = Tree::grow(&daemon, &json!({"script": script}), &["leader"]);
        tree.cancel().expect(202);
        assert_ending(&tree.ended(), "canceled", "canceled", code, Value::Null);
        let mut reader = Reader::open(&daemon, tree.run, 0);
        let end = reader.until_end();
        assert_eq!((&end["status"], &end["exit_code"]), (&"canceled".into(), &code.into()));
        assert!(reader.told.stdout.ends_with(b"told 1\n"), "what it says when it is told is recorded");
        assert_eq!(daemon.get(&format!("/v1/runs/{}/exit_code", tree.run)).expect(200).text(), "143\n");
    }
}

#[test]
fn a_timeout_that_came_first_decides_though_a_cancel_follows() {
    let daemon = Daemon::with_config("[runs]\nkill_grace_s = 60\n");
    let gate = daemon.gate("gate");
    let script = format!("trap 'echo told 1; {}; exit 3' TERM; echo leader $$; sleep 300 & wait", gate.wait());
    let tree = Tree::grow(&daemon, &json!({"script": script, "timeout_s": 1}), &["leader", "told"]);
    tree.cancel().expect(202);
    gate.open();
    let run = daemon.wait_ended(tree.run);
    assert_ending(&run, "timed_out", "timeout", 3, Value::Null);
    assert_eq!(daemon.kinds(tree.run), ["queued", "started", "cancel_requested", "finished"]);
}

#[test]
fn a_cancel_that_came_first_decides_though_the_time_is_up_before_the_end() {
    let daemon = Daemon::with_config("[runs]\nkill_grace_s = 60\n");
    let gate = daemon.gate("gate");
    let script = format!("trap 'echo told 1; {}; exit 3' TERM; echo leader $$; sleep 300 & wait", gate.wait());
    let run = daemon.submit(&json!({"script": script, "timeout_s": 3}));
    let mut reader = Reader::open(&daemon, run, 0);
    reader.until_kind("output");
    let claimed = Instant::now();
    cancel(&daemon, run).expect(202);
    eventually(DEADLINE, "its time is up", || claimed.elapsed() > Duration::from_millis(3_100));
    gate.open();
    assert_ending(&daemon.wait_ended(run), "canceled", "canceled", 3, Value::Null);
}

#[test]
fn an_ordinary_exit_leaves_background_children_alone() {
    let daemon = Daemon::start();
    for code in [0, 3] {
        let script = format!("sleep 300 >/dev/null 2>&1 & echo child $!; exit {code}");
        let tree = Tree::grow(&daemon, &json!({"script": script, "timeout_s": 1}), &["child"]);
        let run = daemon.wait_ended(tree.run);
        let ended = Instant::now();
        assert_eq!((&run["reason"], &run["exit_code"]), (&"exited".into(), &code.into()), "{run}");
        cancel(&daemon, tree.run).expect(200);
        eventually(DEADLINE, "its time would be up", || ended.elapsed() > Duration::from_millis(1_100));
        assert!(proc_exists(tree.pids["child"]), "the child was not left alone");
    }
}

#[test]
fn a_signal_from_elsewhere_is_no_cancel() {
    let daemon = Daemon::start();
    let run = daemon.wait_ended(daemon.sh("kill -TERM $$"));
    assert_ending(&run, "failed", "signaled", Value::Null, 15);
    assert_eq!(daemon.get(&format!("/v1/runs/{}/exit_code", run["id"])).expect(200).text(), "143\n");
}

#[test]
fn a_queued_run_that_is_canceled_never_starts() {
    let daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let first = daemon.sh(&gate.wait());
    daemon.wait_running(first);
    let proof = daemon.dir().join("started");
    let second = daemon.sh(&format!("touch {}", proof.display()));
    let third = daemon.submit(&json!({"script": format!("touch {}", proof.display()), "delay_s": 3_600}));
    for run in [second, third] {
        let answer = daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({"reason": "not needed"}));
        let canceled = answer.expect(200).json();
        assert_ending(&canceled, "canceled", "canceled", Value::Null, Value::Null);
        assert_eq!((&canceled["started_at"], canceled["ended_at"].is_string()), (&Value::Null, true));
        assert_eq!(daemon.kinds(run), ["queued", "cancel_requested", "finished"]);
        let again = cancel(&daemon, run).expect(200).json();
        assert_eq!(again, canceled, "nothing more happens");
        assert_eq!(daemon.get(&format!("/v1/runs/{run}/exit_code")).expect(200).text(), "143\n");
    }
    gate.open();
    assert_ending(&daemon.wait_ended(first), "succeeded", "exited", 0, Value::Null);
    assert_eq!(daemon.wait_ended(daemon.sh("true"))["status"], "succeeded");
    assert!(!proof.exists(), "a canceled run was started");
}

#[test]
fn a_cancel_is_told_once_with_its_reason_however_often_it_is_asked() {
    let daemon = Daemon::with_config("[runs]\nkill_grace_s = 60\n");
    let gate = daemon.gate("gate");
    let script = format!("trap '{}; exit 0' TERM; echo leader $$; sleep 300 & wait", gate.wait());
    let tree = Tree::grow(&daemon, &json!({"script": script}), &["leader"]);
    let path = format!("/v1/runs/{}/cancel", tree.run);
    let first = daemon.post(&path, &json!({"reason": "too \"loud\""})).expect(202).json();
    let second = daemon.post(&path, &json!({"reason": "another"})).expect(202).json();
    assert_eq!(first["cancel_requested_at"], second["cancel_requested_at"]);
    gate.open();
    let run = daemon.wait_ended(tree.run);
    assert_ending(&run, "canceled", "canceled", 0, Value::Null);
    assert_eq!(daemon.post(&path, &json!({})).expect(200).json(), run, "terminal is final");
    let events = daemon.events(tree.run);
    let told: Vec<&Value> = events.iter().filter(|event| event["kind"] == "cancel_requested").collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["data"]["reason"], "too \"loud\"");
    assert!(told[0]["data"]["by"].as_str().is_some_and(|by| !by.is_empty()), "{}", told[0]);
    daemon.post(&path, &json!({"because": "?"})).expect_problem(422, "invalid");
    daemon.post("/v1/runs/4711/cancel", &json!({})).expect_problem(404, "run_not_found");
}

#[test]
fn a_cancel_without_a_reason_says_so_and_frees_the_slot() {
    let daemon = Daemon::start();
    let tree = Tree::grow(&daemon, &json!({"script": "echo leader $$; exec sleep 300"}), &["leader"]);
    let next = daemon.sh("true");
    assert_eq!(daemon.run(next)["status"], "queued");
    tree.cancel().expect(202);
    let canceled = tree.ended();
    let next = daemon.wait_ended(next);
    assert!(next["started_at"].as_str() >= canceled["ended_at"].as_str(), "{next} before {canceled}");
    let told = daemon.events(tree.run).into_iter().find(|event| event["kind"] == "cancel_requested").unwrap();
    assert_eq!(told["data"]["reason"], Value::Null);
}
