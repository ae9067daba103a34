//! What a command finds when it starts: environment, directory, streams, group, signals, arguments. Nothing of the
//! daemon's own leaks into it.

use std::collections::BTreeMap;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::common::{Builder, DEADLINE, Daemon, Reader, eventually, output_of, proc_exists};

/// Runs it to its end; answers the run and what it printed on standard output.
#[track_caller]
fn printed(daemon: &Daemon, spec: &Value) -> (Value, Vec<u8>) {
    let run = daemon.submit(spec);
    let ended = daemon.wait_ended(run);
    (ended, output_of(&daemon.events(run)).0)
}

/// As [`printed`], of a command that must succeed, as text.
#[track_caller]
fn text_of(daemon: &Daemon, spec: &Value) -> String {
    let (run, stdout) = printed(daemon, spec);
    assert_eq!(run["status"], "succeeded", "{run}");
    String::from_utf8(stdout).unwrap()
}

/// The environment that a command finds; fails where a name is there twice.
#[track_caller]
fn environment(daemon: &Daemon, env: &Value) -> (String, BTreeMap<String, String>) {
    let (run, stdout) = printed(daemon, &json!({"command": ["cat", "/proc/self/environ"], "env": env}));
    assert_eq!(run["status"], "succeeded", "{run}");
    let mut found = BTreeMap::new();
    for entry in String::from_utf8(stdout).unwrap().split_terminator('\0') {
        let (name, value) = entry.split_once('=').unwrap();
        assert_eq!(found.insert(name.to_owned(), value.to_owned()), None, "{name} is there twice");
    }
    (run["id"].to_string(), found)
}

/// A daemon that is started by a shell which does this first.
fn prepared_by(script: &str) -> Builder {
    let script = format!("{script}\nexec \"$@\"");
    Daemon::builder().wrapper(&["sh", "-c", &script, "sh"])
}

/// The signals that `/proc/PID/status` has under a name, as bits.
#[track_caller]
fn signals(status: &str, name: &str) -> u64 {
    // 32 and 33 are the C library's own: its posix_spawn lets every child ignore them.
    const LIBRARY: u64 = 0b11 << 31;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap() & !LIBRARY
}

/// The run failed to start, with an error that says all of this.
#[track_caller]
fn assert_not_started(daemon: &Daemon, spec: &Value, said: &[&str]) {
    let (run, stdout) = printed(daemon, spec);
    assert_eq!((&run["status"], &run["reason"]), (&"failed".into(), &"spawn_failed".into()), "{run}");
    assert_eq!((&run["exit_code"], &run["signal"], &stdout[..]), (&Value::Null, &Value::Null, &b""[..]));
    let error = run["error"].as_str().unwrap_or_else(|| panic!("no error in {run}"));
    assert!(said.iter().all(|word| error.contains(word)), "{said:?} in {error:?}");
    let id = run["id"].as_i64().unwrap();
    assert_eq!(daemon.kinds(id), ["queued", "started", "finished"]);
    assert_eq!(daemon.events(id).last().unwrap()["data"]["error"], error);
    assert_eq!(daemon.get(&format!("/v1/runs/{id}/exit_code")).expect(200).text(), "125\n");
}

#[test]
fn the_environment_is_the_daemons_without_what_is_its_own() {
    let private = [
        ("RUNABOUT_LOG", "info"),
        ("RUNABOUT_TOKEN", "secret"),
        ("NOTIFY_SOCKET", "/nowhere/notify"),
        ("LISTEN_FDS", "0"),
        ("LISTEN_FDNAMES", "x"),
        ("WATCHDOG_PID", "1"),
        ("INVOCATION_ID", "x"),
        ("JOURNAL_STREAM", "1:2"),
        ("STATE_DIRECTORY", "/nowhere/state"),
        ("RUNTIME_DIRECTORY", "/nowhere/run"),
    ];
    let builder = Daemon::builder().env("ORDINARY", "kept = \"as is\"").env("LISTENER", "kept");
    let daemon = private.iter().fold(builder, |builder, (name, value)| builder.env(name, value)).start();
    let (run, found) = environment(&daemon, &json!({}));
    assert_eq!((found["ORDINARY"].as_str(), found["LISTENER"].as_str()), ("kept = \"as is\"", "kept"));
    assert_eq!(found["PYTHONUNBUFFERED"], "1");
    let own: Vec<&str> = found.keys().map(String::as_str).filter(|name| name.starts_with("RUNABOUT_")).collect();
    let names = ["ARTIFACTS", "ATTEMPT", "INSTANCE", "RUN_ID", "RUN_TOKEN", "SOCKET", "URL"]
        .map(|name| format!("RUNABOUT_{name}"));
    assert_eq!(own, names);
    assert_eq!((&found["RUNABOUT_RUN_ID"], found["RUNABOUT_ATTEMPT"].as_str()), (&run, "1"));
    let system = daemon.get("/v1/system").expect(200).json();
    assert_eq!(found["RUNABOUT_INSTANCE"], system["instance"]);
    for (name, _) in private {
        assert!(!found.contains_key(name), "{name} leaked");
    }
}

