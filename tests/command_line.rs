//! The command line against a real daemon: what it exits with, what it prints and where, and what it does when
//! something is taken away from it.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{Address, DEADLINE, Daemon, Random, Running, TempDir, cli, eventually, newest, start};

#[test]
fn run_exits_as_the_command_did_and_says_nothing_of_its_own() {
    let daemon = Daemon::start();
    let plain = daemon.dir().join("plain");
    std::fs::write(&plain, "no program").unwrap();
    for (arguments, code) in [
        (&["run", "--", "true"][..], 0),
        (&["run", "--", "sh", "-c", "exit 7"], 7),
        (&["run", "-s", "exit 255"], 255),
        (&["run", "-s", "kill -KILL $$"], 137),
        (&["run", "-s", "kill -INT $$"], 130),
        (&["run", "-s", "kill -HUP $$"], 129),
    ] {
        let ended = cli(&daemon, arguments).expect(code);
        assert_eq!((ended.text().as_str(), ended.stderr.as_str()), ("", ""), "{arguments:?}");
    }
    for (arguments, code, said) in [
        (&["run", "-t", "1", "--", "sleep", "1000"][..], 124, "timed out"),
        (&["run", "--", "/no/such/program"], 127, "/no/such/program"),
        (&["run", "--", "no-such-program-at-all"], 127, "no-such-program-at-all"),
        (&["run", "--", plain.to_str().unwrap()], 126, "plain"),
        (&["run", "-C", "/no/such/directory", "--", "true"], 125, "/no/such/directory"),
        (&["run", "-q", "unknown", "--", "true"], 125, "unknown"),
    ] {
        let ended = cli(&daemon, arguments).expect(code);
        assert!(ended.stdout.is_empty() && ended.stderr.contains(said), "{arguments:?}: {ended:?}");
    }
    // Canceled by somebody else.
    let running = start(&daemon, &["run", "-s", "echo up; exec sleep 1000"]);
    running.until_said("up\n");
    cli(&daemon, &["cancel", "last"]).expect(0);
    let ended = running.ended().expect(143);
    assert!(ended.stderr.contains("canceled"), "{ended:?}");
}

#[test]
fn what_is_said_wrong_is_2_and_what_is_not_there_is_3() {
    let daemon = Daemon::start();
    for arguments in [
        &[][..],
        &["run"],
        &["add", "--"],
        &["run", "-s", "true", "--", "false"],
        &["show"],
        &["show", "zero"],
        &["wait", "0"],
        &["run", "-t", "soon", "--", "true"],
        &["run", "-e", "novalue", "--", "true"],
        &["add", "--on-interrupt", "cry", "--", "true"],
        &["run", "--limits", "1G", "--", "true"],
        &["add", "-z", "true"],
        &["frobnicate"],
        &["ls", "--frobnicate"],
        &["queue", "--slots", "2"],
        &["run", "--file", "/no/such/script"],
    ] {
        let ended = cli(&daemon, arguments).expect(2);
        assert!(ended.stdout.is_empty() && !ended.stderr.is_empty(), "{arguments:?}: {ended:?}");
    }
    let unknown = cli(&daemon, &["run", "--limits", "1G", "--", "true"]).expect(2);
    assert!(unknown.stderr.contains("'--limits'"), "what is unknown is named: {unknown:?}");
    assert_eq!(daemon.get("/v1/runs").json()["runs"], json!([]), "nothing was queued by any of it");
    assert!(cli(&daemon, &["--help"]).expect(0).text().contains("runabout"));
    assert!(cli(&daemon, &["--version"]).expect(0).text().contains(env!("CARGO_PKG_VERSION")));
    let empty = TempDir::new();
    let nowhere = empty.path().join("state").display().to_string();
    for arguments in [
        &["ls"][..],
        &["run", "--", "true"],
        &["add", "--", "true"],
        &["wait", "1"],
        &["show", "last"],
        &["enroll"],
        &["prune"],
    ] {
        let told = [&["--state-dir", &nowhere], arguments].concat();
        let ended = cli(&daemon, &told).expect(3);
        assert!(ended.stdout.is_empty() && ended.stderr.contains("runabout serve"), "how to start one: {ended:?}");
    }
    let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    cli(&daemon, &["--url", &format!("http://{refused}"), "ls"]).expect(3);
}

