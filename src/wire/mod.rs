//! The JSON of the protocol: each shape that crosses the wire, once, for whoever writes it and whoever reads it.
//!
//! Writers borrow what they have; readers own what they got, take any field to be absent, ignore fields that they do not
//! know, and keep words that they do not know: the other end may be older or newer. Nothing here does I/O, and what a
//! client sends is checked by the daemon itself, field by field (see `http/types`).

mod access;
mod artifact;
mod bookmark;
mod bulk;
mod cursor;
mod event;
mod frame;
mod hook;
mod job;
mod outcome;
mod problem;
mod queue;
mod run;
mod search;
mod submit;
mod word;

pub use self::access::{EnrollmentTokenBody, SessionBody, SessionsPage};
pub use self::artifact::{ArtifactBody, ArtifactList, ArtifactState};
pub use self::bookmark::{Bookmark, Heard};
pub use self::bulk::BulkBody;
pub use self::cursor::CursorBody;
pub use self::event::{Misfit, ReceivedEvent, ReceivedGap, What};
pub use self::frame::{At, Frame, Last, Stands};
pub use self::hook::{DeliveryBody, HookBody};
pub use self::job::{DueBody, FiringBody, JobBody, LastRunBody};
pub use self::outcome::OutcomeBody;
pub use self::problem::{ProblemBody, Violation};
pub use self::queue::{DrainBody, QueueBody};
pub use self::run::{RunBody, RunsPage};
pub use self::search::{HitBody, SearchBody};
pub use self::submit::Submit;
pub use self::word::Word;
