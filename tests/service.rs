//! As a service: what the service manager is told, the sockets it hands over, the lines its journal gets, and the
//! units that ask for all of it. The test plays the manager; where systemd is there, it judges the units too.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::common::{
    Address, Builder, Client, DEADLINE, Daemon, TempDir, Traced, binary, eventually, output_of, strace_is_there,
};

/// Where a service manager listens.
struct Manager {
    dir: TempDir,
    socket: UnixDatagram,
}

impl Manager {
    fn new() -> Manager {
        let dir = TempDir::new();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        Manager { dir, socket }
    }

    fn daemon(&self) -> Builder {
        Daemon::builder().env("NOTIFY_SOCKET", self.dir.path().join("notify").to_str().unwrap())
    }

    /// The lines of the next message, if one comes in time.
    fn hear(&self, within: Duration) -> Option<Vec<String>> {
        self.socket.set_read_timeout(Some(within)).unwrap();
        let mut message = [0; 4_096];
        let count = self.socket.recv(&mut message).ok()?;
        Some(String::from_utf8(message[..count].to_vec()).unwrap().lines().map(str::to_owned).collect())
    }

    /// The next message that has this line.
    #[track_caller]
    fn until(&self, line: &str) -> Vec<String> {
        let until = Instant::now() + DEADLINE;
        while let Some(message) =
            self.hear(until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)))
        {
            if message.iter().any(|have| have == line) {
                return message;
            }
        }
        panic!("the manager never hears {line:?}");
    }
}

#[test]
fn the_manager_hears_of_ready_reload_and_stop() {
    let manager = Manager::new();
    let mut daemon = manager.daemon().config("[runs]\nshutdown_grace_s = 40").start();
    let ready = manager.hear(DEADLINE).expect("a first message");
    assert_eq!(ready[0], "READY=1", "nothing comes before it: {ready:?}");
    let status = ready.iter().find_map(|line| line.strip_prefix("STATUS=listening on http://")).unwrap();
    assert_eq!(
        Some(format!("{:?}", daemon.tcp().address())),
        status.parse().ok().map(|at| format!("{:?}", Address::Tcp(at)))
    );

    daemon.signal(Signal::HUP);
    let reloading = manager.until("RELOADING=1");
    let at: u64 = reloading.iter().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap().parse().unwrap();
    let uptime_s: f64 = std::fs::read_to_string("/proc/uptime").unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((at as f64 / 1e6 - uptime_s).abs() < 60.0, "{at} is not the monotonic clock, {uptime_s} s");
    manager.until("READY=1");

    daemon.stop();
    let stopping = manager.until("STOPPING=1");
    // Longer than the commands may take, whatever the unit says.
    assert!(stopping.contains(&"EXTEND_TIMEOUT_USEC=60000000".to_owned()), "{stopping:?}");
    assert_eq!(manager.hear(Duration::from_millis(1)), None, "no watchdog was asked for");
}

#[test]
fn a_stuck_store_is_not_reported_alive_and_a_slow_one_is() {
    const LIMIT: Duration = Duration::from_millis(400);
    let manager = Manager::new();
    let daemon = manager.daemon().env("WATCHDOG_USEC", &LIMIT.as_micros().to_string()).start();
    for _ in 0..3 {
        manager.until("WATCHDOG=1");
    }
    // A flush that takes three seconds holds the store's thread. Who only holds the database's lock does not.
    if !strace_is_there() {
        eprintln!("skipped: strace is not there, or ptrace is not allowed");
        return;
    }
    let traced = Traced::inject(daemon.pid(), daemon.dir().join("strace"), "fdatasync", "delay_enter=3000000:when=1");
    let client = Client::clone(&daemon);
    let submit = std::thread::spawn(move || client.post("/v1/runs", &json!({"script": "true"})).status);
    let until = Instant::now() + Duration::from_secs(4);
    while manager.hear(LIMIT * 2).is_some() {
        assert!(Instant::now() < until, "it says that it lives while its store is stuck");
    }
    daemon.get("/healthz").expect(200);
    assert_eq!(submit.join().unwrap(), 201);
    drop(traced);
    manager.until("WATCHDOG=1");
}

#[test]
fn somebody_elses_watchdog_is_left_alone() {
    let manager = Manager::new();
    let daemon = manager.daemon().env("WATCHDOG_USEC", "20000").env("WATCHDOG_PID", "1").start();
    manager.until("READY=1");
    daemon.wait_ended(daemon.sh("sleep 0.3"));
    assert_eq!(manager.hear(Duration::from_millis(1)), None);
}

