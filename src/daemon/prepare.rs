//! What is decided before a start touches anything: the configuration, the state directory, whom commands run as.
//!
//! It only reads; where something is wrong, it says so for people, and nothing was done.

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
use crate::{logging, state_dir};

/// What is decided before anything is touched.
pub(super) struct Prepared {
    pub config: Config,
    pub state_dir: PathBuf,
    /// Whom commands run as, where that was said.
    pub account: Option<Account>,
    pub tls: Option<Arc<Tls>>,
}

/// Reads the configuration and looks whether it can be done; `None` where that was all that was asked for.
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
        // By hand it is root who checks what a service of another user will read.
        let kept = state_dir::owner(&state_dir)
            .and_then(|owner| kept_from(&owner, file.as_ref().map(|file| &*file.path), &config));
        return kept.map_or(Ok(None), |why| Err(usage(why)));
    }
    logging::start(format, config.log);
    for overridden in &config.overridden {
        log::warn!("{overridden}");
    }
    Ok(Some(Prepared { config, state_dir, account, tls }))
}

/// What the daemon's user may not read of its own configuration, for people.
fn kept_from(user: &Account, file: Option<&Path>, config: &Config) -> Option<String> {
    match file.filter(|file| !user.may_read(file)) {
        Some(file) => Some(format!("{}: user {}, whom the daemon runs as, may not read it", file.display(), user.name)),
        None => config.kept_from(user),
    }
}

/// The configuration in the state directory, where there is one. Nothing in somebody else's directory is believed, but root
/// may have it checked for them.
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
