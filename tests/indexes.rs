//! Every statement finds its rows by an index, or says why not; what is done often costs the same with a full table as
//! with an empty one. Costs are counted in SQLite's own steps, not in time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use runabout::store::sql;
use rusqlite::types::Value;
use rusqlite::{Connection, StatementStatus, ToSql};

/// Allowed of a cost with many rows, as a multiple of that with few.
const GROWTH_MAX: f64 = 2.0;

/// `runs.held_by` of what its time alone holds back, of what waits to be tried again, and of what another run does.
const TIME: i64 = 1;
const RETRY: i64 = 2;
const AFTER: i64 = 4;

/// Count what there is, and are asked once, at the start, or by who leaves something: how many runs may be removed; and how
/// much of an output there is, of the few runs that a crash left.
const COUNT_ALL: &[&str] = &["artifacts/bytes", "events/output_bytes", "runs/count_prunable"];

/// Folders of what is done when the database is opened, whose tables are gone afterwards.
const WITH_THE_FILE: &[&str] = &["migrations/", "moving/"];

/// What a plan says of itself that wants a reason in the file's header, and the word that introduces it.
const WANT_A_REASON: &[(&str, &str)] = &[("SCAN", "-- scan: "), ("USE TEMP B-TREE", "-- sort: ")];

fn database() -> Connection {
    let database = Connection::open_in_memory().unwrap();
    database.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON;").unwrap();
    for migration in sql::MIGRATIONS {
        database.execute_batch(migration).unwrap();
    }
    database
}

/// Adds so many runs like this, with a row of each of their tables. `columns` are expressions over `i`, from 1.
fn add_runs(database: &Connection, count: i64, status: &str, held_by: i64, priority: &str, not_before: &str) {
    let ended = !matches!(status, "queued" | "running");
    let (reason, ended_at, fresh) = if ended { ("'exited'", "i", 0) } else { ("NULL", "NULL", 1) };
    let from = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}),
              base(last) AS (SELECT coalesce(max(id), 0) FROM runs)"
    );
    database
        .execute_batch(&format!(
            "BEGIN;
             {from}
             INSERT INTO runs (id, status, reason, name, job, queue, priority, held_by, tags, script, env, not_before,
                               on_interrupt, keep, attempt, output_bytes, created_at, ended_at, fresh)
             SELECT last + i, '{status}', {reason}, 'name' || (i % 10), 'job' || (i % 10), 'default', {priority}, {held_by}, '[\"tag\"]', 'true',
                    '{{}}', {not_before}, 'fail', 0, 1, 0, i, {ended_at}, {fresh} FROM n, base;
             INSERT OR IGNORE INTO run_tags (tag, run) SELECT 'tag', id FROM runs;
             COMMIT;"
        ))
        .unwrap();
}

/// Adds so many events of output to a run.
fn add_events(database: &Connection, run: i64, count: i64) {
    database
        .execute_batch(&format!(
            "BEGIN;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}),
                  base(last_id, last_key) AS (SELECT (SELECT coalesce(max(id), 0) FROM output),
                                                     (SELECT coalesce(max(key), {run} << 32) FROM output WHERE run = {run}))
             INSERT INTO output (key, id, at, stream, data)
             SELECT last_key + i, last_id + i, i, 'stdout', 'a line of output' FROM n, base;
             INSERT INTO output_blocks (block, run, key)
             SELECT id >> 6, run, min(key) FROM output WHERE run = {run} GROUP BY id >> 6 ON CONFLICT DO NOTHING;
             COMMIT;"
        ))
        .unwrap();
}

