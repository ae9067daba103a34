//! Streams of events. `reader` decides what a reader is told and when, `seat` holds its place, `asked` reads what the
//! request wants; the transports frame what the reader is told, and nothing else.

mod all_runs;
mod asked;
mod body;
pub mod log;
mod ndjson;
mod open;
mod reader;
mod seat;
mod sse;
mod websocket;

use std::future::Future;

pub use self::asked::{Asked, Form};
pub use self::open::OpenStreams;
pub use self::reader::{Following, Subject};
use super::Problem;
use super::app::{Answer, Request};

/// Answers with a stream of what `opening` opens, in the form that is asked for. Every refusal comes before its first
/// byte; a page is the caller's own affair.
pub async fn answer(
    request: Request,
    asked: &Asked,
    opening: impl Future<Output = Result<Following, Problem>>,
) -> Answer {
    match asked.form {
        Form::WebSocket => websocket::answer(request, opening).await,
        Form::Sse => sse::answer(&request, asked.comes_back, opening).await,
        Form::Ndjson | Form::Page => ndjson::answer(&request, asked.stays, opening).await,
    }
}
