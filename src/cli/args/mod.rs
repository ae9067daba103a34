//! What the command line takes, and its `--help`.
//!
//! Only definitions and the checks that need nothing but the words: it must never read a file or ask a daemon.

mod cursor;
mod enroll;
mod help;
mod hook;
mod job;
mod limits;
mod numbers;
mod progress;
mod queue;
mod runs;
mod shell;
mod submit;
mod terminal;
mod tips;
mod upkeep;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use self::cursor::CURSOR_HELP;
pub use self::cursor::{CursorAt, CursorCommand};
pub use self::enroll::EnrollOptions;
use self::help::{ADD_HELP, ATTACH_HELP, EXAMPLES, FOOTER, LOGS_HELP, RUN_HELP, submit_usage};
use self::hook::HOOK_HELP;
pub use self::hook::{HookCommand, HookSetOptions};
use self::job::JOB_HELP;
pub use self::job::{JobCommand, SetOptions};
use self::numbers::from_1;
pub use self::progress::ProgressOptions;
pub use self::queue::QueueOptions;
pub use self::runs::{
    ArtifactsOptions, AttachOptions, CancelOptions, Filters, Id, LogsOptions, LsOptions, Many, RetryOptions,
    SearchOptions,
};
pub use self::shell::Shell;
pub use self::submit::{RunOptions, SubmitOptions};
use self::upkeep::{BACKUP_HELP, DOCTOR_HELP, DRAIN_HELP, RESTORE_HELP};
pub use self::upkeep::{BackupOptions, DoctorOptions, DrainOptions, RestoreOptions};
use crate::text::printable_lines;

/// One command line.
#[derive(Debug, Parser)]
#[command(
    name = "runabout",
    version,
    about = "Queue commands, run them durably, and follow every byte of them from anywhere",
    after_help = EXAMPLES,
    after_long_help = FOOTER,
    arg_required_else_help = true,
    subcommand_required = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What every subcommand takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every subcommand takes, before or after its name.
