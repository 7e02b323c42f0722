//! Puts together what memory and the operating system say, in the words of the snapshot.

mod children;

use crate::asyncio::task;
use crate::asyncio::users::User;
use crate::asyncio::walk::{self, On, Rare, Session, Wait, Walked};
use crate::capture::Pass;
use crate::cpython::Version;
use crate::memory::addr::Addr;
use crate::process::Identity;
use crate::process::surroundings::Surroundings;
use crate::process::threads::OsThread;
use async_trace_core::frame::{Frame, Origin};
use async_trace_core::snapshot::{
    Awaiter, Capture, Consistency, EventLoop, Extent, FileKind, Handling, Hold, Holder, Id, Job, LoopState,
    Problem, ProblemCode, Process, Reach, Resource, ResourceKind, SCHEMA, Snapshot, Source, Syscall, Target,
    Task, TaskState, Thread, ThreadState, Trust, Verb, WaitsFor,
};
use async_trace_core::text::Text;
use nix::time::{ClockId, clock_gettime};
use rustc_hash::{FxHashMap, FxHashSet};
use std::time::Duration;

/// What is known from outside of the target's memory.
pub(crate) struct Facts<'a> {
    pub source: Source,
    pub identity: &'a Identity,
    pub version: Version,
    pub os_threads: &'a [OsThread],
    pub surroundings: &'a mut Surroundings,
    /// What was known to be missing before it was read.
    pub problems: &'a [Problem],
    pub time_s: f64,
    /// Whether to say which connections tasks serve, too.
    pub connections: bool,
}

/// Of so many tasks it is said which connection they serve: it is for those whose other end is in the same process, and
/// servers that talk to themselves have few.
const MAX_CONNECTIONS: usize = 512;

/// Makes the snapshot.
pub(crate) fn snapshot(session: &Session<'_>, mut pass: Pass, facts: &mut Facts<'_>) -> Snapshot {
    let identity = facts.identity;
    let by_tid = facts.os_threads.iter().rev().map(|thread| (thread.tid, thread)).collect();
    let mut assembly = Assembly {
        session,
        facts,
        now: session.now.get(),
        by_tid,
        awaited_by: FxHashMap::default(),
        waiters: FxHashMap::default(),
        holders: FxHashMap::default(),
        blocked: FxHashMap::default(),
    };
    sort(&mut pass.walked);
    let loops = assembly.loops(&pass.walked);
    let threads = assembly.threads(&pass.walked);
    let mut tasks = assembly.tasks(&mut pass.walked, &threads);
    if assembly.facts.connections {
        assembly.children(&mut tasks, &pass.walked);
    }
    let resources = assembly.resources(&pass.walked);
    let mut problems = problems(&pass);
    problems.extend_from_slice(facts.problems);
    let still = facts.os_threads.iter().all(|thread| thread.state == ThreadState::Stopped)
        && !facts.os_threads.is_empty();
    Snapshot {
        schema: SCHEMA,
        process: Process {
            pid: identity.pid,
            python: facts.version.to_string().into(),
            executable: identity.executable.as_str().into(),
            command: identity.command.iter().map(|word| word.as_str().into()).collect(),
            asyncio: pass.walked.asyncio,
        },
        capture: Capture {
            source: facts.source,
            consistency: if still { Consistency::Still } else { pass.consistency },
            time_s: facts.time_s,
            pause_us: pass.pause.map(|pause| u64::try_from(pause.as_micros()).unwrap_or(u64::MAX)),
            // It is not over yet.
            read_us: 0,
            retries: pass.retries,
            bytes_read: session.reader.mem.bytes_read(),
            glance: session.glance,
        },
        threads,
        loops,
        tasks,
        resources,
        coroutines: Vec::new(),
        dropped: Vec::new(),
        problems,
    }
}

