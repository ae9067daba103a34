//! System calls that `rustix` has not, each as a function that is safe to call.
//!
//! Beside how a child is made (`process::exec`) and what SQLite is given to call (`store`) the only place with `unsafe`. It
//! decides nothing.
#![allow(unsafe_code)]

use std::fs::{self, File};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// The descriptors that the service manager handed over (sd_listen_fds(3)), with their numbers. To be called once, before
/// anything else could own these numbers; a second call answers none.
///
/// # Errors
/// Where what the environment says of them is wrong.
pub fn handed_descriptors() -> io::Result<Vec<OwnedFd>> {
    static WERE_TAKEN: AtomicBool = AtomicBool::new(false);
    let numbers = sd_notify::listen_fds()?;
    if WERE_TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(Vec::new());
    }
    // SAFETY: sd_listen_fds(3) gives the descriptors of these numbers to the process whose id is in LISTEN_PID, which
    // `listen_fds` has checked, as it has that they are open; they are taken once.
    Ok(numbers.map(|number| unsafe { OwnedFd::from_raw_fd(number) }).collect())
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

/// The session and the process group of a process; -1 where it is gone. Takes a fifteenth of a look into /proc.
///
/// `rustix` takes what the kernel answers for a pid, and a kernel's thread is in session 0.
pub fn session_and_group(pid: i32) -> (i32, i32) {
    // SAFETY: numbers only; a process that is gone is -1.
    unsafe { (libc::getsid(pid), libc::getpgid(pid)) }
}

/// Whose record lock on a file would be in the way of writing all of this; the inner `None` is a process that cannot be
/// named from here.
///
/// # Errors
/// Where the file cannot be asked.
pub fn record_lock(file: &File, start: i64, length: i64) -> io::Result<Option<Option<i32>>> {
    // SAFETY: a `flock` is integers, for which zero is a value.
    let mut lock: libc::flock = unsafe { MaybeUninit::zeroed().assume_init() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = start as libc::off_t;
    lock.l_len = length as libc::off_t;
    // SAFETY: the pointer is to a `flock` of our own, which the call fills in; nothing is locked. Not by rustix, which takes
    // the -1 of a lock that goes with no process for a number.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &raw mut lock) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let is_held = lock.l_type != libc::F_UNLCK as libc::c_short;
    Ok(is_held.then(|| Some(lock.l_pid).filter(|pid| *pid > 0)))
}

/// Reads an option of a socket that is numbers; answers how many there are.
///
/// # Errors
/// Where the socket has no such option, or more numbers than there is memory for (ERANGE).
pub fn socket_option(socket: &impl AsFd, option: libc::c_int, numbers: &mut [u32]) -> io::Result<usize> {
    let bytes = size_of_val(numbers);
    let mut length = libc::socklen_t::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput)?;
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: the memory is ours for the call, `length` says how much of it there is, and any bytes are numbers.
    let done =
        unsafe { libc::getsockopt(socket, libc::SOL_SOCKET, option, numbers.as_mut_ptr().cast(), &raw mut length) };
    if done == 0 { Ok(length as usize / size_of::<u32>()) } else { Err(io::Error::last_os_error()) }
}

/// Whether something keeps the clock right, by the kernel's word; `None` where it says nothing.
pub fn is_clock_synchronised() -> Option<bool> {
    // SAFETY: all of it is integers, for which zero is a value; no mode is set, so that nothing is changed.
    let mut asked: libc::timex = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: the pointer is to a timex of our own, which the call fills in.
    let state = unsafe { libc::adjtimex(&raw mut asked) };
    (state >= 0).then_some(asked.status & libc::STA_UNSYNC == 0)
}

