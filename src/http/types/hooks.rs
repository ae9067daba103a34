//! What clients say of hooks.

use super::fields::Fields;
use super::incoming::{queue_name, tag};
use super::jobs::job_name;
use crate::hook::{Form, HookSpec, ON, SECRET_FORM, Secret, Target};
use crate::hooks::Own;
use crate::http::error::Problem;
use crate::run::Status;

/// Whether a text may name a hook.
pub fn hook_name(text: &str) -> Result<(), String> {
    queue_name(text)
}

/// What a PUT says that a hook is, and its secret, if it says one.
///
/// # Errors
/// All that is wrong with it at once.
pub fn hook_from(mut fields: Fields, own: Own) -> Result<(HookSpec, Option<Secret>), Problem> {
    if !fields.gives("url") {
        fields.wrong("url", "required", "is needed: where ends are told, like https://HOST/PATH");
    }
    let url = fields.text("url", |text| Target::parse(text).map(drop));
    let secret = fields.text("secret", |text| Secret::parse(text).map(drop).ok_or_else(|| SECRET_FORM.to_owned()));
    let on = on_from(&mut fields);
    let job = fields.text("job", job_name);
    let queue = fields.text("queue", queue_name);
    let tag = fields.text("tag", tag);
    let enabled = fields.boolean("enabled").unwrap_or(true);
    let body = fields.word("body", Form::ALL, Form::as_str).unwrap_or(Form::Standard);
    let allow_self = fields.boolean("allow_self").unwrap_or(false);
    let target = url.as_deref().and_then(|url| Target::parse(url).ok());
    if target.is_some_and(|target| !allow_self && own.is_named(&target.host, target.port)) {
        let why =
            "is this daemon itself: a run that this starts would end and start another; \"allow_self\": true allows it";
        fields.wrong("url", "own", why);
    }
    // What a GET shows besides; a hook that was read can be put back.
    for read_only in [
        "name",
        "disabled_why",
        "rotating_until",
        "pending",
        "dead",
        "next_at",
        "failures",
        "error",
        "created_at",
        "changed_at",
    ] {
        fields.take(read_only);
    }
    fields.finish()?;
    let url = url.unwrap_or_default();
    let spec = HookSpec { url, on, job, queue, tag, enabled, body, allow_self };
    Ok((spec, secret.as_deref().and_then(Secret::parse)))
}

/// The ends that it tells of.
fn on_from(fields: &mut Fields) -> Vec<Status> {
    let ends = || Status::ALL.iter().copied().filter(|status| status.is_terminal());
    let words: Vec<&str> = ends().map(Status::as_str).collect();
    let known = |text: &str| ends().find(|status| status.as_str() == text);
    let is_right = |text: &str| known(text).map(drop).ok_or_else(|| format!("must be one of {}", words.join(", ")));
    let Some(given) = fields.texts("on", words.len(), is_right) else { return ON.to_vec() };
    if given.is_empty() && fields.is_right() {
        fields.wrong("on", "range", "must name at least one end; \"enabled\": false tells of none");
    }
    let mut on: Vec<Status> = given.iter().filter_map(|text| known(text)).collect();
    on.sort_unstable();
    on.dedup();
    on
}
