//! The model: which times a job owes, and what should become of each.

use super::*;

/// What is written down of one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub has_run: bool,
    pub skipped: Option<Skipped>,
    pub count: i64,
    /// The run in the way, if one was; its number where that is known.
    pub behind: Option<Option<i64>>,
}

/// What the model knows of a job.
#[derive(Clone, Debug)]
pub struct Known {
    pub spec: JobSpec,
    pub created_at: i64,
    /// Nothing is owed for times up to here.
    pub owed_from: i64,
    /// Up to here its times are accounted for, by the clock as it goes since it was last set back.
    pub accounted_at: i64,
    /// The latest that this ever was; 0 where nothing was fired since the schedule is as it is.
    pub highest_at: i64,
    /// The latest at which anything was fired since it owes what it does.
    pub fired_at: i64,
    /// How often each time was told of: by itself, or by the one that stands for it.
    pub told: BTreeMap<i64, usize>,
}

/// A job's run that has not ended; one of the firing itself has no number that the model knows.
#[derive(Clone, Copy, Debug)]
pub struct Alive {
    pub id: Option<i64>,
    pub is_running: bool,
    pub has_begun: bool,
    pub scheduled_for: Option<i64>,
}

/// What is written down and told of one firing of a job.
#[derive(Debug, Default)]
pub struct Expected {
    pub written: BTreeMap<i64, Written>,
    /// Times whose runs were replaced.
    pub replaced: Vec<i64>,
    /// Times that are told of, each with how many it stands for.
    pub told: Vec<(i64, i64)>,
}

impl Known {
    pub fn new(spec: JobSpec, now: i64) -> Known {
        let told = BTreeMap::new();
        Known { spec, created_at: now, owed_from: now, accounted_at: now, highest_at: 0, fired_at: now, told }
    }

    pub fn schedule(&self) -> Schedule {
        let zone = Zone::named(ZONE).expect("a zone");
        Schedule::parse(&self.spec.schedule, zone, UnixMs(self.created_at)).expect("a schedule")
    }

    /// When it is due next.
    pub fn next_at(&self) -> Option<i64> {
        let next = self.schedule().next(UnixMs(self.accounted_at)).map(|due| due.at.0);
        next.filter(|_| self.spec.enabled)
    }

    /// The times after one and up to another.
    pub fn due(&self, after: i64, until: i64) -> Vec<i64> {
        let (schedule, mut at) = (self.schedule(), UnixMs(after));
        std::iter::from_fn(|| {
            at = schedule.next(at)?.at;
            (at.0 <= until).then_some(at.0)
        })
        .collect()
    }

    /// What should become of the times that are due now.
    pub fn expected(&self, name: &str, world: &World, mut alive: Vec<Alive>) -> Expected {
        let now = world.now;
        let after = if self.highest_at <= now { self.highest_at.max(self.accounted_at) } else { self.accounted_at };
        let due = self.due(after, now);
        let mut one = One { known: self, name, world, alive: &mut alive, due: &due, expected: Expected::default() };
        // Of times that are written down already, one that stands for others is none.
        let newest_of = |one: &One<'_>, due: &[i64]| {
            let nth = due.iter().rposition(|at| !one.is_written(*at))?;
            Some((due[nth], (nth as i64 + 1).min(COUNTED)))
        };
        match (due.as_slice(), self.spec.catch_up) {
            ([], _) => {}
            ([first, ..], _) if *first >= now - MINUTE_MS => {
                due.iter().skip(due.len().saturating_sub(QUEUED_MAX)).for_each(|at| one.at(*at, 1));
            }
            (_, CatchUp::Latest) => newest_of(&one, &due).into_iter().for_each(|(at, count)| one.at(at, count)),
            (_, CatchUp::None) => {
                let (late, on_time) = due.split_at(due.partition_point(|at| *at < now - MINUTE_MS));
                if let Some((at, count)) = newest_of(&one, late) {
                    one.skip(at, count, Skipped::CatchUp, None);
                }
                on_time.iter().for_each(|at| one.at(*at, 1));
            }
            (_, CatchUp::All) => {
                let (older, newest) = due.split_at(due.len().saturating_sub(QUEUED_MAX));
                if let Some((at, count)) = newest_of(&one, older) {
                    one.skip(at, count, Skipped::CatchUp, None);
                }
                newest.iter().for_each(|at| one.at(*at, 1));
            }
        }
        one.expected
    }
}

/// One time at which a job is due, after another.
struct One<'a> {
    known: &'a Known,
    name: &'a str,
    world: &'a World,
    alive: &'a mut Vec<Alive>,
    due: &'a [i64],
    expected: Expected,
}

impl One<'_> {
    fn is_written(&self, at: i64) -> bool {
        self.world.written.contains_key(&(self.name.to_owned(), at)) || self.expected.written.contains_key(&at)
    }

    fn at(&mut self, at: i64, count: i64) {
        let spec = &self.known.spec;
        if self.is_written(at) {
            return;
        }
        let start_at = at + offset_ms(self.world.store.instance(), self.name, spec.jitter_s * 1_000);
        if spec.start_deadline_s.is_some_and(|deadline_s| self.world.now > start_at + deadline_s * 1_000) {
            return self.skip(at, count, Skipped::Deadline, None);
        }
        let queued: Vec<Alive> = self.alive.iter().filter(|run| !run.has_begun).copied().collect();
        let in_the_way = match spec.overlap {
            Overlap::One => queued.first(),
            Overlap::Skip => self.alive.first(),
            Overlap::All => queued.last().filter(|_| queued.len() >= QUEUED_MAX),
            Overlap::Replace | Overlap::Cancel | Overlap::Allow => None,
        };
        if let Some(run) = in_the_way {
            return self.skip(at, count, Skipped::Overlap, Some(run.id));
        }
        if matches!(spec.overlap, Overlap::Replace | Overlap::Cancel) {
            self.expected.replaced.extend(queued.iter().filter_map(|run| run.scheduled_for));
            // What runs is asked to end; what waits for another attempt ends at once.
            self.alive.retain(|run| run.has_begun && (spec.overlap == Overlap::Replace || run.is_running));
        }
        self.alive.push(Alive { id: None, is_running: false, has_begun: false, scheduled_for: Some(at) });
        self.write(at, Written { has_run: true, skipped: None, count, behind: None });
    }

    fn skip(&mut self, at: i64, count: i64, why: Skipped, behind: Option<Option<i64>>) {
        if !self.is_written(at) {
            self.write(at, Written { has_run: false, skipped: Some(why), count, behind });
        }
    }

    fn write(&mut self, at: i64, written: Written) {
        let until = self.due.partition_point(|due| *due <= at);
        let count = if written.count == COUNTED { until } else { written.count as usize };
        self.expected.told.extend(self.due[until - count..until].iter().map(|due| (*due, 1)));
        self.expected.written.insert(at, written);
    }
}

impl Known {
    /// Every time that was owed was told of, once; one that was fired before the schedule was as it is was told of then.
    pub fn nothing_is_lost(&self, name: &str, written: &BTreeMap<(String, i64), Written>, was_set_back: bool) {
        for at in self.due(self.owed_from, self.fired_at).into_iter().filter(|_| self.spec.enabled) {
            let times = self.told.get(&at).copied().unwrap_or(0);
            let is_told = times == 1 || was_set_back && (times > 1 || written.contains_key(&(name.to_owned(), at)));
            assert!(is_told, "{} was told of {times} times: {self:?}", UnixMs(at));
        }
    }
}
