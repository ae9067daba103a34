//! What `runabout run` does where something comes between: a restart, a Ctrl-C, a lost terminal, a closed pipe.

use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::common::{DEADLINE, Daemon, Running, binary, eventually, newest, signal, start};

#[test]
fn run_goes_on_where_it_was_across_a_crash_and_a_restart() {
    let mut daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let script = format!("echo attempt $RUNABOUT_ATTEMPT; {}; echo done; exit 9", gate.wait());
    let running = start(&daemon, &["run", "--on-interrupt", "requeue", "-s", &script]);
    running.until_said("attempt 1\n");
    daemon.kill9();
    daemon.start_again();
    running.until_said("attempt 2\n");
    daemon.restart();
    running.until_said("attempt 3\n");
    gate.open();
    let ended = running.ended().expect(9);
    assert_eq!(ended.text(), "attempt 1\nattempt 2\nattempt 3\ndone\n", "each piece once, in order");

    // What is not to be started again is told as what it is.
    let running = start(&daemon, &["run", "-s", "echo up; exec sleep 1000"]);
    running.until_said("up\n");
    let open_files = || daemon.metrics().get("process_open_fds");
    let before = open_files();
    let waiting = start(&daemon, &["wait", "2"]);
    eventually(DEADLINE, "the second client is connected", || open_files() > before);
    daemon.kill9();
    daemon.start_again();
    let ended = running.ended().expect(125);
    assert!(ended.stderr.contains("interrupted"), "{ended:?}");
    waiting.ended().expect(125);
}

#[test]
fn ctrl_c_once_cancels() {
    let daemon = Daemon::start();
    let running = start(&daemon, &["run", "-s", "echo up; exec sleep 1000"]);
    running.until_said("up\n");
    signal(running.pid(), Signal::INT);
    running.ended().expect(143);
    let run = newest(&daemon);
    assert_eq!((&run["status"], &run["reason"]), (&"canceled".into(), &"canceled".into()));
}

#[test]
fn ctrl_c_twice_leaves_it_running_and_exits_130() {
    let daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let running = start(&daemon, &["run", "-s", &format!("trap '' TERM; echo up; {}", gate.wait())]);
    running.until_said("up\n");
    signal(running.pid(), Signal::INT);
    eventually(DEADLINE, "the cancel is asked for", || newest(&daemon)["cancel_requested_at"].is_string());
    signal(running.pid(), Signal::INT);
    running.ended().expect(130);
    assert_eq!(newest(&daemon)["status"], "running");
    gate.open();
    daemon.wait_ended(1);
}

#[test]
fn a_lost_terminal_leaves_it_running() {
    let daemon = Daemon::start();
    let gate = daemon.gate("gate");
    // The tests may themselves run under nohup, whose ignored SIGHUP every program inherits.
    let cli = daemon.cli();
    let mut command = Command::new("env");
    command
        .args(["--default-signal=HUP", binary()])
        .envs(cli.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.args(["run", "-s", &format!("echo up; {}; echo done", gate.wait())]);
    let running = Running::start(command);
    running.until_said("up\n");
    signal(running.pid(), Signal::HUP);
    assert_eq!(running.ended().status.signal(), Some(1));
    assert_eq!(
        (&newest(&daemon)["status"], &newest(&daemon)["cancel_requested_at"]),
        (&"running".into(), &Value::Null)
    );
    gate.open();
    assert_eq!(daemon.wait_ended(1)["status"], "succeeded");
}

#[test]
fn a_closed_output_cancels_what_says_nothing_more_too() {
    let daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let mut command = daemon.cli();
    command.args(["run", "-s", &format!("echo line; {}", gate.wait())]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut first = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"line\n");
    drop(child.stdout.take());
    assert_eq!(daemon.wait_ended(1)["status"], "canceled", "it waits for a gate that nobody opens");
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), &*ended.stderr), (Some(0), &b""[..]));
}

#[test]
fn a_closed_output_cancels_and_is_no_error() {
    let daemon = Daemon::start();
    let mut command = daemon.cli();
    command.args(["run", "-s", "while :; do echo line; done"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut first = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"line\n");
    drop(child.stdout.take());
    let mut status = None;
    eventually(DEADLINE, "the client ends", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((status.unwrap().code(), &*said), (Some(0), ""));
    assert_eq!(daemon.wait_ended(1)["status"], "canceled");
    // `logs` only looks: a closed output is no error there either, and cancels nothing.
    let gate = daemon.gate("gate");
    let run = daemon.sh(&format!("echo line; {}", gate.wait()));
    daemon.wait_running(run);
    let mut logs = daemon.cli();
    let head = format!("{} logs -f {run} | head -n 1", binary());
    logs = {
        let mut shell = Command::new("sh");
        shell.args(["-c", &head]).envs(logs.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell
    };
    let piped = Running::start(logs);
    piped.until_said("line\n");
    piped.ended().expect(0);
    gate.open();
    assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
}
