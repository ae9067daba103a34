//! Hooks: made, shown, changed, tested, removed.

use std::net::TcpListener;

use serde_json::json;

use crate::common::{Daemon, Tape};

#[test]
fn hooks() {
    let daemon = Daemon::start();
    let mut tape = Tape::new("hooks", &daemon);
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let hook = json!({"url": "http://127.0.0.1:9/x", "secret": secret, "on": ["timed_out", "failed"], "tag": "told", "enabled": false});
    tape.ask("a new hook", daemon.call("PUT", "/v1/hooks/told").json(&hook));
    tape.ask("a target that is none", daemon.call("PUT", "/v1/hooks/x").json(&json!({"url": "ftp://a/"})));
    tape.ask("the hooks", daemon.call("GET", "/v1/hooks"));
    tape.ask("the hooks, with what is not known", daemon.call("GET", "/v1/hooks?limit=1"));
    tape.ask("the hook", daemon.call("GET", "/v1/hooks/told"));
    tape.ask("no hook", daemon.call("GET", "/v1/hooks/none"));
    tape.ask("a change", daemon.call("PATCH", "/v1/hooks/told").json(&json!({"enabled": false})));
    tape.ask("a change of nothing", daemon.call("PATCH", "/v1/hooks/told").json(&json!({})));
    tape.ask("a test of what is disabled", daemon.call("POST", "/v1/hooks/told/test"));
    tape.ask("its deliveries", daemon.call("GET", "/v1/hooks/told/deliveries"));
    tape.ask("deliveries of no hook", daemon.call("GET", "/v1/hooks/none/deliveries"));
    tape.ask("no delivery", daemon.call("POST", "/v1/hooks/told/deliveries/7/redeliver"));
    // Somebody who takes connections and says nothing, so that nothing comes of what is sent.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let hook = json!({"url": format!("http://{}/", silent.local_addr().unwrap())});
    daemon.put("/v1/hooks/silent", &hook).expect(201);
    tape.ask("a test", daemon.call("POST", "/v1/hooks/silent/test"));
    tape.ask("a delivery again", daemon.call("POST", "/v1/hooks/silent/deliveries/1/redeliver"));
    tape.ask("a removal", daemon.call("DELETE", "/v1/hooks/told"));
    tape.ask("a removal of nothing", daemon.call("DELETE", "/v1/hooks/told"));
    tape.check();
}
