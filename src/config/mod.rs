//! The configuration: every setting with its unit, its default and what it guards.
//!
//! Flags take precedence over the environment, and that over the file. The configuration is read once and never changes.

mod file;
mod keys;
mod load;
mod net;

use std::path::PathBuf;

pub use file::ConfigFile;
pub use load::{ConfigError, Fault, Flags};
pub use net::{Authority, Cidr, Host, Origin};

use crate::access::Role;
use crate::accounts::Account;
use crate::run;

/// The whole configuration; valid by construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where TCP connections are taken.
    pub listen: Listen,
    /// The least important log line that is written.
    pub log: log::LevelFilter,
    /// Who may connect, and from where.
    pub access: Access,
    /// How TCP connections are encrypted.
    pub tls: Tls,
    /// Limits on memory, time and descriptors.
    pub limits: Limits,
    /// How often output is committed.
    pub output: Output,
    /// How commands are stopped.
    pub runs: Runs,
    /// What is kept, and for how long.
    pub retention: Retention,
    /// How long tokens live.
    pub sessions: Sessions,
    /// A line for people about each value of the file that the environment overrides: a unit's `Environment=` is easily
    /// overlooked.
    pub overridden: Vec<String>,
}

/// `listen`: where TCP connections are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere; only the Unix socket is served.
    Nowhere,
    /// At this address; port 0 picks one.
    At(std::net::SocketAddr),
}

/// `[access]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Path of the Unix socket; `None` is `runabout.sock` in the state directory.
    pub socket: Option<PathBuf>,
    /// Name or number of a group whose members may connect to the Unix socket too.
    pub socket_group: Option<String>,
    /// The role of those members.
    pub socket_role: SocketRole,
    /// Host names that requests may use besides localhost, IP literals, this host's name and NAME.local; lower case.
    pub allowed_hosts: Vec<String>,
    /// Other web origins whose pages may use the daemon.
    pub allowed_origins: Vec<Origin>,
    /// Proxies whose `X-Forwarded-For`, `-Proto` and `-Host` are believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Whether tokens and output may cross a network unencrypted: guards a listener beyond loopback.
    pub allow_plaintext: bool,
}

/// `access.socket_role`, whose default is `operator` and not the least role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketRole(pub Role);

impl Default for SocketRole {
    fn default() -> SocketRole {
        SocketRole(Role::Operator)
    }
}

/// `[tls]`: both keys or neither.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Path of the certificate and its chain, in PEM.
    pub cert: Option<PathBuf>,
    /// Path of its private key, in PEM.
    pub key: Option<PathBuf>,
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's line and headers; beyond it 431. Guards memory before the client is authenticated.
    pub head_bytes: usize,
    /// Headers of a request; beyond it 431.
    pub headers: usize,
    /// Bytes of a request's body; beyond it 413. Guards memory.
    pub body_bytes: usize,
    /// Seconds to send a head, and to wait for the next request on a connection. Guards descriptors.
    pub head_s: u64,
    /// Seconds to send a body; beyond it 408.
    pub body_s: u64,
    /// TCP connections that are open at once; beyond it 503 and close. Guards descriptors.
    pub connections: usize,
    /// TCP connections of one address that are open at once.
    pub connections_per_client: usize,
    /// Runs that wait; beyond it 429. Guards the medium.
    pub queued_runs: usize,
    /// Events in a live reader's bounded channel; a reader whose channel is full goes back to pages from SQLite.
    pub stream_buffer_events: usize,
    /// Bytes in a live reader's bounded channel; whichever limit comes first. Guards memory.
    pub stream_buffer_bytes: usize,
    /// Bytes in all readers' channels together. Guards memory.
    pub stream_total_bytes: usize,
    /// Seconds without a byte taken or a pong sent after which a stream is closed. Guards descriptors.
    pub stream_stall_s: u64,
    /// Free bytes of the state's file system below which submits get 507, so that running commands can still be recorded.
    pub disk_free_bytes: u64,
    /// Bytes of a run's output that are kept: the first 1 MiB (half of it, where that is less) and the newest. Up to half
    /// as much again is stored. Guards the medium.
    pub output_bytes_per_run: u64,
    /// Bytes that a run may leave as artifacts; beyond them the rest is removed. 0: commands get no directory for any. Guards
    /// the medium.
    pub artifact_bytes_per_run: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head_bytes: 65_536,
            headers: 100,
            body_bytes: 1_048_576,
            head_s: 10,
            body_s: 30,
            connections: 512,
            connections_per_client: 256,
            queued_runs: 100_000,
            stream_buffer_events: 256,
            stream_buffer_bytes: 262_144,
            stream_total_bytes: 8_388_608,
            stream_stall_s: 120,
            disk_free_bytes: 8_388_608,
            output_bytes_per_run: 67_108_864,
            artifact_bytes_per_run: 268_435_456,
        }
    }
}

/// `[output]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The least milliseconds between two commits that carry only output. Guards the medium.
    pub flush_ms: u64,
    /// The same for a run that nobody reads.
    pub flush_unwatched_ms: u64,
}

impl Default for Output {
    fn default() -> Output {
        Output { flush_ms: 50, flush_unwatched_ms: 1_000 }
    }
}

/// `[runs]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    /// Seconds from SIGTERM to SIGKILL at a cancel or a timeout.
    pub kill_grace_s: u64,
    /// Seconds from SIGTERM to SIGKILL at the daemon's shutdown.
    pub shutdown_grace_s: u64,
    /// Name or number of the user that commands run as; `None` is the daemon's user. Guards the daemon against its
    /// operators.
    pub user: Option<String>,
    /// The most bytes of memory of a run; 0: no limit. Guards the machine against its commands.
    pub memory_bytes_max: i64,
    /// The most processor time of a run, in hundredths of one processor's; 0: no limit.
    pub cpu_percent_max: i64,
    /// The most processes and threads of a run; 0: no limit.
    pub tasks_max: i64,
}

