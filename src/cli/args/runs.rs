//! Runs, as a person names them, and the words of `ls` and `logs`.

use std::str::FromStr;

use std::path::PathBuf;

use clap::Args;

use super::numbers::from_1;
use crate::cli::duration;
use crate::clock::UnixMs;
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

/// What to sit at.
#[derive(Args, Debug)]
pub struct AttachOptions {
    /// A run's number, or `last`
    pub id: Id,
    /// Only watch: send nothing, and leave the terminal's size as it is
    #[arg(short, long)]
    pub read_only: bool,
    /// From where: an event's number, `latest`, or -N, the newest N [default: 0, or the newest 1000]
    #[arg(long, value_name = "CURSOR", allow_hyphen_values = true, value_parser = cursor)]
    pub after: Option<String>,
}

/// Which of a run's artifacts, and where it goes.
#[derive(Args, Debug)]
pub struct ArtifactsOptions {
    /// A run's number, or `last`
    pub id: Id,
    /// Its name; without one they are listed
    pub name: Option<String>,
    /// Where it is saved; `-` is standard output [default: a file of its name in this directory]
    #[arg(short, long, value_name = "FILE", requires = "name")]
    pub output: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long, requires = "name")]
    pub force: bool,
}

/// Which runs are meant; all together.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub struct Filters {
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
    /// Only of this job
    #[arg(long)]
    pub job: Option<String>,
    /// Only with this somewhere in their name, tags or command; upper and lower case are the same
    #[arg(long, value_name = "TEXT")]
    pub find: Option<String>,
    /// Only submitted since: 90s, 15m, 2h or 1d ago, or a time like 2026-11-23T06:32:01Z
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub since: Option<String>,
    /// Only submitted before, in the same words
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub until: Option<String>,
    /// Only with one of these exit codes, by comma
    #[arg(long, value_name = "CODES")]
    pub exit: Option<String>,
}

impl Filters {
    /// Whether there is none.
    pub fn are_none(&self) -> bool {
        *self == Filters::default()
    }
}

/// Which runs to list.
#[derive(Args, Debug)]
pub struct LsOptions {
    /// Which runs.
    #[command(flatten)]
    pub filters: Filters,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = from_1::<u32>)]
    pub limit: u32,
}

/// What to look for, and where.
#[derive(Args, Debug)]
pub struct SearchOptions {
    /// The text; letters of ASCII are found in either case
    pub text: String,
    /// Only in the output of this run: a number, or `last`
    #[arg(long, value_name = "ID")]
    pub run: Option<Id>,
    /// Which runs.
    #[command(flatten)]
    pub filters: Filters,
    /// How many lines at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = from_1::<u32>)]
    pub limit: u32,
}

/// Which runs to cancel, and how.
#[derive(Args, Debug)]
pub struct CancelOptions {
    /// Runs' numbers, or `last`
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    pub ids: Vec<Id>,
    /// Why, for those who read the run's events
    #[arg(long)]
    pub reason: Option<String>,
    /// Kill at once, also what was canceled before and is still given time to end
    #[arg(long)]
    pub now: bool,
    /// All that are queued or run, of those that the filters below leave
    #[arg(long)]
    pub all: bool,
    /// Which of many, and whether it is meant.
    #[command(flatten)]
    pub many: Many,
}

/// Which runs to try again.
#[derive(Args, Debug)]
pub struct RetryOptions {
    /// A run's number, or `last`
    #[arg(required_unless_present = "failed", conflicts_with = "failed")]
    pub id: Option<Id>,
    /// All that failed, timed out or were interrupted and were not tried again yet, of those that the filters below leave
    #[arg(long, alias = "all")]
    pub failed: bool,
    /// Which of many, and whether it is meant.
    #[command(flatten)]
    pub many: Many,
}

/// What is said of many runs at once.
#[derive(Args, Debug)]
pub struct Many {
    /// Which runs.
    #[command(flatten)]
    pub filters: Filters,
    /// Only say how many that would be
    #[arg(long)]
    pub dry_run: bool,
    /// Yes, all of them: needed where there is no filter
    #[arg(long)]
    pub yes: bool,
}

impl Many {
    /// Whether nothing of it was said, which is nothing for the runs that are named.
    pub fn is_nothing(&self) -> bool {
        self.filters.are_none() && !self.dry_run && !self.yes
    }
}

/// A time, as RFC 3339 in UTC: so long ago, or as it was said.
fn when(text: &str) -> Result<String, String> {
    let now = UnixMs::now();
    let time = UnixMs::parse(text).or_else(|| duration::parse_s(text).ok().map(|ago_s| now.plus_s(-ago_s)));
    match time {
        Some(time) => Ok(time.to_string()),
        None => Err("it must be a time ago, like 90s, 15m, 2h or 1d, or a time like 2026-11-23T06:32:01Z".to_owned()),
    }
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
    /// Only the last N lines, and with -f what comes; of one run alone
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "after")]
    pub tail: Option<u64>,
    /// Only what this attempt printed, from 1; of one run alone
    #[arg(long, value_name = "N", value_parser = from_1::<i64>, conflicts_with_all = ["after", "tail"])]
    pub attempt: Option<i64>,
    /// With -f: ring the terminal when they have ended, and show a notification where terminal or desktop have one
    #[arg(long, requires = "follow")]
    pub notify: bool,
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
