//! The documentation is true: every command in it runs, or says why it cannot, and is made of what there is; every link
//! leads somewhere.
//!
//! The rules of a page. A fence names its language. `sh` is run as it stands, by a shell a page, in order, by a user
//! with a home of its own and a daemon of its own that has run 45 commands; `console` too, and what is printed has to be
//! what is shown, where `…` stands for anything. A comment above the fence says what is special:
//!
//! - `<!-- keeps running -->`: it is started first, in place of the page's daemon, and goes on beside the rest;
//! - `<!-- exits N -->`: each command of the block does;
//! - `<!-- in a run -->`: it is the script of a run;
//! - `<!-- needs PROGRAM -->`: it is run where that is installed;
//! - `<!-- not run: REASON -->`: one of [`REASONS`]. What it calls has to exist all the same.

use std::collections::{HashMap, HashSet};
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex};

use rustix::process::{Signal, geteuid};
use serde_json::json;

use crate::common::{Address, Block, Client, DEADLINE, Page, Running, TempDir, binary, eventually, signal};

/// Why a block may be left alone.
const REASONS: [&str; 8] =
    ["minutes", "root", "a terminal", "systemd", "network", "another machine", "a token", "a container builder"];
/// What is no command.
const OTHER_LANGUAGES: [&str; 12] =
    ["toml", "ini", "json", "yaml", "cron", "nginx", "haproxy", "caddy", "containerfile", "js", "python", "text"];
/// What the user of a page is, where the tests are root's: nobody in particular.
const USER: u32 = 54_321;
/// Runs of a page's daemon that have ended, so that the numbers in the pages are there.
const RUNS: i64 = 45;
const README_LINES_MAX: usize = 150;
const PICTURES_BYTES_MAX: u64 = 150_000;

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// `README.md` and all of `docs/`.
fn pages() -> Vec<Page> {
    let docs = std::fs::read_dir(source("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    [source("README.md")].into_iter().chain(docs).map(|path| Page::read(&path)).collect()
}

/// Those, and what else is written for people.
fn all_pages() -> Vec<Page> {
    let others = ["SECURITY.md", "CONTRIBUTING.md", "findings/README.md"];
    pages().into_iter().chain(others.iter().map(|name| Page::read(&source(name)))).collect()
}

#[test]
fn every_command_of_a_page_does_what_the_page_says() {
    let pages = Mutex::new(pages());
    // To where it was built a page's user may have no way. Copied by another process, since a file that this one has open for
    // writing, as has what another test starts meanwhile, cannot be executed.
    let bin = TempDir::new();
    let copied = Command::new("cp").arg(binary()).arg(bin.path().join("runabout")).status().unwrap();
    assert!(copied.success());
    let next = || pages.lock().unwrap().pop();
    // Most of it is waiting for daemons to start and runs to end.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| std::iter::from_fn(next).for_each(|page| run(&page, bin.path())));
        }
    });
}

/// A user's home for a page, and where the program is.
struct Home<'a>(TempDir, &'a Path);

impl Home<'_> {
    fn new(bin: &Path) -> Home<'_> {
        let dir = TempDir::new();
        let work = dir.path().join("work");
        std::fs::create_dir(&work).unwrap();
        let files = [
            ("Makefile", "all:\n\t@echo hello\n"),
            ("backup.sh", "#!/bin/sh\necho saved\n"),
            ("train.sh", "#!/bin/sh\necho epoch 1\n"),
            ("config.toml", "[runs]\nkill_grace_s = 5\n"),
        ];
        let pair = rcgen::generate_simple_self_signed(["pi.local".to_owned()]).unwrap();
        let pair = [("cert.pem", pair.cert.pem()), ("key.pem", pair.signing_key.serialize_pem())];
        let files = files.map(|(name, text)| (name, text.to_owned()));
        for (name, text) in files.into_iter().chain(pair) {
            std::fs::write(work.join(name), text).unwrap();
            std::fs::set_permissions(work.join(name), Permissions::from_mode(0o755)).unwrap();
        }
        if geteuid().is_root() {
            let entries = [dir.path(), &work].map(|dir| std::fs::read_dir(dir).unwrap());
            for path in entries.into_iter().flatten().map(|entry| entry.unwrap().path()).chain([dir.path().to_owned()])
            {
                chown(path, Some(USER), Some(USER)).unwrap();
            }
        }
        Home(dir, bin)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A shell of the user's that runs a script.
    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        let path = std::env::var("PATH").unwrap();
        command.args(["-c", script]).current_dir(self.path().join("work")).stdin(Stdio::null()).env_clear();
        command.env("PATH", format!("{}:{path}", self.1.display())).env("HOME", self.path());
        command.env("LANG", "C.UTF-8").env("RUNABOUT_LISTEN", "127.0.0.1:0").env("TMPDIR", self.path());
        if geteuid().is_root() {
            command.uid(USER).gid(USER);
        }
        command
    }
}

