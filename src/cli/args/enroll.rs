//! The words of `enroll`.

use clap::Args;

use super::numbers::whole;
use crate::cli::duration;

/// What the new enrollment token allows.
#[derive(Args, Debug)]
pub struct EnrollOptions {
    /// What its session may do [default: operator; trigger with --job]
    #[arg(long, value_parser = ["trigger", "viewer", "operator", "admin"])]
    pub role: Option<String>,
    /// A job that it may start, and nothing else (repeatable)
    #[arg(long, value_name = "NAME")]
    pub job: Vec<String>,
    /// How long it can be used: 90, 90s, 15m, 2h, 1d [default: 15m]
    #[arg(long, value_name = "TIME", value_parser = duration::parse_s)]
    pub ttl: Option<i64>,
    /// How often it can be used [default: 1]
    #[arg(long, value_name = "N", value_parser = whole::<1, 1000>)]
    pub uses: Option<i64>,
    /// A note, for people
    #[arg(long)]
    pub label: Option<String>,
    /// Print a link that opens the daemon's page with it, and the same as a QR code
    #[arg(long)]
    pub web: bool,
}
