//! Reads one process again and again.
//!
//! Most of a process is at the second look what it was at the first. So the copy of its memory stays, and
//! what was read from it: the next look copies the same pages, compares them with what they were, and reads
//! only those tasks again whose bytes are others. What was taken for constant (types, code, texts) is compared,
//! too: where one byte of it is another, all is forgotten, and the look is as the first.

use crate::capture::{self, Kept, Prepared};
use crate::error::Result;
use crate::process::surroundings::Surroundings;
use crate::{Options, process};
use async_trace_core::Snapshot;
use std::time::Instant;

/// By how much what is kept may grow, beyond twice its first size, before all is read anew.
const MAX_PAGES: usize = 4096;
const MAX_KEPT: usize = 50_000;

/// A process that is looked at again and again.
pub struct Watcher {
    pid: u32,
    /// How to look.
    pub options: Options,
    kept: Option<Look>,
}

/// What the last look has left.
struct Look {
    target: Prepared,
    kept: Kept,
    /// Whether local variables were read: what was kept has them, or has not.
    locals: bool,
    /// How many pages and other things the first look of its kind left.
    first: (usize, usize),
}

impl Watcher {
    /// Looks at the process `pid`, which is not touched yet.
    #[must_use]
    pub fn new(pid: u32, options: Options) -> Self {
        Self { pid, options, kept: None }
    }

    /// Looks at it for the last time: what another look would need is not kept.
    ///
    /// # Errors
    /// As [`Watcher::look`].
    pub fn last_look(&mut self) -> Result<Snapshot> {
        if let Some(look) = &mut self.kept {
            look.kept.end();
        }
        let snapshot = self.look();
        self.kept = None;
        snapshot
    }

    /// Looks at it.
    ///
    /// # Errors
    /// As [`crate::capture`]; [`Error::Gone`](crate::Error::Gone) when it has ended.
    pub fn look(&mut self) -> Result<Snapshot> {
        if let Some(look) = self.kept.take().filter(|look| look.locals == self.options.locals)
            && let Some((snapshot, look)) = look.again(&self.options)?
        {
            self.kept = Some(look);
            return Ok(snapshot);
        }
        let (snapshot, look) = Look::first(self.pid, &self.options)?;
        self.kept = Some(look);
        Ok(snapshot)
    }
}

impl Look {
    fn first(pid: u32, options: &Options) -> Result<(Snapshot, Self)> {
        let started = Instant::now();
        let mut target = capture::live::prepare(pid, options, |memory| Box::new(memory))?;
        target.pages.note_constants();
        let mut kept = Kept::begin();
        let snapshot = capture::running(&mut target, &mut kept, options, started)?;
        target.pages.keep_constants();
        let first = (target.pages.count(), kept.size());
        Ok((snapshot, Self { target, kept, locals: options.locals, first }))
    }

    /// Looks again; none where it has to be as the first time.
    fn again(mut self, options: &Options) -> Result<Option<(Snapshot, Self)>> {
        let started = Instant::now();
        let (pages, size) = self.first;
        if self.target.pages.count() > 2 * pages + MAX_PAGES || self.kept.size() > 2 * size + MAX_KEPT {
            return Ok(None);
        }
        let pid = self.target.identity.pid;
        self.target.identity.renew()?;
        self.target.os_threads = process::threads::list(pid).unwrap_or_default();
        self.target.surroundings = Surroundings::of_live(pid);
        let snapshot = capture::running(&mut self.target, &mut self.kept, options, started);
        if !self.target.pages.constants_hold() {
            return Ok(None);
        }
        // Whatever is wrong with it, the process is there: a look that knows nothing may see more.
        let Ok(snapshot) = snapshot else { return Ok(None) };
        self.target.pages.keep_constants();
        Ok(Some((snapshot, self)))
    }
}
