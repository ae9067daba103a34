//! Makes SQLite open its files relative to a directory's descriptor, since the directory's owner may not be trusted.
//!
//! SQLite knows its files by their paths, and opens some of them long after the database: the log, its index, a journal. Its
//! layer for Unix lets the calls be replaced by which it opens and removes files. Here a path in a directory that is known
//! becomes a name in it (see [`crate::dir`]): no link is followed, and what is not to be used there is not opened. Any other
//! path is opened as SQLite asks, as long as that is no pipe and no device. Nothing is ever replaced twice.
//!
//! With `unsafe`, because these calls are C's, and rusqlite does not tell what the system said to the last of them.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, OsStr, c_char, c_int};
use std::fs::File;
use std::io;
use std::mem::transmute;
use std::os::fd::{IntoRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use rusqlite::{Connection, OpenFlags, ffi};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use crate::dir::{Dir, FileAt};
use crate::store::file::error::OpenError;

/// Suffixes of the files of one database.
const BESIDE: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// Devices that SQLite opens: random bytes, and a placeholder for descriptors below 3.
const DEVICES: [&str; 2] = ["/dev/urandom", "/dev/null"];

/// Directories whose databases are open, or were.
static KNOWN: Mutex<Vec<Weak<Dir>>> = Mutex::new(Vec::new());

/// Opens a database by its directory. The directory must live as long as the connection.
pub fn open(file: &FileAt, flags: OpenFlags) -> rusqlite::Result<Connection> {
    know(&file.dir);
    // Its path had no link when the directory was found: one that is there now was put there by somebody.
    Connection::open_with_flags(file.real_path(), flags | OpenFlags::SQLITE_OPEN_NOFOLLOW)
}

/// Registers a directory: from now on its files are opened by its descriptor.
pub fn know(dir: &Arc<Dir>) {
    replace_calls();
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|other| other.upgrade().is_some_and(|other| !Arc::ptr_eq(&other, dir)));
    known.push(Arc::downgrade(dir));
}

/// Checks the database's files and says in words what SQLite would call "unable to open".
pub fn check(file: &FileAt) -> Result<(), OpenError> {
    for suffix in BESIDE {
        let FileAt { dir, name } = file.with_suffix(suffix);
        dir.check(&name).map_err(|error| OpenError::Failed(format!("{}: {error}", dir.path().join(name).display())))?;
    }
    Ok(())
}

/// Finds the registered directory of a path, and the file's name in it.
fn place(path: &Path) -> Option<(Arc<Dir>, &str)> {
    let (parent, name) = (path.parent()?, path.file_name()?.to_str()?);
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let found = known.iter().rev().filter_map(Weak::upgrade).find(|dir| dir.real_path() == parent);
    found.map(|dir| (dir, name))
}

fn opened(path: &Path, flags: OFlags, mode: u32) -> io::Result<OwnedFd> {
    if let Some((dir, name)) = place(path) {
        return dir.open_as(name, flags, mode);
    }
    let fd = openat(CWD, path, flags | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::from_raw_mode(mode))?;
    match FileType::from_raw_mode(fstat(&fd)?.st_mode) {
        // The directory of a file is opened to be synced.
        FileType::RegularFile | FileType::Directory => Ok(fd),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// SQLite's `open`: a descriptor, or -1 and the reason in `errno`.
extern "C" fn open_file(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    let path = as_path(path);
    let outcome = if DEVICES.iter().any(|device| path == Path::new(device)) {
        File::open(path).map(OwnedFd::from)
    } else {
        opened(path, OFlags::from_bits_retain(flags as u32), mode as u32)
    };
    outcome.map_or_else(|error| failed(&error), |fd| fd.into_raw_fd())
}

/// SQLite's `unlink`.
extern "C" fn remove_file(path: *const c_char) -> c_int {
    let path = as_path(path);
    let outcome = match place(path) {
        // SQLite tells a file that was not there from one that is gone.
        Some((dir, name)) => match dir.look(name) {
            Ok(None) => Err(io::Error::from_raw_os_error(libc::ENOENT)),
            Ok(Some(_)) => dir.remove(name),
            Err(error) => Err(error),
        },
        None => std::fs::remove_file(path),
    };
    outcome.map_or_else(|error| failed(&error), |()| 0)
}

/// SQLite's `stat`, by which it gives a log the owner and mode of its database. Where a pointer has 32 bits there are two
/// shapes of what it fills in, and SQLite goes by the path.
#[cfg(target_pointer_width = "64")]
extern "C" fn look_at(path: *const c_char, stat: *mut libc::stat) -> c_int {
    use std::os::fd::{AsFd as _, AsRawFd as _};

    let Some((dir, name)) = place(as_path(path)) else {
        // SAFETY: both pointers are SQLite's own, for this very call.
        return unsafe { libc::stat(path, stat) };
    };
    let Ok(name) = CString::new(name) else { return failed(&io::ErrorKind::InvalidInput.into()) };
    // SAFETY: the directory is open as long as it is borrowed, `name` ends in NUL, and `stat` is SQLite's own.
    unsafe { libc::fstatat(dir.as_fd().as_raw_fd(), name.as_ptr(), stat, libc::AT_SYMLINK_NOFOLLOW) }
}

fn failed(error: &io::Error) -> c_int {
    // What was refused here is told as the kernel tells a link that it does not follow.
    let code = error.raw_os_error().unwrap_or(libc::ELOOP);
    // SAFETY: the pointer is to this thread's own `errno`, always.
    unsafe { *libc::__errno_location() = code };
    -1
}

fn as_path<'a>(path: *const c_char) -> &'a Path {
    // SAFETY: SQLite gives these calls a path that ends in NUL and that it keeps until they return.
    Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes()))
}

