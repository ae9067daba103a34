//! What clients send to commands that run: bytes for their standard inputs, and sizes for their terminals.
//!
//! An attempt opens its input; whoever answers requests finds it here by the run. Bytes are taken whole or not at all, in the
//! order in which they came, and wait in bounded memory until the command takes them; none of it is stored.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_listener::{Event, EventListener};

use crate::run::{RunId, TerminalSize};

/// The most bytes that wait for a command to take them, and so the most of one request.
pub const INPUT_BYTES_MAX: usize = 64 * 1024;
/// Who has sent nothing for this long no longer keeps others from writing.
pub const WRITER_IDLE: Duration = Duration::from_secs(30);

/// The inputs of all attempts under way; cheap to clone.
#[derive(Clone, Default)]
pub struct Inputs(Arc<Everything>);

#[derive(Default)]
struct Everything {
    of_run: Mutex<BTreeMap<RunId, Arc<Line>>>,
    opened: Event,
}

/// From those who send to one command.
#[derive(Default)]
struct Line {
    state: Mutex<State>,
    /// Rung when there is something for the command.
    changed: Event,
}

#[derive(Default)]
struct State {
    /// Whether bytes are taken at all.
    takes_bytes: bool,
    /// No byte follows those that wait.
    is_ended: bool,
    /// The command takes none any more.
    is_closed: bool,
    waiting: VecDeque<u8>,
    /// Of its terminal, as it was last asked for; `None` without one.
    size: Option<TerminalSize>,
    /// Whether the terminal has not been told of that.
    is_resized: bool,
    writer: Option<Writer>,
}

/// Who writes, where somebody said so.
#[derive(Clone, Debug)]
struct Writer {
    id: String,
    name: String,
    /// The number of the last request that was taken.
    nth: u64,
    wrote_at: Instant,
}

/// One request's bytes.
#[derive(Clone, Debug, Default)]
pub struct Sent<'a> {
    /// What is to be read next.
    pub bytes: &'a [u8],
    /// Whether it is the last that is to be read.
    pub is_last: bool,
    /// Who sends it, for those who share one input; without it, it is taken whoever else writes.
    pub writer: Option<Sender<'a>>,
}

/// One of several who share an input.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// Its own choice, which no other makes.
    pub id: &'a str,
    /// For people.
    pub name: &'a str,
    /// Rises with each request, so that one that is repeated is taken once. 0: it is not repeated.
    pub nth: u64,
    /// Whether it writes from now on, whoever did.
    pub takes_over: bool,
    /// Whether it writes no more after this, so that another may at once.
    pub leaves: bool,
}

/// Why nothing was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untaken {
    /// No attempt of the run is under way here.
    NotRunning,
    /// It takes no bytes, and never did.
    NoInput,
    /// It took bytes and takes no more: its end was sent, or the command closed it.
    Ended,
    /// It has no terminal.
    NoTerminal,
    /// More would wait than may.
    Full,
    /// Somebody else writes: its name, and for how long yet where it sends nothing more.
    Busy {
        /// Who writes.
        name: String,
        /// When it counts as gone.
        idle_in: Duration,
    },
}

impl Inputs {
    /// Opens the input of an attempt: where `takes_bytes`, for bytes, and where it has a terminal of this size, for others.
    /// It is there until the returned value is dropped.
    pub fn open(&self, run: RunId, takes_bytes: bool, size: Option<TerminalSize>) -> Input {
        let line = Arc::new(Line::default());
        (line.state().takes_bytes, line.state().size) = (takes_bytes, size);
        self.of_run().insert(run, line.clone());
        self.0.opened.notify(usize::MAX);
        Input { inputs: self.clone(), run, line }
    }

    /// Takes bytes for a command, all or none.
    ///
    /// # Errors
    /// Why none was taken.
    pub fn send(&self, run: RunId, sent: &Sent<'_>) -> Result<(), Untaken> {
        let line = self.line(run)?;
        let mut state = line.state();
        state.may_take(sent)?;
        if let Some(sender) = sent.writer {
            if state.had_before(sender) {
                return Ok(());
            }
            let Sender { id, name, nth, leaves, .. } = sender;
            let (id, name, wrote_at) = (id.to_owned(), name.to_owned(), Instant::now());
            state.writer = (!leaves).then_some(Writer { id, name, nth, wrote_at });
        }
        state.waiting.extend(sent.bytes);
        state.is_ended |= sent.is_last;
        drop(state);
        line.changed.notify(usize::MAX);
        Ok(())
    }

