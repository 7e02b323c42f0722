//! Colours and the few characters that are not letters. Neither says anything that the words do not.

use async_trace_core::render::Role;
use ratatui::style::{Color, Modifier, Style};

/// How things look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Theme {
    /// Whether there are colours.
    pub color: bool,
    /// Whether only ASCII characters are drawn.
    pub ascii: bool,
}

impl Theme {
    /// The colours are of the terminal's own sixteen, so that they fit its background.
    pub(crate) fn role(&self, role: Role) -> Style {
        let style = Style::new();
        if !self.color {
            return if role == Role::Heading { style.add_modifier(Modifier::BOLD) } else { style };
        }
        match role {
            Role::Plain | Role::Place => style,
            Role::Heading => style.add_modifier(Modifier::BOLD),
            Role::Task => style.fg(Color::Cyan).add_modifier(Modifier::BOLD),
            Role::Function => style.fg(Color::Green),
            Role::Library | Role::Rule => style.add_modifier(Modifier::DIM),
            Role::Resource => style.fg(Color::Yellow),
            Role::Thread => style.fg(Color::Blue).add_modifier(Modifier::BOLD),
            Role::Alarm => style.fg(Color::Red).add_modifier(Modifier::BOLD),
            Role::Source => style.fg(Color::Magenta),
        }
    }

    /// A warning: less than an alarm.
    pub(crate) fn warning(&self) -> Style {
        if self.color { Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD) } else { Style::new() }
    }

    /// The row that keys act on.
    pub(crate) fn selected(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Before the selected row.
    pub(crate) fn marker(&self) -> &'static str {
        if self.ascii { ">" } else { "▶" }
    }

    /// What rules are made of.
    pub(crate) fn rule(&self) -> &'static str {
        if self.ascii { "-" } else { "─" }
    }

    /// For what was left out.
    pub(crate) fn ellipsis(&self) -> &'static str {
        if self.ascii { "..." } else { "…" }
    }

    /// Before what is waited for.
    pub(crate) fn arrow(&self) -> &'static str {
        if self.ascii { "-> " } else { "→ " }
    }

    /// A row of bars, one for each share of a hundred; the last ones, where there is no room for all.
    pub(crate) fn bars(&self, percents: &[u8], room: usize) -> String {
        const BARS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
        const ASCII: [&str; 8] = ["_", ".", ":", "-", "=", "+", "*", "#"];
        let bars = if self.ascii { &ASCII } else { &BARS };
        let first = percents.len().saturating_sub(room);
        percents[first..].iter().map(|p| bars[usize::from((*p).min(99)) * bars.len() / 100]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Theme;

    #[test]
    fn bars_show_the_latest() {
        let theme = Theme { color: false, ascii: false };
        assert_eq!(theme.bars(&[0, 0, 50, 100, 255], 3), "▅██");
        assert_eq!(Theme { ascii: true, ..theme }.bars(&[0, 12, 13, 100], 9), "__.#");
    }
}
