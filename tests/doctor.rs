//! The doctor looks at everything, says what is wrong and what to do, and changes nothing.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::common::{Daemon, Ended, Running, TempDir, binary_in, cli};

#[track_caller]
fn doctor_with(daemon: &Daemon, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Ended {
    let mut command = daemon.cli();
    command.args(["--json", "doctor"]).args(arguments);
    change(&mut command);
    Running::start(command).ended()
}

#[track_caller]
fn doctor(daemon: &Daemon, code: i32) -> Value {
    doctor_with(daemon, &[], |_| {}).expect(code).json()
}

#[track_caller]
fn finding<'a>(report: &'a Value, check: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|finding| finding["check"] == check).unwrap_or_else(|| panic!("no {check} in {report:#}"))
}

#[track_caller]
fn assert_found(report: &Value, check: &str, level: &str, words: &str) {
    let finding = finding(report, check);
    assert_eq!(finding["level"], level, "{report:#}");
    assert!(finding["found"].as_str().unwrap().contains(words), "{words:?} in {finding}");
    assert_eq!(finding["advice"].is_string(), level != "ok", "{finding}");
}

/// Names, sizes and contents of the state directory.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let files = files.filter(|file| file.file_type().unwrap().is_file());
    let mut files: Vec<_> = files
        .map(|file| (file.file_name().to_str().unwrap().to_owned(), std::fs::read(file.path()).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn a_daemon_that_works_is_well() {
    let daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("echo hello"));
    let report = doctor(&daemon, 0);
    assert_eq!((&report["ok"], &report["version"]), (&json!(true), &json!(env!("CARGO_PKG_VERSION"))));
    assert_eq!(report["state_dir"], json!(daemon.state_dir().to_str().unwrap()));
    for (check, words) in [
        ("configuration", "config.toml"),
        ("state_dir", "mode 0700"),
        ("files", "alone"),
        ("lock", &format!("pid {}", daemon.pid())),
        ("socket", "runabout.sock"),
        ("flush", " ms"),
        ("database", "1 run, events up to 4; schema "),
        ("database", "journal_mode wal"),
        ("health", "sound"),
        ("log", "runabout.db-wal"),
        ("descriptors", "the daemon may have"),
        ("processes", "pidfds and /proc are there"),
        ("daemon", daemon.get("/v1/system").json()["instance"].as_str().unwrap()),
        ("listen", "http://127.0.0.1:"),
        // Nothing is delegated to whoever runs this.
        ("limits", "memory_bytes, cpu_percent, tasks cannot be limited: "),
    ] {
        assert_found(&report, check, "ok", words);
    }
    assert!(finding(&report, "disk")["found"].as_str().unwrap().contains("free"), "{report:#}");
    assert!(finding(&report, "clock")["found"].as_str().unwrap().starts_with("20"), "{report:#}");
    let full = doctor_with(&daemon, &["--full"], |_| {}).expect(0).json();
    assert_found(&full, "health", "ok", "with its indexes");
    let text = cli(&daemon, &["doctor"]).expect(0).text();
    assert!(text.lines().any(|line| line.starts_with("ok    lock ")), "{text}");
    daemon.call("PUT", "/v1/drain").send().expect(200);
    assert_found(&doctor(&daemon, 0), "daemon", "warn", "drained");
}

#[test]
fn without_a_daemon_it_looks_and_leaves_all_as_it_is() {
    let mut daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("echo hello"));
    daemon.stop();
    let before = contents(&daemon.state_dir());
    let report = doctor(&daemon, 0);
    assert_found(&report, "daemon", "warn", "none runs");
    assert_found(&report, "lock", "ok", "free");
    assert_found(&report, "database", "ok", "journal_mode wal");
    assert_found(&report, "health", "ok", "sound");
    assert_eq!(contents(&daemon.state_dir()), before);
    // One that died has left its log, which is read and left.
    daemon.start_again();
    daemon.wait_ended(daemon.sh("echo again"));
    daemon.kill9();
    let sizes =
        || contents(&daemon.state_dir()).into_iter().map(|(name, bytes)| (name, bytes.len())).collect::<Vec<_>>();
    let before = sizes();
    let report = doctor(&daemon, 0);
    assert_found(&report, "database", "ok", "2 runs, events up to 8");
    assert_found(&report, "log", "ok", "did not end by itself");
    assert_found(&report, "socket", "ok", "died");
    assert_eq!(sizes(), before);
    let nowhere = daemon.dir().join("nowhere");
    let report = doctor_with(&daemon, &["--state-dir", nowhere.to_str().unwrap()], |_| {}).expect(1).json();
    assert_found(&report, "state_dir", "fail", "is not there");
    assert!(!nowhere.exists());
}

