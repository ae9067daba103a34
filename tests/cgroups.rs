//! Each run has a cgroup of its own where one is delegated: limits hold in it, an end reaches all that is in it, and nothing
//! of it stays. Needs root and cgroups of version 2; without, each test says that it did nothing. What a machine's hierarchy
//! does not offer, as one of version 1 that has the controllers, is left out likewise.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{XattrFlags, setxattr};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::{Builder, DEADLINE, Daemon, Reader, eventually, kill, proc_exists};

/// Daemons as they make themselves, which leave no mark in their environment.
fn daemons(count: usize) -> String {
    format!("for n in $(seq 1 {count}); do (setsid env -i sleep 3000 </dev/null >/dev/null 2>&1 &); done; echo done")
}
/// Takes a while of a processor's time.
const BUSY: &str = "i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done";

/// A cgroup that is delegated to a daemon; gone with this, with all that is left in it.
pub struct Delegated(pub PathBuf);

impl Delegated {
    /// One below the root of the hierarchy; `None`, with a word about it, where none can be made.
    pub fn make() -> Option<Delegated> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let root = mounts.lines().find(|line| line.contains(" - cgroup2 "))?.split(' ').nth(4).map(PathBuf::from);
        let name = format!("runabout-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let made = root.filter(|_| rustix::process::geteuid().is_root()).and_then(|root| {
            for controller in ["memory", "cpu", "pids"] {
                // Not there, or handed on already.
                let _ = std::fs::write(root.join("cgroup.subtree_control"), format!("+{controller}"));
            }
            let dir = root.join(&name);
            std::fs::create_dir(&dir).ok()?;
            let made = Delegated(dir);
            setxattr(&made.0, "user.delegate", b"1", XattrFlags::empty()).ok().map(|()| made)
        });
        if made.is_none() {
            println!("skipped: needs root and a hierarchy of cgroups of version 2 that can be written");
        }
        made
    }

    /// A daemon that is started in it, as a service manager does.
    pub fn daemon(&self) -> Builder {
        // Where a daemon that died has left its leaf, as `DelegateSubgroup=` has it: above it no process may be.
        let dir = self.0.display();
        let enter =
            format!("echo 0 2>/dev/null >{dir}/daemon/cgroup.procs || echo 0 >{dir}/cgroup.procs && exec \"$@\"");
        Daemon::builder().wrapper(&["sh", "-c", &enter, "sh"])
    }

    /// The cgroups in it.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap().flatten().filter(|entry| entry.path().is_dir());
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn pids_of(&self, name: &str) -> Vec<i32> {
        let pids = std::fs::read_to_string(self.0.join(name).join("cgroup.procs")).unwrap_or_default();
        pids.lines().map(|pid| pid.parse().unwrap()).collect()
    }

    /// The one of a run's first attempt.
    pub fn of_run(&self, run: i64) -> Option<String> {
        self.names().into_iter().find(|name| name.starts_with(&format!("run-{run}.1-")))
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        let _ = std::fs::write(self.0.join("cgroup.kill"), "1");
        eventually(DEADLINE, "the cgroup is gone", || {
            let _ = remove(&self.0);
            !self.0.exists()
        });
    }
}

fn remove(dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)?.flatten().filter(|entry| entry.path().is_dir()) {
        remove(&entry.path())?;
    }
    std::fs::remove_dir(dir)
}

fn told(daemon: &Daemon, run: i64, kind: &str) -> Vec<Value> {
    let events = daemon.events(run).into_iter();
    events.filter(|event| event["kind"] == kind).map(|event| event["data"].clone()).collect()
}

fn log(daemon: &Daemon, run: i64) -> String {
    daemon.get(&format!("/v1/runs/{run}/log?stream=stdout")).expect(200).text()
}

#[track_caller]
fn until_it_said(daemon: &Daemon, run: i64, word: &str) {
    let mut reader = Reader::open(daemon, run, 0);
    while !String::from_utf8_lossy(&reader.told.stdout).contains(word) {
        reader.until_kind("output");
    }
}

#[track_caller]
fn cancel(daemon: &Daemon, run: i64) {
    daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({})).expect(202);
}

