//! Starts this program once more, as another of its own commands.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::process::Pid;

use super::exec::{Image, Streams};

/// Starts the same binary, also where its file was replaced meanwhile, as the leader of a session of its own, with no
/// environment, and with nothing to print to. It is the caller's to reap.
///
/// # Errors
/// Where the system refuses another process, or has no /proc.
pub fn start_again(arguments: &[&str], stdin: BorrowedFd<'_>) -> io::Result<Pid> {
    let words = ["runabout"].iter().chain(arguments);
    let arguments: Result<Vec<CString>, _> = words.map(|word| CString::new(*word)).collect();
    let nowhere = File::options().write(true).open("/dev/null")?;
    Image {
        program: c"/proc/self/exe",
        arguments: &arguments?,
        environment: &[],
        directory: c"/",
        streams: Streams::Pipes { stdin: Some(stdin), stdout: nowhere.as_fd(), stderr: nowhere.as_fd() },
    }
    .spawn()
}
