//! Findings as text: the verdict first, then what it rests on, what follows from it, and what to try.
//!
//! ```text
//! ERROR deadlock (proven)
//!   task alice holds Lock `a` and waits for Lock `b` in transfer() at bank.py:40; task bob holds …
//!   • task alice at bank.py:40 (transfer): holds Lock `a`, taken at line 39
//!   • task alice at bank.py:40 (transfer): waits for Lock `b`
//!   2 more tasks behind it:
//!   • 2 tasks (report-1, report-2) at bank.py:60 (report): each waits for Lock `a`
//!   try: take these locks in the same order everywhere, or replace them by one
//! ```

use super::glyphs::{ASCII, Glyphs, UNICODE};
use super::line::{Line, Page};
use super::paths::Paths;
use super::units::{amount, number, seconds};
use super::{Canvas, Mention, Role};
use crate::finding::{self, Certainty, Consequence, Evidence, Finding, Report, Severity};
use crate::frame::{Frame, FrameKind, Origin};
use crate::snapshot::Snapshot;

/// How to draw findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FindingOptions {
    /// The width of the page in columns; no limit without one.
    pub width: Option<usize>,
    /// Draw with ASCII characters only.
    pub ascii: bool,
}

/// Writes a report on one process. `snapshot` is the newest one it was made from.
pub fn findings(report: &Report, snapshot: &Snapshot, options: &FindingOptions, canvas: &mut impl Canvas) {
    let glyphs: &'static Glyphs = if options.ascii { &ASCII } else { &UNICODE };
    let page = Page { width: options.width, ellipsis: glyphs.ellipsis };
    let paths = Paths::of(snapshot);
    let mut writer = Writer { paths: &paths, glyphs, page, line: Line::default(), canvas };
    writer.header(report, snapshot);
    for finding in &report.findings {
        writer.canvas.end_line();
        writer.finding(finding);
    }
}

/// Writes one of them. `snapshot` is the newest one that it was made from.
pub fn finding(finding: &Finding, snapshot: &Snapshot, options: &FindingOptions, canvas: &mut impl Canvas) {
    let glyphs: &'static Glyphs = if options.ascii { &ASCII } else { &UNICODE };
    let page = Page { width: options.width, ellipsis: glyphs.ellipsis };
    let paths = Paths::of(snapshot);
    Writer { paths: &paths, glyphs, page, line: Line::default(), canvas }.finding(finding);
}

/// `ERROR`, `WARNING`.
#[must_use]
pub fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "ERROR",
        Severity::Warning => "WARNING",
    }
}

/// `proven`, `suspected`.
#[must_use]
pub fn certainty(certainty: Certainty) -> &'static str {
    match certainty {
        Certainty::Proven => "proven",
        Certainty::Suspected => "suspected",
    }
}

pub(super) struct Writer<'a, C: Canvas> {
    pub paths: &'a Paths,
    pub glyphs: &'static Glyphs,
    pub page: Page,
    pub line: Line,
    pub canvas: &'a mut C,
}

