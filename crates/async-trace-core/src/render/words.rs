//! What a task waits for, who holds it and what it holds, as sentences.

use super::frames::telling;
use super::glyphs::Glyphs;
use super::line::Line;
use super::paths::Paths;
use super::units::{amount, number, seconds};
use super::{Mention, Role};
use crate::frame::Frame;
use crate::graph::awaits_future;
use crate::index::Index;
use crate::snapshot::*;

mod file;
mod resource;
mod syscall;

pub use resource::{is_memory_stream, noun};

/// How many names a sentence lists before it counts the rest.
const NAMES: usize = 3;

/// What sentences need to know.
pub(super) struct Speaker<'a> {
    pub index: &'a Index<'a>,
    pub paths: &'a Paths,
    pub glyphs: &'static Glyphs,
}

/// A wait that one task has, or many have alike.
pub(super) struct Wait<'a> {
    pub wait: &'a WaitsFor,
    /// Who waits.
    pub by: Option<Id>,
    /// The waits of all of them, when they are many.
    pub many: &'a [&'a WaitsFor],
}

impl<'a> Wait<'a> {
    pub(super) fn of(wait: &'a WaitsFor, by: Option<Id>) -> Self {
        Self { wait, by, many: &[] }
    }

    /// The smallest and the largest of a number over all of these waits.
    fn span(&self, number: impl Fn(&WaitsFor) -> Option<f64>) -> Option<(f64, f64)> {
        let all = self.many.iter().copied().chain([self.wait]).filter_map(number);
        all.fold(None, |span, n| Some(span.map_or((n, n), |(min, max): (f64, f64)| (min.min(n), max.max(n)))))
    }
}

