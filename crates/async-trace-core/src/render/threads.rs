//! Threads: the one that blocks a loop, the workers of executors, and those that stand about.

use super::frames::{self, Style, telling};

use super::line::Line;
use super::tree::Tree;
use super::units::amount;
use super::words::Wait;
use super::{Canvas, Role};
use crate::frame::Frame;
use crate::snapshot::*;

/// How many threads with equal jobs are named before the rest is counted.
const MOST_JOBS: usize = 8;

impl Tree<'_> {
    /// Below a loop's line: what its thread executes, when it does not wait for events.
    pub(super) fn loop_stack(&mut self, canvas: &mut impl Canvas, event_loop: &EventLoop) {
        let Some(thread) = event_loop.thread.and_then(|tid| self.index.get_thread(tid)) else { return };
        let busy = event_loop.state != LoopState::Idle;
        if !(busy || self.options.threads) || thread.stack.is_empty() {
            return;
        }
        if busy {
            match event_loop.task {
                Some(id) => self.speaker.task(&mut self.line, id),
                None => _ = self.line.say("a callback"),
            }
            self.line.say(" is ");
            if let Some(frame) = telling(&thread.stack) {
                self.speaker.at(&mut self.line, frame);
            }
            self.line.say("; nothing else runs in this loop until it gives way:");
            self.end(canvas, "  ", 2);
        }
        self.thread_body(canvas, thread, "    ");
    }

    /// All threads that have something to tell, and how many have not.
    pub(super) fn threads(&mut self, canvas: &mut impl Canvas) {
        let s = self.index.snapshot;
        let (mut busy, mut idle): (Vec<&Thread>, Vec<&Thread>) = (Vec::new(), Vec::new());
        for thread in s.threads.iter().filter(|t| t.event_loop.is_none()) {
            let shown = self.options.threads || !is_idle(thread);
            if shown { busy.push(thread) } else { idle.push(thread) }
        }
        if busy.is_empty() && idle.is_empty() {
            return;
        }
        canvas.end_line();
        self.line.put(Role::Heading, if s.loops.is_empty() { "threads" } else { "other threads" });
        self.end(canvas, "", 2);
        for group in alike(&busy) {
            let Some(thread) = group.first() else { continue };
            if group.len() > 1 && thread.job.is_some() {
                self.jobs(&group);
            } else {
                self.names(&group);
                self.job(thread);
            }
            self.end(canvas, "  ", 2);
            let mut thread = (*thread).clone();
            if group.iter().any(|other| other.syscall != thread.syscall)
                && let Some(call) = &mut thread.syscall
            {
                // The same call on files of their own: the first one's would not be true of the others.
                call.file = None;
            }
            self.thread_body(canvas, &thread, "    ");
        }
        if !idle.is_empty() {
            let many = idle.len();
            self.names(&idle);
            self.line.say(if many == 1 { ": an idle worker" } else { ": idle workers" });
            self.end(canvas, "  ", 2);
        }
    }

    /// `thread worker-0 (4712)`, `3 threads worker-0 (4712), worker-1 (4713), …`.
    fn names(&mut self, group: &[&Thread]) {
        if let [one] = group {
            return self.speaker.thread(&mut self.line, one.tid);
        }
        self.line.say(&amount(group.len() as u64, "thread")).say(" ");
        for (i, thread) in group.iter().take(3).enumerate() {
            self.line.say(if i > 0 { ", " } else { "" }).put(Role::Thread, &thread.name);
            self.line.say(&format!(" ({})", thread.tid));
        }
        if group.len() > 3 {
            self.line.say(", ").say(self.glyphs.ellipsis);
        }
    }

    pub(super) fn job(&mut self, thread: &Thread) {
        let Some(job) = &thread.job else { return };
        let line = &mut self.line;
        line.say(" executes ").put(Role::Function, job.function.as_deref().unwrap_or("a job"));
        if let Some(id) = job.task {
            line.say(" for ");
            self.speaker.task(line, id);
        }
    }

    /// `4 threads execute render: asyncio_0 (4712) for task a, asyncio_1 (4713) for task b, …`.
    fn jobs(&mut self, group: &[&Thread]) {
        let line = &mut self.line;
        line.say(&amount(group.len() as u64, "thread")).say(" execute ");
        let function = group.iter().find_map(|t| t.job.as_ref()?.function.as_deref());
        line.put(Role::Function, function.unwrap_or("a job")).say(": ");
        for (i, thread) in group.iter().take(MOST_JOBS).enumerate() {
            line.say(if i > 0 { ", " } else { "" }).put(Role::Thread, &thread.name);
            line.say(&format!(" ({})", thread.tid));
            if let Some(id) = thread.job.as_ref().and_then(|job| job.task) {
                line.say(" for ");
                self.speaker.task(line, id);
            }
        }
        if group.len() > MOST_JOBS {
            line.say(&format!(" and {} more", group.len() - MOST_JOBS));
        }
    }

    /// A thread's stack, and what keeps it.
    pub(super) fn thread_body(&mut self, canvas: &mut impl Canvas, thread: &Thread, prefix: &str) {
        let style = Style { innermost: true, ..self.style() };
        frames::show(canvas, &self.page, self.paths, prefix, &thread.stack, style);
        self.thread_facts(canvas, thread, prefix);
    }

    /// What keeps a thread, and what it keeps.
    pub(super) fn thread_facts(&mut self, canvas: &mut impl Canvas, thread: &Thread, prefix: &str) {
        if let Some(wait) = &thread.waits_for {
            self.line.say(self.glyphs.arrow);
            self.speaker.wait(&mut self.line, &Wait::of(wait, None));
            self.end(canvas, prefix, 2);
        } else if self.kernel(thread) {
            self.end(canvas, prefix, 2);
        } else {
            self.line.clear();
        }
        for hold in &thread.holds {
            self.bullet();
            self.speaker.hold(&mut self.line, hold, &thread.stack, false);
            self.end(canvas, prefix, 2);
        }
    }

    /// What the kernel knows of it, as far as that says anything.
    fn kernel(&mut self, thread: &Thread) -> bool {
        let line: &mut Line = &mut self.line;
        line.say(self.glyphs.arrow);
        match (thread.state, &thread.syscall) {
            _ if thread.waits_for_gil => _ = line.say("waits for the GIL, which other threads use"),
            (ThreadState::Running, None) => _ = line.say("uses the CPU"),
            (ThreadState::Disk, None) => _ = line.say("waits for a disk or a network file system"),
            (ThreadState::Stopped, _) => {
                line.put(Role::Alarm, "is stopped").say(" by a signal or a debugger");
            }
            (_, Some(call)) => self.speaker.syscall(line, call),
            _ => return false,
        }
        true
    }
}

