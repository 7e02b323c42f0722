//! The command line of async-trace.
#![forbid(unsafe_code)]
