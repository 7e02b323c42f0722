//! The `async-trace` command.
fn main() {}