#[test]
fn damage_is_told_and_left_as_it_is() {
    let mut daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("head -c 400000 /dev/urandom | base64"));
    daemon.stop();
    let database = daemon.state_dir().join("runabout.db");
    let sound = std::fs::read(&database).unwrap();
    let spoil = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = sound.clone();
        change(&mut bytes);
        std::fs::write(&database, &bytes).unwrap();
        let report = doctor(&daemon, 1);
        assert_eq!(report["ok"], false);
        assert_eq!(std::fs::read(&database).unwrap(), bytes);
        report
    };
    let middle = sound.len() / 2 / 4_096 * 4_096;
    let report = spoil(&|bytes| bytes[middle..middle + 4_096].fill(0xa5));
    assert_found(&report, "health", "fail", "is damaged");
    assert!(finding(&report, "health")["advice"].as_str().unwrap().contains("runabout restore"), "{report:#}");
    assert_found(&spoil(&|bytes| bytes.fill(b'x')), "database", "fail", "it is not a Runabout database");
    // The schema's version, in the header, big-endian.
    assert_found(&spoil(&|bytes| bytes[63] = 99), "database", "fail", "its schema is version 99");
    std::fs::write(&database, &sound).unwrap();
    doctor(&daemon, 0);
}

#[test]
fn what_others_can_read_and_what_is_misconfigured_is_told() {
    let mut daemon = Daemon::start();
    let open = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    open(&daemon.state_dir(), 0o755);
    open(&daemon.state_dir().join("runabout.db"), 0o644);
    let report = doctor(&daemon, 0);
    assert_found(&report, "state_dir", "warn", "mode 0755");
    assert_found(&report, "files", "warn", "others can read: runabout.db");
    // The file that the running daemon was given is what counts.
    let config = daemon.dir().join("config.toml");
    std::fs::write(&config, "listn = 1\n[limits]\nconnections = 1_000_000\n").unwrap();
    let report = doctor(&daemon, 1);
    assert_found(&report, "configuration", "fail", "listn");
    std::fs::write(&config, "[limits]\nconnections = 60_000\n").unwrap();
    let report = doctor_with(&daemon, &[], |_| {}).json();
    assert_found(&report, "configuration", "ok", "config.toml");
    // Somebody else has the port that the next daemon wants.
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("listen = \"{}\"\n", other.local_addr().unwrap());
    daemon.stop();
    let elsewhere = daemon.dir().join("elsewhere.toml");
    std::fs::write(&elsewhere, listen).unwrap();
    let report = doctor_with(&daemon, &["--config", elsewhere.to_str().unwrap()], |_| {}).expect(0).json();
    assert_found(&report, "listen", "warn", "something else listens");
    assert!(doctor_with(&daemon, &["--config", "/nowhere.toml"], |_| {}).expect(1).stdout.starts_with(b"{"));
}

#[test]
fn somebody_else_is_told_what_they_may_not_see() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let daemon = Daemon::start();
    // The binary may lie where nobody else can go.
    let place = TempDir::new();
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = Command::new(binary_in(place.path()));
    command.args(["--json", "doctor", "--state-dir", daemon.state_dir().to_str().unwrap()]);
    command.env_clear().uid(65_534).gid(65_534).current_dir("/");
    let report = Running::start(command).ended().expect(0).json();
    for check in ["files", "lock", "socket", "flush", "database", "daemon"] {
        let finding = finding(&report, check);
        assert_eq!(finding["level"], "warn", "{finding}");
        assert!(finding["advice"].as_str().unwrap().contains("be root"), "{finding}");
    }
}

