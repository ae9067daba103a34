//! The store: SQLite behind two blocking threads, one that writes and one that reads, each with its own connection and
//! reached by typed jobs over a channel.
//!
//! The only place that names rusqlite. It knows neither who reads events nor how they are shown.

mod alive;
mod all_events;
mod attempts;
pub mod backlog;
mod ballast;
pub mod beside;
mod by_descriptor;
mod check;
mod committed;
mod drain;
mod enrollment;
mod error;
mod events;
mod expiry;
mod handle;
mod job;
mod life;
#[cfg(test)]
mod life_tests;
mod lineage;
mod lists;
mod migrate;
mod place;
mod queues;
mod quota;
mod reads;
mod recovery;
mod retention;
mod room;
mod runs;
mod sessions;
mod settings;
mod shared;
pub mod sql;
mod state;
mod thread;
mod transaction;
mod writer;

pub use all_events::{AllHead, AllPage, NewestPiece};
pub use attempts::{Claimed, LeftRun, ProcessMark};
pub use backlog::{Backlog, Intake, Piece, Watch};
pub use committed::Committed;
pub use enrollment::{EnrollmentToken, NewEnrollmentToken, Redeem};
pub use error::{Shortage, StoreError};
pub use events::{EventPage, Head, PAGE_BYTES_MAX, PAGE_ROWS_MAX};
pub use expiry::{Removed, Vacuum};
pub use handle::Store;
pub use lists::{Filter, Listed, RunPage};
pub use migrate::OpenError;
pub use queues::DEFAULT_QUEUE;
pub use runs::{Change, IdempotencyKey, NewRun, Submitted};
pub use sessions::{LiveSession, Session, SessionPage, SessionUse, TokenSha256};
pub use settings::{Quota, Remember, StoreConfig};
pub use state::{Counts, Queue};
