//! Whether a wait is getting on: what stands at the same line for two seconds may be a slow download, a long computation or a
//! pause that ends, and none of these is stuck.
//!
//! What is asked: the bytes that have gone over a connection and when the last of them did, CPU time of threads and child
//! processes, timers and timeouts.

use super::Scene;
use crate::frame::Origin;
use crate::snapshot::{
    Child, FileKind, Holder, Id, OpenFile, ResourceKind, Target, Task, TaskState, Thread, ThreadState, Verb,
    WaitsFor,
};
use rustc_hash::FxHashMap;

/// How a wait gets on, the liveliest first.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) enum Motion {
    /// It ends by itself, and soon.
    Ends,
    /// Something has moved between the looks.
    Moves,
    /// It waits for an answer, and nothing has gone over its connection for so many seconds.
    Silent(f64),
    /// This is not known of it.
    Unknown(&'static str),
    /// Nothing moves.
    Still,
}

impl Motion {
    /// Why it is not certain that this stands still for good, if it is not.
    pub(super) fn doubt(self, scene: &Scene<'_>) -> Option<String> {
        match self {
            Self::Silent(s) if s < scene.config.patience_s => {
                let silence = super::words::seconds(s);
                Some(format!(
                    "the answer may still come: the last of what went over its connection did so {silence} ago"
                ))
            }
            Self::Unknown(what) => Some(what.to_owned()),
            _ => None,
        }
    }

    /// Whether it gets on, or was begun so short a time ago that it may.
    ///
    /// That a slow answer takes some seconds is what a limit is for, unless `clients` wait behind it meanwhile.
    pub(super) fn is_lively(self, scene: &Scene<'_>, clients: bool) -> bool {
        match self {
            Self::Ends | Self::Moves => true,
            Self::Silent(s) => !clients && s < scene.config.silence_s(),
            _ => false,
        }
    }
}

/// For how long the one was silent that was so for the shortest time, where silence is all that may be life.
pub(super) fn least_silence(motions: &[Motion]) -> Option<f64> {
    let silences = motions.iter().map(|motion| match motion {
        Motion::Ends | Motion::Moves => None,
        Motion::Silent(s) => Some(*s),
        Motion::Unknown(_) | Motion::Still => Some(f64::INFINITY),
    });
    let least = silences.reduce(|a, b| Some(a?.min(b?))).flatten();
    least.filter(|least| least.is_finite())
}

/// What a holder waits for in the end, through further tasks and locks.
pub(super) struct Root {
    pub words: String,
    pub task: Option<u32>,
    pub motion: Motion,
}

/// How far waits are followed, and how many tasks of one wait.
const DEPTH: usize = 32;
const WIDTH: usize = 8;

/// The connections that tasks serve, by their ends.
pub(super) type Ends<'a> = FxHashMap<(&'a str, &'a str), u32>;

pub(super) fn ends(tasks: &[Task]) -> Ends<'_> {
    let served = (0..).zip(tasks).filter_map(|(place, task)| {
        let file = task.connection.as_ref()?.file.as_ref()?;
        Some(((file.local.as_deref()?, file.peer.as_deref()?), place))
    });
    served.collect()
}

pub(super) fn root(scene: &Scene<'_>, holder: &Holder) -> Root {
    let Some(place) = holder.task.and_then(|id| scene.index.task(id)) else {
        let motion = holder.thread.map_or(Motion::Still, |tid| of_thread(scene, tid));
        return Root { words: String::new(), task: None, motion };
    };
    of_task(scene, place, DEPTH)
}

fn of_task(scene: &Scene<'_>, place: u32, depth: usize) -> Root {
    let task = scene.task(place);
    let here = |motion| Root { words: scene.doing(task), task: Some(place), motion };
    if task.state != TaskState::Waiting {
        return here(Motion::Still);
    }
    let Some(waits) = &task.waits_for else { return here(Motion::Still) };
    if ends_soon(scene, waits) {
        return here(Motion::Ends);
    }
    let next: Vec<u32> = match &waits.target {
        Target::Tasks { pending, .. } => places(scene, pending.iter().take(WIDTH).copied()),
        Target::Resource { id } => {
            let holder = scene.index.get_resource(*id).and_then(|r| r.holders.first());
            places(scene, holder.and_then(|h| h.task))
        }
        // The program talks to itself: what matters is what the other end is at.
        Target::File { file } if waits.verb != Verb::Write => {
            let other = file.local.as_deref().zip(file.peer.as_deref()).map(|(local, peer)| (peer, local));
            let served = other.and_then(|ends| scene.served.get(&ends)).copied();
            return match served.filter(|served| depth > 0 && !waits_at_socket(scene.task(*served))) {
                Some(served) => here(of_task(scene, served, depth - 1).motion),
                None => here(of_wait(scene, place, task, waits)),
            };
        }
        _ => Vec::new(),
    };
    let mut roots = next.into_iter().filter(|_| depth > 0).map(|next| of_task(scene, next, depth.min(6) - 1));
    let Some(mut root) = roots.next() else { return here(of_wait(scene, place, task, waits)) };
    for other in roots {
        if other.motion < root.motion {
            root.motion = other.motion;
        }
    }
    root
}

fn places(scene: &Scene<'_>, tasks: impl IntoIterator<Item = Id>) -> Vec<u32> {
    tasks.into_iter().filter_map(|id| scene.index.task(id)).collect()
}

fn waits_at_socket(task: &Task) -> bool {
    task.waits_for.as_ref().is_none_or(|waits| matches!(waits.target, Target::File { .. }))
}