impl<C: Canvas> Writer<'_, C> {
    pub(super) fn end(&mut self, indent: &str, hanging: usize) {
        self.line.end(self.canvas, &self.page, [indent, indent], hanging);
    }

    fn header(&mut self, report: &Report, snapshot: &Snapshot) {
        self.line.put(Role::Heading, "process ").show(Role::Heading, report.pid).say(": ");
        self.line.say(&snapshot.process.command.join(" "));
        self.end("", 2);
        self.amount(report);
        self.end("", 2);
        if crate::diff::has_gaps(snapshot) {
            self.line.put(Role::Alarm, "not all tasks could be read: ");
            self.line
                .say("what is wrong with the others is not known; try again, or with `--pause-budget 1s`");
            self.end("", 2);
        }
    }

    /// `1 finding in 6 looks in 2.0 s`.
    pub(super) fn amount(&mut self, report: &Report) {
        let n = report.findings.len() as u64;
        let looks = match report.snapshots {
            1 => "one look".to_owned(),
            looks => format!("{looks} looks in {}", seconds(report.interval_s)),
        };
        if n == 0 {
            self.line.say("nothing wrong was found in ").say(&looks);
        } else {
            self.line.say(&amount(n, "finding")).say(" in ").say(&looks);
        }
    }

    fn finding(&mut self, f: &Finding) {
        self.line.put(Role::Alarm, severity(f.severity)).put(Role::Alarm, " ").put(Role::Heading, &f.check);
        self.line.say(" (").say(certainty(f.certainty)).say(")");
        if let Some(n) = f.count {
            self.line.say(", ").say(&number(u64::from(n))).say(" times; the first:");
        }
        if f.caused_by.is_some() {
            self.line.say(", because of the above");
        }
        self.end("", 2);
        self.line.say(&f.summary);
        self.end("  ", 0);
        for line in &f.evidence {
            self.evidence(line);
        }
        if !f.consequences.is_empty() {
            let n: u64 = f.consequences.iter().map(|c| u64::from(c.count)).sum();
            self.line.put(Role::Alarm, &amount(n, "more task")).say(" behind it:");
            self.end("  ", 2);
        }
        for consequence in &f.consequences {
            self.consequence(consequence);
        }
        if let Some(doubt) = &f.doubt {
            self.line.say("not certain, because ").say(doubt);
            self.end("  ", 2);
        }
        for advice in &f.advice {
            self.line.put(Role::Heading, "try: ").say(advice);
            self.end("  ", 2);
        }
    }

    fn evidence(&mut self, e: &Evidence) {
        self.evidence_words(e);
        self.end("  ", 4);
        if let Some(source) = &e.source {
            self.line.put(Role::Source, source);
            self.end("      ", 2);
        }
    }

    pub(super) fn evidence_words(&mut self, e: &Evidence) {
        self.line.put(Role::Rule, self.glyphs.bullet);
        if let Some(n) = e.count {
            let many = if e.thread.is_some() {
                " threads, such as "
            } else if e.task.is_some() {
                " tasks, such as "
            } else {
                " "
            };
            self.line.say(&number(u64::from(n))).say(many);
        }
        if let Some(thread) = &e.thread {
            self.line.say("thread ").name(Role::Thread, &thread.name, Mention::Thread(thread.tid));
        }
        if let Some(task) = &e.task {
            self.line.say(if e.thread.is_some() { " (task " } else { "task " });
            self.line.name(Role::Task, &task.name, Mention::Task(task.id));
            self.line.say(if e.thread.is_some() { ")" } else { "" });
        }
        if let Some(function) = &e.function {
            self.line.say(if e.task.is_some() || e.thread.is_some() { " " } else { "" });
            self.line.say(verb(e.role)).say(" ");
            self.place(function, e.file.as_deref(), e.line);
            self.line.say(": ");
        } else if e.task.is_some() || e.thread.is_some() {
            self.line.say(": ");
        }
        self.each(e.count.unwrap_or(1), &e.text);
    }

    /// What each of so many does.
    fn each(&mut self, count: u32, text: &str) {
        self.line.say(if count > 1 { "each " } else { "" }).say(text);
    }

    fn consequence(&mut self, c: &Consequence) {
        self.consequence_words(c);
        self.end("  ", 4);
    }

    pub(super) fn consequence_words(&mut self, c: &Consequence) {
        self.line.put(Role::Rule, self.glyphs.bullet);
        match (&c.tasks[..], c.count) {
            ([task], 1) => {
                self.line.say("task ").name(Role::Task, &task.name, Mention::Task(task.id));
            }
            (tasks, n) => {
                self.line.say(&amount(u64::from(n), "task"));
                for (i, task) in tasks.iter().enumerate() {
                    self.line.say(if i == 0 { " (" } else { ", " });
                    self.line.name(Role::Task, &task.name, Mention::Task(task.id));
                }
                if n as usize > tasks.len() && !tasks.is_empty() {
                    self.line.say(", ").say(self.glyphs.ellipsis);
                }
                self.line.say(if tasks.is_empty() { "" } else { ")" });
            }
        }
        if let Some(function) = &c.function {
            self.line.say(" at ");
            self.place(function, c.file.as_deref(), c.line);
            self.line.say(": ");
            self.each(c.count, &c.text);
        } else {
            self.line.say(" ").say(&c.text);
        }
    }

    /// `bank.py:40 (transfer)`.
    fn place(&mut self, function: &str, file: Option<&str>, line: Option<u32>) {
        let (Some(file), Some(line)) = (file, line) else {
            self.line.put(Role::Function, function).say("()");
            return;
        };
        let frame =
            Frame::new(function.into(), file.into(), line, FrameKind::Function, Origin::of(file, None));
        let short = self.paths.short(&frame).to_owned();
        self.line.put(Role::Place, &short).put(Role::Place, ":").show(Role::Place, line);
        self.line.say(" (").put(Role::Function, function).say(")");
    }
}

