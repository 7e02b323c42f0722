//! Tasks of one kind that pile up: their clients are gone, nothing will wake them, or they only grow
//! in number.

use super::words;
use super::{Check, Findings, Scene, finding};
use crate::diff::own_frame;
use crate::finding::{Evidence, Finding, Role, Severity};
use crate::frame::Origin;
use crate::graph::Node;
use crate::snapshot::{Id, Snapshot, Target, Task, TaskState};
use rustc_hash::{FxHashMap, FxHashSet};

pub(super) const CHECK: Check = Check {
    slug: "task-leak",
    about: "tasks of one kind pile up: clients gone, never to be woken, or only ever more of them",
    run,
};

fn run(scene: &Scene<'_>, findings: &mut Findings) {
    let gone = |_: u32, task: &Task| task.connection.as_ref().is_some_and(|c| c.closed);
    report(scene, findings, &gone, None, |n, place| {
        format!("{n} tasks wait in {place} although the clients they serve have disconnected")
    });
    let half_gone = |_: u32, task: &Task| task.connection.as_ref().is_some_and(|c| c.half_closed);
    let doubt = Some("a client that sends no more may still wait for an answer");
    report(scene, findings, &half_gone, doubt, |n, place| {
        format!(
            "{n} tasks wait in {place} although the clients they serve have closed their side of the connection"
        )
    });
    let unreachable: FxHashSet<u32> = dead_ends(scene);
    report(scene, findings, &|place, _| unreachable.contains(&place), None, |n, place| {
        format!("{n} tasks wait in {place} for what nobody can ever bring: nothing else refers to it")
    });
    growing(scene, findings);
}

/// Tasks whose wait nobody who is alive could end, each on its own.
fn dead_ends(scene: &Scene<'_>) -> FxHashSet<u32> {
    let is_dead_end = |node: u32| {
        let knot = scene.graph.stuck.cause.get(node as usize).copied().flatten();
        knot.and_then(|k| scene.graph.stuck.knots.get(k as usize))
            .is_some_and(|k| !k.cycle && k.nodes == [node])
            && matches!(scene.graph.node(node), Node::Choice | Node::Future | Node::Resource(_))
    };
    (0..scene.now.tasks.len() as u32).filter(|task| scene.graph.waits_of(*task).any(is_dead_end)).collect()
}

/// Where a task waits and whose coroutine it is: what makes tasks be of one kind.
fn kind(task: &Task) -> Option<(&str, &str, u32)> {
    let (root, own) = (task.chain.first()?, own_frame(&task.chain)?);
    Some((&root.function, &own.file, own.line))
}

fn report(
    scene: &Scene<'_>,
    findings: &mut Findings,
    is_leaked: &dyn Fn(u32, &Task) -> bool,
    doubt: Option<&str>,
    say: impl Fn(usize, String) -> String,
) {
    let mut kinds: FxHashMap<_, Vec<u32>> = FxHashMap::default();
    for (place, task) in scene.tasks() {
        let ends_by_itself = matches!(
            task.waits_for.as_ref().map(|w| &w.target),
            Some(Target::Timer { .. } | Target::Turn | Target::Tasks { .. }) | None
        );
        if task.state == TaskState::Waiting
            && !ends_by_itself
            && is_leaked(place, task)
            && scene.is_still(place)
            && !findings.explains(place)
            && let Some(kind) = kind(task)
        {
            kinds.entry(kind).or_default().push(place);
        }
    }
    let mut kinds: Vec<Vec<u32>> = kinds.into_values().collect();
    kinds.sort_unstable();
    for tasks in kinds.into_iter().filter(|tasks| tasks.len() >= scene.config.leak_tasks) {
        let summary = say(tasks.len(), words::place(own_frame(&scene.task(tasks[0]).chain)));
        let mut found = describe(scene, summary, &tasks);
        if !scene.time_passed() {
            found = found.doubt("they were looked at only once, and may be about to end");
        }
        if let Some(doubt) = doubt {
            found = found.doubt(doubt);
        }
        let behind = scene.behind(&tasks);
        findings.add(found, tasks.into_iter().chain(behind));
    }
}

