//! A schedule: some expressions, and the zone by whose clock they are read.

use std::fmt;

use super::cron;
use super::every;
use super::walk::{self, Due};
use super::zone::Zone;
use crate::clock::UnixMs;

/// Expressions that one schedule may have.
pub const EXPRESSIONS_MAX: usize = 20;
/// Characters of an expression.
pub const EXPRESSION_CHARS_MAX: usize = 200;

/// When a job is due: whenever one of its expressions is.
#[derive(Clone, Debug)]
pub struct Schedule {
    rules: Vec<Rule>,
    zone: Zone,
}

#[derive(Clone, Debug)]
enum Rule {
    /// By the wall clock.
    Cron(Box<cron::Cron>),
    /// `@every`: so many seconds after each other, from a beginning.
    Every(every::Every),
}

/// Why an expression is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongExpression {
    /// Its place in the list, from 0.
    pub index: usize,
    /// What is wrong, and what is allowed.
    pub why: String,
}

impl fmt::Display for WrongExpression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.why)
    }
}

impl Schedule {
    /// Reads expressions of cron. `@every` counts from `beginning`, in whole seconds.
    ///
    /// # Errors
    /// What is wrong with the first that is, in words for people.
    pub fn parse(expressions: &[String], zone: Zone, beginning: UnixMs) -> Result<Schedule, WrongExpression> {
        let rule = |(index, text): (usize, &String)| {
            let text = text.trim();
            let rule = if text.chars().count() > EXPRESSION_CHARS_MAX {
                Err(format!("must be at most {EXPRESSION_CHARS_MAX} characters"))
            } else if text.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("@every")) {
                every::Every::parse(text, beginning).map(Rule::Every)
            } else {
                cron::Cron::parse(text).map(|cron| Rule::Cron(Box::new(cron)))
            };
            rule.map_err(|why| WrongExpression { index, why })
        };
        let rules = expressions.iter().enumerate().map(rule).collect::<Result<_, _>>()?;
        Ok(Schedule { rules, zone })
    }

    /// The zone by whose clock it is read.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Whether an expression can never be due after this time, such as the thirtieth of February: its place in the list.
    pub fn never(&self, after: UnixMs) -> Option<usize> {
        self.rules.iter().position(|rule| rule.next(after, &self.zone).is_none())
    }

    /// The first time after this one at which it is due. `None`: never, or not before the calendar's end.
    pub fn next(&self, after: UnixMs) -> Option<Due> {
        let dues = self.rules.iter().filter_map(|rule| rule.next(after, &self.zone));
        dues.reduce(|first, other| match first.at.cmp(&other.at) {
            std::cmp::Ordering::Less => first,
            std::cmp::Ordering::Greater => other,
            // Two expressions at one time are due once; one that the clock did not move says more of what is usual.
            std::cmp::Ordering::Equal if first.shift.is_some() => other,
            std::cmp::Ordering::Equal => first,
        })
    }
}

impl Rule {
    fn next(&self, after: UnixMs, zone: &Zone) -> Option<Due> {
        match self {
            Rule::Cron(cron) => walk::next(cron, zone, after),
            Rule::Every(every) => every.next(after).map(|at| Due { at, shift: None }),
        }
    }
}
