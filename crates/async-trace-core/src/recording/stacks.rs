//! Where time went: stacks, each with the seconds that were spent at it. What flame graphs are made of.

use super::Sample;
use crate::frame::{Frame, Origin};
use crate::index::Index;
use crate::render::brief;
use crate::render::paths::Paths;
use crate::snapshot::{LoopState, Snapshot, TaskState};
use crate::text::{Text, escape};
use rustc_hash::FxHashMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

/// What to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// For each task, the time that it waited: its await chain, and what it waited for.
    Waiting,
    /// For each loop, the time that it was busy: the stack of its thread.
    Busy,
}

/// A stack and its time.
struct Entry {
    stack: Arc<[Frame]>,
    leaf: Text,
    seconds: f64,
}

/// Stacks, and the time that was spent at each.
pub struct Stacks {
    of: Of,
    entries: Vec<Entry>,
    /// By the stack's content: its address is another one after a while.
    places: FxHashMap<(Arc<[Frame]>, Text), usize>,
    /// For busy loops: what was seen when, as (place, seconds).
    order: Vec<(usize, f64)>,
    first_s: Option<f64>,
    last_s: f64,
}

impl Stacks {
    /// Of samples, each with the seconds that it lasted.
    pub fn of(samples: impl Iterator<Item = (Sample, f64)>, of: Of) -> Self {
        let mut stacks = Self {
            of,
            entries: Vec::new(),
            places: FxHashMap::default(),
            order: Vec::new(),
            first_s: None,
            last_s: 0.0,
        };
        for (sample, lasted_s) in samples {
            stacks.add(&sample.snapshot, lasted_s);
        }
        stacks
    }

    /// Whether there is nothing to show.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// From the first sample to the end of the last, in seconds.
    #[must_use]
    pub fn duration_s(&self) -> f64 {
        self.last_s - self.first_s.unwrap_or(self.last_s)
    }

    fn add(&mut self, snapshot: &Snapshot, lasted_s: f64) {
        self.first_s.get_or_insert(snapshot.capture.time_s);
        self.last_s = snapshot.capture.time_s + lasted_s;
        let index = Index::of(snapshot);
        match self.of {
            Of::Waiting => {
                // Most tasks of a sample wait at the same few places.
                let mut met: FxHashMap<(usize, String), usize> = FxHashMap::default();
                for task in snapshot.alive() {
                    let key = (task.chain.as_ptr().addr(), brief::task(&index, task));
                    if task.state == TaskState::Running {
                        continue;
                    }
                    let place = match met.get(&key) {
                        Some(place) => *place,
                        None => {
                            let place = self.place(&task.chain, key.1.as_str().into());
                            met.insert(key, place);
                            place
                        }
                    };
                    self.entries[place].seconds += lasted_s;
                }
            }
            Of::Busy => {
                for event_loop in snapshot.loops.iter().filter(|l| l.state == LoopState::Busy) {
                    let thread = event_loop.thread.and_then(|tid| index.get_thread(tid));
                    let Some(thread) = thread else { continue };
                    let task = event_loop.task.or(thread.task).and_then(|id| index.get_task(id));
                    // Names like Task-17 are made up, and one for each task.
                    let name = task.map(|t| &*t.name).filter(|name| !name.starts_with("Task-"));
                    let leaf = name.map_or_else(|| "".into(), |name| format!("task {name}").into());
                    let place = self.place(&thread.stack, leaf);
                    self.entries[place].seconds += lasted_s;
                    self.order.push((place, lasted_s));
                }
            }
        }
    }

    fn place(&mut self, stack: &Arc<[Frame]>, leaf: Text) -> usize {
        let entries = &mut self.entries;
        *self.places.entry((Arc::clone(stack), leaf)).or_insert_with_key(|(stack, leaf)| {
            entries.push(Entry { stack: Arc::clone(stack), leaf: Text::clone(leaf), seconds: 0.0 });
            entries.len() - 1
        })
    }

    /// Every stack, with its frames in words.
    pub(super) fn spoken(&self) -> impl Iterator<Item = Spoken<'_>> {
        let paths = Paths::of_stacks(self.entries.iter().map(|e| &*e.stack));
        self.entries.iter().map(move |entry| {
            let mut rows: Vec<Row<'_>> = Vec::with_capacity(entry.stack.len() + 1);
            for frame in entry.stack.iter() {
                let mut name = frame.function.to_string();
                let file = paths.short(frame);
                // Writing into a String cannot fail.
                let _ = match (file, frame.line) {
                    ("", _) => Ok(()),
                    (file, 0) => write!(name, " ({file})"),
                    (file, line) => write!(name, " ({file}:{line})"),
                };
                rows.push(Row { name, frame: Some(frame) });
            }
            if !entry.leaf.is_empty() {
                rows.push(Row { name: format!("[{}]", entry.leaf), frame: None });
            }
            Spoken { rows, seconds: entry.seconds }
        })
    }

    /// What was seen when, for busy loops: places in [`Self::spoken`] with seconds.
    pub(super) fn order(&self) -> &[(usize, f64)] {
        &self.order
    }

    /// The lines of the *folded* form, without an end of line: frames with `;` between them, and microseconds.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.spoken().filter_map(|spoken| {
            let micros = (spoken.seconds * 1e6).round() as u64;
            let rows: Vec<String> = spoken.rows.iter().map(|row| foldable(&row.name)).collect();
            (micros > 0).then(|| format!("{} {micros}", rows.join(";")))
        })
    }

    /// Writes the folded form.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_folded(&self, mut out: impl Write) -> io::Result<()> {
        self.lines().try_for_each(|line| writeln!(out, "{line}"))
    }

    /// Whose code each row of [`Self::lines`] is, by its name; none for what is no code.
    #[must_use]
    pub fn origins(&self) -> FxHashMap<String, Option<Origin>> {
        let rows = self.spoken().flat_map(|spoken| spoken.rows);
        rows.map(|row| (foldable(&row.name), row.frame.map(|f| f.origin))).collect()
    }
}

/// A stack in words.
pub(super) struct Spoken<'a> {
    pub rows: Vec<Row<'a>>,
    pub seconds: f64,
}

/// A frame in words, or the leaf below them.
pub(super) struct Row<'a> {
    pub name: String,
    pub frame: Option<&'a Frame>,
}

/// A name that fits into the folded form, which knows no quoting.
fn foldable(name: &str) -> String {
    escape(name).replace(';', ",")
}
