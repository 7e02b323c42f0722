//! One pass over all that can change: threads, tasks, what they wait for and hold, loops.

use super::chain::Node;
use super::executor::Executors;
use super::find;
use super::io::Files;
use super::places::Places;
use super::resource::Resources;
use super::verify::Scouted;
use crate::cpython::frame::Frame as PyFrame;
use crate::cpython::object::{OVER_BUDGET, Reader, Torn};
use crate::cpython::runtime::{self, Interpreter, ThreadState};
use crate::memory::addr::Addr;
use crate::memory::pages::Footprint;
use async_trace_core::frame::{Frame, Local};
use async_trace_core::snapshot::{
    Callback, Connection, Context, Creation, LoopState, Operation, ProblemCode, TaskState, Trust, Verb,
};
use async_trace_core::text::Text;
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// By which name a place calls an object.
pub(crate) type Names = FxHashMap<(Addr, u32), Option<Text>>;

/// What is the same for every pass over one target.
pub(crate) struct Session<'t> {
    pub reader: &'t Reader<'t>,
    pub places: Places,
    /// `_PyRuntime`.
    pub runtime: Addr,
    /// The target's own number for itself, in its own namespace; 0 where it is not known.
    pub inner_pid: u32,
    /// Read local variables too.
    pub locals: bool,
    /// The clock of event loops (`CLOCK_MONOTONIC`, in seconds) at the moment of the pass.
    pub now: Cell<Option<f64>>,
    /// Names by which lines of code call objects; the same in every pass.
    pub names: RefCell<Names>,
    /// What an earlier pass has found, for the one after it.
    pub scouted: RefCell<Scouted>,
    /// There will be another pass, which wants to know what this one has found.
    pub keeps: bool,
    /// Only threads and loops are of interest.
    pub glance: bool,
    /// The process, where it may be stopped, and how long that was done beside the pause for copying.
    pub may_pause: Cell<Option<u32>>,
    pub paused_again: Cell<Duration>,
}

/// A thread, as memory shows it.
pub(crate) struct Thread {
    pub state: ThreadState,
    /// `threading`'s name for it.
    pub name: Option<Text>,
    /// Innermost frame first.
    pub stack: Vec<PyFrame>,
    pub chain: Arc<[Frame]>,
    pub running_loop: Option<Addr>,
    pub running_task: Option<Addr>,
    pub holds: Vec<Hold>,
    pub waits_for: Option<Wait>,
}

/// A task, as memory shows it.
#[derive(Clone)]
pub(crate) struct Task {
    pub addr: Addr,
    pub name: Text,
    pub type_name: Option<Text>,
    pub state: TaskState,
    pub cancelling: u32,
    pub event_loop: Addr,
    pub chain: Arc<[Frame]>,
    pub waiter: Addr,
    pub wait: Option<Wait>,
    pub holds: Vec<Hold>,
    pub contexts: Vec<Context>,
    /// What most tasks have nothing of: there may be 100,000 of them.
    pub rare: Option<Box<Rare>>,
    /// What it was read from, where that is to be compared with what will be there later.
    pub ground: Option<Ground>,
}

/// What few tasks have.
#[derive(Clone, Default)]
pub(crate) struct Rare {
    /// The client connection that it serves.
    pub connection: Option<Connection>,
    /// The transport of that connection.
    pub transport: Option<Addr>,
    pub created: Option<Creation>,
    /// What async-trace's own hook has for it.
    pub records: Option<super::hook::Records>,
    pub operations: Vec<Operation>,
}

impl Task {
    /// The resources that it waits for or holds.
    pub(crate) fn concerns(&self) -> impl Iterator<Item = Addr> {
        let waits = self.wait.as_ref().into_iter().flat_map(|wait| {
            let on = match wait.on {
                On::Resource(resource) => Some(resource),
                _ => None,
            };
            on.into_iter().chain(wait.within)
        });
        waits.chain(self.holds.iter().map(|hold| hold.resource))
    }
}

/// What a task was read from.
#[derive(Clone)]
pub(crate) struct Ground {
    pub footprint: Footprint,
    /// Which of [`Resources::asked`] it asked for.
    pub asked: Range<u32>,
}