impl Runs {
    /// The most that a run may have.
    pub fn most(&self) -> run::Limits {
        let set = |most: i64| Some(most).filter(|most| *most > 0);
        run::Limits {
            memory_bytes: set(self.memory_bytes_max),
            cpu_percent: set(self.cpu_percent_max),
            tasks: set(self.tasks_max),
        }
    }
}

impl Default for Runs {
    fn default() -> Runs {
        Runs {
            kill_grace_s: 10,
            shutdown_grace_s: 10,
            user: None,
            memory_bytes_max: 0,
            cpu_percent_max: 0,
            tasks_max: 0,
        }
    }
}

/// `[retention]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The most seconds between two passes while something can expire.
    pub interval_s: u64,
    /// Bytes that the database may use; for 0 see [`Retention::quota_bytes`]. Guards the medium. Output of live runs takes at
    /// most half of it.
    pub db_bytes: u64,
    /// Bytes that the artifacts of all runs may have; for 0 see [`Retention::artifact_bytes_on`]. Beyond them those of the
    /// oldest runs are removed. Guards the medium.
    pub artifact_bytes: u64,
    /// Days that a finished run is kept; 0: for ever.
    pub runs_days: u64,
    /// Finished runs that are kept; 0: all. Guards the medium, and keeps lists readable.
    pub runs_count: u64,
    /// Days that a durable cursor holds what its reader has not read, since it was last put; 0: for ever. Guards the medium
    /// against readers that are gone.
    pub cursor_days: u64,
}

impl Retention {
    /// Bytes that the database may use on a file system of this size.
    pub fn quota_bytes(&self, file_system_bytes: u64) -> u64 {
        match self.db_bytes {
            0 => (file_system_bytes / 10).min(QUOTA_BYTES_MAX),
            bytes => bytes,
        }
        .max(QUOTA_BYTES_MIN)
    }
}

impl Retention {
    /// Bytes that all artifacts may have on a file system of this size.
    pub fn artifact_bytes_on(&self, file_system_bytes: u64) -> u64 {
        match self.artifact_bytes {
            0 => (file_system_bytes / 10).min(ARTIFACT_BYTES_MAX),
            bytes => bytes,
        }
    }
}

/// The most of all artifacts when `retention.artifact_bytes` says nothing.
const ARTIFACT_BYTES_MAX: u64 = 4_294_967_296;
/// The largest quota when `retention.db_bytes` sets none.
const QUOTA_BYTES_MAX: u64 = 1_073_741_824;
/// The smallest quota; an empty database takes a tenth of it.
const QUOTA_BYTES_MIN: u64 = 2_097_152;

/// Milliseconds that a start after an unclean stop may take to look for damage. Guards the start: at 20 MB/s of an SD card
/// it is enough for the database of a month; for a larger one the log says how to check it by hand.
pub const CHECK_MS_MAX: u64 = 2_000;

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            interval_s: 600,
            db_bytes: 0,
            artifact_bytes: 0,
            runs_days: 30,
            runs_count: 10_000,
            cursor_days: 30,
        }
    }
}

/// `[sessions]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sessions {
    /// Seconds that a session lives after its last use; 0: it never expires.
    pub ttl_s: u64,
    /// Seconds that an enrollment token lives unless its maker says otherwise.
    pub enrollment_ttl_s: u64,
}

impl Default for Sessions {
    fn default() -> Sessions {
        Sessions { ttl_s: 2_592_000, enrollment_ttl_s: 900 }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: Listen::At(std::net::SocketAddr::from(([127, 0, 0, 1], 7867))),
            log: log::LevelFilter::Info,
            access: Access::default(),
            tls: Tls::default(),
            limits: Limits::default(),
            output: Output::default(),
            runs: Runs::default(),
            retention: Retention::default(),
            sessions: Sessions::default(),
            overridden: Vec::new(),
        }
    }
}

impl Config {
    /// For people: which file of `[tls]` this account may not read, and what to do; `None` when it may read both.
    pub fn kept_from(&self, user: &Account) -> Option<String> {
        let files = [("tls.cert", &self.tls.cert), ("tls.key", &self.tls.key)];
        let named = files.into_iter().filter_map(|(key, file)| Some((key, file.as_deref()?)));
        let (key, file) = named.into_iter().find(|(_, file)| !user.may_read(file))?;
        let (file, name) = (file.display(), &user.name);
        Some(format!(
            "{key}: {file}: user {name}, whom the daemon runs as, may not read it; chgrp {name} {file} && chmod 640 {file}"
        ))
    }

    /// Checks that the daemon may listen at this address.
    ///
    /// # Errors
    /// When traffic would be readable by others and the configuration does not allow that. The text is for people and says
    /// what to do.
    pub fn may_listen_at(&self, address: std::net::SocketAddr) -> Result<(), String> {
        let is_meant = self.access.allow_plaintext || self.tls != Tls::default();
        if address.ip().to_canonical().is_loopback() || is_meant {
            return Ok(());
        }
        Err(format!(
            "{address} can be reached from other machines, and without TLS everybody on the way reads tokens and output. \
             Set tls.cert and tls.key, or listen on 127.0.0.1 and put a reverse proxy or an SSH tunnel before it, or set \
             access.allow_plaintext = true"
        ))
    }
}
