//! What an attacker can put on the wire: requests that two programs would read in two ways, input without end, frames that
//! are none. Every attack gets one answer and the end of its connection, and those who did nothing wrong are served.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::{Bystanders, Client, DEADLINE, Daemon, Socket, highest_resident_bytes, resident_bytes};

/// What the daemon may grow by under attack: connections, their buffers, SQLite's cache.
const GROWTH_BYTES_MAX: u64 = 12 * 1024 * 1024;
/// Connections that stand half sent at once.
const HALF_SENT_MAX: usize = 100;
/// Behind every shape that is refused or the last of its connection: had it been read as a request of its own, there would
/// be a run.
const SMUGGLED: &str = "POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                        Content-Length: 20\r\nConnection: close\r\n\r\n{\"command\":[\"true\"]}";

/// Behind every shape that is as it should be: it is answered, so that the end before it was found.
const NEXT: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Does `work` beside bystanders, again and again until they have seen something of it; fails where they were not served
/// in time or the daemon has grown.
#[track_caller]
pub fn beside_bystanders(daemon: &Daemon, what: &str, work: impl Fn()) {
    let bystanders = Bystanders::start(daemon);
    let before = resident_bytes(daemon.pid());
    let begun = Instant::now();
    let highest = highest_resident_bytes(daemon.pid(), || {
        while begun.elapsed() < Duration::from_secs(1) {
            work();
        }
    });
    let growth = highest.saturating_sub(before);
    bystanders.were_served(what);
    println!("{what}: memory {before} + {growth} bytes");
    assert!(growth < GROWTH_BYTES_MAX, "{what}: grew by {growth} bytes from {before}");
}

/// A request whose end is not where everybody would say, with what must be answered.
struct Shape {
    what: &'static str,
    /// Behind `PATCH /v1/runs/1` with its `Host` and `Content-Type`; the smuggled request follows.
    rest: String,
    statuses: &'static [u16],
}

fn shape(what: &'static str, rest: &str, statuses: &'static [u16]) -> Shape {
    Shape { what, rest: rest.to_owned(), statuses }
}

/// A chunked body as it should be, and bodies of which somebody might see the end too early or too late.
fn chunked(what: &'static str, body: &str, statuses: &'static [u16]) -> Shape {
    Shape { what, rest: format!("Transfer-Encoding: chunked\r\n\r\n{body}"), statuses }
}

