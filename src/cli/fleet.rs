//! `runabout --hub URL …`: the command line over many boxes is `runabout-bridge`'s, a program of its own, because the hub's
//! protocol would make this one twice its size. It is found beside this one or by `PATH`, and takes over.
//!
//! Nothing of what is said there is read here.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use super::exit;
use crate::client::failure::Failure;

/// The program.
const BRIDGE: &str = "runabout-bridge";

/// Hands the command line over where it begins with `--hub`, and gives the code to exit with.
pub fn handed_over() -> Option<ExitCode> {
    let mut given = std::env::args_os().skip(1);
    let first = given.next()?;
    let server = match first.to_str()?.strip_prefix("--hub") {
        Some("") => given.next(),
        Some(url) => Some(OsString::from(url.strip_prefix('=')?)),
        None => return None,
    };
    let Some(server) = server else {
        return Some(exit(Err(Failure::Usage("--hub wants a URL, such as nats://hub:4222".to_owned())), false));
    };
    let mut bridge = Command::new(program());
    bridge.arg("hub").arg(OsStr::new("--server")).arg(server).args(given);
    Some(exit(taken_over(bridge), false))
}

fn program() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(BRIDGE)));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(BRIDGE))
}

/// On Unix it becomes the other program, so that signals and standard streams are its own.
fn taken_over(mut bridge: Command) -> Result<u8, Failure> {
    #[cfg(unix)]
    let error = std::os::unix::process::CommandExt::exec(&mut bridge);
    #[cfg(not(unix))]
    let error = match bridge.status() {
        Ok(status) => return Ok(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)),
        Err(error) => error,
    };
    let why = match error.kind() {
        std::io::ErrorKind::NotFound => {
            format!("--hub is done by {BRIDGE}, which is neither beside this program nor in PATH: install it")
        }
        _ => format!("{BRIDGE}: {error}"),
    };
    Err(Failure::Usage(why))
}
