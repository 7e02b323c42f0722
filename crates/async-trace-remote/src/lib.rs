//! Reads a running (or dead) CPython process from outside into a [`Snapshot`].
//!
//! The target is sacred: nothing here writes to it or runs code in it. It is paused for some
//! milliseconds at most, by a means that the kernel undoes even if this process is killed.
#![forbid(unsafe_code)]

mod assemble;
mod asyncio;
mod capture;
pub mod cpython;
pub mod discover;
pub mod doctor;
pub mod elf;
mod error;
mod memory;
pub mod process;
mod source;

pub use error::{Error, Result};

use async_trace_core::Snapshot;
use std::time::Duration;

/// How to read.
#[derive(Clone, Debug)]
pub struct Options {
    /// Pause the target while what can change is copied.
    pub pause: bool,
    /// The longest that the target may stand still.
    pub pause_budget: Duration,
    /// Read local variables too.
    pub locals: bool,
    /// Attach source lines to frames, where the files can be read.
    pub source: bool,
    /// Walk the heap for coroutines that were never started.
    pub heap: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pause: true,
            pause_budget: Duration::from_millis(8),
            locals: false,
            source: false,
            heap: false,
        }
    }
}

/// Reads the process `pid`.
///
/// # Errors
/// When nothing useful can be read: see [`Error`]. Whatever is less than that is a problem in the
/// snapshot.
pub fn capture(pid: u32, options: &Options) -> Result<Snapshot> {
    capture::process(pid, options)
}
