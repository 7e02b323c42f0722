//! One task, or many alike: its name, its stack, and sentences about it.

use super::super::frames::telling;
use super::super::shape::handling;
use super::super::units::seconds;
use super::*;

impl Tree<'_> {
    /// Tasks of one shape: the first stands for all.
    pub(in super::super) fn group(
        &mut self,
        canvas: &mut impl Canvas,
        head: &str,
        body: &str,
        members: &[u32],
        level: usize,
    ) {
        let tasks = &self.index.snapshot.tasks;
        let Some(task) = members.first().map(|p| &tasks[*p as usize]) else { return };
        self.title(task, members, level);
        self.line.end(canvas, &self.page, [head, body], 2);
        self.stack(canvas, body, task);
        self.facts(canvas, body, task, members);
    }

    /// `task pay-2: ready to run`, `10,000 tasks: ws-1, ws-2, ws-3, …`.
    pub(in super::super) fn title(&mut self, task: &Task, members: &[u32], level: usize) {
        let tasks = &self.index.snapshot.tasks;
        let line = &mut self.line;
        if level > DEEPEST {
            line.say(&format!("[{level}] "));
        }
        if members.len() == 1 {
            line.say("task ").put(Role::Task, &task.name);
        } else {
            line.put(Role::Heading, &amount(members.len() as u64, "task")).say(": ");
            let names = members.iter().map(|member| &*tasks[*member as usize].name);
            names_of(line, names, 3, self.glyphs.ellipsis);
        }
        if let Some(type_name) = &task.type_name {
            line.say(" (").say(&noun(type_name)).say(")");
        }
        match (task.state, &task.outcome) {
            (TaskState::Running, _) => _ = line.say(", ").put(Role::Alarm, "runs now"),
            (TaskState::Ready, _) => _ = line.say(", ready to run"),
            (TaskState::Waiting, _) => {}
            (TaskState::Done, outcome) => {
                line.say(match outcome {
                    None => ", done",
                    Some(Outcome::Returned) => ", has returned",
                    Some(Outcome::Cancelled) => ", was cancelled",
                    Some(Outcome::Raised(_)) => ", has raised ",
                });
                if let Some(Outcome::Raised(exception)) = outcome {
                    line.put(Role::Alarm, exception);
                }
            }
        }
    }

    fn stack(&mut self, canvas: &mut impl Canvas, body: &str, task: &Task) {
        let said = task
            .waits_for
            .as_ref()
            .is_some_and(|w| !matches!(w.target, Target::Unknown { .. } | Target::Future { .. }));
        let style = Style { without_tail: said, ..self.style() };
        frames::show(canvas, &self.page, self.paths, body, &task.chain, style);
    }

    pub(in super::super) fn facts(
        &mut self,
        canvas: &mut impl Canvas,
        body: &str,
        task: &Task,
        members: &[u32],
    ) {
        let tasks = &self.index.snapshot.tasks;
        let many = members.len() > 1;
        if let (Some(wait), true) = (&task.waits_for, task.state != TaskState::Running) {
            let waits: Vec<&WaitsFor> = if many {
                members.iter().filter_map(|m| tasks[*m as usize].waits_for.as_ref()).collect()
            } else {
                Vec::new()
            };
            self.line.say(self.glyphs.arrow);
            let by = (!many).then_some(task.id);
            self.speaker.wait(&mut self.line, &Wait { wait, by, many: &waits });
            self.end(canvas, body, 2);
        }
        if task.cancelling > 0 {
            let times = if task.cancelling > 1 && !many {
                format!(" {} times", task.cancelling)
            } else {
                String::new()
            };
            let each = if many { "each " } else { "" };
            self.bullet()
                .put(Role::Alarm, &format!("{each}was asked to cancel{times}"))
                .say(" and has not ended");
            self.end(canvas, body, 2);
        }
        if let Some(exception) = handling(task) {
            self.bullet().say("is handling ").put(Role::Resource, &noun(exception));
            self.end(canvas, body, 2);
        }
        if let Some(connection) = &task.connection {
            self.connection(canvas, body, connection, many);
        }
        for hold in task.holds.iter().take(MOST_FACTS) {
            self.bullet();
            self.speaker.hold(&mut self.line, hold, &task.chain, many);
            self.end(canvas, body, 2);
        }
        if task.holds.len() > MOST_FACTS {
            let more = format!("holds {} more", number((task.holds.len() - MOST_FACTS) as u64));
            self.bullet().say(&more);
            self.end(canvas, body, 2);
        }
        let own = |c: &&Context| {
            let frame = task.chain.get(c.frame as usize);
            self.options.all_frames || frame.is_some_and(|f| f.origin == crate::frame::Origin::Own)
        };
        let said = |c: &&Context| !matches!(&*noun(&c.type_name), "Timeout" | "TaskGroup");
        for context in task.contexts.iter().filter(own).filter(said).take(MOST_FACTS) {
            self.line.say(self.glyphs.bullet).say("inside ").put(Role::Resource, &noun(&context.type_name));
            if let Some(frame) = task.chain.get(context.frame as usize) {
                self.speaker.place(&mut self.line, frame, None);
            }
            self.end(canvas, body, 2);
        }
        for operation in task.operations.iter().take(MOST_FACTS) {
            let each = if many { "each is in `" } else { "in `" };
            self.bullet().say(each).show(Role::Resource, &operation.name).say("`");
            if let Some(age) = operation.age_s.filter(|_| !many) {
                self.line.say(" for ").say(&seconds(age));
            }
            if let Some(frame) = &operation.at {
                self.line.say(", begun ");
                self.speaker.at(&mut self.line, frame);
            }
            self.end(canvas, body, 2);
        }
        if let Some(created) = &task.created {
            self.bullet().say(if many { "all created" } else { "created" });
            if let Some(frame) = telling(&created.stack) {
                self.line.say(" ");
                self.speaker.at(&mut self.line, frame);
            }
            if let Some(id) = created.task.filter(|_| !many) {
                self.line.say(" by ");
                self.speaker.task(&mut self.line, id);
            }
            self.end(canvas, body, 2);
        }
    }

    fn connection(&mut self, canvas: &mut impl Canvas, body: &str, connection: &Connection, many: bool) {
        let each = if many { "each " } else { "" };
        if connection.closed {
            self.bullet().say(each).say("serves a client that ").put(Role::Alarm, "has gone");
        } else if connection.half_closed {
            self.bullet().say(each).say("serves a client that ").put(Role::Alarm, "has closed its side");
        } else if let Some(file) = connection.file.as_ref().filter(|_| !many) {
            self.bullet().say("serves ");
            self.speaker.file(&mut self.line, file);
        } else {
            return;
        }
        self.end(canvas, body, 2);
    }

    pub(in super::super) fn bullet(&mut self) -> &mut Line {
        self.line.say(self.glyphs.bullet)
    }

    /// Tasks that stand elsewhere: a line that says where.
    pub(super) fn reference(
        &mut self,
        canvas: &mut impl Canvas,
        forest: &Forest,
        head: &str,
        below: &str,
        members: &[u32],
    ) {
        let tasks = &self.index.snapshot.tasks;
        for member in members.iter().take(3) {
            self.line.say("task ").put(Role::Task, &tasks[*member as usize].name);
            match forest.parent[*member as usize] {
                Some(parent) => {
                    self.line.say(", shown under task ").put(Role::Task, &tasks[parent as usize].name);
                }
                None => _ = self.line.say(", shown above"),
            }
            self.line.end(canvas, &self.page, [head, below], 2);
        }
        if members.len() > 3 {
            let more = amount((members.len() - 3) as u64, "more task");
            self.line.say(&format!("{} {more}, shown elsewhere", self.glyphs.ellipsis));
            self.line.end(canvas, &self.page, [head, below], 2);
        }
    }
}

/// `a, b, c, …`: the first in the order in which people count; a name that many have is said once.
pub(super) fn names_of<'a>(
    line: &mut Line,
    names: impl Iterator<Item = &'a str>,
    most: usize,
    ellipsis: &str,
) {
    // One more than is shown, to know whether there are more.
    let mut first: Vec<&str> = Vec::with_capacity(most + 2);
    for name in names {
        let at = first.partition_point(|known| (known.len(), *known) < (name.len(), name));
        if at <= most && first.get(at) != Some(&name) {
            first.insert(at, name);
            first.truncate(most + 1);
        }
    }
    for (i, name) in first.iter().take(most).enumerate() {
        line.say(if i > 0 { ", " } else { "" }).put(Role::Task, name);
    }
    if first.len() > most {
        line.say(", ").say(ellipsis);
    }
}

/// How many of a kind of facts one task may have before the rest is counted.
const MOST_FACTS: usize = 6;
