//! What the terminal's views say, in pieces that know what they speak of: for views that draw
//! everything else themselves.
//!
//! Every text has passed [`text::escape`](crate::text::escape), as on its way to a terminal.

use super::findings::Writer;
use super::forest::Forest;
use super::glyphs::BARE;
use super::line::{Line, Page};
use super::paths::{self, Paths};
use super::ring::{self, Member};
use super::shape::Shapes;
use super::tree::{self, Counts, Members, Options, Tree};
use super::{Canvas, Mention, Role};
use crate::finding::{Consequence, Evidence, Report};
use crate::frame::{Frame, FrameKind};
use crate::index::Index;
use crate::snapshot::*;

/// A piece of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Piece {
    /// What it is.
    pub role: Role,
    /// The words.
    pub text: String,
    /// What it speaks of.
    pub of: Option<Mention>,
}

/// A sentence.
pub type Said = Vec<Piece>;

/// Tasks that look alike, at their place in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The place of the loop; the number of loops where it is not known.
    pub event_loop: usize,
    /// How many groups it stands below.
    pub level: u32,
    /// Their places among the snapshot's tasks.
    pub members: Vec<u32>,
    /// Whether they stand here; else this only refers to them.
    pub here: bool,
}

/// Tasks, threads and resources that wait for each other in a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// `DEADLOCK: 2 tasks wait for each other`.
    pub headline: Said,
    /// Its members, each waiting for the next and the last for the first.
    pub members: Vec<Mention>,
    /// Whether every step is known, not guessed.
    pub certain: bool,
    /// The places of the tasks that wait for them.
    pub behind: Vec<u32>,
}

/// Says in sentences what a snapshot shows.
pub struct Teller<'a> {
    index: &'a Index<'a>,
    paths: Paths,
    counts: Counts,
    options: Options,
}

impl<'a> Teller<'a> {
    /// Of one snapshot.
    #[must_use]
    pub fn of(index: &'a Index<'a>) -> Self {
        Self {
            index,
            paths: Paths::of(index.snapshot),
            counts: Counts::of(index),
            options: Options::default(),
        }
    }

