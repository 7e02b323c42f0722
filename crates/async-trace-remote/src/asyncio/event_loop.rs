//! Event loops: whether they sleep or run, what is in their queues.

use super::io::MAX_FILES;
use super::verify;
use super::wait::{is_uvloop_timer, timer_call, timer_when};
use super::walk::{Check, EventLoop, Session, Walked};
use crate::cpython::object::{Kind, Read, Reader, Torn};
use crate::memory::addr::Addr;
use async_trace_core::snapshot::{Callback, LoopState, ProblemCode};
use async_trace_core::text::Text;
use rustc_hash::FxHashSet;

/// How many queued callbacks are described, and how many timers are looked through for the first.
const MAX_CALLBACKS: u64 = 32;
const MAX_TIMERS: usize = 4096;
/// Of so many words of uvloop's loop objects the queues are among the first.
const WORDS: u64 = 32;

/// Reads every loop that a thread runs or a task belongs to.
pub(crate) fn read_all(session: &Session<'_>, check: Check, walked: &mut Walked) {
    let mut seen = FxHashSet::default();
    let running = walked.threads.iter().filter_map(|thread| thread.running_loop);
    let all: Vec<Addr> = running.chain(walked.tasks.iter().map(|task| task.event_loop)).collect();
    for addr in all {
        if addr.is_null() || !seen.insert(addr) {
            continue;
        }
        match verify::queues(session, check, || read(session, addr, walked)) {
            (Ok(found), true) => walked.loops.push(found),
            // What the loop is and what its thread does is known; what is in its queues is not.
            (Ok(found), false) => {
                let torn = Torn("its queues changed each time they were read");
                walked.problems.note(ProblemCode::LoopUnreadable, torn, None);
                walked.loops.push(EventLoop {
                    ready: None,
                    ready_callbacks: Vec::new(),
                    timers: None,
                    next_timer: None,
                    turn_started: None,
                    ..found
                });
            }
            (Err(torn), _) => walked.problems.note(ProblemCode::LoopUnreadable, torn, None),
        }
    }
}

fn read(session: &Session<'_>, addr: Addr, walked: &Walked) -> Read<EventLoop> {
    let reader = session.reader;
    let of = reader.type_of(addr)?;
    reader.spend_looking(walked.threads.len())?;
    let runner = walked.threads.iter().find(|thread| thread.running_loop == Some(addr));
    let mut found = EventLoop {
        addr,
        kind: reader.full_type_name(&of),
        state: LoopState::Unknown,
        thread: runner.map(|thread| thread.state.tid),
        task: runner.and_then(|thread| thread.running_task),
        ready: None,
        ready_callbacks: Vec::new(),
        timers: None,
        next_timer: None,
        turn_started: None,
        watched_fds: None,
        debug: false,
        executor: None,
    };
    let closed = if is_uvloop(reader, addr)? {
        found.kind = "uvloop.Loop".into();
        uvloop(reader, addr, &mut found)?
    } else {
        selector(reader, addr, &mut found)?
    };
    found.state = match (runner, found.task) {
        (None, _) if closed => LoopState::Closed,
        (None, _) => LoopState::NotRunning,
        (Some(_), Some(_)) => LoopState::Busy,
        // Whether it sleeps is what its thread does: the stack tells, and for loops that are not
        // written in Python the system call does (see `capture`).
        (Some(thread), None) => match thread.stack.first() {
            Some(frame) if &*frame.code.name == "select" && frame.code.file.ends_with("selectors.py") => {
                LoopState::Idle
            }
            Some(_) if &*found.kind == "uvloop.Loop" => LoopState::Unknown,
            _ => LoopState::Busy,
        },
    };
    if let Some(thread) = runner
        && found.state == LoopState::Busy
        && let Some(turn) = thread
            .stack
            .iter()
            .find(|f| &*f.code.name == "_run_once" && f.code.file.ends_with("asyncio/base_events.py"))
    {
        // `end_time = self.time() + self._clock_resolution`, set when the selector has returned.
        found.turn_started = turn.local(reader, "end_time").ok().flatten().and_then(|t| reader.float(t).ok());
    }
    Ok(found)
}