    /// The size of a command's terminal.
    ///
    /// # Errors
    /// Why there is none.
    pub fn size(&self, run: RunId) -> Result<TerminalSize, Untaken> {
        self.line(run)?.state().size.ok_or(Untaken::NoTerminal)
    }

    /// Has a command's terminal become this large.
    ///
    /// # Errors
    /// Why it was not.
    pub fn resize(&self, run: RunId, size: TerminalSize) -> Result<(), Untaken> {
        let line = self.line(run)?;
        let mut state = line.state();
        if state.size.is_none() {
            return Err(Untaken::NoTerminal);
        }
        (state.size, state.is_resized) = (Some(size), true);
        drop(state);
        line.changed.notify(usize::MAX);
        Ok(())
    }

    /// Waits until the next attempt opens its input.
    pub fn listen(&self) -> EventListener {
        self.0.opened.listen()
    }

    fn line(&self, run: RunId) -> Result<Arc<Line>, Untaken> {
        self.of_run().get(&run).cloned().ok_or(Untaken::NotRunning)
    }

    fn of_run(&self) -> MutexGuard<'_, BTreeMap<RunId, Arc<Line>>> {
        self.0.of_run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn may_take(&self, sent: &Sent<'_>) -> Result<(), Untaken> {
        if !self.takes_bytes {
            return Err(Untaken::NoInput);
        }
        // What was taken before is not refused when it is repeated, whatever has come since.
        if sent.writer.is_some_and(|sender| self.had_before(sender)) {
            return Ok(());
        }
        if self.is_ended || self.is_closed {
            return Err(Untaken::Ended);
        }
        if let (Some(writer), Some(sender)) = (&self.writer, sent.writer) {
            let idle_in = WRITER_IDLE.saturating_sub(writer.wrote_at.elapsed());
            if writer.id != sender.id && !sender.takes_over && !idle_in.is_zero() {
                return Err(Untaken::Busy { name: writer.name.clone(), idle_in });
            }
        }
        let fits = self.waiting.len() + sent.bytes.len() <= INPUT_BYTES_MAX;
        if fits { Ok(()) } else { Err(Untaken::Full) }
    }

    fn had_before(&self, sender: Sender<'_>) -> bool {
        let is_known = |writer: &Writer| writer.id == sender.id && sender.nth <= writer.nth;
        sender.nth > 0 && self.writer.as_ref().is_some_and(is_known)
    }
}

/// The command's side of an input.
pub struct Input {
    inputs: Inputs,
    run: RunId,
    line: Arc<Line>,
}

impl Input {
    /// Resolves when there may be something new. Call it before looking.
    pub fn listen(&self) -> EventListener {
        self.line.changed.listen()
    }

    /// Copies the oldest bytes that wait; [`Input::passed_on`] says how many of them were taken.
    pub fn front(&self, buffer: &mut [u8]) -> usize {
        let state = self.line.state();
        let count = state.waiting.len().min(buffer.len());
        buffer.iter_mut().zip(&state.waiting).for_each(|(to, from)| *to = *from);
        count
    }

    /// So many of the oldest bytes wait no more.
    pub fn passed_on(&self, count: usize) {
        let mut state = self.line.state();
        let count = count.min(state.waiting.len());
        state.waiting.drain(..count);
    }

    /// Whether bytes may be sent at all.
    pub fn takes_bytes(&self) -> bool {
        self.line.state().takes_bytes
    }

    /// Whether nothing waits and nothing more will come.
    pub fn is_over(&self) -> bool {
        let state = self.line.state();
        state.waiting.is_empty() && state.is_ended
    }

    /// The size that its terminal is to have and has not; it is told once.
    pub fn resized(&self) -> Option<TerminalSize> {
        let mut state = self.line.state();
        std::mem::take(&mut state.is_resized).then_some(state.size).flatten()
    }