fn shapes() -> Vec<Shape> {
    const BODY: &str = "{\"keep\":true}";
    const CHUNKS: &str = "d\r\n{\"keep\":true}\r\n0\r\n\r\n";
    let mut shapes = vec![
        shape(
            "a length and chunks",
            &format!("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}"),
            &[200],
        ),
        shape(
            "chunks and a length",
            &format!("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{CHUNKS}"),
            &[200],
        ),
        shape("two lengths", &format!("Content-Length: 13\r\nContent-Length: 0\r\n\r\n{BODY}"), &[400]),
        shape("two lengths, the other way", &format!("Content-Length: 0\r\nContent-Length: 13\r\n\r\n{BODY}"), &[400]),
        shape("a list of lengths", &format!("Content-Length: 13, 13\r\n\r\n{BODY}"), &[400]),
        shape(
            "chunks twice",
            &format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}"),
            &[400],
        ),
        shape("folded chunks", &format!("Transfer-Encoding:\r\n chunked\r\n\r\n{CHUNKS}"), &[400]),
        shape("a folded header", &format!("X: y\r\n Content-Length: 13\r\n\r\n{BODY}"), &[400]),
        shape("a header folded by a tab", &format!("X: y\r\n\tContent-Length: 13\r\n\r\n{BODY}"), &[400]),
        shape("a blank before the colon", &format!("Transfer-Encoding : chunked\r\n\r\n{CHUNKS}"), &[400]),
        shape("a tab before the colon", &format!("Content-Length\t: 13\r\n\r\n{BODY}"), &[400]),
        shape("a header without a name", &format!(": x\r\nContent-Length: 13\r\n\r\n{BODY}"), &[400]),
        shape("a header without a colon", &format!("X\r\nContent-Length: 13\r\n\r\n{BODY}"), &[400]),
        shape("a bare CR in a value", &format!("X: a\rContent-Length: 13\r\n\r\n{BODY}"), &[400]),
        shape("a bare CR before the body", &format!("Content-Length: 13\r\n\r{BODY}"), &[400]),
        shape("a NUL in a value", &format!("X: a\0\r\nContent-Length: 13\r\n\r\n{BODY}"), &[400]),
        shape("a NUL in a name", &format!("X\0: a\r\nContent-Length: 13\r\n\r\n{BODY}"), &[400]),
    ];
    for length in ["+13", "-1", "0x0d", "1 3", "13.", "\"13\"", "", "99999999999999999999999", "18446744073709551616"] {
        shapes.push(Shape {
            what: "a length that is none",
            rest: format!("Content-Length: {length}\r\n\r\n{BODY}"),
            statuses: &[400],
        });
    }
    for coding in [
        "xchunked",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, identity",
        "identity",
        "\"chunked\"",
        "chunked;q=1",
        "\u{b}chunked",
        "chunked\u{b}",
        "",
        "chunked,",
        ",chunked",
        "chunked chunked",
        "chunke\u{212a}d",
    ] {
        let rest = format!("Transfer-Encoding: {coding}\r\n\r\n{CHUNKS}");
        shapes.push(Shape { what: "a coding that is none", rest, statuses: &[400] });
    }
    for (what, size) in [
        ("0x", "0xd"),
        ("a plus", "+d"),
        ("a minus", "-1"),
        ("nothing", ""),
        ("a blank before it", " d"),
        ("64 bits and more", "fffffffffffffffff"),
        ("no digit", "g"),
        ("an underscore", "0_d"),
        ("a comma", "d,"),
    ] {
        shapes.push(chunked(what, &format!("{size}\r\n{BODY}\r\n0\r\n\r\n"), &[400]));
    }
    shapes.extend([
        chunked("a chunk longer than it says", "c\r\n{\"keep\":true}\r\n0\r\n\r\n", &[400]),
        chunked("a size that a bare LF ends", "d\n{\"keep\":true}\r\n0\r\n\r\n", &[400]),
        chunked("a size that a bare CR ends", "d\r{\"keep\":true}\r\n0\r\n\r\n", &[400]),
        chunked("an extension that a bare LF ends", "d;x\n{\"keep\":true}\r\n0\r\n\r\n", &[400]),
        chunked("data that a bare LF ends", "d\r\n{\"keep\":true}\n0\r\n\r\n", &[400]),
        chunked("a last chunk of two zeros", "d\r\n{\"keep\":true}\r\n00\r\n\r\n", &[200, 200]),
        chunked("an extension", "d;a=b;c=\"d\"\r\n{\"keep\":true}\r\n0;x\r\n\r\n", &[200, 200]),
        chunked(
            "trailers that mean something",
            "d\r\n{\"keep\":true}\r\n0\r\nContent-Length: 5\r\nHost: evil\r\n\r\n",
            &[200, 200],
        ),
        chunked("as it should be", CHUNKS, &[200, 200]),
        shape(
            "a length as it should be, and the end",
            &format!("Content-Length: 13\r\nConnection: close\r\n\r\n{BODY}"),
            &[200],
        ),
        shape(
            "close and keep-alive",
            &format!("Content-Length: 13\r\nConnection: keep-alive, close\r\n\r\n{BODY}"),
            &[200],
        ),
        shape(
            "the body of an upgrade",
            &format!("Content-Length: 13\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\n\r\n{BODY}"),
            &[200],
        ),
        shape("a longer body than is allowed", "Content-Length: 1048577\r\n\r\n", &[413]),
    ]);
    shapes
}