/// A worker that waits for its next job: nothing to see.
pub(super) fn is_idle(thread: &Thread) -> bool {
    let waits_for_work =
        |f: &Frame| &*f.function == "_worker" && f.file.ends_with("concurrent/futures/thread.py");
    thread.job.is_none() && thread.waits_for.is_none() && thread.stack.last().is_some_and(waits_for_work)
        || (thread.stack.is_empty() && thread.job.is_none())
}

/// Threads with the same stack and nothing that tells them apart.
fn alike<'a>(threads: &[&'a Thread]) -> Vec<Vec<&'a Thread>> {
    let mut groups: Vec<Vec<&Thread>> = Vec::new();
    let plain = |t: &Thread| t.waits_for.is_none() && t.holds.is_empty();
    let call = |t: &Thread| (t.syscall.as_ref().map(|call| call.name.clone()), t.waits_for_gil);
    let job = |t: &Thread| t.job.as_ref().map(|job| (job.function.clone(), job.executor));
    for thread in threads {
        let same = groups.iter_mut().find(|g| {
            let first = g[0];
            plain(thread)
                && plain(first)
                && thread.stack == first.stack
                && (thread.state, call(thread), job(thread)) == (first.state, call(first), job(first))
        });
        match same {
            Some(group) => group.push(thread),
            None => groups.push(vec![thread]),
        }
    }
    groups
}