/// Puts everything that came from sets into one stable order, so that two dumps of one program read
/// alike: tasks by name, `Task-2` before `Task-10`; resources by the first task that has to do with them.
fn sort(walked: &mut Walked) {
    // Names are taken apart once, and compared as numbers: there may be 100,000 of them.
    fn parts(task: &walk::Task) -> (&str, u64) {
        let stem = task.name.trim_end_matches(|c: char| c.is_ascii_digit());
        (stem, task.name[stem.len()..].parse().unwrap_or(0))
    }
    let stems: FxHashSet<&str> = walked.tasks.iter().map(|task| parts(task).0).collect();
    let mut stems: Vec<Box<str>> = stems.into_iter().map(Box::from).collect();
    stems.sort_unstable();
    let ranks: FxHashMap<Box<str>, usize> = stems.into_iter().zip(0..).collect();
    walked.tasks.sort_by_cached_key(|task| {
        let (stem, number) = parts(task);
        (ranks.get(stem).copied(), number, task.addr)
    });
    walked.index = walked.tasks.iter().enumerate().map(|(at, task)| (task.addr, at)).collect();
    let (tasks, index) = (&mut walked.tasks, &walked.index);
    let place = |addr: &Addr| (index.get(addr).copied().unwrap_or(usize::MAX), *addr);
    for task in tasks.iter_mut() {
        if let Some(Wait { on: On::Tasks { pending, .. }, verb, .. }) = &mut task.wait
            && *verb != Verb::Gather
        {
            pending.sort_unstable_by_key(place);
        }
    }
    let mut first: FxHashMap<Addr, usize> = FxHashMap::default();
    for (at, task) in tasks.iter().enumerate() {
        let waited = match &task.wait {
            Some(Wait { on: On::Resource(resource), within, .. }) => [Some(*resource), *within],
            _ => [None, None],
        };
        for resource in waited.into_iter().flatten().chain(task.holds.iter().map(|hold| hold.resource)) {
            first.entry(resource).or_insert(at);
        }
    }
    walked
        .resources
        .sort_by_key(|resource| (first.get(&resource.addr).copied().unwrap_or(usize::MAX), resource.addr));
}

struct Assembly<'a, 's, 'f> {
    session: &'a Session<'s>,
    facts: &'a mut Facts<'f>,
    now: Option<f64>,
    by_tid: FxHashMap<u32, &'f OsThread>,
    awaited_by: FxHashMap<Addr, Vec<Awaiter>>,
    waiters: FxHashMap<Addr, Vec<Id>>,
    holders: FxHashMap<Addr, Vec<Holder>>,
    blocked: FxHashMap<Addr, Vec<u32>>,
}

