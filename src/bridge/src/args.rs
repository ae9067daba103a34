//! What may be said: flags, which beat the environment, which beats a TOML file. No secret is among the flags: tokens and
//! credentials are named by their files, because everybody on a machine reads everybody's command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args as _, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::mqtt::args::Mqtt;
use crate::told::Refusal;

/// Connects a Runabout daemon to a hub.
#[derive(Parser)]
#[command(name = "runabout-bridge", version, about, disable_help_subcommand = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Send this box's events to NATS JetStream, each once and in order, and take work from there.
    Nats(Nats),
    /// Show this box in Home Assistant by an MQTT broker, with a button for each job.
    Mqtt(Mqtt),
    /// See all boxes by the hub, and send them work; also by `runabout --hub URL`.
    Hub(Fleet),
    /// Print the part of the hub's configuration that gives each box an account, in which it can harm itself alone.
    Accounts {
        /// The boxes by their instances, each with the tags whose work it may take, such as k3v9x2m7q0tz:gpu,barn
        #[arg(required = true, value_name = "INSTANCE[:TAG,…]", value_parser = box_account)]
        boxes: Vec<BoxAccount>,
    },
    /// Write the manual's pages into a directory, for packages.
    #[command(hide = true)]
    Manual {
        /// Where to.
        dir: PathBuf,
    },
}

/// A box, and the tags whose work it may take.
#[derive(Clone)]
pub struct BoxAccount {
    /// Which one.
    pub instance: String,
    /// Those.
    pub tags: Vec<String>,
}

fn box_account(text: &str) -> Result<BoxAccount, String> {
    let (instance, tags) = text.split_once(':').unwrap_or((text, ""));
    let tags = tags.split(',').filter(|tag| !tag.is_empty()).map(tag).collect::<Result<_, _>>()?;
    Ok(BoxAccount { instance: tag(instance)?, tags })
}

/// `hub`.
#[derive(clap::Args)]
pub struct Fleet {
    /// The hub.
    #[command(flatten)]
    pub hub: HubArgs,
    /// What is asked.
    #[command(subcommand)]
    pub command: FleetCommand,
}

/// What is asked of all boxes.
#[derive(Subcommand)]
pub enum FleetCommand {
    /// List the boxes that are there.
    Boxes {
        /// One array, for programs.
        #[arg(long)]
        json: bool,
    },
    /// List runs, the newest last.
    Ls(List),
    /// Print all events of a run but its output, one a line.
    Show {
        /// BOX/RUN, the box by its instance or its name.
        run: String,
    },
    /// Print what a run printed, where its box sends that.
    Logs(Logs),
    /// Send work to a box or to a tag, and print its fleet id.
    Add(Add),
    /// Cancel work by its fleet id, wherever it waits or runs.
    Cancel {
        /// What `add` printed.
        id: String,
        /// The box, by its instance or its name; one that is away is told when it comes back.
        #[arg(long = "box", value_name = "BOX")]
        at: Option<String>,
    },
}

/// `hub ls`.
#[derive(clap::Args)]
pub struct List {
    /// Of one box alone, by its instance or its name.
    #[arg(long = "box", value_name = "BOX")]
    pub at: Option<String>,
    /// Of which something was heard in this many hours.
    #[arg(long, value_name = "N", default_value = "24", value_parser = clap::value_parser!(u32).range(1..=8760))]
    pub hours: u32,
    /// The newest of them.
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// One array, for programs.
    #[arg(long)]
    pub json: bool,
}

/// `hub logs`.
#[derive(clap::Args)]
pub struct Logs {
    /// BOX/RUN, the box by its instance or its name.
    pub run: String,
    /// Stay until it has ended.
    #[arg(short, long)]
    pub follow: bool,
    /// Go on after this event: a seq, or INSTANCE-SEQ as the box itself has it.
    #[arg(long, value_name = "CURSOR", default_value = "0")]
    pub after: String,
    /// Each event on a line, as the box tells it.
    #[arg(long)]
    pub json: bool,
}

/// `hub add`.
#[derive(clap::Args)]
pub struct Add {
    /// Who is to run it: a box, by its instance or its name.
    #[arg(long = "box", value_name = "BOX", conflicts_with = "tag")]
    pub at: Option<String>,
    /// Who is to run it: any box that takes work of this tag.
    #[arg(long, value_name = "TAG", value_parser = tag)]
    pub tag: Option<String>,
    /// Shell text, in place of a command.
    #[arg(short, long, value_name = "SCRIPT")]
    pub script: Option<String>,
    /// A label for people.
    #[arg(short, long, value_name = "NAME")]
    pub name: Option<String>,
    /// The queue to wait in, at the box.
    #[arg(short, long, value_name = "QUEUE")]
    pub queue: Option<String>,
    /// Not to be started later than in so many seconds.
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..))]
    pub within_s: Option<u32>,
    /// Its fleet id, of one's own choice: sent again within two minutes, it is taken once.
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Program and arguments.
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// Whether a text may be a tag: it becomes a token of a subject.
fn tag(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if text.is_empty() || text.len() > 64 || !text.bytes().all(allowed) {
        return Err("must be 1 to 64 letters, digits, _ or -".to_owned());
    }
    Ok(text.to_owned())
}

