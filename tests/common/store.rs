//! A store without a daemon around it.

use std::sync::Arc;
use std::time::Duration;

use runabout::dir::Dir;
use runabout::metrics::Metrics;
use runabout::run::{Cause, Origin, Spec};
use runabout::store::{NewRun, Store, StoreConfig};
use runabout::wake::{Bell, Stop};

use super::TempDir;

/// A store in this directory that keeps all.
pub fn store(dir: &TempDir) -> Store {
    store_keeping(dir, &Bell::default(), 0)
}

/// A store in this directory that keeps so many ended runs.
pub fn store_keeping(dir: &TempDir, bell: &Bell, runs_count: u64) -> Store {
    let config = StoreConfig {
        queued_runs_max: 1_000,
        was_closed: false,
        note_closed: Arc::new(|| ()),
        remembered: None,
        remember: Arc::new(|_| ()),
        quota: Arc::new(|_| 1 << 30),
        output_bytes_per_run: 1 << 26,
        artifact_bytes: 1 << 32,
        runs_days: 0,
        runs_count,
        cursor_days: 30,
        disk_free_bytes_min: 0,
        check_max: Duration::ZERO,
    };
    let file = Arc::new(Dir::open(dir.path()).unwrap()).file("runabout.db");
    Store::open(&file, &config, bell, &Stop::new(bell.clone()), &Arc::new(Metrics::new())).expect("a store")
}

/// A submit of a script.
pub fn new_run() -> NewRun {
    NewRun {
        spec: Spec::plain("default"),
        idempotency: None,
        retry_of: None,
        origin: Origin::of(Cause::Submit),
        by: "test".into(),
    }
}
