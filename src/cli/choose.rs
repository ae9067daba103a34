//! Which daemon a command talks to.
//!
//! Decided once, from the command line, the environment and what `login` saved; nothing is connected here, and a
//! token never comes from the command line, where every user of the machine could read it.

use std::path::{Path, PathBuf};

use super::args::Global;
use super::login::{self, Login};
use crate::client::failure::Failure;
use crate::client::target::{Address, Target, parse};
use crate::state_dir::{default_state_dir, socket_path, state_dir};

/// Where a daemon of the whole machine is told to put its socket.
pub(crate) const SYSTEM_SOCKET: &str = "/run/runabout/runabout.sock";

/// What the choice depends on, so that it can be tried without a world around it.
struct World<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    exists: &'a dyn Fn(&Path) -> bool,
    login: &'a dyn Fn() -> Result<Option<Login>, Failure>,
    /// The socket that the configuration in a state directory names, if it does.
    configured: &'a dyn Fn(&Path) -> Option<PathBuf>,
    /// The default state directories, the likelier one first.
    state_dirs: Vec<PathBuf>,
}

/// The daemon that the command line, the environment, what `login` saved, or the default names.
///
/// # Errors
/// [`Failure::Usage`] for a URL, file or environment that cannot be used.
pub fn choose(global: &Global) -> Result<Target, Failure> {
    #[cfg(unix)]
    let is_root = rustix::process::geteuid().is_root();
    #[cfg(not(unix))]
    let is_root = false;
    let env = |name: &str| std::env::var_os(name);
    // A client may itself be somebody's service, whose STATE_DIRECTORY then holds no socket.
    let named = [state_dir(None, env, is_root), default_state_dir(env, is_root)];
    let mut state_dirs: Vec<PathBuf> = named.into_iter().flatten().collect();
    state_dirs.dedup();
    let exists = |path: &Path| path.exists();
    let world =
        World { variable: &variable, exists: &exists, login: &login::read, configured: &configured_socket, state_dirs };
    choose_in(&world, global)
}

/// The same place, known by this authority, if one is named.
///
/// # Errors
/// [`Failure::Usage`] for a flag that means nothing there, because who names an authority means to be safe.
pub fn known_by(target: Target, global: &Global) -> Result<Target, Failure> {
    known_by_in(target, global, &variable)
}

