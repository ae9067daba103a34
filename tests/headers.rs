//! What every answer says to browsers and caches, whoever asked for what.

use crate::common::Daemon;

#[test]
fn every_answer_forbids_keeping_guessing_framing_and_running() {
    let daemon = Daemon::start();
    let network = daemon.tcp();
    let answers = [
        ("a list", daemon.get("/v1/runs")),
        ("a text", daemon.get("/healthz")),
        ("figures", daemon.get("/metrics")),
        ("an unknown path", daemon.get("/nowhere")),
        ("a refusal before routing", network.get("/v1/runs")),
        ("a wrong method", daemon.call("PUT", "/v1/runs").send()),
    ];
    for (what, answer) in answers {
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("referrer-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name} of {what}");
        }
        assert_eq!(answer.header("access-control-allow-origin"), None, "{what}");
    }
}
