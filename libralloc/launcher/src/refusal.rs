//! Why the launcher does not start the program, in one line and one exit status.

use std::{fmt, path::Path};

/// The command line makes no sense.
pub(crate) const USAGE: u8 = 2;
/// The launcher itself failed; `env` and `timeout` use the same number.
pub(crate) const BROKEN: u8 = 125;
/// The program is there and cannot be run on the library.
pub(crate) const CANNOT_RUN: u8 = 126;
/// There is no such program.
pub(crate) const NOT_FOUND: u8 = 127;

/// What went wrong, and the exit status that says so.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u8,
    line: String,
}

impl Refusal {
    pub(crate) fn new(status: u8, line: impl Into<String>) -> Self {
        Self {
            status,
            line: line.into(),
        }
    }

    /// `reason` is about this file.
    pub(crate) fn of(status: u8, file: &Path, reason: impl fmt::Display) -> Self {
        Self::new(status, format!("{}: {reason}", file.display()))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}
