//! The figures as Markdown, from what the parts have left in `target/bench/`, and as the picture beside it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::PARTS;
use crate::bench::{BEFORE, OURS, directory, load};
use crate::lines::{self, GROWTH, Goal, LIMITS, LINES, Line, figure};
use crate::picture::{self, Curve};

/// Between these two lines of the document the figures stand.
const BEGIN: &str = "<!-- figures: `make bench BENCH=docs` writes them -->\n";
const END: &str = "<!-- end of figures -->\n";

/// By line, then by who: the median.
type Medians = BTreeMap<String, BTreeMap<String, f64>>;

/// All that was measured, a table each of what is done and of what grows. Leaves the picture in `target/bench/`.
pub fn markdown() -> String {
    let parts = parts();
    let Some(first) = parts.first() else { return "Nothing has been measured yet.\n".into() };
    let medians = medians(&parts);
    std::fs::write(directory().join("growth.svg"), picture(&medians)).unwrap();
    [conditions(first, &parts), table(&medians), missing(&parts), limits(&medians), growth_table(&medians)].concat()
}

/// Puts all of it into the documentation.
pub fn write_docs() {
    assert!(!parts().iter().any(is_quick), "a part was run with BENCH_QUICK; run it again without");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let page = docs.join("performance.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the document has the line behind which figures go");
    let (_, behind) = rest.split_once(END).expect("the document has the line before which figures go");
    std::fs::write(&page, [before, BEGIN, "\n", &markdown(), "\n", END, behind].concat()).unwrap();
    std::fs::copy(directory().join("growth.svg"), docs.join("growth.svg")).unwrap();
    println!("docs/performance.md and docs/growth.svg are written");
}

/// Whether its figures are none.
fn is_quick(part: &Value) -> bool {
    part["is_quick"] == true
}

/// What the parts have left.
fn parts() -> Vec<Value> {
    PARTS.iter().filter_map(|(part, _)| load(part)).collect()
}

fn medians(parts: &[Value]) -> Medians {
    let mut all = Medians::new();
    for figure in parts.iter().flat_map(|part| part["figures"].as_array().unwrap()) {
        let by_who = figure["medians"].as_object().unwrap().iter();
        let by_who = by_who.map(|(who, median)| (who.clone(), median.as_f64().unwrap())).collect();
        all.insert(figure["key"].as_str().unwrap().to_owned(), by_who);
    }
    all
}

/// The machine, the versions, and what takes the figures their worth.
fn conditions(first: &Value, parts: &[Value]) -> String {
    let machine = &first["machine"];
    let text = |key: &str| machine[key].as_str().unwrap_or("unknown").to_owned();
    let number = |key: &str| figure(machine[key].as_f64().unwrap_or(0.0));
    let mut said = format!(
        "{}: {} cores ({}), {} GB, Linux {}, {}; {} appends of 4 KiB with a flush a second, {} programs that do nothing \
         started and awaited a second, one at a time; the load was {} when it began. Medians of three rounds in turns; in brackets how many times as good \
         Runabout is.",
        text("date"),
        machine["cores"],
        text("processor"),
        machine["memory_gb"],
        text("kernel"),
        text("file_system"),
        number("flushes_per_s"),
        number("spawns_per_s"),
        first["load_before"].as_str().unwrap_or("unknown"),
    );
    let versions: BTreeMap<_, _> = parts.iter().flat_map(|part| part["versions"].as_object().unwrap()).collect();
    let versions: Vec<_> = versions
        .iter()
        .filter(|(name, _)| name.as_str() != BEFORE)
        .map(|(name, version)| format!("{name} {}", version.as_str().unwrap_or("unknown")))
        .collect();
    said += &format!(" {}.\n", versions.join(", "));
    if parts.iter().any(is_quick) {
        said += "\n**A part of it was run with `BENCH_QUICK`: no figures, only a sign that it works.**\n";
    }
    said + "\n"
}

fn table(medians: &Medians) -> String {
    let has_before = medians.values().any(|by_who| by_who.contains_key(BEFORE));
    let (head, rule) = if has_before { ("| before ", "| --- ") } else { ("", "") };
    let mut rows = format!("| what | Runabout {head}| beside it | to reach |\n| --- | --- {rule}| --- | --- |\n");
    for line in LINES {
        let Some(by_who) = medians.get(line.key) else { continue };
        let ours = by_who.get(OURS).copied();
        let with_unit = |value| with_unit(line, value);
        let beside = |value: f64| match ours {
            Some(ours) if line.unit != "%" => format!("{} ({:.2} ×)", with_unit(value), line.times(ours, value)),
            _ => with_unit(value),
        };
        let peers = by_who.iter().filter(|(who, _)| *who != OURS && *who != BEFORE);
        let peers: Vec<_> = peers.map(|(who, value)| format!("{who} {}", beside(*value))).collect();
        let before = by_who.get(BEFORE).map_or_else(String::new, |value| beside(*value));
        rows += &format!("| {} | {} |", line.what, ours.map_or_else(String::new, with_unit));
        if has_before {
            rows += &format!(" {before} |");
        }
        rows += &format!(" {} | {} |\n", peers.join("; "), goals(line, by_who));
    }
    rows
}