/// Requests of which the first line, or what is left unread, is the matter.
fn whole_shapes() -> Vec<(&'static str, String, &'static [u16])> {
    let host = "Host: localhost\r\n";
    let length = SMUGGLED.len();
    vec![
        (
            "a body that nobody reads",
            format!("GET /healthz HTTP/1.1\r\n{host}Content-Length: {length}\r\n\r\n"),
            &[200],
        ),
        ("a body of no route", format!("POST /none HTTP/1.1\r\n{host}Content-Length: {length}\r\n\r\n"), &[404]),
        (
            "a body of a wrong method",
            format!("PUT /v1/runs HTTP/1.1\r\n{host}Content-Length: {length}\r\n\r\n"),
            &[405],
        ),
        (
            "chunks in 1.0",
            format!("PATCH /v1/runs/1 HTTP/1.0\r\n{host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            &[400],
        ),
        ("1.0 goes once", format!("GET /healthz HTTP/1.0\r\n{host}\r\n"), &[200]),
        ("no version", "GET /healthz\r\n\r\n".to_owned(), &[400]),
        ("a version that is none", format!("GET /healthz HTTP/1.2\r\n{host}\r\n"), &[400]),
        ("HTTP/2 unasked", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), &[400]),
        ("a blank before a header", format!("GET /healthz HTTP/1.1\r\n {host}\r\n"), &[400]),
        ("a bare CR in the first line", format!("GET /healthz\rHTTP/1.1\r\n{host}\r\n"), &[400]),
        ("a tab in the first line", format!("GET\t/healthz HTTP/1.1\r\n{host}\r\n"), &[400]),
        ("a method that is none", format!("G@T\0 /healthz HTTP/1.1\r\n{host}\r\n"), &[400]),
    ]
}

/// The statuses of all answers, one after the other.
pub fn statuses(answer: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answer);
    let status = |at: usize| text.get(at + "HTTP/1.1 ".len()..)?.get(..3)?.parse().ok();
    text.match_indices("HTTP/1.").filter_map(|(at, _)| status(at)).collect()
}

/// Reads until the daemon has closed; fails where it does not.
pub fn read_to_close(socket: &mut Socket) -> Result<Vec<u8>, String> {
    let (until, mut answer, mut chunk) = (Instant::now() + DEADLINE, Vec::new(), [0; 4_096]);
    loop {
        socket.read_within(until.saturating_duration_since(Instant::now()));
        match socket.read(&mut chunk) {
            Ok(0) => return Ok(answer),
            Ok(count) => answer.extend_from_slice(&chunk[..count]),
            Err(error) if Socket::is_timeout(&error) => {
                return Err(format!("not closed behind {:?}", String::from_utf8_lossy(&answer)));
            }
            // A reset ends it as well; what came before it counts.
            Err(_) => return Ok(answer),
        }
    }
}

/// Sends the bytes in two writes, once for every place between them, and looks at every answer.
fn split_everywhere(daemon: &Client, what: &str, bytes: &[u8], wanted: &[u16]) -> Vec<String> {
    let mut wrong = Vec::new();
    let places: Vec<usize> = (1..bytes.len()).collect();
    for places in places.chunks(HALF_SENT_MAX) {
        let mut sockets: Vec<(usize, Socket)> = places.iter().map(|&place| (place, daemon.connect())).collect();
        for (place, socket) in &mut sockets {
            let _ = socket.write_all(&bytes[..*place]);
        }
        // Connections are taken in order: with an answer to this one, the first parts have been read.
        daemon.get("/healthz").expect(200);
        for (place, mut socket) in sockets {
            // A refusal may have come before.
            let _ = socket.write_all(&bytes[place..]);
            match read_to_close(&mut socket) {
                Ok(answer) if statuses(&answer) == wanted => {}
                Ok(answer) => {
                    let answer = String::from_utf8_lossy(&answer).into_owned();
                    wrong.push(format!("{what}, split at {place}: {wanted:?} is due, it was {answer:?}"));
                }
                Err(error) => wrong.push(format!("{what}, split at {place}: {error}")),
            }
        }
    }
    wrong
}

