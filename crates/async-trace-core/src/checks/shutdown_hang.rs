//! A program that was told to end and waits: for connections, tasks or threads that do not.

use super::words::{self, amount};
use super::{Check, Findings, Scene, finding};
use crate::diff::own_frame;
use crate::finding::{Evidence, Finding, Role, Severity, TaskRef};
use crate::frame::{Frame, Origin};
use crate::render::paths::package;
use crate::snapshot::{Target, Task, TaskState, Thread};
use rustc_hash::FxHashMap;

pub(super) const CHECK: Check = Check {
    slug: "shutdown-hang",
    about: "a shutdown waits for connections, tasks or threads that do not end",
    run,
};

fn run(scene: &Scene<'_>, findings: &mut Findings) {
    if !scene.time_passed() {
        return;
    }
    for (place, task) in scene.tasks() {
        if let Some(frame) = shutdown_frame(scene, place, task)
            && !findings.explains(place)
        {
            of_task(scene, place, frame, findings);
        } else if let Some(frame) = closing_pool(task)
            && !findings.explains(place)
        {
            of_pool(scene, place, frame, findings);
        }
    }
    for thread in &scene.now.threads {
        of_runner(scene, thread, findings);
        of_interpreter(scene, thread, findings);
    }
}

/// What a task waits for.
fn target(task: &Task) -> Option<&Target> {
    task.waits_for.as_ref().map(|w| &w.target)
}

/// The line of a task that waits for others.
fn caller(task: &Task, text: &str, at: Option<&Frame>) -> Evidence {
    let mut line = Evidence::new(Role::Caller, text).at(at);
    line.task = Some(TaskRef::of(task));
    line
}

/// The frame of a shutdown that the task was in all the time.
fn shutdown_frame<'a>(scene: &Scene<'_>, place: u32, task: &'a Task) -> Option<&'a Frame> {
    let is_shutdown = |f: &&Frame| {
        let name = f.function.rsplit('.').next().unwrap_or_default().trim_start_matches('_');
        match f.origin {
            Origin::Library => {
                // A connection has a `wait_closed` too: a handler may wait there for its client to leave.
                matches!(
                    name,
                    "shutdown" | "cleanup" | "graceful_shutdown" | "stop" | "shutdown_default_executor"
                ) || name == "wait_closed" && f.function.contains("Server")
            }
            Origin::Stdlib => {
                matches!(&*f.function, "Server.wait_closed")
                    || matches!(name, "shutdown_default_executor" | "shutdown_asyncgens")
            }
            // A function of this name may as well wait for the signal to begin.
            Origin::Own => {
                matches!(name, "shutdown" | "graceful_shutdown")
                    && matches!(target(task), Some(Target::Tasks { .. }))
            }
        }
    };
    if task.state == TaskState::Done {
        return None;
    }
    let frame = task.chain.iter().rfind(is_shutdown)?;
    let same = |t: &Task| t.chain.iter().any(|f| f.function == frame.function && f.file == frame.file);
    scene.history.oldest(place).is_some_and(same).then_some(frame)
}

/// Whether a task will not end by itself.
fn stays(scene: &Scene<'_>, place: u32) -> bool {
    let task = scene.task(place);
    task.state == TaskState::Waiting
        && scene.is_still(place)
        && task.waits_for.as_ref().is_some_and(|w| {
            w.timeout_s.is_none_or(|left| left > scene.config.patience_s)
                && !matches!(w.target, Target::Timer { .. } | Target::Turn | Target::Tasks { .. })
        })
}

/// Whether the shutdown is given up soon, by a timeout around it.
fn ends_soon(scene: &Scene<'_>, place: u32) -> bool {
    let mut around = vec![place];
    let mut next = 0;
    while let Some(task) = around.get(next).map(|place| scene.task(*place)) {
        if scene.ends_soon(task.waits_for.as_ref().and_then(|w| w.timeout_s)) {
            return true;
        }
        let above = task.awaited_by.iter().filter_map(|above| scene.index.task(above.task));
        let new: Vec<u32> = above.filter(|place| !around.contains(place)).collect();
        around.extend(new);
        next += 1;
    }
    false
}

