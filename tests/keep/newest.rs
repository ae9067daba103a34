//! Of several daemons the newest is heard, a later one is understood, and a stranger is not.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use runabout::event::Stream;
use runabout::keep::frame::{Frame, Incoming};
use runabout::keep::protocol::{Hello, VERSION};

use super::{assert_nothing_is_left, keep_directory, keeper_pid, left_files, survivor, wait_printed};
use crate::common::{DEADLINE, Daemon, wait_gone};

/// A daemon's end of a connection to a keeper, by hand.
struct ByHand {
    socket: UnixStream,
    incoming: Incoming,
}

impl ByHand {
    fn connect(daemon: &Daemon, hello: Hello) -> ByHand {
        let names = left_files(daemon);
        let socket = UnixStream::connect(keep_directory(daemon).join(&names[0])).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut by_hand = ByHand { socket, incoming: Incoming::default() };
        by_hand.send(&Frame::Hello(hello));
        by_hand
    }

    fn send(&mut self, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.socket.write_all(&bytes).unwrap();
    }

    /// Hands the next frame over; `None` when the keeper has closed the connection.
    fn next<T>(&mut self, with: impl FnOnce(Frame<'_>) -> T) -> Option<T> {
        loop {
            if let Some((bytes, frame)) = self.incoming.peek().unwrap() {
                let answer = with(frame);
                self.incoming.take(bytes);
                return Some(answer);
            }
            let mut buffer = [0; 4_096];
            match self.socket.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.incoming.add(&buffer[..count]),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn the_newest_daemon_is_heard_and_a_later_one_is_understood_and_a_stranger_is_not() {
    let mut daemon = Daemon::start();
    let run = survivor(&daemon, "echo begun; exec sleep 300");
    let keeper = keeper_pid(&daemon, run);
    wait_printed(&daemon, run, "begun");
    let instance = daemon.get("/v1/system").expect(200).json()["instance"].as_str().unwrap().to_owned();
    daemon.kill9();
    let hello = |instance: &str| Hello {
        version: VERSION + 7,
        instance: instance.to_owned(),
        run,
        attempt: 1,
        name: String::new(),
    };
    let mut stranger = ByHand::connect(&daemon, hello("another"));
    assert!(stranger.next(|_| ()).is_none(), "it answers nobody else's daemon");
    let mut old = ByHand::connect(&daemon, hello(&instance));
    let welcome = |by_hand: &mut ByHand| {
        by_hand.next(|frame| match frame {
            Frame::Welcome(welcome) => welcome,
            other => panic!("{other:?}"),
        })
    };
    let welcomed = welcome(&mut old).unwrap();
    assert_eq!((welcomed.version, welcomed.pid, welcomed.run), (VERSION, keeper, run));
    let mut new = ByHand::connect(&daemon, hello(&instance));
    let first = welcome(&mut new).unwrap().held_from;
    assert!(old.next(|_| ()).is_none(), "the newest wins");
    new.send(&Frame::Unknown(33));
    new.send(&Frame::Resume(first));
    new.send(&Frame::Stop(runabout::keep::protocol::Stop { asked: "cancel".into(), grace_ms: 60_000 }));
    let mut printed = Vec::new();
    loop {
        let is_over = new.next(|frame| match frame {
            Frame::Output(_, Stream::Stdout, _, bytes) => {
                printed.extend_from_slice(bytes);
                None
            }
            Frame::Ended(ended) => Some(ended),
            _ => None,
        });
        if let Some(ended) = is_over.expect("it ends by itself") {
            assert_eq!((ended.signal, ended.asked.as_deref()), (Some(15), Some("cancel")));
            break;
        }
    }
    assert_eq!(printed, &b"begun\n"[usize::try_from(first).unwrap()..]);
    drop(new);
    wait_gone(keeper);
    daemon.start_again();
    assert_eq!(daemon.wait_ended(run)["status"], "canceled", "whom the keeper heard first");
    assert_nothing_is_left(&daemon);
}
