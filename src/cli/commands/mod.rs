//! One file a command, or a small group of them.
//!
//! Each takes the words and the daemon and gives an exit code or a failure; none may exit or print an error by itself.

mod access;
mod add;
mod artifacts;
#[cfg(unix)]
mod attach;
mod bulk;
mod caller;
#[cfg(feature = "daemon")]
mod completions;
mod context;
mod cursor;
mod drain;
mod hook;
mod job;
mod login;
mod logs;
mod logs_of_several;
mod ls;
#[cfg(feature = "daemon")]
mod manual;
mod named;
mod notices;
mod progress;
mod queue;
mod run;
mod runs;
mod search;
mod show;
mod tail;
mod wait;
mod web;

use self::context::Context;
use super::args::{Cli, Command};
use super::choose::choose;
use crate::client::connection::Daemon;
use crate::client::failure::Failure;

/// Does one command.
pub async fn dispatch(cli: Cli) -> Result<u8, Failure> {
    if let Command::Login { address, token } = cli.command {
        return login::login(&cli.global, &address, token).await;
    }
    if let Command::Logout = cli.command {
        return login::logout(&cli.global).await;
    }
    if let Command::Progress(options) = cli.command {
        return progress::progress(&cli.global, options).await;
    }
    #[cfg(feature = "daemon")]
    if let Command::Completions { shell } = cli.command {
        return completions::completions(shell);
    }
    #[cfg(feature = "daemon")]
    if let Command::Manual { dir } = cli.command {
        return manual::manual(&dir);
    }
    let target = choose(&cli.global)?;
    let context = Context { daemon: Daemon::new(target), json: cli.global.json };
    match cli.command {
        // Taken before they come here.
        Command::Serve(_)
        | Command::Login { .. }
        | Command::Logout
        | Command::Progress(_)
        | Command::Completions { .. }
        | Command::Manual { .. } => Ok(2),
        Command::Backup(_) | Command::Restore(_) | Command::Doctor(_) => Ok(2),
        Command::Run(options) => run::run(&context, options).await,
        #[cfg(unix)]
        Command::Attach(options) => attach::attach(&context, options).await,
        #[cfg(not(unix))]
        Command::Attach(_) => {
            Err(Failure::Usage("attach needs a Unix terminal; `runabout logs -f ID` follows a run anywhere".into()))
        }
        Command::Add(options) => add::add(&context, options).await,
        Command::Ls(options) => ls::ls(&context, options).await,
        Command::Show { id } => show::show(&context, id).await,
        Command::Artifacts(options) => artifacts::artifacts(&context, options).await,
        Command::Search(options) => search::search(&context, options).await,
        Command::Logs(options) => logs::logs(&context, options).await,
        Command::Wait { ids, notify } => wait::wait(&context, &ids, notify).await,
        Command::Cancel(options) => runs::cancel(&context, options).await,
        Command::Retry(options) => runs::retry(&context, options).await,
        Command::Rm { ids } => runs::rm(&context, &ids).await,
        Command::Queue(options) => queue::queue(&context, options).await,
        Command::Job { command } => job::job(&context, command).await,
        Command::Hook { command } => hook::hook(&context, command).await,
        Command::Cursor { command } => cursor::cursor(&context, command).await,
        Command::Drain(options) => drain::drain(&context, options).await,
        Command::Prune => access::prune(&context).await,
        Command::Enroll(options) => access::enroll(&context, options).await,
        Command::Sessions { revoke: Some(id) } => access::revoke(&context, id).await,
        Command::Sessions { revoke: None } => access::sessions(&context).await,
    }
}
