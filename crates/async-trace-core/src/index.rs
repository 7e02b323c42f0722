//! Finds things of a snapshot by their identity, in constant time.

use crate::snapshot::{EventLoop, Id, Resource, Snapshot, Task, Thread};
use rustc_hash::FxHashMap;

/// Where the things of one snapshot stand in its lists.
#[derive(Debug)]
pub struct Index<'a> {
    /// The snapshot itself.
    pub snapshot: &'a Snapshot,
    tasks: FxHashMap<Id, u32>,
    resources: FxHashMap<Id, u32>,
    threads: FxHashMap<u32, u32>,
    loops: FxHashMap<Id, u32>,
}

fn places<K: std::hash::Hash + Eq>(keys: impl Iterator<Item = K>) -> FxHashMap<K, u32> {
    keys.zip(0..).collect()
}

impl<'a> Index<'a> {
    /// Of this snapshot.
    #[must_use]
    pub fn of(snapshot: &'a Snapshot) -> Self {
        Self {
            snapshot,
            tasks: places(snapshot.tasks.iter().map(|t| t.id)),
            resources: places(snapshot.resources.iter().map(|r| r.id)),
            // Thread id 0 means "not known": it names nobody.
            threads: snapshot.threads.iter().map(|t| t.tid).zip(0..).filter(|(tid, _)| *tid != 0).collect(),
            loops: places(snapshot.loops.iter().map(|l| l.id)),
        }
    }

    /// The place of a task in [`Snapshot::tasks`].
    #[must_use]
    pub fn task(&self, id: Id) -> Option<u32> {
        self.tasks.get(&id).copied()
    }

    /// The place of a resource in [`Snapshot::resources`].
    #[must_use]
    pub fn resource(&self, id: Id) -> Option<u32> {
        self.resources.get(&id).copied()
    }

    /// The place of a thread in [`Snapshot::threads`].
    #[must_use]
    pub fn thread(&self, tid: u32) -> Option<u32> {
        self.threads.get(&tid).copied()
    }

    /// The place of a loop in [`Snapshot::loops`].
    #[must_use]
    pub fn event_loop(&self, id: Id) -> Option<u32> {
        self.loops.get(&id).copied()
    }

    /// The task with this identity.
    #[must_use]
    pub fn get_task(&self, id: Id) -> Option<&'a Task> {
        self.snapshot.tasks.get(self.task(id)? as usize)
    }

    /// The resource with this identity.
    #[must_use]
    pub fn get_resource(&self, id: Id) -> Option<&'a Resource> {
        self.snapshot.resources.get(self.resource(id)? as usize)
    }

    /// The thread with this id.
    #[must_use]
    pub fn get_thread(&self, tid: u32) -> Option<&'a Thread> {
        self.snapshot.threads.get(self.thread(tid)? as usize)
    }

    /// The loop with this identity.
    #[must_use]
    pub fn get_loop(&self, id: Id) -> Option<&'a EventLoop> {
        self.snapshot.loops.get(self.event_loop(id)? as usize)
    }

    /// The place of the thread that runs a loop.
    #[must_use]
    pub fn thread_of_loop(&self, id: Id) -> Option<u32> {
        self.thread(self.get_loop(id)?.thread?)
    }

    /// The place of the thread that runs a task's loop.
    #[must_use]
    pub fn thread_of(&self, task: &Task) -> Option<u32> {
        let by_loop = || self.get_loop(task.event_loop?)?.thread;
        self.thread(task.thread.or_else(by_loop)?)
    }
}
