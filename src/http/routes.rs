//! The one table of paths: methods, roles and handlers. `Allow`, roles, open paths and labels are read from it.

use futures_lite::future::Boxed;
use tide::http::Method;
use tide::{Response, Server};

use super::app::{Answer, App, Request, identity, run_id};
use super::audit::Asker;
use super::handlers::{
    all_events, artifacts, bulk, cursors, drain, enrollment, events, hooks, input, jobs, log, openapi, queues, runs,
    search, sessions, system,
};
use super::page;
use super::server::bridge::RouteLabel;
use crate::access::{Identity, Role};
use crate::http::error::Problem;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Everybody, without a token.
    Nothing,
    /// This role or one above it.
    Role(Role),
    /// The same, or the command of the run in the path, by its run token.
    RoleOrRun(Role),
    /// The same, or somebody who may start some jobs, where the path names one of them, a run of one, or neither.
    RoleOrJob(Role),
}

const VIEWER: Needs = Needs::Role(Role::Viewer);
const OPERATOR: Needs = Needs::Role(Role::Operator);
const OPERATOR_OR_RUN: Needs = Needs::RoleOrRun(Role::Operator);
const VIEWER_OR_JOB: Needs = Needs::RoleOrJob(Role::Viewer);
const OPERATOR_OR_JOB: Needs = Needs::RoleOrJob(Role::Operator);
const ADMIN: Needs = Needs::Role(Role::Admin);
const ANYONE: Needs = Needs::Nothing;

/// A method of a path: who may use it, and what answers.
pub struct Route {
    /// As tide writes it: `:id` and `:name` stand for one segment, `*` for the rest.
    pub path: &'static str,
    /// The method; a GET answers HEAD too.
    pub method: Method,
    /// Who may.
    pub needs: Needs,
    handler: fn(Request) -> Boxed<Answer>,
}

/// The table as it is read: method, path, who may, handler.
macro_rules! routes {
    ($($method:ident $path:literal $needs:ident $handler:path;)+) => {
        /// Every route. The router, `Allow`, roles, the gate's open paths, the labels of the metrics and the tests read it.
        pub const ROUTES: &[Route] = &[$(Route {
            path: $path,
            method: Method::$method,
            needs: $needs,
            handler: |request| Box::pin($handler(request)),
        },)+];
    };
}

routes! {
    Get    "/"                         ANYONE          page::read;
    Get    "/page/*"                   ANYONE          page::read;
    Get    "/healthz"                  ANYONE          system::healthz;
    Get    "/readyz"                   ANYONE          system::readyz;
    Get    "/openapi.json"             ANYONE          openapi::read;
    Get    "/metrics"                  VIEWER          system::metrics;
    Get    "/v1/system"                VIEWER          system::system;
    Post   "/v1/maintenance"           ADMIN           system::maintenance;
    Get    "/v1/drain"                 VIEWER          drain::get;
    Put    "/v1/drain"                 ADMIN           drain::put;
    Delete "/v1/drain"                 ADMIN           drain::delete;
    Get    "/v1/runs"                  VIEWER          runs::list;
    Post   "/v1/runs"                  OPERATOR        runs::submit;
    Post   "/v1/runs/cancel"           OPERATOR        bulk::cancel;
    Post   "/v1/runs/retry"            OPERATOR        bulk::retry;
    Get    "/v1/runs/:id"              VIEWER_OR_JOB   runs::get;
    Patch  "/v1/runs/:id"              OPERATOR        runs::change;
    Delete "/v1/runs/:id"              OPERATOR        runs::delete;
    Get    "/v1/runs/:id/exit_code"    VIEWER_OR_JOB   runs::exit_code;
    Post   "/v1/runs/:id/cancel"       OPERATOR        runs::cancel;
    Post   "/v1/runs/:id/retry"        OPERATOR        runs::retry;
    Get    "/v1/runs/:id/events"       VIEWER_OR_JOB   events::read;
    Post   "/v1/runs/:id/events"       OPERATOR_OR_RUN events::append;
    Post   "/v1/runs/:id/stdin"        OPERATOR        input::send;
    Post   "/v1/runs/:id/resize"       OPERATOR        input::resize;
    Get    "/v1/runs/:id/log"          VIEWER_OR_JOB   log::read;
    Get    "/v1/runs/:id/artifacts"    VIEWER_OR_JOB   artifacts::list;
    Get    "/v1/runs/:id/artifacts/*"  VIEWER_OR_JOB   artifacts::read;
    Get    "/v1/events"                VIEWER          all_events::read;
    Get    "/v1/cursors"               VIEWER          cursors::list;
    Get    "/v1/cursors/:name"         VIEWER          cursors::get;
    Put    "/v1/cursors/:name"         OPERATOR        cursors::put;
    Delete "/v1/cursors/:name"         OPERATOR        cursors::delete;
    Get    "/v1/search"                VIEWER          search::read;
    Get    "/v1/jobs"                  VIEWER_OR_JOB   jobs::list;
    Post   "/v1/jobs/preview"          VIEWER          jobs::preview;
    Get    "/v1/jobs/:name"            VIEWER_OR_JOB   jobs::get;
    Put    "/v1/jobs/:name"            OPERATOR        jobs::put;
    Patch  "/v1/jobs/:name"            OPERATOR        jobs::change;
    Delete "/v1/jobs/:name"            OPERATOR        jobs::delete;
    Post   "/v1/jobs/:name/runs"       OPERATOR_OR_JOB jobs::start;
    Get    "/v1/jobs/:name/firings"    VIEWER_OR_JOB   jobs::firings;
    Get    "/v1/hooks"                 ADMIN           hooks::list;
    Get    "/v1/hooks/:name"           ADMIN           hooks::get;
    Put    "/v1/hooks/:name"           ADMIN           hooks::put;
    Patch  "/v1/hooks/:name"           ADMIN           hooks::change;
    Delete "/v1/hooks/:name"           ADMIN           hooks::delete;
    Post   "/v1/hooks/:name/test"      ADMIN           hooks::test;
    Get    "/v1/hooks/:name/deliveries" ADMIN          hooks::deliveries;
    Post   "/v1/hooks/:name/deliveries/:id/redeliver" ADMIN hooks::redeliver;
    Get    "/v1/queues"                VIEWER          queues::list;
    Get    "/v1/queues/:name"          VIEWER          queues::get;
    Put    "/v1/queues/:name"          ADMIN           queues::put;
    Delete "/v1/queues/:name"          ADMIN           queues::delete;
    Get    "/v1/enrollment-tokens"     ADMIN           enrollment::list;
    Post   "/v1/enrollment-tokens"     ADMIN           enrollment::make;
    Delete "/v1/enrollment-tokens/:id" ADMIN           enrollment::delete;
    Post   "/v1/enroll"                ANYONE          enrollment::enroll;
    Get    "/v1/sessions"              ADMIN           sessions::list;
    Delete "/v1/sessions/:id"          ADMIN           sessions::revoke;
    Get    "/v1/session"               VIEWER_OR_JOB   sessions::who_am_i;
    Delete "/v1/session"               VIEWER_OR_JOB   sessions::log_out;
}

