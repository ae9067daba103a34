//! `add`, and the submit that it shares with `run`: what the words of the command line become in the daemon's terms.
//!
//! A submit always carries a key, so that it can be repeated when its answer is lost; it must never go out without.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use hyper::Method;
use hyper::body::Bytes;

use super::caller::Caller;
use super::context::{Context, one_value};
use crate::cli::args::SubmitOptions;
use crate::cli::patience::{Patience, ask_until_answered};
use crate::cli::print;
#[cfg(unix)]
use crate::cli::tty;
use crate::cli::view::{RunView, read};
use crate::client::connection::Ask;
use crate::client::failure::Failure;
use crate::client::random_key;
use crate::run::{Need, RunId};
use crate::text::printable;
use crate::wire::Submit;

/// More than any daemon takes by default; beyond it, reading on would only fill memory.
const INPUT_BYTES_MAX: u64 = 64 << 20;
/// How long a daemon that hung up during a submit is waited for.
const LOST_SUBMIT_S: u64 = 60;

/// Submits and prints the number.
pub async fn add(context: &Context, options: SubmitOptions) -> Result<u8, Failure> {
    let submit = Submission::new(options, context).await?;
    let body = submit.send(context).await?;
    if context.json {
        print::answer_json(one_value(&body)?)?;
    } else {
        print::answer(&read::<RunView>(&body)?.id.to_string())?;
    }
    Ok(0)
}

/// A submit that is ready to go out, as often as it takes.
pub struct Submission {
    ask: Ask,
    /// Whether the person chose the key.
    own_key: bool,
}

impl Submission {
    /// From the words, the files they name and, for a daemon on this machine, the caller's world.
    pub async fn new(options: SubmitOptions, context: &Context) -> Result<Submission, Failure> {
        let (key, own_key) = match options.request_key() {
            Some(key) => (key.clone(), true),
            None => (random_key("cli")?, false),
        };
        let submit = submit_from(options, context).await?;
        let ask = Ask { key: Some(key), ..Ask::new(Method::POST, "/v1/runs").with(&submit) };
        Ok(Submission { ask, own_key })
    }

    /// Sends it until it is answered; where a daemon hung up in between, that may take more than once.
    pub async fn send(&self, context: &Context) -> Result<Bytes, Failure> {
        let mut patience = Patience { met: false, at_most: Some(Duration::from_secs(LOST_SUBMIT_S)) };
        ask_until_answered(&context.daemon, &self.ask, &mut patience).await.map_err(|failure| {
            let key = self.ask.key.as_deref().unwrap_or_default();
            match failure {
                Failure::NoDaemon(text) | Failure::Lost(text) if patience.met => {
                    let again = if self.own_key { "the same key again" } else { key };
                    Failure::Lost(format!(
                        "{text}\nwhether it was queued is not known; with --idempotency-key {again} it is not queued twice"
                    ))
                }
                other => other,
            }
        })
    }
}

/// What the words say, with the files that they name and the caller's world.
pub(super) async fn submit_from(options: SubmitOptions, context: &Context) -> Result<Submit, Failure> {
    let script = match (&options.script, &options.file) {
        (Some(script), _) => Some(script.clone()),
        (None, Some(path)) => Some(script_from(path)?),
        (None, None) => None,
    };
    let from_stdin = options.file.as_deref() == Some(Path::new("-"));
    let stdin = match (options.stdin, from_stdin) {
        (true, true) => return Err(Failure::Usage("standard input is the script already: no -i".to_owned())),
        // On a terminal it stays open.
        (true, false) if options.tty => None,
        (true, false) => Some(text_of(io::stdin().lock(), "standard input")?),
        (false, _) => None,
    };
    let caller = Caller::of(&context.daemon, &options).await?;
    let mut after = Vec::with_capacity(options.after.len());
    for (id, when) in &options.after {
        after.push(Need { run: RunId(context.number(*id).await?), when: *when });
    }
    Ok(like_ours(submit_of(options, script, stdin, caller, after)))
}

/// The same with a terminal as large and of the same kind as the one that this program is on, if it is to have one.
#[cfg(unix)]
fn like_ours(mut submit: Submit) -> Submit {
    if let (Some(pty), Some(size)) = (&mut submit.options.pty, tty::size()) {
        *pty = size;
        let term = std::env::var("TERM").ok().filter(|term| !term.is_empty());
        if let Some(term) = term {
            submit.env.entry("TERM".to_owned()).or_insert(term);
        }
    }
    submit
}

