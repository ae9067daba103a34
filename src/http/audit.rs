//! Who did what: one line of the log for each thing that was changed, all in one form.
//!
//! `run 42 was canceled from 192.168.0.7 by session:laptop`. No token is ever part of a line. The name comes last, because
//! people choose their sessions' names: nothing that stands in one can pass for another part of the line. What is said of a
//! run's command stays with the run.

use std::fmt;

use tide::Response;

use super::app::Request;
use crate::access::Identity;
use crate::http::middleware::who::Peer;

/// What a request has changed; stored in the extensions of its answer.
struct Deed {
    what: String,
    /// Who did it, where the request has no identity.
    by: Option<String>,
}

/// Notes in an answer what was done, for the line of the log.
pub fn did(mut response: Response, what: impl fmt::Display) -> Response {
    if log::log_enabled!(log::Level::Info) {
        response.insert_ext(Deed { what: what.to_string(), by: None });
    }
    response
}

/// The same for a request that had no identity before it.
pub fn did_as(mut response: Response, what: impl fmt::Display, by: String) -> Response {
    response.insert_ext(Deed { what: what.to_string(), by: Some(by) });
    response
}

/// Who sent a request, kept while it is handled.
///
/// A client that hangs up is logged too: dropped without an answer, this logs what was asked for.
pub(super) struct Asker {
    name: Option<String>,
    peer: Option<Peer>,
    /// Method and path, until there is an answer.
    unanswered: Option<String>,
}

impl Asker {
    pub(super) fn of(request: &Request) -> Asker {
        let name = request.ext::<Identity>().map(|identity| identity.name.clone());
        let unanswered = format!("{} {}", request.method(), request.url().path());
        Asker { name, peer: request.ext::<Peer>().cloned(), unanswered: Some(unanswered) }
    }

    /// Writes the line where something was changed.
    pub(super) fn tell(mut self, response: &Response) {
        self.unanswered = None;
        let Some(Deed { what, by }) = response.ext::<Deed>() else { return };
        if let Some(by) = by.as_ref().or(self.name.as_ref()) {
            self.write(what, by);
        }
    }

    fn write(&self, what: &str, by: &str) {
        match self.peer.as_ref().and_then(|peer| peer.address) {
            Some(address) => log::info!("{what} from {address} by {by}"),
            None => log::info!("{what} by {by}"),
        }
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        // Of somebody unknown there would be as many lines as they like.
        if let (Some(asked), Some(name)) = (self.unanswered.take(), &self.name) {
            self.write(&format!("{asked} was left before its answer, whether it was done is not known,"), name);
        }
    }
}
