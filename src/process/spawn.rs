//! Starts a command as a process: its user, its directory, its streams; and explains why that failed.

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Access, access};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;

use super::born::Birth;
use super::description::{Description, Directory};
use super::exec::{Image, Step, Steps, Streams, become_user};
use super::program::{candidates, find_program, reason, spawn_error};
use super::pty::Pty;
use crate::accounts::Account;
use crate::event::Stream;
use crate::run::TerminalSize;

/// A process that leads a session of its own, and our ends of its pipes or its terminal.
pub struct Started {
    /// Its pid, which is that of its session and its group.
    pub pid: Pid,
    /// The writing end of its standard input; only where the run has a standard input of its own, or a terminal.
    pub stdin: Option<OwnedFd>,
    /// Where each of its streams of output is read.
    pub outputs: Vec<(Stream, OwnedFd)>,
}

/// A program that is to be started, with its directory and its user.
pub struct Start<'a> {
    name: &'a str,
    program: PathBuf,
    directory: PathBuf,
    has_stdin: bool,
    terminal: Option<TerminalSize>,
    way: Way<'a>,
    description: &'a Description,
    /// At what the child failed that was born in a cgroup.
    failed: Option<Step>,
}

/// Our ends of the streams of output.
type Outputs = Vec<(Stream, OwnedFd)>;

/// The child's ends of what it reads from and prints to, until it has them.
enum Theirs {
    Pipes { stdin: Option<OwnedFd>, stdout: OwnedFd, stderr: OwnedFd },
    Terminal { name: CString, slave: OwnedFd },
}

enum Way<'a> {
    /// As the daemon's own user. Directory and program are found before the spawn.
    Here { arguments: Vec<CString>, environment: Vec<CString> },
    /// As another user. The child itself enters the directory and searches for the program, with that user's rights; `steps`
    /// says how far it came.
    As { account: &'a Account, command: Box<Command>, steps: Steps },
}

