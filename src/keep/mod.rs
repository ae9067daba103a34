//! The keeper: the other program in this binary. It stands between one command and the daemon, owns the command's process and
//! pipes, and lives on when the daemon ends, so that the next one finds both again.
//!
//! ```text
//!   daemon ── socket ── keeper ── pipes ── command
//!     │                   │
//!   SQLite            1 MiB at most of what is not on the medium yet
//! ```
//!
//! It is small (one thread, no executor, no store, half a megabyte of its own), and never waits for anything but `poll`. It
//! starts nothing before it is told to by a daemon that has written down who the keeper is, and ends with its command. It talks
//! to nobody but root and its own user. A daemon that is silent, hung or gone changes nothing for the command, except that it
//! waits in its write once a megabyte is held.

mod command;
pub mod frame;
mod group;
mod held;
mod keeper;
mod peer;
pub mod place;
pub mod protocol;
mod rest;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use rustix::net::AddressFamily;
use rustix::net::sockopt::socket_domain;
use rustix::process::{chdir, getpid, set_child_subreaper};

use crate::system;

/// The command's name on the command line.
pub const COMMAND: &str = "keep";
/// What ends a keeper, and what tells it of its children; a terminal that is lost is none of its own.
const SIGNALS: &[libc::c_int] = &[libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// Whether this process is to be a keeper.
pub fn is_asked_for() -> bool {
    std::env::args_os().nth(1).is_some_and(|first| first == COMMAND)
}

/// Is a keeper until its command has ended and that is recorded, here or there. Standard input is the connection to a daemon.
pub fn run() -> ExitCode {
    match keep() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("runabout keep: {error}");
            ExitCode::FAILURE
        }
    }
}

fn keep() -> io::Result<()> {
    if socket_domain(io::stdin()) != Ok(AddressFamily::UNIX) {
        let why = "it is started by the daemon or by runabout-keep.socket, with the connection as its standard input";
        return Err(io::Error::other(why));
    }
    let daemon = UnixStream::from(connection()?);
    system::close_inherited_on_exec();
    let signals = system::signals_as_descriptor(SIGNALS)?;
    // What a command leaves comes to its keeper, which so can end it.
    set_child_subreaper(Some(getpid()))?;
    // No file system stays in use by it.
    chdir("/")?;
    let keeper = keeper::Keeper::start(daemon, signals)?;
    keeper.map_or(Ok(()), keeper::Keeper::run)
}

/// Takes the connection from standard input, whose place /dev/null takes: no command may inherit it.
fn connection() -> io::Result<OwnedFd> {
    let connection = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(connection)
}
