//! What a daemon says on the wire, to the byte, held against a recording of it in `tests/wire_recorded/`.
//!
//! With `RECORD_WIRE=1` in the environment the recordings are made anew, so that a deliberate change of the wire shows as
//! a difference of files. With `SUITE_BINARY=PATH` another build is asked, say an older one that the new one must equal.
//!
//! What differs from one time to the next is written as a word between angle brackets, by these rules and no others:
//! - times between 2001 and 2099, the header `date`, tokens, process ids, and the figures that [`FIGURES`] names;
//! - what [`Tape::know`] asks of the daemon: its directory, address and instance, and who it runs as;
//! - `content-length`, which is compared with the body first; the entity tags of embedded files, whose bytes are compared
//!   with the files instead; the seconds of a `rate_limited`;
//! - the order of headers, which are sorted, since the daemon sends them in any order;
//! - the values of the metrics, whose lines are sorted between two comments for the same reason.
//!
//! Chunks are joined: how a body is cut into them depends on when it was asked for. Of WebSocket, frames are told by name.

mod answer;

use std::path::PathBuf;

use super::{Call, Client, Daemon};
pub use answer::Open;
use answer::{Answer, shown, split};

/// Numbers in JSON that nobody can foretell.
const FIGURES: &[&str] = &[
    "pid",
    "duration_ms",
    "database_bytes",
    "disk_free_bytes",
    "idle_in_s",
    "freed_bytes",
    "free_bytes",
    "needed_bytes",
    "used_bytes",
    "user_ms",
    "system_ms",
    "memory_peak_bytes",
    "memory_available_bytes",
    "memory_total_bytes",
];

/// A list of such numbers.
const LOAD: &str = "\"load\":[";

/// What stands behind the same in what is told to people.
const IN_USE: &str = " KiB are in use";

/// Where recordings lie.
pub fn recordings() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/wire_recorded")
}

/// One recording under way.
pub struct Tape {
    name: &'static str,
    text: String,
    known: Vec<(String, &'static str)>,
}

impl Tape {
    /// The recording of this name.
    pub fn new(name: &'static str, daemon: &Daemon) -> Tape {
        let mut tape = Tape { name, text: String::new(), known: Vec::new() };
        tape.know(daemon);
        tape
    }

    /// Learns what is this daemon's own; again after each start.
    #[track_caller]
    pub fn know(&mut self, daemon: &Daemon) {
        let system = daemon.get("/v1/system").expect(200).json();
        let me = daemon.get("/v1/session").expect(200).json();
        let of = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let url = of(&system["url"]);
        let address = url.strip_prefix("http://").unwrap_or(&url).trim_end_matches('/').to_owned();
        let user = format!("\"user\":{}", system["user"]);
        let no_limits = format!("\"limits_unavailable\":{}", system["limits_unavailable"]);
        for (value, word) in [
            (daemon.dir().display().to_string(), "<dir>"),
            (address, "<address>"),
            (of(&system["instance"]), "<instance>"),
            (of(&me["name"]), "<local user>"),
            (user, "\"user\":<user>"),
            (no_limits, "\"limits_unavailable\":<limits_unavailable>"),
        ] {
            self.learn(&value, word);
        }
    }

    /// Writes this word for a value from now on.
    pub fn learn(&mut self, value: &str, word: &'static str) {
        if !value.is_empty() && !self.known.iter().any(|(known, _)| known == value) {
            self.known.push((value.to_owned(), word));
        }
    }

    /// Asks, and records what comes until the daemon closes; answers the body.
    #[track_caller]
    pub fn ask(&mut self, what: &str, call: Call) -> Vec<u8> {
        let mut open = self.open(what, call);
        open.until_closed();
        self.close(open)
    }

    /// The same; answers the body as JSON.
    #[track_caller]
    pub fn json(&mut self, what: &str, call: Call) -> serde_json::Value {
        serde_json::from_slice(&self.ask(what, call)).unwrap()
    }

    /// Asks for an embedded file, whose body is compared with this and not recorded.
    #[track_caller]
    pub fn file(&mut self, what: &str, call: Call, file: &[u8]) {
        let mut open = self.open(what, call);
        open.until_closed();
        let answer = Answer::of(&open);
        assert_eq!(answer.body, file, "{what}: not the file's bytes");
        let head = answer.head.lines().map(|line| if line.starts_with("etag: ") { "etag: <tag>" } else { line });
        let head = head.collect::<Vec<_>>().join("\r\n");
        self.write(&open, &head, if file.is_empty() { "" } else { "<the file>" }, &answer.end);
    }

