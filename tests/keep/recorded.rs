//! Keepers outlive upgrades: what daemon and keeper of each version of the protocol told each other lies in
//! `tests/keep_recorded/`, and each side of today has to understand the other side of then.
//!
//! A recording is of one version, and stays as it is when there is a later one. With `RECORD_KEEP=1` in the environment that of
//! today's version is made, by the real two with this in between (as of another build: `SUITE_BINARY=PATH`). Of the command's
//! environment it leaves out what the machine had in it.

use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use super::tape::{End, Told, of_file, read, versions, write};
use super::{assert_nothing_is_left, ending, wait_printed};
use crate::common::{DEADLINE, Daemon, TempDir, binary, eventually, output_of, wait_gone};

const HELLO: u8 = 1;
const EXEC: u8 = 2;
const ACK: u8 = 4;
const INPUT: u8 = 5;
const RELEASE: u8 = 11;
const WELCOME: u8 = 64;
const STARTED: u8 = 65;
const OUTPUT: u8 = 66;
const ENDED: u8 = 69;
/// What is waited for before what followed it is sent: what came of something else, not of time.
const WAITED_FOR: [u8; 5] = [HELLO, EXEC, INPUT, STARTED, ENDED];

/// What is recorded: a command that is found again, and one that ends while nobody is there.
const FOUND: &str = "echo one; echo err >&2; read a; echo got $a; read b; echo two; exit 7";
const LEFT: &str = "echo begun; sleep 2; printf 'end\\377'; exit 3";
/// All that of its environment is recorded.
const ENVIRONMENT: [&str; 6] =
    ["PATH", "PYTHONUNBUFFERED", "RUNABOUT_ATTEMPT", "RUNABOUT_INSTANCE", "RUNABOUT_RUN_ID", "RUNABOUT_RUN_TOKEN"];

fn found() -> Value {
    json!({"script": FOUND, "survive": true, "stdin": "open", "cwd": "/", "timeout_s": 3600, "stop_signal": "INT"})
}

fn left() -> Value {
    json!({"script": LEFT, "survive": true, "cwd": "/"})
}

fn feed(daemon: &Daemon, run: i64, text: &str) {
    let path = format!("/v1/runs/{run}/stdin");
    daemon.call("POST", &path).body("application/octet-stream", text.as_bytes()).send().expect(204);
}

/// A daemon whose runtime directory is the test's, where the test is the service manager.
struct Stage {
    daemon: Daemon,
    runtime: PathBuf,
}

impl Stage {
    fn new() -> Stage {
        let dir = TempDir::new();
        let runtime = dir.path().join("runtime");
        std::fs::DirBuilder::new().mode(0o700).create(&runtime).unwrap();
        let daemon = Daemon::builder().env("RUNTIME_DIRECTORY", runtime.to_str().unwrap()).start_in(dir);
        Stage { daemon, runtime }
    }

    /// A place where the daemon connects to.
    fn listen(&self, name: &str) -> UnixListener {
        let path = self.runtime.join(name);
        let _ = std::fs::remove_file(&path);
        UnixListener::bind(path).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.runtime.join("keep")).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    fn kept(&self, name: &str) -> PathBuf {
        self.runtime.join("keep").join(name)
    }
}

/// A keeper as the service manager starts it, and this end of its connection.
fn keeper(mark: &Path) -> (Child, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut keeper = Command::new(binary());
    keeper.arg("keep").env("SUITE_DIR", mark).stdin(Stdio::from(OwnedFd::from(theirs)));
    (keeper.spawn().unwrap(), ours)
}

/// Passes on what two ends tell each other, and writes it down.
fn between(daemon: UnixStream, keeper: UnixStream) -> JoinHandle<Vec<Told>> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let pass = |from: UnixStream, to: UnixStream, by_daemon: bool| {
        let told = told.clone();
        std::thread::spawn(move || {
            let (mut from, mut to) = (End::new(from), End::new(to));
            while let Some(frame) = from.next(by_daemon) {
                told.lock().unwrap().push(frame.clone());
                match from.descriptor.take() {
                    Some(descriptor) => to.send_with(&frame, &descriptor),
                    None => _ = to.send(&frame),
                }
            }
            let _ = to.socket.shutdown(std::net::Shutdown::Both);
        })
    };
    let both = [pass(daemon.try_clone().unwrap(), keeper.try_clone().unwrap(), true), pass(keeper, daemon, false)];
    std::thread::spawn(move || {
        both.into_iter().for_each(|side| side.join().unwrap());
        let told = told.lock().unwrap();
        told.clone()
    })
}

