//! Something should have run and does not: a loop sleeps although it has work, or a lock is free and its
//! waiters were not told.

use super::words::{self, amount, seconds};
use super::{Check, Findings, Scene, finding};
use crate::finding::{Evidence, Role, Severity, TaskRef};
use crate::snapshot::{EventLoop, LoopState, Resource, ResourceKind, Snapshot, TaskState, Verb};

pub(super) const CHECK: Check = Check {
    slug: "lost-wakeup",
    about: "a loop sleeps although it has work, or a free lock has waiters that nobody woke",
    run,
};

fn run(scene: &Scene<'_>, findings: &mut Findings) {
    for event_loop in &scene.now.loops {
        sleeping_loop(scene, event_loop, findings);
    }
    for resource in &scene.now.resources {
        forgotten_waiters(scene, resource, findings);
    }
}

fn sleeping_loop(scene: &Scene<'_>, event_loop: &EventLoop, findings: &mut Findings) {
    let sleeps = |l: &EventLoop| l.state == LoopState::Idle;
    let has_work = |l: &EventLoop| l.ready.is_some_and(|n| n > 0);
    let overdue_s = scene.overdue_s(event_loop);
    let always = |is: &dyn Fn(&EventLoop) -> bool| {
        let looks = scene.history.looks().iter();
        looks.map(|s: &&Snapshot| s.loops.iter().find(|l| l.id == event_loop.id)).all(|l| l.is_some_and(is))
    };
    // Between two turns a loop with work asks its selector too, but for no time at all: one look may
    // catch it there.
    let same_work =
        |l: &EventLoop| sleeps(l) && has_work(l) && l.ready_callbacks == event_loop.ready_callbacks;
    let thread = event_loop.thread.and_then(|tid| scene.index.get_thread(tid));
    let asks = has_work(event_loop) && always(&same_work) && scene.time_passed();
    let late = sleeps(event_loop) && overdue_s >= scene.config.overdue_s && always(&sleeps);
    if !asks && !late {
        return;
    }
    let name = thread.map_or("its thread", |t| &*t.name);
    let waiting: Vec<u32> =
        event_loop.ready_callbacks.iter().filter_map(|c| scene.index.task(c.task?)).collect();
    let summary = if asks {
        let n = event_loop.ready.unwrap_or(0) as usize;
        let whom = waiting.first().map_or_else(String::new, |task| {
            let task = scene.task(*task);
            format!(" ({} in {})", words::task(task), words::place(crate::diff::own_frame(&task.chain)))
        });
        format!(
            "the event loop of thread {name} sleeps in its selector although {} ready to run{whom}: \
             another thread scheduled it without call_soon_threadsafe()",
            if n == 1 { "1 callback is".to_owned() } else { format!("{n} callbacks are") },
        )
    } else {
        format!(
            "the event loop of thread {name} sleeps in its selector although a timer was due {} ago: another \
             thread set it without call_soon_threadsafe()",
            seconds(overdue_s)
        )
    };
    let mut line = Evidence::new(
        Role::Loop,
        format!(
            "asleep in its selector with {}",
            amount(event_loop.ready.unwrap_or(0) as usize, "ready callback")
        ),
    );
    line.thread = thread.map(words::thread_ref);
    line.age_s = (scene.history.interval_s > 0.0).then_some(scene.history.interval_s);
    let mut found = finding(CHECK.slug, Severity::Error, summary).evidence([line]);
    for callback in event_loop.ready_callbacks.iter().take(5) {
        let task = callback.task.and_then(|id| scene.index.get_task(id));
        let text = format!("{}() is scheduled and does not run", callback.function);
        let mut line =
            Evidence::new(Role::Callback, text).at(task.and_then(|t| crate::diff::own_frame(&t.chain)));
        line.task = task.map(TaskRef::of);
        if let Some(resource) = task.and_then(|t| scene.index.get_resource(waited(t)?)) {
            line.resource = Some(words::resource_ref(resource, None));
        }
        found.evidence.push(line);
    }
    // Whoever did it is another thread with code of the user's; which one, memory does not tell.
    for other in scene.now.threads.iter().filter(|t| t.event_loop.is_none()).take(5) {
        let own = other.stack.iter().rev().find(|f| f.origin == crate::frame::Origin::Own);
        if let Some(own) = own {
            let mut line =
                Evidence::new(Role::Works, "another thread, which may have scheduled it").at(Some(own));
            line.thread = Some(words::thread_ref(other));
            found.evidence.push(line);
        }
    }
    let behind = scene.behind(&waiting);
    found.consequences = scene.consequences(&behind);
    findings.add(
        found.advice(
            "touch asyncio objects from other threads only by `loop.call_soon_threadsafe(…)` or \
             `asyncio.run_coroutine_threadsafe(…)`",
        ),
        waiting.into_iter().chain(behind),
    );
}