impl<'a> Start<'a> {
    /// # Errors
    /// Why it cannot be started, for people.
    pub fn new(description: &'a Description) -> Result<Start<'a>, String> {
        let Description { words, environment, directory, account, has_stdin, terminal } = description;
        let (name, arguments) = words.split_first().ok_or("no command")?;
        let (program, directory, way) = match account {
            None => {
                let directory = entered(directory)?;
                let program = find_program(name, environment, &directory)?;
                (program, directory, here(words, environment)?)
            }
            Some(account) => {
                let (directory, mut command, steps) = as_user(account, directory, name, terminal.is_some())?;
                let variables = environment.iter().map(|(key, value)| (key, value));
                command.args(arguments).env_clear().envs(variables);
                (PathBuf::from(name), directory, Way::As { account, command, steps })
            }
        };
        let (has_stdin, terminal) = (*has_stdin, *terminal);
        Ok(Start { name, program, directory, has_stdin, terminal, way, description, failed: None })
    }

    /// Starts it, inside of this cgroup if there is one.
    ///
    /// # Errors
    /// Why the system refused; [`Start::error`] says it for people.
    pub fn spawn(&mut self, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Started> {
        let (program, directory) = (c_string(&self.program)?, c_string(&self.directory)?);
        let (theirs, stdin, outputs) = self.ends()?;
        if let Some(cgroup) = cgroup {
            let pid = self.born(cgroup, &theirs)?;
            return Ok(Started { pid, stdin, outputs });
        }
        let pid = match &mut self.way {
            Way::Here { arguments, environment } => {
                let streams = theirs.streams();
                Image { program: &program, arguments, environment, directory: &directory, streams }.spawn()?
            }
            Way::As { command, .. } => {
                theirs.give_to(command)?;
                let child = command.spawn();
                // Its copies of the pipes' other ends would keep them from ever ending.
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                Pid::from_child(&child?)
            }
        };
        Ok(Started { pid, stdin, outputs })
    }

    /// What the child reads from and prints to: its ends, and ours of its standard input and of each stream of output.
    fn ends(&self) -> io::Result<(Theirs, Option<OwnedFd>, Outputs)> {
        if let Some(size) = self.terminal {
            let owner = if let Way::As { account, .. } = &self.way { Some(account.uid) } else { None };
            let Pty { master, name, slave } = Pty::open(size, owner)?;
            let outputs = vec![(Stream::Pty, master.try_clone()?)];
            return Ok((Theirs::Terminal { name, slave }, Some(master), outputs));
        }
        let pipe = || pipe_with(PipeFlags::CLOEXEC);
        let (theirs_in, stdin) = if self.has_stdin { Some(pipe()?) } else { None }.unzip();
        let ((stdout, theirs_out), (stderr, theirs_err)) = (pipe()?, pipe()?);
        let theirs = Theirs::Pipes { stdin: theirs_in, stdout: theirs_out, stderr: theirs_err };
        Ok((theirs, stdin, vec![(Stream::Stdout, stdout), (Stream::Stderr, stderr)]))
    }

    fn born(&mut self, cgroup: BorrowedFd<'_>, theirs: &Theirs) -> io::Result<Pid> {
        let Description { words, environment, directory, account, .. } = self.description;
        let of_zero = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        let texts;
        let (arguments, environment) = match &self.way {
            Way::Here { arguments, environment } => (arguments, environment),
            Way::As { .. } => {
                texts = texts_of(words, environment).map_err(of_zero)?;
                (&texts.0, &texts.1)
            }
        };
        let all = |paths: &[PathBuf]| paths.iter().map(|path| c_string(path)).collect::<io::Result<Vec<CString>>>();
        // As another user the child searches for itself, with that user's rights.
        let (directories, programs) = match account {
            None => (all(std::slice::from_ref(&self.directory))?, all(std::slice::from_ref(&self.program))?),
            Some(_) => (all(directory.candidates())?, all(&candidates(self.name, &self.description.environment))?),
        };
        let (stdin, stdout, stderr, is_terminal) = match theirs {
            Theirs::Pipes { stdin, stdout, stderr } => (stdin.as_ref(), stdout, stderr, false),
            Theirs::Terminal { slave, .. } => (Some(slave), slave, slave, true),
        };
        let birth = Birth {
            cgroup,
            programs: &programs,
            arguments,
            environment,
            directories: &directories,
            account: account.as_ref(),
            stdin: stdin.map(AsFd::as_fd),
            stdout: stdout.as_fd(),
            stderr: stderr.as_fd(),
            is_terminal,
        };
        birth.spawn().map_err(|(step, error)| {
            self.failed = Some(step);
            error
        })
    }

    /// Why the spawn failed, for people.
    pub fn error(&self, error: &io::Error) -> String {
        let of_exec = || spawn_error(self.name, &self.program, &self.directory, error);
        let Way::As { account, command, steps } = &self.way else { return of_exec() };
        let (user, why) = (&account.name, reason(error));
        match self.failed.unwrap_or_else(|| steps.failed()) {
            Step::Account => format!("cannot become user {user} ({why})"),
            Step::Directory => format!("working directory {}: {why} for user {user}", self.directory.display()),
            // A directory of its PATH that this user may not search counts as a refusal to the kernel, not as "not there".
            Step::Other if error.kind() == io::ErrorKind::PermissionDenied => {
                let set = command.get_envs().filter_map(|(key, value)| Some((key.into(), value?.into())));
                let environment: Vec<(OsString, OsString)> = set.collect();
                find_program(self.name, &environment, &self.directory).map_or_else(|why| why, |_| of_exec())
            }
            Step::Other => of_exec(),
        }
    }

    /// Why a started process had to be ended again, for people; its program is not to blame.
    pub fn unwatched(&self, error: &io::Error) -> String {
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => self.error(error),
            _ => format!("the process of {} cannot be watched ({})", self.name, reason(error)),
        }
    }
}

impl Theirs {
    fn streams(&self) -> Streams<'_> {
        match self {
            Theirs::Pipes { stdin, stdout, stderr } => Streams::Pipes {
                stdin: stdin.as_ref().map(AsFd::as_fd),
                stdout: stdout.as_fd(),
                stderr: stderr.as_fd(),
            },
            Theirs::Terminal { name, .. } => Streams::Terminal(name),
        }
    }