#[test]
fn a_socket_elsewhere_is_found_by_the_configuration_in_the_state_directory() {
    let dir = TempDir::new();
    let socket = dir.path().join("elsewhere.sock");
    let config = format!("[access]\nsocket = {socket:?}\n");
    let daemon = Daemon::builder().config(&config).socket(&socket).start_in(dir);
    let state_dir = daemon.state_dir();
    // This daemon's file lies elsewhere, too: nothing in the directory tells.
    cli(&daemon, &["ls"]).expect(3);
    let beside = state_dir.join("config.toml");
    std::fs::write(&beside, &config).unwrap();
    cli(&daemon, &["ls"]).expect(0);
    let number = cli(&daemon, &["--state-dir", &state_dir.display().to_string(), "add", "--", "true"]).expect(0).text();
    assert_eq!(daemon.wait_ended(number.trim().parse().unwrap())["status"], "succeeded");
    // What cannot be read, or is no configuration, is the daemon's trouble, and holds nobody up.
    std::fs::write(&beside, "[access").unwrap();
    cli(&daemon, &["ls"]).expect(3);
    std::fs::remove_file(&beside).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &beside, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    cli(&daemon, &["ls"]).expect(3);
}

#[test]
fn what_only_somebody_can_change_is_told_off_a_terminal_too() {
    let daemon = Daemon::start();
    cli(&daemon, &["queue", "held", "--pause"]).expect(0);
    let said = daemon.dir().join("said");
    let mut command = daemon.cli();
    command.args(["run", "-q", "held", "--", "true"]).stderr(std::fs::File::create(&said).unwrap());
    let mut waiting = command.spawn().unwrap();
    eventually(DEADLINE, "the script is told", || {
        std::fs::read_to_string(&said).unwrap().contains("queue \"held\" is paused (runabout queue held --resume)")
    });
    cli(&daemon, &["queue", "held", "--resume"]).expect(0);
    eventually(DEADLINE, "the run ends", || waiting.try_wait().unwrap().is_some_and(|status| status.success()));
}

#[test]
fn logs_say_why_there_is_no_output() {
    let daemon = Daemon::start();
    let runs = [["no-such-program"], ["true"]].map(|command| daemon.submit(&json!({ "command": command })));
    runs.iter().for_each(|run| _ = daemon.wait_ended(*run));
    let (lost, fine) = (runs[0].to_string(), runs[1].to_string());
    let reason = format!("run {lost} could not start: not found: no-such-program");
    for arguments in
        [&["logs", &lost][..], &["logs", "-f", &lost], &["logs", &lost, &fine], &["logs", "-f", &lost, &fine]]
    {
        let ended = cli(&daemon, arguments).expect(0);
        assert!(ended.stdout.is_empty() && ended.stderr.contains(&reason), "{arguments:?}: {ended:?}");
    }
    assert_eq!(cli(&daemon, &["logs", &fine]).expect(0).stderr, "");
}

