//! A run moves through one door: no statement but those under `sql/life/` writes a run's status, or what holds it back or
//! spares it from retention, or makes or removes a run. SQLite itself says what each statement writes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use runabout::store::sql;
use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// Whether this is a move of a run.
fn moves(action: &AuthAction<'_>) -> bool {
    match action {
        AuthAction::Insert { table_name } | AuthAction::Delete { table_name } => *table_name == "runs",
        AuthAction::Update { table_name, column_name } => {
            *table_name == "runs" && matches!(*column_name, "status" | "held_by" | "fresh" | "keep")
        }
        _ => false,
    }
}

#[test]
fn only_the_doors_own_statements_move_a_run() {
    let database = Connection::open_in_memory().unwrap();
    sql::MIGRATIONS.iter().for_each(|migration| database.execute_batch(migration).unwrap());
    let moved = Arc::new(Mutex::new(false));
    let seen = moved.clone();
    let look = move |context: AuthContext<'_>| {
        *seen.lock().unwrap() |= moves(&context.action);
        Authorization::Allow
    };
    database.authorizer(Some(look)).unwrap();
    let writes = |text: &str| {
        *moved.lock().unwrap() = false;
        database.prepare(text).unwrap();
        *moved.lock().unwrap()
    };
    // The test sees what it is about, also where it is hidden in a trigger's or a view's words.
    assert!(writes("UPDATE runs SET \"STATUS\" = 'failed' WHERE id = 1") && writes("DELETE FROM main.runs"));
    assert!(!writes("UPDATE runs SET progress = status WHERE id = 1"));
    let found: BTreeSet<&str> = sql::ALL.iter().filter(|(_, text)| writes(text)).map(|(name, _)| *name).collect();
    let door: BTreeSet<&str> =
        sql::ALL.iter().map(|(name, _)| *name).filter(|name| name.starts_with("life/")).collect();
    assert_eq!(found, door, "what moves a run, and what stands in the door's folder");
}