#[derive(Args, Clone, Debug, Default)]
pub struct Global {
    /// The daemon: http://HOST:PORT, https://HOST:PORT, or unix:/path/of/its/socket; all boxes: --hub URL, put first
    #[arg(long, global = true, value_name = "URL", help_heading = "Everywhere")]
    pub url: Option<String>,
    /// The daemon's state directory; its socket is in it
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    pub state_dir: Option<PathBuf>,
    /// The authority that signed the daemon's certificate, in PEM, instead of the system's
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub ca: Option<PathBuf>,
    /// Answer in JSON, for machines
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Be the daemon
    Serve(ServeOptions),
    /// Queue a command, follow it, and exit as it does
    #[command(override_usage = submit_usage!("run"), after_help = RUN_HELP)]
    Run(RunOptions),
    /// Queue a command and print its run's number
    #[command(override_usage = submit_usage!("add"), after_help = ADD_HELP)]
    Add(SubmitOptions),
    /// List runs, the newest first
    Ls(LsOptions),
    /// Tell everything about a run
    Show {
        /// A run's number, or `last`
        id: Id,
    },
    /// Print what runs printed
    #[command(after_help = LOGS_HELP)]
    Logs(LogsOptions),
    /// Sit at a running command: see what it prints, and type
    #[command(after_help = ATTACH_HELP)]
    Attach(AttachOptions),
    /// List what a run left in $RUNABOUT_ARTIFACTS, or save one of it
    #[command(after_help = help::ARTIFACTS_HELP)]
    Artifacts(ArtifactsOptions),
    /// Find a text in what runs printed, the newest first
    #[command(after_help = help::SEARCH_HELP)]
    Search(SearchOptions),
    /// Wait until runs have ended; exit as the first of them that failed
    Wait {
        /// Runs' numbers, or `last`
        #[arg(required = true, value_name = "ID")]
        ids: Vec<Id>,
        /// Ring the terminal when all have ended, and show a notification where terminal or desktop have one
        #[arg(long)]
        notify: bool,
    },
    /// Ask for the end of runs
    #[command(after_help = help::CANCEL_HELP)]
    Cancel(CancelOptions),
    /// Queue a finished run's command again and print the new run's number
    #[command(after_help = "\
Examples:
  runabout retry last
  runabout retry --failed --since 1h        all that failed, and were not tried again yet")]
    Retry(RetryOptions),
    /// Delete finished runs and their events
    Rm {
        /// Runs' numbers, or `last`
        #[arg(required = true, value_name = "ID")]
        ids: Vec<Id>,
    },
    /// List, make, change or delete queues
    #[command(after_help = "\
Examples:
  runabout queue                      list them
  runabout queue gpu --slots 2        make it, or change it, to run two at a time
  runabout queue gpu --pause          start nothing more from it; what runs goes on
  runabout queue gpu --delete")]
    Queue(QueueOptions),
    /// List, make, change, start or delete jobs
    #[command(after_help = JOB_HELP, arg_required_else_help = true, subcommand_required = true)]
    Job {
        /// What to do with them.
        #[command(subcommand)]
        command: JobCommand,
    },
    /// List, make, change, test or delete hooks: whom the daemon tells that a run has ended
    #[command(after_help = HOOK_HELP, arg_required_else_help = true, subcommand_required = true)]
    Hook {
        /// What to do with them.
        #[command(subcommand)]
        command: HookCommand,
    },
    /// List, move or delete cursors: what comes after them is kept for their readers
    #[command(after_help = CURSOR_HELP, arg_required_else_help = true, subcommand_required = true)]
    Cursor {
        /// What to do with them.
        #[command(subcommand)]
        command: CursorCommand,
    },
    /// Say how far the run is whose command calls this
    #[command(
        override_usage = "\
runabout progress [OPTIONS] PERCENT [MESSAGE]
       runabout progress [OPTIONS] --message TEXT",
        after_help = "\
Examples, in a run's script:
  runabout progress 40                 everybody who follows the run sees 40 %
  runabout progress 40 'half of it'    and this
  runabout progress --message 'almost' no figure

It uses what the daemon gives to each command: RUNABOUT_URL, RUNABOUT_RUN_ID and RUNABOUT_RUN_TOKEN, which is worth \
nothing to others and nothing after the run. From anywhere else, --run says which run."
    )]
    Progress(ProgressOptions),
    /// Remove now what has expired
    Prune,
    /// Start nothing more, and wait for what runs
    #[command(after_help = DRAIN_HELP)]
    Drain(DrainOptions),
    /// Copy the database while the daemon works; artifacts are files beside it
    #[command(after_help = BACKUP_HELP)]
    Backup(BackupOptions),
    /// Put a copy in the place of the database, while no daemon runs
    #[command(after_help = RESTORE_HELP)]
    Restore(RestoreOptions),
    /// Look whether all is well with the daemon, its files and this machine
    #[command(after_help = DOCTOR_HELP)]
    Doctor(DoctorOptions),
    /// Make an enrollment token and print it: it is traded once for a session
    Enroll(EnrollOptions),
    /// Save a session with a daemon on the network, for all commands that follow
    #[command(after_help = "\
Examples:
  ssh pi runabout enroll | runabout login http://pi.local:7867
  ssh pi runabout enroll | runabout login --ca ca.pem https://pi.local:7867
  RUNABOUT_TOKEN=rbs_… runabout login http://pi.local:7867

It is saved in $XDG_CONFIG_HOME/runabout/login.toml (~/.config/runabout/login.toml), for you alone to read.")]
    Login {
        /// The daemon: http://HOST:PORT or https://HOST:PORT
        #[arg(value_name = "URL")]
        address: String,
        /// An enrollment or session token [default: RUNABOUT_TOKEN, else a line of standard input]
        token: Option<String>,
    },
    /// End the session that `login` saved, and forget it
    #[command(after_help = "\
From then on commands go to this machine's own daemon again. A daemon that cannot be reached keeps the session until it \
expires; there, `runabout sessions --revoke ID` ends it.")]
    Logout,
    /// List sessions, or revoke one
    Sessions {
        /// End this session; its open streams end with it
        #[arg(long, value_name = "ID", value_parser = from_1::<i64>)]
        revoke: Option<i64>,
    },
    /// Print what makes a shell complete these command lines
    #[command(after_help = "\
