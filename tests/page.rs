//! The web page: its files, on the wire, and the page at work in a real browser over a real daemon that dies under it.
//!
//! The scenarios are in `tests/page/`, in JavaScript, since that is what a browser is driven with; they ask this test for
//! what they cannot do themselves, by lines on their standard output.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use runabout::http::page::FILES;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::attack_browser;
use crate::common::{Address, Daemon, Response, cli, page_file};

#[path = "../build/modules.rs"]
mod modules;

/// All files of the page together, as they cross the wire.
const COMPRESSED_BYTES_MAX: usize = 90_000;
/// How long scenarios that are ended may take to end what they started.
const LEAVING: Duration = Duration::from_secs(10);
/// All scenarios together, on a loaded machine.
const SCENARIOS: Duration = Duration::from_secs(600);

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn is_bounded(answer: &Response) {
    let policy = answer.header("content-security-policy").unwrap();
    for rule in [
        "default-src 'none'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "manifest-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.split(';').any(|have| have.trim() == rule), "{rule} is missing in {policy}");
    }
    // Of all that could stand in a page the one script that does, by its hash.
    let scripts = policy.split(';').find_map(|rule| rule.trim().strip_prefix("script-src 'self' 'sha256-"));
    assert!(scripts.is_some_and(|hash| hash.len() == 45 && hash.ends_with("='")), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
    assert_eq!(answer.header("set-cookie"), None);
}

/// Eight bytes of SHA-256, as they stand in a file's name.
fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn everybody_gets_the_pages_files_and_keeps_them_until_they_change() {
    let daemon = Daemon::start();
    let stranger = daemon.tcp();
    for path in FILES.iter().map(|file| file.path) {
        let answer = stranger.get(path).expect(200);
        is_bounded(&answer);
        let wanted = match path.rsplit_once('.') {
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "svg")) => "image/svg+xml",
            Some((_, "png")) => "image/png",
            Some((_, "webmanifest")) => "application/manifest+json",
            Some(_) => panic!("{path}"),
            None if path == "/" => "text/html; charset=utf-8",
            None => "text/plain; charset=utf-8",
        };
        assert_eq!(answer.header("content-type"), Some(wanted), "{path}");
        // What has its hash in its name is never asked for again; the rest each time.
        let is_hashed = path.contains('.');
        let kept = if is_hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
        assert_eq!(answer.header("cache-control"), Some(kept), "{path}");
        assert!(
            !is_hashed || path.contains(&format!("-{}.", hash(&answer.body))),
            "{path} is not named by what it says"
        );
        let tag = answer.header("etag").unwrap();
        assert_eq!(tag, format!("\"{}\"", hash(&answer.body)));
        let again = |tags: &str| stranger.call("GET", path).header("If-None-Match", tags).send();
        let same = again(&format!("\"other\", W/{tag}")).expect(304);
        is_bounded(&same);
        assert_eq!((same.header("etag"), same.header("cache-control")), (Some(tag), Some(kept)));
        assert!(same.body.is_empty());
        assert_eq!(again("\"other\"").expect(200).body, answer.body);
        let head = stranger.call("HEAD", path).send().expect(200);
        assert_eq!(head.header("content-length"), Some(answer.body.len().to_string().as_str()), "{path}");
        assert_eq!((head.header("etag"), head.body.len()), (Some(tag), 0));
    }
    assert_eq!(daemon.get("/").expect(200).body, stranger.get("/?from=elsewhere").expect(200).body);
}

