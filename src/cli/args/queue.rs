//! The words of `queue`, which takes a name and options, but no verb.

use clap::Args;

use super::limits::LimitOptions;
use super::numbers::whole;

/// Which queue, and what to make of it.
#[derive(Args, Debug, Default)]
pub struct QueueOptions {
    /// The queue; without it, all are listed
    pub name: Option<String>,
    /// What comes behind a verb, which is not said here.
    #[arg(hide = true)]
    pub stray: Option<String>,
    /// How many runs of it may run at once
    #[arg(long, value_name = "N", requires = "name", value_parser = whole::<1, 1024>)]
    pub slots: Option<i64>,
    /// Start nothing more from it
    #[arg(long, requires = "name", conflicts_with = "resume")]
    pub pause: bool,
    /// Start from it again
    #[arg(long, requires = "name")]
    pub resume: bool,
    /// What each of its runs may use that does not say so itself; all three anew.
    #[command(flatten)]
    pub limits: LimitOptions,
    /// Its runs get no limits that they do not ask for
    #[arg(long, requires = "name", conflicts_with_all = ["memory", "cpus", "tasks"])]
    pub no_limits: bool,
    /// Let the commands of its runs outlive the daemon, where a run does not say so itself
    #[arg(long, requires = "name", conflicts_with = "no_survive")]
    pub survive: bool,
    /// The end of the daemon is the end of its commands
    #[arg(long, requires = "name")]
    pub no_survive: bool,
    /// Delete it; it must be empty
    #[arg(long, requires = "name", conflicts_with_all = ["slots", "pause", "resume", "memory", "cpus", "tasks", "no_limits", "survive", "no_survive"])]
    pub delete: bool,
}

impl QueueOptions {
    /// What stands for a verb, where somebody used one.
    pub fn meant(&self) -> Option<String> {
        let (first, second) = (self.name.as_deref()?, self.stray.as_deref()?);
        let (name, verb) = match first {
            "add" | "create" | "make" | "new" | "set" | "pause" | "resume" | "delete" | "rm" | "show" => {
                (second, first)
            }
            _ => (first, second),
        };
        let meant = match verb {
            "add" | "create" | "make" | "new" | "set" => " --slots 1",
            "pause" => " --pause",
            "resume" => " --resume",
            "delete" | "rm" => " --delete",
            _ => "",
        };
        Some(format!(
            "unexpected argument '{second}' found: `queue` takes a name and options\n\n  tip: runabout queue {name}{meant}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_is_told_what_stands_for_it() {
        let tip = |name: &str, stray: Option<&str>| {
            let (name, stray) = (Some(name.to_owned()), stray.map(str::to_owned));
            QueueOptions { name, stray, ..QueueOptions::default() }.meant()
        };
        let ends = |name, stray, end| tip(name, Some(stray)).is_some_and(|tip| tip.ends_with(end));
        assert!(ends("add", "gpu", "tip: runabout queue gpu --slots 1"));
        assert!(ends("gpu", "pause", "tip: runabout queue gpu --pause"));
        assert!(ends("delete", "gpu", "tip: runabout queue gpu --delete"));
        assert!(ends("a", "b", "tip: runabout queue a"));
        assert_eq!(tip("add", None), None);
    }
}
