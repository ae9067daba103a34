//! `queue`: lists queues, shows, makes, changes or deletes one.

use hyper::Method;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::context::{Context, one_value};
use crate::cli::args::QueueOptions;
use crate::cli::print::{self, Colour, Paint, Table};
use crate::cli::view::{limits_text, read};
use crate::client::connection::{Ask, encoded};
use crate::client::failure::Failure;
use crate::text::printable;
use crate::wire::QueueBody;

#[derive(Deserialize)]
struct Listed {
    queues: Vec<QueueBody<'static>>,
}

/// Does what the words say.
pub async fn queue(context: &Context, options: QueueOptions) -> Result<u8, Failure> {
    let Some(name) = &options.name else {
        if !options.limits.limits().is_none() {
            return Err(Failure::Usage(
                "name the queue whose runs get these limits: runabout queue NAME --memory 1G".to_owned(),
            ));
        }
        return list(context).await;
    };
    let path = format!("/v1/queues/{}", encoded(name));
    if options.delete {
        context.daemon.ask(&Ask::new(Method::DELETE, path)).await?;
        print::note(&format!("queue {}: deleted", printable(name)));
        return Ok(0);
    }
    let ask = match changes(&options) {
        Some(changes) => Ask::new(Method::PUT, path).with(&changes),
        None => Ask::get(path),
    };
    let body = context.daemon.ask(&ask).await?;
    if context.json {
        print::answer_json(one_value(&body)?)?;
    } else {
        print::answer(&table(&[read(&body)?]))?;
    }
    Ok(0)
}

async fn list(context: &Context) -> Result<u8, Failure> {
    let body = context.daemon.ask(&Ask::get("/v1/queues")).await?;
    if context.json {
        let listed: Value = read(&body)?;
        print::answer_json(&listed["queues"].to_string())?;
    } else {
        print::answer(&table(&read::<Listed>(&body)?.queues))?;
    }
    Ok(0)
}

/// What is to be different; `None` when nothing is.
fn changes(options: &QueueOptions) -> Option<Value> {
    let mut changes = Map::new();
    if let Some(slots) = options.slots {
        changes.insert("slots".to_owned(), slots.into());
    }
    if options.pause || options.resume {
        changes.insert("paused".to_owned(), options.pause.into());
    }
    if !options.limits.limits().is_none() || options.no_limits {
        changes.insert("limits".to_owned(), serde_json::to_value(options.limits.limits()).unwrap_or_default());
    }
    if options.survive || options.no_survive {
        changes.insert("survive".to_owned(), options.survive.into());
    }
    (!changes.is_empty()).then_some(Value::Object(changes))
}

fn table(queues: &[QueueBody]) -> String {
    let mut table = Table::new(&["QUEUE", ">SLOTS", ">QUEUED", ">RUNNING", "STATE", "LIMITS", "SURVIVES"]);
    for queue in queues {
        let (state, colour) = if queue.paused { ("paused", Colour::Yellow) } else { ("open", Colour::Plain) };
        table.row([
            (&queue.name, Colour::Plain),
            (&queue.slots.to_string(), Colour::Plain),
            (&queue.queued.to_string(), Colour::Plain),
            (&queue.running.to_string(), Colour::Plain),
            (state, colour),
            (&limits_text(&queue.limits), Colour::Plain),
            (if queue.survive { "yes" } else { "" }, Colour::Plain),
        ]);
    }
    table.show(Paint::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_said_is_changed() {
        let options = |slots, pause, resume| QueueOptions { slots, pause, resume, ..QueueOptions::default() };
        assert_eq!(changes(&options(None, false, false)), None);
        assert_eq!(changes(&options(Some(2), false, false)), Some(serde_json::json!({"slots": 2})));
        assert_eq!(changes(&options(None, true, false)), Some(serde_json::json!({"paused": true})));
        assert_eq!(changes(&options(None, false, true)), Some(serde_json::json!({"paused": false})));
        let survive = |survive| QueueOptions { survive, no_survive: !survive, ..QueueOptions::default() };
        assert_eq!(changes(&survive(true)), Some(serde_json::json!({"survive": true})));
        assert_eq!(changes(&survive(false)), Some(serde_json::json!({"survive": false})));
    }
}
