//! What every handler can reach, and the few things that most of them do: who asks, which run, body, answer.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use futures_lite::FutureExt as _;
use futures_lite::future::Boxed;
use serde::Serialize;
use smol::lock::Semaphore;
use tide::{Response, StatusCode};

use super::address::PageAddress;
use super::open_streams::OpenStreams;
use super::query::Query;
use crate::access::Identity;
use crate::artifacts::Artifacts;
use crate::clock::UnixMs;
use crate::config::Config;
use crate::feed::{Hub, Share};
use crate::free_space::FreeSpace;
use crate::hooks::Own;
use crate::http::body::Body;
use crate::http::error::Problem;
use crate::http::head::Head;
use crate::http::middleware::grant::Grant;
use crate::http::server::reply::Whole;
use crate::http::types::fields::Fields;
use crate::http::types::limits::Offered;
use crate::inputs::Inputs;
use crate::maintenance::Maintenance;
use crate::metrics::Metrics;
use crate::run::RunId;
use crate::store::Store;
use crate::wake::Stop;

/// Said to somebody whose session or attempt ended between the head of a request and its answer.
const THROWN_OUT: &str = "the session or the run whose token this is ended while the request was under way";

/// A request to a handler.
pub type Request = tide::Request<App>;
/// What a handler answers.
pub type Answer = Result<Response, Problem>;

/// What every handler can reach; cheap to clone.
#[derive(Clone)]
pub struct App(Arc<AppParts>);

/// The parts of an [`App`].
pub struct AppParts {
    /// Runs, events, queues, sessions.
    pub store: Store,
    /// The files that runs left.
    pub artifacts: Artifacts,
    /// Readers, and the fan-out to them.
    pub hub: Hub,
    /// Whose keeper does not answer.
    pub detached: Detached,
    /// Which processes a signal has stopped.
    pub stopped_processes: StoppedProcesses,
    /// What is sent to commands that run.
    pub inputs: Inputs,
    /// Requests for a pass of maintenance.
    pub maintenance: Maintenance,
    /// Figures for `/metrics`.
    pub metrics: Arc<Metrics>,
    /// The configuration.
    pub config: Config,
    /// Whether the daemon is shutting down.
    pub stop: Stop,
    /// Open streams; the shutdown waits for them.
    pub streams: OpenStreams,
    /// Limits answers that hold a whole run, to [`WHOLE_RUNS_MAX`].
    pub whole_runs: Semaphore,
    /// Limits what is looked for without an index, to [`SEARCHES_MAX`].
    pub searches: Semaphore,
    /// Spawns the task of a stream.
    pub spawn: Spawn,
    /// Which limits runs can be given.
    pub limits: Offered,
    /// The user that commands run as.
    pub user: String,
    /// The address of the web page, where it listens on TCP.
    pub page: Option<PageAddress>,
    /// Where the daemon itself listens: no target of a hook.
    pub own: Own,
    /// When the daemon started.
    pub started_at: UnixMs,
    /// The database's file, for its size.
    pub database: std::path::PathBuf,
}

/// Answers with a whole run that are made at once; each may be as long as a request's body.
pub const WHOLE_RUNS_MAX: usize = 4;
/// Searches at once, of runs and of output; the next waits its turn. Each has the reading thread for some milliseconds at a
/// time, and what others ask waits for all of them.
pub const SEARCHES_MAX: usize = 2;

/// Says which processes of these runs are stopped, as by SIGSTOP. Runs without any are left out.
pub type StoppedProcesses = Arc<dyn Fn(BTreeSet<RunId>) -> Boxed<BTreeMap<RunId, Vec<i32>>> + Send + Sync>;

/// Says of which runs that survive the daemon nothing is heard, and since when.
pub type Detached = Arc<dyn Fn() -> BTreeMap<RunId, UnixMs> + Send + Sync>;

/// Puts a task on the one executor.
pub type Spawn = Arc<dyn Fn(Boxed<()>) + Send + Sync>;

impl App {
    /// An app of these parts.
    pub fn new(parts: AppParts) -> App {
        App(Arc::new(parts))
    }

    /// Free space on the disk that holds the database, in bytes.
    pub fn disk_free_bytes(&self) -> i64 {
        let dir = self.database.parent().unwrap_or(&self.database);
        let free = FreeSpace::at(dir).map_or(0, |space| space.free_bytes);
        i64::try_from(free).unwrap_or(i64::MAX)
    }

    /// Size of the database with its log, in bytes.
    pub fn database_bytes(&self) -> i64 {
        let size = |suffix: &str| {
            let mut path = self.database.clone().into_os_string();
            path.push(suffix);
            std::fs::metadata(path).map_or(0, |file| file.len())
        };
        i64::try_from(size("") + size("-wal")).unwrap_or(i64::MAX)
    }
}

impl std::ops::Deref for App {
    type Target = AppParts;

    fn deref(&self) -> &AppParts {
        &self.0
    }
}

/// Who asks. The gate lets no request through without an identity.
pub fn identity(request: &Request) -> Result<&Identity, Problem> {
    request.ext::<Identity>().ok_or_else(|| Problem::unauthorized("nobody is known here"))
}

