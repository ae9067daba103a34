//! Sitting at a run: what programs draw and are typed to through `attach` is what they draw where they are started directly,
//! and this program's own terminal is given back however that ends. Needs tmux; without it each test says that it did
//! nothing.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::common::{DEADLINE, Daemon, binary, cli, eventually, kill, newest, output_of, proc_exists, signal};

/// A terminal in which programs can be looked at and typed to.
struct Screen {
    socket: String,
}

impl Screen {
    /// One in which this line of shell runs, and then nothing more; `None` where there is no tmux.
    fn start(daemon: &Daemon, name: &str, line: &str) -> Option<Screen> {
        let there = Command::new("tmux").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !there.is_ok_and(|status| status.success()) {
            println!("skipped: there is no tmux");
            return None;
        }
        let screen = Screen { socket: daemon.dir().join(format!("{name}.tmux")).display().to_string() };
        let dir = daemon.state_dir();
        let line = line.replace("runabout ", &format!("{} --state-dir {} ", binary(), dir.display()));
        let line =
            format!("trap : INT; cd {}; {line}; code=$?; stty -a >after; echo left $code; cat", daemon.dir().display());
        screen.tmux(&["new-session", "-d", "-x", "80", "-y", "24", "sh", "-c", &line]);
        screen.tmux(&["set-option", "-g", "status", "off"]);
        screen.tmux(&["resize-window", "-x", "80", "-y", "24"]);
        Some(screen)
    }

