//! The keys, and what the columns mean, over everything else.

use super::pen::Pen;
use crate::tui::keys::HELP;
use async_trace_core::render::Role;
use ratatui::layout::Rect;
use ratatui::symbols::border;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Widget};

/// What does not explain itself.
const WORDS: &[(&str, &str)] = &[
    ("WAITS >=", "how long the oldest is at its wait, as far as was seen"),
    ("LATE WORST", "the age of what is due: now, and in the last 60 looks"),
    ("BUSY CPU", "share of looks in which it ran; of a CPU it used"),
];

const PLAIN: border::Set<'_> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

pub(super) fn draw(pen: &mut Pen<'_>, area: Rect) {
    let height = (HELP.len() + WORDS.len() + 3) as u16;
    let (width, height) = (78.min(area.width), height.min(area.height));
    let box_area =
        Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    Clear.render(box_area, pen.buffer);
    let frame = Block::bordered().title(" keys (any key closes this) ");
    let frame = if pen.theme.ascii { frame.border_set(PLAIN) } else { frame };
    let inside = frame.inner(box_area);
    frame.render(box_area, pen.buffer);
    let rows = HELP.iter().map(Some).chain([None]).chain(WORDS.iter().map(Some));
    for (down, row) in rows.enumerate() {
        if let Some((name, what)) = row {
            let name = Span::styled(format!(" {name:<19}"), pen.theme.role(Role::Heading));
            pen.line(inside, down as u16, &Line::from(vec![name, Span::raw(*what)]));
        }
    }
}
