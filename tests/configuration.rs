//! What the daemon is told, by whom, and how it refuses what it cannot use: before it touches anything, and in words
//! that name the file, the key and what is allowed.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use rusqlite::Connection;

use crate::common::{Address, DEADLINE, Daemon, TempDir, binary, eventually};

/// `runabout serve`, ready for its arguments, without the environment of the machine.
fn serve(dir: &Path) -> Command {
    let mut command = Command::new(binary());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", dir);
    command.arg("serve").stdin(Stdio::null());
    command
}

/// Runs what is to end by itself; fails where it does not.
#[track_caller]
fn output(mut command: Command) -> (i32, String, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let until = Instant::now() + DEADLINE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            let _ = child.kill();
            panic!("it has not ended: {command:?}");
        }
        // A look every so often.
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// Writes a configuration and has it checked.
#[track_caller]
fn check(dir: &TempDir, toml: &str, change: impl FnOnce(&mut Command)) -> (i32, String, String) {
    let file = dir.path().join("c.toml");
    std::fs::write(&file, toml).unwrap();
    let mut command = serve(dir.path());
    command.arg("--check").arg("--config").arg(&file);
    change(&mut command);
    if !command.get_args().any(|argument| argument == "--state-dir") {
        command.arg("--state-dir").arg(dir.path().join("state"));
    }
    output(command)
}

#[test]
fn flags_beat_the_environment_and_the_environment_beats_the_file() {
    let config = "listen = \"127.0.0.1:1\"\n[limits]\nqueued_runs = 1\nbody_bytes = 2000\n";
    let mut daemon = Daemon::builder()
        .config(config)
        .env("RUNABOUT_LISTEN", "127.0.0.1:2")
        .env("RUNABOUT_LIMITS_QUEUED_RUNS", "2")
        .env("RUNABOUT_ACCESS_ALLOWED_HOSTS", "a.example, b.example")
        .env("RUNABOUT_LIMITS_NO_SUCH_KEY", "whatever")
        .env("RUNABOUT_STATE_DIR", "/nowhere")
        .start();
    let Address::Tcp(address) = daemon.tcp().address().clone() else { unreachable!() };
    assert!(![1, 2].contains(&address.port()), "--listen decides");
    assert!(daemon.state_dir().join("runabout.db").is_file(), "--state-dir decides");
    let log = daemon.log();
    assert!(
        log.contains("the configuration's limits.queued_runs has no effect: RUNABOUT_LIMITS_QUEUED_RUNS=2"),
        "{log}"
    );
    assert!(!log.contains("limits.body_bytes"), "nothing overrules it: {log}");
    daemon.put("/v1/queues/default", &serde_json::json!({"paused": true})).expect(200);
    daemon.sh("true");
    daemon.sh("true");
    let full = daemon.post("/v1/runs", &serde_json::json!({"script": "true"})).expect_problem(429, "queue_full");
    assert_eq!(full["details"]["limit"], 2, "the environment's");
    let large = "x".repeat(2_000);
    daemon.post("/v1/runs", &serde_json::json!({ "script": large })).expect_problem(413, "body_too_large");
    daemon.tcp().call("GET", "/healthz").header("Host", "b.example").send().expect(200);
    daemon.tcp().call("GET", "/healthz").header("Host", "c.example").send().expect(421);
    daemon.stop();
    assert_eq!(daemon.stdout(), "", "it is over");
}

#[test]
fn the_state_directory_is_found_as_the_contract_says_and_its_own_file_is_read() {
    let dir = TempDir::new();
    let says = |change: &dyn Fn(&mut Command)| {
        let mut command = serve(dir.path());
        command.arg("--check");
        change(&mut command);
        output(command)
    };
    for name in ["flag", "own", "first"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
        std::fs::write(dir.path().join(name).join("config.toml"), format!("of_{name} = 1\n")).unwrap();
    }
    let path = |name: &str| dir.path().join(name);
    let systemd = format!("{}:/elsewhere", path("first").display());
    let (code, _, said) = says(&|command| _ = command.env("STATE_DIRECTORY", &systemd));
    assert!(code == 2 && said.contains("of_first"), "{said}");
    let (code, _, said) =
        says(&|command| _ = command.env("STATE_DIRECTORY", &systemd).env("RUNABOUT_STATE_DIR", path("own")));
    assert!(code == 2 && said.contains("of_own"), "{said}");
    let (code, _, said) =
        says(&|command| _ = command.env("RUNABOUT_STATE_DIR", path("own")).arg("--state-dir").arg(path("flag")));
    assert!(code == 2 && said.contains("of_flag"), "{said}");
    std::fs::write(path("right.toml"), "log = \"warn\"\n").unwrap();
    let (code, _, said) =
        says(&|command| _ = command.arg("--state-dir").arg(path("flag")).arg("--config").arg(path("right.toml")));
    assert_eq!((code, &*said), (0, ""), "--config is read in place of the directory's own");
}

