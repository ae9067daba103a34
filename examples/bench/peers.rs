//! The peers: where their programs are, and how a server of each is started, with what makes it comparable.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::bench::socket;
use crate::machine;
use crate::process::{Process, log};

pub const REDIS: &str = "redis-server";
pub const BEANSTALKD: &str = "beanstalkd";
pub const NATS: &str = "nats-server";
pub const SPOOLER: &str = "tsp";
pub const PUEUE: &str = "pueue";
pub const SQLITE: &str = "sqlite3";

/// Where a peer's program is.
///
/// # Errors
/// It is nowhere; what to do.
pub fn find(name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Where `tests/setup bench-peers` puts what is no package of the system.
    let own = machine::target().join("peers").join("bin");
    let places = std::iter::once(own).chain(std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]));
    let found = places.map(|place| place.join(name)).find(|program| program.is_file());
    found.ok_or_else(|| "not installed (`tests/setup bench-peers` installs what it can)".into())
}

/// What a program says of its version: the first word with a digit and a dot.
pub fn version(program: &Path) -> String {
    // Each asks in its own way; what knows no such option says something else, or nothing.
    let name = program.file_name().unwrap_or_default();
    let option = if name == BEANSTALKD {
        "-v"
    } else if name == SPOOLER {
        "-V"
    } else {
        "--version"
    };
    let said = Command::new(program).arg(option).stdin(Stdio::null()).output();
    let said = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).unwrap_or_default();
    let is_version = |word: &&str| word.contains('.') && word.contains(|letter: char| letter.is_ascii_digit());
    said.split_whitespace().find(is_version).unwrap_or("unknown").trim_matches(['v', '=', ',']).to_owned()
}

/// A server that is reached by a Unix socket.
pub struct Server {
    /// Held, so that it ends with this.
    _process: Process,
    socket: PathBuf,
}

impl Server {
    /// Redis, which flushes its log before it answers.
    pub fn redis(program: &Path, dir: &Path) -> Server {
        let socket = socket(dir);
        let mut command = Command::new(program);
        command.args(["--port", "0", "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir"]).arg(dir);
        command.arg("--unixsocket").arg(&socket).stdout(log(dir)).stderr(log(dir));
        Server::start(&mut command, socket)
    }

    /// beanstalkd, which flushes its log before it answers.
    pub fn beanstalkd(program: &Path, dir: &Path) -> Server {
        let socket = socket(dir);
        let mut command = Command::new(program);
        command.arg("-l").arg(format!("unix:{}", socket.display())).args(["-f", "0", "-b"]).arg(dir);
        Server::start(command.stdout(log(dir)).stderr(log(dir)), socket)
    }

    fn start(command: &mut Command, socket: PathBuf) -> Server {
        let (process, _) = Process::start(command).until(|| UnixStream::connect(&socket).ok());
        Server { _process: process, socket }
    }

    /// A connection to it.
    pub fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.socket).unwrap()
    }
}

/// NATS, on one core as everybody else.
pub fn nats(program: &Path, dir: &Path) -> (Process, SocketAddr) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = Command::new(program);
    command.args(["-a", "127.0.0.1", "-p"]).arg(free.port().to_string()).env("GOMAXPROCS", "1");
    command.stdout(log(dir)).stderr(log(dir));
    let (process, _) = Process::start(&mut command).until(|| TcpStream::connect(free).ok());
    (process, free)
}

/// A connection to NATS that has said what it wants and was answered.
pub fn nats_client(address: SocketAddr, wants: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let hello = format!("CONNECT {{\"verbose\":false,\"pedantic\":false}}\r\n{wants}PING\r\n");
    stream.write_all(hello.as_bytes()).unwrap();
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    while !said.ends_with(b"PONG\r\n") {
        let len = stream.read(&mut buffer).unwrap();
        assert!(len > 0, "{}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&buffer[..len]);
    }
    stream
}

/// Whether a whole answer of Redis to XADD is there: the length of an id, and the id.
pub fn is_added(answer: &[u8]) -> bool {
    let is_whole = answer.iter().filter(|byte| **byte == b'\n').count() == 2 && answer.ends_with(b"\r\n");
    assert!(!is_whole || answer[0] == b'$', "{}", String::from_utf8_lossy(answer));
    is_whole
}

/// Whether a whole answer of beanstalkd to `put` is there.
pub fn is_put(answer: &[u8]) -> bool {
    let is_whole = answer.ends_with(b"\r\n");
    assert!(!is_whole || answer.starts_with(b"INSERTED "), "{}", String::from_utf8_lossy(answer));
    is_whole
}
