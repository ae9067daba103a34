//! How long what is to be read at once may be, and how much of it is said in words.

use super::graph::is_of_tests;
use super::words::words_with_lines;
use super::{files, root};

/// Lines of a file.
const FILE_LINES_MAX: usize = 450;
/// Half of the files of `src/` are shorter.
const FILE_LINES_MEDIAN_MAX: usize = 140;
/// Lines of a function, its head among them.
const FUNCTION_LINES_MAX: usize = 60;
/// Lines of comment to lines of code, in hundredths.
const COMMENT_PERCENT: std::ops::RangeInclusive<usize> = 15..=25;

/// The files of a folder, by their path, with their text.
fn texts(folder: &str, extension: &str) -> Vec<(String, String)> {
    let text = |file: std::path::PathBuf| {
        let path = file.strip_prefix(root()).unwrap().display().to_string();
        (path, std::fs::read_to_string(&file).unwrap())
    };
    files(&root().join(folder), extension).into_iter().map(text).collect()
}

#[test]
fn no_file_is_longer_than_can_be_read() {
    let mut wrong = Vec::new();
    for (folder, extension) in [("src", "rs"), ("examples", "rs"), ("sql", "sql")] {
        for (path, text) in texts(folder, extension) {
            let lines = text.lines().count();
            if lines > FILE_LINES_MAX {
                wrong.push(format!("{path} has {lines} lines"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let mut lengths: Vec<usize> = texts("src", "rs").iter().map(|(_, text)| text.lines().count()).collect();
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median < FILE_LINES_MEDIAN_MAX, "half of the files of src have more than {median} lines");
}

/// Each function of a text: its name, and how many lines it has.
fn functions(text: &str) -> Vec<(String, usize)> {
    let words = words_with_lines(text);
    let mut functions = Vec::new();
    for (at, (_, first)) in words.iter().enumerate().filter(|(_, (word, _))| word == "fn") {
        let Some((name, _)) = words.get(at + 1).filter(|(word, _)| word != "(") else { continue };
        let mut depth = 0_i32;
        for (word, line) in &words[at..] {
            match word.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            // One without a body ends with its semicolon.
            if depth == 0 && matches!(word.as_str(), "}" | ";") {
                functions.push((name.clone(), line - first + 1));
                break;
            }
        }
    }
    functions
}

#[test]
fn no_function_is_longer_than_a_screen() {
    let mut wrong = Vec::new();
    // A model's step or an application of a test is a table rather than a function.
    for (path, text) in texts("src", "rs").into_iter().filter(|(path, _)| !is_of_tests(path)) {
        for (name, lines) in functions(&text) {
            if lines > FUNCTION_LINES_MAX {
                wrong.push(format!("{path}: {name} has {lines} lines"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_function_is_measured_from_its_name_to_its_last_brace() {
    let text = "trait T {\n fn a();\n}\nfn b<'x>(c: [u8; 2]) -> fn(u8) {\n // }\n \"}\";\n}\nfn d() {}\n";
    let found = functions(text);
    assert_eq!(found, [("a".to_owned(), 1), ("b".to_owned(), 4), ("d".to_owned(), 1)]);
}

#[test]
fn comments_are_neither_missing_nor_in_the_way() {
    let (mut comments, mut code) = (0, 0);
    for (_, text) in texts("src", "rs") {
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            *(if line.starts_with("//") { &mut comments } else { &mut code }) += 1;
        }
    }
    let percent = comments * 100 / code;
    assert!(COMMENT_PERCENT.contains(&percent), "{comments} lines of comment to {code} of code: {percent} %");
}

/// The lint itself is denied where everything is checked, by clippy.
#[test]
fn a_public_item_without_a_word_is_a_warning() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    assert!(manifest.contains("\nmissing_docs = \"warn\"\n"), "Cargo.toml asks for no documentation");
    assert!(makefile.contains("clippy --locked --all-targets -- -D warnings"), "make check denies no warnings");
    let silenced = texts("src", "rs").into_iter().filter(|(_, text)| text.contains("#![allow(missing_docs)]"));
    assert_eq!(silenced.map(|(path, _)| path).collect::<Vec<_>>(), Vec::<String>::new());
}
