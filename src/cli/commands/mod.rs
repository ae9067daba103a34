//! One file a command, or a small group of them.
//!
//! Each takes the words and the daemon and gives an exit code or a failure; none may exit or print an error by itself.

mod access;
mod add;
mod caller;
mod completions;
mod drain;
mod login;
mod logs;
mod logs_of_several;
mod ls;
mod manual;
mod progress;
mod queue;
mod run;
mod runs;
mod show;
mod wait;
mod web;

use serde_json::value::RawValue;

use super::args::{Cli, Command, Id};
use super::choose::choose;
use super::view::{RunView, read};
use crate::client::connection::{Ask, Daemon};
use crate::client::failure::{Failure, Problem};
use crate::wire::RunsPage;

/// What every command is given.
struct Context {
    daemon: Daemon,
    json: bool,
}

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
    if let Command::Completions { shell } = cli.command {
        return completions::completions(shell);
    }
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
        Command::Add(options) => add::add(&context, options).await,
        Command::Ls(options) => ls::ls(&context, options).await,
        Command::Show { id } => show::show(&context, id).await,
        Command::Logs(options) => logs::logs(&context, options).await,
        Command::Wait { ids } => wait::wait(&context, &ids).await,
        Command::Cancel { ids, reason } => runs::cancel(&context, &ids, reason).await,
        Command::Retry { id } => runs::retry(&context, id).await,
        Command::Rm { ids } => runs::rm(&context, &ids).await,
        Command::Queue(options) => queue::queue(&context, options).await,
        Command::Drain(options) => drain::drain(&context, options).await,
        Command::Prune => access::prune(&context).await,
        Command::Enroll(options) => access::enroll(&context, options).await,
        Command::Sessions { revoke: Some(id) } => access::revoke(&context, id).await,
        Command::Sessions { revoke: None } => access::sessions(&context).await,
    }
}

impl Context {
    /// The number that a person's word for a run stands for.
    async fn number(&self, id: Id) -> Result<i64, Failure> {
        if let Id::Number(number) = id {
            return Ok(number);
        }
        let body = self.daemon.ask(&Ask::get("/v1/runs?limit=1")).await?;
        let page: RunsPage = read(&body)?;
        match page.runs.first() {
            Some(run) => Ok(read::<RunView>(run.get().as_bytes())?.id.0),
            None => Err(Failure::Refused(Box::new(Problem {
                status: 404,
                code: "run_not_found".into(),
                detail: "there is no run yet, so there is no last one".into(),
                ..Problem::default()
            }))),
        }
    }

    /// All of them, before anything is done to the first.
    async fn numbers(&self, ids: &[Id]) -> Result<Vec<i64>, Failure> {
        let mut numbers = Vec::with_capacity(ids.len());
        for id in ids {
            numbers.push(self.number(*id).await?);
        }
        Ok(numbers)
    }
}

/// An answer that is one JSON value, as it came.
fn one_value(body: &[u8]) -> Result<&str, Failure> {
    let value: &RawValue = read(body)?;
    Ok(value.get())
}
