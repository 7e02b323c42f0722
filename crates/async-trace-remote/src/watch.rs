//! Reads one process again and again.

use crate::error::Result;
use crate::{Options, capture};
use async_trace_core::Snapshot;

/// A process that is looked at again and again, always in the same way. Each look is a [`capture`] of its own.
pub struct Watcher {
    pid: u32,
    options: Options,
}

impl Watcher {
    /// Looks at the process `pid`, which is not touched yet.
    #[must_use]
    pub fn new(pid: u32, options: Options) -> Self {
        Self { pid, options }
    }

    /// Looks at it.
    ///
    /// # Errors
    /// As [`capture`]; [`crate::Error::Gone`] when it has ended.
    pub fn look(&mut self) -> Result<Snapshot> {
        capture(self.pid, &self.options)
    }
}