#[test]
fn everything_else_is_0_or_1_and_the_daemons_words() {
    let daemon = Daemon::start();
    cli(&daemon, &["queue", "held", "--slots", "2", "--pause"]).expect(0);
    let queued = cli(&daemon, &["add", "-q", "held", "-n", "waiting", "--tag", "t", "--", "true"]).expect(0).text();
    let queued = queued.trim_end();
    for (arguments, said) in [
        (&["show", "4242"][..], "no run 4242"),
        (&["logs", "4242"], "no run 4242"),
        (&["cancel", "4242"], "no run 4242"),
        (&["rm", "4242"], "no run 4242"),
        (&["retry", "4242"], "no run 4242"),
        (&["rm", queued], "not ended"),
        (&["retry", queued], "not ended"),
        (&["add", "-q", "unknown", "--", "true"], "unknown"),
        (&["add", "-p", "1001", "--", "true"], "1000"),
        (&["queue", "default", "--delete"], "default"),
        (&["queue", "held", "--delete"], "held"),
    ] {
        let ended = cli(&daemon, arguments).expect(1);
        assert!(ended.stdout.is_empty() && ended.stderr.contains(said), "{arguments:?}: {ended:?}");
    }
    cli(&daemon, &["wait", "4242"]).expect(125);
    assert!(cli(&daemon, &["ls", "--tag", "t"]).expect(0).text().contains("waiting"));
    assert!(cli(&daemon, &["show", queued]).expect(0).text().contains("waiting"));
    assert!(cli(&daemon, &["queue"]).expect(0).text().contains("held"));
    cli(&daemon, &["cancel", queued, queued]).expect(0);
    cli(&daemon, &["rm", queued]).expect(0);
    let gone = cli(&daemon, &["show", queued]).expect(1);
    assert!(gone.stderr.contains(queued), "{gone:?}");
    cli(&daemon, &["queue", "held", "--delete"]).expect(0);
    cli(&daemon, &["prune"]).expect(0);
    let token = cli(&daemon, &["enroll", "--role", "viewer", "--ttl", "15m", "--uses", "2"]).expect(0);
    assert!(
        token.text().starts_with("rbe_") && token.text().trim_end().len() == 44 && token.stderr.is_empty(),
        "{token:?}"
    );
}

#[test]
fn wait_exits_as_the_first_that_failed_in_the_order_given() {
    let daemon = Daemon::start();
    let runs: Vec<String> =
        ["exit 0", "exit 5", "exit 6", "kill -TERM $$"].map(|script| daemon.sh(script).to_string()).to_vec();
    let wait = |order: &[usize]| {
        let ids = order.iter().map(|nth| runs[*nth].as_str());
        cli(&daemon, &[&["wait"], &ids.collect::<Vec<_>>()[..]].concat())
    };
    assert!(wait(&[0]).expect(0).stdout.is_empty());
    wait(&[0, 1, 2]).expect(5);
    wait(&[2, 1]).expect(6);
    wait(&[0, 3, 1]).expect(143);
    let never = daemon.sh("exec sleep 1000");
    daemon.wait_running(never);
    let waiting = start(&daemon, &["wait", "last"]);
    cli(&daemon, &["cancel", "last"]).expect(0);
    waiting.ended().expect(143);
}

#[test]
fn add_prints_the_number_alone_and_last_is_the_newest() {
    let daemon = Daemon::start();
    let id = cli(&daemon, &["add", "--", "echo", "first"]).expect(0);
    assert_eq!((id.text().as_str(), id.stderr.as_str()), ("1\n", ""));
    let options = [
        "-n",
        "n",
        "--tag",
        "a",
        "--tag",
        "b",
        "-p",
        "-5",
        "-t",
        "2m",
        "-e",
        "K=V=W",
        "--delay",
        "1h",
        "--keep",
        "--on-interrupt",
        "requeue",
    ];
    let run =
        cli(&daemon, &[&["--json", "add"], &options[..], &["--", "echo", "--json", "-x"]].concat()).expect(0).json();
    let told = ["id", "name", "tags", "priority", "timeout_s", "keep", "on_interrupt", "command"]
        .map(|field| run[field].clone());
    let wanted = serde_json::json!([2, "n", ["a", "b"], -5, 120, true, "requeue", ["echo", "--json", "-x"]]);
    assert_eq!(serde_json::json!(told), wanted);
    assert!(run["not_before"].is_string() && run["env_keys"].as_array().unwrap().contains(&"K".into()), "{run}");
    assert_eq!(cli(&daemon, &["show", "last", "--json"]).expect(0).json(), daemon.run(2));
    let list = cli(&daemon, &["ls", "--json"]).expect(0).json();
    assert_eq!(list.as_array().unwrap().iter().map(|run| run["id"].as_i64().unwrap()).collect::<Vec<_>>(), [2, 1]);
    // With a key of one's own, nothing is queued twice.
    for _ in 0..2 {
        assert_eq!(cli(&daemon, &["add", "--key", "k", "--", "true"]).expect(0).text(), "3\n");
    }
    cli(&daemon, &["add", "--key", "k", "--", "false"]).expect(1);
    daemon.wait_ended(3);
    assert_eq!(cli(&daemon, &["retry", "last"]).expect(0).text(), "4\n");
    assert_eq!(daemon.wait_ended(4)["retry_of"], 3);
    cli(&daemon, &["cancel", "2"]).expect(0);
    cli(&daemon, &["rm", "2", "3", "last"]).expect(0);
    assert_eq!(newest(&daemon)["id"], 1);
}

