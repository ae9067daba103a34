//! The words of `job`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::numbers::whole;
use super::submit::SubmitOptions;
use crate::cli::duration;
use crate::job::{CatchUp, Overlap};

pub(super) const JOB_HELP: &str = "\
Examples:
  runabout job set nightly --schedule '30 2 * * *' --zone Europe/Berlin -- /srv/backup.sh
  runabout job next nightly                  when it is due
  runabout job run nightly                   now, and print the run's number
  runabout job firings nightly               what became of each time, with what was skipped and why
  runabout job apply /etc/runabout/jobs --dry-run
  runabout job import-crontab /etc/crontab --system

A schedule has 5 fields, 6 with seconds first, or is @hourly, @daily, @weekly, @monthly, @yearly or @every 90s.";

/// What to do with jobs.
#[derive(Debug, Subcommand)]
pub enum JobCommand {
    /// List the jobs
    Ls,
    /// Tell everything about a job
    Show {
        /// The job
        name: String,
    },
    /// Make a job, or change it to what is said here
    #[command(aliases = ["add", "create", "new"])]
    Set(Box<SetOptions>),
    /// Delete jobs; their runs stay
    Rm {
        /// The jobs
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Let a job's schedule start it
    Enable {
        /// The job
        name: String,
    },
    /// Keep a job's schedule from starting it
    Disable {
        /// The job
        name: String,
    },
    /// Start a job now and print its run's number
    Run {
        /// The job
        name: String,
        /// Values of its parameters
        #[arg(value_name = "K=V")]
        values: Vec<String>,
    },
    /// Say when a job is due
    Next {
        /// The job
        name: String,
        /// How many times [default: 5]
        #[arg(short = 'n', long, value_name = "N", value_parser = whole::<1, 1000>)]
        count: Option<i64>,
    },
    /// List what became of the times at which a job was due
    Firings {
        /// The job
        name: String,
        /// How many [default: 20]
        #[arg(short = 'n', long, value_name = "N", value_parser = whole::<1, 1000>)]
        limit: Option<i64>,
    },
    /// Make the daemon's jobs those of a directory: NAME.toml for each
    #[command(after_help = "\
Each file says what a job is, by the names of the API:

  schedule = \"30 2 * * *\"      # or a list of them
  zone = \"Europe/Berlin\"
  [run]
  script = \"/srv/backup.sh\"
  timeout_s = 7200

Jobs of the daemon that have no file are deleted.")]
    Apply {
        /// The directory
        dir: PathBuf,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Print the jobs that a crontab makes, as TOML, and say what of it cannot be carried over
    ImportCrontab {
        /// The crontab (`-` is standard input)
        file: PathBuf,
        /// Each line names a user before the command, as in /etc/crontab
        #[arg(long)]
        system: bool,
    },
}

/// What a job is.
#[derive(Args, Clone, Debug)]
pub struct SetOptions {
    /// The job: 1 to 64 of a-z, 0-9, _ and -
    #[arg(value_name = "NAME")]
    pub job: String,
    /// When it is due (repeatable): '30 2 * * *', '@every 90s'
    #[arg(long, value_name = "WHEN", help_heading = "Job")]
    pub schedule: Vec<String>,
    /// The zone by whose clock [default: the daemon's]
    #[arg(long, help_heading = "Job")]
    pub zone: Option<String>,
    /// About missed times: latest, none or all [default: latest]
    #[arg(long, value_name = "WHAT", value_parser = catch_up(), help_heading = "Job")]
    pub catch_up: Option<CatchUp>,
    /// While an earlier run is on its way: one, skip, all, replace, cancel or allow [default: one]
    #[arg(long, value_name = "WHAT", value_parser = overlap(), help_heading = "Job")]
    pub overlap: Option<Overlap>,
    /// Start up to this much later, always by the same time
    #[arg(long, value_name = "TIME", value_parser = duration::parse_s, help_heading = "Job")]
    pub jitter: Option<i64>,
    /// Do not start it any more when it is later than this
    #[arg(long, value_name = "TIME", value_parser = duration::parse_s, help_heading = "Job")]
    pub start_deadline: Option<i64>,
    /// Start when a run of that job has succeeded, or JOB:ended, JOB:failed
    #[arg(long, value_name = "JOB", help_heading = "Job")]
    pub after_job: Option<String>,
    /// A parameter (repeatable), as JSON: 'level={"type":"integer","default":5}'
    #[arg(long, value_name = "NAME=JSON", help_heading = "Job")]
    pub param: Vec<String>,
    /// Make it disabled
    #[arg(long, help_heading = "Job")]
    pub disabled: bool,
    /// What it runs.
    #[command(flatten)]
    pub submit: SubmitOptions,
}

fn catch_up() -> impl TypedValueParser<Value = CatchUp> {
    let words = PossibleValuesParser::new(CatchUp::ALL.iter().map(|word| word.as_str()));
    words.map(|word| CatchUp::parse(&word).unwrap_or(CatchUp::Latest))
}

fn overlap() -> impl TypedValueParser<Value = Overlap> {
    let words = PossibleValuesParser::new(Overlap::ALL.iter().map(|word| word.as_str()));
    words.map(|word| Overlap::parse(&word).unwrap_or(Overlap::One))
}