/// What the operating system said to the last call of SQLite's that failed.
pub(in crate::store) fn system_error(conn: &Connection) -> Errno {
    // SAFETY: the handle is open as long as the connection is borrowed; the call only reads a number from it.
    Errno::from_raw_os_error(unsafe { ffi::sqlite3_system_errno(conn.handle()) })
}

/// From now on SQLite opens and removes files by the calls of this module.
pub fn replace_calls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(set_calls);
}

fn set_calls() {
    // SAFETY: SQLite keeps these calls as pointers to functions of any kind, and calls them with the arguments that it gives
    // the system's: a path, flags and a mode; a path; a path and a `stat`. They are functions, so they live for ever. The
    // layer is SQLite's own for Unix, since none other is ever registered.
    unsafe {
        set("open", transmute::<extern "C" fn(*const c_char, c_int, c_int) -> c_int, Call>(open_file));
        set("unlink", transmute::<extern "C" fn(*const c_char) -> c_int, Call>(remove_file));
        #[cfg(target_pointer_width = "64")]
        set("stat", transmute::<extern "C" fn(*const c_char, *mut libc::stat) -> c_int, Call>(look_at));
    }
}

type Call = unsafe extern "C" fn();

/// SAFETY: the call must take and answer what SQLite's own of this name does.
unsafe fn set(name: &str, call: Call) {
    let name = CString::new(name).expect("names of calls have no NUL");
    // SAFETY: the layer and its table live as long as the process; the name is looked up during the call alone.
    unsafe {
        let vfs = ffi::sqlite3_vfs_find(std::ptr::null());
        let set = vfs.as_ref().and_then(|vfs| vfs.xSetSystemCall).expect("SQLite for Unix has it since 3.7.7");
        set(vfs, name.as_ptr(), Some(call));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE;

    #[test]
    fn a_log_that_somebody_has_replaced_by_a_link_is_not_followed() {
        let path = std::env::temp_dir().join(format!("runabout-by-descriptor-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).expect("made");
        let file = Arc::new(Dir::open(&path).expect("opened")).file("a.db");
        let write = |conn: &Connection| conn.execute_batch("CREATE TABLE IF NOT EXISTS t(x); INSERT INTO t VALUES (1)");
        file.dir.create("a.db").expect("made");
        let conn = open(&file, FLAGS).expect("opened");
        conn.execute_batch("PRAGMA journal_mode = WAL").and_then(|()| write(&conn)).expect("written");
        drop(conn);
        // Opened as a database, and only then is the log looked for.
        let conn = open(&file, FLAGS).expect("opened");
        std::fs::write(path.join("other"), "text").expect("written");
        std::os::unix::fs::symlink(path.join("other"), path.join("a.db-wal")).expect("linked");
        assert!(write(&conn).is_err(), "it wrote through a link");
        assert_eq!(std::fs::read(path.join("other")).expect("read"), b"text");
        assert!(check(&file).expect_err("refused").to_string().contains("a.db-wal: it is a symbolic link"));
        std::fs::remove_file(path.join("a.db-wal")).expect("removed");
        write(&conn).expect("written");
        drop(conn);
        // The directory counts, not what has its path by now.
        std::fs::rename(&path, path.with_extension("moved")).expect("moved");
        std::fs::create_dir(&path).expect("made");
        write(&open(&file, FLAGS).expect("opened")).expect("written");
        assert_eq!(std::fs::read_dir(&path).expect("read").count(), 0);
        std::fs::remove_dir_all(&path)
            .and_then(|()| std::fs::remove_dir_all(path.with_extension("moved")))
            .expect("removed");
    }
}
