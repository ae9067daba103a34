//! No two files know each other, by however many others between them; and folders of a room stand in floors.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::graph::{Graph, Text};
use super::{files, root};

/// From the ground up: of a room's folders and files, which stand on which. What is not named stands above them all.
const FLOORS: &[(&str, &[&str])] = &[(
    "store",
    &[
        "sql",
        "numbers",
        "settings",
        "refusal",
        "error",
        "fault_log",
        "file",
        "engine",
        "tables",
        "drain",
        "alive",
        "open",
    ],
)];

fn graph() -> Graph {
    let src = root().join("src");
    let texts = files(&src, "rs").into_iter().map(|file| {
        let path = file.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        (path, std::fs::read_to_string(&file).unwrap())
    });
    Graph::of(&texts.collect::<Vec<Text>>())
}

/// The shortest way from a file back to itself, for each that has one and is on none that was told before.
fn circles(graph: &Graph) -> Vec<Vec<usize>> {
    let mut next: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (from, to) in graph.edges.keys() {
        next.entry(*from).or_default().push(*to);
    }
    let mut told: BTreeSet<usize> = BTreeSet::new();
    let mut circles = Vec::new();
    for start in 0..graph.files.len() {
        if told.contains(&start) {
            continue;
        }
        let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
        let mut waiting = VecDeque::from([start]);
        while let Some(at) = waiting.pop_front() {
            for to in next.get(&at).into_iter().flatten() {
                if !came_from.contains_key(to) {
                    came_from.insert(*to, at);
                    waiting.push_back(*to);
                }
            }
        }
        if came_from.contains_key(&start) {
            let mut circle = vec![start];
            let mut at = came_from[&start];
            while at != start {
                circle.push(at);
                at = came_from[&at];
            }
            circle.push(start);
            circle.reverse();
            told.extend(&circle);
            circles.push(circle);
        }
    }
    circles
}

fn told(graph: &Graph, circle: &[usize]) -> String {
    let steps = circle.windows(2).map(|pair| format!("  {}", graph.edge(pair[0], pair[1])));
    format!("a circle of {}:\n{}", circle.len() - 1, steps.collect::<Vec<_>>().join("\n"))
}

#[test]
fn no_files_know_each_other_in_a_circle() {
    let graph = graph();
    let wrong: Vec<String> = circles(&graph).iter().map(|circle| told(&graph, circle)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The same graph of rooms' folders, and of the files beside them.
fn folders(graph: &Graph) -> Graph {
    let folder = |file: &String| file.trim_end_matches(".rs").split('/').take(2).collect::<Vec<_>>().join("/");
    let files: Vec<String> = graph.files.iter().map(folder).collect::<BTreeSet<_>>().into_iter().collect();
    let of = |file: usize| files.binary_search(&folder(&graph.files[file])).unwrap();
    let edges = graph.edges.iter().map(|((from, to), path)| ((of(*from), of(*to)), path.clone()));
    let edges = edges.filter(|((from, to), _)| from != to).collect();
    let mut folders = Graph::default();
    (folders.edges, folders.files) = (edges, files);
    folders
}

#[test]
fn no_folders_know_each_other_in_a_circle() {
    let graph = folders(&graph());
    let wrong: Vec<String> = circles(&graph).iter().map(|circle| told(&graph, circle)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Files that do not know each other, in folders that do.
    let texts = [
        ("lib.rs", "mod x;"),
        ("x/mod.rs", "mod a; mod b;"),
        ("x/a/mod.rs", "mod one; mod two;"),
        ("x/a/one.rs", "use crate::x::b::three::T;"),
        ("x/a/two.rs", "pub struct T;"),
        ("x/b/mod.rs", "mod three; mod four;"),
        ("x/b/three.rs", "pub struct T;"),
        ("x/b/four.rs", "use super::super::a::two::T;"),
    ];
    let planted = planted(&texts);
    assert_eq!(circles(&planted), Vec::<Vec<usize>>::new());
    let planted = folders(&planted);
    let circle = circles(&planted);
    assert_eq!(circle.len(), 1, "{planted:?}");
    assert!(told(&planted, &circle[0]).contains("src/x/a names crate::x::b::three::T of src/x/b"));
}

#[test]
fn no_arrow_within_a_room_points_up() {
    let graph = graph();
    let mut wrong = Vec::new();
    for (room, floors) in FLOORS {
        let floor = |file: usize| {
            let (own, inner) = graph.files[file].split_once('/')?;
            let step = inner.split('/').next()?.trim_end_matches(".rs");
            (own == *room).then(|| floors.iter().position(|have| *have == step))
        };
        for &(from, to) in graph.edges.keys() {
            let (Some(Some(below)), Some(above)) = (floor(from), floor(to)) else { continue };
            // What is in no floor stands above them; what shares a room with them stands beside it.
            if above.is_some_and(|above| above > below) {
                wrong.push(graph.edge(from, to));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn planted(texts: &[(&str, &str)]) -> Graph {
    Graph::of(&texts.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect::<Vec<_>>())
}

#[test]
fn a_circle_is_found_by_whatever_way_it_goes() {
    let lib = ("lib.rs", "pub mod a; pub mod b; mod c;");
    for (a, b) in [
        ("use crate::b::B; pub struct A;", "use crate::a::A; pub struct B;"),
        ("use super::b::{self, x as y};", "fn x() -> super::a::A { todo!() }"),
        // Through who hands it on, and through a module's name.
        ("use crate::c::B; pub struct A;", "use crate::c; pub struct B; fn x() { c::a::y() }"),
        ("impl crate::c::B { fn x() {} } pub struct A;", "use crate::c::*; pub struct B; fn x(_: crate::a::A) {}"),
    ] {
        let graph = planted(&[lib, ("a.rs", a), ("b.rs", b), ("c.rs", "pub use crate::{a, b::B, a::A};")]);
        let found = circles(&graph);
        let told = told(&graph, found.first().unwrap_or_else(|| panic!("{a} {b}: {graph:?}")));
        assert!(told.contains("src/a.rs names") && told.contains("src/b.rs names"), "{told}");
    }
}

#[test]
fn what_only_looks_like_a_circle_is_none() {
    let lib = ("lib.rs", "pub mod a; pub mod b; mod c;");
    for (a, b) in [
        ("pub struct A; // use crate::b::B;", "use crate::a::A; pub struct B;"),
        ("pub struct A; const X: &str = \"crate::b::B \\\" crate::b\";", "use crate::a::A;"),
        ("pub struct A; #[cfg(test)] mod tests { use crate::b::B; }", "use crate::a::A; pub struct B;"),
        ("pub struct A; mod b { pub struct B; } use self::b::B;", "use crate::a::A; pub struct B;"),
        ("pub struct A; fn x<'b>(y: &'b u8) -> char { 'b' }", "use crate::c::A;"),
    ] {
        let graph = planted(&[lib, ("a.rs", a), ("b.rs", b), ("c.rs", "pub use crate::{b::B, a::A};")]);
        assert_eq!(circles(&graph), Vec::<Vec<usize>>::new(), "{a} {b}: {graph:?}");
    }
}
