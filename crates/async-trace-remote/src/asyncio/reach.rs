//! Who can get at a future or event that a task awaits: whether anybody is left who could complete it.
//!
//! From the frames of the tasks that wait, references are followed and counted. Where as many were found as
//! the object itself counts, and as each object counts that leads to it, these tasks are all that can reach
//! it: nothing that runs does, be it Python or C, for a reference that is not counted does not keep an object.
//! This is the trial deletion of CPython's collector (`subtract_refs`, Python/gc.c), for a few objects only.
//! A task is no way to what it awaits: who has it can cancel it, but not complete that.

use super::failed::{self, Failed};
use super::walk::{On, Session, Task, Wait, Walked};
use super::{task, wait};
use crate::cpython::generator::{self, State};
use crate::cpython::object::{Kind, Read, Reader, Type};
use crate::cpython::references;
use crate::memory::addr::Addr;
use async_trace_core::frame::Origin;
use async_trace_core::snapshot::{Failure, ResourceKind, TaskState, Verb};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::rc::Rc;

/// How many objects are followed for one snapshot. Where they are not enough, nothing is said.
const MAX_OBJECTS: usize = 50_000;
/// And how many first, from the main function: most of what lasts is its.
const MAX_OF_MAIN: usize = 2000;
/// Of how many objects the references to one are told, at most.
const MAX_LEADING: usize = 4096;
/// How many timers are looked through for those that would cancel a task, and how deep.
const MAX_TIMERS: usize = 1 << 14;
const MAX_DEPTH: u32 = 4;
/// Longer than any real chain.
const MAX_CHAIN: usize = 1 << 14;

/// The futures and events that only waiting tasks can reach.
pub(crate) type Reached = FxHashMap<Addr, Leading>;

/// All that leads to an object.
#[derive(Default)]
pub(crate) struct Leading {
    /// The tasks whose frames do.
    pub users: Vec<Addr>,
    /// The exceptions whose tracebacks do.
    pub failed: Vec<Failure>,
}

/// Looks for them, or only among those that are `known`. The target may run on: whoever wants to be sure looks
/// twice.
pub(crate) fn read(
    session: &Session<'_>,
    known: Option<&[Addr]>,
    failed: &[Failed],
    walked: &Walked,
) -> Reached {
    let known: Option<FxHashSet<Addr>> = known.map(|known| known.iter().copied().collect());
    if known.as_ref().is_some_and(FxHashSet::is_empty) {
        return Reached::default();
    }
    let mut asked = asked(walked);
    asked.retain(|object, _| known.as_ref().is_none_or(|known| known.contains(object)));
    if asked.is_empty() {
        return Reached::default();
    }
    // What the program's own main function has, it may have for as long as the program is to stand. Only where it waits
    // itself for those who wait, and something that it leads to has failed, that is not the end of it.
    let main: Vec<&Task> = walked.tasks.iter().filter(|task| is_main(session.reader, task.addr)).collect();
    let mut of_main = References::new(session, walked, failed, main.iter().copied());
    of_main.follow(MAX_OF_MAIN);
    for (object, asked) in &mut asked {
        asked.is_of_main = of_main.to.contains_key(object);
    }
    let is_failure = |object: &Addr| session.reader.kind_of(*object) == Ok(Kind::Exception);
    if asked.values().any(|asked| asked.is_of_main) && of_main.seen.iter().any(is_failure) {
        let behind = awaited_by(walked, &main);
        asked.retain(|_, asked| !asked.is_of_main || asked.waiting.iter().any(|task| behind.contains(task)));
    } else {
        asked.retain(|_, asked| !asked.is_of_main);
    }
    if asked.is_empty() {
        return Reached::default();
    }
    let waiting = walked.tasks.iter().filter(|task| !is_from_outside(task)).take(MAX_OBJECTS);
    let mut references = References::new(session, walked, failed, waiting);
    references.follow(MAX_OBJECTS);
    let mut found = Reached::default();
    for (object, asked) in &asked {
        let Ok(Some(mut leading)) = references.all_that_lead_to(*object) else { continue };
        if references.is_meant_to_last(*object, asked) || asked.is_of_main && leading.failed.is_empty() {
            continue;
        }
        // It waits for those who wait: it is no way out.
        leading.users.retain(|user| !asked.is_of_main || main.iter().all(|main| main.addr != *user));
        found.insert(*object, leading);
    }
    if !found.is_empty() {
        let limited = limited(session, walked);
        found.retain(|object, _| asked[object].waiting.iter().all(|task| !limited.contains(task)));
    }
    found
}

