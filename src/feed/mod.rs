//! Who is listening, and what each has seen: the fan-out from the commit, and the Follower that makes a cursor into
//! a sequence without holes.
//!
//! Knows no transport. Never holds an event that is not on the medium. Why a reader of all runs misses none, although ids
//! skip, stands at the top of `all`.

mod all;
mod budget;
mod follower;
mod hub;

pub use all::{AllFollower, AllHello, partial_gap, resolve_all};
pub use budget::{Budget, Share};
pub use follower::{Ended, Follower, Hello, OpenError, Step, resolve, wait_for_end};
pub use hub::{Encoded, Hub, HubLimits, Subscription};
