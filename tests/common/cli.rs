//! The command line as a user starts it: its output, its signals, how it exits.

use super::{Address, DEADLINE, Daemon, Random, TempDir, binary, eventually, signal};
use rustix::process::Signal;
use serde_json::Value;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A client that runs.
pub struct Running {
    pub child: Child,
    pub stdout: Arc<Mutex<Vec<u8>>>,
    pub readers: Vec<JoinHandle<Vec<u8>>>,
}

/// A client that has ended.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    /// As bytes, and as text.
    pub stderr_bytes: Vec<u8>,
    pub stderr: String,
}

impl std::fmt::Debug for Ended {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (stdout, stderr) = (String::from_utf8_lossy(&self.stdout), &self.stderr);
        write!(out, "{}, said {stdout:.2000?}, complained {stderr:.2000?}", self.status)
    }
}

impl Running {
    pub fn start(mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let kept = stdout.clone();
        let readers = vec![
            std::thread::spawn(move || {
                let mut chunk = [0; 16 * 1024];
                while let Ok(count @ 1..) = out.read(&mut chunk) {
                    kept.lock().unwrap().extend_from_slice(&chunk[..count]);
                }
                Vec::new()
            }),
            std::thread::spawn(move || {
                let mut all = Vec::new();
                let _ = err.read_to_end(&mut all);
                all
            }),
        ];
        Running { child, stdout, readers }
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.stdout.lock().unwrap()).into_owned()
    }

    #[track_caller]
    pub fn until_said(&self, text: &str) {
        eventually(DEADLINE, &format!("the client prints {text:?}"), || self.said().contains(text));
    }

    #[track_caller]
    pub fn ended(mut self) -> Ended {
        let mut status = None;
        eventually(DEADLINE, "the client ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let mut read = std::mem::take(&mut self.readers).into_iter().map(|reader| reader.join().unwrap());
        let (_, stderr) = (read.next(), read.next().unwrap());
        let stdout = std::mem::take(&mut *self.stdout.lock().unwrap());
        let text = String::from_utf8_lossy(&stderr).into_owned();
        Ended { status: status.unwrap(), stdout, stderr_bytes: stderr, stderr: text }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    #[track_caller]
    pub fn expect(self, code: i32) -> Ended {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
        self
    }

    /// Its standard output, where that is text.
    #[track_caller]
    pub fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub fn start(daemon: &Daemon, arguments: &[&str]) -> Running {
    let mut command = daemon.cli();
    command.args(arguments);
    Running::start(command)
}

#[track_caller]
pub fn cli(daemon: &Daemon, arguments: &[&str]) -> Ended {
    start(daemon, arguments).ended()
}

/// The newest run.
#[track_caller]
pub fn newest(daemon: &Daemon) -> Value {
    daemon.get("/v1/runs?limit=1").expect(200).json()["runs"][0].clone()
}