    fn tree(&self) -> Tree<'_> {
        Tree::counted(self.index, &self.paths, &BARE, &self.options, self.counts.clone())
    }

    fn lines(&self, say: impl FnOnce(&mut Tree<'_>, &mut Sheet)) -> Vec<Said> {
        let mut sheet = Sheet::default();
        say(&mut self.tree(), &mut sheet);
        sheet.done
    }

    fn line(&self, say: impl FnOnce(&mut Tree<'_>)) -> Said {
        let lines = self.lines(|tree, sheet| {
            say(tree);
            tree.end(sheet, "", 0);
        });
        lines.into_iter().next().unwrap_or_default()
    }

    fn finding(&self, say: impl FnOnce(&mut Writer<'_, Sheet>)) -> Said {
        let mut sheet = Sheet::default();
        let page = Page { width: None, ellipsis: BARE.ellipsis };
        let mut writer =
            Writer { paths: &self.paths, glyphs: &BARE, page, line: Line::default(), canvas: &mut sheet };
        say(&mut writer);
        writer.end("", 0);
        sheet.done.into_iter().next().unwrap_or_default()
    }

    /// Which process it is, how it was read, and what else stands at the top of a dump.
    #[must_use]
    pub fn header(&self) -> Vec<Said> {
        self.lines(|tree, sheet| tree.header(sheet))
    }

    /// How a loop stands.
    #[must_use]
    pub fn event_loop(&self, event_loop: &EventLoop) -> Said {
        self.lines(|tree, sheet| tree.loop_line(sheet, event_loop))
            .into_iter()
            .next_back()
            .unwrap_or_default()
    }

    /// The name of a task, or how many they are and the first names.
    #[must_use]
    pub fn title(&self, members: &[u32]) -> Said {
        let Some(task) = self.first(members) else { return Said::new() };
        self.line(|tree| tree.title(task, members, 0))
    }

    /// What tasks that look alike wait for, and what else there is to say of them. The first sentence
    /// is the wait, where [`Self::says_wait`].
    #[must_use]
    pub fn facts(&self, members: &[u32]) -> Vec<Said> {
        let Some(task) = self.first(members) else { return Vec::new() };
        self.lines(|tree, sheet| tree.facts(sheet, "", task, members))
    }

    /// Whether the facts of a task begin with its wait.
    #[must_use]
    pub fn says_wait(task: &Task) -> bool {
        task.waits_for.is_some() && task.state != TaskState::Running
    }

    fn first(&self, members: &[u32]) -> Option<&'a Task> {
        self.index.snapshot.tasks.get(*members.first()? as usize)
    }

    /// A resource: what it is, how it stands, who holds it.
    #[must_use]
    pub fn resource(&self, resource: &Resource) -> Said {
        self.line(|tree| tree.speaker.description(&mut tree.line, resource))
    }

    /// A resource by its name.
    #[must_use]
    pub fn resource_name(&self, resource: &Resource) -> Said {
        self.line(|tree| tree.speaker.resource(&mut tree.line, resource, None))
    }

    /// A thread by its name, with what it executes for whom.
    #[must_use]
    pub fn thread(&self, thread: &Thread) -> Said {
        self.line(|tree| {
            tree.speaker.thread(&mut tree.line, thread.tid);
            tree.job(thread);
        })
    }

    /// What a thread waits for or does, and what it holds.
    #[must_use]
    pub fn thread_facts(&self, thread: &Thread) -> Vec<Said> {
        self.lines(|tree, sheet| tree.thread_facts(sheet, thread, ""))
    }

    /// Whether a thread is a worker that waits for its next job.
    #[must_use]
    pub fn is_idle(thread: &Thread) -> bool {
        thread.event_loop.is_none() && super::threads::is_idle(thread)
    }

    /// Coroutines that were created and never awaited.
    #[must_use]
    pub fn never_started(&self) -> Vec<Said> {
        self.lines(|tree, sheet| tree.never_started(sheet)).into_iter().skip(1).collect()
    }

    /// Coroutines that were dropped without ever having been started.
    #[must_use]
    pub fn dropped(&self) -> Vec<Said> {
        self.lines(|tree, sheet| tree.dropped(sheet)).into_iter().skip(1).collect()
    }

    /// What could not be read.
    #[must_use]
    pub fn problems(&self) -> Vec<Said> {
        self.lines(|tree, sheet| tree.problems(sheet)).into_iter().skip(1).collect()
    }

    /// How many findings there are, in how many looks.
    #[must_use]
    pub fn amount(&self, report: &Report) -> Said {
        self.finding(|writer| writer.amount(report))
    }

    /// A line of evidence, without its line of source.
    #[must_use]
    pub fn evidence(&self, evidence: &Evidence) -> Said {
        self.finding(|writer| writer.evidence_words(evidence))
    }

    /// What else stands still.
    #[must_use]
    pub fn consequence(&self, consequence: &Consequence) -> Said {
        self.finding(|writer| writer.consequence_words(consequence))
    }

    /// The file of a frame as this snapshot's views call it. It is not escaped.
    #[must_use]
    pub fn file<'f>(&self, frame: &'f Frame) -> &'f str {
        self.paths.short(frame)
    }

    /// The library a frame belongs to. It is not escaped.
    #[must_use]
    pub fn package(frame: &Frame) -> &str {
        paths::package(frame)
    }

    /// Whether a frame is of asyncio itself, at the end of a chain whose wait is said in words.
    #[must_use]
    pub fn is_plumbing(frame: &Frame) -> bool {
        frame.kind == FrameKind::Awaitable || paths::package(frame) == "asyncio"
    }

    /// Rings of tasks and threads that wait for each other.
    #[must_use]
    pub fn rings(&self) -> Vec<Ring> {
        let s = self.index.snapshot;
        let mention = |member: &Member| match member {
            Member::Task(p) => Mention::Task(s.tasks[*p as usize].id),
            Member::Thread(p) => Mention::Thread(s.threads[*p as usize].tid),
            Member::Resource(p) => Mention::Resource(s.resources[*p as usize].id),
        };
        let said = |ring: ring::Ring| Ring {
            headline: self.line(|tree| tree.headline(&ring)),
            members: ring.members.iter().map(mention).collect(),
            certain: ring.certain,
            behind: ring.behind,
        };
        ring::rings(self.index).into_iter().map(said).collect()
    }

    /// The tree of tasks in groups of those that look alike, each before what it waits for.
    #[must_use]
    pub fn groups(&self) -> Vec<Group> {
        let forest = Forest::of(self.index, |_| true);
        let shapes = Shapes::of(self.index, &forest);
        let mut groups = Vec::new();
        for (event_loop, roots) in tree::roots_by_loop(self.index, &forest).iter().enumerate() {
            // The next on top. Not a recursion: trees can be very deep.
            let mut todo: Vec<(u32, Members)> =
                shapes.group(roots).into_iter().rev().map(|group| (0, Members::Here(group))).collect();
            while let Some((level, members)) = todo.pop() {
                if let Members::Here(here) = &members {
                    let children = tree::children(&forest, &shapes, here);
                    todo.extend(children.into_iter().rev().map(|group| (level + 1, group)));
                }
                let here = matches!(members, Members::Here(_));
                groups.push(Group { event_loop, level, members: members.as_slice().to_vec(), here });
            }
        }
        groups
    }
}

