//! A timeout that fired, and the wait it was to end still lasts: somebody swallowed it.

use super::words::{self, seconds};
use super::{Check, Findings, Scene, finding};
use crate::diff::own_frame;
use crate::finding::{Evidence, Role, Severity, TaskRef};
use crate::snapshot::{Handling, LoopState, TaskState};

pub(super) const CHECK: Check = Check {
    slug: "lost-timeout",
    about: "a timeout has passed, and the wait it was to end still lasts",
    run,
};

fn run(scene: &Scene<'_>, findings: &mut Findings) {
    for (place, task) in scene.tasks() {
        let Some(left_s) = task.waits_for.as_ref().and_then(|w| w.timeout_s) else { continue };
        // A loop that stands still fires nothing; what it is that stands has its own check.
        let loop_runs = task.event_loop.and_then(|id| scene.index.get_loop(id)).is_some_and(|l| {
            l.state == LoopState::Idle || scene.time_passed() && l.turn_s.is_some_and(|s| s < 0.1)
        });
        let cleans_up = matches!(task.handling, Some(Handling::Exception(_)));
        if -left_s < scene.config.overdue_s
            || !loop_runs
            || cleans_up
            || task.state != TaskState::Waiting
            || findings.explains(place)
        {
            continue;
        }
        let frame = own_frame(&task.chain);
        let summary = format!(
            "the timeout around {} in {} passed {} ago, and the wait still lasts: its cancellation was swallowed",
            words::place(frame),
            words::task(task),
            seconds(-left_s),
        );
        let mut timeout =
            Evidence::new(Role::Timeout, format!("its timeout is {} overdue", seconds(-left_s)));
        timeout.task = Some(TaskRef::of(task));
        let mut found =
            finding(CHECK.slug, Severity::Error, summary).evidence([scene.waits_evidence(place), timeout]);
        let behind = scene.behind(&[place]);
        found.consequences = scene.consequences(&behind);
        if task.handling.is_none() && !scene.time_passed() {
            found = found.doubt("it may still be cleaning up after its timeout");
        }
        let function = frame.map_or("the awaiting function", |f| &*f.function);
        let found = found.advice(format!(
            "look in {function}() and what it calls for `except BaseException`, a bare `except:`, or \
             `except CancelledError` without `raise`"
        ));
        findings.add_alike(words::place(frame), found, [place].into_iter().chain(behind));
    }
}
