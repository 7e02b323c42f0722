//! The command line of async-trace.
#![forbid(unsafe_code)]

use std::ffi::OsString;

/// Runs the command with `argv` (the program's name first) and returns its exit status.
pub fn run(argv: impl IntoIterator<Item = OsString>) -> u8 {
    let _ = argv;
    2
}
