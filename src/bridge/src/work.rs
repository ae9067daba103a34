//! The way in: work from the hub becomes runs of the daemon.
//!
//! A message is acknowledged after the daemon has committed its run, under a key that is the message's own: however often it is
//! delivered to this box, there is one run. What can never run is taken off the stream with the reason, what cannot run now is
//! given back with a delay.

use std::time::Duration;

use async_nats::StatusCode;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::{self, AckKind, Context, Message};
use futures_util::StreamExt as _;
use futures_util::future::select_all;
use runabout::client::Failure;
use serde_json::{Map, Value, json};

use crate::daemon::Daemon;
use crate::hub::{ANSWER, Hub, WORK};
use crate::metrics::Metrics;
use crate::publish::Doubt;
use crate::slots::Slots;
use crate::told::say;

/// Until a message that was neither acknowledged nor given back goes to another box.
const ACK_WAIT: Duration = Duration::from_secs(60);
/// For the daemon's answer: well within that.
const SUBMIT: Duration = Duration::from_secs(20);
/// A pull waits this long for work.
const PULL: Duration = Duration::from_secs(120);
/// Messages of one pull.
const PULL_MAX: usize = 100;
/// Deliveries of a message, before it stays where it is and the hub says so.
const DELIVERIES_MAX: i64 = 20;
/// Before a message is tried again; it doubles up to the longest.
const AGAIN_S: u64 = 5;
const AGAIN_LONGEST_S: u64 = 300;
/// Where the hub has no work, it is asked again after this.
const NO_WORK: Duration = Duration::from_secs(60);
/// Where it refused a pull, after this.
const SOON: Duration = Duration::from_secs(1);
/// Characters of a fleet id: it becomes part of a tag.
const FLEET_ID_CHARS_MAX: usize = 64;

/// What the taking of work needs.
pub struct Intake<'a> {
    /// The hub.
    pub hub: &'a Hub,
    /// The daemon.
    pub daemon: &'a Daemon,
    /// Which box this is.
    pub instance: &'a str,
    /// Whose work it takes beside its own.
    pub tags: &'a [String],
    /// How much it can start.
    pub slots: &'a Slots<'a>,
    /// What is counted.
    pub metrics: &'a Metrics,
}

/// The consumer of a box or a tag: its durable name, and whose subject it reads.
pub fn consumer_config(name: &str, replicas: usize) -> pull::Config {
    pull::Config {
        durable_name: Some(name.to_owned()),
        filter_subject: format!("rb.work.{}", name.replacen('-', ".", 1)),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_deliver: DELIVERIES_MAX,
        max_ack_pending: 1_000,
        num_replicas: replicas,
        ..pull::Config::default()
    }
}

/// The consumers of a box: of what is asked of it whether it has room or not, of its own work, and of its tags.
pub fn consumers(instance: Option<&str>, tags: &[String]) -> Vec<String> {
    let own = instance.into_iter().flat_map(|instance| [format!("ctl-{instance}"), format!("box-{instance}")]);
    own.chain(tags.iter().map(|tag| format!("tag-{tag}"))).collect()
}

/// Takes work until something goes wrong.
pub async fn take(intake: &Intake<'_>) -> Doubt {
    let context = jetstream::new(intake.hub.client.clone());
    let pulls = consumers(Some(intake.instance), intake.tags).into_iter().map(|name| {
        let context = &context;
        Box::pin(async move {
            match pulled(intake, context, &name).await {
                Ok(never) => match never {},
                Err(doubt) => Doubt(format!("work of {name}: {}", doubt.0)),
            }
        })
    });
    select_all(pulls).await.0
}

async fn pulled(intake: &Intake<'_>, context: &Context, name: &str) -> Result<std::convert::Infallible, Doubt> {
    // A cancel is for what takes the room.
    let needs_room = !name.starts_with("ctl-");
    let (mut missing, mut wait) = (String::new(), SOON);
    loop {
        let mut wanted = PULL_MAX;
        if needs_room {
            intake.slots.are(true).await;
            wanted = intake.slots.free().min(PULL_MAX);
        }
        match pull(intake, context, name, wanted, needs_room).await? {
            Pulled::Again => (missing, wait) = (String::new(), SOON),
            Pulled::NoConsumer => {
                // It is missing, or its servers choose who leads it. What is missing for work must not keep events.
                if let Err(error) = context.create_consumer_strict_on_stream(consumer_config(name, 0), WORK).await {
                    let text = format!("no work of {name} from the hub: {error}; `--setup` makes what is missing");
                    if text != missing && wait > SOON {
                        say(&text);
                        missing = text;
                    }
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(NO_WORK);
                }
            }
        }
    }
}

/// How a pull ended.
enum Pulled {
    Again,
    NoConsumer,
}