Examples:
  runabout completions bash > ~/.local/share/bash-completion/completions/runabout
  runabout completions zsh > ~/.zfunc/_runabout            with ~/.zfunc in $fpath
  runabout completions fish > ~/.config/fish/completions/runabout.fish")]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Write the manual and the completions into a directory, for packages
    #[command(hide = true)]
    Manual {
        /// Made where it is missing
        dir: PathBuf,
    },
}

/// The flags of the daemon; what is left out comes from the environment, then the configuration.
#[derive(Args, Debug)]
pub struct ServeOptions {
    /// Where to listen on TCP, or `none`; port 0 picks a free one [default: 127.0.0.1:7867]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<String>,
    /// The configuration [default: config.toml in the state directory, if there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How much to log: error, warn, info, debug, trace or off [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
    /// How to log: text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// When it stops, end also the commands of runs that survive the daemon
    #[arg(long)]
    pub stop_all: bool,
    /// Only validate the configuration
    #[arg(long)]
    pub check: bool,
}

impl Cli {
    /// Reads this process's own arguments; what `--help`, `--version` or a mistake has to say is printed.
    ///
    /// # Errors
    /// The code to exit with where there is nothing more to do: 0, or 2 for a mistake.
    pub fn read() -> Result<Cli, ExitCode> {
        Cli::try_parse_from(terminal::spelled_out(std::env::args_os(), Cli::command))
            .and_then(Cli::checked)
            .map_err(tips::with_tip)
            .map_err(|error| {
                // It quotes arguments, which may come from anywhere.
                let text = printable_lines(&error.render().to_string());
                let mut out: Box<dyn io::Write> =
                    if error.use_stderr() { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
                let _ = out.write_all(text.as_bytes());
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
            })
    }

    /// What means nothing to a subcommand is told rather than ignored.
    fn checked(self) -> Result<Cli, clap::Error> {
        let Global { url, state_dir, ca, json } = &self.global;
        let stray = match self.command {
            Command::Serve(_) if url.is_some() || ca.is_some() || *json => {
                Some("`serve` takes none of --url, --ca and --json; --listen says where to serve")
            }
            Command::Login { .. } if url.is_some() || state_dir.is_some() => {
                Some("`login` takes the daemon's URL as its argument: no --url, no --state-dir")
            }
            Command::Logout if url.is_some() || state_dir.is_some() => {
                Some("`logout` ends the one session that `login` saved: no --url, no --state-dir")
            }
            Command::Backup(_) | Command::Restore(_) | Command::Doctor(_) if url.is_some() => Some(
                "this works on the daemon's files: no --url; run it on the daemon's machine, as by \
                 `ssh HOST sudo runabout backup - > FILE`",
            ),
            _ => None,
        };
        if let Some(text) = stray {
            return Err(Cli::command().error(ErrorKind::ArgumentConflict, text));
        }
        let (many, all) = match &self.command {
            Command::Cancel(options) => (Some(&options.many), ("--all", options.all)),
            Command::Retry(options) => (Some(&options.many), ("--failed", options.failed)),
            _ => (None, ("", false)),
        };
        if many.is_some_and(|many| !many.is_nothing() && !all.1) {
            let text =
                format!("filters, --dry-run and --yes are for many runs at once: add {}, or leave them out", all.0);
            return Err(Cli::command().error(ErrorKind::ArgumentConflict, text));
        }
        match &self.command {
            Command::Queue(queue) => match queue.meant() {
                Some(tip) => Err(Cli::command().error(ErrorKind::UnknownArgument, tip)),
                None => Ok(self),
            },
            _ => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' ')).and_then(Cli::checked)
    }

