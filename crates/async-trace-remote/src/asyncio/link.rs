//! Joins what was found apart: a bare future with the job, the inner task or the socket behind it; a
//! pool with those who have its connections; a contended lock with whoever may hold it.

use super::chain::Chain;
use super::executor::Job;
use super::walk::{EventLoop, Hold, On, Session, Wait, Walked};
use super::{event_loop, generators, polls, slots, task};
use crate::cpython::generator;
use crate::cpython::object::{Kind, Read, Reader};
use crate::memory::addr::Addr;
use async_trace_core::frame::Origin;
use async_trace_core::snapshot::{ResourceKind, TaskState, Trust, Verb};
use rustc_hash::FxHashSet;

/// How many contended things without a holder are looked for in the variables of all tasks.
const MAX_GUESSED: usize = 256;

/// Does all of it.
pub(crate) fn run(session: &Session<'_>, walked: &mut Walked) {
    for task in &mut walked.tasks {
        let Some(wait) = &mut task.wait else { continue };
        match &mut wait.on {
            _ if walked.scouting => {}
            On::AsCompleted(queue) => {
                let fills = walked.fills.get(queue).map_or(&[][..], Vec::as_slice);
                let affordable = session.reader.spend(fills.len() as u64);
                let mut pending = affordable.map_or_else(|_| Vec::new(), |()| fills.to_vec());
                // A task that was read more than once has said it each time.
                let mut seen = FxHashSet::default();
                pending.retain(|task| seen.insert(*task));
                wait.on = On::Tasks { pending, done: 0, any: Some(true) };
            }
            // A shielded task is waited for through a future of its own.
            On::Tasks { pending, .. } => {
                for future in pending {
                    if let Some(inner) = walked.completes.get(future) {
                        *future = *inner;
                    }
                }
            }
            _ => {}
        }
    }
    for index in 0..walked.tasks.len() {
        if let Some(on) = better(session, index, walked)
            && !walked.scouting
        {
            let task = &mut walked.tasks[index];
            if let Some(wait) = &mut task.wait {
                if let (On::Resource(event), Some(_)) = (&wait.on, wait.within.take()) {
                    walked.resources.set_within(*event, None);
                }
                match on {
                    (on, Some(verb), trust) => {
                        wait.on = on;
                        wait.verb = verb;
                        wait.trust = wait.trust.max(trust);
                    }
                    (on, None, trust) => {
                        wait.on = on;
                        wait.trust = wait.trust.max(trust);
                    }
                }
            }
        }
    }
    for thread in &mut walked.threads {
        if let Some(wait) = &mut thread.waits_for
            && let On::Job(future) = wait.on
        {
            if let Some(task) = walked.completes.get(&future) {
                wait.on = On::Tasks { pending: vec![*task], done: 0, any: None };
            } else if !walked.executors.jobs.contains_key(&future)
                && let Some(job) = submitted(session.reader, future, &walked.loops)
            {
                walked.executors.jobs.insert(future, job);
            }
        }
    }
    guesses(session, walked);
}

/// What takes more reading than a pause has time for: who is at what, by the variables of threads, and who has the slots
/// of pools. The target may run on meanwhile.
pub(crate) fn late(session: &Session<'_>, walked: &mut Walked) {
    workers(session, walked);
    polls::read(session, walked);
    generators::read(session, walked);
    slots::read(session, walked);
}

/// Links the futures of which nothing else is known with the threads that are to complete them.
fn workers(session: &Session<'_>, walked: &mut Walked) {
    if walked.threads.iter().all(|thread| thread.running_loop.is_some()) {
        return;
    }
    let asked = |wait: &Wait| match wait.on {
        On::Future(future) => Some(future),
        On::Job(source) if !walked.executors.jobs.contains_key(&source) => Some(source),
        _ => None,
    };
    let asked: FxHashSet<Addr> =
        walked.tasks.iter().filter_map(|task| task.wait.as_ref().and_then(asked)).collect();
    if asked.is_empty() {
        return;
    }
    super::executor::find_workers(session, &asked, walked);
    for wait in walked.tasks.iter_mut().filter_map(|task| task.wait.as_mut()) {
        if let On::Future(future) = wait.on
            && walked.executors.jobs.contains_key(&future)
        {
            wait.on = On::Job(future);
            wait.verb = Verb::Call;
            wait.trust = wait.trust.max(Trust::Inferred);
        }
    }
}

/// Something better than a bare future to say of a wait.
fn better(session: &Session<'_>, index: usize, walked: &Walked) -> Option<(On, Option<Verb>, Trust)> {
    let reader = session.reader;
    let wait = walked.tasks[index].wait.as_ref()?;
    match wait.on {
        On::Future(future) => {
            if let Some(inner) = walked.completes.get(&future) {
                let on = On::Tasks { pending: vec![*inner], done: 0, any: None };
                return Some((on, Some(Verb::Shield), Trust::Read));
            }
            // A `shield` around a future passes on what is done to the one inside.
            let inside = || shielded(reader, future).ok().flatten();
            if let Some(source) = job(reader, future).or_else(|| job(reader, inside()?)) {
                return Some((On::Job(source), Some(Verb::Call), Trust::Read));
            }
            let direct = walked.files.by_object.contains_key(&future);
            let fd = walked.files.find(reader, future)?;
            Some((On::File(fd), None, if direct { Trust::Read } else { Trust::Inferred }))
        }
        // A library's stream that waits on an event of its own, for a connection that a pool has handed out.
        On::Resource(event) => {
            let resource = walked.resources.get(event)?;
            if resource.kind != ResourceKind::Event {
                return None;
            }
            let fd = walked.files.find(reader, event)?;
            Some((On::File(fd), Some(Verb::Read), Trust::Inferred))
        }
        _ => None,
    }
}