impl Ground {
    /// The resources that it asked for, of `all` that were.
    pub(crate) fn asked_of<'a>(&self, all: &'a [Addr]) -> &'a [Addr] {
        all.get(self.asked.start as usize..self.asked.end as usize).unwrap_or_default()
    }
}

/// Something held.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    pub resource: Addr,
    pub frame: u32,
    pub trust: Trust,
    pub name: Option<Text>,
    pub taken_line: Option<u32>,
    /// The place of a suspended generator that has it, which is no part of the chain.
    pub through: Option<u32>,
}

/// A wait, before all that it could be linked with is known.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    pub on: On,
    pub verb: Verb,
    pub trust: Trust,
    pub name: Option<Text>,
    pub within: Option<Addr>,
    /// The loop's time at which a timeout around it fires.
    pub timeout: Option<f64>,
}

/// What is waited for.
#[derive(Clone, Debug)]
pub(crate) enum On {
    Tasks {
        pending: Vec<Addr>,
        done: u32,
        any: Option<bool>,
    },
    Resource(Addr),
    Timer(Option<f64>),
    Process(Option<u32>),
    File(i32),
    Job(Addr),
    /// The queue of an `as_completed`.
    AsCompleted(Addr),
    Future(Addr),
    Turn,
    Unknown(Text),
}

/// An event loop, as memory shows it.
pub(crate) struct EventLoop {
    pub addr: Addr,
    pub kind: Text,
    pub state: LoopState,
    pub thread: Option<u32>,
    pub task: Option<Addr>,
    pub ready: Option<u64>,
    pub ready_callbacks: Vec<Callback>,
    pub timers: Option<u64>,
    pub next_timer: Option<f64>,
    pub turn_started: Option<f64>,
    pub watched_fds: Option<u64>,
    pub debug: bool,
    pub executor: Option<Addr>,
}

/// What went wrong, counted by kind.
#[derive(Clone, Default)]
pub(crate) struct Problems {
    pub list: Vec<(ProblemCode, Text, Option<Addr>, u64)>,
    by_kind: FxHashMap<(ProblemCode, &'static str), usize>,
}

impl Problems {
    /// Adds those of another list.
    pub(crate) fn append(&mut self, other: Self) {
        for ((code, why), index) in other.by_kind {
            let Some((_, message, task, count)) = other.list.get(index).cloned() else { continue };
            match self.by_kind.get(&(code, why)) {
                Some(known) => self.list[*known].3 += count,
                None => {
                    self.by_kind.insert((code, why), self.list.len());
                    self.list.push((code, message, task, count));
                }
            }
        }
    }

