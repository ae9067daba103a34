//! What a reader is sent besides events, made of what the feed says.

use crate::feed::Opening;
use crate::numbers::{Position, RunId};
use crate::run::Outcome;
use crate::scope::Scope;
use crate::store::{AllHead, Head, RunHead};
use crate::wire::{At, Frame, Last, Stands};

/// What a reader is sent first.
pub(super) fn hello<'a>(scope: &Scope, instance: &'a str, opening: &Opening) -> Frame<'a> {
    let stands = match &opening.head {
        Head::Run(RunHead { outcome, first_seq, last_seq, .. }) => {
            Stands::Run { first_seq: *first_seq, last_seq: *last_seq, status: outcome.status.as_str() }
        }
        Head::All(AllHead { first_id, last_id, .. }) => Stands::All { first_id: *first_id, last_id: *last_id },
    };
    Frame::Hello { run: run_of(scope), instance, after: opening.after, stands }
}

/// What a reader is sent once, when all that was stored is out.
pub(super) fn caught_up(scope: &Scope, at: Position) -> Frame<'static> {
    let at = match scope {
        Scope::Run(_) => At::Seq(at),
        Scope::All(_) => At::Id(at),
    };
    Frame::CaughtUp { at }
}

/// What a reader is sent when there was nothing else for a while.
pub(super) fn heartbeat(scope: &Scope, at: Position) -> Frame<'static> {
    let last = match scope {
        Scope::Run(_) => Last::LastSeq(at),
        Scope::All(_) => Last::LastId(at),
    };
    Frame::Heartbeat { last }
}

/// What a reader of a run is sent last.
pub(super) fn end(run: RunId, outcome: &Outcome, last_seq: Position) -> Frame<'static> {
    let Outcome { status, reason, exit_code, .. } = outcome;
    let (status, reason) = (status.as_str(), reason.map(|reason| reason.as_str()));
    Frame::End { run, status, reason, exit_code: *exit_code, last_seq }
}

fn run_of(scope: &Scope) -> Option<RunId> {
    match scope {
        Scope::Run(run) => Some(*run),
        Scope::All(_) => None,
    }
}
