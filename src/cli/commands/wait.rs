//! `wait`: until all of these runs have ended, however often the daemon restarts meanwhile.

use hyper::body::Bytes;

use super::context::{Context, one_value};
use crate::cli::args::Id;
use crate::cli::notify::tell_ended;
use crate::cli::patience::{Patience, ask_until_answered};
use crate::cli::print;
use crate::cli::view::{RunView, read};
use crate::client::connection::{ANSWER_S, Ask};
use crate::client::failure::Failure;

/// As long as the daemon lets one request wait.
const WAIT_S: u64 = 300;

/// Waits, and gives the code of the first, in the order given, that failed.
pub async fn wait(context: &Context, ids: &[Id], notify: bool) -> Result<u8, Failure> {
    let mut patience = Patience { met: false, at_most: None };
    let mut first_failed = 0;
    let mut to_tell = Vec::new();
    let numbers = context.numbers(ids).await?;
    for number in numbers {
        let code = match ended(context, number, &mut patience).await {
            Ok(body) => {
                if context.json {
                    print::answer_json(one_value(&body)?)?;
                }
                let run: RunView = read(&body)?;
                if let Some(complaint) = run.outcome().complaint(number) {
                    print::warn(&complaint);
                }
                let code = run.outcome().exit_code();
                to_tell.push(run);
                code
            }
            // The others are still worth waiting for.
            Err(failure @ Failure::Refused(_)) => {
                print::warn(&failure.to_string());
                failure.run_exit_code()
            }
            Err(failure) => return Err(failure),
        };
        if first_failed == 0 {
            first_failed = code;
        }
    }
    if notify {
        tell_ended(&to_tell);
    }
    Ok(first_failed)
}

async fn ended(context: &Context, number: i64, patience: &mut Patience) -> Result<Bytes, Failure> {
    let mut ask = Ask::get(format!("/v1/runs/{number}?wait_s={WAIT_S}"));
    ask.answer_s = WAIT_S + ANSWER_S;
    loop {
        let body = ask_until_answered(&context.daemon, &ask, patience).await?;
        if read::<RunView>(&body)?.outcome().is_terminal() {
            return Ok(body);
        }
    }
}
