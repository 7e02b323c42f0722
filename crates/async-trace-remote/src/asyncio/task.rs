//! One task: its name, state and chain.

use super::chain::{Chain, End, Node};
use super::walk::{Rare, Session, Task, Thread, Walked};
use super::{connection, hold, hook, wait};
use crate::cpython::frame::Frame as PyFrame;
use crate::cpython::generator;
use crate::cpython::object::{Kind, Read, Reader, Torn, word};
use crate::memory::addr::Addr;
use async_trace_core::frame::{Frame, FrameKind};
use async_trace_core::snapshot::{Creation, CreationSource, Handling, ProblemCode, TaskState};
use async_trace_core::text::Text;

/// What a cancellation raises.
const CANCELLED: &str = "CancelledError";
/// `fut_state`.
const PENDING: i32 = 0;
const CANCELLED_STATE: i32 = 1;
const FINISHED: i32 = 2;

/// The fields of a task, wherever its implementation keeps them.
struct Fields {
    state: i32,
    waiter: Option<Addr>,
    coroutine: Option<Addr>,
    name: Text,
    event_loop: Addr,
    cancelling: u32,
    callback0: Option<Addr>,
    callbacks: Option<Addr>,
    source_tb: Option<Addr>,
}

/// Reads the task at `addr`; `None` when it is done.
pub(crate) fn read(
    session: &Session<'_>,
    addr: Addr,
    chain: &mut Chain,
    walked: &mut Walked,
) -> Read<Option<Task>> {
    let reader = session.reader;
    let of = reader.type_of(addr)?;
    let fields = if of.kind == Kind::Task { c_fields(reader, addr)? } else { python_fields(reader, addr)? };
    if fields.state != PENDING {
        return Ok(None);
    }
    let coroutine = fields.coroutine.ok_or(Torn("a task without a coroutine"))?;
    chain.read(reader, &session.places, coroutine, &|frame| executing(reader, &walked.threads, frame));
    reader.spend_looking(walked.threads.len())?;
    let is_current = walked.threads.iter().any(|thread| thread.running_task == Some(addr));
    if let Some(torn) = chain.torn {
        walked.problems.note(ProblemCode::ChainTorn, torn, Some(addr));
        walked.caught_running |= is_current;
    }
    // A coroutine returns only while its task runs, which then is about to be done.
    if chain.end == Some(End::Done) && !is_current {
        return Err(Torn("it ended while it was read"));
    }
    let waiter_done = match fields.waiter {
        Some(waiter) => future_state(reader, waiter)? != PENDING,
        None => false,
    };
    let state = match (is_current || chain.end == Some(End::Running), fields.waiter) {
        (true, _) => TaskState::Running,
        (false, Some(_)) if !waiter_done => TaskState::Waiting,
        (false, _) => TaskState::Ready,
    };
    note_callbacks(session, addr, &fields, walked);
    let wait = match state {
        TaskState::Waiting | TaskState::Ready => {
            wait::classify(session, chain, fields.waiter, fields.event_loop, walked)
        }
        TaskState::Running | TaskState::Done => None,
    };
    let (holds, contexts) = hold::read(session, &chain.nodes, walked);
    let wait = wait.map(|mut wait| {
        wait.timeout = wait.timeout.or_else(|| wait::timeout_around(session, &contexts));
        wait
    });
    let (created, records) = match fields.source_tb {
        Some(stack) => creation(session, stack, walked).unwrap_or_default(),
        None => (None, None),
    };
    let (connection, transport) = connection::read(session, &chain.nodes).unzip();
    let has_any = connection.is_some() || created.is_some() || records.is_some();
    let rare =
        has_any.then(|| Box::new(Rare { connection, transport, created, records, operations: Vec::new() }));
    let plain = matches!(&*of.name, "_asyncio.Task");
    Ok(Some(Task {
        addr,
        name: fields.name,
        type_name: if plain { None } else { Some(reader.full_type_name(&of)) },
        state,
        cancelling: fields.cancelling,
        event_loop: fields.event_loop,
        chain: session.frames(&chain.nodes),
        waiter: fields.waiter.unwrap_or_default(),
        wait,
        holds,
        contexts,
        rare,
        ground: None,
    }))
}

/// The stack of the thread that executes a frame, from the innermost frame up to that one.
fn executing(reader: &Reader<'_>, threads: &[Thread], frame: Addr) -> Option<Vec<PyFrame>> {
    threads.iter().find_map(|thread| {
        reader.spend_looking(thread.stack.len()).ok()?;
        let end = thread.stack.iter().position(|f| f.addr == frame)?;
        // Each of these frames becomes one of the task's.
        reader.spend(8 * end as u64).ok()?;
        Some(thread.stack[..=end].to_vec())
    })
}