#[test]
fn no_request_is_smuggled_in_another_wherever_it_is_split() {
    let daemon = Daemon::start();
    assert_eq!(daemon.submit(&json!({"script": "true"})), 1);
    daemon.wait_ended(1);
    let head = "PATCH /v1/runs/1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let mut wrong = Vec::new();
    let (mut shapes_count, mut requests) = (0, 0);
    let whole = whole_shapes().into_iter();
    let patches = shapes().into_iter().map(|shape| (shape.what, format!("{head}{}", shape.rest), shape.statuses));
    for (what, bytes, wanted) in whole.chain(patches) {
        let behind = if wanted.len() == 2 { NEXT } else { SMUGGLED };
        let bytes = format!("{bytes}{behind}");
        shapes_count += 1;
        requests += bytes.len() - 1;
        let found = split_everywhere(&daemon, &format!("{what} ({bytes:?})"), bytes.as_bytes(), wanted);
        wrong.extend(found.into_iter().take(1));
        let runs = daemon.get("/v1/runs").expect(200).json();
        let count = runs["runs"].as_array().unwrap().len();
        if count != 1 {
            wrong.push(format!("{what}: {} requests were smuggled", count - 1));
            break;
        }
    }
    println!("{shapes_count} shapes in {requests} ways");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn input_without_end_is_refused_and_not_kept() {
    let daemon = Daemon::start();
    let tcp = daemon.tcp_as("operator");
    let get = |target: &str, headers: &str| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    let submit = |body: Vec<u8>| {
        let mut request =
            tcp.call("POST", "/v1/runs").header("Connection", "close").body("application/json", &body).head();
        request.push_str(std::str::from_utf8(&body).unwrap());
        request
    };
    let deep = b"{\"command\":".iter().chain([b'['; 1_000_000].iter()).copied().collect();
    let attacks: Vec<(&str, String, &[u16])> = vec![
        ("10,000 headers", get("/healthz", &"X-A: b\r\n".repeat(10_000)), &[431]),
        ("101 headers", get("/healthz", &"X-A: b\r\n".repeat(101)), &[431]),
        ("a header of 10 MB", get("/healthz", &format!("X-A: {}\r\n", "b".repeat(10_000_000))), &[431]),
        ("a name of 10 MB", get("/healthz", &format!("{}: b\r\n", "x".repeat(10_000_000))), &[431, 400]),
        ("a path of 10 MB", get(&format!("/{}", "a".repeat(10_000_000)), ""), &[414, 431]),
        ("a path of 65,535 bytes", get(&format!("/{}", "a".repeat(65_534)), ""), &[414, 431]),
        ("a method of 1 MB", format!("{} / HTTP/1.1\r\n\r\n", "A".repeat(1_000_000)), &[400, 431]),
        ("a line of 10 MB", "x".repeat(10_000_000), &[400, 431]),
        ("10 MB of nothing", "\r\n".repeat(5_000_000), &[400, 431]),
        ("1 MiB of [", submit(vec![b'['; 1 << 20]), &[400]),
        ("a million arrays", submit(deep), &[400]),
        ("a million objects", submit("{\"a\":".repeat(200_000).into_bytes()), &[400]),
        ("a number of 1 MiB", submit("9".repeat(1 << 20).into_bytes()), &[400, 422]),
        ("a key of 1 MiB", submit(format!("{{\"{}\":1}}", "k".repeat(1_000_000)).into_bytes()), &[422]),
        (
            "an extension of 1 MB",
            {
                let head = tcp
                    .call("POST", "/v1/runs")
                    .header("Transfer-Encoding", "chunked")
                    .header("Content-Type", "application/json")
                    .head();
                format!("{head}1;{}\r\na\r\n0\r\n\r\n", "x".repeat(1_000_000))
            },
            &[400],
        ),
        (
            "trailers of 1 MB",
            {
                let head = tcp
                    .call("POST", "/v1/runs")
                    .header("Transfer-Encoding", "chunked")
                    .header("Content-Type", "application/json")
                    .head();
                format!("{head}1\r\n1\r\n0\r\n{}\r\n", "X-A: b\r\n".repeat(125_000))
            },
            &[400],
        ),
    ];
    // What is allocated once is there before it is measured.
    let warm = submit(vec![b'['; 1 << 20]);
    daemon.tcp().raw(warm.as_bytes(), DEADLINE);
    beside_bystanders(&daemon, "input without end", || {
        for (what, bytes, wanted) in &attacks {
            let mut socket = tcp.connect();
            let _ = socket.write_all(bytes.as_bytes());
            let answer = read_to_close(&mut socket).unwrap_or_else(|error| panic!("{what}: {error}"));
            let found = statuses(&answer);
            let is_told = found.len() == 1 && wanted.contains(&found[0]);
            // Of what is far beyond a limit the rest is not read: the reset that follows may overtake the answer.
            assert!(
                is_told || found.is_empty() && bytes.len() > 1 << 20,
                "{what}: {}",
                String::from_utf8_lossy(&answer)
            );
        }
    });
    let runs = daemon.get("/v1/runs").expect(200).json();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1, "the bystanders' alone: {runs}");
}

