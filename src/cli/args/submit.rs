//! What `run` and `add` take.
//!
//! Only the words: what becomes of them is the business of `commands/add.rs`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::limits::LimitOptions;
use super::numbers::whole;
use super::runs::Id;
use crate::cli::duration;
use crate::run::{Left, Need, OnConflict, OnInterrupt, Options, Retry, Stdin, StopSignal, TerminalSize, When};

/// What `run` takes.
#[derive(Args, Clone, Debug, Default)]
pub struct RunOptions {
    /// Ring the terminal when it has ended, and show a notification where terminal or desktop have one
    #[arg(long)]
    pub notify: bool,
    /// What the run is told.
    #[command(flatten)]
    pub submit: SubmitOptions,
}

/// What a new run is told.
#[derive(Args, Clone, Debug, Default)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["script", "file", "command"]))]
pub struct SubmitOptions {
    /// Shell text for /bin/sh -c, in place of CMD
    #[arg(short, long, allow_hyphen_values = true)]
    pub script: Option<String>,
    /// Read the script from FILE (`-` is standard input)
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// The queue to wait in [default: default]
    #[arg(short, long)]
    pub queue: Option<String>,
    /// -1000 to 1000; high starts first [default: 0]
    #[arg(short, long, allow_negative_numbers = true, value_name = "N", value_parser = whole::<-1000, 1000>)]
    pub priority: Option<i64>,
    /// End it after this long: 90, 90s, 15m, 2h, 1d
    #[arg(short, long, value_name = "TIME", value_parser = duration::parse_s)]
    pub timeout: Option<i64>,
    /// Add a variable to its environment (repeatable)
    #[arg(short, long, value_name = "K=V", value_parser = variable)]
    pub env: Vec<(String, String)>,
    /// Run it in this directory
    #[arg(short = 'C', long, value_name = "DIR")]
    pub cwd: Option<String>,
    /// A name, for people
    #[arg(short, long)]
    pub name: Option<String>,
    /// A label to filter by (repeatable)
    #[arg(long)]
    pub tag: Vec<String>,
    /// Hold it back for this long: 90, 90s, 15m, 2h, 1d
    #[arg(long, value_name = "TIME", value_parser = duration::parse_s)]
    pub delay: Option<i64>,
    /// Come after run ID: when it succeeded, or `ID:ended`, `ID:failed` (repeatable)
    #[arg(long, value_name = "ID[:WHEN]", value_parser = after)]
    pub after: Vec<(Id, When)>,
    /// Try it again up to N times when it fails or times out
    #[arg(long, value_name = "N", value_parser = whole::<0, 99>)]
    pub retry: Option<i64>,
    /// Wait this long before it is tried again, then twice as long each time, at most an hour [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = duration::parse_s, requires = "retry")]
    pub retry_delay: Option<i64>,
    /// Do not try it again after this exit code (repeatable)
    #[arg(long, value_name = "CODE", value_parser = whole::<0, 255>, requires = "retry")]
    pub retry_unless_exit: Vec<i64>,
    /// With --on-conflict, what it works on: one run of a key runs at a time. Alone, the same as --idempotency-key
    #[arg(long)]
    pub key: Option<String>,
    /// What becomes of a run of the same --key that has not begun: wait, join, replace, debounce, cancel
    #[arg(long, value_name = "WHAT", value_parser = on_conflict(), requires = "key", hide_possible_values = true)]
    pub on_conflict: Option<OnConflict>,
    /// With --on-conflict debounce: start it when nothing came for this long
    #[arg(long, value_name = "TIME", value_parser = duration::parse_s, requires = "on_conflict")]
    pub debounce: Option<i64>,
    /// With --on-conflict debounce: start it after this long at the latest
    #[arg(long, value_name = "TIME", value_parser = duration::parse_s, requires = "debounce")]
    pub debounce_max: Option<i64>,
    /// With the same key and words, nothing is queued twice
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Send this command's standard input along, as text; with -t, keep its own open and send what is typed
    #[arg(short = 'i')]
    pub stdin: bool,
    /// Run it on a terminal, as large as this one: -t without a time
    #[arg(long)]
    pub tty: bool,
    /// Never let it expire
    #[arg(long)]
    pub keep: bool,
    /// Let the command outlive the daemon: the next one goes on with it
    #[arg(long)]
    pub survive: bool,
    /// Let the command end with the daemon, also in a queue whose commands outlive it
    #[arg(long, conflicts_with = "survive")]
    pub no_survive: bool,
    /// When the daemon stops under it: fail, or requeue
    #[arg(long, value_name = "WHAT", value_parser = on_interrupt())]
    pub on_interrupt: Option<OnInterrupt>,
    /// What it may use.
    #[command(flatten)]
    pub limits: LimitOptions,
    /// What asks it to end, before it is killed: TERM, INT, HUP, QUIT, USR1, USR2 [default: TERM]
    #[arg(long, value_name = "SIGNAL", value_parser = stop_signal())]
    pub stop_signal: Option<StopSignal>,
    /// End with it what it leaves in the background, however it ends
    #[arg(long)]
    pub kill_left: bool,
    /// The command and its arguments; no shell is involved
    // What begins with a hyphen before it is an option, known or not: only `--` makes a command's name of it.
    #[arg(trailing_var_arg = true, value_name = "CMD")]
    pub command: Vec<String>,
}

