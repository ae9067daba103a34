//! How a child is born inside of a cgroup, up to its exec: it never runs anywhere else, so that nothing it forks can escape.
//!
//! By clone3(2) with CLONE_INTO_CGROUP (Linux 5.7). Moving a process that runs takes the kernel a lock that waits for every
//! processor, some milliseconds; that is what a child does where clone3 is missing or a container's filter refuses it. Neither
//! `rustix` nor the C libraries in use know such a birth, which is why there is `unsafe` here.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Gid, Pid, Uid, WaitOptions, chdir, ioctl_tiocsctty, setsid, waitpid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::exec::Step;
use crate::accounts::Account;

/// What is born.
pub(super) struct Birth<'a> {
    /// Where.
    pub cgroup: BorrowedFd<'a>,
    /// The files that its name may mean, as execvp(3) tries them.
    pub programs: &'a [CString],
    /// From the name on.
    pub arguments: &'a [CString],
    /// `KEY=VALUE`, each key once.
    pub environment: &'a [CString],
    /// It starts in the first of these that it can enter.
    pub directories: &'a [CString],
    /// Whom it becomes, before it enters the directory.
    pub account: Option<&'a Account>,
    /// Standard input; `None` is `/dev/null`.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Standard output.
    pub stdout: BorrowedFd<'a>,
    /// Standard error.
    pub stderr: BorrowedFd<'a>,
    /// Whether all three are a terminal, which becomes that of its session.
    pub is_terminal: bool,
}

/// `struct clone_args` of the kernel (CLONE_ARGS_SIZE_VER2).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// The same on every architecture.
const SYS_CLONE3: libc::c_long = 435;

/// Whether this kernel, or what filters its calls, has refused clone3 as such.
static IS_REFUSED: AtomicBool = AtomicBool::new(false);

/// What the child needs, made before it is born: it may not allocate.
struct Ready {
    arguments: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    groups: Vec<Gid>,
    failed: OwnedFd,
    /// The file by which it moves itself, where it is not born in place.
    move_by: Option<OwnedFd>,
}

