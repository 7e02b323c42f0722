//! What a suspended task waits for: told by the functions at the inner end of its chain, and by the
//! object that the chain ends at.

use super::chain::{Chain, End, Node};
use super::names;
use super::places::Role;
use super::resource;
use super::task::future_state;
use super::walk::{On, Session, Wait, Walked};
use crate::cpython::object::{Kind, Read, Reader, Torn};
use crate::memory::addr::Addr;
use async_trace_core::frame::Origin;
use async_trace_core::snapshot::{Context, ProblemCode, Trust, Verb};

/// The most children of a `gather` or tasks of a group that are looked at one by one.
const MAX_CHILDREN: usize = 1 << 20;
/// How deep `gather`s in `gather`s are followed.
const MAX_NESTING: u32 = 16;
/// How many objects along the chain are remembered as possible ways to a socket.
const MAX_CARRIERS: usize = 8;

/// A wait as far as one function tells.
struct Known {
    on: On,
    verb: Verb,
    timeout: Option<f64>,
}

impl Known {
    fn new(on: On, verb: Verb) -> Self {
        Self { on, verb, timeout: None }
    }
}

/// Tells what the task with this chain waits for.
pub(crate) fn classify(
    session: &Session<'_>,
    chain: &Chain,
    waiter: Option<Addr>,
    event_loop: Addr,
    walked: &mut Walked,
) -> Option<Wait> {
    let nodes = &chain.nodes;
    let end = match (chain.end, waiter) {
        (Some(End::Created | End::Done | End::Running), _) => return None,
        // An awaitable that is no code, or a `__next__` written by hand: the task knows the future.
        (Some(End::Object(_) | End::Yield), Some(waiter)) => Some(End::Future(waiter)),
        (Some(end), _) => Some(end),
        // The chain is torn, but the task itself knows the future.
        (None, waiter) => waiter.map(End::Future),
    };
    // `outer` is the outermost frame of the library function that waits.
    let mut outer = nodes.len();
    let mut known = None;
    while outer > 0 {
        let role = session.places.role(nodes[outer - 1].place);
        if role == Role::None {
            // anyio's event around asyncio's.
            if known.is_some() && outer > 1 && is_memory_stream(session, &nodes[outer - 2]) {
                outer -= 1;
                continue;
            }
            break;
        }
        match by_role(session, role, &nodes[outer - 1], end) {
            Ok(Some(found)) => {
                // A re-acquired lock is what a `Condition.wait` that was notified waits for.
                let is_reacquired = role == Role::ConditionWait
                    && known.as_ref().is_some_and(|k: &Known| k.verb == Verb::Acquire);
                if !is_reacquired {
                    known = Some(found);
                }
            }
            Ok(None) => {}
            Err(torn) => walked.problems.note(ProblemCode::ResourceUnreadable, torn, None),
        }
        outer -= 1;
    }
    let mut trust = Trust::Read;
    let known = match known {
        Some(known) => known,
        None => match by_end(session, end?, nodes) {
            Ok((known, how)) => {
                trust = how;
                known
            }
            Err(torn) => {
                walked.problems.note(ProblemCode::ResourceUnreadable, torn, None);
                return None;
            }
        },
    };
    let own = (0..outer).rev().find(|i| session.places.origin(nodes[*i].place) == Origin::Own);
    let library = own.map_or(0, |own| own + 1)..outer;
    let mut within = None;
    let mut carriers = Vec::new();
    let follows = matches!(known.on, On::Resource(_) | On::Future(_));
    if follows {
        for node in nodes[library].iter().rev() {
            let Some(object) =
                node.frame.as_ref().and_then(|f| f.local(session.reader, "self").ok().flatten())
            else {
                continue;
            };
            if resource::is_pool(session.reader, object) && matches!(known.on, On::Resource(r) if r != object)
            {
                within = Some(object);
            }
            // Behind the pool are all connections: it is no way to the one that is waited for.
            if within.is_none() && carriers.last() != Some(&object) && carriers.len() < MAX_CARRIERS {
                carriers.push(object);
            }
        }
        if let (On::Future(_), Some(inner)) = (&known.on, nodes.last()) {
            let own_self = inner.frame.as_ref().and_then(|f| f.local(session.reader, "self").ok().flatten());
            carriers.extend(own_self.filter(|object| !carriers.contains(object)));
        }
    }
    let waited = match known.on {
        On::Resource(object) => Some(object),
        _ => None,
    };
    for object in [within, waited].into_iter().flatten() {
        walked.resources.add(session.reader, object, &mut walked.problems);
    }
    if let (Some(pool), On::Resource(object)) = (within, &known.on) {
        walked.resources.set_within(*object, Some(pool));
    }
    let name = match (&known.on, own) {
        (On::Resource(object), Some(own)) => names::of(session, *object, nodes, own).or_else(|| {
            // The line may know it by another object: `async with condition` waits for its lock.
            nodes[outer..].iter().find_map(|node| {
                let alias = node.frame.as_ref()?.local(session.reader, "self").ok().flatten()?;
                names::of(session, alias, nodes, own)
            })
        }),
        _ => None,
    };
    if let (On::Future(future), false) = (&known.on, carriers.is_empty()) {
        walked.files.carriers.insert(*future, carriers);
    } else if let (On::Resource(event), false) = (&known.on, carriers.is_empty()) {
        walked.files.carriers.insert(*event, carriers);
    }
    let _ = event_loop;
    Some(Wait { on: known.on, verb: known.verb, trust, name, within, timeout: known.timeout })
}

