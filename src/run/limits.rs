//! What a run may use: its own limits, those of its queue, and the most that this daemon gives.

use serde::{Deserialize, Serialize};

/// Limits of one attempt; each that is not set does not hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes of memory of all its processes together. No swap is given beyond them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<i64>,
    /// Hundredths of one processor's time: 50 is half of one, 200 is two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<i64>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<i64>,
}

/// The least memory that a command can be started with.
pub const MEMORY_BYTES_MIN: i64 = 1_048_576;
/// 4 EiB, beyond any machine, and below where a sum overflows.
pub const MEMORY_BYTES_MAX: i64 = 1 << 62;
/// A thousand processors.
pub const CPU_PERCENT_MAX: i64 = 100_000;
/// As many as Linux has numbers for.
pub const TASKS_MAX: i64 = 4_194_304;

impl Limits {
    /// Whether nothing is limited.
    pub fn is_none(&self) -> bool {
        *self == Limits::default()
    }

    /// These, and where one is not set that of the other.
    pub fn or(&self, other: &Limits) -> Limits {
        Limits {
            memory_bytes: self.memory_bytes.or(other.memory_bytes),
            cpu_percent: self.cpu_percent.or(other.cpu_percent),
            tasks: self.tasks.or(other.tasks),
        }
    }

    /// These, but never more than the other: what is not set has the other's.
    pub fn within(&self, most: &Limits) -> Limits {
        let least = |own: Option<i64>, most: Option<i64>| match (own, most) {
            (Some(own), Some(most)) => Some(own.min(most)),
            (own, most) => own.or(most),
        };
        Limits {
            memory_bytes: least(self.memory_bytes, most.memory_bytes),
            cpu_percent: least(self.cpu_percent, most.cpu_percent),
            tasks: least(self.tasks, most.tasks),
        }
    }

    /// Each with its name, whether it is set or not.
    pub fn each(&self) -> [(&'static str, Option<i64>); 3] {
        [("memory_bytes", self.memory_bytes), ("cpu_percent", self.cpu_percent), ("tasks", self.tasks)]
    }
}

/// Which limits this daemon can enforce: for each the reason why it cannot, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enforced {
    /// Of `memory_bytes`.
    pub no_memory: Option<String>,
    /// Of `cpu_percent`.
    pub no_cpu: Option<String>,
    /// Of `tasks`.
    pub no_tasks: Option<String>,
}

impl Enforced {
    /// None, all for the same reason.
    pub fn nothing(why: &str) -> Enforced {
        let why = || Some(why.to_owned());
        Enforced { no_memory: why(), no_cpu: why(), no_tasks: why() }
    }

    /// Each with the name of its limit: why it cannot be enforced.
    pub fn each(&self) -> [(&'static str, Option<&str>); 3] {
        [
            ("memory_bytes", self.no_memory.as_deref()),
            ("cpu_percent", self.no_cpu.as_deref()),
            ("tasks", self.no_tasks.as_deref()),
        ]
    }

    /// Those of these limits that can be enforced.
    pub fn held(&self, limits: &Limits) -> Limits {
        let held = |value: Option<i64>, why: &Option<String>| value.filter(|_| why.is_none());
        Limits {
            memory_bytes: held(limits.memory_bytes, &self.no_memory),
            cpu_percent: held(limits.cpu_percent, &self.no_cpu),
            tasks: held(limits.tasks, &self.no_tasks),
        }
    }

    /// Why one of these limits cannot be enforced, with its name; `None` where all can.
    pub fn refuses(&self, limits: &Limits) -> Option<(&'static str, &str)> {
        let set = limits.each().into_iter().zip(self.each()).filter(|((_, value), _)| value.is_some());
        set.filter_map(|((name, _), (_, why))| Some((name, why?))).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_of_two_holds_and_the_only_one_too() {
        let own = Limits { memory_bytes: Some(10), tasks: Some(5), ..Limits::default() };
        let most = Limits { memory_bytes: Some(7), cpu_percent: Some(50), tasks: Some(9) };
        assert_eq!(own.within(&most), Limits { memory_bytes: Some(7), cpu_percent: Some(50), tasks: Some(5) });
        assert_eq!(own.or(&most), Limits { memory_bytes: Some(10), cpu_percent: Some(50), tasks: Some(5) });
    }

    #[test]
    fn only_what_is_asked_for_can_be_refused() {
        let enforced = Enforced { no_cpu: Some("why".into()), ..Enforced::default() };
        assert_eq!(enforced.refuses(&Limits { tasks: Some(1), ..Limits::default() }), None);
        let refused = enforced.refuses(&Limits { tasks: Some(1), cpu_percent: Some(1), ..Limits::default() });
        assert_eq!(refused, Some(("cpu_percent", "why")));
    }
}