#[test]
fn a_stranger_may_send_a_token_and_no_more() {
    let daemon = Daemon::start();
    let tcp = daemon.tcp();
    let enroll = |bytes: usize| {
        let call = tcp.call("POST", "/v1/enroll").header("Content-Type", "application/json");
        call.header("Content-Length", &bytes.to_string()).open().unwrap().0
    };
    // By its declared length, before any of it was sent.
    enroll(16 * 1024 + 1).expect_problem(413, "body_too_large");
    enroll(1 << 20).expect_problem(413, "body_too_large");
    let (mut body, token) = (br#"{"token":""#.to_vec(), "x".repeat(16_000));
    body.extend(token.as_bytes());
    body.extend(b"\"}");
    tcp.call("POST", "/v1/enroll").body("application/json", &body).send().expect_problem(401, "enrollment_invalid");
}

#[test]
fn json_of_many_small_values_takes_memory_once_and_gives_it_back() {
    let daemon = Daemon::start();
    let tcp = daemon.tcp_as("operator");
    let body = format!("{{\"command\":[{}1]}}", "1,".repeat(500_000));
    let submit = || tcp.call("POST", "/v1/runs").body("application/json", body.as_bytes());
    let before = resident_bytes(daemon.pid());
    let highest = highest_resident_bytes(daemon.pid(), || {
        std::thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    let refusal = submit().send();
                    assert!(refusal.body.len() < 32 * 1024, "{} bytes", refusal.body.len());
                    let problem = refusal.expect_problem(422, "invalid");
                    assert_eq!(problem["details"]["violations"].as_array().unwrap().len(), 100);
                });
            }
        });
    });
    let growth = highest.saturating_sub(before);
    // Nor do names that nobody knows come back by the megabyte.
    let name = format!("{{\"script\":\"true\",\"{}\":1}}", "k".repeat(1_000_000));
    let refusal = tcp.call("POST", "/v1/runs").body("application/json", name.as_bytes()).send();
    assert!(refusal.body.len() < 1_024, "{} bytes", refusal.body.len());
    println!("10 bodies of 500,000 numbers: memory {before} + {growth} bytes, then {}", resident_bytes(daemon.pid()));
    // One is parsed at a time, which takes some fifty times its bytes; the ten bodies are there besides.
    assert!(growth < 96 * 1024 * 1024, "grew by {growth} bytes from {before}");
}