/// Without what the machine has in the command's environment.
fn scrubbed(mut told: Vec<Told>) -> Vec<Told> {
    for exec in told.iter_mut().filter(|told| told.kind == EXEC) {
        let mut json = exec.json();
        let variables = json["command"]["environment"].as_array_mut().unwrap();
        variables.retain(|variable| ENVIRONMENT.iter().any(|name| variable[0] == *name));
        for variable in variables.iter_mut().filter(|variable| variable[0] == "PATH") {
            variable[1] = "/usr/local/bin:/usr/bin:/bin".into();
        }
        exec.body = serde_json::to_vec(&json).unwrap();
    }
    told
}

#[test]
fn what_the_two_of_today_tell_each_other_can_be_recorded() {
    if std::env::var("RECORD_KEEP").is_err() {
        println!("skipped: it is done with RECORD_KEEP=1");
        return;
    }
    let mut stage = Stage::new();
    let manager = stage.listen("keep.sock");
    let run = stage.daemon.submit(&found());
    let (mut process, ours) = keeper(stage.daemon.dir());
    let first = between(manager.accept().unwrap().0, ours);
    wait_printed(&stage.daemon, run, "one");
    feed(&stage.daemon, run, "x\n");
    wait_printed(&stage.daemon, run, "got x");
    stage.daemon.kill9();
    let first = scrubbed(first.join().unwrap());
    let version = first.iter().find(|told| told.kind == WELCOME).unwrap().json()["version"].as_u64().unwrap() as u32;
    write(version, "started", "A command is started and given a line; then the daemon was killed.", &first);

    let name = stage.names().pop().unwrap();
    std::fs::rename(stage.kept(&name), stage.kept("aside")).unwrap();
    let found_again = stage.listen(&format!("keep/{name}"));
    stage.daemon.start_again();
    let real = UnixStream::connect(stage.kept("aside")).unwrap();
    let second = between(found_again.accept().unwrap().0, real);
    eventually(DEADLINE, "it takes input", || {
        let path = format!("/v1/runs/{run}/stdin");
        stage.daemon.call("POST", &path).body("application/octet-stream", b"y\n").send().status == 204
    });
    stage.daemon.wait_ended(run);
    assert!(process.wait().unwrap().success());
    let second = second.join().unwrap();
    write(version, "found", "The next daemon finds it, gives it another line, and it ends.", &second);
    std::fs::remove_file(stage.kept("aside")).unwrap();

    let run = stage.daemon.submit(&left());
    let (mut process, ours) = keeper(stage.daemon.dir());
    let third = between(manager.accept().unwrap().0, ours);
    wait_printed(&stage.daemon, run, "begun");
    stage.daemon.kill9();
    write(version, "begun", "Another command is started, and the daemon was killed.", &scrubbed(third.join().unwrap()));
    assert!(process.wait().unwrap().success());
    let rest = of_file(stage.kept(&stage.names().pop().unwrap()));
    write(version, "left", "What the keeper left of that, which ended before there was another daemon.", &rest);
}

/// Tells a daemon all that a keeper said, each when it has heard what came before, until `last` was told or heard.
fn speak_as_keeper(socket: UnixStream, recorded: Vec<Told>) -> JoinHandle<UnixStream> {
    std::thread::spawn(move || {
        let mut end = End::new(socket);
        for told in recorded {
            if !told.by_daemon {
                assert!(end.send(&told), "it went before it was told {told:?}");
            } else if WAITED_FOR.contains(&told.kind) || told.kind == RELEASE {
                while end.next(true).unwrap_or_else(|| panic!("it went before {told:?}")).kind != told.kind {}
            }
        }
        end.socket
    })
}

