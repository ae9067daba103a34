//! What the daemon's own start may have left behind, and no command may inherit: open descriptors,
//! ignored and blocked signals.
//!
//! The only `unsafe` of the runner: `rustix` has neither of these calls. It must never change how
//! the daemon itself behaves.
#![allow(unsafe_code)]

use std::fs;
use std::mem::MaybeUninit;
use std::ptr;

/// Marks every descriptor but the standard three as closed by exec. To be called once, at the start.
pub fn close_inherited_on_exec() {
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    for fd in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<libc::c_int>().ok()) {
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
/// because a handler would repeat them for ever.
pub fn default_signals_for_children() {
    for signal in 1..=64 {
        if !is_ignored(signal) || signal == libc::SIGPIPE {
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

fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: as above; without a new action, sigaction only writes the present one to `action`.
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        libc::sigaction(signal, ptr::null(), &mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

extern "C" fn nothing(_signal: libc::c_int) {}
