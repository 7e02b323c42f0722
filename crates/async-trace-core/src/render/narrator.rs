//! For views that show one thing at a time: a sentence about a wait, a page about a task, a resource or
//! the threads. The words are those of the [tree](super::tree).

use super::glyphs::{ASCII, Glyphs, UNICODE};
use super::line::Line;
use super::paths::Paths;
use super::shape::{WaitShape, wait_shape};
use super::tree::{Options, Tree};
use super::units::amount;
use super::words::{Speaker, Wait};
use super::{Canvas, Role};
use crate::frame::Frame;
use crate::index::Index;
use crate::snapshot::*;
use crate::text::escape;

/// How many holders of a resource are listed.
const MOST_HOLDERS: usize = 50;

/// Speaks of the things of one snapshot.
pub struct Narrator<'a> {
    index: Index<'a>,
    paths: Paths,
    ascii: bool,
}

impl<'a> Narrator<'a> {
    /// Of this snapshot.
    #[must_use]
    pub fn of(snapshot: &'a Snapshot, ascii: bool) -> Self {
        Self { index: Index::of(snapshot), paths: Paths::of(snapshot), ascii }
    }

    /// Where the things of the snapshot are.
    #[must_use]
    pub fn index(&self) -> &Index<'a> {
        &self.index
    }

    /// The directory that files are named below, if they are.
    #[must_use]
    pub fn base(&self) -> Option<&str> {
        self.paths.base()
    }

    fn glyphs(&self) -> &'static Glyphs {
        if self.ascii { &ASCII } else { &UNICODE }
    }

    fn speaker(&self) -> Speaker<'_> {
        Speaker { index: &self.index, paths: &self.paths, glyphs: self.glyphs() }
    }

    /// What makes one wait different from another.
    #[must_use]
    pub fn wait_shape(&self, wait: &'a WaitsFor) -> WaitShape<'a> {
        wait_shape(&self.index, wait)
    }

    /// What tasks wait for whose waits have one shape, in a sentence without an end: `waits for Lock a,
    /// held by task b at bank.py:40 (transfer)`. `by` is the task, where it is one.
    pub fn wait(&self, waits: &[&WaitsFor], by: Option<Id>, canvas: &mut impl Canvas) {
        let mut line = Line::default();
        match waits {
            [] => return,
            [one] => self.speaker().wait(&mut line, &Wait::of(one, by)),
            [first, ..] => self.speaker().wait(&mut line, &Wait { wait: first, by: None, many: waits }),
        }
        line.write(canvas);
    }

    /// `Lock self._lock`.
    pub fn resource_name(&self, resource: &Resource, canvas: &mut impl Canvas) {
        let mut line = Line::default();
        self.speaker().resource(&mut line, resource, None);
        line.write(canvas);
    }

    /// How a resource stands and who holds it: ` (empty), held by task b at bank.py:40 (transfer)`.
    pub fn resource_state(&self, resource: &Resource, canvas: &mut impl Canvas) {
        let mut line = Line::default();
        self.speaker().state(&mut line, resource, None);
        self.speaker().holders(&mut line, resource, None);
        line.write(canvas);
    }

    /// `bank.py:40`; nothing where the line is not known.
    #[must_use]
    pub fn place(&self, frame: &Frame) -> Option<String> {
        (frame.line > 0).then(|| format!("{}:{}", escape(self.paths.short(frame)), frame.line))
    }

    /// Tasks that stand alike and wait alike, as the tree shows them: names, stack, wait, what they hold.
    pub fn group(&self, tasks: &[u32], width: Option<usize>, canvas: &mut impl Canvas) {
        let options = Options { source: false, ..self.options(width) };
        Tree::new(&self.index, &self.paths, self.glyphs(), &options).group(canvas, "", "  ", tasks, 0);
    }

    fn options(&self, width: Option<usize>) -> Options {
        Options { source: true, locals: true, threads: true, width, ascii: self.ascii, ..Options::default() }
    }

    /// One task in full, what it waits for to the end, and who waits for it. `task` is its place.
    pub fn task(&self, task: u32, width: Option<usize>, canvas: &mut impl Canvas) {
        let options = self.options(width);
        Tree::new(&self.index, &self.paths, self.glyphs(), &options).details(canvas, &[task]);
    }

    /// All loops and threads, with what they execute; and what could not be read.
    pub fn threads(&self, width: Option<usize>, canvas: &mut impl Canvas) {
        let options = self.options(width);
        let mut tree = Tree::new(&self.index, &self.paths, self.glyphs(), &options);
        for event_loop in &self.index.snapshot.loops {
            tree.loop_line(canvas, event_loop);
            tree.loop_stack(canvas, event_loop);
        }
        tree.threads(canvas);
        tree.problems(canvas);
    }

    /// A lock, queue, pool, …: how it stands, who holds it since which line, how many wait for it.
    pub fn resource(&self, resource: &Resource, width: Option<usize>, canvas: &mut impl Canvas) {
        let options = self.options(width);
        let mut tree = Tree::new(&self.index, &self.paths, self.glyphs(), &options);
        tree.resource_page(canvas, resource);
    }
}