/// Runs all blocks of a page that can be.
#[track_caller]
fn run(page: &Page, bin: &Path) {
    let blocks: Vec<Block> = page.blocks().into_iter().filter(is_run).collect();
    if blocks.is_empty() {
        return;
    }
    let home = Home::new(bin);
    let own = blocks.iter().find(|block| block.mark("keeps running").is_some());
    let daemon = Running::start(home.shell(&format!("exec {}", own.map_or("runabout serve\n", |block| &block.text))));
    eventually(DEADLINE, &format!("the daemon of {} serves", page.name()), || daemon.said().contains('\n'));
    let url = daemon.said().trim().strip_prefix("listening on http://").unwrap().to_owned();
    let work = format!("{}/work/", home.path().display());
    let here = |text: &str| text.replace("127.0.0.1:7867", &url).replace("/etc/runabout/", &work);
    let mut script = "set -e\n".to_owned();
    if own.is_none() {
        let client = Client::new(Address::Unix(home.path().join(".local/state/runabout/runabout.sock")));
        for _ in 0..RUNS {
            client.post("/v1/runs", &json!({"script": "echo hello"})).expect(201);
        }
        // They start in turn.
        client.get(&format!("/v1/runs/{RUNS}?wait_s=30")).expect(200);
    }
    for block in blocks.iter().filter(|block| block.mark("keeps running").is_none()) {
        script += &here(&block_script(block));
    }
    let ended = Running::start(home.shell(&script)).ended();
    assert_eq!(ended.status.code(), Some(0), "{}: {ended:?}\n--- the daemon: {}", page.name(), daemon.said());
    for block in &blocks {
        for (index, (command, shown)) in transcript(block).into_iter().enumerate() {
            let file = home.path().join("work").join(format!(".said-{}-{index}", block.line));
            let said = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
            assert!(matches(&shown, &said), "{}:{}: {command}\nprints\n{said}\nnot\n{shown}", page.name(), block.line);
        }
    }
    assert!(signal(daemon.pid(), Signal::TERM));
    daemon.ended().expect(0);
}

/// Whether the test runs it.
fn is_run(block: &Block) -> bool {
    let is_there = |program: &str| {
        let is_there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if is_there.is_err() {
            println!("skipped: a block that needs {program}, which is not installed");
        }
        is_there.is_ok()
    };
    let is_checked = block.language == "toml" && block.mark("not ours").is_none();
    (matches!(&*block.language, "sh" | "console") || is_checked)
        && block.mark("not run").is_none()
        && block.mark("needs").is_none_or(is_there)
}

/// What a shell does for a block.
fn block_script(block: &Block) -> String {
    let Block { text, line, .. } = block;
    let said = format!("echo '--- line {line}' >&2\n");
    let checked = |command: &str, code: &str| {
        format!("code=0; ( {command} ) || code=$?; [ $code = {code} ] || {{ echo \"exit $code\" >&2; exit 1; }}\n")
    };
    let body = match (&*block.language, block.mark("exits")) {
        ("toml", _) => format!("cat >.block.toml <<'END'\n{text}END\nrunabout serve --check --config .block.toml\n"),
        ("console", code) => {
            let commands = transcript(block).into_iter().enumerate();
            let each = |(index, (command, _)): (usize, (String, String))| {
                checked(&format!("{command} >.said-{line}-{index}"), code.unwrap_or("0"))
            };
            commands.map(each).collect()
        }
        (_, Some(code)) => text.lines().map(|command| checked(command, code)).collect(),
        _ if block.mark("in a run").is_some() => format!("runabout run --file - <<'END'\n{text}END\n"),
        _ => text.clone(),
    };
    said + &body
}