fn with_unit(line: &Line, value: f64) -> String {
    let gap = if line.unit.starts_with('/') || line.unit == "%" { "" } else { " " };
    format!("{}{gap}{}", figure(value), line.unit)
}

/// What holds the figures where they are, and how near they are.
fn limits(medians: &Medians) -> String {
    let mut rows = String::new();
    for limit in LIMITS {
        let line = lines::find(limit.line);
        let measured = medians.get(limit.key).and_then(|by_who| by_who.get(OURS));
        let Some(by_who) = medians.get(limit.line) else { continue };
        let (Some(ours), Some(least)) = (by_who.get(OURS), measured.or_else(|| by_who.get(limit.key))) else {
            continue;
        };
        let (least, share) = (with_unit(line, *least), ours / least * 100.0);
        rows += &format!("| {} | {} | {least} | {}% |\n", line.what, limit.what, figure(share));
    }
    if rows.is_empty() {
        return rows;
    }
    format!(
        "\nWhat the machine gives without a daemon, and how much of it Runabout reaches:\n\n\
         | what | the limit | it is | Runabout |\n| --- | --- | --- | --- |\n{rows}"
    )
}

/// What is to be reached, and whether it is.
fn goals(line: &Line, by_who: &BTreeMap<String, f64>) -> String {
    let Some(ours) = by_who.get(OURS) else { return String::new() };
    let said = line.goals.iter().filter_map(|goal| {
        let (goal, is_reached) = match goal {
            Goal::AtMost(most) => (format!("≤ {most}"), ours <= most),
            Goal::Times(least, peer) => {
                let theirs = by_who.get(*peer)?;
                (format!("≥ {least} × {peer}"), line.times(*ours, *theirs) >= *least)
            }
        };
        Some(format!("{goal}: {}", if is_reached { "yes" } else { "no" }))
    });
    said.collect::<Vec<_>>().join("; ")
}

fn missing(parts: &[Value]) -> String {
    let missing: BTreeMap<_, _> = parts.iter().flat_map(|part| part["missing"].as_object().unwrap()).collect();
    let lines = missing.iter().map(|(who, why)| format!("- {who}: {}\n", why.as_str().unwrap_or("unknown")));
    let lines: String = lines.collect();
    if lines.is_empty() { lines } else { format!("\nNot measured:\n\n{lines}") }
}

/// The sizes that were measured of a line by somebody, and what it cost.
fn sizes(medians: &Medians, line: &Line, who: &str) -> Vec<(f64, f64)> {
    let of_line = medians.iter().filter_map(|(key, by_who)| {
        let rows: f64 = key.strip_prefix(line.key)?.strip_prefix('@')?.parse().ok()?;
        Some((rows, *by_who.get(who)?))
    });
    let mut sizes: Vec<_> = of_line.collect();
    sizes.sort_by(|a, b| a.0.total_cmp(&b.0));
    sizes
}

fn growth_table(medians: &Medians) -> String {
    let mut rows = String::new();
    for (who, line) in [OURS, BEFORE].iter().flat_map(|who| GROWTH.iter().map(move |line| (who, line))) {
        let sizes = sizes(medians, line, who);
        let (Some(first), Some(last)) = (sizes.first(), sizes.last()) else { continue };
        let name = if *who == OURS { String::new() } else { format!("{who}: ") };
        let cells: Vec<_> = sizes.iter().map(|(_, us)| figure(*us)).collect();
        rows += &format!("| {name}{} | {} | {:.2} |\n", line.what, cells.join(" | "), last.1 / first.1);
    }
    if rows.is_empty() {
        return rows;
    }
    let sizes: Vec<_> =
        sizes(medians, &GROWTH[0], OURS).iter().map(|(rows, _)| format!("{} rows", figure(*rows))).collect();
    let (rule, sizes) = ("| --- ".repeat(sizes.len() + 2), sizes.join(" | "));
    format!("\nIn microseconds, and the last by the first:\n\n| what | {sizes} | grows |\n{rule}|\n{rows}")
}

/// What grows, as a picture; the first start, which brings everything up to a new schema, is in the table alone.
fn picture(medians: &Medians) -> String {
    let curves: Vec<_> = GROWTH
        .iter()
        .filter(|line| line.key != "growth_start")
        .map(|line| Curve { name: line.what, points: sizes(medians, line, OURS) })
        .filter(|curve| !curve.points.is_empty())
        .collect();
    picture::draw("What it costs as it grows", "rows in the database", "microseconds", &curves)
}
