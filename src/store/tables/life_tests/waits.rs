//! The model's part about what makes runs wait: keys, needs, and the wait before another attempt.

use super::*;
use crate::run::{Conflict, Need, OnConflict, Options, Retry};
use crate::store::tables::submit::Became;

const KEYS: [&str; 2] = ["a", "b"];

/// What a submit says.
#[derive(Clone, Debug)]
pub struct Submit {
    queue: usize,
    delayed: bool,
    keep: bool,
    requeue: bool,
    /// Tried again once: at once, or after a wait beyond the end of any test.
    retry_s: Option<i64>,
    key: Option<(usize, OnConflict)>,
    after: Vec<(usize, When)>,
}

pub fn submit() -> impl Strategy<Value = Submit> {
    let retry_s = prop_oneof![3 => Just(None), 1 => Just(Some(0)), 1 => Just(Some(HOUR_S))];
    // So often that several wait behind one another.
    let any_conflict = (0..OnConflict::ALL.len()).prop_map(|at| OnConflict::ALL[at]);
    let conflict = prop_oneof![Just(OnConflict::Wait), any_conflict];
    let key = prop::option::weighted(0.7, (0..KEYS.len(), conflict));
    let when = (0..When::ALL.len()).prop_map(|at| When::ALL[at]);
    let after = prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec((any::<usize>(), when), 1..3)];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (0..2_usize, flags, retry_s, key, after).prop_map(|(queue, (delayed, keep, requeue), retry_s, key, after)| {
        let is_debounced = matches!(key, Some((_, OnConflict::Debounce)));
        let (delayed, after) = if is_debounced { (true, Vec::new()) } else { (delayed, after) };
        Submit { queue, delayed, keep, requeue, retry_s, key, after }
    })
}

impl World {
    /// A submit, and what the model has it come to.
    pub async fn submit(&mut self, submit: &Submit) {
        let Submit { queue, delayed, keep, requeue, retry_s, key, .. } = *submit;
        let needs: BTreeMap<i64, When> =
            submit.after.iter().filter(|_| self.made > 0).map(|(run, when)| (self.pick(*run).0, *when)).collect();
        let after = needs.iter().map(|(run, when)| Need { run: RunId(*run), when: *when }).collect();
        let conflict = Conflict {
            on_conflict: key.map_or(OnConflict::Wait, |(_, on_conflict)| on_conflict),
            debounce_s: HOUR_S,
            debounce_max_s: None,
        };
        let retry = retry_s.map(|delay_s| Retry { attempts: 2, delay_s, ..Retry::default() });
        let spec = Spec {
            keep,
            on_interrupt: if requeue { OnInterrupt::Requeue } else { OnInterrupt::Fail },
            not_before: delayed.then(|| UnixMs::now().plus_s(HOUR_S)),
            tags: vec!["tag".into()],
            key: key.map(|(key, _)| KEYS[key].to_owned()),
            conflict,
            options: Options { retry, after, ..Options::default() },
            ..Spec::plain(QUEUES[queue])
        };
        let new =
            NewRun { spec, idempotency: None, retry_of: None, origin: Origin::of(Cause::Submit), by: "test".into() };
        let answer = self.store.submit(new).await;
        let twins = key.map(|(key, _)| self.alive(key)).unwrap_or_default();
        let waiting: Vec<i64> = twins.into_iter().filter(|twin| !self.runs[twin].has_begun()).collect();
        let of = Known { queue, requeue, retry_s, key: key.map(|(key, _)| key), ..FRESH };
        match (conflict.on_conflict, waiting.last()) {
            (OnConflict::Join, Some(twin)) => {
                let submitted = answer.expect("joined");
                assert_eq!((submitted.run.id.0, submitted.became), (*twin, Became::Known));
                return;
            }
            (OnConflict::Debounce, Some(twin)) => {
                let submitted = answer.expect("debounced");
                assert_eq!((submitted.run.id.0, submitted.became), (*twin, Became::Changed));
                let known = self.runs.get_mut(twin).expect("known");
                let held_by = known.held_by.set(Hold::Time, true).set(Hold::After, false);
                *known = Known { held_by, ..of };
                return;
            }
            _ => {}
        }
        if needs.keys().any(|run| !self.runs.contains_key(run)) {
            assert!(matches!(answer, Err(StoreError::Refused(Refusal::NeedUnknown { .. }))), "{answer:?}");
            return;
        }
        self.give_way(conflict.on_conflict, of.key, &waiting);
        let is_behind = of.key.is_some_and(|key| !self.alive(key).is_empty());
        let status = |run: &i64| self.runs[run].status;
        let ends = needs.iter().any(|(run, when)| status(run).is_terminal() && !when.is_met_by(status(run)));
        let waits = !ends && needs.keys().any(|run| !status(run).is_terminal());
        let held_by = HeldBy::NOTHING.set(Hold::Time, delayed).set(Hold::Key, is_behind).set(Hold::After, waits);
        let needs =
            needs.iter().filter(|_| waits).map(|(run, when)| (*run, *when, status(run).is_terminal())).collect();
        let made = answer.expect("submitted");
        assert_eq!(made.became, Became::New);
        self.made(made.run.id, Known { held_by, needs, ..of });
        if ends {
            self.end(made.run.id.0, Status::Canceled);
        }
        self.tell();
    }