impl<'f> Assembly<'_, '_, 'f> {
    fn os_thread(&self, tid: u32) -> Option<&'f OsThread> {
        self.by_tid.get(&tid).copied()
    }

    fn left(&self, when: Option<f64>) -> Option<f64> {
        // `asyncio.timeout(float("inf"))` is as good as none.
        Some(when? - self.now?).filter(|left| left.is_finite())
    }

    fn hold(&self, found: &walk::Hold) -> Hold {
        Hold {
            resource: found.resource.into(),
            frame: found.frame,
            trust: found.trust,
            name: found.name.clone(),
            taken_line: found.taken_line,
            through: self.through(found),
        }
    }

    /// Where the generator stands by way of which something is held.
    fn through(&self, hold: &walk::Hold) -> Option<Frame> {
        self.session.places.frame(hold.through?)
    }

    /// For how long the target has been running, at most: `starttime` counts hundredths of a second since the boot,
    /// those included in which the machine slept.
    fn age_s(&self) -> Option<f64> {
        let since_boot = clock_gettime(ClockId::CLOCK_BOOTTIME).ok().map(Duration::from)?;
        let started_s = self.facts.identity.starttime as f64 / 100.0;
        (self.facts.source == Source::Live).then_some(since_boot.as_secs_f64() - started_s)
    }

    /// Whether something can be so long ago: a float that was freed and used again says anything.
    fn is_possible(&self, ago_s: f64) -> bool {
        self.age_s().is_none_or(|age_s| ago_s <= age_s)
    }

    fn in_selector(&self, tid: u32) -> bool {
        self.os_thread(tid)
            .and_then(|thread| thread.syscall.as_ref())
            .is_some_and(|call| call.is_selector_wait())
    }

    fn loops(&self, walked: &Walked) -> Vec<EventLoop> {
        let state = |found: &walk::EventLoop| match (found.state, found.thread) {
            (LoopState::Unknown, Some(tid)) if found.task.is_none() && self.in_selector(tid) => {
                LoopState::Idle
            }
            (LoopState::Unknown, Some(_)) => LoopState::Busy,
            (LoopState::Busy, Some(tid)) if found.task.is_none() && self.in_selector(tid) => LoopState::Idle,
            (state, _) => state,
        };
        walked
            .loops
            .iter()
            .map(|found| EventLoop {
                id: found.addr.into(),
                kind: found.kind.clone(),
                thread: found.thread,
                state: state(found),
                task: found.task.map(Id::from),
                ready: found.ready,
                ready_callbacks: found.ready_callbacks.clone(),
                timers: found.timers,
                next_timer_s: self.left(found.next_timer).filter(|left| self.is_possible(-left)),
                turn_s: match state(found) {
                    LoopState::Busy => self
                        .left(found.turn_started)
                        .map(|s| (-s).max(0.0))
                        .filter(|turn_s| self.is_possible(*turn_s)),
                    _ => None,
                },
                watched_fds: found.watched_fds,
                debug: found.debug,
                executor: found.executor.map(Id::from),
            })
            .collect()
    }

    fn threads(&mut self, walked: &Walked) -> Vec<Thread> {
        let mut out = Vec::with_capacity(walked.threads.len());
        let mut customers: FxHashMap<Addr, Id> = FxHashMap::default();
        for task in &walked.tasks {
            if let Some(Wait { on: On::Job(future), .. }) = &task.wait {
                customers.entry(*future).or_insert(task.addr.into());
            }
        }
        for (index, found) in walked.threads.iter().enumerate() {
            let os = self.os_thread(found.state.tid).cloned();
            let tid = if os.is_some() || self.facts.os_threads.is_empty() { found.state.tid } else { 0 };
            let name = match (&found.name, &os) {
                (Some(name), _) => name.clone(),
                (None, Some(os)) => os.name.as_str().into(),
                (None, None) => "thread".into(),
            };
            let state = os.as_ref().map_or(ThreadState::Unknown, |os| os.state);
            let syscall = os.as_ref().and_then(|os| os.syscall.as_ref()).map(|call| {
                let name = call.name().map_or_else(|| format!("syscall {}", call.number).into(), Text::from);
                let read = |addr: u64, buf: &mut [u8]| self.session.reader.mem.read(Addr(addr), buf).is_ok();
                let file = call.file(&read).map(|fd| self.facts.surroundings.file(fd));
                Syscall { name, file }
            });
            // Between two lines a thread can wait for the GIL wherever it is: then it waits for nothing else.
            let waits_for_gil = os
                .as_ref()
                .and_then(|os| os.syscall.as_ref()?.futex())
                .is_some_and(|futex| found.state.gil.as_ref().is_some_and(|gil| gil.contains(&Addr(futex))));
            let is_blocked = state != ThreadState::Running && !waits_for_gil;
            let waits_for =
                found.waits_for.as_ref().filter(|_| is_blocked).map(|wait| self.wait(wait, walked));
            if let Some(WaitsFor { target: Target::Resource { id }, .. }) = &waits_for {
                self.blocked.entry(Addr(id.0)).or_default().push(tid);
            }
            let job = walked.executors.by_thread.get(&index).map(|future| {
                let job = walked.executors.jobs.get(future);
                Job {
                    future: (*future).into(),
                    task: customers.get(future).copied(),
                    function: job.and_then(|job| job.function.clone()),
                    executor: job.and_then(|job| job.executor).map(Id::from),
                }
            });
            for hold in &found.holds {
                let at = found.chain.get(hold.frame as usize).cloned();
                self.holders.entry(hold.resource).or_default().push(Holder {
                    task: None,
                    thread: Some(tid),
                    at,
                    trust: hold.trust,
                    taken_line: hold.taken_line,
                });
            }
            out.push(Thread {
                tid,
                name,
                interpreter: found.state.interpreter.id,
                state,
                syscall,
                holds_gil: found.state.holds_gil,
                waits_for_gil,
                cpu_us: os.as_ref().map(|os| os.cpu_us),
                stack: found.chain.clone(),
                event_loop: found.running_loop.map(Id::from),
                task: found.running_task.map(Id::from),
                job,
                waits_for,
                holds: found.holds.iter().map(|found| self.hold(found)).collect(),
            });
        }
        let main = self.facts.identity.pid;
        out.sort_by_key(|thread| (thread.tid != main, thread.tid));
        out
    }

    /// Which exception a task is handling that was to end, by a cancellation or a timeout.
    fn handling(&self, task: &walk::Task, wait: Option<&WaitsFor>, walked: &Walked) -> Option<Handling> {
        let is_overdue = wait.and_then(|wait| wait.timeout_s).is_some_and(|left| left < 0.0);
        let is_to_end = task.state == TaskState::Waiting && (task.cancelling > 0 || is_overdue);
        if is_to_end { task::handling(self.session, task.addr, walked) } else { None }
    }

    fn tasks(&mut self, walked: &mut Walked, threads: &[Thread]) -> Vec<Task> {
        let mut runners: FxHashMap<Id, u32> = FxHashMap::default();
        for thread in threads {
            if let Some(event_loop) = thread.event_loop {
                runners.insert(event_loop, thread.tid);
            }
        }
        let mut out = Vec::with_capacity(walked.tasks.len());
        let mut connections = if self.facts.connections { MAX_CONNECTIONS } else { 0 };
        for found in &walked.tasks {
            let mut waits_for = found.wait.as_ref().map(|wait| self.wait(wait, walked));
            if let Some(waits_for) = &mut waits_for {
                // Who asks again and again has a new one each time.
                waits_for.future =
                    found.waiter.non_null().map(Id::from).filter(|_| waits_for.verb != Verb::Poll);
                // Nobody who has the object that it seems to wait for can bring this future any more.
                if let (Target::Resource { id }, Some(reach)) =
                    (&waits_for.target, reach(found.waiter, walked).or_else(|| lost(found, walked)))
                {
                    waits_for.within = Some(*id);
                    waits_for.name = None;
                    let type_name = self.type_name(found.waiter);
                    let id = found.waiter.into();
                    waits_for.target = Target::Future { id, type_name, reach: Some(Box::new(reach)) };
                }
            }
            match &found.wait {
                Some(Wait { on: On::Tasks { pending, .. }, verb, .. }) => {
                    for awaited in pending {
                        let awaiter = Awaiter { task: found.addr.into(), verb: *verb };
                        self.awaited_by.entry(*awaited).or_default().push(awaiter);
                    }
                }
                Some(Wait { on: On::Resource(resource), within, .. })
                    if found.state == TaskState::Waiting =>
                {
                    self.waiters.entry(*resource).or_default().push(found.addr.into());
                    if let Some(pool) = within {
                        self.waiters.entry(*pool).or_default().push(found.addr.into());
                    }
                }
                Some(Wait { on: On::Job(future), .. }) => {
                    let executor = walked.executors.jobs.get(future).and_then(|job| job.executor);
                    if let Some(executor) = executor {
                        self.waiters.entry(executor).or_default().push(found.addr.into());
                    }
                }
                _ => {}
            }
            for hold in &found.holds {
                let at = self.through(hold).or_else(|| found.chain.get(hold.frame as usize).cloned());
                self.holders.entry(hold.resource).or_default().push(Holder {
                    task: Some(found.addr.into()),
                    thread: None,
                    at,
                    trust: hold.trust,
                    taken_line: hold.taken_line,
                });
            }
            let handling = self.handling(found, waits_for.as_ref(), walked);
            let Rare { mut connection, transport, created, operations, .. } =
                found.rare.as_deref().cloned().unwrap_or_default();
            if let Some(connection) = connection.as_mut().filter(|connection| !connection.closed)
                && connections > 0
            {
                connections -= 1;
                let fd = transport.and_then(|transport| walked.files.by_object.get(&transport));
                let file = fd.map(|fd| self.facts.surroundings.file(*fd));
                connection.file = file.filter(|file| file.kind == FileKind::Tcp);
            }
            out.push(Task {
                id: found.addr.into(),
                name: found.name.clone(),
                type_name: found.type_name.clone(),
                state: found.state,
                cancelling: found.cancelling,
                event_loop: found.event_loop.non_null().map(Id::from),
                thread: runners.get(&Id::from(found.event_loop)).copied(),
                chain: found.chain.clone(),
                waits_for,
                awaited_by: Vec::new(),
                holds: found.holds.iter().map(|found| self.hold(found)).collect(),
                contexts: found.contexts.clone(),
                handling,
                connection: connection.map(Box::new),
                created,
                operations,
                outcome: None,
            });
        }
        for task in &mut out {
            if let Some(awaiters) = self.awaited_by.remove(&Addr(task.id.0)) {
                task.awaited_by = awaiters;
            }
        }
        out
    }

    fn wait(&mut self, wait: &Wait, walked: &Walked) -> WaitsFor {
        let target = match &wait.on {
            On::Tasks { pending, done, any } => Target::Tasks {
                pending: pending.iter().map(|p| (*p).into()).collect(),
                done: *done,
                any: *any,
            },
            On::Resource(resource) => Target::Resource { id: (*resource).into() },
            On::Timer(when) => Target::Timer { left_s: self.left(*when) },
            On::Process(pid) => self.facts.surroundings.child(*pid),
            On::File(fd) => Target::File { file: self.facts.surroundings.file(*fd) },
            On::Job(future) => {
                let job = walked.executors.jobs.get(future);
                Target::Job {
                    future: (*future).into(),
                    thread: job
                        .and_then(|job| job.thread)
                        .and_then(|index| walked.threads.get(index))
                        .map(|thread| thread.state.tid),
                    queued_behind: job.and_then(|job| job.queued),
                    function: job.and_then(|job| job.function.clone()),
                    executor: job.and_then(|job| job.executor).map(Id::from),
                }
            }
            On::Future(future) => Target::Future {
                id: (*future).into(),
                type_name: self.type_name(*future),
                reach: reach(*future, walked).or_else(|| users(*future, walked)).map(Box::new),
            },
            On::AsCompleted(_) => Target::Tasks { pending: Vec::new(), done: 0, any: Some(true) },
            On::Turn => Target::Turn,
            On::Unknown(type_name) => Target::Unknown { type_name: type_name.clone() },
        };
        WaitsFor {
            target,
            verb: wait.verb,
            trust: wait.trust,
            name: wait.name.clone(),
            future: None,
            within: wait.within.map(Id::from),
            timeout_s: self.left(wait.timeout),
        }
    }

    fn type_name(&self, object: Addr) -> Text {
        let reader = self.session.reader;
        match reader.type_of(object) {
            Ok(of) => reader.full_type_name(&of),
            Err(_) => "an unreadable object".into(),
        }
    }

    fn resources(&mut self, walked: &Walked) -> Vec<Resource> {
        // Waiters in the order in which the resource itself will serve them.
        let futures: FxHashMap<Id, Addr> =
            walked.tasks.iter().map(|task| (task.addr.into(), task.waiter)).collect();
        let mut names: FxHashMap<Addr, Text> = FxHashMap::default();
        for task in &walked.tasks {
            if let Some(Wait { on: On::Resource(resource), name: Some(name), .. }) = &task.wait {
                names.entry(*resource).or_insert_with(|| name.clone());
            }
        }
        for hold in walked.tasks.iter().flat_map(|task| &task.holds) {
            if let Some(name) = &hold.name {
                names.entry(hold.resource).or_insert_with(|| name.clone());
            }
        }
        let mut out = Vec::with_capacity(walked.resources.list.len());
        for found in &walked.resources.list {
            let mut waiters = self.waiters.remove(&found.addr).unwrap_or_default();
            if waiters.len() > 1 && !found.waiters.is_empty() {
                let order: FxHashMap<Addr, usize> =
                    found.waiters.iter().enumerate().map(|(at, future)| (*future, at)).collect();
                let place = |task: &Id| order.get(futures.get(task)?).copied();
                waiters.sort_by_key(|task| place(task).unwrap_or(usize::MAX));
            }
            if found.kind == ResourceKind::Executor {
                // Those whose job runs come before those whose job is queued.
                waiters.sort_by_key(|id| match walked.task(Addr(id.0)).and_then(|task| task.wait.as_ref()) {
                    Some(Wait { on: On::Job(future), .. }) => {
                        walked.executors.jobs.get(future).and_then(|job| job.queued)
                    }
                    _ => None,
                });
            }
            let mut seen = FxHashSet::default();
            waiters.retain(|task| seen.insert(*task));
            let mut holders = self.holders.remove(&found.addr).unwrap_or_default();
            if holders.is_empty()
                && let Some(owner) = found.owner
            {
                let at = walked.task(owner).and_then(|task| task.chain.last().cloned());
                let task = Some(owner.into());
                holders.push(Holder { task, thread: None, at, trust: Trust::Inferred, taken_line: None });
            }
            if holders.is_empty() {
                let places = walked.gone.get(&found.addr).into_iter().flatten();
                holders.extend(places.map(|place| Holder {
                    task: None,
                    thread: None,
                    at: self.session.places.frame(*place),
                    taken_line: None,
                    trust: Trust::Guessed,
                }));
            }
            if holders.is_empty() && found.kind == ResourceKind::ThreadRlock {
                holders.extend(self.owning_thread(found.addr, walked));
            }
            out.push(Resource {
                id: found.addr.into(),
                kind: found.kind,
                type_name: found.type_name.clone(),
                name: names.remove(&found.addr),
                state: found.state.clone(),
                holders,
                waiters,
                blocked_threads: self.blocked.remove(&found.addr).unwrap_or_default(),
                within: found.within.map(Id::from),
                reach: reach(found.addr, walked).or_else(|| users(found.addr, walked)),
            });
        }
        // A held lock that nobody waits for needs no entry of its own beyond the hold.
        out.retain(|resource| {
            resource.kind != ResourceKind::Manager
                || !resource.waiters.is_empty()
                || !resource.holders.is_empty()
        });
        out
    }
}

