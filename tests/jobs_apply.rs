//! `runabout job apply`: the daemon's jobs become those of a directory, and nobody's change in between is lost.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::common::{Address, DEADLINE, Daemon, Running, cli, start};

fn directory(daemon: &Daemon, files: &[(&str, &str)]) -> PathBuf {
    let dir = daemon.dir().join("jobs");
    std::fs::create_dir_all(&dir).unwrap();
    for (name, text) in files {
        std::fs::write(dir.join(format!("{name}.toml")), text).unwrap();
    }
    dir
}

fn job(daemon: &Daemon, name: &str) -> Value {
    daemon.get(&format!("/v1/jobs/{name}")).expect(200).json()
}

#[test]
fn the_daemons_jobs_become_those_of_the_files() {
    let daemon = Daemon::start();
    let nightly = "# Kept as it is.\nschedule = \"30 2 * * *\"\nzone = \"Europe/Berlin\"\n[run]\nscript = \"true\"\n";
    let after = "after_job = \"nightly\"\n[run]\nscript = \"echo done\"\n";
    let dir = directory(&daemon, &[("nightly", nightly), ("after", after)]);
    let dir = dir.to_str().unwrap();
    daemon.put("/v1/jobs/old", &json!({"run": {"script": "true"}})).expect(201);
    let dry = cli(&daemon, &["job", "apply", dir, "--dry-run"]).expect(0).text();
    assert_eq!(dry, "+ nightly\n+ after\n- old\n");
    assert_eq!(cli(&daemon, &["job", "apply", dir]).expect(0).text(), dry);
    let version = job(&daemon, "nightly")["version"].clone();
    assert_eq!(cli(&daemon, &["job", "apply", dir]).expect(0).text(), "", "it is so already");
    assert_eq!(job(&daemon, "nightly")["version"], version);
    daemon.get("/v1/jobs/old").expect_problem(404, "job_not_found");
    std::fs::write(format!("{dir}/nightly.toml"), nightly.replace("30 2", "45 2")).unwrap();
    assert_eq!(cli(&daemon, &["job", "apply", dir]).expect(0).text(), "~ nightly\n");
    assert_eq!(job(&daemon, "nightly")["schedule"], "45 2 * * *");
    std::fs::write(format!("{dir}/broken.toml"), "schedule = [").unwrap();
    let told = cli(&daemon, &["job", "apply", dir]).expect(2).stderr;
    assert!(told.contains("broken.toml"), "nothing is begun: {told}");
    assert!(told.lines().count() > 2 && !told.contains("\\n"), "the place is shown below the line: {told}");
    std::fs::write(format!("{dir}/broken.toml"), "enabled = 1\n[run]\nscript = \"true\"\nnice = 1\n").unwrap();
    let told = cli(&daemon, &["job", "apply", dir]).expect(1).stderr;
    for part in ["job broken: 2 things are wrong", "\n  enabled: ", "\n  run.nice: "] {
        assert!(told.contains(part), "whose they are, and which: {told}");
    }
}

/// Stands between a client and the daemon, and holds the first change back.
struct Held {
    address: SocketAddr,
    seen: Receiver<()>,
    go: Sender<()>,
}

impl Held {
    fn start(daemon: &Daemon) -> Held {
        let Address::Tcp(there) = daemon.tcp().address().clone() else { unreachable!() };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ((see, seen), (go, gone)) = (channel(), channel::<()>());
        let gone = Arc::new(Mutex::new(gone));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (see, gone) = (see.clone(), gone.clone());
                std::thread::spawn(move || pass_on(client, there, &see, &gone));
            }
        });
        Held { address, seen, go }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn until_change(&self) {
        self.seen.recv_timeout(DEADLINE).unwrap();
    }

    /// Holds nothing back any more.
    fn let_go(self) {
        drop(self.go);
    }
}

