//! Locks of libraries that lie elsewhere, in redis, say: whoever wants one asks for it again and again, and sleeps in between.
//! No future stands for such a wait. What tells it is the library's `acquire` on the way from the program's own line to the
//! sleep, and the lock that is its `self`. Each task may have an object of its own for the same lock: they are the same by
//! their type and the name that they keep.

use super::chain::Chain;
use super::failed::Failed;
use super::resource::{self, Resource};
use super::task;
use super::walk::{Hold, On, Session, Wait, Walked};
use crate::cpython::frame::Frame as PyFrame;
use crate::cpython::object::{Kind, Reader};
use crate::memory::addr::Addr;
use async_trace_core::frame::{Frame, FrameKind, Origin};
use async_trace_core::snapshot::{ResourceKind, TaskState, Trust, Verb};
use async_trace_core::text::Text;
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use std::hash::{Hash, Hasher};

/// The library's function stands so near to the line that called it.
const MAX_BELOW: usize = 4;
/// So many tasks are looked at.
const MAX_TASKS: usize = 10_000;

/// The same lock, whatever object stands for it.
type Key = (Addr, Text);

/// Where somebody was who has ended since, by the lock that he took.
pub(crate) type Gone = FxHashMap<Addr, Vec<u32>>;

/// Tells who asks again and again for which lock, and which tasks have these.
pub(crate) fn read(session: &Session<'_>, walked: &mut Walked) {
    let mut locks: FxHashMap<Key, Addr> = FxHashMap::default();
    let mut below: FxHashMap<*const Frame, Option<usize>> = FxHashMap::default();
    let mut chain = Chain::default();
    let mut others = FxHashSet::default();
    for index in 0..walked.tasks.len().min(MAX_TASKS) {
        let found = &walked.tasks[index];
        let asks = |wait: &Wait| {
            matches!(wait.on, On::Timer(_) | On::File(_) | On::Future(_)) && wait.verb != Verb::Acquire
        };
        if found.state != TaskState::Waiting || !found.wait.as_ref().is_some_and(asks) {
            continue;
        }
        let Some(at) = *below.entry(found.chain.as_ptr()).or_insert_with(|| acquires_at(&found.chain)) else {
            continue;
        };
        let Ok(nodes) = task::nodes(session, found.addr, &mut chain, walked) else { continue };
        let Some(frame) = nodes.get(at).and_then(|node| node.frame.as_ref()) else { continue };
        let Some(object) = frame.local(session.reader, "self").ok().flatten() else { continue };
        let Some(key) = key(session.reader, object) else { continue };
        let name = key.1.clone();
        let lock = *locks.entry(key).or_insert_with_key(address);
        if walked.resources.get(lock).is_none() {
            walked.resources.add(session.reader, object, &mut walked.problems);
            let Some(read) = walked.resources.get(object).cloned() else { continue };
            walked.resources.put(Resource { addr: lock, ..read });
        }
        others.insert(object);
        let until = ends_at(session.reader, frame);
        // One that expires where it lies is given back by nobody.
        let trust = if expires(session.reader, object) { Trust::Guessed } else { Trust::Inferred };
        if let Some(wait) = &mut walked.tasks[index].wait {
            *wait = Wait {
                on: On::Resource(lock),
                verb: Verb::Poll,
                trust,
                name: Some(name),
                within: None,
                timeout: wait.timeout.into_iter().chain(until).reduce(f64::min),
            };
        }
    }
    if !locks.is_empty() {
        find_holders(session, &locks, walked, &mut others);
        walked.resources.forget(&others);
    }
    walked.polled = locks;
}

/// Which frame of a chain asks for a lock: an `acquire` of a library, right below the program's own code.
fn acquires_at(chain: &[Frame]) -> Option<usize> {
    let own = chain.iter().rposition(|frame| frame.origin == Origin::Own)?;
    let below = chain.iter().enumerate().skip(own + 1).take(MAX_BELOW);
    let mut library = below.take_while(|(_, frame)| frame.origin == Origin::Library);
    library.find(|(_, frame)| frame.function.rsplit('.').next() == Some("acquire")).map(|(at, _)| at)
}

/// What tells a lock from others; nothing for what is no lock, or has no name.
fn key(reader: &Reader<'_>, object: Addr) -> Option<Key> {
    let kind = resource::kind(reader, object).ok()??;
    if !matches!(kind, ResourceKind::Lock | ResourceKind::Semaphore) {
        return None;
    }
    let name = ["name", "_name", "key", "_key"]
        .into_iter()
        .find_map(|name| reader.attr(object, name).ok().flatten())?;
    match reader.kind_of(name).ok()? {
        Kind::Str => Some((reader.type_of(object).ok()?.addr, reader.text(name).ok()?)),
        _ => None,
    }
}