    fn submit(line: &str) -> SubmitOptions {
        match read(line).expect(line).command {
            Command::Run(options) => options.submit,
            Command::Add(options) => options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_subcommand() {
        for line in ["runabout --json --url http://a ls", "runabout ls --json --url http://a"] {
            let global = read(line).expect(line).global;
            assert!(global.json && global.url.as_deref() == Some("http://a"), "{line}");
        }
        assert_eq!(read("runabout serve --state-dir /a").expect("serve").global.state_dir, Some("/a".into()));
        assert_eq!(read("runabout --state-dir /a serve").expect("serve").global.state_dir, Some("/a".into()));
        assert!(read("runabout serve --url http://a").is_err());
    }

    #[test]
    fn what_follows_the_command_is_its_own() {
        assert_eq!(submit("runabout run -- ls -la --json").command, ["ls", "-la", "--json"]);
        assert_eq!(submit("runabout run -q gpu ls -la -- x").command, ["ls", "-la", "--", "x"]);
        assert_eq!(submit("runabout add -p -5 -e A=b=c --tag x --tag y -- true").priority, Some(-5));
        assert_eq!(submit("runabout add -e A=b=c -- true").env, [("A".to_owned(), "b=c".to_owned())]);
        assert_eq!(submit("runabout run -- --limits 1G").command, ["--limits", "1G"]);
    }

    #[test]
    fn an_unknown_option_before_the_command_is_no_command() {
        for line in ["run --limits 1G -- true", "add -q gpu --limits true", "job set nightly --limits 1G true"] {
            let error = read(&format!("runabout {line}")).expect_err(line).to_string();
            assert!(error.contains("'--limits'"), "{line}: {error}");
        }
        let short = read("runabout run -z true").expect_err("no such option").to_string();
        assert!(short.contains("'-z'"), "{short}");
    }

    #[test]
    fn exactly_one_of_command_script_and_file() {
        for line in ["runabout run", "runabout run --", "runabout run -s true -- false", "runabout run -s a --file b"] {
            assert!(read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn ids_and_cursors_are_read_strictly() {
        assert_eq!("last".parse(), Ok(Id::Last));
        assert_eq!("42".parse(), Ok(Id::Number(42)));
        for wrong in ["", "0", "-1", "+1", "x", "99999999999999999999"] {
            assert!(wrong.parse::<Id>().is_err(), "{wrong:?}");
        }
        assert!(read("runabout logs --after -20 last").is_ok());
        assert!(read("runabout logs --after newest last").is_err());
        assert!(read("runabout logs -f").is_err());
        let of_two = read("runabout logs -f 41 last").expect("two").command;
        assert!(matches!(of_two, Command::Logs(LogsOptions { ids, .. }) if ids == [Id::Number(41), Id::Last]));
    }

    #[test]
    fn what_a_number_may_be_is_said_without_the_words_of_a_parser() {
        for wrong in [
            "add -p high -- a",
            "ls --limit x",
            "ls --limit 0",
            "ls --limit 99999999999",
            "enroll --uses x",
            "sessions --revoke x",
            "queue gpu --slots x",
            "queue gpu --slots 99999999999999999999",
        ] {
            let error = read(&format!("runabout {wrong}")).expect_err(wrong).to_string();
            assert!(error.contains("it must be a whole number, from "), "{wrong}: {error}");
        }
        assert!(read("runabout queue gpu --slots 0").is_ok(), "the daemon says what it allows");
    }

    #[test]
    fn progress_has_a_figure_or_words() {
        let options = |line: &str| match read(line).map(|cli| cli.command) {
            Ok(Command::Progress(options)) => Some((options.percent, options.words.or(options.message))),
            _ => None,
        };
        assert_eq!(options("runabout progress 40"), Some((Some(40.0), None)));
        assert_eq!(options("runabout progress 12.5% half"), Some((Some(12.5), Some("half".to_owned()))));
        assert_eq!(options("runabout progress -m half"), Some((None, Some("half".to_owned()))));
        assert_eq!(options("runabout progress 1 -m half"), Some((Some(1.0), Some("half".to_owned()))));
        for wrong in ["", " -1", " 101", " NaN", " half", " 1 a -m b"] {
            assert_eq!(options(&format!("runabout progress{wrong}")), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_queue_is_named_before_it_is_changed() {
        assert!(read("runabout queue --slots 2").is_err());
        assert!(read("runabout queue gpu --pause --resume").is_err());
        assert!(read("runabout queue gpu --slots 2 --pause").is_ok());
    }
}
