//! A daemon that was started in a terminal keeps it to itself, and stops in order when it is closed.

use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::common::{DEADLINE, Daemon, eventually, kill, proc_exists};

/// A daemon in the foreground of a terminal of its own, as `script` makes one; `None` where there is none.
fn in_a_terminal(before: &str) -> Option<Daemon> {
    let mut tried = Command::new("script");
    tried.args(["-qec", "true", "/dev/null"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if !tried.status().is_ok_and(|status| status.success()) {
        println!("skipped: there is no script(1)");
        return None;
    }
    // The tests may themselves run under nohup, whose ignored SIGHUP every program inherits.
    let wrapped = format!("exec env --default-signal=HUP script -qec \"{before} exec $*\" /dev/null");
    Some(Daemon::builder().env("SHELL", "/bin/sh").wrapper(&["sh", "-c", &wrapped, "sh"]).start())
}

/// Closes the terminal: `script`, its other end, is killed.
fn close(daemon: &Daemon) {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).unwrap();
    let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)).unwrap();
    assert!(kill(parent.parse().unwrap()));
}

#[test]
fn what_asks_a_terminal_fails_at_once() {
    let Some(daemon) = in_a_terminal("") else { return };
    for script in ["read x </dev/tty", "echo seen >/dev/tty"] {
        let run = daemon.wait_ended(daemon.sh(script));
        assert_eq!((&run["status"], &run["reason"]), (&"failed".into(), &"exited".into()), "{script}: {run}");
    }
}

#[test]
fn a_terminal_that_is_closed_stops_the_daemon_in_order() {
    let Some(mut daemon) = in_a_terminal("") else { return };
    let run = daemon.sh("sleep 3000");
    let (command, pid) = (daemon.wait_running(run), daemon.pid());
    close(&daemon);
    eventually(DEADLINE, "the daemon is gone", || !proc_exists(pid));
    daemon.wait_exit(DEADLINE);
    assert!(!proc_exists(command), "the command outlives its daemon");
    daemon.rebuild(|builder| builder.wrapper(&[]));
    daemon.start_again();
    let run = daemon.run(run);
    assert_eq!((&run["status"], &run["reason"]), (&"interrupted".into(), &"shutdown".into()), "{run}");
}

#[test]
fn under_nohup_it_outlives_its_terminal() {
    let Some(mut daemon) = in_a_terminal("trap '' HUP;") else { return };
    close(&daemon);
    let ended = daemon.wait_ended(daemon.sh("echo alive"));
    assert_eq!(ended["status"], "succeeded");
    assert!(crate::common::signal(daemon.pid(), Signal::HUP));
    assert_eq!(daemon.wait_ended(daemon.sh("echo alive"))["status"], "succeeded");
    let pid = daemon.pid();
    daemon.signal(Signal::TERM);
    daemon.wait_exit(DEADLINE);
    eventually(DEADLINE, "it stops when it is told to", || !proc_exists(pid));
}
