//! The main view: each loop in a line, each task with its stack and what it waits for, under the task
//! that awaits it.

use super::forest::{Child, Forest};
use super::frames::{self, Style};
use super::glyphs::{ASCII, Glyphs, UNICODE};
use super::line::{Line, Page};
use super::paths::Paths;
use super::ring;
use super::shape::Shapes;
use super::units::{amount, milliseconds, number};
use super::words::{Speaker, Wait, noun};
use super::{Canvas, Role};
use crate::index::Index;
use crate::snapshot::*;

mod header;
mod rings;
mod select;
mod task;

pub use header::{command, how};
pub use select::{Pattern, named, selected};

/// What to show, and how wide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Show the frames of libraries too.
    pub all_frames: bool,
    /// Show the source line below each frame, where the snapshot has it.
    pub source: bool,
    /// Show local variables, where the snapshot has them.
    pub locals: bool,
    /// Show idle threads too, and the stacks of loops that are idle.
    pub threads: bool,
    /// Show only tasks whose name, functions or files contain this, or match it when it has `*` or `?`.
    pub filter: Option<String>,
    /// Show this task in full, with all that it has to do with: a name or an id.
    pub task: Option<String>,
    /// Show at most so many groups of tasks.
    pub max: Option<usize>,
    /// The width of the page in columns; no limit without one.
    pub width: Option<usize>,
    /// Draw with ASCII characters only.
    pub ascii: bool,
}

/// Writes a snapshot as a tree.
pub fn tree(snapshot: &Snapshot, options: &Options, canvas: &mut impl Canvas) {
    let index = Index::of(snapshot);
    let paths = Paths::of(snapshot);
    let glyphs: &'static Glyphs = if options.ascii { &ASCII } else { &UNICODE };
    let mut tree = Tree::new(&index, &paths, glyphs, options);
    tree.header(canvas);
    if let Some(name) = &options.task {
        tree.details(canvas, &named(snapshot, name));
    } else {
        tree.rings(canvas);
        tree.loops(canvas);
        tree.threads(canvas);
        tree.never_started(canvas);
        tree.dropped(canvas);
    }
    tree.problems(canvas);
}

/// A tree that is being written.
pub(super) struct Tree<'a> {
    pub index: &'a Index<'a>,
    pub speaker: Speaker<'a>,
    pub page: Page,
    pub paths: &'a Paths,
    pub glyphs: &'static Glyphs,
    pub options: &'a Options,
    pub counts: Counts,
    /// How many more groups of tasks may be shown, and how many tasks were not.
    pub left: usize,
    pub hidden: u64,
    /// The line under construction.
    pub line: Line,
}

impl<'a> Tree<'a> {
    pub(super) fn end(&mut self, canvas: &mut impl Canvas, prefix: &str, hanging: usize) {
        self.line.end(canvas, &self.page, [prefix, prefix], hanging);
    }

    pub(super) fn style(&self) -> Style {
        Style {
            all: self.options.all_frames,
            innermost: false,
            without_tail: false,
            source: self.options.source,
            locals: self.options.locals,
        }
    }

    /// Of one snapshot, to be written in parts.
    pub(super) fn new(
        index: &'a Index<'a>,
        paths: &'a Paths,
        glyphs: &'static Glyphs,
        options: &'a Options,
    ) -> Self {
        Self::counted(index, paths, glyphs, options, Counts::of(index))
    }

    /// The same, for whoever has counted already.
    pub(super) fn counted(
        index: &'a Index<'a>,
        paths: &'a Paths,
        glyphs: &'static Glyphs,
        options: &'a Options,
        counts: Counts,
    ) -> Self {
        Self {
            index,
            speaker: Speaker { index, paths, glyphs },
            page: Page { width: options.width, ellipsis: glyphs.ellipsis },
            paths,
            glyphs,
            options,
            counts,
            left: options.max.unwrap_or(usize::MAX),
            hidden: 0,
            line: Line::default(),
        }
    }

