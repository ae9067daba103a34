//! One connection to the broker, and all that is said on it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use futures_util::StreamExt as _;
use runabout::client::{Delivery, Events, Failure};
use serde_json::Value;
use tokio::time::Instant;

use super::args::Mqtt;
use super::asked::{FAILED, Look};
use super::broker::Broker;
use super::counts::Counts;
use super::discovery::{Device, JOBS_MAX, buttons_in};
use super::link::{Arrived, Hello, Link, Wanted};
use super::press::Press;
use super::shown;
use super::topics::Topics;
use crate::daemon::Daemon;
use crate::presence::host_name;
use crate::publish::Doubt;
use crate::told::{Refusal, say};

/// Between two looks at the counts, where much happens: each is a line in Home Assistant's database.
const LOOKS_APART: Duration = Duration::from_secs(1);
/// An end that could not be told for so long is not told any more: what it would start is started too late.
const LATE_S: i64 = 600;
/// All boxes hear at once that Home Assistant has started; each answers within this.
const BIRTH_SPREAD_MS: u64 = 2_000;
/// To say that the box is offline, when we stop.
const LEAVE: Duration = Duration::from_millis(500);

pub(super) const ONLINE: &str = "online";
pub(super) const OFFLINE: &str = "offline";

/// How far the ends of runs were told, over connections.
#[derive(Default)]
pub struct Progress {
    /// Of which database.
    instance: String,
    /// The last event whose telling was acknowledged, and all before it.
    told: i64,
    /// What is on its way: the message's number, the event's id.
    under_way: VecDeque<(u16, i64)>,
    /// The last event that was read.
    read: i64,
}

/// A connection.
pub struct Session<'a> {
    options: &'a Mqtt,
    daemon: &'a Daemon,
    counts: &'a Counts,
    link: Link,
    topics: Topics,
    look: Look,
    name: String,
    jobs: BTreeSet<String>,
    gone: BTreeSet<String>,
    failure: Value,
    /// When the counts are to be looked at next.
    look_at: Instant,
    /// When the device is to be described, because somebody has to hear of it.
    describe_at: Option<Instant>,
    jobs_changed: bool,
}

