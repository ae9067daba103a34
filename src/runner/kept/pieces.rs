//! What comes from a keeper: output, which is acknowledged once it is stored, and the end. A connection that breaks is made
//! again; it goes on where it was.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_io::Timer;
use futures_lite::future;
use rustix::process::{Pid, WaitOptions, waitpid};

use super::execution::Shared;
use super::feed::Feed;
use crate::clock::UnixMs;
use crate::keep::frame::Frame;
use crate::keep::protocol::Hello;
use crate::process::Identity;
use crate::run::Ask;
use crate::run_tokens::{RunToken, RunTokens};
use crate::runner::children;
use crate::runner::execution::{Outlet, Pieces};
use crate::runner::keepers::{ANSWER, KeeperMark, Link, Whereabouts};
use crate::runner::member::Member;
use crate::runner::running::{Remote, Switch};
use crate::timer::within;

/// Pause between two tries to reach a keeper, …
const RETRY: Duration = Duration::from_millis(100);
/// … and once it has not answered for as long as an answer may take.
const RETRY_DETACHED: Duration = Duration::from_secs(30);
/// How long a keeper that was released may take to be gone.
const GONE: Duration = Duration::from_secs(5);

/// A keeper's side of an attempt.
pub(super) struct KeptPieces {
    place: Whereabouts,
    hello: Hello,
    mark: KeeperMark,
    /// `None` while it is to be found again.
    link: Option<Link>,
    /// The keeper, where this process has started it.
    child: Option<Pid>,
    shared: Arc<Shared>,
    feed: Feed,
    /// What the keeper of this connection was told.
    told: Told,
    attending: Option<Attending>,
}

/// Who is told what the keeper says.
struct Attending {
    remote: Remote,
    tokens: RunTokens,
    token: Option<RunToken>,
}

#[derive(Debug, Default)]
struct Told {
    stop: bool,
    kill: bool,
    acked: u64,
}

/// What of it can go on.
enum Next {
    /// It has ended.
    Over,
    /// Once so many bytes have room.
    Room(usize),
    /// Once more has come.
    More,
}

