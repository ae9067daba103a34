//! `attach`, and `run -it`: somebody sits at a command, sees what it prints and types.
//!
//! While it is lent to a command this program's terminal is raw, and it is never left so: not by an end, a signal or a panic,
//! and not while the daemon is away. What is typed goes out in order, each byte once.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use futures_lite::future;
use hyper::Method;
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::low_level::emulate_default_handler;
use smol::channel::{Sender, bounded};

use super::context::Context;
use super::notices::{gap_text, start_text};
use crate::cli::args::AttachOptions;
use crate::cli::interrupts::Interrupts;
use crate::cli::keys::{Keys, Typed};
use crate::cli::modes::Modes;
use crate::cli::print;
use crate::cli::sink::Outputs;
use crate::cli::tty::{self, Input, Raw};
use crate::cli::view::{RunView, read};
use crate::cli::writer::{Sent, Writer};
use crate::client::connection::Ask;
use crate::client::failure::Failure;
use crate::client::follow::{Follower, Step};
use crate::event::Stream;
use crate::run::Status;
use crate::text::printable;
use crate::wire::{OutcomeBody, What};

/// Of a run with more events than this only so many of the newest are shown, and what is drawn is asked for anew.
const SHOWN_EVENTS: i64 = 1_000;
/// Pieces of what was typed that wait to be sent; beyond it nothing is read.
const WAITING_MAX: usize = 64;
/// How long a terminal may take to answer what was asked of it before.
const SETTLING: Duration = Duration::from_millis(500);
/// Asks a terminal for a sign of life, and that sign: it comes after the answers to all that it was asked before.
const ASK_TERMINAL: &[u8] = b"\x1b[5n";
const TERMINAL_ANSWERS: &[u8] = b"\x1b[0n";
/// Left by a signal of the keyboard: 128 + SIGINT.
const INTERRUPTED: u8 = 130;
/// Which keys there are.
const KEYS: &str = "Ctrl-] d leaves it running, Ctrl-] w writes in the place of who does, Ctrl-] z stops this program, \
                    Ctrl-] twice is one for the command";

/// Sits at a run.
pub async fn attach(context: &Context, options: AttachOptions) -> Result<u8, Failure> {
    if context.json {
        return Err(Failure::Usage(
            "attach shows what is printed as it is; `runabout logs -f --json ID` tells it".into(),
        ));
    }
    let run = context.number(options.id).await?;
    let view: RunView = read(&context.daemon.ask(&Ask::get(format!("/v1/runs/{run}"))).await?)?;
    let status = view.status.known();
    if status.is_some_and(Status::is_terminal) {
        return Err(Failure::Own(format!("run {run} has ended; `runabout logs {run}` shows what it printed")));
    }
    let is_long = view.last_seq.0 > SHOWN_EVENTS;
    let cursor = options.after.unwrap_or_else(|| if is_long { format!("-{SHOWN_EVENTS}") } else { "0".to_owned() });
    let has_terminal = view.options.pty.is_some();
    let session = Session {
        writes: !options.read_only && view.options.stdin.is_some(),
        sizes: !options.read_only && has_terminal,
        phase: Cell::new(if has_terminal { Phase::Old } else { Phase::Live }),
        has_started: Cell::new(status == Some(Status::Running)),
        ..Session::new(context, run, has_terminal)?
    };
    if !session.writes && !options.read_only {
        print::note(&format!("run {run} takes no input: it was not submitted with one that stays open"));
    }
    let is_part = cursor != "0";
    match session.sit(&cursor, is_part).await? {
        Over::Ended(outcome) => Ok(outcome.exit_code()),
        Over::Detached => Ok(0),
        Over::Interrupted => Ok(INTERRUPTED),
    }
}

/// How the sitting came to its end.
pub(super) enum Over {
    /// By the command's.
    Ended(OutcomeBody),
    /// Somebody has left.
    Detached,
    /// By Ctrl-C, where that was not the command's.
    Interrupted,
}

/// What becomes of what is typed.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// What is shown is old: a terminal's answers to it are nobody's.
    Old,
    /// So they are until this terminal has given a sign of life, or until then.
    Settling(Instant),
    /// It is the command's.
    Live,
}

/// Somebody who sits at a command.
pub(super) struct Session<'a> {
    context: &'a Context,
    run: i64,
    has_terminal: bool,
    writes: bool,
    /// Whether the run's terminal follows the size of this one.
    sizes: bool,
    phase: Cell<Phase>,
    has_started: Cell<bool>,
    is_away: Cell<bool>,
    raw: RefCell<Option<Raw>>,
    modes: RefCell<Modes>,
    outputs: Outputs,
    writer: Writer<'a>,
}