impl Birth<'_> {
    /// Starts it in a session of its own, on its own terminal or none, with no signal blocked and all at their defaults.
    ///
    /// # Errors
    /// Why the system refused the process, the user, the directory or the program, and which of these.
    pub(super) fn spawn(&self) -> Result<Pid, (Step, io::Error)> {
        let other = |error: io::Error| (Step::Other, error);
        let (read, failed) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| other(error.into()))?;
        let pointers = |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect();
        let groups = self.account.map(|account| account.groups.as_slice()).unwrap_or_default();
        let mut ready = Ready {
            arguments: pointers(self.arguments),
            environment: pointers(self.environment),
            groups: groups.iter().map(|&group| Gid::from_raw(group)).collect(),
            failed,
            move_by: None,
        };
        let pid = self.born_in_place(&ready).map_err(other)?;
        let pid = match pid {
            Some(pid) => pid,
            None => {
                let flags = OFlags::WRONLY | OFlags::CLOEXEC;
                let by =
                    openat(self.cgroup, "cgroup.procs", flags, Mode::empty()).map_err(|error| other(error.into()))?;
                ready.move_by = Some(by);
                self.forked(&ready).map_err(other)?
            }
        };
        drop(ready);
        // Ends with the exec, or with the child.
        let mut told = [0; 5];
        let length = loop {
            match rustix::io::read(&read, &mut told) {
                Err(Errno::INTR) => {}
                other => break other.unwrap_or(0),
            }
        };
        if length < told.len() {
            return Ok(pid);
        }
        let _ = waitpid(Some(pid), WaitOptions::empty());
        let [step, errno @ ..] = told;
        let step = match step {
            b'a' => Step::Account,
            b'd' => Step::Directory,
            _ => Step::Other,
        };
        Err((step, io::Error::from_raw_os_error(i32::from_ne_bytes(errno))))
    }

    /// `None` where that cannot be done here.
    fn born_in_place(&self, ready: &Ready) -> io::Result<Option<Pid>> {
        if IS_REFUSED.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let arguments = CloneArgs {
            flags: CLONE_INTO_CGROUP | CLONE_CLEAR_SIGHAND,
            exit_signal: libc::SIGCHLD as u64,
            cgroup: self.cgroup.as_raw_fd() as u64,
            ..CloneArgs::default()
        };
        // SAFETY: the kernel reads a structure of the size that it is told. Without CLONE_VM the child has a copy of this
        // memory and one thread, and goes on here, where it calls nothing but `become_it`.
        let pid = unsafe { libc::syscall(SYS_CLONE3, &raw const arguments, size_of::<CloneArgs>()) };
        if pid == 0 {
            self.become_it(ready);
        }
        if pid > 0 {
            return Ok(Pid::from_raw(pid as i32));
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::ENOSYS | libc::EPERM | libc::EINVAL | libc::E2BIG) => {
                IS_REFUSED.store(true, Ordering::Relaxed);
                Ok(None)
            }
            _ => Err(error),
        }
    }

    fn forked(&self, ready: &Ready) -> io::Result<Pid> {
        // SAFETY: the child has one thread and a copy of this memory, and calls nothing but `become_it`.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            self.become_it(ready);
        }
        Pid::from_raw(pid).filter(|_| pid > 0).ok_or_else(io::Error::last_os_error)
    }

    /// In the child, where other threads may have left any lock taken: system calls only, and no allocation.
    fn become_it(&self, ready: &Ready) -> ! {
        let (step, error) = self.until_exec(ready);
        let mut told = [step, 0, 0, 0, 0];
        told[1..].copy_from_slice(&error.raw_os_error().to_ne_bytes());
        let _ = rustix::io::write(&ready.failed, &told);
        // SAFETY: ends the process without running what the parent has registered for its end.
        unsafe { libc::_exit(127) }
    }

    /// At what it failed.
    fn until_exec(&self, ready: &Ready) -> (u8, Errno) {
        let step = |step: u8| move |error: Errno| (step, error);
        let done = (|| {
            if let Some(by) = &ready.move_by {
                rustix::io::write(by, b"0").map_err(step(b'o'))?;
            }
            // The kernel refuses it to nobody who was just forked.
            let _ = setsid();
            default_signals();
            self.give_streams().map_err(step(b'o'))?;
            if let Some(account) = self.account {
                become_user(account, &ready.groups).map_err(step(b'a'))?;
            }
            self.enter().map_err(step(b'd'))
        })();
        match done {
            Ok(()) => (b'o', self.exec(ready)),
            Err(failed) => failed,
        }
    }

    fn give_streams(&self) -> Result<(), Errno> {
        let null;
        let stdin = match self.stdin {
            Some(pipe) => pipe,
            None => {
                null = openat(rustix::fs::CWD, c"/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
                null.as_fd()
            }
        };
        for (fd, to) in
            [(stdin, libc::STDIN_FILENO), (self.stdout, libc::STDOUT_FILENO), (self.stderr, libc::STDERR_FILENO)]
        {
            // SAFETY: numbers only; nothing in this process owns the three, whose copies here end with its exec.
            if unsafe { libc::dup2(fd.as_raw_fd(), to) } < 0 {
                return Err(last_errno());
            }
        }
        if self.is_terminal { ioctl_tiocsctty(self.stdout) } else { Ok(()) }
    }

    fn enter(&self) -> Result<(), Errno> {
        let mut entered = Err(Errno::NOENT);
        for directory in self.directories {
            entered = chdir::<&CStr>(directory);
            if entered.is_ok() {
                break;
            }
        }
        entered
    }

    /// Why none of the files could be executed.
    fn exec(&self, ready: &Ready) -> Errno {
        let (mut last, mut was_refused) = (Errno::NOENT, false);
        for program in self.programs {
            // SAFETY: both lists end with a null pointer and point to texts that are borrowed by `self`.
            unsafe { libc::execve(program.as_ptr(), ready.arguments.as_ptr(), ready.environment.as_ptr()) };
            last = last_errno();
            match last {
                Errno::ACCESS => was_refused = true,
                Errno::NOENT | Errno::NOTDIR | Errno::STALE | Errno::NODEV | Errno::TIMEDOUT => {}
                _ => return last,
            }
        }
        if was_refused { Errno::ACCESS } else { last }
    }
}

/// The user last: after it nobody may change groups. All three ids of each, so that there is no way back.
fn become_user(account: &Account, groups: &[Gid]) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    set_thread_groups(groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}

/// What could be ignored otherwise has a handler (`system`), which the exec takes away; SIGPIPE alone is ignored in a Rust
/// program.
fn default_signals() {
    // SAFETY: all zeroes is a valid `sigaction` (no flags, an empty mask, SIG_DFL) and memory for a `sigset_t`, which
    // sigemptyset fills before it is read.
    unsafe {
        let action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        libc::sigaction(libc::SIGPIPE, &action, ptr::null_mut());
        let mut none: libc::sigset_t = MaybeUninit::zeroed().assume_init();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
    }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}