#[test]
fn each_attempt_is_born_in_a_cgroup_of_its_own() {
    let Some(delegated) = Delegated::make() else { return };
    let mut daemon = delegated.daemon().start();
    assert_eq!((delegated.names(), delegated.pids_of("daemon")), (vec!["daemon".to_owned()], vec![daemon.pid()]));
    let instance = daemon.get("/v1/system").json()["instance"].as_str().unwrap().to_owned();
    let run = daemon.submit(&json!({"script": "grep ^0:: /proc/self/cgroup; sh -c 'grep ^0:: /proc/self/cgroup'"}));
    assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
    let own = format!("/{}/run-{run}.1-{instance}", delegated.0.file_name().unwrap().to_str().unwrap());
    assert_eq!(log(&daemon, run), format!("0::{own}\n").repeat(2));
    // What cannot be started says so as ever.
    for (body, error) in [
        (json!({"command": ["/nowhere/program"]}), "not found: /nowhere/program"),
        (json!({"command": ["no-such-program"]}), "not found: no-such-program"),
        (json!({"command": ["/etc/passwd"]}), "not executable: /etc/passwd (permission denied)"),
        (json!({"command": ["true"], "cwd": "/nowhere"}), "working directory /nowhere: no such file or directory"),
    ] {
        let run = daemon.submit(&body);
        let ended = daemon.wait_ended(run);
        assert_eq!((&ended["reason"], &ended["error"]), (&json!("spawn_failed"), &json!(error)));
    }
    // Its streams, its directory, its environment, its terminal.
    let run = daemon.submit(&json!({"script": "cat; pwd; echo $K >&2; ls /proc/self/fd | wc -l", "stdin": "in\n", "cwd": "/tmp", "env": {"K": "V"}}));
    assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
    assert_eq!(log(&daemon, run), "in\n/tmp\n4\n");
    assert_eq!(daemon.get(&format!("/v1/runs/{run}/log?stream=stderr")).text(), "V\n");
    let run = daemon.submit(&json!({"script": "stty size; tty; ps -o tpgid= -p $$ | tr -d ' '; echo $$", "pty": {"columns": 91, "rows": 17}}));
    assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
    let printed = daemon.get(&format!("/v1/runs/{run}/log")).text().replace('\r', "");
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0] == "17 91" && lines[1].starts_with("/dev/pts/") && lines[2] == lines[3], "{printed}");
    // Nothing stays, of the daemon either.
    assert_eq!(delegated.names(), ["daemon"]);
    daemon.stop();
    assert_eq!(delegated.names(), [""; 0]);
    assert_eq!(std::fs::read_to_string(delegated.0.join("cgroup.subtree_control")).unwrap().trim(), "");
}