/// The commands of a `console` block, each with what is shown below it.
fn transcript(block: &Block) -> Vec<(String, String)> {
    if block.language != "console" {
        return Vec::new();
    }
    let commands = block.text.split("$ ").skip(usize::from(block.text.starts_with("$ ")));
    commands.map(|part| part.split_once('\n').unwrap()).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

/// Whether something printed is what is shown, where `…` is anything and line breaks are for the reader.
fn matches(shown: &str, said: &str) -> bool {
    let flat = |text: &str| text.replace('\n', "");
    let (shown, said) = (flat(shown), flat(said));
    let mut rest = &*said;
    let parts: Vec<&str> = shown.split('…').collect();
    for (index, part) in parts.iter().enumerate() {
        match rest.find(part) {
            Some(0) => rest = &rest[part.len()..],
            Some(at) if index > 0 => rest = &rest[at + part.len()..],
            _ => return false,
        }
    }
    rest.is_empty() || parts.last() == Some(&"")
}

#[test]
fn what_is_not_run_says_why_and_calls_what_there_is() {
    let makefile = std::fs::read_to_string(source("Makefile")).unwrap();
    for page in all_pages() {
        for block in page.blocks() {
            let at = format!("{}:{}", page.name(), block.line);
            let is_shell = matches!(&*block.language, "sh" | "console");
            assert!(is_shell || OTHER_LANGUAGES.contains(&&*block.language), "{at}: which language is that?");
            if let Some(reason) = block.mark("not run") {
                assert!(REASONS.contains(&reason), "{at}: {reason:?} is none of {REASONS:?}");
            }
            if is_shell {
                let parsed = Command::new("sh").args(["-n", "-c", &block.text.replace("$ ", "")]).output().unwrap();
                assert!(parsed.status.success() || block.language == "console", "{at}: {parsed:?}");
                block.text.lines().for_each(|line| assert_calls_what_there_is(&at, line, &makefile));
            }
        }
        for span in page.spans().iter().filter(|span| !span.contains('…')) {
            assert_calls_what_there_is(&page.name(), span, &makefile);
        }
    }
}

/// Each `runabout` of a line is called with a subcommand and options that it has, each `make` with a target.
#[track_caller]
fn assert_calls_what_there_is(at: &str, line: &str, makefile: &str) {
    for command in line.split(" #").next().unwrap().split(['|', ';', '&', '(', ')', '>', '<']) {
        let mut words = command.split_whitespace().skip_while(|word| *word == "sudo" || word.contains('='));
        match words.next() {
            Some("make") => {
                let target = words.find(|word| !word.contains('=') && !word.starts_with('-')).unwrap_or_default();
                assert!(makefile.contains(&format!("\n{target}: ")) || target.is_empty(), "{at}: make {target}");
            }
            Some("runabout" | "/usr/bin/runabout") => assert_options(at, &words.collect::<Vec<_>>()),
            // What ssh does elsewhere.
            Some("ssh") => {
                let rest = words.skip_while(|word| *word != "runabout").skip(1).collect::<Vec<_>>();
                if !rest.is_empty() {
                    assert_options(at, &rest);
                }
            }
            _ => {}
        }
    }
}

#[track_caller]
fn assert_options(at: &str, words: &[&str]) {
    let words: Vec<&str> = words.iter().copied().take_while(|word| *word != "--").collect();
    // Options for all commands stand before it, too, with what they take.
    let mut own = words.iter().copied().skip_while(|word| word.starts_with('-') || word.contains('/'));
    let Some(command) = own.next().filter(|word| word.chars().all(|c| c.is_ascii_lowercase())) else { return };
    // Of a command with commands of its own that one is meant.
    let inner = own.next().filter(|_| matches!(command, "job" | "hook")).map(|inner| format!("{command} {inner}"));
    let command = inner.as_deref().unwrap_or(command);
    let flags = flags_of(command).unwrap_or_else(|| panic!("{at}: runabout {command}: there is no such command"));
    for word in words.iter().filter(|word| word.starts_with('-') && word.len() > 1) {
        let flag = word.split(['=', '\'', '"', ',']).next().unwrap();
        let is_number = flag[1..].chars().all(|c| c.is_ascii_digit());
        // Short ones may stand together.
        let is_known = |letter: char| flags.iter().any(|known| known.as_bytes() == [b'-', letter as u8]);
        let are_short = !flag.starts_with("--") && flag[1..].chars().all(is_known);
        assert!(is_number || are_short || flags.contains(flag), "{at}: runabout {command} has no {word}");
    }
}

/// The options in the help of a command; none where there is no such command.
fn flags_of(command: &str) -> Option<HashSet<String>> {
    static KNOWN: LazyLock<Mutex<HashMap<String, Option<HashSet<String>>>>> = LazyLock::new(Mutex::default);
    let ask = || {
        let help = Command::new(binary()).args(command.split(' ').chain(["--help"])).output().unwrap();
        let text = String::from_utf8(help.stdout).unwrap();
        let word = |c: char| c.is_whitespace() || ",[]".contains(c);
        let flags = text.split(word).filter(|word| word.starts_with('-')).map(str::to_owned);
        help.status.success().then(|| flags.chain(["--version".to_owned()]).collect())
    };
    KNOWN.lock().unwrap().entry(command.to_owned()).or_insert_with(ask).clone()
}

#[test]
fn every_link_leads_somewhere_and_every_page_is_found_from_the_readme() {
    // The change log tells of what was, so that only its links are looked at.
    for page in all_pages().into_iter().chain([Page::read(&source("CHANGELOG.md"))]) {
        page.linked();
    }
    let linked = Page::read(&source("README.md")).linked();
    for page in pages().iter().skip(1) {
        assert!(linked.contains(&page.path.canonicalize().unwrap()), "README.md has no link to {}", page.name());
    }
}

#[test]
fn the_readme_is_short_and_its_pictures_are_small() {
    let readme = Page::read(&source("README.md"));
    let lines = readme.text.lines().count();
    assert!(lines <= README_LINES_MAX, "README.md has {lines} lines");
    let pictures =
        readme.text.split("![").skip(1).map(|rest| rest.split("](").nth(1).unwrap().split(')').next().unwrap());
    let bytes: u64 = pictures.map(|picture| std::fs::metadata(source(picture)).unwrap().len()).sum();
    assert!((1..=PICTURES_BYTES_MAX).contains(&bytes), "the pictures have {bytes} bytes together");
}
