//! One part's rounds: who is measured, in which order, and the figures as they come.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{lines, machine, peers};

/// The build that the bench belongs to, in the table.
pub const OURS: &str = "runabout";
/// The one that `BENCH_AGAINST` names.
pub const BEFORE: &str = "before";

/// Rounds of every measurement; the median counts.
const ROUNDS: usize = 3;
/// By which counts and spans are divided to see only that everything works.
const QUICK: usize = 20;

/// A build of the daemon.
#[derive(Clone)]
pub struct Build {
    pub name: &'static str,
    pub binary: PathBuf,
}

/// Who takes part in a round.
#[derive(Clone)]
pub enum Contender {
    Build(Build),
    Peer(&'static str, PathBuf),
}

impl Contender {
    /// Its name in the table.
    pub fn name(&self) -> &'static str {
        match self {
            Contender::Build(build) => build.name,
            Contender::Peer(name, _) => name,
        }
    }
}

/// A part under way.
pub struct Bench {
    part: &'static str,
    scratch: PathBuf,
    builds: Vec<Build>,
    is_quick: bool,
    begun: Instant,
    load_before: String,
    /// By line, then by who: a sample a round.
    samples: BTreeMap<String, BTreeMap<&'static str, Vec<f64>>>,
    /// By who: why it was not measured.
    missing: BTreeMap<&'static str, String>,
    versions: BTreeMap<&'static str, String>,
}

/// Where scratch state and results are: beside the binaries, on a disk, since what a flush costs counts.
pub fn directory() -> PathBuf {
    std::env::var_os("BENCH_DIR").map_or_else(|| machine::target().join("bench"), PathBuf::from)
}

impl Bench {
    /// A part that nothing was measured of.
    pub fn new(part: &'static str) -> Bench {
        println!("{part}:");
        let ours = std::env::var_os("BENCH_BINARY")
            .map_or_else(|| machine::target().join("release").join("runabout"), PathBuf::from);
        let before = std::env::var_os("BENCH_AGAINST").map(PathBuf::from);
        let named = |name| move |binary: PathBuf| Build { name, binary };
        let builds: Vec<_> = Some(ours).map(named(OURS)).into_iter().chain(before.map(named(BEFORE))).collect();
        let versions = builds.iter().map(|build| (build.name, peers::version(&build.binary))).collect();
        let scratch = directory().join(format!("scratch-{}", std::process::id()));
        std::fs::create_dir_all(&scratch).unwrap();
        let fs = machine::file_system(&scratch);
        assert!(fs != "tmpfs", "{} lies on tmpfs, where a flush costs nothing: set BENCH_DIR", scratch.display());
        Bench {
            part,
            scratch,
            builds,
            is_quick: std::env::var_os("BENCH_QUICK").is_some(),
            begun: Instant::now(),
            load_before: machine::load(),
            samples: BTreeMap::new(),
            missing: BTreeMap::new(),
            versions,
        }
    }

    /// The rounds there are.
    pub fn rounds(&self) -> std::ops::Range<usize> {
        0..if self.is_quick { 1 } else { ROUNDS }
    }

    /// Whether only the working is to be seen.
    pub fn is_quick(&self) -> bool {
        self.is_quick
    }

    /// So many, or few where only the working is to be seen.
    pub fn count(&self, count: usize) -> usize {
        if self.is_quick { (count / QUICK).max(2) } else { count }
    }

    /// How long a rate is measured.
    pub fn span(&self) -> Duration {
        Duration::from_millis(if self.is_quick { 300 } else { 2_000 })
    }

    /// The builds, another one first in every other round.
    pub fn builds(&self, round: usize) -> Vec<Build> {
        let mut builds = self.builds.clone();
        let count = builds.len();
        builds.rotate_left(round % count);
        builds
    }

    /// The builds and those of the peers that are installed, another one first in every round.
    pub fn contenders(&mut self, names: &[&'static str], round: usize) -> Vec<Contender> {
        let mut all: Vec<_> = self.builds.iter().cloned().map(Contender::Build).collect();
        all.extend(names.iter().filter_map(|name| Some(Contender::Peer(name, self.peer(name)?))));
        let count = all.len();
        all.rotate_left(round % count);
        all
    }

    /// A peer's program, unless it is missing, which is then told.
    pub fn peer(&mut self, name: &'static str) -> Option<PathBuf> {
        match peers::find(name) {
            Ok(program) => {
                self.versions.entry(name).or_insert_with(|| peers::version(&program));
                Some(program)
            }
            Err(why) => {
                self.skip(name, why);
                None
            }
        }
    }

    /// Tells why somebody is not measured.
    pub fn skip(&mut self, name: &'static str, why: String) {
        if self.missing.insert(name, why.clone()).is_none() {
            println!("  {name}: {why}");
        }
    }

    /// An empty directory.
    pub fn directory(&self, name: &str) -> PathBuf {
        let dir = self.scratch.join(name);
        if dir.exists() {
            std::fs::remove_dir_all(&dir).unwrap();
        }
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// Takes a figure of this round, in the unit of its line.
    pub fn add(&mut self, key: &str, who: &'static str, value: f64) {
        let line = lines::find(key);
        println!("  {key:<26} {who:<22} {} {}", lines::figure(value), line.unit);
        self.samples.entry(key.to_owned()).or_default().entry(who).or_default().push(value);
    }

    /// Writes down what was measured, and leaves nothing else behind.
    pub fn save(self) {
        std::fs::remove_dir_all(&self.scratch).unwrap();
        let figure = |(key, by_who): (&String, &BTreeMap<&str, Vec<f64>>)| {
            let line = lines::find(key);
            let medians: BTreeMap<_, _> = by_who.iter().map(|(who, samples)| (*who, median(samples))).collect();
            json!({ "key": key, "what": line.what, "unit": line.unit, "samples": by_who, "medians": medians })
        };
        let all = json!({
            "part": self.part,
            "is_quick": self.is_quick,
            "machine": machine::describe(&directory()),
            "load_before": self.load_before,
            "took_s": self.begun.elapsed().as_secs(),
            "versions": self.versions,
            "missing": self.missing,
            "figures": self.samples.iter().map(figure).collect::<Vec<_>>(),
        });
        std::fs::write(results(self.part), serde_json::to_string_pretty(&all).unwrap()).unwrap();
        println!("  took {} s", self.begun.elapsed().as_secs());
    }
}

/// Where a part's figures are.
fn results(part: &str) -> PathBuf {
    directory().join(format!("{part}.json"))
}

/// What a part measured the last time, if it did.
pub fn load(part: &str) -> Option<Value> {
    let text = std::fs::read_to_string(results(part)).ok()?;
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", results(part).display())))
}

/// The one in the middle; of an even number the mean of the two.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

/// Where a socket is, in a directory whose own path may be too long for one.
pub fn socket(dir: &Path) -> PathBuf {
    let whole = dir.join("socket");
    if whole.as_os_str().len() < 100 {
        return whole;
    }
    let short = std::env::temp_dir().join(format!("bench-{}", std::process::id()));
    let _ = std::fs::remove_file(&short);
    short
}
