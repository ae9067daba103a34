//! The role `trigger` starts the jobs that it is bound to, follows their runs, and does nothing else: in no route, by no name,
//! with no value that a job does not ask for.

use runabout::http::routes::ROUTES;
use serde_json::{Value, json};

use crate::common::{Client, Daemon, output_of};

fn trigger(daemon: &Daemon, jobs: &[&str]) -> Client {
    let body = json!({"role": "trigger", "jobs": jobs});
    let token = daemon.post("/v1/enrollment-tokens", &body).expect(201).json()["token"].clone();
    let session = daemon.tcp().post("/v1/enroll", &json!({"token": token})).expect(201).json();
    assert_eq!(session["session"]["jobs"], json!(jobs));
    daemon.tcp().with_token(session["session_token"].as_str().unwrap())
}

fn put(daemon: &Daemon, name: &str, job: Value) {
    daemon.put(&format!("/v1/jobs/{name}"), &job).expect(201);
}

#[test]
fn it_starts_its_jobs_follows_their_runs_and_sees_nothing_else() {
    let daemon = Daemon::start();
    let gate = json!({
        "run": {"script": "printf %s \"$PARAM_NOTE\"", "env": {"SECRET": "hidden"}},
        "params": {"note": {"type": "text", "max": 100}, "room": {"type": "choice", "of": ["a", "b"], "default": "a"}},
    });
    put(&daemon, "open-gate", gate.clone());
    put(&daemon, "other", gate);
    let foreign = daemon.post("/v1/jobs/other/runs", &json!({})).expect(201).json()["id"].as_i64().unwrap();
    let plain = daemon.sh("true");
    let client = trigger(&daemon, &["open-gate"]);

    let jobs = client.get("/v1/jobs").expect(200).json();
    let names: Vec<&Value> = jobs["jobs"].as_array().unwrap().iter().map(|job| &job["name"]).collect();
    assert_eq!(names, ["open-gate"]);
    assert!(!jobs.to_string().contains("hidden"), "{jobs}");

    // What a shell would do with it is not done: a value is a variable and never part of a command.
    let note = "$(touch /tmp/x); `id` \"';\n{{ .Env }}";
    let run = client.post("/v1/jobs/open-gate/runs", &json!({"params": {"note": note}})).expect(201).json();
    assert_eq!((&run["cause"], &run["job"]), (&json!("trigger"), &json!("open-gate")));
    let id = run["id"].as_i64().unwrap();
    daemon.wait_ended(id);
    assert_eq!(client.get(&format!("/v1/runs/{id}/log")).expect(200).text(), note);
    for path in ["", "/events", "/exit_code"] {
        client.get(&format!("/v1/runs/{id}{path}")).expect(200);
    }
    client.get("/v1/jobs/open-gate/firings").expect(200);
    assert_eq!(client.get("/v1/session").expect(200).json()["role"], "trigger");
    // Others' runs and jobs, and runs that there never were, are refused alike.
    for run in [foreign, plain, 4_242] {
        for path in ["", "/events", "/log", "/exit_code"] {
            client.get(&format!("/v1/runs/{run}{path}")).expect_problem(403, "forbidden");
        }
    }
    client.post("/v1/jobs/other/runs", &json!({})).expect_problem(403, "forbidden");
    client.get("/v1/jobs/other").expect_problem(403, "forbidden");
    assert_eq!(output_of(&daemon.events(foreign)).0, b"");
}

#[test]
fn it_is_refused_by_every_other_route() {
    let daemon = Daemon::start();
    put(&daemon, "open-gate", json!({"run": {"script": "true"}}));
    let client = trigger(&daemon, &["open-gate"]);
    let own = client.post("/v1/jobs/open-gate/runs", &json!({})).expect(201).json()["id"].as_i64().unwrap();
    daemon.wait_ended(own);
    let may = [
        ("GET", "/v1/jobs"),
        ("GET", "/v1/jobs/:name"),
        ("POST", "/v1/jobs/:name/runs"),
        ("GET", "/v1/jobs/:name/firings"),
        ("GET", "/v1/runs/:id"),
        ("GET", "/v1/runs/:id/exit_code"),
        ("GET", "/v1/runs/:id/events"),
        ("GET", "/v1/runs/:id/log"),
        ("GET", "/v1/runs/:id/artifacts"),
        ("GET", "/v1/runs/:id/artifacts/*"),
        ("GET", "/v1/session"),
        ("DELETE", "/v1/session"),
    ];
    let mut refused = 0;
    for route in ROUTES.iter().filter(|route| route.path.starts_with("/v1/") || route.path == "/metrics") {
        let method = route.method.to_string();
        if may.contains(&(method.as_str(), route.path)) || route.path == "/v1/enroll" {
            continue;
        }
        // Its own job, its own run: also there nothing else is done.
        let path = route.path.replace(":id", &own.to_string()).replace(":name", "open-gate");
        client.call(&method, &path).send().expect_problem(403, "forbidden");
        refused += 1;
    }
    assert!(refused >= 25, "{refused} routes were tried");
    assert_eq!(daemon.run(own)["status"], "succeeded");
}

