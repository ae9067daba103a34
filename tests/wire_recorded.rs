//! The wire, to the byte: every route with its main refusals and every stream, held against recordings in
//! `tests/wire_recorded/`. How they are made, and what in them may differ, says `tests/common/tape.rs`.

mod access;
mod cursors;
mod events;
mod hooks;
mod http;
mod jobs;
mod runs;
mod streams;
mod system;

use std::collections::{BTreeMap, BTreeSet};

use runabout::http::routes::ROUTES;

use crate::common::{difference, recordings};

/// What was asked in all recordings: method and path, and the first digits of the statuses that came.
fn recorded() -> BTreeMap<(String, String), BTreeSet<char>> {
    let mut asked: BTreeMap<(String, String), BTreeSet<char>> = BTreeMap::new();
    for entry in std::fs::read_dir(recordings()).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let mut request = None;
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                [">", method, path, "HTTP/1.1"] => {
                    let path = path.split('?').next().unwrap_or_default();
                    request = Some((method.to_owned(), path.to_owned()));
                }
                ["<", "HTTP/1.1", status, ..] => {
                    let request = request.clone().unwrap_or_default();
                    asked.entry(request).or_default().extend(status.chars().next());
                }
                _ => {}
            }
        }
    }
    asked
}

/// Whether a path is one of a route's.
fn fits(route: &str, path: &str) -> bool {
    let (mut route, mut path) = (route.split('/'), path.split('/'));
    loop {
        match (route.next(), path.next()) {
            (None, None) | (Some("*"), Some(_)) => return true,
            (Some(own), Some(given)) if own == given || own.starts_with(':') => {}
            _ => return false,
        }
    }
}

#[test]
fn every_route_is_recorded_with_a_success_and_a_refusal() {
    let recorded = recorded();
    let mut missing = Vec::new();
    for route in ROUTES {
        let is_it = |(method, path): &(String, String)| *method == route.method.to_string() && fits(route.path, path);
        let statuses: BTreeSet<char> =
            recorded.iter().filter(|(asked, _)| is_it(asked)).flat_map(|(_, statuses)| statuses.clone()).collect();
        for (kind, digits) in [("success", "12"), ("refusal", "4")] {
            if !digits.chars().any(|digit| statuses.contains(&digit)) {
                missing.push(format!("{} {}: no {kind}", route.method, route.path));
            }
        }
    }
    assert!(missing.is_empty(), "tests/wire_recorded lacks:\n{}", missing.join("\n"));
}

#[test]
fn a_difference_of_one_byte_is_found_and_told_with_its_exchange() {
    let recorded = "### one\n> GET /a HTTP/1.1\n< x: 1\n\n### two\n> GET /b HTTP/1.1\n< {\"a\":1,\"b\":null}\n";
    assert_eq!(difference(recorded, recorded), None);
    for (was, is) in [("\"a\":1", "\"a\":2"), (",\"b\":null", ""), ("GET /b", "GET /c")] {
        let told = difference(recorded, &recorded.replace(was, is)).unwrap();
        assert!(told.starts_with("### two\n") && told.contains(was), "{told}");
    }
    let cut = difference(recorded, &recorded[..20]).unwrap();
    assert!(cut.contains("GET /a HTTP/1.1"), "{cut}");
    assert!(difference("", recorded).is_some(), "a recording that is missing is a difference");
}