impl Tree<'_> {
    fn resource_page(&mut self, canvas: &mut impl Canvas, resource: &Resource) {
        self.speaker.resource(&mut self.line, resource, None);
        self.speaker.state(&mut self.line, resource, None);
        self.end(canvas, "", 2);
        self.bullet().say("type ").put(Role::Plain, &resource.type_name);
        self.line.say(", id ").show(Role::Plain, resource.id);
        self.end(canvas, "  ", 2);
        if let Some(pool) = resource.within.and_then(|id| self.index.get_resource(id)) {
            self.bullet().say("part of ");
            self.speaker.resource(&mut self.line, pool, None);
            self.end(canvas, "  ", 2);
        }
        for detail in &resource.state.details {
            self.bullet().say(&detail.name).say(": ").show(Role::Plain, detail.value);
            self.end(canvas, "  ", 2);
        }
        for (count, noun, verbs) in [
            (resource.waiters.len(), "task", ["waits", "wait"]),
            (resource.blocked_threads.len(), "thread", ["is blocked", "are blocked"]),
        ] {
            if count > 0 || noun == "task" {
                let words = format!("{} {}", amount(count as u64, noun), verbs[usize::from(count != 1)]);
                let on = if noun == "task" { " for it" } else { " on it" };
                self.bullet().put(if count > 0 { Role::Alarm } else { Role::Plain }, &words).say(on);
                self.end(canvas, "  ", 2);
            }
        }
        if resource.holders.is_empty() {
            if resource.state.locked == Some(true) {
                self.bullet().say("it is taken, by whom could not be seen");
                self.end(canvas, "  ", 2);
            }
            return;
        }
        for holder in resource.holders.iter().take(MOST_HOLDERS) {
            canvas.end_line();
            self.line.say(if holder.trust == Trust::Guessed { "probably held by " } else { "held by " });
            self.speaker.holder(&mut self.line, holder, None);
            self.end(canvas, "", 2);
            let Some(at) = &holder.at else { continue };
            if let Some(source) = &at.source {
                self.line.put(Role::Source, source);
                self.end(canvas, "    ", 2);
            }
            if let Some(line) = holder.taken_line {
                self.bullet().say("taken");
                self.speaker.place(&mut self.line, at, Some(line));
                self.end(canvas, "  ", 2);
            }
        }
        if resource.holders.len() > MOST_HOLDERS {
            let more = amount((resource.holders.len() - MOST_HOLDERS) as u64, "more holder");
            self.line.say(self.glyphs.ellipsis).say(" ").say(&more);
            self.end(canvas, "", 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Narrator;
    use crate::fixture::snapshot;

    #[test]
    fn a_lock_with_its_holder() {
        let s = snapshot(
            "lock a as self.a\ntask x\n  pay bank.py:40 | await send()\n  holds a taken 38\ntask y x2\n  f bank.py:2\n  waits acquire a",
        );
        let mut out = String::new();
        Narrator::of(&s, false).resource(&s.resources[0], Some(80), &mut out);
        insta::assert_snapshot!(out, @"
        Lock self.a
          • type asyncio.locks.Lock, id 0x7f2000000100
          • 2 tasks wait for it

        held by task x at bank.py:40 (pay)
            await send()
          • taken at bank.py:38
        ");
    }
}
