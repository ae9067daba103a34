//! Part `power`: the writes and flushes of the database's files are recorded while a daemon works, and made anew as power cuts
//! may leave them. Each state is opened by a daemon, which must serve, and have all that had been promised or shown by then.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::load::{Load, readers};
use super::record::{CALLS, Files, Step, steps};
use super::told::{Book, Mark, Told};
use super::traced::wrapper;
use super::trial::{Part, Trial};
use crate::common::{
    Builder, Client, DEADLINE, Daemon, Random, TempDir, eventually, kill, proc_exists, strace_is_there,
};

pub const PART: Part =
    Part { name: "power", what: "power cuts, from the recorded writes and flushes of the database", share: 3, run };

/// Requests that are answered while it is recorded, in each of the two lives of the daemon.
const ANSWERS: u64 = 70;
/// States that are tried of one record however long that took.
const STATES_LEAST: u64 = 24;
/// States that are made of one record, at most.
const STATES: usize = 400;
/// … in the long form.
const STATES_LONG: usize = 2_000;
/// Who opens states at the same time.
const OPENERS: usize = 4;
/// In one state of so many the daemon goes on while its database is looked into.
const ALIVE: usize = 4;
/// Where files need no disk.
const MEMORY: &str = "/dev/shm";
/// Failures of one record that are told.
const TOLD_MAX: usize = 3;

fn run(at: &mut Trial) {
    if !strace_is_there() {
        return println!("power: skipped: strace is not there, or ptrace is not allowed");
    }
    let states_max = if at.is_long() { STATES_LONG } else { STATES };
    while at.goes_on() {
        let until = at.until();
        let lies = at.plant() == "flush";
        let counts = at.round("power cuts of one record", |random| {
            let record = Record::make(random, lies);
            record.try_states(random, states_max, until)
        });
        for (what, count) in counts.unwrap_or_default() {
            at.count(what, count);
        }
    }
}

/// What a daemon did, and what it had promised when.
struct Record {
    steps: Vec<Step>,
    marks: Vec<(u64, Mark)>,
    /// The directory stays where a failure has to be looked into.
    _dir: TempDir,
}

/// A cut: after so many steps, with nothing of what was under way or by these numbers with some.
#[derive(Clone, Copy, Debug)]
struct Cut {
    steps: usize,
    seed: Option<u64>,
}

impl Record {
    /// Has a daemon work, be killed, recover, work again and stop; `lies`: its flushes do nothing and say that they did.
    fn make(random: &mut Random, lies: bool) -> Record {
        let dir = TempDir::new();
        let path = dir.path().to_owned();
        let log = path.join("record");
        // It dies in place of a flush, or at any time: what it had written and not flushed is there for the next one to read.
        let dies_at = random.below(3);
        let nth = 12 + random.below(60);
        let inject = match dies_at {
            _ if lies => "inject=fsync,fdatasync:retval=0".to_owned(),
            0 => "raw=none".to_owned(),
            _ => format!("inject=fsync,fdatasync:signal=KILL:when={nth}"),
        };
        let config = "[runs]\nkill_grace_s = 1\n[output]\nflush_unwatched_ms = 100\n";
        let mut daemon = recorded(Daemon::builder().config(config), &inject, &log).prepared_in(dir);
        daemon.start_again();
        daemon.put("/v1/queues/default", &json!({"slots": 4, "paused": dies_at == 2})).expect(200);
        let at = log.clone();
        let length = move || std::fs::metadata(&at).map_or(0, |log| log.len());
        let told = Told::beside(daemon.dir().join("side"), Box::new(length));
        *told.readers() = readers();
        work(&mut daemon, &told, random, true);
        let inject = if lies { &inject } else { "raw=none" };
        daemon.rebuild(|builder| recorded(builder, inject, &log));
        daemon.start_again();
        work(&mut daemon, &told, random, false);
        let record = daemon.dir().join("record");
        let steps = steps(&record, &daemon.state_dir());
        let dir = daemon.into_dir();
        Record { steps, marks: told.marks(), _dir: dir }
    }

