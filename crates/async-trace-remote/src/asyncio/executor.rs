//! Executors: which thread is at which job, which jobs stand in the queue.

use super::resource::Resource;
use super::walk::{Session, Walked};
use crate::cpython::object::{Kind, Read, Reader};
use crate::memory::addr::Addr;
use crate::memory::pages::Footprint;
use async_trace_core::snapshot::{ProblemCode, ResourceKind, ResourceState};
use async_trace_core::text::Text;
use rustc_hash::FxHashMap;

/// How many queued jobs of one executor are looked at.
const MAX_QUEUED: u64 = 1 << 16;

/// A job that was given to an executor.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub function: Option<Text>,
    pub executor: Option<Addr>,
    /// The thread that is at it, by its place in the list of threads.
    pub thread: Option<usize>,
    /// Its place in the queue.
    pub queued: Option<u32>,
}

/// Jobs by the `concurrent.futures` future that they complete.
#[derive(Default)]
pub(crate) struct Executors {
    pub jobs: FxHashMap<Addr, Job>,
    /// The job of each thread.
    pub by_thread: FxHashMap<usize, Addr>,
}

/// Reads the executors that loops and worker threads lead to.
pub(crate) fn read_all(session: &Session<'_>, walked: &mut Walked) {
    let reader = session.reader;
    let mut executors: Vec<Addr> = walked.loops.iter().filter_map(|l| l.executor).collect();
    let mut busy: FxHashMap<Addr, u32> = FxHashMap::default();
    for index in 0..walked.threads.len() {
        let in_executor = |file: &str| file.ends_with("concurrent/futures/thread.py");
        let mut executor = None;
        let mut item = None;
        for frame in &walked.threads[index].stack {
            if !in_executor(&frame.code.file) {
                continue;
            }
            let found = match &*frame.code.name {
                "_worker" => frame.local(reader, "executor_reference").map(|reference| {
                    executor = reference.and_then(|r| reader.weakref(r).ok().flatten());
                }),
                // 3.14+ `_WorkItem.run(self, ctx)`, before `run(self)`.
                "run" => frame.local(reader, "self").map(|work| item = work),
                _ => Ok(()),
            };
            if let Err(torn) = found {
                walked.problems.note(ProblemCode::StackTorn, torn, None);
            }
        }
        if let Some(executor) = executor
            && !executors.contains(&executor)
        {
            executors.push(executor);
        }
        let Some(item) = item else { continue };
        match job(reader, item) {
            Ok((future, function)) => {
                if let Some(executor) = executor {
                    *busy.entry(executor).or_default() += 1;
                }
                walked.executors.by_thread.insert(index, future);
                walked
                    .executors
                    .jobs
                    .insert(future, Job { function, executor, thread: Some(index), queued: None });
            }
            Err(torn) => walked.problems.note(ProblemCode::StackTorn, torn, None),
        }
    }
    for executor in executors {
        let busy = busy.get(&executor).copied().unwrap_or(0);
        if let Err(torn) = read(reader, executor, busy, walked) {
            walked.problems.note(ProblemCode::ResourceUnreadable, torn, None);
        }
    }
}

/// The future and the function of a `_WorkItem`.
fn job(reader: &Reader<'_>, item: Addr) -> Read<(Addr, Option<Text>)> {
    let future = reader.need(item, "future")?;
    // Up to 3.13 `fn`, `args`; 3.14+ `task` (fn, args, kwargs).
    let (mut function, mut args) = match reader.attr(item, "fn")? {
        Some(function) => (Some(function), reader.attr(item, "args")?),
        None => match reader.attr(item, "task")? {
            Some(task) if reader.kind_of(task)? == Kind::Tuple => {
                let parts = reader.tuple(task)?;
                (parts.first().copied(), parts.get(1).copied())
            }
            _ => (None, None),
        },
    };
    // `to_thread` wraps the function as partial(ctx.run, func, …).
    for _ in 0..4 {
        let Some(object) = function else { break };
        match reader.kind_of(object)? {
            Kind::Partial => {
                let (inner, inner_args) = reader.partial(object)?;
                function = Some(inner);
                if reader.kind_of(inner)? == Kind::Builtin {
                    function = inner_args.first().copied();
                }
            }
            Kind::Builtin if &*reader.builtin(object)?.0 == "run" => {
                let rest = match args {
                    Some(args) => reader.tuple(args)?,
                    None => Vec::new(),
                };
                function = rest.first().copied();
                args = None;
            }
            _ => break,
        }
    }
    let name = match function {
        Some(function) => callable_name(reader, function).ok(),
        None => None,
    };
    Ok((future, name))
}

