//! The wait graph of a snapshot: tasks, threads, locks, pools, queues and executors in one, because a
//! deadlock does not care where one ends and the next begins.
//!
//! It is built to doubt: where it is not known who could end a wait, the wait counts as one that will
//! end. What remains stuck is stuck by what was read.

mod gates;
pub mod knots;

pub use gates::holders;

use crate::frame::{Frame, Origin};
use crate::index::Index;
use crate::snapshot::{
    Extent, Holder, Id, Reach, Resource, ResourceKind, Target, Task, TaskState, Trust, Verb, WaitsFor,
};
use knots::{Builder, Stuck, Waits};
use rustc_hash::FxHashMap;

/// What a node stands for: a place in one of the snapshot's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// A task that is to go on.
    Task(u32),
    /// A thread that is to go on.
    Thread(u32),
    /// A resource: a slot of it is to become free, or what it announces is to happen.
    Resource(u32),
    /// A queue that is to have room.
    Room(u32),
    /// A queue whose items are all to be done.
    Done(u32),
    /// A choice: the task or thread waits for the first of several things.
    Choice,
    /// A future that somebody who can reach it is to complete.
    Future,
}

/// The graph, what can never go on in it, and why.
#[derive(Debug)]
pub struct Graph {
    nodes: Vec<Node>,
    waits: Waits,
    /// What can never go on.
    pub stuck: Stuck,
    uncertain: Vec<bool>,
    /// For each knot, the tasks that wait for it, mediately or not, without being in it.
    behind: Vec<Vec<u32>>,
    tasks: u32,
}

impl Graph {
    /// Of a snapshot. A wait whose timeout fires within `patience_s` counts as one that will end.
    #[must_use]
    pub fn of(index: &Index<'_>, patience_s: f64) -> Self {
        let snapshot = index.snapshot;
        let mut making = Making {
            index,
            patience_s,
            edges: Builder::default(),
            nodes: Vec::with_capacity(snapshot.tasks.len() + snapshot.threads.len()),
            shared: FxHashMap::default(),
            uncertain: Vec::new(),
        };
        making.nodes.extend((0..snapshot.tasks.len() as u32).map(Node::Task));
        making.nodes.extend((0..snapshot.threads.len() as u32).map(Node::Thread));
        making.edges.free_nodes(making.nodes.len());
        making.uncertain.resize(making.nodes.len(), false);
        for (place, thread) in snapshot.threads.iter().enumerate() {
            let node = making.thread_node(place as u32);
            making.wait(node, thread.waits_for.as_ref());
        }
        for (place, task) in snapshot.tasks.iter().enumerate() {
            let node = place as u32;
            if task.state == TaskState::Done {
                continue;
            }
            if task.state == TaskState::Waiting {
                making.wait(node, task.waits_for.as_ref());
            }
            if let Some(thread) = index.thread_of(task)
                && snapshot.threads[thread as usize].waits_for.is_some()
            {
                making.edges.edge(node, making.thread_node(thread));
            }
        }
        let waits = making.edges.finish();
        let stuck = waits.stuck();
        let tasks = snapshot.tasks.len() as u32;
        let mut behind = vec![Vec::new(); stuck.knots.len()];
        for task in 0..tasks {
            if let Some(knot) = stuck.cause[task as usize].map(|knot| knot as usize)
                && stuck.knots[knot].nodes.binary_search(&task).is_err()
            {
                behind[knot].push(task);
            }
        }
        Self { nodes: making.nodes, waits, stuck, uncertain: making.uncertain, behind, tasks }
    }

    /// What a node stands for.
    #[must_use]
    pub fn node(&self, node: u32) -> Node {
        self.nodes.get(node as usize).copied().unwrap_or(Node::Choice)
    }

    /// What a node waits for.
    pub fn waits_of(&self, node: u32) -> impl Iterator<Item = u32> {
        self.waits.of_node(node).iter().copied()
    }

    /// Whether what a node waits for is only a guess.
    #[must_use]
    pub fn is_uncertain(&self, node: u32) -> bool {
        self.uncertain.get(node as usize).copied().unwrap_or(true)
    }

    /// Whether a task can never go on.
    #[must_use]
    pub fn is_stuck(&self, task: u32) -> bool {
        task < self.tasks && self.stuck.cause.get(task as usize).is_some_and(Option::is_some)
    }

    /// The tasks that wait, mediately or not, for a knot they are not in.
    #[must_use]
    pub fn behind(&self, knot: usize) -> &[u32] {
        self.behind.get(knot).map_or(&[], Vec::as_slice)
    }
}

