//! Links the web page's ES modules into one, by the few forms of `import` and `export` that they use; of anything else it
//! says what it is and where. It moves no text but these lines and comments, so that what a browser shows of the one file
//! reads like the many.
//!
//! Each module becomes a function that is called once, after those that it imports, and answers what it exports. What has
//! no such order, or changes after it was exported, cannot be linked so.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The text of the one module that `entry` and all that it imports make, and the paths of them all, in the order in which
/// they run. `read` answers a module's text by its path.
pub fn link(entry: &Path, read: &dyn Fn(&Path) -> Result<String, String>) -> Result<(String, Vec<PathBuf>), String> {
    let mut linker = Linker { read, done: BTreeMap::new(), order: Vec::new(), open: Vec::new(), text: String::new() };
    linker.add(entry)?;
    Ok((linker.text, linker.order))
}

struct Linker<'a> {
    read: &'a dyn Fn(&Path) -> Result<String, String>,
    /// What each module exports, once it is in the text.
    done: BTreeMap<PathBuf, Vec<(String, String)>>,
    order: Vec<PathBuf>,
    open: Vec<PathBuf>,
    text: String,
}

impl Linker<'_> {
    fn add(&mut self, path: &Path) -> Result<(), String> {
        if self.done.contains_key(path) {
            return Ok(());
        }
        if self.open.iter().any(|open| open == path) {
            return Err(format!("{} imports itself by way of others", path.display()));
        }
        self.open.push(path.to_owned());
        let said = |what: String| format!("{}: {what}", path.display());
        let module = Module::of(&(self.read)(path)?).map_err(said)?;
        let mut head = String::new();
        for import in &module.imports {
            let from = joined(path.parent().unwrap_or(Path::new("")), &import.from);
            self.add(&from)?;
            let exports = &self.done[&from];
            if let Some((name, _)) =
                import.names.iter().find(|(name, _)| !exports.iter().any(|(_, known)| known == name))
            {
                return Err(said(format!("{} exports no {name}", from.display())));
            }
            let names: Vec<String> = import.names.iter().map(|(name, local)| pair(name, local)).collect();
            if !names.is_empty() {
                writeln!(head, "const {{{}}} = {};", names.join(", "), self.name(&from)).map_err(|_| String::new())?;
            }
        }
        self.open.pop();
        self.order.push(path.to_owned());
        let exported: Vec<String> = module.exports.iter().map(|(local, name)| pair(name, local)).collect();
        let (name, exported) = (self.name(path), exported.join(", "));
        write!(self.text, "const {name} = (() => {{\n{head}{}\nreturn {{{exported}}};\n}})();\n", module.body)
            .map_err(|_| String::new())?;
        self.done.insert(path.to_owned(), module.exports);
        Ok(())
    }

    /// What a module that is in the order is called in the text.
    fn name(&self, path: &Path) -> String {
        format!("m{}", self.order.iter().position(|known| known == path).unwrap_or_default())
    }
}

/// `name: local` of an object, or `name` alone where both are the same.
fn pair(name: &str, local: &str) -> String {
    if name == local { name.to_owned() } else { format!("{name}: {local}") }
}

fn joined(folder: &Path, relative: &str) -> PathBuf {
    let mut path = folder.to_owned();
    for part in relative.split('/') {
        match part {
            "." => {}
            ".." => drop(path.pop()),
            part => path.push(part),
        }
    }
    path
}

struct Import {
    /// The name there, and the name here.
    names: Vec<(String, String)>,
    from: String,
}

struct Module {
    imports: Vec<Import>,
    /// The name here, and the name that others import.
    exports: Vec<(String, String)>,
    body: String,
}

