//! Durable cursors: made, moved, shown, removed.

use serde_json::json;

use crate::common::{Daemon, Tape};

#[test]
fn cursors() {
    let daemon = Daemon::start();
    daemon.wait_ended(daemon.sh("true"));
    let mut tape = Tape::new("cursors", &daemon);
    tape.ask("a new cursor", daemon.call("PUT", "/v1/cursors/report").json(&json!({"id": 1})));
    tape.ask("a move", daemon.call("PUT", "/v1/cursors/report").json(&json!({"id": 2})));
    tape.ask("beyond the newest", daemon.call("PUT", "/v1/cursors/report").json(&json!({"id": 4711})));
    let other = json!({"id": 1, "instance": "abcdefghijkl"});
    tape.ask("of another database", daemon.call("PUT", "/v1/cursors/report").json(&other));
    tape.ask("nowhere", daemon.call("PUT", "/v1/cursors/Report").json(&json!({"id": -1, "at": 2})));
    tape.ask("the cursors", daemon.call("GET", "/v1/cursors"));
    tape.ask("the cursors, with what is not known", daemon.call("GET", "/v1/cursors?limit=1"));
    tape.ask("the cursor", daemon.call("GET", "/v1/cursors/report"));
    tape.ask("no cursor", daemon.call("GET", "/v1/cursors/none"));
    tape.ask("a removal", daemon.call("DELETE", "/v1/cursors/report"));
    tape.ask("a removal of nothing", daemon.call("DELETE", "/v1/cursors/report"));
    tape.check();
}