/// The objects that the frames of some tasks refer to, and how often.
pub(super) fn held_by<'a>(
    session: &'a Session<'a>,
    walked: &'a Walked,
    tasks: impl IntoIterator<Item = &'a Task>,
) -> FxHashMap<Addr, usize> {
    let references = References::new(session, walked, &[], tasks);
    references.to.into_iter().map(|(object, from)| (object, from.len())).collect()
}

/// Something that somebody has to complete.
#[derive(Default)]
struct Asked {
    /// The tasks that wait for it.
    waiting: Vec<Addr>,
    /// It is for one task to tell others: an event, a condition, a barrier.
    is_signal: bool,
    /// The main function leads to it. Many programs have an event there that is to stop them, and is set by nobody: what
    /// tells these from others is that somebody who had it has failed.
    is_of_main: bool,
}

/// The tasks that all of these cannot go on without, mediately or not.
pub(super) fn awaited_by(walked: &Walked, tasks: &[&Task]) -> FxHashSet<Addr> {
    let mut awaited: Vec<FxHashSet<Addr>> = Vec::new();
    for task in tasks {
        let mut found = FxHashSet::default();
        let mut todo = vec![*task];
        while let Some(task) = todo.pop() {
            let Some(Wait { on: On::Tasks { pending, any, .. }, .. }) = &task.wait else { continue };
            if *any != Some(true) || pending.len() == 1 {
                let new = pending.iter().copied().filter(|addr| found.insert(*addr));
                todo.extend(new.filter_map(|addr| walked.task(addr)));
            }
        }
        awaited.push(found);
    }
    let all = awaited.into_iter().reduce(|a, b| a.intersection(&b).copied().collect());
    all.unwrap_or_default()
}

/// What tasks wait for that somebody has to complete.
fn asked(walked: &Walked) -> FxHashMap<Addr, Asked> {
    let mut asked: FxHashMap<Addr, Asked> = FxHashMap::default();
    let kinds: FxHashMap<Addr, ResourceKind> =
        walked.resources.list.iter().map(|resource| (resource.addr, resource.kind)).collect();
    for task in walked.tasks.iter().filter(|task| task.state == TaskState::Waiting) {
        let Some(wait) = &task.wait else { continue };
        let (object, is_signal) = match wait.on {
            _ if wait.verb == Verb::Acquire => continue,
            On::Future(future) => (future, false),
            On::Resource(resource) => match kinds.get(&resource) {
                Some(kind) if kind.is_signal() => (resource, true),
                // An object of a library or of the program: what it has to bring is this future.
                Some(ResourceKind::Pool | ResourceKind::Manager) => (task.waiter, false),
                _ => continue,
            },
            _ => continue,
        };
        let entry = asked.entry(object).or_default();
        entry.waiting.push(task.addr);
        entry.is_signal = is_signal;
    }
    asked
}

/// Whether somebody outside of asyncio, a socket, a clock or a child, is to end a wait.
fn is_from_outside(task: &Task) -> bool {
    let inner = |on: &On| {
        matches!(on, On::Tasks { .. } | On::Resource(_) | On::Future(_) | On::Job(_) | On::AsCompleted(_))
    };
    task.state != TaskState::Waiting || !task.wait.as_ref().is_some_and(|wait| inner(&wait.on))
}

/// From where a reference comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// A task: a frame of its own code calls the object by a name, or a callback of its own has it.
    Task(Addr),
    /// A task, by nothing but that it waits for it: from the value stack, or from a frame of a library.
    Wait(Addr),
    Object(Addr),
}

struct References<'a> {
    session: &'a Session<'a>,
    walked: &'a Walked,
    failed: &'a [Failed],
    to: FxHashMap<Addr, Vec<From>>,
    /// Coroutines and whatever else makes up a task's await chain: they are the task.
    chains: FxHashSet<Addr>,
    loops: FxHashSet<Addr>,
    queue: VecDeque<Addr>,
    seen: FxHashSet<Addr>,
}

impl<'a> References<'a> {
    /// Those from some tasks.
    fn new(
        session: &'a Session<'a>,
        walked: &'a Walked,
        failed: &'a [Failed],
        tasks: impl IntoIterator<Item = &'a Task>,
    ) -> Self {
        let mut new = Self {
            session,
            walked,
            failed,
            to: FxHashMap::default(),
            chains: FxHashSet::default(),
            loops: walked.loops.iter().map(|event_loop| event_loop.addr).collect(),
            queue: VecDeque::new(),
            seen: FxHashSet::default(),
        };
        let mut found = Vec::new();
        for task in tasks {
            // What cannot be read is missing in the count.
            let _ = new.chain(task, &mut found);
        }
        for (object, from) in found {
            new.note(object, from);
        }
        new
    }

