//! Draws the screen. Only the rows that are seen are formatted.

mod header;
mod help;
mod page;
mod pen;
mod processes;
mod tasks;

use super::app::App;
use super::screen::{Focus, Screen, Subject};
use super::theme::Theme;
use async_trace_core::render::Role;
use async_trace_core::text::escape;
use pen::Pen;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// Below this nothing useful can be drawn.
const SMALLEST: (u16, u16) = (40, 10);

/// Draws what `app` says, and notes in it what came to stand where.
pub(crate) fn draw(frame: &mut Frame<'_>, app: &mut App) {
    let area = frame.area();
    let theme = app.theme;
    app.rows.clear();
    let mut pen = Pen { buffer: frame.buffer_mut(), theme: &theme };
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        pen.line(area, 0, &Line::raw(format!("this needs {} x {} characters", SMALLEST.0, SMALLEST.1)));
        return;
    }
    let (body, foot) = split(area, area.height - foot_height(app));
    // The screen is taken out while it is drawn, so that both it and the rest can be changed.
    if let Some(mut screen) = app.screens.pop() {
        match &mut screen {
            Screen::Processes(list) => processes::draw(&mut pen, body, app, list),
            Screen::Main(main) => tasks::main(&mut pen, body, app, main),
            Screen::Group(group) => tasks::group(&mut pen, body, app, group),
            Screen::Page(page) => page::draw(&mut pen, body, app, page),
        }
        app.screens.push(screen);
    }
    let cursor = draw_foot(&mut pen, foot, app);
    if app.help {
        help::draw(&mut pen, area);
    } else if let Some(x) = cursor {
        frame.set_cursor_position((x, foot.bottom() - 1));
    }
}

/// The first `height` lines, and the rest.
fn split(area: Rect, height: u16) -> (Rect, Rect) {
    let height = height.min(area.height);
    (Rect { height, ..area }, Rect { y: area.y + height, height: area.height - height, ..area })
}

fn foot_height(app: &App) -> u16 {
    1 + u16::from(state(app).is_some())
}

/// What one has to know before one believes the screen.
fn state(app: &App) -> Option<String> {
    if matches!(app.screens.last(), Some(Screen::Processes(_))) {
        return app.paused.then(|| "PAUSED: p lets it go on".to_owned());
    }
    let process = app.process()?;
    if let Some(end) = &process.end {
        return Some(format!("{end}; this is what was seen last"));
    }
    if app.paused {
        let newer = process.latest.number.saturating_sub(process.shown.number);
        let since = match newer {
            0 => String::new(),
            1 => ", 1 newer look".into(),
            n => format!(", {n} newer looks"),
        };
        return Some(format!(
            "PAUSED at look {}{since}: p lets it go on, w writes it to a file",
            process.shown.number
        ));
    }
    process.trouble.as_ref().map(|trouble| format!("the last look failed: {trouble}"))
}

/// The last lines; returns where the cursor stands while a filter is typed.
fn draw_foot(pen: &mut Pen<'_>, area: Rect, app: &App) -> Option<u16> {
    let last = area.height.saturating_sub(1);
    if let Some(words) = state(app) {
        pen.line(area, 0, &Line::styled(escape(&words).into_owned(), app.theme.role(Role::Alarm)));
    }
    if app.typing.is_some() {
        let line = Line::raw(format!("filter: {}", escape(&app.order.filter)));
        let x = (line.width() as u16).min(area.width - 1);
        pen.line(area, last, &line);
        let hint = "  (Enter keeps it, Esc drops it; * and ? match)";
        let rest = Rect { x: area.x + x + 1, width: area.width - x - 1, ..area };
        pen.line(rest, last, &Line::styled(hint, app.theme.role(Role::Library)));
        return Some(area.x + x);
    }
    if let Some(notice) = &app.notice {
        let role = if notice.alarm { Role::Alarm } else { Role::Heading };
        pen.line(area, last, &Line::styled(escape(&notice.words).into_owned(), app.theme.role(role)));
        return None;
    }
    let keys: &[(&str, &str)] = match app.screens.last() {
        Some(Screen::Processes(_)) => &[("Enter", "open"), ("p", "pause"), ("?", "help"), ("q", "quit")],
        Some(Screen::Main(main)) if main.focus == Focus::Upper => &[
            ("Enter", "open"),
            ("Tab", "tasks"),
            ("p", "pause"),
            ("w", "write"),
            ("?", "help"),
            ("q", "quit"),
        ],
        Some(Screen::Main(_)) => &[
            ("Enter", "open"),
            ("Tab", "findings"),
            ("/", "filter"),
            ("s", "sort"),
            ("g", "group"),
            ("t", "threads"),
            ("?", "help"),
            ("q", "quit"),
        ],
        Some(Screen::Group(_)) => &[
            ("Enter", "open"),
            ("Esc", "back"),
            ("s", "sort"),
            ("/", "filter"),
            ("?", "help"),
            ("q", "quit"),
        ],
        Some(Screen::Page(page)) if page.subject == Subject::Threads => {
            &[("PgDn", "on"), ("Esc", "back"), ("p", "pause"), ("?", "help"), ("q", "quit")]
        }
        _ => &[
            ("Enter", "open"),
            ("PgDn", "on"),
            ("Esc", "back"),
            ("p", "pause"),
            ("?", "help"),
            ("q", "quit"),
        ],
    };
    let findings = app.process().is_some_and(|p| !p.shown.findings.is_empty());
    let keys = keys.iter().filter(|(_, word)| findings || *word != "findings");
    pen.line(area, last, &hints(keys, &app.theme));
    None
}

fn hints<'a>(keys: impl Iterator<Item = &'a (&'static str, &'static str)>, theme: &Theme) -> Line<'static> {
    let mut line = Line::default();
    for (key, word) in keys {
        if !line.spans.is_empty() {
            line.push_span(Span::raw("  "));
        }
        line.push_span(Span::styled(*key, theme.role(Role::Heading)));
        line.push_span(Span::styled(format!(" {word}"), theme.role(Role::Library)));
    }
    line
}

#[cfg(test)]
mod tests;
