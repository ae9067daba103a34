//! Part `soak`: steady work for as long as there is time. Memory, descriptors, the log's length and the latency of a submit are
//! as flat in the last quarter as in the first.

use std::time::{Duration, Instant};

use serde_json::json;

use super::trial::{Part, Trial};
use crate::common::{Daemon, Reader, Via, open_descriptors, resident_bytes};

pub const PART: Part =
    Part { name: "soak", what: "memory, descriptors, log and latency stay flat over hours of work", share: 1, run };

/// Samples over the whole time.
const SAMPLES: u32 = 40;
/// Runs that are kept: the database is as large as it becomes soon.
const KEPT: u64 = 150;
/// With less time than this nothing can be said of memory and latency but that they do not run away.
const STEADY: Duration = Duration::from_secs(300);

/// What is looked at after each stretch of work.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    resident_bytes: u64,
    descriptors: u64,
    log_bytes: u64,
    database_bytes: u64,
    /// Half of the submits took no longer.
    submit_us: u64,
    /// Runs that were made and have ended.
    runs: u64,
}

fn run(at: &mut Trial) {
    let left = at.left();
    let samples = at.round("steady work", |_| {
        let samples = work(left);
        check(&samples, left);
        samples
    });
    let Some(samples) = samples else { return };
    let (first, last) = quarters(&samples);
    println!("soak: first quarter {first:?}\nsoak: last quarter {last:?}");
    at.count("runs", samples.iter().map(|sample| sample.runs).sum());
    at.count("samples", samples.len() as u64);
}

fn work(limit: Duration) -> Vec<Sample> {
    let config = format!("[retention]\nruns_count = {KEPT}\ninterval_s = 1\n");
    let daemon = Daemon::with_config(&config);
    daemon.put("/v1/queues/default", &json!({"slots": 4})).expect(200);
    let tcp = daemon.tcp_as("operator");
    let mut all = Reader::open_all(Via::Sse, &daemon, "", 0);
    // What comes once is not what grows.
    let _ = stretch(&daemon, &tcp, &mut all, limit / 10);
    (0..SAMPLES).map(|_| stretch(&daemon, &tcp, &mut all, limit * 8 / 10 / SAMPLES)).collect()
}

/// Runs are made, followed, read, listed and canceled, each on connections of their own.
fn stretch(daemon: &Daemon, tcp: &crate::common::Client, all: &mut Reader, limit: Duration) -> Sample {
    let begun = Instant::now();
    let log_before = daemon.log().len() as u64;
    let (mut took, mut runs) = (Vec::new(), 0);
    while begun.elapsed() < limit || runs == 0 {
        let client = if runs % 2 == 0 { daemon } else { tcp };
        let body =
            json!({"script": "seq 1 200; echo err >&2", "name": "soak", "tags": ["a"], "survive": runs % 5 == 0});
        let asked = Instant::now();
        let run = client.post("/v1/runs", &body).expect(201).json()["id"].as_i64().unwrap();
        took.push(asked.elapsed().as_micros() as u64);
        Reader::open_by(Via::STREAMS[runs as usize % 3], client, run, 0).until_end();
        all.until_finished(1);
        let waits = client.post("/v1/runs", &json!({"script": "true", "delay_s": 3_600})).expect(201).json();
        all.until_kind("queued");
        client.post(&format!("/v1/runs/{}/cancel", waits["id"]), &json!({})).expect(200);
        all.until_finished(1);
        client.get("/v1/runs?limit=20").expect(200);
        client.get(&format!("/v1/runs/{run}/events")).expect(200);
        runs += 2;
    }
    // Of all runs together nothing is remembered but the last.
    all.told.events.clear();
    all.told.stdout.clear();
    all.told.stderr.clear();
    all.told.gaps.clear();
    took.sort_unstable();
    let system = daemon.get("/v1/system").expect(200).json();
    Sample {
        resident_bytes: resident_bytes(daemon.pid()),
        descriptors: open_descriptors(daemon.pid()) as u64,
        log_bytes: daemon.log().len() as u64 - log_before,
        database_bytes: system["database_bytes"].as_u64().unwrap(),
        submit_us: took[took.len() / 2],
        runs,
    }
}

/// The middle of the samples of the first and of the last quarter.
fn quarters(samples: &[Sample]) -> (Sample, Sample) {
    let quarter = samples.len() / 4;
    let middle = |of: &[Sample]| {
        let of = |field: fn(&Sample) -> u64| {
            let mut values: Vec<u64> = of.iter().map(field).collect();
            values.sort_unstable();
            values[values.len() / 2]
        };
        Sample {
            resident_bytes: of(|sample| sample.resident_bytes),
            descriptors: of(|sample| sample.descriptors),
            log_bytes: of(|sample| sample.log_bytes),
            database_bytes: of(|sample| sample.database_bytes),
            submit_us: of(|sample| sample.submit_us),
            runs: of(|sample| sample.runs),
        }
    };
    (middle(&samples[..quarter]), middle(&samples[samples.len() - quarter..]))
}

fn check(samples: &[Sample], limit: Duration) {
    let (first, last) = quarters(samples);
    // A machine that others use as well is slower at times; a second is no noise.
    let (percent, slack_bytes, slack_us) =
        if limit >= STEADY { (110, 1 << 20, 20_000) } else { (150, 8 << 20, 500_000) };
    let grown = |first: u64, last: u64, slack: u64| last > first * percent / 100 + slack;
    let both = format!("\nfirst quarter {first:?}\nlast quarter {last:?}\n{samples:?}");
    assert!(!grown(first.resident_bytes, last.resident_bytes, slack_bytes), "memory grows{both}");
    assert!(last.descriptors <= first.descriptors + 4, "descriptors leak{both}");
    assert!(!grown(first.log_bytes, last.log_bytes, 4_096), "it logs ever more{both}");
    assert!(!grown(first.database_bytes, last.database_bytes, 4 << 20), "the database grows{both}");
    assert!(!grown(first.submit_us, last.submit_us, slack_us), "submits become slow{both}");
}
