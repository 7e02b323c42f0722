//! All threads of an executor are busy with jobs that do not end, and others queue behind them.

use super::motion::{self, Motion};
use super::words::{self, amount};
use super::{Check, Findings, Scene, finding};
use crate::diff::own_frame;
use crate::finding::{Evidence, Role, Severity, TaskRef};
use crate::frame::{Frame, Origin};
use crate::snapshot::{Resource, ResourceKind, Target, Thread};
use rustc_hash::FxHashMap;

pub(super) const CHECK: Check = Check {
    slug: "executor-starved",
    about: "all threads of an executor are busy, and other jobs queue behind them",
    run,
};

fn run(scene: &Scene<'_>, findings: &mut Findings) {
    if !scene.time_passed() {
        return;
    }
    for executor in scene.now.resources.iter().filter(|r| r.kind == ResourceKind::Executor) {
        starved(scene, executor, findings);
    }
}

/// Whether all of it is one batch, which somebody waits for: the same function at work and in line, for one task, and none
/// of the threads waits for another.
fn is_batch(scene: &Scene<'_>, queued: &[u32], workers: &[&Thread]) -> bool {
    let busy: Option<Vec<u32>> =
        workers.iter().map(|w| w.job.as_ref()?.task).map(|id| scene.index.task(id?)).collect();
    let Some(busy) = busy else { return false };
    let waits =
        |w: &&Thread| w.waits_for.is_some() || w.syscall.as_ref().is_some_and(|call| &*call.name == "futex");
    let kind = |place: u32| {
        let task = scene.task(place);
        let function = own_frame(&task.chain).map(|f| (&f.function, &f.file, f.line));
        let mut awaiters = scene.awaiters(task);
        match (awaiters.next(), awaiters.next()) {
            (Some((awaiter, _)), None) => Some((function, awaiter)),
            _ => None,
        }
    };
    let first = kind(queued[0]);
    first.is_some()
        && queued.iter().chain(&busy).all(|place| kind(*place) == first)
        && !workers.iter().any(waits)
}

