//! From one thing to the next: what a task waits for and holds, who waits for it; a lock's holders and
//! waiters; what a finding speaks of.

use async_trace_core::finding::Finding;
use async_trace_core::index::Index;
use async_trace_core::snapshot::{Id, Resource, Target, Task};

/// How many things one relation leads to at most.
const MOST: usize = 1000;

/// A thing that can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Thing {
    /// A task.
    Task(Id),
    /// A lock, queue, pool, ….
    Resource(Id),
}

/// A way from the thing on the page to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// What the other is to this one: `waits for`, `held by`.
    pub relation: &'static str,
    pub to: Thing,
}

#[derive(Default)]
struct Links(Vec<Link>);

impl Links {
    fn task(&mut self, index: &Index<'_>, relation: &'static str, id: Id) {
        if index.task(id).is_some() {
            self.add(relation, Thing::Task(id));
        }
    }

    fn resource(&mut self, index: &Index<'_>, relation: &'static str, id: Id) {
        if index.resource(id).is_some() {
            self.add(relation, Thing::Resource(id));
        }
    }

    fn add(&mut self, relation: &'static str, to: Thing) {
        // One thing once: the first relation says most. Long lists hold no thing twice anyway.
        let recent = self.0.iter().rev().take(64);
        if self.0.len() < MOST && !recent.chain(self.0.first()).any(|link| link.to == to) {
            self.0.push(Link { relation, to });
        }
    }
}

/// From a task.
pub(crate) fn of_task(task: &Task, index: &Index<'_>) -> Vec<Link> {
    let mut links = Links::default();
    if let Some(wait) = &task.waits_for {
        match &wait.target {
            Target::Tasks { pending, .. } => {
                pending.iter().for_each(|id| links.task(index, "waits for", *id));
            }
            Target::Resource { id } => {
                links.resource(index, "waits for", *id);
                let holders = index.get_resource(*id).map_or(&[][..], |r| &r.holders);
                holders.iter().filter_map(|h| h.task).for_each(|id| links.task(index, "held by", id));
            }
            Target::Job { executor: Some(id), .. } => links.resource(index, "runs in", *id),
            _ => {}
        }
        if let Some(id) = wait.within {
            links.resource(index, "part of", id);
        }
    }
    for hold in &task.holds {
        links.resource(index, "holds", hold.resource);
    }
    task.awaited_by.iter().for_each(|a| links.task(index, "awaited by", a.task));
    for resource in task.holds.iter().filter_map(|h| index.get_resource(h.resource)) {
        resource.waiters.iter().for_each(|id| links.task(index, "waits for it", *id));
    }
    if let Some(id) = task.created.as_ref().and_then(|c| c.task) {
        links.task(index, "created by", id);
    }
    links.0.retain(|link| link.to != Thing::Task(task.id));
    links.0
}

/// From a resource.
pub(crate) fn of_resource(resource: &Resource, index: &Index<'_>) -> Vec<Link> {
    let mut links = Links::default();
    resource.holders.iter().filter_map(|h| h.task).for_each(|id| links.task(index, "held by", id));
    resource.waiters.iter().for_each(|id| links.task(index, "waits for it", *id));
    if let Some(id) = resource.within {
        links.resource(index, "part of", id);
    }
    for part in index.snapshot.resources.iter().filter(|r| r.within == Some(resource.id)) {
        links.resource(index, "has", part.id);
    }
    links.0
}

/// From a finding.
pub(crate) fn of_finding(finding: &Finding, index: &Index<'_>) -> Vec<Link> {
    let mut links = Links::default();
    for evidence in &finding.evidence {
        if let Some(task) = &evidence.task {
            links.task(index, "speaks of", task.id);
        }
        if let Some(resource) = &evidence.resource {
            links.resource(index, "speaks of", resource.id);
        }
    }
    for consequence in &finding.consequences {
        consequence.tasks.iter().for_each(|task| links.task(index, "is behind it", task.id));
    }
    links.0
}

#[cfg(test)]
mod tests {
    use super::{Link, Thing, of_resource, of_task};
    use async_trace_core::fixture::snapshot;
    use async_trace_core::index::Index;

    #[test]
    fn lead_round_a_deadlock() {
        let s = snapshot(
            "lock a\nlock b\ntask x\n  f app.py:1\n  holds a\n  waits acquire b\ntask y\n  f app.py:2\n  holds b\n  waits acquire a",
        );
        let index = Index::of(&s);
        let [a, b] = [s.resources[0].id, s.resources[1].id];
        let y = s.tasks[1].id;
        let expected =
            [("waits for", Thing::Resource(b)), ("held by", Thing::Task(y)), ("holds", Thing::Resource(a))];
        assert_eq!(of_task(&s.tasks[0], &index), expected.map(|(relation, to)| Link { relation, to }));
        let [x, y] = [s.tasks[0].id, y].map(Thing::Task);
        let expected = [("held by", x), ("waits for it", y)];
        assert_eq!(
            of_resource(&s.resources[0], &index),
            expected.map(|(relation, to)| Link { relation, to })
        );
    }
}