/// A daemon of today with a run that waits in a database of a recording's name.
fn stage_for(recorded: &[Told], run: &Value, number: i64) -> (Stage, i64) {
    let hello = recorded.iter().find(|told| told.kind == HELLO).unwrap().json();
    let mut stage = Stage::new();
    stage.daemon.put("/v1/queues/default", &json!({"paused": true})).expect(200);
    let mut id = 0;
    while id < number {
        id = stage.daemon.submit(run);
        if id < number {
            assert!(stage.daemon.post(&format!("/v1/runs/{id}/cancel"), &json!({})).status < 300);
        }
    }
    assert_eq!((hello["run"].as_i64(), hello["attempt"].as_i64()), (Some(id), Some(1)));
    stage.daemon.stop();
    let database = rusqlite::Connection::open(stage.daemon.state_dir().join("runabout.db")).unwrap();
    let instance = hello["instance"].as_str().unwrap();
    assert_eq!(database.execute("UPDATE meta SET value = ?1 WHERE key = 'instance'", [instance]).unwrap(), 1);
    drop(database);
    stage.daemon.start_again();
    (stage, id)
}

#[test]
fn a_keeper_of_each_version_is_understood_when_it_starts_a_command_and_when_it_is_found_again() {
    for version in versions() {
        let (started, found_again) = (read(version, "started"), read(version, "found"));
        let (mut stage, run) = stage_for(&started, &found(), 1);
        let manager = stage.listen("keep.sock");
        stage.daemon.put("/v1/queues/default", &json!({"paused": false})).expect(200);
        let spoken = speak_as_keeper(manager.accept().unwrap().0, started.clone());
        wait_printed(&stage.daemon, run, "one");
        feed(&stage.daemon, run, "x\n");
        let connection = spoken.join().unwrap();
        wait_printed(&stage.daemon, run, "got x");
        stage.daemon.kill9();
        drop(connection);
        let name = started.iter().find(|told| told.kind == HELLO).unwrap().json()["name"].as_str().unwrap().to_owned();
        let keeper = stage.listen(&format!("keep/{name}"));
        stage.daemon.start_again();
        let spoken = speak_as_keeper(keeper.accept().unwrap().0, found_again);
        eventually(DEADLINE, "it takes input", || {
            let path = format!("/v1/runs/{run}/stdin");
            stage.daemon.call("POST", &path).body("application/octet-stream", b"y\n").send().status == 204
        });
        let ended = stage.daemon.wait_ended(run);
        assert_eq!(ending(&ended), json!(["failed", "exited", 7, null]), "version {version}: {ended}");
        let (stdout, stderr) = output_of(&stage.daemon.events(run));
        assert_eq!((&stdout[..], &stderr[..]), (&b"one\ngot x\ntwo\n"[..], &b"err\n"[..]), "version {version}");
        assert_eq!(stage.daemon.kinds(run).iter().filter(|kind| *kind == "started").count(), 1);
        drop(spoken.join().unwrap());
        eventually(DEADLINE, "no file is left", || stage.names().is_empty());
    }
}

#[test]
fn what_a_keeper_of_each_version_left_is_understood() {
    for version in versions() {
        let (begun, rest) = (read(version, "begun"), read(version, "left"));
        let (mut stage, run) = stage_for(&begun, &left(), 2);
        let manager = stage.listen("keep.sock");
        stage.daemon.put("/v1/queues/default", &json!({"paused": false})).expect(200);
        let connection = speak_as_keeper(manager.accept().unwrap().0, begun.clone()).join().unwrap();
        wait_printed(&stage.daemon, run, "begun");
        stage.daemon.kill9();
        drop(connection);
        let name = begun.iter().find(|told| told.kind == HELLO).unwrap().json()["name"].as_str().unwrap().to_owned();
        let bytes: Vec<u8> = rest.iter().flat_map(Told::bytes).collect();
        let file = stage.kept(&format!("{name}.end"));
        std::fs::write(&file, bytes).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        stage.daemon.start_again();
        let ended = stage.daemon.wait_ended(run);
        assert_eq!(ending(&ended), json!(["failed", "exited", 3, null]), "version {version}: {ended}");
        assert_eq!(output_of(&stage.daemon.events(run)).0, b"begun\nend\xff", "version {version}");
        eventually(DEADLINE, "no file is left", || stage.names().is_empty());
        assert_nothing_is_left(&stage.daemon);
    }
}

