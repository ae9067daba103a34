//! `doctor`: checks everything that a daemon depends on, and reports the state of each part and what to do about it.
//!
//! It changes nothing; to measure a flush it writes one temporary file without a name. What it may not read it reports, and
//! never as sound.

mod cursors;
mod database;
mod files;
mod finding;
mod hooks;
mod jobs;
mod machine;
mod medium;
mod service;
mod settings;
mod survivors;

use std::io;
use std::sync::Arc;

use serde_json::json;

use self::finding::{Finding, Level, Subject, pid_of};
use super::place;
use crate::cli::args::{DoctorOptions, Global};
use crate::cli::print::{self, Colour, Paint};
use crate::client::failure::Failure;
use crate::dir::Dir;
use crate::state_lock::held_by;
use crate::text::printable;

/// Exit code when a check fails.
const FAILED: u8 = 1;

/// Runs all checks and prints the findings.
pub fn doctor(global: &Global, options: &DoctorOptions) -> Result<u8, Failure> {
    let dir = place::chosen(global)?;
    let found = Dir::open(&dir).map(Arc::new);
    let held = match &found {
        Ok(dir) => held_by(dir),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
    };
    let pid = held.as_ref().ok().and_then(|who| pid_of(who.as_deref()?));
    let (config, configuration) = settings::configuration(&dir, found.as_ref().ok(), options.config.as_deref(), pid);
    let subject = Subject { held, dir, found, config, full: options.full };
    let mut findings = vec![configuration];
    findings.extend(settings::look(&subject));
    findings.extend(files::look(&subject));
    findings.extend(medium::look(&subject));
    findings.extend(database::look(&subject));
    findings.extend(machine::look(&subject));
    findings.extend(service::look(&subject));
    findings.extend(survivors::look(&subject));
    let is_well = findings.iter().all(|finding| finding.level != Level::Fail);
    if global.json {
        print::answer_json(&as_json(&subject, &findings, is_well))?;
    } else {
        print::answer(&as_text(&findings))?;
    }
    Ok(if is_well { 0 } else { FAILED })
}

fn as_json(subject: &Subject, findings: &[Finding], is_well: bool) -> String {
    let check = |Finding { check, level, found, advice }: &Finding| json!({"check": check, "level": level.word(), "found": found, "advice": advice});
    json!({
        "ok": is_well,
        "version": env!("CARGO_PKG_VERSION"),
        "state_dir": subject.dir.to_string_lossy(),
        "checks": findings.iter().map(check).collect::<Vec<_>>(),
    })
    .to_string()
}

fn as_text(findings: &[Finding]) -> String {
    let paint = Paint::new();
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for Finding { check, level, found, advice } in findings {
        let colour = match level {
            Level::Ok => Colour::Green,
            Level::Warn => Colour::Yellow,
            Level::Fail => Colour::Red,
        };
        let word = paint.paint(&format!("{:4}", level.word()), colour);
        lines.push(format!("{word}  {check:width$}  {}", printable(found)));
        if let Some(advice) = advice {
            lines.push(format!("{:4}  {:width$}  → {}", "", "", printable(advice)));
        }
    }
    let count = |level: Level| findings.iter().filter(|finding| finding.level == level).count();
    lines.push(match (count(Level::Warn), count(Level::Fail)) {
        (0, 0) => "all is well".to_owned(),
        (warnings, 0) => format!("nothing fails; to look at: {warnings}"),
        (warnings, failures) => format!("failures: {failures}; to look at: {warnings}"),
    });
    lines.join("\n")
}