/// Who asks, for events: `session:NAME` or `local:USER`.
pub fn by(request: &Request) -> Result<String, Problem> {
    identity(request).map(|identity| identity.name.clone())
}

/// The headers that handlers need.
pub fn head(request: &Request) -> Result<&Head, Problem> {
    request.ext::<Head>().ok_or_else(|| Problem::internal("a request came without its head"))
}

/// The request's parameters.
pub fn query(request: &Request) -> Query {
    Query::of(request.url().query())
}

/// Refuses every parameter.
pub fn no_query(request: &Request) -> Result<(), Problem> {
    query(request).finish()
}

/// The number in the path.
pub fn id(request: &Request, not_found: impl Fn(String) -> Problem) -> Result<i64, Problem> {
    let text = request.param("id").unwrap_or_default();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.filter(|id| *id > 0).ok_or_else(|| not_found(text.to_owned()))
}

/// The run in the path.
pub fn run_id(request: &Request) -> Result<RunId, Problem> {
    id(request, |text| Problem::run_not_found(format!("no run {text}"))).map(RunId)
}

/// The type of the body without its parameters, in lower case; empty when there is none.
pub fn content_type(request: &Request) -> Result<String, Problem> {
    let full = head(request)?.content_type()?.unwrap_or_default();
    Ok(full.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// Runs `work`, which waits for a client or a run, for as long as the requester's session or token is valid. Where that
/// ends first, `work` is dropped and the answer is 401 at once.
///
/// # Errors
/// Those of `work`; 401 where the session or token has ended.
pub async fn while_let_in<T>(request: &Request, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    let Some(grant) = request.ext::<Grant>() else { return work.await };
    let thrown_out = async {
        grant.ended().await;
        Err(Problem::challenge(THROWN_OUT))
    };
    let outcome = work.or(thrown_out).await;
    // A run's token is not waited for, and of two things at once the end counts.
    if grant.is_valid() { outcome } else { Err(Problem::challenge(THROWN_OUT)) }
}

/// The whole body.
pub async fn body(request: &Request) -> Result<Vec<u8>, Problem> {
    match request.ext::<Body>() {
        Some(body) => while_let_in(request, body.read()).await,
        None => Ok(Vec::new()),
    }
}

/// The whole body, of whatever type and of at most so many bytes.
pub async fn body_of_at_most(request: &Request, bytes_max: usize) -> Result<Vec<u8>, Problem> {
    match request.ext::<Body>() {
        Some(body) => while_let_in(request, body.read_at_most(bytes_max)).await,
        None => Ok(Vec::new()),
    }
}

/// The type of the body, which must be one of `types`, and the body. An empty body needs no type.
pub async fn typed_body(request: &Request, types: &[&str]) -> Result<(String, Vec<u8>), Problem> {
    let content_type = content_type(request)?;
    let wanted = || unsupported(&content_type, &types.join("' or 'Content-Type: "));
    let is_known = types.contains(&content_type.as_str());
    // What is empty is nothing of its type: curl gives one to `-d ''`, too.
    let is_empty = request.ext::<Body>().is_none_or(Body::is_empty);
    let is_announced = request.ext::<Body>().is_some_and(Body::is_announced);
    if !is_known && !is_empty && (is_announced || !content_type.is_empty()) {
        return Err(wanted());
    }
    let body = body(request).await?;
    if is_known || body.is_empty() { Ok((content_type, body)) } else { Err(wanted()) }
}

/// The fields of a JSON body. An empty body has none and needs no type.
pub async fn json_body(request: &Request) -> Result<Fields, Problem> {
    let (_, body) = typed_body(request, &["application/json"]).await?;
    Fields::of_body(&body)
}

/// 415.
pub fn unsupported(found: &str, wanted: &str) -> Problem {
    let found = if found.is_empty() { "a body without a Content-Type".to_owned() } else { format!("{found:?}") };
    Problem::unsupported_media_type(format!("{found} is not read here; send it with 'Content-Type: {wanted}'"))
}

/// A JSON answer.
pub fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    json_text(body).map(|text| raw_json(status, text))
}

/// A part of a JSON answer, as text.
pub fn json_text(part: &impl Serialize) -> Result<String, Problem> {
    crate::text::json(part).map_err(|error| Problem::internal(error.to_string()))
}

/// A JSON answer that is text already.
pub fn raw_json(status: StatusCode, text: String) -> Response {
    whole(status, text, "application/json")
}

/// A JSON answer that is text already. Its bytes count against the budget until the client has taken them.
pub fn shared_json(status: StatusCode, text: String, mut share: Share) -> Response {
    share.settle(text.len());
    let mut response = raw_json(status, text);
    response.insert_ext(share);
    response
}

/// A short text.
pub fn text(status: StatusCode, text: impl Into<String>) -> Response {
    whole(status, text.into(), "text/plain; charset=utf-8")
}

/// A text of this type.
pub fn whole(status: StatusCode, text: String, content_type: &'static str) -> Response {
    let mut response = Response::new(status);
    response.insert_ext(Whole { bytes: text.into(), content_type });
    response
}

/// 204.
pub fn nothing() -> Response {
    Response::new(StatusCode::NoContent)
}
