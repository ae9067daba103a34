//! A daemon that is reached over one transport, with something to read.

use std::path::{Path, PathBuf};

use crate::common::{Client, Daemon, Gate};

/// How clients reach the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Unix,
    #[cfg(feature = "tls")]
    Tls,
}

impl Transport {
    pub const ALL: &[Transport] = &[
        Transport::Tcp,
        Transport::Unix,
        #[cfg(feature = "tls")]
        Transport::Tls,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "TCP",
            Transport::Unix => "the Unix socket",
            #[cfg(feature = "tls")]
            Transport::Tls => "TLS",
        }
    }
}

/// A daemon with a run that goes on, and one that printed megabytes.
pub struct Place {
    pub daemon: Daemon,
    /// The run of which the good ones read ends when this is opened.
    pub gate: Gate,
    pub ways: Ways,
}

/// Who asks there, and for what.
pub struct Ways {
    /// Who may submit.
    pub operator: Client,
    /// Who may read.
    pub viewer: Client,
    /// The run of which the good ones read.
    pub live: i64,
    /// The run that printed more than a socket takes.
    pub large: i64,
}

/// Deadlines in seconds rather than in tens of them, so that what they end is seen to end.
const CONFIG: &str = "[limits]\nhead_s = 2\nbody_s = 2\nstream_stall_s = 2\n";
/// What is printed at once: more than the buffers of a connection hold.
const LARGE_BYTES: usize = 6_000_000;

impl Place {
    pub fn new(transport: Transport) -> Place {
        let daemon = started(transport);
        daemon.put("/v1/queues/default", &serde_json::json!({"slots": 4})).expect(200);
        let large = daemon.sh(&format!("head -c {LARGE_BYTES} /dev/zero | tr '\\0' x"));
        daemon.wait_ended(large);
        let gate = daemon.gate("end");
        let live = daemon.sh(&gate.wait());
        daemon.wait_running(live);
        let (operator, viewer) = match transport {
            Transport::Unix => (Client::clone(&daemon), Client::clone(&daemon)),
            _ => (daemon.tcp_as("operator"), daemon.tcp_as("viewer")),
        };
        Place { daemon, gate, ways: Ways { operator, viewer, live, large } }
    }
}

#[cfg(not(feature = "tls"))]
fn started(_: Transport) -> Daemon {
    Daemon::with_config(CONFIG)
}

#[cfg(feature = "tls")]
fn started(transport: Transport) -> Daemon {
    if transport != Transport::Tls {
        return Daemon::with_config(CONFIG);
    }
    let dir = crate::common::TempDir::new();
    let (cert, key) = certificate(dir.path());
    let config = format!("{CONFIG}[tls]\ncert = \"{}\"\nkey = \"{}\"\n", cert.display(), key.display());
    Daemon::builder().config(&config).authority(&cert).start_in(dir)
}

/// A certificate that is its own authority, and its key.
#[cfg(feature = "tls")]
fn certificate(dir: &Path) -> (PathBuf, PathBuf) {
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (cert, key)
}