#[test]
fn a_file_comes_compressed_to_who_takes_that_and_plain_to_all_others() {
    let daemon = Daemon::start();
    let stranger = daemon.tcp();
    for path in FILES.iter().map(|file| file.path) {
        let asked = |accepted: &str| stranger.call("GET", path).header("Accept-Encoding", accepted).send().expect(200);
        let plain = stranger.get(path).expect(200);
        assert_eq!(
            (plain.header("content-encoding"), asked("br, gzip;q=0").body),
            (None, plain.body.clone()),
            "{path}"
        );
        let packed = asked("gzip, deflate, br");
        if plain.header("vary").is_none() {
            assert!(path.ends_with(".png"), "{path} is never compressed");
            assert_eq!(packed.body, plain.body);
            continue;
        }
        assert_eq!((packed.header("content-encoding"), packed.header("vary")), (Some("gzip"), Some("Accept-Encoding")));
        assert_eq!(packed.header("content-length"), Some(packed.body.len().to_string().as_str()));
        assert!(packed.body.len() < plain.body.len(), "{path}");
        let mut text = Vec::new();
        GzDecoder::new(packed.body.as_slice()).read_to_end(&mut text).unwrap();
        assert!(text == plain.body, "{path} says something else when it is compressed");
        // Two forms, two tags; who has either has the file.
        let tag = packed.header("etag").unwrap();
        assert_ne!(Some(tag), plain.header("etag"));
        let call = stranger.call("GET", path).header("If-None-Match", tag).header("Accept-Encoding", "gzip");
        let same = call.send().expect(304);
        assert_eq!((same.header("etag"), same.header("content-encoding"), same.body.len()), (Some(tag), None, 0));
    }
}

#[test]
fn only_the_pages_files_are_open() {
    let daemon = Daemon::start();
    let stranger = daemon.tcp();
    for path in
        ["/page", "/page/", "/page/nothing.js", "/page/mod.rs", "/page/package.json", "/index.html", "/favicon.ico"]
    {
        stranger.get(path).expect_problem(401, "unauthorized");
        daemon.get(path).expect_problem(404, "not_found");
    }
    for method in ["POST", "PUT", "DELETE"] {
        stranger.call(method, "/").send().expect_problem(401, "unauthorized");
        daemon.call(method, page_file("app.js")).send().expect_problem(405, "method_not_allowed");
    }
    let allow = daemon.call("POST", "/").send().expect(405);
    assert_eq!(allow.header("allow"), Some("GET, HEAD"));
    stranger.call("GET", "/").header("Host", "evil.example").send().expect_problem(421, "host_not_allowed");
}

#[test]
fn the_page_is_small_and_loads_nothing_from_elsewhere() {
    let daemon = Daemon::start();
    // The terminal's emulator comes only to who looks at a run that has one.
    let is_loaded = |path: &&str| !path.ends_with("LICENSE") && !path.contains("/vendor/xterm/");
    let loaded: Vec<&str> = FILES.iter().map(|file| file.path).filter(is_loaded).collect();
    let bytes = loaded.iter().map(|path| daemon.call("GET", path).header("Accept-Encoding", "gzip").send().body.len());
    let bytes: usize = bytes.sum();
    println!("the page is {bytes} bytes on the wire, in {} files", loaded.len());
    assert!(bytes <= COMPRESSED_BYTES_MAX, "{bytes} bytes");
    for file in sources(&root().join("src/http/page")) {
        // A licence may name where it comes from, and an SVG must name what it is.
        let name = file.display().to_string();
        if !name.contains("/vendor/") && !name.ends_with(".svg") && !name.ends_with(".png") {
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(!text.contains("http://") && !text.contains("https://"), "{name} names another place");
            assert!(text.lines().count() <= 500, "{name} is longer than can be read");
        }
    }
}

/// All files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

