//! What has changed between two snapshots, as text.
//!
//! ```text
//! process 4711: python3 app.py
//! 60 s between the two looks; 12 tasks before, 112 after
//!
//! at the same wait in both: 2 tasks
//! • task alice at bank.py:40 (transfer): Lock b
//! ```

use super::glyphs::{ASCII, Glyphs, UNICODE};
use super::line::{Line, Page};
use super::paths::Paths;
use super::units::{amount, number, seconds};
use super::{Canvas, PageOptions, Role, Table};
use crate::diff::{Comparison, Doing, Group, Growth};
use crate::frame::Frame;

/// How many tasks of a group are named.
const NAMES: usize = 3;

/// Writes a comparison, with at most `max` groups of each kind.
pub fn comparison(c: &Comparison, max: usize, options: &PageOptions, canvas: &mut impl Canvas) {
    let glyphs: &'static Glyphs = if options.ascii { &ASCII } else { &UNICODE };
    let groups = [&c.stuck, &c.moved, &c.new, &c.gone].into_iter().flatten();
    let frames = groups.flat_map(|g| [&g.before, &g.after]).flatten().filter_map(|d| d.at.as_ref());
    let sites: Vec<Frame> =
        c.sites.iter().map(|s| super::sites::frame(&s.function, &s.file, s.line)).collect();
    let paths = Paths::of_stacks(frames.chain(&sites).map(std::slice::from_ref));
    let page = Page { width: options.width, ellipsis: glyphs.ellipsis };
    let mut writer = Writer { paths, glyphs, page, max, line: Line::default(), canvas };
    writer.header(c);
    if c.same_process {
        writer.part("at the same wait in both", &c.stuck);
        writer.part("moved", &c.moved);
        writer.part("new", &c.new);
        writer.part("gone", &c.gone);
    }
    writer.growth(c, &sites, options);
}

struct Writer<'a, C: Canvas> {
    paths: Paths,
    glyphs: &'static Glyphs,
    page: Page,
    max: usize,
    line: Line,
    canvas: &'a mut C,
}