fn describe(scene: &Scene<'_>, summary: String, tasks: &[u32]) -> Finding {
    let first = scene.task(tasks[0]);
    let mut line = scene.waits_evidence(tasks[0]);
    line.count = Some(tasks.len() as u32);
    let mut lines = vec![line];
    if let Some(connection) = &first.connection {
        let end = connection.file.as_ref().map_or_else(String::new, |f| format!(" {}", words::file(f)));
        let text = match (connection.closed, connection.half_closed) {
            (true, _) => "closed",
            (false, true) => "closed by the client",
            (false, false) => "open",
        };
        lines.push(Evidence::new(Role::Connection, format!("its client connection{end} is {text}")));
    }
    if let Some(frame) = first.created.as_ref().and_then(|c| own_frame(&c.stack)) {
        lines.push(Evidence::new(Role::Created, "created").at(Some(frame)));
    }
    finding(CHECK.slug, Severity::Warning, summary)
        .evidence(lines)
        .advice("end the task with its client: run it beside the receiving side in a TaskGroup, so that one ends the other")
        .advice("or bound the wait, and look whether the client is still there")
}

/// Kinds of tasks of which none has ended over the snapshots while new ones came all the time.
fn growing(scene: &Scene<'_>, findings: &mut Findings) {
    let snapshots = scene.history.snapshots();
    if !scene.time_passed() || snapshots.len() < 3 {
        return;
    }
    let counted: Vec<FxHashMap<_, FxHashSet<Id>>> = snapshots.iter().map(|s| by_kind(s)).collect();
    let Some(newest) = counted.last() else { return };
    let mut kinds: Vec<_> = newest.iter().collect();
    kinds.sort_unstable_by_key(|(kind, _)| **kind);
    for (kind, tasks) in kinds {
        let counts: Vec<usize> = counted.iter().map(|c| c.get(kind).map_or(0, FxHashSet::len)).collect();
        let none_ended = counted.iter().all(|c| c.get(kind).is_some_and(|then| then.is_subset(tasks)));
        let grows = counts.windows(2).all(|pair| pair[0] < pair[1]);
        let new = tasks.len().saturating_sub(counts[0]);
        // It must have been many already: a program that starts up grows as well.
        if !none_ended || !grows || new < scene.config.leak_tasks || counts[0] < scene.config.leak_tasks * 10
        {
            continue;
        }
        let places: Vec<u32> = tasks.iter().filter_map(|id| scene.index.task(*id)).collect();
        let Some(&first) = places.iter().min() else { continue };
        if places.iter().all(|place| findings.explains(*place)) {
            continue;
        }
        let summary = format!(
            "{} tasks wait in {}, {new} more than {} ago, and none of them has ended since",
            tasks.len(),
            words::place(own_frame(&scene.task(first).chain)),
            words::seconds(scene.history.interval_s),
        );
        let mut sorted = places;
        sorted.sort_unstable();
        let found = describe(scene, summary, &sorted).doubt("they may end later: the interval was short");
        findings.add(found, sorted);
    }
}

/// Tasks of the program's own that wait for something else than time or a client.
fn by_kind(snapshot: &Snapshot) -> FxHashMap<(&str, &str, u32), FxHashSet<Id>> {
    let mut kinds: FxHashMap<_, FxHashSet<Id>> = FxHashMap::default();
    for task in &snapshot.tasks {
        let is_candidate = task.state == TaskState::Waiting
            && task.connection.is_none()
            && task.chain.first().is_some_and(|f| f.origin == Origin::Own)
            && matches!(
                task.waits_for.as_ref().map(|w| &w.target),
                Some(Target::Resource { .. } | Target::Future { .. } | Target::Unknown { .. })
            );
        if is_candidate && let Some(kind) = kind(task) {
            kinds.entry(kind).or_default().insert(task.id);
        }
    }
    kinds
}