impl Speaker<'_> {
    /// `waits for Lock a, held by task b at bank.py:40 (transfer), timeout in 2.5 s`.
    pub(super) fn wait(&self, line: &mut Line, wait: &Wait<'_>) {
        if !wait.many.is_empty() {
            line.say("each ");
        }
        if wait.wait.trust == Trust::Guessed {
            line.say("probably ");
        }
        self.target(line, wait);
        if let Some(pool) = self.pool_of(wait.wait) {
            line.say(", part of ");
            self.resource(line, pool, None);
            self.pool_state(line, pool);
            self.holders(line, pool, wait.by);
        }
        if let Some((min, max)) = wait.span(|w| w.timeout_s) {
            if max < 0.0 {
                line.say(", its timeout is ").say(&seconds(min)).say(" overdue");
            } else {
                line.say(", timeout in ").say(&self.between(min, max));
            }
        }
    }

    fn target(&self, line: &mut Line, wait: &Wait<'_>) {
        let verb = wait.wait.verb;
        match &wait.wait.target {
            Target::Tasks { pending, done, any } => {
                self.tasks(line, wait, pending, *done, *any == Some(true));
            }
            Target::Resource { id } => match self.index.get_resource(*id) {
                Some(resource) => self.resource_wait(line, wait, resource),
                None => {
                    line.say("waits for ")
                        .put(Role::Resource, wait.wait.name.as_deref().unwrap_or("something"));
                    line.say(", which could not be read");
                }
            },
            Target::Timer { .. } => {
                let sleeps = verb == Verb::Sleep;
                line.say(if sleeps { "sleeps" } else { "waits for a timer" });
                match wait.span(|w| if let Target::Timer { left_s } = w.target { left_s } else { None }) {
                    None => {}
                    Some((min, max)) if max < 0.0 => {
                        line.say("; its timer is ").say(&seconds(min)).say(" overdue");
                    }
                    Some((min, max)) => {
                        line.say(if sleeps { " for another " } else { ": " });
                        line.put(Role::Resource, &self.between(min, max));
                    }
                }
            }
            Target::File { file } => self.file_wait(line, wait, file),
            // Not a thread pool's: it may be `asyncio.run_coroutine_threadsafe`.
            Target::Job { thread: None, function: None, executor: None, .. } => {
                line.say("waits for a ").put(Role::Resource, "concurrent Future");
                line.say("; who completes it is not known");
            }
            Target::Job { thread, queued_behind, function, executor, .. } => {
                line.say("waits for ");
                line.put(Role::Function, function.as_deref().unwrap_or("a function"));
                self.job(line, wait, *thread, *queued_behind, *executor);
            }
            Target::Process { pid, command, child } => {
                line.say("waits for ");
                match pid {
                    Some(_) if !wait.many.is_empty() => _ = line.say("a child process of its own"),
                    Some(pid) => _ = line.say("child process ").show(Role::Resource, pid),
                    None => _ = line.say("a child process"),
                }
                if let Some(command) = command {
                    line.say(" (").put(Role::Resource, command).say(")");
                }
                if let Some(child) = child.as_ref().filter(|_| wait.many.is_empty()) {
                    self.child(line, child);
                }
            }
            Target::Future { id, type_name, reach } => {
                let noun = noun(type_name);
                line.say("waits for ");
                match &wait.wait.name {
                    Some(name) => _ = line.put(Role::Resource, &noun).say(" ").put(Role::Resource, name),
                    None => _ = line.say(article(&noun)).put(Role::Resource, &noun),
                }
                match reach.as_ref().filter(|_| wait.many.is_empty()) {
                    Some(reach) => {
                        if let Some(owner) = wait.wait.within.and_then(|id| self.index.get_resource(id)) {
                            line.say(" of ");
                            self.resource(line, owner, None);
                        }
                        self.reach(line, reach, |user| awaits_future(self.index, user, *id));
                    }
                    None => _ = line.say("; who completes it is not known"),
                }
            }
            Target::Turn => _ = line.say("gave way, and runs again in its turn"),
            Target::Unknown { type_name } => {
                line.say("waits for ").say(article(type_name)).put(Role::Resource, type_name);
                line.say(", which could not be followed");
            }
        }
    }

    fn tasks(&self, line: &mut Line, wait: &Wait<'_>, pending: &[Id], done: u32, any: bool) {
        let many = !wait.many.is_empty();
        let name = |line: &mut Line| match pending {
            [one] if !many => self.task(line, *one),
            _ => _ = line.say(&amount(pending.len() as u64, "task")),
        };
        let (before, after) = match wait.wait.verb {
            Verb::Gather => ("", " in its gather"),
            Verb::TaskGroup => ("", " of its TaskGroup"),
            Verb::AsCompleted => ("the next of ", " (as_completed)"),
            Verb::Wait if any => ("the first of ", " (asyncio.wait)"),
            Verb::Wait => ("", " in asyncio.wait"),
            Verb::WaitFor => ("", " in wait_for"),
            Verb::Shield => ("", " behind a shield"),
            _ => ("", ""),
        };
        line.say("waits for ").say(before);
        name(line);
        line.say(after);
        if done > 0 {
            line.say("; ").say(&number(u64::from(done))).say(if done == 1 {
                " is done"
            } else {
                " are done"
            });
        }
    }

    fn job(
        &self,
        line: &mut Line,
        wait: &Wait<'_>,
        thread: Option<u32>,
        queued_behind: Option<u32>,
        executor: Option<Id>,
    ) {
        if executor.is_some_and(|id| self.index.get_loop(id).is_some()) {
            line.say(", which the event loop has not begun");
            return;
        }
        let executor = executor.and_then(|id| self.index.get_resource(id));
        if !wait.many.is_empty() || thread.is_none() {
            line.say(match (thread, &executor) {
                (Some(_), _) => " in a thread",
                (None, Some(_)) => ", queued in ",
                (None, None) => ", queued for a thread",
            });
            if let (None, Some(executor)) = (thread, executor) {
                self.resource(line, executor, None);
                if let Some(before) = queued_behind.filter(|n| *n > 0 && wait.many.is_empty()) {
                    line.say(" behind ").say(&amount(u64::from(before), "job"));
                }
                if let (Some(busy), Some(size)) = (executor.state.busy, executor.state.size)
                    && size > 0
                    && i64::from(busy) >= size
                {
                    line.say("; ").say(&all_busy(size));
                }
            }
            return;
        }
        let Some(tid) = thread else { return };
        line.say(" in ");
        self.thread(line, tid);
        if let Some(frame) = self.index.get_thread(tid).and_then(|t| telling(&t.stack)) {
            line.say(", which is ");
            self.at(line, frame);
        }
    }

    /// What a child process does itself.
    fn child(&self, line: &mut Line, child: &Child) {
        match (child.state, &child.syscall) {
            (ThreadState::Dead, _) => _ = line.say(", which has ended"),
            (ThreadState::Stopped, _) => _ = line.say(", which is ").put(Role::Alarm, "stopped"),
            (ThreadState::Running, None) => _ = line.say(", which runs"),
            (_, Some(call)) => {
                line.say(", which ");
                self.syscall(line, call);
            }
            _ => {}
        }
        if let (Some(fd), Some(false)) = (child.our_end, child.served) {
            line.say("; ").put(Role::Alarm, &format!("nobody serves our end of it (fd {fd})"));
        }
    }

    /// Who could complete what is awaited, as far as was searched; `waits` tells who only waits for it.
    fn reach(&self, line: &mut Line, reach: &Reach, waits: impl Fn(&&Holder) -> bool) {
        let users: Vec<&Holder> = reach.users.iter().filter(|user| !waits(user)).collect();
        if users.is_empty() && reach.others.is_empty() {
            match reach.extent {
                Extent::Whole => _ = line.say("; ").put(Role::Alarm, "nobody else can reach it"),
                _ => _ = line.say("; nobody was found who could complete it"),
            }
            self.failed(line, reach);
            return;
        }
        let is_all = reach.extent == Extent::Whole;
        line.say(if is_all { "; only " } else { ", which can be completed by " });
        for (i, user) in users.iter().take(NAMES).enumerate() {
            line.say(if i > 0 { "; " } else { "" });
            self.holder(line, user, None);
        }
        for (i, other) in reach.others.iter().take(NAMES.saturating_sub(users.len())).enumerate() {
            line.say(if i + users.len() > 0 { "; " } else { "" }).say(other);
        }
        let all = users.len() + reach.others.len();
        if all > NAMES {
            line.say(&format!("; and {} more", number((all - NAMES) as u64)));
        }
        line.say(if is_all { " can reach it" } else { "" });
        self.failed(line, reach);
    }

    /// Who could have completed something, and has failed.
    fn failed(&self, line: &mut Line, reach: &Reach) {
        let Some(failure) = reach.failed.first() else { return };
        line.say("; ");
        match &failure.task {
            Some(task) => line.say("task ").put(Role::Task, &task.name),
            None => line.put(Role::Plain, &failure.at.function).say("()"),
        };
        line.say(" could, and has failed: ").put(Role::Alarm, &failure.error);
    }

    /// `task pay-2`.
    pub(super) fn task(&self, line: &mut Line, id: Id) {
        line.say("task ");
        match self.index.get_task(id) {
            Some(task) => _ = line.name(Role::Task, &task.name, Mention::Task(id)),
            None => _ = line.show(Role::Task, id).say(" (not readable)"),
        }
    }

    /// `thread worker-0 (4712)`.
    pub(super) fn thread(&self, line: &mut Line, tid: u32) {
        line.say("thread ");
        match self.index.get_thread(tid) {
            Some(thread) => {
                line.name(Role::Thread, &thread.name, Mention::Thread(tid));
                line.say(" (").show(Role::Plain, tid).say(")");
            }
            None => _ = line.show(Role::Thread, tid),
        }
    }

    /// `at bank.py:40 (transfer)`.
    pub(super) fn at(&self, line: &mut Line, frame: &Frame) {
        line.say(if frame.line > 0 { "at " } else { "in " });
        if frame.line > 0 {
            line.put(Role::Place, self.paths.short(frame))
                .put(Role::Place, ":")
                .show(Role::Place, frame.line);
            line.say(" (").put(Role::Function, &frame.function).say(")");
        } else {
            line.put(Role::Function, &frame.function);
        }
    }

    /// `bank.py:40`, where the function is known from the stack above.
    pub(super) fn place(&self, line: &mut Line, frame: &Frame, other_line: Option<u32>) {
        let number = other_line.unwrap_or(frame.line);
        if number > 0 {
            line.say(" at ").put(Role::Place, self.paths.short(frame));
            line.put(Role::Place, ":").show(Role::Place, number);
        }
    }

    /// `2.5 s`, or `0.3 s–12 s` where they differ.
    fn between(&self, min: f64, max: f64) -> String {
        let (low, high) = (seconds(min.max(0.0)), seconds(max));
        if low == high { high } else { format!("{low}{}{high}", self.glyphs.dash) }
    }
}

fn all_busy(threads: i64) -> String {
    match threads {
        1 => "its only thread is busy".into(),
        2 => "both its threads are busy".into(),
        n => format!("all its {} are busy", amount(n.unsigned_abs(), "thread")),
    }
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'A', 'E', 'I', 'O']) { "an " } else { "a " }
}