impl<C: Canvas> Writer<'_, C> {
    fn end(&mut self, indent: &str, hanging: usize) {
        self.line.end(self.canvas, &self.page, [indent, indent], hanging);
    }

    fn header(&mut self, c: &Comparison) {
        for side in [&c.before, &c.after].into_iter().skip(usize::from(c.same_process)) {
            self.line.put(Role::Heading, "process ").show(Role::Heading, side.pid).say(": ");
            self.line.say(&side.command.join(" "));
            self.end("", 2);
        }
        if let Some(s) = c.interval_s {
            self.line.say(&seconds(s)).say(" between the two looks; ");
        }
        self.line.say(&amount(u64::from(c.before.tasks), "task")).say(" before, ");
        self.line.say(&number(u64::from(c.after.tasks))).say(" after");
        self.end("", 2);
        if c.interval_s.is_some_and(|s| s < 0.0) {
            self.line.put(Role::Alarm, "the first is the newer one");
            self.end("", 2);
        }
        if !c.same_process {
            self.line.say("These are two processes: only where their tasks come from can be compared.");
            self.end("", 0);
        }
        for (side, name) in [(&c.before, "before"), (&c.after, "after")] {
            if side.has_gaps {
                self.line
                    .put(Role::Alarm, name)
                    .say(": not all tasks could be read; some may count as new or gone");
                self.end("", 2);
            }
        }
    }

    fn part(&mut self, title: &str, groups: &[Group]) {
        self.canvas.end_line();
        let tasks: usize = groups.iter().map(|g| g.tasks.len()).sum();
        self.line.put(Role::Heading, title).say(": ");
        self.line.say(&if tasks == 0 { "none".into() } else { amount(tasks as u64, "task") });
        self.end("", 2);
        for group in groups.iter().take(self.max) {
            self.group(group);
        }
        if let Some(rest) = groups.get(self.max..).filter(|rest| !rest.is_empty()) {
            let tasks: usize = rest.iter().map(|g| g.tasks.len()).sum();
            self.line.put(Role::Library, self.glyphs.ellipsis).say(" ");
            self.line.put(Role::Library, &amount(tasks as u64, "more task")).put(Role::Library, " in ");
            self.line.put(Role::Library, &amount(rest.len() as u64, "group"));
            self.end("", 2);
        }
    }

    fn group(&mut self, group: &Group) {
        self.line.put(Role::Rule, self.glyphs.bullet);
        match &group.tasks[..] {
            [one] => _ = self.line.say("task ").put(Role::Task, &one.name),
            many => {
                self.line.say(&amount(many.len() as u64, "task")).say(" (");
                for (i, task) in many.iter().take(NAMES).enumerate() {
                    self.line.say(if i > 0 { ", " } else { "" }).put(Role::Task, &task.name);
                }
                self.line.say(if many.len() > NAMES { ", " } else { "" });
                self.line.say(if many.len() > NAMES { self.glyphs.ellipsis } else { "" }).say(")");
            }
        }
        match (&group.before, &group.after) {
            (Some(before), Some(after)) if before != after => {
                self.end("", 4);
                self.line.say("was ");
                self.doing(before);
                self.end("    ", 4);
                self.line.say("now ");
                self.doing(after);
                self.end("    ", 4);
            }
            (_, Some(doing)) | (Some(doing), None) => {
                self.line.say(" ");
                self.doing(doing);
                self.end("", 4);
            }
            (None, None) => self.end("", 4),
        }
    }

    fn doing(&mut self, doing: &Doing) {
        if let Some(frame) = &doing.at {
            self.line.say("at ").put(Role::Place, self.paths.short(frame));
            if frame.line > 0 {
                self.line.put(Role::Place, ":").show(Role::Place, frame.line);
            }
            self.line.say(" (").put(Role::Function, &frame.function).say("): ");
        }
        self.line.put(Role::Resource, &doing.text);
    }

    fn growth(&mut self, c: &Comparison, frames: &[Frame], options: &PageOptions) {
        self.canvas.end_line();
        self.line.put(Role::Heading, "tasks by where they come from");
        self.end("", 2);
        let mut table = Table::new(&["BEFORE", "AFTER", "CHANGE", "WHERE"]);
        // What has changed comes first, whether it grew or shrank.
        let mut rows: Vec<(&Growth, &Frame)> = c.sites.iter().zip(frames).collect();
        rows.sort_by_key(|(growth, _)| std::cmp::Reverse(growth.before.abs_diff(growth.after)));
        for (growth, frame) in rows.iter().take(self.max) {
            let change = i64::from(growth.after) - i64::from(growth.before);
            let role = if change > 0 { Role::Alarm } else { Role::Plain };
            table.row([
                (Role::Plain, number(u64::from(growth.before))),
                (Role::Plain, number(u64::from(growth.after))),
                (role, if change == 0 { "0".into() } else { format!("{change:+}") }),
                (Role::Place, super::sites::place(&self.paths, frame)),
            ]);
        }
        table.draw(self.canvas, options.width, options.ascii);
        if rows.len() > self.max {
            self.line.put(Role::Library, &amount((rows.len() - self.max) as u64, "more place"));
            self.end("", 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PageOptions, comparison};
    use crate::diff::Comparison;
    use crate::fixture::snapshot;

    #[test]
    fn says_what_moved_stayed_came_and_went() {
        let before = snapshot(
            "process 7 at 100
lock a
task one
  transfer /srv/bank.py:40
  waits acquire a
task two
  poll /srv/bank.py:60
  waits sleep timer 3
task three
  once /srv/bank.py:70
  waits sleep timer 1
",
        );
        let after = snapshot(
            "process 7 at 160
lock a
task one
  transfer /srv/bank.py:40
  waits acquire a
task two
  poll /srv/bank.py:61
  waits acquire a
task three returned
task worker x4
  job /srv/leak.py:9
  waits sleep timer 50
  created main /srv/leak.py:20 hook
",
        );
        let mut text = String::new();
        let options = PageOptions { width: Some(80), ascii: false };
        comparison(&Comparison::of(&before, &after), 10, &options, &mut text);
        insta::assert_snapshot!(text, @"
        process 7: python3 app.py
        1 min 0 s between the two looks; 3 tasks before, 6 after

        at the same wait in both: 1 task
        • task one at bank.py:40 (transfer): Lock a

        moved: 1 task
        • task two
            was at bank.py:60 (poll): sleep
            now at bank.py:61 (poll): Lock a

        new: 4 tasks
        • 4 tasks (worker-1, worker-2, worker-3, …) at leak.py:9 (job): sleep

        gone: 1 task
        • task three at bank.py:70 (once): sleep

        tasks by where they come from
        BEFORE  AFTER  CHANGE  WHERE
             0      4      +4  created at leak.py:20 (main)
             1      0      -1  once (bank.py)
             1      1       0  poll (bank.py)
             1      1       0  transfer (bank.py)
        ");
        let other = snapshot("process 8 at 100\ntask one\n  transfer /srv/bank.py:40");
        let mut text = String::new();
        comparison(&Comparison::of(&before, &other), 10, &options, &mut text);
        insta::assert_snapshot!(text, @"
        process 7: python3 app.py
        process 8: python3 app.py
        0 ms between the two looks; 3 tasks before, 1 after
        These are two processes: only where their tasks come from can be compared.

        tasks by where they come from
        BEFORE  AFTER  CHANGE  WHERE
             1      0      -1  once (bank.py)
             1      0      -1  poll (bank.py)
             1      1       0  transfer (bank.py)
        ");
    }
}