#[test]
fn what_is_wrong_is_told_with_its_file_its_key_and_what_is_allowed() {
    let dir = TempDir::new();
    let file = dir.path().join("c.toml").display().to_string();
    for (toml, wanted) in [
        ("listn = \"x\"\n", &["listn", "unknown", "listen"][..]),
        ("\"a\\u001b[31m\\u202e\\nb\" = 1\n", &["a\\x1b[31m\\u{202e}\\nb", "unknown"][..]),
        ("log = \"\\u001b\\u009b\\u202e\"\n", &["log", "\\u{1b}\\u{9b}\\u{202e}"][..]),
        ("[limits]\nhead = 1\n", &["limits.head", "unknown", "head_bytes"][..]),
        ("[limit]\nhead_s = 1\n", &["limit", "unknown", "[limits]"][..]),
        ("limits = 1\n", &["limits", "table"][..]),
        ("[limits]\nhead_s = \"10\"\n", &["limits.head_s", "whole number"][..]),
        ("[limits]\nhead_s = 0\n", &["limits.head_s", "0", "whole number from 1"][..]),
        ("[limits]\nhead_s = 1.5\n", &["limits.head_s", "1.5", "whole number"][..]),
        ("log = \"loud\"\n", &["log", "loud", "info"][..]),
        ("listen = \"localhost\"\n", &["listen", "localhost", "none"][..]),
        ("[access]\nallow_plaintext = \"yes\"\n", &["access.allow_plaintext", "true"][..]),
        ("[access]\nallowed_origins = [\"null\"]\n", &["access.allowed_origins", "null"][..]),
        ("[access]\nallowed_hosts = \"x\"\n", &["access.allowed_hosts", "list"][..]),
        ("[access]\ntrusted_proxies = [\"10.0.0.0/99\"]\n", &["access.trusted_proxies", "10.0.0.0/99"][..]),
        ("[access]\nsocket_role = \"root\"\n", &["access.socket_role", "root", "operator"][..]),
        ("[access]\nsocket = \"relative\"\n", &["access.socket", "relative"][..]),
        ("listen = \"none\"\nlisten = \"none\"\n", &["line 2"][..]),
        ("listen = \n", &["line 1", "TOML"][..]),
    ] {
        let (code, stdout, said) = check(&dir, toml, |_| {});
        assert_eq!((code, &*stdout), (2, ""), "{toml:?}: {said}");
        assert!(!said.trim_end().contains(|char: char| char.is_control() || char == '\u{202e}'), "{toml:?}: {said:?}");
        for part in wanted.iter().chain([&&*file]) {
            assert!(said.contains(part), "{toml:?}: {part:?} is not in {said}");
        }
    }
    // All of it at once, each with its source.
    let (code, _, said) = check(&dir, "a = 1\n[limits]\nb = 2\n", |command| {
        command.env("RUNABOUT_LIMITS_BODY_S", "soon").args(["--log", "loud"]);
    });
    assert_eq!((code, said.trim_end().lines().count()), (2, 4), "{said}");
    for part in ["RUNABOUT_LIMITS_BODY_S", "--log", "limits.b", "soon"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert!(!dir.path().join("state").exists(), "nothing was touched");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let dir = TempDir::new();
    let config = |path: &Path| {
        let mut command = serve(dir.path());
        command.arg("--state-dir").arg(dir.path().join("state")).arg("--config").arg(path);
        output(command)
    };
    let file = dir.path().join("binary.toml");
    std::fs::write(&file, b"log = \"\xff\"\n").unwrap();
    for path in [dir.path().join("missing.toml"), dir.path().to_owned(), file] {
        let (code, stdout, said) = config(&path);
        assert_eq!((code, &*stdout), (2, ""), "{said}");
        assert!(said.contains(&path.display().to_string()), "{said}");
    }
    assert!(!dir.path().join("state").exists(), "nothing was touched");
}

#[test]
fn check_says_nothing_of_what_is_right_and_touches_nothing() {
    let dir = TempDir::new();
    let right = "listen = \"[::1]:0\"\nlog = \"debug\"\n[limits]\nbody_bytes = 2_000_000\n[sessions]\nttl_s = 0\n";
    assert_eq!(check(&dir, right, |_| {}), (0, String::new(), String::new()));
    assert_eq!(check(&dir, "", |_| {}), (0, String::new(), String::new()));
    assert!(!dir.path().join("state").exists());
    let long = dir.path().join("x".repeat(100));
    let (code, _, said) = check(&dir, "", |command| _ = command.arg("--state-dir").arg(&long));
    assert!(code == 2 && said.contains("107"), "{code} {said}");
    for arguments in [&["--listen"][..], &["--nonsense"], &["extra"], &["--log-format", "xml"], &["--check=1"]] {
        let mut command = serve(dir.path());
        command.args(arguments).arg("--state-dir").arg(dir.path().join("state"));
        let (code, stdout, said) = output(command);
        assert!(code == 2 && stdout.is_empty() && !said.is_empty(), "{arguments:?}: {code} {said}");
    }
}

#[test]
fn beyond_loopback_somebody_must_have_decided_for_plaintext() {
    let dir = TempDir::new();
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:7867"] {
        let (code, _, said) = check(&dir, "", |command| _ = command.args(["--listen", listen]));
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("allow_plaintext") && said.contains("listen"), "{said}");
    }
    let (code, said) = Daemon::builder().listen("0.0.0.0:0").refused();
    assert!(code == 2 && said.contains("allow_plaintext"), "{said}");
    let allowed = Daemon::builder().listen("0.0.0.0:0").config("[access]\nallow_plaintext = true\n").start();
    let Address::Tcp(address) = allowed.tcp().address().clone() else { unreachable!() };
    assert!(address.ip().is_unspecified() && address.port() != 0);
}

