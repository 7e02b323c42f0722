//! Home-made pools. A program that keeps its connections in a queue and hands them out by a context
//! manager has no object that knows its holders. But whoever waits while *entering* `Pool.acquire` waits
//! for those who are *inside* `Pool.acquire`: a guess, and shown as one.

use crate::frame::{Frame, FrameKind, Origin};
use crate::index::Index;
use crate::snapshot::{Holder, Resource, ResourceKind, Target, Task, Trust};
use std::borrow::Cow;

/// Who holds a resource: as was read, else those inside the context manager that hands it out.
#[must_use]
pub fn holders<'a>(index: &Index<'a>, resource: &'a Resource) -> Cow<'a, [Holder]> {
    if !resource.holders.is_empty() || resource.within.is_some() || !can_be_handed_out(resource) {
        return Cow::Borrowed(&resource.holders);
    }
    let waiters = resource.waiters.iter().filter_map(|id| index.get_task(*id));
    let is_entering = |task: &Task| {
        let waits = task.waits_for.as_ref();
        waits.is_some_and(|w| matches!(w.target, Target::Resource { id } if id == resource.id))
    };
    let Some(manager) = waiters.filter(|t| is_entering(t)).find_map(|t| entered(&t.chain)) else {
        return Cow::Borrowed(&[]);
    };
    let mut found = Vec::new();
    for task in index.snapshot.alive() {
        if let Some(context) = task.contexts.iter().find(|c| is_named(&c.type_name, manager)) {
            let at = task.chain.get(context.frame as usize).cloned();
            found.push(Holder {
                task: Some(task.id),
                thread: None,
                at,
                taken_line: None,
                trust: Trust::Guessed,
            });
        }
    }
    Cow::Owned(found)
}

/// Whether pools are made of such things.
fn can_be_handed_out(resource: &Resource) -> bool {
    match resource.kind {
        ResourceKind::Queue => resource.state.size == Some(0) && resource.state.putters.unwrap_or(0) == 0,
        ResourceKind::Condition => true,
        _ => false,
    }
}

/// The context manager that a chain is about to enter: a function, or a type.
fn entered(chain: &[Frame]) -> Option<&str> {
    chain.iter().enumerate().rev().find_map(|(at, frame)| {
        let is_ours = frame.origin != Origin::Stdlib;
        let before = at.checked_sub(1).and_then(|before| chain.get(before));
        match frame.function.strip_suffix(".__aenter__") {
            Some(manager) if is_ours => Some(manager),
            None if frame.kind == FrameKind::AsyncGenerator && is_ours => before
                .filter(|f| f.function.ends_with("_AsyncGeneratorContextManager.__aenter__"))
                .map(|_| &*frame.function),
            _ => None,
        }
    })
}

/// Types are named with their module, functions without.
fn is_named(type_name: &str, manager: &str) -> bool {
    type_name == manager
        || type_name.strip_suffix(manager).is_some_and(|module| module.ends_with('.') && !manager.is_empty())
}
