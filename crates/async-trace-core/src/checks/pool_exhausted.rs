//! Tasks wait for a slot of a pool, limiter or semaphore, and nothing that has one moves.

use super::motion::{self, Motion};
use super::words::{self, amount};
use super::{Check, Findings, Scene, finding, slow_call};
use crate::diff::own_frame;
use crate::finding::{Evidence, Finding, Role, Severity};
use crate::frame::{Frame, Origin};
use crate::snapshot::{Holder, Resource, ResourceKind, Target, Task, TaskState, Trust};
use rustc_hash::FxHashMap;

pub(super) const CHECK: Check = Check {
    slug: "pool-exhausted",
    about: "all slots of a pool or semaphore are taken by tasks that do not move, and others wait",
    run,
};

fn run(scene: &Scene<'_>, findings: &mut Findings) {
    if !scene.time_passed() {
        return;
    }
    let mut waiters: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
    for (place, task) in scene.tasks() {
        if task.state == TaskState::Waiting
            && let Some(waits) = &task.waits_for
            && let Some(pool) = crate::graph::acquired(&scene.index, waits)
        {
            waiters.entry(pool).or_default().push(place);
        }
    }
    let mut pools: Vec<(u32, Vec<u32>)> = waiters.into_iter().collect();
    pools.sort_unstable();
    for (pool, waiters) in pools {
        let resource = &scene.now.resources[pool as usize];
        let holders = crate::graph::holders(&scene.index, resource);
        if let Some(found) = exhausted(scene, resource, &holders, &waiters, findings) {
            let holders = holders.iter().filter_map(|h| scene.index.task(h.task?));
            let behind = scene.behind(&waiters);
            findings.add(found, waiters.into_iter().chain(holders).chain(behind));
        }
    }
}

fn exhausted(
    scene: &Scene<'_>,
    pool: &Resource,
    holders: &[Holder],
    waiters: &[u32],
    findings: &Findings,
) -> Option<Finding> {
    let state = &pool.state;
    let full = match pool.kind {
        ResourceKind::Semaphore => state.size.is_none_or(|free| free <= 0),
        // A pool that may still grow makes its waiters wait for a connection to be made.
        ResourceKind::Pool => state.capacity.is_none_or(|most| state.size.is_none_or(|size| size >= most)),
        // A pool of the program's own.
        ResourceKind::Queue | ResourceKind::Condition => !holders.is_empty(),
        _ => return None,
    };
    let standing: Vec<u32> =
        waiters.iter().copied().filter(|t| scene.is_still(*t) && !findings.explains(*t)).collect();
    let &first = standing.first()?;
    let slots = crate::graph::slots(pool).filter(|_| pool.kind != ResourceKind::Queue);
    if !full || !nothing_moves(scene, pool, slots, holders, waiters) {
        return None;
    }
    // A limit to how much is done at once makes others wait, for as long as that takes.
    let motions: Vec<Motion> = holders.iter().map(|holder| motion::root(scene, holder).motion).collect();
    let clients = standing.iter().any(|place| {
        let task = scene.task(*place);
        slow_call::is_request(task) || scene.awaiters(task).any(|(_, awaiter)| slow_call::is_request(awaiter))
    });
    if motions.iter().any(|motion| motion.is_lively(scene, clients)) {
        if let Some(silent_s) = motion::least_silence(&motions) {
            scene.leave_open(silent_s);
        }
        return None;
    }
    let name =
        scene.task(first).waits_for.as_ref().filter(|w| w.within.is_none()).and_then(|w| w.name.as_deref());
    let what = words::resource(pool, name);
    let place = words::place(own_frame(&scene.task(first).chain));
    let alive: Vec<&Holder> = holders.iter().filter(|h| h.task.is_some() || h.thread.is_some()).collect();
    let missing = slots.map_or(0, |most| most - alive.len() as i64);
    let slots = slots.map_or_else(
        || "all slots are".to_owned(),
        |n| if n == 1 { "its only slot is".to_owned() } else { format!("all {n} slots are") },
    );
    let who = match alive.first() {
        Some(holder) => holder_words(scene, holder, alive.len()),
        None => match holders.first() {
            Some(gone) => format!("taken in {} by tasks that have ended", words::place(gone.at.as_ref())),
            None => "taken, but nobody alive was found who would give one back".to_owned(),
        },
    };
    let n = amount(standing.len(), "task");
    let waited = scene.waited(standing.len());
    let summary = format!("{n} {waited} in {place} for a slot of {what}: {slots} {who}");
    let mut lines = vec![scene.waits_evidence(first), fill(pool, waiters.len(), name)];
    lines[0].count = (standing.len() > 1).then_some(standing.len() as u32);
    lines.extend(holder_lines(scene, pool, holders, name));
    // Whoever gives up soon goes on, though without what it came for.
    let timeouts = || standing.iter().filter_map(|t| scene.task(*t).waits_for.as_ref()?.timeout_s);
    let all_end = timeouts().filter(|left| scene.ends_soon(Some(*left))).count() == standing.len();
    if let Some(left_s) = timeouts().min_by(f64::total_cmp).filter(|left_s| *left_s >= 0.0) {
        let who = if standing.len() == 1 { "it" } else { "the first of them" };
        let text = format!("{who} gives up in {}", words::seconds(left_s));
        lines.push(Evidence::new(Role::Timeout, text));
    }
    let severity = if all_end { Severity::Warning } else { Severity::Error };
    let mut found = finding(CHECK.slug, severity, summary).evidence(lines);
    found.consequences = scene.consequences(&scene.behind(&standing));
    if alive.iter().any(|h| h.trust == Trust::Guessed) {
        found = found.doubt("not every holder could be read from memory; some are inferred from code");
    } else if alive.is_empty() || missing > 0 {
        found = found.doubt("a holder that took its slot without `with` is not found");
    } else if !alive.iter().all(|h| is_standing(scene, h)) {
        found = found.doubt("a holder moved meanwhile");
    } else if let Some(doubt) = motions.iter().find_map(|motion| motion.doubt(scene)) {
        found = found.doubt(doubt);
    }
    if alive.is_empty() {
        found = found.advice(
            "find where a connection, response or slot is taken without `async with`, and is not closed on every way",
        );
    } else {
        found = found.advice("bound what is done while the slot is held, by `asyncio.timeout(…)`");
    }
    Some(found.advice("give the acquisition a timeout, so that waiting ends in an error that names the pool"))
}