impl<'a> Session<'a> {
    /// At a run that was just submitted and takes input.
    pub(super) fn new(context: &'a Context, run: i64, has_terminal: bool) -> Result<Session<'a>, Failure> {
        Ok(Session {
            context,
            run,
            has_terminal,
            writes: true,
            sizes: has_terminal,
            phase: Cell::new(Phase::Live),
            has_started: Cell::new(false),
            is_away: Cell::new(false),
            raw: RefCell::new(None),
            modes: RefCell::default(),
            outputs: Outputs::open()?,
            writer: Writer::new(&context.daemon, run)?,
        })
    }

    /// Until the run has ended or somebody leaves; `is_part` where what comes first is not all that was drawn.
    pub(super) async fn sit(&self, cursor: &str, is_part: bool) -> Result<Over, Failure> {
        let (to, from) = bounded(WAITING_MAX);
        self.lend().await?;
        let typing = async {
            if self.writes || self.raw.borrow().is_some() { self.type_to(&to).await } else { future::pending().await }
        };
        let sent = async {
            match self.writer.send(from, |text| self.say(text)).await {
                Some(failure) => Err(failure),
                None => future::pending().await,
            }
        };
        let moved = future::or(sent, future::or(typing, self.obey_signals()));
        let over = future::or(self.follow(cursor, is_part), moved).await;
        self.take_back().await;
        match &over {
            Ok(Over::Detached | Over::Interrupted) | Err(_) if self.has_started.get() => {
                eprintln!();
                if self.writes && !self.is_away.get() {
                    self.writer.leave().await;
                }
                print::note(&format!("run {0} goes on; `runabout attach {0}` is back at it", self.run));
            }
            _ => {}
        }
        over
    }

    /// Whether the command runs, or did.
    pub(super) fn has_started(&self) -> bool {
        self.has_started.get()
    }

    /// Lends this terminal to the command, once that runs.
    async fn lend(&self) -> Result<(), Failure> {
        if self.has_terminal && self.has_started.get() && !self.is_away.get() && self.raw.borrow().is_none() {
            *self.raw.borrow_mut() = Raw::set()?;
        }
        Ok(())
    }

    /// Takes it back, with all modes as they were.
    async fn take_back(&self) {
        let raw = self.raw.borrow_mut().take();
        if raw.is_some() {
            let modes = std::mem::take(&mut *self.modes.borrow_mut());
            let _ = self.outputs.piece(Stream::Stdout, &modes.taken_back()).await;
            drop(raw);
        }
    }

    /// Shows what the command prints, until its end.
    async fn follow(&self, cursor: &str, mut is_part: bool) -> Result<Over, Failure> {
        let mut follower = Follower::new(&self.context.daemon, self.run, cursor, true);
        let mut finished: Option<OutcomeBody> = None;
        loop {
            match follower.next().await? {
                Step::Event(event, _) => match event.what {
                    What::Output(stream, bytes) => {
                        if self.raw.borrow().is_some() {
                            self.modes.borrow_mut().pass(&bytes);
                        }
                        self.outputs.piece(stream, &bytes).await?;
                    }
                    What::Started(_) => {
                        self.has_started.set(true);
                        self.lend().await?;
                    }
                    What::Queued => self.has_started.set(false),
                    What::Finished(outcome) => {
                        self.take_back().await;
                        if outcome.never_started() {
                            print::warn(&start_text(self.run, &outcome));
                        }
                        finished = Some(outcome);
                    }
                    What::Other => {}
                },
                Step::Gap(gap, _) => self.say(&gap_text(&gap)),
                Step::CaughtUp => {
                    self.live().await?;
                    self.draw_anew(std::mem::take(&mut is_part)).await;
                }
                Step::Away(why) => {
                    self.is_away.set(true);
                    self.take_back().await;
                    eprintln!();
                    print::note(&format!("{why}; reconnecting (Ctrl-C leaves the run to itself)"));
                }
                Step::Back(_) => {
                    self.is_away.set(false);
                    print::note("connected again");
                    self.lend().await?;
                }
                Step::End(end) => return Ok(Over::Ended(finished.unwrap_or(end))),
            }
        }
    }

    /// What comes from here on is new, and so are the answers to it.
    async fn live(&self) -> Result<(), Failure> {
        if self.phase.get() != Phase::Old {
            return Ok(());
        }
        if self.raw.borrow().is_none() || !self.writes {
            self.phase.set(Phase::Live);
            return Ok(());
        }
        self.phase.set(Phase::Settling(Instant::now() + SETTLING));
        self.outputs.piece(Stream::Stdout, ASK_TERMINAL).await
    }

    /// Gives the run's terminal the size of this one. Where part of what was drawn is missing here, one that is a little less
    /// comes before: then the command draws all of it again.
    async fn draw_anew(&self, is_part: bool) {
        let Some(size) = tty::size().filter(|_| self.sizes && self.has_started.get()) else { return };
        if is_part {
            self.resize(size.columns, size.rows.saturating_sub(1).max(1)).await;
        }
        self.resize(size.columns, size.rows).await;
    }

    async fn resize(&self, columns: u16, rows: u16) {
        let ask = Ask::new(Method::POST, format!("/v1/runs/{}/resize", self.run));
        // It may have ended, or be away: then there is nothing to be seen either.
        let _ = self.context.daemon.ask(&ask.with(&json!({ "columns": columns, "rows": rows }))).await;
    }

    /// Reads what is typed.
    async fn type_to(&self, to: &Sender<Sent>) -> Result<Over, Failure> {
        let (input, mut keys) = (Input::open()?, Keys::default());
        loop {
            let mut bytes = input.next().await?;
            if bytes.is_empty() {
                if self.writes {
                    let _ = to.send(Sent::End).await;
                }
                return future::pending().await;
            }
            if self.raw.borrow().is_none() {
                self.pass(to, Sent::Bytes(bytes)).await;
                continue;
            }
            if let Phase::Settling(until) = self.phase.get() {
                let answer = bytes.windows(TERMINAL_ANSWERS.len()).position(|window| window == TERMINAL_ANSWERS);
                if answer.is_none() && Instant::now() < until {
                    continue;
                }
                bytes.drain(..answer.map_or(0, |at| at + TERMINAL_ANSWERS.len()));
                self.phase.set(Phase::Live);
            }
            for typed in keys.read(&bytes) {
                match typed {
                    Typed::Detach => return Ok(Over::Detached),
                    Typed::Suspend => self.suspend().await?,
                    Typed::Help => self.say(KEYS),
                    Typed::TakeOver => self.pass(to, Sent::TakeOver).await,
                    Typed::Bytes(bytes) => self.pass(to, Sent::Bytes(bytes)).await,
                }
            }
        }
    }

    async fn pass(&self, to: &Sender<Sent>, sent: Sent) {
        if self.writes && self.phase.get() == Phase::Live {
            // The other end is there for as long as we are.
            let _ = to.send(sent).await;
        }
    }

    /// Does what signals ask for, none of which may leave the terminal raw.
    async fn obey_signals(&self) -> Result<Over, Failure> {
        let mut of = [SIGWINCH, SIGTSTP, SIGINT, SIGTERM, SIGHUP, SIGQUIT].map(Interrupts::of).into_iter();
        let mut next = || of.next().unwrap_or_else(|| Err(Failure::Own("no signal".to_owned())));
        let (mut resized, mut stopped, mut interrupted) = (next()?, next()?, next()?);
        let (mut terminated, mut hung_up, mut quit) = (next()?, next()?, next()?);
        loop {
            let ended = async {
                let term = async {
                    terminated.next().await;
                    SIGTERM
                };
                let hup = async {
                    hung_up.next().await;
                    SIGHUP
                };
                let quit = async {
                    quit.next().await;
                    SIGQUIT
                };
                future::or(term, future::or(hup, quit)).await
            };
            let other = async {
                let winch = async {
                    resized.next().await;
                    SIGWINCH
                };
                let tstp = async {
                    stopped.next().await;
                    SIGTSTP
                };
                let int = async {
                    interrupted.next().await;
                    SIGINT
                };
                future::or(winch, future::or(tstp, int)).await
            };
            match future::or(ended, other).await {
                SIGWINCH => self.draw_anew(false).await,
                SIGTSTP => self.suspend().await?,
                SIGINT => return Ok(Over::Interrupted),
                signal => {
                    self.take_back().await;
                    // It ends this program, as it would have.
                    let _ = emulate_default_handler(signal);
                }
            }
        }
    }

    /// Stops this program, with the terminal as it was, until somebody has it go on.
    async fn suspend(&self) -> Result<(), Failure> {
        self.take_back().await;
        let _ = emulate_default_handler(SIGTSTP);
        self.lend().await?;
        self.draw_anew(true).await;
        Ok(())
    }

    /// Tells something between what the command prints.
    fn say(&self, text: &str) {
        if self.raw.borrow().is_some() {
            eprint!("\r\nrunabout: {}\r\n", printable(text));
        } else {
            print::note(text);
        }
    }
}
