//! Bad neighbours: a hundred clients that stall, trickle, reset, half-close, send garbage, say nothing, vanish, or ask for more
//! than they take, beside readers and a submitter that must not notice.
//!
//! First the good ones are alone; that is what their latency with neighbours is held against. Each of them sees every event
//! once and in order all the while. Afterwards memory, descriptors and log are what they were.

mod bad;
mod good;
mod place;
mod targets;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use self::bad::Crowd;
use self::good::{Good, Told};
use self::place::{Place, Transport};
use crate::common::{DEADLINE, Daemon, Random, eventually, highest_resident_bytes, open_descriptors, resident_bytes};
use crate::trial::{Part, Trial};

/// The part.
pub const PART: Part = Part {
    name: "neighbours",
    what: "a hundred clients that stall, trickle, reset, vanish and send garbage, beside readers and a submitter",
    share: 2,
    run,
};

/// Bad neighbours at a time.
const NEIGHBOURS: usize = 100;
/// How long the good ones are alone.
const QUIET: Duration = Duration::from_millis(2_000);
/// How long they have neighbours.
const LOUD: Duration = Duration::from_millis(6_000);
/// Memory that a hundred of them may cost: the buffers of streams (8 MiB), a head and a page each, and what the allocator
/// keeps.
const GROWTH_BYTES_MAX: u64 = 48 * 1_024 * 1_024;
/// Lines of the log that they may cause, all together.
const LOG_LINES_MAX: usize = 50;
/// How much longer 95 of 100 events may be under way than without neighbours, …
const TIMES_MAX: u32 = 20;
/// … where that is more than this: both share two processors with a hundred clients.
const SLACK: Duration = Duration::from_millis(1_000);

fn run(at: &mut Trial) {
    targets::run(at);
    while at.goes_on() {
        let Some(seen) = at.round("a hundred bad neighbours", beside_neighbours) else { continue };
        for (what, count) in seen {
            at.count(&what, count);
        }
    }
}

/// One try over one transport; answers what was tried, and how many of it.
fn beside_neighbours(random: &mut Random) -> BTreeMap<String, u64> {
    let transport = Transport::ALL[random.below(Transport::ALL.len() as u64) as usize];
    let place = Place::new(transport);
    let daemon = &place.daemon;
    let good = Good::start(&place);
    std::thread::sleep(QUIET);
    let (alone, descriptors) = (resident_bytes(daemon.pid()), fewest_descriptors(daemon));
    let log = log_lines(daemon);
    good.is_loud.store(true, Ordering::Relaxed);
    let mut crowd = Crowd::default();
    let highest = highest_resident_bytes(daemon.pid(), || crowd = Crowd::of(NEIGHBOURS, &place.ways, random, LOUD));
    good.is_loud.store(false, Ordering::Relaxed);
    eventually(DEADLINE, "the neighbours' descriptors are given back", || {
        open_descriptors(daemon.pid()) <= descriptors
    });
    let told = good.end(&place);
    let growth = highest.saturating_sub(alone);
    assert!(growth <= GROWTH_BYTES_MAX, "memory grew by {growth} bytes from {alone}");
    let lines = log_lines(daemon).saturating_sub(log);
    assert!(lines <= LOG_LINES_MAX, "{lines} lines of log: {}", daemon.log());
    let mut seen: BTreeMap<String, u64> =
        crowd.counts.iter().map(|(what, count)| ((*what).to_owned(), *count)).collect();
    seen.insert(format!("rounds over {}", transport.name()), 1);
    for told in &told {
        judge(transport, told);
        *seen.entry("events and answers in time".to_owned()).or_default() += told.loud.len() as u64;
    }
    println!(
        "{}: {} neighbours, memory {alone} + {growth} bytes, {lines} lines of log",
        transport.name(),
        crowd.total()
    );
    seen
}

/// Holds what somebody saw beside neighbours against what he saw alone.
fn judge(transport: Transport, told: &Told) {
    let Told { who, quiet, loud } = told;
    assert!(quiet.len() >= 20 && loud.len() >= 20, "{who} saw {} and {}", quiet.len(), loud.len());
    let (alone, beside, worst) = (p95(quiet), p95(loud), loud.iter().max().copied().unwrap_or_default());
    println!("{}: {who}: 95 of 100 within {alone:?} alone, {beside:?} beside, all within {worst:?}", transport.name());
    let most = (alone * TIMES_MAX).max(SLACK);
    assert!(beside <= most, "{who}: 95 of 100 within {beside:?}, alone {alone:?}");
}

fn p95(took: &[Duration]) -> Duration {
    let mut took = took.to_vec();
    took.sort_unstable();
    took[(took.len() * 95 / 100).min(took.len() - 1)]
}

/// The fewest descriptors that were seen for a while: commands of the good ones come and go.
fn fewest_descriptors(daemon: &Daemon) -> usize {
    let begun = Instant::now();
    let mut fewest = usize::MAX;
    while begun.elapsed() < Duration::from_millis(500) {
        fewest = fewest.min(open_descriptors(daemon.pid()));
        std::thread::sleep(Duration::from_millis(5));
    }
    fewest
}

/// Lines that are not about what the good ones did.
fn log_lines(daemon: &Daemon) -> usize {
    daemon.log().lines().filter(|line| !line.contains("was submitted")).count()
}