#[test]
fn the_commands_output_comes_out_byte_for_byte() {
    let daemon = Daemon::start();
    let mut random = Random::new(7);
    let bytes =
        |random: &mut Random, count: usize| -> Vec<u8> { (0..count).map(|_| random.below(256) as u8).collect() };
    let mut out = bytes(&mut random, 300_000);
    // Characters that a piece's end may cut, broken ones, NULs, and no newline at the end.
    out.extend("\u{1F980}".repeat(20_000).into_bytes());
    out.extend(b"\x00\xf0\x9f\r\n\xff");
    let err = bytes(&mut random, 100_000);
    let files = ["out", "err"].map(|name| daemon.dir().join(name));
    std::fs::write(&files[0], &out).unwrap();
    std::fs::write(&files[1], &err).unwrap();
    let script = format!("cat {} & cat {} >&2; wait", files[0].display(), files[1].display());
    let ran = cli(&daemon, &["run", "-s", &script]).expect(0);
    let logs = cli(&daemon, &["logs", "last"]).expect(0);
    for told in [ran, logs] {
        assert!(told.stdout == out, "{} bytes of {}", told.stdout.len(), out.len());
        assert!(told.stderr_bytes == err, "{} bytes of {}", told.stderr_bytes.len(), err.len());
    }
}

#[test]
fn each_stream_goes_to_its_own_and_logs_tell_it_again() {
    let daemon = Daemon::start();
    let script = "i=0; while [ $i -lt 2000 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done; printf 'no newline'";
    let ran = cli(&daemon, &["run", "-s", script]).expect(0);
    let lines = |name: &str| (0..2_000).map(|nth| format!("{name} {nth}\n")).collect::<String>();
    assert_eq!((ran.text(), &ran.stderr), (lines("out") + "no newline", &lines("err")));
    for arguments in [&["logs", "last"][..], &["logs", "-f", "last"]] {
        let told = cli(&daemon, arguments).expect(0);
        assert_eq!((told.text(), told.stderr), (ran.text(), ran.stderr.clone()), "{arguments:?}");
    }
    let json = cli(&daemon, &["run", "--json", "-s", "echo a; exit 3"]).expect(3).text();
    let events: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&events[0]["kind"], &events.last().unwrap()["data"]["exit_code"]), (&"queued".into(), &3.into()));
    assert!(events.iter().any(|event| event["data"]["text"] == "a\n"), "{json}");
}