impl Assembly<'_, '_, '_> {
    /// The thread that a `threading.RLock` names as its owner itself: it may have been taken without `with`.
    fn owning_thread(&self, lock: Addr, walked: &Walked) -> Option<Holder> {
        let ident = self.session.reader.rlock_owner(lock).ok()?;
        let thread = walked.threads.iter().find(|thread| thread.state.ident == ident)?;
        let own = thread.chain.iter().rfind(|frame| frame.origin == Origin::Own);
        Some(Holder {
            task: None,
            thread: Some(thread.state.tid),
            at: own.or(thread.chain.last()).cloned(),
            trust: Trust::Read,
            taken_line: None,
        })
    }
}

/// Who can get at what is awaited, where that is only tasks that wait.
fn reach(object: Addr, walked: &Walked) -> Option<Reach> {
    let reached = walked.reached.get(&object)?;
    let users = reached.users.iter().filter_map(|addr| walked.task(*addr));
    let users = users.map(|task| user(Some(task), None));
    Some(Reach { users: users.collect(), failed: reached.failed.clone(), ..Reach::nobody(Extent::Whole) })
}

/// Who can get at what is awaited, as far as their variables tell.
fn users(object: Addr, walked: &Walked) -> Option<Reach> {
    let found = walked.users.get(&object)?;
    let mut users: Vec<User> = found.users.iter().copied().collect();
    users.sort_unstable();
    let users = users.into_iter().map(|found| match found {
        User::Task(addr) => user(walked.task(addr), None),
        User::Thread(tid) => user(None, Some(tid)),
    });
    Some(Reach { users: users.collect(), failed: found.failed.clone(), ..Reach::nobody(Extent::Frames) })
}

