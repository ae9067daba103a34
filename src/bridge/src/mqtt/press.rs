//! A press of a button: a wish to start a job, said at a time.
//!
//! Whatever keeps messages between the one who pressed and us (a retained message, a broker's queue, a link that was silent
//! for an hour) must not start a pump tomorrow. So a press says when it was made, and only a fresh one counts; two
//! deliveries of one press are one, because its time is part of the key under which the job is started.

use serde_json::Value;

/// Of a press with parameters.
const BYTES_MAX: usize = 64 << 10;

/// A press that may start its job.
#[derive(Debug, PartialEq)]
pub struct Press {
    /// When it was made, in microseconds since 1970.
    pub at_us: i64,
    /// The job's parameters.
    pub params: Value,
}

impl Press {
    /// The key under which the job is started: the same for the same press, however often it comes.
    pub fn key(&self, id: &str, job: &str) -> String {
        format!("mqtt-{id}-{job}-{}", self.at_us)
    }

    /// Reads what was sent: a time, or `{"at": TIME, "params": {}}`, the time in seconds since 1970 or by RFC 3339.
    ///
    /// # Errors
    /// Why it starts nothing, for people.
    pub fn read(payload: &[u8], is_retained: bool, now_us: i64, age_max_s: u32) -> Result<Press, String> {
        if is_retained {
            return Err("it is retained: who publishes it must not set that flag".to_owned());
        }
        if payload.len() > BYTES_MAX {
            return Err(format!("it has more than {BYTES_MAX} bytes"));
        }
        let (at_us, params) = parts(payload).ok_or_else(|| {
            "it does not say when it was made: send seconds since 1970, as `date +%s.%N` prints them, or \
             {\"at\": SECONDS, \"params\": {}}"
                .to_owned()
        })?;
        let (age_us, age_max_us) = (now_us.saturating_sub(at_us), i64::from(age_max_s) * 1_000_000);
        let s = age_us.unsigned_abs() / 1_000_000;
        match age_us {
            late if late > age_max_us => Err(format!("it is {s} s old, more than {age_max_s} s, by this clock")),
            early if early < -age_max_us => Err(format!("it is {s} s ahead, more than {age_max_s} s, of this clock")),
            _ => Ok(Press { at_us, params }),
        }
    }
}

fn parts(payload: &[u8]) -> Option<(i64, Value)> {
    let text = std::str::from_utf8(payload).ok()?.trim();
    let Ok(value) = serde_json::from_str::<Value>(text) else { return Some((rfc3339(text)?, empty())) };
    match value {
        Value::Object(mut fields) => {
            let at = fields.remove("at")?;
            let params = fields.remove("params").unwrap_or_else(empty);
            let is_whole = fields.is_empty() && params.is_object();
            is_whole.then_some((time(&at)?, params))
        }
        at => Some((time(&at)?, empty())),
    }
}

fn empty() -> Value {
    Value::Object(serde_json::Map::new())
}

fn time(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => rfc3339(text),
        Value::Number(seconds) => {
            let us = (seconds.as_f64()? * 1e6).round();
            // Beyond that a double has no microseconds, and no clock that a press can be measured by.
            (us.abs() < 9e15).then_some(us as i64)
        }
        _ => None,
    }
}

fn rfc3339(text: &str) -> Option<i64> {
    Some(text.parse::<jiff::Timestamp>().ok()?.as_microsecond())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Press;

    const NOW: i64 = 1_780_000_000_000_000;

    fn read(payload: &str) -> Result<Press, String> {
        Press::read(payload.as_bytes(), false, NOW, 60)
    }

    #[test]
    fn a_fresh_press_counts_however_its_time_is_written() {
        for payload in
            ["1779999990.25", " 1779999990.25\n", r#"{"at":1779999990.25}"#, r#"{"at":"2026-05-28T20:26:30.25Z"}"#]
        {
            let press = read(payload).expect("a press");
            assert_eq!((press.at_us, &press.params), (1_779_999_990_250_000, &json!({})), "{payload}");
        }
        let press = read(r#"{"at":1780000000,"params":{"room":"ä"}}"#).expect("a press");
        assert_eq!(press.params, json!({ "room": "ä" }));
        assert_eq!(press.key("abc", "gate"), "mqtt-abc-gate-1780000000000000");
    }

    #[test]
    fn what_is_old_ahead_retained_or_says_no_time_starts_nothing() {
        for (payload, why) in [
            ("1779999939", "61 s old"),
            ("1780000061", "61 s ahead"),
            ("0", "s old"),
            ("9e300", "when it was made"),
            ("PRESS", "when it was made"),
            ("", "when it was made"),
            ("null", "when it was made"),
            (r#"{"params":{}}"#, "when it was made"),
            (r#"{"at":1780000000,"params":[]}"#, "when it was made"),
            (r#"{"at":1780000000,"job":"other"}"#, "when it was made"),
            ("\u{feff}1780000000", "when it was made"),
        ] {
            let told = read(payload).expect_err("refused");
            assert!(told.contains(why), "{payload}: {told}");
        }
        assert!(Press::read(b"1780000000", true, NOW, 60).expect_err("refused").contains("retained"));
        assert!(Press::read(&[b' '; 70_000], false, NOW, 60).expect_err("refused").contains("bytes"));
        assert!(Press::read(&[0xff], false, NOW, 60).is_err());
    }
}
