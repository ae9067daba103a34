//! What only an admin asks for: `enroll`, `sessions` and `prune`.

use std::collections::BTreeSet;

use hyper::Method;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::context::{Context, one_value};
use super::web;
use crate::cli::args::EnrollOptions;
use crate::cli::print::{self, Colour, Paint, Table};
use crate::cli::view::read;
use crate::client::connection::Ask;
use crate::client::failure::Failure;
use crate::text::printable;
use crate::wire::{EnrollmentTokenBody, SessionBody, SessionsPage};

/// A whole pass over a large database on a slow card takes its time.
const PRUNE_S: u64 = 3_600;

/// Makes an enrollment token and prints it alone, or in the page's link.
pub async fn enroll(context: &Context, options: EnrollOptions) -> Result<u8, Failure> {
    // Before there is a token that nobody could use.
    let url = if options.web { Some(web::page_url(context).await?) } else { None };
    let mut wish = Map::new();
    let role = options.role.unwrap_or_else(|| if options.job.is_empty() { "operator" } else { "trigger" }.to_owned());
    wish.insert("role".to_owned(), role.into());
    let more = [
        ("ttl_s", options.ttl.map(Value::from)),
        ("max_uses", options.uses.map(Value::from)),
        ("label", options.label.map(Value::from)),
        ("jobs", (!options.job.is_empty()).then(|| options.job.into())),
    ];
    wish.extend(more.into_iter().filter_map(|(name, value)| value.map(|value| (name.to_owned(), value))));
    let ask = Ask::new(Method::POST, "/v1/enrollment-tokens").with(&Value::Object(wish));
    let body = context.daemon.ask(&ask).await?;
    if let Some(url) = context.daemon.url() {
        // After a login on the daemon's own machine that is easily forgotten.
        print::note(&format!("this token is for {url}, where your commands go"));
    }
    let token = read::<EnrollmentTokenBody>(&body)?.token.unwrap_or_default();
    match (context.json, url) {
        (true, None) => print::answer_json(one_value(&body)?)?,
        (true, Some(url)) => {
            let mut made: Map<String, Value> = read(&body)?;
            made.insert("link".to_owned(), web::link(&url, &token).into());
            print::answer_json(&Value::Object(made).to_string())?;
        }
        (false, None) => print::answer(&token)?,
        (false, Some(url)) => web::show(&web::link(&url, &token))?,
    }
    Ok(0)
}

/// Lists sessions; the one that asks is marked.
pub async fn sessions(context: &Context) -> Result<u8, Failure> {
    let sessions = all_sessions(context).await?;
    if let Some(url) = context.daemon.url() {
        print::note(&format!("these are of {url}, where your commands go"));
    }
    if context.json {
        let sessions: Vec<&str> = sessions.iter().map(|session| session.get()).collect();
        print::answer_json(&format!("[{}]", sessions.join(",")))?;
        return Ok(0);
    }
    let mut table = Table::new(&[">ID", "ROLE", "LAST USED", "EXPIRES", "ADDRESS", "AGENT", "NAME"]);
    for session in sessions {
        let session: SessionBody = read(session.get().as_bytes())?;
        let colour = if session.current { Colour::Cyan } else { Colour::Plain };
        let name = if session.current { format!("{} (this one)", session.name) } else { session.name.into_owned() };
        table.row([
            (&session.id.unwrap_or_default().to_string(), Colour::Plain),
            (&session.role, Colour::Plain),
            (session.last_used_at.as_deref().unwrap_or("-"), Colour::Plain),
            (session.expires_at.as_deref().unwrap_or("never"), Colour::Plain),
            (session.address.as_deref().unwrap_or("-"), Colour::Plain),
            (session.agent.as_deref().unwrap_or("-"), Colour::Plain),
            (&name, colour),
        ]);
    }
    print::answer(&table.show(Paint::new()))?;
    Ok(0)
}

/// Every session, as it came, page by page. A page that names one that was read already would be read for ever.
async fn all_sessions(context: &Context) -> Result<Vec<Box<RawValue>>, Failure> {
    let mut sessions = Vec::new();
    let mut read_already = BTreeSet::new();
    let mut next = Some("/v1/sessions".to_owned());
    while let Some(path) = next {
        let page: SessionsPage = read(&context.daemon.ask(&Ask::get(path.as_str())).await?)?;
        sessions.extend(page.sessions);
        read_already.insert(path);
        if page.next.as_ref().is_some_and(|next| read_already.contains(next)) {
            return Err(Failure::Own(
                "the daemon's list of sessions has no end: a page names itself as the next".to_owned(),
            ));
        }
        next = page.next;
    }
    Ok(sessions)
}

/// Ends a session.
pub async fn revoke(context: &Context, id: i64) -> Result<u8, Failure> {
    context.daemon.ask(&Ask::new(Method::DELETE, format!("/v1/sessions/{id}"))).await?;
    print::note(&format!("session {id}: revoked"));
    Ok(0)
}

/// Has everything removed that has expired, and says how much that was.
pub async fn prune(context: &Context) -> Result<u8, Failure> {
    let ask = Ask { answer_s: PRUNE_S, ..Ask::new(Method::POST, "/v1/maintenance") };
    let body = context.daemon.ask(&ask).await?;
    if context.json {
        print::answer_json(one_value(&body)?)?;
    } else {
        print::answer(&removed(&read(&body)?))?;
    }
    Ok(0)
}

fn removed(counts: &Map<String, Value>) -> String {
    let named = |(name, count): (&String, &Value)| {
        let count = count.as_i64().filter(|count| *count > 0 && name != "freed_bytes")?;
        Some(format!("{count} {}", printable(&name.replace('_', " "))))
    };
    let parts: Vec<String> = counts.iter().filter_map(named).collect();
    let what = if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") };
    match counts.get("freed_bytes").and_then(Value::as_i64) {
        Some(bytes) if bytes > 0 => format!("removed {what}; {bytes} bytes freed"),
        _ => format!("removed {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_removed_is_told_in_words() {
        let text = |json: &str| removed(&serde_json::from_str(json).expect("counts"));
        assert_eq!(text(r#"{"runs":0,"events":0,"freed_bytes":0}"#), "removed nothing");
        let some = text(r#"{"idempotency_keys":3,"runs":2,"sessions":0,"freed_bytes":4096}"#);
        assert_eq!(some, "removed 3 idempotency keys, 2 runs; 4096 bytes freed");
    }
}
