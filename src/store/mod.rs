//! The store: SQLite behind two blocking threads, one that writes and one that reads, each with its own connection and
//! reached by typed jobs over a channel.
//!
//! The only place that names rusqlite. It knows neither who reads events nor how they are shown.

mod alive;
mod drain;
mod engine;
mod error;
mod fault_log;
mod file;
mod numbers;
mod open;
mod refusal;
mod settings;
pub mod sql;
mod tables;

pub use engine::backlog::{self, Backlog, Intake, Piece, Watch};
pub use engine::committed::Committed;
pub use engine::counters::{Counts, Queue};
pub use engine::orders::{Claimed, Order};
pub use error::{Fault, StoreError};
pub use fault_log::FaultLog;
pub use file::beside;
pub use file::beside_hooks::HookHealth;
pub use file::error::OpenError;
pub use refusal::{Refusal, Shortage};
pub use settings::{Quota, Remember, StoreConfig};
pub use tables::artifacts::RunArtifacts;
pub use tables::attempts::{LeftRun, ProcessMark};
pub use tables::bulk::{BULK_RUNS, Bulk, BulkDone};
pub use tables::cancel::Cancel;
pub use tables::cursors::CursorsSeen;
pub use tables::enrollment::{EnrollmentToken, NewEnrollmentToken, Redeem};
pub use tables::expiry::{Removed, Vacuum};
pub use tables::handle::Store;
pub use tables::heads::{AllHead, Head, RunHead, partial_gap};
pub use tables::hooks::PutHook;
pub use tables::idempotency::IdempotencyKey;
pub use tables::jobs::{IfMatch, PutJob, next_after, schedule_of};
pub use tables::life::NewRun;
pub use tables::lists::{Filter, Listed, RunPage};
pub use tables::pages::{EventPage, PAGE_BYTES_MAX, PAGE_ROWS_MAX, PageLimits};
pub use tables::queues::{DEFAULT_QUEUE, QueueChange};
pub use tables::runs::{Change, Ties};
pub use tables::runs_of_events::NewestPiece;
pub use tables::search::{Hit, Place, Search, SearchPage};
pub use tables::sessions::live::{LiveSession, SessionUse};
pub use tables::sessions::session::{Session, SessionPage, TokenSha256};
pub use tables::sought::Sought;
pub use tables::submit::{Became, Submitted};
