//! Snapshots as people read them. A renderer knows words and lines; colours belong to whoever owns
//! the terminal, and get to know only what a piece of text *is* ([`Role`]).
//!
//! Every text of the target passes [`text::escape`](crate::text::escape) on its way into a line
//! ([`line::Line`]); there is no other way out.

mod detail;
mod findings;
mod forest;
mod frames;
mod glyphs;
mod line;
mod paths;
mod ring;
mod shape;
mod table;
mod teller;
mod threads;
pub mod tree;
pub mod units;
mod words;

pub use findings::{FindingOptions, certainty, finding, findings, severity};
pub use frames::telling;
pub use line::shorten;
pub use shape::WaitShape;
pub use table::Table;
pub use teller::Teller;
pub use tree::{Options, tree};
pub use words::noun;

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

/// Where a renderer writes.
pub trait Canvas {
    /// A piece of text within a line.
    fn span(&mut self, role: Role, text: &str);
    /// The line's end.
    fn end_line(&mut self);
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