    /// Sends bytes as they are, and records what comes until the daemon closes.
    #[track_caller]
    pub fn raw(&mut self, what: &str, client: &Client, bytes: &[u8]) {
        let mut open = Open::begin(what, client, bytes.to_vec());
        open.until_closed();
        let came = shown(&open.came);
        self.write(&open, came.trim_end_matches("\r\n"), "", "");
    }

    /// Asks for what comes bit by bit; it is recorded when it is closed.
    #[track_caller]
    pub fn open(&mut self, what: &str, call: Call) -> Open {
        let is_upgrade = call.head().contains("\r\nUpgrade: websocket\r\n");
        let call = if is_upgrade { call } else { call.header("Connection", "close") };
        Open::begin(what, &call.client().clone(), call.bytes())
    }

    /// Asks with a body that is too long to be recorded.
    #[track_caller]
    pub fn short(&mut self, what: &str, call: Call) {
        let mut open = self.open(what, call);
        open.until_closed();
        let head = split(&open.sent).0;
        open.sent = format!("{head}\r\n\r\n<a long body>").into_bytes();
        self.close(open);
    }

    /// Records what came; answers the body.
    pub fn close(&mut self, open: Open) -> Vec<u8> {
        self.close_as(open, str::to_owned)
    }

    /// The same, with a body that this has made shorter.
    pub fn close_as(&mut self, open: Open, shortened: impl Fn(&str) -> String) -> Vec<u8> {
        let answer = Answer::of(&open);
        let body = match answer.frames() {
            Some(frames) => frames.join("\n"),
            None => shown(&answer.body),
        };
        let is_metrics = answer.head.contains("content-type: application/openmetrics-text")
            || answer.head.contains("content-type: text/plain; version=0.0.4");
        let body = if is_metrics { without_values(&body) } else { body };
        self.write(&open, &answer.head, &shortened(&body), &answer.end);
        answer.body
    }

    fn write(&mut self, open: &Open, head: &str, body: &str, end: &str) {
        let (asked, content) = split(&open.sent);
        let (asked, content) = (self.steady(&asked), self.steady(shown(content).trim_end_matches("\r\n")));
        let is_limited = body.contains("\"code\":\"rate_limited\"");
        let (head, mut body) = (self.steady(head), self.steady(body));
        let head = sorted(&head).into_iter().map(|line| match line.split_once(": ") {
            Some(("retry-after", _)) if is_limited => "retry-after: <seconds>".to_owned(),
            _ => line,
        });
        if is_limited {
            body = without_seconds(&body);
        }
        let mut lines = vec![format!("### {}", open.what)];
        lines.extend(asked.split("\r\n").map(|line| format!("> {line}")));
        if !content.is_empty() {
            lines.push(">".to_owned());
            lines.extend(content.split('\n').map(|line| format!("> {line}")));
        }
        lines.extend(head.map(|line| format!("< {line}")));
        if !body.is_empty() {
            lines.push("<".to_owned());
            lines.extend(body.split('\n').map(|line| format!("< {line}")));
        }
        if !end.is_empty() {
            lines.push(format!("<< {end}"));
        }
        for line in lines {
            let is_empty = matches!(line.as_str(), "> " | "< ");
            self.text.push_str(if is_empty { line.trim_end() } else { &line });
            self.text.push('\n');
        }
        self.text.push('\n');
    }

    /// The text with a word for everything that differs from one time to the next.
    fn steady(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (value, word) in &self.known {
            text = text.replace(value, word);
        }
        let mut steady = String::new();
        let mut rest = text.as_str();
        while let Some(first) = rest.chars().next() {
            let found = time_at(rest).or_else(|| token_at(rest)).or_else(|| figure_at(rest)).or_else(|| head_at(rest));
            let (bytes, word) = found.unwrap_or((first.len_utf8(), rest[..first.len_utf8()].to_owned()));
            steady.push_str(&word);
            rest = &rest[bytes..];
        }
        steady
    }

