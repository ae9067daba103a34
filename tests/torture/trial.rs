//! Runs the parts: how long each may take, the random numbers of each of its rounds, what it counted, and how a round that
//! failed is repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::common::{Random, TempDir, binary, now_ms};

/// Rounds of a part that may fail before it is given up.
const FAILURES_MAX: u64 = 5;
/// A part that has so long does what is too long for the brief form.
const LONG: Duration = Duration::from_secs(300);
/// Rounds of a part that are tried side by side, where each has a daemon of its own: most of a round is waiting.
const LANES: usize = 4;

const HELP: &str = "\
torture [--minutes N] [--hours N] [--seed N] [--round N] [PART...]

  --minutes N  how long all parts may take together (2)
  --hours N    the same in hours
  --seed N     whence the random numbers come; printed when it is chosen
  --round N    this round alone, of one part
  --plant WHAT a fault of the part's own, which it has to find: `flush` (power), no flush does anything
";

/// A part of the torture.
pub struct Part {
    pub name: &'static str,
    /// What it does, in a line.
    pub what: &'static str,
    /// How much of the time is its own, beside the others.
    pub share: u32,
    pub run: fn(&mut Trial),
}

/// One run of a part.
pub struct Trial {
    part: &'static str,
    /// Whence its random numbers come.
    pub seed: u64,
    begun: Instant,
    limit: Duration,
    only: Option<u64>,
    plant: String,
    round: u64,
    is_over: bool,
    failures: u64,
    counts: BTreeMap<String, u64>,
}

impl Trial {
    /// Whether there is time for one more round.
    pub fn goes_on(&self) -> bool {
        let is_wanted = self.only.is_none_or(|only| self.round <= only);
        let has_time = self.only.is_some() || self.begun.elapsed() < self.limit;
        is_wanted && has_time && !self.is_over && self.failures < FAILURES_MAX
    }

    /// Whether it has minutes.
    pub fn is_long(&self) -> bool {
        self.limit >= LONG
    }

    /// A fault that the part makes by itself, in which it then has to fail; none: empty.
    pub fn plant(&self) -> &str {
        &self.plant
    }

    /// Leaves a round out.
    pub fn pass(&mut self) {
        self.round += 1;
    }

    /// Ends it before its time: there is nothing more to try.
    pub fn end(&mut self) {
        self.is_over = true;
    }

    /// When it is to end.
    pub fn until(&self) -> Instant {
        self.begun + self.limit
    }

    /// How long it may go on.
    pub fn left(&self) -> Duration {
        self.limit.saturating_sub(self.begun.elapsed())
    }

    /// Tries something: a panic in it is a failure. The numbers that it gets are those of this round and no other. `None`: it
    /// failed, or another round alone is wanted.
    pub fn round<T>(&mut self, what: &str, work: impl FnOnce(&mut Random) -> T) -> Option<T> {
        let round = self.round;
        self.round += 1;
        if self.only.is_some_and(|only| only != round) {
            return None;
        }
        self.count("rounds", 1);
        let worked = catch_unwind(AssertUnwindSafe(|| work(&mut self.random(round))));
        if worked.is_err() {
            self.failed(what, round);
        }
        worked.ok()
    }

    /// Tries rounds side by side for as long as there is time, each by its number; `told` is given what became of each.
    /// A round may have nothing to try, and is then passed over.
    pub fn rounds<T: Send>(
        &mut self,
        what: &str,
        work: impl Fn(u64, &mut Random) -> Option<T> + Sync,
        told: impl FnMut(&mut Trial, T) + Send,
    ) {
        let shared = Mutex::new((self, told));
        let locked = || shared.lock().unwrap_or_else(PoisonError::into_inner);
        let next = || {
            let trial = &mut *locked().0;
            let is_wanted = |trial: &Trial| trial.only.is_none_or(|only| only == trial.round);
            while trial.goes_on() && !is_wanted(trial) {
                trial.round += 1;
            }
            trial.goes_on().then(|| {
                trial.round += 1;
                (trial.round - 1, trial.random(trial.round - 1))
            })
        };
        let lane = || {
            while let Some((round, mut random)) = next() {
                let worked = catch_unwind(AssertUnwindSafe(|| work(round, &mut random)));
                let (trial, told) = &mut *locked();
                trial.count("rounds", u64::from(!matches!(worked, Ok(None))));
                match worked {
                    Ok(Some(outcome)) => told(trial, outcome),
                    Ok(None) => {}
                    Err(_) => trial.failed(what, round),
                }
            }
        };
        std::thread::scope(|scope| (0..LANES).for_each(|_| drop(scope.spawn(lane))));
    }