/// Where the daemon is.
#[derive(clap::Args, Clone)]
pub struct DaemonArgs {
    /// The daemon: http://HOST:PORT, https://HOST:PORT or unix:/PATH/OF/ITS/SOCKET; by default this machine's.
    #[arg(long, env = "RUNABOUT_URL", value_name = "URL")]
    pub url: Option<String>,
    /// A file with the token of a session, which a daemon on a network wants; else RUNABOUT_TOKEN.
    #[arg(long, env = "RUNABOUT_BRIDGE_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A PEM file with whom to believe about the daemon's certificate, instead of the system's authorities.
    #[arg(long, env = "RUNABOUT_BRIDGE_DAEMON_CA", value_name = "FILE")]
    pub daemon_ca: Option<PathBuf>,
}

/// Where the hub is, and who we are to it.
#[derive(clap::Args, Clone)]
pub struct HubArgs {
    /// The hub: nats://HOST:PORT or tls://HOST:PORT, several by commas.
    #[arg(long, env = "RUNABOUT_HUB", value_name = "URL")]
    pub server: String,
    /// A credentials file of the hub.
    #[arg(long, env = "RUNABOUT_HUB_CREDS", value_name = "FILE")]
    pub creds: Option<PathBuf>,
    /// A file with one line, USER:PASSWORD or a token, for a hub that has no credentials files.
    #[arg(long, env = "RUNABOUT_HUB_PASSWORD_FILE", value_name = "FILE", conflicts_with = "creds")]
    pub password_file: Option<PathBuf>,
    /// A PEM file with whom to believe about the hub's certificate, beside the system's authorities.
    #[arg(long, env = "RUNABOUT_HUB_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Our own certificate to the hub, a PEM file; with --key.
    #[arg(long, env = "RUNABOUT_HUB_CERT", value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// The key of --cert, a PEM file.
    #[arg(long, env = "RUNABOUT_HUB_KEY", value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
}

/// `nats`.
#[derive(clap::Args, Clone)]
pub struct Nats {
    /// The hub.
    #[command(flatten)]
    pub hub: HubArgs,
    /// The daemon.
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// A TOML file with these options by their long names, such as `server = "nats://hub"` and `tags = ["a", "b"]`.
    #[arg(long, env = "RUNABOUT_BRIDGE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Take work that is sent to these tags, by commas; work for this box itself is always taken.
    #[arg(long, env = "RUNABOUT_BRIDGE_TAGS", value_delimiter = ',', value_name = "TAGS", value_parser = tag)]
    pub tags: Vec<String>,
    /// The queue whose free slots say how much work is taken; work that names no queue goes to the daemon's default.
    #[arg(long, env = "RUNABOUT_BRIDGE_QUEUE", value_name = "QUEUE", default_value = "default")]
    pub queue: String,
    /// Send events alone, and take no work.
    #[arg(long, env = "RUNABOUT_BRIDGE_NO_WORK", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true",
          default_value = "false", action = clap::ArgAction::Set)]
    pub no_work: bool,
    /// What people call this box; by default its host name.
    #[arg(long, env = "RUNABOUT_BRIDGE_NAME", value_name = "NAME")]
    pub name: Option<String>,
    /// Where it stands.
    #[arg(long, env = "RUNABOUT_BRIDGE_SITE", value_name = "SITE")]
    pub site: Option<String>,
    /// Send what commands print, too.
    #[arg(long, env = "RUNABOUT_BRIDGE_OUTPUT", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true",
          default_value = "false", action = clap::ArgAction::Set)]
    pub output: bool,
    /// Events a second at most, on average; 0: no limit. A box that was away for a week must not take the line for itself.
    #[arg(long, env = "RUNABOUT_BRIDGE_RATE", value_name = "N", default_value = "2000")]
    pub rate: u32,
    /// Bytes a second at most, on average; 0: no limit.
    #[arg(long, env = "RUNABOUT_BRIDGE_RATE_BYTES", value_name = "N", default_value = "1048576")]
    pub rate_bytes: u32,
    /// The longest wait before the hub is tried again, in seconds. Each wait is drawn from nought to a bound that doubles
    /// up to this, so that boxes do not come back all at once.
    #[arg(long, env = "RUNABOUT_BRIDGE_RECONNECT_MAX_S", value_name = "S", default_value = "60",
          value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub reconnect_max_s: u32,
    /// Serve metrics for Prometheus at http://ADDR:PORT/metrics.
    #[arg(long, env = "RUNABOUT_BRIDGE_METRICS", value_name = "ADDR:PORT")]
    pub metrics: Option<std::net::SocketAddr>,
    /// Make the hub's streams, buckets and consumers, or bring them up to date, and end.
    #[arg(long, conflicts_with = "check")]
    pub setup: bool,
    /// With --setup: for which boxes, by their instances and commas, what is of a single box is made; else for the daemon's.
    #[arg(long, env = "RUNABOUT_BRIDGE_BOXES", value_delimiter = ',', value_name = "INSTANCES", value_parser = tag)]
    pub boxes: Vec<String>,
    /// With --setup: on how many servers of a cluster each is kept: 1, 3 or 5.
    #[arg(long, env = "RUNABOUT_BRIDGE_REPLICAS", value_name = "N", default_value = "1",
          value_parser = clap::value_parser!(u32).range(1..=5))]
    pub replicas: u32,
    /// With --setup: the most bytes that the stream of events may take.
    #[arg(long, env = "RUNABOUT_BRIDGE_MAX_BYTES", value_name = "N", default_value = "10737418240")]
    pub max_bytes: i64,
    /// Say what is wrong with the daemon, the hub and what is in it, and end.
    #[arg(long)]
    pub check: bool,
}

