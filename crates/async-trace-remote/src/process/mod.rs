//! What the operating system knows about a process: its mappings, threads, files, permissions.
//!
//! Everything here comes from `/proc` or from ptrace; nothing here knows what Python is.

pub mod maps;