#[test]
fn sockets_that_were_handed_over_are_served_in_any_order_and_left_where_they_are() {
    for unix_first in [true, false] {
        let dir = TempDir::new();
        let path = dir.path().join("handed.sock");
        let (tcp, unix) = (TcpListener::bind("127.0.0.1:0").unwrap(), UnixListener::bind(&path).unwrap());
        let address = tcp.local_addr().unwrap();
        let sockets = if unix_first { vec![unix.into(), tcp.into()] } else { vec![tcp.into(), unix.into()] };
        // What `--listen` and the configuration say does not count for what is there already.
        let mut daemon = Daemon::builder().listen("127.0.0.1:1").handed(sockets).socket(&path).start();
        assert_eq!(format!("{:?}", daemon.tcp().address()), format!("{:?}", Address::Tcp(address)));
        daemon.tcp().get("/healthz").expect(200);
        // The Unix socket knows its peer; a command inherits neither socket nor a word about them.
        let run = daemon.sh("ls /proc/self/fd | tr '\\n' ' '; env | grep ^LISTEN_");
        daemon.wait_ended(run);
        let (stdout, _) = output_of(&daemon.events(run));
        // The listing's own directory is 3.
        assert_eq!(String::from_utf8(stdout).unwrap(), "0 1 2 3 ");
        assert!(!daemon.state_dir().join("runabout.sock").exists());
        daemon.stop();
        assert!(path.exists(), "it is the manager's");
        // Both still listen, because the manager does: a client of the next start need not come again.
        let early = std::net::TcpStream::connect(address).expect("the manager's socket takes it");
        daemon.start_again();
        drop(early);
        daemon.get("/healthz").expect(200);
    }
}

#[test]
fn one_socket_handed_over_leaves_the_other_to_the_configuration() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let daemon = Daemon::builder().listen("none").handed(vec![tcp.into()]).start();
    assert_eq!(format!("{:?}", daemon.tcp().address()), format!("{:?}", Address::Tcp(address)));
    daemon.get("/healthz").expect(200);
    assert!(daemon.state_dir().join("runabout.sock").exists());
}

#[test]
fn what_cannot_be_served_is_refused_with_its_reason() {
    let everywhere = TcpListener::bind("0.0.0.0:0").unwrap();
    let (code, said) = Daemon::builder().handed(vec![everywhere.into()]).refused();
    assert!(code == 2 && said.contains("access.allow_plaintext"), "{code}: {said}");
    let (peer, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let (code, said) = Daemon::builder().handed(vec![peer.into()]).refused();
    assert!(code == 1 && said.contains("Accept=no"), "{code}: {said}");
}

/// A daemon whose standard error is the journal's, as far as it can tell.
fn journal(builder: Builder) -> (TempDir, Builder) {
    let dir = TempDir::new();
    let log = std::fs::File::create(dir.path().join("log")).unwrap().metadata().unwrap();
    (dir, builder.env("JOURNAL_STREAM", &format!("{}:{}", log.dev(), log.ino())))
}

#[test]
fn the_journal_gets_levels_and_keeps_its_own_time() {
    let (dir, builder) = journal(Daemon::builder());
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut daemon = builder.start_in(dir);
    daemon.stop();
    let log = daemon.log();
    assert!(log.lines().any(|line| line.starts_with("<4>others can enter the state directory")), "{log}");
    assert!(log.lines().any(|line| line == "<6>stopping"), "{log}");
    assert!(log.lines().all(|line| line.starts_with('<') && line[2..].starts_with('>')), "{log}");
}

#[test]
fn a_refusal_is_an_error_in_the_journal() {
    let (dir, builder) = journal(Daemon::builder());
    let held = builder.start_in(dir);
    let log = held.dir().join("log");
    let meta = std::fs::metadata(&log).unwrap();
    let mut second = Command::new(binary());
    second.arg("serve").arg("--state-dir").arg(held.state_dir());
    second.env("JOURNAL_STREAM", format!("{}:{}", meta.dev(), meta.ino()));
    second.stderr(std::fs::File::options().append(true).open(&log).unwrap());
    assert_eq!(second.status().unwrap().code(), Some(1));
    assert!(held.log().lines().any(|line| line.starts_with("<3>") && line.contains("held by another daemon")));
}

#[test]
fn json_lines_have_these_fields_and_no_others() {
    let mut daemon = Daemon::builder().arg("--log-format").arg("json").start();
    daemon.stop();
    for line in daemon.log().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let fields: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["at", "level", "target", "message"]);
        assert!(["error", "warn", "info", "debug", "trace"].contains(&line["level"].as_str().unwrap()), "{line}");
        assert!(line["at"].as_str().is_some_and(|at| at.len() == 24 && at.ends_with('Z')), "{line}");
    }
}

fn dist() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dist")
}

