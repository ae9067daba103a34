//! The one table of paths: what each takes, and which role that needs. `Allow` comes from here.

use std::future::Future;
use std::sync::Arc;

use tide::http::Method;
use tide::{Response, Server};

use super::Problem;
use super::app::{Answer, App, Request, identity, run_id};
use super::audit::Asker;
use super::handlers::{all_events, drain, enrollment, events, log, openapi, queues, runs, sessions, system};
use super::page;
use super::server::RouteLabel;
use crate::access::{Identity, Role};

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Everybody; the gate knows these paths too.
    Nothing,
    /// This role or one above it.
    Role(Role),
    /// The same, or the command of the very run that is in the path, by its token.
    RoleOrRun(Role),
}

const VIEWER: Needs = Needs::Role(Role::Viewer);
const OPERATOR: Needs = Needs::Role(Role::Operator);
const OPERATOR_OR_RUN: Needs = Needs::RoleOrRun(Role::Operator);
const ADMIN: Needs = Needs::Role(Role::Admin);
const ANYONE: Needs = Needs::Nothing;

/// Every path that is answered.
pub fn routes(app: App) -> Server<App> {
    let mut server = tide::with_state(app);
    Path::at(&mut server, "/").get(ANYONE, page::read);
    Path::at(&mut server, "/page/*").get(ANYONE, page::read);
    Path::at(&mut server, "/healthz").get(ANYONE, system::healthz);
    Path::at(&mut server, "/readyz").get(ANYONE, system::readyz);
    Path::at(&mut server, "/openapi.json").get(ANYONE, openapi::read);
    Path::at(&mut server, "/metrics").get(VIEWER, system::metrics);
    Path::at(&mut server, "/v1/system").get(VIEWER, system::system);
    Path::at(&mut server, "/v1/maintenance").post(ADMIN, system::maintenance);
    Path::at(&mut server, "/v1/drain").get(VIEWER, drain::get).put(ADMIN, drain::put).delete(ADMIN, drain::delete);
    Path::at(&mut server, "/v1/runs").get(VIEWER, runs::list).post(OPERATOR, runs::submit);
    Path::at(&mut server, "/v1/runs/:id")
        .get(VIEWER, runs::get)
        .patch(OPERATOR, runs::change)
        .delete(OPERATOR, runs::delete);
    Path::at(&mut server, "/v1/runs/:id/exit_code").get(VIEWER, runs::exit_code);
    Path::at(&mut server, "/v1/runs/:id/cancel").post(OPERATOR, runs::cancel);
    Path::at(&mut server, "/v1/runs/:id/retry").post(OPERATOR, runs::retry);
    Path::at(&mut server, "/v1/runs/:id/events").get(VIEWER, events::read).post(OPERATOR_OR_RUN, events::append);
    Path::at(&mut server, "/v1/runs/:id/log").get(VIEWER, log::read);
    Path::at(&mut server, "/v1/events").get(VIEWER, all_events::read);
    Path::at(&mut server, "/v1/queues").get(VIEWER, queues::list);
    Path::at(&mut server, "/v1/queues/:name")
        .get(VIEWER, queues::get)
        .put(ADMIN, queues::put)
        .delete(ADMIN, queues::delete);
    Path::at(&mut server, "/v1/enrollment-tokens").get(ADMIN, enrollment::list).post(ADMIN, enrollment::make);
    Path::at(&mut server, "/v1/enrollment-tokens/:id").delete(ADMIN, enrollment::delete);
    Path::at(&mut server, "/v1/enroll").post(ANYONE, enrollment::enroll);
    Path::at(&mut server, "/v1/sessions").get(ADMIN, sessions::list);
    Path::at(&mut server, "/v1/sessions/:id").delete(ADMIN, sessions::revoke);
    Path::at(&mut server, "/v1/session").get(VIEWER, sessions::who_am_i).delete(VIEWER, sessions::log_out);
    server.at("/*").all(async |request: Request| {
        Ok(Response::from(Problem::not_found(format!("there is nothing at {}", request.url().path()))))
    });
    server
}

/// A method of [`Path`] for each of HTTP's.
macro_rules! verbs {
    ($($verb:ident = $method:ident),+) => {$(
        fn $verb<F>(self, needs: Needs, handler: impl Fn(Request) -> F + Send + Sync + 'static) -> Path<'a>
        where
            F: Future<Output = Answer> + Send + 'static,
        {
            self.take(Method::$method, needs, handler)
        }
    )+};
}

/// One path under construction; when it is dropped, every method that it does not take is answered with 405.
struct Path<'a> {
    server: &'a mut Server<App>,
    path: &'static str,
    methods: Vec<Method>,
}

impl<'a> Path<'a> {
    fn at(server: &'a mut Server<App>, path: &'static str) -> Path<'a> {
        Path { server, path, methods: Vec::new() }
    }

    fn take<F>(
        mut self,
        method: Method,
        needs: Needs,
        handler: impl Fn(Request) -> F + Send + Sync + 'static,
    ) -> Path<'a>
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        self.methods.push(method);
        let path = self.path;
        let handler = Arc::new(handler);
        self.server.at(path).method(method, move |request: Request| {
            let handler = handler.clone();
            let asker = (method != Method::Get).then(|| Asker::of(&request));
            async move {
                let answer = match allowed(&request, needs) {
                    Ok(()) => handler(request).await,
                    Err(problem) => Err(problem),
                };
                let mut response = answer.unwrap_or_else(|problem| {
                    if problem.status == 500 {
                        ::log::error!("{path}: {}", problem.detail);
                    }
                    problem.into()
                });
                response.insert_ext(RouteLabel(path));
                if let Some(asker) = asker {
                    asker.tell(&response);
                }
                Ok(response)
            }
        });
        self
    }

    verbs! { get = Get, post = Post, put = Put, patch = Patch, delete = Delete }
}

impl Drop for Path<'_> {
    fn drop(&mut self) {
        let mut allow: Vec<&str> = self.methods.iter().map(|method| method.as_ref()).collect();
        if allow.contains(&"GET") {
            allow.push("HEAD");
        }
        let (allow, path) = (allow.join(", "), self.path);
        self.server.at(path).all(move |_| {
            let mut response = Response::from(Problem::wrong_method(&allow));
            response.insert_ext(RouteLabel(path));
            async { Ok(response) }
        });
    }
}

/// The one place where it is decided who may what; nothing that has a scope gets by without its route naming it.
fn allowed(request: &Request, needs: Needs) -> Result<(), Problem> {
    let (needed, is_open_to_run) = match needs {
        Needs::Nothing => return Ok(()),
        Needs::Role(role) => (role, false),
        Needs::RoleOrRun(role) => (role, true),
    };
    let Identity { role, scope, .. } = identity(request)?;
    if let Some(own) = scope {
        if is_open_to_run && run_id(request).is_ok_and(|run| run == *own) {
            return Ok(());
        }
        return Err(Problem::forbidden(format!(
            "the token of run {own} appends events to that run, and does nothing else"
        )));
    }
    if role.may(needed) {
        return Ok(());
    }
    Err(Problem::forbidden(format!("this needs the role {needed}; yours is {role}")))
}
