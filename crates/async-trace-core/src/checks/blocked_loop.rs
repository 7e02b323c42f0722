//! The loop's thread is in somebody's synchronous code: nothing else runs until it returns.

use super::words::{self, seconds};
use super::{Check, Findings, Scene, finding};
use crate::finding::{Consequence, Evidence, Finding, Role, Severity, TaskRef};
use crate::frame::{Frame, FrameKind, Origin};
use crate::render::paths::package;
use crate::snapshot::{EventLoop, FileKind, LoopState, Syscall, Target, Thread, ThreadState};

pub(super) const CHECK: Check = Check {
    slug: "blocked-loop",
    about: "the event loop's thread is in synchronous code, and nothing else runs meanwhile",
    run,
};

fn run(scene: &Scene<'_>, findings: &mut Findings) {
    for event_loop in &scene.now.loops {
        let place = event_loop.thread.and_then(|tid| scene.index.thread(tid));
        let Some(place) = place else { continue };
        let thread = &scene.now.threads[place as usize];
        let Some(blocked) = Blocked::of(scene, event_loop, thread) else { continue };
        let cause = findings.threads.get(&place).copied();
        let mut found = blocked.finding();
        if let Some(cause) = cause {
            found.caused_by = Some(cause as u32);
        }
        let standing = scene.tasks().filter(|(_, t)| t.event_loop == Some(event_loop.id)).map(|(i, _)| i);
        let standing: Vec<u32> = standing.collect();
        let at = findings.add(found, standing);
        findings.threads.entry(place).or_insert(at);
    }
}

/// A loop that is blocked, and what is known about it.
struct Blocked<'a, 's> {
    scene: &'s Scene<'a>,
    event_loop: &'a EventLoop,
    thread: &'a Thread,
    /// For how many seconds at least.
    since_s: f64,
    /// Why it is not certain.
    doubt: Option<&'static str>,
    /// Another thread that holds the GIL all the time.
    gil_holder: Option<&'a Thread>,
}

impl<'a, 's> Blocked<'a, 's> {
    fn of(scene: &'s Scene<'a>, event_loop: &'a EventLoop, thread: &'a Thread) -> Option<Self> {
        let blocked = Self { scene, event_loop, thread, since_s: 0.0, doubt: None, gil_holder: None };
        let interval_s = scene.history.interval_s;
        if let Some(holder) = gil_holder(scene, thread) {
            return Some(Self { gil_holder: Some(holder), since_s: interval_s, ..blocked });
        }
        if event_loop.state != LoopState::Busy || in_selector(thread) {
            return None;
        }
        let limit_s = scene.config.blocked_s;
        if let Some(turn_s) = event_loop.turn_s {
            return (turn_s >= limit_s).then_some(Self { since_s: turn_s, ..blocked });
        }
        // The looks may lie a little closer together than was asked for.
        let still = scene.history.interval_s >= 0.9 * limit_s
            && scene.history.thread_always(thread.tid, |_, then| same_call(then, thread));
        let overdue_s = scene.overdue_s(event_loop);
        if overdue_s >= limit_s && (still || scene.history.interval_s == 0.0) {
            return Some(Self { since_s: overdue_s.max(interval_s), ..blocked });
        }
        // Without a measure of the turn, only a thread that sleeps in the same call all the time is blocked
        // for sure: one that runs may be at the same line of another turn.
        let sleeps = |t: &Thread| matches!(t.state, ThreadState::Sleeping | ThreadState::Disk);
        let same_sleep = scene.history.thread_always(thread.tid, |_, then| {
            sleeps(then)
                && then.syscall == thread.syscall
                && crate::diff::same_lines(&then.stack, &thread.stack)
        });
        if still && same_sleep && thread.syscall.is_some() {
            return Some(Self { since_s: interval_s, ..blocked });
        }
        if still && runs_below_a_task(thread) {
            let doubt = Some("how long the loop's turn has lasted could not be read");
            return Some(Self { since_s: interval_s, doubt, ..blocked });
        }
        // A lock that is part of a deadlock, or a core file: it stands now, and that says enough.
        let is_stuck = thread.waits_for.as_ref().is_some_and(|w| w.timeout_s.is_none())
            && scene.now.capture.source == crate::snapshot::Source::Core;
        is_stuck.then_some(blocked)
    }

