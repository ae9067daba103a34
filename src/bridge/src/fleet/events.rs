//! Reading the hub's stream of events.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use bytes::Bytes;
use futures_util::StreamExt as _;

use crate::hub::{EVENTS, EVENTS_PREFIX};
use crate::told::Refusal;

/// The hub forgets a reader that has gone after this.
const READER: Duration = Duration::from_secs(60);
/// A live reader asks again after this.
const PULL: Duration = Duration::from_secs(30);

/// One event, as its box has told it.
pub struct Stored {
    /// Whose it is.
    pub instance: String,
    /// The event.
    pub body: Bytes,
}

/// Gives each event of these subjects to `take`, in order, until it says that this is enough; without `follow` also at the end
/// of what there is now.
///
/// # Errors
/// The hub says no, or goes.
pub async fn each(
    context: &Context,
    subjects: Vec<String>,
    from: DeliverPolicy,
    follow: bool,
    mut take: impl FnMut(Stored) -> Result<bool, Refusal>,
) -> Result<(), Refusal> {
    let refusal = |error: &dyn std::fmt::Display| Refusal::No(format!("{EVENTS}: {error}"));
    // Older hubs take one subject of a consumer, and get one that has them all.
    let (subject, subjects) = match subjects.as_slice() {
        [one] => (one.clone(), Vec::new()),
        _ if context.client().is_server_compatible(2, 10, 0) => (String::new(), subjects),
        _ => (format!("{EVENTS_PREFIX}.*.*.*"), subjects),
    };
    let sifted = !subject.is_empty() && !subjects.is_empty();
    let config = pull::Config {
        filter_subject: subject,
        filter_subjects: if sifted { Vec::new() } else { subjects.clone() },
        deliver_policy: from,
        ack_policy: AckPolicy::None,
        inactive_threshold: READER,
        ..pull::Config::default()
    };
    let consumer = context.create_consumer_on_stream(config, EVENTS).await.map_err(|error| refusal(&error))?;
    let mut left = consumer.cached_info().num_pending;
    while follow || left > 0 {
        let batch = consumer.batch().max_messages(if left > 0 { 500 } else { 1 });
        let batch = batch.expires(if left > 0 { Duration::from_secs(2) } else { PULL });
        let mut messages = batch.messages().await.map_err(|error| refusal(&error))?;
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| refusal(&error))?;
            left = message.info().map_err(|error| refusal(&error))?.pending;
            let instance = message.subject.split('.').nth(2).unwrap_or_default().to_owned();
            let wanted = !sifted || subjects.iter().any(|wanted| fits(&message.subject, wanted));
            if wanted && !take(Stored { instance, body: message.payload.clone() })? {
                return Ok(());
            }
            if left == 0 {
                break;
            }
        }
    }
    Ok(())
}

/// Whether a subject is one of these, where `*` is any token and `>` is not asked for.
fn fits(subject: &str, wanted: &str) -> bool {
    let (mut tokens, mut wanted) = (subject.split('.'), wanted.split('.'));
    loop {
        match (tokens.next(), wanted.next()) {
            (None, None) => return true,
            (Some(_), Some("*")) => {}
            (Some(token), Some(other)) if token == other => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_subject_is_sifted_as_the_hub_would() {
        assert!(fits("rb.ev.i.7.queued", "rb.ev.*.*.queued"));
        for other in ["rb.ev.i.7.started", "rb.ev.i.7", "rb.ev.i.7.queued.x"] {
            assert!(!fits(other, "rb.ev.*.*.queued"), "{other}");
        }
    }
}
