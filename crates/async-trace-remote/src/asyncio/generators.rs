//! Who has a lock by way of a generator: one that is suspended inside of its `with` block, while the code that goes through
//! what it yields does something else. It is no part of any await chain then, but lies on the value stack of the `for` or
//! `async for`, or in a variable.

use super::chain::{Chain, Node, kind_by_flags};
use super::walk::{Hold, On, Session, Walked};
use super::{hold, task};
use crate::cpython::frame::Frame as PyFrame;
use crate::cpython::generator::{self, State};
use crate::cpython::object::Kind;
use crate::cpython::references;
use crate::memory::addr::Addr;
use async_trace_core::frame::Origin;
use async_trace_core::snapshot::{ResourceKind, TaskState, Trust, Verb};
use rustc_hash::{FxHashMap, FxHashSet};

/// So many tasks and objects are looked at in all.
const MAX_TASKS: usize = 1000;
const MAX_OBJECTS: usize = 20_000;
/// How far a generator may be behind a variable: `self.body_iterator`, or one that goes through another.
const MAX_STEPS: u32 = 3;
/// Containers with more items are no part of one task's state.
const MAX_ITEMS: usize = 64;

/// A suspended generator, and who has it.
struct Suspended {
    frame: PyFrame,
    object: Addr,
    owner: Owner,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Owner {
    task: usize,
    /// Which frame of its chain.
    frame: u32,
    /// What that frame goes through; else it has it in a variable.
    goes_through: bool,
}

/// Adds what tasks hold in this way of the locks and semaphores that are waited for and have no holder.
pub(crate) fn read(session: &Session<'_>, walked: &mut Walked) {
    let wanted = wanted(walked);
    if wanted.is_empty() {
        return;
    }
    let mut search = Search { session, left: MAX_OBJECTS, found: FxHashMap::default() };
    let mut chain = Chain::default();
    for index in 0..walked.tasks.len().min(MAX_TASKS) {
        let found = &walked.tasks[index];
        if found.state == TaskState::Done {
            continue;
        }
        let Ok(nodes) = task::nodes(session, found.addr, &mut chain, walked) else { continue };
        for (at, node) in nodes.iter().enumerate() {
            if let Some(frame) =
                node.frame.as_ref().filter(|_| session.places.origin(node.place) != Origin::Stdlib)
            {
                search.frame(
                    frame,
                    Owner { task: index, frame: u32::try_from(at).unwrap_or(0), goes_through: false },
                );
            }
        }
    }
    for suspended in search.found.into_values().flatten() {
        let place = session.places.of_frame(
            session.reader,
            &suspended.frame,
            kind_by_flags(session.reader, &suspended.frame),
            Some(suspended.object),
        );
        let nodes = [Node { place, frame: Some(suspended.frame) }];
        let (holds, _) = hold::read(session, &nodes, walked);
        let Owner { task, frame, goes_through } = suspended.owner;
        let trust = if goes_through { Trust::Inferred } else { Trust::Guessed };
        for hold in holds.into_iter().filter(|hold| wanted.contains(&hold.resource)) {
            walked.tasks[task].holds.push(Hold {
                frame,
                trust: hold.trust.max(trust),
                through: Some(place),
                ..hold
            });
        }
    }
}

/// What is waited for and taken, and nobody is known to have.
fn wanted(walked: &Walked) -> FxHashSet<Addr> {
    let is_taken = |object: &Addr| {
        walked.resources.get(*object).is_some_and(|resource| match resource.kind {
            ResourceKind::Lock => resource.state.locked == Some(true),
            ResourceKind::Semaphore => resource.state.size == Some(0),
            _ => false,
        })
    };
    let waits = walked.tasks.iter().filter_map(|task| task.wait.as_ref());
    let mut wanted: FxHashSet<Addr> = waits
        .filter_map(|wait| match wait.on {
            On::Resource(object) if wait.verb == Verb::Acquire => Some(object),
            _ => None,
        })
        .filter(is_taken)
        .collect();
    for hold in walked.tasks.iter().flat_map(|task| &task.holds).filter(|hold| hold.trust != Trust::Guessed) {
        let is_lock =
            |object: Addr| walked.resources.get(object).is_some_and(|r| r.kind == ResourceKind::Lock);
        if is_lock(hold.resource) {
            wanted.remove(&hold.resource);
        }
    }
    wanted
}

struct Search<'a> {
    session: &'a Session<'a>,
    left: usize,
    /// Generators by their addresses; nothing where more than one task may go on with one.
    found: FxHashMap<Addr, Option<Suspended>>,
}

impl Search<'_> {
    /// Looks at what a frame of a task refers to.
    fn frame(&mut self, frame: &PyFrame, owner: Owner) {
        let reader = self.session.reader;
        let mut seen = FxHashSet::default();
        let slots = references::slots(reader, frame).unwrap_or_default();
        let mut wave: Vec<(Addr, Owner)> = slots
            .into_iter()
            .map(|(object, is_variable)| (object, Owner { goes_through: !is_variable, ..owner }))
            .collect();
        // What a loop goes through may be in a variable, too.
        wave.sort_by_key(|(_, owner)| !owner.goes_through);
        for step in 0..=MAX_STEPS {
            let mut next = Vec::new();
            for (object, owner) in std::mem::take(&mut wave) {
                if self.left == 0 || !seen.insert(object) {
                    continue;
                }
                self.left -= 1;
                let behind = match reader.kind_of(object) {
                    Ok(Kind::Generator | Kind::AsyncGenerator) => {
                        let Ok((State::Suspended, Some(inner))) = generator::state(reader, object) else {
                            continue;
                        };
                        let slots = references::slots(reader, &inner).unwrap_or_default();
                        self.note(Suspended { frame: inner, object, owner });
                        slots
                    }
                    Ok(Kind::List | Kind::Tuple | Kind::Set | Kind::Dict | Kind::Deque) => {
                        let items = references::of(reader, object).unwrap_or_default();
                        if items.len() > MAX_ITEMS {
                            continue;
                        }
                        items.into_iter().map(|item| (item, true)).collect()
                    }
                    Ok(Kind::Other) => {
                        let attributes = reader.attrs(object).unwrap_or_default();
                        attributes.into_iter().map(|(_, value)| (value, true)).collect()
                    }
                    _ => continue,
                };
                if step < MAX_STEPS {
                    let of = |is_variable: bool| Owner {
                        goes_through: owner.goes_through && !is_variable,
                        ..owner
                    };
                    next.extend(behind.into_iter().map(|(object, is_variable)| (object, of(is_variable))));
                }
            }
            wave = next;
        }
    }

    fn note(&mut self, new: Suspended) {
        match self.found.get_mut(&new.object) {
            None => _ = self.found.insert(new.object, Some(new)),
            Some(known) => {
                let (before, now) = (known.as_ref().map(|known| known.owner), new.owner);
                if now.goes_through && before.is_none_or(|before| !before.goes_through) {
                    *known = Some(new);
                } else if before.is_some_and(|before| !before.goes_through && before.task != now.task) {
                    *known = None;
                }
            }
        }
    }
}
