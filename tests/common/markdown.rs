//! A page of the documentation, as far as tests read it: its fenced blocks with what is written above them, its code spans,
//! its links.

use std::path::{Path, PathBuf};

/// A fenced block.
pub struct Block {
    /// The word behind the fence.
    pub language: String,
    /// What stands between the fences.
    pub text: String,
    /// The comments on the lines right above the fence, without their marks.
    pub marks: Vec<String>,
    /// The line of the fence, from 1.
    pub line: usize,
}

impl Block {
    /// The rest of a mark that begins so.
    pub fn mark(&self, word: &str) -> Option<&str> {
        self.marks.iter().find_map(|mark| mark.strip_prefix(word)).map(|rest| rest.trim_start_matches(':').trim())
    }
}

/// One file.
pub struct Page {
    /// Where it is.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
}

impl Page {
    /// Reads it.
    #[track_caller]
    pub fn read(path: &Path) -> Page {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        Page { path: path.to_owned(), text }
    }

    /// Its name, for messages.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap().to_string_lossy().into_owned()
    }

    /// Its fenced blocks, in order.
    #[track_caller]
    pub fn blocks(&self) -> Vec<Block> {
        let (mut blocks, mut open, mut marks) = (Vec::new(), None::<Block>, Vec::new());
        for (index, line) in self.text.lines().enumerate() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(language), None) => {
                    let (language, marks) = (language.to_owned(), std::mem::take(&mut marks));
                    open = Some(Block { language, text: String::new(), marks, line: index + 1 });
                }
                (None, Some(block)) => block.text += &format!("{line}\n"),
                (None, None) => match line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) {
                    Some(mark) => marks.push(mark.to_owned()),
                    None => marks.clear(),
                },
            }
        }
        assert!(open.is_none(), "{}: a fence is not closed", self.name());
        blocks
    }

    /// What stands outside of fences.
    pub fn prose(&self) -> String {
        self.text.split("\n```").step_by(2).collect::<Vec<_>>().join("\n")
    }

    /// Its code spans.
    pub fn spans(&self) -> Vec<String> {
        let prose = self.prose();
        prose.split("\n\n").flat_map(|part| part.split('`').skip(1).step_by(2).map(str::to_owned)).collect()
    }

    /// Follows every link to a file, and in it to a heading; answers the files.
    #[track_caller]
    pub fn linked(&self) -> Vec<PathBuf> {
        let prose = self.prose();
        let links = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let files = links.filter(|link| !link.contains("://")).map(|link| {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let there = if file.is_empty() { self.path.clone() } else { self.path.parent().unwrap().join(file) };
            let there = there.canonicalize().unwrap_or_else(|error| panic!("{:?}: {link}: {error}", self.path));
            let is_there = heading.is_empty() || Page::read(&there).has_heading(heading);
            assert!(is_there, "{:?}: {link}: there is no such heading", self.path);
            there
        });
        files.collect()
    }

    fn has_heading(&self, anchor: &str) -> bool {
        let slug = |line: &str| {
            let kept = line.trim_start_matches('#').trim().to_lowercase();
            kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
        };
        self.prose().lines().any(|line| line.starts_with('#') && slug(line) == anchor)
    }
}
