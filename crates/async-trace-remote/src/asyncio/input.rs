//! Whether anybody is left who could write to a child process, read from it, or close its input, beside those who wait for its end.
//!
//! A child that waits for its next order is no trouble: somebody will give it. So the references to `asyncio.subprocess.Process`
//! and to its streams are counted, as [`reach`](super::reach) counts those to futures: where the frames of tasks that wait for the child
//! to end have all of them, nobody else can.

use super::chain::Chain;
use super::walk::{On, Session, Task, Walked};
use super::{reach, task};
use crate::cpython::object::{Kind, Read, Reader};
use crate::cpython::references;
use crate::memory::addr::Addr;
use async_trace_core::snapshot::TaskState;
use rustc_hash::FxHashSet;

/// How many tasks wait together for one child, and how many others are asked.
const MAX_WAITING: usize = 64;
const MAX_TASKS: usize = 4096;
const MAX_OTHERS: usize = 512;

/// Whether only those who wait for the end of a child can get at it: `waiting` are tasks that wait for it or read from it, and
/// `fd` is this process's end of the pipe. It is false where another task has it, and not known where something else has.
pub(crate) fn is_abandoned(
    session: &Session<'_>,
    walked: &Walked,
    waiting: &[Addr],
    fd: i32,
) -> Option<bool> {
    if walked.tasks.len() > MAX_TASKS || waiting.len() > MAX_WAITING {
        return None;
    }
    let together = together(session, walked, waiting);
    let tasks = together.iter().filter_map(|addr| walked.task(*addr));
    let held = reach::held_by(session, walked, tasks);
    let reader = session.reader;
    let is_end = |stream: &Addr| {
        let Ok(Some(transport)) = reader.attr(*stream, "_transport") else { return false };
        // A pipe that is not read is not watched either.
        let number = || reader.int(reader.attr(transport, "_fileno").ok()??).ok();
        walked.files.by_object.get(&transport) == Some(&fd) || number() == Some(fd.into())
    };
    let (process, stream) =
        held.keys().filter(|object| is_process(reader, **object)).find_map(|process| {
            let stream = streams(reader, *process).ok()?.into_iter().find(is_end)?;
            Some((*process, stream))
        })?;
    // Whether there is nothing but those frames, and so many others, that has it.
    let is_whole = |object: Addr, others: usize| {
        let known = held.get(&object).copied().unwrap_or(0) + others;
        references::count(reader, object) == Ok(Some(known as u64))
            && reader.has_weak_references(object) == Ok(false)
    };
    // The process and its protocol each have the stream.
    if is_whole(process, 0) && is_whole(stream, 2) {
        return Some(true);
    }
    let others =
        || walked.tasks.iter().filter(|task| task.state != TaskState::Done && !together.contains(&task.addr));
    let has_it = |object: Addr| object == process || object == stream;
    let is_user = |task: &Task| {
        let held = reach::held_by(session, walked, [task]);
        held.keys().any(|object| {
            let behind =
                || reader.attrs(*object).is_ok_and(|attrs| attrs.iter().any(|(_, value)| has_it(*value)));
            has_it(*object) || reader.kind_of(*object) == Ok(Kind::Other) && behind()
        })
    };
    (others().count() <= MAX_OTHERS && others().any(is_user)).then_some(false)
}

/// Those who wait for these tasks and cannot go on without them, and themselves.
fn together(session: &Session<'_>, walked: &Walked, waiting: &[Addr]) -> FxHashSet<Addr> {
    let mut together: FxHashSet<Addr> = waiting
        .iter()
        .copied()
        .filter(|task| walked.task(*task).is_some_and(|t| is_for_the_end(session, walked, t)))
        .collect();
    loop {
        let before = together.len();
        for task in &walked.tasks {
            if let Some(On::Tasks { pending, any, .. }) = task.wait.as_ref().map(|wait| &wait.on)
                && (*any != Some(true) || pending.len() == 1)
                && pending.iter().any(|addr| together.contains(addr))
            {
                together.insert(task.addr);
            }
        }
        if together.len() == before || together.len() > MAX_WAITING {
            return together;
        }
    }
}

/// Whether a task that waits for a child waits for its end: not for the next line that it writes.
fn is_for_the_end(session: &Session<'_>, walked: &Walked, task: &Task) -> bool {
    match task.wait.as_ref().map(|wait| &wait.on) {
        Some(On::Process(_)) => true,
        Some(On::File(_)) => reads_all(session, walked, task),
        _ => false,
    }
}

/// Whether it is in `StreamReader.read()` without a limit.
fn reads_all(session: &Session<'_>, walked: &Walked, task: &Task) -> bool {
    let reader = session.reader;
    let mut chain = Chain::default();
    let Ok(nodes) = task::nodes(session, task.addr, &mut chain, walked) else { return false };
    nodes.iter().filter_map(|node| node.frame.as_ref()).any(|frame| {
        let is_read = &*frame.code.name == "read" && frame.code.file.ends_with("asyncio/streams.py");
        let limit = || reader.int(frame.local(reader, "n").ok()??).ok();
        is_read && limit().is_some_and(|n| n < 0)
    })
}

fn is_process(reader: &Reader<'_>, object: Addr) -> bool {
    reader.kind_of(object) == Ok(Kind::Other)
        && reader.type_of(object).is_ok_and(|of| &*reader.full_type_name(&of) == "asyncio.subprocess.Process")
}

fn streams(reader: &Reader<'_>, process: Addr) -> Read<Vec<Addr>> {
    let mut out = Vec::new();
    for name in ["stdin", "stdout", "stderr"] {
        out.extend(reader.not_none(reader.attr(process, name)?)?);
    }
    Ok(out)
}
