//! A real daemon: its own directory, port 0, its log in a file, dead and gone when the test is over.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::binary::binary;
use super::{
    Address, Client, DEADLINE, Feed, Gate, TempDir, eventually, kill, live_pids_with, proc_exists, script, signal,
};

/// Runs whose events are shown when a test fails.
const RUNS_SHOWN_MAX: usize = 4;
/// Events of each that are shown.
const EVENTS_SHOWN_MAX: i64 = 30;
/// In the environment of a daemon and of all that it starts: its directory, by which they are found.
const MARK: &str = "SUITE_DIR";

/// How a daemon is to be started.
#[derive(Clone, Debug)]
pub struct Builder {
    config: String,
    listen: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    wrapper: Vec<String>,
    socket: Option<PathBuf>,
    authority: Option<PathBuf>,
    handed: Vec<Arc<OwnedFd>>,
}

impl Builder {
    /// The configuration, as the text of its file.
    pub fn config(mut self, toml: &str) -> Builder {
        self.config = toml.to_owned();
        self
    }

    /// `--listen`; `127.0.0.1:0` unless told otherwise.
    pub fn listen(mut self, listen: &str) -> Builder {
        self.listen = listen.to_owned();
        self
    }

    /// One more argument of `runabout serve`.
    pub fn arg(mut self, arg: &str) -> Builder {
        self.args.push(arg.to_owned());
        self
    }

    /// A variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Builder {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A command that is put in front, such as `strace` with its options.
    pub fn wrapper(mut self, words: &[&str]) -> Builder {
        self.wrapper = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// The authority of its certificate, where the configuration gives it one.
    pub fn authority(mut self, path: &Path) -> Builder {
        self.authority = Some(path.to_owned());
        self
    }

    /// Where the configuration puts the Unix socket, if not in the state directory.
    pub fn socket(mut self, path: &Path) -> Builder {
        self.socket = Some(path.to_owned());
        self
    }

    /// Hands one or two listening sockets over, as a service manager does.
    pub fn handed(mut self, sockets: Vec<OwnedFd>) -> Builder {
        assert!(matches!(sockets.len(), 1 | 2), "they travel as two of the standard streams");
        let count = sockets.len().to_string();
        self.handed = sockets.into_iter().map(Arc::new).collect();
        // From there a shell, whose process becomes the daemon, puts them where LISTEN_FDS says that they are.
        let move_them = "exec 3<&0 4<&2 </dev/null 2>>\"$SUITE_DIR/log\"; [ $LISTEN_FDS -gt 1 ] || exec 4<&-";
        self.env("LISTEN_FDS", &count).wrapper(&["sh", "-c", &format!("{move_them}\nLISTEN_PID=$$ exec \"$@\""), "sh"])
    }

    /// Starts it and waits until it serves.
    #[track_caller]
    pub fn start(self) -> Daemon {
        self.start_in(TempDir::new())
    }

    /// Starts it in a directory that may hold something already; its state is in `state` there.
    #[track_caller]
    pub fn start_in(self, dir: TempDir) -> Daemon {
        let mut daemon = self.prepared_in(dir);
        daemon.start_again();
        daemon
    }

    /// One that was not started yet.
    pub fn prepared_in(self, dir: TempDir) -> Daemon {
        let socket = self.socket.clone().unwrap_or_else(|| dir.path().join("state/runabout.sock"));
        let client = Client::new(Address::Unix(socket));
        Daemon { builder: self, dir, client, process: None }
    }

    /// Runs it although it will not serve; answers its exit code and what it said on standard error.
    #[track_caller]
    pub fn refused(self) -> (i32, String) {
        self.refused_in(&TempDir::new())
    }

    /// The same in a directory that holds something already.
    #[track_caller]
    pub fn refused_in(self, dir: &TempDir) -> (i32, String) {
        let mut process = Process::spawn(&self, dir.path());
        if let Some(line) = process.first_line() {
            panic!("it serves: {line}");
        }
        let status = process.wait(DEADLINE).expect("it ended");
        let said = std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
        (status.code().unwrap_or(-1), said)
    }
}

/// A daemon under test. Requests to it go over its Unix socket, as admin, unless [`Daemon::tcp`] is used.
pub struct Daemon {
    builder: Builder,
    dir: TempDir,
    client: Client,
    process: Option<Process>,
}

impl Deref for Daemon {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Daemon {
    /// One as it comes.
    #[track_caller]
    pub fn start() -> Daemon {
        Daemon::builder().start()
    }