#[test]
fn modules_are_linked_in_the_order_in_which_they_need_each_other() {
    let linked = |files: &[(&str, &str)]| {
        let read = |path: &Path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| format!("no {}", path.display()))
        };
        modules::link(Path::new("a.js"), &read).map(|(text, order)| (text, order.len()))
    };
    let files = [
        (
            "a.js",
            "// The first.\nimport {two, three as drei} from './sub/b.js';\nimport './c.js';\n\nout.push(two(), drei);\n",
        ),
        (
            "sub/b.js",
            "import{n as q}from\"../c.js\";/** None. */\nexport function two() { return q; }\nconst three = 3;\nexport {three};\n",
        ),
        ("c.js", "/**\n * Long.\n */const n=2;out.push('c');export{n};"),
    ];
    let (text, count) = linked(&files).unwrap();
    assert_eq!(count, 3);
    assert!(!text.contains("The first") && !text.contains("Long"), "{text}");
    if missing(false).is_none() {
        let program = format!("const out = [];{text}console.log(JSON.stringify(out));");
        let output = Command::new("node").args(["-e", &program]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "[\"c\",2,3]", "{text}");
    }
    for (text, said) in [
        ("import {x} from './a.js';", "imports itself"),
        ("import {x} from './c.js';", "exports no x"),
        ("import x from './c.js';", "no import of names"),
        ("import {x} from 'lit';", "none of the page's own"),
        ("let x;\nimport {n} from './c.js';", "before all else"),
        ("export let x = 1;", "no export of a const"),
        ("export default 1;", "no export of a const"),
        ("export {n} from './c.js';", "in two steps"),
        ("import {n} from './d.js';", "no d.js"),
    ] {
        let refused = linked(&[("a.js", text), files[2]]).unwrap_err();
        assert!(refused.contains(said), "{text}: {refused}");
    }
}

/// The first number of node's version, `v20.1.0`; `None` where there is no node.
pub fn node_version() -> Option<u32> {
    let output = Command::new("node").arg("--version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// Why a script cannot be run here; `None` when it can.
fn missing(needs_browser: bool) -> Option<&'static str> {
    let Some(node) = node_version() else {
        return Some("node is not installed (Debian: apt-get install nodejs npm)");
    };
    if !needs_browser {
        return None;
    }
    if node < 20 {
        return Some("node is older than 20, which playwright-core needs");
    }
    if attack_browser::browser().is_none() {
        return Some("no Chromium is installed (Debian: apt-get install chromium-headless-shell)");
    }
    let modules = root().join("tests/page/node_modules");
    let is_there = |name: &str| modules.join(name).is_dir();
    let all = is_there("playwright-core") && is_there("axe-core");
    (!all).then_some("playwright-core is not installed (npm ci --prefix tests/page)")
}

/// Runs the tests of some files, which need no browser.
fn without_a_browser(files: &[&str]) {
    if let Some(what) = missing(false) {
        println!("skipped: {what}");
        return;
    }
    let output = Command::new("node").arg("--test").args(files).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn lines_are_read_as_a_terminal_would_leave_them() {
    without_a_browser(&["tests/page/unit.test.mjs", "tests/page/log.test.mjs"]);
}

#[test]
fn the_list_is_what_the_daemon_says_whatever_comes_in_which_order() {
    without_a_browser(&["tests/page/live.test.mjs"]);
}

/// The scenarios under way, ended with all that they started.
struct Scenarios(Child);

impl Scenarios {
    fn start(daemon: &Daemon, mut command: Command) -> Scenarios {
        command.current_dir(root()).env("SHOTS", root().join("target/page-shots"));
        // The browser writes to its home, and has a profile beside it.
        for place in ["HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR"] {
            command.env(place, daemon.dir());
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        Scenarios(command.spawn().unwrap())
    }
}

impl Drop for Scenarios {
    fn drop(&mut self) {
        let signal = |signal| Pid::from_raw(self.0.id() as i32).map(|group| kill_process_group(group, signal));
        // Asked first: a browser in a group of its own is ended by who started it.
        signal(Signal::TERM);
        let until = Instant::now() + LEAVING;
        while Instant::now() < until && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = Pid::from_raw(self.0.id() as i32).map(|group| kill_process_group(group, Signal::KILL));
        let _ = self.0.wait();
    }
}

/// Runs scenarios over a daemon on TCP, for which they ask by their standard output, and sees them succeed. The command is
/// the program of the scenarios with what it needs besides.
pub fn play(mut daemon: Daemon, mut command: Command) {
    daemon.put("/v1/queues/default", &json!({"slots": 4})).expect(200);
    let Address::Tcp(address) = daemon.tcp().address().clone() else { unreachable!() };
    // It comes back where the open page looks for it.
    daemon.rebuild(|builder| builder.listen(&address.to_string()));
    command.env("BASE", format!("http://{address}")).env("TOKEN", daemon.enroll("admin"));
    let mut scenarios = Scenarios::start(&daemon, command);
    let (mut say, said) = (scenarios.0.stdin.take().unwrap(), BufReader::new(scenarios.0.stdout.take().unwrap()));
    let (sender, lines) = channel();
    // Ends with the scenarios' standard output.
    std::thread::spawn(move || said.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let until = Instant::now() + SCENARIOS;
    let mut report = String::new();
    while let Ok(line) = lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
        match line.strip_prefix('@') {
            Some(words) => writeln!(say, "{}", obey(&mut daemon, words)).unwrap(),
            None => {
                println!("{line}");
                if !line.starts_with("ok ") {
                    report.push_str(&line);
                    report.push('\n');
                }
            }
        }
    }
    assert!(Instant::now() < until, "the scenarios have not ended within {SCENARIOS:?}:\n{report}");
    let status = scenarios.0.wait().unwrap();
    if !status.success() {
        daemon.show_what_happened();
    }
    // What failed is said last, behind the daemon's log.
    drop(daemon);
    assert!(status.success(), "{status}:\n{report}");
}

pub fn path_of(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file());
    found.unwrap_or_else(|| Path::new(program).to_owned())
}

/// Serves one of the examples for as long as the tests run, whatever is asked for; answers its origin.
fn served_elsewhere(name: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let text = std::fs::read_to_string(root().join("examples").join(name)).unwrap();
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            // The head is one packet, and what it asks for does not matter.
            let _ = client.read(&mut [0; 4_096]);
            let _ = write!(client, "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n{text}");
        }
    });
    origin
}