struct Making<'a> {
    index: &'a Index<'a>,
    patience_s: f64,
    edges: Builder,
    nodes: Vec<Node>,
    /// The nodes that several waits lead to.
    shared: FxHashMap<Node, u32>,
    uncertain: Vec<bool>,
}

impl Making<'_> {
    fn thread_node(&self, place: u32) -> u32 {
        self.index.snapshot.tasks.len() as u32 + place
    }

    fn add(&mut self, node: Node, any: bool) -> u32 {
        self.nodes.push(node);
        self.uncertain.push(false);
        self.edges.node(any)
    }

    /// Adds the edges of one wait.
    fn wait(&mut self, node: u32, waits_for: Option<&WaitsFor>) {
        let Some(waits) = waits_for else { return };
        // A timeout that is overdue did not help.
        if waits.timeout_s.is_some_and(|left| (0.0..=self.patience_s).contains(&left)) {
            return;
        }
        if waits.trust == Trust::Guessed {
            self.uncertain[node as usize] = true;
        }
        if let Some(resource) = acquired(self.index, waits) {
            let to = self.resource(resource, waits.verb);
            self.edges.edge(node, to);
            return;
        }
        match &waits.target {
            Target::Tasks { pending, any, .. } => {
                let places: Vec<u32> = pending.iter().filter_map(|id| self.index.task(*id)).collect();
                let first_is_enough =
                    any.unwrap_or(matches!(waits.verb, Verb::AsCompleted | Verb::Wait)) && pending.len() > 1;
                if places.is_empty() || first_is_enough && places.len() < pending.len() {
                    return;
                }
                let from = if first_is_enough { self.add(Node::Choice, true) } else { node };
                if from != node {
                    self.edges.edge(node, from);
                }
                for place in places {
                    self.edges.edge(from, place);
                }
            }
            Target::Job { thread: Some(tid), .. } => {
                if let Some(thread) = self.index.thread(*tid) {
                    self.edges.edge(node, self.thread_node(thread));
                }
            }
            Target::Job { executor: Some(executor), .. } => {
                if let Some(thread) = self.index.thread_of_loop(*executor) {
                    // A coroutine that the loop has not begun: it will where its thread comes back to it.
                    let to = self.thread_node(thread);
                    self.edges.edge(node, to);
                } else if let Some(place) = self.index.resource(*executor) {
                    let to = self.resource(place, waits.verb);
                    self.edges.edge(node, to);
                }
            }
            Target::Future { id, reach: Some(reach), .. } => {
                if let Some((users, doubt)) = self.able(reach, |user| awaits_future(self.index, user, *id)) {
                    let future = self.add(Node::Future, true);
                    self.uncertain[future as usize] = doubt;
                    self.edges.edge(node, future);
                    for user in users {
                        self.edges.edge(future, user);
                    }
                }
            }
            _ => {}
        }
    }

    /// The node of a resource as seen by this kind of wait, made when it is first needed.
    fn resource(&mut self, place: u32, verb: Verb) -> u32 {
        let resource = &self.index.snapshot.resources[place as usize];
        let node = match (resource.kind, verb) {
            (ResourceKind::Queue, Verb::Put) => Node::Room(place),
            (ResourceKind::Queue, Verb::Join) => Node::Done(place),
            _ => Node::Resource(place),
        };
        if let Some(known) = self.shared.get(&node) {
            return *known;
        }
        let number = self.add(node, false);
        self.shared.insert(node, number);
        let able = match (node, resource.kind) {
            (Node::Room(_), _) => self.able_to_make_room(resource),
            (Node::Done(_), _) => self.able_to_finish(resource),
            (_, ResourceKind::Executor) => self.workers(resource),
            (_, kind) if is_held(kind, verb) => self.able_to_release(resource),
            _ => self.announcers(resource, verb),
        };
        if let Some((able, doubt)) = able {
            self.edges.needs_any(number);
            self.uncertain[number as usize] = doubt;
            for node in able {
                self.edges.edge(number, node);
            }
        }
        number
    }

    /// Who could give a slot back; nothing if that is not known.
    fn able_to_release(&self, resource: &Resource) -> Option<(Vec<u32>, bool)> {
        let state = &resource.state;
        let has_slots = matches!(resource.kind, ResourceKind::Semaphore | ResourceKind::Pool);
        if state.locked == Some(false) || resource.kind == ResourceKind::Semaphore && state.size > Some(0) {
            return None;
        }
        if resource.holders.is_empty() {
            if has_slots {
                return None;
            }
            let reach = resource.reach.as_ref().filter(|reach| reach.extent != Extent::Frames)?;
            return self.able(reach, |user| self.is_waiting_for(user, resource));
        }
        let mut doubt = resource.holders.iter().any(|holder| holder.trust == Trust::Guessed);
        if has_slots {
            match slots(resource) {
                // Somebody who was not found holds a slot, and may give it back.
                Some(slots) if (resource.holders.len() as i64) < slots => return None,
                Some(_) => {}
                None => doubt = true,
            }
        }
        let mut able = Vec::with_capacity(resource.holders.len());
        for holder in &resource.holders {
            match self.node_of(holder) {
                Some(node) => able.push(node),
                // A holder that ended without giving it back: `held` by nobody alive.
                None if holder.task.is_none() && holder.thread.is_none() => {}
                None if holder.task.is_some_and(|id| self.index.get_task(id).is_some()) => {}
                None => return None,
            }
        }
        Some((able, doubt))
    }

    /// The node of a holder or user that is alive.
    fn node_of(&self, holder: &Holder) -> Option<u32> {
        if let Some(id) = holder.task {
            let place = self.index.task(id)?;
            let done = self.index.snapshot.tasks[place as usize].state == TaskState::Done;
            return (!done).then_some(place);
        }
        Some(self.thread_node(self.index.thread(holder.thread?)?))
    }

    /// Who of those that reach an object could act on it; nothing if others could too.
    fn able(&self, reach: &Reach, is_excluded: impl Fn(&Holder) -> bool) -> Option<(Vec<u32>, bool)> {
        if !reach.others.is_empty() {
            return None;
        }
        let mut nodes = Vec::new();
        for user in &reach.users {
            if is_excluded(user) {
                continue;
            }
            match self.node_of(user) {
                Some(node) => nodes.push(node),
                None if user.task.is_some() => {}
                None => return None,
            }
        }
        nodes.sort_unstable();
        nodes.dedup();
        Some((nodes, reach.extent != Extent::Whole))
    }

    fn is_waiting_for(&self, user: &Holder, resource: &Resource) -> bool {
        let waits = match (user.task, user.thread) {
            (Some(id), _) => self.index.get_task(id).and_then(|t| t.waits_for.as_ref()),
            (None, Some(tid)) => self.index.get_thread(tid).and_then(|t| t.waits_for.as_ref()),
            _ => None,
        };
        waits.is_some_and(|w| matches!(w.target, Target::Resource { id } if id == resource.id))
    }

    fn waits_with(&self, user: &Holder, resource: &Resource, verb: Verb) -> bool {
        let task = user.task.and_then(|id| self.index.get_task(id));
        self.is_waiting_for(user, resource)
            && task.and_then(|t| t.waits_for.as_ref()).is_some_and(|w| w.verb == verb)
    }

    /// Who could take an item out of a full queue. Tasks in `put()` count: they may be the ones that
    /// would otherwise take; and if they are not, they do no harm, for they are stuck anyway.
    fn able_to_make_room(&self, queue: &Resource) -> Option<(Vec<u32>, bool)> {
        let full = match (queue.state.size, queue.state.capacity) {
            (Some(size), Some(capacity)) => capacity > 0 && size >= capacity,
            _ => true,
        };
        if !full || queue.state.getters.is_some_and(|n| n > 0) {
            return None;
        }
        let Some(reach) = queue.takers() else { return self.anybody_but_joiners(queue) };
        self.able(reach, |user| self.waits_with(user, queue, Verb::Join))
    }

    /// Where it is not known who reaches a queue: anybody might.
    fn anybody_but_joiners(&self, queue: &Resource) -> Option<(Vec<u32>, bool)> {
        /// So many tasks are looked at: among more there will be one that runs.
        const TASKS: usize = 2000;
        let snapshot = self.index.snapshot;
        let has_own = |stack: &[Frame]| stack.iter().any(|f| f.origin == Origin::Own);
        if snapshot.tasks.len() > TASKS
            || snapshot.threads.iter().any(|t| t.event_loop.is_none() && has_own(&t.stack))
        {
            return None;
        }
        let joins = |task: &Task| {
            task.waits_for.as_ref().is_some_and(|w| {
                w.verb == Verb::Join && matches!(w.target, Target::Resource { id } if id == queue.id)
            })
        };
        let tasks = (0..).zip(&snapshot.tasks).filter(|(_, t)| t.state != TaskState::Done && !joins(t));
        Some((tasks.map(|(place, _)| place).collect(), true))
    }

    /// Who could finish the items of a queue.
    fn able_to_finish(&self, queue: &Resource) -> Option<(Vec<u32>, bool)> {
        let Some(reach) = queue.takers() else { return self.anybody_but_joiners(queue) };
        let found = self.able(reach, |user| self.waits_with(user, queue, Verb::Join))?;
        if reach.extent == Extent::Frames && found.0.is_empty() {
            return self.anybody_but_joiners(queue);
        }
        Some(found)
    }

    /// Who could set an event, notify a condition, put an item: only if every reference is known, or somebody has failed or
    /// ended who could.
    fn announcers(&self, resource: &Resource, verb: Verb) -> Option<(Vec<u32>, bool)> {
        if resource.state.set == Some(true) || verb == Verb::Get && resource.state.size > Some(0) {
            return None;
        }
        let says = |reach: &&Reach| reach.extent != Extent::Frames || reach.is_bereft();
        if let Some(reach) = resource.reach.as_ref().filter(says) {
            return self.able(reach, |user| self.waits_with(user, resource, verb));
        }
        let inside = holders(self.index, resource);
        let nodes: Vec<u32> = inside.iter().filter_map(|holder| self.node_of(holder)).collect();
        (!nodes.is_empty()).then_some((nodes, true))
    }

    /// The threads of an executor, if all of them are busy and there can be no more.
    fn workers(&self, executor: &Resource) -> Option<(Vec<u32>, bool)> {
        let threads = &self.index.snapshot.threads;
        let busy: Vec<u32> = (0..threads.len() as u32)
            .filter(|place| {
                let job = threads[*place as usize].job.as_ref();
                job.is_some_and(|job| job.executor == Some(executor.id))
            })
            .map(|place| self.thread_node(place))
            .collect();
        let most = executor.state.capacity.or(executor.state.size)?;
        (most > 0 && busy.len() as i64 >= most).then_some((busy, false))
    }
}

