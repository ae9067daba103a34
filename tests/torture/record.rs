//! What a daemon did to the files of its state directory, call by call, as `strace` wrote it down; and those files as a power
//! cut may leave them.
//!
//! What was flushed is there. Of the rest anything may be: any of the writes, each whole, not at all, or by some of its
//! sectors. A file's name, a renaming, a removal is certain once its directory was flushed.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::common::Random;

/// What a disk writes at once.
const SECTOR: usize = 512;
/// The calls that are recorded, as `strace` takes them.
pub const CALLS: &str =
    "write,pwrite64,ftruncate,fallocate,fsync,fdatasync,?rename,?renameat,renameat2,?unlink,unlinkat";

/// A call that changed something, and how long the record was behind it.
#[derive(Debug)]
pub struct Step {
    pub at: u64,
    pub what: What,
}

#[derive(Debug)]
pub enum What {
    Write {
        name: String,
        from: u64,
        bytes: Vec<u8>,
    },
    Cut {
        name: String,
        bytes: u64,
    },
    /// Of a file, or with an empty name of the directory. `begun`: how many steps there were when it began.
    Flush {
        name: String,
        begun: usize,
    },
    Rename {
        from: String,
        to: String,
        swaps: bool,
    },
    Remove {
        name: String,
    },
}

/// The steps of a record that touch files of this directory itself.
pub fn steps(record: &Path, dir: &Path) -> Vec<Step> {
    let text = std::fs::read(record).unwrap();
    let dir = format!("{}/", dir.display());
    let (mut steps, mut unfinished, mut at) = (Vec::new(), HashMap::new(), 0);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        at += line.len() as u64;
        let line = String::from_utf8_lossy(line);
        let Some((pid, call)) = line.trim_end().split_once(char::is_whitespace) else { continue };
        let call = call.trim_start();
        let (whole, begun) = if let Some(begin) = call.strip_suffix(" <unfinished ...>") {
            unfinished.insert(pid.to_owned(), (begin.to_owned(), steps.len()));
            continue;
        } else if let Some(rest) = call.strip_prefix("<... ") {
            let Some((begin, begun)) = unfinished.remove(pid) else { continue };
            (begin + rest.split_once("resumed>").map_or("", |(_, rest)| rest), begun)
        } else {
            (call.to_owned(), steps.len())
        };
        steps.extend(what(&whole, &dir, begun).map(|what| Step { at, what }));
    }
    steps
}

/// What one call did, as of `pwrite64(7</dir/name>, "\x00\x01", 2, 512) = 2`, where texts are hexadecimal.
fn what(call: &str, dir: &str, begun: usize) -> Option<What> {
    let (head, result) = call.rsplit_once(" = ")?;
    // What was made to do nothing did nothing.
    let has_failed = result.starts_with('-') || result.contains("INJECTED");
    let (function, arguments) = head.trim_end().strip_suffix(')')?.split_once('(')?;
    if has_failed {
        return None;
    }
    let words: Vec<&str> = arguments.split(", ").collect();
    let number = |nth: usize| words.get(nth).and_then(|word| word.parse::<u64>().ok());
    // A file of the directory itself, by its descriptor.
    let name = path_of(words.first()?).and_then(|path| Some(path.strip_prefix(dir)?.to_owned()));
    let name = name.filter(|name| !name.contains('/'));
    // … and by the directory's descriptor and a name.
    let named = |nth: usize| {
        let at = path_of(words.get(nth)?)? + "/";
        let name = text_of(words.get(nth + 1)?)?;
        (at == dir && !name.contains(&b'/')).then(|| String::from_utf8(name).ok()).flatten()
    };
    match function {
        "pwrite64" => Some(What::Write { name: name?, from: number(3)?, bytes: text_of(words.get(1)?)? }),
        "ftruncate" => Some(What::Cut { name: name?, bytes: number(1)? }),
        "fsync" | "fdatasync" => {
            let is_dir = path_of(words.first()?).is_some_and(|path| path + "/" == dir);
            let name = if is_dir { String::new() } else { name? };
            Some(What::Flush { name, begun })
        }
        "renameat2" | "renameat" => {
            let swaps = words.last().is_some_and(|flags| flags.contains("EXCHANGE"));
            Some(What::Rename { from: named(0)?, to: named(2)?, swaps })
        }
        "unlinkat" => Some(What::Remove { name: named(0)? }),
        // The ballast, whose content is nothing.
        "fallocate" => None,
        // By these nothing of the directory itself is changed, only what lies deeper or elsewhere.
        "write" if name.is_none() => None,
        "unlink" | "rename" if !text_of(words.first()?)?.starts_with(dir.as_bytes()) => None,
        other => panic!("{other} is not understood: {call:.200}"),
    }
}