    /// Notes that `what` could not be read.
    pub(crate) fn note(&mut self, code: ProblemCode, torn: Torn, task: Option<Addr>) {
        let code = if torn == OVER_BUDGET { ProblemCode::Budget } else { code };
        if let Some(known) = self.by_kind.get(&(code, torn.0)) {
            self.list[*known].3 += 1;
            return;
        }
        self.by_kind.insert((code, torn.0), self.list.len());
        let what = match code {
            ProblemCode::TaskUnreadable => "a task could not be read",
            ProblemCode::TaskListTorn => "the list of tasks could not be read to its end",
            ProblemCode::ChainTorn => "an await chain ends early",
            ProblemCode::StackTorn => "a thread's stack ends early",
            ProblemCode::LoopUnreadable => "an event loop could not be read",
            ProblemCode::Budget => "not everything was read",
            ProblemCode::HeapTorn => "the search for coroutines that never ran ended early",
            ProblemCode::ResourceUnreadable => "a lock, queue or the like could not be read",
            _ => "something could not be read",
        };
        self.list.push((code, format!("{what}: {}", torn.0).into(), task, 1));
    }
}

/// Everything one pass has found.
pub(crate) struct Walked {
    pub interpreters: Vec<Interpreter>,
    pub asyncio: bool,
    pub threads: Vec<Thread>,
    pub tasks: Vec<Task>,
    pub index: FxHashMap<Addr, usize>,
    pub loops: Vec<EventLoop>,
    pub resources: Resources,
    pub executors: Executors,
    pub files: Files,
    /// Inner futures and tasks by the future that they will complete (`shield`, `wrap_future`).
    pub completes: FxHashMap<Addr, Addr>,
    /// Tasks by the queue that they will be put into when they end (`as_completed`).
    pub fills: FxHashMap<Addr, Vec<Addr>>,
    /// How many of these two kinds were noted.
    pub ties: u64,
    /// How many tasks were not as an earlier pass saw them.
    pub moved: usize,
    /// This pass is the first: it only learns which pages are needed, and what is read of tasks stays as
    /// it is.
    pub scouting: bool,
    pub problems: Problems,
    /// The task that runs was caught between two instructions that belong together: it just begins to wait, or ends
    /// to.
    pub caught_running: bool,
    /// What nobody but waiting tasks can reach.
    pub reached: super::reach::Reached,
    /// Who can get at queues that somebody waits for.
    pub users: super::users::Users,
    /// The locks that are asked for again and again, and where those took them who have ended since.
    pub polled: FxHashMap<(Addr, Text), Addr>,
    pub gone: super::polls::Gone,
    /// async-trace's own hook in the target.
    pub hook: Option<super::hook::Hook>,
}

impl Walked {
    fn new() -> Self {
        Self {
            interpreters: Vec::new(),
            asyncio: false,
            threads: Vec::new(),
            users: super::users::Users::default(),
            tasks: Vec::new(),
            index: FxHashMap::default(),
            loops: Vec::new(),
            resources: Resources::default(),
            executors: Executors::default(),
            files: Files::default(),
            completes: FxHashMap::default(),
            fills: FxHashMap::default(),
            ties: 0,
            moved: 0,
            scouting: false,
            problems: Problems::default(),
            caught_running: false,
            reached: super::reach::Reached::default(),
            polled: FxHashMap::default(),
            gone: super::polls::Gone::default(),
            hook: None,
        }
    }

    /// Whether an object is an event loop.
    pub(crate) fn is_loop(&self, object: Addr) -> bool {
        self.loops.iter().any(|event_loop| event_loop.addr == object)
    }

    pub(crate) fn task(&self, addr: Addr) -> Option<&Task> {
        self.index.get(&addr).and_then(|index| self.tasks.get(*index))
    }

    /// Whether something was found torn that a moment later may be whole.
    pub(crate) fn fell_into_a_change(&self) -> bool {
        let may_be_whole = |code| matches!(code, ProblemCode::TaskListTorn | ProblemCode::StackTorn);
        self.caught_running || self.problems.list.iter().any(|(code, ..)| may_be_whole(*code))
    }
}

/// How much of what was read is checked for having changed meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Nothing: this pass only learns which pages are needed.
    Nothing,
    /// What was copied after the target ran on again.
    Late,
    /// All of it: the target runs.
    All,
}

/// Walks everything once.
pub(crate) fn run(session: &Session<'_>, check: Check) -> Result<Walked, Torn> {
    let reader = session.reader;
    let mut walked = Walked { scouting: check == Check::Nothing, ..Walked::new() };
    walked.interpreters = runtime::interpreters(reader, session.runtime)?;
    for interpreter in walked.interpreters.clone() {
        let threads = match runtime::threads(reader, session.runtime, interpreter) {
            Ok(threads) => threads,
            Err(torn) => {
                walked.problems.note(ProblemCode::StackTorn, torn, None);
                Vec::new()
            }
        };
        let names = thread_names(reader, interpreter).unwrap_or_default();
        let first = walked.threads.len();
        for thread in &threads {
            add_thread(session, thread.clone(), names.get(&thread.ident).cloned(), check, &mut walked);
        }
        // An interpreter that is being set up or torn down has no modules: nothing to see there yet.
        let Some(asyncio) = runtime::module(reader, interpreter, "asyncio.tasks").ok().flatten() else {
            continue;
        };
        walked.asyncio = true;
        note_stdlib(session, asyncio);
        match find::current_tasks(reader, interpreter, asyncio) {
            Ok(current) => {
                for (event_loop, task) in current {
                    if let Err(torn) = reader.spend_looking(walked.threads.len()) {
                        walked.problems.note(ProblemCode::TaskListTorn, torn, None);
                        break;
                    }
                    let runner =
                        walked.threads[first..].iter_mut().find(|t| t.running_loop == Some(event_loop));
                    if let Some(runner) = runner {
                        runner.running_task = Some(task);
                    }
                }
            }
            Err(torn) => walked.problems.note(ProblemCode::TaskListTorn, torn, None),
        }
        walked.hook = super::hook::Hook::find(reader, interpreter).ok().flatten().or(walked.hook);
        if !session.glance {
            super::verify::read_tasks(session, interpreter, &threads, asyncio, check, &mut walked);
        }
    }
    walked.resources.close(walked.tasks.iter().flat_map(Task::concerns));
    if session.keeps && !walked.scouting && !session.glance {
        // What follows puts more into them, which the next pass will find for itself.
        session.scouted.borrow_mut().copy(&walked);
    }
    super::event_loop::read_all(session, check, &mut walked);
    super::executor::read_all(session, &mut walked);
    super::hold::read_threads(session, &mut walked);
    super::io::read_all(session, &mut walked);
    super::link::run(session, &mut walked);
    super::hook::link(session, &mut walked);
    if walked.scouting {
        session.scouted.borrow_mut().keep(&mut walked);
    }
    Ok(walked)
}