/// A database as a busy one looks, and as many times that as `scale` says.
fn filled(scale: i64) -> Connection {
    let database = database();
    add_runs(&database, 4, "running", 0, "0", "NULL");
    add_runs(&database, 2_000 * scale, "succeeded", 0, "0", "NULL");
    add_runs(&database, 500 * scale, "queued", 0, "i % 7", "NULL");
    add_runs(&database, 500 * scale, "queued", TIME, "0", "i");
    add_runs(&database, 500 * scale, "queued", AFTER, "0", "NULL");
    for run in 1..=20 {
        add_events(&database, run, 200 * scale);
    }
    let few = 300 * scale;
    database
        .execute_batch(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {few})
             INSERT INTO sessions (token_sha256, name, role, ttl_s, created_at, last_used_at, expires_at)
             SELECT CAST('s' || i AS BLOB), 'name', 'viewer', 60, i, i, iif(i % 3, i, NULL) FROM n;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {few})
             INSERT INTO enrollment_tokens (token_sha256, role, max_uses, uses, created_at, expires_at)
             SELECT CAST('e' || i AS BLOB), 'viewer', 1, 0, i, i FROM n;
             INSERT INTO idempotency_keys (key, run, request_sha256, created_at, expires_at)
             SELECT 'key' || id, id, x'00', id, iif(id % 2, id, NULL) FROM runs;
             INSERT INTO past_attempts (run, attempt, started_at) SELECT id, 1, id FROM runs WHERE status <> 'queued';
             INSERT INTO events (id, key, at, kind, data) SELECT id, id << 32 | 1000001, id, 'queued', '{{}}' FROM runs;
             INSERT INTO doomed_runs (run) SELECT id + 1000000 FROM runs;
             INSERT INTO trimmed_runs (run, after_seq, to_seq, events, bytes) SELECT id, 1, 2, 1, 1 FROM runs;
             UPDATE runs SET job = 'name' || (id % 10), start_before = id WHERE id % 3 = 0;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {few})
             INSERT INTO jobs (name, definition, after_job, version, created_at, changed_at, accounted_at, highest_at, next_at)
             SELECT 'name' || i, '{{}}', 'after' || i, i, i, i, i, i, i FROM n;
             INSERT INTO firings (job, scheduled_for, at, run, count) SELECT 'name' || (id % 10), id, id, id, 1 FROM runs;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {few})
             INSERT INTO hooks (name, definition, keys, created_at, changed_at) SELECT 'name' || i, '{{}}', '[]', i, i FROM n;
             INSERT INTO hook_deliveries (hook, webhook_id, run, status, message, created_at, next_at, ended_at)
             SELECT 'name' || (id % 10), id, id, iif(id % 2, 'pending', 'dead'), '{{}}', id, iif(id % 2, id, NULL), iif(id % 2, NULL, id) FROM runs;
             INSERT INTO followed_ends (run) SELECT id FROM runs;
             INSERT INTO queues (name, slots, paused) VALUES ('other', 1, 0);"
        ))
        .unwrap();
    database
}

fn files(under: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(under).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|entry| if entry.is_dir() { files(&entry) } else { vec![entry] }).collect()
}

/// The plan of a statement, a step a line.
#[track_caller]
fn plan(database: &Connection, name: &str, text: &str) -> Vec<String> {
    let explained = database.prepare(&format!("EXPLAIN QUERY PLAN {text}"));
    let mut explained = explained.unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut rows = explained.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get("detail").unwrap());
    }
    steps
}

/// Runs a statement, reads at most so many of its rows, and answers how many steps it took and how many rows it gave.
#[track_caller]
fn cost(database: &Connection, text: &str, parameters: &[(&str, &dyn ToSql)], rows_max: usize) -> (i32, usize) {
    let mut statement = database.prepare(text).unwrap();
    let mut count = 0;
    {
        let mut rows = statement.query(parameters).unwrap();
        while count < rows_max && rows.next().unwrap().is_some() {
            count += 1;
        }
    }
    (statement.get_status(StatementStatus::VmStep), count)
}

#[track_caller]
fn assert_no_dearer(what: &str, few: i32, many: i32) {
    assert!(few > 0, "{what}: nothing was counted");
    assert!(f64::from(many) <= f64::from(few) * GROWTH_MAX, "{what}: {few} steps with few rows, {many} with many");
}

