//! `/v1/queues`

use serde_json::json;
use tide::StatusCode;

use crate::http::app::{self, Answer, Request, json_body, no_query, nothing};
use crate::http::audit::did;
use crate::http::types::incoming::queue_name;
use crate::http::types::queues::queue_from;
use crate::wire::QueueBody;

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
    let (app, change) = (request.state(), queue_from(fields)?);
    if let Some(limits) = &change.limits {
        app.limits.check("limits", limits)?;
    }
    if change.limits.is_some() || change.survive.is_some() {
        let known = app.store.queue(&name).unwrap_or_default();
        if change.survive.unwrap_or(known.survive) {
            app.limits.check_survivor("survive", change.limits.as_ref().unwrap_or(&known.limits))?;
        }
    }
    let (queue, created) = request.state().store.put_queue(name.clone(), change).await?;
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