/// Whether somebody who can reach a future awaits it.
#[must_use]
pub fn awaits_future(index: &Index<'_>, user: &Holder, future: Id) -> bool {
    let task = user.task.and_then(|id| index.get_task(id));
    task.and_then(|task| task.waits_for.as_ref())
        .is_some_and(|waits| matches!(waits.target, Target::Future { id, .. } if id == future))
}

/// How many slots a pool or semaphore has: as was read, else by what its type calls the number, where it is the only limit.
#[must_use]
pub fn slots(resource: &Resource) -> Option<i64> {
    const NAMES: &[&str] = &[
        "_maxsize",
        "maxsize",
        "_max_size",
        "max_size",
        "_max_connections",
        "max_connections",
        "_limit",
        "limit",
        "_total_tokens",
        "total_tokens",
        "_pool_size",
        "pool_size",
        "_max_pool_size",
        "_capacity",
        "capacity",
    ];
    let details = &resource.state.details;
    let named = |name: &&str| details.iter().find(|d| *d.name == **name).map(|d| d.value);
    let stated = resource.state.capacity.filter(|n| *n > 0);
    // Where each host has a limit of its own, too, it is not known which of them is reached.
    let is_only_limit = || !details.iter().any(|d| d.name.contains("_per_") && d.value > 0);
    let read = || NAMES.iter().find_map(|name| named(name).filter(|n| *n > 0)).filter(|_| is_only_limit());
    stated.or_else(read)
}