    fn tmux(&self, words: &[&str]) -> String {
        let mut tmux = Command::new("tmux");
        tmux.args(["-S", &self.socket, "-f", "/dev/null"]).args(words).env_remove("TMUX").env("LC_ALL", "C.UTF-8");
        let output = tmux.output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    fn shown(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until this is to be seen.
    #[track_caller]
    fn until(&self, text: &str) {
        eventually(DEADLINE, &format!("{text:?} is shown"), || self.shown().contains(text));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-S", &self.socket, "kill-server"]).output();
    }
}

/// How the terminal was afterwards: cooked, as a shell wants it.
fn is_as_before(dir: &Path) -> bool {
    let modes = std::fs::read_to_string(dir.join("after")).unwrap_or_default();
    let modes: Vec<&str> = modes.split_whitespace().collect();
    ["icanon", "echo", "isig", "opost", "icrnl"].iter().all(|mode| modes.contains(mode))
}

fn has(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
    let has = found.is_ok_and(|status| status.success());
    if !has {
        println!("skipped: there is no {program}");
    }
    has
}

/// What is shown of a program that is driven through a run is what is shown of it under script(1).
fn is_drawn_alike(program: &str, steps: &[(&[&str], &str)]) {
    if !has("script") || !has(program.split(' ').next().unwrap()) {
        return;
    }
    let daemon = Daemon::start();
    let lines: String = (1..=200).map(|number| format!("line {number} of a text\n")).collect();
    std::fs::write(daemon.dir().join("text"), lines).unwrap();
    let Some(ours) = Screen::start(&daemon, "ours", &format!("runabout run -it -- {program}")) else { return };
    let theirs = Screen::start(&daemon, "theirs", &format!("script -qec '{program}' /dev/null")).unwrap();
    for (keys, text) in steps {
        for screen in [&ours, &theirs] {
            if !keys.is_empty() {
                screen.keys(keys);
            }
            screen.until(text);
        }
        eventually(DEADLINE, &format!("{program} after {keys:?} is the same"), || ours.shown() == theirs.shown());
    }
    assert!(is_as_before(daemon.dir()));
}

#[test]
fn an_editor_is_drawn_alike() {
    let vim = "vim -u NONE -i NONE -n text";
    let steps: &[(&[&str], &str)] = &[
        (&[], "line 1 of"),
        (&["G"], "line 200 of"),
        (&["O", "ä new one", "Escape"], "ä new one"),
        (&["gg", "dd", "/line 100", "Enter"], "line 100 of"),
        (&[":split", "Enter", "C-w", "j", "C-d"], "line 108 of"),
        // Both edit the same file.
        (&[":qa!", "Enter"], "left 0"),
    ];
    is_drawn_alike(vim, steps);
}

#[test]
fn a_pager_is_drawn_alike() {
    let steps: &[(&[&str], &str)] = &[
        (&[], "line 1 of"),
        (&["Space"], "line 40 of"),
        (&["/77", "Enter"], "line 77 of"),
        (&["G"], "line 200 of"),
        (&["q"], "left 0"),
    ];
    is_drawn_alike("less -S text", steps);
}

#[test]
fn what_draws_over_itself_is_seen_and_keeps_the_terminals_size() {
    if !has("top") {
        return;
    }
    let daemon = Daemon::start();
    let Some(screen) = Screen::start(&daemon, "top", "runabout run -it -- top -d 1") else { return };
    screen.until("load average");
    screen.until("PID");
    screen.tmux(&["resize-window", "-x", "100", "-y", "30"]);
    let run = newest(&daemon)["id"].as_i64().unwrap();
    eventually(DEADLINE, "it has the size", || daemon.run(run)["pty"] == json!({"columns": 100, "rows": 30}));
    screen.keys(&["q"]);
    screen.until("left 0");
    assert!(is_as_before(daemon.dir()));
}

#[test]
fn somebody_leaves_and_comes_back() {
    let daemon = Daemon::start();
    let line = "runabout run -it -- env PS1='ready> ' bash --norc --noprofile -i; echo between; runabout attach last";
    let Some(screen) = Screen::start(&daemon, "shell", line) else { return };
    screen.until("ready>");
    screen.keys(&["name=kept", "Enter", "echo $((6 * 7))", "Enter"]);
    screen.until("42");
    screen.keys(&["C-]", "d"]);
    screen.until("goes on");
    screen.until("between");
    // All of it is drawn again.
    eventually(DEADLINE, "it is back", || screen.shown().rsplit("between").next().unwrap().contains("42"));
    screen.keys(&["echo is $name", "Enter"]);
    screen.until("is kept");
    screen.keys(&["exit 7", "Enter"]);
    screen.until("left 7");
    assert!(is_as_before(daemon.dir()));
    let run = newest(&daemon);
    assert_eq!((&run["status"], &run["exit_code"]), (&"failed".into(), &7.into()));
}

#[test]
fn many_watch_and_one_writes() {
    let daemon = Daemon::start();
    let Some(writer) = Screen::start(&daemon, "writer", "runabout run -it -- sh -c 'stty -echo; exec cat'") else {
        return;
    };
    eventually(DEADLINE, "it runs", || newest(&daemon)["status"] == "running");
    let watcher = Screen::start(&daemon, "watcher", "runabout attach --read-only last").unwrap();
    let other = Screen::start(&daemon, "other", "runabout attach last").unwrap();
    writer.keys(&["one", "Enter"]);
    [&writer, &watcher, &other].iter().for_each(|screen| screen.until("one"));
    other.keys(&["two", "Enter"]);
    other.until("writes here");
    watcher.keys(&["three", "Enter"]);
    other.keys(&["C-]", "w", "four", "Enter"]);
    [&writer, &watcher, &other].iter().for_each(|screen| screen.until("four"));
    watcher.keys(&["C-]", "d"]);
    watcher.until("left 0");
    other.keys(&["C-d"]);
    [&writer, &other].iter().for_each(|screen| screen.until("left 0"));
    let run = newest(&daemon)["id"].as_i64().unwrap();
    let printed = String::from_utf8(output_of(&daemon.events(run)).0).unwrap();
    assert_eq!(printed, "one\r\nfour\r\n", "what others typed went nowhere");
}

#[test]
fn the_terminal_is_given_back_however_it_ends() {
    let mut daemon = Daemon::start();
    let line = "runabout run -it -- sh -c 'printf \"\\033[?1049h\\033[?25lup\"; exec sleep 3000'";
    for how in ["TERM", "HUP", "daemon"] {
        let _ = std::fs::remove_file(daemon.dir().join("after"));
        let Some(screen) = Screen::start(&daemon, how, line) else { return };
        screen.until("up");
        let run = newest(&daemon);
        // The shell of the screen has one child.
        let shell = screen.tmux(&["display-message", "-p", "#{pane_pid}"]).trim().to_owned();
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
        let attached: i32 = children.trim().parse().unwrap();
        match how {
            "daemon" => {
                daemon.kill9();
                screen.until("reconnecting");
                screen.keys(&["C-c"]);
            }
            how => {
                let which = if how == "TERM" { rustix::process::Signal::TERM } else { rustix::process::Signal::HUP };
                assert!(signal(attached, which));
            }
        }
        screen.until("left ");
        assert!(is_as_before(daemon.dir()), "{how}");
        assert!(screen.tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]).starts_with("0 1"), "{how}");
        let pid = i32::try_from(run["pid"].as_i64().unwrap()).unwrap();
        // With the daemon its terminal has gone, too.
        assert!(how == "daemon" || proc_exists(pid), "{how}: the run goes on");
        kill(pid);
        if how == "daemon" {
            daemon.start_again();
        }
        daemon.wait_ended(run["id"].as_i64().unwrap());
    }
}

#[test]
fn without_a_terminal_input_is_passed_on_as_it_is() {
    let daemon = Daemon::start();
    let run = daemon.submit(&json!({"script": "exec sha256sum", "stdin": "open"}));
    daemon.wait_running(run);
    let bytes: Vec<u8> = (0..300_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let path = daemon.dir().join("bytes");
    std::fs::write(&path, &bytes).unwrap();
    let mut attach = daemon.cli();
    attach.args(["attach", &run.to_string()]).stdin(std::fs::File::open(&path).unwrap());
    let output = attach.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let sum: String = {
        use sha2::Digest as _;
        sha2::Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    assert!(String::from_utf8_lossy(&output.stdout).starts_with(&sum), "{output:?}");
    cli(&daemon, &["attach", &run.to_string()]).expect(125);
}