    /// One with something of its own.
    pub fn builder() -> Builder {
        Builder {
            config: String::new(),
            listen: "127.0.0.1:0".to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            wrapper: Vec::new(),
            socket: None,
            authority: None,
            handed: Vec::new(),
        }
    }

    /// One with a configuration.
    #[track_caller]
    pub fn with_config(toml: &str) -> Daemon {
        Daemon::builder().config(toml).start()
    }

    /// Starts it again on the same directory, after it was stopped or killed.
    #[track_caller]
    pub fn start_again(&mut self) {
        if let Err(status) = self.try_start_again() {
            panic!("the daemon does not serve; it ended with {status}");
        }
    }

    /// The same, where it may end before it serves; then answers how it did.
    #[track_caller]
    pub fn try_start_again(&mut self) -> Result<(), ExitStatus> {
        assert!(self.process.is_none(), "it runs");
        let mut process = Process::spawn(&self.builder, self.dir.path());
        let listening = process.first_line();
        let Some(line) = listening else {
            return Err(process.wait(DEADLINE).expect("who closes its standard output ends"));
        };
        self.process = Some(process);
        let address = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("unexpected: {line:?}"));
        let plain = address.strip_prefix("http://").map(|address| Address::Tcp(address.parse().unwrap()));
        let authority = self.builder.authority.clone();
        let secured = address.strip_prefix("https://").zip(authority);
        let secured = secured.map(|(address, authority)| Address::Tls(address.parse().unwrap(), authority));
        self.running().tcp = plain.or(secured);
        Ok(())
    }

    /// Stops it and starts it again.
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Changes how it is started the next time.
    pub fn rebuild(&mut self, change: impl FnOnce(Builder) -> Builder) {
        self.builder = change(self.builder.clone());
    }

    /// SIGTERM, and the wait for its end; fails unless it exits 0. Answers how long it took.
    #[track_caller]
    pub fn stop(&mut self) -> Duration {
        let begun = Instant::now();
        self.signal(Signal::TERM);
        let status = self.wait_exit(DEADLINE);
        assert_eq!(status.code(), Some(0), "{status:?}");
        begun.elapsed()
    }

    /// SIGKILL, as a crash would.
    #[track_caller]
    pub fn kill9(&mut self) {
        self.signal(Signal::KILL);
        let status = self.wait_exit(DEADLINE);
        assert_eq!(status.signal(), Some(9), "{status:?}");
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, which: Signal) {
        assert!(signal(self.pid(), which), "the daemon is gone");
    }

    /// Waits until the process has ended.
    #[track_caller]
    pub fn wait_exit(&mut self, deadline: Duration) -> ExitStatus {
        let mut process = self.process.take().expect("it runs");
        let status = process.wait(deadline);
        status.unwrap_or_else(|| {
            self.process = Some(process);
            panic!("the daemon has not ended within {deadline:?}");
        })
    }

    /// The daemon's process id, also behind a wrapper.
    #[track_caller]
    pub fn pid(&self) -> i32 {
        self.process.as_ref().expect("it runs").pid
    }

    /// A client over TCP, without a token.
    #[track_caller]
    pub fn tcp(&self) -> Client {
        let process = self.process.as_ref().expect("it runs");
        self.client.at(process.tcp.clone().expect("it listens on TCP"))
    }