/// Loops that derive from asyncio's `BaseEventLoop`. Returns whether it is closed.
fn selector(reader: &Reader<'_>, addr: Addr, found: &mut EventLoop) -> Read<bool> {
    let flag = |name| -> Read<bool> {
        match reader.attr(addr, name)? {
            Some(value) => reader.truth(value),
            None => Ok(false),
        }
    };
    if let Some(ready) = reader.attr(addr, "_ready")? {
        found.ready = Some(reader.size(ready)?);
        for handle in reader.deque(ready, MAX_CALLBACKS)? {
            found.ready_callbacks.extend(callback(reader, reader.attr(handle, "_callback")?)?);
        }
    }
    if let Some(scheduled) = reader.attr(addr, "_scheduled")? {
        let timers = reader.list(scheduled)?;
        // Cancelled timers stay in the heap until they would have fired; the loop counts them.
        let cancelled = match reader.attr(addr, "_timer_cancelled_count")? {
            Some(count) => u64::try_from(reader.int(count)?).unwrap_or(0),
            None => 0,
        };
        found.timers = Some((timers.len() as u64).saturating_sub(cancelled));
        found.next_timer = first_of_heap(reader, &timers)?;
    }
    if let Some(selector) = reader.not_none(reader.attr(addr, "_selector")?)?
        && let Some(watched) = reader.attr(selector, "_fd_to_key")?
    {
        // One of them is the loop's own socket for being woken up.
        found.watched_fds = Some(reader.dict_len(watched)?.saturating_sub(1));
    }
    found.debug = flag("_debug")?;
    found.executor = reader.not_none(reader.attr(addr, "_default_executor")?)?;
    flag("_closed")
}

fn is_uvloop(reader: &Reader<'_>, addr: Addr) -> Read<bool> {
    Ok(reader.bases(addr)?.iter().any(|base| &*base.name == "uvloop.loop.Loop"))
}

/// uvloop keeps its state in a structure of C; its fields stand in the order of `loop.pxd`, which it
/// ships. Queues are found by their types, since fields were added between versions.
fn uvloop(reader: &Reader<'_>, addr: Addr, found: &mut EventLoop) -> Read<bool> {
    let words = reader.pointers(addr + 16, WORDS)?;
    let kind = |word: Addr| if word.is_null() { None } else { reader.kind_of(word).ok() };
    if let Some(ready) = words.iter().copied().find(|word| kind(*word) == Some(Kind::Deque)) {
        found.ready = Some(reader.size(ready)?);
        for handle in reader.deque(ready, MAX_CALLBACKS)? {
            // cdef class Handle: cb_type +56 (1: a Python callback), its arg1 +72.
            if reader.is_object(handle) && reader.i32(handle + 56)? == 1 {
                found.ready_callbacks.extend(callback(reader, reader.ptr(handle + 72)?.non_null())?);
            } else {
                found
                    .ready_callbacks
                    .push(Callback { function: reader.intern("an internal callback"), task: None });
            }
        }
    }
    if let Some(timers) = timers_of(reader, &words)? {
        found.timers = Some(timers.len() as u64);
        found.next_timer = next_timer(reader, timers.into_iter())?;
    }
    // `_closed` +48, `_debug` +52.
    found.debug = reader.i32(addr + 52)? == 1;
    found.executor = reader.not_none(words.get(9).copied().filter(|word| reader.is_object(*word)))?;
    Ok(reader.i32(addr + 48)? == 1)
}

/// The timers of a loop of uvloop, from the words that it consists of. An empty set may be another one.
fn timers_of(reader: &Reader<'_>, words: &[Addr]) -> Read<Option<Vec<Addr>>> {
    let mut empty = None;
    for word in words.iter().copied().filter(|word| !word.is_null()) {
        if reader.kind_of(word) != Ok(Kind::Set) {
            continue;
        }
        let timers = reader.set(word)?;
        match timers.first() {
            Some(first) if is_uvloop_timer(reader, *first) == Ok(true) => return Ok(Some(timers)),
            Some(_) => {}
            None => empty = Some(timers),
        }
    }
    Ok(empty)
}

/// All timers of a loop.
pub(super) fn timers(reader: &Reader<'_>, addr: Addr) -> Read<Vec<Addr>> {
    if is_uvloop(reader, addr)? {
        return Ok(timers_of(reader, &reader.pointers(addr + 16, WORDS)?)?.unwrap_or_default());
    }
    match reader.attr(addr, "_scheduled")? {
        Some(scheduled) => reader.list(scheduled),
        None => Ok(Vec::new()),
    }
}

/// The handles of what a loop is going to call: at once, later, for a signal, or when a file is ready. Of uvloop's loops only
/// the timers are told, by what they call.
pub(super) fn called(reader: &Reader<'_>, addr: Addr) -> Read<Vec<Addr>> {
    let timers = timers(reader, addr)?;
    if is_uvloop(reader, addr)? {
        let calls = timers.into_iter().filter_map(|timer| timer_call(reader, timer).ok());
        return Ok(calls.flatten().flatten().collect());
    }
    let mut out = timers;
    out.extend(ready(reader, addr)?);
    if let Some(handlers) = reader.attr(addr, "_signal_handlers")? {
        out.extend(reader.dict(handlers)?.into_iter().map(|(_, handle)| handle));
    }
    watched(reader, addr, &mut |_, handle| {
        out.push(handle);
        Ok(())
    })?;
    Ok(out)
}

/// The handles of what a loop is going to call at once, the next one first. Those of uvloop's are not told.
pub(super) fn ready(reader: &Reader<'_>, addr: Addr) -> Read<Vec<Addr>> {
    match reader.attr(addr, "_ready")? {
        Some(ready) if !is_uvloop(reader, addr)? => reader.deque(ready, MAX_TIMERS as u64),
        _ => Ok(Vec::new()),
    }
}

