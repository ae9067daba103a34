//! Appending to the hub's stream of events, by compare-and-swap on this box's own tail.
//!
//! Every append carries the stream sequence of this box's last message, and the hub stores it only where that is still the
//! last one. So nothing is ever stored twice or out of order, however often an answer is lost, and whoever else appends for
//! the same box only makes us look again. It must never go on after a doubt without looking.

use std::time::Duration;

use async_nats::header::HeaderMap;
use async_nats::jetstream;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_nats::{RequestErrorKind, StatusCode};
use bytes::Bytes;
use serde::Deserialize;

use crate::hub::{ANSWER, EVENTS, EVENTS_PREFIX, Hub, RB_GAP, RB_ID, RB_SEQ};

/// The most messages that the hub takes in one piece is 1,000.
pub const BATCH_EVENTS_MAX: usize = 500;
/// The most bytes of one append.
pub const BATCH_BYTES_MAX: usize = 512 * 1024;
/// What a message takes beside its body, roughly.
const MESSAGE_BYTES: usize = 200;
/// The stream takes no batches.
const ATOMIC_DISABLED: u64 = 10174;
/// The condition is not met.
const WRONG_LAST: u64 = 10071;
/// It has as many unfinished ones as it may have, of whomever.
const TOO_MANY_BATCHES: u64 = 10210;

/// What the hub has of this box.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// The stream sequence of its last message; 0 where there is none.
    pub sequence: u64,
    /// The id of the last event in it.
    pub id: i64,
    /// Up to which id a gap was told.
    pub gap_to: i64,
}

/// One message on its way.
#[derive(Debug)]
pub struct Outgoing {
    /// The event's id, or for a gap the one before it.
    pub id: i64,
    /// The event's run; 0 for what belongs to none.
    pub run: i64,
    /// Its number there; 0 for a gap.
    pub seq: i64,
    /// The last token of its subject.
    pub kind: String,
    /// Up to which id a gap was told, itself included.
    pub gap_to: i64,
    /// The event as its box tells it.
    pub body: Bytes,
}

/// Messages that are appended together.
#[derive(Debug, Default)]
pub struct Batch {
    /// In order.
    pub messages: Vec<Outgoing>,
    /// What they take.
    pub bytes: usize,
}

impl Batch {
    /// Whether a further message of the largest size would be too much.
    pub fn is_full(&self) -> bool {
        self.messages.len() + 2 > BATCH_EVENTS_MAX || self.bytes + (64 << 10) > BATCH_BYTES_MAX
    }

    /// Adds one.
    pub fn push(&mut self, message: Outgoing) {
        self.bytes += message.body.len() + MESSAGE_BYTES;
        self.messages.push(message);
    }
}

/// Why it is not known what the hub has. Looking there tells.
#[derive(Debug)]
pub struct Doubt(pub String);

/// How the stream takes several messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Not known yet.
    Untried,
    /// All or none.
    Atomic,
    /// One by one, each on the one before: the same promise, more answers to wait for.
    Single,
}

/// Since when a condition may be on other subjects than the message's own.
const OWN_TAIL_SINCE: (i64, i64, i64) = (2, 11, 0);
/// Between two tries where boxes append at once on the end of the whole stream, at most.
const OTHERS_MS: u64 = 20;

/// Appends for one box.
pub struct Publisher<'a> {
    hub: &'a Hub,
    instance: &'a str,
    mode: Mode,
    tail: Tail,
    /// The last sequence of the whole stream, for a hub that can compare with nothing less.
    end: Option<u64>,
}

/// The hub's answer to an append.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ack {
    seq: u64,
    batch: Option<String>,
    count: usize,
    duplicate: bool,
    error: Option<AckError>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AckError {
    err_code: u64,
    description: String,
}

impl AckError {
    /// What it was instead, where another was expected. It is told in words alone.
    fn last_sequence(&self) -> Option<u64> {
        let told = self.description.rsplit(' ').next();
        told.filter(|_| self.err_code == WRONG_LAST)?.parse().ok()
    }
}

