//! Which file knows which: every path in the code, in a `use` or not, led to the file that defines what it names, also where
//! other modules hand it on.

use std::collections::{BTreeMap, BTreeSet};

use super::words::{without_tests, words};

/// A file below `src/`, by its path there, with its text.
pub type Text = (String, String);

/// The name of a module: its steps from the crate's root.
type Name = Vec<String>;

#[derive(Debug, Default)]
struct Module {
    /// More than one where a feature chooses between them.
    files: Vec<usize>,
    defines: BTreeMap<String, BTreeSet<usize>>,
    /// What it imports or hands on, by the name that it has here.
    imports: BTreeMap<String, Name>,
    /// Modules of which it has everything.
    globs: Vec<Name>,
}

/// One `use`, or a path in the code.
struct Path {
    file: usize,
    module: Name,
    steps: Name,
    /// A name that is only handed on, unless the file uses it too.
    handed_on: Option<String>,
}

/// Files and who knows whom.
#[derive(Debug, Default)]
pub struct Graph {
    /// Their paths below `src/`.
    pub files: Vec<String>,
    /// From, to: by which path.
    pub edges: BTreeMap<(usize, usize), String>,
    modules: BTreeMap<Name, Module>,
}

impl Graph {
    /// Of these files; those of tests do not count.
    pub fn of(texts: &[Text]) -> Graph {
        let texts: Vec<&Text> = texts.iter().filter(|(path, _)| !is_of_tests(path)).collect();
        let mut graph = Graph { files: texts.iter().map(|(path, _)| path.clone()).collect(), ..Graph::default() };
        let words: Vec<Vec<String>> = texts.iter().map(|(_, text)| without_tests(&words(text))).collect();
        let names = graph.names(&words);
        let mut paths = Vec::new();
        for (file, name) in names.into_iter().enumerate() {
            graph.modules.entry(name.clone()).or_default().files.push(file);
            Reader { graph: &mut graph, paths: &mut paths, file, words: &words[file] }.module(name, 0);
        }
        for path in paths {
            let is_used = |name: &String| words[path.file].iter().filter(|word| *word == name).count() > 1;
            if path.handed_on.as_ref().is_some_and(|name| !is_used(name)) {
                continue;
            }
            let Some(steps) = graph.absolute(&path.module, &path.steps, 0) else { continue };
            for to in graph.defined(&steps, 0) {
                if to != path.file {
                    graph.edges.entry((path.file, to)).or_insert_with(|| path.steps.join("::"));
                }
            }
        }
        graph
    }

    /// The module that each file is: by its path, or by who names it.
    fn names(&self, words: &[Vec<String>]) -> Vec<Name> {
        let own = |path: &String| -> Name {
            let mut steps: Name = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            if matches!(steps.last().map(String::as_str), Some("mod" | "lib")) {
                steps.pop();
            }
            steps
        };
        let mut names: Vec<Name> = self.files.iter().map(own).collect();
        for (file, words) in words.iter().enumerate() {
            for (at, _) in words.iter().enumerate().filter(|(_, word)| *word == "path") {
                let (Some(text), Some(name)) = (words.get(at + 2), words[at..].iter().position(|word| word == "mod"))
                else {
                    continue;
                };
                let Some(named) = text.strip_prefix('"') else { continue };
                let folder =
                    self.files[file].rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
                if let Some(other) = self.files.iter().position(|path| *path == format!("{folder}{named}")) {
                    names[other] = [&names[file][..], &[words[at + name + 1].clone()]].concat();
                }
            }
        }
        names
    }

    /// A path from the crate's root on; none where it leads to another crate.
    fn absolute(&self, module: &[String], steps: &[String], depth: usize) -> Option<Name> {
        let first = steps.first()?;
        match first.as_str() {
            "crate" | "runabout" => Some(steps[1..].to_vec()),
            "self" => Some([module, &steps[1..]].concat()),
            "super" => {
                let above = module.split_last()?.1;
                match steps.get(1).map(String::as_str) {
                    Some("super") => self.absolute(above, &steps[1..], depth),
                    _ => Some([above, &steps[1..]].concat()),
                }
            }
            _ => {
                let own = [module, std::slice::from_ref(first)].concat();
                if self.modules.contains_key(&own) {
                    return Some([&own[..], &steps[1..]].concat());
                }
                let import = self.modules.get(module)?.imports.get(first).filter(|_| depth < 16)?;
                let import = if import.first() == Some(first) && import.len() == 1 { return None } else { import };
                let whole = [&import[..], &steps[1..]].concat();
                self.absolute(module, &whole, depth + 1)
            }
        }
    }

