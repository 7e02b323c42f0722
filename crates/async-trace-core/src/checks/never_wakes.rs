//! A task that awaits what nobody alive can bring: no reference leads from anything that still runs to
//! the future or event.

use super::words;
use super::{Check, Findings, Scene, finding};
use crate::diff::own_frame;
use crate::finding::{Evidence, Role, Severity};
use crate::graph::Node;
use crate::snapshot::{Extent, Reach, ResourceKind, Target, Task, TaskState};
use std::fmt::Write as _;

pub(super) const CHECK: Check = Check {
    slug: "never-wakes",
    about: "a task awaits a future or event that nobody alive can complete",
    run,
};

/// What is known of who can reach what a task awaits.
fn reach<'a>(scene: &Scene<'a>, task: u32) -> Option<&'a Reach> {
    match &scene.now.tasks[task as usize].waits_for.as_ref()?.target {
        Target::Future { reach, .. } => reach.as_deref(),
        Target::Resource { id } => scene.index.get_resource(*id)?.reach.as_ref(),
        _ => None,
    }
}

/// What is to be done to what a task awaits.
fn would(scene: &Scene<'_>, task: &Task) -> &'static str {
    let kind = match task.waits_for.as_ref().map(|wait| &wait.target) {
        Some(Target::Resource { id }) => scene.index.get_resource(*id).map(|resource| resource.kind),
        _ => None,
    };
    match kind {
        Some(ResourceKind::Queue) => "put into",
        Some(ResourceKind::Event) => "set",
        Some(ResourceKind::Condition) => "notify",
        _ => "complete",
    }
}

fn run(scene: &Scene<'_>, findings: &mut Findings) {
    for (number, knot) in scene.graph.stuck.knots.iter().enumerate() {
        let members = knot.nodes.iter().map(|node| scene.graph.node(*node));
        let tasks = members.clone().filter_map(|node| match node {
            Node::Task(task) => Some(task),
            _ => None,
        });
        let is_ours = if knot.cycle {
            // Each of them has what the others wait for, and has never been the one to complete it: that one has failed.
            members.clone().all(|node| matches!(node, Node::Future | Node::Task(_) | Node::Choice))
                && tasks.clone().any(|task| reach(scene, task).is_some_and(|reach| !reach.failed.is_empty()))
        } else {
            members.clone().any(|node| match node {
                Node::Future => true,
                // An idle consumer of a queue that is to be filled later is no error, alone.
                Node::Resource(place) => {
                    let resource = &scene.now.resources[place as usize];
                    resource.kind.is_signal() || resource.reach.as_ref().is_some_and(Reach::is_bereft)
                }
                _ => false,
            })
        };
        let mut behind: Vec<u32> = tasks.collect();
        behind.extend_from_slice(scene.graph.behind(number));
        let waits_itself = |task: &u32| scene.graph.waits_of(*task).any(|to| knot.nodes.contains(&to));
        let is_for_it = |task: &u32| waits_itself(task) && (!knot.cycle || reach(scene, *task).is_some());
        let (waiting, others): (Vec<u32>, Vec<u32>) = behind.iter().copied().partition(is_for_it);
        let Some(&first) = waiting.first() else { continue };
        let is_standing = waiting.iter().all(|t| {
            scene.is_still(*t) && scene.task(*t).state == TaskState::Waiting && !findings.explains(*t)
        });
        if !is_ours || !is_standing {
            continue;
        }
        let task = scene.task(first);
        let n = waiting.len();
        let who = if n == 1 { words::task(task) } else { words::amount(n, "task") };
        let reach = reach(scene, first);
        let is_known = reach.is_none_or(|reach| reach.extent != Extent::Frames);
        let mut summary = format!(
            "{who} will {} go on: in {} {} {}{}",
            if is_known { "never" } else { "probably never" },
            words::place(own_frame(&task.chain)),
            if n == 1 { "it" } else { "they" },
            scene
                .wait(task.waits_for.as_ref())
                .replacen("waits for", if n == 1 { "awaits" } else { "await" }, 1)
                .replacen("waits in", if n == 1 { "waits in" } else { "wait in" }, 1),
            if is_known { " that nothing else in the process refers to" } else { "" },
        );
        let failed = reach.map_or(&[][..], |reach| &reach.failed);
        if let Some(failure) = failed.first() {
            let _ = write!(summary, "; {}", words::failure(failure, "had it"));
        }
        let ended = reach.map_or(&[][..], |reach| &reach.ended);
        if let Some(first) = ended.first() {
            let function = &first.at.function;
            let (more, have, them) = match ended.len() {
                1 => ("", "has", "it"),
                _ => (" and others", "have", "them"),
            };
            let would = would(scene, task);
            let _ = write!(
                summary,
                "; {function}(){more}, which would {would} it, {have} ended, and nothing calls {them} again"
            );
        }
        let unnotified = reach.and_then(|reach| reach.unnotified.as_ref());
        if let Some(at) = unnotified {
            let _ = write!(summary, "; {}() takes it, but no line of the program notifies it", at.function);
        }
        let mut found = finding(CHECK.slug, Severity::Error, summary).evidence([scene.waits_evidence(first)]);
        found.evidence[0].count = (n > 1).then_some(n as u32);
        found.evidence.extend(words::failures(failed));
        if !failed.is_empty() {
            found = found.advice("let it be completed when that fails, too: `try … finally`, or await the task that is to do it");
        }
        found.evidence.extend(words::ended(ended));
        if ended.iter().any(|ended| ended.dropped) {
            found = found.advice("keep the task that create_task() returns, and look at how it ends: one that nobody keeps may fail unseen, or be taken by the garbage collector");
        } else if !ended.is_empty() {
            found = found.advice("let it be completed on every way out of that function: `try … finally`");
        }
        if unnotified.is_some() {
            let line = Evidence::new(Role::Completes, "takes it, and does not notify it").at(unnotified);
            found.evidence.push(line);
            found = found.advice(
                "call `notify()` or `notify_all()` inside of the block that changes what is waited for",
            );
        }
        found.consequences = scene.consequences(&others);
        if is_known {
            if scene.graph.is_uncertain(knot.nodes[0]) {
                found = found.doubt("not every object of the process could be followed");
            }
            found = found
                .advice("find who should have completed it: a callback that was never registered, or an object that was dropped");
        } else {
            let is_by_text = unnotified.is_some() || !ended.is_empty();
            found = found.doubt(if is_by_text { words::ONLY_TEXT } else { words::ONLY_VARIABLES });
        }
        findings.add_alike(words::place(own_frame(&task.chain)), found, behind.iter().copied());
    }
}