    fn finding(&self) -> Finding {
        let thread = self.thread;
        let kind = self.kind();
        let own = own_line(&thread.stack);
        let caller = caller(&thread.stack);
        let task = thread.task.or(self.event_loop.task).and_then(|id| self.scene.index.get_task(id));
        let who = task.map_or_else(String::new, |task| format!(" ({})", words::task(task)));
        let since =
            if self.since_s > 0.0 { format!(" for {}", seconds(self.since_s)) } else { String::new() };
        let inside = called(&thread.stack).map_or_else(String::new, |f| format!(", inside of {}", api(f)));
        let called = match (own, caller) {
            (Some(own), Some(caller)) if own.function != caller.function || own.line != caller.line => {
                format!(", called by {}", words::place(Some(caller)))
            }
            _ => String::new(),
        };
        let mut summary = format!(
            "the event loop of thread {} has been blocked{since} {} in {}{inside}{called}{who}",
            thread.name,
            kind.doing,
            words::place(own)
        );
        let holder_is = self.gil_holder.map(|holder| kind_of(holder, Some(1.0)));
        if let (Some(holder), Some(kind)) = (self.gil_holder, &holder_is) {
            let (doing, place) = (&kind.doing, words::place(own_line(&holder.stack)));
            summary.push_str(&format!("; thread {} holds it all the time, {doing} in {place}", holder.name));
        }
        if let Some(holder) = self.lock_holder() {
            summary.push_str(&format!("; {holder}"));
        }
        let mut at = Evidence::new(Role::Blocked, format!("blocks the loop's thread {}", kind.doing)).at(own);
        at.thread = Some(words::thread_ref(thread));
        at.task = task.map(TaskRef::of);
        at.age_s = (self.since_s > 0.0).then_some(self.since_s);
        let mut found = finding(CHECK.slug, Severity::Error, summary).evidence([at]);
        if let Some(caller) = caller {
            let mut line = Evidence::new(Role::Caller, "the async function that called it").at(Some(caller));
            line.task = task.map(TaskRef::of);
            found.evidence.push(line);
        }
        found.evidence.extend(self.holder_lines());
        if let Some(holder) = self.gil_holder {
            let mut line = Evidence::new(Role::Works, "holds the GIL").at(own_line(&holder.stack));
            line.thread = Some(words::thread_ref(holder));
            found.evidence.push(line);
        }
        if let Some(cpu) = self.cpu_share() {
            let text = format!("used {:.0} % of a CPU meanwhile", cpu * 100.0);
            let mut line = Evidence::new(Role::Loop, text);
            line.thread = Some(words::thread_ref(thread));
            found.evidence.push(line);
        }
        if let Some(doubt) = self.doubt {
            found = found.doubt(doubt);
        }
        found.consequences.extend(self.standstill());
        found = found.advice(kind.remedy);
        if let Some(kind) = holder_is.filter(|kind| kind.doing != COMPUTING) {
            found = found.advice(kind.remedy);
        }
        found
    }

    /// All that stands still with the loop.
    fn standstill(&self) -> Option<Consequence> {
        let on_it = self.scene.now.tasks.iter().filter(|t| {
            t.event_loop == Some(self.event_loop.id)
                && Some(t.id) != self.thread.task
                && t.state != crate::snapshot::TaskState::Done
        });
        let (count, mut tasks) = on_it.fold((0, Vec::new()), |(n, mut tasks), task| {
            if tasks.len() < 5 {
                tasks.push(TaskRef::of(task));
            }
            (n + 1, tasks)
        });
        if count == 0 {
            return None;
        }
        tasks.truncate(5);
        let ready = match self.event_loop.ready {
            Some(n) if n > 0 => format!("; {} ready to run", words::amount(n as usize, "callback")),
            _ => String::new(),
        };
        Some(Consequence {
            count,
            tasks,
            function: None,
            file: None,
            line: None,
            text: format!("{} still with the loop{ready}", if count == 1 { "stands" } else { "stand" })
                .into(),
        })
    }