#[test]
fn a_second_daemon_on_the_same_directory_says_who_holds_it() {
    let daemon = Daemon::start();
    let mut second = serve(daemon.dir());
    second.arg("--state-dir").arg(daemon.state_dir()).args(["--listen", "127.0.0.1:0"]);
    let (code, stdout, said) = output(second);
    assert_eq!((code, &*stdout), (1, ""), "{said}");
    let Address::Tcp(address) = daemon.tcp().address().clone() else { unreachable!() };
    for part in [daemon.state_dir().display().to_string(), format!("pid {}", daemon.pid()), format!("http://{address}")]
    {
        assert!(said.contains(&part), "{part:?} is not in {said}");
    }
    daemon.get("/healthz").expect(200);
    daemon.tcp().get("/healthz").expect(200);
}

#[test]
fn a_database_of_somebody_else_or_of_the_future_is_left_as_it_was() {
    let foreign = |path: &Path| {
        let database = Connection::open(path).unwrap();
        database.execute_batch("CREATE TABLE photos (id INTEGER); INSERT INTO photos VALUES (1)").unwrap();
    };
    let garbage = |path: &Path| std::fs::write(path, "no database at all\n".repeat(1_000)).unwrap();
    let newer = |path: &Path| {
        let mut daemon = Daemon::start();
        daemon.sh("true");
        daemon.stop();
        std::fs::copy(daemon.state_dir().join("runabout.db"), path).unwrap();
        Connection::open(path).unwrap().execute_batch("PRAGMA user_version = 4711").unwrap();
    };
    type Make<'a> = &'a dyn Fn(&Path);
    let cases: [(&str, Make, &str); 3] = [
        ("somebody else's", &foreign, "not a Runabout database"),
        ("no database", &garbage, "not a Runabout database"),
        ("a newer one", &newer, "4711"),
    ];
    for (what, make, wanted) in cases {
        let dir = TempDir::new();
        let path = dir.path().join("runabout.db");
        make(&path);
        let read = || std::fs::read(&path).unwrap();
        let before = read();
        let mut command = serve(dir.path());
        command.arg("--state-dir").arg(dir.path()).args(["--listen", "none"]);
        let (code, stdout, said) = output(command);
        assert_eq!((code, &*stdout), (1, ""), "{what}: {said}");
        assert!(said.contains(wanted) && said.contains(&path.display().to_string()), "{what}: {said}");
        assert!(read() == before, "{what}: the file was changed");
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| name == "runabout.db" || name == "runabout.lock"), "{what}: {left:?}");
    }
}

#[test]
fn a_socket_path_that_is_too_long_is_an_error_that_says_so() {
    let dir = TempDir::new();
    let fitting = dir.path().join("x".repeat(107 - dir.path().as_os_str().len() - 1));
    let too_long = dir.path().join("x".repeat(108 - dir.path().as_os_str().len() - 1));
    let config = |path: &Path| format!("[access]\nsocket = {:?}\n", path.display().to_string());
    let (code, said) = Daemon::builder().config(&config(&too_long)).refused();
    assert!(code != 0 && said.contains("107") && said.contains(&too_long.display().to_string()), "{code} {said}");
    let daemon = Daemon::builder().config(&config(&fitting)).socket(&fitting).start();
    daemon.get("/healthz").expect(200);
    // By the length of the state directory, it is the same.
    let deep = dir.path().join("d".repeat(100));
    let mut command = serve(dir.path());
    command.arg("--state-dir").arg(&deep).args(["--listen", "none"]);
    let (code, stdout, said) = output(command);
    assert_eq!((code, &*stdout), (1, ""), "{said}");
    assert!(said.contains("107"), "{said}");
}