    /// A client over TCP with a fresh session of a role.
    #[track_caller]
    pub fn tcp_as(&self, role: &str) -> Client {
        self.tcp().with_token(&self.enroll(role))
    }

    /// The test's own directory; everything in it goes when the daemon is dropped.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The directory, of a daemon that has ended and is not started again.
    pub fn into_dir(mut self) -> TempDir {
        assert!(self.process.is_none(), "it runs");
        self.kill_descendants();
        std::mem::replace(&mut self.dir, TempDir::new())
    }

    /// Commands outlive a daemon that is killed; what they forked meanwhile is found by the next look.
    fn kill_descendants(&self) {
        loop {
            let left = self.descendants();
            if left.is_empty() {
                break;
            }
            for pid in left {
                kill(pid);
            }
        }
    }

    /// The state directory.
    pub fn state_dir(&self) -> PathBuf {
        self.dir().join("state")
    }

    /// What the daemon has logged over all its starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir().join("log")).unwrap_or_default()
    }

    /// Everything that it has said on standard output since its start, once it has ended or closed it.
    pub fn stdout(&mut self) -> String {
        self.process.as_mut().map(Process::rest_of_stdout).unwrap_or_default()
    }

    /// Writes an executable script into the test's directory.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        script::write(self.dir(), name, text)
    }

    /// Makes a gate at which scripts of this test can wait.
    pub fn gate(&self, name: &str) -> Gate {
        Gate::new(self.dir().join(name))
    }

    /// Makes a pipe through which the test talks to a script.
    pub fn feed(&self, name: &str) -> Feed {
        Feed::new(self.dir().join(name))
    }

    /// The command line's client for this daemon, ready for its arguments.
    pub fn cli(&self) -> Command {
        let mut command = clean(Command::new(binary()), self.dir());
        command.env("RUNABOUT_STATE_DIR", self.state_dir()).env("XDG_CONFIG_HOME", self.dir().join("xdg"));
        command.stdin(Stdio::null());
        command
    }

    /// Every live process that this daemon or its predecessors on the directory started.
    pub fn descendants(&self) -> Vec<i32> {
        let own = self.process.as_ref().map(|process| [process.pid, process.child.id() as i32]);
        let marked = live_pids_with(&format!("{MARK}={}", self.dir().display()));
        marked.into_iter().filter(|pid| own.is_none_or(|own| !own.contains(pid))).collect()
    }

    fn running(&mut self) -> &mut Process {
        self.process.as_mut().expect("it runs")
    }

    pub fn show_what_happened(&self) {
        eprintln!("--- log of the daemon in {}", self.dir().display());
        eprintln!("{}", self.log());
        let mut runs = self.client.submitted.lock().map(|runs| runs.clone()).unwrap_or_default();
        runs.dedup();
        for run in runs.iter().rev().take(RUNS_SHOWN_MAX).rev() {
            eprintln!("--- the newest events of run {run}");
            if let Err(error) = self.show_events(*run) {
                eprintln!("cannot be read: {error}");
            }
        }
    }

    /// From the database, not by asking: the daemon may be dead, or the one that is wrong.
    fn show_events(&self, run: i64) -> rusqlite::Result<()> {
        let database = rusqlite::Connection::open(self.state_dir().join("runabout.db"))?;
        database.busy_timeout(Duration::from_secs(2))?;
        let sql = "SELECT seq, id, kind, coalesce(stream, ''), substr(CAST(data AS TEXT), 1, 72)
                   FROM run_events WHERE run = ?1 ORDER BY seq DESC LIMIT ?2";
        let mut statement = database.prepare(sql)?;
        let lines = statement.query_map((run, EVENTS_SHOWN_MAX), |row| {
            let (seq, id): (i64, i64) = (row.get(0)?, row.get(1)?);
            let (kind, stream): (String, String) = (row.get(2)?, row.get(3)?);
            let data = String::from_utf8_lossy(row.get_ref(4)?.as_bytes()?).into_owned();
            Ok(format!("{seq:>6} (id {id}) {kind} {stream} {data:?}"))
        })?;
        let lines: Vec<String> = lines.collect::<rusqlite::Result<_>>()?;
        lines.iter().rev().for_each(|line| eprintln!("{line}"));
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_what_happened();
        }
        if let Some(mut process) = self.process.take() {
            kill(process.pid);
            let _ = process.child.kill();
            let _ = process.wait(DEADLINE);
        }
        self.kill_descendants();
    }
}

