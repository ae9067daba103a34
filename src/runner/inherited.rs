//! What the daemon has and no command may inherit: open descriptors, ignored and blocked signals and,
//! where another was named, its user.
//!
//! With `unsafe`, because `rustix` has none of these calls. It must never change how
//! the daemon itself behaves.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Gid, Uid, chdir, setsid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::accounts::Account;

/// Where no /proc tells which descriptors are open, those below this are taken to be.
const DESCRIPTORS_TRIED: libc::c_int = 1_024;

/// Marks every descriptor but the standard three as closed by exec. To be called once, at the start.
pub fn close_inherited_on_exec() {
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let mut open: Vec<libc::c_int> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    if open.is_empty() {
        open.extend(3..DESCRIPTORS_TRIED);
    }
    for fd in open {
        if fd >= 3 {
            // SAFETY: sets a flag of a descriptor by its number; no memory is involved, and a number
            // that is not open is an error without effect.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

/// Sees to it that commands start with all signals at their defaults and none blocked, also where
/// the daemon was started with some ignored (`nohup`, `&` in a script). To be called once, at the
/// start, before other threads and other handlers.
///
/// What is ignored stays ignored through an exec, what is handled does not: an empty handler does
/// for the daemon what ignoring did. Background reads and writes of a terminal are the exception,
/// because a handler would repeat them for ever. A file that is longer than `ulimit -f` allows is an
/// error of its write (EFBIG), for the daemon, and the end of a command as ever (SIGXFSZ).
pub fn default_signals_for_children() {
    for signal in 1..=64 {
        if !(is_ignored(signal) || signal == libc::SIGXFSZ) || signal == libc::SIGPIPE {
            continue;
        }
        let handler = match signal {
            libc::SIGTTIN | libc::SIGTTOU => libc::SIG_DFL,
            _ => nothing as extern "C" fn(libc::c_int) as libc::sighandler_t,
        };
        // SAFETY: all zeroes is a valid `sigaction` (no flags, an empty mask).
        let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        action.sa_sigaction = handler;
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: `action` lives through the call, and its handler does nothing, which may be done
        // at any moment. Numbers that the C library keeps for itself are refused.
        unsafe { libc::sigaction(signal, &action, ptr::null_mut()) };
    }
    // SAFETY: all zeroes is memory for a `sigset_t`, which sigemptyset fills and sigprocmask only reads.
    unsafe {
        let mut none: libc::sigset_t = MaybeUninit::zeroed().assume_init();
        libc::sigemptyset(&mut none);
        libc::pthread_sigmask(libc::SIG_SETMASK, &none, ptr::null_mut());
    }
}

/// Whether the daemon ignores a signal.
pub fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: all zeroes is a valid `sigaction`; without a new action, sigaction only writes the present one to `action`.
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        libc::sigaction(signal, ptr::null(), &mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

extern "C" fn nothing(_signal: libc::c_int) {}

/// At what a child failed that was to become somebody else before its exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Taking on the user and its groups.
    Account,
    /// Entering the directory as that user.
    Directory,
    /// Nothing of this: the exec, or what came before.
    Other,
}

/// Tells afterwards at what a child failed: only its errno comes back by the spawn.
#[derive(Debug)]
pub struct Steps(OwnedFd);

impl Steps {
    /// At what the child failed whose spawn has failed.
    pub fn failed(&self) -> Step {
        let mut step = [0];
        match rustix::io::read(&self.0, &mut step) {
            Ok(1) if step == *ACCOUNT => Step::Account,
            Ok(1) if step == *DIRECTORY => Step::Directory,
            _ => Step::Other,
        }
    }
}

const ACCOUNT: &[u8; 1] = b"a";
const DIRECTORY: &[u8; 1] = b"d";

/// Lets the command's child lead a session of its own, become this user, and then enter the first of the directories that it can.
///
/// The directory comes after the user: whether it may be entered is the kernel's answer to the one who will be in it.
///
/// # Errors
/// Where there is no pipe to be had.
pub fn become_user(command: &mut Command, account: &Account, directories: Vec<CString>) -> io::Result<Steps> {
    let (read, told) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    let groups: Vec<Gid> = account.groups.iter().map(|&group| Gid::from_raw(group)).collect();
    let failed = move |step: &[u8; 1], error: rustix::io::Errno| {
        // Nobody reads it: then the errno alone says what it can.
        let _ = rustix::io::write(&told, step);
        Err(io::Error::from(error))
    };
    let become_and_enter = move || {
        // The kernel refuses it to nobody who was just forked.
        let _ = setsid();
        // The user last: after it nobody may change groups. All three ids of each, so that there is no way back.
        let became = set_thread_groups(&groups)
            .and_then(|()| set_thread_res_gid(gid, gid, gid))
            .and_then(|()| set_thread_res_uid(uid, uid, uid));
        if let Err(error) = became {
            return failed(ACCOUNT, error);
        }
        let mut entered = Err(rustix::io::Errno::NOENT);
        for directory in &directories {
            entered = chdir(directory.as_c_str());
            if entered.is_ok() {
                break;
            }
        }
        entered.or_else(|error| failed(DIRECTORY, error))
    };
    // SAFETY: the closure runs in the child, after fork and before exec, where other threads may have left any lock taken.
    // It takes none and allocates nothing: all it needs was made above and is only borrowed there, what it calls are system
    // calls that rustix makes without the C library's locks, and an error made of an errno is a number. That the calls change
    // one thread's credentials is all there is to change: a forked child has one thread.
    unsafe { command.pre_exec(become_and_enter) };
    Ok(Steps(read))
}