/// Who could have completed the future that a task awaits and has failed, where nobody else was found.
fn lost(task: &walk::Task, walked: &Walked) -> Option<Reach> {
    let found = walked.users.get(&task.waiter)?;
    let is_alone = found.users.iter().all(|user| *user == User::Task(task.addr));
    if is_alone && !found.failed.is_empty() { users(task.waiter, walked) } else { None }
}

/// Somebody who can get at something, at the line of the program's own code.
fn user(task: Option<&walk::Task>, thread: Option<u32>) -> Holder {
    let at = task.and_then(|task| task.chain.iter().rfind(|frame| frame.origin == Origin::Own).cloned());
    Holder { task: task.map(|task| task.addr.into()), thread, at, taken_line: None, trust: Trust::Inferred }
}

fn problems(pass: &Pass) -> Vec<Problem> {
    let mut out = Vec::new();
    if let Some(refused) = &pass.refused {
        out.push(Problem {
            code: ProblemCode::PauseRefused,
            message: format!("the process could not be paused, so it was read while it ran: {refused}")
                .into(),
            task: None,
            count: 1,
        });
    }
    if pass.late > 0 {
        out.push(Problem {
            code: ProblemCode::PauseBudget,
            message: format!(
                "the pause was over before all was copied: {} pages are of a later moment",
                pass.late
            )
            .into(),
            task: None,
            count: pass.late,
        });
    }
    if pass.unstopped > 0 {
        out.push(Problem {
            code: ProblemCode::PauseBudget,
            message: format!("threads that could not be stopped and may have run on: {}", pass.unstopped)
                .into(),
            task: None,
            count: pass.unstopped as u64,
        });
    }
    out.extend(pass.walked.problems.list.iter().map(|(code, message, task, count)| Problem {
        code: *code,
        message: message.clone(),
        task: task.map(Id::from),
        count: *count,
    }));
    out
}
