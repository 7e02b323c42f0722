//! One line under construction: pieces with roles, escaped as they come in, cut to the width as
//! they go out.

use super::{Canvas, Mention, Role};
use crate::text::escape;
use std::fmt::{self, Write};

/// Pieces of text that will stand in one line, or in a few when the page is narrow.
#[derive(Default)]
pub(super) struct Line {
    text: String,
    /// Each piece's role, what it speaks of, and its end.
    spans: Vec<(Role, Option<Mention>, usize)>,
}

impl Line {
    /// Adds text of the target, or our own: either way nothing in it can harm a terminal.
    pub(super) fn put(&mut self, role: Role, text: &str) -> &mut Self {
        self.add(role, None, text)
    }

    /// Adds the name of something.
    pub(super) fn name(&mut self, role: Role, text: &str, of: Mention) -> &mut Self {
        self.add(role, Some(of), text)
    }

    fn add(&mut self, role: Role, of: Option<Mention>, text: &str) -> &mut Self {
        if text.bytes().all(|b| (b' '..0x7f).contains(&b)) {
            self.text.push_str(text);
        } else {
            self.text.push_str(&escape(text));
        }
        match self.spans.last_mut() {
            Some(last) if (last.0, last.1) == (role, of) => last.2 = self.text.len(),
            _ => self.spans.push((role, of, self.text.len())),
        }
        self
    }

    /// Adds ordinary words.
    pub(super) fn say(&mut self, words: &str) -> &mut Self {
        self.put(Role::Plain, words)
    }

    /// Adds something that is formatted.
    pub(super) fn show(&mut self, role: Role, what: impl fmt::Display) -> &mut Self {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = write!(text, "{what}");
        self.put(role, &text)
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.spans.clear();
    }

    /// Writes it as it is, without an end, and forgets it.
    pub(super) fn write(&mut self, canvas: &mut impl Canvas) {
        self.pieces(0, self.text.len(), canvas);
        self.clear();
    }

    /// Writes it, broken at spaces so that every line fits beside its prefix, and forgets it.
    ///
    /// Lines after the first are indented by `hanging` further spaces. A word that is longer than a
    /// line is shortened in its middle.
    pub(super) fn end(&mut self, canvas: &mut impl Canvas, page: &Page, prefix: [&str; 2], hanging: usize) {
        let room = page.room(columns(prefix[0]));
        if room.is_none_or(|room| columns(&self.text) <= room) {
            canvas.span(Role::Rule, prefix[0]);
            self.pieces(0, self.text.len(), canvas);
            canvas.end_line();
            return self.clear();
        }
        let rest = page.room(columns(prefix[1]) + hanging);
        let mut start = 0;
        let mut first = true;
        while start < self.text.len() {
            let room = if first { room } else { rest }.unwrap_or(usize::MAX);
            let (end, next) = self.line_break(start, room);
            canvas.span(Role::Rule, prefix[usize::from(!first)]);
            if !first {
                canvas.span(Role::Plain, &" ".repeat(hanging));
            }
            if columns(&self.text[start..end]) > room {
                let word = shorten(&self.text[start..end], room, page.ellipsis).into_owned();
                canvas.span(self.role_at(start), &word);
            } else {
                self.pieces(start, end, canvas);
            }
            canvas.end_line();
            (start, first) = (next, false);
        }
        self.clear();
    }

    /// Where the line that begins at `start` ends, and where the next begins.
    fn line_break(&self, start: usize, room: usize) -> (usize, usize) {
        let rest = &self.text[start..];
        if columns(rest) <= room {
            return (self.text.len(), self.text.len());
        }
        let mut best = None;
        // Neither a unit nor an "at" begins a line: they belong to the word before or after.
        let begins_well = |at: usize| {
            let next = rest[at + 1..].split(' ').next().unwrap_or_default();
            next.len() > 2 || next.is_empty()
        };
        for (column, (at, c)) in rest.char_indices().enumerate() {
            if c == ' ' && at > 0 && (begins_well(at) || column > room) {
                if column > room && best.is_some() {
                    break;
                }
                best = Some(at);
                if column >= room {
                    break;
                }
            }
        }
        best.map_or((self.text.len(), self.text.len()), |at| (start + at, start + at + 1))
    }

    fn role_at(&self, at: usize) -> Role {
        self.spans.iter().find(|(.., end)| *end > at).map_or(Role::Plain, |(role, ..)| *role)
    }

    fn pieces(&self, start: usize, end: usize, canvas: &mut impl Canvas) {
        let mut from = start;
        for (role, of, to) in &self.spans {
            let to = (*to).min(end);
            if to > from {
                match of {
                    Some(of) => canvas.mention(*role, &self.text[from..to], *of),
                    None => canvas.span(*role, &self.text[from..to]),
                }
                from = to;
            }
        }
    }
}

/// How wide the page is.
pub(super) struct Page {
    pub width: Option<usize>,
    pub ellipsis: &'static str,
}

impl Page {
    /// The columns that are left beside `used` ones; none when there is no limit.
    pub(super) fn room(&self, used: usize) -> Option<usize> {
        self.width.map(|width| width.saturating_sub(used).max(24))
    }
}

/// How many columns a text takes, as far as this can be said without knowing the font.
pub(super) fn columns(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

/// Leaves out the middle of a text that is too long; its end says more, so more of it stays.
#[must_use]
pub fn shorten<'a>(text: &'a str, room: usize, ellipsis: &str) -> std::borrow::Cow<'a, str> {
    let length = columns(text);
    if length <= room {
        return text.into();
    }
    let keep = room.saturating_sub(columns(ellipsis));
    let head = keep / 3;
    let tail = length - (keep - head);
    let at = |n: usize| text.char_indices().nth(n).map_or(text.len(), |(i, _)| i);
    format!("{}{ellipsis}{}", &text[..at(head)], &text[at(tail)..]).into()
}

#[cfg(test)]
mod tests {
    use super::{Line, Page, Role, shorten};

    fn broken(width: usize, text: &str) -> String {
        let mut out = String::new();
        let mut line = Line::default();
        line.say(text).end(&mut out, &Page { width: Some(width), ellipsis: "…" }, ["| ", "| "], 2);
        out
    }

    #[test]
    fn breaks_at_spaces_and_hangs_the_rest() {
        assert_eq!(
            broken(30, "waits for Lock a, held by task b"),
            "| waits for Lock a, held by\n|   task b\n"
        );
        assert_eq!(broken(80, "short"), "| short\n");
    }

    #[test]
    fn cuts_the_middle_of_a_word_that_is_too_long() {
        let long = format!("task {}", "x".repeat(40));
        assert_eq!(broken(30, &long), format!("| task\n|   {}…{}\n", "x".repeat(8), "x".repeat(17)));
        assert_eq!(shorten("abcdefghij", 7, "…"), "ab…ghij");
        assert_eq!(shorten("ééééé", 4, "…"), "é…éé");
    }

    #[test]
    fn lets_nothing_harmful_through() {
        let mut out = String::new();
        let mut line = Line::default();
        line.put(Role::Task, "a\x1b[31m\nb").end(&mut out, &Page { width: None, ellipsis: "…" }, ["", ""], 0);
        assert_eq!(out, "a\\x1b[31m\\nb\n");
    }
}