    /// Holds it against its recording, or makes that.
    #[track_caller]
    pub fn check(self) {
        let path = recordings().join(format!("{}.txt", self.name));
        if std::env::var_os("RECORD_WIRE").is_some() {
            std::fs::write(&path, &self.text).unwrap();
            return;
        }
        let recorded = std::fs::read_to_string(&path).unwrap_or_default();
        if let Some(difference) = difference(&recorded, &self.text) {
            panic!("the wire is not as in {}:\n{difference}", path.display());
        }
    }
}

/// Where a recording and what came differ first; none where they are the same.
pub fn difference(recorded: &str, came: &str) -> Option<String> {
    if recorded == came {
        return None;
    }
    let mut exchange = "";
    let (mut was, mut is) = (recorded.lines(), came.lines());
    let mut number = 0;
    loop {
        number += 1;
        let (was, is) = (was.next(), is.next());
        if was == is && was.is_some() {
            exchange = was.filter(|line| line.starts_with("### ")).unwrap_or(exchange);
            continue;
        }
        let line = |line: Option<&str>| line.unwrap_or("(nothing more)").to_owned();
        return Some(format!(
            "{exchange}\nline {number}\n recorded {}\n     came {}\nRECORD_WIRE=1 makes the recordings anew.",
            line(was),
            line(is)
        ));
    }
}

/// A time such as `2026-11-23T06:32:01.123Z`.
fn time_at(text: &str) -> Option<(usize, String)> {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00.000Z";
    let time = text.as_bytes().get(..SHAPE.len())?;
    let fits = |(byte, shape): (&u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
    if !time.iter().zip(SHAPE).all(fits) || !("2001".."2100").contains(&&text[..4]) {
        return None;
    }
    Some((SHAPE.len(), "<time>".to_owned()))
}

fn token_at(text: &str) -> Option<(usize, String)> {
    let kind = ["rbe_", "rbs_", "rbr_"].into_iter().find(|kind| text.starts_with(kind))?;
    let digits = text.as_bytes().get(4..44)?;
    digits.iter().all(u8::is_ascii_hexdigit).then(|| (44, format!("<{kind}token>")))
}

fn figure_at(text: &str) -> Option<(usize, String)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 && text[digits..].starts_with(IN_USE) {
        return Some((digits, "<used>".to_owned()));
    }
    if text.starts_with(LOAD) {
        return Some((text.find(']')? + 1, format!("{LOAD}<load>]")));
    }
    let inner = text.strip_prefix('"')?;
    let name = FIGURES.iter().find(|name| inner.strip_prefix(**name).is_some_and(|rest| rest.starts_with("\":")))?;
    let start = name.len() + 3;
    let digits = text[start..].bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then(|| (start + digits, format!("\"{name}\":<{name}>")))
}

/// What a head says of its moment, and of a body that was compared with it.
fn head_at(text: &str) -> Option<(usize, String)> {
    let line = text.strip_prefix("\r\n")?.split("\r\n").next()?;
    let (name, _) = line.split_once(": ")?;
    let word = match name {
        "date" => "<time>",
        "content-length" | "Content-Length" => "<length>",
        _ => return None,
    };
    Some((2 + line.len(), format!("\r\n{name}: {word}")))
}

/// The lines of heads, the headers of each in order of their names.
fn sorted(heads: &str) -> Vec<String> {
    let sorted = heads.split("\r\n\r\n").map(|head| {
        let mut lines: Vec<String> = head.split("\r\n").map(str::to_owned).collect();
        lines.sort_by_key(|line| (!line.contains("HTTP/1."), line.clone()));
        lines
    });
    sorted.collect::<Vec<Vec<String>>>().join(&String::new())
}

/// The seconds that an address has to wait.
fn without_seconds(body: &str) -> String {
    let words = body.split(' ').map(|word| if word.parse::<u32>().is_ok() { "<seconds>" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// Names and labels of figures, sorted between two comments.
fn without_values(metrics: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut samples: Vec<String> = Vec::new();
    for line in metrics.split('\n') {
        if line.starts_with('#') || line.is_empty() {
            samples.sort();
            lines.append(&mut samples);
            lines.push(line.to_owned());
        } else {
            samples.push(format!("{} <value>", line.rsplit_once(' ').map_or(line, |(name, _)| name)));
        }
    }
    lines.join("\n")
}