/// Whether a lock is given back by itself after some time.
fn expires(reader: &Reader<'_>, lock: Addr) -> bool {
    let limit =
        ["timeout", "ttl", "expire"].into_iter().find_map(|name| reader.attr(lock, name).ok().flatten());
    limit.is_some_and(|limit| reader.kind_of(limit) == Ok(Kind::Int) || reader.float(limit).is_ok())
}

/// When it gives up, on its loop's clock, where the function has that in a variable.
fn ends_at(reader: &Reader<'_>, frame: &PyFrame) -> Option<f64> {
    let until = ["stop_trying_at", "deadline", "end_time"].into_iter();
    let mut values = until.filter_map(|name| frame.local(reader, name).ok().flatten());
    values.find_map(|value| reader.float(reader.not_none(Some(value)).ok()??).ok())
}

/// Who has these locks: who is inside of their `with` blocks; and, guessed, who would release one that a variable has.
fn find_holders(
    session: &Session<'_>,
    locks: &FxHashMap<Key, Addr>,
    walked: &mut Walked,
    others: &mut FxHashSet<Addr>,
) {
    let reader = session.reader;
    let lock_of = |object: Addr| key(reader, object).and_then(|key| Some((*locks.get(&key)?, key.1)));
    let mut chain = Chain::default();
    for index in 0..walked.tasks.len().min(MAX_TASKS) {
        let found = &walked.tasks[index];
        let waits = found.wait.as_ref().and_then(|wait| match wait.on {
            On::Resource(lock) if wait.verb == Verb::Poll => Some(lock),
            _ => None,
        });
        let mut holds = found.holds.clone();
        for hold in &mut holds {
            if let Some((lock, name)) = lock_of(hold.resource) {
                others.insert(hold.resource);
                (hold.resource, hold.name) = (lock, Some(name));
            }
        }
        let mut hold = |resource, frame, name| {
            if !holds.iter().any(|hold: &Hold| hold.resource == resource) {
                let (trust, name, taken_line, through) = (Trust::Guessed, Some(name), None, None);
                holds.push(Hold { resource, frame, trust, name, taken_line, through });
            }
        };
        let nodes = task::nodes(session, found.addr, &mut chain, walked).unwrap_or_default();
        for (at, node) in nodes.iter().enumerate() {
            let is_own = session.places.origin(node.place) == Origin::Own;
            let Some(frame) = node.frame.as_ref().filter(|_| is_own) else { continue };
            if frame.code.mentions(reader, "release") != Ok(true) {
                continue;
            }
            for (_, value) in frame.locals(reader).unwrap_or_default() {
                if let Some((lock, name)) = lock_of(value).filter(|(lock, _)| waits != Some(*lock)) {
                    hold(lock, u32::try_from(at).unwrap_or(0), name);
                }
            }
        }
        walked.tasks[index].holds = holds;
    }
}

/// What stands for all objects of a lock in all looks: no address of a program has its highest bit.
fn address(key: &Key) -> Addr {
    let mut hasher = FxHasher::default();
    key.hash(&mut hasher);
    Addr(1 << 63 | hasher.finish() >> 1)
}

/// Where tasks that have failed took these locks by hand: they have not given them back, and nobody will.
pub(crate) fn gone(session: &Session<'_>, failed: &[Failed], walked: &Walked) -> Gone {
    let reader = session.reader;
    let mut found = Gone::default();
    let is_held =
        |lock: &Addr| walked.tasks.iter().any(|task| task.holds.iter().any(|hold| hold.resource == *lock));
    if walked.polled.is_empty() {
        return found;
    }
    for frame in failed.iter().flat_map(|failed| &failed.frames) {
        if session.places.origin_of(&frame.code.file) != Origin::Own
            || frame.code.mentions(reader, "acquire") != Ok(true)
        {
            continue;
        }
        for (_, value) in frame.locals(reader).unwrap_or_default() {
            let lock = key(reader, value).and_then(|key| walked.polled.get(&key).copied());
            if let Some(lock) = lock.filter(|lock| !is_held(lock)) {
                let place =
                    session.places.of_code(reader, &frame.code, frame.lasti, FrameKind::Coroutine, None);
                found.entry(lock).or_default().push(place);
            }
        }
    }
    found
}
