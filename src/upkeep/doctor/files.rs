//! Checks the state directory and its files: owners, modes, and which process holds it.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::finding::{Finding, Subject};
use crate::accounts::has_access_list;
use crate::state_dir::SOCKET_PATH_BYTES_MAX;

/// Files that others must not read.
const SECRET: [&str; 4] = ["runabout.db", "runabout.db-wal", "runabout.db-shm", "runabout.lock"];

/// Runs all checks of the files.
pub(super) fn look(subject: &Subject) -> Vec<Finding> {
    let dir = match fs::metadata(&subject.dir) {
        Ok(dir) => dir,
        Err(error) => return vec![no_dir(subject, &error)],
    };
    match &subject.found {
        Err(error) if error.kind() == ErrorKind::Other => {
            let found = format!("{}: {error}", subject.dir.display());
            return vec![Finding::fail("state_dir", found, "no daemon would start")];
        }
        _ => {}
    }
    vec![state_dir(subject, &dir), files(subject, &dir), lock(subject), socket(subject)]
}

fn no_dir(subject: &Subject, error: &std::io::Error) -> Finding {
    match error.kind() {
        ErrorKind::NotFound => Finding::fail(
            "state_dir",
            format!("{} is not there", subject.dir.display()),
            "no daemon has run on it yet; is it another --state-dir?",
        ),
        _ => Finding::unseen("state_dir", &subject.dir, error),
    }
}

fn state_dir(subject: &Subject, dir: &Metadata) -> Finding {
    const CHECK: &str = "state_dir";
    let (mode, shown) = (dir.permissions().mode() & 0o7777, subject.dir.display());
    let found = format!("{shown}, mode {mode:04o}, of uid {}", dir.uid());
    if !dir.is_dir() {
        return Finding::fail(CHECK, format!("{shown} is no directory"), "name a directory with --state-dir");
    }
    // One user alone may be let through, by an access list.
    let is_listed = mode & 0o077 == 0o010 && has_access_list(&subject.dir);
    if mode & 0o077 != 0 && !is_listed {
        return Finding::warn(CHECK, found, format!("others can look into it: chmod 700 {shown}"));
    }
    Finding::ok(CHECK, found)
}

/// Checks modes and owners of the files.
fn files(subject: &Subject, dir: &Metadata) -> Finding {
    const CHECK: &str = "files";
    if let Err(error) = fs::read_dir(&subject.dir) {
        return Finding::unseen(CHECK, &subject.dir, &error);
    }
    let there = SECRET.iter().filter_map(|name| Some((*name, fs::symlink_metadata(subject.dir.join(name)).ok()?)));
    let there: Vec<(&str, Metadata)> = there.collect();
    let named = |is: fn(&Metadata, &Metadata) -> bool| {
        let names: Vec<&str> = there.iter().filter(|(_, file)| is(file, dir)).map(|(name, _)| *name).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if let Some(names) = named(|file, _| !file.is_file()) {
        return Finding::fail(CHECK, format!("no files: {names}"), "the daemon keeps its state in files of its own");
    }
    if let Some(names) = named(|file, dir| file.uid() != dir.uid() && dir.uid() != 0) {
        let advice = format!("the daemon cannot open them: chown {} {}", dir.uid(), subject.dir.join("*").display());
        return Finding::fail(CHECK, format!("not of the directory's user: {names}"), advice);
    }
    if let Some(names) = named(|file, _| file.permissions().mode() & 0o077 != 0) {
        return Finding::warn(CHECK, format!("others can read: {names}"), "chmod 600 them: env and stdin are in clear");
    }
    match there.len() {
        0 => Finding::warn(CHECK, "none is there yet", "no daemon has run here; is it another --state-dir?"),
        _ => Finding::ok(CHECK, "for their user alone"),
    }
}

fn lock(subject: &Subject) -> Finding {
    match &subject.held {
        Ok(Some(who)) => Finding::ok("lock", format!("held by {who}")),
        Ok(None) => Finding::ok("lock", "free"),
        Err(error) if error.kind() == ErrorKind::Other => {
            let found = format!("{}: {error}", subject.dir.join("runabout.lock").display());
            Finding::fail("lock", found, "somebody has put it there: no daemon starts, and none is known to run")
        }
        Err(error) => Finding::unseen("lock", &subject.dir.join("runabout.lock"), error),
    }
}

fn socket(subject: &Subject) -> Finding {
    const CHECK: &str = "socket";
    let path = subject.socket();
    let shown = path.display();
    if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        let found = format!("{shown}: its path is longer than {SOCKET_PATH_BYTES_MAX} bytes");
        return Finding::fail(CHECK, found, "choose a shorter --state-dir, or set [access] socket");
    }
    match fs::symlink_metadata(&path) {
        Ok(file) if !file.file_type().is_socket() => {
            Finding::fail(CHECK, format!("{shown} is no socket"), "move it away: the daemon needs its name")
        }
        Ok(_) if matches!(subject.held, Ok(None)) => {
            Finding::ok(CHECK, format!("{shown}: left by a daemon that died; the next one replaces it"))
        }
        Ok(_) => Finding::ok(CHECK, shown.to_string()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Finding::unseen(CHECK, &path, &error),
        Err(_) if subject.is_held() => {
            let advice = "if its configuration puts it elsewhere, name that with --config; else restart the daemon";
            Finding::fail(CHECK, format!("{shown} is not there, though a daemon runs"), advice)
        }
        Err(_) => no_socket(&path),
    }
}

fn no_socket(path: &Path) -> Finding {
    let parent = path.parent().unwrap_or(Path::new("/"));
    match fs::metadata(parent) {
        Ok(_) => Finding::ok("socket", format!("{} comes with the daemon", path.display())),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Finding::unseen("socket", parent, &error),
        Err(error) => Finding::fail(
            "socket",
            format!("{}: {error}", parent.display()),
            "the daemon would not start: make the directory, or set [access] socket",
        ),
    }
}
