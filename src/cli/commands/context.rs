//! What every command is given, and how it understands a person's word for a run.

use serde_json::value::RawValue;

use crate::cli::args::Id;
use crate::cli::view::{RunView, read};
use crate::client::connection::{Ask, Daemon};
use crate::client::failure::{Failure, Problem};
use crate::wire::RunsPage;

/// What every command is given.
pub(super) struct Context {
    /// Whom it asks.
    pub(super) daemon: Daemon,
    /// Whether it answers machines.
    pub(super) json: bool,
}

impl Context {
    /// The number that a person's word for a run stands for.
    pub(super) async fn number(&self, id: Id) -> Result<i64, Failure> {
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
    pub(super) async fn numbers(&self, ids: &[Id]) -> Result<Vec<i64>, Failure> {
        let mut numbers = Vec::with_capacity(ids.len());
        for id in ids {
            numbers.push(self.number(*id).await?);
        }
        Ok(numbers)
    }

    /// Those of them that the daemon still knows, to tell of their ends.
    pub(super) async fn runs_to_tell(&self, numbers: &[i64]) -> Vec<RunView> {
        let mut runs = Vec::with_capacity(numbers.len());
        for number in numbers {
            let body = self.daemon.ask(&Ask::get(format!("/v1/runs/{number}"))).await;
            runs.extend(body.and_then(|body| read(&body)));
        }
        runs
    }
}

/// An answer that is one JSON value, as it came.
pub(super) fn one_value(body: &[u8]) -> Result<&str, Failure> {
    let value: &RawValue = read(body)?;
    Ok(value.get())
}