/// Tells a keeper all that a daemon said, each when it has heard what came before; answers all that it has heard.
fn speak_as_daemon(end: &mut End, recorded: &[Told], directory: &OwnedFd) -> Vec<Told> {
    let mut heard = Vec::new();
    for told in recorded {
        if told.by_daemon && told.kind == HELLO {
            end.send_with(told, directory);
        } else if told.by_daemon {
            // What is acknowledged was heard.
            while told.kind == ACK && end_of(&heard) < number(&told.body) {
                heard.push(end.next(false).expect("what it sent then it sends now"));
            }
            assert!(end.send(told), "it went before it was told {told:?}");
        } else if WAITED_FOR.contains(&told.kind) || told.kind == WELCOME {
            loop {
                let next = end.next(false).unwrap_or_else(|| panic!("it went before {told:?}"));
                heard.push(next.clone());
                if next.kind == told.kind {
                    break;
                }
            }
        }
    }
    heard
}

fn number(body: &[u8]) -> u64 {
    u64::from_le_bytes(*body.first_chunk().unwrap())
}

/// The offset behind the last byte of output.
fn end_of(heard: &[Told]) -> u64 {
    let outputs = heard.iter().filter(|told| told.kind == OUTPUT);
    outputs.map(|told| number(&told.body) + told.body.len() as u64 - 9).max().unwrap_or(0)
}

/// What of it comes after this many bytes of each stream, by offset.
fn printed(heard: &[Told], bytes: &mut Vec<(u8, u8)>) {
    for told in heard.iter().filter(|told| told.kind == OUTPUT) {
        let offset = number(&told.body) as usize;
        let stream = told.body[8] & 0x7f;
        assert!(offset <= bytes.len(), "there is a hole before {offset}");
        let known = bytes.len() - offset;
        bytes.extend(told.body[9..].iter().skip(known).map(|&byte| (stream, byte)));
    }
}

#[test]
fn a_daemon_of_each_version_is_understood_by_the_keeper_of_today() {
    for version in versions() {
        let (started, found_again) = (read(version, "started"), read(version, "found"));
        let dir = TempDir::new();
        let directory = OwnedFd::from(std::fs::File::open(dir.path()).unwrap());
        let (mut process, ours) = keeper(dir.path());
        let mut first = End::new(ours);
        let mut bytes = Vec::new();
        let mut heard = speak_as_daemon(&mut first, &started, &directory);
        let welcome = heard.iter().find(|told| told.kind == WELCOME).unwrap().json();
        assert_eq!((welcome["version"].as_u64(), welcome["run"].as_i64()), (Some(version.into()), Some(1)));
        let text = |heard: &[Told]| {
            let mut bytes = Vec::new();
            printed(heard, &mut bytes);
            String::from_utf8(bytes.iter().map(|(_, byte)| *byte).collect()).unwrap()
        };
        while !text(&heard).contains("got x") {
            heard.push(first.next(false).expect("it prints what it was given"));
        }
        printed(&heard, &mut bytes);
        drop(first);
        let name = started.iter().find(|told| told.kind == HELLO).unwrap().json()["name"].as_str().unwrap().to_owned();
        let mut second = End::new(UnixStream::connect(dir.path().join(&name)).unwrap());
        let (release, before): (Vec<&Told>, Vec<&Told>) = found_again.iter().partition(|told| told.kind == RELEASE);
        let before: Vec<Told> = before.into_iter().cloned().collect();
        let heard = speak_as_daemon(&mut second, &before, &directory);
        printed(&heard, &mut bytes);
        let ended = heard.last().unwrap().json();
        assert_eq!((ended["code"].as_i64(), &ended["signal"]), (Some(7), &Value::Null), "version {version}");
        let of = |stream: u8| {
            String::from_utf8(bytes.iter().filter(|(of, _)| *of == stream).map(|(_, byte)| *byte).collect()).unwrap()
        };
        assert_eq!((of(1), of(2)), ("one\ngot x\ntwo\n".to_owned(), "err\n".to_owned()), "version {version}");
        assert_eq!(release.len(), 1);
        assert!(second.send(release[0]));
        assert!(process.wait().unwrap().success());
        wait_gone(process.id() as i32);
        assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "its socket is left");
    }
}