/// The name of something that can be called.
fn callable_name(reader: &Reader<'_>, object: Addr) -> Read<Text> {
    match reader.kind_of(object)? {
        Kind::Function => reader.function_qualname(object),
        Kind::Method => reader.function_qualname(reader.method(object)?.0),
        Kind::Builtin => reader.builtin(object).map(|(name, _)| name),
        _ => Ok(reader.full_type_name(&*reader.type_of(object)?)),
    }
}

fn read(reader: &Reader<'_>, executor: Addr, busy: u32, walked: &mut Walked) -> Read<()> {
    let of = reader.type_of(executor)?;
    let mut state = ResourceState { busy: Some(busy), ..ResourceState::default() };
    if let Some(most) = reader.attr(executor, "_max_workers")? {
        state.capacity = Some(reader.int(most)?);
    }
    if let Some(threads) = reader.attr(executor, "_threads")?
        && reader.kind_of(threads)? == Kind::Set
    {
        state.size = Some(i64::try_from(reader.set_len(threads)?).unwrap_or(0));
    }
    if let Some(queue) = reader.attr(executor, "_work_queue")? {
        let items = simple_queue(reader, queue)?;
        state.unfinished = Some(i64::try_from(items.len()).unwrap_or(0));
        let mut place = 0;
        for item in items {
            // The end of an executor is announced by a `None`.
            if reader.kind_of(item)? == Kind::None {
                continue;
            }
            let (future, function) = job(reader, item)?;
            walked.executors.jobs.insert(
                future,
                Job { function, executor: Some(executor), thread: None, queued: Some(place) },
            );
            place += 1;
        }
    }
    walked.resources.put(Resource {
        addr: executor,
        of: of.addr,
        kind: ResourceKind::Executor,
        type_name: reader.full_type_name(&of),
        state,
        waiters: Vec::new(),
        owner: None,
        within: None,
        footprint: Footprint::default(),
    });
    Ok(())
}

/// The items of a `_queue.SimpleQueue`, Modules/_queuemodule.c.
///
/// Up to 3.12 {lock +16, locked +24, list +32, position in it +40}; from 3.13 on a ring buffer {get
/// index +32, items +40, capacity +48, count +56}: where the old one has its list, the new has a number.
fn simple_queue(reader: &Reader<'_>, queue: Addr) -> Read<Vec<Addr>> {
    let of = reader.type_of(queue)?;
    if of.short_name() != "SimpleQueue" {
        // A `queue.Queue` or one of its kin (a `PriorityQueue` in a custom executor).
        return match reader.attr(queue, "queue")? {
            Some(items) if reader.kind_of(items)? == Kind::Deque => reader.deque(items, MAX_QUEUED),
            _ => Ok(Vec::new()),
        };
    }
    let list = reader.ptr(queue + 32)?;
    if reader.is_object(list) && reader.kind_of(list)? == Kind::List {
        let from = usize::try_from(reader.u64(queue + 40)?).unwrap_or(usize::MAX);
        return Ok(reader.list(list)?.into_iter().skip(from).collect());
    }
    let (get, items) = (reader.u64(queue + 32)?, reader.ptr(queue + 40)?);
    let (capacity, count) = (reader.u64(queue + 48)?, reader.u64(queue + 56)?);
    let mut out = Vec::new();
    for i in 0..count.min(MAX_QUEUED) {
        if capacity == 0 {
            break;
        }
        out.push(reader.ptr(items + (get.wrapping_add(i) % capacity).wrapping_mul(8))?);
    }
    Ok(out)
}
