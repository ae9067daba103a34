//! Decides what a start needs before it changes anything: configuration, state directory, user of commands.
//!
//! It only reads. Errors are texts for people.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::ServeArgs;
use super::refusal::Refusal;
use crate::accounts::Account;
use crate::config::{Config, ConfigFile, Flags};
use crate::dir::Dir;
use crate::http::middleware::SocketPolicy;
use crate::http::server::Tls;
use crate::state_lock::socket_in;
use crate::{logging, state_dir};

/// The result of [`prepare()`].
pub(super) struct Prepared {
    pub config: Config,
    pub state_dir: PathBuf,
    /// The account of `runs.user`, if it is set.
    pub account: Option<Account>,
    pub tls: Option<Arc<Tls>>,
    /// Its stop ends also what survives it.
    pub stop_all: bool,
}

/// Reads and checks the configuration; `None` after `--check`.
pub(super) fn prepare(args: &ServeArgs) -> Result<Option<Prepared>, Refusal> {
    let usage = |why: String| Refusal(2, why);
    let is_root = rustix::process::geteuid().is_root();
    let state_dir = state_dir::state_dir(args.state_dir.as_deref(), |name| std::env::var_os(name), is_root)
        .ok_or_else(|| usage("there is no home directory to keep state in; name one with --state-dir".into()))?;
    let flags = Flags { listen: args.listen.clone(), log: args.log.clone() };
    let file = match &args.config {
        Some(path) => Some(ConfigFile::named(path)),
        None => file_in(&state_dir, args.check)?,
    };
    let config = Config::load(&flags, std::env::vars_os(), file.as_ref()).map_err(|error| usage(error.to_string()))?;
    let format = match args.log_format.as_deref() {
        None | Some("text") => logging::Format::of_text(),
        Some("json") => logging::Format::Json,
        Some(other) => return Err(usage(format!("--log-format {other:?}: allowed are text and json"))),
    };
    SocketPolicy::new(&config.access).map_err(usage)?;
    let account = config.runs.user.as_deref().map(Account::for_runs).transpose().map_err(usage)?;
    let tls = Tls::load(&config.tls).map_err(usage)?;
    if args.check {
        let dir = std::path::absolute(&state_dir).map_err(|error| usage(error.to_string()))?;
        socket_in(&dir, config.access.socket.as_deref()).map_err(|error| usage(error.to_string()))?;
        // By hand it is root who checks what a service of another user will read.
        let kept = state_dir::owner(&state_dir)
            .and_then(|owner| kept_from(&owner, file.as_ref().map(|file| &*file.path), &config));
        return kept.map_or(Ok(None), |why| Err(usage(why)));
    }
    logging::start(format, config.log);
    for overridden in &config.overridden {
        log::warn!("{overridden}");
    }
    Ok(Some(Prepared { config, state_dir, account, tls, stop_all: args.stop_all }))
}

/// For people: a file of the configuration that the daemon's user may not read.
fn kept_from(user: &Account, file: Option<&Path>, config: &Config) -> Option<String> {
    match file.filter(|file| !user.may_read(file)) {
        Some(file) => Some(format!("{}: user {}, whom the daemon runs as, may not read it", file.display(), user.name)),
        None => config.kept_from(user),
    }
}

/// The configuration file in the state directory, if there is one. Another user's directory is not trusted, except for
/// `--check` by root.
fn file_in(state_dir: &Path, is_check: bool) -> Result<Option<ConfigFile>, Refusal> {
    let failed = |error: io::Error| Refusal(1, format!("{}: {error}", state_dir.display()));
    match Dir::open(state_dir) {
        Ok(dir) if is_check => Ok(ConfigFile::in_dir(&dir)),
        Ok(dir) => dir.must_be_ours().map(|()| ConfigFile::in_dir(&dir)).map_err(failed),
        // Not there yet, or not usable: the start says which.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}
