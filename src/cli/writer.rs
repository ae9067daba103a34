//! What is typed for a command, on its way to the daemon: in order, each byte once, and one of several writers at a time.
//!
//! It is sent again until it was taken or never will be. It reads nothing and shows nothing.

use std::time::Duration;

use async_io::Timer;
use hyper::Method;
use smol::channel::Receiver;

use crate::client::connection::{Ask, Daemon, encoded};
use crate::client::failure::Failure;
use crate::client::kept::Kept;
use crate::client::random_key;
use crate::text::printable;
use crate::timer::within;

/// Bytes that one request takes along.
const SENT_BYTES_MAX: usize = 16 * 1024;
/// What was refused because it came too fast is sent again after this long.
const AGAIN: Duration = Duration::from_millis(50);
/// The same while the command has not started, or the daemon is away or cannot take it.
const AGAIN_LATER: Duration = Duration::from_millis(500);
/// How long leaving may take.
const LEAVING: Duration = Duration::from_secs(2);

/// For the command.
pub enum Sent {
    /// What was typed.
    Bytes(Vec<u8>),
    /// From here on this writer writes, whoever did.
    TakeOver,
    /// Nothing more.
    End,
}

/// One of those who may write to a run.
pub struct Writer<'a> {
    daemon: &'a Daemon,
    run: i64,
    /// Which of them it is.
    id: String,
}

impl<'a> Writer<'a> {
    /// One that no other is.
    ///
    /// # Errors
    /// [`Failure::Own`] where the system has no random numbers.
    pub fn new(daemon: &'a Daemon, run: i64) -> Result<Writer<'a>, Failure> {
        Ok(Writer { daemon, run, id: random_key("cli")? })
    }

    /// Sends what comes; says what its person has to know. Ends only by a failure, or when nothing more can come.
    pub async fn send(&self, from: Receiver<Sent>, say: impl Fn(&str)) -> Option<Failure> {
        let mut line = Kept::new(self.daemon);
        let (mut nth, mut next) = (0_u64, None);
        loop {
            let sent = match next.take() {
                Some(sent) => sent,
                None => from.recv().await.ok()?,
            };
            nth += 1;
            let (mut bytes, mut how) = (Vec::new(), "");
            match sent {
                Sent::Bytes(first) => bytes = first,
                Sent::TakeOver => how = "&take=true",
                Sent::End => how = "&end=true",
            }
            // What came meanwhile goes along.
            while how.is_empty() && bytes.len() < SENT_BYTES_MAX && next.is_none() {
                match from.try_recv() {
                    Ok(Sent::Bytes(more)) => bytes.extend(more),
                    Ok(other) => next = Some(other),
                    Err(_) => break,
                }
            }
            let ask = self.ask(&format!("&nth={nth}{how}")).with_bytes(bytes);
            while let Err(failure) = line.ask(&ask).await {
                match again_after(failure, &say) {
                    Ok(Some(pause)) => _ = Timer::after(pause).await,
                    Ok(None) => break,
                    Err(failure) => return Some(failure),
                }
            }
        }
    }

    /// Lets another write at once.
    pub async fn leave(&self) {
        // Where somebody else writes there is nothing to leave, and otherwise only time is lost.
        let _ = within(LEAVING, self.daemon.ask(&self.ask("&leave=true"))).await;
    }

    fn ask(&self, how: &str) -> Ask {
        Ask::new(Method::POST, format!("/v1/runs/{}/stdin?writer={}{how}", self.run, encoded(&self.id)))
    }
}

/// After how long what was not taken is sent again; `None` where it never will be.
fn again_after(failure: Failure, say: impl Fn(&str)) -> Result<Option<Duration>, Failure> {
    let Failure::Refused(problem) = &failure else {
        return if failure.may_pass() { Ok(Some(AGAIN_LATER)) } else { Err(failure) };
    };
    match &*problem.code {
        "stdin_full" => Ok(Some(AGAIN)),
        "run_not_running" => Ok(Some(AGAIN_LATER)),
        "stdin_busy" => {
            let name = problem.details["writer"].as_str().unwrap_or("somebody else");
            say(&format!("{} writes here; Ctrl-] w takes over", printable(name)));
            Ok(None)
        }
        // Its end follows.
        "no_stdin" | "run_finished" | "run_pruned" | "run_not_found" => Ok(None),
        _ if failure.may_pass() => Ok(Some(AGAIN_LATER)),
        _ => Err(failure),
    }
}