#[test]
fn its_jobs_are_listed_wherever_they_stand_among_the_others() {
    let daemon = Daemon::start();
    for name in ["a", "b", "c", "d"] {
        put(&daemon, name, json!({"run": {"script": "true"}}));
    }
    let client = trigger(&daemon, &["d", "gone", "b"]);
    let (mut names, mut next) = (Vec::new(), Some("/v1/jobs?limit=1".to_owned()));
    while let Some(path) = next {
        let page = client.get(&path).expect(200).json();
        names.extend(page["jobs"].as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap().to_owned()));
        next = page["next"].as_str().map(str::to_owned);
    }
    assert_eq!(names, ["b", "d"]);
}

#[test]
fn values_are_what_the_job_asks_for_or_refused_all_at_once() {
    let daemon = Daemon::start();
    let params = json!({
        "room": {"type": "choice", "of": ["a", "b"]},
        "level": {"type": "integer", "min": 0, "max": 100, "default": 5},
        "note": {"type": "text", "max": 3},
        "dry": {"type": "boolean"},
    });
    put(
        &daemon,
        "job",
        json!({"run": {"script": "env | grep ^PARAM_ | sort", "env": {"PARAM_ROOM": "x"}}, "params": params}),
    );
    let start = |params: Value| daemon.post("/v1/jobs/job/runs", &json!({"params": params}));
    let run = start(json!({"room": "b"})).expect(201).json()["id"].as_i64().unwrap();
    daemon.wait_ended(run);
    let told = String::from_utf8(output_of(&daemon.events(run)).0).unwrap();
    assert_eq!(told, "PARAM_DRY=false\nPARAM_LEVEL=5\nPARAM_NOTE=\nPARAM_ROOM=b\n");

    let whole = start(json!({"room": "a", "level": 7.0})).expect(201).json()["id"].as_i64().unwrap();
    daemon.wait_ended(whole);
    let told = String::from_utf8(output_of(&daemon.events(whole)).0).unwrap();
    assert!(told.contains("PARAM_LEVEL=7\n"), "a whole number as every other field has it: {told}");

    let wrong = start(json!({"level": 101, "note": "long", "dry": "yes", "PARAM_ROOM": "a", "ujson": 1}));
    let wrong = wrong.expect_problem(422, "invalid");
    let told = fields_and_reasons(&wrong);
    let all = [
        ("params.dry", "type"),
        ("params.level", "range"),
        ("params.note", "range"),
        ("params.room", "required"),
        ("params.PARAM_ROOM", "unknown"),
        ("params.ujson", "unknown"),
    ];
    assert_eq!(told, all);
}

#[test]
fn all_that_is_wrong_with_a_jobs_parameters_is_told_at_once_in_the_words_of_json() {
    let daemon = Daemon::start();
    let params = json!({
        "a": {"type": "choice", "or": ["x"]},
        "b": {"type": "integer", "min": "low", "max": 1.5, "default": "z", "step": 2},
        "c": {"type": "text", "max": 0},
        "d": {"type": "boolean", "default": 1},
        "e": {"type": "float", "min": 1},
        "f": {"min": 1},
        "g": 7,
        "h": {"type": "integer", "min": 5, "default": 1},
    });
    let answer = daemon.put("/v1/jobs/job", &json!({"run": {"script": "true"}, "params": params}));
    let wrong = answer.expect_problem(422, "invalid");
    let all = [
        ("params.a.of", "required"),
        ("params.a.or", "unknown"),
        ("params.b.min", "type"),
        ("params.b.max", "type"),
        ("params.b.default", "type"),
        ("params.b.step", "unknown"),
        ("params.c.max", "range"),
        ("params.d.default", "type"),
        ("params.e.type", "value"),
        ("params.f.type", "required"),
        ("params.g", "type"),
        ("params.h", "value"),
    ];
    assert_eq!(fields_and_reasons(&wrong), all);
    let detail = wrong["detail"].as_str().unwrap();
    assert!(detail.contains("params.h: default must be at least 5"), "{detail}");
    assert!(!detail.contains("i64") && !detail.contains("variant"), "no internals: {detail}");
}

#[test]
fn a_token_of_the_role_names_jobs_and_no_other_does() {
    let daemon = Daemon::start();
    for (wrong, field) in [
        (json!({"role": "trigger"}), "jobs"),
        (json!({"role": "trigger", "jobs": []}), "jobs"),
        (json!({"role": "trigger", "jobs": "a"}), "jobs"),
        (json!({"role": "trigger", "jobs": ["A"]}), "jobs[0]"),
        (json!({"role": "viewer", "jobs": ["a"]}), "jobs"),
    ] {
        let answer = daemon.post("/v1/enrollment-tokens", &wrong).expect_problem(422, "invalid");
        let told: Vec<&str> = fields_and_reasons(&answer).into_iter().map(|(field, _)| field).collect();
        assert_eq!(told, [field], "once, and where it is wrong: {wrong}");
    }
}

fn fields_and_reasons(problem: &Value) -> Vec<(&str, &str)> {
    let violations = problem["details"]["violations"].as_array().unwrap();
    let told = violations.iter().map(|one| (one["field"].as_str().unwrap(), one["reason"].as_str().unwrap()));
    told.collect()
}
