//! Commands run as the user that `runs.user` names, and nothing else about them changes: their groups, directory, end and
//! recovery. Needs root; without, each test says that it did nothing.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::common::{DEADLINE, Daemon, Running, binary, binary_in, eventually, output_of, proc_exists};

const USER: &str = "nobody";

/// The user's line of /etc/passwd; `None`, with a word about it, where it cannot be tried.
fn user() -> Option<Vec<String>> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = passwd.lines().find(|line| line.split(':').next() == Some(USER));
    if !rustix::process::geteuid().is_root() || line.is_none() {
        println!("skipped: needs root and the user {USER}");
        return None;
    }
    line.map(|line| line.split(':').map(str::to_owned).collect())
}

fn daemon() -> Daemon {
    Daemon::with_config(&format!("[runs]\nuser = \"{USER}\"\nkill_grace_s = 1\n"))
}

/// What a run printed, once it has ended well.
#[track_caller]
fn printed(daemon: &Daemon, run: &serde_json::Value) -> String {
    let run = daemon.submit(run);
    let ended = daemon.wait_ended(run);
    assert_eq!(ended["status"], "succeeded", "{ended}");
    String::from_utf8(output_of(&daemon.events(run)).0).unwrap()
}

#[test]
fn a_command_is_that_user_in_every_respect() {
    let Some(fields) = user() else { return };
    let daemon = daemon();
    let script = "sed -n 's/^\\(Uid\\|Gid\\|Groups\\|CapEff\\|CapPrm\\):\\s*//p' /proc/self/status; \
                  echo $HOME $USER $LOGNAME $SHELL; cat /proc/self/oom_score_adj; cut -d' ' -f5 /proc/$$/stat; echo $$; pwd";
    let told = printed(&daemon, &json!({"script": script}));
    let lines: Vec<&str> = told.lines().map(str::trim).collect();
    let (uid, gid, home, shell) = (&fields[2], &fields[3], &fields[5], &fields[6]);
    assert_eq!(lines[0], [uid.as_str(); 4].join("\t"));
    assert_eq!(lines[1], [gid.as_str(); 4].join("\t"));
    assert!(!lines[2].split(' ').any(|group| group == "0"), "none of root's groups: {told}");
    assert!(lines[3..5].iter().all(|caps| caps.trim_matches('0').is_empty()), "{told}");
    assert_eq!(lines[5], format!("{home} {USER} {USER} {shell}"));
    let own: i32 = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim().parse().unwrap();
    assert_eq!(lines[6], (own + 500).min(1000).to_string());
    assert_eq!(lines[7], lines[8], "it leads its group");
    let is_there = Path::new(home).is_dir();
    assert_eq!(lines[9], if is_there { home } else { "/" });
    let own_env = json!({"command": ["sh", "-c", "echo $HOME"], "env": {"HOME": "/elsewhere"}});
    assert_eq!(printed(&daemon, &own_env), "/elsewhere\n", "what the run asks for comes first");
    assert_eq!(printed(&daemon, &json!({"command": ["cat"], "stdin": "text"})), "text");
}

#[test]
fn directory_and_program_are_looked_for_as_that_user() {
    let Some(fields) = user() else { return };
    let daemon = daemon();
    let private = daemon.dir().join("private");
    std::fs::create_dir(&private).unwrap();
    daemon.script("private/id", "#!/bin/sh\necho root only\n");
    std::fs::set_permissions(&private, PermissionsExt::from_mode(0o700)).unwrap();
    let private = private.to_str().unwrap();
    let path = format!("{private}:/usr/bin:/bin");
    let found = printed(&daemon, &json!({"command": ["id", "-u"], "env": {"PATH": path}}));
    assert_eq!(found.trim(), fields[2], "not the one that only root may reach");
    for (run, error) in [
        (
            json!({"command": ["true"], "cwd": private}),
            format!("working directory {private}: permission denied for user {USER}"),
        ),
        (
            json!({"script": "true", "cwd": "/no/such"}),
            format!("working directory /no/such: no such file or directory for user {USER}"),
        ),
        (json!({"command": ["no-such-program"]}), "not found: no-such-program".to_owned()),
        (json!({"command": [format!("{private}/id")]}), format!("not executable: {private}/id (permission denied)")),
    ] {
        let ended = daemon.wait_ended(daemon.submit(&run));
        assert_eq!((&ended["status"], &ended["reason"]), (&"failed".into(), &"spawn_failed".into()), "{ended}");
        assert_eq!(ended["error"], error);
    }
}

