//! The terminal of a command: a pair of ends, of which the command has one as if somebody sat at it, and we have the other.
//!
//! Nothing here blocks, and nothing knows what is drawn.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, fchmod, fchown, open};
use rustix::process::Uid;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{InputModes, OptionalActions, SpecialCodeIndex, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use crate::run::TerminalSize;

/// What a terminal's buffers hold at most of what was printed, with room to spare: 8 KiB on their way, and 4 KiB to be read
/// (`tty_buffer_set_limit` in Linux's `pty.c`, `N_TTY_BUF_SIZE`). Linux counts only the latter as readable.
pub const HELD_BYTES_MAX: usize = 64 * 1024;

/// What ends the input of a terminal that was told nothing else: Ctrl-D.
const END_OF_INPUT: u8 = 4;

/// A terminal that no command has yet.
pub(super) struct Pty {
    /// Our end.
    pub master: OwnedFd,
    /// The command's end, by its name: the leader of a session that opens it has it as its terminal.
    pub name: CString,
    /// The same, open, so that ours does not count as hung up before the command has it.
    pub slave: OwnedFd,
}

impl Pty {
    /// Makes one of this size, for a command of this user where that is not the daemon's own.
    ///
    /// # Errors
    /// Where the system has no more of them, or no descriptors.
    pub(super) fn open(size: TerminalSize, owner: Option<u32>) -> io::Result<Pty> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let slave = open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        if let Some(uid) = owner {
            // It may open it by its name, as by `tty`; others may write to it where they are in its group, as to any terminal.
            fchown(&slave, Some(Uid::from_raw(uid)), None)?;
            fchmod(&slave, Mode::RUSR | Mode::WUSR | Mode::WGRP)?;
        }
        // Erasing takes away a whole character.
        let mut modes = tcgetattr(&slave)?;
        modes.input_modes.insert(InputModes::IUTF8);
        tcsetattr(&slave, OptionalActions::Now, &modes)?;
        tcsetwinsize(&slave, winsize(size))?;
        Ok(Pty { master, name, slave })
    }
}

/// Has a terminal become this large, of which its foreground is told (SIGWINCH).
pub fn resize(master: impl AsFd, size: TerminalSize) {
    if let Err(error) = tcsetwinsize(master, winsize(size)) {
        log::warn!("a terminal keeps its size: {error}");
    }
}

/// What has a reader of lines see the end of its input, when this was typed last: the first one after an unfinished line
/// only ends that.
pub fn end_of_input(master: impl AsFd, last: Option<u8>) -> Vec<u8> {
    let end = tcgetattr(master).map_or(END_OF_INPUT, |modes| modes.special_codes[SpecialCodeIndex::VEOF]);
    let is_within_a_line = last.is_some_and(|byte| byte != b'\n' && byte != b'\r');
    vec![end; if is_within_a_line { 2 } else { 1 }]
}

fn winsize(size: TerminalSize) -> Winsize {
    Winsize { ws_col: size.columns, ws_row: size.rows, ws_xpixel: 0, ws_ypixel: 0 }
}
