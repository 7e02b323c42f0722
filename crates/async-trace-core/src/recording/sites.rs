//! Where tasks come from, and how many of each there are.

use crate::diff::own_frame;
use crate::frame::Frame;
use crate::snapshot::{Snapshot, Task};
use crate::text::Text;
use rustc_hash::FxHashMap;

/// Where tasks come from: the line that created them, or their own coroutine function where that line is
/// not known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Site {
    /// The function.
    pub function: Text,
    /// Its file.
    pub file: Text,
    /// The line of the creation; 0 for a coroutine function.
    pub line: u32,
}

impl Default for Site {
    fn default() -> Self {
        Self { function: "".into(), file: "".into(), line: 0 }
    }
}

impl Site {
    /// Of a task.
    #[must_use]
    pub fn of(task: &Task) -> Self {
        let creator = task.created.as_ref().and_then(|created| own_frame(&created.stack));
        let at = |frame: &Frame, line| Self {
            function: Text::clone(&frame.function),
            file: Text::clone(&frame.file),
            line,
        };
        match (creator, task.chain.first()) {
            (Some(frame), _) => at(frame, frame.line),
            (None, Some(frame)) => at(frame, 0),
            (None, None) => Self::default(),
        }
    }
}

/// Sites with their numbers.
#[derive(Default)]
pub(super) struct Sites {
    numbers: FxHashMap<Site, usize>,
    known: Vec<Site>,
}

impl Sites {
    /// In the order of their numbers.
    pub(super) fn known(&self) -> &[Site] {
        &self.known
    }

    /// How many tasks of each site are not done, by the number of the site.
    pub(super) fn count(&mut self, snapshot: &Snapshot) -> Vec<u32> {
        let mut counts = vec![0; self.known.len()];
        // Tasks of one site mostly share their stacks.
        let mut met: FxHashMap<(usize, usize), usize> = FxHashMap::default();
        for task in snapshot.alive() {
            let created = task.created.as_ref().map_or(0, |c| c.stack.as_ptr().addr());
            let n = *met.entry((created, task.chain.as_ptr().addr())).or_insert_with(|| {
                let site = Site::of(task);
                *self.numbers.entry(site.clone()).or_insert_with(|| {
                    self.known.push(site);
                    counts.push(0);
                    self.known.len() - 1
                })
            });
            if let Some(count) = counts.get_mut(n) {
                *count += 1;
            }
        }
        counts
    }
}
