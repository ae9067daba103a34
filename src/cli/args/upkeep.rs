//! The words of what looks after a daemon: `drain`, and what works on its files, `backup`, `restore`, `doctor`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::duration;

/// How to drain.
#[derive(Args, Debug)]
pub struct DrainOptions {
    /// Start runs again
    #[arg(long, conflicts_with_all = ["no_wait", "timeout"])]
    pub undo: bool,
    /// Do not wait for what runs
    #[arg(long)]
    pub no_wait: bool,
    /// Wait at most so long: 90, 90s, 15m, 2h; exit 1 where something still runs then
    #[arg(long, value_name = "TIME", conflicts_with = "no_wait", value_parser = duration::parse_s)]
    pub timeout: Option<i64>,
}

/// Where a copy goes.
#[derive(Args, Debug)]
pub struct BackupOptions {
    /// The copy, a file that is not there yet; `-` is standard output
    pub file: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    pub force: bool,
}

/// What to put in the database's place.
#[derive(Args, Debug)]
pub struct RestoreOptions {
    /// What `backup` made; `-` is standard input
    pub file: PathBuf,
    /// Pause all queues and disable all hooks, so that nothing that it holds is started or told by itself
    #[arg(long)]
    pub pause: bool,
    /// End all sessions: everybody has to log in again
    #[arg(long)]
    pub no_sessions: bool,
}

/// How far to look.
#[derive(Args, Debug)]
pub struct DoctorOptions {
    /// The daemon's configuration [default: what a running daemon was given, else config.toml in the state directory]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Check the whole database, however long that takes
    #[arg(long)]
    pub full: bool,
}

/// After the help of `drain`.
pub const DRAIN_HELP: &str = "\
Examples:
  runabout drain && systemctl restart runabout    before an upgrade: nothing is interrupted
  runabout drain --timeout 15m || runabout ls --status running
  runabout drain --undo

Submits are queued as ever, and start with the next daemon: a drain ends with the daemon that it was asked of.";

/// After the help of `backup`.
pub const BACKUP_HELP: &str = "\
Examples:
  runabout backup /mnt/usb/runabout-$(date +%F).db
  ssh pi sudo runabout backup - > pi.db           from another machine
  runabout backup - | age -r KEY > runabout.age

The daemon goes on working meanwhile, and the copy is one moment of its database. It is checked before it gets its \
name. With `-` it is first written to TMPDIR, or /var/tmp. It holds commands, their output, env and stdin in clear. It \
does not hold artifacts, which are files beside the database: copy the directory `artifacts` of the state directory too, \
after the database. Where there are any, the command says so.";

/// After the help of `restore`.
pub const RESTORE_HELP: &str = "\
Examples:
  systemctl stop runabout; runabout restore runabout-2026-11-25.db; systemctl start runabout
  runabout restore --pause old.db                 look first, start nothing

No daemon may run on the state directory. What is there is kept beside it, under a name with the time. Readers are told \
by a new instance, ids go on where they were, and what was queued in the copy starts with the daemon, also where it has \
run since. Sessions of the copy are valid again, also those that were revoked since, unless --no-sessions.";

/// After the help of `doctor`.
pub const DOCTOR_HELP: &str = "\
It changes nothing, and works with a daemon that is down and as any user; what that user may not see, it says.
Exit: 0 nothing fails, warnings aside; 1 something does.";