impl KeptPieces {
    pub(super) fn new(
        place: Whereabouts,
        hello: Hello,
        mark: KeeperMark,
        link: Option<Link>,
        child: Option<Pid>,
        feed: Feed,
    ) -> KeptPieces {
        let (shared, told) = (Arc::default(), Told::default());
        KeptPieces { place, hello, mark, link, child, shared, feed, told, attending: None }
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Has the attempt's switch know what the keeper says, and the command's token be valid.
    pub(super) fn attend(&mut self, switch: &Switch, tokens: &RunTokens, token: Option<RunToken>) {
        self.attending = Some(Attending { remote: switch.remote(), tokens: tokens.clone(), token });
    }

    /// The command is over: its token is no more.
    pub(super) fn end_token(&mut self) {
        if let Some(attending) = &mut self.attending {
            attending.token = None;
        }
    }

    fn remote(&self) -> Option<&Remote> {
        self.attending.as_ref().map(|attending| &attending.remote)
    }

    /// The keeper has asked its command to end.
    fn hear_asked(&self, asked: &str) {
        if let (Some(remote), Some(asked)) = (self.remote(), Ask::parse(asked)) {
            remote.ask(asked);
        }
    }

    fn set_detached(&self, since: Option<UnixMs>) {
        if let Some(remote) = self.remote() {
            remote.set_detached(since);
        }
    }

    /// Until all has come.
    async fn run(&mut self, to: &mut Outlet) {
        while self.shared.known().ended.is_none() {
            if self.link.is_none() {
                self.find_again(to.received()).await;
            }
            if let Err(error) = self.step(to).await {
                log::debug!("run {}: the connection to its keeper: {error}", self.hello.run);
                if self.link.take().is_some_and(|link| !link.is_live()) {
                    // What it left is not whole, and nobody will add to it.
                    self.shared.change(|known| known.lost = true);
                    return future::pending().await;
                }
            }
        }
    }

    /// Tells what is to be told, takes what is there, then waits for more of either.
    async fn step(&mut self, to: &mut Outlet) -> io::Result<()> {
        let changed = self.shared.listen();
        let fed = self.feed.listen();
        let Some(mut link) = self.link.take() else { return Ok(()) };
        self.tell(&mut link, to);
        let next = link.write().and_then(|()| self.take(&mut link, to));
        let link = self.link.insert(link);
        let changed = async {
            future::or(changed, fed).await;
            Ok(())
        };
        let acked = self.told.acked;
        let stored = async {
            to.stored_beyond(acked).await;
            Ok(())
        };
        match next? {
            Next::Over => Ok(()),
            Next::More => future::or(future::or(changed, stored), link.more()).await,
            Next::Room(bytes) => {
                let room = async {
                    to.room_for(bytes).await;
                    Ok(())
                };
                future::or(future::or(changed, stored), future::or(room, link.writable())).await
            }
        }
    }

    fn tell(&mut self, link: &mut Link, to: &Outlet) {
        let stored = to.stored();
        if stored > self.told.acked {
            self.told.acked = stored;
            link.send(&Frame::Ack(stored));
        }
        let known = self.shared.known();
        if let Some(stop) = known.stop.clone().filter(|_| !self.told.stop) {
            self.told.stop = true;
            link.send(&Frame::Stop(stop));
        }
        if known.kill && !self.told.kill {
            self.told.kill = true;
            link.send(&Frame::Kill);
        }
        drop(known);
        self.feed.tell(link);
    }

    fn take(&mut self, link: &mut Link, to: &mut Outlet) -> io::Result<Next> {
        while let Some((bytes, frame)) = link.incoming.peek()? {
            match frame {
                Frame::Output(offset, stream, is_last, piece) => {
                    if to.room_now() < piece.len() {
                        return Ok(Next::Room(piece.len()));
                    }
                    to.take(offset, stream, piece);
                    if is_last {
                        to.end_of_stream(stream);
                    }
                }
                Frame::Started(started) => self.shared.change(|known| known.leader = Some(started)),
                Frame::InputTaken(written) => self.feed.written(written),
                Frame::Asked(asked) => self.hear_asked(&asked),
                Frame::Ended(ended) => {
                    link.incoming.take(bytes);
                    self.feed.close();
                    self.shared.change(|known| known.ended = Some(ended));
                    return Ok(Next::Over);
                }
                // Of a later version.
                _ => {}
            }
            link.incoming.take(bytes);
        }
        Ok(Next::More)
    }

    /// Finds the keeper, or what it left; waits for as long as its process lives.
    async fn find_again(&mut self, received: u64) {
        let (began, began_at) = (Instant::now(), UnixMs::now());
        let mut is_detached = false;
        loop {
            // Before it is looked for: a keeper that goes leaves the rest first.
            let was_gone = self.mark.is_gone();
            match self.look(received).await {
                Ok(Some(link)) => {
                    self.link = Some(link);
                    self.set_detached(None);
                    if is_detached {
                        log::info!("run {}: its keeper is heard again", self.hello.run);
                    }
                    return;
                }
                Ok(None) if was_gone => {
                    self.shared.change(|known| known.lost = true);
                    return future::pending().await;
                }
                Ok(None) => {}
                Err(error) if was_gone && began.elapsed() >= ANSWER => {
                    log::error!("run {}: what its keeper left cannot be read: {error}", self.hello.run);
                    self.shared.change(|known| known.lost = true);
                    return future::pending().await;
                }
                Err(error) => log::debug!("run {}: its keeper: {error}", self.hello.run),
            }
            let is_late = began.elapsed() >= ANSWER;
            if is_late && !is_detached {
                is_detached = true;
                self.set_detached(Some(began_at));
                log::warn!(
                    "run {}: its keeper, process {}, does not answer; the command is left alone, and it is asked again \
                     every {} s",
                    self.hello.run,
                    self.mark.pid,
                    RETRY_DETACHED.as_secs()
                );
            }
            let pause = if was_gone || !is_late { RETRY } else { RETRY_DETACHED };
            Timer::after(pause).await;
        }
    }

    /// Once; `None` where neither is there.
    async fn look(&mut self, received: u64) -> io::Result<Option<Link>> {
        let keepers = match self.place.open() {
            Ok(keepers) => keepers,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let connected = keepers.connect(&self.hello).await;
        let mut link = match (connected, keepers.rest(&self.hello.name)?) {
            (Ok(link), _) => link,
            (Err(_), Some(file)) => Link::of_rest(file, &self.hello).await?,
            (Err(error), None) if is_nobody(&error) => return Ok(None),
            (Err(error), None) => return Err(error),
        };
        let welcome = &link.welcome;
        if link.is_live() && welcome.is_waiting {
            // Nobody told it what to start, and nobody will.
            link.send(&Frame::Release);
            let _ = link.write();
            return Ok(None);
        }
        let leader = welcome.leader;
        self.told = Told { acked: welcome.held_from, ..Told::default() };
        self.feed.goes_on(welcome.input_given);
        if let Some(asked) = &welcome.asked {
            self.hear_asked(asked);
        }
        if let (Some(attending), Some(token)) = (&mut self.attending, &welcome.token) {
            let run = crate::run::RunId(self.hello.run);
            attending.token = attending.token.take().or_else(|| attending.tokens.adopt(run, token));
        }
        if leader.is_some() {
            self.shared.change(|known| known.leader = leader);
        }
        link.send(&Frame::Resume(received));
        Ok(Some(link))
    }

    /// The end is on the medium: the keeper may go.
    pub(super) async fn release(mut self) {
        if let Some(link) = self.link.as_mut().filter(|link| link.is_live()) {
            link.send(&Frame::Release);
            if link.write().is_ok() {
                let (pid, start_ticks) = (self.mark.pid, self.mark.start_ticks);
                if let Some(keeper) = Member::open(Identity { pid, start_ticks }) {
                    let _ = within(GONE, keeper.gone()).await;
                }
            }
        }
        self.forget();
    }

    /// Removes what a keeper left that is gone, and reaps it.
    pub(super) fn forget(mut self) {
        if self.mark.is_gone() {
            // What is in a directory that cannot be opened the next daemon removes.
            let _ = self.place.open().map(|keepers| keepers.forget(&self.hello.name));
        }
        if let Some(child) = self.child {
            // How it went says nothing; that it is gone its mark says.
            if !matches!(waitpid(Some(child), WaitOptions::NOHANG), Ok(Some(_))) {
                children::leave_unreaped(child);
            }
        }
    }
}

impl Pieces for KeptPieces {
    async fn pump(&mut self, to: &mut Outlet) {
        self.run(to).await;
    }

    /// The keeper knows how long others may still add to it.
    async fn drain(&mut self, to: &mut Outlet, _deadline: Instant) {
        self.run(to).await;
    }
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::UnexpectedEof)
        || matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}