impl Module {
    fn of(text: &str) -> Result<Module, String> {
        let text = without_comments(text);
        let (mut rest, mut imports) = (text.trim_start(), Vec::new());
        while rest.starts_with("import{") || rest.starts_with("import ") {
            let (import, after) = import(rest)?;
            imports.push(import);
            rest = after.trim_start();
        }
        let (mut body, mut exports) = (String::new(), Vec::new());
        for line in rest.lines() {
            if line.starts_with("import ") {
                return Err(format!("an import must come before all else: {line}"));
            }
            let line = match line.strip_prefix("export ") {
                Some(declared) if !declared.starts_with('{') => {
                    let name = declared_name(declared)?;
                    exports.push((name.clone(), name));
                    declared
                }
                _ => line,
            };
            body.push_str(line);
            body.push('\n');
        }
        // A list of names, at the end of a file.
        while let Some(at) = body.find("export{").or_else(|| body.find("export {")) {
            let open = at + body[at..].find('{').unwrap_or_default();
            let close = open + body[open..].find('}').ok_or("an export without its }")?;
            exports.extend(names(&body[open + 1..close])?);
            if body[close + 1..].trim_start().starts_with("from") {
                return Err("what is imported is exported in two steps".to_owned());
            }
            let end = if body[close + 1..].starts_with(';') { close + 2 } else { close + 1 };
            body.replace_range(at..end, "");
        }
        Ok(Module { imports, exports, body: body.trim().to_owned() })
    }
}

/// `import {a, b as c} from './there.js';` or `import './there.js';` at the beginning of a text, and the rest of it.
fn import(text: &str) -> Result<(Import, &str), String> {
    let unknown = || format!("no import of names: {}", text.lines().next().unwrap_or_default());
    let open = text.find(['\'', '"']).ok_or_else(unknown)?;
    let quote = text[open..].chars().next().ok_or_else(unknown)?;
    let close = open + 1 + text[open + 1..].find(quote).ok_or_else(unknown)?;
    let what = text["import".len()..open].trim();
    let names = match what.strip_prefix('{').and_then(|list| list.trim_end().strip_suffix("from")) {
        Some(list) => names(list.trim().strip_suffix('}').ok_or_else(unknown)?)?,
        None if what.is_empty() => Vec::new(),
        None => return Err(unknown()),
    };
    let from = text[open + 1..close].to_owned();
    if !from.starts_with('.') {
        return Err(format!("{from} is none of the page's own"));
    }
    let rest = &text[close + 1..];
    Ok((Import { names, from }, rest.strip_prefix(';').unwrap_or(rest)))
}

/// `a, b as c`: the name that comes first, and the one after `as`.
fn names(list: &str) -> Result<Vec<(String, String)>, String> {
    let one = |part: &str| match part.split_whitespace().collect::<Vec<_>>()[..] {
        [name] => Ok((name.to_owned(), name.to_owned())),
        [name, "as", other] => Ok((name.to_owned(), other.to_owned())),
        _ => Err(format!("no list of names: {list}")),
    };
    list.split(',').map(str::trim).filter(|part| !part.is_empty()).map(one).collect()
}

/// The name that a declaration after `export` declares.
fn declared_name(declaration: &str) -> Result<String, String> {
    let unknown = || format!("no export of a const, function or class with a name: export {declaration}");
    let rest = declaration.strip_prefix("async ").unwrap_or(declaration);
    let kinds = ["const ", "class ", "function* ", "function "];
    let rest = kinds.iter().find_map(|kind| rest.strip_prefix(kind)).ok_or_else(unknown)?;
    let is_part = |character: char| character.is_alphanumeric() || character == '_' || character == '$';
    let name: String = rest.chars().take_while(|character| is_part(*character)).collect();
    if name.is_empty() { Err(unknown()) } else { Ok(name) }
}

/// The text without the comments that have lines of their own; a licence's stays. A line of a template that begins like a
/// comment would go, too.
fn without_comments(text: &str) -> String {
    let (mut kept, mut is_inside) = (String::new(), false);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let begins = line.trim_start();
        if is_inside {
            if let Some((_, after)) = line.split_once("*/") {
                is_inside = false;
                if !after.trim().is_empty() {
                    kept.push_str(after);
                    kept.push('\n');
                }
            }
            continue;
        }
        if begins.starts_with("/**") && !begins.contains("*/") {
            is_inside = !lines.clone().take_while(|line| !line.contains("*/")).any(|line| line.contains("@license"));
        }
        if is_inside {
            continue;
        }
        let is_comment = begins.starts_with("//") || (begins.starts_with("/**") && begins.ends_with("*/"));
        if !is_comment {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}
