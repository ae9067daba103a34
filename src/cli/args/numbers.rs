//! Numbers of the command line, whose mistakes are told in the words of who types them.

use std::str::FromStr;

/// A whole number. One that is beyond these is for the daemon to refuse, which knows what it allows.
pub fn whole<const FROM: i64, const TO: i64>(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("it must be a whole number, from {FROM} to {TO}"))
}

/// A whole number of one or more.
pub fn from_1<N: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<N, String> {
    let number = text.parse().ok().filter(|number| *number >= N::from(1));
    number.ok_or_else(|| "it must be a whole number, from 1 on".to_owned())
}

/// A share, with or without its sign.
pub fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse::<f64>().ok();
    number.filter(|number| (0.0..=100.0).contains(number)).ok_or_else(|| "it is a number from 0 to 100".to_owned())
}
