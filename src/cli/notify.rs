//! `--notify`: rings the terminal and shows a notification when what was waited for has ended.
//!
//! A terminal is sent only what it is known to take, so that none prints an escape as text. Nothing here may fail a command
//! or hold it up: what cannot be shown is not shown.

use std::io::{self, IsTerminal, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::view::RunView;
use crate::clock::UnixMs;
use crate::text::printable;

/// Characters of a title, and of the text below it.
const TITLE_CHARS: usize = 100;
const TEXT_CHARS: usize = 300;
/// Runs that are named by one notification.
const RUNS_NAMED: usize = 5;

/// Tells that these runs have ended, all of them.
pub fn tell_ended(runs: &[RunView]) {
    let Some(notice) = Notice::of(runs, UnixMs::now()) else { return };
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let way = Way::of(io::stderr().is_terminal(), env, notify_send);
    if let Some(bytes) = way.escapes(&notice) {
        let _ = io::stderr().write_all(bytes.as_bytes());
    }
    if let Some(program) = way.program {
        notice.show_by(program);
    }
}

/// What is shown, without a control character.
#[derive(Debug, PartialEq, Eq)]
struct Notice {
    title: String,
    text: String,
    is_bad: bool,
}

impl Notice {
    fn of(runs: &[RunView], now: UnixMs) -> Option<Notice> {
        let is_bad = runs.iter().any(|run| run.outcome().exit_code() != 0);
        let (title, text) = match runs {
            [] => return None,
            [run] => {
                let name = run.name.as_deref().map(|name| format!(" “{name}”")).unwrap_or_default();
                let took = run.took(now).map(|took| format!("After {took}: ")).unwrap_or_default();
                (format!("Run {}{name}: {}", run.id, run.standing()), format!("{took}{}", run.what()))
            }
            runs => {
                let more = if runs.len() > RUNS_NAMED { ", …" } else { "" };
                let each = |run: &RunView| format!("{}: {}", run.id, run.standing());
                let named: Vec<String> = runs.iter().take(RUNS_NAMED).map(each).collect();
                (format!("{} runs have ended", runs.len()), named.join(", ") + more)
            }
        };
        Some(Notice { title: short(&title, TITLE_CHARS), text: short(&text, TEXT_CHARS), is_bad })
    }

    /// Has the desktop show it. Nobody waits for the program: where no desktop answers, it takes its time to say so.
    fn show_by(&self, program: PathBuf) {
        // An urgent one would stay until it is put away, and come through where somebody wants none.
        let icon = if self.is_bad { "dialog-error" } else { "dialog-information" };
        // Desktops read the text, but not the title, as markup.
        let text = self.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let mut command = Command::new(program);
        command.args(["--app-name=runabout", "--icon", icon, "--", &self.title, &text]);
        // In a group of its own it outlives the terminal, which may be closed as soon as this program has ended.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    }
}

fn short(text: &str, chars_max: usize) -> String {
    let text = printable(text);
    if text.chars().count() <= chars_max {
        return text.into_owned();
    }
    text.chars().take(chars_max - 1).chain(['…']).collect()
}

/// How somebody can be reached.
#[derive(Debug, Default, PartialEq, Eq)]
struct Way {
    /// Whether there is a terminal that rings.
    rings: bool,
    escape: Option<Escape>,
    /// What stands between us and the terminal that is to take the escape.
    between: Option<Between>,
    /// The desktop's program.
    program: Option<PathBuf>,
}

/// The escape by which a terminal shows a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    /// Of iTerm2: a text alone.
    Osc9,
    /// Of rxvt-unicode: a title and a text.
    Osc777,
}

/// A program that shows terminals in a terminal, and passes on only what is wrapped for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    /// tmux, which passes it on where its `allow-passthrough` is on, and drops it else.
    Tmux,
    /// GNU screen.
    Screen,
}