#[test]
fn a_path_that_two_programs_would_read_in_two_ways_is_refused() {
    let daemon = Daemon::start();
    let tcp = daemon.tcp_as("admin");
    for path in [
        "/v1/none#/../runs",
        "/v1/runs#",
        "/v1/runs?limit=1#x",
        "/#",
        "/v1/../v1/runs",
        "/v1/./runs",
        "/..",
        "/../",
        "/v1/runs/..",
        "/v1/runs/.",
        "/v1/%2e%2e/v1/runs",
        "/v1/%2E/runs",
        "/v1/.%2e/runs",
        "/v1/%252e%252e",
        "/v1/runs/%00",
        "/v1/%0d%0a",
        "/v1/%2fruns",
        "/v1%2Fruns",
        "/v1/%5cruns",
        "/v1\\runs",
        "\\v1\\runs",
        "/v1//runs",
        "//v1/runs",
        "//evil.example/v1/runs",
        "/v1/runs//",
        "/v1/runs/%",
        "/v1/runs/%1",
        "/v1/runs/%zz",
        "/v1/runs/%u0041",
        "/v1/%72uns",
        "/v1/runs;x=1",
        "/v1/runs\u{7f}",
        "/v1/runs/é",
        "/v1/runs/%c0%ae%c0%ae",
        "/v1/runs/%e0%80%af",
        "http://localhost/v1/runs",
        "http://evil.example/v1/runs",
        "*",
        "v1/runs",
        "localhost:80",
        "/v1/runs?\u{0}",
        "/v1/runs\u{0}",
    ] {
        for client in [&tcp, &*daemon] {
            let request = client.call("GET", path).header("Connection", "close").head();
            let answer = client.raw(request.as_bytes(), DEADLINE);
            let found = statuses(&answer);
            let text = String::from_utf8_lossy(&answer);
            assert!(matches!(found[..], [400 | 404]), "{path}: {text}");
            assert!(!text.contains("\"runs\":["), "{path} was routed: {text}");
        }
    }
}

#[test]
fn a_fragment_is_found_in_every_request_of_a_connection_and_in_its_target_alone() {
    let daemon = Daemon::start();
    let get = |path: &str| daemon.call("GET", path).header("X-Colour", "#fff").head();
    let body = br##"{"script":"true","name":"#1","delay_s":60}"##;
    let submit = daemon.call("POST", "/v1/runs").body("application/json", body).head();
    let chunks = format!("{:x}\r\n{}\r\n0\r\n\r\n", body.len(), String::from_utf8_lossy(body));
    let chunked = daemon.call("POST", "/v1/runs").header("Content-Type", "application/json");
    let chunked = chunked.header("Transfer-Encoding", "chunked").head();
    let sent = [
        get("/v1/runs").into_bytes(),
        get("/v1/system#a").into_bytes(),
        submit.into_bytes(),
        body.to_vec(),
        get("/v1/queues#GET%20/v1/runs").into_bytes(),
        chunked.into_bytes(),
        chunks.into_bytes(),
        get("/v1/runs?limit=2#").into_bytes(),
        get("/v1/runs?limit=1").into_bytes(),
        get("/v1/runs?name=%231").into_bytes(),
        daemon.call("GET", "/healthz#").header("Connection", "close").head().into_bytes(),
    ];
    let answer = daemon.raw(&sent.concat(), DEADLINE);
    let wanted = [200, 400, 201, 400, 201, 400, 200, 200, 400];
    assert_eq!(statuses(&answer), wanted, "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn what_looks_like_a_request_in_a_body_has_no_other_request_of_the_connection_refused() {
    let daemon = Daemon::start();
    // As by a proxy that sends the requests of all its clients over one connection.
    let body = b"{\"token\":\"x\"}\nGET /healthz#x HTTP/1.1\nGET /healthz#x HTTP/1.1\n";
    let first = daemon.call("POST", "/v1/enroll").body("application/json", body).head();
    let next = daemon.call("GET", "/healthz").head();
    let last = daemon.call("GET", "/healthz").header("Connection", "close").head();
    let answer = daemon.raw(&[first.as_bytes(), body, next.as_bytes(), last.as_bytes()].concat(), DEADLINE);
    assert_eq!(statuses(&answer), [400, 200, 200], "{}", String::from_utf8_lossy(&answer));
}