/// There is nothing to be asked.
#[cfg(not(unix))]
fn like_ours(submit: Submit) -> Submit {
    submit
}

fn submit_of(
    options: SubmitOptions,
    script: Option<String>,
    stdin: Option<String>,
    caller: Caller,
    after: Vec<Need>,
) -> Submit {
    let path = caller.path.map(|path| ("PATH".to_owned(), path));
    let more = options.options(after);
    let key = options.own_key().cloned();
    Submit {
        command: script.is_none().then_some(options.command),
        script,
        name: options.name,
        queue: options.queue,
        priority: options.priority,
        tags: options.tag,
        cwd: caller.cwd.or(options.cwd),
        env: path.into_iter().chain(options.env).collect(),
        stdin,
        timeout_s: options.timeout,
        delay_s: options.delay,
        on_interrupt: options.on_interrupt,
        keep: options.keep,
        key,
        on_conflict: options.on_conflict,
        debounce_s: options.debounce,
        debounce_max_s: options.debounce_max,
        options: more,
    }
}

fn script_from(path: &Path) -> Result<String, Failure> {
    let shown = path.display().to_string();
    let script = if path == Path::new("-") {
        text_of(io::stdin().lock(), "standard input")?
    } else {
        let file = std::fs::File::open(path).map_err(|error| Failure::Usage(format!("{shown}: {error}")))?;
        text_of(file, &shown)?
    };
    if let Some(other) = other_interpreter(&script) {
        let other = printable(other);
        print::warn(&format!(
            "{shown} wants {other}, but a script is run by /bin/sh; make it executable and run it as CMD"
        ));
    }
    Ok(script)
}

/// What a script's first line asks for, where that is no shell.
fn other_interpreter(script: &str) -> Option<&str> {
    let line = script.lines().next()?.strip_prefix("#!")?.trim();
    let mut words = line.split_whitespace().filter(|word| !word.ends_with("/env") && !word.starts_with('-'));
    let program = words.next()?.rsplit('/').next()?;
    (!program.ends_with("sh")).then_some(line)
}

fn text_of(from: impl Read, name: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    from.take(INPUT_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::Usage(format!("{name} cannot be read: {error}")))?;
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        return Err(Failure::Usage(format!("{name} is larger than {} MiB", INPUT_BYTES_MAX >> 20)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::Usage(format!("{name} is not UTF-8 at byte {at}; send it as base64 and decode it in the command"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn body(options: SubmitOptions, script: Option<String>, stdin: Option<String>, caller: Caller) -> Value {
        serde_json::to_value(submit_of(options, script, stdin, caller, Vec::new())).expect("JSON")
    }

    fn options() -> SubmitOptions {
        SubmitOptions { command: vec!["true".to_owned()], ..SubmitOptions::default() }
    }

    #[test]
    fn only_what_was_said_is_sent() {
        assert_eq!(body(options(), None, None, Caller::default()), json!({"command": ["true"]}));
        let script = body(SubmitOptions::default(), Some("a; b".to_owned()), Some(String::new()), Caller::default());
        assert_eq!(script, json!({"script": "a; b", "stdin": ""}));
    }

    #[test]
    fn the_callers_world_goes_along_unless_told_otherwise() {
        let caller = || Caller { cwd: Some("/here".to_owned()), path: Some("/bin".to_owned()) };
        let sent = body(options(), None, None, caller());
        assert_eq!(sent, json!({"command": ["true"], "cwd": "/here", "env": {"PATH": "/bin"}}));
        let told = SubmitOptions { env: vec![("PATH".to_owned(), "/own".to_owned())], ..options() };
        assert_eq!(body(told, None, None, caller())["env"], json!({"PATH": "/own"}));
        let remote = SubmitOptions { cwd: Some("/there".to_owned()), ..options() };
        assert_eq!(body(remote, None, None, Caller::default())["cwd"], json!("/there"));
    }

    #[test]
    fn a_script_for_another_interpreter_is_noticed() {
        assert_eq!(other_interpreter("#!/usr/bin/env -S python3 -u\n"), Some("/usr/bin/env -S python3 -u"));
        for fine in ["#!/bin/sh\n", "#!/usr/bin/env bash\n", "echo\n", ""] {
            assert_eq!(other_interpreter(fine), None, "{fine:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_refused_with_their_place() {
        let refused = text_of(&b"ab\xff"[..], "standard input").err().map(|failure| failure.to_string());
        assert!(refused.is_some_and(|text| text.contains("not UTF-8 at byte 2")));
    }
}
