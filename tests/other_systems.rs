//! Systems that are not like most: no pidfds, PID 1 of a container, another time namespace, no /proc, a limit on the
//! size of files. What is needed there is worked without, and what cannot be known is said.

use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::json;

use crate::common::{
    Builder, DEADLINE, Daemon, Reader, beside, binary, eventually, kill, number, proc_exists, wait_gone,
};

/// Becomes its arguments with a filter (seccomp) that refuses pidfd_open, pidfd_send_signal and all system calls from a number
/// on with an errno.
const WITHOUT_PIDFDS: &str = r#"
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
refused = 0x00050000 | int(sys.argv[1])
code = [(0x20, 0, 0, 0), (0x15, 3, 0, 434), (0x15, 2, 0, 424), (0x35, 1, 0, int(sys.argv[2])), (0x06, 0, 0, 0x7fff0000), (0x06, 0, 0, refused)]
text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(text)))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program, 0, 0):
    sys.exit("no filter")
os.execvp(sys.argv[3], sys.argv[3:])
"#;
const ENOSYS: &str = "38";
const EPERM: &str = "1";
/// Beyond the numbers of all system calls.
const ALL_ELSE: &str = "100000";
/// What Linux 3.8 was the first to have on this processor, finit_module: all that came later is refused.
const SINCE_LINUX_3_8: &str = "313";

/// Whether a command can be put in front here; says so where it cannot.
fn can(wrapper: &[&str]) -> bool {
    let mut tried = Command::new(wrapper[0]);
    tried.args(&wrapper[1..]).arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let can = tried.status().is_ok_and(|status| status.success());
    if !can {
        println!("skipped: {wrapper:?} cannot be used here");
    }
    can
}

fn behind(wrapper: &[&str]) -> Option<Builder> {
    can(wrapper).then(|| Daemon::builder().wrapper(wrapper))
}

/// Waits until the run has said so many pids, one a line; answers these.
#[track_caller]
fn pids_of(daemon: &Daemon, run: i64, count: usize) -> Vec<i32> {
    let mut reader = Reader::open(daemon, run, 0);
    while reader.told.stdout.iter().filter(|&&byte| byte == b'\n').count() < count {
        reader.until_kind("output");
    }
    String::from_utf8(reader.told.stdout).unwrap().lines().map(|pid| pid.parse().unwrap()).collect()
}

/// The processes whose parent this is, dead ones too.
fn children_of(parent: i32) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let parent_of = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit(") ").next()?.split(' ').nth(1)?.parse::<i32>().ok()
    };
    pids.filter(|&pid| parent_of(pid) == Some(parent)).collect()
}

#[test]
fn without_pidfds_or_anything_newer_than_linux_3_7_everything_works() {
    for (refusal, from) in [(ENOSYS, ALL_ELSE), (EPERM, ALL_ELSE), (ENOSYS, SINCE_LINUX_3_8)] {
        if from == SINCE_LINUX_3_8 && !cfg!(target_arch = "x86_64") {
            println!("skipped: this processor's system calls have other numbers");
            continue;
        }
        let Some(builder) = behind(&["python3", "-c", WITHOUT_PIDFDS, refusal, from]) else { return };
        let mut daemon = builder.start();
        assert!(daemon.log().contains("no pidfds"), "{}", daemon.log());
        let mut doctor = Command::new("python3");
        doctor.args(["-c", WITHOUT_PIDFDS, refusal, from, binary(), "doctor", "--state-dir"]).arg(daemon.state_dir());
        let doctor = String::from_utf8(doctor.output().unwrap().stdout).unwrap();
        assert!(doctor.contains("no pidfds") && doctor.contains("pidfd_open and pidfd_send_signal"), "{doctor}");
        daemon.put("/v1/queues/wide", &json!({"slots": 8})).expect(201);
        let runs: Vec<i64> = (0..8)
            .map(|code| daemon.submit(&json!({"script": format!("echo out; exit {code}"), "queue": "wide"})))
            .collect();
        for (code, run) in runs.into_iter().enumerate() {
            assert_eq!(daemon.wait_ended(run)["exit_code"], code);
        }
        let run = daemon.sh("kill -9 $$");
        assert_eq!(daemon.wait_ended(run)["signal"], 9);
        let missing = daemon.submit(&json!({"command": ["/nonexistent/program"]}));
        assert_eq!(daemon.wait_ended(missing)["error"], "not found: /nonexistent/program");

        let script =
            "bash -c 'set -m; sh -c \"trap : TERM; echo \\$\\$; while :; do sleep 1; done\" & wait' & echo $$; wait";
        let run = daemon.sh(script);
        let pids = pids_of(&daemon, run, 2);
        daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({})).expect(202);
        assert_eq!(daemon.wait_ended(run)["status"], "canceled");
        assert!(!pids.iter().any(|&pid| proc_exists(pid)), "told as ended, and lives on");
        assert_eq!(daemon.descendants(), [0; 0]);

        let run = daemon.sh(script);
        let pids = pids_of(&daemon, run, 2);
        daemon.kill9();
        assert!(pids.iter().all(|&pid| proc_exists(pid)));
        daemon.start_again();
        assert_eq!(daemon.wait_ended(run)["reason"], "daemon_lost");
        pids.into_iter().for_each(wait_gone);
        daemon.stop();
    }
}