    /// `it waits for threading.Lock `self._lock`, held by suspended task first in get_token() at auth.py:30`.
    fn lock_holder(&self) -> Option<String> {
        let waits = self.thread.waits_for.as_ref()?;
        let Target::Resource { id } = waits.target else {
            let own = match &waits.target {
                Target::Tasks { pending, .. } => pending
                    .iter()
                    .filter_map(|id| self.scene.index.get_task(*id))
                    .any(|t| t.event_loop == Some(self.event_loop.id)),
                Target::Job { executor, .. } => *executor == Some(self.event_loop.id),
                _ => false,
            };
            let end = if own { ", which only this loop could run: deadlock" } else { "" };
            return Some(format!("it {}{end}", self.scene.wait(Some(waits))));
        };
        let lock = self.scene.index.get_resource(id)?;
        let what = words::resource(lock, waits.name.as_deref());
        let Some(holder) = lock.holders.first() else {
            return Some(format!("it waits for {what}, whose holder was not found"));
        };
        let place = words::place(holder.at.as_ref());
        if let Some(task) = holder.task.and_then(|id| self.scene.index.get_task(id)) {
            let same_loop = task.event_loop == Some(self.event_loop.id);
            let end = if same_loop { ", which can only go on when the loop runs: deadlock" } else { "" };
            return Some(format!("{what} is held by suspended {} in {place}{end}", words::task(task)));
        }
        let thread = holder.thread.and_then(|tid| self.scene.index.get_thread(tid))?;
        // A lock of a library is held for the program's line that called it.
        let is_own = |frame: &&Frame| frame.origin == Origin::Own;
        let own =
            thread.stack.iter().rfind(is_own).filter(|_| holder.at.as_ref().is_none_or(|at| !is_own(&at)));
        let place = own.map_or(place, |own| words::place(Some(own)));
        let doing = self.still_in(thread).map_or_else(String::new, |doing| format!(", {doing}"));
        Some(format!("{what} is held by thread {} in {place}{doing}", thread.name))
    }

    fn holder_lines(&self) -> Vec<Evidence> {
        let Some(waits) = &self.thread.waits_for else { return Vec::new() };
        let Target::Resource { id } = waits.target else { return Vec::new() };
        let Some(lock) = self.scene.index.get_resource(id) else { return Vec::new() };
        let name = waits.name.as_deref();
        let mut out: Vec<Evidence> = Vec::new();
        for holder in lock.holders.iter().take(3) {
            // A lock that can be taken twice by one thread.
            let again = |line: &Evidence| {
                holder.thread.is_some() && line.thread.as_ref().map(|t| t.tid) == holder.thread
            };
            if out.iter().any(again) {
                continue;
            }
            out.push(self.scene.holds_evidence(lock, holder, name));
            let Some(thread) = holder.thread.and_then(|tid| self.scene.index.get_thread(tid)) else {
                continue;
            };
            let own = own_line(&thread.stack).filter(|own| Some(*own) != holder.at.as_ref());
            if let (Some(own), Some(doing)) = (own, self.still_in(thread)) {
                let mut line =
                    Evidence::new(Role::Works, format!("has the lock meanwhile, {doing}")).at(Some(own));
                line.thread = Some(words::thread_ref(thread));
                out.push(line);
            }
        }
        out
    }

    /// What another thread does that does not move.
    fn still_in(&self, thread: &Thread) -> Option<String> {
        if !self.scene.history.thread_stands_still(thread) {
            return None;
        }
        Some(kind_of(thread, None).doing)
    }

    /// The share of one CPU that the thread used between the first and the last snapshot.
    fn cpu_share(&self) -> Option<f64> {
        let first = self.scene.history.snapshots().first()?;
        let before = first.threads.iter().find(|t| t.tid == self.thread.tid)?.cpu_us?;
        let interval_s = self.scene.history.interval_s;
        (interval_s > 0.0)
            .then(|| self.thread.cpu_us.unwrap_or(before).saturating_sub(before) as f64 / 1e6 / interval_s)
    }