fn is_memory_stream(session: &Session<'_>, node: &Node) -> bool {
    matches!(session.places.role(node.place), Role::MemoryStreamSend | Role::MemoryStreamReceive)
}

/// What a known function of asyncio waits for.
fn by_role(session: &Session<'_>, role: Role, node: &Node, end: Option<End>) -> Read<Option<Known>> {
    let reader = session.reader;
    let frame = node.frame.as_ref().ok_or(Torn("a library function without a frame"))?;
    let on_self =
        |verb| frame.need_local(reader, "self").map(|object| Some(Known::new(On::Resource(object), verb)));
    match role {
        Role::None | Role::Passes => Ok(None),
        Role::LockAcquire | Role::SemaphoreAcquire => on_self(Verb::Acquire),
        Role::EventWait | Role::ConditionWait | Role::BarrierWait => on_self(Verb::Wait),
        Role::QueueGet => on_self(Verb::Get),
        Role::QueuePut => on_self(Verb::Put),
        Role::QueueJoin => on_self(Verb::Join),
        Role::MemoryStreamSend | Role::MemoryStreamReceive => {
            // `await checkpoint()` comes first.
            if !matches!(end, Some(End::Future(_))) {
                return Ok(None);
            }
            let state = reader.need(frame.need_local(reader, "self")?, "_state")?;
            let verb = if role == Role::MemoryStreamSend { Verb::Put } else { Verb::Get };
            Ok(Some(Known::new(On::Resource(state), verb)))
        }
        Role::ServeForever => Ok(None),
        Role::Sleep => {
            if matches!(end, Some(End::Yield)) {
                return Ok(Some(Known::new(On::Turn, Verb::Sleep)));
            }
            let handle = frame.local(reader, "h")?;
            let when = handle.map(|handle| timer_when(reader, handle)).transpose()?.flatten();
            Ok(Some(Known::new(On::Timer(when), Verb::Sleep)))
        }
        Role::Wait => {
            let set = frame.need_local(reader, "fs")?;
            let futures = match reader.kind_of(set)? {
                Kind::Set => reader.set(set)?,
                _ => reader.list(set)?,
            };
            let any = match frame.local(reader, "return_when")? {
                Some(when) => Some(&*reader.text(when)? != "ALL_COMPLETED"),
                None => None,
            };
            let mut known = Known::new(tasks(reader, futures, any)?, Verb::Wait);
            known.timeout = timeout_handle(reader, frame)?;
            Ok(Some(known))
        }
        Role::WaitFor => {
            // Up to 3.11 it waits for a task of its own; from 3.12 on the chain goes straight through.
            if !matches!(frame.local(reader, "waiter")?, Some(waiter) if end == Some(End::Future(waiter))) {
                return Ok(None);
            }
            let future = frame.need_local(reader, "fut")?;
            let mut known = match reader.kind_of(future)? {
                Kind::Task => Known::new(tasks(reader, vec![future], None)?, Verb::WaitFor),
                _ => Known::new(On::Future(future), Verb::WaitFor),
            };
            known.timeout = timeout_handle(reader, frame)?;
            Ok(Some(known))
        }
        Role::TaskGroup => {
            let group = frame.need_local(reader, "self")?;
            let set = reader.need(group, "_tasks")?;
            Ok(Some(Known::new(tasks(reader, reader.set(set)?, None)?, Verb::TaskGroup)))
        }
        Role::AsCompleted => {
            // Up to 3.12 a queue gathers what is done; which tasks fill it, their callbacks tell.
            if let Some(done) = frame.local(reader, "done")? {
                return Ok(Some(Known::new(On::AsCompleted(done), Verb::AsCompleted)));
            }
            let todo = reader.need(frame.need_local(reader, "self")?, "_todo")?;
            let futures = match reader.kind_of(todo)? {
                Kind::Set => reader.set(todo)?,
                _ => reader.list(todo)?,
            };
            Ok(Some(Known::new(tasks(reader, futures, Some(true))?, Verb::AsCompleted)))
        }
        Role::ProcessWait => {
            let object = frame.need_local(reader, "self")?;
            let pid = match reader.attr(object, "pid")? {
                Some(pid) => Some(pid),
                None => reader.attr(object, "_pid")?,
            };
            let pid = match pid {
                Some(pid) => u32::try_from(reader.int(pid)?).ok(),
                None => None,
            };
            Ok(Some(Known::new(On::Process(pid), Verb::Wait)))
        }
        Role::StreamRead | Role::StreamWrite => {
            let Some(End::Future(future)) = end else { return Ok(None) };
            let verb = if role == Role::StreamRead { Verb::Read } else { Verb::Write };
            Ok(Some(Known::new(On::Future(future), verb)))
        }
    }
}

