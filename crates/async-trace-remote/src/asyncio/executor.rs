//! Executors: which thread is at which job, which jobs stand in the queue.

use super::resource::Resource;
use super::walk::{Session, Walked};
use crate::cpython::frame::Frame;
use crate::cpython::object::{Kind, Read, Reader};
use crate::memory::addr::Addr;
use crate::memory::pages::Footprint;
use async_trace_core::frame::Origin;
use async_trace_core::snapshot::{ProblemCode, ResourceKind, ResourceState};
use async_trace_core::text::Text;
use rustc_hash::{FxHashMap, FxHashSet};

/// How many queued jobs of one executor are looked at.
const MAX_QUEUED: u64 = 1 << 16;

/// How many frames of a thread are looked at, from the innermost, and how many parts an item in a queue may have.
const MAX_FRAMES: usize = 64;
const MAX_PARTS: u64 = 16;

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

/// Finds the threads that libraries have for their own jobs: one that has a future which is `asked` for in a variable is
/// at it, and those in a queue that it takes from stand in line. aiosqlite has one such thread for each connection,
/// anyio one for each job.
pub(crate) fn find_workers(session: &Session<'_>, asked: &FxHashSet<Addr>, walked: &mut Walked) {
    let mut queues: FxHashMap<Addr, Queue> = FxHashMap::default();
    for index in 0..walked.threads.len() {
        let thread = &walked.threads[index];
        if thread.running_loop.is_some() || walked.executors.by_thread.contains_key(&index) {
            continue;
        }
        // The standard library's are known by what they are for.
        let is_library = |frame: &&Frame| session.places.origin_of(&frame.code.file) != Origin::Stdlib;
        let stack = thread.stack.iter().take(MAX_FRAMES).filter(is_library);
        let Some(found) = stack.filter_map(|frame| work(session.reader, frame, asked).ok()?).next() else {
            continue;
        };
        if let Some(queue) = found.queue {
            let known = queues.entry(queue).or_default();
            known.threads += 1;
            known.busy += u32::from(found.future.is_some());
        }
        if let Some(future) = found.future {
            let job =
                Job { function: found.function, executor: found.queue, thread: Some(index), queued: None };
            walked.executors.by_thread.insert(index, future);
            walked.executors.jobs.insert(future, job);
        }
    }
    for (queue, found) in queues {
        if let Err(torn) = found.read(session.reader, queue, asked, walked) {
            walked.problems.note(ProblemCode::ResourceUnreadable, torn, None);
        }
    }
}

/// The queue of a library's own threads.
#[derive(Default)]
struct Queue {
    threads: u32,
    busy: u32,
}

impl Queue {
    /// Notes the jobs that stand in line.
    fn read(
        &self,
        reader: &Reader<'_>,
        queue: Addr,
        asked: &FxHashSet<Addr>,
        walked: &mut Walked,
    ) -> Read<()> {
        let mut place = 0;
        for item in simple_queue(reader, queue)? {
            let parts = parts(reader, item)?;
            if let Some(future) = parts.iter().find(|part| asked.contains(part)) {
                let job = Job {
                    function: function_among(reader, &parts),
                    executor: Some(queue),
                    thread: None,
                    queued: Some(place),
                };
                walked.executors.jobs.insert(*future, job);
            }
            place += 1;
        }
        let threads = Some(i64::from(self.threads));
        let state = ResourceState {
            busy: Some(self.busy),
            capacity: threads,
            size: threads,
            unfinished: Some(i64::from(place)),
            ..ResourceState::default()
        };
        put(reader, queue, state, walked)
    }
}

/// What a frame of a worker thread is at.
struct Work {
    future: Option<Addr>,
    function: Option<Text>,
    queue: Option<Addr>,
}

/// What a frame is at, if it has a future that is asked for, or a queue with such.
fn work(reader: &Reader<'_>, frame: &Frame, asked: &FxHashSet<Addr>) -> Read<Option<Work>> {
    let (mut objects, mut queues) = (Vec::new(), Vec::new());
    for (name, value) in frame.locals(reader)? {
        match reader.kind_of(value)? {
            Kind::Tuple => objects.extend(parts(reader, value)?),
            Kind::Other if &*name == "self" => {
                let attributes = reader.attrs(value)?;
                queues.extend(attributes.into_iter().map(|(_, value)| value));
            }
            _ => {}
        }
        objects.push(value);
        queues.push(value);
    }
    let future = objects.iter().copied().find(|object| asked.contains(object));
    let mut queue = None;
    for object in queues {
        let is_queue = is_queue(reader, object)?;
        let has_asked = || -> Read<bool> {
            for item in simple_queue(reader, object)? {
                if parts(reader, item)?.iter().any(|part| asked.contains(part)) {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        if is_queue && has_asked()? {
            queue = Some(object);
            break;
        }
    }
    if future.is_none() && queue.is_none() {
        return Ok(None);
    }
    let function = future.and_then(|_| function_among(reader, &objects));
    Ok(Some(Work { future, function, queue }))
}

/// Whether an object is a queue for threads.
fn is_queue(reader: &Reader<'_>, object: Addr) -> Read<bool> {
    if reader.kind_of(object)? != Kind::Other {
        return Ok(false);
    }
    let of = reader.type_of(object)?;
    Ok(matches!(&*reader.full_type_name(&of), "_queue.SimpleQueue" | "queue.Queue" | "queue.LifoQueue"))
}

/// The parts of a queue's item: of a tuple, or the item alone.
fn parts(reader: &Reader<'_>, item: Addr) -> Read<Vec<Addr>> {
    match reader.kind_of(item)? {
        Kind::Tuple if reader.size(item)? <= MAX_PARTS => reader.tuple(item),
        _ => Ok(vec![item]),
    }
}

/// The name of the first function among some objects.
fn function_among(reader: &Reader<'_>, objects: &[Addr]) -> Option<Text> {
    objects.iter().find_map(|object| {
        let mut object = *object;
        for _ in 0..4 {
            match reader.kind_of(object).ok()? {
                Kind::Partial => object = reader.partial(object).ok()?.0,
                Kind::Function | Kind::Method | Kind::Builtin => return callable_name(reader, object).ok(),
                _ => return None,
            }
        }
        None
    })
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
    put(reader, executor, state, walked)
}

/// Notes an executor, or the queue that stands for one.
fn put(reader: &Reader<'_>, addr: Addr, state: ResourceState, walked: &mut Walked) -> Read<()> {
    let of = reader.type_of(addr)?;
    walked.resources.put(Resource {
        addr,
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
