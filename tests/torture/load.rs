//! Work for a daemon that is about to die: clients that submit, cancel, retry, change, delete, append, make and start jobs,
//! enroll and ask for maintenance, and readers of all events. Each notes in the model what it was told, and goes when the
//! daemon does.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::told::{Mark, Request, Told, int};
use crate::common::{Client, Frame, Random, Reader, Response, Transcript, Via};

/// Kinds of events that readers of all runs ask for: all there are.
pub const KINDS: &str = "kinds=queued,started,output,progress,message,cancel_requested,changed,left_behind,attempt_ended,\
    finished,removed,job_fired,job_skipped,job_changed";
/// What a command that survives prints, on both streams.
pub const LINES: u64 = 400;
/// Clients at once.
pub const CLIENTS: i64 = 3;

/// Clients of one daemon.
pub struct Load<'a> {
    pub client: &'a Client,
    pub told: &'a Told,
    /// Which of them it is, from 0: each deletes runs and changes jobs of its own, so that it is known what came last.
    pub who: i64,
    /// A server that fails may say so, by a problem of 5xx; then what was asked may have happened or not.
    pub faults: bool,
    /// How many answers there were.
    pub answers: &'a AtomicU64,
}

/// The daemon is gone, or failed where it may.
pub struct Over;

impl Load<'_> {
    /// One client's work until the daemon dies, or has answered so often.
    pub fn work(&self, random: &mut Random, answers_max: u64) {
        while self.answers.load(Ordering::Relaxed) < answers_max {
            if self.act(random).is_err() {
                return;
            }
        }
    }

    /// One request.
    pub fn act(&self, random: &mut Random) -> Result<(), Over> {
        let nth = random.below(12);
        let run = self.told.book().pick(nth);
        let done = match (random.below(40), run) {
            (0..=15, _) | (_, None) => self.submit(random),
            (16..=20, Some(run)) => self.cancel(run),
            (21..=22, Some(run)) => self.retry(run),
            (23..=26, Some(run)) => self.delete(run),
            (27..=28, Some(run)) => self.change(run, random),
            (29..=31, Some(run)) => self.append(run, random),
            (32..=35, _) => self.job(random),
            (36, _) => self.enroll(),
            (37, _) => self.answer("POST", "/v1/maintenance", None, &[200]).map(drop),
            _ => self.answer("GET", "/v1/runs?limit=20", None, &[200]).map(drop),
        };
        self.answers.fetch_add(1, Ordering::Relaxed);
        done
    }

    /// Follows all runs until the daemon dies or ends the stream, and notes where it was.
    pub fn read(&self, told: Transcript) {
        // As a browser comes back: by the id of what it had last.
        let cursor = match told.via {
            Via::Sse if !told.instance.is_empty() => told.place(),
            _ => told.cursor.to_string(),
        };
        let Ok(mut reader) = Reader::try_open(self.client, told.clone(), &cursor) else {
            return self.told.readers().push(told);
        };
        loop {
            match reader.next() {
                Frame::Event(event) => self.told.note(Mark::Seen(event)),
                Frame::Closed(_) | Frame::Lost => return self.told.readers().push(reader.disconnect()),
                _ => {}
            }
        }
    }

    /// Asks; `Over` where no answer came.
    fn answer(&self, method: &str, path: &str, body: Option<&Value>, statuses: &[u16]) -> Result<Response, Over> {
        self.answer_under(method, path, body, "", statuses)
    }

    fn answer_under(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        key: &str,
        statuses: &[u16],
    ) -> Result<Response, Over> {
        let mut call = self.client.call(method, path);
        if !key.is_empty() {
            call = call.header("Idempotency-Key", key);
        }
        if let Some(body) = body {
            call = call.json(body);
        }
        let answer = call.try_send().map_err(|_| Over)?;
        if self.faults && answer.status >= 500 {
            let problem = answer.json();
            assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{}", answer.text());
            return Err(Over);
        }
        assert!(statuses.contains(&answer.status), "{method} {path}: {}: {}", answer.status, answer.text());
        Ok(answer)
    }

    /// Makes a run by a request that can be made again.
    pub fn make(&self, path: &str, body: Value) -> Result<(), Over> {
        let request = self.told.request(path, body);
        self.told.note(Mark::Sending(request.clone()));
        let statuses = [201, 200, 404, 409, 422, 429];
        let answer = self.answer_under("POST", path, Some(&request.body), &request.key, &statuses)?;
        self.note_made(&request, &answer);
        Ok(())
    }

    fn note_made(&self, request: &Request, answer: &Response) {
        let request = request.clone();
        self.told.note(match answer.status {
            200 | 201 => Mark::Made(request, int(&answer.json()["id"])),
            _ => Mark::Refused(request),
        });
    }

    /// Makes what was not answered once more: it has happened or happens now, once.
    pub fn settle(&self) -> Result<u64, Over> {
        let open: Vec<Request> = self.told.book().open.values().cloned().collect();
        for request in &open {
            let statuses = [200, 201, 404, 409, 410, 422, 429];
            let answer = self.answer_under("POST", &request.path, Some(&request.body), &request.key, &statuses)?;
            self.note_made(request, &answer);
        }
        Ok(open.len() as u64)
    }

    fn submit(&self, random: &mut Random) -> Result<(), Over> {
        let body = self.body(random);
        self.make("/v1/runs", body)
    }

    /// Short, chatty, failing, stubborn, waiting, surviving.
    fn body(&self, random: &mut Random) -> Value {
        let script = |rest: &str| self.told.script(rest);
        let chatty = "i=0; while [ $i -lt 8 ]; do echo line $i; echo err $i >&2; sleep 0.02; i=$((i+1)); done";
        let lines = format!("seq 1 {LINES} >&2 & seq 1 {LINES}; wait; sleep 0.1; exit 9");
        let before = self.told.book().pick(random.below(12));
        match (random.below(11), before) {
            (0, _) => json!({"script": script("echo short")}),
            (1, _) => json!({"script": script("head -c 30000 /dev/zero | tr '\\0' x; exit 3")}),
            (2, _) => json!({"script": script("echo ü | tr -d '\\n'; kill -9 $$")}),
            (3, _) => json!({"script": script(chatty), "on_interrupt": "requeue"}),
            (4, _) => json!({"script": script(chatty), "priority": 5, "tags": ["a", "b"]}),
            (5 | 6, _) => json!({"script": script(&lines), "survive": true, "name": "survivor"}),
            (7, _) => json!({"script": script("exit 1"), "retry": {"attempts": 2, "delay_s": 0}}),
            (8, Some(before)) => json!({"script": script("true"), "after": [{"run": before, "when": "ended"}]}),
            (9, _) => json!({"script": script("sleep 0.1"), "key": "k", "on_conflict": "replace"}),
            _ => json!({"script": script("trap '' TERM; sleep 300 & wait; sleep 300"), "queue": "long"}),
        }
    }

    fn cancel(&self, run: i64) -> Result<(), Over> {
        let answer = self.answer("POST", &format!("/v1/runs/{run}/cancel"), None, &[200, 202, 410])?;
        let told = answer.json();
        // One that had ended before was not canceled by this.
        if answer.status == 202 || told["cancel_requested_at"].is_string() {
            self.told.note(Mark::Canceled(run));
        }
        Ok(())
    }

    fn retry(&self, run: i64) -> Result<(), Over> {
        let path = format!("/v1/runs/{run}/retry");
        let answer = self.answer("POST", &path, None, &[201, 409, 410, 422])?;
        if answer.status == 201 {
            let request = Request { key: String::new(), path, body: Value::Null };
            self.told.note(Mark::Made(request, int(&answer.json()["id"])));
        }
        Ok(())
    }

    fn delete(&self, run: i64) -> Result<(), Over> {
        if run % CLIENTS != self.who {
            return Ok(());
        }
        self.told.note(Mark::Going(run));
        let answer = self.answer("DELETE", &format!("/v1/runs/{run}"), None, &[204, 409, 410])?;
        match answer.status {
            204 => self.told.note(Mark::Gone(run)),
            409 => self.told.note(Mark::Stays(run)),
            _ => {}
        }
        Ok(())
    }

    fn change(&self, run: i64, random: &mut Random) -> Result<(), Over> {
        let body = json!({"name": format!("name-{}", random.below(1_000))});
        self.answer("PATCH", &format!("/v1/runs/{run}"), Some(&body), &[200, 409, 410]).map(drop)
    }

    fn append(&self, run: i64, random: &mut Random) -> Result<(), Over> {
        let data = json!({"percent": random.below(100), "message": format!("m{}", random.below(1_000_000))});
        let body = json!({"kind": "progress", "data": data});
        let answer = self.answer("POST", &format!("/v1/runs/{run}/events"), Some(&body), &[201, 409, 410])?;
        if answer.status == 201 {
            self.told.note(Mark::Appended(run, int(&answer.json()["last_seq"]), data));
        }
        Ok(())
    }

    /// Makes, changes, deletes or starts a job.
    fn job(&self, random: &mut Random) -> Result<(), Over> {
        let name = format!("job{}", self.who);
        let path = format!("/v1/jobs/{name}");
        match random.below(6) {
            0..=2 => self.make(&format!("{path}/runs"), json!({})),
            3 => {
                self.told.note(Mark::Changing(name.clone(), None));
                self.answer("DELETE", &path, None, &[204, 404])?;
                self.told.note(Mark::Changed(name, None));
                Ok(())
            }
            _ => {
                let version = json!(format!("version-{}", random.below(1_000_000)));
                let run = json!({"script": self.told.script("echo job"), "name": version});
                self.told.note(Mark::Changing(name.clone(), Some(version.clone())));
                self.answer("PUT", &path, Some(&json!({"run": run})), &[200, 201])?;
                self.told.note(Mark::Changed(name, Some(version)));
                Ok(())
            }
        }
    }

    fn enroll(&self) -> Result<(), Over> {
        let made = self.answer("POST", "/v1/enrollment-tokens", Some(&json!({"role": "viewer"})), &[201])?.json();
        let statuses: &[u16] = if self.told.clock_is_set.load(Ordering::Relaxed) { &[201, 401] } else { &[201] };
        let answer = self.answer("POST", "/v1/enroll", Some(&json!({"token": made["token"]})), statuses)?;
        if answer.status == 201 {
            self.told.note(Mark::Session(answer.json()["session_token"].as_str().unwrap().to_owned()));
        }
        Ok(())
    }
}

/// Where a reader by each way of pushing begins.
pub fn readers() -> Vec<Transcript> {
    Via::STREAMS.into_iter().map(|via| Transcript::of_all(KINDS).by(via)).collect()
}
