//! What the operating system knows about a process: its mappings, threads, files, permissions.
//!
//! Everything here comes from `/proc` or from ptrace; nothing here knows what Python is.

pub(crate) mod children;
pub(crate) mod family;
pub mod files;
mod identity;
pub mod maps;
mod netlink;
pub mod pause;
mod sockets;
mod stat;
pub(crate) mod surroundings;
pub mod syscalls;
pub mod threads;
pub(crate) mod traffic;

pub(crate) use identity::field;
pub use identity::{Identity, identity};

/// The process that has started `pid`, or has taken it over.
pub(crate) fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    Some(stat::Stat::parse(&stat)?.parent)
}