    fn kind(&self) -> Kind {
        if self.gil_holder.is_some() {
            return Kind {
                doing: "waiting for the GIL".to_owned(),
                remedy: "the other thread runs native code that does not release the GIL: run it in another process",
            };
        }
        kind_of(self.thread, self.cpu_share())
    }
}

/// What is said of a thread that computes, where it is not known what.
const COMPUTING: &str = "computing";

/// What the thread does instead of running the loop.
struct Kind {
    doing: String,
    remedy: &'static str,
}

const TO_THREAD: &str =
    "run it in a thread: `await asyncio.to_thread(…)`, or use an asynchronous library for it";

fn kind_of(thread: &Thread, cpu: Option<f64>) -> Kind {
    let is_in = |module: &str, function: &str| {
        thread.stack.iter().rev().take(12).any(|f| {
            f.file.contains(module)
                && (function.is_empty() || f.function.rsplit('.').next() == Some(function))
        })
    };
    let source = own_line(&thread.stack).and_then(|f| f.source.as_deref()).unwrap_or_default();
    let says = |words: &[&str]| words.iter().any(|word| source.contains(word));
    let kind = |doing: &str, remedy: &'static str| Kind { doing: doing.to_owned(), remedy };
    if let Some(waits) = &thread.waits_for {
        return match waits.verb {
            crate::snapshot::Verb::Acquire => kind(
                "waiting for a lock",
                "do not wait for a threading lock on the loop's thread: use asyncio.Lock, and never hold a \
                 threading lock across an `await`",
            ),
            _ => kind(
                "waiting for a result",
                "do not wait synchronously on the loop's thread: `await asyncio.wrap_future(…)`, or `await` \
                 the coroutine itself",
            ),
        };
    }
    if is_in("socket.py", "getaddrinfo") || says(&["getaddrinfo(", "gethostbyname(", "gethostbyaddr("]) {
        return kind("looking up a host name", "use `await loop.getaddrinfo(…)`, which does it in a thread");
    }
    if matches!(thread.state, ThreadState::Running) || cpu.is_some_and(|share| share > 0.5) {
        return computing(&is_in, &says);
    }
    if is_in("/subprocess.py", "") {
        return kind(
            "waiting for a child process",
            "use `await asyncio.create_subprocess_exec(…)` and `await process.communicate()`",
        );
    }
    match &thread.syscall {
        Some(call) => sleeping(call, &is_in, &says),
        None => kind("in synchronous code", TO_THREAD),
    }
}

fn computing(is_in: &impl Fn(&str, &str) -> bool, says: &impl Fn(&[&str]) -> bool) -> Kind {
    let (what, remedy) =
        if is_in("/re/", "") || is_in("/re.py", "") || says(&["re.", "regex", ".match(", ".search("]) {
            (
                "matching a regular expression",
                "simplify the expression, bound its input, or match in another process",
            )
        } else if is_in("/json/", "") || says(&["json.loads", "json.dumps", "orjson."]) {
            ("reading or writing JSON", "do large documents in a thread or process, or in pieces")
        } else if says(&[
            "hashpw", "checkpw", "bcrypt", "pbkdf2", "scrypt", "argon2", "hashlib", ".hash(", ".verify(",
        ]) {
            ("hashing", "hash in a thread: `await asyncio.to_thread(…)`; the hash functions release the GIL")
        } else if says(&["pickle."]) {
            ("pickling", "do large objects in a thread or process")
        } else {
            (
                COMPUTING,
                "compute in a process or a thread, or give way now and then with `await asyncio.sleep(0)`",
            )
        };
    Kind { doing: what.to_owned(), remedy }
}

