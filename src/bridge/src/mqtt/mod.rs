//! The box in Home Assistant, by any MQTT broker: its counts, its last failure, the ends of its runs, and a button for
//! each job that may be started.
//!
//! As with NATS, whatever goes wrong ends a connection, and the next one begins anew: the box says `offline` (or its last
//! will does) and describes itself again. What it shows is looked up, never remembered; only how far ends were told is kept
//! in memory, so that a broker's restart loses none. A press that is not fresh starts nothing, whoever kept it.
//!
//! Reading order: `args`, `topics`, `press`, `discovery`, `shown` (what is said), `asked` (of the daemon), `broker`, `packets`
//! and `link` (the way there), `session` (one connection), `check`.

pub mod args;
mod asked;
mod broker;
mod check;
mod counts;
mod discovery;
mod link;
mod packets;
mod press;
mod session;
mod shown;
mod topics;

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use self::args::Mqtt;
use self::broker::Broker;
use self::counts::Counts;
use self::session::{Progress, Session};
use crate::daemon::Daemon;
use crate::publish::Doubt;
use crate::stop;
use crate::told::{Refusal, say};

/// The first wait is drawn from nought to this.
const WAIT_FIRST: Duration = Duration::from_millis(500);
/// A session that lived this long was a good one.
const GOOD: Duration = Duration::from_secs(10);

/// Does what the options ask for.
///
/// # Errors
/// What no waiting changes.
pub async fn run(options: &Mqtt) -> Result<(), Refusal> {
    if options.check {
        return check::check(options).await;
    }
    if options.remove {
        return check::remove(options).await;
    }
    let daemon = Daemon::named(&options.daemon)?;
    let counts = Counts::default();
    let text = || counts.text();
    let (stop, stopping) = watch::channel(false);
    let asked_to_stop = async {
        stop::asked().await?;
        stop.send_replace(true);
        std::future::pending::<Result<(), Refusal>>().await
    };
    tokio::select! {
        refused = asked_to_stop => refused,
        refused = crate::metrics::serve(options.metrics, &text) => refused,
        ended = sessions(options, &daemon, &counts, stopping) => ended,
    }
}

/// One session after another, until it is asked to stop.
async fn sessions(
    options: &Mqtt,
    daemon: &Daemon,
    counts: &Counts,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), Refusal> {
    let mut progress = Progress::default();
    let (mut bound, mut said) = (WAIT_FIRST, String::new());
    loop {
        let began = Instant::now();
        let ended = session(options, daemon, counts, &mut progress, &stopping).await;
        counts.connected.set(0);
        let doubt = match ended {
            Ok(None) => return Ok(()),
            Ok(Some(doubt)) => doubt,
            Err(refusal @ Refusal::Usage(_)) => return Err(refusal),
            Err(refusal) => Doubt(refusal.to_string()),
        };
        if began.elapsed() > GOOD {
            bound = WAIT_FIRST;
        }
        if doubt.0 != said {
            say(&format!("{}; trying again", doubt.0));
            said = doubt.0;
        }
        tokio::select! {
            () = tokio::time::sleep(bound.mul_f64(fastrand::f64())) => {}
            _ = stopping.wait_for(|stopping| *stopping) => return Ok(()),
        }
        bound = (bound * 2).min(options.reconnect_max());
    }
}

/// Gives the doubt that ended it; `None` where it was asked to stop.
async fn session(
    options: &Mqtt,
    daemon: &Daemon,
    counts: &Counts,
    progress: &mut Progress,
    stopping: &watch::Receiver<bool>,
) -> Result<Option<Doubt>, Refusal> {
    let mut stop = stopping.clone();
    let opened = async {
        let broker = Broker::named(&options.broker)?;
        Session::open(options, daemon, &broker, counts).await
    };
    let mut session = tokio::select! {
        opened = opened => opened?,
        _ = stop.wait_for(|stopping| *stopping) => return Ok(None),
    };
    let doubt = tokio::select! {
        biased;
        _ = stop.wait_for(|stopping| *stopping) => None,
        doubt = session.live(progress) => Some(doubt),
    };
    session.leave().await;
    Ok(doubt)
}
