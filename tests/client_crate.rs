//! The crate's own client, as a program uses it: a submit that goes through once, and streams that miss nothing.

use std::time::Duration;

use futures_lite::{FutureExt as _, StreamExt as _};
use runabout::client::{Client, Delivery, Events, Failure, Filter, What};
use runabout::event::Kind;
use runabout::run::Status;
use runabout::wire::Submit;

use crate::common::{DEADLINE, Daemon};

fn client(daemon: &Daemon) -> Client {
    Client::new(&format!("unix:{}", daemon.state_dir().join("runabout.sock").display())).unwrap()
}

/// The next one, within the time that a test may wait.
async fn next(events: &mut Events) -> Option<Result<Delivery, Failure>> {
    let late = async {
        async_io::Timer::after(DEADLINE).await;
        panic!("no event within {} s", DEADLINE.as_secs());
    };
    events.next().or(late).await
}

async fn delivered(events: &mut Events) -> Delivery {
    next(events).await.expect("an event").expect("no failure")
}

#[test]
fn a_run_is_followed_to_its_end_across_a_crash_and_a_restart() {
    let mut daemon = Daemon::start();
    let gate = daemon.gate("gate");
    let script = format!("echo attempt $RUNABOUT_ATTEMPT; {}; echo done", gate.wait());
    let submit = Submit { on_interrupt: Some(runabout::run::OnInterrupt::Requeue), ..Submit::script(script) };
    smol::block_on(async {
        let client = client(&daemon);
        let run = client.submit(&submit).await.unwrap();
        let mut events = client.follow(run.id, "0");
        let (mut seqs, mut output, mut cursor) = (Vec::new(), Vec::new(), String::new());
        let (mut crashed, mut restarted) = (false, false);
        while let Some(delivery) = next(&mut events).await {
            let Delivery { event, gone, cursor: behind, line } = delivery.unwrap();
            assert!(gone.is_empty() && line.contains("\"seq\":"), "{gone:?} {line:?}");
            seqs.push(event.seq.0);
            cursor = behind;
            match &event.what {
                What::Output(_, bytes) => output.extend_from_slice(bytes),
                What::Finished(outcome) => assert_eq!(outcome.status.known(), Some(Status::Succeeded)),
                _ => {}
            }
            if output.ends_with(b"attempt 1\n") && !crashed {
                crashed = true;
                daemon.kill9();
                daemon.start_again();
            }
            if output.ends_with(b"attempt 2\n") && !restarted {
                restarted = true;
                daemon.restart();
                gate.open();
            }
        }
        assert_eq!(seqs, (1..=seqs.len() as i64).collect::<Vec<_>>(), "each once, in order");
        assert_eq!(String::from_utf8_lossy(&output), "attempt 1\nattempt 2\nattempt 3\ndone\n");
        assert!(next(&mut client.follow(run.id, &cursor)).await.is_none(), "nothing comes behind the last");
        assert_eq!(client.run(run.id).await.unwrap().last_seq.0, seqs.len() as i64);
    });
}

#[test]
fn all_runs_are_followed_from_where_another_process_left_off() {
    let daemon = Daemon::start();
    smol::block_on(async {
        let client = client(&daemon);
        let filter = Filter { kinds: vec![Kind::Finished], ..Filter::default() };
        let mut runs = Vec::new();
        for _ in 0..6 {
            runs.push(client.submit(&Submit::command(["true"])).await.unwrap().id);
        }
        let mut events = client.follow_all(&filter, "0");
        let mut told = Vec::new();
        let mut cursor = String::new();
        for _ in 0..3 {
            let delivery = delivered(&mut events).await;
            told.push(delivery.event.run);
            cursor = delivery.cursor;
        }
        drop(events);
        let mut events = client.follow_all(&filter, &cursor);
        for _ in 3..6 {
            let delivery = delivered(&mut events).await;
            assert_eq!(delivery.event.kind.known(), Some(Kind::Finished));
            told.push(delivery.event.run);
        }
        told.sort_unstable();
        assert_eq!(told, runs, "each once");
    });
}

#[test]
fn a_submit_that_is_repeated_is_queued_once() {
    let daemon = Daemon::start();
    smol::block_on(async {
        let client = client(&daemon);
        let submit = Submit { name: Some("nightly".to_owned()), ..Submit::command(["true"]) };
        let first = client.submit_once(&submit, "a-key").await.unwrap();
        let second = client.submit_once(&submit, "a-key").await.unwrap();
        assert_eq!((first.id, second.name.as_deref()), (second.id, Some("nightly")));
        let refused = client.submit(&Submit { priority: Some(5_000), ..submit }).await.unwrap_err();
        let Failure::Refused(problem) = refused else { panic!("{refused}") };
        assert_eq!((problem.status, &*problem.violations()[0].field), (422, "priority"));
    });
}

#[test]
fn who_is_not_there_or_not_let_in_is_told_at_once() {
    let daemon = Daemon::start();
    let nowhere = Client::new(&format!("unix:{}", daemon.dir().join("none.sock").display())).unwrap();
    smol::block_on(async {
        let failure = next(&mut nowhere.follow_all(&Filter::default(), "0")).await.expect("an answer").unwrap_err();
        assert!(matches!(failure, Failure::NoDaemon(_)), "{failure}");
        let mut gone = client(&daemon).follow(runabout::numbers::RunId(77), "0");
        let failure = next(&mut gone).await.expect("an answer").unwrap_err();
        assert!(matches!(&failure, Failure::Refused(problem) if problem.code == "run_not_found"), "{failure}");
        assert!(
            gone.next()
                .or(async {
                    async_io::Timer::after(Duration::ZERO).await;
                    None
                })
                .await
                .is_none()
        );
    });
    assert!(Client::new("ftp://pi").is_err());
}
