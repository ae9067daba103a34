//! Hooks: whom the daemon tells that a run has ended, of which ends, and in which form.
//!
//! No I/O: what is sent is made here, and when it is tried again is said here; nothing is connected. A secret is never shown.

#[cfg(feature = "daemon")]
mod again;
#[cfg(feature = "daemon")]
mod delivery;
#[cfg(feature = "daemon")]
mod message;
#[cfg(feature = "daemon")]
mod secret;
#[cfg(feature = "daemon")]
mod target;

use serde::{Deserialize, Serialize};

#[cfg(feature = "daemon")]
pub use self::again::{Again, LONGEST_WAIT_MS};
#[cfg(feature = "daemon")]
pub use self::delivery::{Attempt, Delivery, Parcel};
#[cfg(feature = "daemon")]
pub use self::message::{Ended, Message};
#[cfg(feature = "daemon")]
pub use self::secret::{Key, SECRET_FORM, Secret, rotated, signature};
#[cfg(feature = "daemon")]
pub use self::target::{TARGET_CHARS_MAX, Target};
use crate::clock::UnixMs;
use crate::run::{Run, Status};
use crate::words::words;

/// Hooks that there may be.
pub const HOOKS_MAX: i64 = 100;
/// Deliveries that are kept, of all hooks and of every status.
pub const DELIVERIES_MAX: i64 = 10_000;
/// The ends that a hook tells of unless told otherwise.
pub const ON: &[Status] = &[Status::Failed, Status::TimedOut];

words! {
    /// The form in which an end is told.
    Form {
        /// Standard Webhooks: a JSON object of type, time and data.
        Standard = "standard",
        /// A message for ntfy: text, with title, priority and tags in headers.
        Ntfy = "ntfy",
        /// A message for Slack, and for what takes its webhooks: Mattermost, Rocket.Chat, Discord with `/slack`.
        Slack = "slack",
        /// A flat JSON object for the webhook trigger of Home Assistant.
        HomeAssistant = "home_assistant",
    }
}

words! {
    /// Where a delivery stands.
    DeliveryStatus {
        /// It is still to be sent.
        Pending = "pending",
        /// Its target took it.
        Delivered = "delivered",
        /// Its target did not take it, and it is not tried again by itself.
        Dead = "dead",
    }
}

/// What somebody said that a hook is.
///
/// The database keeps it as JSON, so that a field which is added here has a default there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookSpec {
    /// Where to.
    pub url: String,
    /// The ends that it tells of.
    pub on: Vec<Status>,
    /// Of runs of this job alone.
    pub job: Option<String>,
    /// Of runs of this queue alone.
    pub queue: Option<String>,
    /// Of runs with this tag alone.
    pub tag: Option<String>,
    /// Whether it tells of anything.
    pub enabled: bool,
    /// In which form.
    pub body: Form,
    /// Whether its target may be this daemon.
    pub allow_self: bool,
}

impl HookSpec {
    /// Whether it tells of a run that ends so.
    pub fn wants(&self, run: &Run, status: Status) -> bool {
        let is = |wish: &Option<String>, has: Option<&str>| wish.is_none() || wish.as_deref() == has;
        self.enabled
            && self.on.contains(&status)
            && is(&self.job, run.origin.job.as_deref())
            && is(&self.queue, Some(&run.spec.queue))
            && self.tag.as_ref().is_none_or(|tag| run.spec.tags.contains(tag))
    }
}

/// A hook.
#[derive(Clone, Debug)]
pub struct Hook {
    /// Its name.
    pub name: String,
    /// What it is.
    pub spec: HookSpec,
    /// Why it was disabled by itself, for people; `None` where nothing did that, or somebody enabled it since.
    pub stopped: Option<String>,
    /// Until when it also signs with earlier secrets, the newest first.
    pub rotating_until: Vec<UnixMs>,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it was last changed.
    pub changed_at: UnixMs,
    /// How many of its deliveries are still to be sent.
    pub pending: i64,
    /// How many of those that are kept are dead.
    pub dead: i64,
    /// When the first of those to be sent is due.
    pub next_at: Option<UnixMs>,
    /// Attempts at that one that failed so far.
    pub failures: i64,
    /// Why the last of them failed, for people.
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use crate::numbers::{RunId, Seq};
    use crate::run::{HeldBy, Origin, Outcome, Spec};

    pub fn run(queue: &str, tags: &[&str], job: Option<&str>) -> Run {
        Run {
            id: RunId(42),
            outcome: Outcome { status: Status::Running, ..Outcome::QUEUED },
            spec: Spec { tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), ..Spec::plain(queue) },
            held_by: HeldBy::NOTHING,
            is_needed: false,
            failures: 0,
            attempt: 1,
            progress: None,
            pid: None,
            last_seq: Seq(2),
            output_bytes: 0,
            artifacts: 0,
            artifact_bytes: 0,
            created_at: UnixMs(1_000),
            started_at: Some(UnixMs(2_000)),
            ended_at: None,
            cancel_requested_at: None,
            usage: None,
            retry_of: None,
            origin: Origin { job: job.map(str::to_owned), ..Origin::of(crate::run::Cause::Submit) },
        }
    }

    #[test]
    fn a_hook_tells_of_the_ends_that_it_names_and_of_no_other() {
        let spec = HookSpec {
            url: "http://a/".into(),
            on: ON.to_vec(),
            job: None,
            queue: None,
            tag: None,
            enabled: true,
            body: Form::Standard,
            allow_self: false,
        };
        let wants = |spec: &HookSpec, status| spec.wants(&run("gpu", &["media"], Some("nightly")), status);
        assert!(wants(&spec, Status::Failed) && wants(&spec, Status::TimedOut));
        assert!(!wants(&spec, Status::Succeeded) && !wants(&spec, Status::Canceled));
        assert!(!wants(&HookSpec { enabled: false, ..spec.clone() }, Status::Failed));
        type Set = fn(&mut HookSpec, Option<String>);
        let filters: [(Set, &str); 3] = [
            (|spec, value| spec.job = value, "nightly"),
            (|spec, value| spec.queue = value, "gpu"),
            (|spec, value| spec.tag = value, "media"),
        ];
        for (set, right) in filters {
            for (value, expected) in [(right, true), ("other", false)] {
                let mut spec = spec.clone();
                set(&mut spec, Some(value.to_owned()));
                assert_eq!(wants(&spec, Status::Failed), expected, "{spec:?}");
            }
        }
    }
}
