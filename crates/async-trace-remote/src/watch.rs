//! Reads one process again and again.

use crate::error::Result;
use crate::{Options, capture};
use async_trace_core::Snapshot;

/// A process that is looked at again and again: what does not change between two looks need not be found again.
pub struct Watcher {
    pid: u32,
    options: Options,
}

impl Watcher {
    /// Gets ready to look at the process `pid`.
    ///
    /// # Errors
    /// As [`capture`].
    pub fn new(pid: u32, options: Options) -> Result<Self> {
        Ok(Self { pid, options })
    }

    /// Looks at it.
    ///
    /// # Errors
    /// As [`capture`]; [`crate::Error::Gone`] when it has ended.
    pub fn look(&mut self) -> Result<Snapshot> {
        capture(self.pid, &self.options)
    }

    /// The process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }
}
