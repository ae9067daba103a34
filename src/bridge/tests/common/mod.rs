//! A hub, a daemon and a bridge as processes of their own, each in a directory that goes away with it.

pub mod broker;
pub mod link;
pub mod stream;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub fn program(variable: &str, otherwise: &str) -> PathBuf {
    let path = std::env::var_os(variable)
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(otherwise), PathBuf::from);
    assert!(path.is_file(), "{} is not there: build or install it, or name it by {variable}", path.display());
    path
}

/// Waits until `ready` gives something.
pub fn eventually<T>(what: &str, ready: impl FnMut() -> Option<T>) -> T {
    eventually_in(PATIENCE, what, ready)
}

pub fn eventually_in<T>(patience: Duration, what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + patience;
    loop {
        if let Some(there) = ready() {
            return there;
        }
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A number from the environment: what makes a test long.
pub fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Numbers that look drawn and come again with their seed.
pub struct Draw(pub u64);

impl Draw {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    pub fn pause(&mut self, up_to_ms: u64) {
        std::thread::sleep(Duration::from_millis(self.below(up_to_ms)));
    }
}

pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("runabout-bridge-{}-{nth}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A process that is killed with its owner.
pub struct Process(pub Child);

impl Process {
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// SIGTERM; gives how long its end took.
    pub fn stop(&mut self) -> Duration {
        let began = Instant::now();
        let asked = Command::new("kill").arg(self.0.id().to_string()).status().unwrap();
        assert!(asked.success());
        let ended = eventually("its end", || self.0.try_wait().unwrap());
        assert!(ended.success(), "{ended}");
        began.elapsed()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a server on loopback answers, without its head.
pub fn http_get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

pub struct Hub {
    pub port: u16,
    pub scratch: Scratch,
    program: PathBuf,
    options: Vec<String>,
    process: Option<Process>,
}

impl Hub {
    pub fn start() -> Hub {
        Hub::with(free_port(), |_| Vec::new())
    }

    /// With further options, which may name files in its directory.
    pub fn with(port: u16, options: impl FnOnce(&Path) -> Vec<String>) -> Hub {
        let scratch = Scratch::new();
        let options = options(&scratch.0);
        let program = program("NATS_SERVER", "target/peers/bin/nats-server");
        let mut hub = Hub { port, scratch, program, options, process: None };
        hub.up();
        hub
    }

    /// An older one, where NATS_SERVER_OLDER names it.
    pub fn older() -> Option<Hub> {
        std::env::var_os("NATS_SERVER_OLDER")?;
        let program = program("NATS_SERVER_OLDER", "");
        let (port, scratch) = (free_port(), Scratch::new());
        let mut hub = Hub { port, scratch, program, options: Vec::new(), process: None };
        hub.up();
        Some(hub)
    }

    /// Three that keep everything threefold.
    pub fn cluster() -> Vec<Hub> {
        let inner: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let routes: Vec<String> = inner.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let words = |nth: usize| {
            let (name, own) = (format!("s{nth}"), routes[nth].clone());
            let words = ["--server_name", &*name, "--cluster_name", "hub", "--cluster", &*own, "--routes"];
            words.map(str::to_owned).into_iter().chain([routes.join(",")]).collect()
        };
        (0..3).map(|nth| Hub::with(free_port(), |_| words(nth))).collect()
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub fn store(&self) -> PathBuf {
        self.scratch.0.join("store")
    }

    pub fn up(&mut self) {
        let log = std::fs::File::create(self.scratch.0.join("log")).unwrap();
        let child = Command::new(&self.program)
            .args(["-a", "127.0.0.1", "-p", &self.port.to_string(), "-js", "-sd"])
            .arg(self.store())
            .args(&self.options)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(Process(child));
        let port = self.port;
        eventually("the hub's greeting", || {
            let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).ok()?;
            line.starts_with("INFO").then_some(())
        });
        let log = self.scratch.0.join("log");
        eventually("the hub's readiness", || {
            std::fs::read_to_string(&log).unwrap().contains("Server is ready").then_some(())
        });
    }

    pub fn kill(&mut self) {
        self.process = None;
    }
}

pub struct Daemon {
    scratch: Scratch,
    process: Option<Process>,
}

impl Daemon {
    pub fn start() -> Daemon {
        Daemon::configured("")
    }

    pub fn configured(config: &str) -> Daemon {
        let mut daemon = Daemon { scratch: Scratch::new(), process: None };
        std::fs::write(daemon.scratch.0.join("config.toml"), config).unwrap();
        daemon.up();
        daemon
    }

    pub fn up(&mut self) {
        let mut child = Command::new(program("RUNABOUT", "target/debug/runabout"))
            .args(["serve", "--listen", "none", "--log", "error", "--state-dir"])
            .arg(&self.scratch.0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("listening on "), "{line}");
        self.process = Some(Process(child));
    }

    pub fn kill(&mut self) {
        self.process = None;
    }

    pub fn url(&self) -> String {
        format!("unix:{}", self.scratch.0.join("runabout.sock").display())
    }

    /// One request; `None` where the daemon is away or says no.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Option<serde_json::Value> {
        let mut stream = std::os::unix::net::UnixStream::connect(self.scratch.0.join("runabout.sock")).ok()?;
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        let kind = "Content-Type: application/json\r\n";
        stream.write_all(format!("{head}{kind}Content-Length: {length}\r\n\r\n{body}").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        assert!(!chunked, "{head}");
        head.starts_with("HTTP/1.1 2").then(|| serde_json::from_str(body).unwrap_or_default())
    }

    pub fn id(&self) -> u32 {
        self.process.as_ref().unwrap().0.id()
    }

    pub fn instance(&self) -> String {
        let system = eventually("the daemon's answer", || self.ask("GET", "/v1/system", ""));
        system["instance"].as_str().unwrap().to_owned()
    }

    pub fn submit(&self, body: &str) -> Option<i64> {
        self.ask("POST", "/v1/runs", body)?["id"].as_i64()
    }

    /// All events that it has, as (id, run, seq, kind), without output.
    pub fn events(&self) -> Vec<(i64, i64, i64, String)> {
        let number = |event: &serde_json::Value, name: &str| event[name].as_i64().unwrap();
        let short = |event: serde_json::Value| {
            let kind = event["kind"].as_str().unwrap().to_owned();
            (number(&event, "id"), number(&event, "run"), number(&event, "seq"), kind)
        };
        self.whole_events().into_iter().map(short).collect()
    }

    /// All events that it has, as it tells them, without output.
    pub fn whole_events(&self) -> Vec<serde_json::Value> {
        let mut events = Vec::new();
        let mut after = 0;
        loop {
            let page = eventually("a page", || self.ask("GET", &format!("/v1/events?after={after}&limit=1000"), ""));
            let told = page["events"].as_array().unwrap();
            if told.is_empty() {
                return events;
            }
            for event in told {
                after = event["id"].as_i64().unwrap();
                events.push(event.clone());
            }
        }
    }
}

/// Starts a bridge between the two.
pub fn bridge(server: &str, daemon: &Daemon, options: &[&str]) -> Process {
    Process(bridge_command(server, daemon, options).spawn().unwrap())
}

pub fn bridge_command(server: &str, daemon: &Daemon, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runabout-bridge"));
    command.args(["nats", "--server", server, "--url", &daemon.url(), "--reconnect-max-s", "1"]).args(options);
    command.env_remove("RUNABOUT_TOKEN").stdin(Stdio::null());
    if std::env::var_os("BRIDGE_LOG").is_none() {
        command.stderr(Stdio::null());
    }
    command
}

pub fn setup(hub: &Hub, daemon: &Daemon) {
    let (status, text) = told(&hub.url(), daemon, &["--setup"]);
    assert_eq!(status, 0, "{text}");
}

/// What a bridge that ends by itself says, and with which code.
pub fn told(server: &str, daemon: &Daemon, options: &[&str]) -> (i32, String) {
    let done = bridge_command(server, daemon, options).stderr(Stdio::piped()).output().unwrap();
    (done.status.code().unwrap(), String::from_utf8(done.stderr).unwrap())
}