/// One request for work, by its subject alone: of a consumer's settings and state a box need not be allowed to know.
async fn pull(
    intake: &Intake<'_>,
    context: &Context,
    name: &str,
    wanted: usize,
    needs_room: bool,
) -> Result<Pulled, Doubt> {
    let client = &intake.hub.client;
    let doubt = |error: &dyn std::fmt::Display| Doubt(error.to_string());
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.map_err(|error| doubt(&error))?;
    let asked = json!({ "batch": wanted, "expires": PULL.as_nanos() as u64 }).to_string();
    let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{WORK}.{name}");
    client.publish_with_reply(subject, inbox, asked.into()).await.map_err(|error| doubt(&error))?;
    let over = tokio::time::sleep(PULL + ANSWER);
    let mut over = std::pin::pin!(over);
    let (mut left, mut open) = (wanted, true);
    while left > 0 {
        let message = tokio::select! {
            biased;
            message = answers.next() => message,
            // The hub is gone or silent; it is asked anew.
            () = &mut over, if open => None,
            // Another consumer has taken the last slot: what was asked for here is not wanted any more. What is on its way
            // already is given back.
            () = intake.slots.are(false), if needs_room && open => {
                answers.unsubscribe().await.map_err(|error| doubt(&error))?;
                open = false;
                continue;
            }
        };
        let Some(message) = message else { break };
        match message.status {
            None | Some(StatusCode::OK) => {}
            Some(StatusCode::NO_RESPONDERS) => return Ok(Pulled::NoConsumer),
            // Nothing has come.
            Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => break,
            // The consumer was taken away, or its server is on its way out.
            Some(_) => {
                tokio::time::sleep(SOON).await;
                break;
            }
        }
        left -= 1;
        handle(intake, &Message { message, context: context.clone() }).await?;
    }
    Ok(Pulled::Again)
}

/// What becomes of a message.
enum Answer {
    Done,
    Again(Duration),
    Never(String),
}

async fn handle(intake: &Intake<'_>, message: &Message) -> Result<(), Doubt> {
    let info = message.info().map_err(|error| Doubt(error.to_string()))?;
    // A hub that lost its newest messages, or its stream, gives the same sequence again: not at the same nanosecond.
    let key = format!("js-{}-{}", info.published.unix_timestamp_nanos(), info.stream_sequence);
    let fleet_id = fleet_id(message, &key);
    let again = Duration::from_secs(AGAIN_S.saturating_mul(1 << (info.delivered - 1).clamp(0, 6)).min(AGAIN_LONGEST_S));
    let answer = match order(&message.payload, &fleet_id, info.delivered) {
        Err(why) => Answer::Never(why),
        Ok(Order::Cancel(id)) => canceled(intake.daemon, &id, again).await,
        Ok(Order::Run(_)) if message.subject.starts_with("rb.work.ctl.") => {
            Answer::Never("a cancel is wanted here; work goes to rb.work.box or rb.work.tag".to_owned())
        }
        Ok(Order::Run(body)) => match intake.slots.take().await {
            Ok(true) => submitted(intake, &body, &key, again).await,
            // Other boxes may be free, and this one is not any more.
            Ok(false) => Answer::Again(Duration::ZERO),
            Err(failure) => return Err(Doubt(failure.to_string())),
        },
    };
    let settled = match &answer {
        Answer::Done => message.double_ack().await,
        Answer::Again(delay) => message.double_ack_with(AckKind::Nak((!delay.is_zero()).then_some(*delay))).await,
        Answer::Never(why) => {
            say(&format!("work {fleet_id} will never run: {why}"));
            Metrics::add(&intake.metrics.refused, 1);
            return term(intake.hub, message, why).await;
        }
    };
    settled.map_err(|error| Doubt(format!("the hub does not take our word for {fleet_id}: {error}")))
}

/// Takes it off the stream; the hub tells the reason to who listens for its advisories.
async fn term(hub: &Hub, message: &Message, why: &str) -> Result<(), Doubt> {
    let Some(reply) = message.reply.clone() else { return Ok(()) };
    let word = format!("+TERM {}", why.replace(['\r', '\n'], " "));
    let asked = tokio::time::timeout(ANSWER, hub.client.request(reply, word.into())).await;
    match asked {
        Ok(Ok(_)) => Ok(()),
        _ => Err(Doubt("the hub does not answer".to_owned())),
    }
}

async fn submitted(intake: &Intake<'_>, body: &Value, key: &str, again: Duration) -> Answer {
    let submit = tokio::time::timeout(SUBMIT, intake.daemon.submit(body, key)).await;
    let failure = match submit {
        Ok(Ok(())) => {
            Metrics::add(&intake.metrics.taken, 1);
            return Answer::Done;
        }
        Ok(Err(failure)) => failure,
        Err(_) => return Answer::Again(again),
    };
    match &failure {
        // It was submitted before, by a bridge that had other words for it.
        Failure::Refused(problem) if problem.code == "idempotency_mismatch" => Answer::Done,
        // That is of our session, not of the work.
        Failure::Refused(problem) if matches!(problem.status, 401 | 403) => {
            say(&format!("no work can be submitted: {failure}"));
            Answer::Again(again)
        }
        Failure::Refused(_) if !failure.may_pass() => Answer::Never(failure.to_string()),
        _ => Answer::Again(again),
    }
}