#[test]
fn the_last_lines_alone_are_told_and_what_comes_behind_them() {
    let daemon = Daemon::start();
    let told = |arguments: &[&str]| cli(&daemon, arguments).expect(0).text();
    // Lines that no single event holds whole, and more events than lines.
    let script =
        "seq 1 20000; head -c 40000 /dev/zero | tr '\\0' x; echo; for n in 1 2 3; do printf $n; sleep 0.3; done; echo";
    let run = daemon.sh(script);
    daemon.wait_ended(run);
    let whole = told(&["logs", "last"]);
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    assert_eq!(lines.len(), 20_002);
    for count in [0, 1, 2, 3, 500, 20_001, 20_002, 50_000] {
        let wanted = lines[lines.len().saturating_sub(count)..].concat();
        assert!(told(&["logs", "--tail", &count.to_string(), "last"]) == wanted, "{count}");
    }
    // Lines of both streams count, each goes to its own.
    let both = daemon.sh("echo 1; echo 2 >&2; sleep 0.3; echo 3 >&2; sleep 0.3; echo 4");
    daemon.wait_ended(both);
    let ended = cli(&daemon, &["logs", "-n2", "last"]).expect(0);
    assert_eq!((ended.text(), &*ended.stderr), ("4\n".to_owned(), "3\n"));
    // Followed, it goes on; a run without output has none.
    let gate = daemon.dir().join("gate");
    let live = daemon.sh(&format!("seq 1 100; while [ ! -e {} ]; do sleep 0.05; done; echo end", gate.display()));
    eventually(DEADLINE, "it has printed", || told(&["logs", &live.to_string()]).ends_with("100\n"));
    let mut follow = daemon.cli();
    follow.args(["logs", "-f", "-n", "1", &live.to_string()]);
    let follow = Running::start(follow);
    follow.until_said("100\n");
    std::fs::write(&gate, "").unwrap();
    assert_eq!(follow.ended().expect(0).text(), "100\nend\n");
    let quiet = daemon.submit(&serde_json::json!({"script": "true", "delay_s": 600}));
    assert_eq!(told(&["logs", "-n", "5", &quiet.to_string()]), "");
    for refused in [
        &["logs", "-n", "1", "1", "2"][..],
        &["logs", "--json", "-n", "1", "1"],
        &["logs", "-n", "1", "--after", "3", "1"],
    ] {
        cli(&daemon, refused).expect(2);
    }
}

#[test]
fn over_the_socket_the_callers_directory_and_path_go_along_and_over_a_network_neither() {
    let daemon = Daemon::builder().env("HOME", "/").start();
    let here = daemon.dir().join("here and there");
    std::fs::create_dir(&here).unwrap();
    let tool = here.join("only-here");
    std::fs::write(&tool, "#!/bin/sh\necho found\n").unwrap();
    std::fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", here.display(), std::env::var("PATH").unwrap());
    let ask = |arguments: &[&str]| {
        let mut command = daemon.cli();
        command.args(arguments).current_dir(&here).env("PATH", &path);
        Running::start(command).ended()
    };
    let script = "pwd; printf '%s\\n' \"$PATH\"";
    assert_eq!(ask(&["run", "-s", script]).expect(0).text(), format!("{}\n{path}\n", here.display()));
    assert_eq!(ask(&["run", "--", "only-here"]).expect(0).text(), "found\n");
    assert_eq!(
        ask(&["run", "-C", "/", "-e", "PATH=/bin:/usr/bin", "-s", script]).expect(0).text(),
        "/\n/bin:/usr/bin\n"
    );
    assert_eq!(ask(&["run", "-C", "..", "-s", "pwd"]).expect(0).text(), format!("{}\n", daemon.dir().display()));
    let id = ask(&["add", "-s", "pwd"]).expect(0).text().trim_end().parse::<i64>().unwrap();
    assert_eq!(daemon.wait_ended(id)["cwd"], here.display().to_string());

    let Address::Tcp(address) = daemon.tcp().address().clone() else { unreachable!() };
    let mut command = daemon.cli();
    command.env("RUNABOUT_TOKEN", daemon.enroll("operator")).env("PATH", &path).current_dir(&here);
    command.args(["run", "--url", &format!("http://{address}"), "-s", script]);
    let remote = Running::start(command).ended().expect(0).text();
    assert!(!remote.contains("here and there"), "{remote}");
    let run = newest(&daemon);
    assert_eq!((&run["cwd"], &run["env_keys"]), (&Value::Null, &serde_json::json!([])));
    // Without a token the daemon's words say what to do.
    let mut command = daemon.cli();
    command.args(["ls", "--url", &format!("http://{address}")]);
    let refused = Running::start(command).ended().expect(1);
    assert!(refused.stderr.contains("token"), "{refused:?}");
}