impl<'a> Session<'a> {
    /// Connects, once the daemon has said who it is.
    ///
    /// # Errors
    /// Nobody is there, or it does not let us in.
    pub async fn open(
        options: &'a Mqtt,
        daemon: &'a Daemon,
        broker: &Broker,
        counts: &'a Counts,
    ) -> Result<Session<'a>, Refusal> {
        let look = daemon.look().await.map_err(|failure| Refusal::Absent(failure.to_string()))?;
        let topics = Topics::of(options, &look.instance);
        // Twenty letters and digits with an instance of the daemon's own: brokers of 3.1.1 need not take more than 23.
        let client_id = format!("runabout{}", topics.id);
        let hello = Hello { client_id: &client_id, will: Some((&topics.status(), OFFLINE)) };
        let link = Link::open(broker, options.broker.protocol, &hello).await?;
        Counts::add(&counts.sessions);
        counts.connected.set(1);
        let name = options.name.clone().unwrap_or_else(host_name);
        Ok(Session {
            options,
            daemon,
            counts,
            link,
            topics,
            look,
            name,
            jobs: BTreeSet::new(),
            gone: BTreeSet::new(),
            failure: Value::Null,
            look_at: Instant::now() + options.look_every(),
            describe_at: None,
            jobs_changed: false,
        })
    }

    /// Shows the box until something goes wrong; gives what.
    pub async fn live(&mut self, progress: &mut Progress) -> Doubt {
        match self.shown(progress).await {
            Ok(never) => match never {},
            Err(doubt) => doubt,
        }
    }

    /// Says that the box is offline, where the broker still listens.
    pub async fn leave(mut self) {
        let status = self.topics.status();
        let left = async {
            self.link.publish(&status, OFFLINE.as_bytes(), true, 0).await?;
            self.link.leave().await
        };
        // Otherwise the last will says it.
        let _ = tokio::time::timeout(LEAVE, left).await;
    }

    async fn shown(&mut self, progress: &mut Progress) -> Result<std::convert::Infallible, Doubt> {
        // From here on nothing is missed: what is looked up below is at least as new as where the events begin.
        let mut events = self.happenings(progress).await?;
        self.subscribe().await?;
        self.jobs = self.startable_jobs().await?;
        self.describe().await?;
        let failure = self.daemon.last_failure().await.map_err(asking)?;
        self.show_failure(shown::failure_of_run(&failure)).await?;
        self.look = self.daemon.look().await.map_err(asking)?;
        self.show_runs().await?;
        self.publish(&self.topics.status(), ONLINE, true, 0).await?;
        loop {
            let describe_at = self.describe_at.unwrap_or(self.look_at);
            tokio::select! {
                arrived = self.link.next() => self.hear(arrived?, progress).await?,
                delivery = events.next() => self.happened(delivery, progress).await?,
                () = tokio::time::sleep_until(self.look_at.min(describe_at)) => self.look_again().await?,
            }
        }
    }

    /// What happens from now on, or after what was told on the last connection.
    async fn happenings(&self, progress: &mut Progress) -> Result<Events, Doubt> {
        if progress.instance != self.look.instance {
            let told = self.daemon.last_event().await.map_err(asking)?;
            *progress = Progress { instance: self.look.instance.clone(), told, ..Progress::default() };
        }
        progress.under_way.clear();
        progress.read = progress.told;
        Ok(self.daemon.happenings(&self.look.instance, progress.told))
    }

    async fn subscribe(&mut self) -> Result<(), Doubt> {
        let wanted = |filter: String, and_retained: bool| Wanted { filter, and_retained };
        let topics = &self.topics;
        let wanted = [
            wanted(topics.press("+"), false),
            wanted(topics.birth(), false),
            // What an earlier bridge described, and had a button for.
            wanted(topics.config(), true),
            // The last will of a connection that another has replaced.
            wanted(topics.status(), false),
        ];
        self.link.subscribe(&wanted).await
    }

    async fn startable_jobs(&self) -> Result<BTreeSet<String>, Doubt> {
        if !self.daemon.lets_us_start().await.map_err(asking)? {
            return Ok(BTreeSet::new());
        }
        let mut jobs = self.daemon.startable_jobs().await.map_err(asking)?;
        jobs.retain(|job| self.may_start(job));
        if jobs.len() > JOBS_MAX {
            say(&format!("there are {} jobs; the first {JOBS_MAX} have a button (--jobs names others)", jobs.len()));
            jobs = jobs.into_iter().take(JOBS_MAX).collect();
        }
        Ok(jobs)
    }

    fn may_start(&self, job: &str) -> bool {
        self.options.jobs.is_empty() || self.options.jobs.iter().any(|named| named == job)
    }

    async fn describe(&mut self) -> Result<(), Doubt> {
        let (jobs, gone) = (self.jobs.clone(), self.gone.clone());
        self.described(&jobs, &gone).await
    }

    /// Home Assistant removes only what it was told of since it has started: a button that went while it was away would stay
    /// there for ever, unavailable. So it is told of it once more, and then that it is gone.
    async fn describe_to_who_was_away(&mut self) -> Result<(), Doubt> {
        if !self.gone.is_empty() {
            let all = self.jobs.union(&self.gone).cloned().collect();
            self.described(&all, &BTreeSet::new()).await?;
        }
        self.describe().await
    }

    async fn described(&mut self, jobs: &BTreeSet<String>, gone: &BTreeSet<String>) -> Result<(), Doubt> {
        let device = Device {
            topics: &self.topics,
            name: &self.name,
            version: &self.look.version,
            jobs,
            gone,
            press_age_max_s: self.options.press_age_max_s,
        };
        let description = device.describe().to_string();
        self.publish(&self.topics.config(), &description, true, 0).await
    }

    async fn show_runs(&mut self) -> Result<(), Doubt> {
        let runs = serde_json::json!({ "queued": self.look.queued, "running": self.look.running });
        self.publish(&self.topics.runs(), &runs.to_string(), true, 0).await
    }

    async fn show_failure(&mut self, failure: Value) -> Result<(), Doubt> {
        self.failure = failure;
        self.publish(&self.topics.failure(), &self.failure.to_string(), true, 0).await
    }

    async fn publish(&mut self, topic: &str, payload: &str, retain: bool, expiry_s: u32) -> Result<(), Doubt> {
        self.link.publish(topic, payload.as_bytes(), retain, expiry_s).await.map(drop)
    }

    /// The counts, and whether the daemon is there at all and still the same.
    async fn look_again(&mut self) -> Result<(), Doubt> {
        if self.describe_at.is_some_and(|at| at <= Instant::now()) {
            // Who has just started may have lost all that was said.
            self.describe_at = None;
            self.describe_to_who_was_away().await?;
            self.show_runs().await?;
            self.show_failure(self.failure.clone()).await?;
            self.publish(&self.topics.status(), ONLINE, true, 0).await?;
        }
        if self.look_at > Instant::now() {
            return Ok(());
        }
        let look = self.daemon.look().await.map_err(asking)?;
        self.look_at = Instant::now() + self.options.look_every();
        if look.instance != self.look.instance {
            return Err(Doubt("the daemon has another database".to_owned()));
        }
        let same = (look.queued, look.running) == (self.look.queued, self.look.running);
        self.look = look;
        if !same {
            self.show_runs().await?;
        }
        if std::mem::take(&mut self.jobs_changed) {
            let jobs = self.startable_jobs().await?;
            if jobs != self.jobs {
                self.gone.extend(std::mem::replace(&mut self.jobs, jobs));
                self.gone.retain(|job| !self.jobs.contains(job));
                self.describe().await?;
            }
        }
        Ok(())
    }

    async fn happened(
        &mut self,
        delivery: Option<Result<Delivery, Failure>>,
        progress: &mut Progress,
    ) -> Result<(), Doubt> {
        let delivery = match delivery {
            Some(Ok(delivery)) => delivery,
            Some(Err(failure)) => {
                // Where that database ends is not where we were: the next session begins at its end.
                progress.instance.clear();
                return Err(asking(failure));
            }
            None => return Err(Doubt("the daemon's events ended".to_owned())),
        };
        self.look_at = self.look_at.min(Instant::now() + LOOKS_APART);
        progress.read = delivery.event.id.0;
        match delivery.event.kind.to_string().as_str() {
            "job_changed" => self.jobs_changed = true,
            "finished" => self.tell_end(&delivery, progress).await?,
            _ => {}
        }
        if progress.under_way.is_empty() {
            progress.told = progress.read;
        }
        Ok(())
    }

    async fn tell_end(&mut self, delivery: &Delivery, progress: &mut Progress) -> Result<(), Doubt> {
        let unread = |error| Doubt(format!("an event cannot be read: {error}"));
        let event: Value = serde_json::from_str(&delivery.line).map_err(unread)?;
        let job = self.daemon.job_of(delivery.event.run.0).await.map_err(asking)?;
        let end = shown::end(&event, &job);
        if is_late(&event["at"]) {
            Counts::add(&self.counts.ends_late);
        } else {
            let topic = self.topics.event();
            let message = self.link.publish(&topic, end.to_string().as_bytes(), false, LATE_S as u32).await?;
            progress.under_way.push_back((message, delivery.event.id.0));
            Counts::add(&self.counts.ends);
        }
        if end["event_type"].as_str().is_some_and(|status| FAILED.contains(&status)) {
            self.show_failure(shown::failure_of_end(&end)).await?;
        }
        Ok(())
    }

    async fn hear(&mut self, arrived: Arrived, progress: &mut Progress) -> Result<(), Doubt> {
        let (topic, payload, is_retained) = match arrived {
            Arrived::Acknowledged(message, refused) => {
                self.acknowledged(message, refused, progress);
                return Ok(());
            }
            Arrived::Message { topic, payload, is_retained } => (topic, payload, is_retained),
        };
        if let Some(job) = self.topics.pressed(&topic) {
            return self.pressed(job, &payload, is_retained).await;
        }
        if topic == self.topics.config() {
            // Empty: somebody has removed the device there, and it stays so until Home Assistant or we start again.
            let gone: BTreeSet<_> = buttons_in(&payload).into_iter().filter(|job| !self.jobs.contains(job)).collect();
            if is_retained && !gone.is_subset(&self.gone) {
                self.gone.extend(gone);
                self.describe().await?;
            }
        } else if topic == self.topics.birth() && payload == ONLINE.as_bytes() {
            self.describe_at = Some(Instant::now() + Duration::from_millis(fastrand::u64(..BIRTH_SPREAD_MS)));
        } else if topic == self.topics.status() && payload == OFFLINE.as_bytes() {
            self.publish(&topic, ONLINE, true, 0).await?;
        }
        Ok(())
    }

    fn acknowledged(&mut self, message: u16, refused: Option<String>, progress: &mut Progress) {
        match refused {
            Some(why) => {
                if self.counts.forbidden.get() == 0 {
                    say(&format!("the broker does not take what we publish: {why}"));
                }
                Counts::add(&self.counts.forbidden);
            }
            None => Counts::add(&self.counts.published),
        }
        progress.under_way.retain(|(under_way, _)| *under_way != message);
        progress.told = progress.under_way.front().map_or(progress.read, |(_, event)| event - 1);
    }

    async fn pressed(&mut self, job: &str, payload: &[u8], is_retained: bool) -> Result<(), Doubt> {
        let now_us = jiff::Timestamp::now().as_microsecond();
        let press = Press::read(payload, is_retained, now_us, self.options.press_age_max_s);
        let press = press.and_then(|press| match self.may_start(job) {
            true => Ok(press),
            false => Err("it is not among --jobs".to_owned()),
        });
        let why = match press {
            Ok(press) => match self.daemon.start_job(job, &press.params, &press.key(&self.topics.id, job)).await {
                Ok(run) => {
                    Counts::add(&self.counts.presses);
                    say(&format!("job {job} was pressed: run {}", run["id"]));
                    return Ok(());
                }
                Err(Failure::Refused(problem)) => problem.to_string(),
                // It may be that it was started; a press is not worth a second try after the daemon is back.
                Err(failure) => return Err(asking(failure)),
            },
            Err(why) => why,
        };
        Counts::add(&self.counts.presses_refused);
        say(&format!("a press of job {job} started nothing: {why}"));
        if is_retained {
            return Ok(());
        }
        let told = shown::not_started(job, &why).to_string();
        self.publish(&self.topics.event(), &told, false, LATE_S as u32).await
    }
}

fn asking(failure: Failure) -> Doubt {
    Doubt(failure.to_string())
}

/// Whether something happened so long ago that it is not told any more. A clock that has no idea does not tell.
fn is_late(at: &Value) -> bool {
    let at = at.as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    at.is_some_and(|at| jiff::Timestamp::now().as_second() - at.as_second() > LATE_S)
}
