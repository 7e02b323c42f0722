//! Finding a task, resource or thread of a snapshot by its identity.

use crate::frame::{Frame, Origin};
use crate::snapshot::{Id, Resource, Snapshot, Task, Thread};
use rustc_hash::FxHashMap;

/// A snapshot with ways to look things up in it.
pub(super) struct Index<'a> {
    pub snapshot: &'a Snapshot,
    tasks: FxHashMap<Id, u32>,
    resources: FxHashMap<Id, u32>,
}

impl<'a> Index<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let number = |(i, id): (usize, Id)| (id, i as u32);
        Self {
            snapshot,
            tasks: snapshot.tasks.iter().map(|t| t.id).enumerate().map(number).collect(),
            resources: snapshot.resources.iter().map(|r| r.id).enumerate().map(number).collect(),
        }
    }

    /// The place of a task in the snapshot.
    pub(super) fn position(&self, id: Id) -> Option<u32> {
        self.tasks.get(&id).copied()
    }

    pub(super) fn task(&self, id: Id) -> Option<&'a Task> {
        self.snapshot.tasks.get(self.position(id)? as usize)
    }

    pub(super) fn resource_position(&self, id: Id) -> Option<u32> {
        self.resources.get(&id).copied()
    }

    pub(super) fn resource(&self, id: Id) -> Option<&'a Resource> {
        self.snapshot.resources.get(self.resource_position(id)? as usize)
    }

    /// Threads are few: no map.
    pub(super) fn thread(&self, tid: u32) -> Option<&'a Thread> {
        self.snapshot.threads.iter().find(|t| t.tid == tid)
    }
}

/// The line of a stack that tells its reader most: the innermost of the user's own, else the innermost.
pub(super) fn telling(stack: &[Frame]) -> Option<&Frame> {
    stack.iter().rev().find(|f| f.origin == Origin::Own && f.line > 0).or_else(|| stack.last())
}