#[cfg(feature = "tls")]
#[test]
fn a_certificate_is_told_before_it_ends() {
    use rcgen::{CertificateParams, KeyPair};
    let daemon = Daemon::start();
    let (cert, key) = (daemon.dir().join("cert.pem"), daemon.dir().join("key.pem"));
    let config = daemon.dir().join("tls.toml");
    std::fs::write(&config, format!("[tls]\ncert = \"{}\"\nkey = \"{}\"\n", cert.display(), key.display())).unwrap();
    let pair = KeyPair::generate().unwrap();
    let now = std::time::SystemTime::now();
    let days = |days: u64| std::time::Duration::from_secs(days * 86_400);
    let with = |from: std::time::SystemTime, to: std::time::SystemTime, code: i32| {
        let mut params = CertificateParams::new(vec!["pi.local".to_owned()]).unwrap();
        // As `openssl req -x509` makes them: its own authority.
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.not_before = from.into();
        params.not_after = to.into();
        std::fs::write(&cert, params.self_signed(&pair).unwrap().pem()).unwrap();
        std::fs::write(&key, pair.serialize_pem()).unwrap();
        doctor_with(&daemon, &["--config", config.to_str().unwrap()], |_| {}).expect(code).json()
    };
    assert_found(&with(now - days(1), now + days(100), 0), "tls", "ok", "until 20");
    assert_found(&with(now - days(100), now + days(5), 0), "tls", "warn", "it ends 20");
    assert_found(&with(now - days(100), now - days(1), 1), "tls", "fail", "it ended 20");
    assert_found(&with(now + days(1), now + days(100), 1), "tls", "fail", "it begins 20");
    std::fs::write(&key, "no key").unwrap();
    let report = doctor_with(&daemon, &["--config", config.to_str().unwrap()], |_| {}).expect(1).json();
    assert_found(&report, "tls", "fail", "there is no private key in it");
    std::fs::remove_file(&cert).unwrap();
    let report = doctor_with(&daemon, &["--config", config.to_str().unwrap()], |_| {}).expect(1).json();
    assert_found(&report, "tls", "fail", "cert.pem");
}

#[test]
fn jobs_that_cannot_start_or_fail_again_and_again_are_named() {
    let mut daemon = Daemon::start();
    let put = |daemon: &Daemon, name: &str, script: &str, more: Value| {
        let mut job = json!({"run": {"script": script}, "zone": "UTC"});
        job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        daemon.put(&format!("/v1/jobs/{name}"), &job).expect(201);
    };
    put(&daemon, "fine", "true", json!({"schedule": "@yearly"}));
    assert_found(&doctor(&daemon, 0), "jobs", "ok", "1 job, none broken");
    put(&daemon, "fails", "exit 3", json!({}));
    put(&daemon, "mended", "exit $PARAM_CODE", json!({"params": {"code": {"type": "integer", "default": 3}}}));
    put(&daemon, "gone", "true", json!({"schedule": "@daily", "zone": "Europe/Berlin"}));
    put(&daemon, "silent", "true", json!({"schedule": "@daily"}));
    let start = |name: &str, params: Value| {
        let run = daemon.post(&format!("/v1/jobs/{name}/runs"), &json!({ "params": params })).expect(201).json();
        daemon.wait_ended(run["id"].as_i64().unwrap())
    };
    let first = start("fails", json!({}));
    for _ in 0..2 {
        start("fails", json!({}));
    }
    for code in [3, 3, 3, 0] {
        start("mended", json!({"code": code}));
    }
    daemon.stop();
    // A zone that is in no data any more, and a job that was made long ago and saw no daemon since.
    let database = rusqlite::Connection::open(daemon.state_dir().join("runabout.db")).unwrap();
    database
        .execute_batch(
            "UPDATE jobs SET definition = replace(definition, 'Europe/Berlin', 'Europe/Atlantis') WHERE name = 'gone';
             UPDATE jobs SET changed_at = changed_at - 200000000 WHERE name = 'silent'",
        )
        .unwrap();
    drop(database);
    let report = doctor(&daemon, 1);
    let of_jobs: Vec<&Value> =
        report["checks"].as_array().unwrap().iter().filter(|finding| finding["check"] == "jobs").collect();
    let told: Vec<(&str, &str)> =
        of_jobs.iter().map(|told| (told["level"].as_str().unwrap(), told["found"].as_str().unwrap())).collect();
    let since = first["ended_at"].as_str().unwrap();
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[0], ("warn", &*format!("fails fails: its last 3 runs, since {since}")));
    assert!(told[1].0 == "fail" && told[1].1.starts_with("gone is broken and does not start: "), "{told:?}");
    assert!(told[2].0 == "warn" && told[2].1.starts_with("silent has never fired: it was due at 20"), "{told:?}");
    assert!(of_jobs.iter().all(|told| told["advice"].is_string()), "{of_jobs:?}");
}