    /// Those of a key that have not ended, in the order of their numbers.
    pub fn alive(&self, key: usize) -> Vec<i64> {
        let is_alive = |run: &Known| run.key == Some(key) && !run.status.is_terminal();
        self.runs.iter().filter(|(_, run)| is_alive(run)).map(|(id, _)| *id).collect()
    }

    pub fn is_needed(&self, id: i64) -> bool {
        self.runs.values().any(|run| run.needs.iter().any(|(needed, ..)| *needed == id))
    }

    /// A new run takes the place of others of its key.
    fn give_way(&mut self, on_conflict: OnConflict, key: Option<usize>, waiting: &[i64]) {
        if !matches!(on_conflict, OnConflict::Replace | OnConflict::Cancel) {
            return;
        }
        waiting.iter().rev().for_each(|twin| self.end(*twin, Status::Canceled));
        let begun = key.and_then(|key| self.alive(key).first().copied()).filter(|_| on_conflict == OnConflict::Cancel);
        match begun.map(|begun| (begun, self.runs[&begun].status)) {
            Some((begun, Status::Running)) => self.runs.get_mut(&begun).expect("known").canceled = true,
            Some((begun, _)) => self.end(begun, Status::Canceled),
            None => {}
        }
    }

    /// A run ends, with what follows for the next of its key.
    pub fn end(&mut self, id: i64, status: Status) {
        let run = self.runs.get_mut(&id).expect("known");
        let had_its_turn = !run.held_by.has(Hold::Key);
        (run.status, run.held_by) = (status, HeldBy::NOTHING);
        run.needs.clear();
        let key = run.key.filter(|_| had_its_turn);
        if let Some(next) = key.and_then(|key| self.alive(key).first().copied()) {
            let next = self.runs.get_mut(&next).expect("known");
            next.held_by = next.held_by.set(Hold::Key, false);
        }
    }

    /// What follows from ends for those who need them, until nothing does.
    pub fn tell(&mut self) {
        let waits = |run: &&i64| {
            self.runs[run].needs.iter().any(|(needed, _, met)| !met && self.runs[needed].status.is_terminal())
        };
        let Some(id) = self.runs.keys().find(waits).copied() else { return };
        let statuses: BTreeMap<i64, Status> = self.runs.iter().map(|(id, run)| (*id, run.status)).collect();
        let run = self.runs.get_mut(&id).expect("known");
        let over = |needed: &i64| statuses[needed].is_terminal();
        if run.needs.iter().any(|(needed, when, _)| over(needed) && !when.is_met_by(statuses[needed])) {
            self.end(id, Status::Canceled);
        } else {
            run.needs.iter_mut().for_each(|(needed, _, met)| *met = over(needed));
            if run.needs.iter().all(|(.., met)| *met) {
                run.needs.clear();
                run.held_by = run.held_by.set(Hold::After, false);
            }
        }
        self.tell();
    }
}