/// One start of the daemon.
struct Process {
    child: Child,
    /// The daemon's own, also where `child` is a wrapper.
    pid: i32,
    lines: Receiver<String>,
    tcp: Option<Address>,
    said: String,
}

impl Process {
    fn spawn(builder: &Builder, dir: &Path) -> Process {
        let config = dir.join("config.toml");
        std::fs::write(&config, &builder.config).unwrap();
        let log = File::options().create(true).append(true).open(dir.join("log")).unwrap();
        let words: Vec<&str> = builder.wrapper.iter().map(String::as_str).chain([binary()]).collect();
        let mut command = clean(Command::new(words[0]), dir);
        command.args(&words[1..]).arg("serve").arg("--state-dir").arg(dir.join("state"));
        command.arg("--config").arg(&config).args(["--listen", &builder.listen]).args(&builder.args);
        command.envs(builder.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let copy = |fd: &Arc<OwnedFd>| Stdio::from(fd.try_clone().unwrap());
        builder.handed.first().map(|fd| command.stdin(copy(fd)));
        builder.handed.get(1).map(|fd| command.stderr(copy(fd)));
        let mut child = command.spawn().unwrap();
        let (line, lines) = channel();
        let stdout = child.stdout.take().unwrap();
        // Ends with the daemon's standard output.
        std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut first = String::new();
            if stdout.read_line(&mut first).is_ok_and(|count| count > 0) {
                let _ = line.send(first);
            }
            let mut rest = String::new();
            let _ = stdout.read_to_string(&mut rest);
            let _ = line.send(rest);
        });
        let pid = child.id() as i32;
        Process { child, pid, lines, tcp: None, said: String::new() }
    }

    /// The line that says where it listens; `None` when it ended without one.
    fn first_line(&mut self) -> Option<String> {
        let line = match self.lines.recv_timeout(DEADLINE) {
            Ok(line) if line.ends_with('\n') => line,
            Ok(_) | Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => panic!("the daemon does not say that it serves within {DEADLINE:?}"),
        };
        self.said.push_str(&line);
        if super::command_line(self.pid).split(' ').next() != Some(binary()) {
            self.pid = child_of(self.pid).expect("the wrapper's child");
        }
        Some(line.trim_end().to_owned())
    }

    fn rest_of_stdout(&mut self) -> String {
        while let Ok(more) = self.lines.recv_timeout(DEADLINE) {
            self.said.push_str(&more);
        }
        self.said.clone()
    }

    fn wait(&mut self, deadline: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + deadline;
        loop {
            match self.child.try_wait().unwrap() {
                Some(status) => return Some(status),
                None if Instant::now() >= until => return None,
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }
}

/// Without what the machine's own environment would tell a daemon or a client.
fn clean(mut command: Command, dir: &Path) -> Command {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("RUNABOUT_")
            || matches!(name.as_str(), "STATE_DIRECTORY" | "NOTIFY_SOCKET" | "WATCHDOG_USEC")
        {
            command.env_remove(name);
        }
    }
    command.env(MARK, dir);
    command
}

fn child_of(pid: i32) -> Option<i32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// Waits until a process is gone.
#[track_caller]
pub fn wait_gone(pid: i32) {
    eventually(DEADLINE, &format!("process {pid} is gone"), || !proc_exists(pid));
}
