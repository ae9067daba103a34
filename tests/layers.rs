//! The house's plan holds: imports point down only, and what a room keeps to itself is named nowhere else.

mod circles;
mod graph;
mod limits;
mod words;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// From the ground up: a module may use those that stand before it, and no other.
const ORDER: &[&str] = &[
    // The domain.
    "words",
    "clock",
    "numbers",
    "text",
    "run",
    "job",
    "schedule",
    "event",
    "hook",
    "cursor",
    "scope",
    "queue",
    "access",
    "run_tokens",
    "wire",
    // What everything stands on.
    "system",
    "timer",
    "descriptors",
    "free_space",
    "dir",
    "accounts",
    "credentials",
    "state_dir",
    "tls",
    "dial",
    "config",
    "logging",
    "metrics",
    "wake",
    "inputs",
    "clock_steps",
    "zone_changes",
    "signals",
    "systemd",
    "holder",
    "replica",
    "cow",
    "state_lock",
    "process",
    "keep",
    "artifacts",
    // Who keeps, who executes, who reads.
    "store",
    "runner",
    "scheduler",
    "feed",
    "maintenance",
    "hooks",
    "http",
    "client",
    "cli",
    "upkeep",
    "daemon",
    "main",
];

/// Below, but not to be known all the same: who, whom.
const STRANGERS: &[(&str, &[&str])] = &[
    ("process", &["config", "state_lock", "metrics", "wake"]),
    ("keep", &["config", "state_lock", "metrics", "wake", "timer", "logging"]),
    ("store", &["process", "keep", "config", "state_lock", "state_dir"]),
    ("runner", &["config", "state_lock", "metrics"]),
    ("scheduler", &["config"]),
    ("feed", &["runner", "scheduler", "config"]),
    ("maintenance", &["runner", "scheduler", "feed", "config"]),
    ("hooks", &["runner", "scheduler", "feed", "maintenance", "config", "state_lock"]),
    ("http", &["runner", "scheduler", "state_lock", "signals", "systemd"]),
    // By its protocol alone.
    ("client", &["metrics", "store", "runner", "scheduler", "feed", "maintenance", "hooks", "http", "state_lock"]),
    ("cli", &["metrics", "store", "runner", "scheduler", "feed", "maintenance", "hooks", "http", "state_lock"]),
    ("upkeep", &["runner", "scheduler", "feed", "maintenance", "hooks", "http"]),
    ("daemon", &["client", "cli", "upkeep"]),
];