    /// Makes states and has each opened.
    fn try_states(&self, random: &mut Random, most: usize, until: Instant) -> BTreeMap<&'static str, u64> {
        let cuts = self.cuts(random, most);
        let (tried, certain) = (AtomicU64::new(0), AtomicU64::new(0));
        let wrong: Mutex<Vec<String>> = Mutex::default();
        std::thread::scope(|scope| {
            for opener in 0..OPENERS {
                let (cuts, wrong, tried, certain) = (&cuts, &wrong, &tried, &certain);
                scope.spawn(move || {
                    let place = Place::new();
                    let mine = cuts.iter().skip(opener).step_by(OPENERS);
                    let mut nth = 0;
                    self.walk(mine, |cut, files, book| {
                        nth += 1;
                        let is_over = Instant::now() > until && tried.load(Ordering::Relaxed) >= STATES_LEAST;
                        if is_over || wrong.lock().unwrap().len() >= TOLD_MAX {
                            return false;
                        }
                        tried.fetch_add(1, Ordering::Relaxed);
                        certain.fetch_add(u64::from(cut.seed.is_none()), Ordering::Relaxed);
                        if let Err(why) = place.opened(files, book, nth % ALIVE == 0) {
                            wrong.lock().unwrap().push(format!("{cut:?}: {why}"));
                        }
                        true
                    });
                });
            }
        });
        let wrong = wrong.into_inner().unwrap();
        assert!(wrong.is_empty(), "of {} states these are wrong:\n{}", tried.into_inner(), wrong.join("\n"));
        let count = |of: fn(&Mark) -> bool| self.marks.iter().filter(|(_, mark)| of(mark)).count() as u64;
        BTreeMap::from([
            ("states", tried.into_inner()),
            ("states with nothing but what was flushed", certain.into_inner()),
            ("calls recorded", self.steps.len() as u64),
            ("runs promised", count(|mark| matches!(mark, Mark::Made(..)))),
            ("cancels promised", count(|mark| matches!(mark, Mark::Canceled(..)))),
            ("events shown", count(|mark| matches!(mark, Mark::Seen(..)))),
        ])
    }

    /// Before and behind each flush with nothing but what was flushed, and anywhere with some of the rest; some of all these.
    fn cuts(&self, random: &mut Random, most: usize) -> Vec<Cut> {
        let count = self.steps.len();
        let is_flush = |nth: &usize| matches!(self.steps[*nth].what, super::record::What::Flush { .. });
        let around = |nth: usize| [nth, nth + 1].map(|steps| Cut { steps, seed: None });
        let mut cuts: Vec<Cut> = (1..count).filter(is_flush).flat_map(around).collect();
        while cuts.len() > most / 2 {
            cuts.remove(random.below(cuts.len() as u64) as usize);
        }
        while cuts.len() < most {
            let steps = 1 + random.below(count as u64) as usize;
            cuts.push(Cut { steps, seed: Some(random.below(1 << 32)) });
        }
        cuts.sort_by_key(|cut| cut.steps);
        cuts
    }

    /// Goes through the record and stops at each cut, until that is answered by `false`.
    fn walk<'a>(
        &self,
        cuts: impl Iterator<Item = &'a Cut>,
        mut stop: impl FnMut(Cut, BTreeMap<String, Vec<u8>>, &Book) -> bool,
    ) {
        let (mut files, mut book, mut done) = (Files::default(), Book::default(), 0);
        let mut marks = self.marks.iter().peekable();
        for cut in cuts {
            for (nth, step) in self.steps.iter().enumerate().take(cut.steps).skip(done) {
                files.apply(nth, &step.what);
            }
            done = cut.steps;
            // The next one is not done yet, whatever was promised since the last.
            let at = self.steps.get(done).map_or(u64::MAX, |next| next.at);
            while let Some((_, mark)) = marks.next_if(|(noted, _)| *noted < at) {
                book.note(mark.clone());
            }
            let mut chosen = cut.seed.map(Random::new);
            if !stop(*cut, files.after_a_cut(chosen.as_mut()), &book) {
                return;
            }
        }
    }
}

