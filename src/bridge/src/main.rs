//! `runabout-bridge` connects one Runabout daemon to a hub: its events go out to NATS JetStream, work comes in, and
//! people see all boxes at once; or to an MQTT broker, for Home Assistant (`mqtt`). It is a plain client of the daemon and keeps nothing of its own: whatever dies, the
//! hub's own end of the stream and the daemon's database say where to go on.
//!
//! Reading order: `args` (what may be said), `session` (one connection to the hub and what lives on it), `events` and
//! `publish` (the way out), `work` (the way in), `fleet` (the view of all boxes).

mod accounts;
mod args;
mod daemon;
mod events;
mod fleet;
mod hub;
mod manual;
mod metrics;
mod mqtt;
mod presence;
mod publish;
mod session;
mod setup;
mod slots;
mod stop;
mod told;
mod work;

use std::process::ExitCode;

use crate::args::Command;
use crate::told::Refusal;

fn main() -> ExitCode {
    let args = match args::read() {
        Ok(args) => args,
        Err(refusal) => return refused(&refusal),
    };
    // One thread: there is nothing to compute. The daemon's client brings the one that waits for its sockets.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refused(&Refusal::No(format!("cannot start: {error}"))),
    };
    let done = runtime.block_on(async {
        match args.command {
            Command::Nats(nats) if nats.setup => setup::make(&nats).await,
            Command::Nats(nats) if nats.check => setup::check(&nats).await,
            Command::Nats(nats) => session::serve(&nats).await,
            Command::Mqtt(mqtt) => mqtt::run(&mqtt).await,
            Command::Hub(options) => fleet::ask(&options).await,
            Command::Manual { dir } => manual::write(&dir),
            Command::Accounts { boxes } => fleet::print(accounts::text(&boxes).trim_end()),
        }
    });
    // What still runs is a connection on its way out, which nobody waits for.
    runtime.shutdown_background();
    done.map_or_else(|refusal| refused(&refusal), |()| ExitCode::SUCCESS)
}

fn refused(refusal: &Refusal) -> ExitCode {
    told::say(&refusal.to_string());
    ExitCode::from(refusal.exit_code())
}