    /// What a task refers to.
    fn chain(&mut self, task: &Task, found: &mut Vec<(Addr, From)>) -> Read<()> {
        let reader = self.session.reader;
        found.push((task.waiter, From::Wait(task.addr)));
        if reader.kind_of(task.addr)? == Kind::Task {
            let l = &reader.layout.future;
            for offset in [l.callback0, l.callbacks] {
                found.push((reader.ptr(task.addr + offset)?, From::Task(task.addr)));
            }
        }
        let mut at = task::coroutine(reader, task.addr)?;
        for _ in 0..MAX_CHAIN {
            match reader.kind_of(at)? {
                Kind::Coroutine | Kind::Generator | Kind::AsyncGenerator => {
                    self.chains.insert(at);
                    let (state, frame) = generator::state(reader, at)?;
                    let Some(frame) = frame else { return Ok(()) };
                    // Up to 3.10 a frame is an object of its own.
                    self.chains.insert(frame.addr);
                    let is_own = self.session.places.origin_of(&frame.code.file) == Origin::Own;
                    for (object, is_variable) in references::slots(reader, &frame)? {
                        let is_named = is_own && is_variable;
                        let from = if is_named { From::Task } else { From::Wait };
                        found.push((object, from(task.addr)));
                    }
                    if state != State::Awaiting {
                        return Ok(());
                    }
                    at = generator::awaited(reader, &frame)?;
                }
                Kind::CoroutineWrapper | Kind::AsyncGenASend | Kind::AsyncGenAThrow | Kind::Anext => {
                    self.chains.insert(at);
                    at = reader.ptr(at + 16)?;
                }
                Kind::FutureIter => {
                    self.chains.insert(at);
                    found.push((reader.ptr(at + 16)?, From::Wait(task.addr)));
                    return Ok(());
                }
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    fn note(&mut self, object: Addr, from: From) {
        let ends = object.is_null()
            || self.chains.contains(&object)
            || self.loops.contains(&object)
            || self.walked.index.contains_key(&object);
        if ends || is_end(self.session.reader, object) {
            return;
        }
        self.to.entry(object).or_default().push(from);
        if self.seen.insert(object) {
            self.queue.push_back(object);
        }
    }

    /// Follows them, the nearest objects first.
    fn follow(&mut self, objects: usize) {
        for _ in 0..objects {
            let Some(object) = self.queue.pop_front() else { return };
            for referred in references::of(self.session.reader, object).unwrap_or_default() {
                self.note(referred, From::Object(object));
            }
        }
    }

    /// What leads to an object, where that is all known.
    fn all_that_lead_to(&self, object: Addr) -> Read<Option<Leading>> {
        let Leading { mut users, mut failed } = Leading::default();
        let mut leading = vec![object];
        let mut known: FxHashSet<Addr> = leading.iter().copied().collect();
        while let Some(object) = leading.pop() {
            let from = self.to.get(&object).map_or(&[][..], Vec::as_slice);
            let count = references::count(self.session.reader, object)?;
            if count != Some(from.len() as u64) || known.len() > MAX_LEADING {
                return Ok(None);
            }
            match self.session.reader.kind_of(object)? {
                // asyncio has weak references to all tasks; to those that have ended, too.
                Kind::Task => {}
                Kind::Exception => failed.extend(self.failure(object)),
                // Who has a weak reference, which is not counted, can reach it as long as it lives.
                _ if self.session.reader.has_weak_references(object)? => return Ok(None),
                _ => {}
            }
            for from in from {
                match from {
                    From::Task(task) | From::Wait(task) => users.push(*task),
                    From::Object(object) if known.insert(*object) => leading.push(*object),
                    From::Object(_) => {}
                }
            }
        }
        users.sort_unstable();
        users.dedup();
        failed.sort_by(|a: &Failure, b| (&a.at.file, a.at.line).cmp(&(&b.at.file, b.at.line)));
        failed.dedup();
        Ok(Some(Leading { users, failed }))
    }

    /// Where an exception was raised, and the task that it has ended, where that is known.
    fn failure(&self, exception: Addr) -> Option<Failure> {
        let of_task = self.failed.iter().find(|failed| failed.exception == exception);
        match of_task {
            Some(of_task) => Some(of_task.failure.clone()),
            None => failed::failure(self.session, exception).ok().flatten(),
        }
    }

    /// Whether a task may well be meant to wait for ever: what it awaits is nowhere but in its own frames, or those of
    /// tasks that wait for it, as in `await asyncio.Event().wait()`.
    fn is_meant_to_last(&self, object: Addr, asked: &Asked) -> bool {
        let from = self.to.get(&object).map_or(&[][..], Vec::as_slice);
        from.iter().all(|from| match from {
            From::Wait(_) => true,
            From::Task(task) => !asked.is_signal || asked.waiting.contains(task),
            From::Object(_) => false,
        })
    }
}

/// Whether an object leads nowhere, or cannot be read.
fn is_end(reader: &Reader<'_>, object: Addr) -> bool {
    reader.kind_of(object).map_or(true, references::is_end)
}

/// Whether a task is the one that its loop runs for.
pub(super) fn is_main(reader: &Reader<'_>, task: Addr) -> bool {
    let ends_the_run = |callback: &Addr| {
        let name = match reader.kind_of(*callback) {
            Ok(Kind::Function) => reader.function_qualname(*callback),
            // uvloop's is compiled.
            _ => {
                let of = reader.type_of(*callback);
                return of.is_ok_and(|of| of.short_name().contains("cython_function"));
            }
        };
        name.is_ok_and(|name| &*name == "_run_until_complete_cb")
    };
    task::callbacks(reader, task).unwrap_or_default().iter().any(ends_the_run)
}

/// The tasks that a timer will cancel, and those that somebody awaits who will be cancelled so.
pub(super) fn limited(session: &Session<'_>, walked: &Walked) -> FxHashSet<Addr> {
    let mut limited: FxHashSet<Addr> = FxHashSet::default();
    for event_loop in &walked.loops {
        let _ = timers(session.reader, event_loop.addr, walked, &mut limited);
    }
    let mut awaits: Vec<(Addr, &[Addr])> = Vec::new();
    for task in &walked.tasks {
        if let Some(wait) = &task.wait {
            if wait.timeout.is_some() {
                limited.insert(task.addr);
            }
            if let On::Tasks { pending, .. } = &wait.on {
                awaits.push((task.addr, pending));
            }
        }
    }
    // Whom a limited task awaits is cancelled with it.
    let awaited: FxHashMap<Addr, &[Addr]> = awaits.into_iter().collect();
    let mut new: Vec<Addr> = limited.iter().copied().collect();
    while let Some(task) = new.pop() {
        for awaited in awaited.get(&task).copied().unwrap_or_default() {
            if limited.insert(*awaited) {
                new.push(*awaited);
            }
        }
    }
    limited
}

/// Whether a timer calls a method of a connection's protocol that cancels nothing itself: it looks after the connection.
fn only_keeps_alive(reader: &Reader<'_>, called: Addr) -> Read<bool> {
    if reader.kind_of(called)? != Kind::Method {
        return Ok(false);
    }
    let (function, owner) = reader.method(called)?;
    if !is_protocol(reader, owner) || reader.kind_of(function)? != Kind::Function {
        return Ok(false);
    }
    let code = reader.code(reader.ptr(function + reader.layout.function.code)?)?;
    Ok(!code.mentioned(reader)?.iter().any(|name| name.contains("cancel")))
}

/// Whether an object is what asyncio tells of a connection.
pub(super) fn is_protocol(reader: &Reader<'_>, object: Addr) -> bool {
    let is_base = |base: &Rc<Type>| &*reader.full_type_name(base) == "asyncio.protocols.BaseProtocol";
    reader.bases(object).is_ok_and(|bases| bases.iter().any(is_base))
}

/// The tasks that the callbacks of a loop's timers lead to.
fn timers(reader: &Reader<'_>, event_loop: Addr, walked: &Walked, found: &mut FxHashSet<Addr>) -> Read<()> {
    let mut seen = FxHashSet::default();
    for timer in super::event_loop::timers(reader, event_loop)?.into_iter().take(MAX_TIMERS) {
        let called = wait::timer_call(reader, timer)?;
        if called.into_iter().flatten().any(|called| only_keeps_alive(reader, called).unwrap_or(false)) {
            continue;
        }
        let mut level: Vec<Addr> = called.into_iter().flatten().collect();
        for _ in 0..MAX_DEPTH {
            for object in std::mem::take(&mut level) {
                if walked.index.contains_key(&object) {
                    found.insert(object);
                } else if object != event_loop
                    && seen.len() < MAX_OBJECTS
                    && !is_end(reader, object)
                    && seen.insert(object)
                {
                    level.extend(references::of(reader, object).unwrap_or_default());
                }
            }
        }
    }
    Ok(())
}