/// Answers by [`ROUTES`].
pub fn router(app: App) -> Server<App> {
    let mut server = tide::with_state(app);
    for route in ROUTES {
        server.at(route.path).method(route.method, move |request| answer(route, request));
    }
    for path in ROUTES.chunk_by(|one, next| one.path == next.path) {
        let path = path[0].path;
        let allow = allow(path);
        server.at(path).all(move |_| {
            let response = labeled(Problem::wrong_method(&allow).into(), path);
            async { Ok(response) }
        });
    }
    server.at("/*").all(async |request: Request| {
        Ok(Response::from(Problem::not_found(format!("there is nothing at {}", request.url().path()))))
    });
    server
}

/// Whether everybody may send this, without a token.
pub fn is_open(method: &str, path: &str) -> bool {
    let method = if method == "HEAD" { "GET" } else { method };
    let is_it = |route: &Route| match route.path.strip_suffix('*') {
        // A file that is not there is not told apart from any other path.
        Some(folder) => path.starts_with(folder) && page::is_file(path),
        None => route.path == path,
    };
    ROUTES.iter().any(|route| route.needs == Needs::Nothing && route.method.as_ref() == method && is_it(route))
}

/// The methods that a path takes, as `Allow` lists them.
fn allow(path: &str) -> String {
    let of_path = ROUTES.iter().filter(|route| route.path == path);
    let mut allow: Vec<&str> = of_path.map(|route| route.method.as_ref()).collect();
    if allow.contains(&"GET") {
        allow.push("HEAD");
    }
    allow.join(", ")
}

async fn answer(route: &'static Route, request: Request) -> tide::Result {
    // `/v1/runs/retry` is no run of that name, whatever the method.
    let literal = ROUTES.iter().find(|other| other.path != route.path && other.path == request.url().path());
    if let Some(known) = literal {
        return Ok(labeled(Problem::wrong_method(&allow(known.path)).into(), known.path));
    }
    let asker = (route.method != Method::Get).then(|| Asker::of(&request));
    let answer = match allowed(&request, route.needs).await {
        Ok(()) => (route.handler)(request).await,
        Err(problem) => Err(problem),
    };
    let response = answer.unwrap_or_else(|problem| {
        if problem.status == 500 {
            ::log::error!("{}: {}", route.path, problem.detail);
        }
        problem.into()
    });
    let response = labeled(response, route.path);
    if let Some(asker) = asker {
        asker.tell(&response);
    }
    Ok(response)
}

fn labeled(mut response: Response, path: &'static str) -> Response {
    response.insert_ext(RouteLabel(path));
    response
}

/// Checks the role. A run token, and a session that is bound to jobs, are let through only where the route names them.
async fn allowed(request: &Request, needs: Needs) -> Result<(), Problem> {
    let needed = match needs {
        Needs::Nothing => return Ok(()),
        Needs::Role(role) | Needs::RoleOrRun(role) | Needs::RoleOrJob(role) => role,
    };
    let Identity { role, scope, jobs, .. } = identity(request)?;
    if let Some(own) = scope {
        if matches!(needs, Needs::RoleOrRun(_)) && run_id(request).is_ok_and(|run| run == *own) {
            return Ok(());
        }
        return Err(Problem::forbidden(format!(
            "the token of run {own} appends events to that run, and does nothing else"
        )));
    }
    if let Some(own) = jobs {
        if matches!(needs, Needs::RoleOrJob(_)) && is_of(request, own).await? {
            return Ok(());
        }
        return Err(Problem::forbidden(format!("this may start and follow {}, and do nothing else", own.join(", "))));
    }
    if role.may(needed) {
        return Ok(());
    }
    Err(Problem::forbidden(format!("this needs the role {needed}; yours is {role}")))
}

/// Whether the path names one of these jobs, a run of one of them, or neither job nor run.
async fn is_of(request: &Request, own: &[String]) -> Result<bool, Problem> {
    if let Ok(name) = request.param("name") {
        return Ok(own.iter().any(|job| job == name));
    }
    if request.param("id").is_err() {
        return Ok(true);
    }
    // A run that is not there is refused like one of somebody else's.
    let Ok(run) = run_id(request) else { return Ok(false) };
    Ok(request.state().store.job_of_run(run).await?.is_some_and(|job| own.contains(&job)))
}
