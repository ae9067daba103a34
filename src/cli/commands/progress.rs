//! `progress`: what a run's command has to say of how far it is.
//!
//! In a run it speaks to the daemon that runs it, with the token that it was given there, and never by a session.

use hyper::Method;
use serde_json::{Map, Value, json};

use super::context::Context;
use crate::cli::args::{Global, ProgressOptions};
use crate::cli::choose::choose;
use crate::client::connection::{Ask, Daemon};
use crate::client::failure::Failure;
use crate::client::target::parse;

/// Appends one event of progress.
pub async fn progress(global: &Global, options: ProgressOptions) -> Result<u8, Failure> {
    let is_elsewhere = options.run.is_some() || global.url.is_some() || global.state_dir.is_some();
    let (daemon, run) = if is_elsewhere { elsewhere(global, &options).await? } else { own_run(variable)? };
    let ask = Ask::new(Method::POST, format!("/v1/runs/{run}/events")).with(&event(options));
    daemon.ask(&ask).await?;
    Ok(0)
}

/// The run that is named and, where only a daemon is, the one that this is called in.
async fn elsewhere(global: &Global, options: &ProgressOptions) -> Result<(Daemon, i64), Failure> {
    let context = Context { daemon: Daemon::new(choose(global)?), json: global.json };
    let run = match options.run {
        Some(id) => context.number(id).await?,
        None => own_number(variable)?,
    };
    Ok((context.daemon, run))
}

/// The run that this is called in, and its daemon.
fn own_run(variable: impl Fn(&str) -> Option<String>) -> Result<(Daemon, i64), Failure> {
    let run = own_number(&variable)?;
    let needed = |name: &str| variable(name).ok_or_else(|| outside(name));
    let (url, token) = (needed("RUNABOUT_URL")?, needed("RUNABOUT_RUN_TOKEN")?);
    Ok((Daemon::new(parse(&url, "RUNABOUT_URL")?).with_run_token(token), run))
}

fn own_number(variable: impl Fn(&str) -> Option<String>) -> Result<i64, Failure> {
    let name = "RUNABOUT_RUN_ID";
    let number = variable(name).ok_or_else(|| outside(name))?;
    number.parse().map_err(|_| Failure::Usage(format!("{name}: {number:?} is no run's number")))
}

fn outside(name: &str) -> Failure {
    Failure::Usage(format!("{name} is not set: this is not called by a run's command; name a run with --run ID"))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn event(options: ProgressOptions) -> Value {
    let mut data = Map::new();
    if let Some(percent) = options.percent {
        let whole = percent as i64;
        // 40 and not 40.0, as it was said.
        data.insert("percent".to_owned(), if whole as f64 == percent { whole.into() } else { percent.into() });
    }
    if let Some(message) = options.words.or(options.message) {
        data.insert("message".to_owned(), message.into());
    }
    json!({"kind": "progress", "data": data})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(percent: Option<f64>, message: Option<&str>) -> ProgressOptions {
        ProgressOptions { percent, words: None, message: message.map(str::to_owned), run: None }
    }

    #[test]
    fn only_what_was_said_is_sent() {
        assert_eq!(event(options(Some(40.0), None))["data"].to_string(), r#"{"percent":40}"#);
        assert_eq!(event(options(Some(0.5), Some("a")))["data"].to_string(), r#"{"percent":0.5,"message":"a"}"#);
        assert_eq!(event(options(None, Some("a")))["data"].to_string(), r#"{"message":"a"}"#);
    }

    #[test]
    fn outside_of_a_run_it_says_so() {
        let all = [("RUNABOUT_RUN_ID", "7"), ("RUNABOUT_URL", "http://127.0.0.1:1"), ("RUNABOUT_RUN_TOKEN", "rbr_x")];
        let own = |known: &[(&str, &str)]| {
            let find = |name: &str| known.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            own_run(find).map(|(_, run)| run).map_err(|failure| (failure.exit_code(), failure.to_string()))
        };
        assert_eq!(own(&all), Ok(7));
        for missing in 0..3 {
            let mut some = all.to_vec();
            let (name, _) = some.remove(missing);
            let (code, said) = own(&some).expect_err("not in a run");
            assert!(code == 2 && said.starts_with(name) && said.contains("--run ID"), "{said}");
        }
    }
}
