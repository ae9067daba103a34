//! What is done alike to jobs and hooks, which have names.

use hyper::Method;
use serde_json::json;

use super::context::{Context, one_value};
use crate::cli::print;
use crate::client::connection::Ask;
use crate::client::failure::Failure;
use crate::text::printable;

/// Deletes what has these names; `what` they are is for people.
pub(super) async fn rm(
    context: &Context,
    what: &str,
    path_of: fn(&str) -> String,
    names: &[String],
) -> Result<u8, Failure> {
    for name in names {
        context.daemon.ask(&Ask::new(Method::DELETE, path_of(name))).await?;
        print::note(&format!("{what} {}: deleted", printable(name)));
    }
    Ok(0)
}

/// Switches one on or off.
pub(super) async fn enable(
    context: &Context,
    what: &str,
    path_of: fn(&str) -> String,
    name: &str,
    enabled: bool,
) -> Result<u8, Failure> {
    let ask = Ask::new(Method::PATCH, path_of(name)).with(&json!({ "enabled": enabled }));
    let body = context.daemon.ask(&ask).await?;
    if context.json {
        print::answer_json(one_value(&body)?)?;
    } else {
        print::note(&format!("{what} {}: {}", printable(name), if enabled { "enabled" } else { "disabled" }));
    }
    Ok(0)
}