/// Crates that only these modules may name.
const KEPT: &[(&str, &[&str])] = &[
    ("rusqlite", &["store"]),
    ("libsqlite3_sys", &["store"]),
    ("tide", &["http"]),
    ("hyper", &["http", "hooks", "client", "cli"]),
    ("smol_hyper", &["http", "hooks", "client"]),
    ("http_body_util", &["http", "hooks", "client"]),
    ("async_tungstenite", &["http", "client"]),
    ("futures_rustls", &["tls", "dial", "http"]),
    ("tungstenite", &["http", "client"]),
    ("clap", &["cli", "main"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("croner", &["schedule"]),
    ("toml", &["config", "cli"]),
    ("sd_notify", &["system", "systemd"]),
    ("prometheus_client", &["metrics"]),
];

/// What the domain does without: it does no I/O.
const NOT_IN_THE_DOMAIN: &[&str] =
    &["std::fs", "std::net", "std::process", "std::thread", "smol", "async_io", "rustix", "libc"];
const DOMAIN: &[&str] =
    &["words", "text", "run", "job", "event", "hook", "cursor", "scope", "queue", "access", "run_tokens", "wire"];

/// The only files with `unsafe`; each gives its reason on top.
const UNSAFE: &[&str] = &["process/born.rs", "process/exec.rs", "store/file/by_descriptor.rs", "system.rs"];

/// A source file under `src/`.
struct Source {
    path: String,
    /// The room it belongs to: the first step of its path.
    module: String,
    /// How deep its own module lies below the crate's root.
    depth: usize,
    /// Without comments.
    code: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder with a manifest is a package by itself, whose rooms are not these.
fn files(under: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(under).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() && entry.join("Cargo.toml").is_file() {
            continue;
        }
        if entry.is_dir() {
            found.extend(files(&entry, extension));
        } else if entry.extension().is_some_and(|have| have == extension) {
            found.push(entry);
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let sources = files(&src, "rs").into_iter().map(|file| {
        let path = file.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        let mut steps: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
        if steps.len() > 1 && steps.last() == Some(&"mod") {
            steps.pop();
        }
        let (module, depth) = (steps[0].to_owned(), steps.len());
        Source { module, depth, code: without_comments(&std::fs::read_to_string(&file).unwrap()), path }
    });
    sources.collect()
}

/// Line comments are all that this house has; `//` in a text is kept where a colon or a quote stands before it.
fn without_comments(text: &str) -> String {
    let code = |line: &str| {
        let is_comment = |at: &usize| !matches!(line[..*at].chars().last(), Some(':' | '"' | '/'));
        let at = line.match_indices("//").map(|(at, _)| at).find(is_comment);
        line[..at.unwrap_or(line.len())].to_owned()
    };
    text.lines().map(code).collect::<Vec<_>>().join("\n")
}

/// Every path behind `prefix` in the code, its nested braces spelled out.
fn paths_behind(code: &str, prefix: &str) -> BTreeSet<String> {
    let starts = code.match_indices(prefix).filter(|(at, _)| {
        let before = code[..*at].chars().last();
        !before.is_some_and(|last| last.is_alphanumeric() || last == '_' || last == ':' || last == '$')
    });
    starts.flat_map(|(at, _)| spelled_out(&code[at + prefix.len()..])).collect()
}

/// `a::{b, c::{d, e}}` is `a::b`, `a::c::d`, `a::c::e`.
fn spelled_out(text: &str) -> Vec<String> {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    let (stem, rest) = text.split_at(end);
    if !rest.starts_with('{') || !(stem.is_empty() || stem.ends_with("::")) {
        return vec![stem.trim_end_matches(':').to_owned()];
    }
    let mut all = Vec::new();
    let (mut depth, mut from) = (0, 1);
    for (at, c) in rest.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if (c == ',' && depth == 1) || depth == 0 {
            let item = rest[from..at].trim();
            if !item.is_empty() {
                all.extend(spelled_out(item).into_iter().map(|tail| format!("{stem}{tail}")));
            }
            from = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    all
}

/// The modules of the crate that a file uses, by whatever way it names them.
fn uses(source: &Source) -> BTreeSet<String> {
    let mut paths = paths_behind(&source.code, "crate::");
    if source.module == "main" {
        paths.extend(paths_behind(&source.code, "runabout::"));
    }
    let above = paths_behind(&source.code, &"super::".repeat(source.depth));
    paths.extend(above.into_iter().filter(|path| ORDER.contains(&path.split("::").next().unwrap_or_default())));
    paths
}

#[test]
fn use_trees_are_spelled_out() {
    let code = "use crate::{a, b::{c, d::{self, e}},\n f};\nlet x = crate::g::h(1); pub(crate) fn i() {} $crate::j";
    let found: Vec<String> = paths_behind(code, "crate::").into_iter().collect();
    assert_eq!(found, ["a", "b::c", "b::d::e", "b::d::self", "f", "g::h"]);
    assert_eq!(without_comments("//! use crate::a\nlet b = \"http://c\"; // crate::d"), "\nlet b = \"http://c\"; ");
}

#[test]
fn imports_point_down_only() {
    let rank = |module: &str| ORDER.iter().position(|have| *have == module);
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.module != "lib") {
        let Some(own) = rank(&source.module) else {
            wrong.push(format!("src/{}: {:?} has no place in the order", source.path, source.module));
            continue;
        };
        let strangers = STRANGERS.iter().find(|(who, _)| *who == source.module).map_or(&[][..], |(_, whom)| whom);
        for path in uses(source) {
            let used = path.split("::").next().unwrap_or_default();
            match rank(used) {
                _ if used == source.module => {}
                None => wrong.push(format!("src/{}: crate::{path} has no place in the order", source.path)),
                Some(other) if other > own => wrong.push(format!("src/{}: crate::{path} points up", source.path)),
                Some(_) if strangers.contains(&used) => {
                    wrong.push(format!("src/{}: crate::{path} is not {}'s to know", source.path, source.module));
                }
                Some(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_a_room_keeps_to_itself_is_named_nowhere_else() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, rooms) in KEPT.iter().filter(|(_, rooms)| !rooms.contains(&source.module.as_str())) {
            let imported = [format!("use {name};"), format!("extern crate {name}")];
            let named = !paths_behind(&source.code, &format!("{name}::")).is_empty();
            if named || imported.iter().any(|import| source.code.contains(import)) {
                wrong.push(format!("src/{} names {name}, which is for {rooms:?}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_stands_in_few_files() {
    let sources = sources();
    let with = sources.iter().filter(|source| source.code.contains("unsafe")).map(|source| &*source.path);
    assert_eq!(with.collect::<Vec<_>>(), UNSAFE);
}

#[test]
fn the_domain_does_no_io() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| DOMAIN.contains(&source.module.as_str())) {
        for name in NOT_IN_THE_DOMAIN {
            if !paths_behind(&source.code, &format!("{name}::")).is_empty() {
                wrong.push(format!("src/{} names {name}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_first_what_it_is_for() {
    let opens = |file: &PathBuf| std::fs::read_to_string(file).unwrap().starts_with("//! ");
    let silent: Vec<PathBuf> = files(&root().join("src"), "rs").into_iter().filter(|file| !opens(file)).collect();
    assert!(silent.is_empty(), "{silent:?}");
}
