//! What the database stores: a file for each table or rule, each with its part of the handle's methods.

pub mod artifacts;
pub mod attempts;
pub mod blocks;
pub mod bulk;
pub mod cancel;
pub mod cursors;
pub mod deliveries;
pub mod dependents;
#[cfg(test)]
mod dependents_tests;
pub mod enrollment;
pub mod events;
pub mod expiry;
pub mod firings;
pub mod firings_expiry;
#[cfg(test)]
mod firings_tests;
pub mod followers;
pub mod handle;
pub mod heads;
pub mod hook_rows;
pub mod hooks;
pub mod idempotency;
pub mod jobs;
pub mod keys;
pub mod life;
#[cfg(test)]
mod life_tests;
pub mod lines;
pub mod lists;
pub mod needs;
pub mod output;
pub mod overlap;
pub mod pages;
pub mod queues;
pub mod quota;
pub mod retention;
pub mod run_row;
pub mod runs;
pub mod runs_of_events;
pub mod search;
pub mod sessions;
pub mod sought;
pub mod submit;
pub mod tags;
pub mod waits;
pub mod walk;