/// Whether it is a daemon on this machine to which nothing would let us in but a run's token: one to look for by
/// its socket. Any other address that a script put in place of its own is meant, whatever comes of it.
fn is_unusable_in_run(target: &Target) -> bool {
    match target {
        Target::Network(address) => {
            let is_here = address.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
            is_here && address.prefix.is_empty() && address.token.is_none()
        }
        Target::Socket { .. } => false,
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn choose_in(world: &World, global: &Global) -> Result<Target, Failure> {
    known_by_in(place_in(world, global)?, global, world.variable)
}

/// `--ca`, else `RUNABOUT_CA`, else what `login` saved with the place.
fn known_by_in(target: Target, global: &Global, variable: &dyn Fn(&str) -> Option<String>) -> Result<Target, Failure> {
    match target {
        Target::Network(address) if address.https => {
            let ca = global.ca.clone().or_else(|| variable("RUNABOUT_CA").map(PathBuf::from)).or(address.ca);
            Ok(Target::Network(Address { ca, ..address }))
        }
        other if global.ca.is_some() => {
            Err(Failure::Usage(format!("--ca means nothing to {other}: it is for https://HOST:PORT")))
        }
        other => Ok(other),
    }
}

fn place_in(world: &World, global: &Global) -> Result<Target, Failure> {
    let token = || (world.variable)("RUNABOUT_TOKEN");
    if let Some(url) = &global.url {
        let target = parse(url, "--url")?;
        return with_token(target, token, world);
    }
    if let Some(dir) = &global.state_dir {
        return Ok(in_state_dir(world, dir, format!("runabout serve --state-dir {}", dir.display())));
    }
    // A run's command is told where its daemon is, and given a token for nothing but its own events.
    let mut given_to_run = None;
    if let Some(url) = (world.variable)("RUNABOUT_URL") {
        let target = with_token(parse(&url, "RUNABOUT_URL")?, token, world)?;
        if !is_unusable_in_run(&target) || (world.variable)("RUNABOUT_RUN_TOKEN").is_none() {
            return Ok(target);
        }
        given_to_run = Some(target);
    }
    if let Some(dir) = (world.variable)("RUNABOUT_STATE_DIR") {
        return Ok(in_state_dir(world, Path::new(&dir), "runabout serve".to_owned()));
    }
    if let (Some(login), None) = ((world.login)()?, &given_to_run) {
        let target = parse(&login.url, "login.toml")?;
        return Ok(of_login(target, login));
    }
    let mut places: Vec<Target> =
        world.state_dirs.iter().map(|dir| in_state_dir(world, dir, "runabout serve".to_owned())).collect();
    places.push(Target::Socket { path: SYSTEM_SOCKET.into(), start: "runabout serve".to_owned() });
    let there = places.iter().position(|place| match place {
        Target::Socket { path, .. } => (world.exists)(path),
        Target::Network(_) => false,
    });
    match (there, given_to_run) {
        (None, Some(target)) => Err(Failure::NotAllowed(format!(
            "{target} needs a token: RUNABOUT_RUN_TOKEN only appends events to its own run (runabout progress); \
             give a session's in RUNABOUT_TOKEN, or the daemon's --state-dir"
        ))),
        (there, _) => Ok(places.swap_remove(there.unwrap_or(0))),
    }
}

/// `RUNABOUT_TOKEN`, else what `login` saved for this very place.
fn with_token(target: Target, token: impl Fn() -> Option<String>, world: &World) -> Result<Target, Failure> {
    if target.is_local() {
        return Ok(target);
    }
    if let (Some(token), true) = (token(), target.is_plain()) {
        return Ok(target.with_token(token));
    }
    let saved = (world.login)()?.filter(|login| parse(&login.url, "login.toml").is_ok_and(|place| place == target));
    let target = saved.map_or(target.clone(), |login| of_login(target, login));
    Ok(match token() {
        Some(token) => target.with_token(token),
        None => target,
    })
}

/// The same place, with the token and the authority that were saved for it.
pub fn of_login(target: Target, login: Login) -> Target {
    match target.with_token(login.token) {
        Target::Network(address) => Target::Network(Address { ca: login.ca, ..address }),
        socket => socket,
    }
}

/// The socket of the daemon of a state directory. Its configuration may be another file than the one that lies there: then the
/// socket is where it always is.
fn in_state_dir(world: &World, dir: &Path, start: String) -> Target {
    let usual = socket_path(dir);
    let configured = (world.configured)(dir).filter(|path| (world.exists)(path) || !(world.exists)(&usual));
    Target::Socket { path: configured.unwrap_or(usual), start }
}

/// `access.socket` of the configuration in a state directory. What else is wrong with it is the daemon's to tell.
#[cfg(feature = "daemon")]
fn configured_socket(dir: &Path) -> Option<PathBuf> {
    use crate::config::ConfigFile;
    use crate::dir::Dir;

    let text = ConfigFile::in_dir(&Dir::open(dir).ok()?)?.text.ok()?;
    let table = text.parse::<toml::Table>().ok()?;
    let path = Path::new(table.get("access")?.get("socket")?.as_str()?);
    path.is_absolute().then(|| path.to_path_buf())
}

/// Without the daemon there is none on this machine.
#[cfg(not(feature = "daemon"))]
fn configured_socket(_dir: &Path) -> Option<PathBuf> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(global: &Global, variables: &[(&str, &str)], login: Option<&str>, existing: &str) -> Target {
        let world = World {
            variable: &|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()),
            exists: &|path| path == Path::new(existing),
            login: &|| {
                Ok(login.map(|url| Login {
                    url: url.to_owned(),
                    token: "rbs_saved".to_owned(),
                    ca: Some("/saved.pem".into()),
                }))
            },
            configured: &|_| None,
            state_dirs: vec!["/home/u/.local/state/runabout".into()],
        };
        choose_in(&world, global).expect("a target")
    }

    fn shown(target: &Target) -> (String, Option<&str>) {
        let token = match target {
            Target::Network(address) => address.token.as_deref(),
            Target::Socket { .. } => None,
        };
        (target.to_string(), token)
    }

    #[test]
    fn the_nearest_word_wins() {
        let variables =
            [("RUNABOUT_URL", "http://b:1"), ("RUNABOUT_TOKEN", "rbs_env"), ("RUNABOUT_STATE_DIR", "/state")];
        let mut global =
            Global { url: Some("http://a:1".to_owned()), state_dir: Some("/flag".into()), ..Global::default() };
        let saved = Some("http://c:1");
        assert_eq!(shown(&choose(&global, &variables, saved, "")), ("http://a:1".to_owned(), Some("rbs_env")));
        global.url = None;
        assert_eq!(shown(&choose(&global, &variables, saved, "")).0, "/flag/runabout.sock");
        global.state_dir = None;
        assert_eq!(shown(&choose(&global, &variables, saved, "")), ("http://b:1".to_owned(), Some("rbs_env")));
        assert_eq!(shown(&choose(&global, &variables[2..], saved, "")).0, "/state/runabout.sock");
        assert_eq!(shown(&choose(&global, &[], saved, "")), ("http://c:1".to_owned(), Some("rbs_saved")));
        let home = "/home/u/.local/state/runabout/runabout.sock";
        assert_eq!(shown(&choose(&global, &[], None, home)).0, home);
        assert_eq!(shown(&choose(&global, &[], None, SYSTEM_SOCKET)).0, SYSTEM_SOCKET);
        assert_eq!(shown(&choose(&global, &[], None, "")).0, home);
    }

    #[test]
    fn the_configuration_beside_the_database_says_where_the_socket_is() {
        let path = |existing: &'static [&'static str]| {
            let world = World {
                variable: &|_| None,
                exists: &|path| existing.iter().any(|other| path == Path::new(other)),
                login: &|| Ok(None),
                configured: &|dir| (dir == Path::new("/state")).then(|| "/run/r.sock".into()),
                state_dirs: vec![],
            };
            let global = Global { state_dir: Some("/state".into()), ..Global::default() };
            choose_in(&world, &global).expect("a target").to_string()
        };
        assert_eq!(path(&["/run/r.sock"]), "/run/r.sock");
        assert_eq!(path(&["/run/r.sock", "/state/runabout.sock"]), "/run/r.sock");
        assert_eq!(path(&["/state/runabout.sock"]), "/state/runabout.sock");
        assert_eq!(path(&[]), "/run/r.sock");
    }

    #[test]
    fn in_a_run_the_daemon_is_found_by_its_socket_where_there_is_no_token() {
        let given =
            [("RUNABOUT_URL", "http://127.0.0.1:7867"), ("RUNABOUT_RUN_TOKEN", "rbr_x"), ("RUNABOUT_TOKEN", "rbs_y")];
        let in_run = |more: &[(&'static str, &'static str)], login, existing| {
            let variables: Vec<_> = given[..2].iter().chain(more).copied().collect();
            choose(&Global::default(), &variables, login, existing)
        };
        let home = "/home/u/.local/state/runabout/runabout.sock";
        assert_eq!(shown(&in_run(&[], None, home)).0, home);
        assert_eq!(shown(&in_run(&[], Some("http://c:1"), home)).0, home, "a login is for another place");
        assert_eq!(shown(&in_run(&[("RUNABOUT_STATE_DIR", "/state")], None, "")).0, "/state/runabout.sock");
        let tcp = |token| ("http://127.0.0.1:7867".to_owned(), Some(token));
        assert_eq!(shown(&in_run(&given[2..], None, home)), tcp("rbs_y"));
        assert_eq!(shown(&in_run(&[], Some("http://127.0.0.1:7867"), home)), tcp("rbs_saved"));
        let other = [("RUNABOUT_URL", "http://pi:7867"), given[1]];
        assert_eq!(shown(&choose(&Global::default(), &other, None, home)).0, "http://pi:7867");
        let world = World {
            variable: &|name| given[..2].iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()),
            exists: &|_| false,
            login: &|| Ok(None),
            configured: &|_| None,
            state_dirs: vec!["/home/u/.local/state/runabout".into()],
        };
        let refused = choose_in(&world, &Global::default()).expect_err("no way in").to_string();
        assert!(refused.contains("RUNABOUT_TOKEN") && refused.contains("runabout progress"), "{refused}");
    }

    #[test]
    fn a_saved_token_goes_to_its_own_daemon_only() {
        let to = |url: &str| Global { url: Some(url.to_owned()), ..Global::default() };
        assert_eq!(shown(&choose(&to("http://c:1/"), &[], Some("http://c:1"), "")).1, Some("rbs_saved"));
        assert_eq!(shown(&choose(&to("http://d:1"), &[], Some("http://c:1"), "")).1, None);
    }

    #[cfg(feature = "tls")]
    #[test]
    fn an_authority_is_named_for_https_alone() {
        let to = |url: &str, ca: Option<&str>| Global {
            url: Some(url.to_owned()),
            ca: ca.map(PathBuf::from),
            ..Global::default()
        };
        let ca = |global: &Global, variables: &[(&str, &str)], saved| match choose(global, variables, saved, "") {
            Target::Network(address) => address.ca.map(|path| path.display().to_string()),
            Target::Socket { .. } => None,
        };
        let (pi, variable) = ("https://pi", [("RUNABOUT_CA", "/env.pem"), ("RUNABOUT_TOKEN", "rbs_env")]);
        assert_eq!(ca(&to(pi, Some("/flag.pem")), &variable, Some(pi)).as_deref(), Some("/flag.pem"));
        assert_eq!(ca(&to(pi, None), &variable, Some(pi)).as_deref(), Some("/env.pem"));
        assert_eq!(ca(&to(pi, None), &variable[1..], Some(pi)).as_deref(), Some("/saved.pem"));
        assert_eq!(ca(&to(pi, None), &[], Some("http://pi")), None);
        assert_eq!(ca(&to("http://pi", None), &variable, None), None);
        let plain = parse("pi:7867", "--url").expect("a place");
        assert!(known_by_in(plain, &to("pi:7867", Some("/flag.pem")), &|_| None).is_err());
        assert_eq!(shown(&choose(&to("https://pi:443/x", None), &[], None, "")).0, "https://pi:443/x");
        match parse(pi, "--url").expect("a place") {
            Target::Network(address) => assert_eq!(address.port, 443),
            socket => panic!("{socket}"),
        }
    }
}
