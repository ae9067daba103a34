//! `completions`: what a shell needs to know to complete our command lines.
//!
//! Made from the definition of the command line itself; no daemon is asked.

use clap::CommandFactory as _;
use clap_complete::generate;

use crate::cli::args::{Cli, Shell};
use crate::cli::print;
use crate::client::failure::Failure;

/// Prints the shell's script.
pub fn completions(shell: Shell) -> Result<u8, Failure> {
    let mut script = Vec::new();
    generate(shell.generator(), &mut Cli::command(), "runabout", &mut script);
    print::answer(&String::from_utf8_lossy(&script))?;
    Ok(0)
}
