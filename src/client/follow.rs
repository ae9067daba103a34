//! Following a run, or several at once: their events in order, each once, over as many connections as it takes.
//!
//! A connection that breaks is made again after a wait, from the last event seen, until the run ends or the daemon
//! says that it cannot go on. It never gives up by itself once a daemon was met, and never skips an event silently.

use std::ops::Deref;
use std::time::{Duration, Instant};

use async_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use futures_lite::{FutureExt as _, StreamExt as _};

use super::connection::{Daemon, Socket};
use super::failure::{Failure, Problem};
use super::patience::{Backoff, first_line};
use crate::timer::Quiet;
use crate::wire::{Bookmark, Heard, OutcomeBody, ReceivedEvent, ReceivedGap};

/// The daemon pings every 20 s: this long without anything, and nobody is there.
const SILENCE: Duration = Duration::from_secs(65);
/// A connection that lived this long was a good one.
const GOOD_S: u64 = 10;
/// The session was revoked or has expired.
const CLOSE_SESSION: u16 = 4401;
/// The run was deleted.
const CLOSE_DELETED: u16 = 4410;

/// One run or several, followed.
pub struct Follower {
    daemon: Daemon,
    /// Their events' path, with all of the query but the cursor.
    path: String,
    /// As a person is told of it.
    subject: String,
    bookmark: Bookmark,
    open: Option<Open>,
    backoff: Backoff,
    /// Whether a daemon was met there: before that, its absence is an answer.
    met: bool,
    /// Whether a connection broke and the next one is news.
    away: bool,
}

struct Open {
    socket: Socket,
    since: Instant,
    /// Nothing has come. A timer for each object would cost more than the object does.
    silence: Quiet,
}

/// An object of a stream as it came: JSON on one line, without its end.
#[derive(Clone, Debug, Default)]
pub struct Line(Utf8Bytes);

impl Deref for Line {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// What happened next.
#[derive(Debug)]
pub enum Step {
    /// The next event.
    Event(ReceivedEvent, Line),
    /// Events that are gone.
    Gap(ReceivedGap, Line),
    /// All that was stored is out.
    CaughtUp,
    /// The connection is gone, for this reason; it will be made again.
    Away(String),
    /// It was made again; the newest event seen so far.
    Back(i64),
    /// The run has ended.
    End(OutcomeBody),
}

/// Why a connection is of no more use.
enum Broken {
    /// Come back with the last cursor seen.
    Again(String),
    /// There is nothing to come back for.
    Never(Failure),
}

impl Follower {
    /// Follows `run` from `cursor`; `met` says that the daemon answered something before.
    pub fn new(daemon: &Daemon, run: i64, cursor: &str, met: bool) -> Follower {
        let path = format!("/v1/runs/{run}/events?");
        Follower::of(daemon, path, format!("run {run}"), Bookmark::new(cursor), met)
    }

    /// Follows several runs over one connection. It never ends: it is left when all that was of interest was told.
    pub fn of_several(daemon: &Daemon, runs: &[i64], cursor: &str) -> Follower {
        let runs: Vec<String> = runs.iter().map(i64::to_string).collect();
        let path = format!("/v1/events?runs={}&", runs.join(","));
        Follower::of(daemon, path, format!("runs {}", runs.join(", ")), Bookmark::of_several(cursor), true)
    }

    /// Follows what a filter shows of all runs: the names and values of the query `filter`, encoded. It never ends.
    pub fn filtered(daemon: &Daemon, filter: &str, cursor: &str) -> Follower {
        let path = format!("/v1/events?{filter}{}", if filter.is_empty() { "" } else { "&" });
        Follower::of(daemon, path, "all runs".to_owned(), Bookmark::filtered(cursor), false)
    }

    /// The cursor behind the last event that was told.
    pub fn cursor(&self) -> String {
        self.bookmark.cursor()
    }

    fn of(daemon: &Daemon, path: String, subject: String, bookmark: Bookmark, met: bool) -> Follower {
        let daemon = daemon.clone();
        Follower { daemon, path, subject, bookmark, open: None, backoff: Backoff::new(), met, away: false }
    }

