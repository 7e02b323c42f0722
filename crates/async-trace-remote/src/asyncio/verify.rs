//! Reads the tasks of a target that may run on meanwhile, and keeps only what was true.
//!
//! Two words that were each copied at some moment and are still the same at a later one have both
//! held what we saw at the moment when the later of the copies was made. So a task is known to be whole when
//! nothing that it was read from has changed since; one that was not is read again, alone,
//! which takes microseconds, until it is.

use super::chain::Chain;
use super::find::{self, Found};
use super::motion;
use super::resource::Resources;
use super::task;
use super::walk::{Check, Ground, On, Problems, Session, Task, Walked};
use crate::cpython::object::{Read, Torn};
use crate::cpython::runtime::{self, Interpreter, Stack, ThreadState};
use crate::memory::addr::Addr;
use crate::memory::pages::{Footprint, Pages, Trace};
use crate::process::pause::Paused;
use async_trace_core::snapshot::{ProblemCode, TaskState};
use rustc_hash::{FxHashMap, FxHashSet};
use std::mem::{replace, take};
use std::ops::Range;
use std::time::{Duration, Instant};

/// How often a list that changes under our eyes, or a task that does, is read again.
const MAX_LISTS: u32 = 16;
const MAX_TRIES: u32 = 40;
/// How often tasks are read again whose resource has become another.
const MAX_ROUNDS: u32 = 4;
/// How often it is tried with a task that is being executed.
const RUNNING_TRIES: u32 = 2;
/// How often it has to look the same. All of it is copied within microseconds, and all but the first time in one call: what
/// is not whole would have to come full circle and be caught at the same step each time.
pub(crate) const LOOKS: usize = 3;
/// How long the target is stopped again for tasks that were not whole.
const SECOND_PAUSE: Duration = Duration::from_micros(1500);

/// One task, with what tells whether it was whole.
pub(crate) struct Attempt {
    pub addr: Addr,
    pub task: Read<Option<Task>>,
    pub problems: Problems,
    /// What it was read from, where that was not compared at once.
    trace: Trace,
    late: bool,
}

impl Attempt {
    /// Whether it makes sense.
    pub(crate) fn is_well(&self) -> bool {
        self.task.is_ok() && self.problems.list.is_empty()
    }
}

/// Reads a thread's stack until it is whole. That of a thread which is on a CPU all the time may never be:
/// then it is shown as it was seen last, and said to be torn.
pub(crate) fn stack(session: &Session<'_>, thread: &ThreadState, check: Check) -> Stack {
    let reader = session.reader;
    if check != Check::All {
        return runtime::stack(reader, thread);
    }
    let (mut stack, whole) =
        steadily(session, check, MAX_TRIES, 1, |_| true, || runtime::stack(reader, thread));
    if !whole {
        stack.torn = stack.torn.or(Some(Torn("it changed each time it was read")));
    }
    stack
}

/// Reads the queues and timers of a loop until they are whole; and whether it came to that.
pub(crate) fn queues<T>(session: &Session<'_>, check: Check, read: impl Fn() -> T) -> (T, bool) {
    steadily(session, check, MAX_LISTS, LOOKS, |_| true, read)
}