    fn random(&self, round: u64) -> Random {
        Random::new(mixed(self.seed, self.part, round))
    }

    fn failed(&mut self, what: &str, round: u64) {
        self.failures += 1;
        let (part, seed) = (self.part, self.seed);
        eprintln!(
            "{part}: FAILED: {what}, round {round}\n{part}: again: make torture PARTS={part} SEED={seed} ROUND={round}"
        );
    }

    /// Adds to what is printed at the end.
    pub fn count(&mut self, what: &str, count: u64) {
        *self.counts.entry(what.to_owned()).or_default() += count;
    }

    fn tell(&self) {
        let counts: Vec<String> = self.counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        let (part, failed, seed) = (self.part, self.failures, self.seed);
        let seconds = self.begun.elapsed().as_secs();
        println!("{part}: {}; {failed} failed; {seconds} s, seed {seed}", counts.join(", "));
    }
}

/// One number of several, by FNV-1a.
fn mixed(seed: u64, part: &str, round: u64) -> u64 {
    let bytes = seed.to_le_bytes().into_iter().chain(part.bytes()).chain(round.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Runs what the arguments ask for; fails where a round did.
pub fn main(parts: &[Part]) -> ExitCode {
    let Some(asked) = Asked::read(std::env::args().skip(1), parts) else {
        print!("{HELP}\nThe parts, all of which are run where none is named:\n\n");
        parts.iter().for_each(|part| println!("  {:<11}  {}", part.name, part.what));
        return ExitCode::from(2);
    };
    TempDir::keep_those_of_failures();
    let wanted = || parts.iter().filter(|part| asked.parts.is_empty() || asked.parts.contains(part.name));
    let shares: u32 = wanted().map(|part| part.share).sum();
    println!("torture: {} for {} s, seed {}", binary(), asked.limit.as_secs(), asked.seed);
    let mut failures = 0;
    for part in wanted() {
        let limit = asked.limit * part.share / shares;
        let (round, counts) = (0, BTreeMap::new());
        let (part_name, begun) = (part.name, Instant::now());
        let (seed, only, plant) = (asked.seed, asked.round, asked.plant.clone());
        let mut trial =
            Trial { part: part_name, seed, begun, limit, only, plant, round, is_over: false, failures: 0, counts };
        (part.run)(&mut trial);
        trial.tell();
        failures += trial.failures;
    }
    ExitCode::from(u8::from(failures > 0))
}

struct Asked {
    limit: Duration,
    seed: u64,
    round: Option<u64>,
    plant: String,
    parts: BTreeSet<String>,
}

impl Asked {
    fn read(mut words: impl Iterator<Item = String>, parts: &[Part]) -> Option<Asked> {
        let (limit, seed) = (Duration::from_secs(120), now_ms() as u64);
        let mut asked = Asked { limit, seed, round: None, plant: String::new(), parts: BTreeSet::new() };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--minutes" => asked.limit = seconds(60.0, &words.next()?)?,
                "--hours" => asked.limit = seconds(3_600.0, &words.next()?)?,
                "--seed" => asked.seed = words.next()?.parse().ok()?,
                "--round" => asked.round = Some(words.next()?.parse().ok()?),
                "--plant" => asked.plant = words.next()?,
                name if parts.iter().any(|part| part.name == name) => _ = asked.parts.insert(word),
                _ => return None,
            }
        }
        Some(asked)
    }
}

fn seconds(unit: f64, text: &str) -> Option<Duration> {
    let count: f64 = text.parse().ok().filter(|count| (0.0..=10_000.0).contains(count))?;
    Some(Duration::from_secs_f64(count * unit))
}