    fn loops(&mut self, canvas: &mut impl Canvas) {
        let snapshot = self.index.snapshot;
        let keep = self.options.filter.as_deref().map(|pattern| select::kept(self.index, pattern));
        let forest = Forest::of(self.index, |p| keep.as_ref().is_none_or(|keep| keep[p as usize]));
        let shapes = Shapes::of(self.index, &forest);
        let roots = roots_by_loop(self.index, &forest);
        for (event_loop, roots) in snapshot.loops.iter().zip(&roots) {
            self.loop_line(canvas, event_loop);
            self.loop_stack(canvas, event_loop);
            self.roots(canvas, &forest, &shapes, roots);
        }
        if let Some(homeless) = roots.last().filter(|r| !r.is_empty()) {
            canvas.end_line();
            self.line.put(Role::Heading, "tasks whose loop could not be read");
            self.end(canvas, "", 2);
            self.roots(canvas, &forest, &shapes, homeless);
        }
        if self.hidden > 0 {
            canvas.end_line();
            let text =
                format!("{} {} not shown (--max)", self.glyphs.ellipsis, amount(self.hidden, "more task"));
            self.line.put(Role::Library, &text);
            self.end(canvas, "", 2);
        }
    }

    fn roots(&mut self, canvas: &mut impl Canvas, forest: &Forest, shapes: &Shapes, roots: &[u32]) {
        for group in shapes.group(roots) {
            if self.left == 0 {
                self.hidden += group.len() as u64;
                continue;
            }
            canvas.end_line();
            self.branch(canvas, forest, shapes, group);
        }
    }

    /// A group of tasks that look alike, and all below it.
    fn branch(&mut self, canvas: &mut impl Canvas, forest: &Forest, shapes: &Shapes, group: Vec<u32>) {
        // What is still to be written, the next on top. Not a recursion: trees can be very deep.
        let mut todo =
            vec![Branch { members: Members::Here(group), prefix: String::new(), level: 0, last: true }];
        while let Some(branch) = todo.pop() {
            if self.left == 0 {
                self.hidden += branch.members.as_slice().len() as u64;
                continue;
            }
            let level = branch.level;
            let (head, mut below) = self.prefixes(&branch);
            let members = match &branch.members {
                Members::Elsewhere(members) => {
                    self.reference(canvas, forest, &head, &below, members);
                    continue;
                }
                Members::Here(members) => members,
            };
            self.left = self.left.saturating_sub(1);
            let children = children(forest, shapes, members);
            let body = format!("{below}{}", if children.is_empty() { "  " } else { self.glyphs.bar });
            let body = if level == 0 && children.is_empty() { "  ".to_owned() } else { body };
            self.group(canvas, &head, &body, members, level);
            if level >= DEEPEST {
                below.truncate(below.len().min(branch.prefix.len()));
            }
            let count = children.len();
            for (i, members) in children.into_iter().enumerate().rev() {
                todo.push(Branch { members, prefix: below.clone(), level: level + 1, last: i + 1 == count });
            }
        }
    }

    /// What stands before a branch's first line, and before those below it.
    fn prefixes(&self, branch: &Branch) -> (String, String) {
        if branch.level == 0 {
            return (String::new(), String::new());
        }
        let glyph = if branch.last { self.glyphs.last } else { self.glyphs.tee };
        let bar = if branch.last { "   " } else { self.glyphs.bar };
        (format!("{}{glyph}", branch.prefix), format!("{}{bar}", branch.prefix))
    }

    /// Coroutines that were created and never awaited, by function.
    pub(super) fn never_started(&mut self, canvas: &mut impl Canvas) {
        let coroutines = &self.index.snapshot.coroutines;
        let mut groups: Vec<(&UnstartedCoroutine, u64)> = Vec::new();
        for coroutine in coroutines {
            let site = |c: &UnstartedCoroutine| c.created.as_ref().and_then(|c| c.stack.last().cloned());
            let alike = |known: &UnstartedCoroutine| {
                known.defined == coroutine.defined
                    && known.kept_by == coroutine.kept_by
                    && known.waits_its_turn == coroutine.waits_its_turn
                    && site(known) == site(coroutine)
            };
            match groups.iter_mut().find(|(known, _)| alike(known)) {
                Some((_, count)) => *count += 1,
                None => groups.push((coroutine, 1)),
            }
        }
        if groups.is_empty() {
            return;
        }
        canvas.end_line();
        self.line.put(Role::Heading, "coroutines that were never started");
        self.end(canvas, "", 2);
        for (coroutine, count) in groups {
            self.line.put(Role::Function, &coroutine.defined.function);
            if count > 1 {
                self.line.put(Role::Alarm, &format!(" ({} times)", number(count)));
            }
            self.line.say(", defined");
            self.speaker.place(&mut self.line, &coroutine.defined, None);
            if let Some(frame) = coroutine.created.as_ref().and_then(|c| frames::telling(&c.stack)) {
                let guessed =
                    coroutine.created.as_ref().is_some_and(|c| c.kept_by == CreationSource::SourceText);
                self.line.say(if guessed { ", created (guessed) " } else { ", created " });
                self.speaker.at(&mut self.line, frame);
            }
            if let Some(kept_by) = &coroutine.kept_by {
                self.line.say(", kept by ").say(kept_by);
            }
            if coroutine.waits_its_turn {
                self.line.say(", waits for its turn");
            }
            self.end(canvas, "  ", 2);
        }
    }