#[test]
fn the_given_environment_wins_but_for_the_runs_own_name() {
    let daemon = Daemon::builder().env("ORDINARY", "the daemon's").start();
    let given = json!({
        "ORDINARY": "given", "PYTHONUNBUFFERED": "", "NOTIFY_SOCKET": "/given", "EMPTY": "", "LINES": "a\nb", "ÄÖ": "ü=€",
        "RUNABOUT_TOKEN": "given", "RUNABOUT_RUN_ID": "4711",
    });
    let (run, found) = environment(&daemon, &given);
    for (name, value) in given.as_object().unwrap().iter().filter(|(name, _)| *name != "RUNABOUT_RUN_ID") {
        assert_eq!(value.as_str(), found.get(name).map(String::as_str), "{name}");
    }
    assert_eq!(found["RUNABOUT_RUN_ID"], run, "by it the daemon finds its own after a crash");
    let shown = daemon.get(&format!("/v1/runs/{run}")).expect(200).json();
    let names: Vec<&str> = shown["env_keys"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(names.contains(&"ORDINARY") && !shown.to_string().contains("/given"), "{shown}");
}

#[test]
fn the_given_path_finds_the_program() {
    let daemon = Daemon::start();
    let bin = daemon.dir().join("bin");
    std::fs::create_dir(&bin).unwrap();
    daemon.script("bin/only-here", "#!/bin/sh\necho found\n");
    assert_eq!(text_of(&daemon, &json!({"command": ["only-here"], "env": {"PATH": bin}})), "found\n");
    assert_eq!(text_of(&daemon, &json!({"command": ["./only-here"], "cwd": bin})), "found\n");
    assert_not_started(&daemon, &json!({"command": ["only-here"]}), &["not found", "only-here"]);
}

#[test]
fn a_command_starts_in_its_home_unless_it_is_told_where() {
    let home = std::env::temp_dir().canonicalize().unwrap();
    let daemon = Daemon::builder().env("HOME", home.to_str().unwrap()).start();
    let where_it_is = json!(["readlink", "/proc/self/cwd"]);
    let at = |spec: &Value| text_of(&daemon, spec).trim_end().to_owned();
    assert_eq!(at(&json!({"command": where_it_is})), home.to_str().unwrap());
    let given = daemon.dir().join("with blank & ümlaut");
    std::fs::create_dir(&given).unwrap();
    assert_eq!(at(&json!({"command": where_it_is, "cwd": given})), given.canonicalize().unwrap().to_str().unwrap());
    let homeless = Daemon::builder().env("HOME", "/nowhere/at/all").start();
    assert_eq!(text_of(&homeless, &json!({"command": where_it_is})), "/\n");
}

#[test]
fn a_directory_that_cannot_be_entered_fails_the_start_and_is_named() {
    let daemon = Daemon::start();
    assert_not_started(
        &daemon,
        &json!({"script": "true", "cwd": "/nowhere/at/all"}),
        &["directory", "/nowhere/at/all"],
    );
    let file = daemon.script("file", "");
    assert_not_started(&daemon, &json!({"script": "true", "cwd": file}), &["directory", file.to_str().unwrap()]);
    for relative in ["sub", "./sub", "~", ""] {
        let refused = daemon.post("/v1/runs", &json!({"script": "true", "cwd": relative}));
        let problem = refused.expect_problem(422, "invalid");
        assert_eq!(problem["details"]["violations"][0]["field"], "cwd", "{problem}");
    }
}

#[test]
fn a_program_that_is_missing_or_cannot_be_executed_fails_the_start() {
    let daemon = Daemon::start();
    assert_not_started(&daemon, &json!({"command": ["no-such-program-here"]}), &["not found", "no-such-program-here"]);
    assert_not_started(&daemon, &json!({"command": ["/nowhere/program"]}), &["not found", "/nowhere/program"]);
    let plain = daemon.dir().join("plain");
    std::fs::write(&plain, "#!/bin/sh\n").unwrap();
    assert_not_started(&daemon, &json!({"command": [plain]}), &["not executable", plain.to_str().unwrap()]);
    assert_not_started(&daemon, &json!({"command": [daemon.dir()]}), &["not executable"]);
    let orphaned = daemon.script("orphaned", "#!/nowhere/interpreter\n");
    assert_not_started(&daemon, &json!({"command": [orphaned]}), &["not executable", "interpreter"]);
    // The shell's own failures are exits like any other.
    let (run, _) = printed(&daemon, &json!({"script": "no-such-program-here"}));
    assert_eq!((&run["reason"], &run["exit_code"]), (&"exited".into(), &127.into()));
    assert_eq!(text_of(&daemon, &json!({"script": "echo next"})), "next\n", "the slot is free");
}

#[test]
fn standard_input_is_what_was_given_or_empty() {
    let daemon = Daemon::start();
    assert_eq!(text_of(&daemon, &json!({"command": ["cat"], "stdin": "line\nno newline ü"})), "line\nno newline ü");
    assert_eq!(text_of(&daemon, &json!({"command": ["cat"], "stdin": ""})), "");
    let long = "0123456789abcde\n".repeat(20_000);
    assert_eq!(text_of(&daemon, &json!({"command": ["cat"], "stdin": long})), long);
    let (run, _) = printed(&daemon, &json!({"script": "exec <&-; exit 3", "stdin": long}));
    assert_eq!(run["exit_code"], 3, "one that does not read it: {run}");
    assert_eq!(text_of(&daemon, &json!({"command": ["readlink", "/proc/self/fd/0"]})), "/dev/null\n");
    assert_eq!(text_of(&daemon, &json!({"command": ["cat"]})), "");
}

#[test]
fn nothing_but_the_three_streams_is_open() {
    // 7 and 9 stand for what a careless parent left open.
    let daemon = prepared_by("exec 7</dev/null 9>>/dev/null").start();
    daemon.put("/v1/queues/default", &json!({"slots": 2})).expect(200);
    let gate = daemon.gate("gate");
    let other = daemon.submit(&json!({"script": gate.wait(), "stdin": "held"}));
    daemon.wait_running(other);
    let _reader = Reader::open(&daemon, other, 0);
    let _silent = daemon.connect();
    for stdin in [Value::Null, "given".into()] {
        let mut spec = json!({"command": ["ls", "-l", "/proc/self/fd"]});
        if !stdin.is_null() {
            spec["stdin"] = stdin;
        }
        let listed = text_of(&daemon, &spec);
        let links = listed.lines().filter_map(|line| line.split_once(" -> "));
        // ls itself has the directory open.
        let open: Vec<&str> = links
            .filter(|(_, target)| !target.starts_with("/proc/"))
            .filter_map(|(left, _)| left.rsplit(' ').next())
            .collect();
        assert_eq!(open, ["0", "1", "2"], "{listed}");
    }
    gate.open();
    daemon.wait_ended(other);
}

#[test]
fn a_command_leads_a_group_of_its_own() {
    let daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let run = daemon.sh(&format!("cat /proc/$$/stat; {}", gate.wait()));
    let pid = daemon.wait_running(run);
    let mut reader = Reader::open(&daemon, run, 0);
    reader.until_stdout("\n");
    let stat = String::from_utf8(reader.told.stdout.clone()).unwrap();
    let fields: Vec<&str> = stat.split(' ').collect();
    assert_eq!((fields[0], fields[4]), (pid.to_string().as_str(), fields[0]), "{stat}");
    gate.open();
    reader.until_end();
}

#[test]
fn a_command_is_likelier_to_be_killed_for_memory_than_the_daemon() {
    let daemon = Daemon::start();
    let path = format!("/proc/{}/oom_score_adj", daemon.pid());
    let own = || std::fs::read_to_string(&path).unwrap().trim().parse::<i32>().unwrap();
    let before = own();
    for _ in 0..3 {
        let child: i32 =
            text_of(&daemon, &json!({"command": ["cat", "/proc/self/oom_score_adj"]})).trim().parse().unwrap();
        assert_eq!(child, (before + 500).min(1_000));
        assert_eq!(own(), before, "the daemon's own is as it was");
    }
}

#[test]
fn a_command_is_as_punctual_as_the_daemon_was_started() {
    let own = std::fs::read_to_string("/proc/self/timerslack_ns").unwrap();
    let daemon = Daemon::start();
    assert_eq!(text_of(&daemon, &json!({"command": ["cat", "/proc/self/timerslack_ns"]})), own);
}

#[test]
fn the_umask_is_the_one_that_the_daemon_was_started_with() {
    for umask in ["0027", "0000", "0077"] {
        let daemon = prepared_by(&format!("umask {umask}")).start();
        assert_eq!(text_of(&daemon, &json!({"script": "umask"})).trim_end(), umask);
    }
}

#[test]
fn signals_are_at_their_defaults_though_the_daemon_was_started_with_them_ignored() {
    let mut daemon = prepared_by("trap '' HUP INT QUIT TERM PIPE USR1 USR2 CHLD ALRM TSTP TTIN TTOU").start();
    let status = text_of(&daemon, &json!({"command": ["cat", "/proc/self/status"]}));
    assert_eq!((signals(&status, "SigIgn:"), signals(&status, "SigBlk:")), (0, 0), "{status}");
    let (run, _) = printed(&daemon, &json!({"script": "kill -HUP $$"}));
    assert_eq!((&run["reason"], &run["signal"]), (&"signaled".into(), &1.into()), "{run}");
    // What was ignored is still without effect on the daemon, and what it listens to still ends it.
    daemon.signal(Signal::HUP);
    daemon.signal(Signal::USR1);
    assert_eq!(text_of(&daemon, &json!({"script": "echo alive"})), "alive\n");
    daemon.stop();
}

#[test]
fn signals_are_not_blocked_though_the_daemon_was_started_with_them_blocked() {
    let can_block = std::process::Command::new("env").args(["--block-signal=USR1", "true"]).output();
    if !can_block.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this env cannot block signals");
        return;
    }
    let mut daemon = Daemon::builder().wrapper(&["env", "--block-signal=USR1,TERM,CHLD,HUP"]).start();
    let status = text_of(&daemon, &json!({"command": ["cat", "/proc/self/status"]}));
    assert_eq!((signals(&status, "SigIgn:"), signals(&status, "SigBlk:")), (0, 0), "{status}");
    daemon.stop();
}

