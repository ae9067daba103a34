//! What `run` and `add` take.
//!
//! Only the words: what becomes of them is the business of `commands/add.rs`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::numbers::whole;
use crate::cli::duration;
use crate::run::{OnInterrupt, Options};

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
    /// Idempotency key: with the same key and words, nothing is queued twice
    #[arg(long)]
    pub key: Option<String>,
    /// Send this command's standard input along, as text
    #[arg(short = 'i')]
    pub stdin: bool,
    /// Never let it expire
    #[arg(long)]
    pub keep: bool,
    /// When the daemon stops under it: fail, or requeue
    #[arg(long, value_name = "WHAT", value_parser = on_interrupt())]
    pub on_interrupt: Option<OnInterrupt>,
    /// The command and its arguments; no shell is involved
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    pub command: Vec<String>,
}

impl SubmitOptions {
    /// What goes along as it was said, without a look at the caller.
    pub fn options(&self) -> Options {
        Options {}
    }
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