fn waited(task: &crate::snapshot::Task) -> Option<crate::snapshot::Id> {
    match task.waits_for.as_ref()?.target {
        crate::snapshot::Target::Resource { id } => Some(id),
        _ => None,
    }
}

/// A lock that is free, an event that is set, a queue with items: and still tasks wait for it.
fn forgotten_waiters(scene: &Scene<'_>, resource: &Resource, findings: &mut Findings) {
    let state = &resource.state;
    let (verb, what) = match resource.kind {
        ResourceKind::Lock if state.locked == Some(false) => (Verb::Acquire, "has been free"),
        ResourceKind::Semaphore if state.size.is_some_and(|n| n > 0) => (Verb::Acquire, "has had free slots"),
        ResourceKind::Event if state.set == Some(true) => (Verb::Wait, "has been set"),
        ResourceKind::Queue if state.size.is_some_and(|n| n > 0) => (Verb::Get, "has had items"),
        _ => return,
    };
    // Without time in between this is how every hand-over looks for a moment.
    if scene.history.interval_s == 0.0 || !scene.time_passed() {
        return;
    }
    let forgotten: Vec<u32> = resource
        .waiters
        .iter()
        .filter_map(|id| scene.index.task(*id))
        .filter(|place| {
            let task = scene.task(*place);
            let here = task.waits_for.as_ref().is_some_and(|w| {
                w.verb == verb
                    && matches!(w.target, crate::snapshot::Target::Resource { id } if id == resource.id)
            });
            here && task.state == TaskState::Waiting && scene.is_still(*place) && !findings.explains(*place)
        })
        .collect();
    let Some(&first) = forgotten.first() else { return };
    // It must have been free all the time: then no hand-over is under way.
    let always_free = scene.history.snapshots().iter().all(|s| {
        s.resources.iter().find(|r| r.id == resource.id).is_some_and(|r| {
            (r.state.locked, r.state.set) == (state.locked, state.set)
                && r.state.size.is_some_and(|n| n > 0) == state.size.is_some_and(|n| n > 0)
        })
    });
    if !always_free {
        return;
    }
    let name = scene.task(first).waits_for.as_ref().and_then(|w| w.name.as_deref());
    let it = words::resource(resource, name);
    let mut loops: Vec<_> = forgotten.iter().map(|t| scene.task(*t).event_loop).collect();
    loops.sort_unstable();
    loops.dedup();
    let several = if loops.len() > 1 { "; they belong to different event loops" } else { "" };
    let summary = format!(
        "{} {} in {} for {it}, which {what} all the time{several}: the wake-up was lost",
        amount(forgotten.len(), "task"),
        scene.waited(forgotten.len()),
        words::place(crate::diff::own_frame(&scene.task(first).chain)),
    );
    let mut found = finding(CHECK.slug, Severity::Error, summary).evidence([scene.waits_evidence(first)]);
    found.evidence[0].count = (forgotten.len() > 1).then_some(forgotten.len() as u32);
    let behind = scene.behind(&forgotten);
    found.consequences = scene.consequences(&behind);
    findings.add(
        found.advice(
            "use asyncio's locks, events and queues from one loop and its thread only; other threads go through \
             `loop.call_soon_threadsafe(…)`",
        ),
        forgotten.into_iter().chain(behind),
    );
}
