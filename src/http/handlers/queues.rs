//! `/v1/queues`

use serde_json::json;
use tide::StatusCode;

use crate::http::app::{self, Answer, Request, json_body, no_query, nothing};
use crate::http::audit::did;
use crate::http::types::incoming::queue_name;
use crate::wire::QueueBody;

/// Slots of a queue, at most.
const SLOTS_MAX: i64 = 1_024;

/// `GET /v1/queues`
pub async fn list(request: Request) -> Answer {
    no_query(&request)?;
    let queues = request.state().store.queues();
    let bodies: Vec<_> = queues.iter().map(|(name, queue)| QueueBody::new(name, queue)).collect();
    app::json(StatusCode::Ok, &json!({ "queues": bodies }))
}

/// `GET /v1/queues/:name`
pub async fn get(request: Request) -> Answer {
    no_query(&request)?;
    let name = request.param("name").unwrap_or_default().to_owned();
    let queue = request.state().store.queue(&name)?;
    app::json(StatusCode::Ok, &QueueBody::new(&name, &queue))
}

/// `PUT /v1/queues/:name`
pub async fn put(request: Request) -> Answer {
    no_query(&request)?;
    let name = request.param("name").unwrap_or_default().to_owned();
    let mut fields = json_body(&request).await?;
    if let Err(message) = queue_name(&name) {
        fields.wrong("name", "value", message);
    }
    let slots = fields.integer("slots", 1, SLOTS_MAX);
    let paused = fields.boolean("paused");
    fields.finish()?;
    let (queue, created) = request.state().store.put_queue(name.clone(), slots, paused).await?;
    let status = if created { StatusCode::Created } else { StatusCode::Ok };
    let response = app::json(status, &QueueBody::new(&name, &queue))?;
    let verb = if created { "made" } else { "changed" };
    Ok(did(response, format_args!("queue {name} was {verb}, {} slots, paused: {},", queue.slots, queue.paused)))
}

/// `DELETE /v1/queues/:name`
pub async fn delete(request: Request) -> Answer {
    no_query(&request)?;
    let name = request.param("name").unwrap_or_default().to_owned();
    request.state().store.delete_queue(name.clone()).await?;
    Ok(did(nothing(), format_args!("queue {name} was deleted")))
}
