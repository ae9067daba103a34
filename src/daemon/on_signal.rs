//! What signals do: the first ends the daemon, the second its commands too, SIGHUP has the certificate read again.

use std::sync::Arc;

use crate::http::server::Tls;
use crate::runner::{Groups, Running};
use crate::signals::{EndSignals, RepeatedSignal};
use crate::systemd;
use crate::wake::{Phase, Stop};

/// The first signal starts the shutdown; the second kills all commands and ends the process at once.
pub(super) async fn on_signals(mut signals: EndSignals, stop: Stop, running: Running, groups: Groups) {
    let first = signals.first().await;
    log::info!("signal {first}");
    stop.raise(Phase::Stopping);
    let second = signals.next().await;
    groups.kill_all();
    running.kill_all();
    groups.leave();
    std::process::exit(128 + second);
}

/// Reloads the certificate at each SIGHUP. Without TLS there is nothing to reload.
pub(super) async fn on_hangups(mut hangup: RepeatedSignal, tls: Option<Arc<Tls>>, listening: String) {
    loop {
        hangup.next().await;
        systemd::reloading();
        match tls.as_ref().map(|tls| tls.reload()) {
            None => log::info!("SIGHUP: there is no certificate to read again"),
            Some(Ok(())) => log::info!("SIGHUP: new connections get the certificate as it is now"),
            Some(Err(why)) => log::error!("SIGHUP: the old certificate stays: {why}"),
        }
        systemd::ready(&listening);
    }
}
