//! Where nothing happens, next to nothing is done: counted in system calls by strace.

use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt as _;
use runabout::client::{Client, Filter};

use super::common::stream::last_id;
use super::common::{Daemon, Hub, bridge, eventually, setting, setup};

/// System calls a second of a process and its threads, over so many seconds.
fn calls_per_s(process: u32, seconds: u64) -> f64 {
    let tracer = Command::new("strace")
        .args(["-c", "-f", "-q", "-p", &process.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("strace");
    std::thread::sleep(Duration::from_secs(seconds));
    let asked = Command::new("kill").args(["-INT", &tracer.id().to_string()]).status().unwrap();
    assert!(asked.success());
    let told = String::from_utf8(tracer.wait_with_output().unwrap().stderr).unwrap();
    let total = told.lines().rev().find(|line| line.ends_with(" total"));
    // Without any call there is no table.
    let calls = total.map_or(0, |line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words[3].parse::<u64>().unwrap_or_else(|_| panic!("{told}"))
    });
    println!("{calls} system calls in {seconds} s\n{told}");
    calls as f64 / seconds as f64
}

#[test]
fn an_idle_bridge_does_next_to_nothing_and_is_to_its_daemon_what_any_reader_is() {
    let seconds = setting("IDLE_S", 0);
    if seconds == 0 {
        println!("IDLE_S=60 measures for so many seconds");
        return;
    }
    // Three of each, so that all is measured in the same minutes.
    let (hub, daemons) = (Hub::start(), [Daemon::start(), Daemon::start(), Daemon::start()]);
    for daemon in &daemons {
        let run = daemon.submit(r#"{"script":"true"}"#).unwrap();
        let ended = || daemon.ask("GET", &format!("/v1/runs/{run}"), "").filter(|run| !run["ended_at"].is_null());
        eventually("its end", ended);
    }
    let [alone, read, bridged] = &daemons;
    // It is followed by the same client of the daemon, in this process.
    let url = read.url();
    std::thread::spawn(move || {
        let client = Client::new(&url).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut events = client.follow_all(&Filter::default(), "0");
            while events.next().await.is_some() {}
        });
    });
    setup(&hub, bridged);
    let sender = bridge(&hub.url(), bridged, &["--tags", "a"]);
    let last = bridged.events().last().unwrap().0;
    eventually("the hub has the last event", || (last_id(&hub, &bridged.instance()) == Some(last)).then_some(()));
    // Then it has told how it stands after that.
    std::thread::sleep(Duration::from_secs(35));
    let measured = [alone.id(), read.id(), bridged.id(), sender.0.id()]
        .map(|process| std::thread::spawn(move || calls_per_s(process, seconds)));
    let [alone, read, bridged, of_bridge] = measured.map(|measured| measured.join().unwrap());
    println!(
        "system calls/s: daemon {alone:.2} alone, {read:.2} with a reader, {bridged:.2} with a bridge; bridge {of_bridge:.2}"
    );
    // Most of it is what a daemon sends each reader: a heartbeat every 15 s and a ping every 20 s.
    assert!(of_bridge < 2.5, "{of_bridge}");
    assert!(bridged < read + 0.5, "{read} {bridged}");
}
