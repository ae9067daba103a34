//! `login` sends every command to one daemon, and `logout` brings them back: the session ends there, the file goes here.

use std::process::Command;

use crate::common::{Address, Daemon, Ended, Running, binary_in};

/// The client as at a person's desk: nothing but a home says where a daemon is.
#[track_caller]
fn at_desk(daemon: &Daemon, arguments: &[&str]) -> Ended {
    let mut command = daemon.cli();
    command.env_remove("RUNABOUT_STATE_DIR").args(arguments);
    Running::start(command).ended()
}

fn url(daemon: &Daemon) -> String {
    match daemon.tcp().address() {
        Address::Tcp(address) => format!("http://{address}"),
        other => panic!("{other:?}"),
    }
}

fn sessions(daemon: &Daemon) -> usize {
    daemon.get("/v1/sessions").json()["sessions"].as_array().unwrap().len()
}

#[test]
fn logout_ends_the_session_and_forgets_it() {
    let daemon = Daemon::start();
    let saved = daemon.dir().join("xdg/runabout/login.toml");
    let token = daemon.post("/v1/enrollment-tokens", &serde_json::json!({"role": "operator"})).expect(201).json();
    at_desk(&daemon, &["login", &url(&daemon), token["token"].as_str().unwrap()]).expect(0);
    assert!(saved.exists() && sessions(&daemon) == 1);
    let refused = at_desk(&daemon, &["enroll"]).expect(1).stderr;
    assert!(refused.contains("yours is operator") && refused.contains("runabout logout"), "{refused}");
    at_desk(&daemon, &["logout"]).expect(0);
    assert!(!saved.exists() && sessions(&daemon) == 0);
    at_desk(&daemon, &["logout"]).expect(0);
    for stray in ["--url", "--state-dir"] {
        at_desk(&daemon, &["logout", stray, "/x"]).expect(2);
    }
}

#[test]
fn logout_forgets_a_daemon_that_is_gone_and_says_what_stays() {
    let mut daemon = Daemon::start();
    let saved = daemon.dir().join("xdg/runabout/login.toml");
    let token = daemon.post("/v1/enrollment-tokens", &serde_json::json!({"role": "viewer"})).expect(201).json();
    at_desk(&daemon, &["login", &url(&daemon), token["token"].as_str().unwrap()]).expect(0);
    daemon.stop();
    let said = at_desk(&daemon, &["logout"]).expect(0).stderr;
    assert!(!saved.exists() && said.contains("keeps the session"), "{said}");
}

#[test]
fn who_is_no_admin_of_the_socket_is_told_who_is() {
    // Another user than root, in the socket's group: needs root to become one.
    if !rustix::process::geteuid().is_root() {
        return println!("skipped: needs root");
    }
    let dir = std::env::temp_dir().join(format!("rbgroup{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (socket, program) = (dir.join("r.sock"), binary_in(&dir));
    let config = format!("[access]\nsocket = {:?}\nsocket_group = \"daemon\"\n", socket.display().to_string());
    let daemon = Daemon::builder().config(&config).socket(&socket).start();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "nobody", "--regid", "daemon", "--clear-groups"]).arg(&program);
    command.args(["enroll", "--url", &format!("unix:{}", socket.display())]);
    let said = Running::start(command).ended();
    if !said.stderr.contains("setpriv:") {
        assert!(said.stderr.contains("yours is operator") && said.stderr.contains("sudo runabout"), "{said:?}");
    }
    drop(daemon);
    std::fs::remove_dir_all(dir).unwrap();
}