fn sleeping(call: &Syscall, is_in: &impl Fn(&str, &str) -> bool, says: &impl Fn(&[&str]) -> bool) -> Kind {
    let file = call.file.as_ref();
    let is_socket = file
        .is_some_and(|f| matches!(f.kind, FileKind::Tcp | FileKind::Udp | FileKind::Unix | FileKind::Socket));
    let on = file.map_or_else(String::new, |f| format!(" {}", words::file(f)));
    let (doing, remedy) = match &*call.name {
        // The busy timeout of a database sleeps, too, for one.
        "clock_nanosleep" | "nanosleep" if says(&["("]) && !says(&["sleep"]) => {
            ("sleeping inside of a native function".to_owned(), TO_THREAD)
        }
        "clock_nanosleep" | "nanosleep" => ("sleeping".to_owned(), "use `await asyncio.sleep(…)`"),
        "select" | "pselect6" if says(&["sleep("]) => ("sleeping".to_owned(), "use `await asyncio.sleep(…)`"),
        "connect" => (format!("connecting{on}"), ASYNC_CLIENT),
        "recvfrom" | "recvmsg" | "recv" => (format!("reading from{on}"), ASYNC_CLIENT),
        "sendto" | "sendmsg" | "send" => (format!("writing to{on}"), ASYNC_CLIENT),
        "read" | "readv" if is_socket => (format!("reading from{on}"), ASYNC_CLIENT),
        "write" | "writev" if is_socket => (format!("writing to{on}"), ASYNC_CLIENT),
        "poll" | "ppoll" | "select" | "pselect6" if file.is_some() => {
            (format!("waiting for{on}"), ASYNC_CLIENT)
        }
        "poll" | "ppoll" | "select" | "pselect6" => ("waiting for a socket".to_owned(), ASYNC_CLIENT),
        "accept" | "accept4" => ("accepting connections".to_owned(), "use asyncio.start_server"),
        "wait4" | "waitid" | "waitpid" => (
            "waiting for a child process".to_owned(),
            "use `await asyncio.create_subprocess_exec(…)` and `await process.wait()`",
        ),
        "flock" | "fcntl" => ("waiting for a file lock".to_owned(), TO_THREAD),
        "futex" if is_in("/queue.py", "") => (
            "waiting for another thread's queue".to_owned(),
            "use asyncio.Queue, filled by `loop.call_soon_threadsafe(…)`, or `await asyncio.to_thread(queue.get)`",
        ),
        "futex" if is_in("/concurrent/futures/", "") => (
            "waiting for jobs of an executor".to_owned(),
            "`await` them: `asyncio.wrap_future(…)`, `loop.run_in_executor(…)`, or `await asyncio.to_thread(…)`",
        ),
        "futex" if is_in("/threading.py", "join") => (
            "waiting for a thread to end".to_owned(),
            "do not wait for other threads on the loop's thread: `await asyncio.to_thread(thread.join)`",
        ),
        "futex" if is_in("/threading.py", "wait") || is_in("/threading.py", "wait_for") => (
            "waiting for a signal from another thread".to_owned(),
            "use asyncio.Event or asyncio.Condition, and set it by `loop.call_soon_threadsafe(…)`",
        ),
        "futex" => ("waiting for a lock".to_owned(), "do not wait for other threads on the loop's thread"),
        "read" | "readv" | "pread64" | "preadv" | "openat" | "open" | "fsync" | "fdatasync" | "write"
        | "writev" | "pwrite64" | "stat" | "newfstatat" | "getdents64" | "unlink" | "rename" => {
            (format!("in {}() on{}", call.name, if on.is_empty() { " a file" } else { &on }), TO_THREAD)
        }
        name => (format!("in the system call {name}{on}"), TO_THREAD),
    };
    Kind { doing, remedy }
}

const ASYNC_CLIENT: &str =
    "use an asynchronous client (aiohttp, httpx.AsyncClient, asyncpg, …), or `await asyncio.to_thread(…)`";

/// The innermost line of the user's code; without any, the innermost line.
fn own_line(stack: &[Frame]) -> Option<&Frame> {
    stack.iter().rev().find(|f| f.origin == Origin::Own && f.line > 0).or_else(|| stack.last())
}

