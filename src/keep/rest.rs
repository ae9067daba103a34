//! What a keeper leaves whose command has ended while no daemon was there: the frames that it would have sent.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, openat, renameat, unlinkat};

use super::frame::Frame;
use super::held::{Held, Sent};
use super::place::{END, UNFINISHED};
use super::protocol::{Ended, Welcome};

/// Writes it, under its name only when it is whole.
pub(super) fn leave(directory: &OwnedFd, name: &str, welcome: Welcome, held: &Held, ended: Ended) -> io::Result<()> {
    let (whole, unfinished) = (format!("{name}{END}"), format!("{name}{END}{UNFINISHED}"));
    let _ = unlinkat(directory, &*unfinished, AtFlags::empty());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(directory.as_fd(), &*unfinished, flags, Mode::from_raw_mode(0o600))?);
    let mut sent = Sent { offset: welcome.held_from, ..Sent::default() };
    let mut bytes = Vec::new();
    Frame::Welcome(welcome).encode(&mut bytes);
    while let Some((next, frame)) = held.next_frame(sent) {
        frame.encode(&mut bytes);
        file.write_all(&bytes)?;
        bytes.clear();
        sent = next;
    }
    Frame::Ended(ended).encode(&mut bytes);
    file.write_all(&bytes)?;
    Ok(renameat(directory, &*unfinished, directory, &*whole)?)
}