    /// The command takes no more bytes: what waits is dropped, and what comes is refused.
    pub fn close(&self) {
        let mut state = self.line.state();
        state.is_closed = true;
        state.waiting = VecDeque::new();
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        let mut of_run = self.inputs.of_run();
        // The run's next attempt may be there already.
        if of_run.get(&self.run).is_some_and(|line| Arc::ptr_eq(line, &self.line)) {
            of_run.remove(&self.run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: RunId = RunId(7);

    fn bytes(bytes: &[u8]) -> Sent<'_> {
        Sent { bytes, ..Sent::default() }
    }

    fn sender(id: &str, nth: u64) -> Sender<'_> {
        Sender { id, name: id, nth, takes_over: false, leaves: false }
    }

    fn all(input: &Input) -> Vec<u8> {
        let mut buffer = vec![0; INPUT_BYTES_MAX];
        let count = input.front(&mut buffer);
        input.passed_on(count);
        buffer.truncate(count);
        buffer
    }

    #[test]
    fn what_does_not_fit_is_refused_whole() {
        let inputs = Inputs::default();
        assert_eq!(inputs.send(RUN, &bytes(b"a")), Err(Untaken::NotRunning));
        let input = inputs.open(RUN, true, None);
        let much = vec![b'x'; INPUT_BYTES_MAX - 1];
        assert_eq!(inputs.send(RUN, &bytes(&much)), Ok(()));
        assert_eq!(inputs.send(RUN, &bytes(b"ab")), Err(Untaken::Full));
        assert_eq!(inputs.send(RUN, &bytes(b"a")), Ok(()));
        assert_eq!(all(&input).len(), INPUT_BYTES_MAX);
        assert_eq!(inputs.send(RUN, &Sent { is_last: true, ..bytes(b"ab") }), Ok(()));
        assert!(!input.is_over());
        assert_eq!(all(&input), b"ab");
        assert!(input.is_over());
        assert_eq!(inputs.send(RUN, &bytes(b"a")), Err(Untaken::Ended));
        drop(input);
        assert_eq!(inputs.send(RUN, &bytes(b"a")), Err(Untaken::NotRunning));
    }

    #[test]
    fn what_was_not_asked_for_is_not_there() {
        let inputs = Inputs::default();
        let _input = inputs.open(RUN, false, None);
        assert_eq!(inputs.send(RUN, &bytes(b"a")), Err(Untaken::NoInput));
        assert_eq!(inputs.resize(RUN, TerminalSize::default()), Err(Untaken::NoTerminal));
        let input = inputs.open(RUN, false, Some(TerminalSize::default()));
        assert_eq!(input.resized(), None);
        let size = TerminalSize { columns: 132, rows: 43 };
        assert_eq!(inputs.resize(RUN, size), Ok(()));
        assert_eq!((input.resized(), input.resized()), (Some(size), None));
        assert_eq!(inputs.size(RUN), Ok(size));
    }

    #[test]
    fn one_writes_until_another_takes_over_and_a_repeated_request_counts_once() {
        let inputs = Inputs::default();
        let input = inputs.open(RUN, true, None);
        let sent = |text: &'static str, writer| Sent { writer: Some(writer), ..bytes(text.as_bytes()) };
        assert_eq!(inputs.send(RUN, &sent("a", sender("ann", 1))), Ok(()));
        assert_eq!(inputs.send(RUN, &sent("a", sender("ann", 1))), Ok(()));
        assert_eq!(inputs.send(RUN, &sent("b", sender("ann", 2))), Ok(()));
        let refused = inputs.send(RUN, &sent("x", sender("bob", 1)));
        assert!(matches!(refused, Err(Untaken::Busy { name, .. }) if name == "ann"));
        assert_eq!(inputs.send(RUN, &bytes(b"c")), Ok(()), "who does not say who it is shares nothing");
        let over = Sender { takes_over: true, ..sender("bob", 1) };
        assert_eq!(inputs.send(RUN, &sent("d", over)), Ok(()));
        assert!(matches!(inputs.send(RUN, &sent("x", sender("ann", 3))), Err(Untaken::Busy { .. })));
        let leaving = Sender { leaves: true, ..sender("bob", 2) };
        assert_eq!(inputs.send(RUN, &sent("e", leaving)), Ok(()));
        assert_eq!(inputs.send(RUN, &sent("f", sender("bob", 3))), Ok(()), "nobody writes");
        assert_eq!(all(&input), b"abcdef");
        input.close();
        assert_eq!(inputs.send(RUN, &sent("f", sender("bob", 3))), Ok(()), "it was taken before");
        assert_eq!(inputs.send(RUN, &sent("g", sender("bob", 4))), Err(Untaken::Ended));
    }
}