#[test]
fn a_caller_whose_directory_that_user_may_not_enter_is_told_and_gets_its_home() {
    let Some(fields) = user() else { return };
    let daemon = daemon();
    assert_eq!(daemon.get("/v1/system").json()["user"], USER);
    let (private, open) = (daemon.dir().join("private"), std::env::temp_dir().canonicalize().unwrap());
    std::fs::create_dir(&private).unwrap();
    std::fs::set_permissions(&private, PermissionsExt::from_mode(0o700)).unwrap();
    let from = |dir: &Path, more: &[&str]| {
        let mut command = daemon.cli();
        command.current_dir(dir).arg("run").args(more).args(["--", "pwd"]);
        Running::start(command).ended()
    };
    let home = if Path::new(&fields[5]).is_dir() { fields[5].as_str() } else { "/" };
    let ended = from(&private, &[]).expect(0);
    assert_eq!(ended.text(), format!("{home}\n"));
    assert!(ended.stderr.contains(&format!("run as {USER}, who may not enter")), "{ended:?}");
    assert!(ended.stderr.contains("-C names another directory"), "{ended:?}");
    // What it may enter is sent as ever, and what was named is meant.
    let ended = from(&open, &[]).expect(0);
    assert_eq!((ended.text(), &*ended.stderr), (format!("{}\n", open.display()), ""));
    let named = from(&private, &["-C", "."]).expect(125);
    assert!(named.stderr.contains("permission denied"), "{named:?}");
}

#[test]
fn a_cancel_and_a_new_daemon_end_the_whole_group() {
    if user().is_none() {
        return;
    }
    let mut daemon = daemon();
    let stubborn = "trap '' TERM; sleep 1000 & while :; do sleep 1000; done";
    let run = daemon.sh(stubborn);
    daemon.wait_running(run);
    eventually(DEADLINE, "its children are there", || daemon.descendants().len() >= 3);
    daemon.post(&format!("/v1/runs/{run}/cancel"), &json!({})).expect(202);
    assert_eq!(daemon.wait_ended(run)["status"], "canceled");
    eventually(DEADLINE, "the group is gone", || daemon.descendants().is_empty());

    let run = daemon.sh(stubborn);
    let leader = daemon.wait_running(run);
    daemon.kill9();
    assert!(proc_exists(leader), "it outlives its daemon");
    daemon.start_again();
    let ended = daemon.wait_ended(run);
    assert_eq!((&ended["status"], &ended["reason"]), (&"interrupted".into(), &"daemon_lost".into()));
    eventually(DEADLINE, "the orphans are gone", || daemon.descendants().is_empty());
}

#[test]
fn a_command_of_that_user_reports_over_a_socket_that_it_may_open() {
    if user().is_none() {
        return;
    }
    let dir = std::env::temp_dir().join(format!("rbuser{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o755)).unwrap();
    // The tests may be built where only root may look.
    let program = binary_in(&dir);
    let progress = json!({"command": [program, "progress", "7"]});
    let daemon = daemon();
    let run = daemon.submit(&progress);
    assert_eq!(daemon.wait_ended(run)["status"], "succeeded", "{:?}", daemon.events(run));
    drop(daemon);

    let socket = dir.join("r.sock");
    let config = format!("[access]\nsocket = {:?}\n[runs]\nuser = \"{USER}\"\n", socket.display().to_string());
    let daemon = Daemon::builder().config(&config).listen("none").socket(&socket).start();
    std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o666)).unwrap();
    let run = daemon.submit(&progress);
    assert_eq!(daemon.wait_ended(run)["status"], "succeeded", "{:?}", daemon.events(run));
    assert_eq!(daemon.run(run)["progress"]["percent"], 7);
    let refused = daemon.submit(&json!({"command": [program, "ls"]}));
    assert_eq!(daemon.wait_ended(refused)["status"], "failed", "without a token the user is a stranger");
    drop(daemon);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_user_that_cannot_be_is_refused_at_the_start() {
    for (name, value) in [("config", "no-such-user"), ("config", "4242424242"), ("env", "no-such-user")] {
        let (code, said) = match name {
            "env" => Daemon::builder().env("RUNABOUT_RUNS_USER", value).refused(),
            _ => Daemon::builder().config(&format!("[runs]\nuser = \"{value}\"\n")).refused(),
        };
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("runs.user") && said.contains(value), "{said}");
    }
    if user().is_none() {
        return;
    }
    let check = |runs_user: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", USER, "--clear-groups", binary(), "serve", "--check", "--state-dir", "/nonexistent"]);
        command.env("RUNABOUT_RUNS_USER", runs_user).output().ok().filter(|tried| tried.status.code() != Some(127))
    };
    let Some(own) = check(USER) else { return println!("skipped: there is no setpriv") };
    assert_eq!(own.status.code(), Some(0), "its own user: {own:?}");
    let root = check("root").unwrap();
    let said = String::from_utf8_lossy(&root.stderr).into_owned();
    assert!(root.status.code() == Some(2) && said.contains("runs.user") && said.contains("not root"), "{said}");
}
