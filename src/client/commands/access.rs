//! What only an admin asks for: `enroll` and `prune`.

use hyper::Method;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Context, one_line};
use crate::client::args::EnrollOptions;
use crate::client::connection::Ask;
use crate::client::failure::Failure;
use crate::client::print;
use crate::client::view::read;

/// A whole pass over a large database on a slow card takes its time.
const PRUNE_S: u64 = 3_600;

#[derive(Deserialize)]
struct Enrollment {
    token: String,
}

/// Makes an enrollment token and prints it alone.
pub async fn enroll(context: &Context, options: EnrollOptions) -> Result<u8, Failure> {
    let mut wish = Map::new();
    wish.insert("role".to_owned(), options.role.into());
    let more = [
        ("ttl_s", options.ttl.map(Value::from)),
        ("max_uses", options.uses.map(Value::from)),
        ("label", options.label.map(Value::from)),
    ];
    wish.extend(more.into_iter().filter_map(|(name, value)| value.map(|value| (name.to_owned(), value))));
    let ask = Ask::new(Method::POST, "/v1/enrollment-tokens").with(&Value::Object(wish));
    let body = context.daemon.ask(&ask).await?;
    if context.json {
        print::answer(&one_line(&body)?)?;
    } else {
        print::answer(&read::<Enrollment>(&body)?.token)?;
    }
    Ok(0)
}

/// Has everything removed that has expired, and says how much that was.
pub async fn prune(context: &Context) -> Result<u8, Failure> {
    let ask = Ask { answer_s: PRUNE_S, ..Ask::new(Method::POST, "/v1/maintenance") };
    let body = context.daemon.ask(&ask).await?;
    if context.json {
        print::answer(&one_line(&body)?)?;
    } else {
        print::answer(&removed(&read(&body)?))?;
    }
    Ok(0)
}

fn removed(counts: &Map<String, Value>) -> String {
    let named = |(name, count): (&String, &Value)| {
        let count = count.as_i64().filter(|count| *count > 0 && name != "freed_bytes")?;
        Some(format!("{count} {}", print::printable(&name.replace('_', " "))))
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
