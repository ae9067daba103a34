//! Every statement that the daemon ever prepares, one file each under `sql/`.

macro_rules! statements {
    ($($name:ident = $file:literal;)+) => {
        $(#[doc = concat!("`sql/", $file, ".sql`")] pub const $name: &str = include_str!(concat!("../../sql/", $file, ".sql"));)+

        /// Every statement with its file's name, for the test that reads their query plans.
        pub const ALL: &[(&str, &str)] = &[$(($file, $name),)+];
    };
}

statements! {
    ATTEMPTS_DELETE = "attempts/delete";
    ATTEMPTS_END = "attempts/end";
    ATTEMPTS_RECORD_PROCESS = "attempts/record_process";
    ATTEMPTS_START = "attempts/start";
    ENROLLMENT_DELETE = "enrollment/delete";
    ENROLLMENT_EXPIRE = "enrollment/expire";
    ENROLLMENT_INSERT = "enrollment/insert";
    ENROLLMENT_LIST = "enrollment/list";
    ENROLLMENT_NEXT_EXPIRY = "enrollment/next_expiry";
    ENROLLMENT_REDEEM = "enrollment/redeem";
    ENROLLMENT_SHIFT = "enrollment/shift";
    EVENTS_ALL_AFTER = "events/all_after";
    EVENTS_ALL_BEFORE = "events/all_before";
    EVENTS_APPEND = "events/append";
    EVENTS_DELETE_RANGE = "events/delete_range";
    EVENTS_BEGIN_DELETING = "events/begin_deleting";
    EVENTS_GET = "events/get";
    EVENTS_MAX_ID = "events/max_id";
    EVENTS_MAX_ID_OF = "events/max_id_of";
    EVENTS_MEASURE = "events/measure";
    EVENTS_MIN_ID = "events/min_id";
    EVENTS_NEXT_DELETING = "events/next_deleting";
    EVENTS_OF_RUN_AFTER = "events/of_run_after";
    EVENTS_OF_RUN_BEFORE = "events/of_run_before";
    EVENTS_OUTPUT_BYTES = "events/output_bytes";
    EVENTS_PAGE = "events/page";
    EVENTS_PAGE_BEFORE = "events/page_before";
    EVENTS_NO_OUTPUT_AFTER = "events/no_output_after";
    EVENTS_NO_OUTPUT_BEFORE = "events/no_output_before";
    EVENTS_END_DELETING = "events/end_deleting";
    IDEMPOTENCY_EXPIRE = "idempotency/expire";
    IDEMPOTENCY_GET = "idempotency/get";
    IDEMPOTENCY_INSERT = "idempotency/insert";
    IDEMPOTENCY_NEXT_EXPIRY = "idempotency/next_expiry";
    IDEMPOTENCY_RELEASE = "idempotency/release";
    IDEMPOTENCY_SHIFT = "idempotency/shift";
    LIFE_ADMIT = "life/admit";
    LIFE_CHANGE = "life/change";
    LIFE_END = "life/end";
    LIFE_ENTER = "life/enter";
    LIFE_REMOVE = "life/remove";
    LIFE_REQUEUE = "life/requeue";
    LIFE_START = "life/start";
    META_GET = "meta/get";
    META_KEEP_COOKIE = "meta/keep_cookie";
    META_RAISE = "meta/raise";
    META_SET = "meta/set";
    QUEUES_DELETE = "queues/delete";
    QUEUES_LIST = "queues/list";
    QUEUES_PUT = "queues/put";
    RUNS_COUNT_BY_STATUS = "runs/count_by_status";
    RUNS_COUNT_HELD = "runs/count_held";
    RUNS_COUNT_PRUNABLE = "runs/count_prunable";
    RUNS_COUNT_READY = "runs/count_ready";
    RUNS_GET = "runs/get";
    RUNS_HAS_TAG = "runs/has_tag";
    RUNS_HEAD = "runs/head";
    RUNS_LIST = "runs/list";
    RUNS_LIST_BY_NAME = "runs/list_by_name";
    RUNS_LIST_BY_QUEUE = "runs/list_by_queue";
    RUNS_LIST_BY_STATUS = "runs/list_by_status";
    RUNS_LIST_BY_TAG = "runs/list_by_tag";
    RUNS_MAX_ID = "runs/max_id";
    RUNS_NEXT_AGED = "runs/next_aged";
    RUNS_NEXT_DUE = "runs/next_due";
    RUNS_NEXT_PRUNABLE = "runs/next_prunable";
    RUNS_OLDEST_ENDED = "runs/oldest_ended";
    RUNS_QUEUE_OF = "runs/queue_of";
    RUNS_REQUEST_CANCEL = "runs/request_cancel";
    RUNS_RUNNING = "runs/running";
    RUNS_SET_PROGRESS = "runs/set_progress";
    RUNS_TAG = "runs/tag";
    RUNS_UNTAG = "runs/untag";
    SESSIONS_BY_TOKEN = "sessions/by_token";
    SESSIONS_DELETE = "sessions/delete";
    SESSIONS_EXPIRE = "sessions/expire";
    SESSIONS_INSERT = "sessions/insert";
    SESSIONS_LIST = "sessions/list";
    SESSIONS_NEXT_EXPIRY = "sessions/next_expiry";
    SESSIONS_SHIFT = "sessions/shift";
    SESSIONS_TOUCH = "sessions/touch";
    TRIMMED_ADD = "trimmed/add";
    TRIMMED_DELETE = "trimmed/delete";
    TRIMMED_GET = "trimmed/get";
    UPKEEP_FORGET_ENROLLMENT = "upkeep/forget_enrollment";
    UPKEEP_FORGET_SESSIONS = "upkeep/forget_sessions";
    UPKEEP_PAUSE_QUEUES = "upkeep/pause_queues";
    UPKEEP_SUMMARY = "upkeep/summary";
}

// The migrations, in order; a database's `user_version` is how many of them it has seen. `build.rs` lists what is in
// `sql/migrations`.
include!(concat!(env!("OUT_DIR"), "/migrations.rs"));
