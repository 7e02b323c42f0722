//! Very many tasks of one kind compete for one thing: work is taken on faster than it is done.

use super::words;
use super::{Check, Findings, Scene, finding};
use crate::diff::own_frame;
use crate::finding::{Evidence, Role, Severity};
use crate::snapshot::{ResourceKind, Target, Task, TaskState};
use rustc_hash::FxHashMap;

pub(super) const CHECK: Check =
    Check { slug: "task-flood", about: "very many tasks of one kind compete for one thing", run };

fn run(scene: &Scene<'_>, findings: &mut Findings) {
    let mut kinds: FxHashMap<(&str, &str), Vec<u32>> = FxHashMap::default();
    for (place, task) in scene.tasks() {
        if let Some(root) = task.chain.first()
            && competes(scene, task)
            && !findings.explains(place)
        {
            kinds.entry((&root.function, &root.file)).or_default().push(place);
        }
    }
    let mut kinds: Vec<_> = kinds.into_iter().filter(|(_, t)| t.len() >= scene.config.flood_tasks).collect();
    kinds.sort_unstable_by_key(|(kind, tasks)| (std::cmp::Reverse(tasks.len()), *kind));
    for ((function, _), tasks) in kinds {
        let waiting = tasks.iter().copied().find(|t| scene.task(*t).state == TaskState::Waiting);
        let shown = scene.task(waiting.unwrap_or(tasks[0]));
        let created = shown.created.as_ref().and_then(|c| own_frame(&c.stack));
        let site = created.map_or_else(String::new, |f| format!(", created in {},", words::place(Some(f))));
        let doing = match waiting {
            Some(_) => scene.wait(shown.waits_for.as_ref()).replace("waits", "wait"),
            None => "wait for their turn to run".to_owned(),
        };
        let summary = format!(
            "{} of {function}(){site} exist at once: most {doing} in {}",
            words::amount(tasks.len(), "task"),
            words::place(own_frame(&shown.chain)),
        );
        let mut line = match waiting {
            Some(place) => scene.waits_evidence(place),
            None => Evidence::new(Role::Waits, "ready to run").at(own_frame(&shown.chain)),
        };
        line.count = Some(tasks.len() as u32);
        let mut lines = vec![line];
        if let Some(created) = created {
            lines.push(Evidence::new(Role::Created, "created").at(Some(created)));
        }
        let found = finding(CHECK.slug, Severity::Warning, summary)
            .evidence(lines)
            .advice("bound how many are created: a fixed number of workers on a queue, or a semaphore around *creating* them");
        findings.add(found, tasks);
    }
}

/// Whether the task waits for its turn at something that many share. Clients' connections and clocks do not count: those
/// wait by the thousand in healthy servers.
fn competes(scene: &Scene<'_>, task: &Task) -> bool {
    match (task.state, task.waits_for.as_ref().map(|w| &w.target)) {
        (TaskState::Ready, _) => true,
        (TaskState::Waiting, Some(Target::Resource { id })) => {
            scene.index.get_resource(*id).is_some_and(|r| {
                r.waiters.len() > 1
                    && (matches!(r.kind, ResourceKind::Lock | ResourceKind::Semaphore | ResourceKind::Pool)
                        || r.kind == ResourceKind::Queue && r.state.putters.is_some_and(|n| n > 1)
                        || r.within.is_some())
            })
        }
        (TaskState::Waiting, Some(Target::Job { thread: None, .. })) => true,
        _ => false,
    }
}
