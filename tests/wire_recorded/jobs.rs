//! Jobs: made, shown, changed, started, removed.

use serde_json::json;

use crate::common::{Daemon, Tape};

#[test]
fn jobs() {
    let daemon = Daemon::start();
    let mut tape = Tape::new("jobs", &daemon);
    let job = json!({
        "run": {"script": "true", "env": {"K": "V"}},
        "schedule": "30 2 29 2 *",
        "zone": "Europe/Berlin",
        "enabled": false,
        "params": {"room": {"type": "choice", "of": ["a", "b"], "default": "a"}},
    });
    tape.ask("a new job", daemon.call("PUT", "/v1/jobs/leap").json(&job));
    tape.ask(
        "a day that never comes",
        daemon.call("PUT", "/v1/jobs/x").json(&json!({"run": {}, "schedule": "0 0 30 2 *"})),
    );
    tape.ask("the jobs", daemon.call("GET", "/v1/jobs"));
    tape.ask("a limit that is none", daemon.call("GET", "/v1/jobs?limit=0"));
    tape.ask("the job", daemon.call("GET", "/v1/jobs/leap"));
    tape.ask("no job", daemon.call("GET", "/v1/jobs/none"));
    let old = daemon.call("PATCH", "/v1/jobs/leap").json(&json!({"enabled": false})).header("If-Match", "\"0\"");
    tape.ask("a change of what it was", old);
    tape.ask("a change", daemon.call("PATCH", "/v1/jobs/leap").json(&json!({"enabled": false})));
    let start = |room: &str| daemon.call("POST", "/v1/jobs/leap/runs").json(&json!({"params": {"room": room}}));
    daemon.put("/v1/queues/default", &json!({"paused": true})).expect(200);
    tape.ask("a start", start("b"));
    tape.ask("a start with a value that is none", start("c"));
    tape.ask("its firings", daemon.call("GET", "/v1/jobs/leap/firings"));
    tape.ask("firings of no job", daemon.call("GET", "/v1/jobs/none/firings"));
    let ask = json!({"schedule": "30 2 * * *", "zone": "Europe/Berlin", "from": "2024-03-30T12:00:00Z", "count": 2});
    tape.ask("a preview", daemon.call("POST", "/v1/jobs/preview").json(&ask));
    tape.ask("a preview of nothing", daemon.call("POST", "/v1/jobs/preview").json(&json!({})));
    tape.ask("a removal", daemon.call("DELETE", "/v1/jobs/leap"));
    tape.ask("a removal of nothing", daemon.call("DELETE", "/v1/jobs/leap"));
    tape.check();
}
