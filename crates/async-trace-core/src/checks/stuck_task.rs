//! A task that holds a lock and does not move, with others behind it.

use super::motion::{self, Motion, Root};
use super::words::{self, amount};
use super::{Check, Findings, Scene, finding, unread};
use crate::diff::own_frame;
use crate::finding::{Finding, Severity};
use crate::snapshot::{Holder, Resource, ResourceKind, Target, TaskState, Trust, Verb};

pub(super) const CHECK: Check = Check {
    slug: "stuck-task",
    about: "a task holds a lock and does not move, with others waiting behind it",
    run,
};

fn run(scene: &Scene<'_>, findings: &mut Findings) {
    if !scene.time_passed() {
        return;
    }
    for lock in &scene.now.resources {
        let is_lock =
            matches!(lock.kind, ResourceKind::Lock | ResourceKind::Condition | ResourceKind::Manager);
        let Some(holder) = lock.holders.first().filter(|_| is_lock) else { continue };
        let waiters: Vec<u32> = lock
            .waiters
            .iter()
            .filter_map(|id| scene.index.task(*id))
            .filter(|t| acquires(scene, *t, lock))
            .collect();
        let Some(&first) = waiters.first() else { continue };
        if !scene.is_still(first) || findings.explains(first) || !held_all_the_time(scene, lock, holder) {
            continue;
        }
        let Root { words, task: place, motion } = motion::root(scene, holder);
        if matches!(motion, Motion::Ends | Motion::Moves)
            || place.is_some_and(|place| findings.explains(place))
        {
            continue;
        }
        let mut found = describe(scene, lock, holder, words, &waiters);
        if let Some(doubt) = motion.doubt(scene) {
            found = found.doubt(doubt);
        }
        let behind = scene.behind(&waiters);
        let holder = holder.task.and_then(|id| scene.index.task(id));
        findings.add(found, waiters.into_iter().chain(behind).chain(holder).chain(place));
    }
    asked_in_vain(scene, findings);
    unread::alone(scene, findings);
}

/// Locks that lie elsewhere, for which several tasks ask again and again, and that nobody here is known to have. One task
/// alone may well stand by for as long as another process has it.
fn asked_in_vain(scene: &Scene<'_>, findings: &mut Findings) {
    for lock in scene.now.resources.iter().filter(|resource| resource.holders.is_empty()) {
        let asks = |place: &u32| {
            let waits = scene.task(*place).waits_for.as_ref();
            waits.is_some_and(|waits| waits.verb == Verb::Poll && !scene.ends_soon(waits.timeout_s))
                && scene.is_still(*place)
                && !findings.explains(*place)
        };
        let waiters: Vec<u32> =
            lock.waiters.iter().filter_map(|id| scene.index.task(*id)).filter(asks).collect();
        let [first, _, ..] = waiters[..] else { continue };
        let name = scene.task(first).waits_for.as_ref().and_then(|w| w.name.as_deref());
        let what = words::resource(lock, name);
        let summary = format!(
            "{} have asked again and again{} for {what} in {}, and nobody in this process is known to have it",
            amount(waiters.len(), "task"),
            scene.for_interval(),
            words::place(own_frame(&scene.task(first).chain)),
        );
        let mut line = scene.waits_evidence(first);
        line.count = Some(waiters.len() as u32);
        let mut found = finding(CHECK.slug, Severity::Warning, summary).evidence([line]);
        let behind = scene.behind(&waiters);
        found.consequences = scene.consequences(&behind);
        let found = found
            .doubt("another process may have it, and give it back")
            .advice("look who has it where it lies; if its holder has ended without giving it back, delete it there")
            .advice("let it expire by itself, and give it back on every way out: `async with`, or `try … finally`");
        findings.add(found, waiters.into_iter().chain(behind));
    }
}

fn acquires(scene: &Scene<'_>, place: u32, lock: &Resource) -> bool {
    let task = scene.task(place);
    task.state == TaskState::Waiting
        && task.waits_for.as_ref().is_some_and(|w| {
            !scene.ends_soon(w.timeout_s) && matches!(w.target, Target::Resource { id } if id == lock.id)
        })
}

/// Whether the same task held it at the same line, at the same wait, in all snapshots.
fn held_all_the_time(scene: &Scene<'_>, lock: &Resource, holder: &Holder) -> bool {
    let Some(place) = holder.task.and_then(|id| scene.index.task(id)) else { return false };
    scene.task(place).state == TaskState::Waiting
        && scene.is_still(place)
        && scene.history.snapshots().iter().all(|s| {
            let then = s.resources.iter().find(|r| r.id == lock.id);
            then.is_some_and(|r| r.holders.first().is_some_and(|h| h.task == holder.task))
        })
}

fn describe(scene: &Scene<'_>, lock: &Resource, holder: &Holder, root: String, waiters: &[u32]) -> Finding {
    let name = scene.task(waiters[0]).waits_for.as_ref().and_then(|w| w.name.as_deref());
    let what = words::resource(lock, name);
    let task = holder.task.and_then(|id| scene.index.get_task(id));
    let who = task.map_or_else(|| "somebody".to_owned(), words::task);
    let nobody = task.filter(|t| scene.is_orphan(t)).map_or("", |_| ", which nobody awaits,");
    let others = if waiters.len() == 1 {
        "1 task waits".to_owned()
    } else {
        format!("{} wait", amount(waiters.len(), "task"))
    };
    let summary = format!(
        "{who}{nobody} has held {what} in {}{}, where it {root}; {others} for the lock in {}",
        words::place(holder.at.as_ref()),
        scene.for_interval(),
        words::place(own_frame(&scene.task(waiters[0]).chain)),
    );
    let mut lines = Vec::new();
    if let Some(place) = holder.task.and_then(|id| scene.index.task(id)) {
        lines.push(scene.holds_evidence(lock, holder, name));
        lines.push(scene.waits_evidence(place));
    }
    let mut waiting = scene.waits_evidence(waiters[0]);
    waiting.count = (waiters.len() > 1).then_some(waiters.len() as u32);
    lines.push(waiting);
    let mut found = finding(CHECK.slug, Severity::Warning, summary).evidence(lines);
    found.consequences = scene.consequences(&scene.behind(waiters));
    if holder.trust == Trust::Guessed {
        found = found.doubt("who holds the lock is inferred from code, not read");
    }
    if scene.is_by_a_generator(lock, holder) {
        found = found.advice(words::CLOSE_GENERATOR);
    }
    found
        .advice("do not wait for the network or another slow thing while holding a lock")
        .advice("or bound it by `asyncio.timeout(…)`")
}