impl<'a> Publisher<'a> {
    /// Looks at what the hub has.
    ///
    /// # Errors
    /// The hub did not answer, or has no such stream.
    pub async fn at_the_tail(hub: &'a Hub, instance: &'a str) -> Result<Publisher<'a>, Doubt> {
        let (major, minor, patch) = OWN_TAIL_SINCE;
        if hub.client.is_server_compatible(major, minor, patch) {
            let tail = tail(hub, instance).await?;
            return Ok(Publisher { hub, instance, mode: Mode::Untried, tail, end: None });
        }
        let tail = leaders_tail(hub, instance).await?;
        Ok(Publisher { hub, instance, mode: Mode::Single, tail, end: Some(tail.sequence) })
    }

    /// What the hub has.
    pub fn tail(&self) -> Tail {
        self.tail
    }

    /// Appends all of it, and knows the new tail.
    ///
    /// # Errors
    /// What the hub has is in doubt.
    pub async fn append(&mut self, batch: &Batch) -> Result<(), Doubt> {
        let mut messages = batch.messages.as_slice();
        if messages.len() > 1 && self.mode != Mode::Single {
            match self.append_atomically(messages).await? {
                0 => return Ok(()),
                left => messages = &messages[messages.len() - left..],
            }
        }
        for message in messages {
            let ack = match self.end {
                None => self.ask(message, self.conditioned(message)).await?,
                Some(end) => self.append_at_the_end(message, end).await?,
            };
            self.moved(ack.seq, message);
        }
        Ok(())
    }

    /// On the end of the whole stream. Where another box was faster that end is known first, and then ours is looked at: what is
    /// stored behind that end follows both.
    async fn append_at_the_end(&mut self, message: &Outgoing, mut end: u64) -> Result<Ack, Doubt> {
        loop {
            let mut headers = self.headers(message);
            headers.insert("Nats-Expected-Last-Sequence", &*end.to_string());
            let ack: Ack = read(&self.answered(message, headers).await?)?;
            let Some(moved) = ack.error.as_ref().and_then(AckError::last_sequence) else {
                let ack = accepted(ack)?;
                self.end = Some(ack.seq);
                return Ok(ack);
            };
            end = moved;
            if leaders_tail(self.hub, self.instance).await?.sequence != self.tail.sequence {
                return Err(Doubt("another has appended for this box".to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(fastrand::u64(..OTHERS_MS))).await;
        }
    }

    /// Gives how many are left to append one by one: none, unless the hub or the stream turns out to take no batches.
    async fn append_atomically(&mut self, messages: &[Outgoing]) -> Result<usize, Doubt> {
        let id: String = std::iter::repeat_with(fastrand::alphanumeric).take(22).collect();
        let (last, first) = (messages.len() - 1, &messages[0]);
        for (nth, message) in messages.iter().enumerate().take(last) {
            let mut headers = if nth == 0 { self.conditioned(message) } else { self.headers(message) };
            headers.insert("Nats-Batch-Id", &*id);
            headers.insert("Nats-Batch-Sequence", &*(nth + 1).to_string());
            if nth == 0 && self.mode == Mode::Untried {
                // An older hub does not know these headers and stores the message by itself: it answers with its place.
                let answer = self.answered(message, headers).await?;
                if !answer.is_empty() {
                    let ack: Ack = read(&answer)?;
                    let code = ack.error.as_ref().map(|error| error.err_code);
                    if code == Some(TOO_MANY_BATCHES) {
                        return Ok(messages.len());
                    }
                    self.mode = Mode::Single;
                    if code == Some(ATOMIC_DISABLED) {
                        return Ok(messages.len());
                    }
                    self.moved(accepted(ack)?.seq, first);
                    return Ok(last);
                }
                self.mode = Mode::Atomic;
                continue;
            }
            let sent = self.hub.client.publish_with_headers(self.subject(message), headers, message.body.clone());
            sent.await.map_err(|error| Doubt(format!("cannot send: {error}")))?;
        }
        let message = &messages[last];
        let mut headers = self.headers(message);
        headers.insert("Nats-Batch-Id", &*id);
        headers.insert("Nats-Batch-Sequence", &*messages.len().to_string());
        headers.insert("Nats-Batch-Commit", "1");
        let ack = self.ask(message, headers).await?;
        if ack.batch.as_deref() != Some(&*id) || ack.count != messages.len() {
            return Err(Doubt(format!("a batch of {} was acknowledged as {}", messages.len(), ack.count)));
        }
        self.moved(ack.seq, message);
        Ok(0)
    }

    fn moved(&mut self, sequence: u64, message: &Outgoing) {
        self.tail = Tail { sequence, id: message.id, gap_to: message.gap_to };
    }

    fn subject(&self, message: &Outgoing) -> String {
        format!("{EVENTS_PREFIX}.{}.{}.{}", self.instance, message.run, message.kind)
    }

    fn headers(&self, message: &Outgoing) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(RB_ID, &*message.id.to_string());
        if message.seq > 0 {
            headers.insert(RB_SEQ, &*message.seq.to_string());
        }
        if message.gap_to > message.id {
            headers.insert(RB_GAP, &*message.gap_to.to_string());
        }
        // No Nats-Msg-Id: the condition on the tail is what keeps an event from being stored twice, and the hub compares those
        // ids over all boxes: one could use up another's.
        headers
    }

    fn conditioned(&self, message: &Outgoing) -> HeaderMap {
        let mut headers = self.headers(message);
        headers.insert("Nats-Expected-Last-Subject-Sequence", &*self.tail.sequence.to_string());
        headers.insert("Nats-Expected-Last-Subject-Sequence-Subject", &*format!("{EVENTS_PREFIX}.{}.>", self.instance));
        headers
    }

    async fn ask(&self, message: &Outgoing, headers: HeaderMap) -> Result<Ack, Doubt> {
        accepted(read(&self.answered(message, headers).await?)?)
    }

    async fn answered(&self, message: &Outgoing, headers: HeaderMap) -> Result<Bytes, Doubt> {
        let asked = self.hub.client.request_with_headers(self.subject(message), headers, message.body.clone());
        match tokio::time::timeout(ANSWER, asked).await {
            Ok(Ok(answer)) => Ok(answer.payload),
            Ok(Err(error)) => Err(Doubt(format!("no word from the stream {EVENTS}: {error}"))),
            Err(_) => Err(Doubt(format!("the stream {EVENTS} does not answer"))),
        }
    }
}

