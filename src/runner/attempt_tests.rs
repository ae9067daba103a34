//! Real commands, a real backlog, and a store that takes as long as a test says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_io::block_on;

use super::*;
use crate::event::Stream;
use crate::inputs::Inputs;
use crate::run::{Ask, Command, Left, Options, RunId};
use crate::run_tokens::RunTokens;
use crate::runner::graces::AFTERMATH;
use crate::runner::{Environment, Graces, Groups, Running, procfs};
use crate::store::backlog::{Backlog, Piece};

const GRACES: Graces = Graces { kill: Duration::from_secs(10), shutdown: Duration::from_secs(10) };
const INSTANCE: &str = "testtesttest";

/// What became of a command.
#[derive(Debug)]
pub(in crate::runner) struct Fate {
    asked: Option<Ask>,
    exit: Exit,
    pub(in crate::runner) stdout: String,
    stderr: String,
    took: Duration,
}

impl Fate {
    /// Why it was not started.
    pub(in crate::runner) fn failure(self) -> String {
        match self.exit {
            Exit::SpawnFailed(why) => why,
            other => panic!("started, and ended as {other:?}"),
        }
    }
}

/// A command on its way, and everything around it that a test may want to change.
pub(in crate::runner) struct Trial {
    pub(in crate::runner) claimed: Claimed,
    running: Running,
    inputs: Inputs,
    graces: Graces,
    commit: Duration,
    printed: Printed,
}

/// What it printed so far, by stream.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<[Vec<u8>; Stream::ALL.len()]>>);

impl Printed {
    fn add(&self, pieces: &[Piece]) {
        for piece in pieces {
            self.0.lock().expect("one thread")[piece.stream as usize].extend_from_slice(&piece.bytes);
        }
    }

    fn texts(&self) -> [String; Stream::ALL.len()] {
        let bytes = self.0.lock().expect("one thread").clone();
        bytes.map(|bytes| String::from_utf8(bytes).expect("utf-8"))
    }

    /// Waits until so many lines are on its standard output: it is as far as they say.
    async fn lines(&self, count: usize) {
        while self.texts()[0].lines().count() < count {
            Timer::after(Duration::from_millis(2)).await;
        }
    }
}

impl Trial {
    pub(in crate::runner) fn script(script: &str) -> Trial {
        Trial::of(Command::Script(script.to_owned()))
    }

    pub(in crate::runner) fn argv(argv: &[&str]) -> Trial {
        Trial::of(Command::Argv(argv.iter().map(|&word| word.to_owned()).collect()))
    }

    fn of(command: Command) -> Trial {
        let env = BTreeMap::new();
        let claimed = Claimed {
            run: RunId(7),
            attempt: 3,
            command,
            cwd: None,
            env,
            stdin: None,
            timeout_s: None,
            options: Options::default(),
            artifacts_dir: None,
            waited_ms: 0,
        };
        Trial {
            claimed,
            running: Running::default(),
            inputs: Inputs::default(),
            graces: GRACES,
            commit: Duration::ZERO,
            printed: Printed::default(),
        }
    }

    pub(in crate::runner) fn env(mut self, key: &str, value: &str) -> Trial {
        self.claimed.env.insert(key.to_owned(), value.to_owned());
        self
    }

    pub(in crate::runner) fn cwd(mut self, cwd: &str) -> Trial {
        self.claimed.cwd = Some(cwd.to_owned());
        self
    }

    fn stdin(mut self, text: &str) -> Trial {
        self.claimed.stdin = Some(text.to_owned());
        self
    }

    /// Asks when it has printed so many lines.
    fn ask_after(self, lines: usize, ask: Ask) -> Fate {
        let (running, printed) = (self.running.clone(), self.printed.clone());
        self.end_with(async move {
            printed.lines(lines).await;
            assert!(running.ask(RunId(7), ask));
        })
    }

    pub(in crate::runner) fn end(self) -> Fate {
        self.end_with(async {})
    }

