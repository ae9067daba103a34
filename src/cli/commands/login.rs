//! `login`: trades a token for a session, or proves that one works, and saves it. `logout`: ends and forgets it.
//!
//! Only what the daemon has accepted is saved; the token is never printed.

use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;

use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use crate::cli::args::Global;
use crate::cli::choose::{known_by, of_login};
use crate::cli::login::{self, Login};
use crate::cli::print;
use crate::cli::view::read;
use crate::client::connection::{Ask, Daemon};
use crate::client::failure::Failure;
use crate::client::target::{Address, Target, parse};
use crate::text::printable;
use crate::wire::SessionBody;

/// What every enrollment token starts with.
const ENROLLMENT: &str = "rbe_";
/// Longer than any token.
const LINE_BYTES_MAX: u64 = 4_096;

#[derive(Deserialize)]
struct Enrolled {
    session_token: String,
    session: SessionBody<'static>,
}

/// Logs in at that address.
pub async fn login(global: &Global, address: &str, token: Option<String>) -> Result<u8, Failure> {
    let target = known_by(parse(address, "URL")?, global)?;
    if target.is_local() {
        return Err(Failure::Usage("the socket of this machine needs no login".to_owned()));
    }
    let from_environment = || std::env::var("RUNABOUT_TOKEN").ok().filter(|token| !token.is_empty());
    let token = match token.or_else(from_environment) {
        Some(token) => token,
        None => token_from_stdin()?,
    };
    let token = token.trim();
    let (token, role) = if token.starts_with(ENROLLMENT) {
        enroll(&target, token).await?
    } else {
        (token.to_owned(), role_of(&target, token).await?)
    };
    let ca = authority_of(&target)?;
    let path = login::save(&Login { url: target.to_string(), token, ca })?;
    print::note(&format!("logged in to {target} as {}; saved in {}", printable(&role), path.display()));
    Ok(0)
}

/// Ends the saved session there, and forgets it here whatever comes of that.
pub async fn logout(global: &Global) -> Result<u8, Failure> {
    let Some(login) = login::read()? else {
        print::note("nobody is logged in here");
        return Ok(0);
    };
    let target = known_by(of_login(parse(&login.url, "login.toml")?, login), global)?;
    let ended = Daemon::new(target.clone()).ask(&Ask::new(Method::DELETE, "/v1/session")).await;
    login::forget()?;
    match ended {
        Ok(_) => print::note(&format!("logged out of {target}")),
        // It is over there, too, however that came.
        Err(Failure::Refused(problem)) if problem.status == 401 => print::note(&format!("logged out of {target}")),
        Err(failure) => {
            print::warn(&format!("forgotten here, but {target} keeps the session until it expires: {failure}"));
        }
    }
    Ok(0)
}

/// The named authority's file, as every directory knows it.
fn authority_of(target: &Target) -> Result<Option<PathBuf>, Failure> {
    match target {
        Target::Network(Address { ca: Some(ca), .. }) => {
            std::path::absolute(ca).map(Some).map_err(|error| Failure::Own(format!("--ca: {}: {error}", ca.display())))
        }
        _ => Ok(None),
    }
}

async fn enroll(target: &Target, token: &str) -> Result<(String, String), Failure> {
    let ask = Ask::new(Method::POST, "/v1/enroll").with(&json!({ "token": token, "name": host() }));
    let body = Daemon::new(target.clone()).ask(&ask).await?;
    let Enrolled { session_token, session } = read(&body)?;
    Ok((session_token, session.role.into_owned()))
}

/// This machine's name.
fn host() -> String {
    #[cfg(unix)]
    return rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "command line".to_owned())
}

async fn role_of(target: &Target, token: &str) -> Result<String, Failure> {
    let body = Daemon::new(target.clone().with_token(token.to_owned())).ask(&Ask::get("/v1/session")).await?;
    Ok(read::<SessionBody>(&body)?.role.into_owned())
}

fn token_from_stdin() -> Result<String, Failure> {
    let input = io::stdin();
    if input.is_terminal() {
        print::note("paste the token that `runabout enroll` printed on the daemon's machine:");
    }
    let mut line = String::new();
    let read = io::Read::take(input.lock(), LINE_BYTES_MAX).read_line(&mut line);
    match read {
        Ok(_) if !line.trim().is_empty() => Ok(line),
        Ok(_) => {
            Err(Failure::Usage("no token: give one as argument, in RUNABOUT_TOKEN, or on standard input".to_owned()))
        }
        Err(error) => Err(Failure::Usage(format!("standard input cannot be read: {error}"))),
    }
}