fn read(answer: &[u8]) -> Result<Ack, Doubt> {
    serde_json::from_slice(answer).map_err(|error| Doubt(format!("an answer that cannot be read: {error}")))
}

fn accepted(ack: Ack) -> Result<Ack, Doubt> {
    match &ack.error {
        Some(error) => Err(Doubt(format!("the hub refused: {} ({})", error.description, error.err_code))),
        None if ack.duplicate || ack.seq == 0 => Err(Doubt("the hub took it for one that it had".to_owned())),
        None => Ok(ack),
    }
}

/// The last message of this box, asked for by its own subjects: that is a permission of its own, so that a box need not be
/// allowed to read what others have. A server that lags may answer with an older one; then the append is refused, and this is
/// asked again.
async fn tail(hub: &Hub, instance: &str) -> Result<Tail, Doubt> {
    let doubt = |why: &dyn std::fmt::Display| Doubt(format!("cannot look at the stream {EVENTS}: {why}"));
    let own = format!("{EVENTS_PREFIX}.{instance}.>");
    let asked = hub.client.request(format!("$JS.API.DIRECT.GET.{EVENTS}.{own}"), Bytes::new());
    let last = match tokio::time::timeout(ANSWER, asked).await {
        Ok(Ok(last)) => last,
        // The stream does not allow it, or is not there.
        Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => return leaders_tail(hub, instance).await,
        Ok(Err(error)) => return Err(doubt(&error)),
        Err(_) => return Err(doubt(&"no answer")),
    };
    match last.status {
        None | Some(StatusCode::OK) => {}
        Some(StatusCode::NOT_FOUND) => return Ok(Tail::default()),
        Some(status) => return Err(doubt(&format!("{status} {}", last.description.unwrap_or_default()))),
    }
    let headers = last.headers.unwrap_or_default();
    let sequence = number(&headers, "Nats-Sequence").ok_or_else(|| doubt(&"an answer without a sequence"))?;
    told(&headers, sequence).map_err(|why| doubt(&why))
}

/// The same for a stream that has no direct reads, by the server that leads it.
async fn leaders_tail(hub: &Hub, instance: &str) -> Result<Tail, Doubt> {
    let doubt = |why: &dyn std::fmt::Display| Doubt(format!("cannot look at the stream {EVENTS}: {why}"));
    let context = jetstream::new(hub.client.clone());
    let stream = context.get_stream_no_info(EVENTS).await.map_err(|error| doubt(&error))?;
    match stream.get_last_raw_message_by_subject(&format!("{EVENTS_PREFIX}.{instance}.>")).await {
        Ok(last) => told(&last.headers, last.sequence).map_err(|why| doubt(&why)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(Tail::default()),
        Err(error) => Err(doubt(&error)),
    }
}

fn told(headers: &HeaderMap, sequence: u64) -> Result<Tail, String> {
    let id = number(headers, RB_ID).ok_or_else(|| format!("message {sequence} has no {RB_ID}"))?;
    Ok(Tail { sequence, id, gap_to: number(headers, RB_GAP).unwrap_or(0) })
}

fn number<T: std::str::FromStr>(headers: &HeaderMap, name: &str) -> Option<T> {
    headers.get(name).and_then(|value| value.as_str().parse().ok())
}