#[test]
fn another_user_s_command_is_born_there_too() {
    let Some(delegated) = Delegated::make() else { return };
    let daemon = delegated.daemon().config("[runs]\nuser = \"nobody\"\n").start();
    let run =
        daemon.submit(&json!({"command": ["sh", "-c", "id -un; id -u; pwd; grep ^0:: /proc/self/cgroup"], "cwd": "/"}));
    assert_eq!(daemon.wait_ended(run)["status"], "succeeded", "{}", daemon.run(run));
    let printed = log(&daemon, run);
    assert!(printed.starts_with("nobody\n65534\n/\n0::") && printed.contains(&format!("/run-{run}.1-")), "{printed}");
    let closed = daemon.dir().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    assert_eq!(std::fs::metadata(&closed).unwrap().uid(), 0);
    let run = daemon.submit(&json!({"command": ["true"], "cwd": closed}));
    let error = daemon.wait_ended(run)["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("working directory ") && error.ends_with("permission denied for user nobody"), "{error}");
    let run = daemon.submit(&json!({"command": ["no-such-program"]}));
    assert_eq!(daemon.wait_ended(run)["error"], "not found: no-such-program");
    assert_eq!(delegated.names(), ["daemon"]);
}

#[test]
fn a_requested_end_reaches_what_has_left_the_session() {
    let Some(delegated) = Delegated::make() else { return };
    let mut daemon = delegated.daemon().start();
    for ask in ["cancel", "timeout", "shutdown", "kill -9"] {
        // A slow machine has to be done before the time is up.
        let (count, limit) = if ask == "timeout" { (5, json!(5)) } else { (200, Value::Null) };
        let run = daemon.submit(&json!({"script": format!("{}; sleep 3000", daemons(count)), "timeout_s": limit}));
        until_it_said(&daemon, run, "done");
        let name = delegated.of_run(run).unwrap();
        eventually(DEADLINE, "all are there", || delegated.pids_of(&name).len() >= count);
        let pids = delegated.pids_of(&name);
        match ask {
            "cancel" => cancel(&daemon, run),
            "timeout" => {}
            "shutdown" => {
                daemon.restart();
            }
            _ => {
                daemon.kill9();
                daemon.start_again();
            }
        }
        let ended = daemon.wait_ended(run);
        assert!(pids.iter().all(|&pid| !proc_exists(pid)), "{ask}: it has ended, and some live: {ended}");
        eventually(DEADLINE, "its cgroup is gone", || delegated.names() == ["daemon"]);
        assert_eq!(told(&daemon, run, "left_behind"), [Value::Null; 0], "{ask}");
    }
}

#[test]
fn a_second_signal_kills_what_has_left_the_session() {
    let Some(delegated) = Delegated::make() else { return };
    let mut daemon = delegated.daemon().config("[runs]\nshutdown_grace_s = 600\n").start();
    let script = "trap '' TERM; setsid env -i sh -c 'trap \"\" TERM; while :; do sleep 1; done' & echo done; while :; do sleep 1; done";
    let run = daemon.submit(&json!({"script": script}));
    until_it_said(&daemon, run, "done");
    let name = delegated.of_run(run).unwrap();
    eventually(DEADLINE, "both are there", || delegated.pids_of(&name).len() >= 2);
    daemon.signal(Signal::TERM);
    eventually(DEADLINE, "it stops", || daemon.get("/readyz").status == 503);
    daemon.signal(Signal::TERM);
    daemon.wait_exit(DEADLINE);
    eventually(DEADLINE, "nobody is left", || delegated.pids_of(&name).is_empty());
    daemon.start_again();
    daemon.wait_ended(run);
    assert_eq!(delegated.names(), ["daemon"]);
}

#[test]
fn an_ordinary_end_leaves_what_it_leaves_and_tells_it() {
    let Some(delegated) = Delegated::make() else { return };
    let mut daemon = delegated.daemon().start();
    let script = "setsid env -i sleep 3000 </dev/null >/dev/null 2>&1 & sleep 0.2";
    let run = daemon.submit(&json!({"script": script}));
    assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
    let name = delegated.of_run(run).unwrap();
    let pids = delegated.pids_of(&name);
    assert_eq!(
        told(&daemon, run, "left_behind"),
        [json!({"pids": pids, "names": ["sleep"], "count": 1, "ended": false})]
    );
    // It is nobody's business what becomes of it, also for the next daemon; when it ends, its cgroup goes.
    daemon.restart();
    assert!(proc_exists(pids[0]) && delegated.of_run(run).is_some());
    kill(pids[0]);
    eventually(DEADLINE, "its cgroup is gone", || delegated.names() == ["daemon"]);
    // Where the submit says so, nothing is left.
    let run = daemon.submit(&json!({"script": script, "left": "kill"}));
    assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
    assert_eq!(delegated.names(), ["daemon"]);
    // A pipeline whose last ones are on their way out leaves nothing.
    let run = daemon.submit(&json!({"script": "yes | head -n 1"}));
    daemon.wait_ended(run);
    assert_eq!(daemon.kinds(run), ["queued", "started", "finished"]);
}

#[test]
fn a_run_tells_what_it_used_with_all_that_it_started() {
    let waited = |daemon: &Daemon, script: String| {
        let run = daemon.submit(&json!({"script": script}));
        let ended = daemon.wait_ended(run);
        assert_eq!(told(daemon, run, "finished")[0]["usage"], ended["usage"]);
        ended["usage"]["user_ms"].as_i64().unwrap() + ended["usage"]["system_ms"].as_i64().unwrap()
    };
    // In its own process, and in one that has left and that nobody waits for.
    let (own, other) = (BUSY.to_owned(), format!("setsid sh -c '{BUSY}; echo over >&2' 2>&1 >/dev/null | cat"));
    let plain = Daemon::start();
    let run = plain.submit(&json!({"script": own}));
    let usage = plain.wait_ended(run)["usage"].clone();
    assert!(usage["user_ms"].as_i64().unwrap() > 0, "{usage}");
    assert!(usage["memory_peak_bytes"].as_i64().unwrap() > 100_000, "{usage}");
    let shown = plain.cli().args(["show", &run.to_string()]).output().unwrap();
    assert!(String::from_utf8(shown.stdout).unwrap().contains("\nused          "));
    let never = plain.submit(&json!({"command": ["/nowhere"]}));
    assert_eq!(plain.wait_ended(never)["usage"], Value::Null);
    let Some(delegated) = Delegated::make() else { return };
    let daemon = delegated.daemon().start();
    let (own, other) = (waited(&daemon, own), waited(&daemon, other));
    assert!(own > 0 && other * 3 > own, "{own} ms in its own process, {other} ms elsewhere");
}

#[test]
fn a_failure_tells_how_the_machine_stood() {
    let daemon = Daemon::start();
    let failed = daemon.sh("exit 3");
    daemon.wait_ended(failed);
    let context = &told(&daemon, failed, "finished")[0]["context"];
    assert!(context["load"].as_array().is_some_and(|load| load.len() == 3), "{context}");
    for key in ["memory_available_bytes", "memory_total_bytes", "disk_free_bytes"] {
        assert!(context[key].as_i64().is_some_and(|bytes| bytes > 0), "{key} in {context}");
    }
    let limited = daemon.submit(&json!({"script": "sleep 3000", "timeout_s": 1}));
    daemon.wait_ended(limited);
    assert!(told(&daemon, limited, "finished")[0]["context"].is_object());
    // Neither what ends well, nor what somebody ended.
    let (good, canceled) = (daemon.sh("true"), daemon.sh("sleep 3000"));
    daemon.wait_ended(good);
    daemon.wait_running(canceled);
    cancel(&daemon, canceled);
    daemon.wait_ended(canceled);
    for run in [good, canceled] {
        assert_eq!(told(&daemon, run, "finished")[0]["context"], Value::Null);
    }
}

#[test]
fn where_no_cgroup_is_delegated_limits_are_refused_with_the_reason() {
    let daemon = Daemon::start();
    let limits = json!({"memory_bytes": 1_048_576, "cpu_percent": 50, "tasks": 10});
    let refused = [
        daemon.post("/v1/runs", &json!({"script": "true", "limits": limits})),
        daemon.put("/v1/queues/default", &json!({"limits": limits})),
        daemon.put("/v1/jobs/nightly", &json!({"run": {"script": "true", "limits": limits}})),
    ];
    for (response, field) in refused.into_iter().zip(["limits", "limits", "run.limits"]) {
        let problem = response.expect(422).json();
        assert_eq!(
            (&problem["code"], &problem["details"]["field"]),
            (&json!("limits_unavailable"), &json!(format!("{field}.memory_bytes")))
        );
        assert!(problem["detail"].as_str().unwrap().contains("runabout doctor"), "{problem}");
    }
    // What is wrong with them comes first.
    let wrong = json!({"memory_bytes": 1, "cpu_percent": 0, "tasks": "x", "disk": 1});
    let problem = daemon.post("/v1/runs", &json!({"script": "true", "limits": wrong})).expect(422).json();
    let fields: Vec<&Value> =
        problem["details"]["violations"].as_array().unwrap().iter().map(|told| &told["field"]).collect();
    assert_eq!(fields, ["limits.memory_bytes", "limits.cpu_percent", "limits.tasks", "limits.disk"]);
    // Nothing asked for is nothing refused.
    let run = daemon.submit(&json!({"script": "true", "limits": {}}));
    assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
    assert_eq!(daemon.get("/v1/queues/default").json()["limits"], json!({}));
    // The most that there is cannot be enforced either: that is a warning, and no reason to run nothing.
    let daemon = Daemon::with_config("[runs]\nmemory_bytes_max = 1_000_000_000\n");
    assert_eq!(daemon.wait_ended(daemon.sh("true"))["status"], "succeeded");
    assert!(daemon.log().contains("runs.memory_bytes_max cannot be enforced: "), "{}", daemon.log());
}

#[test]
fn two_daemons_do_not_share_a_delegated_cgroup() {
    let Some(delegated) = Delegated::make() else { return };
    let first = delegated.daemon().start();
    let leaf = format!("echo 0 >{}/daemon/cgroup.procs && exec \"$@\"", delegated.0.display());
    let second = Daemon::builder().wrapper(&["sh", "-c", &leaf, "sh"]).start();
    let run = second.sh("grep ^0:: /proc/self/cgroup");
    second.wait_ended(run);
    assert!(log(&second, run).ends_with("/daemon\n"), "{}", log(&second, run));
    let why = second.get("/v1/system").json()["limits_unavailable"]["tasks"].as_str().unwrap().to_owned();
    assert!(why.starts_with("another daemon uses the cgroup "), "{why}");
    let run = first.sh("grep ^0:: /proc/self/cgroup");
    first.wait_ended(run);
    assert!(log(&first, run).contains("/run-1.1-"));
}

/// One that can enforce this limit; `None`, with a word about it, where the machine's hierarchy has no such controller.
fn enforcing(limit: &str, config: &str) -> Option<(Delegated, Daemon)> {
    let delegated = Delegated::make()?;
    let daemon = delegated.daemon().config(config).start();
    if let Some(why) = daemon.get("/v1/system").json()["limits_unavailable"][limit].as_str() {
        println!("skipped: {why}");
        // The daemon first.
        drop(daemon);
        return None;
    }
    Some((delegated, daemon))
}

#[test]
fn what_takes_more_memory_than_its_limit_ends_beside_others() {
    let Some((delegated, daemon)) = enforcing("memory_bytes", "[runs]\nmemory_bytes_max = 300_000_000\n") else {
        return;
    };
    daemon.put("/v1/queues/default", &json!({"slots": 4, "limits": {"memory_bytes": 200_000_000}})).expect(200);
    let beside = daemon.sh("sleep 3000");
    daemon.wait_running(beside);
    let of = |name: &str, run: i64| {
        let file = delegated.0.join(delegated.of_run(run).unwrap()).join(name);
        std::fs::read_to_string(file).unwrap().trim().to_owned()
    };
    // The kernel counts in pages.
    assert!(of("memory.max", beside).parse::<i64>().unwrap() > 199_990_000 && of("memory.oom.group", beside) == "1");
    let greedy = json!({"script": "echo $$; tail /dev/zero; echo survived", "limits": {"memory_bytes": 60_000_000}});
    let run = daemon.submit(&greedy);
    let ended = daemon.wait_ended(run);
    assert_eq!((&ended["status"], &ended["reason"], &ended["signal"]), (&json!("failed"), &json!("oom"), &json!(9)));
    assert!(!log(&daemon, run).contains("survived"), "half of it went on");
    let peak = ended["usage"]["memory_peak_bytes"].as_i64().unwrap();
    assert!((50_000_000..=60_000_000).contains(&peak), "{peak}");
    let biggest = &told(&daemon, run, "finished")[0]["context"]["biggest"];
    assert!(biggest["rss_bytes"].as_i64().unwrap() > 0 && biggest["name"].is_string(), "{biggest}");
    // A signal of somebody's is none of the kernel's.
    let killed = daemon.sh("kill -9 $$");
    assert_eq!(daemon.wait_ended(killed)["reason"], "signaled");
    assert_eq!(daemon.run(beside)["status"], "running");
    // What outlives the daemon has its own beside it, made and removed by its keeper.
    let kept = daemon.submit(&json!({"script": "exec sleep 3000", "survive": true}));
    daemon.wait_running(kept);
    assert!(of("memory.max", kept).parse::<i64>().unwrap() > 199_990_000);
    cancel(&daemon, kept);
    assert_eq!(daemon.wait_ended(kept)["status"], "canceled");
    assert_eq!(delegated.of_run(kept), None);
    // More than there is to be had.
    let problem =
        daemon.post("/v1/runs", &json!({"script": "true", "limits": {"memory_bytes": 400_000_000}})).expect(422);
    assert_eq!(problem.json()["details"]["violations"][0]["field"], "limits.memory_bytes");
}

#[test]
fn tasks_and_processor_time_are_limited() {
    let Some((_delegated, daemon)) = enforcing("tasks", "") else { return };
    let forks = "for n in 1 2 3 4 5 6 7 8 9; do sleep 0.5 & done; wait; echo all";
    let run = daemon.submit(&json!({"script": forks, "limits": {"tasks": 5}}));
    let ended = daemon.wait_ended(run);
    assert!(ended["exit_code"] != 0 && !log(&daemon, run).contains("all"), "{ended}");
    let run = daemon.submit(&json!({"script": forks, "limits": {"tasks": 50}}));
    assert_eq!(daemon.wait_ended(run)["exit_code"], 0);
    let half = json!({"script": "timeout 2 sh -c 'while :; do :; done'", "limits": {"cpu_percent": 20}});
    let run = daemon.submit(&half);
    let usage = daemon.wait_ended(run)["usage"].clone();
    let used = usage["user_ms"].as_i64().unwrap() + usage["system_ms"].as_i64().unwrap();
    assert!((200..=700).contains(&used), "a fifth of two seconds: {usage}");
}
