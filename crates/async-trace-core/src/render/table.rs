//! Tables: columns as wide as what is in them, the last as wide as the page allows.

use super::line::{Line, Page, columns, shorten};
use super::{Canvas, Role};

/// A table that is being filled.
#[derive(Default)]
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<(Role, String)>>,
}

impl Table {
    /// With these headings.
    #[must_use]
    pub fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds a row. Numbers stand at the right of their column.
    pub fn row<const N: usize>(&mut self, cells: [(Role, String); N]) {
        self.rows.push(cells.into());
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes it.
    pub fn draw(&self, canvas: &mut impl Canvas, width: Option<usize>, ascii: bool) {
        let ellipsis = if ascii { super::glyphs::ASCII.ellipsis } else { super::glyphs::UNICODE.ellipsis };
        let page = Page { width: None, ellipsis };
        let mut widths: Vec<usize> = self.headings.iter().map(|h| h.len()).collect();
        for row in &self.rows {
            for (width, (_, text)) in widths.iter_mut().zip(row) {
                *width = (*width).max(columns(&crate::text::escape(text)));
            }
        }
        let before_last: usize = widths.iter().rev().skip(1).map(|w| w + 2).sum();
        if let (Some(last), Some(page)) = (widths.last_mut(), width) {
            *last = (*last).min(page.saturating_sub(before_last).max(20));
        }
        let headings: Vec<(Role, String)> =
            self.headings.iter().map(|h| (Role::Heading, (*h).to_owned())).collect();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let mut line = Line::default();
            for (i, ((role, text), width)) in row.iter().zip(&widths).enumerate() {
                let is_last = i + 1 == row.len();
                let text = crate::text::escape(text);
                let text = if is_last { shorten(&text, *width, ellipsis) } else { text };
                let pad = " ".repeat(width.saturating_sub(columns(&text)));
                let right = self.is_number(i);
                line.say(if i > 0 { "  " } else { "" }).say(if right { &pad } else { "" }).put(*role, &text);
                line.say(if right || is_last { "" } else { &pad });
            }
            line.end(canvas, &page, ["", ""], 0);
        }
    }

    fn is_number(&self, column: usize) -> bool {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        let number =
            |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b',' || b == b'-' || b == b'+');
        !self.rows.is_empty() && cells.into_iter().all(|(_, text)| number(text))
    }
}

#[cfg(test)]
mod tests {
    use super::{Role, Table};

    #[test]
    fn columns_are_as_wide_as_needed_and_the_last_gives_way() {
        let mut table = Table::new(&["PID", "STATE", "COMMAND"]);
        table.row([
            (Role::Plain, "7".into()),
            (Role::Plain, "idle".into()),
            (Role::Plain, "python3 a.py".into()),
        ]);
        table.row([
            (Role::Plain, "4711".into()),
            (Role::Alarm, "BUSY 3 s".into()),
            (Role::Plain, "gunicorn -w 4 shop.web:app --bind\x1b 0.0.0.0:80".into()),
        ]);
        let mut out = String::new();
        table.draw(&mut out, Some(46), false);
        assert_eq!(
            out,
            " PID  STATE     COMMAND
   7  idle      python3 a.py
4711  BUSY 3 s  gunicorn …-bind\\x1b 0.0.0.0:80
"
        );
    }
}