    /// Executes it beside `other`.
    fn end_with(self, other: impl Future<Output = ()>) -> Fate {
        let backlog = Backlog::default();
        let began = Instant::now();
        let switch = self.running.register(RunId(7));
        let mut outlet = Outlet::new(backlog.open(RunId(7)));
        let executed = async {
            let options = &self.claimed.options;
            let input = self.inputs.open(RunId(7), options.stdin.is_some(), options.pty);
            let token = RunTokens::default().issue(RunId(7)).expect("random");
            let (groups, environment) = (Groups::none("a test"), Environment::new(INSTANCE));
            let (child, mut pipes) = match Child::spawn(&environment, &groups, &self.claimed, &token, input) {
                Ok(started) => started,
                Err(unstarted) => return (None, Exit::SpawnFailed(unstarted.why)),
            };
            switch.set_session(child.session());
            let deadline = self.claimed.timeout_s.and_then(deadline_after);
            let asked = supervise(&child, &mut pipes, &mut outlet, &switch, self.graces, deadline, Left::Leave).await;
            switch.set_session(None);
            (asked, child.exit().exit)
        };
        let committing = async {
            loop {
                let listener = backlog.listen();
                let pieces = backlog.take_ready(Instant::now());
                if pieces.is_empty() {
                    future::or(listener, async { _ = Timer::after(Duration::from_millis(20)).await }).await;
                    continue;
                }
                self.printed.add(&pieces);
                Timer::after(self.commit).await;
                backlog.settled(&pieces);
            }
        };
        let beside = async {
            other.await;
            future::pending().await
        };
        let late = async {
            Timer::after(Duration::from_secs(30)).await;
            panic!("{:?} does not end", self.claimed.command);
        };
        let (asked, exit) = block_on(future::or(executed, future::or(committing, future::or(beside, late))));
        let took = began.elapsed();
        self.printed.add(&backlog.take_all(RunId(7)));
        let [stdout, stderr, _] = self.printed.texts();
        Fate { asked, exit, stdout, stderr, took }
    }
}

/// Whether a process is there and not a zombie.
fn is_alive(pid: &str) -> bool {
    procfs::stat(pid.trim().parse().expect("a pid")).is_some_and(|stat| !stat.is_dead)
}

/// Whether it goes within a second: a killed grandchild is not reaped by us.
fn goes(pid: &str) -> bool {
    let deadline = Instant::now() + Duration::from_secs(1);
    while is_alive(pid) && Instant::now() < deadline {
        std::thread::yield_now();
    }
    !is_alive(pid)
}

#[test]
fn an_attempt_can_be_spawned_on_an_executor() {
    fn is_send<T: Send>(_: impl Fn(Context, Claimed) -> T) {}
    is_send(attempt);
}

#[test]
fn both_outputs_and_the_exit_code_are_recorded() {
    let ended = Trial::script("echo out; echo err >&2; printf tail; exit 3").end();
    assert_eq!((ended.asked, ended.exit), (None, Exit::Code(3)));
    assert_eq!((&*ended.stdout, &*ended.stderr), ("out\ntail", "err\n"));
    assert_eq!(Trial::script("kill -USR1 $$").end().exit, Exit::Signal(10));
}

#[test]
fn what_the_pipes_hold_at_the_end_is_recorded_however_slow_the_store_is() {
    let mut trial = Trial::script("head -c 700000 /dev/zero | tr '\\0' x; head -c 50000 /dev/zero | tr '\\0' y >&2");
    trial.commit = Duration::from_millis(400);
    let ended = trial.end();
    assert_eq!((ended.stdout.len(), ended.stderr.len()), (700_000, 50_000));
    assert_eq!((ended.asked, ended.exit), (None, Exit::Code(0)));
}

#[test]
fn a_group_that_ignores_sigterm_is_killed_when_the_grace_is_up() {
    let mut trial = Trial::script("trap '' TERM; sh -c 'echo $$; exec sleep 60' & echo $$; wait; wait");
    trial.graces.kill = Duration::from_millis(300);
    let ended = trial.ask_after(2, Ask::Cancel);
    assert_eq!((ended.asked, ended.exit.clone()), (Some(Ask::Cancel), Exit::Signal(9)), "{ended:?}");
    assert!(ended.stdout.lines().count() == 2 && ended.stdout.lines().all(goes), "{ended:?}");
}

