//! A full queue that nobody empties, or a `join()` that nobody works towards.

use super::words::{self, amount};
use super::{Check, Findings, Scene, finding};
use crate::diff::own_frame;
use crate::finding::{Evidence, Finding, Role, Severity};
use crate::graph::Node;
use crate::snapshot::{Holder, Resource, ResourceKind, Target, TaskState, Verb};
use std::fmt::Write as _;

pub(super) const CHECK: Check = Check {
    slug: "queue-stuck",
    about: "a full queue that nobody takes from, or a join() that nobody works towards",
    run,
};

fn run(scene: &Scene<'_>, findings: &mut Findings) {
    // Where it is known who reaches the queue, and that nobody of them can take from it.
    for (number, knot) in scene.graph.stuck.knots.iter().enumerate() {
        let (queue, verb, first) = match (scene.graph.node(knot.nodes[0]), knot.cycle) {
            (Node::Room(place), false) => (&scene.now.resources[place as usize], Verb::Put, knot.nodes[0]),
            (Node::Done(place), false) => (&scene.now.resources[place as usize], Verb::Join, knot.nodes[0]),
            (_, true) => match super::deadlock::full_queue(scene, &knot.nodes) {
                Some(queue) => (queue, Verb::Put, *knot.nodes.last().unwrap_or(&0)),
                None => continue,
            },
            _ => continue,
        };
        let waiting = waiting(scene, queue, verb);
        let standing = waiting.iter().all(|t| scene.is_still(*t) && !findings.explains(*t));
        let doubt = scene.graph.is_uncertain(first).then_some(match queue.takers() {
            Some(_) => words::ONLY_VARIABLES,
            None => "who else can reach the queue was not read: no other task is left that could",
        });
        let why = match verb {
            Verb::Put => "nobody is left who would take from it",
            _ => "nobody is left who would work on its items",
        };
        let lasted = doubt.is_none() || scene.time_passed() && is_unchanged(scene, queue);
        if standing
            && lasted
            && let Some(found) = describe(scene, queue, verb, &waiting, why, doubt)
        {
            let inside = knot.nodes.iter().copied().filter(|n| matches!(scene.graph.node(*n), Node::Task(_)));
            findings.add(found, inside.chain(waiting).chain(scene.graph.behind(number).iter().copied()));
        }
    }
    if !scene.time_passed() {
        return;
    }
    for queue in scene.now.resources.iter().filter(|r| r.kind == ResourceKind::Queue && r.within.is_none()) {
        // Where it is known who could take from it, they were asked above.
        let verbs = if queue.takers().is_some() { &[Verb::Join][..] } else { &[Verb::Put, Verb::Join] };
        for verb in verbs.iter().copied() {
            let waiting: Vec<u32> = waiting(scene, queue, verb);
            let is_new = waiting.first().is_some_and(|t| scene.is_still(*t) && !findings.explains(*t));
            if !is_new || !is_unchanged(scene, queue) {
                continue;
            }
            let Some(why) = (if verb == Verb::Put { full(queue) } else { unjoined(scene, queue) }) else {
                continue;
            };
            let doubt = Some("a task that would take from it may be busy elsewhere");
            if let Some(found) = describe(scene, queue, verb, &waiting, why, doubt) {
                let behind = scene.behind(&waiting);
                findings.add(found, waiting.into_iter().chain(behind));
            }
        }
    }
}

/// The tasks that wait for the queue by this call.
fn waiting(scene: &Scene<'_>, queue: &Resource, verb: Verb) -> Vec<u32> {
    let waits = |place: &u32| {
        let task = scene.task(*place);
        task.state == TaskState::Waiting
            && task.waits_for.as_ref().is_some_and(|w| {
                w.verb == verb && matches!(w.target, Target::Resource { id } if id == queue.id)
            })
    };
    queue.waiters.iter().filter_map(|id| scene.index.task(*id)).filter(waits).collect()
}

fn is_unchanged(scene: &Scene<'_>, queue: &Resource) -> bool {
    let key = |r: &Resource| (r.state.size, r.state.unfinished, r.state.getters);
    let same = |r: Option<&Resource>| r.is_some_and(|r| key(r) == key(queue));
    scene.history.snapshots().iter().all(|s| same(s.resources.iter().find(|r| r.id == queue.id)))
}

/// Items that were taken and are not done; nothing where this is not counted.
fn in_hands(queue: &Resource) -> Option<i64> {
    Some(queue.state.unfinished? - queue.state.size?)
}

