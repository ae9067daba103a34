//! A box in Home Assistant: what it shows, and that it stays true whatever dies.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use super::common::broker::{Box, Broker, Ear, mqtt, mqtt_command};
use super::common::link::Link;
use super::common::{Daemon, eventually, free_port, http_get};

fn job(daemon: &Daemon, name: &str, body: &str) {
    daemon.ask("PUT", &format!("/v1/jobs/{name}"), body).unwrap();
}

fn is_online(ear: &Ear, at: &Box) {
    eventually("online", || (ear.last(&at.topic("status"))? == "online").then_some(()));
}

#[test]
fn a_box_describes_itself_and_shows_its_runs() {
    for protocol in ["5", "3.1.1"] {
        let (broker, daemon) = (Broker::start(), Daemon::start());
        let at = Box::of(&daemon);
        job(&daemon, "nightly", r#"{"run":{"script":"exit 3","name":"backup {{ 7*7 }} \"ä\" \u2028"}}"#);
        job(&daemon, "needs-room", r#"{"run":{"script":"true"},"params":{"room":{"type":"choice","of":["a"]}}}"#);
        let ear = broker.ear();
        let mut bridge = mqtt(&broker.url(), &daemon, &["--protocol", protocol, "--name", "Scheune \"7\" {{ 1 }}"]);
        is_online(&ear, &at);
        let config = ear.json(&at.config(), |_| true);
        assert_eq!(config["device"]["name"], "Scheune \"7\" {{ 1 }}");
        assert_eq!(config["device"]["identifiers"], json!([format!("runabout_{}", at.id)]));
        let keys: Vec<_> = config["components"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["queued", "running", "failure", "event", "job_nightly"]);
        assert_eq!(config["components"]["job_nightly"]["command_topic"], at.press("nightly"));
        assert_eq!(ear.json(&at.topic("runs"), |_| true), json!({ "queued": 0, "running": 0 }));
        assert_eq!(ear.json(&at.topic("failure"), |_| true)["run"], Value::Null);

        let good = daemon.submit(r#"{"script":"exit 0","tags":["a/b","ü"]}"#).unwrap();
        let end = ear.json(&at.topic("event"), |end| end["run"] == good);
        assert_eq!((&end["event_type"], &end["tags"]), (&json!("succeeded"), &json!(["a/b", "ü"])));
        let bad = daemon.ask("POST", "/v1/jobs/nightly/runs", "{}").unwrap();
        let end = ear.json(&at.topic("event"), |end| end["run"] == bad["id"]);
        assert_eq!((&end["event_type"], &end["job"]), (&json!("failed"), &json!("nightly")));
        assert_eq!((&end["exit_code"], &end["name"]), (&json!(3), &json!("backup {{ 7*7 }} \"ä\" \u{2028}")));
        let failure = ear.json(&at.topic("failure"), |failure| failure["run"] == bad["id"]);
        assert_eq!((&failure["status"], &failure["at"]), (&json!("failed"), &end["at"]));

        let long = daemon.submit(r#"{"script":"sleep 3600"}"#).unwrap();
        daemon.submit(r#"{"script":"true"}"#).unwrap();
        ear.json(&at.topic("runs"), |runs| *runs == json!({ "queued": 1, "running": 1 }));
        daemon.ask("POST", &format!("/v1/runs/{long}/cancel"), "").unwrap();
        ear.json(&at.topic("event"), |end| end["event_type"] == "succeeded");
        ear.json(&at.topic("runs"), |runs| *runs == json!({ "queued": 0, "running": 0 }));
        // A canceled run is no failure.
        assert_eq!(ear.json(&at.topic("failure"), |_| true)["run"], bad["id"]);

        let stopped = bridge.stop();
        assert!(stopped < Duration::from_secs(1), "{stopped:?}");
        eventually("offline", || (ear.last(&at.topic("status"))? == "offline").then_some(()));
        // What is kept is for who comes later; an event is for who is there.
        for (topic, is_kept) in [("runs", true), ("failure", true), ("status", true), ("event", false)] {
            assert_eq!(broker.kept(&at.topic(topic)).is_some(), is_kept, "{topic}");
        }
    }
}

#[test]
fn a_button_goes_with_its_job_also_while_no_bridge_was_there() {
    let (broker, daemon) = (Broker::start(), Daemon::start());
    let at = Box::of(&daemon);
    for name in ["a", "b", "c"] {
        job(&daemon, name, r#"{"run":{"script":"true"}}"#);
    }
    let ear = broker.ear();
    let mut bridge = mqtt(&broker.url(), &daemon, &[]);
    is_online(&ear, &at);
    let removed = json!({ "platform": "button" });
    let has = |config: &Value, job: &str| config["components"][format!("job_{job}")].clone();
    daemon.ask("DELETE", "/v1/jobs/a", "").unwrap();
    job(&daemon, "d", r#"{"run":{"script":"true"}}"#);
    let config = ear.json(&at.config(), |config| has(config, "a") == removed && !has(config, "d").is_null());
    assert_ne!(has(&config, "b"), removed);
    bridge.kill();
    daemon.ask("DELETE", "/v1/jobs/b", "").unwrap();
    job(&daemon, "a", r#"{"run":{"script":"true"}}"#);
    let _bridge = mqtt(&broker.url(), &daemon, &[]);
    let config = ear.json(&at.config(), |config| has(config, "b") == removed);
    assert_ne!(has(&config, "a"), removed);
    assert_ne!(has(&config, "c"), removed);
    // Home Assistant removes only what it has been told of since it started: it is told of it once more, and that it is gone.
    let before = ear.all(&at.config()).len();
    broker.publish("homeassistant/status", "online", &[]);
    let told = eventually("two descriptions", || {
        let told = ear.all(&at.config());
        (told.len() == before + 2).then_some(told)
    });
    let told: Vec<Value> = told[before..].iter().map(|told| serde_json::from_str(told).unwrap()).collect();
    assert_eq!(has(&told[0], "b")["command_topic"], at.press("b"));
    assert_eq!(has(&told[1], "b"), removed);
}

#[test]
fn who_starts_anew_is_told_anew() {
    let (broker, daemon) = (Broker::start(), Daemon::start());
    let at = Box::of(&daemon);
    let ear = broker.ear();
    let _bridge = mqtt(&broker.url(), &daemon, &[]);
    is_online(&ear, &at);
    let topics = [at.config(), at.topic("runs"), at.topic("failure"), at.topic("status")];
    // Somebody has removed all of it; nobody but Home Assistant's start brings it back.
    for topic in &topics {
        broker.publish(topic, "", &["-r"]);
        assert_eq!(broker.kept(topic), None);
    }
    broker.publish("homeassistant/status", "offline", &[]);
    broker.publish("homeassistant/status", "online", &[]);
    for topic in &topics {
        eventually(topic, || broker.kept(topic));
    }
}

#[test]
fn a_box_that_died_is_offline_and_one_that_is_back_is_online() {
    let (broker, mut daemon) = (Broker::start(), Daemon::start());
    let at = Box::of(&daemon);
    let ear = broker.ear();
    let status = |wanted: &'static str| {
        eventually(wanted, || (ear.last(&at.topic("status"))? == wanted).then_some(()));
    };
    let mut bridge = mqtt(&broker.url(), &daemon, &[]);
    status("online");
    bridge.kill();
    status("offline");
    let _bridge = mqtt(&broker.url(), &daemon, &[]);
    status("online");
    daemon.kill();
    status("offline");
    daemon.up();
    status("online");
}

#[test]
fn a_broker_that_forgot_all_is_told_all_and_every_end_of_meanwhile() {
    let (mut broker, daemon) = (Broker::start(), Daemon::start());
    let at = Box::of(&daemon);
    job(&daemon, "a", r#"{"run":{"script":"true"}}"#);
    let link = Link::to(broker.port);
    let _bridge = mqtt(&format!("mqtt://127.0.0.1:{}", link.port), &daemon, &[]);
    is_online(&broker.ear(), &at);
    link.cut();
    broker.kill();
    let runs: Vec<_> = (0..40).map(|_| daemon.submit(r#"{"script":"exit 1"}"#).unwrap()).collect();
    eventually("the last run's end", || {
        let run = daemon.ask("GET", &format!("/v1/runs/{}", runs[39]), "")?;
        (run["status"] == "failed").then_some(())
    });
    broker.up();
    // An event is not kept: whoever hears it was there before the bridge came back.
    let ear = broker.ear();
    link.heal();
    is_online(&ear, &at);
    ear.json(&at.config(), |config| !config["components"]["job_a"].is_null());
    ear.json(&at.topic("failure"), |failure| failure["run"] == runs[39]);
    ear.json(&at.topic("event"), |end| end["run"] == runs[39]);
    assert_eq!(firsts(&ear, &at), runs);
}

/// The runs whose ends were heard, in the order in which each was heard first: what was not acknowledged is told again.
fn firsts(ear: &Ear, at: &Box) -> Vec<i64> {
    let mut firsts: Vec<i64> = Vec::new();
    for end in ear.all(&at.topic("event")) {
        let end: Value = serde_json::from_str(&end).unwrap();
        let run = end["run"].as_i64().unwrap();
        if !firsts.contains(&run) {
            firsts.push(run);
        }
    }
    firsts
}

#[test]
fn ends_are_told_in_order_over_cut_links() {
    let (broker, daemon) = (Broker::start(), Daemon::start());
    let at = Box::of(&daemon);
    let link = Link::to(broker.port);
    let ear = broker.ear();
    let _bridge = mqtt(&format!("mqtt://127.0.0.1:{}", link.port), &daemon, &[]);
    is_online(&ear, &at);
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.extend((0..10).map(|_| daemon.submit(r#"{"script":"true"}"#).unwrap()));
        link.cut();
        runs.extend((0..10).map(|_| daemon.submit(r#"{"script":"true"}"#).unwrap()));
        link.heal();
    }
    ear.json(&at.topic("event"), |end| end["run"] == runs[79]);
    assert_eq!(firsts(&ear, &at), runs);
}

#[test]
fn a_connection_that_is_half_dead_does_not_take_the_box_offline_later() {
    let (broker, daemon) = (Broker::start(), Daemon::start());
    let at = Box::of(&daemon);
    let link = Link::to(broker.port);
    let ear = broker.ear();
    let _bridge = mqtt(&format!("mqtt://127.0.0.1:{}", link.port), &daemon, &[]);
    is_online(&ear, &at);
    // The broker believes that the first connection lives; its last will is published when the second one comes.
    link.double(60_000);
    eventually("online again", || {
        let told = ear.all(&at.topic("status"));
        (told.len() >= 3 && told.last()? == "online" && told.contains(&"offline".to_owned())).then_some(())
    });
}

#[test]
fn credentials_and_permissions_are_told_by_check() {
    let broker = Broker::configured(|scratch| {
        let (passwords, acl) = (scratch.0.join("passwords"), scratch.0.join("acl"));
        for (nth, user) in ["box", "spy"].iter().enumerate() {
            let first = if nth == 0 { vec!["-c"] } else { vec![] };
            let mut made = std::process::Command::new("mosquitto_passwd");
            made.args(first).arg("-b").arg(&passwords).args([*user, "p:ä ss"]).stderr(Stdio::null());
            assert!(made.status().unwrap().success());
        }
        let granted = "user box\ntopic readwrite #\nuser spy\ntopic read homeassistant/#\n";
        std::fs::write(&acl, granted).unwrap();
        format!("password_file {}\nacl_file {}\n", passwords.display(), acl.display())
    });
    let daemon = Daemon::start();
    let file = broker.scratch.0.join("password");
    let check = |line: &str, options: &[&str]| {
        std::fs::write(&file, line).unwrap();
        let options = [&["--check", "--password-file", file.to_str().unwrap()], options].concat();
        let done = mqtt_command(&broker.url(), &daemon, &options).stderr(Stdio::piped()).output().unwrap();
        (done.status.code().unwrap(), String::from_utf8(done.stderr).unwrap())
    };
    for protocol in ["5", "3.1.1"] {
        let (code, text) = check("box:p:ä ss\n", &["--protocol", protocol]);
        assert!(code == 0 && text.contains("nothing is wrong"), "{code} {text}");
        let (code, text) = check("box:wrong\n", &["--protocol", protocol]);
        assert!(code == 1 && text.contains("does not let us in"), "{code} {text}");
    }
    let (code, text) = check("spy:p:ä ss\n", &[]);
    assert!(code == 1 && text.contains("writing runabout/"), "{code} {text}");
    let (code, text) = check("no password", &[]);
    assert!(code == 2 && text.contains("USER:PASSWORD"), "{code} {text}");
    let done = mqtt_command("mqtt://me:secret@127.0.0.1:1", &daemon, &[]).stderr(Stdio::piped()).output().unwrap();
    let text = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.code() == Some(2) && text.contains("--password-file") && !text.contains("secret"), "{text}");
    let done = mqtt_command("mqtt://127.0.0.1:1", &daemon, &["--check"]).stderr(Stdio::piped()).output().unwrap();
    let text = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.code() == Some(1) && text.contains("no broker at mqtt://127.0.0.1:1"), "{text}");
}

#[test]
fn only_a_broker_with_the_right_certificate_is_believed() {
    let tls_port = free_port();
    let broker = Broker::configured(|scratch| {
        let path = |name: &str| scratch.0.join(name).display().to_string();
        let run = |args: &str| {
            let made = std::process::Command::new("openssl").args(args.split(' ')).stderr(Stdio::null()).output();
            assert!(made.unwrap().status.success(), "openssl {args}");
        };
        for ca in ["ca", "other"] {
            let (key, cert) = (path(&format!("{ca}.key")), path(&format!("{ca}.pem")));
            run(&format!("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={ca} -keyout {key} -out {cert}"));
        }
        std::fs::write(path("names"), "subjectAltName=DNS:localhost").unwrap();
        let (key, request, cert) = (path("key"), path("request"), path("cert"));
        run(&format!("req -newkey rsa:2048 -nodes -subj /CN=broker -keyout {key} -out {request}"));
        let (ca, ca_key, names) = (path("ca.pem"), path("ca.key"), path("names"));
        run(&format!(
            "x509 -req -days 2 -in {request} -CA {ca} -CAkey {ca_key} -CAcreateserial -extfile {names} -out {cert}"
        ));
        format!(
            "allow_anonymous true\nlistener {tls_port} 127.0.0.1\ncafile {ca}\ncertfile {cert}\nkeyfile {key}\n\
             require_certificate true\nallow_anonymous true\n"
        )
    });
    let daemon = Daemon::start();
    let path = |name: &str| broker.scratch.0.join(name).display().to_string();
    let (ca, other, cert, key) = (path("ca.pem"), path("other.pem"), path("cert"), path("key"));
    let check = |host: &str, options: &[&str]| {
        let server = format!("mqtts://{host}:{tls_port}");
        let options = [&["--check"], options].concat();
        let done = mqtt_command(&server, &daemon, &options).stderr(Stdio::piped()).output().unwrap();
        (done.status.code().unwrap(), String::from_utf8(done.stderr).unwrap())
    };
    let own = ["--cert", &cert, "--key", &key];
    let (code, text) = check("localhost", &[&["--ca", &*ca], &own[..]].concat());
    assert!(code == 0 && text.contains("nothing is wrong"), "{code} {text}");
    for (host, options) in [
        ("localhost", [&["--ca", &*other], &own[..]].concat()),
        ("localhost", own.to_vec()),
        ("127.0.0.1", [&["--ca", &*ca], &own[..]].concat()),
        ("localhost", vec!["--ca", &*ca]),
    ] {
        let (code, text) = check(host, &options);
        assert!(code == 1 && !text.contains("nothing is wrong"), "{host} {options:?}: {code} {text}");
    }
    let (code, text) = check("localhost", &["--ca", "/nowhere"]);
    assert!(code == 2 && text.contains("--ca /nowhere"), "{code} {text}");
}

#[test]
fn what_it_did_is_counted_and_a_file_says_what_to_do() {
    let (broker, daemon) = (Broker::start(), Daemon::start());
    let at = Box { id: "barn".to_owned() };
    let ear = broker.ear();
    let port = free_port();
    let file = broker.scratch.0.join("mqtt.toml");
    let text = format!(
        "instance = \"barn\"\ntopic_prefix = \"home/boxes\"\ndiscovery_prefix = \"ha\"\nmetrics = \"127.0.0.1:{port}\"\n"
    );
    std::fs::write(&file, &text).unwrap();
    let _bridge = mqtt(&broker.url(), &daemon, &["--config", file.to_str().unwrap()]);
    eventually("online", || (ear.last("home/boxes/barn/status")? == "online").then_some(()));
    let config = ear.json("ha/device/runabout_barn/config", |_| true);
    assert_eq!(config["availability_topic"], "home/boxes/barn/status");
    assert_eq!(broker.kept(&at.topic("status")), None);
    daemon.submit(r#"{"script":"true"}"#).unwrap();
    eventually("its end", || ear.last("home/boxes/barn/event"));
    let metrics = eventually("the counts", || {
        http_get(port, "/metrics").filter(|text| text.contains("runabout_bridge_ends_total 1\n"))
    });
    assert!(metrics.contains("runabout_bridge_connected 1\n") && metrics.ends_with("# EOF\n"), "{metrics}");

    std::fs::write(&file, "topic-prefix = \"x\"\n").unwrap();
    let options = ["--config", file.to_str().unwrap()];
    let done = mqtt_command(&broker.url(), &daemon, &options).stderr(Stdio::piped()).output().unwrap();
    let text = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.code() == Some(2) && text.contains("unknown key \"topic-prefix\""), "{text}");

    let options = ["--remove", "--instance", "barn", "--topic-prefix", "home/boxes", "--discovery-prefix", "ha"];
    let done = mqtt_command(&broker.url(), &daemon, &options).stderr(Stdio::piped()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
