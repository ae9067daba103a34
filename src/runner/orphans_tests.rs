//! Processes that somebody else started, some of them ours by their marks.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use async_io::block_on;

use super::*;
use crate::run::Options;
use crate::store::ProcessMark;

/// Each test has an instance of its own, so that none finds the others' processes.
fn start(script: &str, run: i64, instance: &str) -> Child {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).env("RUNABOUT_RUN_ID", run.to_string()).env("RUNABOUT_INSTANCE", instance);
    command.process_group(0).stdout(std::process::Stdio::piped()).spawn().expect("sh")
}

fn mark(child: &Child) -> ProcessMark {
    let pid = child.id() as i32;
    let stat = procfs::stat(pid).expect("it lives");
    ProcessMark { pid, start_ticks: stat.start_ticks, boot_id: procfs::boot_id() }
}

fn left(run: i64, process: Option<ProcessMark>) -> Vec<LeftRun> {
    vec![LeftRun {
        run: RunId(run),
        attempt: 1,
        process,
        cancel_requested: false,
        options: Options::default(),
        kept: None,
    }]
}

/// Ends what is found; answers what it knew and how long that took.
fn end(left: Vec<LeftRun>, instance: &str, grace: Duration) -> (usize, Duration) {
    let began = Instant::now();
    let mut orphan = find(left, instance).pop().expect("one");
    let late = async {
        Timer::after(Duration::from_secs(20)).await;
        panic!("does not end");
    };
    block_on(future::or(orphan.end(instance, grace, future::pending()), late));
    (orphan.known.len(), began.elapsed())
}

fn until(done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !done() {
        assert!(Instant::now() < deadline, "too late");
        std::thread::yield_now();
    }
}

fn children_of(child: &mut Child, lines: usize) -> Vec<i32> {
    use std::io::BufRead;
    let output = std::io::BufReader::new(child.stdout.take().expect("piped"));
    output.lines().take(lines).map(|line| line.expect("text").parse().expect("a pid")).collect()
}

fn is_alive(pid: i32) -> bool {
    procfs::stat(pid).is_some_and(|stat| !stat.is_dead)
}

#[test]
fn a_marked_leader_is_ended_with_its_group() {
    let instance = "orphansgroup";
    let mut child = start("sh -c 'echo $$; exec env -i sleep 60' & sleep 60", 1, instance);
    let others = children_of(&mut child, 1);
    let (known, took) = end(left(1, Some(mark(&child))), instance, Duration::from_secs(10));
    assert!(known >= 2 && took < Duration::from_secs(3), "{known} in {took:?}");
    assert!(!is_alive(child.id() as i32) && !is_alive(others[0]));
    child.wait().expect("ours");
}

#[test]
fn one_that_ignores_sigterm_is_killed_when_the_grace_is_up() {
    let instance = "orphanstough";
    let mut child = start("trap '' TERM; echo $$; while :; do sleep 0.05; done", 1, instance);
    children_of(&mut child, 1);
    let (_, took) = end(left(1, Some(mark(&child))), instance, Duration::from_millis(300));
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(3), "{took:?}");
    assert!(!is_alive(child.id() as i32));
    child.wait().expect("ours");
}

#[test]
fn a_pid_that_was_given_out_anew_is_left_alone() {
    let instance = "orphansfresh";
    let mut child = start("exec sleep 60", 2, instance);
    let other = ProcessMark { start_ticks: mark(&child).start_ticks - 1, ..mark(&child) };
    assert_eq!(end(left(1, Some(other)), instance, Duration::from_secs(1)).0, 0);
    let booted = ProcessMark { boot_id: "another".to_owned(), ..mark(&child) };
    assert_eq!(end(left(2, Some(booted)), instance, Duration::from_secs(1)).0, 0);
    assert!(is_alive(child.id() as i32));
    child.kill().expect("ours");
    child.wait().expect("ours");
}

#[test]
fn what_was_never_written_down_is_found_by_its_environment() {
    let instance = "orphanstagged";
    let (mut ours, mut other) = (start("exec sleep 60", 12, instance), start("exec sleep 60", 1, instance));
    let (known, _) = end(left(12, None), instance, Duration::from_secs(10));
    assert!(known >= 1);
    assert!(!is_alive(ours.id() as i32) && is_alive(other.id() as i32));
    ours.wait().expect("ours");
    other.kill().expect("ours");
    other.wait().expect("ours");
}

#[test]
fn a_group_whose_leader_is_dead_is_found_by_its_members() {
    let instance = "orphansgonel";
    let mut child = start("sh -c 'echo $$; exec sleep 60' & read wait </dev/null; sleep 0.2", 1, instance);
    let (mark, others) = (mark(&child), children_of(&mut child, 1));
    child.wait().expect("ours");
    assert!(is_alive(others[0]));
    let (known, _) = end(left(1, Some(mark)), instance, Duration::from_secs(10));
    assert_eq!(known, 2, "the leader that was and the one that is");
    until(|| !is_alive(others[0]));
}

#[test]
fn an_environment_counts_only_whole_and_with_the_instance() {
    let tagged = |text: &str| session::tag(text.replace(' ', "\0").as_bytes(), "k3v9x2m7q0tz");
    assert_eq!(tagged("A=1 RUNABOUT_RUN_ID=42 RUNABOUT_INSTANCE=k3v9x2m7q0tz "), Some(RunId(42)));
    assert_eq!(tagged("RUNABOUT_RUN_ID=42 RUNABOUT_INSTANCE=k3v9x2m7q0tzz "), None);
    assert_eq!(tagged("RUNABOUT_RUN_ID=42 "), None);
    assert_eq!(tagged("XRUNABOUT_RUN_ID=42 RUNABOUT_INSTANCE=k3v9x2m7q0tz "), None);
}

#[test]
fn settling_can_be_spawned_on_an_executor() {
    fn is_send<T: Send>(_: fn(Orphan, Context) -> T) {}
    is_send(Orphan::settle);
}