/// What a claim costs; it is taken back.
#[track_caller]
fn claim_cost(database: &Connection) -> i32 {
    database.execute_batch("BEGIN").unwrap();
    let (steps, claimed) = cost(database, sql::LIFE_START, &[(":queue", &"default"), (":now", &1)], 2);
    database.execute_batch("ROLLBACK").unwrap();
    assert_eq!(claimed, 1);
    steps
}

#[test]
fn every_statement_stands_in_a_file_that_is_known() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let name = |file: &PathBuf| file.strip_prefix(&root).unwrap().with_extension("").to_str().unwrap().to_owned();
    let on_disk: BTreeSet<String> = files(&root)
        .iter()
        .map(name)
        .filter(|name| !WITH_THE_FILE.iter().any(|folder| name.starts_with(folder)))
        .collect();
    let known: BTreeSet<String> = sql::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(known.len(), sql::ALL.len(), "one is there twice");
    assert_eq!(on_disk.difference(&known).collect::<Vec<_>>(), [""; 0], "nobody prepares these");
    assert_eq!(known.difference(&on_disk).collect::<Vec<_>>(), [""; 0], "these are no files");
    let migrations = files(&root.join("migrations")).len();
    assert_eq!(migrations, sql::MIGRATIONS.len(), "every migration is run");
    assert_eq!(files(&root.join("moving")).len(), sql::moving::PIECE.len() + 2, "every part of a move is done");
}

