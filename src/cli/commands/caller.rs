//! What a daemon on the same machine is told of who calls: the caller's directory and `PATH`.
//!
//! A directory that the command's user may not enter is not sent, because every run would fail there; that is said, and
//! one that the caller has named is always sent.

use std::path::Path;

#[cfg(unix)]
use serde::Deserialize;

#[cfg(unix)]
use crate::accounts::{Account, user_name};
use crate::cli::args::SubmitOptions;
use crate::cli::print;
#[cfg(unix)]
use crate::cli::view::read;
#[cfg(unix)]
use crate::client::connection::Ask;
use crate::client::connection::Daemon;
use crate::client::failure::Failure;
use crate::text::printable;

/// The caller's world, as far as it goes along with a submit.
#[derive(Debug, Default)]
pub struct Caller {
    /// Where the command starts; `None` leaves that to the daemon.
    pub cwd: Option<String>,
    /// Where it is looked for.
    pub path: Option<String>,
}

#[cfg(unix)]
#[derive(Default, Deserialize)]
#[serde(default)]
struct System {
    user: Option<String>,
}

impl Caller {
    /// The caller's world as that daemon is to know it; over a network nothing of it.
    ///
    /// # Errors
    /// [`Failure::Usage`] for a directory that has no name, or none in UTF-8.
    pub async fn of(daemon: &Daemon, options: &SubmitOptions) -> Result<Caller, Failure> {
        if !daemon.is_local() {
            return Ok(Caller::default());
        }
        let here = Caller::here(options)?;
        match (&options.cwd, &here.cwd) {
            (None, Some(cwd)) => match barred(daemon, Path::new(cwd)).await {
                Some(user) => {
                    let (user, cwd) = (printable(&user), printable(cwd));
                    print::warn(&format!(
                        "commands run as {user}, who may not enter {cwd}: this one starts in the home of {user}; -C names \
                         another directory"
                    ));
                    Ok(Caller { cwd: None, ..here })
                }
                None => Ok(here),
            },
            _ => Ok(here),
        }
    }

    fn here(options: &SubmitOptions) -> Result<Caller, Failure> {
        let cwd = match &options.cwd {
            Some(given) if Path::new(given).is_absolute() => given.clone(),
            given => {
                let here = std::env::current_dir().map_err(|error| {
                    Failure::Usage(format!("the directory we are in cannot be named ({error}); give one with -C"))
                })?;
                let whole = match given.as_deref() {
                    None | Some(".") => here,
                    Some(below) => here.join(below),
                };
                whole.into_os_string().into_string().map_err(|name| {
                    Failure::Usage(format!("{name:?}: a directory's name must be UTF-8; give another with -C"))
                })?
            }
        };
        // A PATH that is not UTF-8 cannot travel in JSON; the daemon's own serves then.
        Ok(Caller { cwd: Some(cwd), path: std::env::var("PATH").ok() })
    }
}

/// The user that commands run as, where that is another than ours who may not enter the directory.
#[cfg(unix)]
async fn barred(daemon: &Daemon, dir: &Path) -> Option<String> {
    // Nobody's account: what all may enter needs no question.
    let anybody = Account { uid: u32::MAX, gid: u32::MAX, groups: Vec::new(), ..Account::default() };
    if anybody.may_enter(dir) {
        return None;
    }
    // A daemon that does not say is asked nothing more: it will tell by the run.
    let user = read::<System>(&daemon.ask(&Ask::get("/v1/system")).await.ok()?).ok()?.user?;
    let own = rustix::process::geteuid().as_raw();
    if user_name(own).as_deref() == Some(&*user) || user == own.to_string() {
        return None;
    }
    let account = Account::find(&user)?;
    (!account.may_enter(dir)).then_some(user)
}

/// A daemon on this machine is reached by its Unix socket only.
#[cfg(not(unix))]
async fn barred(_: &Daemon, _: &Path) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_named_from_where_the_caller_is() {
        let here = std::env::current_dir().expect("a directory").display().to_string();
        let cwd = |given: Option<&str>| {
            let options = SubmitOptions { cwd: given.map(str::to_owned), ..SubmitOptions::default() };
            Caller::here(&options).expect("a caller").cwd
        };
        assert_eq!(cwd(None), Some(here.clone()));
        assert_eq!(cwd(Some("/srv")), Some("/srv".to_owned()));
        assert_eq!(cwd(Some("below")), Some(format!("{here}/below")));
    }
}
