//! Checks whether hooks are told what they are to be told.

use super::super::files::count;
use super::finding::Finding;
use crate::store::beside::ReadOnlyDatabase;

const CHECK: &str = "hooks";

/// The hooks of an open database; nothing where it has none.
pub(super) fn look(beside: &ReadOnlyDatabase) -> Option<Finding> {
    let hooks = match beside.hooks() {
        Ok(hooks) if hooks.is_empty() => return None,
        Ok(hooks) => hooks,
        Err(error) => return Some(Finding::warn(CHECK, format!("they cannot be read: {error}"), "see the database")),
    };
    let mut ill = Vec::new();
    for hook in &hooks {
        let name = &hook.name;
        match (&hook.stopped, &hook.error) {
            (Some(why), _) => ill.push(format!("{name} was disabled: {why}")),
            (None, Some(why)) if hook.failures > 0 => ill.push(format!("{name} fails: {why}")),
            _ if hook.dead > 0 => ill.push(format!("{name} has given up on {}", count(hook.dead, "end"))),
            _ => {}
        }
    }
    if ill.is_empty() {
        return Some(Finding::ok(CHECK, format!("{}; none fails", count(hooks.len() as i64, "hook"))));
    }
    let advice = "GET /v1/hooks/NAME/deliveries tells more; POST /v1/hooks/NAME/test tries it";
    Some(Finding::warn(CHECK, ill.join("; "), advice))
}
