//! Many boxes take from one queue of work, and die of it: whatever was acknowledged runs.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::header::HeaderMap;
use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, pull},
};
use serde_json::json;

use super::common::stream::{block_on, block_on_for};
use super::common::{Daemon, Draw, Hub, PATIENCE, Process, Scratch, bridge, eventually, eventually_in, setting, told};

/// One start of the command.
#[derive(Debug)]
struct Start {
    instance: String,
    run: String,
    attempt: u32,
    delivery: u32,
}

fn starts(file: &std::path::Path) -> BTreeMap<String, Vec<Start>> {
    let mut starts = BTreeMap::<String, Vec<Start>>::new();
    for line in std::fs::read_to_string(file).unwrap_or_default().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [id, instance, run, attempt, delivery] = words[..] else { panic!("{line:?}") };
        starts.entry(id.to_owned()).or_default().push(Start {
            instance: instance.to_owned(),
            run: run.to_owned(),
            attempt: attempt.parse().unwrap(),
            delivery: delivery.parse().unwrap(),
        });
    }
    starts
}

#[test]
fn what_was_acknowledged_runs_though_boxes_die_and_a_double_is_told() {
    let (boxes, runs) = (setting("MANY_BOXES", 4), setting("MANY_RUNS", 120));
    // In the long form it is left as it is.
    let ack_wait_s = setting("MANY_ACK_WAIT_S", 4);
    let patience = PATIENCE * (1 + u32::try_from(runs / 500).unwrap());
    let seed = setting("MANY_SEED", 20_261_130);
    let mut draw = Draw(seed);
    let (hub, scratch) = (Hub::start(), Scratch::new());
    let file = scratch.0.join("starts");
    let mut daemons: Vec<Daemon> = (0..boxes).map(|_| Daemon::start()).collect();
    let (status, text) = told(&hub.url(), &daemons[0], &["--setup", "--tags", "t"]);
    assert_eq!(status, 0, "{text}");
    block_on(async {
        let context = jetstream::new(async_nats::connect(hub.url()).await.unwrap());
        let config = pull::Config {
            durable_name: Some("tag-t".to_owned()),
            filter_subject: "rb.work.tag.t".to_owned(),
            ack_policy: AckPolicy::Explicit,
            ack_wait: Duration::from_secs(ack_wait_s),
            max_deliver: 20,
            max_ack_pending: 1_000,
            ..pull::Config::default()
        };
        context.create_consumer_on_stream(config, "RB_WORK").await.unwrap();
    });
    for daemon in &daemons {
        daemon.ask("PUT", "/v1/queues/default", r#"{"slots":4}"#).unwrap();
    }
    let start = |daemon: &Daemon| bridge(&hub.url(), daemon, &["--tags", "t"]);
    let mut senders: Vec<Process> = daemons.iter().map(start).collect();
    let script = format!(
        "echo $RUNABOUT_FLEET_ID $RUNABOUT_INSTANCE $RUNABOUT_RUN_ID $RUNABOUT_ATTEMPT ${{RUNABOUT_FLEET_DELIVERY:-1}} >>{}",
        file.display()
    );
    let body = json!({ "script": script, "on_interrupt": "requeue" }).to_string();
    let url = hub.url();
    let submitter = std::thread::spawn(move || {
        block_on_for(patience, async {
            let context = jetstream::new(async_nats::connect(url).await.unwrap());
            for nth in 0..runs {
                let mut headers = HeaderMap::new();
                headers.insert("Nats-Msg-Id", &*format!("w{nth}"));
                let sent = context.publish_with_headers("rb.work.tag.t", headers, body.clone().into()).await;
                // It counts when the hub has acknowledged it.
                sent.unwrap().await.unwrap();
            }
        });
    });
    let mut deaths = 0;
    eventually_in(patience, "all ran", || {
        let nth = usize::try_from(draw.below(boxes)).unwrap();
        senders[nth].kill();
        if draw.below(2) == 0 {
            daemons[nth].kill();
            daemons[nth].up();
        }
        deaths += 1;
        senders[nth] = start(&daemons[nth]);
        draw.pause(400);
        (starts(&file).len() as u64 == runs).then_some(())
    });
    submitter.join().unwrap();
    // What was not acknowledged by a box that died is delivered again.
    eventually_in(patience, "nothing waits", || {
        let waits = block_on(async {
            let context = jetstream::new(async_nats::connect(hub.url()).await.unwrap());
            context.get_stream("RB_WORK").await.unwrap().cached_info().state.messages
        });
        (waits == 0).then_some(())
    });
    for daemon in &daemons {
        eventually("all has ended", || {
            let system = daemon.ask("GET", "/v1/system", "")?;
            let waits = system["runs"]["queued"].as_u64().unwrap() + system["runs"]["running"].as_u64().unwrap();
            (waits == 0).then_some(())
        });
    }
    let starts = starts(&file);
    let (mut again, mut double) = (0, 0);
    for (id, starts) in &starts {
        // A run that its own daemon started again after it had died is that daemon's promise, and has its attempts.
        again += starts.iter().filter(|start| start.attempt > 1).count();
        let mut first: Vec<&Start> = starts.iter().filter(|start| start.attempt == 1).collect();
        first.sort_by(|a, b| (&a.instance, &a.run).cmp(&(&b.instance, &b.run)));
        let whole = first.len();
        first.dedup_by(|a, b| a.instance == b.instance && a.run == b.run);
        assert_eq!(whole, first.len(), "{id}: one attempt was started twice: {starts:?}");
        first.dedup_by(|a, b| a.instance == b.instance);
        assert_eq!(whole, first.len(), "{id}: two runs at one box: {starts:?}");
        double += whole.saturating_sub(1);
        let untold = first.iter().filter(|start| start.delivery == 1).count();
        assert!(untold <= 1, "{id}: a double that was not told: {starts:?}");
    }
    println!(
        "MANY_SEED={seed}: {boxes} boxes, {runs} runs, {deaths} deaths; {again} started again by their own box, \
         {double} by another, each told"
    );
    assert_eq!(starts.len() as u64, runs);
}