#[test]
fn standard_input_and_scripts_come_from_where_they_are_said_to() {
    let daemon = Daemon::start();
    let file = daemon.dir().join("script.sh");
    std::fs::write(&file, "#!/bin/sh\necho from the file\n").unwrap();
    let with_stdin = |arguments: &[&str], stdin: &str| {
        let input = daemon.dir().join("stdin");
        std::fs::write(&input, stdin).unwrap();
        let mut command = daemon.cli();
        command.args(arguments).stdin(std::fs::File::open(&input).unwrap());
        Running::start(command).ended()
    };
    assert_eq!(with_stdin(&["run", "-i", "--", "cat"], "in\n\u{fc}").expect(0).text(), "in\n\u{fc}");
    assert_eq!(with_stdin(&["run", "--", "cat"], "not sent").expect(0).text(), "");
    assert_eq!(with_stdin(&["run", "--file", file.to_str().unwrap()], "").expect(0).text(), "from the file\n");
    assert_eq!(with_stdin(&["run", "--file", "-"], "echo from stdin").expect(0).text(), "from stdin\n");
    with_stdin(&["run", "-i", "--file", "-"], "true").expect(2);
}

#[test]
fn nothing_that_somebody_else_chose_hides_in_or_steers_a_terminal() {
    let daemon = Daemon::start();
    // Direction, what is not seen, tags, fillers.
    let name = "a\u{202e}b\u{61c}c\u{ad}d\u{180e}e\u{e0041}f\u{115f}g\u{3164}h\u{2066}i\u{2028}j";
    let printed = format!("\u{9b}31m\u{7f}\u{85}{name}");
    let run = cli(&daemon, &["add", "-n", name, "--tag", name, "--", "printf", "%s", &printed]).expect(0);
    let run = run.text().trim().to_owned();
    cli(&daemon, &["wait", &run]).expect(0);
    let safe = |arguments: &[&str]| {
        let said = cli(&daemon, arguments).expect(0).text();
        assert!(said.replace('\n', "").chars().all(|char| (' '..='~').contains(&char)), "{arguments:?}: {said}");
        said
    };
    let shown = "a\\u{202e}b\\u{61c}c\\u{ad}d\\u{180e}e\\u{e0041}f\\u{115f}g\\u{3164}h\\u{2066}i\\u{2028}j";
    assert!(safe(&["ls"]).contains(shown));
    assert_eq!(safe(&["show", &run]).matches(shown).count(), 3, "name, tag and command");
    let one: Value = serde_json::from_str(&safe(&["show", &run, "--json"])).unwrap();
    let list: Value = serde_json::from_str(&safe(&["ls", "--json"])).unwrap();
    for run in [&one, &list[0]] {
        assert_eq!((&run["name"], &run["command"][2]), (&name.into(), &printed.as_str().into()));
    }
    let events = safe(&["logs", &run, "--json"]);
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().any(|event| event["data"]["text"] == printed.as_str()), "{events:?}");
    let wrong = cli(&daemon, &["\u{1b}[31mx\u{202e}"]).expect(2).stderr;
    assert!(!wrong.contains(['\u{1b}', '\u{202e}']) && wrong.contains("\\x1b[31mx\\u{202e}"), "{wrong}");
}

#[test]
fn what_a_run_waits_for_is_told_on_a_terminal_only() {
    let daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let first = daemon.sh(&gate.wait());
    daemon.wait_running(first);
    let running = start(&daemon, &["run", "--", "true"]);
    // Longer than the second after which a person would be told.
    std::thread::sleep(Duration::from_millis(1_500));
    gate.open();
    let ended = running.ended().expect(0);
    assert_eq!((ended.text().as_str(), ended.stderr.as_str()), ("", ""));
}