impl Way {
    fn of(is_terminal: bool, env: impl Fn(&str) -> Option<String>, notify_send: impl Fn() -> Option<PathBuf>) -> Way {
        let term = env("TERM").unwrap_or_default();
        let is_terminal = is_terminal && term != "dumb";
        let has = |name: &str| env(name).is_some();
        let between = match () {
            () if has("TMUX") => Some(Between::Tmux),
            () if has("STY") => Some(Between::Screen),
            () => None,
        };
        let escape = known(&env).filter(|_| is_terminal);
        let has_desktop = ["DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS"].into_iter().any(has);
        let program = || notify_send().filter(|_| has_desktop);
        // The escape reaches the person also over ssh. What stands between may drop it without a word, so that a desktop of
        // this machine comes first there.
        let is_sure = escape.is_some() && between.is_none();
        let program = if is_sure || (escape.is_some() && has("SSH_CONNECTION")) { None } else { program() };
        let escape = escape.filter(|_| program.is_none());
        Way { rings: is_terminal, escape, between, program }
    }

    /// What the terminal is sent.
    fn escapes(&self, notice: &Notice) -> Option<String> {
        let Notice { title, text, .. } = notice;
        // The bell is rung on its own: of an escape it would be the end.
        let shown = self.escape.map(|escape| match escape {
            Escape::Osc9 => format!("\x1b]9;{title}. {text}\x1b\\"),
            Escape::Osc777 => format!("\x1b]777;notify;{};{text}\x1b\\", title.replace(';', ",")),
        });
        let wrapped = shown.map(|shown| match self.between {
            Some(Between::Tmux) => format!("\x1bPtmux;{}\x1b\\", shown.replace('\x1b', "\x1b\x1b")),
            // The first end would be the wrapper's; a bell ends the escape as well.
            Some(Between::Screen) => format!("\x1bP{}\x07\x1b\\", shown.trim_end_matches("\x1b\\")),
            None => shown,
        });
        self.rings.then(|| format!("\x07{}", wrapped.unwrap_or_default()))
    }
}

/// The escape of the terminal that the environment names: also of the one around tmux, whose own names it hides.
fn known(env: &impl Fn(&str) -> Option<String>) -> Option<Escape> {
    let (term, program) = (env("TERM").unwrap_or_default(), env("TERM_PROGRAM").unwrap_or_default());
    let has = |name: &str| env(name).is_some();
    let is_777 = matches!(&*program, "WezTerm" | "ghostty")
        || ["xterm-kitty", "xterm-ghostty", "foot", "foot-extra", "contour"].contains(&&*term)
        || term.starts_with("rxvt-unicode")
        || ["KITTY_WINDOW_ID", "WEZTERM_PANE", "GHOSTTY_RESOURCES_DIR"].into_iter().any(has);
    let is_9 = program == "iTerm.app" || env("LC_TERMINAL").is_some_and(|name| name == "iTerm2");
    match (is_9, is_777) {
        (true, _) => Some(Escape::Osc9),
        (false, true) => Some(Escape::Osc777),
        (false, false) => None,
    }
}

