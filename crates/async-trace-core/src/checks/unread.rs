//! Tasks that write to a connection of which nobody reads the other end: two that write to each other for ever, a
//! [`deadlock`](super::deadlock); and one whose peer is elsewhere, a [`stuck-task`](super::stuck_task).

use super::motion::{self, Motion};
use super::words;
use super::{Findings, Scene, finding};
use crate::diff::own_frame;
use crate::finding::Severity;
use crate::snapshot::{OpenFile, Target, Task, TaskState, Verb};
use rustc_hash::FxHashMap;

/// The tasks that wait for the other end of a TCP connection to read, where it has taken nothing since the first look.
fn writers<'a>(scene: &'a Scene<'a>, findings: &'a Findings) -> impl Iterator<Item = (u32, &'a OpenFile)> {
    scene.tasks().filter_map(|(place, task)| {
        let waits = task.waits_for.as_ref()?;
        let Target::File { file } = &waits.target else { return None };
        let is_full = file.traffic.as_ref().is_some_and(|traffic| traffic.unsent > 0);
        let stands = waits.verb == Verb::Write
            && is_full
            && task.state == TaskState::Waiting
            && !scene.ends_soon(waits.timeout_s)
            && scene.is_still(place)
            && !findings.explains(place)
            && motion::of_wait(scene, place, task, waits) == Motion::Still;
        stands.then_some((place, file))
    })
}

/// Two tasks at both ends of one connection, each of which writes and waits for the other to read.
pub(super) fn pairs(scene: &Scene<'_>, findings: &mut Findings) {
    if !scene.time_passed() {
        return;
    }
    let ends = |file: &OpenFile| Some((file.local.clone()?, file.peer.clone()?));
    let writers: FxHashMap<_, u32> =
        writers(scene, findings).filter_map(|(place, file)| Some((ends(file)?, place))).collect();
    let mut pairs: Vec<(u32, u32)> = writers
        .iter()
        .filter_map(|((local, peer), one)| {
            let other = writers.get(&(peer.clone(), local.clone()))?;
            (one < other).then_some((*one, *other))
        })
        .collect();
    pairs.sort_unstable();
    for (one, other) in pairs {
        let (a, b) = (scene.task(one), scene.task(other));
        let Some((file, taken_s)) = unread(a).zip(unread(b)).map(|((file, x), (_, y))| (file, x.min(y)))
        else {
            continue;
        };
        let summary = format!(
            "{} writes in {} and {} in {}, each to the other over {}; neither reads, both directions are full, and nothing \
             was taken for {}",
            words::task(a),
            words::place(own_frame(&a.chain)),
            words::task(b),
            words::place(own_frame(&b.chain)),
            words::file(file),
            words::seconds(taken_s),
        );
        let behind = scene.behind(&[one, other]);
        let mut found = finding("deadlock", Severity::Error, summary)
            .evidence([scene.waits_evidence(one), scene.waits_evidence(other)]);
        found.consequences = scene.consequences(&behind);
        if taken_s < scene.config.patience_s && may_read(scene, &[one, other], &behind) {
            found = found.doubt("another task may read from the connection when it has done what it is at");
        }
        let found = found
            .advice("let one task send and another receive, at each end")
            .advice("or read what the other end has sent before more is written");
        let shape = format!("unread {}", words::place(own_frame(&a.chain)));
        findings.add_alike(shape, found, [one, other].into_iter().chain(behind));
    }
}

/// Whether there is a task that is at something else, which it will have done.
fn may_read(scene: &Scene<'_>, pair: &[u32], behind: &[u32]) -> bool {
    scene.tasks().any(|(place, task)| {
        let is_at_work = match (task.state, task.waits_for.as_ref().map(|w| &w.target)) {
            (TaskState::Done, _) => false,
            (TaskState::Waiting, Some(target)) => {
                matches!(
                    target,
                    Target::Timer { .. } | Target::Job { .. } | Target::Process { .. } | Target::Turn
                ) || !scene.is_still(place)
            }
            _ => true,
        };
        is_at_work && !pair.contains(&place) && behind.binary_search(&place).is_err()
    })
}

/// The connection that a task writes to, and for how long its other end has taken nothing.
fn unread(task: &Task) -> Option<(&OpenFile, f64)> {
    let Target::File { file } = &task.waits_for.as_ref()?.target else { return None };
    Some((file, file.traffic.as_ref()?.sent_ms as f64 / 1e3))
}

/// A task whose peer is elsewhere and does not read.
pub(super) fn alone(scene: &Scene<'_>, findings: &mut Findings) {
    let writers: Vec<(u32, f64)> = writers(scene, findings)
        .filter_map(|(place, _)| Some((place, unread(scene.task(place))?.1)))
        .collect();
    for (place, taken_s) in writers {
        let task = scene.task(place);
        // A slow reader is not a hang; and a client that has gone to sleep is the server's to bear for a while.
        let limit_s =
            if task.connection.is_some() { scene.config.patience_s } else { scene.config.silence_s() };
        if taken_s < limit_s {
            if limit_s <= scene.config.silence_s() {
                scene.leave_open(taken_s);
            }
            continue;
        }
        let speaker = scene.task(scene.spokesman(place));
        let frame = own_frame(&speaker.chain);
        let summary = format!(
            "{} {} in {}, where it {}",
            words::task(task),
            scene.waited(1),
            words::place(frame),
            scene.wait(task.waits_for.as_ref()),
        );
        let behind = scene.behind(&[place]);
        let mut found =
            finding("stuck-task", Severity::Warning, summary).evidence([scene.waits_evidence(place)]);
        found.consequences = scene.consequences(&behind);
        if taken_s < scene.config.patience_s {
            found = found.doubt("the other end may only be slow to read");
        }
        let found = found.advice("look at the other end: it does not read what it is sent").advice(
            "bound the write by `asyncio.timeout(…)`, and close the connection of a peer that does not read",
        );
        findings.add_alike(
            format!("unread {}", words::place(frame)),
            found,
            [place].into_iter().chain(behind),
        );
    }
}