#[test]
fn what_is_left_of_a_group_is_killed_a_moment_after_its_leader() {
    let ended = Trial::script("(trap '' TERM; sh -c 'echo $$; exec sleep 60') & sleep 60").ask_after(1, Ask::Timeout);
    assert_eq!((ended.asked, ended.exit.clone()), (Some(Ask::Timeout), Exit::Signal(15)), "{ended:?}");
    assert!(goes(&ended.stdout), "{ended:?}");
    assert!(ended.took > AFTERMATH && ended.took < Duration::from_secs(5), "{ended:?}");
}

#[test]
fn a_stopped_command_is_woken_to_be_told() {
    let ended =
        Trial::script("trap 'echo told; exit 4' TERM; echo ready; kill -STOP $$; sleep 60").ask_after(1, Ask::Cancel);
    assert_eq!((ended.asked, ended.exit), (Some(Ask::Cancel), Exit::Code(4)));
    assert_eq!(ended.stdout, "ready\ntold\n");
}

#[test]
fn a_background_child_holds_nothing_up_and_is_left_alone() {
    let ended = Trial::script("sh -c 'echo $$; exec sleep 60' & sleep 0.1; echo done").end();
    assert!(ended.took < Duration::from_secs(3), "{ended:?}");
    assert_eq!(ended.exit, Exit::Code(0));
    let pid = ended.stdout.lines().next().expect("a pid");
    assert!(is_alive(pid));
    Trial::argv(&["kill", "-9", pid]).end();
}

#[test]
fn a_background_child_that_floods_the_pipe_has_a_moment_only() {
    let ended = Trial::script("yes & echo $!").end();
    assert!(ended.took < Duration::from_secs(3), "{:?}", ended.took);
    assert!(ended.stdout.starts_with(|first: char| first.is_ascii_digit() || first == 'y'));
    let pid = ended.stdout.lines().find(|line| *line != "y").expect("a pid");
    assert!(goes(pid), "its pipe is closed");
}

#[test]
fn a_time_limit_starts_with_the_attempt() {
    let mut trial = Trial::script("sleep 60");
    trial.claimed.timeout_s = Some(1);
    let ended = trial.end();
    assert_eq!((ended.asked, ended.exit), (Some(Ask::Timeout), Exit::Signal(15)));
    assert!(ended.took > Duration::from_secs(1) && ended.took < Duration::from_secs(4));
}

#[test]
fn a_shutdown_shortens_the_grace_and_not_the_reason() {
    let mut trial = Trial::script("trap '' TERM; echo ready; while :; do sleep 60; done");
    trial.graces = Graces { kill: Duration::from_secs(3600), shutdown: Duration::from_millis(100) };
    let (running, printed) = (trial.running.clone(), trial.printed.clone());
    let ended = trial.end_with(async move {
        printed.lines(1).await;
        running.ask(RunId(7), Ask::Cancel);
        Timer::after(Duration::from_millis(50)).await;
        running.ask_all(Ask::Shutdown);
    });
    assert_eq!((ended.asked, ended.exit), (Some(Ask::Cancel), Exit::Signal(9)));
    assert!(ended.took < Duration::from_secs(5));
}

#[test]
fn a_second_signal_kills_every_group() {
    let trial = Trial::script("trap '' TERM; sh -c 'echo $$; exec sleep 60' & wait");
    let (running, printed) = (trial.running.clone(), trial.printed.clone());
    let ended = trial.end_with(async move {
        printed.lines(1).await;
        running.kill_all();
    });
    assert_eq!((ended.asked, ended.exit), (None, Exit::Signal(9)));
    assert!(goes(&ended.stdout));
}

#[test]
fn standard_input_is_given_whole_and_may_be_left_unread() {
    let text = "a line of input\n".repeat(60_000);
    assert_eq!(Trial::script("cat").stdin(&text).end().stdout, text);
    assert_eq!(Trial::script("exit 5").stdin(&text).end().exit, Exit::Code(5));
    assert_eq!(Trial::script("exec <&-; sleep 0.2; exit 6").stdin(&text).end().exit, Exit::Code(6));
    assert_eq!(Trial::script("readlink /proc/self/fd/0").end().stdout, "/dev/null\n");
    assert_eq!(Trial::script("wc -c").stdin("").end().stdout.trim(), "0");
}

#[test]
fn output_is_the_commands_bytes() {
    let ended = Trial::script("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done").end();
    let expected: String = (0..3000).map(|number| format!("line {number}\n")).collect();
    assert_eq!(ended.stdout, expected);
}