fn notify_send() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join("notify-send")).find(|path| path.is_absolute() && path.is_file())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn way(is_terminal: bool, env: &[(&str, &str)], is_installed: bool) -> Way {
        let env: BTreeMap<&str, &str> = env.iter().copied().collect();
        let program = || is_installed.then(|| PathBuf::from("/usr/bin/notify-send"));
        Way::of(is_terminal, |name| env.get(name).map(|value| (*value).to_owned()), program)
    }

    fn notice(title: &str, text: &str) -> Notice {
        Notice { title: title.into(), text: text.into(), is_bad: false }
    }

    #[test]
    fn a_terminal_is_sent_what_it_is_known_to_take() {
        let sent = |env: &[(&str, &str)]| way(true, env, false).escapes(&notice("a;b", "c;d")).unwrap_or_default();
        assert_eq!(sent(&[("TERM", "xterm-256color")]), "\x07", "of one that is not known, the bell");
        assert_eq!(sent(&[("TERM", "foot")]), "\x07\x1b]777;notify;a,b;c;d\x1b\\");
        assert_eq!(sent(&[("TERM_PROGRAM", "iTerm.app")]), "\x07\x1b]9;a;b. c;d\x1b\\");
        let around =
            [("TMUX", "/tmp/x,1,0"), ("TERM", "tmux-256color"), ("TERM_PROGRAM", "tmux"), ("KITTY_WINDOW_ID", "1")];
        assert_eq!(sent(&around), "\x07\x1bPtmux;\x1b\x1b]777;notify;a,b;c;d\x1b\x1b\\\x1b\\");
        let screen = [("STY", "1.pts"), ("TERM", "screen"), ("LC_TERMINAL", "iTerm2")];
        assert_eq!(sent(&screen), "\x07\x1bP\x1b]9;a;b. c;d\x07\x1b\\");
        assert_eq!(way(true, &[("TERM", "dumb"), ("KITTY_WINDOW_ID", "1")], false), Way::default());
        assert_eq!(way(false, &[("TERM", "foot")], false), Way::default(), "no terminal, nothing to send");
    }

    #[test]
    fn a_desktop_is_asked_where_no_terminal_shows_it() {
        let desktop = |is_terminal, more: &[(&str, &str)]| {
            way(is_terminal, &[&[("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/x")], more].concat(), true)
        };
        assert!(desktop(false, &[]).program.is_some() && desktop(true, &[]).program.is_some());
        assert!(desktop(false, &[("TERM", "foot")]).program.is_some(), "its output is elsewhere");
        assert!(desktop(true, &[("TERM", "foot")]).program.is_none(), "one notification an end");
        let in_tmux = desktop(true, &[("TMUX", "x"), ("KITTY_WINDOW_ID", "1")]);
        assert!(in_tmux.program.is_some() && in_tmux.escape.is_none(), "tmux may drop it: {in_tmux:?}");
        let far = desktop(true, &[("TMUX", "x"), ("KITTY_WINDOW_ID", "1"), ("SSH_CONNECTION", "x")]);
        assert!(far.program.is_none() && far.escape.is_some(), "the person is elsewhere: {far:?}");
        assert!(way(false, &[], true).program.is_none(), "there is no desktop");
    }

    #[test]
    fn it_says_which_run_ended_and_how() {
        let run = |id: i64, name: Option<&str>, code: i64| -> RunView {
            serde_json::from_value(json!({
                "id": id, "name": name, "status": if code == 0 { "succeeded" } else { "failed" }, "reason": "exited",
                "exit_code": code, "queue": "default", "command": ["make", "a b"],
                "created_at": "2026-11-23T06:32:00.000Z", "started_at": "2026-11-23T06:32:01.000Z",
                "ended_at": "2026-11-23T06:32:03.500Z",
            }))
            .expect("a run")
        };
        let of = |runs: &[RunView]| Notice::of(runs, UnixMs(0)).expect("a notice");
        let one = of(&[run(42, Some("\x1b]0;x\x07 nightly"), 3)]);
        assert!(!one.title.contains(['\x1b', '\x07']), "{one:?}");
        assert!(one.title.starts_with("Run 42 “") && one.title.ends_with(" nightly”: failed (3)") && one.is_bad);
        assert_eq!(one.text, "After 2.5s: make 'a b'");
        let many = of(&(1..=7).map(|id| run(id, None, id % 2)).collect::<Vec<_>>());
        assert_eq!((&*many.title, many.is_bad), ("7 runs have ended", true));
        assert_eq!(many.text, "1: failed (1), 2: succeeded, 3: failed (1), 4: succeeded, 5: failed (1), …");
        assert_eq!(Notice::of(&[], UnixMs(0)), None);
        assert_eq!(of(&[run(1, Some(&"x".repeat(500)), 0)]).title.chars().count(), TITLE_CHARS);
    }
}
