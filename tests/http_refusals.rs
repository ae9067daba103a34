//! Which refusal comes first where several are due, and which methods a path has.

use std::collections::BTreeSet;

use crate::common::{Call, Daemon, Opening, page_file};
use crate::http_errors::{Case, problem, submit};

#[test]
fn the_order_of_refusals_is_host_origin_who_path_method_role_headers_body() {
    let daemon = Daemon::start();
    let (tcp, viewer, operator) = (daemon.tcp(), daemon.tcp_as("viewer"), daemon.tcp_as("operator"));
    let evil = |call: Call| call.header("Host", "evil.example");
    let foreign = |call: Call| call.header("Origin", "http://evil.example");
    let cases = vec![
        Case::new("host before all", evil(foreign(tcp.call("POST", "/nowhere"))), "host_not_allowed"),
        Case::new("origin before who", foreign(tcp.call("POST", "/nowhere")), "origin_not_allowed"),
        Case::new("who before path", tcp.call("GET", "/nowhere"), "unauthorized"),
        Case::new("who before method", tcp.call("PUT", "/v1/runs"), "unauthorized"),
        Case::new("path before all the rest", viewer.call("BREW", "/nowhere"), "not_found"),
        Case::new("method before role", viewer.call("DELETE", "/v1/runs"), "method_not_allowed"),
        Case::new("role before headers", viewer.call("POST", "/v1/runs").body("text/csv", b"{"), "forbidden"),
        Case::new("role before what there is", viewer.call("DELETE", "/v1/runs/4242"), "forbidden"),
        Case::new("headers before body", submit(&operator, "{").header("Idempotency-Key", ""), "bad_request"),
        Case::new(
            "type before body",
            operator.call("POST", "/v1/runs").body("text/csv", b"{"),
            "unsupported_media_type",
        ),
    ];
    cases.into_iter().for_each(|case| _ = case.check());
    let upgrade = Opening::new(&tcp, "/nowhere".to_owned()).refused();
    problem("an upgrade is asked who it is, too", &upgrade, "unauthorized");
    let upgrade = Opening::new(&viewer, "/nowhere".to_owned()).header("Origin", "http://evil.example").refused();
    problem("an upgrade is asked where it is from, too", &upgrade, "origin_not_allowed");
}

#[test]
fn a_known_path_names_its_methods_and_an_unknown_one_has_none() {
    let daemon = Daemon::start();
    let routes: &[(&str, &[&str])] = &[
        ("/", &["GET"]),
        (page_file("app.js"), &["GET"]),
        ("/healthz", &["GET"]),
        ("/readyz", &["GET"]),
        ("/metrics", &["GET"]),
        ("/v1/system", &["GET"]),
        ("/v1/drain", &["GET", "PUT", "DELETE"]),
        ("/v1/maintenance", &["POST"]),
        ("/v1/runs", &["GET", "POST"]),
        ("/v1/runs/7", &["GET", "PATCH", "DELETE"]),
        ("/v1/runs/7/exit_code", &["GET"]),
        ("/v1/runs/7/cancel", &["POST"]),
        ("/v1/runs/7/retry", &["POST"]),
        ("/v1/runs/7/events", &["GET", "POST"]),
        ("/v1/queues", &["GET"]),
        ("/v1/queues/default", &["GET", "PUT", "DELETE"]),
        ("/v1/enrollment-tokens", &["GET", "POST"]),
        ("/v1/enrollment-tokens/7", &["DELETE"]),
        ("/v1/enroll", &["POST"]),
        ("/v1/sessions", &["GET"]),
        ("/v1/sessions/7", &["DELETE"]),
        ("/v1/session", &["GET", "DELETE"]),
    ];
    for (path, methods) in routes {
        let mut wanted: BTreeSet<&str> = methods.iter().copied().collect();
        if wanted.contains("GET") {
            wanted.insert("HEAD");
        }
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "get"] {
            let what = format!("{method} {path}");
            let response = daemon.call(method, path).send();
            if wanted.contains(method) {
                assert_ne!(response.status, 405, "{what}");
                continue;
            }
            if method == "HEAD" {
                assert_eq!((response.status, response.body.len()), (405, 0), "{what}");
            } else {
                problem(&what, &response, "method_not_allowed");
            }
            let allow = response.header("allow").unwrap();
            assert_eq!(allow.split(',').map(str::trim).collect::<BTreeSet<_>>(), wanted, "{what}");
        }
    }
    for path in ["/v1", "/v1/", "/v1/run", "/v1/runs/7/nothing", "/v1/runs/7/events/1", "/v1/queues/a/b", "/robots.txt"]
    {
        for method in ["GET", "POST", "BREW"] {
            problem(path, &daemon.call(method, path).send(), "not_found");
        }
    }
    for path in ["/v1//runs", "/v1/../v1/runs", "/v1/%2e%2e/x", "/v1/runs/%", "//"] {
        problem(path, &daemon.call("GET", path).send(), "bad_request");
    }
}
