//! Every statement that the daemon ever prepares, one file each under `sql/`.

macro_rules! statements {
    ($($name:ident = $file:literal;)+) => {
        $(#[doc = concat!("`sql/", $file, ".sql`")] pub const $name: &str = include_str!(concat!("../../sql/", $file, ".sql"));)+

        /// Every statement with its file's name, for the test that reads their query plans.
        pub const ALL: &[(&str, &str)] = &[$(($file, $name),)+];
    };
}

statements! {
    ARTIFACTS_BYTES = "artifacts/bytes";
    ARTIFACTS_COUNT = "artifacts/count";
    ARTIFACTS_DELETE = "artifacts/delete";
    ARTIFACTS_GET = "artifacts/get";
    ARTIFACTS_INSERT = "artifacts/insert";
    ARTIFACTS_LIST = "artifacts/list";
    ARTIFACTS_NEXT_VICTIM = "artifacts/next_victim";
    ATTEMPTS_DELETE = "attempts/delete";
    ATTEMPTS_KEEP = "attempts/keep";
    ATTEMPTS_RECORD_KEEPER = "attempts/record_keeper";
    ATTEMPTS_RECORD_PROCESS = "attempts/record_process";
    CURSORS_DELETE = "cursors/delete";
    CURSORS_LIST = "cursors/list";
    CURSORS_PUT = "cursors/put";
    CURSORS_SETTLE = "cursors/settle";
    CURSORS_SHIFT = "cursors/shift";
    DELIVERIES_COUNT = "deliveries/count";
    DELIVERIES_COUNT_OF_HOOK = "deliveries/count_of_hook";
    DELIVERIES_COUNT_PENDING = "deliveries/count_pending";
    DELIVERIES_DELETE = "deliveries/delete";
    DELIVERIES_FIRST_PENDING = "deliveries/first_pending";
    DELIVERIES_GET = "deliveries/get";
    DELIVERIES_INSERT = "deliveries/insert";
    DELIVERIES_LIST = "deliveries/list";
    DELIVERIES_LIST_BY_STATUS = "deliveries/list_by_status";
    DELIVERIES_MAX_ID = "deliveries/max_id";
    DELIVERIES_OF_HOOK = "deliveries/of_hook";
    DELIVERIES_OLDEST_END = "deliveries/oldest_end";
    DELIVERIES_OVER = "deliveries/over";
    DELIVERIES_RECORD = "deliveries/record";
    DELIVERIES_REDELIVER = "deliveries/redeliver";
    ENROLLMENT_DELETE = "enrollment/delete";
    ENROLLMENT_EXPIRE = "enrollment/expire";
    ENROLLMENT_INSERT = "enrollment/insert";
    ENROLLMENT_LIST = "enrollment/list";
    ENROLLMENT_NEXT_EXPIRY = "enrollment/next_expiry";
    ENROLLMENT_REDEEM = "enrollment/redeem";
    ENROLLMENT_SHIFT = "enrollment/shift";
    EVENTS_APPEND = "events/append";
    EVENTS_BEGIN_DELETING = "events/begin_deleting";
    EVENTS_DELETE_TO = "events/delete_to";
    EVENTS_END_DELETING = "events/end_deleting";
    EVENTS_GET = "events/get";
    EVENTS_MAX_ID = "events/max_id";
    EVENTS_MAX_ID_OF = "events/max_id_of";
    EVENTS_MEASURE = "events/measure";
    EVENTS_MIN_ID = "events/min_id";
    EVENTS_NEXT_DELETING = "events/next_deleting";
    EVENTS_NEXT_KEY = "events/next_key";
    EVENTS_NO_OUTPUT_AFTER = "events/no_output_after";
    EVENTS_NO_OUTPUT_BEFORE = "events/no_output_before";
    EVENTS_NO_OUTPUT_BETWEEN = "events/no_output_between";
    EVENTS_OF_RUN_AFTER = "events/of_run_after";
    EVENTS_OF_RUN_BEFORE = "events/of_run_before";
    EVENTS_PAGE = "events/page";
    EVENTS_PAGE_BEFORE = "events/page_before";
    FIRINGS_COUNT = "firings/count";
    FIRINGS_DELETE = "firings/delete";
    FIRINGS_EXISTS = "firings/exists";
    FIRINGS_EXPIRE = "firings/expire";
    FIRINGS_INSERT = "firings/insert";
    FIRINGS_LIST = "firings/list";
    FIRINGS_NTH = "firings/nth";
    FIRINGS_OLDEST = "firings/oldest";
    FIRINGS_RAISE_PRUNED = "firings/raise_pruned";
    FIRINGS_REPLACE = "firings/replace";
    HOOKS_COUNT = "hooks/count";
    HOOKS_DELETE = "hooks/delete";
    HOOKS_GET = "hooks/get";
    HOOKS_LIST = "hooks/list";
    HOOKS_PUT = "hooks/put";
    IDEMPOTENCY_EXPIRE = "idempotency/expire";
    IDEMPOTENCY_GET = "idempotency/get";
    IDEMPOTENCY_INSERT = "idempotency/insert";
    IDEMPOTENCY_NEXT_EXPIRY = "idempotency/next_expiry";
    IDEMPOTENCY_RELEASE = "idempotency/release";
    IDEMPOTENCY_SHIFT = "idempotency/shift";
    JOBS_ADVANCE = "jobs/advance";
    JOBS_COUNT = "jobs/count";
    JOBS_DELETE = "jobs/delete";
    JOBS_DUE = "jobs/due";
    JOBS_END_FOLLOWED_END = "jobs/end_followed_end";
    JOBS_FOLLOWED = "jobs/followed";
    JOBS_FOLLOWED_END = "jobs/followed_end";
    JOBS_FOLLOWERS = "jobs/followers";
    JOBS_GET = "jobs/get";
    JOBS_LIST = "jobs/list";
    JOBS_NEXT_DUE = "jobs/next_due";
    JOBS_NEXT_FOLLOWED_END = "jobs/next_followed_end";
    JOBS_PUT = "jobs/put";
    KEYS_NEWEST = "keys/newest";
    KEYS_OLDEST = "keys/oldest";
    LIFE_ADMIT = "life/admit";
    LIFE_CHANGE = "life/change";
    LIFE_END = "life/end";
    LIFE_ENTER = "life/enter";
    LIFE_FILE = "life/file";
    LIFE_FREE = "life/free";
    LIFE_NEED = "life/need";
    LIFE_REMOVE = "life/remove";
    LIFE_REQUEUE = "life/requeue";
    LIFE_START = "life/start";
    LIFE_TAKE = "life/take";
    LIFE_UNNEED = "life/unneed";
    META_GET = "meta/get";
    META_KEEP_COOKIE = "meta/keep_cookie";
    META_RAISE = "meta/raise";
    META_SET = "meta/set";
    NEEDS_ADD = "needs/add";
    NEEDS_BEGIN_TELLING = "needs/begin_telling";
    NEEDS_END_TELLING = "needs/end_telling";
    NEEDS_FORGET = "needs/forget";
    NEEDS_IS_WANTING = "needs/is_wanting";
    NEEDS_MEET = "needs/meet";
    NEEDS_NEEDED_BY = "needs/needed_by";
    NEEDS_NEXT_TO_TELL = "needs/next_to_tell";
    NEEDS_NEXT_UNTOLD = "needs/next_untold";
    NEEDS_WANTING = "needs/wanting";
    OUTPUT_APPEND = "output/append";
    OUTPUT_BEGIN_BLOCK = "output/begin_block";
    OUTPUT_BEHIND = "output/behind";
    OUTPUT_BYTES = "output/bytes";
    OUTPUT_CONTENTS = "output/contents";
    OUTPUT_DELETE_TO = "output/delete_to";
    OUTPUT_END_BLOCK = "output/end_block";
    OUTPUT_GET = "output/get";
    OUTPUT_LAST_BLOCK = "output/last_block";
    OUTPUT_MEASURE = "output/measure";
    OUTPUT_NEXT_BLOCK = "output/next_block";
    OUTPUT_OF_BLOCK = "output/of_block";
    OUTPUT_SEARCH = "output/search";
    QUEUES_DELETE = "queues/delete";
    QUEUES_LIST = "queues/list";
    QUEUES_PUT = "queues/put";
    RUNS_ALIVE_OF_JOB = "runs/alive_of_job";
    RUNS_AT = "runs/at";
    RUNS_COUNT_BY_STATUS = "runs/count_by_status";
    RUNS_COUNT_FRESH = "runs/count_fresh";
    RUNS_COUNT_PRUNABLE = "runs/count_prunable";
    RUNS_ENDED_AS = "runs/ended_as";
    RUNS_EXPIRED = "runs/expired";
    RUNS_FIRST_RUNNING = "runs/first_running";
    RUNS_FRESH_ENDED = "runs/fresh_ended";
    RUNS_GET = "runs/get";
    RUNS_HAS_TAG = "runs/has_tag";
    RUNS_HEAD = "runs/head";
    RUNS_JOB_OF = "runs/job_of";
    RUNS_LAST_OF_JOB = "runs/last_of_job";
    RUNS_LIST = "runs/list";
    RUNS_LIST_BY_JOB = "runs/list_by_job";
    RUNS_LIST_BY_NAME = "runs/list_by_name";
    RUNS_LIST_BY_QUEUE = "runs/list_by_queue";
    RUNS_LIST_BY_STATUS = "runs/list_by_status";
    RUNS_LIST_BY_TAG = "runs/list_by_tag";
    RUNS_LIST_FRESH = "runs/list_fresh";
    RUNS_MAX_ID = "runs/max_id";
    RUNS_NEXT_AGED = "runs/next_aged";
    RUNS_NEXT_DUE = "runs/next_due";
    RUNS_NEXT_EXPIRE = "runs/next_expire";
    RUNS_NEXT_PRUNABLE = "runs/next_prunable";
    RUNS_OLDEST_ENDED = "runs/oldest_ended";
    RUNS_QUEUE_OF = "runs/queue_of";
    RUNS_REQUEST_CANCEL = "runs/request_cancel";
    RUNS_RUNNING = "runs/running";
    RUNS_SET_PROGRESS = "runs/set_progress";
    RUNS_SET_START_BEFORE = "runs/set_start_before";
    RUNS_TAG = "runs/tag";
    RUNS_TEXTS = "runs/texts";
    RUNS_UNTAG = "runs/untag";
    RUNS_WAS_RETRIED = "runs/was_retried";
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
    UPKEEP_ARTIFACTS = "upkeep/artifacts";
    UPKEEP_DISABLE_HOOKS = "upkeep/disable_hooks";
    UPKEEP_ENDS_OF_JOB = "upkeep/ends_of_job";
    UPKEEP_FORGET_ENROLLMENT = "upkeep/forget_enrollment";
    UPKEEP_FORGET_SESSIONS = "upkeep/forget_sessions";
    UPKEEP_HOOKS = "upkeep/hooks";
    UPKEEP_JOBS = "upkeep/jobs";
    UPKEEP_MAX_ID_BEFORE = "upkeep/max_id_before";
    UPKEEP_PAUSE_QUEUES = "upkeep/pause_queues";
    UPKEEP_SUMMARY = "upkeep/summary";
}

// The migrations, in order; a database's `user_version` is how many of them it has seen. `build.rs` lists what is in
// `sql/migrations`.
include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// How many migrations a database has seen whose events are being moved to where they are now, a piece at a time.
pub const MOVING: usize = 7;

/// The first schema that has jobs.
pub const JOBS_SINCE: i64 = 14;

/// The first schema that has hooks.
pub const HOOKS_SINCE: i64 = 20;

/// The first schema that has artifacts.
pub const ARTIFACTS_SINCE: i64 = 21;

/// What moves a piece of them: measured and counted by the first two, then moved by the others, in this order.
pub mod moving {
    /// `sql/moving/measure.sql`
    pub const MEASURE: &str = include_str!("../../sql/moving/measure.sql");
    /// `sql/moving/count.sql`
    pub const COUNT: &str = include_str!("../../sql/moving/count.sql");
    /// All that a piece consists of.
    pub const PIECE: &[&str] = &[
        include_str!("../../sql/moving/events.sql"),
        include_str!("../../sql/moving/output.sql"),
        include_str!("../../sql/moving/output_blocks.sql"),
        include_str!("../../sql/moving/remove.sql"),
    ];
}