/// The fields of `TaskObj`, copied in one piece.
fn c_fields(reader: &Reader<'_>, addr: Addr) -> Read<Fields> {
    let (t, f) = (&reader.layout.task, &reader.layout.future);
    let mut object = [0; 256];
    let size = usize::try_from(t.size).unwrap_or(0).min(object.len());
    reader.spend_looking(size)?;
    reader.mem.read(addr, &mut object[..size])?;
    let pointer = |offset: u64| {
        usize::try_from(offset)
            .ok()
            .and_then(|at| object.get(at..at + 8))
            .map_or(Addr::NULL, |b| Addr(word(b)))
    };
    let number = |offset: u64| {
        let bytes =
            usize::try_from(offset).ok().and_then(|at| object.get(at..)).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |b| i32::from_le_bytes(*b))
    };
    let name = name_of(reader, pointer(t.name))?;
    let asked = number(t.must_cancel.0).cast_unsigned() & u32::from(t.must_cancel.1) != 0;
    let cancelling = match t.num_cancels {
        Some(offset) => u32::try_from(number(offset)).unwrap_or(0).max(u32::from(asked)),
        None => u32::from(asked),
    };
    Ok(Fields {
        state: number(f.state),
        waiter: pointer(t.fut_waiter).non_null(),
        coroutine: pointer(t.coro).non_null(),
        name,
        event_loop: pointer(f.event_loop),
        cancelling,
        callback0: pointer(f.callback0).non_null(),
        callbacks: pointer(f.callbacks).non_null(),
        source_tb: pointer(f.source_tb).non_null(),
    })
}

/// The attributes of a task that is written in Python.
fn python_fields(reader: &Reader<'_>, addr: Addr) -> Read<Fields> {
    let name = reader.need(addr, "_name")?;
    let cancels = match reader.attr(addr, "_num_cancels_requested")? {
        Some(n) => u32::try_from(reader.int(n)?).unwrap_or(0),
        None => 0,
    };
    let asked = match reader.attr(addr, "_must_cancel")? {
        Some(asked) => reader.truth(asked)?,
        None => false,
    };
    Ok(Fields {
        state: python_state(reader, addr)?,
        waiter: reader.not_none(reader.attr(addr, "_fut_waiter")?)?,
        coroutine: reader.not_none(reader.attr(addr, "_coro")?)?,
        name: reader.fresh_text(name)?,
        event_loop: reader.need(addr, "_loop")?,
        cancelling: cancels.max(u32::from(asked)),
        callback0: None,
        callbacks: reader.not_none(reader.attr(addr, "_callbacks")?)?,
        source_tb: reader.not_none(reader.attr(addr, "_source_traceback")?)?,
    })
}

/// What the name of a task in C says.
fn name_of(reader: &Reader<'_>, name: Addr) -> Read<Text> {
    Ok(match reader.kind_of(name)? {
        // 3.12+: `Task-7` is kept as 7 until someone asks.
        Kind::Int => format!("Task-{}", reader.int(name)?).into(),
        _ => reader.fresh_text(name)?,
    })
}

/// The name of a task.
pub(crate) fn name(reader: &Reader<'_>, task: Addr) -> Read<Text> {
    match reader.kind_of(task)? {
        Kind::Task => name_of(reader, reader.ptr(task + reader.layout.task.name)?),
        _ => reader.fresh_text(reader.need(task, "_name")?),
    }
}

/// The exception that has ended a task, as long as nobody has asked for it: what asyncio logs at the end of the task as
/// "never retrieved".
pub(crate) fn unseen_exception(reader: &Reader<'_>, task: Addr) -> Read<Option<Addr>> {
    if future_state(reader, task)? != FINISHED {
        return Ok(None);
    }
    let (is_unseen, exception) = match reader.kind_of(task)? {
        Kind::Task => {
            let l = &reader.layout.future;
            let (byte, mask) = l.log_traceback;
            (reader.u8(task + byte)? & mask != 0, reader.ptr(task + l.exception)?.non_null())
        }
        _ => {
            let unseen = reader.attr(task, "_Future__log_traceback")?;
            let unseen = unseen.map(|unseen| reader.truth(unseen)).transpose()?;
            (unseen == Some(true), reader.attr(task, "_exception")?)
        }
    };
    reader.not_none(exception.filter(|_| is_unseen))
}

fn python_state(reader: &Reader<'_>, addr: Addr) -> Read<i32> {
    // Set on the class until the future ends.
    match reader.attr(addr, "_state")? {
        None => Ok(PENDING),
        Some(state) => Ok(match &*reader.text(state)? {
            "PENDING" => PENDING,
            "CANCELLED" => CANCELLED_STATE,
            _ => FINISHED,
        }),
    }
}

/// The state of any future: 0 pending, 1 cancelled, 2 finished.
pub(crate) fn future_state(reader: &Reader<'_>, future: Addr) -> Read<i32> {
    match reader.kind_of(future)? {
        Kind::Future | Kind::Task => reader.i32(future + reader.layout.future.state),
        _ => python_state(reader, future),
    }
}

/// The functions that a future will call when it is done.
pub(crate) fn callbacks(reader: &Reader<'_>, future: Addr) -> Read<Vec<Addr>> {
    let mut out = Vec::new();
    let list = match reader.kind_of(future)? {
        Kind::Future | Kind::Task => {
            let l = &reader.layout.future;
            out.extend(reader.ptr(future + l.callback0)?.non_null());
            reader.not_none(reader.ptr(future + l.callbacks)?.non_null())?
        }
        _ => reader.not_none(reader.attr(future, "_callbacks")?)?,
    };
    if let Some(list) = list {
        for pair in reader.list(list)? {
            out.extend(reader.tuple(pair)?.first());
        }
    }
    Ok(out)
}