fn ends_soon(scene: &Scene<'_>, waits: &WaitsFor) -> bool {
    match waits.target {
        // A limit to the rate of something is a pause inside of a lock. One that is over, or whose timer is not among
        // those that are to come, ends when its loop comes to it.
        Target::Timer { left_s } => left_s.is_none_or(|left| left <= scene.config.patience_s),
        _ => scene.ends_soon(waits.timeout_s),
    }
}

/// How the wait of a task gets on that leads to no other task.
pub(super) fn of_wait(scene: &Scene<'_>, place: u32, task: &Task, waits: &WaitsFor) -> Motion {
    let before = scene.history.oldest(place).and_then(|then| then.waits_for.as_ref()).map(|w| &w.target);
    match &waits.target {
        Target::File { file } => {
            let before = match before {
                Some(Target::File { file }) => Some(file),
                _ => None,
            };
            match &file.child {
                Some(end) => {
                    of_child(&end.child, before.and_then(|file| file.child.as_ref()).map(|end| &end.child))
                }
                None => of_file(file, before, waits.verb),
            }
        }
        Target::Job { thread: Some(tid), .. } => of_thread(scene, *tid),
        Target::Job { function: None, thread: None, executor: None, .. } => {
            Motion::Unknown("who is to complete the future that it waits for was not read")
        }
        Target::Process { child: Some(child), .. } => {
            let before = match before {
                Some(Target::Process { child: Some(child), .. }) => Some(&**child),
                _ => None,
            };
            of_child(child, before)
        }
        Target::Process { child: None, .. } => Motion::Unknown("what the child process is at was not read"),
        Target::Future { reach: None, .. } | Target::Unknown { .. } if is_of_library(task) => OF_LIBRARY,
        Target::Resource { id } => {
            let is_event = scene.index.get_resource(*id).is_some_and(|r| r.kind == ResourceKind::Event);
            if is_event && is_of_library(task) { OF_LIBRARY } else { Motion::Still }
        }
        _ => Motion::Still,
    }
}

const OF_LIBRARY: Motion = Motion::Unknown("what the library is at that it waits for was not read");

/// Whether it is a library that waits, in whatever way it has for that.
fn is_of_library(task: &Task) -> bool {
    task.chain.iter().rfind(|f| f.origin != Origin::Stdlib).is_some_and(|f| f.origin == Origin::Library)
}

fn of_file(file: &OpenFile, before: Option<&OpenFile>, verb: Verb) -> Motion {
    let Some(now) = file.traffic.as_deref() else {
        return match file.kind {
            FileKind::Event | FileKind::File => Motion::Still,
            _ => Motion::Unknown("what goes over its connection could not be read"),
        };
    };
    if let Some(then) = before.and_then(|file| file.traffic.as_deref())
        && (then.received, then.sent) != (now.received, now.sent)
    {
        return Motion::Moves;
    }
    match verb {
        Verb::Write => Motion::Still,
        _ => Motion::Silent(silence_s(file).unwrap_or(0.0)),
    }
}

/// For how many seconds nothing has gone over a connection.
pub(super) fn silence_s(file: &OpenFile) -> Option<f64> {
    let now = file.traffic.as_deref()?;
    // What is not acknowledged is sent again and again.
    let ms = if now.unsent > 0 { now.received_ms } else { now.received_ms.min(now.sent_ms) };
    Some(ms as f64 / 1e3)
}

/// How a thread gets on: by its CPU time, and by what it is blocked in.
pub(super) fn of_thread(scene: &Scene<'_>, tid: u32) -> Motion {
    const UNREAD: Motion = Motion::Unknown("what its thread waits for was not read");
    let Some(now) = scene.index.get_thread(tid) else { return UNREAD };
    let then = scene.history.looks().first().and_then(|s| s.threads.iter().find(|t| t.tid == tid));
    if works(scene, now, then) {
        return Motion::Moves;
    }
    if now.waits_for.is_some() {
        return Motion::Still;
    }
    let Some(call) = &now.syscall else { return UNREAD };
    match (&*call.name, &call.file) {
        // Before 3.11 that is how `time.sleep` sleeps.
        ("clock_nanosleep" | "nanosleep" | "select" | "pselect6", None) => Motion::Ends,
        (name, Some(file)) => {
            let before = then.and_then(|t| t.syscall.as_ref()?.file.as_ref());
            let before = before.filter(|then| (then.fd, &then.peer) == (file.fd, &file.peer));
            let verb = if is_writing(name) { Verb::Write } else { Verb::Read };
            of_file(file, before, verb)
        }
        _ => UNREAD,
    }
}

pub(super) fn is_writing(syscall: &str) -> bool {
    syscall.starts_with("send") || syscall.starts_with("write") || syscall.starts_with("pwrite")
}

/// Whether a thread runs, would if it had the GIL, or has used a hundredth of a CPU since.
fn works(scene: &Scene<'_>, now: &Thread, then: Option<&Thread>) -> bool {
    let used_us =
        now.cpu_us.zip(then.and_then(|t| t.cpu_us)).map_or(0, |(now, then)| now.saturating_sub(then));
    now.state == ThreadState::Running
        || now.waits_for_gil
        || used_us > 0 && used_us as f64 >= 1e4 * scene.history.interval_s
}

fn of_child(now: &Child, then: Option<&Child>) -> Motion {
    let used = then.and_then(|then| Some((now.cpu_us?, then.cpu_us?))).is_some_and(|(now, then)| now > then);
    match now.state {
        ThreadState::Running | ThreadState::Disk => Motion::Moves,
        _ if used => Motion::Moves,
        ThreadState::Dead => Motion::Still,
        _ => Motion::Unknown("the child process may be at something that it waits for itself"),
    }
}
