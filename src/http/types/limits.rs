//! Parses what a submit or a queue says about limits, and holds it against what this daemon can enforce and gives.

use std::sync::Arc;

use serde_json::json;

use super::fields::Fields;
use crate::http::error::Problem;
use crate::run::{CPU_PERCENT_MAX, Enforced, Limits, MEMORY_BYTES_MAX, MEMORY_BYTES_MIN, Options, TASKS_MAX};
use crate::store::Queue;
use crate::wire::Violation;

/// `limits`: an object, or nothing.
pub fn limits(fields: &mut Fields) -> Option<Limits> {
    let mut given = fields.object("limits")?;
    let limits = Limits {
        memory_bytes: given.integer("memory_bytes", MEMORY_BYTES_MIN, MEMORY_BYTES_MAX),
        cpu_percent: given.integer("cpu_percent", 1, CPU_PERCENT_MAX),
        tasks: given.integer("tasks", 1, TASKS_MAX),
    };
    fields.take_back(given);
    Some(limits)
}

/// What this daemon can enforce, and the most that it gives.
#[derive(Clone)]
pub struct Offered {
    /// What can be enforced here.
    pub enforced: Arc<Enforced>,
    /// `[runs]`: the most of each.
    pub most: Limits,
    /// Why a run that survives the daemon has no cgroup for them, for people, if that is so now: where its keeper would be
    /// started can change.
    pub no_survivors: Arc<dyn Fn() -> Option<String> + Send + Sync>,
}

impl Offered {
    /// Checks the options of a run, which stand in `prefix`: what it does not say itself its queue says.
    ///
    /// # Errors
    /// As [`Offered::check`] and [`Offered::check_survivor`].
    pub fn check_run(&self, prefix: &str, options: &Options, of_queue: &Queue) -> Result<(), Problem> {
        self.check(&format!("{prefix}limits"), &options.limits)?;
        if options.survive.unwrap_or(of_queue.survive) {
            self.check_survivor(&format!("{prefix}survive"), &options.limits.or(&of_queue.limits))?;
        }
        Ok(())
    }

    /// Checks limits of a run that survives the daemon by what this field says. Its cgroup has to survive it, too.
    ///
    /// # Errors
    /// 422 where any limit would hold, and that is not so.
    pub fn check_survivor(&self, field: &str, limits: &Limits) -> Result<(), Problem> {
        if limits.is_none() && self.enforced.held(&self.most).is_none() {
            return Ok(());
        }
        let Some(why) = (self.no_survivors)() else { return Ok(()) };
        let detail = format!(
            "limits cannot be enforced for a run that survives the daemon: {why}; leave survive or the limits out"
        );
        Err(Problem::limits_unavailable(detail).with_details(json!({ "field": field })))
    }

    /// Checks limits that stand in this field.
    ///
    /// # Errors
    /// 422 where one cannot be enforced here, or is more than may be had.
    pub fn check(&self, field: &str, limits: &Limits) -> Result<(), Problem> {
        if let Some((name, why)) = self.enforced.refuses(limits) {
            let detail = format!("{field}.{name} cannot be enforced here: {why}; `runabout doctor` says more");
            return Err(Problem::limits_unavailable(detail).with_details(json!({ "field": format!("{field}.{name}") })));
        }
        let pairs = limits.each().into_iter().zip(self.most.each());
        let beyond = pairs.filter_map(|((name, asked), (_, most))| {
            let asked = asked?;
            Some((name, most.filter(|most| asked > *most)?))
        });
        let violations: Vec<Violation> = beyond
            .map(|(name, most)| {
                let message =
                    format!("must be at most {most}, which is what the configuration gives (runs.{name}_max)");
                Violation::new(format!("{field}.{name}"), "range", message)
            })
            .collect();
        if violations.is_empty() { Ok(()) } else { Err(Problem::violations(violations)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_or_cannot_be_enforced_is_refused() {
        let most = Limits { memory_bytes: Some(1 << 30), ..Limits::default() };
        let enforced = Arc::new(Enforced { no_cpu: Some("no controller".into()), ..Enforced::default() });
        let offered = Offered { enforced, most, no_survivors: Arc::new(|| None) };
        let memory = |bytes| Limits { memory_bytes: Some(bytes), ..Limits::default() };
        assert_eq!(offered.check("limits", &memory(1 << 30)), Ok(()));
        let problem = offered.check("limits", &memory((1 << 30) + 1)).expect_err("too much");
        assert_eq!(
            (problem.code, &problem.details["violations"][0]["field"]),
            ("invalid", &json!("limits.memory_bytes"))
        );
        let cpu = Limits { cpu_percent: Some(50), ..Limits::default() };
        let problem = offered.check("run.limits", &cpu).expect_err("no controller");
        assert_eq!((problem.code, &problem.details["field"]), ("limits_unavailable", &json!("run.limits.cpu_percent")));
        // The most of each limits a survivor, too.
        assert_eq!(offered.check_survivor("survive", &Limits::default()), Ok(()));
        let offered = Offered { no_survivors: Arc::new(|| Some("its cgroup ends".into())), ..offered };
        let problem = offered.check_survivor("survive", &Limits::default()).expect_err("no cgroup");
        assert_eq!((problem.code, &problem.details["field"]), ("limits_unavailable", &json!("survive")));
        let unlimited = Offered { most: Limits::default(), ..offered };
        assert_eq!(unlimited.check_survivor("survive", &Limits::default()), Ok(()));
    }
}