async fn canceled(daemon: &Daemon, fleet_id: &str, again: Duration) -> Answer {
    match daemon.cancel(fleet_id).await {
        Ok(Some(_)) => Answer::Done,
        Ok(None) => Answer::Never(format!("nothing of that id is here: {fleet_id}")),
        Err(failure) if failure.may_pass() => Answer::Again(again),
        Err(failure) => Answer::Never(failure.to_string()),
    }
}

/// What a message asks for.
#[derive(Debug, PartialEq)]
enum Order {
    Run(Value),
    Cancel(String),
}

/// Whose work it is, all over the fleet: as the submitter named it, else by its place in the stream.
fn fleet_id(message: &Message, key: &str) -> String {
    let named = message.headers.as_ref().and_then(|headers| headers.get("Nats-Msg-Id"));
    let named = named.map(|id| id.as_str().to_owned()).filter(|id| is_fleet_id(id));
    named.unwrap_or_else(|| key.to_owned())
}

/// Whether a text may be one.
pub fn is_fleet_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
    !text.is_empty() && text.len() <= FLEET_ID_CHARS_MAX && text.bytes().all(allowed)
}

/// The tag by which a run is found again.
pub fn fleet_tag(fleet_id: &str) -> String {
    format!("fleet:{fleet_id}")
}

fn order(payload: &[u8], fleet_id: &str, delivered: i64) -> Result<Order, String> {
    let body = serde_json::from_slice(payload).map_err(|error| format!("its body is no JSON object: {error}"))?;
    let mut body: Map<String, Value> = body;
    if let Some(id) = body.get("cancel") {
        let id = id.as_str().filter(|id| is_fleet_id(id)).ok_or("cancel: a fleet id is wanted")?;
        return Ok(Order::Cancel(id.to_owned()));
    }
    if let Some(before) = body.shift_remove("start_before").filter(|before| !before.is_null()) {
        let time = before.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let time = time.ok_or_else(|| format!("start_before: an RFC 3339 time is wanted, not {before}"))?;
        if jiff::Timestamp::now() > time {
            return Err(format!("expired: it was to start before {time}"));
        }
    }
    let env = body.entry("env").or_insert_with(|| json!({}));
    let env = env.as_object_mut().ok_or("env: an object is wanted")?;
    env.insert("RUNABOUT_FLEET_ID".to_owned(), json!(fleet_id));
    // A box that had it before may have run it, and could not tell the hub: the command can look.
    if delivered > 1 {
        env.insert("RUNABOUT_FLEET_DELIVERY".to_owned(), json!(delivered.to_string()));
    }
    let tags = body.entry("tags").or_insert_with(|| json!([]));
    let tags = tags.as_array_mut().ok_or("tags: a list is wanted")?;
    tags.push(json!(fleet_tag(fleet_id)));
    Ok(Order::Run(Value::Object(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_a_submit_that_carries_its_fleet_id() {
        let run =
            order(br#"{"script":"true","tags":["a"],"start_before":"2999-01-01T00:00:00Z"}"#, "x1", 1).expect("a run");
        let body = json!({"script":"true","tags":["a","fleet:x1"],"env":{"RUNABOUT_FLEET_ID":"x1"}});
        assert_eq!(run, Order::Run(body));
        let body =
            json!({"script":"true","env":{"RUNABOUT_FLEET_ID":"x1","RUNABOUT_FLEET_DELIVERY":"2"},"tags":["fleet:x1"]});
        assert_eq!(order(br#"{"script":"true"}"#, "x1", 2).expect("a run"), Order::Run(body));
    }

    #[test]
    fn what_is_too_late_or_no_order_is_told() {
        let late = order(br#"{"script":"true","start_before":"2020-01-01T00:00:00Z"}"#, "x1", 1).expect_err("too late");
        assert!(late.starts_with("expired"), "{late}");
        for wrong in ["", "[]", r#"{"cancel":7}"#, r#"{"script":"true","env":7}"#, r#"{"start_before":"soon"}"#] {
            assert!(order(wrong.as_bytes(), "x1", 1).is_err(), "{wrong}");
        }
        assert_eq!(order(br#"{"cancel":"x1"}"#, "x2", 1).expect("a cancel"), Order::Cancel("x1".to_owned()));
    }

    #[test]
    fn a_consumer_reads_its_own_subject() {
        assert_eq!(consumer_config("box-k3v9x2m7q0tz", 0).filter_subject, "rb.work.box.k3v9x2m7q0tz");
        assert_eq!(consumer_config("ctl-k3v9x2m7q0tz", 0).filter_subject, "rb.work.ctl.k3v9x2m7q0tz");
        assert_eq!(consumer_config("tag-gpu-a", 0).filter_subject, "rb.work.tag.gpu-a");
    }
}