#[test]
fn as_pid_1_it_reaps_whose_parents_died() {
    let container = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
    if !can(&container) {
        return;
    }
    // Submitted before, so that nobody has to come in from another namespace.
    let mut daemon = Daemon::start();
    daemon.put("/v1/queues/wide", &json!({"slots": 10})).expect(201);
    for _ in 0..10 {
        let script = "sleep 0.1 >/dev/null 2>&1 & sleep 0.2 >/dev/null 2>&1 & exit 3";
        daemon.submit(&json!({"script": script, "delay_s": 2, "queue": "wide"}));
    }
    daemon.stop();
    daemon.rebuild(|builder| builder.wrapper(&container));
    daemon.start_again();
    let database = beside(&daemon);
    let ended = || number(&database, "SELECT count(*) FROM runs WHERE exit_code = 3");
    eventually(DEADLINE, "all have ended, each with its own exit code", || ended() == 10);
    eventually(DEADLINE, "no child is left, dead or alive", || children_of(daemon.pid()).is_empty());
}

#[test]
fn an_orphan_is_known_from_another_time_namespace() {
    let elsewhere = ["unshare", "--time", "--boottime", "100000"];
    if !can(&elsewhere) {
        return;
    }
    // Neither by its environment nor by its start as that namespace counts.
    let command = json!({"command": ["env", "-i", "sh", "-c", "echo $$; exec sleep 3000"]});
    let mut daemon = Daemon::start();
    for wrapper in [&elsewhere[..], &[]] {
        let run = daemon.submit(&command);
        let pids = pids_of(&daemon, run, 1);
        daemon.kill9();
        daemon.rebuild(|builder| builder.wrapper(wrapper));
        daemon.start_again();
        assert_eq!(daemon.wait_ended(run)["reason"], "daemon_lost");
        wait_gone(pids[0]);
        assert!(
            daemon.log().contains(&format!("run {run} was left running by a daemon that died; ended are: {}", pids[0]))
        );
    }
}

#[test]
fn without_proc_it_says_what_it_cannot_know() {
    let bare = ["unshare", "--mount", "sh", "-c", "umount -l /proc && exec \"$@\"", "sh"];
    let Some(builder) = behind(&bare) else { return };
    let mut daemon = builder.config("[runs]\nkill_grace_s = 1\n").start();
    assert!(daemon.log().contains("/proc is not mounted"), "{}", daemon.log());
    let run = daemon.sh("sleep 3000 & echo $!; wait");
    let pids = pids_of(&daemon, run, 1);
    daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({})).expect(202);
    assert_eq!(daemon.wait_ended(run)["status"], "canceled");
    wait_gone(pids[0]);

    let run = daemon.sh("echo $$; exec sleep 3000");
    let pids = pids_of(&daemon, run, 1);
    daemon.kill9();
    daemon.start_again();
    assert_eq!(daemon.wait_ended(run)["reason"], "daemon_lost");
    assert!(proc_exists(pids[0]), "nobody can tell that it is that process");
    let log = daemon.log();
    assert!(log.contains("nobody can tell whether its process") && !log.contains("ended are"), "{log}");
    kill(pids[0]);
}

#[test]
fn without_dev_null_it_says_so() {
    let bare = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /dev && exec \"$@\"", "sh"];
    let Some(builder) = behind(&bare) else { return };
    let daemon = builder.start();
    let run = daemon.submit(&json!({"command": ["true"]}));
    assert_eq!(daemon.wait_ended(run)["error"], "cannot start true without /dev/null");
}

#[test]
fn a_limit_on_the_size_of_files_counts_as_a_full_disk() {
    // Of 512 bytes each.
    let limited = ["sh", "-c", "ulimit -f 8192 && exec \"$@\"", "sh"];
    let daemon = Daemon::builder().wrapper(&limited).config("[retention]\ndb_bytes = 67108864\n").start();
    let run = daemon.sh("head -c 30000000 /dev/zero | tr '\\0' x; sleep 3000");
    eventually(DEADLINE, "a submit is refused for want of room", || {
        let answer = daemon.post("/v1/runs", &json!({"script": "true"}));
        assert!([201, 507].contains(&answer.status), "{answer:?}");
        answer.status == 507
    });
    assert_eq!(daemon.run(run)["status"], "running", "the daemon lives, and reads go on");
}

#[test]
fn a_stop_ends_also_where_nothing_can_be_written_any_more() {
    // So little that the log is full before the command is.
    let limited = ["sh", "-c", "ulimit -f 2048 && exec \"$@\"", "sh"];
    let mut daemon = Daemon::builder().wrapper(&limited).start();
    let run = daemon.sh("seq 1 700000");
    eventually(DEADLINE, "a submit is refused for want of room", || {
        let answer = daemon.post("/v1/runs", &json!({"script": "true"}));
        assert!([201, 507].contains(&answer.status), "{answer:?}");
        answer.status == 507
    });
    let canceled = daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({}));
    assert!([200, 202, 507].contains(&canceled.status), "{canceled:?}");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait_exit(DEADLINE).code(), Some(0));
}
