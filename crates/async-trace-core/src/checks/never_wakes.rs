//! A task that awaits what nobody alive can bring: no reference leads from anything that still runs to
//! the future or event.

use super::words;
use super::{Check, Findings, Scene, finding};
use crate::diff::own_frame;
use crate::finding::Severity;
use crate::graph::Node;
use crate::snapshot::{ResourceKind, TaskState};

pub(super) const CHECK: Check = Check {
    slug: "never-wakes",
    about: "a task awaits a future or event that nobody alive can complete",
    run,
};

fn run(scene: &Scene<'_>, findings: &mut Findings) {
    for (number, knot) in scene.graph.stuck.knots.iter().enumerate().filter(|(_, knot)| !knot.cycle) {
        let node = knot.nodes[0];
        let is_ours = match scene.graph.node(node) {
            Node::Choice => true,
            // An idle consumer of a queue that is to be filled later is no error, alone.
            Node::Resource(place) => matches!(
                scene.now.resources[place as usize].kind,
                ResourceKind::Event | ResourceKind::Condition | ResourceKind::Barrier
            ),
            _ => false,
        };
        let behind = scene.graph.behind(number);
        let waits_itself = |task: &u32| scene.graph.waits_of(*task).any(|to| to == node);
        let waiting: Vec<u32> = behind.iter().copied().filter(waits_itself).collect();
        let Some(&first) = waiting.first() else { continue };
        let standing = waiting.iter().all(|t| {
            scene.is_still(*t) && scene.task(*t).state == TaskState::Waiting && !findings.explains(*t)
        });
        if !is_ours || !standing {
            continue;
        }
        let task = scene.task(first);
        let n = waiting.len();
        let who = if n == 1 { words::task(task) } else { words::amount(n, "task") };
        let summary = format!(
            "{who} will never go on: in {} {} that nothing else in the process refers to",
            words::place(own_frame(&task.chain)),
            scene
                .wait(task.waits_for.as_ref())
                .replace("waits for", if n == 1 { "it awaits" } else { "they await" }),
        );
        let mut found = finding(CHECK.slug, Severity::Error, summary).evidence([scene.waits_evidence(first)]);
        found.evidence[0].count = (n > 1).then_some(n as u32);
        let others: Vec<u32> = behind.iter().copied().filter(|t| !waiting.contains(t)).collect();
        found.consequences = scene.consequences(&others);
        if scene.graph.is_uncertain(node) {
            found = found.doubt("not every object of the process could be followed");
        }
        let found = found
            .advice("find who should have completed it: a callback that was never registered, or an object that was dropped");
        findings.add_alike(words::place(own_frame(&task.chain)), found, behind.iter().copied());
    }
}