impl SubmitOptions {
    /// What goes along as it was said, without a look at the caller. `after`: the runs that it was told to come after.
    pub fn options(&self, after: Vec<Need>) -> Options {
        let retry = self.retry.map(|again| {
            let usual = Retry::default();
            let delay_s = self.retry_delay.unwrap_or(usual.delay_s);
            Retry {
                attempts: again.saturating_add(1),
                delay_s,
                max_delay_s: usual.max_delay_s.max(delay_s),
                unless_exit: self.retry_unless_exit.clone(),
                ..usual
            }
        });
        Options {
            retry,
            after,
            limits: self.limits.limits(),
            stop_signal: self.stop_signal.unwrap_or_default(),
            left: if self.kill_left { Left::Kill } else { Left::Leave },
            pty: self.tty.then(TerminalSize::default),
            stdin: (self.tty && self.stdin).then_some(Stdin::Open),
            survive: (self.survive || self.no_survive).then_some(self.survive),
            start_before: None,
        }
    }

    /// What it works on. Scripts of before say `--key` and mean the request's.
    pub fn own_key(&self) -> Option<&String> {
        self.key.as_ref().filter(|_| self.on_conflict.is_some())
    }

    /// The key of the request.
    pub fn request_key(&self) -> Option<&String> {
        self.idempotency_key.as_ref().or(self.key.as_ref().filter(|_| self.on_conflict.is_none()))
    }
}

fn on_conflict() -> impl TypedValueParser<Value = OnConflict> {
    let words = PossibleValuesParser::new(OnConflict::ALL.iter().map(|word| word.as_str()));
    words.map(|word| OnConflict::parse(&word).unwrap_or(OnConflict::Wait))
}

fn after(text: &str) -> Result<(Id, When), String> {
    let (id, when) = text.split_once(':').unwrap_or((text, When::Succeeded.as_str()));
    let when = When::parse(when).ok_or("after the `:` stands succeeded, ended or failed")?;
    Ok((id.parse()?, when))
}

/// By its name, as kill(1) takes it: with or without SIG, in any case of letters.
fn stop_signal() -> impl TypedValueParser<Value = StopSignal> {
    clap::builder::NonEmptyStringValueParser::new().try_map(|given| {
        let name = given.to_ascii_uppercase();
        let names: Vec<&str> = StopSignal::ALL.iter().map(|signal| signal.as_str()).collect();
        StopSignal::parse(name.strip_prefix("SIG").unwrap_or(&name))
            .ok_or_else(|| format!("it must be one of {}", names.join(", ")))
    })
}

fn on_interrupt() -> impl TypedValueParser<Value = OnInterrupt> {
    let words = PossibleValuesParser::new(OnInterrupt::ALL.iter().map(|word| word.as_str()));
    words.map(|word| OnInterrupt::parse(&word).unwrap_or(OnInterrupt::Fail))
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it must be NAME=VALUE".to_owned()),
    }
}
