//! Schedules: when a job is due, by expressions of cron, the wall clock of a zone, and what a change of that clock does.
//!
//! croner reads expressions and finds wall-clock times that fit them; it knows no zone. Zones are jiff's, and what happens
//! where a clock is changed stands in `walk`. Only the lookup of a zone's data reads files.

mod cron;
mod every;
mod missed;
mod rules;
#[cfg(test)]
mod tests;
mod walk;
mod zone;

pub use self::missed::Missed;
pub use self::rules::{EXPRESSION_CHARS_MAX, EXPRESSIONS_MAX, Schedule, WrongExpression};
pub use self::walk::{Due, Shift};
pub use self::zone::{Zone, ZoneError};
