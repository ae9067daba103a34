//! One connection to the hub after another, and what lives on it.
//!
//! Whatever goes wrong on a connection ends it: nothing that was on its way is trusted, and the next one begins by looking at
//! what the hub has. The box never waits for the hub; it is only read from.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::args::Nats;
use crate::daemon::Daemon;
use crate::events::{self, Out};
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::publish::Doubt;
use crate::slots::Slots;
use crate::told::{Refusal, say};
use crate::work::{self, Intake};
use crate::{presence, stop};

/// The first wait is drawn from nought to this.
const WAIT_FIRST: Duration = Duration::from_millis(500);
/// A session that lived this long was a good one.
const GOOD: Duration = Duration::from_secs(10);

/// Bridges until it is asked to stop.
///
/// # Errors
/// What no waiting changes: options that cannot be used.
pub async fn serve(options: &Nats) -> Result<(), Refusal> {
    let daemon = Daemon::named(&options.daemon)?;
    let metrics = Metrics::default();
    let text = || metrics.text();
    tokio::select! {
        stopped = stop::asked() => stopped?,
        refused = crate::metrics::serve(options.metrics, &text) => return refused,
        refused = sessions(options, &daemon, &metrics) => return refused,
    }
    events::last_words(&daemon, &metrics).await;
    Ok(())
}

async fn sessions(options: &Nats, daemon: &Daemon, metrics: &Metrics) -> Result<(), Refusal> {
    let mut bound = WAIT_FIRST;
    let mut said = String::new();
    loop {
        let began = Instant::now();
        let events = metrics.events.load(Ordering::Relaxed);
        let doubt = match session(options, daemon, metrics).await {
            Err(refusal @ Refusal::Usage(_)) => return Err(refusal),
            Err(refusal) => Doubt(refusal.to_string()),
            Ok(doubt) => doubt,
        };
        metrics.connected.store(0, Ordering::Relaxed);
        Metrics::add(&metrics.doubts, 1);
        if began.elapsed() > GOOD || metrics.events.load(Ordering::Relaxed) > events {
            bound = WAIT_FIRST;
        }
        if doubt.0 != said {
            say(&format!("{}; looking again", doubt.0));
            said = doubt.0;
        }
        tokio::time::sleep(bound.mul_f64(fastrand::f64())).await;
        bound = (bound * 2).min(options.reconnect_max());
    }
}

/// Gives the doubt that ended it.
async fn session(options: &Nats, daemon: &Daemon, metrics: &Metrics) -> Result<Doubt, Refusal> {
    let system = daemon.system().await.map_err(|failure| Refusal::Absent(failure.to_string()))?;
    let hub = Hub::connect(&options.hub, &system.instance).await?;
    metrics.connected.store(1, Ordering::Relaxed);
    Metrics::add(&metrics.sessions, 1);
    let happened = Notify::new();
    let out = Out { hub: &hub, daemon, system: &system, options, metrics, happened: &happened };
    tokio::select! {
        () = hub.lost() => Ok(Doubt("the hub is gone".to_owned())),
        doubt = events::send(&out) => Ok(doubt),
        doubt = presence::show(&hub, daemon, &system, options, metrics) => Ok(doubt),
        doubt = presence::control(&hub, daemon, &system) => Ok(doubt),
        doubt = work_of(&out) => Ok(doubt),
    }
}

async fn work_of(out: &Out<'_>) -> Doubt {
    if out.options.no_work {
        std::future::pending::<()>().await;
    }
    let slots = Slots::of(out.daemon, &out.options.queue);
    let intake = Intake {
        hub: out.hub,
        daemon: out.daemon,
        instance: &out.system.instance,
        tags: &out.options.tags,
        slots: &slots,
        metrics: out.metrics,
    };
    tokio::select! {
        doubt = slots.watch(out.happened) => doubt,
        doubt = work::take(&intake) => doubt,
    }
}