/// Why nobody takes from a full queue. Whoever is at work on an item may come back for the next.
fn full(queue: &Resource) -> Option<&'static str> {
    let is_full = queue.state.capacity.is_some_and(|most| most > 0 && queue.state.size >= Some(most));
    (is_full && queue.state.getters == Some(0) && in_hands(queue) == Some(0))
        .then_some("nobody waits to take from it, and nobody is at work on an item of it")
}

/// Why a `join()` does not end.
fn unjoined(scene: &Scene<'_>, queue: &Resource) -> Option<&'static str> {
    let unfinished = queue.state.unfinished.filter(|n| *n > 0)?;
    if queue.state.size? > 0 {
        let joins = waiting(scene, queue, Verb::Join);
        let is_other = |user: &Holder| {
            !user.task.is_some_and(|id| scene.index.task(id).is_some_and(|t| joins.contains(&t)))
        };
        let has_others = queue.takers().is_some_and(|reach| reach.users.iter().any(is_other));
        return (queue.state.getters == Some(0) && in_hands(queue) == Some(0) && !has_others)
            .then_some("it has items, and nobody takes them");
    }
    // Empty, and items are not done: whoever took them has forgotten to say so, or is still at it.
    let getters = waiting(scene, queue, Verb::Get);
    let kind = |place: &u32| scene.task(*place).chain.first().map(|f| (&*f.function, &*f.file));
    let known: Vec<_> = getters.iter().filter_map(kind).collect();
    let is_at_work = |(place, task): (u32, &crate::snapshot::Task)| {
        task.state != TaskState::Done
            && kind(&place).is_some_and(|kind| known.contains(&kind))
            && !getters.contains(&place)
    };
    let still = getters.iter().all(|t| scene.is_still(*t));
    (unfinished > 0 && !getters.is_empty() && still && !scene.tasks().any(is_at_work))
        .then_some("all who take from it are back at get(), but task_done() was not called for each item")
}

fn describe(
    scene: &Scene<'_>,
    queue: &Resource,
    verb: Verb,
    waiting: &[u32],
    why: &str,
    doubt: Option<&'static str>,
) -> Option<Finding> {
    let first = *waiting.first()?;
    let name = scene.task(first).waits_for.as_ref().and_then(|w| w.name.as_deref());
    let what = words::resource(queue, name);
    let n = waiting.len();
    let who = if n == 1 { words::task(scene.task(first)) } else { amount(n, "task") };
    let waited = scene.waited(n);
    let place = words::place(own_frame(&scene.task(first).chain));
    let of = if verb == Verb::Put { "on the full" } else { "of" };
    let call = words::call(queue, verb);
    let mut summary = format!("{who} {waited} in {place} in {call} {of} {what}: {why}");
    let failed = queue.reach.as_ref().map_or(&[][..], |reach| &reach.failed);
    if let Some(failure) = failed.first() {
        let _ = write!(summary, "; {}", words::failure(failure, "took from it"));
    }
    let state = &queue.state;
    let mut text = match (state.size, state.capacity) {
        (Some(size), Some(most)) if most > 0 => format!("{size} of {most} items"),
        (Some(size), _) => amount(size.unsigned_abs() as usize, "item"),
        _ => "a queue".to_owned(),
    };
    text.push_str(&format!(", {}", amount(state.putters.unwrap_or(0) as usize, "putter")));
    text.push_str(&format!(", {}", amount(state.getters.unwrap_or(0) as usize, "getter")));
    if let Some(n) = state.unfinished {
        text.push_str(&format!(", {n} unfinished"));
    }
    let mut fill = Evidence::new(Role::Resource, text);
    fill.resource = Some(words::resource_ref(queue, name));
    let mut found =
        finding(CHECK.slug, Severity::Error, summary).evidence([scene.waits_evidence(first), fill]);
    found.evidence[0].count = (n > 1).then_some(n as u32);
    found.evidence.extend(words::failures(failed));
    found.consequences = scene.consequences(&scene.behind(waiting));
    if let Some(doubt) = doubt {
        found = found.doubt(doubt);
    }
    Some(if !failed.is_empty() {
        found.advice(
            "let it go on to the next item when one is bad, and notice its end: await its task, or give it a done callback",
        )
    } else if verb == Verb::Put {
        found.advice(
            "find out why the task that takes from the queue has ended: it may have died of an exception",
        )
    } else {
        found.advice("call task_done() in a `finally` for each item taken, and keep the consumers alive until join() returns")
    })
}