#[test]
fn every_statement_finds_its_rows_by_an_index_or_says_why_not() {
    let database = filled(1);
    let mut wrong = Vec::new();
    for (name, text) in sql::ALL {
        let plan = plan(&database, name, text);
        let header: Vec<&str> = text.lines().take_while(|line| line.starts_with("--")).collect();
        if header.is_empty() {
            wrong.push(format!("sql/{name}.sql does not say on top what it is for"));
        }
        for (step, word) in WANT_A_REASON {
            let is_step = |line: &&String| line.starts_with(step) && *line != "SCAN CONSTANT ROW";
            let steps: Vec<&String> = plan.iter().filter(is_step).collect();
            let reason = header.iter().find_map(|line| line.strip_prefix(word)).map(str::trim);
            match (steps.first(), reason) {
                (Some(step), None | Some("")) => wrong.push(format!("sql/{name}.sql: {step:?} without a reason")),
                (None, Some(_)) => wrong.push(format!("sql/{name}.sql: {word:?} is not needed: {plan:?}")),
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a statement is given under a name where nothing but its cost is asked for.
fn some_value(parameter: &str) -> Value {
    let text = |text: &str| Value::Text(text.to_owned());
    match parameter {
        ":before" => Value::Integer(i64::MAX),
        ":rows" => Value::Integer(50),
        ":keep" | ":held_by" | ":paused" => Value::Integer(0),
        ":queue" => text("default"),
        ":status" => text("failed"),
        ":stands" => text("dead"),
        ":reason" => text("exited"),
        ":role" => text("viewer"),
        ":tag" => text("tag"),
        ":tags" => text("[]"),
        ":name" | ":job" => text("name3"),
        ":key" => text("key1"),
        ":data" | ":env" => text("{}"),
        ":kind" => text("message"),
        ":on_interrupt" => text("fail"),
        ":script" | ":value" => text("true"),
        ":token_sha256" => Value::Blob(b"s1".to_vec()),
        ":request_sha256" => Value::Blob(vec![0]),
        ":stream" | ":command" | ":stdin" | ":cwd" | ":timeout_s" | ":not_before" | ":retry_of" | ":due_at" => {
            Value::Null
        }
        // Of the things that have a number, the first.
        _ => Value::Integer(1),
    }
}

/// What it costs to begin with a statement: its first rows, if it has any. What it changes is taken back.
fn cost_of_some(database: &Connection, text: &str) -> rusqlite::Result<i32> {
    database.execute_batch("BEGIN")?;
    let steps = (|| {
        let mut statement = database.prepare(text)?;
        for index in 1..=statement.parameter_count() {
            let value = some_value(statement.parameter_name(index).unwrap_or_default());
            statement.raw_bind_parameter(index, value)?;
        }
        let mut rows = statement.raw_query();
        for _ in 0..50 {
            if rows.next()?.is_none() {
                break;
            }
        }
        drop(rows);
        Ok(statement.get_status(StatementStatus::VmStep))
    })();
    database.execute_batch("ROLLBACK")?;
    steps
}

#[test]
fn no_statement_that_is_to_find_its_rows_costs_more_with_ten_times_as_many() {
    let (few, many) = (filled(1), filled(10));
    let mut wrong = Vec::new();
    for (name, text) in sql::ALL {
        let is_of_all = text.contains("-- scan: ") || COUNT_ALL.contains(name);
        let costs = (cost_of_some(&few, text), cost_of_some(&many, text));
        match costs {
            (Ok(few), Ok(many)) if is_of_all || f64::from(many) <= f64::from(few) * GROWTH_MAX => {}
            (Ok(few), Ok(many)) => wrong.push(format!("sql/{name}.sql: {few} steps, with ten times the rows {many}")),
            // Insertions that collide with a row have found it by then.
            (Err(error), _) if text.contains("INSERT INTO") && error.to_string().contains("constraint") => {}
            (Err(error), _) | (_, Err(error)) => wrong.push(format!("sql/{name}.sql: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_claim_costs_the_same_with_many_queued() {
    let database = database();
    add_runs(&database, 300, "queued", 0, "i % 10", "NULL");
    let few = claim_cost(&database);
    add_runs(&database, 300_000 - 300, "queued", 0, "i % 10", "NULL");
    assert_no_dearer("a claim among 300,000 queued", few, claim_cost(&database));
}

#[test]
fn delayed_runs_of_high_priority_never_stand_in_front_of_a_claim() {
    let database = database();
    add_runs(&database, 300, "queued", 0, "0", "NULL");
    let claim = claim_cost(&database);
    let admit = || cost(&database, sql::LIFE_ADMIT, &[(":now", &1_000)], 501);
    let next_due = || cost(&database, sql::RUNS_NEXT_DUE, &[], 2).0;
    add_runs(&database, 3, "queued", TIME, "1000", "1000000 + i");
    let (admitting, due) = (admit().0, next_due());
    add_runs(&database, 100_000, "queued", TIME, "1000", "2000000 + i");
    assert_no_dearer("a claim behind 100,000 delayed", claim, claim_cost(&database));
    assert_no_dearer("the time of the next delayed run", due, next_due());
    assert_eq!(admit().1, 0, "none is due");
    assert_no_dearer("letting in none of 100,000 delayed", admitting, admit().0);
    // The same for those that failed and wait to be tried again.
    add_runs(&database, 100_000, "queued", RETRY, "1000", "2000000 + i");
    assert_no_dearer("a claim behind 100,000 that wait to be tried again", claim, claim_cost(&database));
    assert_no_dearer("letting in none of 200,000 delayed", admitting, admit().0);
    // Their time came long ago, and something else still holds them back.
    add_runs(&database, 100_000, "queued", AFTER, "1000", "i");
    assert_no_dearer("a claim behind 100,000 that wait for others", claim, claim_cost(&database));
    assert_no_dearer("the time of the next delayed run", due, next_due());
    assert_eq!(admit().1, 0, "none is due");
    assert_no_dearer("letting in none of what waits for others", admitting, admit().0);
}

#[test]
fn a_page_of_a_list_costs_the_same_with_many_runs() {
    let lists: Vec<&(&str, &str)> = sql::ALL.iter().filter(|(name, _)| name.starts_with("runs/list")).collect();
    assert!(lists.len() >= 5, "{lists:?}");
    let value_of = |name: &str| match name {
        "runs/list" => None,
        "runs/list_by_status" => Some((":status", "failed")),
        "runs/list_by_queue" => Some((":queue", "default")),
        "runs/list_by_job" => Some((":job", "job3")),
        "runs/list_by_name" => Some((":name", "name3")),
        "runs/list_by_tag" => Some((":tag", "tag")),
        "runs/list_fresh" => Some((":status", ",queued,")),
        other => panic!("what is {other} asked for?"),
    };
    let page = |database: &Connection, name: &str, text: &str, before: i64| {
        let mut parameters: Vec<(&str, &dyn ToSql)> = vec![(":before", &before)];
        if name == "runs/list_fresh" {
            parameters.push((":rows", &51));
        }
        let value = value_of(name);
        if let Some((key, value)) = &value {
            parameters.push((key, value));
        }
        let (steps, rows) = cost(database, text, &parameters, 51);
        assert_eq!(rows, 51, "{name}");
        steps
    };
    let database = database();
    add_runs(&database, 600, "failed", 0, "0", "NULL");
    add_runs(&database, 400, "succeeded", 0, "0", "NULL");
    add_runs(&database, 200, "queued", 0, "0", "NULL");
    let few: Vec<i32> = lists.iter().map(|(name, text)| page(&database, name, text, i64::MAX)).collect();
    add_runs(&database, 199_000, "succeeded", 0, "0", "NULL");
    for ((name, text), few) in lists.iter().zip(few) {
        assert_no_dearer(name, few, page(&database, name, text, i64::MAX));
        if !matches!(*name, "runs/list_by_status" | "runs/list_fresh") {
            assert_no_dearer(&format!("{name}, deep down"), few, page(&database, name, text, 100_000));
        }
    }
}

#[test]
fn a_page_of_events_costs_the_same_with_many_events() {
    let database = database();
    add_runs(&database, 2, "running", 0, "0", "NULL");
    add_events(&database, 1, 1_000);
    let (first, last) = (1_i64 << 32, (2_i64 << 32) - 1);
    let page = |after: i64| {
        let after = first + after;
        cost(&database, sql::EVENTS_PAGE, &[(":after", &after), (":last", &last), (":rows", &500)], 501)
    };
    let looks = || {
        let of_run = |text: &str, key: &str| cost(&database, text, &[(key, &1)], 2).0;
        [
            ("runs/get", of_run(sql::RUNS_GET, ":id")),
            ("runs/head", of_run(sql::RUNS_HEAD, ":id")),
            ("events/max_id_of", cost(&database, sql::EVENTS_MAX_ID_OF, &[(":first", &first), (":last", &last)], 2).0),
            ("events/next_key", of_run(sql::EVENTS_NEXT_KEY, ":run")),
            ("events/max_id", cost(&database, sql::EVENTS_MAX_ID, &[], 2).0),
        ]
    };
    let append = || {
        database.execute_batch("BEGIN").unwrap();
        let piece: &[(&str, &dyn ToSql)] =
            &[(":event_key", &(last - 1)), (":id", &i64::MAX), (":at", &1), (":stream", &"stdout"), (":data", &"text")];
        let (steps, rows) = cost(&database, sql::OUTPUT_APPEND, piece, 2);
        database.execute_batch("ROLLBACK").unwrap();
        assert_eq!(rows, 0);
        steps
    };
    let (few, few_looks, few_append) = (page(0), looks(), append());
    assert_eq!(few.1, 500);
    // In turns, so that neither run's events lie together.
    for _ in 0..10 {
        add_events(&database, 2, 10_000);
        add_events(&database, 1, 19_900);
    }
    for after in [0, 100_000, 199_500] {
        assert_eq!(page(after).1, 500);
        assert_no_dearer(&format!("a page after {after}"), few.0, page(after).0);
    }
    for ((name, few), (_, many)) in few_looks.into_iter().zip(looks()) {
        assert_no_dearer(name, few, many);
    }
    assert_no_dearer("output/append", few_append, append());
}

/// How each statement about all runs finds its rows: in the order that is asked for.
const OF_ALL_RUNS: &[(&str, &str, &[&str])] = &[
    ("events/no_output_after", sql::EVENTS_NO_OUTPUT_AFTER, &["SEARCH events USING INTEGER PRIMARY KEY (rowid>?)"]),
    ("events/no_output_before", sql::EVENTS_NO_OUTPUT_BEFORE, &["SEARCH events USING INTEGER PRIMARY KEY (rowid<?)"]),
    (
        "output/of_block",
        sql::OUTPUT_OF_BLOCK,
        &[
            "SEARCH output_blocks USING PRIMARY KEY (block=?)",
            "SEARCH output USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        ],
    ),
    ("events/get", sql::EVENTS_GET, &["SEARCH events USING INTEGER PRIMARY KEY (rowid=?)"]),
    ("output/get", sql::OUTPUT_GET, &["SEARCH output USING INTEGER PRIMARY KEY (rowid=?)"]),
    ("runs/queue_of", sql::RUNS_QUEUE_OF, &["SEARCH runs USING INTEGER PRIMARY KEY (rowid=?)"]),
];

/// Those of one run, whose two halves are merged as they are read.
const OF_A_RUN: &[(&str, &str)] = &[
    ("events/page", sql::EVENTS_PAGE),
    ("events/page_before", sql::EVENTS_PAGE_BEFORE),
    ("events/of_run_after", sql::EVENTS_OF_RUN_AFTER),
    ("events/of_run_before", sql::EVENTS_OF_RUN_BEFORE),
    ("events/measure", sql::EVENTS_MEASURE),
];

#[test]
fn what_a_filter_hides_of_all_runs_is_not_read() {
    let database = filled(1);
    for (name, text, expected) in OF_ALL_RUNS {
        assert_eq!(plan(&database, name, text), *expected, "{name}");
    }
    for (name, text) in OF_A_RUN {
        let plan = plan(&database, name, text).join(", ");
        for step in
            ["MERGE (UNION ALL)", "SEARCH events USING INDEX sqlite_autoindex_events_1", "SEARCH output USING INTEGER"]
        {
            assert!(plan.contains(step) && !plan.contains("TEMP"), "{name}: {plan}");
        }
    }
    // Output, which is most of it, is no work for who is not shown it.
    let told =
        |database: &Connection| cost(database, sql::EVENTS_NO_OUTPUT_AFTER, &[(":after", &0), (":rows", &50)], 51);
    let [few, many] = [1, 10].map(|scale| told(&filled(scale)));
    assert_eq!((few.1, many.1), (50, 50));
    assert_no_dearer("what was told among ten times as much output", few.0, many.0);
}

/// What is queued or runs stands in one index, in the order of claims, and what is delayed in one by its time.
#[test]
fn what_is_queued_is_counted_by_an_index_that_has_all_of_it() {
    let database = filled(1);
    let covers = |name: &str, text: &str, index: &str| {
        let plan = plan(&database, name, text);
        assert!(plan.iter().any(|step| step.contains(&format!("USING COVERING INDEX {index}"))), "{name}: {plan:?}");
    };
    covers("runs/count_fresh", sql::RUNS_COUNT_FRESH, "runs_fresh");
    covers("runs/next_due", sql::RUNS_NEXT_DUE, "runs_due");
    covers("life/start", sql::LIFE_START, "runs_fresh");
}

/// Who looks with a shell of SQLite finds the events of a run without going through those of all.
#[test]
fn the_view_of_events_finds_those_of_a_run_by_their_keys() {
    let database = filled(1);
    for condition in ["run = 42", "run = 42 AND kind = 'output'", "run = 42 AND seq > 7 ORDER BY seq", "run IN (1, 2)"]
    {
        let plan = plan(&database, condition, &format!("SELECT * FROM run_events WHERE {condition}"));
        let is_scan = |step: &&String| step.starts_with("SCAN events") || step.starts_with("SCAN output");
        assert!(!plan.iter().any(|step| is_scan(&step)), "{condition}: {plan:?}");
    }
    // And nothing else makes an index of its own for each run.
    for condition in ["kind = 'queued'", "id = 42", "at > 0 AND stream = 'stderr'", "true"] {
        let plan = plan(&database, condition, &format!("SELECT * FROM run_events WHERE {condition}"));
        assert!(!plan.iter().any(|step| step.contains("AUTOMATIC")), "{condition}: {plan:?}");
    }
}