/// Notes which futures this task will complete when it ends: the outer one of a `shield`, the
/// thread's one of `run_coroutine_threadsafe`.
fn note_callbacks(session: &Session<'_>, task: Addr, fields: &Fields, walked: &mut Walked) {
    let reader = session.reader;
    let all = match (fields.callback0, fields.callbacks) {
        (None, None) => return,
        (Some(only), None) => vec![only],
        _ => callbacks(reader, task).unwrap_or_default(),
    };
    for callback in all {
        match completed_by(reader, callback) {
            Ok(Some(Completes::Future(future))) => {
                walked.completes.insert(future, task);
                walked.ties += 1;
            }
            Ok(Some(Completes::Queue(queue))) => {
                walked.fills.entry(queue).or_default().push(task);
                walked.ties += 1;
            }
            Ok(None) | Err(_) => {}
        }
    }
}

/// What the end of a task sets going.
enum Completes {
    Future(Addr),
    Queue(Addr),
}

/// What a done-callback completes, where it is one that does so.
fn completed_by(reader: &Reader<'_>, callback: Addr) -> Read<Option<Completes>> {
    if reader.kind_of(callback)? != Kind::Function {
        return Ok(None);
    }
    let variable = |name| super::closure::variable(reader, callback, name);
    Ok(match &*reader.function_qualname(callback)? {
        "shield.<locals>._inner_done_callback" => variable("outer")?.map(Completes::Future),
        "_chain_future.<locals>._call_set_state" => variable("destination")?.map(Completes::Future),
        "as_completed.<locals>._on_completion" => variable("done")?.map(Completes::Queue),
        _ => None,
    })
}

/// Where the task was created, as somebody has noted it in `_source_traceback`.
fn creation(
    session: &Session<'_>,
    stack: Addr,
    walked: &Walked,
) -> Read<(Option<Creation>, Option<hook::Records>)> {
    match &walked.hook {
        Some(hook) if hook.is_record(session.reader, stack)? => {
            let (created, records) = hook.creation(session, stack)?;
            Ok((created, Some(records)))
        }
        _ => Ok((debug_mode(session, stack)?, None)),
    }
}

/// asyncio's debug mode keeps a `traceback.StackSummary`: a list of `FrameSummary`s, outermost first.
fn debug_mode(session: &Session<'_>, summary: Addr) -> Read<Option<Creation>> {
    let reader = session.reader;
    if reader.kind_of(summary)? != Kind::List {
        return Ok(None);
    }
    let mut stack = Vec::new();
    for entry in reader.list(summary)? {
        let file = reader.text(reader.need(entry, "filename")?)?;
        let line = match reader.attr(entry, "lineno")? {
            Some(line) => line,
            None => reader.need(entry, "_lineno")?,
        };
        let function = reader.text(reader.need(entry, "name")?)?;
        let line = u32::try_from(reader.int(line)?).unwrap_or(0);
        let origin = session.places.origin_of(&file);
        stack.push(Frame::new(function, file, line, FrameKind::Function, origin));
    }
    Ok(Some(Creation { stack: stack.into(), kept_by: CreationSource::DebugMode, task: None }))
}

/// The coroutine of a task.
pub(crate) fn coroutine(reader: &Reader<'_>, task: Addr) -> Read<Addr> {
    match reader.kind_of(task)? {
        Kind::Task => reader.ptr(task + reader.layout.task.coro),
        _ => reader.need(task, "_coro"),
    }
}

/// Which exception the coroutines of a waiting task are handling; none where not all of them could be read.
pub(crate) fn handling(session: &Session<'_>, task: Addr, walked: &Walked) -> Option<Handling> {
    let reader = session.reader;
    let nodes = nodes(session, task, &mut Chain::default(), walked).ok()?;
    let mut found = Some(Handling::Nothing);
    for node in &nodes {
        let Some(frame) = &node.frame else {
            // Compiled code keeps its own account.
            found = found.filter(|found| *found != Handling::Nothing);
            continue;
        };
        if let Some(exception) = generator::handled(reader, frame).ok()? {
            let name = Text::from(exception.short_name());
            if &*name == CANCELLED {
                return Some(Handling::Exception(name));
            }
            found = Some(Handling::Exception(name));
        }
    }
    found
}

/// Reads a chain again, for those that need its frames after the pass over all tasks.
pub(crate) fn nodes(
    session: &Session<'_>,
    task: Addr,
    chain: &mut Chain,
    walked: &Walked,
) -> Read<Vec<Node>> {
    let reader = session.reader;
    let coroutine = coroutine(reader, task)?;
    chain.read(reader, &session.places, coroutine, &|frame| executing(reader, &walked.threads, frame));
    Ok(std::mem::take(&mut chain.nodes))
}
