//! A command that survives the daemon has a cgroup of its own in its keeper's unit: an end reaches all that is in it, limits
//! hold, and the keeper removes it, whether a daemon is there or not. Needs root and cgroups of version 2, limits their
//! controllers as well; without, each test says that it did nothing.

use serde_json::{Value, json};

use super::manager::Manager;
use super::{assert_nothing_is_left, ending, keeper_pid, survivor, wait_printed};
use crate::common::{DEADLINE, Daemon, eventually, output_of, proc_exists, threads, wait_gone};

/// Makes daemons, which leave no mark in their environment, and says so.
const ESCAPES: &str = "for n in 1 2 3 4 5; do (setsid env -i sleep 3000 </dev/null >/dev/null 2>&1 &); done; echo done";

#[test]
fn an_end_reaches_what_has_left_its_session_and_nothing_stays() {
    let Some((manager, mut daemon)) = Manager::with_daemon("") else { return };
    for (ask, status) in [("cancel", "canceled"), ("timeout", "timed_out")] {
        let limit = if ask == "timeout" { json!(3) } else { Value::Null };
        let script = format!("{ESCAPES}; exec sleep 3000");
        let run = daemon.submit(&json!({"script": script, "survive": true, "timeout_s": limit}));
        let keeper = keeper_pid(&daemon, run);
        wait_printed(&daemon, run, "done");
        let unit = manager.newest();
        let name = unit.of_run(run).unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!((unit.names(), unit.pids_of("keeper")), (vec!["keeper".to_owned(), name.clone()], vec![keeper]));
        assert_eq!(threads(keeper).len(), 1);
        eventually(DEADLINE, "all are there", || unit.pids_of(&name).len() >= 6);
        let pids = unit.pids_of(&name);
        daemon.kill9();
        daemon.start_again();
        if ask == "cancel" {
            daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({})).expect(202);
        }
        assert_eq!(daemon.wait_ended(run)["status"], status);
        assert!(pids.iter().all(|&pid| !proc_exists(pid)), "{ask}: it has ended, and some live");
        wait_gone(keeper);
        eventually(DEADLINE, "its unit is gone", || !unit.is_there());
        assert!(daemon.events(run).iter().all(|event| event["kind"] != "left_behind"), "{ask}");
    }
    assert_nothing_is_left(&daemon);
}

#[test]
fn it_is_removed_at_the_end_also_when_no_daemon_is_there_and_has_counted_what_was_used() {
    let Some((manager, mut daemon)) = Manager::with_daemon("") else { return };
    let gate = daemon.gate("go");
    // Nobody waits for what is busy: its time is known to the cgroup alone.
    let busy = "setsid sh -c 'i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done; echo over >&2' 2>&1 >/dev/null | cat";
    let run = survivor(&daemon, &format!("echo begun; {busy}; {}; exit 3", gate.wait()));
    let keeper = keeper_pid(&daemon, run);
    wait_printed(&daemon, run, "over");
    let group = manager.newest().of_run(run).unwrap();
    daemon.stop();
    assert!(group.exists());
    gate.open();
    eventually(DEADLINE, "its cgroup is gone", || !group.exists());
    wait_gone(keeper);
    daemon.start_again();
    let ended = daemon.wait_ended(run);
    assert_eq!(ending(&ended), json!(["failed", "exited", 3, null]), "{ended}");
    let used = ended["usage"]["user_ms"].as_i64().unwrap() + ended["usage"]["system_ms"].as_i64().unwrap();
    assert!(used > 20, "{used} ms");
    assert_nothing_is_left(&daemon);
}

#[test]
fn limits_hold_for_what_survives() {
    let Some((manager, mut daemon)) = Manager::with_daemon("[runs]\nmemory_bytes_max = 300_000_000\n") else { return };
    let limits = json!({"memory_bytes": 60_000_000, "tasks": 5, "cpu_percent": 90});
    if let Some(why) = why_unlimited(&daemon) {
        println!("skipped: {why}");
        let refused =
            daemon.post("/v1/runs", &json!({"script": "true", "survive": true, "limits": limits})).expect(422);
        assert_eq!(refused.json()["code"], "limits_unavailable");
        return;
    }
    let gate = daemon.gate("go");
    let script = format!("echo begun; {}; tail /dev/zero; echo survived", gate.wait());
    let run = daemon.submit(&json!({"script": script, "survive": true, "limits": limits}));
    keeper_pid(&daemon, run);
    wait_printed(&daemon, run, "begun");
    let group = manager.newest().of_run(run).unwrap();
    let of = |name: &str| std::fs::read_to_string(group.join(name)).unwrap().trim().to_owned();
    assert!(of("memory.max").parse::<i64>().unwrap() <= 60_000_000);
    assert_eq!(
        (of("memory.oom.group").as_str(), of("pids.max").as_str(), of("cpu.max").as_str()),
        ("1", "5", "90000 100000")
    );
    daemon.stop();
    gate.open();
    eventually(DEADLINE, "its cgroup is gone", || !group.exists());
    daemon.start_again();
    let ended = daemon.wait_ended(run);
    assert_eq!(ending(&ended), json!(["failed", "oom", null, 9]), "{ended}");
    assert!(output_of(&daemon.events(run)).0 == b"begun\n", "half of it went on");
    let peak = ended["usage"]["memory_peak_bytes"].as_i64().unwrap();
    assert!((40_000_000..=60_000_000).contains(&peak), "{peak}");
    let events = daemon.events(run);
    let context = &events.last().unwrap()["data"]["context"];
    assert!(context["biggest"]["rss_bytes"].as_i64().unwrap() > 0, "{context}");
    // The most that the configuration gives holds for one that asks for nothing.
    let run = survivor(&daemon, "exec sleep 3000");
    daemon.wait_running(run);
    let group = manager.newest().of_run(run).unwrap();
    let most = std::fs::read_to_string(group.join("memory.max")).unwrap();
    assert!(most.trim().parse::<i64>().unwrap() <= 300_000_000, "{most}");
    daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({})).expect(202);
    daemon.wait_ended(run);
    assert_nothing_is_left(&daemon);
}

fn why_unlimited(daemon: &Daemon) -> Option<String> {
    let refused = daemon.get("/v1/system").json()["limits_unavailable"].clone();
    let why = refused.as_object()?.values().next()?.as_str()?.to_owned();
    Some(why)
}