/// What the object that a chain ends at is.
fn by_end(session: &Session<'_>, end: End, nodes: &[Node]) -> Read<(Known, Trust)> {
    let reader = session.reader;
    let future = match end {
        End::Future(future) => future,
        End::Yield => return Ok((Known::new(On::Turn, Verb::Await), Trust::Read)),
        End::Object(object) => {
            let of = reader.type_of(object)?;
            return Ok((Known::new(On::Unknown(reader.full_type_name(&of)), Verb::Await), Trust::Read));
        }
        End::Running | End::Created | End::Done => return Err(Torn("a task that does not wait")),
    };
    let of = reader.type_of(future)?;
    if of.kind == Kind::Task || (of.kind == Kind::Other && reader.attr(future, "_coro")?.is_some()) {
        return Ok((Known::new(tasks(reader, vec![future], None)?, Verb::Await), Trust::Read));
    }
    if of.short_name() == "_GatheringFuture" {
        let children = reader.list(reader.need(future, "_children")?)?;
        return Ok((Known::new(tasks(reader, children, None)?, Verb::Gather), Trust::Read));
    }
    // A task group of a library: an object with its tasks, whose future the last of them completes.
    if let Some(node) = nodes.last()
        && session.places.origin(node.place) == Origin::Library
        && let Some(group) = node.frame.as_ref().and_then(|f| f.local(reader, "self").ok().flatten())
        && let Some(pending) = group_tasks(reader, group, future)?
    {
        return Ok((Known::new(tasks(reader, pending, None)?, Verb::TaskGroup), Trust::Inferred));
    }
    // A primitive of a library: an object that keeps its waiters' futures in a container. A connection does so, too, with
    // those that wait for its other end to read.
    let drains = |name: &str| name.contains("drain");
    if let Some(frame) = nodes.last().and_then(|node| node.frame.as_ref())
        && !drains(&frame.code.name)
        && let Some(object) = frame.local(reader, "self")?
        && resource::keeps_waiter(reader, object, future)
    {
        let acquires = frame.code.name.contains("acquire") || frame.code.name.contains("wait_for_available");
        let verb = if acquires { Verb::Acquire } else { Verb::Wait };
        return Ok((Known::new(On::Resource(object), verb), Trust::Inferred));
    }
    let verb = nodes.last().and_then(|node| verb_of(session, node)).unwrap_or(Verb::Await);
    Ok((Known::new(On::Future(future), verb), Trust::Read))
}

