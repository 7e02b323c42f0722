//! A task that was cancelled and does not end: its code caught the cancellation and went on.

use super::words;
use super::{Check, Findings, Scene, finding};
use crate::diff::own_frame;
use crate::finding::{Finding, Severity};
use crate::frame::Origin;
use crate::snapshot::{Handling, Target, Task, TaskState};

pub(super) const CHECK: Check = Check {
    slug: "swallowed-cancel",
    about: "a task was cancelled and goes on as if nothing had happened",
    run,
};

fn run(scene: &Scene<'_>, findings: &mut Findings) {
    for (place, task) in scene.tasks() {
        if task.cancelling == 0 || task.state != TaskState::Waiting || findings.explains(place) {
            continue;
        }
        // Who waits for tasks of its own that are cancelled too is not the one to blame.
        if matches!(task.waits_for.as_ref().map(|w| &w.target), Some(Target::Tasks { .. })) {
            continue;
        }
        if !is_expected_to_end(scene, task) {
            continue;
        }
        let Some(doubt) = verdict(scene, place, task) else { continue };
        let found = describe(scene, place, task, doubt);
        let behind = scene.behind(&[place]);
        let shape = words::place(own_frame(&task.chain));
        findings.add_alike(shape, found, [place].into_iter().chain(behind));
    }
}

/// Whether somebody waits for its end. A main task that caught the cancellation by Ctrl+C and now shuts
/// its program down in order looks the same otherwise.
fn is_expected_to_end(scene: &Scene<'_>, task: &Task) -> bool {
    let ends = |thread: u32| {
        let stack = &scene.now.threads[thread as usize].stack;
        stack.iter().any(|f| f.origin == Origin::Stdlib && f.function.ends_with("_cancel_all_tasks"))
    };
    !task.awaited_by.is_empty() || scene.index.thread_of(task).is_some_and(ends)
}

/// Whether it swallowed its cancellation, and what is to be doubted about it.
fn verdict(scene: &Scene<'_>, place: u32, task: &Task) -> Option<Option<&'static str>> {
    let was_cancelled_before = || scene.history.oldest(place).is_some_and(|then| then.cancelling > 0);
    if !was_cancelled_before() || !scene.time_passed() {
        return None;
    }
    match task.handling {
        // It cleans up, and takes its time.
        Some(Handling::Exception(_)) => None,
        Some(Handling::Nothing) => Some(None),
        None => scene.is_still(place).then_some(Some("it may still be cleaning up after its cancellation")),
    }
}

fn describe(scene: &Scene<'_>, place: u32, task: &Task, doubt: Option<&'static str>) -> Finding {
    let times = match task.cancelling {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    };
    let awaiter = task.awaited_by.first().and_then(|a| scene.index.get_task(a.task));
    let who_waits =
        awaiter.map_or_else(String::new, |awaiter| format!("; {} waits for it to end", words::task(awaiter)));
    let frame = own_frame(&task.chain);
    let function = frame.map_or("its code", |f| &*f.function);
    let summary = format!(
        "{} was cancelled {times} and goes on in {}: {function}() or what it calls caught the cancellation and \
         did not raise it again{who_waits}",
        words::task(task),
        words::place(frame),
    );
    let mut found = finding(CHECK.slug, Severity::Error, summary).evidence([scene.waits_evidence(place)]);
    for awaiter in &task.awaited_by {
        if let Some(waiting) = scene.index.task(awaiter.task) {
            found.evidence.push(scene.waits_evidence(waiting));
        }
    }
    found.evidence.truncate(4);
    found.consequences = scene.consequences(&scene.behind(&[place]));
    if let Some(doubt) = doubt {
        found = found.doubt(doubt);
    }
    found
        .advice(format!(
            "look in {function}() for `except BaseException`, a bare `except:`, or `except CancelledError` \
             without `raise`"
        ))
        .advice("catch `Exception` instead, which leaves cancellations alone")
}
