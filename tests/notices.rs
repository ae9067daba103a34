//! `--notify`: the terminal rings and a notification is shown once what was waited for has ended; nothing is sent where it
//! would be taken for text.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{DEADLINE, Daemon, Running, binary, eventually};

/// A desktop's program that writes down what it is asked to show, one line a call.
fn desktop(daemon: &Daemon) -> String {
    let bin = daemon.dir().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let shown = daemon.dir().join("shown");
    let script = daemon
        .script("bin/notify-send", &format!("#!/bin/sh\nprintf '%s|' \"$@\" >>{0}\necho >>{0}\n", shown.display()));
    assert!(script.exists());
    format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default())
}

fn shown(daemon: &Daemon) -> String {
    std::fs::read_to_string(daemon.dir().join("shown")).unwrap_or_default()
}

/// A client without a terminal of its own and without a desktop.
fn client(daemon: &Daemon, arguments: &[&str]) -> Command {
    let mut command = daemon.cli();
    command.args(arguments);
    bare(&mut command);
    command
}

/// Forgets the terminal and the desktop that the tests were started from.
fn bare(command: &mut Command) {
    for name in
        ["DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "TMUX", "STY", "SSH_CONNECTION", "LC_TERMINAL"]
    {
        command.env_remove(name);
    }
    for name in ["TERM_PROGRAM", "KITTY_WINDOW_ID", "WEZTERM_PANE", "GHOSTTY_RESOURCES_DIR"] {
        command.env_remove(name);
    }
    command.env("TERM", "xterm-256color");
}

/// The same in a terminal of its own, which `script` makes; what that was sent is what this prints.
fn in_a_terminal(daemon: &Daemon, arguments: &str, env: &[(&str, &str)]) -> Option<String> {
    let is_there = Command::new("script").args(["-qec", "true", "/dev/null"]).stdin(Stdio::null()).output();
    if !is_there.is_ok_and(|output| output.status.success()) {
        println!("skipped: there is no script(1)");
        return None;
    }
    let mut command = Command::new("script");
    command.args(["-qec", &format!("{} {arguments}", binary()), "/dev/null"]).stdin(Stdio::null());
    bare(&mut command);
    command.env("RUNABOUT_STATE_DIR", daemon.state_dir()).env("XDG_CONFIG_HOME", daemon.dir().join("xdg"));
    command.env("SHELL", "/bin/sh").envs(env.iter().copied());
    let ended = Running::start(command).ended();
    Some(ended.text())
}

#[test]
fn a_terminal_rings_once_and_shows_what_it_can() {
    let daemon = Daemon::start();
    let run = daemon.sh("exit 3");
    daemon.wait_ended(run);
    let wait = format!("wait --notify {run}");
    let Some(plain) = in_a_terminal(&daemon, &wait, &[]) else { return };
    assert_eq!(plain, "\x07", "of a terminal that is not known, the bell alone");
    assert_eq!(in_a_terminal(&daemon, &format!("wait {run}"), &[]).unwrap(), "", "nobody asked");
    let text = format!("Run {run}: failed (3)");
    for follows in [wait.clone(), format!("logs -f --notify {run}")] {
        let known = in_a_terminal(&daemon, &follows, &[("TERM_PROGRAM", "iTerm.app")]).unwrap();
        assert!(
            known.starts_with(&format!("\x07\x1b]9;{text}. After ")) && known.ends_with("exit 3\x1b\\"),
            "{known:?}"
        );
    }
    let titled = in_a_terminal(&daemon, &wait, &[("TERM", "foot")]).unwrap();
    assert!(titled.starts_with(&format!("\x07\x1b]777;notify;{text};After ")), "{titled:?}");
    let tmux = [("TERM", "tmux-256color"), ("TMUX", "/tmp/s,1,0"), ("WEZTERM_PANE", "1")];
    let wrapped = in_a_terminal(&daemon, &wait, &tmux).unwrap();
    assert!(
        wrapped.starts_with("\x07\x1bPtmux;\x1b\x1b]777;notify;") && wrapped.ends_with("\x1b\x1b\\\x1b\\"),
        "{wrapped:?}"
    );
    // A desktop shows it where the terminal does not; one that does is enough.
    let path = desktop(&daemon);
    let has_desktop = |term| [("PATH", path.as_str()), ("DISPLAY", ":7"), ("TERM", term)];
    assert_eq!(in_a_terminal(&daemon, &wait, &has_desktop("xterm")).unwrap(), "\x07");
    eventually(DEADLINE, "the desktop shows it", || shown(&daemon).ends_with('\n'));
    assert!(in_a_terminal(&daemon, &wait, &has_desktop("foot")).unwrap().contains("777"));
    assert_eq!(shown(&daemon).lines().count(), 1, "{}", shown(&daemon));
}

#[test]
fn without_a_terminal_only_a_desktop_is_told() {
    let daemon = Daemon::start();
    let path = desktop(&daemon);
    let gate = daemon.gate("gate");
    let script = format!("{}; exit 4", gate.wait());
    let with_desktop = |arguments: &[&str]| {
        let mut command = client(&daemon, arguments);
        command.env("PATH", &path).env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere");
        Running::start(command)
    };
    let run = with_desktop(&["run", "--notify", "-n", "<b>night & day</b>", "-s", &script]);
    gate.open();
    let ended = run.ended().expect(4);
    assert_eq!((ended.text().as_str(), ended.stderr.as_str()), ("", ""), "nothing for a terminal");
    eventually(DEADLINE, "the desktop shows the end", || shown(&daemon).ends_with('\n'));
    let title = "Run 1 “<b>night & day</b>”: failed (4)";
    let first = shown(&daemon);
    assert!(first.starts_with(&format!("--app-name=runabout|--icon|dialog-error|--|{title}|After ")), "{first}");
    // Of several, one for all of them; the text is markup to a desktop.
    daemon.wait_ended(daemon.sh("true"));
    with_desktop(&["wait", "--notify", "1", "2"]).ended().expect(4);
    eventually(DEADLINE, "the desktop shows both", || shown(&daemon).lines().count() == 2);
    assert!(shown(&daemon).ends_with("|--|2 runs have ended|1: failed (4), 2: succeeded|\n"), "{}", shown(&daemon));
    let script = "echo '<i>'";
    with_desktop(&["run", "--notify", "-s", script]).ended().expect(0);
    eventually(DEADLINE, "the desktop shows the third", || shown(&daemon).lines().count() == 3);
    assert!(shown(&daemon).ends_with("echo '&lt;i&gt;'|\n"), "{}", shown(&daemon));
    // Without a desktop there is nobody to tell, and nothing fails.
    let mut alone = client(&daemon, &["wait", "--notify", "2"]);
    alone.env("PATH", &path);
    let alone = Running::start(alone).ended().expect(0);
    assert_eq!((alone.stderr.as_str(), shown(&daemon).lines().count()), ("", 3));
}

#[test]
fn a_desktop_that_does_not_answer_holds_up_nobody() {
    let daemon = Daemon::start();
    let path = desktop(&daemon);
    let gate = daemon.gate("desktop");
    let script = Path::new(path.split(':').next().unwrap()).join("notify-send");
    std::fs::write(&script, format!("#!/bin/sh\n{}\n", gate.wait())).unwrap();
    let mut command = client(&daemon, &["run", "--notify", "--", "true"]);
    command.env("PATH", &path).env("WAYLAND_DISPLAY", "wayland-0");
    Running::start(command).ended().expect(0);
    gate.open();
}