/// Whether neither the holders nor the waiters changed over the snapshots.
fn nothing_moves(
    scene: &Scene<'_>,
    pool: &Resource,
    slots: Option<i64>,
    holders: &[Holder],
    waiters: &[u32],
) -> bool {
    let stand = holders.iter().all(|h| is_standing(scene, h));
    if !holders.is_empty() && slots.is_some_and(|slots| holders.len() as i64 >= slots) {
        return stand;
    }
    // Some slots are in unknown hands: then nobody who waited at first may have got one since.
    let Some(first) = scene.history.snapshots().first() else { return stand };
    let then = crate::index::Index::of(first);
    let Some(place) = then.resource(pool.id) else { return false };
    let mut waited = first.tasks.iter().filter(|t| {
        t.state == TaskState::Waiting
            && t.waits_for.as_ref().is_some_and(|w| crate::graph::acquired(&then, w) == Some(place))
    });
    let still_waits =
        |id| scene.index.task(id).is_some_and(|now| waiters.contains(&now) && scene.is_still(now));
    stand && waited.all(|t| still_waits(t.id))
}

fn is_standing(scene: &Scene<'_>, holder: &Holder) -> bool {
    match (holder.task.and_then(|id| scene.index.task(id)), holder.thread) {
        (Some(task), _) => scene.is_still(task),
        (None, Some(tid)) => {
            scene.index.get_thread(tid).is_some_and(|t| scene.history.thread_stands_still(t))
        }
        _ => true,
    }
}

fn holder_words(scene: &Scene<'_>, holder: &Holder, n: usize) -> String {
    let Some(task) = holder.task.and_then(|id| scene.index.get_task(id)) else {
        return format!("held in {}", words::place(holder.at.as_ref()));
    };
    let place = words::place(place(scene, holder, task));
    let orphan = scene.is_orphan(task);
    if n > 1 {
        return format!("held by {n} tasks, such as {} in {place}", words::task(task));
    }
    let nobody = if orphan { ", which nobody awaits" } else { "" };
    format!("held by {} in {place}{nobody}", words::task(task))
}

/// Where a slot is held: where all is a library's, what counts is what the thread does for whom it is held.
fn place<'a>(scene: &Scene<'a>, holder: &'a Holder, task: &'a Task) -> Option<&'a Frame> {
    let is_own = |frame: &&Frame| frame.origin == Origin::Own;
    let in_thread = || match task.waits_for.as_ref()?.target {
        Target::Job { thread: Some(tid), .. } => scene.index.get_thread(tid)?.stack.iter().rfind(is_own),
        _ => None,
    };
    holder.at.as_ref().filter(is_own).or_else(in_thread).or(holder.at.as_ref())
}

fn fill(pool: &Resource, waiters: usize, name: Option<&str>) -> Evidence {
    let mut text = match (pool.kind, pool.state.size, crate::graph::slots(pool)) {
        (ResourceKind::Semaphore, Some(free), Some(most)) => format!("{free} of {most} slots free"),
        (_, Some(size), Some(most)) => format!("{size} of {most} connections"),
        (_, None, Some(most)) => format!("{most} slots"),
        _ => "full".to_owned(),
    };
    let tells = |name: &str| {
        ["size", "max", "limit", "conn", "free", "idle", "token", "holders"].iter().any(|w| name.contains(w))
    };
    for detail in pool.state.details.iter().filter(|d| tells(&d.name) && !d.name.contains("kwargs")).take(5) {
        text.push_str(&format!(", {} = {}", detail.name, detail.value));
    }
    text.push_str(&format!(", {}", amount(waiters, "waiter")));
    let mut line = Evidence::new(Role::Resource, text);
    line.resource = Some(words::resource_ref(pool, name));
    line
}

/// Each line that holds slots once, with what the holding task does there.
fn holder_lines(scene: &Scene<'_>, pool: &Resource, holders: &[Holder], name: Option<&str>) -> Vec<Evidence> {
    let mut out: Vec<Evidence> = Vec::new();
    for holder in holders {
        let mut line = scene.holds_evidence(pool, holder, name);
        if let Some(task) = holder.task.and_then(|id| scene.index.get_task(id)) {
            let waits = task.waits_for.as_ref();
            let doing = match waits {
                _ if task.state != TaskState::Waiting => "it runs".to_owned(),
                Some(_) => format!("it {}", scene.wait(waits)),
                None => "it waits".to_owned(),
            };
            let nobody = if scene.is_orphan(task) { "; nobody awaits it" } else { "" };
            line.text = format!("{}; {doing}{nobody}", line.text).into();
        }
        words::add_line(&mut out, line, 8);
    }
    out
}
