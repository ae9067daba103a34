//! Checks the configuration as the daemon would read it: its errors, its certificate, and the user of commands.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::finding::{Finding, Subject};
use crate::accounts::Account;
use crate::clock::UnixMs;
use crate::config::{Config, ConfigFile, Flags};
use crate::dir::Dir;
use crate::state_dir::{SYSTEM_STATE_DIR, owner};
use crate::text::printable;
use crate::tls;

/// A certificate that expires sooner is to be renewed.
const TLS_DAYS_LEFT_MIN: i64 = 14;
const DAY_MS: i64 = 86_400_000;
/// The file that the machine's own service reads.
const SYSTEM_CONFIG: &str = "/etc/runabout/config.toml";

/// Reads the configuration; returns it with the finding.
pub(super) fn configuration(
    path: &Path,
    dir: Option<&Arc<Dir>>,
    named: Option<&Path>,
    pid: Option<i32>,
) -> (Config, Finding) {
    const CHECK: &str = "configuration";
    let given = named.map(Path::to_path_buf).or_else(|| given_to(pid?));
    // None of these is waited for, whoever has put it there.
    let file = match given {
        Some(file) => Some(ConfigFile::found(&file)),
        None => dir
            .and_then(|dir| ConfigFile::in_dir(dir))
            .or_else(|| installed_with(path).map(|file| ConfigFile::found(&file))),
    };
    let shown = file.as_ref().map_or("none; all is as it comes".to_owned(), |file| file.path.display().to_string());
    match Config::load(&Flags::default(), std::env::vars_os(), file.as_ref()) {
        Ok(config) => (config, Finding::ok(CHECK, shown)),
        Err(_) if file.as_ref().is_some_and(is_denied) => {
            let advice = "be root, or the user that the daemon runs as; what follows is looked at without it";
            (Config::default(), Finding::warn(CHECK, format!("{shown}: it is not yours to read"), advice))
        }
        Err(error) => {
            let advice = "the daemon would not start: correct it, and try `runabout serve --check`";
            (Config::default(), Finding::fail(CHECK, error.to_string().replace('\n', "; "), advice))
        }
    }
}

/// The file of `--config` of a running daemon, where that can be read.
fn given_to(pid: i32) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = words.split(|byte| *byte == 0);
    loop {
        let word = words.next()?;
        let file =
            if word == b"--config" { words.next()? } else { word.strip_prefix(b"--config=").unwrap_or_default() };
        if !file.is_empty() {
            return std::fs::read_link(format!("/proc/{pid}/cwd")).ok().map(|cwd| cwd.join(OsStr::from_bytes(file)));
        }
    }
}

/// The file of the machine's own service, if this is its state directory.
fn installed_with(dir: &Path) -> Option<PathBuf> {
    let file = Path::new(SYSTEM_CONFIG);
    (dir == Path::new(SYSTEM_STATE_DIR) && file.exists()).then(|| file.to_path_buf())
}

fn is_denied(file: &ConfigFile) -> bool {
    file.text.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

/// Runs all checks of what the configuration names.
pub(super) fn look(subject: &Subject) -> Vec<Finding> {
    let mut findings = vec![runs_user(subject)];
    findings.extend(certificate(subject));
    findings.extend(proxies(subject));
    findings
}

/// Reports how many addresses are trusted as proxies.
fn proxies(subject: &Subject) -> Option<Finding> {
    const CHECK: &str = "trusted_proxies";
    let wide: Vec<_> = subject.config.access.trusted_proxies.iter().filter(|network| network.is_wide()).collect();
    let first = wide.first()?;
    let found = format!("everybody in {first} is believed when they say which address they have");
    Some(Finding::warn(CHECK, found, "name the proxies alone; see docs/proxies.md"))
}

/// Checks the user that commands run as.
fn runs_user(subject: &Subject) -> Finding {
    use std::os::unix::fs::MetadataExt as _;
    const CHECK: &str = "runs_user";
    let owner = std::fs::metadata(&subject.dir).ok().map(|dir| dir.uid());
    match (&subject.config.runs.user, owner) {
        (Some(user), Some(0) | None) => match Account::find(user) {
            Some(_) => Finding::ok(CHECK, format!("commands run as {}", printable(user))),
            None => {
                let found = format!("runs.user: there is no user {}", printable(user));
                Finding::fail(CHECK, found, "the daemon would not start: name a user that there is")
            }
        },
        (Some(user), Some(_)) => Finding::fail(
            CHECK,
            format!("runs.user is {}, and the state directory is not root's", printable(user)),
            "only a daemon that is root can run commands as somebody else: leave the key out, or run it as root",
        ),
        (None, Some(0)) => Finding::warn(
            CHECK,
            "commands run as root: every operator is root",
            "run the daemon as a user of its own, or set [runs] user",
        ),
        (None, None) => Finding::ok(CHECK, "commands would run as the daemon's user"),
        (None, Some(_)) => Finding::ok(CHECK, "commands run as the daemon's user"),
    }
}

/// Checks the certificate's dates and that its key can be read.
fn certificate(subject: &Subject) -> Option<Finding> {
    const CHECK: &str = "tls";
    let (cert, key) = (subject.config.tls.cert.as_ref()?, subject.config.tls.key.as_ref()?);
    for path in [cert, key] {
        match rustix::fs::access(path, rustix::fs::Access::READ_OK) {
            Err(error @ rustix::io::Errno::ACCESS) => return Some(Finding::unseen(CHECK, path, &error.into())),
            Err(error) => {
                let found = format!("{}: {}", path.display(), std::io::Error::from(error));
                return Some(Finding::fail(CHECK, found, "the daemon would not start"));
            }
            Ok(()) => {}
        }
    }
    let shown = cert.display();
    let pair = tls::validity(cert).map_err(|why| (cert, why));
    let (from, to) = match pair.and_then(|times| tls::is_key(key).map(|()| times).map_err(|why| (key, why))) {
        Ok((from_s, to_s)) => (UnixMs(from_s.saturating_mul(1_000)), UnixMs(to_s.saturating_mul(1_000))),
        Err((path, why)) => {
            return Some(Finding::fail(CHECK, format!("{}: {why}", path.display()), "the daemon would not start"));
        }
    };
    if let Some(why) = owner(&subject.dir).and_then(|owner| subject.config.kept_from(&owner)) {
        return Some(Finding::fail(CHECK, why, "the daemon would not start"));
    }
    let now = UnixMs::now();
    let renew = "renew it, then SIGHUP makes the daemon read it again";
    Some(if now > to {
        Finding::fail(CHECK, format!("{shown}: it ended {to}"), renew)
    } else if now < from {
        Finding::fail(CHECK, format!("{shown}: it begins {from}"), "is this machine's clock right?")
    } else if (to.0 - now.0) / DAY_MS < TLS_DAYS_LEFT_MIN {
        Finding::warn(CHECK, format!("{shown}: it ends {to}"), renew)
    } else {
        Finding::ok(CHECK, format!("{shown}: until {to}"))
    })
}