/// Collects lines.
#[derive(Default)]
struct Sheet {
    line: Said,
    done: Vec<Said>,
}

impl Canvas for Sheet {
    fn span(&mut self, role: Role, text: &str) {
        if !text.is_empty() {
            self.line.push(Piece { role, text: text.to_owned(), of: None });
        }
    }

    fn mention(&mut self, role: Role, text: &str, of: Mention) {
        self.line.push(Piece { role, text: text.to_owned(), of: Some(of) });
    }

    fn end_line(&mut self) {
        // Empty lines part what stands on a page of text: whoever collects lines parts them otherwise.
        if !self.line.is_empty() {
            self.done.push(std::mem::take(&mut self.line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Mention, Said, Teller};
    use crate::fixture::snapshot;
    use crate::index::Index;

    const BANK: &str = "
lock a
lock b
task alice
  transfer bank.py:40
  holds a taken 39
  waits acquire b
task bob
  refund bank.py:52
  holds b taken 51
  waits acquire a
task report x3
  report bank.py:60
  waits acquire a
";

    fn text(said: &Said) -> String {
        said.iter().map(|piece| piece.text.as_str()).collect()
    }

    #[test]
    fn says_what_a_dump_says_and_knows_of_whom() {
        let s = snapshot(BANK);
        let index = Index::of(&s);
        let teller = Teller::of(&index);
        let facts = teller.facts(&[0]);
        let said: Vec<String> = facts.iter().map(text).collect();
        insta::assert_snapshot!(said.join("\n"), @"
        waits for Lock b, held by task bob at bank.py:52 (refund)
        holds Lock a, taken at bank.py:39; 4 tasks wait for it
        ");
        let of: Vec<Mention> = facts[0].iter().filter_map(|piece| piece.of).collect();
        assert_eq!(of, [Mention::Resource(s.resources[1].id), Mention::Task(s.tasks[1].id)]);
        assert_eq!(text(&teller.title(&[2, 3, 4])), "3 tasks: report-1, report-2, report-3");
        assert_eq!(text(&teller.rings()[0].headline), "DEADLOCK: 2 tasks wait for each other");
        assert_eq!(teller.rings()[0].members.len(), 4);
        insta::assert_snapshot!(text(&teller.resource(&s.resources[0])), @"Lock a, held by task alice at bank.py:40 (transfer)");
    }

    #[test]
    fn groups_stand_below_what_awaits_them() {
        let s =
            snapshot("task main\n  waits gather tasks a-1 a-2\ntask a x2\n  f x.py:1\n  waits sleep timer 3");
        let index = Index::of(&s);
        let groups = Teller::of(&index).groups();
        let shown: Vec<(u32, usize)> = groups.iter().map(|g| (g.level, g.members.len())).collect();
        assert_eq!(shown, [(0, 1), (1, 2)]);
    }

    #[test]
    fn hostile_names_are_harmless() {
        let s = snapshot("task \"x\x1b[2Jy\"\n  f app.py:3\n  waits sleep timer 3");
        let index = Index::of(&s);
        assert_eq!(text(&Teller::of(&index).title(&[0])), "task x\\x1b[2Jy");
    }
}
