//! Reads the tasks of a target that may run on meanwhile, and keeps only what was true.
//!
//! Two pages that were each copied at some moment and are still the same at a later one have both
//! held what we saw at the moment when the later of the copies was made. So a task is known to be whole when
//! none of the pages that it was read from has changed since; one that was not is read again, alone,
//! which takes microseconds, until it is.

use super::chain::Chain;
use super::find::{self, Found};
use super::task;
use super::walk::{Check, Problems, Session, Task, Walked};
use crate::cpython::object::{Read, Torn};
use crate::cpython::runtime::{self, Interpreter, Stack, ThreadState};
use crate::memory::addr::Addr;
use async_trace_core::snapshot::ProblemCode;
use rustc_hash::FxHashSet;

/// How often a list that changes under our eyes, or a task that does, is read again.
const MAX_LISTS: u32 = 16;
const MAX_TRIES: u32 = 12;

/// One task, with what tells whether it was whole.
struct Attempt {
    addr: Addr,
    task: Read<Option<Task>>,
    problems: Problems,
    pages: Box<[u32]>,
    late: bool,
}

/// Reads a thread's stack until it is whole. That of a thread which is on a CPU all the time may never be:
/// then it is shown as it was seen last, and said to be torn.
pub(crate) fn stack(session: &Session<'_>, thread: &ThreadState, check: Check) -> Stack {
    let reader = session.reader;
    if check != Check::All {
        return runtime::stack(reader, thread);
    }
    let mut tries = 0;
    loop {
        reader.mem.begin_trace();
        let mut stack = runtime::stack(reader, thread);
        let pages = reader.mem.end_trace();
        if reader.mem.changed(&pages).is_empty() {
            return stack;
        }
        tries += 1;
        if tries >= MAX_TRIES {
            stack.torn = stack.torn.or(Some(Torn("it changed each time it was read")));
            return stack;
        }
        reader.mem.expire(&pages);
    }
}

/// Reads all tasks of an interpreter.
pub(crate) fn read_tasks(
    session: &Session<'_>,
    interpreter: Interpreter,
    threads: &[ThreadState],
    asyncio: Addr,
    check: Check,
    walked: &mut Walked,
) {
    let mem = session.reader.mem;
    let found = find_tasks(session, interpreter, threads, asyncio, check);
    for torn in &found.torn {
        walked.problems.note(ProblemCode::TaskListTorn, *torn, None);
    }
    if check == Check::Nothing {
        mem.prefetch(&found.tasks);
    }
    let mut chain = Chain::default();
    let mut attempts = Vec::with_capacity(found.tasks.len());
    for addr in found.tasks {
        attempts.push(attempt(session, addr, &mut chain, check == Check::All, walked));
        session.tick.borrow_mut()();
    }
    let suspects: Vec<usize> = match check {
        Check::Nothing => Vec::new(),
        Check::Late => (0..attempts.len()).filter(|i| attempts[*i].late).collect(),
        Check::All => {
            let mut pages: Vec<u32> = attempts.iter().flat_map(|a| a.pages.iter().copied()).collect();
            pages.sort_unstable();
            pages.dedup();
            let changed: FxHashSet<u32> = mem.changed(&pages).into_iter().collect();
            let is_suspect =
                |a: &Attempt| a.task.is_err() || a.pages.iter().any(|page| changed.contains(page));
            (0..attempts.len()).filter(|i| is_suspect(&attempts[*i])).collect()
        }
    };
    if !suspects.is_empty() {
        let mut lost = Vec::new();
        for index in suspects {
            match settled(session, attempts[index].addr, &mut chain, walked) {
                Some(again) => attempts[index] = again,
                None => {
                    attempts[index].task = Err(Torn("it changed each time it was read"));
                    lost.push(attempts[index].addr);
                }
            }
        }
        // Of those that were never whole, some have ended meanwhile: they are no problem.
        let still: FxHashSet<Addr> =
            find_tasks(session, interpreter, threads, asyncio, Check::All).tasks.into_iter().collect();
        attempts.retain(|a| a.task.is_ok() || still.contains(&a.addr));
    }
    walked.tasks.reserve(attempts.len());
    for attempt in attempts {
        walked.problems.append(attempt.problems);
        match attempt.task {
            Ok(Some(task)) => {
                walked.index.insert(attempt.addr, walked.tasks.len());
                walked.tasks.push(task);
            }
            Ok(None) => {}
            Err(torn) => walked.problems.note(ProblemCode::TaskUnreadable, torn, Some(attempt.addr)),
        }
    }
}

/// The addresses of all tasks. A list that is being changed is read again.
fn find_tasks(
    session: &Session<'_>,
    interpreter: Interpreter,
    threads: &[ThreadState],
    asyncio: Addr,
    check: Check,
) -> Found {
    let mem = session.reader.mem;
    for _ in 0..MAX_LISTS {
        let late = mem.late();
        mem.begin_trace();
        let mut found = Found::default();
        find::tasks(session.reader, interpreter, threads, asyncio, &mut found);
        let pages = mem.end_trace();
        let whole = match check {
            Check::Nothing => true,
            Check::Late => mem.late() == late || mem.changed(&pages).is_empty(),
            Check::All => found.torn.is_empty() && mem.changed(&pages).is_empty(),
        };
        if whole {
            return found;
        }
        mem.expire(&pages);
    }
    // It never stood still: what was seen last is most of it, and each task is checked by itself.
    let mut found = Found::default();
    find::tasks(session.reader, interpreter, threads, asyncio, &mut found);
    found
}

/// Reads one task.
fn attempt(
    session: &Session<'_>,
    addr: Addr,
    chain: &mut Chain,
    traced: bool,
    walked: &mut Walked,
) -> Attempt {
    let mem = session.reader.mem;
    let late = mem.late();
    if traced {
        mem.begin_trace();
    }
    // Problems count only if this attempt is the one that is kept.
    let before = std::mem::take(&mut walked.problems);
    let task = task::read(session, addr, chain, walked);
    let problems = std::mem::replace(&mut walked.problems, before);
    let pages = if traced { mem.end_trace() } else { Box::default() };
    Attempt { addr, task, problems, pages, late: mem.late() != late }
}

/// Reads one task until it is whole.
fn settled(session: &Session<'_>, addr: Addr, chain: &mut Chain, walked: &mut Walked) -> Option<Attempt> {
    let mem = session.reader.mem;
    let mut pages = attempt(session, addr, chain, true, walked).pages;
    for _ in 0..MAX_TRIES {
        mem.expire(&pages);
        let again = attempt(session, addr, chain, true, walked);
        if again.task.is_ok() && again.problems.list.is_empty() && mem.changed(&again.pages).is_empty() {
            return Some(again);
        }
        pages = again.pages;
    }
    None
}
