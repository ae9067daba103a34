//! Who is listening, and what each has seen: the fan-out from the commit, and the Follower that makes a cursor into
//! the events of a scope without holes.
//!
//! Knows no transport. Never holds an event that is not on the medium. Why no reader misses an event, also of all runs,
//! whose ids skip, stands at the top of `follower`.

mod budget;
mod follower;
mod hub;

mod mailboxes;
mod opening;
mod run_end;
mod stretch;
mod subscription;
#[cfg(test)]
mod test_feed;

pub use budget::{Budget, Share};
pub use follower::{Follower, Step};
pub use hub::Hub;
pub use mailboxes::HubLimits;
pub use opening::{OpenError, Opening, resolve};
pub use run_end::wait_for_end;
pub use stretch::{Form, Framing, Mark, Part, Shown};