/// The function that the user's innermost line called, where that is not the user's.
fn called(stack: &[Frame]) -> Option<&Frame> {
    let own = stack.iter().rposition(|f| f.origin == Origin::Own && f.line > 0)?;
    stack.get(own + 1).filter(|f| f.kind != FrameKind::Native)
}

/// `requests' get()`, `subprocess.run()`.
fn api(frame: &Frame) -> String {
    let of = match frame.origin {
        Origin::Library => package(frame).to_owned(),
        _ => stdlib_module(&frame.file),
    };
    if of.is_empty() { format!("{}()", frame.function) } else { format!("{}() of {of}", frame.function) }
}

/// `concurrent.futures`, of `/usr/lib/python3.13/concurrent/futures/_base.py`.
fn stdlib_module(file: &str) -> String {
    let path = file.rsplit_once("/python3.").and_then(|(_, rest)| rest.split_once('/'));
    let path = path.map_or_else(|| file.rsplit('/').next().unwrap_or_default(), |(_, path)| path);
    let parts = path.trim_end_matches(".py").split('/');
    let public: Vec<&str> = parts.filter(|part| !part.starts_with('_')).collect();
    public.join(".")
}

/// The innermost coroutine of the user's that is being executed.
fn caller(stack: &[Frame]) -> Option<&Frame> {
    let is_async = |f: &&Frame| matches!(f.kind, FrameKind::Coroutine | FrameKind::AsyncGenerator);
    stack.iter().rev().filter(is_async).find(|f| f.origin == Origin::Own)
}

fn in_selector(thread: &Thread) -> bool {
    let name =
        |f: &Frame| f.function.rsplit('.').next() == Some("select") && f.file.ends_with("selectors.py");
    // Who runs a child process waits in a selector, too, but not in the loop's.
    let is_loop = |f: &Frame| f.function.rsplit('.').next() == Some("_run_once");
    let is_of_loop = thread.stack.iter().rev().nth(1).is_none_or(is_loop) || thread.task.is_none();
    is_of_loop
        && thread.stack.last().is_some_and(name)
        && thread
            .syscall
            .as_ref()
            .is_none_or(|call| matches!(&*call.name, "epoll_wait" | "epoll_pwait" | "poll" | "select"))
}

/// Whether both are inside the same call: the same lines down to the user's innermost coroutine.
fn same_call(a: &Thread, b: &Thread) -> bool {
    let part = |t: &Thread| {
        let last = t.stack.iter().rposition(|f| f.origin == Origin::Own && f.kind == FrameKind::Coroutine);
        last.map_or(t.stack.len(), |at| at + 1)
    };
    a.task == b.task && crate::diff::same_lines(&a.stack[..part(a)], &b.stack[..part(b)])
}

/// Whether the thread is in a plain function below a task's coroutine, rather than in the coroutine itself.
fn runs_below_a_task(thread: &Thread) -> bool {
    thread.task.is_some()
        && thread.stack.last().is_some_and(|f| matches!(f.kind, FrameKind::Function | FrameKind::Native))
}

/// The thread that holds the GIL all the time at the same line while the loop's thread wants it. Who waits for the GIL
/// wakes up every few milliseconds to ask for it, and is seen so now and then.
fn gil_holder<'a>(scene: &Scene<'a>, thread: &Thread) -> Option<&'a Thread> {
    let mut asking = 0;
    let stands = scene.history.thread_always(thread.tid, |_, then| {
        asking += usize::from(then.waits_for_gil);
        then.holds_gil != Some(true) && crate::diff::same_lines(&then.stack, &thread.stack)
    });
    if scene.history.interval_s < 0.9 * scene.config.blocked_s
        || !stands
        || 2 * asking < scene.history.looks().len()
    {
        return None;
    }
    scene.now.threads.iter().find(|other| {
        other.tid != thread.tid
            && other.holds_gil == Some(true)
            && scene.history.thread_stands_still(other)
            && scene.history.thread_always(other.tid, |_, t| t.holds_gil == Some(true))
    })
}
