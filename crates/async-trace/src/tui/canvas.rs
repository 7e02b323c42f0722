//! Where the core's renderers write when a screen is drawn: lines in the terminal library's form.

use super::theme::Theme;
use async_trace_core::render::{Canvas, Role};
use ratatui::text::{Line, Span};

/// Collects lines.
pub(crate) struct Sheet<'a> {
    theme: &'a Theme,
    lines: Vec<Line<'static>>,
    line: Line<'static>,
}

impl<'a> Sheet<'a> {
    pub(crate) fn new(theme: &'a Theme) -> Self {
        Self { theme, lines: Vec::new(), line: Line::default() }
    }

    /// All lines, without empty ones at the beginning.
    pub(crate) fn lines(self) -> Vec<Line<'static>> {
        let empty = self.lines.iter().take_while(|line| line.spans.is_empty()).count();
        self.lines.into_iter().skip(empty).collect()
    }

    /// The one line that was written, which may lack its end.
    pub(crate) fn line(self) -> Line<'static> {
        self.lines.into_iter().next().unwrap_or(self.line)
    }
}

impl Canvas for Sheet<'_> {
    fn span(&mut self, role: Role, text: &str) {
        if !text.is_empty() {
            self.line.push_span(Span::styled(text.to_owned(), self.theme.role(role)));
        }
    }

    fn end_line(&mut self) {
        self.lines.push(std::mem::take(&mut self.line));
    }
}
