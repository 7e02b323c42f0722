//! Which tasks look alike: the same chain, the same kind of wait, the same things held, and children
//! that look alike in turn. Ten thousand idle handlers are one shape.

use super::forest::{Child, Forest};
use crate::frame::Frame;
use crate::index::Index;
use crate::snapshot::*;
use crate::text::Text;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// The number of a shape.
pub(super) type ShapeId = u32;

#[derive(PartialEq, Eq, Hash)]
struct Shape<'a> {
    chain: u32,
    state: TaskState,
    cancelling: bool,
    type_name: Option<&'a Text>,
    event_loop: Option<Id>,
    wait: Option<WaitShape<'a>>,
    holds: Vec<(Which<'a>, u32, Trust)>,
    contexts: Vec<(&'a Text, u32)>,
    handling: Option<&'a Text>,
    /// Whether the client of the connection that it serves has gone, or has closed its side.
    deserted: (bool, bool),
    created: Option<u32>,
    operations: Vec<&'a Text>,
    children: Vec<(Kin, u32)>,
}

/// A child, as far as it makes a difference to its parent.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kin {
    /// One of its own: any that looks the same would do.
    Own(ShapeId),
    /// One that others wait for too: this very task.
    Shared(u32),
}

/// A wait, as far as it makes a difference: those that are equal are told in one sentence.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WaitShape<'a> {
    verb: Verb,
    trust: Trust,
    name: Option<&'a Text>,
    within: Option<Id>,
    timeout: bool,
    target: TargetShape<'a>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum TargetShape<'a> {
    Tasks(usize, u32, Option<bool>),
    Resource(Which<'a>),
    Timer,
    File(FileKind, bool),
    Job(bool, Option<&'a Text>, Option<Id>),
    Process(Option<&'a Text>),
    Other(&'a Text),
    Turn,
}

/// A resource, as far as it makes a difference.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Which<'a> {
    /// One that others take part in: this very one.
    This(Id),
    /// One that only this task has to do with: any of its kind would do.
    Any(ResourceKind, &'a Text, Option<bool>),
}

/// The shape of every task that is shown.
pub(super) struct Shapes {
    of: Vec<ShapeId>,
}

impl Shapes {
    /// Children before parents: `forest.order` is from the roots down.
    pub(super) fn of(index: &Index<'_>, forest: &Forest) -> Self {
        let tasks = &index.snapshot.tasks;
        let mut chains = Chains::default();
        let mut known: FxHashMap<Shape<'_>, ShapeId> = FxHashMap::default();
        let mut of = vec![ShapeId::MAX; tasks.len()];
        for position in forest.order.iter().rev() {
            let task = &tasks[*position as usize];
            let shape = Shape {
                chain: chains.number(&task.chain),
                state: task.state,
                cancelling: task.cancelling > 0,
                type_name: task.type_name.as_ref(),
                event_loop: task.event_loop,
                wait: task.waits_for.as_ref().map(|w| wait_shape(index, w)),
                holds: task.holds.iter().map(|h| (which(index, h.resource), h.frame, h.trust)).collect(),
                contexts: task.contexts.iter().map(|c| (&c.type_name, c.frame)).collect(),
                handling: handling(task),
                deserted: task.connection.as_ref().map_or((false, false), |c| (c.closed, c.half_closed)),
                created: task.created.as_ref().map(|c| chains.number(&c.stack)),
                operations: task.operations.iter().map(|o| &o.name).collect(),
                children: kin(forest, *position, &of),
            };
            let next = known.len() as ShapeId;
            of[*position as usize] = *known.entry(shape).or_insert(next);
        }
        Self { of }
    }

    /// The shape of a task that is shown.
    pub(super) fn shape(&self, position: u32) -> ShapeId {
        self.of.get(position as usize).copied().unwrap_or(ShapeId::MAX)
    }

    /// Parts siblings into groups of one shape, in the order of their first members.
    pub(super) fn group(&self, siblings: &[u32]) -> Vec<Vec<u32>> {
        let mut groups: Vec<Vec<u32>> = Vec::new();
        let mut places: FxHashMap<ShapeId, usize> = FxHashMap::default();
        for position in siblings {
            let place = *places.entry(self.of[*position as usize]).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[place].push(*position);
        }
        groups
    }
}

/// Equal stacks under one number. Readers share them, so that most are known by their address.
#[derive(Default)]
struct Chains<'a> {
    by_address: FxHashMap<(*const Frame, usize), u32>,
    by_content: FxHashMap<&'a [Frame], u32>,
}

impl<'a> Chains<'a> {
    fn number(&mut self, chain: &'a Arc<[Frame]>) -> u32 {
        let by_content = &mut self.by_content;
        *self.by_address.entry((chain.as_ptr(), chain.len())).or_insert_with(|| {
            let next = by_content.len() as u32;
            *by_content.entry(&**chain).or_insert(next)
        })
    }
}

fn kin(forest: &Forest, position: u32, of: &[ShapeId]) -> Vec<(Kin, u32)> {
    let children = forest.children(position);
    if children.is_empty() {
        return Vec::new();
    }
    let mut all: Vec<Kin> = children
        .iter()
        .map(|child| match child {
            Child::Own(p) if !forest.is_shared(*p) => Kin::Own(of[*p as usize]),
            Child::Own(p) | Child::Elsewhere(p) => Kin::Shared(*p),
        })
        .collect();
    all.sort_unstable();
    let mut counted: Vec<(Kin, u32)> = Vec::new();
    for kin in all {
        match counted.last_mut() {
            Some((last, count)) if *last == kin => *count += 1,
            _ => counted.push((kin, 1)),
        }
    }
    counted
}

pub(super) fn wait_shape<'a>(index: &Index<'a>, wait: &'a WaitsFor) -> WaitShape<'a> {
    let target = match &wait.target {
        Target::Tasks { pending, done, any } => TargetShape::Tasks(pending.len(), *done, *any),
        Target::Resource { id } => TargetShape::Resource(which(index, *id)),
        Target::Timer { .. } => TargetShape::Timer,
        Target::File { file } => TargetShape::File(file.kind, file.status.as_deref() == Some("CLOSE_WAIT")),
        Target::Job { thread, function, executor, .. } => {
            TargetShape::Job(thread.is_some(), function.as_ref(), *executor)
        }
        Target::Process { command, .. } => TargetShape::Process(command.as_ref()),
        Target::Future { type_name, .. } | Target::Unknown { type_name } => TargetShape::Other(type_name),
        Target::Turn => TargetShape::Turn,
    };
    WaitShape {
        verb: wait.verb,
        trust: wait.trust,
        name: wait.name.as_ref(),
        within: wait.within,
        timeout: wait.timeout_s.is_some(),
        target,
    }
}

/// The type of the exception that a task is handling.
pub(super) fn handling(task: &Task) -> Option<&Text> {
    match &task.handling {
        Some(Handling::Exception(type_name)) => Some(type_name),
        Some(Handling::Nothing) | None => None,
    }
}

fn which<'a>(index: &Index<'a>, id: Id) -> Which<'a> {
    match index.get_resource(id) {
        // Waited for by more than one, or waited for and held: which one it is matters.
        Some(r) if r.waiters.len() + r.blocked_threads.len() + r.holders.len() <= 1 => {
            Which::Any(r.kind, &r.type_name, r.state.set.or(r.state.locked))
        }
        _ => Which::This(id),
    }
}
