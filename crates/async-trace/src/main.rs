//! The `async-trace` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    async_trace::run(std::env::args_os()).into()
}