/// The coroutine that `run_coroutine_threadsafe` has given to a loop that has not come to it yet.
fn submitted(reader: &Reader<'_>, future: Addr, loops: &[EventLoop]) -> Option<Job> {
    let begins = |handle: Addr| -> Read<Option<Addr>> {
        let Some(callback) = reader.attr(handle, "_callback")? else { return Ok(None) };
        if reader.kind_of(callback)? != Kind::Function
            || &*reader.function_qualname(callback)? != "run_coroutine_threadsafe.<locals>.callback"
            || super::closure::variable(reader, callback, "future")? != Some(future)
        {
            return Ok(None);
        }
        super::closure::variable(reader, callback, "coro")
    };
    loops.iter().find_map(|event_loop| {
        let ready = event_loop::ready(reader, event_loop.addr).ok()?;
        let (place, coroutine) =
            ready.iter().enumerate().find_map(|(place, handle)| Some((place, begins(*handle).ok()??)))?;
        Some(Job {
            function: generator::qualname(reader, coroutine).ok(),
            executor: Some(event_loop.addr),
            thread: None,
            queued: u32::try_from(place).ok(),
        })
    })
}

/// The thread's future that completes a future of asyncio.
fn job(reader: &Reader<'_>, future: Addr) -> Option<Addr> {
    let callbacks = task::callbacks(reader, future).unwrap_or_default();
    callbacks.into_iter().find_map(|callback| chained_source(reader, callback).ok()?)
}

/// The future inside of a `shield`, by what the outer one calls when it is done first.
fn shielded(reader: &Reader<'_>, future: Addr) -> Read<Option<Addr>> {
    for callback in task::callbacks(reader, future)? {
        if reader.kind_of(callback)? == Kind::Function
            && &*reader.function_qualname(callback)? == "shield.<locals>._outer_done_callback"
        {
            return super::closure::variable(reader, callback, "inner");
        }
    }
    Ok(None)
}

/// The thread's future behind an asyncio future that `wrap_future` made.
fn chained_source(reader: &Reader<'_>, callback: Addr) -> Read<Option<Addr>> {
    if reader.kind_of(callback)? != Kind::Function
        || &*reader.function_qualname(callback)? != "_chain_future.<locals>._call_check_cancel"
    {
        return Ok(None);
    }
    super::closure::variable(reader, callback, "source")
}

/// A lock that was taken with a bare `acquire()` leaves no trace on any stack. Whoever refers to it
/// from its variables, and would release it, may be the holder.
fn guesses(session: &Session<'_>, walked: &mut Walked) {
    let reader = session.reader;
    let held: FxHashSet<Addr> = walked
        .tasks
        .iter()
        .flat_map(|task| &task.holds)
        .chain(walked.threads.iter().flat_map(|thread| &thread.holds))
        .map(|hold| hold.resource)
        .collect();
    let orphans: FxHashSet<Addr> = walked
        .resources
        .list
        .iter()
        .filter(|r| match r.kind {
            ResourceKind::Lock => r.state.locked == Some(true),
            ResourceKind::Semaphore => r.state.size == Some(0),
            ResourceKind::ThreadLock => r.state.locked == Some(true),
            _ => false,
        })
        .map(|r| r.addr)
        .filter(|addr| !held.contains(addr))
        .take(MAX_GUESSED)
        .collect();
    if orphans.is_empty() {
        return;
    }
    let mut chain = Chain::default();
    for index in 0..walked.tasks.len() {
        let addr = walked.tasks[index].addr;
        if walked.tasks[index].state == TaskState::Done {
            continue;
        }
        let waits_on = match walked.tasks[index].wait.as_ref().map(|wait| &wait.on) {
            Some(On::Resource(object)) => Some(*object),
            _ => None,
        };
        let Ok(nodes) = task::nodes(session, addr, &mut chain, walked) else { continue };
        let mut found: Vec<Hold> = Vec::new();
        for (at, node) in nodes.iter().enumerate() {
            if session.places.origin(node.place) == Origin::Stdlib {
                continue;
            }
            let Some(frame) = &node.frame else { continue };
            if frame.code.mentions(reader, "release") != Ok(true) {
                continue;
            }
            let Ok(locals) = frame.locals(reader) else { continue };
            let mut objects: Vec<Addr> = Vec::new();
            for (_, value) in locals {
                objects.push(value);
                if reader.kind_of(value) == Ok(Kind::Other)
                    && let Ok(attributes) = reader.attrs(value)
                {
                    objects.extend(attributes.into_iter().map(|(_, value)| value));
                }
            }
            for object in objects {
                let fresh = orphans.contains(&object)
                    && waits_on != Some(object)
                    && !found.iter().any(|hold| hold.resource == object);
                if fresh {
                    found.push(Hold {
                        resource: object,
                        frame: u32::try_from(at).unwrap_or(0),
                        trust: Trust::Guessed,
                        name: super::names::of(session, object, &nodes, at),
                        taken_line: None,
                        through: None,
                    });
                }
            }
        }
        if !walked.scouting {
            walked.tasks[index].holds.extend(found);
        }
    }
}
