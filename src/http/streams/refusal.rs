//! Why a cursor cannot be followed, for a client.

use serde_json::json;

use crate::feed::OpenError;
use crate::http::error::Problem;
use crate::numbers::Position;
use crate::scope::Scope;

/// The problem that a client gets where its cursor cannot be followed in a scope of this database.
pub fn refusal(error: OpenError, scope: &Scope, instance: &str) -> Problem {
    let details = |last: Position| match scope {
        Scope::Run(_) => json!({"last_seq": last, "instance": instance}),
        Scope::All(_) => json!({"last_id": last, "instance": instance}),
    };
    match error {
        OpenError::CursorAhead { last } => {
            Problem::cursor_ahead(format!("the cursor is beyond the newest event, which is {last}"))
                .with_details(details(last))
        }
        OpenError::InstanceChanged { last } => {
            Problem::instance_changed(format!("the cursor is of another database; this one is {instance}"))
                .with_details(details(last))
        }
        OpenError::Store(error) => error.into(),
    }
}
