//! An event and a gap, as a reader of a stream gets them.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::outcome::OutcomeBody;
use super::word::Word;
use crate::event::{Kind, Stream, TrimmedOutput};
use crate::numbers::{EventId, RunId, Seq};

/// An event.
#[derive(Clone, Debug)]
pub struct ReceivedEvent {
    /// Its number among all runs' events.
    pub id: EventId,
    /// Whose it is.
    pub run: RunId,
    /// Its number in its run.
    pub seq: Seq,
    /// When it happened, RFC 3339 in UTC.
    pub at: String,
    /// What kind of event it is.
    pub kind: Word<Kind>,
    /// What it tells.
    pub what: What,
    /// Of several runs: which events of its run in front of it are gone, first and last.
    pub gone: Option<(Seq, Seq)>,
}

/// What an event tells, as far as the reader of a run cares.
#[derive(Clone, Debug)]
pub enum What {
    /// A piece of the command's output.
    Output(Stream, Vec<u8>),
    /// An attempt has been started: which, from 1.
    Started(i64),
    /// The run waits, again.
    Queued,
    /// How it ended.
    Finished(OutcomeBody),
    /// Anything else.
    Other,
}

/// Events that are gone, ends included: by `seq` for one run, by `id` for several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedGap {
    /// The first.
    pub from: i64,
    /// The last.
    pub to: i64,
    /// Why.
    pub reason: String,
    /// What the quota took of the run in all, where it took these.
    pub trimmed: Option<TrimmedOutput>,
}

/// A frame that does not fit: the stream cannot be trusted from here on, and is opened again.
#[derive(Debug, PartialEq, Eq)]
pub struct Misfit(pub String);

/// Any object of a stream, flat: which fields there are depends on its type.
#[derive(Deserialize)]
pub(super) struct Object<'a> {
    #[serde(rename = "type", borrow)]
    pub kind_of_object: Cow<'a, str>,
    #[serde(borrow)]
    pub instance: Option<Cow<'a, str>>,
    pub after: Option<i64>,
    pub id: Option<i64>,
    pub run: Option<i64>,
    pub seq: Option<i64>,
    #[serde(borrow)]
    pub at: Option<Cow<'a, str>>,
    #[serde(default)]
    pub partial: bool,
    #[serde(borrow)]
    pub kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
    pub from: Option<i64>,
    pub to: Option<i64>,
    #[serde(borrow)]
    pub reason: Option<Cow<'a, str>>,
    pub trimmed: Option<TrimmedOutput>,
}

impl Object<'_> {
    /// The event that this object is.
    ///
    /// # Errors
    /// It is none, or what it carries cannot be read.
    pub fn event(&self) -> Result<ReceivedEvent, Misfit> {
        let seq = self.seq.ok_or_else(|| Misfit("an event without a seq".to_owned()))?;
        let kind = self.kind.as_deref().unwrap_or_default();
        let kind = Kind::parse(kind).map_or_else(|| Word::Other(kind.to_owned()), Word::Known);
        let what = match kind.known() {
            Some(Kind::Output) => output(self.data)?,
            Some(Kind::Started) => What::Started(read::<Started>(self.data)?.attempt),
            Some(Kind::Queued) => What::Queued,
            Some(Kind::Finished) => What::Finished(read(self.data)?),
            _ => What::Other,
        };
        let (id, run) = (EventId(self.id.unwrap_or_default()), RunId(self.run.unwrap_or_default()));
        let at = self.at.as_deref().unwrap_or_default().to_owned();
        Ok(ReceivedEvent { id, run, seq: Seq(seq), at, kind, what, gone: None })
    }
}

#[derive(Deserialize)]
struct Started {
    #[serde(default)]
    attempt: i64,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    base64: Option<Cow<'a, str>>,
}

fn read<'a, T: Deserialize<'a>>(data: Option<&'a RawValue>) -> Result<T, Misfit> {
    let text = data.map_or("null", RawValue::get);
    serde_json::from_str(text).map_err(|error| Misfit(format!("an event's data: {error}")))
}

fn output(data: Option<&RawValue>) -> Result<What, Misfit> {
    let Output { stream, text, base64 } = read(data)?;
    let bytes = match (text, base64) {
        (Some(text), _) => text.into_owned().into_bytes(),
        (None, Some(base64)) => {
            STANDARD.decode(base64.as_bytes()).map_err(|error| Misfit(format!("an output's base64: {error}")))?
        }
        (None, None) => return Err(Misfit("an output without its bytes".to_owned())),
    };
    match Stream::parse(&stream) {
        Some(stream) => Ok(What::Output(stream, bytes)),
        // A third stream of a newer daemon has no place here.
        None => Ok(What::Other),
    }
}
