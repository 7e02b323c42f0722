//! One task in full, with all that it has to do with: what it waits for and what that waits for in
//! turn, to the end; and who waits for it.

use super::forest::pending;
use super::frames::{self, Style};
use super::tree::Tree;
use super::units::amount;
use super::{Canvas, Role};
use crate::snapshot::*;
use rustc_hash::FxHashSet;

/// How many related tasks are shown.
const MOST: usize = 20;

impl Tree<'_> {
    pub(super) fn details(&mut self, canvas: &mut impl Canvas, tasks: &[u32]) {
        for position in tasks {
            let task = &self.index.snapshot.tasks[*position as usize];
            canvas.end_line();
            self.one(canvas, task, Style { all: true, ..self.style() });
            self.identity(canvas, task);
            let shown = self.blockers(canvas, task);
            self.waiters(canvas, task, shown);
        }
    }

    fn one(&mut self, canvas: &mut impl Canvas, task: &Task, style: Style) {
        self.speaker.task(&mut self.line, task.id);
        self.line.say(match (task.state, &task.outcome) {
            (TaskState::Running, _) => ", runs now",
            (TaskState::Ready, _) => ", ready to run",
            (TaskState::Waiting, _) => ", waits",
            (TaskState::Done, Some(Outcome::Returned)) => ", has returned",
            (TaskState::Done, Some(Outcome::Cancelled)) => ", was cancelled",
            (TaskState::Done, Some(Outcome::Raised(_))) => ", has raised an exception",
            (TaskState::Done, None) => ", done",
        });
        self.end(canvas, "", 2);
        frames::show(canvas, &self.page, self.paths, "  ", &task.chain, style);
        let members: Vec<u32> = self.index.task(task.id).into_iter().collect();
        self.facts(canvas, "  ", task, &members);
    }

    /// Its id, loop, thread and the stack that created it.
    fn identity(&mut self, canvas: &mut impl Canvas, task: &Task) {
        self.bullet().say("id ").show(Role::Plain, task.id);
        if let Some(tid) = task.thread {
            self.line.say(", runs in ");
            self.speaker.thread(&mut self.line, tid);
        }
        self.end(canvas, "  ", 2);
        if let Some(created) = task.created.as_ref().filter(|c| c.stack.len() > 1) {
            self.bullet().say("the stack that created it:");
            self.end(canvas, "  ", 2);
            frames::show(canvas, &self.page, self.paths, "      ", &created.stack, self.style());
        }
    }

    /// Returns the tasks that were shown.
    fn blockers(&mut self, canvas: &mut impl Canvas, task: &Task) -> FxHashSet<Id> {
        let mut seen: FxHashSet<Id> = FxHashSet::default();
        seen.insert(task.id);
        let mut todo = vec![task];
        let mut found: Vec<&Task> = Vec::new();
        let mut threads: Vec<u32> = Vec::new();
        let mut more = 0_u64;
        while let Some(task) = (!todo.is_empty()).then(|| todo.remove(0)) {
            let mut next: Vec<Id> = pending(task).to_vec();
            match task.waits_for.as_ref().map(|w| &w.target) {
                Some(Target::Resource { id }) => {
                    let holders = self.index.get_resource(*id).map_or(&[][..], |r| &r.holders);
                    next.extend(holders.iter().filter_map(|h| h.task));
                    threads.extend(holders.iter().filter_map(|h| h.thread));
                }
                Some(Target::Job { thread: Some(tid), .. }) => threads.push(*tid),
                _ => {}
            }
            for task in
                next.into_iter().filter(|id| seen.insert(*id)).filter_map(|id| self.index.get_task(id))
            {
                if found.len() < MOST {
                    found.push(task);
                    todo.push(task);
                } else {
                    more += 1;
                }
            }
        }
        threads.dedup();
        if found.is_empty() && threads.is_empty() {
            return seen;
        }
        canvas.end_line();
        self.line.put(Role::Heading, "what it waits for, to the end");
        self.end(canvas, "", 2);
        for task in found {
            canvas.end_line();
            self.one(canvas, task, self.style());
        }
        for tid in threads {
            if let Some(thread) = self.index.get_thread(tid) {
                canvas.end_line();
                self.speaker.thread(&mut self.line, tid);
                self.end(canvas, "", 2);
                self.thread_body(canvas, thread, "  ");
            }
        }
        if more > 0 {
            self.line.say(&format!("{} {}", self.glyphs.ellipsis, amount(more, "more task")));
            self.end(canvas, "", 2);
        }
        seen
    }

    fn waiters(&mut self, canvas: &mut impl Canvas, task: &Task, mut shown: FxHashSet<Id>) {
        let awaiters = task.awaited_by.iter().map(|a| a.task);
        let behind =
            task.holds.iter().filter_map(|h| self.index.get_resource(h.resource)).flat_map(|r| &r.waiters);
        let related = shown.len() > 1;
        let all: Vec<Id> = awaiters.chain(behind.copied()).filter(|id| shown.insert(*id)).collect();
        if all.is_empty() {
            return;
        }
        canvas.end_line();
        self.line.put(Role::Heading, if related { "who else waits for it" } else { "who waits for it" });
        self.end(canvas, "", 2);
        for task in all.iter().take(MOST).filter_map(|id| self.index.get_task(*id)) {
            canvas.end_line();
            self.one(canvas, task, self.style());
        }
        if all.len() > MOST {
            let more = amount((all.len() - MOST) as u64, "more task");
            self.line.say(&format!("{} {more}", self.glyphs.ellipsis));
            self.end(canvas, "", 2);
        }
    }
}