/// Has these signals wait in a descriptor, blocked in this thread. To be called before there are others.
///
/// # Errors
/// Where the system has no such descriptor.
pub fn signals_as_descriptor(signals: &[libc::c_int]) -> io::Result<OwnedFd> {
    // SAFETY: all zeroes is memory for a `sigset_t`, which sigemptyset fills; the others only read or add to it. The
    // descriptor is a new one and nobody else's.
    unsafe {
        let mut set: libc::sigset_t = MaybeUninit::zeroed().assume_init();
        libc::sigemptyset(&mut set);
        for &signal in signals {
            libc::sigaddset(&mut set, signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, ptr::null_mut());
        match libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

/// The next signal that waits in such a descriptor; `None` when none does.
pub fn next_signal(descriptor: &OwnedFd) -> Option<libc::c_int> {
    let mut info = [0_u8; size_of::<libc::signalfd_siginfo>()];
    let read = rustix::io::read(descriptor, &mut info).ok()?;
    // Its first field is the number.
    let number = info.first_chunk::<4>().filter(|_| read == info.len())?;
    i32::try_from(u32::from_ne_bytes(*number)).ok()
}

/// How a child ended, and what it used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChildEnd {
    /// Its exit code, …
    pub code: Option<i32>,
    /// … or the signal that ended it, …
    pub signal: Option<i32>,
    /// … and whether that left a core.
    pub core: bool,
    /// Processor time in user mode, with that of its children that were waited for, in milliseconds.
    pub user_ms: i64,
    /// The same in the kernel.
    pub system_ms: i64,
    /// The most memory that one of them had, in bytes.
    pub memory_peak_bytes: i64,
}

/// Reaps a child that is dead; `None` where it is not, or is no child.
pub fn reap_with_usage(pid: i32) -> Option<ChildEnd> {
    reap(pid).ok().flatten()
}

/// Reaps a child (wait4(2)); `None` while it lives.
///
/// # Errors
/// Where it is no child of ours, or was reaped before.
#[allow(clippy::useless_conversion)] // Where a word has 32 bits, so have these numbers.
pub fn reap(pid: i32) -> io::Result<Option<ChildEnd>> {
    let mut status = 0;
    // SAFETY: all of it is integers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: both pointers are to memory of our own, which the call fills in. With WNOHANG no signal interrupts it.
    match unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut usage) } {
        0 => return Ok(None),
        -1 => return Err(io::Error::last_os_error()),
        _ => {}
    }
    let ms = |time: libc::timeval| i64::from(time.tv_sec) * 1_000 + i64::from(time.tv_usec) / 1_000;
    let signaled = libc::WIFSIGNALED(status);
    Ok(Some(ChildEnd {
        code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
        signal: signaled.then(|| libc::WTERMSIG(status)),
        core: signaled && libc::WCOREDUMP(status),
        user_ms: ms(usage.ru_utime),
        system_ms: ms(usage.ru_stime),
        memory_peak_bytes: i64::from(usage.ru_maxrss).saturating_mul(1_024),
    }))
}

/// Gives free memory back to the system, but for so many bytes at the end of the heap. The program's own pages stay.
pub fn give_free_memory_back(but_bytes: usize) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim(3) takes the allocator's own locks and touches only what is free.
    unsafe {
        libc::malloc_trim(but_bytes);
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = but_bytes;
}

/// Gives free memory back to the system, all of it that is whole pages: the allocator keeps what a burst took. With it go
/// the pages of program and libraries that are mapped; those that are used again come back from the kernel's cache of files,
/// sixteen at a time. Costs about as long as a few system calls; never called where somebody waits.
pub fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim(3) takes the allocator's own locks and touches only what is free.
    unsafe {
        libc::malloc_trim(0);
    }
    // SAFETY: `unmap` is given what dl_iterate_phdr(3) promises, which lets nothing be unloaded meanwhile.
    unsafe {
        libc::dl_iterate_phdr(Some(unmap), ptr::null_mut());
    }
}

/// Unmaps the pages of one program or library that are the same in its file. Answers 0, by which the next is shown.
///
/// # Safety
/// `loaded` is what dl_iterate_phdr(3) shows.
unsafe extern "C" fn unmap(loaded: *mut libc::dl_phdr_info, _: usize, _: *mut libc::c_void) -> libc::c_int {
    let page = rustix::param::page_size();
    // SAFETY: by this function's contract, `loaded` and the headers that it counts are there during the call.
    let (base, headers) = unsafe {
        let loaded = &*loaded;
        (loaded.dlpi_addr as usize, std::slice::from_raw_parts(loaded.dlpi_phdr, loaded.dlpi_phnum.into()))
    };
    for header in headers.iter().filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0) {
        let begin = base + header.p_vaddr as usize;
        // Whole pages alone: what is beside them may be another segment's.
        let (first, end) = (begin.next_multiple_of(page), (begin + header.p_memsz as usize) / page * page);
        if first < end {
            // SAFETY: no page of a segment that may not be written was ever changed, so that a page that is dropped comes back
            // as it was. An error, as of pages that are locked into memory, leaves all as it is.
            unsafe { libc::madvise(ptr::without_provenance_mut(first), end - first, libc::MADV_DONTNEED) };
        }
    }
    0
}