fn note_stdlib(session: &Session<'_>, asyncio: Addr) {
    let file = session.reader.dict_get(asyncio, "__file__").ok().flatten();
    if let Some(Ok(file)) = file.map(|f| session.reader.text(f))
        && let Some(directory) = file.strip_suffix("/asyncio/tasks.py")
    {
        session.places.set_stdlib(directory);
    }
}

/// The names that `threading` has for threads, by their identity.
fn thread_names(reader: &Reader<'_>, interpreter: Interpreter) -> Result<FxHashMap<u64, Text>, Torn> {
    let mut names = FxHashMap::default();
    if let Some(threading) = runtime::module(reader, interpreter, "threading")?
        && let Some(active) = reader.dict_get(threading, "_active")?
    {
        for (ident, thread) in reader.dict(active)? {
            if let Some(name) = reader.attr(thread, "_name")? {
                names.insert(reader.uint(ident)?, reader.fresh_text(name)?);
            }
        }
    }
    Ok(names)
}

fn add_thread(
    session: &Session<'_>,
    state: ThreadState,
    name: Option<Text>,
    check: Check,
    walked: &mut Walked,
) {
    let reader = session.reader;
    let stack = super::verify::stack(session, &state, check);
    if let Some(torn) = stack.torn {
        walked.problems.note(ProblemCode::StackTorn, torn, None);
    }
    let running_loop = match runtime::running_loop(reader, &state, session.inner_pid) {
        Ok(running) => running,
        Err(torn) => {
            walked.problems.note(ProblemCode::LoopUnreadable, torn, None);
            None
        }
    };
    let running_task = match reader.layout.thread.running_task {
        Some(offset) => {
            reader.ptr(state.addr + offset).and_then(|task| reader.not_none(task.non_null())).unwrap_or(None)
        }
        None => None,
    };
    walked.threads.push(Thread {
        state,
        name,
        stack: stack.frames,
        chain: Arc::from([]),
        running_loop,
        running_task,
        holds: Vec::new(),
        waits_for: None,
    });
}

impl Session<'_> {
    /// The frames of a chain or stack as the snapshot has them, outermost first.
    pub(crate) fn frames(&self, nodes: &[Node]) -> Arc<[Frame]> {
        let places: Vec<u32> = nodes.iter().map(|node| node.place).collect();
        if !self.locals {
            return self.places.chain(&places);
        }
        let mut frames: Vec<Frame> = Vec::with_capacity(nodes.len());
        for node in nodes {
            let Some(mut frame) = self.places.frame(node.place) else { continue };
            if let Some(python) = &node.frame
                && let Ok(locals) = python.locals(self.reader)
            {
                frame.locals = locals
                    .into_iter()
                    .map(|(name, value)| Local { name, value: super::describe::value(self.reader, value) })
                    .collect();
            }
            frames.push(frame);
        }
        frames.into()
    }
}
