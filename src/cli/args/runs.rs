//! Runs, as a person names them, and the words of `ls` and `logs`.

use std::str::FromStr;

use clap::Args;

use super::numbers::from_1;
use crate::scope::Cursor;

/// A run, as a person names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    /// By its number.
    Number(i64),
    /// The newest.
    Last,
}

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Id, String> {
        if text == "last" {
            return Ok(Id::Last);
        }
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits && number > 0 => Ok(Id::Number(number)),
            _ => Err("a run is a number from 1, or `last`".to_owned()),
        }
    }
}

/// Which runs to list.
#[derive(Args, Debug)]
pub struct LsOptions {
    /// Only these, by comma: queued, running, succeeded, failed, canceled, timed_out, interrupted
    #[arg(long)]
    pub status: Option<String>,
    /// Only of this queue
    #[arg(short, long)]
    pub queue: Option<String>,
    /// Only with this label
    #[arg(long)]
    pub tag: Option<String>,
    /// Only of this name
    #[arg(short, long)]
    pub name: Option<String>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = from_1::<u32>)]
    pub limit: u32,
}

/// Which part of which runs' output to print.
#[derive(Args, Debug)]
pub struct LogsOptions {
    /// Go on until they have ended
    #[arg(short, long)]
    pub follow: bool,
    /// Start after this event: a number, -N for the newest N, `latest`, or INSTANCE-SEQ
    #[arg(long, value_name = "CURSOR", allow_hyphen_values = true, value_parser = cursor)]
    pub after: Option<String>,
    /// Runs' numbers, or `last`
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<Id>,
}

fn cursor(text: &str) -> Result<String, String> {
    match Cursor::parse(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("a cursor is a number, -N, `latest` or INSTANCE-SEQ".to_owned()),
    }
}