    /// The files that define what this names; where nobody does by itself, as a macro may, those of its module.
    fn defined(&self, steps: &[String], depth: usize) -> BTreeSet<usize> {
        let mut name = Name::new();
        let mut module = &self.modules[&name];
        for (at, step) in steps.iter().enumerate() {
            name.push(step.clone());
            if let Some(next) = self.modules.get(&name) {
                module = next;
                continue;
            }
            name.pop();
            if let Some(files) = module.defines.get(step) {
                return files.clone();
            }
            let rest = &steps[at + 1..];
            let handed = module.imports.get(step).cloned().into_iter();
            let globs = module.globs.iter().map(|glob| [&glob[..], std::slice::from_ref(step)].concat());
            for import in handed.chain(globs).filter(|_| depth < 16) {
                if let Some(path) = self.absolute(&name, &[&import[..], rest].concat(), depth) {
                    let files = self.defined(&path, depth + 1);
                    if !files.is_empty() {
                        return files;
                    }
                }
            }
            break;
        }
        module.files.iter().copied().collect()
    }

    /// Who knows whom, as it is told.
    pub fn edge(&self, from: usize, to: usize) -> String {
        format!("src/{} names {} of src/{}", self.files[from], self.edges[&(from, to)], self.files[to])
    }
}

/// Whether a file holds nothing but tests.
pub fn is_of_tests(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("tests/")
}

/// Reads a file's words into the graph's modules.
struct Reader<'a> {
    graph: &'a mut Graph,
    paths: &'a mut Vec<Path>,
    file: usize,
    words: &'a [String],
}

impl Reader<'_> {
    fn word(&self, at: usize) -> &str {
        self.words.get(at).map_or("", String::as_str)
    }

    /// Reads a module from this word on; answers where it ends.
    fn module(&mut self, name: Name, from: usize) -> usize {
        let (mut at, mut depth) = (from, 0_i32);
        while at < self.words.len() {
            let next = self.word(at + 1).to_owned();
            match self.word(at) {
                "{" => depth += 1,
                "}" if depth == 0 => return at,
                "}" => depth -= 1,
                "use" => {
                    let is_handed_on = matches!(self.word(at.wrapping_sub(1)), "pub" | ")");
                    at = self.tree(&name, at + 1, Name::new(), is_handed_on);
                    continue;
                }
                "mod" if self.word(at + 2) == "{" => {
                    let inner = [&name[..], &[next]].concat();
                    self.graph.modules.entry(inner.clone()).or_default().files.push(self.file);
                    at = self.module(inner, at + 3);
                }
                "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union" if depth == 0 => {
                    self.define(&name, next);
                }
                "macro_rules" if depth == 0 => self.define(&name, self.word(at + 2).to_owned()),
                _ if self.is_name(at) && !matches!(self.word(at.wrapping_sub(1)), "::" | ".") => {
                    let mut steps = vec![self.word(at).to_owned()];
                    while self.word(at + 1) == "::" && self.is_name(at + 2) {
                        steps.push(self.word(at + 2).to_owned());
                        at += 2;
                    }
                    if steps.len() > 1 {
                        self.paths.push(Path { file: self.file, module: name.clone(), steps, handed_on: None });
                    }
                }
                _ => {}
            }
            at += 1;
        }
        at
    }

    fn is_name(&self, at: usize) -> bool {
        self.word(at).starts_with(|first: char| first.is_alphabetic() || first == '_')
    }

    fn define(&mut self, module: &[String], name: String) {
        let module = self.graph.modules.entry(module.to_vec()).or_default();
        module.defines.entry(name).or_default().insert(self.file);
    }

    /// Reads a tree of a `use` from this word on; answers where it ends.
    fn tree(&mut self, module: &[String], from: usize, mut steps: Name, is_handed_on: bool) -> usize {
        let mut at = from;
        let mut alias = None;
        loop {
            match self.word(at) {
                "::" => {}
                "{" => {
                    at += 1;
                    while self.word(at) != "}" && at < self.words.len() {
                        at = self.tree(module, at, steps.clone(), is_handed_on);
                        if self.word(at) == "," {
                            at += 1;
                        }
                    }
                    return at + 1;
                }
                "*" => {
                    self.graph.modules.entry(module.to_vec()).or_default().globs.push(steps.clone());
                    self.paths.push(Path { file: self.file, module: module.to_vec(), steps, handed_on: None });
                    return at + 1;
                }
                "as" => {
                    alias = Some(self.word(at + 1).to_owned());
                    at += 1;
                }
                // Of `a::{self}`.
                "self" if !steps.is_empty() => {}
                _ if self.is_name(at) => steps.push(self.word(at).to_owned()),
                _ => break,
            }
            at += 1;
        }
        let Some(last) = steps.last().cloned() else { return at.max(from + 1) };
        let name = alias.unwrap_or(last);
        let handed_on = is_handed_on.then(|| name.clone());
        self.graph.modules.entry(module.to_vec()).or_default().imports.insert(name, steps.clone());
        self.paths.push(Path { file: self.file, module: module.to_vec(), steps, handed_on });
        at
    }
}
