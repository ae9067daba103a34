//! What the topics of a box are called. Names of jobs are `[a-z0-9_-]{1,64}` at the daemon, so each is a level as it is;
//! what comes from the broker is checked to be one before anything is made of it.

use super::args::Mqtt;

/// A topic that begins with this, and the name of a job in it.
const JOB: &str = "/job/";
const PRESS: &str = "/press";

/// The topics of one box.
pub struct Topics {
    /// What stands for the box.
    pub id: String,
    /// Under which all its own are: PREFIX/INSTANCE.
    base: String,
    discovery_prefix: String,
}

impl Topics {
    /// Those of the box whose daemon has this instance.
    pub fn of(options: &Mqtt, instance: &str) -> Topics {
        let id = options.instance.clone().unwrap_or_else(|| instance.to_owned());
        let base = format!("{}/{id}", options.topic_prefix);
        Topics { id, base, discovery_prefix: options.discovery_prefix.clone() }
    }

    /// `online` or `offline`, retained.
    pub fn status(&self) -> String {
        format!("{}/status", self.base)
    }

    /// How many runs are queued and running, retained.
    pub fn runs(&self) -> String {
        format!("{}/runs", self.base)
    }

    /// The newest failure, retained.
    pub fn failure(&self) -> String {
        format!("{}/failure", self.base)
    }

    /// Each end of a run, and each press that started nothing; never retained.
    pub fn event(&self) -> String {
        format!("{}/event", self.base)
    }

    /// What starts a job.
    pub fn press(&self, job: &str) -> String {
        format!("{}{JOB}{job}{PRESS}", self.base)
    }

    /// Of which job a topic is the press; `None` where it is of none.
    pub fn pressed<'a>(&self, topic: &'a str) -> Option<&'a str> {
        let job = topic.strip_prefix(&*self.base)?.strip_prefix(JOB)?.strip_suffix(PRESS)?;
        is_job(job).then_some(job)
    }

    /// Where Home Assistant finds the device.
    pub fn config(&self) -> String {
        format!("{}/device/{}/config", self.discovery_prefix, self.device())
    }

    /// The device in Home Assistant's registry.
    pub fn device(&self) -> String {
        format!("runabout_{}", self.id)
    }

    /// Where Home Assistant says that it has started.
    pub fn birth(&self) -> String {
        format!("{}/status", self.discovery_prefix)
    }
}

/// Whether a text can be the name of a job.
pub fn is_job(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::Topics;

    #[test]
    fn a_press_names_its_job_and_nothing_else_is_one() {
        let topics =
            Topics { id: "abc".to_owned(), base: "runabout/abc".to_owned(), discovery_prefix: "ha".to_owned() };
        assert_eq!(topics.pressed(&topics.press("open-gate")), Some("open-gate"));
        for other in [
            "runabout/abc/job//press",
            "runabout/abc/job/../runs/press",
            "runabout/abc/job/a%2Fb/press",
            "runabout/abc/job/Ä/press",
            "runabout/abcd/job/a/press",
            "runabout/abc/job/a/b/press",
            "runabout/abc/job/press",
            "runabout/abc/status",
        ] {
            assert_eq!(topics.pressed(other), None, "{other}");
        }
    }
}
