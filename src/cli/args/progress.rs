//! The words of `progress`.

use clap::Args;

use super::numbers::percent;
use super::runs::Id;

/// How far a run is.
#[derive(Args, Debug)]
pub struct ProgressOptions {
    /// How much of it is done, from 0 to 100
    #[arg(value_parser = percent, required_unless_present = "message", allow_negative_numbers = true)]
    pub percent: Option<f64>,
    /// A few words about it
    #[arg(value_name = "MESSAGE", conflicts_with = "message")]
    pub words: Option<String>,
    /// The same, where there is no figure
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
    /// Another run than the one whose command this is: a number, or `last`
    #[arg(long, value_name = "ID")]
    pub run: Option<Id>,
}
