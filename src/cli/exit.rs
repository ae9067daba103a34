//! The one place where a failure becomes an exit code: nothing else may choose one.

use crate::client::failure::Failure;

impl Failure {
    /// The exit code of everything but `run`, `wait` and `attach`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::OutputClosed => 0,
            Failure::NotAllowed(_) | Failure::Refused(_) | Failure::Own(_) => 1,
            Failure::Usage(_) => 2,
            Failure::NoDaemon(_) | Failure::Lost(_) => 3,
        }
    }

    /// The exit code of `run`, `wait` and `attach`, where 1 is the command's own.
    pub fn run_exit_code(&self) -> u8 {
        match self {
            Failure::OutputClosed => 0,
            Failure::Usage(_) => 2,
            Failure::NoDaemon(_) => 3,
            Failure::NotAllowed(_) | Failure::Refused(_) | Failure::Own(_) | Failure::Lost(_) => 125,
        }
    }
}