#[test]
fn every_file_is_the_daemons_own_whatever_the_umask() {
    for umask in ["000", "077", "777"] {
        if umask == "777" && !rustix::process::geteuid().is_root() {
            // Nobody but root can even enter what this makes.
            continue;
        }
        let wrapper = ["sh", "-c", &format!("umask {umask}; exec \"$@\""), "sh"];
        let mut daemon = Daemon::builder().wrapper(&wrapper).start();
        let run = daemon.sh("umask; echo x > made; stat -c %a made; rm made");
        daemon.wait_ended(run);
        let mode = |path: &Path| std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777;
        let modes = |dir: &Path| {
            let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
            entries.map(|entry| (entry.file_name().into_string().unwrap(), mode(&entry.path()))).collect::<Vec<_>>()
        };
        assert_eq!(mode(&daemon.state_dir()), 0o700, "umask {umask}");
        // Directories, as those of files that commands leave, are closed as that of all is.
        let is_dir = |(name, _): &(String, u32)| daemon.state_dir().join(name).is_dir();
        let (dirs, mut files): (Vec<_>, Vec<_>) = modes(&daemon.state_dir()).into_iter().partition(is_dir);
        assert!(dirs.iter().all(|(_, mode)| *mode == 0o700), "umask {umask}: {dirs:?}");
        files.sort();
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        let wanted = ["ballast", "db", "db-shm", "db-wal", "lock", "sock"].map(|name| format!("runabout.{name}"));
        assert_eq!(names, wanted);
        assert!(files.iter().all(|(_, mode)| *mode == 0o600), "umask {umask}: {files:?}");
        // The command has the umask that the daemon was started with.
        let (out, _) = crate::common::output_of(&daemon.events(run));
        assert!(String::from_utf8(out).unwrap().starts_with(&format!("0{umask}\n")), "umask {umask}");
        daemon.stop();
        assert!(!daemon.state_dir().join("runabout.sock").exists(), "the socket goes with the daemon");
    }
}

#[test]
fn a_directory_that_others_can_enter_is_used_with_a_warning() {
    let dir = TempDir::new();
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::set_permissions(&state, PermissionsExt::from_mode(0o755)).unwrap();
    let daemon = Daemon::builder().start_in(dir);
    assert!(daemon.log().contains("others can enter") && daemon.log().contains(&state.display().to_string()));
    daemon.get("/healthz").expect(200);
}

#[test]
fn one_line_on_standard_output_says_where_it_listens() {
    for (listen, scheme) in [("127.0.0.1:0", "http://127.0.0.1:"), ("[::1]:0", "http://[::1]:"), ("none", "/")] {
        if listen.starts_with('[') && std::net::TcpListener::bind("[::1]:0").is_err() {
            eprintln!("skipped: no IPv6 here");
            continue;
        }
        let dir = TempDir::new();
        let out = dir.path().join("out");
        let mut command = serve(dir.path());
        command.arg("--state-dir").arg(dir.path().join("state")).args(["--listen", listen, "--log", "trace"]);
        let file = std::fs::File::create(&out).unwrap();
        let mut child = command.stdout(file).stderr(Stdio::null()).spawn().unwrap();
        let read = || std::fs::read_to_string(&out).unwrap();
        eventually(DEADLINE, "it listens", || read().ends_with('\n'));
        let pid = child.id() as i32;
        crate::common::signal(pid, rustix::process::Signal::TERM);
        let until = Instant::now() + DEADLINE;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > until {
                let _ = child.kill();
                panic!("it does not stop");
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        assert_eq!(status.code(), Some(0));
        let said = read();
        assert!(said.starts_with(&format!("listening on {scheme}")), "{said:?}");
        assert_eq!(said.matches('\n').count(), 1, "{said:?}");
        if listen == "none" {
            assert_eq!(said, format!("listening on {}\n", dir.path().join("state/runabout.sock").display()));
        }
    }
}

#[test]
fn a_port_in_use_is_told_with_the_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = Daemon::builder().listen(&address).refused();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&address) && said.contains("--listen") && said.to_lowercase().contains("in use"), "{said}");
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let dir = TempDir::new();
    let mut command = serve(dir.path());
    command.arg("--state-dir").arg(dir.path().join("state")).args([
        "--listen",
        "none",
        "--log",
        "trace",
        "--log-format",
        "json",
    ]);
    // A pipe whose reader goes: each line from then on cannot be written.
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    let client = crate::common::Client::new(Address::Unix(dir.path().join("state/runabout.sock")));
    eventually(DEADLINE, "it serves", || client.call("GET", "/healthz").try_send().is_ok());
    for _ in 0..20 {
        client.get("/v1/runs").expect(200);
    }
    crate::common::signal(child.id() as i32, rustix::process::Signal::TERM);
    let mut status = None;
    eventually(DEADLINE, "it stops", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(0));
}