/// Whether a task, or one that waits for it, serves somebody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Service {
    None,
    /// A library has made it.
    OfLibrary,
    OfConnection,
}

fn serves(scene: &Scene<'_>, place: u32) -> Service {
    const MAX_STEPS: usize = 8;
    let mut found = Service::None;
    let mut at = place;
    for _ in 0..MAX_STEPS {
        let task = scene.task(at);
        if task.connection.is_some() {
            return Service::OfConnection;
        }
        if task.chain.first().is_some_and(|f| f.origin == Origin::Library) {
            found = Service::OfLibrary;
        }
        match scene.awaiters(task).next() {
            Some((next, _)) => at = next,
            None => break,
        }
    }
    found
}

/// The tasks that a server waits for: where one is all a library's, those of the program on its connection.
fn handlers(scene: &Scene<'_>, pending: impl Iterator<Item = u32>, not: &[u32]) -> Vec<u32> {
    let is_own = |task: &Task| task.chain.iter().any(|f| f.origin == Origin::Own);
    let connection = |task: &Task| match target(task) {
        Some(Target::File { file }) => Some((task.event_loop, file.fd)),
        _ => None,
    };
    let mut by_connection: FxHashMap<_, Vec<u32>> = FxHashMap::default();
    for (place, task) in scene.tasks() {
        if let Some(connection) = connection(task)
            && is_own(task)
            && !not.contains(&place)
            && stays(scene, place)
            && serves(scene, place) > Service::None
        {
            by_connection.entry(connection).or_default().push(place);
        }
    }
    let mut found: Vec<u32> = pending
        .flat_map(|place| {
            let task = scene.task(place);
            let others = connection(task).filter(|_| !is_own(task)).and_then(|it| by_connection.get(&it));
            others.cloned().unwrap_or_else(|| vec![place])
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn of_task(scene: &Scene<'_>, place: u32, frame: &Frame, findings: &mut Findings) {
    let task = scene.task(place);
    if ends_soon(scene, place) {
        return;
    }
    let waits_for_me = scene.behind(&[place]);
    let guilty: Vec<u32> = match target(task) {
        Some(Target::Tasks { pending, .. }) => {
            let pending = pending.iter().filter_map(|id| scene.index.task(*id)).filter(|t| stays(scene, *t));
            handlers(scene, pending, &waits_for_me)
        }
        // It polls, or waits for a future that the last of them completes: those that are left. Only what serves a
        // connection is waited for; other tasks may idle until they are cancelled.
        _ => {
            let is_left = |(other, it): &(u32, &Task)| {
                *other != place
                    && it.event_loop == task.event_loop
                    && it.chain.iter().any(|f| f.origin == Origin::Own)
                    && !waits_for_me.contains(other)
                    && stays(scene, *other)
            };
            let left = scene.tasks().filter(is_left).map(|(other, _)| (other, serves(scene, other)));
            let left: Vec<(u32, Service)> = left.filter(|(_, service)| *service > Service::None).collect();
            let best = left.iter().map(|(_, service)| *service).max();
            left.into_iter().filter(|(_, service)| Some(*service) == best).map(|(other, _)| other).collect()
        }
    };
    let guilty: Vec<u32> = guilty.into_iter().filter(|t| !findings.explains(*t)).collect();
    let threads: Vec<&Thread> = if frame.function.contains("shutdown_default_executor") {
        scene.now.threads.iter().filter(|t| t.job.is_some() && scene.history.thread_stands_still(t)).collect()
    } else {
        Vec::new()
    };
    if guilty.is_empty() && threads.is_empty() {
        return;
    }
    let waits = format!("{}() in {}", frame.function, words::task(task));
    let mut found = advised(describe(scene, &waits, "end", &guilty, &threads), !guilty.is_empty());
    found.evidence.push(caller(task, "waits for the others to end", Some(frame)));
    found.consequences = scene.consequences(&waits_for_me);
    if !matches!(target(task), Some(Target::Tasks { .. })) && threads.is_empty() {
        found = found.doubt(match target(task) {
            Some(Target::Timer { .. }) => "it polls: that it waits for these tasks is inferred, not read",
            _ => "that it waits for these tasks is inferred, not read",
        });
    }
    findings.add(found, guilty.into_iter().chain([place]).chain(waits_for_me));
}

/// The frame that closes a pool of a library, or waits for that.
fn closing_pool(task: &Task) -> Option<&Frame> {
    let closes = |f: &&Frame| {
        f.origin == Origin::Library
            && f.function.rsplit_once('.').is_some_and(|(class, name)| {
                class.contains("Pool") && matches!(name, "close" | "aclose" | "wait_closed")
            })
    };
    task.chain.iter().find(closes).filter(|_| task.state == TaskState::Waiting)
}

/// A pool that is being closed waits until all that was taken from it is given back.
fn of_pool(scene: &Scene<'_>, place: u32, frame: &Frame, findings: &mut Findings) {
    let task = scene.task(place);
    let helpers: Vec<u32> = match target(task) {
        Some(Target::Tasks { pending, .. }) => {
            pending.iter().filter_map(|id| scene.index.task(*id)).collect()
        }
        _ => vec![place],
    };
    // Whoever talks to a server to close a connection waits for that one.
    let waits_inside = |place: &u32| {
        scene.is_still(*place)
            && matches!(target(scene.task(*place)), Some(Target::Future { .. } | Target::Resource { .. }))
    };
    if !scene.is_still(place) || !helpers.iter().any(waits_inside) || ends_soon(scene, place) {
        return;
    }
    let library = package(frame);
    let waits_for_me = scene.behind(&[place]);
    // Those that are inside of something that the pool's library made.
    let has = |task: &Task| {
        let is_own = |at: u32| task.chain.get(at as usize).is_some_and(|f| f.origin == Origin::Own);
        let is_of = |name: &str| name.split('.').next() == Some(library);
        let held = task.holds.iter().filter(|hold| is_own(hold.frame));
        held.filter_map(|hold| scene.index.get_resource(hold.resource)).any(|it| is_of(&it.type_name))
            || task.contexts.iter().any(|context| is_own(context.frame) && is_of(&context.type_name))
    };
    let holders: Vec<u32> = scene
        .tasks()
        .filter(|(other, it)| *other != place && !waits_for_me.contains(other) && has(it))
        .map(|(other, _)| other)
        .collect();
    // Whoever has something and goes on may give it back.
    if holders.iter().any(|other| !stays(scene, *other)) {
        return;
    }
    let by = own_frame(&task.chain)
        .map_or_else(String::new, |by| format!(", called in {},", words::place(Some(by))));
    let waits = format!("{}() in {}{by}", frame.function, words::task(task));
    let mut found = if holders.is_empty() {
        let summary = format!(
            "{waits} {} for what was taken from the pool: nobody alive was found who would give it back",
            scene.waited(1)
        );
        finding(CHECK.slug, Severity::Error, summary)
            .doubt("what the pool waits for is inferred, and who took a connection without `async with` is not found")
            .advice("take connections with `async with`, so that they are given back on every way")
    } else {
        let mut found = describe(scene, &waits, "give back what is of the pool", &holders, &[])
            .doubt("that they have what the pool waits for is inferred from the library that it is of");
        // What comes from outside may still come.
        let is_from_outside = |other: &u32| {
            let target = target(scene.task(*other));
            matches!(target, Some(Target::File { .. } | Target::Job { .. } | Target::Process { .. }))
        };
        if holders.iter().any(is_from_outside) {
            found.severity = Severity::Warning;
        }
        found
            .advice("bound what is done with a connection, by `asyncio.timeout(…)`, or cancel it before the pool is closed")
            .advice("bound the closing: `asyncio.wait_for(pool.close(), …)`, then give the connections up (asyncpg: `terminate()`)")
    };
    found.evidence.push(caller(task, "waits for what was taken from the pool", own_frame(&task.chain)));
    found.consequences = scene.consequences(&waits_for_me);
    findings.add(found, holders.into_iter().chain(helpers).chain([place]).chain(waits_for_me));
}

/// Who waits for whom, until they have done what.
fn describe(scene: &Scene<'_>, waits: &str, until: &str, guilty: &[u32], threads: &[&Thread]) -> Finding {
    let where_ = match (guilty.first(), threads.first()) {
        (Some(first), _) => {
            let task = scene.task(*first);
            format!(
                "{} to {until}, which {} in {}",
                amount(guilty.len(), "task"),
                words::agreed(scene.wait(task.waits_for.as_ref()), guilty.len()),
                words::place(own_frame(&task.chain)),
            )
        }
        (None, Some(first)) => format!(
            "{} to {until}, which {} in {}",
            amount(threads.len(), "thread"),
            if threads.len() == 1 { "is" } else { "are" },
            words::place(own_frame(&first.stack)),
        ),
        (None, None) => "others to end".to_owned(),
    };
    let summary = format!("{waits} {} for {where_}", scene.waited(1));
    let mut lines: Vec<Evidence> = Vec::new();
    for &place in guilty {
        words::add_line(&mut lines, scene.waits_evidence(place), 6);
    }
    for thread in threads.iter().take(4) {
        let mut line = Evidence::new(Role::Works, "does not end").at(own_frame(&thread.stack));
        line.thread = Some(words::thread_ref(thread));
        lines.push(line);
    }
    finding(CHECK.slug, Severity::Error, summary).evidence(lines)
}

/// What to do about tasks, or threads, that do not end.
fn advised(found: Finding, are_tasks: bool) -> Finding {
    if !are_tasks {
        return found
            .advice("let the thread's function look now and then at a threading.Event that the shutdown sets")
            .advice("or run what may last for ever in a daemon thread of its own, not in an executor");
    }
    found
        .advice("end them when the shutdown begins: watch the server's shutdown signal in long-lived handlers, or cancel them")
        .advice("bound the shutdown: uvicorn `--timeout-graceful-shutdown`, aiohttp `shutdown_timeout`, hypercorn `graceful_timeout`")
}

/// `asyncio.run()` has cancelled everything and waits for what does not end.
fn of_runner(scene: &Scene<'_>, thread: &Thread, findings: &mut Findings) {
    let ends = |t: &Thread| {
        t.stack.iter().any(|f| f.function.ends_with("_cancel_all_tasks") && f.origin == Origin::Stdlib)
    };
    if thread.event_loop.is_none() || !scene.history.thread_always(thread.tid, |_, t| ends(t)) {
        return;
    }
    let is_left = |(place, task): &(u32, &Task)| {
        task.event_loop == thread.event_loop && !findings.explains(*place) && stays(scene, *place)
    };
    let guilty: Vec<u32> = scene.tasks().filter(is_left).map(|(place, _)| place).collect();
    if guilty.is_empty() {
        return;
    }
    let found = describe(scene, "asyncio.run() has cancelled all tasks and", "end", &guilty, &[]);
    let found = advised(found, true).doubt("they may still be cleaning up");
    let behind = scene.behind(&guilty);
    findings.add(found, guilty.into_iter().chain(behind));
}

/// The interpreter ends and waits for threads.
fn of_interpreter(scene: &Scene<'_>, thread: &Thread, findings: &mut Findings) {
    let ends = |t: &Thread| {
        t.stack.iter().any(|f| {
            f.origin == Origin::Stdlib
                && (&*f.function == "_python_exit" && f.file.ends_with("concurrent/futures/thread.py")
                    || &*f.function == "_shutdown" && f.file.ends_with("threading.py"))
        })
    };
    if !scene.history.thread_always(thread.tid, |_, t| ends(t)) {
        return;
    }
    let left: Vec<&Thread> = scene
        .now
        .threads
        .iter()
        .filter(|t| t.tid != thread.tid && t.stack.iter().any(|f| f.origin == Origin::Own))
        .filter(|t| scene.history.thread_stands_still(t))
        .collect();
    if left.is_empty() {
        return;
    }
    let mut found = advised(describe(scene, "the interpreter is ending and", "end", &[], &left), false);
    found.evidence.push(Evidence {
        thread: Some(words::thread_ref(thread)),
        ..Evidence::new(Role::Caller, "waits for the others to end").at(thread.stack.last())
    });
    findings.add(found.doubt("a daemon thread is not waited for, and looks the same"), []);
}
