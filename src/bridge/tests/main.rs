//! The bridge against real hubs, real daemons and a link that breaks. `make bridge` runs it: it needs the programs
//! `nats-server` and `runabout`, whose places NATS_SERVER and RUNABOUT name.
#![allow(clippy::unwrap_used, missing_docs)]

mod chaos;
mod cluster;
mod common;
mod events_out;
mod fleet;
mod idle;
mod many;
mod mqtt;
mod mqtt_presses;
mod permissions;
mod rates;
mod work_in;