    fn give_to(self, command: &mut Command) -> io::Result<()> {
        match self {
            Theirs::Pipes { stdin, stdout, stderr } => {
                command.stdin(stdin.map_or_else(Stdio::null, Stdio::from)).stdout(stdout).stderr(stderr);
            }
            Theirs::Terminal { slave, .. } => {
                command.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave);
            }
        }
        Ok(())
    }
}

/// The directory that the command starts in.
///
/// # Errors
/// Why the one that was asked for cannot be entered. A failed spawn could not tell that from a missing program.
pub fn entered(directory: &Directory) -> Result<PathBuf, String> {
    match directory {
        Directory::Asked(asked) => {
            let why = |error| format!("working directory {}: {}", asked.display(), reason(&error));
            may_enter(asked).map_err(why)?;
            Ok(asked.clone())
        }
        Directory::FirstOf(all) => {
            let first = all.iter().find(|directory| may_enter(directory).is_ok());
            Ok(first.cloned().unwrap_or_else(|| PathBuf::from("/")))
        }
    }
}

fn may_enter(directory: &Path) -> io::Result<()> {
    if !fs::metadata(directory)?.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
    }
    Ok(access(directory, Access::EXEC_OK)?)
}

fn here<'a>(words: &[String], environment: &[(OsString, OsString)]) -> Result<Way<'a>, String> {
    let (arguments, environment) = texts_of(words, environment)?;
    Ok(Way::Here { arguments, environment })
}

/// Arguments and environment as an exec takes them.
fn texts_of(words: &[String], environment: &[(OsString, OsString)]) -> Result<(Vec<CString>, Vec<CString>), String> {
    let name = words.first().map_or("", String::as_str);
    let of_zero = |_| format!("a zero byte in the arguments or the environment of {name}");
    let arguments: Result<Vec<CString>, _> = words.iter().map(|word| CString::new(word.as_str())).collect();
    // Of two of the same name the last holds.
    let environment: BTreeMap<&OsString, &OsString> = environment.iter().map(|(key, value)| (key, value)).collect();
    let entry = |(key, value): (&OsString, &OsString)| {
        let mut entry = Vec::with_capacity(key.len() + value.len() + 2);
        entry.extend_from_slice(key.as_bytes());
        entry.push(b'=');
        entry.extend_from_slice(value.as_bytes());
        CString::new(entry)
    };
    let environment: Result<Vec<CString>, _> = environment.into_iter().map(entry).collect();
    Ok((arguments.map_err(of_zero)?, environment.map_err(of_zero)?))
}

fn as_user(
    account: &Account,
    directory: &Directory,
    name: &str,
    has_terminal: bool,
) -> Result<(PathBuf, Box<Command>, Steps), String> {
    if name.is_empty() {
        return Err("not found: the empty name".to_owned());
    }
    let directories = directory.candidates();
    let as_c: Result<Vec<CString>, _> = directories.iter().map(|directory| c_string(directory)).collect();
    let as_c = as_c.map_err(|_| "working directory: a zero byte in its name".to_owned())?;
    let mut command = Box::new(Command::new(name));
    let steps = become_user(&mut command, account, as_c, has_terminal)
        .map_err(|error| spawn_error(name, Path::new(name), Path::new("/"), &error))?;
    Ok((directories.first().cloned().unwrap_or_default(), command, steps))
}

/// Whether a spawn failed for want of descriptors, processes or memory, which come back.
pub fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::EAGAIN | libc::ENOMEM))
}

fn c_string(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}
