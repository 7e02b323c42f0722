//! Lines, rules and table rows, cut where they do not fit.

use crate::tui::theme::Theme;
use async_trace_core::render::Role;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Paragraph, Widget, Wrap};

/// Draws into a buffer.
pub(super) struct Pen<'a> {
    pub buffer: &'a mut Buffer,
    pub theme: &'a Theme,
}

/// A column of a table: its heading, its width, and whether it stands at its right.
pub(super) struct Column {
    pub heading: &'static str,
    pub width: u16,
    pub right: bool,
}

impl Column {
    pub(super) fn left(heading: &'static str, width: u16) -> Self {
        Self { heading, width, right: false }
    }

    pub(super) fn right(heading: &'static str, width: u16) -> Self {
        Self { heading, width, right: true }
    }
}

impl Pen<'_> {
    /// Writes a line `down` lines below the top of an area.
    pub(super) fn line(&mut self, area: Rect, down: u16, line: &Line<'_>) {
        if down >= area.height || area.width == 0 {
            return;
        }
        let y = area.y + down;
        self.buffer.set_line(area.x, y, line, area.width);
        if line.width() > usize::from(area.width) {
            let dots = self.theme.ellipsis();
            let width = dots.chars().count() as u16;
            if width < area.width {
                // What stood there may have been two columns wide.
                self.buffer.set_string(
                    area.right() - width - 1,
                    y,
                    " ".repeat(usize::from(width) + 1),
                    Style::new(),
                );
                self.buffer.set_line(area.x, y, line, area.width - width);
                self.buffer.set_string(area.right() - width, y, dots, Style::new());
            }
        }
    }

    /// Writes at the right end of a line; what stands there gives way.
    pub(super) fn at_right(&mut self, area: Rect, down: u16, line: &Line<'_>) {
        let width = (line.width() as u16).min(area.width);
        self.line(Rect { x: area.right() - width, width, ..area }, down, line);
    }

    /// A rule with words in it.
    pub(super) fn rule(&mut self, area: Rect, down: u16, words: Line<'_>) {
        let rule = self.theme.rule();
        let style = self.theme.role(Role::Rule);
        let mut line = Line::from(vec![Span::styled(rule.repeat(2), style), Span::raw(" ")]);
        let room = usize::from(area.width).saturating_sub(6);
        let width = words.width();
        if width > 0 {
            line.extend(words);
            line.push_span(Span::raw(" "));
        } else {
            line = Line::default();
        }
        if width < room {
            let rest = usize::from(area.width).saturating_sub(line.width());
            line.push_span(Span::styled(rule.repeat(rest), style));
        }
        self.line(area, down, &line);
    }

    /// A paragraph, broken at spaces.
    pub(super) fn paragraph(&mut self, area: Rect, lines: Vec<Line<'_>>) {
        Paragraph::new(Text::from(lines)).wrap(Wrap { trim: false }).render(area, self.buffer);
    }

    /// The headings of a table.
    pub(super) fn headings(&mut self, area: Rect, down: u16, columns: &[Column]) {
        let style = self.theme.role(Role::Library);
        let cells = columns.iter().map(|c| Line::styled(c.heading, style)).collect();
        self.cells(area, down, columns, cells);
    }

    /// A row of a table, two spaces from one column to the next; the first two columns of the area are for
    /// the marker.
    pub(super) fn cells(&mut self, area: Rect, down: u16, columns: &[Column], cells: Vec<Line<'_>>) {
        let mut x = area.x + 2;
        for (column, cell) in columns.iter().zip(cells) {
            let width = column.width.min(area.right().saturating_sub(x));
            let cell_area = Rect { x, width, ..area };
            if column.right {
                self.at_right(cell_area, down, &cell)
            } else {
                self.line(cell_area, down, &cell)
            }
            x = (x + column.width + 2).min(area.right());
        }
    }

    /// Marks the row that keys act on.
    pub(super) fn select(&mut self, area: Rect, down: u16) {
        if down < area.height {
            let row = Rect { y: area.y + down, height: 1, ..area };
            self.buffer.set_string(row.x, row.y, self.theme.marker(), Style::new());
            self.buffer.set_style(row, self.theme.selected());
        }
    }
}