fn pass_on(mut client: TcpStream, there: SocketAddr, see: &Sender<()>, gone: &Mutex<Receiver<()>>) {
    let mut daemon = TcpStream::connect(there).unwrap();
    let (mut back, mut answers) = (client.try_clone().unwrap(), daemon.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let mut bytes = [0; 64 * 1024];
    while let Ok(count @ 1..) = client.read(&mut bytes) {
        if bytes.starts_with(b"PUT ") {
            let _ = see.send(());
            let _ = gone.lock().unwrap().recv();
        }
        if daemon.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = daemon.shutdown(Shutdown::Both);
}

#[test]
fn what_somebody_else_changes_meanwhile_is_left_as_they_made_it() {
    let daemon = Daemon::start();
    let dir = directory(&daemon, &[("a", "[run]\nscript = \"echo new\"\n"), ("b", "[run]\nscript = \"echo new\"\n")]);
    for name in ["a", "b", "c"] {
        daemon.put(&format!("/v1/jobs/{name}"), &json!({"run": {"script": "echo old"}})).expect(201);
    }
    let held = Held::start(&daemon);
    let mut command = daemon.cli();
    command
        .args(["--url", &held.url(), "job", "apply", dir.to_str().unwrap()])
        .env("RUNABOUT_TOKEN", daemon.enroll("operator"));
    let applied = Running::start(command);
    held.until_change();
    daemon.put("/v1/jobs/b", &json!({"run": {"script": "echo theirs"}})).expect(200);
    held.let_go();
    let ended = applied.ended().expect(1);
    assert_eq!(ended.text(), "~ a\n", "what was done is told");
    let told = "job b was changed by somebody else meanwhile, and is left as they made it; not done yet: c";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
    let script = |name: &str| job(&daemon, name)["run"]["script"].clone();
    assert_eq!([script("a"), script("b"), script("c")], ["echo new", "echo theirs", "echo old"]);
    // Made meanwhile: what is there is not overwritten either.
    let tag = |tag: &str| {
        let call = daemon.call("PUT", "/v1/jobs/a").json(&json!({"run": {"script": "echo second"}}));
        call.header("If-None-Match", tag).send()
    };
    tag("*").expect_problem(412, "precondition_failed");
    assert_eq!(script("a"), "echo new");
    let rest = start(&daemon, &["job", "apply", dir.to_str().unwrap()]).ended().expect(0);
    assert_eq!(rest.text(), "~ b\n- c\n");
}

#[test]
fn every_counts_from_the_jobs_making() {
    let daemon = Daemon::start();
    let put = json!({"run": {"script": "true"}, "schedule": ["@every 7h", "0 0 1 1 *"], "zone": "UTC"});
    let made = daemon.put("/v1/jobs/often", &put).expect(201).json();
    let at = |text: &Value| text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    let next = cli(&daemon, &["job", "next", "often", "-n", "3", "--json"]).expect(0).json();
    let times: Vec<i64> = next.as_array().unwrap().iter().map(|due| at(&due["at"])).collect();
    let from = at(&made["created_at"]);
    assert!(times.iter().all(|time| (time - from) % (7 * 3_600) == 0 || time % 86_400 == 0), "{times:?} from {from}");
    assert_eq!(times[0], at(&made["next_at"]));
    let ask = json!({"schedule": [], "zone": "UTC"});
    let wrong = daemon.post("/v1/jobs/preview", &ask).expect_problem(422, "invalid");
    assert_eq!(wrong["details"]["violations"][0]["field"], "schedule");
}

#[test]
fn runs_are_found_by_their_job() {
    let daemon = Daemon::start();
    for name in ["first", "second"] {
        daemon.put(&format!("/v1/jobs/{name}"), &json!({"run": {"script": "exit 3", "name": "same"}})).expect(201);
    }
    let start = |name: &str| {
        let run = daemon.post(&format!("/v1/jobs/{name}/runs"), &json!({})).expect(201).json()["id"].as_i64().unwrap();
        daemon.wait_ended(run)["id"].as_i64().unwrap()
    };
    let runs = [start("first"), start("second"), start("first")];
    daemon.wait_ended(daemon.sh("exit 3"));
    daemon.put("/v1/queues/default", &json!({"paused": true})).expect(200);
    let queued = daemon.post("/v1/jobs/first/runs", &json!({})).expect(201).json()["id"].as_i64().unwrap();
    let ls = |arguments: &[&str]| -> Vec<i64> {
        let listed = cli(&daemon, &[&["--json", "ls"], arguments].concat()).expect(0).json();
        listed.as_array().unwrap().iter().map(|run| run["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(ls(&["--job", "first"]), [queued, runs[2], runs[0]]);
    assert_eq!(ls(&["--job", "first", "--status", "failed", "--name", "same"]), [runs[2], runs[0]]);
    assert_eq!(ls(&["--job", "first", "--limit", "1"]), [queued]);
    assert_eq!(ls(&["--job", "none"]), [0; 0]);
    let page = daemon.get("/v1/runs?job=first&limit=1&status=failed").expect(200).json();
    assert_eq!(page["runs"][0]["id"], runs[2]);
    let next = daemon.get(page["next"].as_str().unwrap()).expect(200).json();
    assert_eq!((&next["runs"][0]["id"], &next["next"]), (&json!(runs[0]), &Value::Null));
    cli(&daemon, &["cancel", "--all", "--job", "first"]).expect(0);
    assert_eq!(daemon.run(queued)["status"], "canceled");
    let wrong = daemon.get("/v1/runs?job=Not%20A%20Job").expect_problem(422, "invalid");
    assert_eq!(wrong["details"]["violations"][0]["field"], "job");
}