/// A daemon whose calls are written down, behind those of an earlier one.
fn recorded(builder: Builder, inject: &str, log: &Path) -> Builder {
    let mut words = wrapper(&format!("trace={CALLS}"), inject, log);
    // Texts in hexadecimal and whole, descriptors with their paths.
    words.splice(1..1, ["-A", "-xx", "-y", "-s", "16777216"].map(str::to_owned));
    builder.wrapper(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Gives the daemon work, unless it dies meanwhile, and ends it: by a kill, or in order.
fn work(daemon: &mut Daemon, told: &Told, random: &mut Random, is_killed: bool) {
    let client = Client::clone(daemon);
    let (answers, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let cut = std::mem::take(&mut *told.readers());
    std::thread::scope(|scope| {
        let _killed = super::kill::KilledOnFailure(daemon.pid());
        let _over = SetAtTheEnd(&over);
        for reader in cut {
            let load = Load { client: &client, told, who: 0, faults: false, answers: &answers };
            scope.spawn(move || load.read(reader));
        }
        // What was there before is shown before anything is written, where it was not shown yet.
        let shown = told.book().seen.len();
        let until = Instant::now() + Duration::from_millis(500);
        while told.book().seen.len() == shown && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        for who in 0..2 {
            let load = Load { client: &client, told, who, faults: false, answers: &answers };
            let mut own = Random::new(random.below(1 << 32));
            scope.spawn(move || load.work(&mut own, ANSWERS));
        }
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for of in told.started().into_keys().collect::<Vec<_>>() {
                    if !told.book().started.contains(&of) {
                        told.note(Mark::Started(of.0, of.1));
                    }
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let pid = daemon.pid();
        let enough = || answers.load(Ordering::Relaxed) >= ANSWERS || !proc_exists(pid);
        eventually(DEADLINE * 10, "enough was answered", enough);
        if is_killed {
            kill(pid);
            daemon.wait_exit(DEADLINE);
        } else {
            daemon.stop();
        }
    });
}

/// Sets what a thread looks for, also where a failure ends the scope that waits for it.
struct SetAtTheEnd<'a>(&'a AtomicBool);

impl Drop for SetAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Where states are made and opened.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        let dir = TempDir::new();
        let name = dir.path().file_name().unwrap().to_owned();
        drop(dir);
        let above = if Path::new(MEMORY).is_dir() { PathBuf::from(MEMORY) } else { std::env::temp_dir() };
        let place = above.join(name);
        std::fs::create_dir(&place).unwrap();
        Place(place)
    }

    /// Opens these files by a daemon, which stays or is killed once it serves; why they are not what they must be.
    fn opened(&self, files: BTreeMap<String, Vec<u8>>, book: &Book, stays: bool) -> Result<(), String> {
        let dir = TempDir::at(self.0.join("s"));
        let state = dir.path().join("state");
        std::fs::create_dir(&state).unwrap();
        for (name, content) in files {
            std::fs::write(state.join(name), content).unwrap();
        }
        let mut daemon = Daemon::builder().listen("none").config("[limits]\ndisk_free_bytes = 0\n").prepared_in(dir);
        if let Err(status) = daemon.try_start_again() {
            return Err(format!("the daemon does not serve ({status}): {}", daemon.log()));
        }
        // What it settles at the start is looked into in some states; the others are as it began to serve.
        if !stays {
            daemon.kill9();
        }
        let database = daemon.state_dir().join("runabout.db");
        let checked = std::panic::catch_unwind(|| {
            super::check::check_database(&database, "integrity_check");
            book.check(&database);
        });
        checked.map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