    /// Coroutines that were dropped without ever having been started.
    pub(super) fn dropped(&mut self, canvas: &mut impl Canvas) {
        let dropped = &self.index.snapshot.dropped;
        if dropped.is_empty() {
            return;
        }
        canvas.end_line();
        self.line.put(Role::Heading, "coroutines that were never awaited, as Python has warned");
        self.end(canvas, "", 2);
        for coroutine in dropped {
            self.line.put(Role::Function, &coroutine.function).say(", dropped ");
            self.speaker.at(&mut self.line, &coroutine.at);
            self.end(canvas, "  ", 2);
        }
    }

    pub(super) fn problems(&mut self, canvas: &mut impl Canvas) {
        let problems = &self.index.snapshot.problems;
        if problems.is_empty() {
            return;
        }
        canvas.end_line();
        self.line.put(Role::Heading, "what could not be read");
        self.end(canvas, "", 2);
        for problem in problems {
            self.line.put(Role::Alarm, &problem.message);
            // Some say the number themselves.
            let said =
                problem.message.split(|c: char| !c.is_ascii_digit()).any(|n| n == problem.count.to_string());
            if problem.count > 1 && !said {
                self.line.say(&format!(" ({} times)", number(problem.count)));
            }
            if let Some(id) = problem.task {
                self.line.say(": ");
                self.speaker.task(&mut self.line, id);
            }
            self.end(canvas, "  ", 2);
        }
    }
}

/// The roots of each loop, and at the end those whose loop is not known.
pub(super) fn roots_by_loop(index: &Index<'_>, forest: &Forest) -> Vec<Vec<u32>> {
    let snapshot = index.snapshot;
    let mut roots: Vec<Vec<u32>> = vec![Vec::new(); snapshot.loops.len() + 1];
    for root in &forest.roots {
        let of = snapshot.tasks[*root as usize].event_loop;
        let place = of.and_then(|id| index.event_loop(id)).map_or(snapshot.loops.len(), |p| p as usize);
        roots[place].push(*root);
    }
    roots
}

/// How many tasks are not done.
#[derive(Clone)]
pub(super) struct Counts {
    pub all: u64,
    /// By the place of the loop.
    pub of_loop: Vec<u64>,
}

impl Counts {
    pub(super) fn of(index: &Index<'_>) -> Self {
        let mut counts = Self { all: 0, of_loop: vec![0; index.snapshot.loops.len()] };
        for task in index.snapshot.alive() {
            counts.all += 1;
            if let Some(place) = task.event_loop.and_then(|id| index.event_loop(id)) {
                counts.of_loop[place as usize] += 1;
            }
        }
        counts
    }
}

/// Below this level, lines are not indented further.
pub(super) const DEEPEST: usize = 10;

struct Branch {
    members: Members,
    prefix: String,
    level: usize,
    last: bool,
}

/// Tasks that look alike.
pub(super) enum Members {
    Here(Vec<u32>),
    /// They are shown under another task that awaits them too.
    Elsewhere(Vec<u32>),
}

impl Members {
    pub(super) fn as_slice(&self) -> &[u32] {
        match self {
            Self::Here(members) | Self::Elsewhere(members) => members,
        }
    }
}

/// The children of all members together, in groups.
pub(super) fn children(forest: &Forest, shapes: &Shapes, members: &[u32]) -> Vec<Members> {
    let (mut own, mut elsewhere) = (Vec::new(), Vec::new());
    for member in members {
        for child in forest.children(*member) {
            match child {
                Child::Own(p) => own.push(*p),
                Child::Elsewhere(p) => elsewhere.push(*p),
            }
        }
    }
    // What a member of this group shows, the others need not refer to.
    elsewhere.sort_unstable();
    elsewhere.dedup();
    if !elsewhere.is_empty() {
        let shown: rustc_hash::FxHashSet<u32> = own.iter().copied().collect();
        elsewhere.retain(|p| !shown.contains(p));
    }
    let mut all: Vec<Members> = shapes.group(&own).into_iter().map(Members::Here).collect();
    all.extend(shapes.group(&elsewhere).into_iter().map(Members::Elsewhere));
    all
}

#[cfg(test)]
mod tests;