impl Nats {
    /// The longest wait before the hub is tried again.
    pub fn reconnect_max(&self) -> Duration {
        Duration::from_secs(u64::from(self.reconnect_max_s))
    }
}

/// Reads flags, environment and file.
///
/// # Errors
/// [`Refusal::Usage`] for a file that cannot be used; a wrong flag ends the program with clap's own words.
pub fn read() -> Result<Args, Refusal> {
    let given: Vec<_> = std::env::args_os().collect();
    let args = Args::command();
    let options = Options::of(&given);
    let args = match file_among(&given, options.file_variable) {
        Some(file) => with_defaults_of(args, &file, &options)?,
        None => args,
    };
    let read = Args::from_arg_matches(&args.get_matches_from(given)).unwrap_or_else(|error| error.exit());
    match &read.command {
        Command::Nats(nats) => secretless(&nats.hub.server)?,
        Command::Mqtt(mqtt) => secretless(&mqtt.broker.server)?,
        Command::Hub(fleet) => secretless(&fleet.hub.server)?,
        Command::Accounts { .. } | Command::Manual { .. } => {}
    }
    Ok(read)
}

/// The options that a file can hold.
struct Options {
    command: &'static str,
    file_variable: &'static str,
    all: clap::Command,
}

impl Options {
    /// Those of the command that was given.
    fn of(given: &[std::ffi::OsString]) -> Options {
        let blank = clap::Command::new("options");
        match given.get(1).is_some_and(|command| command == "mqtt") {
            true => Options { command: "mqtt", file_variable: "RUNABOUT_MQTT_CONFIG", all: Mqtt::augment_args(blank) },
            false => {
                Options { command: "nats", file_variable: "RUNABOUT_BRIDGE_CONFIG", all: Nats::augment_args(blank) }
            }
        }
    }
}

/// The file is needed before clap is asked, because what stands in it must yield to flags and environment.
fn file_among(given: &[std::ffi::OsString], variable: &str) -> Option<PathBuf> {
    let mut flags = given.iter().skip_while(|flag| *flag != "--config" && !starts(flag, "--config="));
    match flags.next().and_then(|flag| flag.to_str()?.strip_prefix("--config=").map(PathBuf::from)) {
        Some(file) => Some(file),
        None => flags.next().map(PathBuf::from).or_else(|| std::env::var_os(variable).map(PathBuf::from)),
    }
}

fn starts(flag: &std::ffi::OsStr, with: &str) -> bool {
    flag.to_str().is_some_and(|flag| flag.starts_with(with))
}

/// What clap takes where neither flag nor environment says anything.
fn with_defaults_of(command: clap::Command, file: &Path, options: &Options) -> Result<clap::Command, Refusal> {
    let unusable = |why: &dyn std::fmt::Display| Refusal::Usage(format!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| unusable(&error))?;
    let table: toml::Table = text.parse().map_err(|error| unusable(&error))?;
    let known: Vec<String> = options.all.get_arguments().map(|arg| arg.get_id().to_string()).collect();
    let mut defaults = Vec::new();
    for (key, value) in table {
        if !known.contains(&key) || matches!(&*key, "config" | "setup" | "check" | "remove") {
            return Err(unusable(&format!("unknown key {key:?}; known are the long options with _ for -")));
        }
        defaults.push((key, words(&value)));
    }
    Ok(command.mut_subcommand(options.command, |mut command| {
        for (key, values) in defaults {
            command = command.mut_arg(key, |arg| arg.required(false).default_values(values));
        }
        command
    }))
}

fn words(value: &toml::Value) -> Vec<String> {
    match value {
        toml::Value::String(text) => vec![text.clone()],
        toml::Value::Array(values) => values.iter().flat_map(words).collect(),
        toml::Value::Integer(number) => vec![number.to_string()],
        toml::Value::Boolean(word) => vec![word.to_string()],
        // Nothing else is asked for; clap says what it wants in its place.
        other => vec![format!("{other:?}")],
    }
}

/// A password in a URL is seen by everybody who may list processes.
pub fn secretless(server: &str) -> Result<(), Refusal> {
    if server.contains('@') {
        let text = "--server: no user or password in the URL: put them into a file, and name that by --password-file";
        return Err(Refusal::Usage(text.to_owned()));
    }
    Ok(())
}
