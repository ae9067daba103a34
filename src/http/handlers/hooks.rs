//! `/v1/hooks` and the paths below a hook.
//!
//! No URL of a target is ever part of a log line, and a secret stands in one answer alone.

use serde_json::json;
use tide::StatusCode;

use crate::hook::{DeliveryStatus, Hook, Secret};
use crate::http::app::{self, Answer, Request, json_body, no_query, nothing, query};
use crate::http::audit::did;
use crate::http::error::Problem;
use crate::http::types::hooks::{hook_from, hook_name};
use crate::wire::{DeliveryBody, HookBody};

/// Deliveries that a list shows unless told otherwise.
const LIST_DEFAULT: i64 = 50;
/// Deliveries that a list shows at most.
const LIST_MAX: i64 = 500;

fn name_of(request: &Request) -> String {
    request.param("name").unwrap_or_default().to_owned()
}

fn random() -> Result<[u8; 32], Problem> {
    let mut bytes = [0; 32];
    let filled = getrandom::fill(&mut bytes);
    filled.map_err(|error| Problem::internal(format!("the system gave no random bytes: {error}")))?;
    Ok(bytes)
}

fn show(hook: &Hook) -> Answer {
    app::json(StatusCode::Ok, &HookBody::new(hook, None))
}

/// `GET /v1/hooks`
pub async fn list(request: Request) -> Answer {
    no_query(&request)?;
    let hooks = request.state().store.hooks().await?;
    let bodies: Vec<HookBody> = hooks.iter().map(|hook| HookBody::new(hook, None)).collect();
    app::json(StatusCode::Ok, &json!({ "hooks": bodies }))
}

/// `GET /v1/hooks/:name`
pub async fn get(request: Request) -> Answer {
    no_query(&request)?;
    show(&request.state().store.hook(name_of(&request)).await?)
}

/// `PUT /v1/hooks/:name`
pub async fn put(request: Request) -> Answer {
    no_query(&request)?;
    let name = name_of(&request);
    let mut fields = json_body(&request).await?;
    if let Err(message) = hook_name(&name) {
        fields.wrong("name", "value", message);
    }
    let app = request.state();
    let (spec, secret) = hook_from(fields, app.own)?;
    let (is_given, fresh) = (secret.is_some(), Secret::of(&random()?));
    let put = app.store.put_hook(name.clone(), spec, secret, fresh.clone()).await?;
    let shown = (put.created && !is_given).then(|| fresh.reveal());
    let status = if put.created { StatusCode::Created } else { StatusCode::Ok };
    let response = app::json(status, &HookBody::new(&put.hook, shown))?;
    Ok(match (put.created, put.changed) {
        (true, _) => did(response, format_args!("hook {name} was made")),
        (false, true) => did(response, format_args!("hook {name} was changed")),
        (false, false) => response,
    })
}

/// `PATCH /v1/hooks/:name`
pub async fn change(request: Request) -> Answer {
    no_query(&request)?;
    let name = name_of(&request);
    let mut fields = json_body(&request).await?;
    if !fields.gives("enabled") {
        fields.wrong("enabled", "required", "must be true or false");
    }
    let enabled = fields.boolean("enabled").unwrap_or(false);
    fields.finish()?;
    let hook = request.state().store.enable_hook(name.clone(), enabled).await?;
    let verb = if enabled { "enabled" } else { "disabled" };
    Ok(did(show(&hook)?, format_args!("hook {name} was {verb}")))
}

/// `DELETE /v1/hooks/:name`
pub async fn delete(request: Request) -> Answer {
    no_query(&request)?;
    let name = name_of(&request);
    request.state().store.delete_hook(name.clone()).await?;
    Ok(did(nothing(), format_args!("hook {name} was removed")))
}

/// `GET /v1/hooks/:name/deliveries`
pub async fn deliveries(request: Request) -> Answer {
    let name = name_of(&request);
    let mut query = query(&request);
    let limit = query.integer("limit", 1, LIST_MAX).unwrap_or(LIST_DEFAULT) as usize;
    let before = query.integer("before", 1, i64::MAX).unwrap_or(i64::MAX);
    let words: Vec<&str> = DeliveryStatus::ALL.iter().map(|status| status.as_str()).collect();
    let known = |text: &str| {
        DeliveryStatus::parse(text).map(drop).ok_or_else(|| format!("must be one of {}", words.join(", ")))
    };
    let status = query.text("status", known);
    query.finish()?;
    let of = status.as_deref().and_then(DeliveryStatus::parse);
    let found = request.state().store.deliveries(name.clone(), of, before, limit).await?;
    let last = found.last().filter(|_| found.len() == limit);
    let status = status.map_or(String::new(), |status| format!("&status={status}"));
    let next = last.map(|last| format!("/v1/hooks/{name}/deliveries?limit={limit}&before={}{status}", last.id));
    let bodies: Vec<DeliveryBody> = found.into_iter().map(DeliveryBody::from).collect();
    app::json(StatusCode::Ok, &json!({ "deliveries": bodies, "next": next }))
}

/// `POST /v1/hooks/:name/deliveries/:id/redeliver`
pub async fn redeliver(request: Request) -> Answer {
    no_query(&request)?;
    json_body(&request).await?.finish()?;
    let name = name_of(&request);
    let unknown = |text| Problem::delivery_not_found(format!("hook \"{name}\" has no delivery {text}"));
    let id = app::id(&request, unknown)?;
    let delivery = request.state().store.redeliver(name.clone(), id).await?;
    let response = app::json(StatusCode::Accepted, &DeliveryBody::from(delivery))?;
    Ok(did(response, format_args!("delivery {id} of hook {name} was queued again")))
}

/// `POST /v1/hooks/:name/test`
pub async fn test(request: Request) -> Answer {
    no_query(&request)?;
    json_body(&request).await?.finish()?;
    let name = name_of(&request);
    let delivery = request.state().store.test_hook(name.clone()).await?;
    let response = app::json(StatusCode::Accepted, &DeliveryBody::from(delivery))?;
    Ok(did(response, format_args!("hook {name} was tested")))
}
