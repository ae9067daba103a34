//! How a child leads a session of its own, up to its exec: by posix_spawn(3), or by fork where it becomes another user.
//!
//! For posix_spawn the daemon's memory is not copied, as for fork (8 MiB resident: 0.1 ms against 0.4 to 0.9 ms); the
//! standard library's way to it knows no session, and `rustix` has none, which is why there is `unsafe` here. Nothing is
//! decided: program, directory, environment and user are given, and an error is the kernel's own.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Gid, Pid, Uid, chdir, ioctl_tiocsctty, setsid};
use rustix::stdio::stdin;
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::accounts::Account;

/// What becomes a process.
pub(super) struct Image<'a> {
    /// The file; where it is no absolute path, from `directory`.
    pub program: &'a CStr,
    /// From the name on.
    pub arguments: &'a [CString],
    /// `KEY=VALUE`, each key once.
    pub environment: &'a [CString],
    /// Where it starts.
    pub directory: &'a CStr,
    /// What it reads from and prints to.
    pub streams: Streams<'a>,
}

/// A child's standard input, output and error.
#[derive(Clone, Copy)]
pub(super) enum Streams<'a> {
    /// One each.
    Pipes {
        /// Standard input; `None` is `/dev/null`.
        stdin: Option<BorrowedFd<'a>>,
        /// Standard output.
        stdout: BorrowedFd<'a>,
        /// Standard error.
        stderr: BorrowedFd<'a>,
    },
    /// All three are the terminal of this name, which becomes that of its session.
    Terminal(&'a CStr),
}

impl Image<'_> {
    /// Starts it in a session of its own, on its own terminal or none, with no signal blocked and SIGPIPE at its default.
    ///
    /// # Errors
    /// Why the system refused the process, the directory or the program.
    pub(super) fn spawn(&self) -> io::Result<Pid> {
        let attributes = Attributes::of_a_session()?;
        let actions = self.actions()?;
        let pointers = |texts: &[CString]| -> Vec<*mut libc::c_char> {
            texts.iter().map(|text| text.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
        };
        let (arguments, environment) = (pointers(self.arguments), pointers(self.environment));
        let mut pid = 0;
        // SAFETY: both lists end with a null pointer and point to texts that are borrowed through the call, which only
        // reads them; `actions` and `attributes` were initialised by their makers.
        let error = unsafe {
            libc::posix_spawn(
                &raw mut pid,
                self.program.as_ptr(),
                &raw const actions.0,
                &raw const attributes.0,
                arguments.as_ptr(),
                environment.as_ptr(),
            )
        };
        checked(error)?;
        Pid::from_raw(pid).ok_or_else(|| io::ErrorKind::Other.into())
    }

    fn actions(&self) -> io::Result<Actions<'_>> {
        let mut actions = Actions::new()?;
        actions.enter(self.directory)?;
        match self.streams {
            Streams::Pipes { stdin, stdout, stderr } => {
                match stdin {
                    Some(pipe) => actions.give(pipe, libc::STDIN_FILENO)?,
                    None => actions.open(c"/dev/null", libc::O_RDONLY, libc::STDIN_FILENO)?,
                }
                actions.give(stdout, libc::STDOUT_FILENO)?;
                actions.give(stderr, libc::STDERR_FILENO)?;
            }
            Streams::Terminal(name) => {
                // The first terminal that the leader of a session opens becomes that of the session, which it leads by then.
                actions.open(name, libc::O_RDWR, libc::STDIN_FILENO)?;
                for as_fd in [libc::STDOUT_FILENO, libc::STDERR_FILENO] {
                    actions.copy(libc::STDIN_FILENO, as_fd)?;
                }
            }
        }
        Ok(actions)
    }
}

/// What the child does before its exec, in this order. The C library may keep pointers to the texts.
struct Actions<'a>(libc::posix_spawn_file_actions_t, std::marker::PhantomData<&'a CStr>);

