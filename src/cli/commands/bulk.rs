//! What is done to all runs that filters leave: asked for until nothing is left to do.

use hyper::Method;
use serde_json::Value;

use super::context::Context;
use super::ls::query;
use crate::cli::args::Many;
use crate::cli::print;
use crate::cli::view::read;
use crate::client::connection::Ask;
use crate::client::failure::Failure;
use crate::wire::BulkBody;

/// What was done to a run, in the words of who is told.
pub(super) const CANCELED: &str = "canceled";
/// The same of one that has a new run now.
pub(super) const RETRIED: &str = "tried again";

/// Does it, page after page, and tells to how many. Without a filter it has to be said that all are meant.
pub(super) async fn bulk(context: &Context, path: &str, many: &Many, body: &Value, done: &str) -> Result<u8, Failure> {
    let must_ask = many.filters.are_none() && !many.yes;
    let dry_run = many.dry_run || must_ask;
    let path = format!("{path}?all=true&dry_run={dry_run}{}", query(&many.filters));
    let total = pages(context, path, body).await?;
    if must_ask && !many.dry_run && total.count > 0 {
        let text = format!("{} would be {done}: add a filter, or --yes for all of them", runs(total.count));
        return Err(Failure::Usage(text));
    }
    if context.json {
        print::answer_json(&serde_json::to_string(&total).unwrap_or_default())?;
    } else {
        print::answer(&told(&total, dry_run, done))?;
    }
    Ok(0)
}

async fn pages(context: &Context, path: String, body: &Value) -> Result<BulkBody, Failure> {
    let (mut total, mut next) = (BulkBody::default(), Some(path));
    while let Some(path) = next {
        let answer: BulkBody = read(&context.daemon.ask(&Ask::new(Method::POST, path.clone()).with(body)).await?)?;
        total.count += answer.count;
        total.running += answer.running;
        total.skipped += answer.skipped;
        // A page that names itself would never end.
        next = answer.next.filter(|next| *next != path);
    }
    Ok(total)
}

fn runs(count: usize) -> String {
    if count == 1 { "1 run".to_owned() } else { format!("{count} runs") }
}

fn told(total: &BulkBody, dry_run: bool, done: &str) -> String {
    let mut text = format!("{} {done}", runs(total.count));
    if dry_run {
        text = format!("{} would be {done}", runs(total.count));
    }
    if total.running > 0 {
        text.push_str(&format!(", {} of them still stopping", total.running));
    }
    if total.skipped > 0 {
        text.push_str(&format!("; {} left alone", total.skipped));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_are_told_in_words() {
        let total = |count, running, skipped| BulkBody { count, running, skipped, next: None };
        assert_eq!(told(&total(0, 0, 0), false, CANCELED), "0 runs canceled");
        assert_eq!(told(&total(12, 1, 0), false, CANCELED), "12 runs canceled, 1 of them still stopping");
        assert_eq!(told(&total(1, 0, 2), true, RETRIED), "1 run would be tried again; 2 left alone");
    }
}
