//! The page in Firefox and in WebKitGTK: its log, its list, and how it comes back. Chromium has all of the page, in `page`.
//!
//! Each engine is driven by `tests/page/everywhere.mjs`; where one is missing its test says what, and passes.

use std::process::Command;

use crate::common::Daemon;
use crate::page::{node_version, path_of, play, root};

/// What a Firefox may be called.
const FIREFOXES: &[&str] = &["firefox-esr", "firefox"];

fn is_there(program: &str) -> bool {
    path_of(program).is_absolute()
}

/// Why an engine cannot be driven here; `None` when it can.
fn missing(engine: &str) -> Option<&'static str> {
    if node_version().is_none_or(|version| version < 20) {
        return Some("node 20 or newer is not installed (Debian: apt-get install nodejs npm)");
    }
    if !root().join("tests/page/node_modules/puppeteer-core").is_dir() {
        return Some("puppeteer-core is not installed (npm ci --prefix tests/page)");
    }
    if engine == "Firefox" {
        let has_one = FIREFOXES.iter().any(|name| is_there(name));
        return (!has_one).then_some("no Firefox is installed (Debian: apt-get install firefox-esr)");
    }
    let has_all = is_there("WebKitWebDriver") && is_there("Xvfb");
    (!has_all).then_some("no WebKitGTK is installed (Debian: apt-get install webkit2gtk-driver xvfb)")
}

fn drive(engine: &str) {
    if let Some(what) = missing(engine) {
        println!("skipped: {what}");
        return;
    }
    let mut command = Command::new("node");
    command.arg("tests/page/everywhere.mjs").env("ENGINE", engine);
    if let Some(firefox) = FIREFOXES.iter().find(|name| is_there(name)) {
        command.env("FIREFOX", path_of(firefox));
    }
    play(Daemon::start(), command);
}

#[test]
fn the_log_the_list_and_coming_back_work_in_firefox() {
    drive("Firefox");
}

#[test]
fn the_log_the_list_and_coming_back_work_in_webkit() {
    drive("WebKit");
}
