//! `cancel`, `retry` and `rm`: what changes runs that are there.
//!
//! With several runs, a refusal of one keeps none of the others from its turn; the exit code tells of it.

use hyper::Method;
use serde_json::json;

use super::bulk::{self, bulk};
use super::context::{Context, one_value};
use crate::cli::args::{CancelOptions, Id, RetryOptions};
use crate::cli::print;
use crate::cli::view::{RunView, read};
use crate::client::connection::Ask;
use crate::client::failure::Failure;
use crate::text::printable;

/// Asks for their end.
pub async fn cancel(context: &Context, options: CancelOptions) -> Result<u8, Failure> {
    let CancelOptions { ids, reason, now, all, many } = options;
    let mut code = 0;
    let mut body = json!({});
    if let Some(reason) = reason {
        body["reason"] = reason.into();
    }
    if now {
        body["now"] = true.into();
    }
    if all {
        return bulk(context, "/v1/runs/cancel", &many, &body, bulk::CANCELED).await;
    }
    for number in context.numbers(&ids).await? {
        let ask = Ask::new(Method::POST, format!("/v1/runs/{number}/cancel")).with(&body);
        match context.daemon.ask(&ask).await {
            Ok(body) if context.json => print::answer_json(one_value(&body)?)?,
            Ok(body) => {
                let run: RunView = read(&body)?;
                let status = run.status.to_string();
                let status = printable(&status);
                let done = if run.outcome().is_terminal() { &*status } else { "stopping" };
                print::note(&format!("run {number}: {done}"));
            }
            Err(failure) => code = told(failure)?,
        }
    }
    Ok(code)
}

/// Queues it again.
pub async fn retry(context: &Context, options: RetryOptions) -> Result<u8, Failure> {
    let Some(id) = options.id else {
        return bulk(context, "/v1/runs/retry", &options.many, &json!({}), bulk::RETRIED).await;
    };
    let number = context.number(id).await?;
    let body = context.daemon.ask(&Ask::new(Method::POST, format!("/v1/runs/{number}/retry"))).await?;
    if context.json {
        print::answer_json(one_value(&body)?)?;
    } else {
        print::answer(&read::<RunView>(&body)?.id.to_string())?;
    }
    Ok(0)
}

/// Deletes them.
pub async fn rm(context: &Context, ids: &[Id]) -> Result<u8, Failure> {
    let mut code = 0;
    for number in context.numbers(ids).await? {
        match context.daemon.ask(&Ask::new(Method::DELETE, format!("/v1/runs/{number}"))).await {
            Ok(_) => print::note(&format!("run {number}: deleted")),
            Err(failure) => code = told(failure)?,
        }
    }
    Ok(code)
}

/// A refusal is told and the rest goes on; anything else concerns the rest as well.
fn told(failure: Failure) -> Result<u8, Failure> {
    match failure {
        Failure::Refused(_) => {
            print::warn(&failure.to_string());
            Ok(failure.exit_code())
        }
        other => Err(other),
    }
}