fn starved(scene: &Scene<'_>, executor: &Resource, findings: &mut Findings) {
    let workers: Vec<&Thread> = scene
        .now
        .threads
        .iter()
        .filter(|t| t.job.as_ref().is_some_and(|job| job.executor == Some(executor.id)))
        .collect();
    let most = executor.state.capacity.or(executor.state.size).unwrap_or(0);
    let same_job = |t: &&Thread| {
        let job = t.job.as_ref().map(|job| job.future);
        scene.history.thread_always(t.tid, |_, then| then.job.as_ref().map(|job| job.future) == job)
    };
    if workers.is_empty() || (workers.len() as i64) < most || !workers.iter().all(same_job) {
        return;
    }
    let queued: Vec<u32> = scene
        .tasks()
        .filter(|(place, task)| {
            let is_queued = task.waits_for.as_ref().is_some_and(|w| {
                matches!(w.target, Target::Job { thread: None, executor: Some(id), .. } if id == executor.id)
            });
            is_queued && scene.is_still(*place) && !findings.explains(*place)
        })
        .map(|(place, _)| place)
        .collect();
    let jobs = executor.state.unfinished.filter(|n| *n > 0).map_or(queued.len(), |n| n as usize);
    if queued.is_empty() {
        return;
    }
    // A batch takes its time. But where all of its threads wait for somebody who says nothing, it is not at work.
    let is_batch = is_batch(scene, &queued, &workers);
    if is_batch {
        let motions: Vec<Motion> =
            workers.iter().map(|worker| motion::of_thread(scene, worker.tid)).collect();
        let are_silent = motions.iter().all(|motion| matches!(motion, Motion::Silent(_)));
        match motion::least_silence(&motions).filter(|_| are_silent) {
            Some(silent_s) if silent_s >= scene.config.silence_s() => {}
            Some(silent_s) => {
                scene.leave_open(silent_s);
                return;
            }
            None => return,
        }
    }
    let mut lines: Vec<(String, &Thread, u32)> = Vec::new();
    for worker in &workers {
        let place = words::place(at(scene, worker));
        match lines.iter_mut().find(|(known, ..)| *known == place) {
            Some((.., count)) => *count += 1,
            None => lines.push((place, worker, 1)),
        }
    }
    lines.sort_by_key(|(.., count)| std::cmp::Reverse(*count));
    let is_default = scene.now.loops.iter().any(|l| l.executor == Some(executor.id));
    // Libraries have threads of their own, each with a queue.
    let is_executor = executor.type_name.ends_with("Executor");
    let what = if is_default { "the loop's default executor" } else { "its executor" };
    // The job that is not like those that fill the threads is the one that suffers.
    let busy_tasks: Vec<&str> = workers
        .iter()
        .filter_map(|w| scene.index.get_task(w.job.as_ref()?.task?))
        .filter_map(|t| Some(&*own_frame(&t.chain)?.function))
        .collect();
    let speaks = |task: u32| scene.task(scene.spokesman(task));
    let is_other =
        |task: &&u32| own_frame(&speaks(**task).chain).is_some_and(|f| !busy_tasks.contains(&&*f.function));
    let queued_task = *queued.iter().find(is_other).unwrap_or(&queued[0]);
    let victim = scene.spokesman(queued_task);
    let busy = match workers[..] {
        [only] if !is_executor => format!("that thread {} has not begun: it has", only.name),
        [_] => format!("that is queued in {what}: its only thread has"),
        _ => format!("that is queued in {what}: all {} have", amount(workers.len(), "thread")),
    };
    let summary = format!(
        "{} waits in {} for a job {busy} been busy{} in {}, with {} behind {}",
        words::task(scene.task(victim)),
        words::place(own_frame(&scene.task(victim).chain)),
        scene.for_interval(),
        lines[0].0,
        amount(jobs, "job"),
        if workers.len() == 1 { "it" } else { "them" },
    );
    let mut pool = Evidence::new(
        Role::Resource,
        format!("{} of {most} threads busy, {} queued", workers.len(), amount(jobs, "job")),
    );
    pool.resource = Some(words::resource_ref(executor, None));
    let mut found =
        finding(CHECK.slug, Severity::Error, summary).evidence([scene.waits_evidence(victim), pool]);
    for (_, worker, count) in lines.iter().take(6) {
        let silence = worker.syscall.as_ref().and_then(|call| call.file.as_ref()).and_then(|file| {
            let silence = scene.silence(file);
            (!silence.is_empty()).then(|| format!(": it waits for {}{silence}", words::file(file)))
        });
        let text = format!("keeps a thread of the executor busy{}", silence.unwrap_or_default());
        let mut line = Evidence::new(Role::Works, text).at(at(scene, worker));
        line.thread = Some(words::thread_ref(worker));
        line.task = worker.job.as_ref().and_then(|j| scene.index.get_task(j.task?)).map(TaskRef::of);
        line.count = (*count > 1).then_some(*count);
        found.evidence.push(line);
    }
    let mut standing: Vec<u32> =
        queued.iter().copied().filter(|task| *task != victim && *task != queued_task).collect();
    standing.extend(scene.behind(&queued).into_iter().filter(|task| *task != victim));
    found.consequences = scene.consequences(&standing);
    // Those whose jobs keep the threads busy wait for themselves.
    let busy: FxHashMap<_, _> = workers.iter().filter_map(|w| Some((w.job.as_ref()?.task?, ()))).collect();
    let busy = busy.keys().filter_map(|id| scene.index.task(*id));
    let found = if is_batch {
        found
            .doubt("all of it is one batch, whose answers may still come")
            .advice("look at the other end, which does not answer")
            .advice("bound each job by a timeout of its own: a thread cannot be cancelled")
    } else if is_executor {
        found
            .advice("give slow jobs an executor of their own: `loop.run_in_executor(slow_jobs, …)`")
            .advice("or raise `max_workers`; getaddrinfo() and to_thread() share the default executor")
    } else {
        found
            .advice("give what is slow a connection of its own: this one does one thing after the other")
            .advice("or bound what is slow: a timeout, a smaller query")
    };
    findings.add(found, queued.into_iter().chain(standing).chain([victim]).chain(busy));
}

/// Where a thread is in the program's own code; where it is in none, the line of the task that it works for.
fn at<'a>(scene: &Scene<'a>, worker: &'a Thread) -> Option<&'a Frame> {
    let is_own = |frame: &&Frame| frame.origin == Origin::Own;
    let of_task = || {
        let task = scene.index.get_task(worker.job.as_ref()?.task?)?;
        let speaker = scene.task(scene.spokesman(scene.index.task(task.id)?));
        own_frame(&speaker.chain)
    };
    worker.stack.iter().rfind(is_own).or_else(of_task).or_else(|| own_frame(&worker.stack))
}
