//! A mosquitto of its own, and its own clients to see and say what is said there.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::{Daemon, Process, Scratch, eventually, free_port};

fn tool(name: &str) -> Command {
    let there = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin"];
    let found = there.iter().map(|dir| PathBuf::from(dir).join(name)).find(|path| path.is_file());
    Command::new(found.unwrap_or_else(|| panic!("{name} is not there: apt-get install mosquitto mosquitto-clients")))
}

pub struct Broker {
    pub port: u16,
    pub scratch: Scratch,
    /// What `mosquitto_pub` and `mosquitto_sub` need to be let in.
    pub clients: Vec<String>,
    process: Option<Process>,
}

impl Broker {
    pub fn start() -> Broker {
        Broker::configured(|_| "allow_anonymous true\n".to_owned())
    }

    /// With more in its configuration, which may name files in its directory.
    pub fn configured(more: impl FnOnce(&Scratch) -> String) -> Broker {
        let (port, scratch) = (free_port(), Scratch::new());
        // As root it would become another user, who may not read the directory.
        let user = if is_root() { "user root\n" } else { "" };
        let more = more(&scratch);
        let text = format!("{user}listener {port} 127.0.0.1\npersistence false\n{more}");
        std::fs::write(scratch.0.join("mosquitto.conf"), text).unwrap();
        let mut broker = Broker { port, scratch, clients: Vec::new(), process: None };
        broker.up();
        broker
    }

    pub fn up(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.scratch.0.join("log")).unwrap();
        let child = tool("mosquitto")
            .arg("-c")
            .arg(self.scratch.0.join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(Process(child));
        let port = self.port;
        eventually("the broker's port", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    }

    pub fn kill(&mut self) {
        self.process = None;
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    fn client(&self, name: &str) -> Command {
        let mut command = tool(name);
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-V", "mqttv5"]).args(&self.clients);
        command
    }

    pub fn publish(&self, topic: &str, payload: &str, options: &[&str]) {
        let options: Vec<&str> = [&["-q", "1"], options].concat();
        let said = self.client("mosquitto_pub").args(["-t", topic, "-m", payload]).args(options).status().unwrap();
        assert!(said.success());
    }

    /// What the broker keeps of a topic.
    pub fn kept(&self, topic: &str) -> Option<String> {
        let told =
            self.client("mosquitto_sub").args(["-t", topic, "-C", "1", "-W", "1", "-F", "%r %p"]).output().unwrap();
        let text = String::from_utf8(told.stdout).unwrap();
        text.strip_prefix("1 ").map(|payload| payload.trim_end_matches('\n').to_owned())
    }

    /// Hears all that is said from now on, and what is kept.
    pub fn ear(&self) -> Ear {
        let mut child = self
            .client("mosquitto_sub")
            .args(["-t", "#", "-q", "1", "-F", "%j"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = child.stdout.take().unwrap();
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let into = heard.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines() {
                let told: Value = serde_json::from_str(&line.unwrap()).unwrap();
                let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
                into.lock().unwrap().push(Heard { topic: text("topic"), payload: text("payload") });
            }
        });
        let ear = Ear { heard, _process: Process(child) };
        // It listens when it hears its own sound.
        eventually("an ear", || {
            self.publish("test/ear", "here", &[]);
            ear.last("test/ear")
        });
        ear
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|told| told.stdout == b"0\n")
}

#[derive(Clone, Debug)]
pub struct Heard {
    pub topic: String,
    pub payload: String,
}

/// What was heard.
pub struct Ear {
    heard: Arc<Mutex<Vec<Heard>>>,
    _process: Process,
}

impl Ear {
    /// All of one topic, in order.
    pub fn all(&self, topic: &str) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|heard| heard.topic == topic).map(|heard| heard.payload.clone()).collect()
    }

    pub fn last(&self, topic: &str) -> Option<String> {
        self.all(topic).pop()
    }

    /// The newest of one topic, as JSON, once it is as wanted.
    pub fn json(&self, topic: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(topic, || serde_json::from_str(&self.last(topic)?).ok().filter(|told| wanted(told)))
    }
}

/// Topics of a box.
pub struct Box {
    pub id: String,
}

impl Box {
    pub fn of(daemon: &Daemon) -> Box {
        Box { id: daemon.instance() }
    }

    pub fn topic(&self, rest: &str) -> String {
        format!("runabout/{}/{rest}", self.id)
    }

    pub fn config(&self) -> String {
        format!("homeassistant/device/runabout_{}/config", self.id)
    }

    pub fn press(&self, job: &str) -> String {
        self.topic(&format!("job/{job}/press"))
    }
}

/// Starts a bridge from a daemon to a broker.
pub fn mqtt(server: &str, daemon: &Daemon, options: &[&str]) -> Process {
    Process(mqtt_command(server, daemon, options).spawn().unwrap())
}

pub fn mqtt_command(server: &str, daemon: &Daemon, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runabout-bridge"));
    command.args(["mqtt", "--server", server, "--url", &daemon.url(), "--reconnect-max-s", "1", "--look-every-s", "1"]);
    command.args(options).env_remove("RUNABOUT_TOKEN").stdin(Stdio::null());
    if std::env::var_os("BRIDGE_LOG").is_none() {
        command.stderr(Stdio::null());
    }
    command
}

/// A press made now, or before or after now.
pub fn pressed_at(offset_s: f64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    format!("{:.6}", now + offset_s)
}
