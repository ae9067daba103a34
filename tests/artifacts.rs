//! What a command leaves in `$RUNABOUT_ARTIFACTS` is listed, hashed, served as bytes to be saved, and removed with its run;
//! nothing that it puts there leads anywhere else, and a command that leaves nothing costs nothing.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::common::{DEADLINE, Daemon, Response, cli, eventually, output_of};

/// The artifacts of a run.
#[track_caller]
fn list(daemon: &Daemon, run: i64) -> Value {
    daemon.get(&format!("/v1/runs/{run}/artifacts")).expect(200).json()
}

#[track_caller]
fn names(daemon: &Daemon, run: i64) -> Vec<String> {
    let list = list(daemon, run);
    list["artifacts"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

fn fetch(daemon: &Daemon, run: i64, name: &str) -> Response {
    daemon.get(&format!("/v1/runs/{run}/artifacts/{name}"))
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is in the directory of all artifacts, less the empty directories that wait for runs.
fn left(daemon: &Daemon) -> Vec<String> {
    let dir = daemon.state_dir().join("artifacts");
    let Ok(entries) = std::fs::read_dir(&dir) else { return Vec::new() };
    let is_spare = |path: &Path| {
        let is_work = path.file_name().unwrap().to_str().unwrap().starts_with("work-");
        is_work && std::fs::read_dir(path).is_ok_and(|mut inside| inside.next().is_none())
    };
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| !is_spare(path));
    let mut names: Vec<String> = paths.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[track_caller]
fn ended(daemon: &Daemon, script: &str) -> (i64, Value) {
    let run = daemon.sh(script);
    (run, daemon.wait_ended(run))
}

/// What the daemon said of what it did not keep.
fn told(daemon: &Daemon, run: i64) -> String {
    let events = daemon.events(run);
    events.iter().filter(|event| event["kind"] == "message").map(|event| event["data"]["text"].to_string()).collect()
}

#[test]
fn what_a_script_leaves_is_there_when_its_run_has_ended_and_gone_with_it() {
    let daemon = Daemon::start();
    let script = "cd $RUNABOUT_ARTIFACTS && printf hello > a.txt && mkdir -p deep/er && seq 1 100000 > 'deep/er/n b.log' && : > .none";
    let (run, shown) = ended(&daemon, script);
    let numbers: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    assert_eq!((&shown["artifacts"], &shown["artifact_bytes"]), (&3.into(), &(numbers.len() + 5).into()));
    let finished = daemon.events(run).pop().unwrap();
    assert_eq!(finished["data"]["artifacts"], json!({"count": 3, "bytes": numbers.len() + 5}));
    let listed = list(&daemon, run);
    assert_eq!(listed["state"], "kept");
    let got: Vec<(&str, i64, &str)> = listed["artifacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), one["bytes"].as_i64().unwrap(), one["sha256"].as_str().unwrap()))
        .collect();
    let (none, a, b) = (hash(b""), hash(b"hello"), hash(numbers.as_bytes()));
    assert_eq!(got, [(".none", 0, &*none), ("a.txt", 5, &*a), ("deep/er/n b.log", numbers.len() as i64, &*b)]);
    let answer = fetch(&daemon, run, "deep/er/n%20b.log").expect(200);
    assert!(answer.body == numbers.as_bytes());
    assert_eq!(answer.header("content-length"), Some(&*numbers.len().to_string()));
    assert_eq!(fetch(&daemon, run, ".none").expect(200).body, b"");
    daemon.delete(&format!("/v1/runs/{run}")).expect(204);
    fetch(&daemon, run, "a.txt").expect_problem(410, "run_pruned");
    eventually(DEADLINE, "its files are gone", || left(&daemon).is_empty());
}

#[test]
fn it_is_bytes_to_be_saved_whole_or_in_parts_and_never_a_page() {
    let daemon = Daemon::start();
    let (run, _) =
        ended(&daemon, "cd $RUNABOUT_ARTIFACTS; printf '<script>1</script>' > 'ü \"x.html'; printf 0123456789 > n");
    let page = fetch(&daemon, run, "%C3%BC%20%22x.html").expect(200);
    assert_eq!(page.header("content-type"), Some("application/octet-stream"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert!(page.header("content-security-policy").unwrap().contains("sandbox"));
    assert_eq!(
        page.header("content-disposition"),
        Some("attachment; filename=\"___x.html\"; filename*=UTF-8''%C3%BC%20%22x.html")
    );
    let tag = format!("\"{}\"", hash(b"0123456789"));
    let ask = |headers: &[(&str, &str)]| {
        let call = daemon.call("GET", &format!("/v1/runs/{run}/artifacts/n"));
        headers.iter().fold(call, |call, (name, value)| call.header(name, value)).send()
    };
    let part = ask(&[("range", "bytes=2-4")]).expect(206);
    assert_eq!((&*part.body, part.header("content-range")), (&b"234"[..], Some("bytes 2-4/10")));
    assert_eq!(ask(&[("range", "bytes=-3"), ("if-range", &tag)]).expect(206).body, b"789");
    assert_eq!(ask(&[("range", "bytes=-3"), ("if-range", "\"other\"")]).expect(200).body, b"0123456789");
    assert_eq!(ask(&[("range", "bytes=0-1,4-5")]).expect(200).body, b"0123456789");
    let outside = ask(&[("range", "bytes=10-")]);
    assert_eq!(outside.header("content-range"), Some("bytes */10"));
    outside.expect_problem(416, "range_not_satisfiable");
    assert_eq!(ask(&[("if-none-match", &tag)]).expect(304).body, b"");
    let head = daemon.call("HEAD", &format!("/v1/runs/{run}/artifacts/n")).send().expect(200);
    assert_eq!((head.header("content-length"), head.header("etag")), (Some("10"), Some(&*tag)));
    for name in ["none", "n/x", "%2e%2e/n", "deep//n"] {
        let status = fetch(&daemon, run, name).status;
        assert!(matches!(status, 400 | 404), "{name}: {status}");
    }
    fetch(&daemon, run, "none").expect_problem(404, "artifact_not_found");
    // What a browser follows as a link: its cookie alone, and no `Origin`.
    let outsider = daemon.tcp();
    let path = format!("/v1/runs/{run}/artifacts/n");
    outsider.get(&path).expect(401);
    assert_eq!(daemon.tcp_as("viewer").get(&path).expect(200).body, b"0123456789");
}

#[test]
fn nothing_in_it_leads_out_of_it_or_holds_anybody_up() {
    let daemon = Daemon::start();
    let secret = daemon.dir().join("secret");
    std::fs::write(&secret, "a secret").unwrap();
    let script = format!(
        "cd $RUNABOUT_ARTIFACTS; ln -s {0} link; ln -s / root; ln -s . self; ln {0} hard; mkfifo pipe; mkdir d; mkfifo d/pipe
         python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")'
         printf 1 > \"$(printf 'a\\nb')\"; printf 1 > \"$(printf 'bad\\377')\"; printf 1 > 'back\\slash'; printf 1 > \"$(printf 'esc\\033[2J')\"
         n=$(printf %0254d 0); printf 1 > $n
         mkdir closed; printf 1 > closed/in; chmod 0 closed; printf 1 > shut; chmod 0 shut
         p=deep; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do p=$p/d; done; mkdir -p $p; printf 1 > $p/f
         printf 1 > good",
        secret.display()
    );
    let (run, shown) = ended(&daemon, &script);
    assert_eq!(shown["status"], "succeeded", "{shown}");
    let kept = names(&daemon, run);
    let long = kept.iter().find(|name| name.len() > 200).cloned().unwrap_or_default();
    assert_eq!(kept, [&*long, "closed/in", "good", "shut"].map(str::to_owned), "{}", told(&daemon, run));
    let told = told(&daemon, run);
    for word in ["symbolic link", "several names", "pipe", "socket", "UTF-8"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    for name in ["link", "root/etc/passwd", "self/good", "hard", "pipe", "d/pipe", "sock"] {
        fetch(&daemon, run, name).expect_problem(404, "artifact_not_found");
    }
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "a secret", "nothing was done to what a link led to");
    assert_eq!(std::fs::metadata(&secret).unwrap().nlink(), 1, "and the link is gone");
    let dir = daemon.state_dir().join(format!("artifacts/{run}"));
    let odd = std::fs::read_dir(&dir)
        .unwrap()
        .filter(|entry| !entry.as_ref().unwrap().file_type().unwrap().is_file())
        .count();
    assert_eq!(
        odd,
        1 + usize::from(dir.join("deep").exists()) + usize::from(dir.join("d").exists()),
        "directories alone"
    );
}

#[test]
fn a_file_that_is_swapped_or_changed_afterwards_is_not_served_for_what_it_was() {
    let daemon = Daemon::start();
    let (run, _) = ended(&daemon, "cd $RUNABOUT_ARTIFACTS; for f in a b c d; do printf 12345 > $f; done");
    let dir = daemon.state_dir().join(format!("artifacts/{run}"));
    let secret = daemon.dir().join("secret");
    std::fs::write(&secret, "54321").unwrap();
    std::fs::remove_file(dir.join("a")).unwrap();
    std::os::unix::fs::symlink(&secret, dir.join("a")).unwrap();
    std::fs::OpenOptions::new().append(true).open(dir.join("b")).unwrap().write_all(b"more").unwrap();
    std::fs::remove_file(dir.join("c")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, dir.join("c"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for name in ["a", "b", "c"] {
        fetch(&daemon, run, name).expect_problem(410, "artifact_gone");
    }
    assert_eq!(fetch(&daemon, run, "d").expect(200).body, b"12345");
}

#[test]
fn while_it_runs_its_files_are_there_as_they_are_and_each_attempt_begins_with_none() {
    let daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let script = format!(
        "ls -A $RUNABOUT_ARTIFACTS; ln -s / $RUNABOUT_ARTIFACTS/link; mkfifo $RUNABOUT_ARTIFACTS/pipe
        printf $RUNABOUT_ATTEMPT > $RUNABOUT_ARTIFACTS/n$RUNABOUT_ATTEMPT; {}; test $RUNABOUT_ATTEMPT = 2",
        gate.wait()
    );
    let run = daemon.submit(&json!({"script": script, "retry": {"attempts": 2, "delay_s": 0}}));
    eventually(DEADLINE, "it is there", || names(&daemon, run) == ["n1"]);
    let listed = list(&daemon, run);
    assert_eq!((&listed["state"], &listed["artifacts"][0]["sha256"]), (&"live".into(), &Value::Null));
    eventually(DEADLINE, "it is written", || fetch(&daemon, run, "n1").body == b"1");
    for name in ["link", "pipe", "link/etc/passwd"] {
        let told = fetch(&daemon, run, name).expect_problem(404, "artifact_not_found")["detail"].to_string();
        assert!(told.contains("/artifacts lists what is kept") && !told.contains("os error"), "{name}: {told}");
    }
    gate.open();
    eventually(DEADLINE, "the next attempt has its own", || names(&daemon, run) == ["n2"]);
    gate.open();
    let ended = daemon.wait_ended(run);
    assert_eq!((&ended["status"], &ended["artifacts"]), (&"succeeded".into(), &1.into()));
    assert_eq!(names(&daemon, run), ["n2"]);
    assert!(output_of(&daemon.events(run)).0.is_empty(), "an attempt finds nothing there");
}

#[test]
fn runs_that_leave_nothing_share_a_directory_and_write_nothing() {
    let daemon = Daemon::start();
    let (run, shown) = ended(&daemon, "echo $RUNABOUT_ARTIFACTS");
    assert_eq!((&shown["artifacts"], &list(&daemon, run)["artifacts"]), (&Value::Null, &json!([])));
    let place = |run: i64| PathBuf::from(String::from_utf8(output_of(&daemon.events(run)).0).unwrap().trim_end());
    let first = place(run);
    let stat = std::fs::metadata(&first).unwrap();
    assert_eq!((stat.permissions().mode() & 0o777, stat.is_dir()), (0o700, true));
    for _ in 0..5 {
        let (run, _) = ended(&daemon, "echo $RUNABOUT_ARTIFACTS");
        assert_eq!(place(run), first);
    }
    let after = std::fs::metadata(&first).unwrap();
    assert_eq!((stat.ino(), stat.ctime(), stat.ctime_nsec()), (after.ino(), after.ctime(), after.ctime_nsec()));
    // One that its command has changed is nobody else's.
    ended(&daemon, "chmod 755 $RUNABOUT_ARTIFACTS");
    let (run, _) = ended(&daemon, "echo $RUNABOUT_ARTIFACTS; touch $RUNABOUT_ARTIFACTS/x");
    assert_ne!(place(run), first);
    assert!(!place(run).exists(), "what outlives its run does not find it any more");
}

#[test]
fn what_is_too_much_goes_and_is_told() {
    let daemon = Daemon::with_config("[limits]\nartifact_bytes_per_run = 10_000\n[retention]\nartifact_bytes = 25_000");
    let leave = |bytes: u32| {
        ended(&daemon, &format!("head -c {bytes} /dev/zero > $RUNABOUT_ARTIFACTS/f; : > $RUNABOUT_ARTIFACTS/g")).0
    };
    let large = leave(10_001);
    assert_eq!(names(&daemon, large), ["g"]);
    assert!(told(&daemon, large).contains("limits.artifact_bytes_per_run"));
    let runs: Vec<i64> = (0..3).map(|_| leave(10_000)).collect();
    eventually(DEADLINE, "the oldest makes room", || list(&daemon, runs[0])["state"] == "removed");
    fetch(&daemon, runs[0], "f").expect_problem(410, "artifact_gone");
    assert_eq!(daemon.run(runs[0])["artifacts"], 2, "how many it left is still known");
    eventually(DEADLINE, "its files are gone", || !left(&daemon).contains(&runs[0].to_string()));
    assert_eq!((names(&daemon, runs[1]).len(), names(&daemon, runs[2]).len()), (2, 2));
    // Those of runs that are kept stay, and others get what they leave.
    for run in &runs[1..] {
        daemon.patch(&format!("/v1/runs/{run}"), &json!({"keep": true})).expect(200);
    }
    assert_eq!(names(&daemon, leave(6_000)), ["g"]);
    assert_eq!(names(&daemon, leave(5_000)), ["f", "g"]);
    let many = ended(&daemon, "cd $RUNABOUT_ARTIFACTS; seq 1 1200 | xargs touch").0;
    assert_eq!(daemon.run(many)["artifacts"], 1_000);
    assert!(told(&daemon, many).contains("too many files"), "{}", told(&daemon, many));
    let none = Daemon::with_config("[limits]\nartifact_bytes_per_run = 0");
    let (run, _) = ended(&none, "echo ${RUNABOUT_ARTIFACTS-unset}");
    assert_eq!(output_of(&none.events(run)).0, b"unset\n");
}

#[test]
fn what_a_dead_daemon_left_over_is_removed_at_the_next_start() {
    let mut daemon = Daemon::start();
    let (kept, _) = ended(&daemon, "echo 1 > $RUNABOUT_ARTIFACTS/f");
    let (doomed, _) = ended(&daemon, "mkdir -p $RUNABOUT_ARTIFACTS/d; echo 1 > $RUNABOUT_ARTIFACTS/d/f");
    let running = daemon.sh("echo 1 > $RUNABOUT_ARTIFACTS/f; exec sleep 60");
    eventually(DEADLINE, "it is there", || names(&daemon, running) == ["f"]);
    daemon.kill9();
    let dir = daemon.state_dir().join("artifacts");
    std::fs::rename(dir.join(doomed.to_string()), dir.join("gone-7")).unwrap();
    std::fs::create_dir(dir.join("4242")).unwrap();
    std::fs::write(dir.join("4242/f"), "of nobody").unwrap();
    let mut deep = dir.join("gone-8");
    for _ in 0..200 {
        deep.push("d");
    }
    std::fs::create_dir_all(&deep).unwrap();
    daemon.start_again();
    assert_eq!(daemon.wait_ended(running)["status"], "interrupted");
    eventually(DEADLINE, "what belongs to nobody is gone", || left(&daemon) == [kept.to_string()]);
    assert_eq!(fetch(&daemon, kept, "f").expect(200).body, b"1\n");
    fetch(&daemon, doomed, "d/f").expect_problem(410, "artifact_gone");
}

#[test]
fn a_command_of_another_user_writes_there_and_afterwards_cannot_any_more() {
    if !rustix::process::geteuid().is_root() {
        return println!("skipped: needs root");
    }
    let mut daemon = Daemon::with_config("[runs]\nuser = \"nobody\"\nkill_grace_s = 1\n");
    let script = "cd $RUNABOUT_ARTIFACTS && id -un > who && mkdir d && echo 1 > d/f && ln /etc/passwd hard; \
                  (exec >/dev/null 2>&1; sleep 1; echo late > late; echo late > d/late; echo late > d/f) & \
                  ls .. 2>/dev/null | grep . && exit 3; touch ../x 2>/dev/null && exit 4; exit 0";
    let (run, shown) = ended(&daemon, script);
    assert_eq!(shown["status"], "succeeded", "{shown} {}", daemon.log());
    assert_eq!(names(&daemon, run), ["d/f", "who"]);
    assert_eq!(fetch(&daemon, run, "who").expect(200).body, b"nobody\n");
    let dir = daemon.state_dir().join(format!("artifacts/{run}"));
    let of =
        |path: PathBuf| std::fs::metadata(path).map(|stat| (stat.uid(), stat.permissions().mode() & 0o777)).unwrap();
    assert_eq!((of(dir.clone()), of(dir.join("d"))), ((0, 0o700), (0, 0o700)));
    let (other, _) = ended(&daemon, &format!("sleep 1.2; cat {}/d/f", dir.display()));
    assert_eq!(daemon.run(other)["status"], "failed");
    assert_eq!(fetch(&daemon, run, "d/f").expect(200).body, b"1\n", "what is left of it changes nothing");
    daemon.restart();
    assert!(!daemon.log().contains("others can enter"), "{}", daemon.log());
}

#[test]
fn what_outlives_the_daemon_keeps_its_directory() {
    let mut daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let script = format!("cd $RUNABOUT_ARTIFACTS; echo 1 > before; {}; echo 2 > after", gate.wait());
    let run = daemon.submit(&json!({"script": script, "survive": true}));
    eventually(DEADLINE, "it is there", || names(&daemon, run) == ["before"]);
    daemon.restart();
    eventually(DEADLINE, "it is there again", || names(&daemon, run) == ["before"]);
    gate.open();
    assert_eq!(daemon.wait_ended(run)["artifacts"], 2);
    assert_eq!(names(&daemon, run), ["after", "before"]);
    assert_eq!(fetch(&daemon, run, "after").expect(200).body, b"2\n");
    let (empty, _) = (daemon.submit(&json!({"script": "true", "survive": true})), ());
    daemon.wait_ended(empty);
    assert_eq!(left(&daemon), [run.to_string()]);
}

#[test]
fn the_command_line_lists_and_saves_them() {
    let daemon = Daemon::start();
    let (run, _) = ended(&daemon, "cd $RUNABOUT_ARTIFACTS; printf hello > a.txt; mkdir d; seq 1 300000 > d/n");
    let id = run.to_string();
    let table = cli(&daemon, &["artifacts", &id]).expect(0).text();
    assert!(table.contains("a.txt") && table.contains("d/n") && table.contains(&hash(b"hello")[..12]), "{table}");
    let list = cli(&daemon, &["artifacts", "--json", "last"]).expect(0).json();
    assert_eq!(list["artifacts"][0]["sha256"], hash(b"hello"));
    assert_eq!(cli(&daemon, &["artifacts", &id, "a.txt", "-o", "-"]).expect(0).text(), "hello");
    let to = daemon.dir().join("saved");
    let to = to.to_str().unwrap();
    cli(&daemon, &["artifacts", &id, "d/n", "-o", to]).expect(0);
    let numbers: String = (1..=300_000).map(|n| format!("{n}\n")).collect();
    assert!(std::fs::read(to).unwrap() == numbers.as_bytes());
    cli(&daemon, &["artifacts", &id, "d/n", "-o", to]).expect(1);
    for output in ["-", "not-there"] {
        let refused = cli(&daemon, &["artifacts", &id, "none", "-o", output]).expect(1);
        let way = format!("no artifact none; `runabout artifacts {id}` lists them");
        assert!(refused.stderr.contains(&way) && !refused.stderr.contains("/v1/"), "{refused:?}");
    }
}
