//! What may happen, by lot.

use super::*;

/// What happens next; the numbers are milliseconds.
#[derive(Clone, Debug)]
pub enum Act {
    /// Time goes by.
    Pass(i64),
    /// The clock is set, or the machine was asleep.
    Set(i64),
    /// It starts again in 1970; after so long its clock is right, by so much.
    Without {
        works_ms: i64,
        off_ms: i64,
    },
    /// Time goes by, it dies at this change of the firing that is due then, and starts again after so long.
    Crash {
        step: usize,
        before_ms: i64,
        off_ms: i64,
    },
    Put {
        job: usize,
        schedule: usize,
        how: How,
    },
    Enable {
        job: usize,
        enabled: bool,
    },
    Claim,
    /// One of the runs that are on their way ends.
    End {
        run: usize,
        code: i32,
    },
}

/// What a job does about what it missed, and about what is in its way.
#[derive(Clone, Debug)]
pub struct How {
    pub catch_up: CatchUp,
    pub overlap: Overlap,
    pub deadline_s: Option<i64>,
    pub jitter_s: i64,
    pub retries: bool,
}

fn span() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => 1..2 * MINUTE_MS,
        4 => 1..2 * DAY_MS,
        2 => 1..60 * DAY_MS,
        1 => 1..900 * DAY_MS,
    ]
}

pub fn how() -> impl Strategy<Value = How> {
    let catch_up = (0..CatchUp::ALL.len()).prop_map(|at| CatchUp::ALL[at]);
    let overlap = (0..Overlap::ALL.len()).prop_map(|at| Overlap::ALL[at]);
    let deadline_s = prop_oneof![2 => Just(None), 1 => Just(Some(5)), 1 => Just(Some(7_200))];
    let jitter_s = prop_oneof![2 => Just(0), 1 => Just(1_800)];
    (catch_up, overlap, deadline_s, jitter_s, any::<bool>()).prop_map(
        |(catch_up, overlap, deadline_s, jitter_s, retries)| How { catch_up, overlap, deadline_s, jitter_s, retries },
    )
}

fn put() -> impl Strategy<Value = Act> {
    (0..NAMES.len(), 0..SCHEDULES.len(), how()).prop_map(|(job, schedule, how)| Act::Put { job, schedule, how })
}

pub fn act() -> impl Strategy<Value = Act> {
    let back = (1..400 * DAY_MS).prop_map(|by| -by);
    prop_oneof![
        6 => span().prop_map(Act::Pass),
        2 => span().prop_map(Act::Set),
        2 => prop_oneof![back, (1..2 * DAY_MS).prop_map(|by| -by)].prop_map(Act::Set),
        1 => (1..HOUR_MS, span()).prop_map(|(works_ms, off_ms)| Act::Without { works_ms, off_ms }),
        5 => (1..40_usize, span(), span()).prop_map(|(step, before_ms, off_ms)| Act::Crash { step, before_ms, off_ms }),
        2 => put(),
        1 => (0..NAMES.len(), any::<bool>()).prop_map(|(job, enabled)| Act::Enable { job, enabled }),
        2 => Just(Act::Claim),
        3 => (any::<usize>(), 0..2_i32).prop_map(|(run, code)| Act::End { run, code }),
    ]
}