    /// Waits for what happens next.
    ///
    /// # Errors
    /// What coming back cannot change: the run or the session is gone, or the database is another one.
    pub async fn next(&mut self) -> Result<Step, Failure> {
        loop {
            let Some(open) = &mut self.open else {
                match self.connect().await? {
                    Some(step) => return Ok(step),
                    None => continue,
                }
            };
            match heard(open, &mut self.bookmark, &self.subject).await {
                Ok((Heard::Event(event), line)) => {
                    self.backoff.reset();
                    return Ok(Step::Event(event, line));
                }
                Ok((Heard::Gap(gap), line)) => return Ok(Step::Gap(gap, line)),
                Ok((Heard::CaughtUp, _)) => return Ok(Step::CaughtUp),
                Ok((Heard::End(outcome), _)) => return Ok(Step::End(outcome)),
                Ok((Heard::Hello, _)) if self.away => {
                    self.away = false;
                    return Ok(Step::Back(self.bookmark.seen()));
                }
                Ok((Heard::Hello | Heard::Nothing, _)) => {}
                Err(Broken::Never(failure)) => return Err(failure),
                Err(Broken::Again(why)) => {
                    if open.since.elapsed() > Duration::from_secs(GOOD_S) {
                        self.backoff.reset();
                    }
                    self.open = None;
                    if !self.away {
                        self.away = true;
                        return Ok(Step::Away(why));
                    }
                }
            }
        }
    }

    /// Opens a connection, after a wait where it is not the first; tells when that did not go at once.
    async fn connect(&mut self) -> Result<Option<Step>, Failure> {
        if self.away {
            self.backoff.wait().await;
        }
        let path = format!("{}after={}", self.path, self.bookmark.cursor());
        match self.daemon.upgrade(&path).await {
            Ok(socket) => {
                self.met = true;
                self.open = Some(Open { socket, since: Instant::now(), silence: Quiet::new(SILENCE) });
                Ok(None)
            }
            Err(failure) if self.met && failure.may_pass() => {
                if self.away {
                    return Ok(None);
                }
                self.away = true;
                Ok(Some(Step::Away(first_line(&failure))))
            }
            Err(failure) if self.bookmark.has_begun() => Err(explained(failure, &self.subject)),
            Err(failure) => Err(failure),
        }
    }
}

async fn heard(open: &mut Open, bookmark: &mut Bookmark, subject: &str) -> Result<(Heard, Line), Broken> {
    let Open { socket, silence, .. } = open;
    let silent = async {
        silence.over().await;
        Some(Err(Error::Io(std::io::ErrorKind::TimedOut.into())))
    };
    let said = socket.next().or(silent).await;
    silence.put_off();
    match said {
        Some(Ok(Message::Text(text))) => {
            let heard = bookmark.hear(&text);
            let heard = heard.map_err(|misfit| Broken::Again(format!("the stream broke: {}", misfit.0)))?;
            Ok((heard, Line(text)))
        }
        Some(Ok(Message::Close(frame))) => {
            let code = frame.map_or(1005, |frame| u16::from(frame.code));
            Err(closed(code, subject))
        }
        // Pings are answered by the library.
        Some(Ok(_)) => Ok((Heard::Nothing, Line::default())),
        Some(Err(error)) => Err(Broken::Again(format!("lost the daemon: {error}"))),
        None => Err(Broken::Again("lost the daemon".to_owned())),
    }
}

fn closed(code: u16, subject: &str) -> Broken {
    let problem = |status, code: &str, detail: String| {
        let problem = Problem { status, code: code.to_owned().into(), detail: detail.into(), ..Problem::default() };
        Broken::Never(Failure::Refused(Box::new(problem)))
    };
    match code {
        CLOSE_SESSION => problem(401, "unauthorized", "the session was revoked or has expired".to_owned()),
        CLOSE_DELETED => problem(410, "run_pruned", format!("{subject} was deleted")),
        1001 => Broken::Again("the daemon is stopping".to_owned()),
        _ => Broken::Again(format!("the daemon closed the stream ({code})")),
    }
}

/// The daemon's words are about a cursor that the person never typed.
fn explained(failure: Failure, subject: &str) -> Failure {
    match failure {
        Failure::Refused(mut problem) if problem.code == "instance_changed" => {
            problem.detail =
                format!("the daemon's database was replaced: {subject} cannot be followed any further").into();
            Failure::Refused(problem)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lost_session_or_run_ends_the_following() {
        for code in [1000, 1001, 1005, 1006, 1011, 1012] {
            assert!(matches!(closed(code, "run 42"), Broken::Again(_)), "{code}");
        }
        for (code, status) in [(4401, 401), (4410, 410)] {
            assert!(
                matches!(closed(code, "run 42"), Broken::Never(Failure::Refused(problem)) if problem.status == status)
            );
        }
    }
}