/// Whether this kind of thing is held by someone who gives it back.
fn is_held(kind: ResourceKind, verb: Verb) -> bool {
    match kind {
        ResourceKind::Lock
        | ResourceKind::Semaphore
        | ResourceKind::ThreadLock
        | ResourceKind::ThreadRlock
        | ResourceKind::Pool
        | ResourceKind::Manager => true,
        ResourceKind::Condition => verb == Verb::Acquire,
        ResourceKind::Event | ResourceKind::Barrier | ResourceKind::Queue | ResourceKind::Executor => false,
    }
}

/// The resource that a wait is really for: a queue or event inside a pool stands for the pool, unless
/// it is a lock whose holder is known.
#[must_use]
pub fn acquired(index: &Index<'_>, waits: &WaitsFor) -> Option<u32> {
    let pool_of = |id: Option<Id>| {
        let place = index.resource(id?)?;
        let kind = index.snapshot.resources[place as usize].kind;
        matches!(kind, ResourceKind::Pool | ResourceKind::Semaphore).then_some(place)
    };
    match &waits.target {
        Target::Resource { id } => {
            let place = index.resource(*id)?;
            let resource = &index.snapshot.resources[place as usize];
            if !resource.holders.is_empty() {
                return Some(place);
            }
            pool_of(waits.within.or(resource.within)).or(Some(place))
        }
        Target::Future { .. } | Target::Unknown { .. } if waits.verb == Verb::Acquire => {
            pool_of(waits.within)
        }
        _ => None,
    }
}
