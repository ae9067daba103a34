//! Chooses the state directory: that of the daemon to which every other command would go.
//!
//! The directory follows from the socket's path alone. The process that answers at a socket is not asked, so that it cannot
//! direct root to a directory of its own.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::args::Global;
use crate::cli::choose::{SYSTEM_SOCKET, choose};
use crate::client::failure::Failure;
use crate::client::target::Target;
use crate::dir::Dir;
use crate::state_dir::{SYSTEM_STATE_DIR, database_path, default_state_dir, socket_path};

/// The state directory, as an absolute path: that of `--state-dir`, or of the daemon that other commands would go to.
///
/// # Errors
/// [`Failure::Usage`] when they would go to another machine, or to a socket whose directory is not known, or there is no home
/// directory.
pub fn chosen(global: &Global) -> Result<PathBuf, Failure> {
    let dir = match (&global.state_dir, choose(global)) {
        (Some(dir), _) => dir.clone(),
        (None, Ok(Target::Socket { path, .. })) => of_socket(&path, Path::exists)?,
        (None, Ok(target)) => return Err(elsewhere(&target)),
        (None, Err(failure @ Failure::Usage(_))) => return Err(failure),
        // Inside of a run, where the daemon is found by a token and not by its socket.
        (None, Err(_)) => usual()?,
    };
    std::path::absolute(&dir).map_err(|error| Failure::Usage(format!("{}: {error}", dir.display())))
}

/// The state directory of the daemon that has this socket, or would have it if it ran.
fn of_socket(path: &Path, is_there: impl Fn(&Path) -> bool) -> Result<PathBuf, Failure> {
    if path == Path::new(SYSTEM_SOCKET) {
        return Ok(SYSTEM_STATE_DIR.into());
    }
    let Some(dir) = path.parent().filter(|dir| socket_path(dir) == path) else {
        return Err(Failure::Usage(format!(
            "your commands go to {}, which does not say where its daemon keeps its files: name that directory with \
             --state-dir",
            path.display()
        )));
    };
    // A daemon that is down has no socket. STATE_DIRECTORY may be that of another service, in which this runs.
    let usual = usual().ok().filter(|usual| {
        let is_empty = !is_there(path) && !is_there(&database_path(dir));
        is_empty && std::env::var_os("RUNABOUT_STATE_DIR").is_none() && is_there(&database_path(usual))
    });
    Ok(usual.unwrap_or_else(|| dir.to_path_buf()))
}

fn usual() -> Result<PathBuf, Failure> {
    let is_root = rustix::process::geteuid().is_root();
    default_state_dir(|name| std::env::var_os(name), is_root).ok_or_else(|| {
        Failure::Usage("there is no home directory to look in; name a state directory with --state-dir".to_owned())
    })
}

/// Opens the state directory.
///
/// # Errors
/// [`Failure::Own`] when it is missing or may not be entered.
pub fn opened(path: &Path) -> Result<Arc<Dir>, Failure> {
    let failed = |error: io::Error| {
        let shown = path.display();
        Failure::Own(match error.kind() {
            io::ErrorKind::NotFound => {
                format!("there is no database in {shown}, which is not there: where is the daemon's --state-dir?")
            }
            io::ErrorKind::PermissionDenied => {
                format!("{shown} is not yours to read: be root, or the user that the daemon runs as")
            }
            _ => format!("{shown}: {error}"),
        })
    };
    Dir::open(path).map(Arc::new).map_err(failed)
}

fn elsewhere(target: &Target) -> Failure {
    Failure::Usage(format!(
        "this works on the daemon's files, and your commands go to {target}: run it on that machine, as by \
         `ssh HOST sudo runabout …`, or name a directory of this one with --state-dir"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_tells_the_directory_and_a_strange_one_does_not() {
        let of = |socket: &str, there: &str| of_socket(Path::new(socket), |path| path == Path::new(there)).ok();
        assert_eq!(of(SYSTEM_SOCKET, "/home/a/.local/state/runabout/runabout.db"), Some(SYSTEM_STATE_DIR.into()));
        assert_eq!(of("/srv/rb/runabout.sock", "/srv/rb/runabout.sock"), Some("/srv/rb".into()));
        assert_eq!(of("/srv/rb/runabout.sock", "/srv/rb/runabout.db"), Some("/srv/rb".into()));
        assert_eq!(of("/srv/rb/runabout.sock", ""), Some("/srv/rb".into()), "the first start of one");
        assert_eq!(of("/run/own.sock", "/run/own.sock"), None);
    }
}