impl<'a> Actions<'a> {
    fn new() -> io::Result<Actions<'a>> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: the pointer is to memory of the right type, which the call fills in where it answers 0.
        let actions = unsafe {
            checked(libc::posix_spawn_file_actions_init(actions.as_mut_ptr()))?;
            actions.assume_init()
        };
        Ok(Actions(actions, std::marker::PhantomData))
    }

    fn enter(&mut self, directory: &'a CStr) -> io::Result<()> {
        // SAFETY: `self.0` is initialised; `directory` outlives it.
        checked(unsafe { libc::posix_spawn_file_actions_addchdir_np(&raw mut self.0, directory.as_ptr()) })
    }

    fn open(&mut self, path: &'a CStr, how: libc::c_int, as_fd: libc::c_int) -> io::Result<()> {
        // SAFETY: as above.
        checked(unsafe { libc::posix_spawn_file_actions_addopen(&raw mut self.0, as_fd, path.as_ptr(), how, 0) })
    }

    fn give(&mut self, fd: BorrowedFd<'a>, as_fd: libc::c_int) -> io::Result<()> {
        self.copy(fd.as_raw_fd(), as_fd)
    }

    fn copy(&mut self, fd: libc::c_int, as_fd: libc::c_int) -> io::Result<()> {
        // SAFETY: as above; numbers only.
        checked(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, fd, as_fd) })
    }
}

impl Drop for Actions<'_> {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, and not used after this.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn of_a_session() -> io::Result<Attributes> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the pointer is to memory of the right type, which the call fills in where it answers 0.
        let mut attributes = unsafe {
            checked(libc::posix_spawnattr_init(attributes.as_mut_ptr()))?;
            Attributes(attributes.assume_init())
        };
        let flags = libc::POSIX_SPAWN_SETSID as i32 | libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK;
        let mut signals = MaybeUninit::uninit();
        // SAFETY: the set is filled in by sigemptyset before it is read; `attributes.0` is initialised. What else could be
        // ignored has a handler (`system`), which the exec takes away; SIGPIPE alone is ignored in a Rust program.
        unsafe {
            libc::sigemptyset(signals.as_mut_ptr());
            checked(libc::posix_spawnattr_setsigmask(&raw mut attributes.0, signals.as_ptr()))?;
            libc::sigaddset(signals.as_mut_ptr(), libc::SIGPIPE);
            checked(libc::posix_spawnattr_setsigdefault(&raw mut attributes.0, signals.as_ptr()))?;
            checked(libc::posix_spawnattr_setflags(&raw mut attributes.0, flags as libc::c_short))?;
        }
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised in its maker, and not used after this.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

/// These functions answer the error itself.
fn checked(error: libc::c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// At what a child failed that was to become somebody else before its exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Taking on the user and its groups.
    Account,
    /// Entering the directory as that user.
    Directory,
    /// Nothing of this: the exec, or what came before.
    Other,
}

/// Tells afterwards at what a child failed: only its errno comes back by the spawn.
#[derive(Debug)]
pub(super) struct Steps(OwnedFd);

impl Steps {
    /// At what the child failed whose spawn has failed.
    pub(super) fn failed(&self) -> Step {
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

/// Lets the command's child lead a session of its own, become this user, and then enter the first of the directories that
/// it can.
///
/// The directory comes after the user: whether it may be entered is the kernel's answer to the one who will be in it.
///
/// # Errors
/// Where there is no pipe to be had.
pub(super) fn become_user(
    command: &mut Command,
    account: &Account,
    directories: Vec<CString>,
    has_terminal: bool,
) -> io::Result<Steps> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    let groups: Vec<Gid> = account.groups.iter().map(|&group| Gid::from_raw(group)).collect();
    let failed = move |step: &[u8; 1], error: rustix::io::Errno| {
        // Nobody reads it: then the errno alone says what it can.
        let _ = rustix::io::write(&write, step);
        Err(io::Error::from(error))
    };
    let become_and_enter = move || {
        // The kernel refuses it to nobody who was just forked.
        let _ = setsid();
        if has_terminal {
            // Its standard input is one by now.
            ioctl_tiocsctty(stdin())?;
        }
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
