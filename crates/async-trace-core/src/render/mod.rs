//! Snapshots as people read them. A renderer knows words and lines; colours belong to whoever owns
//! the terminal, and get to know only what a piece of text *is* ([`Role`]).
//!
//! Every text of the target passes [`text::escape`](crate::text::escape) on its way into a line
//! ([`line::Line`]); there is no other way out.

pub(crate) mod brief;
mod comparison;
mod detail;
mod dot;
mod findings;
mod forest;
mod frames;
mod glyphs;
mod latency;
mod line;
mod mermaid;
mod narrator;
pub(crate) mod paths;
mod ring;
mod said;
mod shape;
mod sites;
mod table;
mod threads;
pub mod tree;
pub mod units;
mod wait_graph;
mod words;

pub use comparison::comparison;
pub use dot::dot;
pub use findings::{FindingOptions, certainty, finding, findings, severity};
pub use frames::telling;
pub use latency::latency;
pub use line::shorten;
pub use mermaid::mermaid;
pub use narrator::Narrator;
pub use said::{Group, Piece, Ring, Said, Teller};
pub use shape::WaitShape;
pub use sites::sites;
pub use table::Table;
pub use tree::{Options, tree};
pub use words::{is_memory_stream, noun};

use crate::snapshot::Id;

/// What a piece of text is. It decides the colour and nothing else: the words alone say it all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Ordinary words.
    Plain,
    /// The lines that begin a part.
    Heading,
    /// The name of a task.
    Task,
    /// A function of the user's program.
    Function,
    /// A file and line of the user's program.
    Place,
    /// Library code, and what matters less.
    Library,
    /// A lock, queue, socket, timer: what is waited for.
    Resource,
    /// The name of a thread.
    Thread,
    /// What is wrong, or likely to be.
    Alarm,
    /// A line of source code, a local variable.
    Source,
    /// The lines of the tree.
    Rule,
}

/// What a piece of text speaks of: a view that can lead its reader there does so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mention {
    /// A task.
    Task(Id),
    /// A thread, by the kernel's id.
    Thread(u32),
    /// A resource.
    Resource(Id),
}

/// Where a renderer writes.
pub trait Canvas {
    /// A piece of text within a line.
    fn span(&mut self, role: Role, text: &str);
    /// A piece of text that speaks of something.
    fn mention(&mut self, role: Role, text: &str, of: Mention) {
        let _ = of;
        self.span(role, text);
    }
    /// The line's end.
    fn end_line(&mut self);
}

/// How large the page is, and what it can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageOptions {
    /// Its width in columns; no limit without one.
    pub width: Option<usize>,
    /// Draw with ASCII characters only.
    pub ascii: bool,
}

impl<C: Canvas + ?Sized> Canvas for &mut C {
    fn span(&mut self, role: Role, text: &str) {
        (**self).span(role, text);
    }

    fn end_line(&mut self) {
        (**self).end_line();
    }
}

/// Without colour.
impl Canvas for String {
    fn span(&mut self, _: Role, text: &str) {
        self.push_str(text);
    }

    fn end_line(&mut self) {
        self.push('\n');
    }
}
