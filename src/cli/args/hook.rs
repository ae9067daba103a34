//! The words of `hook`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::numbers::{from_1, whole};
use crate::hook::{DeliveryStatus, Form};
use crate::run::Status;

pub(super) const HOOK_HELP: &str = "\
Examples:
  runabout hook set phone --to https://ntfy.sh/my-topic --body ntfy --tag nightly
  runabout hook set watch --to https://example.org/in --on failed,timed_out > secret
  runabout hook test phone                   send one now, and say what its target answered
  runabout hook ls                           also how many deliveries wait, and why
  runabout hook deliveries phone             what was sent, and what became of it
  runabout hook redeliver phone 17

--to is where a hook posts; --url is the daemon, here as everywhere.";

/// What to do with hooks.
#[derive(Debug, Subcommand)]
pub enum HookCommand {
    /// List the hooks
    Ls,
    /// Tell everything about a hook but its secret
    Show {
        /// The hook
        name: String,
    },
    /// Make a hook and print its secret, this once; or change one to what is said here
    #[command(aliases = ["add", "create", "new"])]
    Set(Box<HookSetOptions>),
    /// Delete hooks, with their deliveries
    Rm {
        /// The hooks
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Let a hook tell of ends, also one that was disabled by itself
    Enable {
        /// The hook
        name: String,
    },
    /// Keep a hook from telling of any end
    Disable {
        /// The hook
        name: String,
    },
    /// List what was sent, and what is to be sent, the newest first
    Deliveries {
        /// The hook
        name: String,
        /// Only those: pending, delivered or dead
        #[arg(long, value_name = "STATUS", value_parser = delivery_status())]
        status: Option<DeliveryStatus>,
        /// How many [default: 50]
        #[arg(short = 'n', long, value_name = "N", value_parser = whole::<1, 500>)]
        limit: Option<i64>,
    },
    /// Send a delivery again
    Redeliver {
        /// The hook
        name: String,
        /// The delivery's number
        #[arg(value_parser = from_1::<i64>)]
        id: i64,
    },
    /// Send a delivery that tells of no run, and say what its target answered; 1 when it did not take it
    Test {
        /// The hook
        name: String,
    },
}

/// What a hook is.
#[derive(Args, Clone, Debug)]
pub struct HookSetOptions {
    /// The hook: 1 to 64 of a-z, 0-9, _ and -
    #[arg(value_name = "NAME")]
    pub hook: String,
    /// Where it posts to: https://HOST/PATH; `-` is a line of standard input, for a URL that is a secret
    #[arg(long, value_name = "TARGET", help_heading = "Hook")]
    pub to: String,
    /// The ends that it tells of, with commas between them [default: failed,timed_out]
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = end(), help_heading = "Hook")]
    pub on: Vec<Status>,
    /// Of runs of this job alone
    #[arg(long, help_heading = "Hook")]
    pub job: Option<String>,
    /// Of runs of this queue alone
    #[arg(short, long, help_heading = "Hook")]
    pub queue: Option<String>,
    /// Of runs with this tag alone
    #[arg(long, help_heading = "Hook")]
    pub tag: Option<String>,
    /// In which form: standard, ntfy, slack or home_assistant [default: standard]
    #[arg(long, value_name = "FORM", value_parser = form(), help_heading = "Hook")]
    pub body: Option<Form>,
    /// A file with the secret to sign with (`-` is standard input); without it the daemon makes one, or keeps its own
    #[arg(long, value_name = "FILE", help_heading = "Hook")]
    pub secret_file: Option<PathBuf>,
    /// Its target may be this daemon itself
    #[arg(long, help_heading = "Hook")]
    pub allow_self: bool,
    /// Make it disabled
    #[arg(long, help_heading = "Hook")]
    pub disabled: bool,
}

fn end() -> impl TypedValueParser<Value = Status> {
    let ends = Status::ALL.iter().filter(|status| status.is_terminal());
    let words = PossibleValuesParser::new(ends.map(|status| status.as_str()));
    words.map(|word| Status::parse(&word).unwrap_or(Status::Failed))
}

fn form() -> impl TypedValueParser<Value = Form> {
    let words = PossibleValuesParser::new(Form::ALL.iter().map(|form| form.as_str()));
    words.map(|word| Form::parse(&word).unwrap_or(Form::Standard))
}

fn delivery_status() -> impl TypedValueParser<Value = DeliveryStatus> {
    let words = PossibleValuesParser::new(DeliveryStatus::ALL.iter().map(|status| status.as_str()));
    words.map(|word| DeliveryStatus::parse(&word).unwrap_or(DeliveryStatus::Pending))
}