/// Reads something until it is whole and well, and where the target runs looks the same that often; and whether it
/// came to that.
fn steadily<T>(
    session: &Session<'_>,
    check: Check,
    tries: u32,
    looks: usize,
    is_well: impl Fn(&T) -> bool,
    read: impl Fn() -> T,
) -> (T, bool) {
    let mem = session.reader.mem;
    if check != Check::All {
        // Mostly nothing of it is late, and it need not be known what was read.
        let late = mem.late_reads();
        let value = read();
        if check == Check::Nothing || mem.late_reads() == late {
            return (value, true);
        }
    }
    let mut left = tries;
    loop {
        let late = mem.late_reads();
        mem.begin_trace();
        let value = read();
        let trace = mem.end_trace();
        let whole = match check {
            Check::Nothing => true,
            Check::Late => mem.late_reads() == late || mem.is_same(&trace, 1),
            // Where it is not, what it is now is read next.
            Check::All => mem.is_same(&trace, if is_well(&value) { looks } else { 1 }) && is_well(&value),
        };
        left = left.saturating_sub(1);
        if whole || left == 0 {
            return (value, whole);
        }
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
    let mut chain = Chain::default();
    let mem = session.reader.mem;
    mem.note_footprints(check == Check::Nothing || session.keeps);
    let mut found = find_or_reuse(session, interpreter, threads, asyncio, check);
    for torn in &found.torn {
        walked.problems.note(ProblemCode::TaskListTorn, *torn, None);
    }
    if walked.tasks.is_empty() {
        session.scouted.borrow_mut().reuse(session, &mut found, walked);
    }
    walked.moved += found.tasks.len();
    if check == Check::Nothing {
        scout(session, &found.tasks, &mut chain, walked);
        mem.note_footprints(false);
        return;
    }
    // They moved between two looks, and are likely to do so again: where the target runs, none is taken for
    // whole in passing.
    let mut attempts = match check {
        Check::Nothing => return,
        Check::Late => {
            found.tasks.into_iter().map(|addr| traced(session, addr, &mut chain, walked)).collect()
        }
        Check::All => read_running(session, found.tasks, &mut chain, walked),
    };
    // Those that were read when the pause was over, or never stood still.
    let mut lost: Vec<usize> = (0..attempts.len()).filter(|index| attempts[*index].late).collect();
    if !lost.is_empty() {
        // Comparing may not notice what was changed and changed back meanwhile. Stopping is surer.
        read_paused(session, &mut lost, &mut attempts, &mut chain, walked);
        lost.retain(|index| {
            // Where the target runs, that was tried already.
            if check == Check::Late {
                let again = settled_anew(session, &attempts[*index], &mut chain, walked);
                if !again.late {
                    attempts[*index] = again;
                    outdate(*index, &mut attempts, walked);
                    return false;
                }
            }
            attempts[*index].task = Err(Torn("it changed each time it was read"));
            true
        });
        // Of those that were never whole, some have ended meanwhile: they are no problem.
        if !lost.is_empty() {
            let still = find_tasks(session, interpreter, threads, asyncio, Check::All, 1);
            let there: FxHashSet<Addr> = still.tasks.into_iter().collect();
            attempts.retain(|a| a.task.is_ok() || !still.torn.is_empty() || there.contains(&a.addr));
        }
    }
    mem.note_footprints(false);
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

/// What a pass has found. Most tasks of most targets stand still: what was read of those is good for the
/// next pass too, if it finds their pages unchanged.
#[derive(Default)]
pub(crate) struct Scouted {
    /// The lists of tasks that the first pass has walked.
    lists: Vec<List>,
    /// Those that stood still, with their grounds.
    tasks: Vec<Task>,
    asked: Vec<Addr>,
    resources: Resources,
    carriers: FxHashMap<Addr, Vec<Addr>>,
}

/// The tasks of an interpreter, and what their list was read from.
struct List {
    interpreter: Addr,
    /// Those whose lists it was read from.
    threads: Box<[Addr]>,
    found: Found,
    footprint: Footprint,
}

impl Scouted {
    /// Keeps what the first pass has found when it is over.
    pub(crate) fn keep(&mut self, walked: &mut Walked) {
        self.tasks = take(&mut walked.tasks);
        self.tasks.retain(|task| task.ground.is_some());
        self.asked = take(&mut walked.resources.asked);
        self.resources = take(&mut walked.resources);
        self.carriers = take(&mut walked.files.carriers);
    }

    /// Keeps what a later pass has found so far.
    pub(crate) fn copy(&mut self, walked: &Walked) {
        self.tasks = walked.tasks.iter().filter(|task| task.ground.is_some()).cloned().collect();
        self.asked.clone_from(&walked.resources.asked);
        // Only the pass after the first can use them.
        self.lists.clear();
        self.resources = walked.resources.clone();
        self.carriers.clone_from(&walked.files.carriers);
    }

    /// All places that it knows of.
    pub(crate) fn footprints(&mut self) -> impl Iterator<Item = &mut Footprint> {
        let tasks = self.tasks.iter_mut().filter_map(|task| task.ground.as_mut());
        let resources = self.resources.list.iter_mut().map(|resource| &mut resource.footprint);
        tasks.map(|ground| &mut ground.footprint).chain(resources)
    }

    /// Takes over the tasks that are as the earlier pass saw them, and leaves the others in the list.
    fn reuse(&mut self, session: &Session<'_>, found: &mut Found, walked: &mut Walked) {
        let mut tasks = take(&mut self.tasks);
        tasks.retain_mut(|task| {
            let Some(ground) = task.ground.take() else { return false };
            let is_same = found.contains(task.addr) && self.is_same(session, task, &ground, walked);
            if is_same {
                let begin = walked.resources.asked.len();
                walked.resources.asked.extend_from_slice(ground.asked_of(&self.asked));
                task.ground = Some(Ground { asked: range(begin, walked.resources.asked.len()), ..ground });
            }
            is_same
        });
        walked.index = tasks.iter().enumerate().map(|(index, task)| (task.addr, index)).collect();
        walked.tasks = tasks;
        found.tasks.retain(|addr| !walked.index.contains_key(addr));
        *self = Self { lists: take(&mut self.lists), ..Self::default() };
        if session.keeps {
            session.reader.mem.forget_changes();
        }
    }

    fn is_same(&mut self, session: &Session<'_>, task: &Task, ground: &Ground, walked: &mut Walked) -> bool {
        let reader = session.reader;
        let Self { asked, resources, carriers, .. } = self;
        if !reader.mem.is_unchanged(&ground.footprint)
            || walked.threads.iter().any(|thread| thread.running_task == Some(task.addr))
            || !ground.asked_of(asked).iter().all(|addr| walked.resources.adopt(reader, resources, *addr))
        {
            return false;
        }
        if let Some(wait) = &task.wait
            && let On::Resource(object) | On::Future(object) = wait.on
        {
            if let Some(carriers) = carriers.get(&object) {
                walked.files.carriers.insert(object, carriers.clone());
            }
            if let Some(pool) = wait.within {
                walked.resources.set_within(object, Some(pool));
            }
        }
        true
    }
}

fn range(begin: usize, end: usize) -> Range<u32> {
    let at = |place| u32::try_from(place).unwrap_or(u32::MAX);
    at(begin)..at(end)
}

/// Reads tasks for the first time.
fn scout(session: &Session<'_>, tasks: &[Addr], chain: &mut Chain, walked: &mut Walked) {
    walked.tasks.reserve(tasks.len());
    for addr in tasks {
        if let Ok(Some(task)) = attempt(session, *addr, chain, walked, |_| ()).0.task {
            walked.index.insert(*addr, walked.tasks.len());
            walked.tasks.push(task);
        }
    }
}

/// Reads tasks of a target that runs. Those that never stood still are late.
fn read_running(
    session: &Session<'_>,
    mut tasks: Vec<Addr>,
    chain: &mut Chain,
    walked: &mut Walked,
) -> Vec<Attempt> {
    let mut attempts: Vec<Attempt> = Vec::with_capacity(tasks.len());
    for _ in 0..MAX_ROUNDS {
        let mut again = Vec::new();
        let mut keep = |read, walked: &mut Walked| {
            again.append(&mut replaced(&mut attempts, walked));
            attempts.push(read);
        };
        // They have moved between two passes, and are likely to do so again: none is taken for whole in passing.
        for addr in motion::read(session, &tasks, chain, walked, &mut keep) {
            keep(settled(session, addr, chain, walked), walked);
        }
        tasks = again;
        if tasks.is_empty() {
            return attempts;
        }
    }
    // What they have is another's each time.
    let late = |addr| Attempt {
        addr,
        task: Err(Torn("what it has changed each time")),
        problems: Problems::default(),
        trace: Trace::default(),
        late: true,
    };
    attempts.extend(tasks.into_iter().map(late));
    attempts
}

/// What a task was seen to wait for or to hold may have been freed, and its memory used again, before another task
/// was looked at that has what is there now. Then the first has moved on: such tasks are taken out.
fn replaced(attempts: &mut Vec<Attempt>, walked: &mut Walked) -> Vec<Addr> {
    let replaced: FxHashSet<Addr> = walked.resources.replaced.drain(..).collect();
    if replaced.is_empty() {
        return Vec::new();
    }
    let is_old = |task: &Task| task.concerns().any(|resource| replaced.contains(&resource));
    let mut old: Vec<Task> = walked.tasks.extract_if(.., |task| is_old(task)).collect();
    if !old.is_empty() {
        walked.index = walked.tasks.iter().enumerate().map(|(at, task)| (task.addr, at)).collect();
    }
    let read = attempts.extract_if(.., |old| matches!(&old.task, Ok(Some(task)) if is_old(task)));
    old.extend(read.filter_map(|attempt| attempt.task.ok().flatten()));
    // What else they have is of that moment, too.
    walked.resources.doubt(old.iter().flat_map(Task::concerns));
    old.into_iter().map(|task| task.addr).collect()
}

/// The same where one task was read later than all others: those that had what is another object now are of another moment,
/// and are left out.
fn outdate(later: usize, attempts: &mut [Attempt], walked: &mut Walked) {
    let replaced: FxHashSet<Addr> = walked.resources.replaced.drain(..).collect();
    if replaced.is_empty() {
        return;
    }
    let torn = Torn("what it has became another's while it was read");
    let is_old = |task: &Task| task.concerns().any(|resource| replaced.contains(&resource));
    for (_, old) in attempts.iter_mut().enumerate().filter(|(index, _)| *index != later) {
        if matches!(&old.task, Ok(Some(task)) if is_old(task)) {
            old.task = Err(torn);
        }
    }
    for old in walked.tasks.extract_if(.., |task| is_old(task)) {
        walked.problems.note(ProblemCode::TaskUnreadable, torn, Some(old.addr));
    }
    walked.index = walked.tasks.iter().enumerate().map(|(at, task)| (task.addr, at)).collect();
}

/// The addresses of all tasks; as the first pass found them, where its list is what it was.
fn find_or_reuse(
    session: &Session<'_>,
    interpreter: Interpreter,
    threads: &[ThreadState],
    asyncio: Addr,
    check: Check,
) -> Found {
    let mem = session.reader.mem;
    let places = || threads.iter().map(|thread| thread.addr);
    let lists = &mut session.scouted.borrow_mut().lists;
    if check != Check::Nothing
        && let Some(at) = lists.iter().position(|list| list.interpreter == interpreter.addr)
        && let list = lists.swap_remove(at)
        && list.threads.iter().copied().eq(places())
        && mem.is_unchanged(&list.footprint)
    {
        return list.found;
    }
    let begin = mem.begin_footprint();
    let found = find_tasks(session, interpreter, threads, asyncio, check, MAX_LISTS);
    if check == Check::Nothing && found.torn.is_empty() {
        lists.push(List {
            interpreter: interpreter.addr,
            threads: places().collect(),
            found: found.clone(),
            footprint: mem.end_footprint(begin),
        });
    }
    found
}

/// The addresses of all tasks. A list that is being changed is read again.
fn find_tasks(
    session: &Session<'_>,
    interpreter: Interpreter,
    threads: &[ThreadState],
    asyncio: Addr,
    check: Check,
    tries: u32,
) -> Found {
    let read = || {
        let mut found = Found::default();
        find::tasks(session.reader, interpreter, threads, asyncio, &mut found);
        found
    };
    // All tasks will be read after it, and the list once more when it stands still.
    session.reader.mem.keep(true);
    // One that never stood still is most of it all the same, and each task is checked by itself.
    let (found, _) = steadily(session, check, tries, 1, |found| found.torn.is_empty(), read);
    session.reader.mem.keep(false);
    found
}

/// Reads one task, and keeps what it was read from.
fn traced(session: &Session<'_>, addr: Addr, chain: &mut Chain, walked: &mut Walked) -> Attempt {
    let (attempt, trace) = attempt(session, addr, chain, walked, Pages::end_trace);
    Attempt { trace, ..attempt }
}

/// Reads one task. `end` ends the trace of what it was read from, unless this is the first pass.
pub(crate) fn attempt<T: Default>(
    session: &Session<'_>,
    addr: Addr,
    chain: &mut Chain,
    walked: &mut Walked,
    end: impl FnOnce(&Pages) -> T,
) -> (Attempt, T) {
    let mem = session.reader.mem;
    let (ties, asked) = (walked.ties, walked.resources.asked.len());
    let late = mem.late_reads();
    let begin = mem.begin_footprint();
    if !walked.scouting {
        mem.begin_trace();
    }
    // Problems count only if this attempt is the one that is kept.
    let before = take(&mut walked.problems);
    let mut task = task::read(session, addr, chain, walked);
    let problems = replace(&mut walked.problems, before);
    let ended = if walked.scouting { T::default() } else { end(mem) };
    if let Ok(Some(task)) = &mut task
        && task.state == TaskState::Waiting
        && problems.list.is_empty()
        && walked.ties == ties
    {
        let asked = range(asked, walked.resources.asked.len());
        task.ground = Some(Ground { footprint: mem.end_footprint(begin), asked });
    }
    let trace = Trace::default();
    (Attempt { addr, task, problems, trace, late: mem.late_reads() != late }, ended)
}

/// Reads such tasks while the target stands still for another short time, if it may be stopped.
fn read_paused(
    session: &Session<'_>,
    lost: &mut Vec<usize>,
    attempts: &mut [Attempt],
    chain: &mut Chain,
    walked: &mut Walked,
) {
    let Some(pid) = session.may_pause.get().filter(|_| !lost.is_empty()) else { return };
    let until = Instant::now() + SECOND_PAUSE;
    let Ok(paused) = Paused::begin(pid, until) else { return };
    if paused.unstopped().is_empty() {
        lost.retain(|index| {
            if Instant::now() >= until {
                return true;
            }
            let again = settled_anew(session, &attempts[*index], chain, walked);
            let is_late = again.late;
            if !is_late {
                attempts[*index] = again;
                outdate(*index, attempts, walked);
            }
            is_late
        });
    }
    session.paused_again.set(session.paused_again.get() + paused.release());
}

/// Reads one task again, of which what is known may be old.
fn settled_anew(session: &Session<'_>, first: &Attempt, chain: &mut Chain, walked: &mut Walked) -> Attempt {
    session.reader.mem.renew(&first.trace);
    settled(session, first.addr, chain, walked)
}

/// Reads one task until it is whole; else it is late, and as it was seen last.
fn settled(session: &Session<'_>, addr: Addr, chain: &mut Chain, walked: &mut Walked) -> Attempt {
    let mem = session.reader.mem;
    let mut tries = 0;
    loop {
        let mark = walked.resources.mark();
        let attempt = traced(session, addr, chain, walked);
        let is_well = attempt.is_well();
        // Where it has changed, the next try is with what it is now.
        let is_same = mem.is_same_still(&attempt.trace, if is_well { LOOKS } else { 1 });
        if is_well && is_same {
            return Attempt { late: false, ..attempt };
        }
        walked.resources.cut(mark);
        tries += 1;
        let is_running = matches!(&attempt.task, Ok(Some(task)) if task.state == TaskState::Running);
        // What is being executed stands still never.
        if tries >= MAX_TRIES || (is_running && tries > RUNNING_TRIES) {
            return Attempt { late: true, ..attempt };
        }
    }
}
