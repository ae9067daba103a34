//! Which runs a request is about, as its query says: the same words for a list, for a search, and for what is done to all of
//! them.

use super::incoming::{name, queue_name, tag};
use super::jobs::job_name;
use crate::clock::UnixMs;
use crate::http::query::Query;
use crate::run::Status;
use crate::store::{Filter, Sought};

/// Characters of what is searched for.
const SOUGHT_CHARS_MAX: usize = 200;
/// Exit codes that can be asked for.
const EXIT_CODES: usize = 256;

/// The filter of the parameters `status`, `queue`, `tag`, `name`, `job`, `q`, `since`, `until` and `exit`. How many, and
/// from where on, is the request's affair.
pub fn filter_from(query: &mut Query) -> Filter {
    let status = query.list("status", Status::ALL.len(), Status::parse, || {
        let all: Vec<_> = Status::ALL.iter().map(|status| status.as_str()).collect();
        format!("must be a comma list of {}", all.join(", "))
    });
    let exit_code = |text: &str| text.parse::<u8>().ok().filter(|code| code.to_string() == text).map(i64::from);
    let exit = query.list("exit", EXIT_CODES, exit_code, || "must be a comma list of numbers from 0 to 255".to_owned());
    Filter {
        status: status.unwrap_or_default(),
        queue: query.text("queue", queue_name),
        tag: query.text("tag", tag),
        name: query.text("name", name),
        job: query.text("job", job_name),
        sought: Sought {
            text: query.text("q", sought),
            since: query.time("since"),
            until: query.time("until"),
            exit: exit.unwrap_or_default(),
        },
        limit: 0,
        before: None,
    }
}

/// Whether a text may be searched for.
pub fn sought(text: &str) -> Result<(), String> {
    if text.is_empty() || text.chars().count() > SOUGHT_CHARS_MAX || text.chars().any(char::is_control) {
        return Err(format!("must be 1 to {SOUGHT_CHARS_MAX} characters without control characters"));
    }
    Ok(())
}

/// The parameters again, for the path of what comes next.
pub fn parameters(filter: &Filter) -> Vec<(&'static str, String)> {
    let Sought { text, since, until, exit } = &filter.sought;
    let listed = |items: Vec<String>| (!items.is_empty()).then(|| items.join(","));
    let time = |at: &Option<UnixMs>| at.map(|at| at.to_string());
    let all = [
        ("status", listed(filter.status.iter().map(|status| status.to_string()).collect())),
        ("queue", filter.queue.clone()),
        ("tag", filter.tag.clone()),
        ("name", filter.name.clone()),
        ("job", filter.job.clone()),
        ("q", text.clone()),
        ("since", time(since)),
        ("until", time(until)),
        ("exit", listed(exit.iter().map(i64::to_string).collect())),
    ];
    all.into_iter().filter_map(|(parameter, value)| Some((parameter, value?))).collect()
}

/// A path with a query of these parameters.
pub fn path_with(path: &str, parameters: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    format!("{path}?{}", query.finish())
}