/// The tasks of a library's group, if `future` is its own.
fn group_tasks(reader: &Reader<'_>, group: Addr, future: Addr) -> Read<Option<Vec<Addr>>> {
    let Some(set) = reader.attr(group, "_tasks")? else { return Ok(None) };
    if reader.kind_of(set)? != Kind::Set || !reader.attrs(group)?.iter().any(|(_, value)| *value == future) {
        return Ok(None);
    }
    let tasks = reader.set(set)?;
    for task in &tasks {
        if reader.kind_of(*task)? != Kind::Task {
            return Ok(None);
        }
    }
    Ok((!tasks.is_empty()).then_some(tasks))
}

/// What a library's function does, by its name: `sock_recv`, `_wait_for_connect`.
fn verb_of(session: &Session<'_>, node: &Node) -> Option<Verb> {
    let place = session.places.get(node.place)?;
    if place.frame.origin == Origin::Own {
        return None;
    }
    let name = place.frame.function.rsplit('.').next()?.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if says(&["accept"]) {
        Some(Verb::Accept)
    } else if says(&["connect"]) {
        Some(Verb::Connect)
    } else if says(&["recv", "read", "receive"]) {
        Some(Verb::Read)
    } else if says(&["send", "write", "drain"]) {
        Some(Verb::Write)
    } else {
        None
    }
}

/// A wait for these futures: those that are pending, and how many are not.
fn tasks(reader: &Reader<'_>, futures: Vec<Addr>, any: Option<bool>) -> Read<On> {
    let mut pending = Vec::new();
    let mut done = 0;
    // A `gather` among them stands for its children.
    let mut todo: Vec<(Addr, u32)> = futures.into_iter().take(MAX_CHILDREN).rev().map(|f| (f, 0)).collect();
    while let Some((future, depth)) = todo.pop() {
        reader.spend(1)?;
        if future_state(reader, future)? != 0 {
            done += 1;
        } else if depth < MAX_NESTING && reader.type_of(future)?.short_name() == "_GatheringFuture" {
            let children = reader.list(reader.need(future, "_children")?)?;
            todo.extend(children.into_iter().rev().map(|child| (child, depth + 1)));
        } else {
            pending.push(future);
        }
    }
    Ok(On::Tasks { pending, done, any })
}

/// When the timer of a local `timeout_handle` fires.
fn timeout_handle(reader: &Reader<'_>, frame: &crate::cpython::frame::Frame) -> Read<Option<f64>> {
    match reader.not_none(frame.local(reader, "timeout_handle")?)? {
        Some(handle) => timer_when(reader, handle),
        None => Ok(None),
    }
}

pub(super) fn is_uvloop_timer(reader: &Reader<'_>, handle: Addr) -> Read<bool> {
    Ok(&*reader.type_of(handle)?.name == "uvloop.loop.TimerHandle")
}

/// What a timer will call, and the tuple of arguments.
pub(super) fn timer_call(reader: &Reader<'_>, handle: Addr) -> Read<[Option<Addr>; 2]> {
    if is_uvloop_timer(reader, handle)? {
        // `object callback`, `tuple args` are its first fields.
        return Ok([reader.ptr(handle + 24)?.non_null(), reader.ptr(handle + 32)?.non_null()]);
    }
    let part = |name| reader.not_none(reader.attr(handle, name)?);
    Ok([part("_callback")?, part("_args")?])
}

/// When a timer fires, on its loop's clock.
pub(crate) fn timer_when(reader: &Reader<'_>, handle: Addr) -> Read<Option<f64>> {
    if is_uvloop_timer(reader, handle)? {
        // cdef class TimerHandle, uvloop/cbhandles.pxd: `object _when` is its last field.
        let when = reader.ptr(handle + 88)?;
        return if reader.is_object(when) { reader.float(when).map(Some) } else { Ok(None) };
    }
    match reader.not_none(reader.attr(handle, "_when")?)? {
        Some(when) => reader.float(when).map(Some),
        None => Ok(None),
    }
}

/// The nearest timeout among the blocks a task is inside of.
pub(crate) fn timeout_around(session: &Session<'_>, contexts: &[Context]) -> Option<f64> {
    let reader = session.reader;
    contexts
        .iter()
        .filter(|context| matches!(context.type_name.rsplit('.').next(), Some("Timeout" | "CancelScope")))
        .filter_map(|context| {
            let manager = Addr(context.id.0);
            let when = ["_when", "_deadline"]
                .into_iter()
                .find_map(|name| reader.not_none(reader.attr(manager, name).ok()?).ok()?)?;
            reader.float(when).ok().filter(|when| when.is_finite())
        })
        .min_by(f64::total_cmp)
}
