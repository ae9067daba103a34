//! Events by one page after another: what a shell script does, told like a stream.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::reader::Said;
use super::{Client, Response};

/// Between two looks where nothing was new.
const PAUSE: Duration = Duration::from_millis(20);

/// Somebody who asks for one page after another.
pub struct PagesWire {
    client: Client,
    run: i64,
    cursor: i64,
    ready: VecDeque<Value>,
    caught_up: bool,
    ended: bool,
}

impl PagesWire {
    /// Asks for the first page, after a cursor of any form; a refusal fails the test.
    #[track_caller]
    pub fn open(client: &Client, run: i64, after: &str) -> io::Result<(Response, PagesWire)> {
        let answer =
            client.call("GET", &format!("/v1/runs/{run}/events?after={after}&limit=1")).try_send()?.expect(200);
        let page = answer.json();
        let (first, last) = (page["first_seq"].as_i64().unwrap(), page["last_seq"].as_i64().unwrap());
        let cursor = match after.rsplit_once('-') {
            _ if after == "latest" => last,
            Some(("", newest)) => (last - newest.parse::<i64>().unwrap()).max(first - 1),
            Some((_, seq)) => seq.parse().unwrap(),
            None => after.parse().unwrap(),
        };
        let instance = client.call("GET", "/v1/system").try_send()?.expect(200).json()["instance"].clone();
        let hello = json!({"type": "hello", "run": run, "instance": instance, "after": cursor, "first_seq": first,
            "last_seq": last, "status": page["status"]});
        let ready = VecDeque::from([hello]);
        Ok((answer, PagesWire { client: client.clone(), run, cursor, ready, caught_up: false, ended: false }))
    }

    pub(super) fn object(&mut self, limit: Duration) -> Said {
        let until = Instant::now() + limit;
        loop {
            if let Some(object) = self.ready.pop_front() {
                return Said::Object(object);
            }
            if self.ended {
                return Said::Closed(1000);
            }
            if self.look().is_err() {
                return Said::Lost;
            }
            if self.ready.is_empty() {
                if Instant::now() >= until {
                    return Said::Nothing;
                }
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// Asks for the next page.
    fn look(&mut self) -> io::Result<()> {
        let path = format!("/v1/runs/{}/events?after={}", self.run, self.cursor);
        let answer = self.client.call("GET", &path).try_send()?;
        // One that stops says so.
        if answer.status == 503 {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let page = answer.expect(200).json();
        let place = |object: &Value| object["seq"].as_i64().or(object["from"].as_i64()).unwrap();
        let mut objects: Vec<Value> = page["events"].as_array().unwrap().clone();
        let none = objects.is_empty();
        objects.extend(page["gaps"].as_array().unwrap().iter().cloned());
        objects.sort_by_key(place);
        if let Some(last) = objects.last() {
            self.cursor = last["seq"].as_i64().or(last["to"].as_i64()).unwrap();
        }
        self.ready.extend(objects);
        if none {
            if !std::mem::replace(&mut self.caught_up, true) {
                self.ready.push_back(json!({"type": "caught_up", "seq": self.cursor}));
            }
            self.end(&page)?;
        }
        Ok(())
    }

    /// The end, where the page says that there is one.
    fn end(&mut self, page: &Value) -> io::Result<()> {
        if matches!(page["status"].as_str(), Some("queued" | "running")) || page["last_seq"] != self.cursor {
            return Ok(());
        }
        let run = self.client.call("GET", &format!("/v1/runs/{}", self.run)).try_send()?.expect(200).json();
        self.ready.push_back(json!({"type": "end", "run": self.run, "status": run["status"], "reason": run["reason"],
            "exit_code": run["exit_code"], "last_seq": self.cursor}));
        self.ended = true;
        Ok(())
    }
}

impl Client {
    /// Every event that a query shows, by as many pages as it takes.
    #[track_caller]
    pub fn all_events(&self, query: &str, mut after: i64) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        loop {
            let page = self.get(&format!("/v1/events?{query}&after={after}")).expect(200).json();
            let more = page["events"].as_array().unwrap();
            let Some(last) = more.last() else { return events };
            assert!(more.windows(2).all(|two| two[0]["id"].as_i64() < two[1]["id"].as_i64()), "ids rise: {page}");
            after = last["id"].as_i64().unwrap();
            events.extend(more.iter().cloned());
        }
    }
}