fn verb(role: finding::Role) -> &'static str {
    match role {
        finding::Role::Blocked => "is blocked at",
        finding::Role::Works => "is at",
        finding::Role::Created => "created at",
        finding::Role::Defined => "defined at",
        finding::Role::Failed => "failed at",
        finding::Role::Completes => "was to complete it at",
        _ => "at",
    }
}

#[cfg(test)]
mod tests {
    use super::{FindingOptions, findings};
    use crate::checks::{Config, run};
    use crate::finding::Report;
    use crate::fixture::snapshot;

    fn shown(text: &str, width: usize) -> String {
        let s = snapshot(text);
        let report = Report::new(&[&s], run(&[&s], &Config::default()));
        let mut out = String::new();
        findings(&report, &s, &FindingOptions { width: Some(width), ascii: false }, &mut out);
        out
    }

    #[test]
    fn a_deadlock_with_victims() {
        insta::assert_snapshot!(shown("
lock a
lock b
task alice
  transfer bank.py:40 | async with b:
  holds a taken 39
  waits acquire b as self.b
task bob
  refund bank.py:52
  holds b taken 51
  waits acquire a as self.a
task report x2
  report bank.py:60
  waits acquire a as self.a
", 80), @"
        process 4711: python3 app.py
        1 finding in one look

        ERROR deadlock (proven)
          task alice holds Lock `self.a` and waits for Lock `self.b` in transfer() at
          bank.py:40; task bob holds Lock `self.b` and waits for Lock `self.a` in
          refund() at bank.py:52
          • task alice at bank.py:40 (transfer): holds Lock `self.a`, taken at line 39
              async with b:
          • task alice at bank.py:40 (transfer): waits for Lock `self.b`
              async with b:
          • task bob at bank.py:52 (refund): holds Lock `self.b`, taken at line 51
          • task bob at bank.py:52 (refund): waits for Lock `self.a`
          2 more tasks behind it:
          • 2 tasks (report-1, report-2) at bank.py:60 (report): each waits for Lock
              `self.a`
          try: take these locks in the same order everywhere, or replace them by one
        ");
    }

    #[test]
    fn nothing() {
        insta::assert_snapshot!(shown("task a\n  main app.py:3\n  waits sleep timer 3", 80), @"
        process 4711: python3 app.py
        nothing wrong was found in one look
        ");
    }

    #[test]
    fn what_was_not_read_is_not_called_healthy() {
        let text = "problem task_unreadable 3000 \"a task could not be read\"\ntask a\n  main app.py:3\n  waits sleep timer 3";
        insta::assert_snapshot!(shown(text, 80), @"
        process 4711: python3 app.py
        nothing wrong was found in one look
        not all tasks could be read: what is wrong with the others is not known; try
          again, or with `--pause-budget 1s`
        ");
    }

    #[test]
    fn hostile_names_are_harmless() {
        let out = shown("lock a\ntask \"x\x1b[2Jy\"\n  f app.py:3\n  holds a\n  waits acquire a", 80);
        assert!(!out.contains('\x1b') && out.contains("x\\x1b[2Jy"), "{out}");
    }
}
