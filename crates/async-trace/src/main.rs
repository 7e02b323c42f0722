//! The `async-trace` command. All of it is in the library, because the Python package runs it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(async_trace::run(std::env::args_os()))
}
