//! The command line of async-trace: [`run`] parses the arguments, calls one of the `commands`, and
//! says on stderr what went wrong.
//!
//! Exit codes: 0 done (and healthy), 1 a check found something, 2 could not do it. A closed pipe is
//! not an error. Only `output` writes to the terminal, and `tui` while it owns it.
#![forbid(unsafe_code)]

pub mod args;
mod commands;
mod error;
pub mod export;
mod output;
mod tui;

pub use error::{Error, Result};

use args::Arguments;
use clap::Parser;
use output::Output;
use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The exit code for "done, but something is wrong with the target".
const FOUND: u8 = 1;
/// The exit code for "could not do it".
const FAILED: u8 = 2;

/// Runs the command line `argv` (the program's name first) and returns the exit code.
#[must_use]
pub fn run<I, T>(argv: I) -> u8
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let arguments = match Arguments::try_parse_from(argv) {
        Ok(arguments) => arguments,
        Err(error) => return output::usage(&error),
    };
    let mut output = Output::new(&arguments.global);
    output::report_panics_in_one_line();
    let outcome = catch_unwind(AssertUnwindSafe(|| commands::run(&arguments.command, &mut output)));
    match outcome {
        Ok(Ok(Outcome::Done)) => 0,
        Ok(Ok(Outcome::Found)) => FOUND,
        Ok(Ok(Outcome::Ended(code))) => code,
        Ok(Err(error)) if error.is_closed_pipe() => 0,
        Ok(Err(error)) => {
            output.error(&error);
            FAILED
        }
        Err(_) => FAILED,
    }
}

/// How a command ended that could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did.
    Done,
    /// It did, and found that something is wrong with the target.
    Found,
    /// It did, and the command that it started for that ended with this exit code.
    Ended(u8),
}