/// Does what a scenario asks for; answers one line.
fn obey(daemon: &mut Daemon, words: &str) -> String {
    let copy = daemon.dir().join("page.copy.db").display().to_string();
    match words.split_once(' ').unwrap_or((words, "")) {
        ("enroll", role) => {
            let made = daemon.post("/v1/enrollment-tokens", &json!({"role": role, "label": format!("{role}'s desk")}));
            made.expect(201).json()["token"].as_str().unwrap().to_owned()
        }
        ("kill", _) => {
            daemon.kill9();
            "killed".to_owned()
        }
        ("start", _) => {
            daemon.start_again();
            "started".to_owned()
        }
        ("freeze", _) => {
            daemon.signal(Signal::STOP);
            "frozen".to_owned()
        }
        ("thaw", _) => {
            daemon.signal(Signal::CONT);
            "thawed".to_owned()
        }
        // How long a cancel waits.
        ("grace", seconds) => {
            let text = std::fs::read_to_string(daemon.dir().join("config.toml")).unwrap();
            let is_it = |line: &&str| line.starts_with("kill_grace_s = ");
            let text = text.replace(text.lines().find(is_it).unwrap(), &format!("kill_grace_s = {seconds}"));
            daemon.rebuild(|builder| builder.config(&text));
            daemon.stop();
            daemon.start_again();
            seconds.to_owned()
        }
        ("backup", _) => {
            cli(daemon, &["backup", "--force", &copy]).expect(0);
            copy
        }
        ("restore", _) => {
            daemon.stop();
            cli(daemon, &["restore", &copy]).expect(0);
            daemon.start_again();
            "restored".to_owned()
        }
        _ => panic!("a scenario asks for {words:?}"),
    }
}

#[test]
fn the_page_works_in_a_browser() {
    if let Some(what) = missing(true) {
        println!("skipped: {what}");
        return;
    }
    let browser = attack_browser::browser().unwrap();
    let elsewhere = served_elsewhere("dashboard.html");
    let config = format!(
        "[runs]\nkill_grace_s = 2\n[limits]\noutput_bytes_per_run = 10_485_760\n[access]\nallowed_origins = [\"{elsewhere}\"]\n"
    );
    let mut command = Command::new("node");
    command.arg("tests/page/main.mjs").env("ELSEWHERE", &elsewhere).env("BROWSER", path_of(browser));
    if let Ok(wanted) = std::env::var("SCENARIOS") {
        command.args(wanted.split_whitespace());
    }
    play(Daemon::with_config(&config), command);
}
