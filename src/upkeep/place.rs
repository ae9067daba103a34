//! Which state directory of this machine is meant.
//!
//! It touches nothing; it only looks which of the usual places has a database.

use std::path::{Path, PathBuf};

use crate::client::args::Global;
use crate::client::failure::Failure;
use crate::client::target::Target;
use crate::state_dir::{database_path, default_state_dir, state_dir};

/// The state directory, as an absolute path: that of `--state-dir`, or of the daemon that other commands would go to.
///
/// # Errors
/// [`Failure::Usage`] where they would go to another machine, or there is no home to look in.
pub fn chosen(global: &Global) -> Result<PathBuf, Failure> {
    let env = |name: &str| std::env::var_os(name);
    let is_root = rustix::process::geteuid().is_root();
    if global.state_dir.is_none() {
        match Target::choose(global) {
            Ok(target) if !target.is_local() => return Err(elsewhere(&target)),
            Err(failure @ Failure::Usage(_)) => return Err(failure),
            _ => {}
        }
    }
    let named = state_dir(global.state_dir.as_deref(), env, is_root);
    // This may itself be somebody's service, whose STATE_DIRECTORY is then none of a daemon's.
    let usual = if global.state_dir.is_none() { default_state_dir(env, is_root) } else { None };
    let is_there = |dir: &Path| database_path(dir).exists();
    let dir = match (named, usual) {
        (Some(named), Some(usual)) if !is_there(&named) && is_there(&usual) => usual,
        (Some(named), _) => named,
        (None, usual) => usual.ok_or_else(|| {
            Failure::Usage("there is no home directory to look in; name a state directory with --state-dir".to_owned())
        })?,
    };
    std::path::absolute(&dir).map_err(|error| Failure::Usage(format!("{}: {error}", dir.display())))
}

fn elsewhere(target: &Target) -> Failure {
    Failure::Usage(format!(
        "this works on the daemon's files, and your commands go to {target}: run it on that machine, as by \
         `ssh HOST sudo runabout …`, or name a directory of this one with --state-dir"
    ))
}