/// The path of a descriptor, as of `7<\x2f…>`.
fn path_of(word: &str) -> Option<String> {
    let (_, path) = word.split_once('<')?;
    String::from_utf8(unhex(path.strip_suffix('>')?)?).ok()
}

fn text_of(word: &str) -> Option<Vec<u8>> {
    unhex(word.strip_prefix('"')?.strip_suffix('"')?)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    text.split("\\x").skip(1).map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}

/// Content of files, by a number that a file keeps over its names.
type Contents = BTreeMap<usize, Vec<u8>>;
type Names = BTreeMap<String, usize>;

/// The files after so many steps: what is certain, and what is under way.
#[derive(Default)]
pub struct Files {
    /// Names as the daemon sees them.
    seen: Names,
    /// Names that are on the medium, and what their files have there.
    names: Names,
    contents: Contents,
    /// What is not.
    writes: Vec<(usize, usize, Change)>,
    moves: Vec<Move>,
    next: usize,
}

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Cut(u64),
}

#[derive(Clone, Debug)]
enum Move {
    Make(String, usize),
    Rename(String, String, bool),
    Remove(String),
}

impl Files {
    /// One step more, which is the `nth`.
    pub fn apply(&mut self, nth: usize, step: &What) {
        match step {
            What::Write { name, from, bytes } => {
                let file = self.file(name);
                self.writes.push((nth, file, Change::Write(*from, bytes.clone())));
            }
            What::Cut { name, bytes } => {
                let file = self.file(name);
                self.writes.push((nth, file, Change::Cut(*bytes)));
            }
            What::Flush { name, .. } if name.is_empty() => {
                for change in std::mem::take(&mut self.moves) {
                    moved(&mut self.names, &change);
                }
            }
            What::Flush { name, begun } => {
                let Some(file) = self.seen.get(name).copied() else { return };
                let content = self.contents.entry(file).or_default();
                self.writes.retain(|(at, of, change)| {
                    let is_in = *of == file && at < begun;
                    if is_in {
                        changed(content, change);
                    }
                    !is_in
                });
            }
            What::Rename { from, to, swaps } => self.moving(Move::Rename(from.clone(), to.clone(), *swaps)),
            What::Remove { name } => self.moving(Move::Remove(name.clone())),
        }
    }

    fn file(&mut self, name: &str) -> usize {
        if let Some(file) = self.seen.get(name) {
            return *file;
        }
        self.next += 1;
        let file = self.next;
        self.moving(Move::Make(name.to_owned(), file));
        file
    }

    fn moving(&mut self, change: Move) {
        moved(&mut self.seen, &change);
        self.moves.push(change);
    }

    /// The files as a power cut may leave them: with nothing of what is under way, or with some of it.
    pub fn after_a_cut(&self, chosen: Option<&mut Random>) -> BTreeMap<String, Vec<u8>> {
        let (mut names, mut contents) = (self.names.clone(), self.contents.clone());
        if let Some(chosen) = chosen {
            // In some cuts most of it is there, in some little.
            let likely = 1 + chosen.below(9);
            for change in &self.moves {
                if chosen.below(10) < likely {
                    moved(&mut names, change);
                }
            }
            for (_, file, change) in &self.writes {
                let content = contents.entry(*file).or_default();
                let torn = chosen.below(4) == 0;
                if chosen.below(10) < likely {
                    if torn { some_sectors(content, change, chosen) } else { changed(content, change) }
                }
            }
        }
        let content = |(name, file): (String, usize)| (name, contents.get(&file).cloned().unwrap_or_default());
        names.into_iter().map(content).collect()
    }
}

fn moved(names: &mut Names, change: &Move) {
    match change {
        Move::Make(name, file) => _ = names.insert(name.clone(), *file),
        Move::Remove(name) => _ = names.remove(name),
        Move::Rename(from, to, swaps) => {
            let Some(file) = names.remove(from) else { return };
            if let Some(other) = names.insert(to.clone(), file).filter(|_| *swaps) {
                names.insert(from.clone(), other);
            }
        }
    }
}

fn changed(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Cut(bytes) => content.resize(*bytes as usize, 0),
        Change::Write(from, bytes) => {
            let (from, end) = (*from as usize, *from as usize + bytes.len());
            if content.len() < end {
                content.resize(end, 0);
            }
            content[from..end].copy_from_slice(bytes);
        }
    }
}

/// A part of a write: some of the sectors that it touches.
fn some_sectors(content: &mut Vec<u8>, change: &Change, chosen: &mut Random) {
    let Change::Write(from, bytes) = change else { return changed(content, change) };
    let (mut at, end) = (*from as usize, *from as usize + bytes.len());
    while at < end {
        let next = (at / SECTOR + 1) * SECTOR;
        let part = at - *from as usize..next.min(end) - *from as usize;
        if chosen.below(2) == 0 {
            changed(content, &Change::Write(at as u64, bytes[part].to_vec()));
        }
        at = next;
    }
}
