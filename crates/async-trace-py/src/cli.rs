//! The `async-trace` command, run inside the Python process that its entry script started.

use pyo3::prelude::*;
use std::ffi::OsString;

/// Runs the command line with `argv` (the program's name first) and returns its exit status.
#[pyfunction]
pub fn run_cli(py: Python<'_>, argv: Vec<OsString>) -> u8 {
    // The command may read, pause and watch for minutes: other Python threads go on meanwhile.
    py.detach(|| async_trace::run(argv))
}
