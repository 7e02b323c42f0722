//! The tasks as trees: a task that is awaited hangs under the one that awaits it.
//!
//! Tasks may await each other in a ring, and many may await one; every task still stands in exactly
//! one place, and other places refer to it. Nothing here recurses: a chain of a hundred thousand
//! tasks is as harmless as a single one.

use crate::index::Index;
use crate::snapshot::{Id, Target, Task, TaskState};

/// A task below another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Child {
    /// It stands here.
    Own(u32),
    /// It stands elsewhere.
    Elsewhere(u32),
}

/// Trees over a snapshot's tasks, which are named by their position.
pub(super) struct Forest {
    /// Tasks that stand at the top, those that most need a look first.
    pub roots: Vec<u32>,
    /// All that are shown, each before its children.
    pub order: Vec<u32>,
    /// The parent under which each stands.
    pub parent: Vec<Option<u32>>,
    /// Where each task's children begin in `all`; one more at the end.
    starts: Vec<u32>,
    all: Vec<Child>,
    awaiters: Vec<u32>,
}

impl Forest {
    /// Of the tasks for which `keep` holds.
    pub(super) fn of(index: &Index<'_>, keep: impl Fn(u32) -> bool) -> Self {
        let tasks = &index.snapshot.tasks;
        let shown = |p: u32| keep(p) && tasks[p as usize].state != TaskState::Done;
        // Edges, parent to child, in one array.
        let (mut starts, mut edges) = (Vec::with_capacity(tasks.len() + 1), Vec::new());
        let mut awaiters = vec![0_u32; tasks.len()];
        for (position, task) in tasks.iter().enumerate() {
            starts.push(edges.len() as u32);
            if !shown(position as u32) {
                continue;
            }
            for child in pending(task).iter().filter_map(|id| index.task(*id)).filter(|p| shown(*p)) {
                edges.push(child);
                awaiters[child as usize] += 1;
            }
        }
        starts.push(edges.len() as u32);

        let mut forest = Self {
            roots: Vec::new(),
            order: Vec::new(),
            parent: vec![None; tasks.len()],
            all: edges.iter().map(|child| Child::Elsewhere(*child)).collect(),
            starts,
            awaiters,
        };
        let mut placed = vec![false; tasks.len()];
        let mut candidates: [Vec<u32>; 5] = Default::default();
        for place in (0..tasks.len() as u32).filter(|p| shown(*p)) {
            candidates[urgency(index, place)].push(place);
        }
        // First those that nobody awaits; what is left after them are rings, which begin anywhere.
        for ring in [false, true] {
            for root in candidates.iter().flatten() {
                if !placed[*root as usize] && (ring || forest.awaiters[*root as usize] == 0) {
                    forest.roots.push(*root);
                    forest.place(*root, &mut placed);
                }
            }
        }
        forest
    }

    fn place(&mut self, root: u32, placed: &mut [bool]) {
        placed[root as usize] = true;
        let mut stack = vec![root];
        while let Some(position) = stack.pop() {
            self.order.push(position);
            let (start, end) = self.range(position);
            for edge in start..end {
                let Child::Elsewhere(child) = self.all[edge] else { continue };
                if !placed[child as usize] {
                    placed[child as usize] = true;
                    self.parent[child as usize] = Some(position);
                    self.all[edge] = Child::Own(child);
                }
            }
            stack.extend(self.all[start..end].iter().rev().filter_map(|child| match child {
                Child::Own(p) => Some(*p),
                Child::Elsewhere(_) => None,
            }));
        }
    }

    fn range(&self, position: u32) -> (usize, usize) {
        (self.starts[position as usize] as usize, self.starts[position as usize + 1] as usize)
    }

    pub(super) fn children(&self, position: u32) -> &[Child] {
        let (start, end) = self.range(position);
        &self.all[start..end]
    }

    /// Whether more than one task awaits it.
    pub(super) fn is_shared(&self, position: u32) -> bool {
        self.awaiters[position as usize] > 1
    }
}

/// The tasks that a task waits for.
pub(super) fn pending(task: &Task) -> &[Id] {
    match task.waits_for.as_ref().map(|w| &w.target) {
        Some(Target::Tasks { pending, .. }) => pending,
        _ => &[],
    }
}

/// What runs comes first, then what waits for something that somebody holds, then the rest.
fn urgency(index: &Index<'_>, position: u32) -> usize {
    let task = &index.snapshot.tasks[position as usize];
    match (task.state, task.waits_for.as_ref().map(|w| &w.target)) {
        (TaskState::Running, _) => 0,
        (TaskState::Ready, _) => 1,
        (_, Some(Target::Resource { id }))
            if index.get_resource(*id).is_some_and(|r| !r.holders.is_empty()) =>
        {
            2
        }
        (_, Some(Target::Tasks { .. } | Target::Job { .. })) => 3,
        (_, _) if task.cancelling > 0 => 3,
        _ => 4,
    }
}