/// The settings of a unit, in order.
fn settings(unit: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(dist().join("systemd").join(unit)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && line.contains('='));
    lines.filter_map(|line| line.split_once('=')).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn the_units_ask_for_what_the_daemon_gives() {
    for unit in ["runabout.service", "runabout@.service", "user/runabout.service"] {
        let settings = settings(unit);
        let of = |key: &str| settings.iter().find(|(have, _)| have == key).map(|(_, value)| value.as_str());
        for (key, value) in [
            ("Type", "notify"),
            ("NotifyAccess", "main"),
            ("KillMode", "mixed"),
            ("Restart", "on-failure"),
            // Wrong usage or configuration: to start it again would only say so again.
            ("RestartPreventExitStatus", "2"),
            ("OOMPolicy", "continue"),
            // The daemon makes a cgroup for each run, and is in a leaf of its own.
            ("Delegate", "yes"),
            ("DelegateSubgroup", "daemon"),
        ] {
            assert_eq!(of(key), Some(value), "{key} in {unit}");
        }
        // Half of it is the longest that nothing may happen in an idle daemon.
        assert_eq!(of("WatchdogSec"), Some("2min"), "{unit}");
        let grace_s = runabout::config::Config::default().runs.shutdown_grace_s;
        let timeout_s: u64 = of("TimeoutStopSec").and_then(|value| value.strip_suffix('s')).unwrap().parse().unwrap();
        assert!(timeout_s >= grace_s + 20, "{unit}");
        assert!(of("ExecStart").unwrap().starts_with("/usr/bin/runabout serve"), "make install puts PREFIX there");
    }
    let whole = settings("runabout.service");
    let state = |key: &str, value: &str| assert!(whole.contains(&(key.into(), value.into())), "{key}={value}");
    state("User", "runabout");
    state("StateDirectoryMode", "0700");
    state("RuntimeDirectory", "runabout");
    // The home of the service's user, where commands start, is no directory that holds the database.
    state("StateDirectory", "runabout runabout/home");
}

#[test]
fn the_packaged_configuration_is_valid() {
    let dir = TempDir::new();
    // The group is made by the package.
    let text = std::fs::read_to_string(dist().join("config.toml")).unwrap();
    assert!(text.contains("\nsocket = \"/run/runabout/runabout.sock\"\n"), "clients look there");
    let config = dir.path().join("config.toml");
    std::fs::write(&config, text.replace("socket_group = \"runabout\"", "socket_group = \"root\"")).unwrap();
    let mut check = Command::new(binary());
    check.args(["serve", "--check", "--config"]).arg(&config).arg("--state-dir").arg(dir.path());
    let said = check.output().unwrap();
    assert!(said.status.success(), "{said:?}");
}

#[test]
fn systemd_understands_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("skipped: systemd-analyze is not here");
        return;
    }
    // It looks for the program and the user; what it is to judge are the units.
    let dir = TempDir::new();
    for unit in ["runabout.service", "runabout@.service", "runabout.socket"] {
        let text = std::fs::read_to_string(dist().join("systemd").join(unit)).unwrap();
        std::fs::write(dir.path().join(unit), text.replace("/usr/bin/runabout", binary())).unwrap();
    }
    let user = std::fs::read_to_string(dist().join("systemd/user/runabout.service")).unwrap();
    std::fs::write(dir.path().join("runabout-user.service"), user.replace("/usr/bin/runabout", binary())).unwrap();
    for unit in ["runabout.service", "runabout@root.service", "runabout.socket", "runabout-user.service"] {
        let mut verify = Command::new("systemd-analyze");
        verify.args(["verify", "--man=no"]).arg(dir.path().join(unit));
        let said = verify.output().unwrap();
        let text = String::from_utf8_lossy(&said.stderr);
        // Of other units on the machine it says what it likes.
        let is_later = |line: &&str| line.contains("Unknown key 'DelegateSubgroup'");
        // systemd before 254 does without what it does not know, and the daemon too.
        let ours: Vec<&str> = text.lines().filter(|line| line.contains("runabout") && !is_later(line)).collect();
        assert!(ours.is_empty(), "{unit}: {ours:?}");
    }
}

#[test]
fn a_stop_under_the_manager_waits_for_commands_within_their_grace() {
    let manager = Manager::new();
    let mut daemon = manager.daemon().start();
    let gate = daemon.gate("gate");
    let run = daemon.submit(&json!({"script": format!("trap '' TERM; echo up; {}", gate.wait())}));
    eventually(DEADLINE, "the command is up", || !output_of(&daemon.events(run)).0.is_empty());
    daemon.signal(Signal::TERM);
    manager.until("STOPPING=1");
    // It says so while commands still run, not after them.
    assert_eq!(daemon.run(run)["status"], "running");
    gate.open();
    assert!(daemon.wait_exit(DEADLINE).success());
}
