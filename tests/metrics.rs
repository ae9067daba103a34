//! The figures are OpenMetrics text, to the letter of its standard, and are all there from the start.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::common::Daemon;

/// One metric family, as the text has it.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    unit: Option<String>,
    help: Option<String>,
    /// Name with suffix, labels, value.
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

/// Reads the text as the standard's grammar wants it; panics at the first thing that is wrong.
fn parse(text: &str) -> BTreeMap<String, Family> {
    let body = text.strip_suffix("# EOF\n").expect("the end is marked, and nothing follows");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let (mut order, mut seen) = (Vec::<String>::new(), BTreeSet::new());
    for line in body.lines() {
        assert!(!line.is_empty() && line == line.trim(), "{line:?}");
        if let Some(meta) = line.strip_prefix("# ") {
            let mut words = meta.splitn(3, ' ');
            let (what, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap_or_default());
            if order.last().map(String::as_str) != Some(name) {
                assert!(!families.contains_key(name), "the family {name} comes twice, or not in one piece");
                order.push(name.to_owned());
            }
            let family = families.entry(name.to_owned()).or_default();
            assert!(family.samples.is_empty(), "{what} of {name} comes behind a sample");
            match what {
                "TYPE" => family.kind = rest.to_owned(),
                "UNIT" => family.unit = Some(rest.to_owned()),
                "HELP" => family.help = Some(rest.to_owned()),
                other => panic!("{other}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(seen.insert(series.to_owned()), "{series} comes twice");
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
            None => (series, ""),
        };
        let label = |pair: &str| {
            let (key, value) = pair.split_once('=').unwrap();
            let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap();
            (key.to_owned(), value.to_owned())
        };
        let labels = labels.split(',').filter(|pair| !pair.is_empty()).map(label).collect();
        let own = order.last().expect("a sample has a family before it");
        let suffix = name.strip_prefix(own.as_str()).unwrap_or_else(|| panic!("{name} is not of {own}"));
        let family = families.get_mut(own).unwrap();
        let allowed: &[&str] = match family.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            other => panic!("{own} is of type {other:?}"),
        };
        assert!(allowed.contains(&suffix), "{name} is of the {} {own}", family.kind);
        family.samples.push((suffix.to_owned(), labels, value.parse().unwrap()));
    }
    for (name, family) in &families {
        assert!(family.help.as_ref().is_some_and(|help| !help.is_empty()), "{name} says what it is");
        if let Some(unit) = &family.unit {
            assert!(name.ends_with(&format!("_{unit}")), "{name} is in {unit}");
        }
        assert!(!name.ends_with("_total") && name.starts_with("runabout_"), "{name}");
        if family.kind == "histogram" {
            check_histogram(name, family);
        }
    }
    families
}

fn check_histogram(name: &str, family: &Family) {
    let of = |suffix: &str| -> Vec<&(String, BTreeMap<String, String>, f64)> {
        family.samples.iter().filter(|(have, _, _)| have == suffix).collect()
    };
    let bound = |labels: &BTreeMap<String, String>| match labels["le"].as_str() {
        "+Inf" => f64::INFINITY,
        bound => bound.parse().unwrap(),
    };
    let buckets: Vec<(f64, f64)> = of("_bucket").iter().map(|(_, labels, value)| (bound(labels), *value)).collect();
    assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{name}: {buckets:?}");
    let (last, count) = (buckets.last().unwrap(), of("_count")[0].2);
    assert_eq!((last.0, last.1), (f64::INFINITY, count), "{name}");
    assert_eq!(of("_sum").len(), 1, "{name}");
}

fn labels_of(family: &Family, label: &str) -> BTreeSet<String> {
    family.samples.iter().map(|(_, labels, _)| labels[label].clone()).collect()
}

#[test]
fn every_figure_is_there_in_the_form_of_the_standard() {
    let daemon = Daemon::start();
    let response = daemon.get("/metrics").expect(200);
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(response.header("content-type"), Some(content_type));
    let families = parse(&response.text());
    let due = [
        ("runs", "gauge"),
        ("runs_finished", "counter"),
        ("run_wait_seconds", "histogram"),
        ("run_duration_seconds", "histogram"),
        ("events", "counter"),
        ("commits", "counter"),
        ("commit_seconds", "histogram"),
        ("store_requests", "counter"),
        ("readers", "gauge"),
        ("reader_resyncs", "counter"),
        ("http_requests", "counter"),
        ("scheduler_wakeups", "counter"),
        ("pruned", "counter"),
        ("database_bytes", "gauge"),
        ("draining", "gauge"),
        ("process_cpu_seconds", "counter"),
        ("process_start_time_seconds", "gauge"),
        ("process_threads", "gauge"),
        ("process_virtual_memory_bytes", "gauge"),
        ("process_resident_memory_bytes", "gauge"),
        ("process_open_fds", "gauge"),
        ("process_max_fds", "gauge"),
    ];
    for (name, kind) in due {
        let family = families.get(&format!("runabout_{name}")).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(family.kind, kind, "{name}");
    }
    // Who watches for a first failure needs its 0 before.
    let statuses = ["queued", "running", "succeeded", "failed", "canceled", "timed_out", "interrupted"];
    assert_eq!(labels_of(&families["runabout_runs"], "status"), statuses.map(str::to_owned).into());
    assert_eq!(labels_of(&families["runabout_runs_finished"], "status").len(), 5);
    assert_eq!(labels_of(&families["runabout_events"], "kind").len(), 14);
    assert_eq!(labels_of(&families["runabout_store_requests"], "kind"), ["read", "write"].map(str::to_owned).into());
    let causes = ["due", "safety", "signal"].map(str::to_owned);
    assert_eq!(labels_of(&families["runabout_scheduler_wakeups"], "cause"), causes.into());
}

#[test]
fn a_scraper_that_takes_the_older_text_format_alone_gets_it() {
    let daemon = Daemon::start();
    let asked = |accept: &str| daemon.call("GET", "/metrics").header("Accept", accept).send().expect(200);
    let older = "text/plain; version=0.0.4; charset=utf-8";
    let newer = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    for (accept, expected) in [
        ("text/plain", older),
        ("text/plain;version=0.0.4;q=0.5, */*;q=0.1", older),
        ("text/*", older),
        ("application/openmetrics-text;q=0.2, text/plain;version=0.0.4", older),
        ("*/*", newer),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1", newer),
        ("application/json", newer),
    ] {
        assert_eq!(asked(accept).header("content-type"), Some(expected), "{accept}");
    }
    let text = asked("text/plain").text();
    let families = parse(&asked("*/*").text());
    let types: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    assert_eq!(types.len(), families.len());
    let mut own = "";
    for line in text.lines() {
        if let Some(meta) = line.strip_prefix("# ") {
            let mut words = meta.splitn(3, ' ');
            let (what, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            assert!(["HELP", "TYPE"].contains(&what) && !rest.is_empty(), "{line}");
            own = name;
            continue;
        }
        // The classic parser makes a family of its own, without a type, of a sample that is not its family's.
        let name = line.split(['{', ' ']).next().unwrap();
        let suffixes: &[&str] = if types[own] == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        assert!(name.strip_prefix(own).is_some_and(|suffix| suffixes.contains(&suffix)), "{name} of {own}");
        assert_eq!(types[own] == "counter", own.ends_with("_total"), "{own}");
    }
    let samples = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(samples(&text), families.values().map(|family| family.samples.len()).sum::<usize>());
}

#[test]
fn figures_follow_what_happens_and_stay_well_formed() {
    let daemon = Daemon::start();
    let failed = daemon.sh("echo one; exit 3");
    daemon.wait_ended(failed);
    daemon.get("/v1/runs/4242").expect(404);
    daemon.get("/nowhere").expect(404);
    daemon.submit(&json!({"script": "true", "delay_s": 3_600}));
    let text = daemon.get("/metrics").expect(200).text();
    let families = parse(&text);
    let value = |name: &str, labels: &[(&str, &str)]| {
        let labels: BTreeMap<String, String> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let samples = &families[&format!("runabout_{name}")].samples;
        samples.iter().find(|(_, have, _)| *have == labels).unwrap_or_else(|| panic!("{name} {labels:?} in {text}")).2
    };
    assert_eq!(value("runs", &[("status", "queued")]), 1.0);
    assert_eq!(value("runs", &[("status", "failed")]), 1.0);
    assert_eq!(value("runs_finished", &[("status", "failed")]), 1.0);
    assert_eq!(value("events", &[("kind", "output")]), 1.0);
    assert_eq!(value("events", &[("kind", "finished")]), 1.0);
    assert_eq!(value("http_requests", &[("route", "/v1/runs/:id"), ("status", "404")]), 1.0);
    assert!(value("database_bytes", &[]) >= 4_096.0);
    assert!(value("process_resident_memory_bytes", &[]) > 1e6);
    let started = value("process_start_time_seconds", &[]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((0.0..600.0).contains(&(now - started + 2.0)), "started {started}, now {now}");
    assert!(value("process_open_fds", &[]) < value("process_max_fds", &[]));
    let count = families["runabout_run_duration_seconds"].samples.iter().find(|(suffix, _, _)| suffix == "_count");
    assert_eq!(count.unwrap().2, 1.0);
    // A route of nobody's choosing: a path of a client's own makes no new series.
    assert!(!text.contains("nowhere") && !text.contains("4242"), "{text}");
}