#[test]
fn under_nohup_the_daemon_and_its_commands_are_as_ever() {
    let mut daemon = Daemon::builder().wrapper(&["nohup"]).start();
    daemon.signal(Signal::HUP);
    let run = daemon.sh("sleep 300");
    let pid = daemon.wait_running(run);
    assert!(crate::common::signal(pid, Signal::HUP));
    let run = daemon.wait_ended(run);
    assert_eq!((&run["reason"], &run["signal"]), (&"signaled".into(), &1.into()), "{run}");
    eventually(DEADLINE, "the command is gone", || !proc_exists(pid));
    daemon.stop();
}

#[test]
fn arguments_reach_the_command_byte_for_byte() {
    let daemon = Daemon::start();
    let arguments = [
        "",
        " ",
        "two  words",
        "tab\tnew\nline\r",
        "'single'",
        "\"double\"",
        "$HOME `id` $(id)",
        "a;b|c&d>e<f",
        "*?[x]{y}",
        "\\back\\\\slash\\n",
        "-n",
        "--",
        "%s%d%%",
        "~",
        "#",
        "!",
        "äöü€😀",
        "\u{1}\u{7f}\u{1b}[31m",
        "\u{feff}e\u{301}",
        "last",
    ];
    let mut command = vec!["printf", "%s\\0"];
    command.extend(arguments);
    let (run, stdout) = printed(&daemon, &json!({"command": command}));
    let expected: Vec<u8> = arguments.iter().flat_map(|argument| [argument.as_bytes(), b"\0"].concat()).collect();
    assert!(stdout == expected, "{:?}", String::from_utf8_lossy(&stdout));
    assert_eq!(run["command"], json!(command), "shown as given");
    let (_, line) = printed(&daemon, &json!({"command": ["cat", "/proc/self/cmdline"]}));
    assert_eq!(line, b"cat\0/proc/self/cmdline\0", "the program is called what it was called");
    daemon.post("/v1/runs", &json!({"command": ["printf", "a\0b"]})).expect_problem(422, "invalid");
    daemon.post("/v1/runs", &json!({"script": "echo a\0b"})).expect_problem(422, "invalid");
    daemon.post("/v1/runs", &json!({"script": "true", "env": {"A": "a\0b"}})).expect_problem(422, "invalid");
}

#[test]
fn a_script_is_given_to_the_shell_as_it_is() {
    let daemon = Daemon::start();
    let script = "printf '%s|' \"$0\" \"$#\" \"a  b\" 'ü$x'\nfalse && exit 1\nprintf '%s\\n' '\\end'";
    let (run, stdout) = printed(&daemon, &json!({"script": script}));
    assert_eq!(String::from_utf8_lossy(&stdout), "/bin/sh|0|a  b|ü$x|\\end\n");
    assert_eq!((run["script"].as_str(), &run["command"]), (Some(script), &Value::Null));
}