/// What the callbacks have that a loop is going to call at once: their arguments, and what functions took from around them.
pub(super) fn at_hand(reader: &Reader<'_>, addr: Addr) -> Read<Vec<Addr>> {
    let mut out = Vec::new();
    for handle in ready(reader, addr)? {
        let [callback, arguments] = timer_call(reader, handle)?;
        if let Some(callback) = callback.filter(|it| reader.kind_of(*it) == Ok(Kind::Function)) {
            out.extend(super::closure::contents(reader, callback)?);
        }
        if let Some(arguments) = arguments {
            out.extend(reader.tuple(arguments)?);
        }
    }
    Ok(out)
}

/// The files that a loop's selector watches, with the handles of what it calls then.
pub(super) fn watched(
    reader: &Reader<'_>,
    addr: Addr,
    found: &mut dyn FnMut(i32, Addr) -> Read<()>,
) -> Read<()> {
    let Some(selector) = reader.not_none(reader.attr(addr, "_selector")?)? else { return Ok(()) };
    let Some(watched) = reader.attr(selector, "_fd_to_key")? else { return Ok(()) };
    for (_, key) in reader.dict(watched)?.into_iter().take(MAX_FILES) {
        // SelectorKey(fileobj, fd, events, data), data = (reader, writer).
        let key = reader.tuple(key)?;
        let (Some(fd), Some(data)) = (key.get(1), key.get(3)) else { continue };
        let fd = i32::try_from(reader.int(*fd)?).unwrap_or(-1);
        if reader.kind_of(*data)? != Kind::Tuple {
            continue;
        }
        for handle in reader.tuple(*data)? {
            if reader.kind_of(handle)? != Kind::None {
                found(fd, handle)?;
            }
        }
    }
    Ok(())
}

/// When the first of some timers fires.
fn next_timer(reader: &Reader<'_>, timers: impl Iterator<Item = Addr>) -> Read<Option<f64>> {
    let mut next: Option<f64> = None;
    for timer in timers.take(MAX_TIMERS) {
        if let Some(when) = due(reader, timer)? {
            next = Some(next.map_or(when, |next| next.min(when)));
        }
    }
    Ok(next)
}

/// The same of a heap (`heapq`): behind a timer that was not cancelled there is none that fires before it.
fn first_of_heap(reader: &Reader<'_>, timers: &[Addr]) -> Read<Option<f64>> {
    let mut next: Option<f64> = None;
    let mut places = vec![0];
    for _ in 0..MAX_TIMERS {
        let Some(place) = places.pop() else { break };
        let Some(timer) = timers.get(place) else { continue };
        match due(reader, *timer)? {
            Some(when) => next = Some(next.map_or(when, |next| next.min(when))),
            None => places.extend([2 * place + 1, 2 * place + 2]),
        }
    }
    Ok(next)
}

/// When a timer fires, unless it was cancelled.
fn due(reader: &Reader<'_>, timer: Addr) -> Read<Option<f64>> {
    match reader.attr(timer, "_cancelled")? {
        Some(cancelled) if reader.truth(cancelled) == Ok(true) => Ok(None),
        _ => timer_when(reader, timer),
    }
}

/// Describes a callback: the function, or the task whose step or wake-up it is.
fn callback(reader: &Reader<'_>, object: Option<Addr>) -> Read<Option<Callback>> {
    let Some(object) = reader.not_none(object)? else { return Ok(None) };
    let task = |function: &str, task: Addr| {
        Ok(Some(Callback { function: reader.intern(function), task: Some(task.into()) }))
    };
    match reader.kind_of(object)? {
        Kind::TaskStep => task("step", reader.ptr(object + 16)?),
        Kind::TaskWakeup => task("wakeup", reader.ptr(object + 16)?),
        Kind::Builtin => {
            let (name, owner) = reader.builtin(object)?;
            if &*name == "task_wakeup" { task("wakeup", owner) } else { named(name) }
        }
        Kind::Method => {
            let (function, owner) = reader.method(object)?;
            let name = reader.function_qualname(function).unwrap_or_else(|_| reader.intern("a method"));
            match name.rsplit_once(".__") {
                Some((_, "step")) => task("step", owner),
                Some((_, "wakeup")) => task("wakeup", owner),
                _ => named(name),
            }
        }
        Kind::Function => named(reader.function_qualname(object)?),
        Kind::Partial => {
            let (function, _) = reader.partial(object)?;
            match reader.kind_of(function)? {
                Kind::Function => named(reader.function_qualname(function)?),
                _ => named(reader.intern("functools.partial")),
            }
        }
        _ => named(reader.full_type_name(&*reader.type_of(object)?)),
    }
}

#[allow(clippy::unnecessary_wraps)] // one arm of a match whose others can fail
fn named(function: Text) -> Read<Option<Callback>> {
    Ok(Some(Callback { function, task: None }))
}
