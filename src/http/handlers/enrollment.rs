//! `/v1/enrollment-tokens` and `/v1/enroll`: tokens with which new sessions are made.
//!
//! A token in clear stands in one answer, and never in a log line, an event or an error.

use serde_json::json;
use tide::StatusCode;

use crate::access::{Role, SESSION_TTL_MAX_S, Token, TokenKind};
use crate::http::app::{self, Answer, Request, json_body, no_query, nothing};
use crate::http::audit::{did, did_as};
use crate::http::error::Problem;
use crate::http::middleware::who::{Peer, cookie_max_age_s, cookie_name, session_cookie};
use crate::http::types::fields::Fields;
use crate::http::types::incoming::name;
use crate::http::types::jobs::job_name;
use crate::store::{NewEnrollmentToken, Redeem, Refusal, StoreError};
use crate::wire::{EnrollmentTokenBody, SessionBody};

/// The longest life of an enrollment token, in seconds: a week.
const TTL_MAX_S: i64 = 604_800;
/// Sessions that one token makes, at most.
const USES_MAX: i64 = 1_000;

/// Jobs that a session may be bound to.
const JOBS_MAX: usize = 100;

/// `POST /v1/enrollment-tokens`
pub async fn make(request: Request) -> Answer {
    no_query(&request)?;
    let app = request.state();
    let mut fields = json_body(&request).await?;
    if !fields.gives("role") {
        fields.wrong("role", "required", "must be one of trigger, viewer, operator, admin");
    }
    let role = fields.word("role", Role::ALL, Role::as_str);
    let jobs = jobs_of(&mut fields, role);
    let ttl_s = fields.integer("ttl_s", 1, TTL_MAX_S).unwrap_or(app.config.sessions.enrollment_ttl_s as i64);
    let max_uses = fields.integer("max_uses", 1, USES_MAX).unwrap_or(1);
    let label = fields.text("label", name);
    let session_ttl_s = fields.integer("session_ttl_s", 0, SESSION_TTL_MAX_S);
    fields.finish()?;
    let token = new_token(TokenKind::Enrollment)?;
    let new = NewEnrollmentToken {
        token_sha256: token.sha256(),
        role: role.unwrap_or(Role::Viewer),
        jobs,
        label,
        max_uses,
        ttl_s,
        session_ttl_s,
    };
    let made = app.store.make_enrollment_token(new).await?;
    let response = app::json(StatusCode::Created, &EnrollmentTokenBody::new(&made, Some(token.reveal())))?;
    Ok(did(response, format_args!("enrollment token {} for the role {} was made", made.id, made.role)))
}

/// The jobs that the role `trigger` is bound to; no other role has any. They need not exist yet.
fn jobs_of(fields: &mut Fields, role: Option<Role>) -> Option<Vec<String>> {
    let (is_given, is_empty) = (fields.gives("jobs"), fields.gives_nothing_in("jobs"));
    match role {
        Some(Role::Trigger) if !is_given => {
            fields.wrong("jobs", "required", "the role trigger is bound to jobs: give their names");
        }
        Some(Role::Trigger) if is_empty => fields.wrong("jobs", "range", "must name a job at least"),
        Some(Role::Viewer | Role::Operator | Role::Admin) if is_given => {
            fields.wrong("jobs", "exclusive", "is for the role trigger alone");
        }
        _ => {}
    }
    fields.texts("jobs", JOBS_MAX, job_name)
}

/// `GET /v1/enrollment-tokens`
pub async fn list(request: Request) -> Answer {
    no_query(&request)?;
    let tokens = request.state().store.enrollment_tokens().await?;
    let bodies: Vec<_> = tokens.iter().map(|token| EnrollmentTokenBody::new(token, None)).collect();
    app::json(StatusCode::Ok, &json!({ "enrollment_tokens": bodies }))
}

/// `DELETE /v1/enrollment-tokens/:id`
pub async fn delete(request: Request) -> Answer {
    no_query(&request)?;
    let id = app::id(&request, |text| Problem::not_found(format!("no enrollment token {text}")))?;
    request.state().store.delete_enrollment_token(id).await?;
    Ok(did(nothing(), format_args!("enrollment token {id} was withdrawn")))
}

/// `POST /v1/enroll`
pub async fn enroll(request: Request) -> Answer {
    no_query(&request)?;
    let app = request.state();
    let peer = request.ext::<Peer>().cloned().ok_or_else(|| Problem::internal("a request came without its peer"))?;
    let mut fields = json_body(&request).await?;
    let given = fields.text("token", |_| Ok(()));
    let session_name = fields.text("name", name);
    let agent = fields.text("agent", name);
    let wants_cookie = fields.boolean("cookie").unwrap_or(false);
    if given.is_none() && fields.is_right() {
        fields.wrong("token", "required", "must be an enrollment token, which starts with rbe_");
    }
    fields.finish()?;
    let given = given.unwrap_or_default();
    let invalid = || peer.refuse_token(&given, Refusal::EnrollmentInvalid.into());
    let enrollment = Token::parse(TokenKind::Enrollment, &given).ok_or_else(invalid)?;
    let token = new_token(TokenKind::Session)?;
    let redeem = Redeem {
        enrollment_sha256: enrollment.sha256(),
        session_sha256: if wants_cookie { token.cookie_sha256() } else { token.sha256() },
        name: session_name,
        agent,
        address: peer.address.map(|address| address.to_string()),
        default_ttl_s: app.config.sessions.ttl_s as i64,
    };
    let session = match app.store.redeem(redeem).await {
        Err(StoreError::Refused(Refusal::EnrollmentInvalid)) => return Err(invalid()),
        outcome => outcome?,
    };
    let enrolled = |response| {
        let by = format!("session:{}", session.name);
        Ok(did_as(response, format_args!("session {} of the role {} was enrolled", session.id, session.role), by))
    };
    let body = SessionBody::new(&session, Some(session.id));
    if !wants_cookie {
        let body = json!({ "session_token": token.reveal(), "session": body });
        return enrolled(app::json(StatusCode::Created, &body)?);
    }
    let mut response = app::json(StatusCode::Created, &json!({ "session": body }))?;
    let (name, max_age_s) = (cookie_name(&app.store), cookie_max_age_s(session.ttl_s));
    response.insert_header("set-cookie", session_cookie(&name, token.reveal(), max_age_s, peer.https));
    enrolled(response)
}

fn new_token(kind: TokenKind) -> Result<Token, Problem> {
    Token::make(kind).map_err(|error| Problem::internal(format!("the system gave no random bytes: {error}")))
}
