//! Everything about one thing, and the ways from there to others.

use super::pen::{Column, Pen};
use super::{header, split, tasks};
use crate::tui::app::{App, Rows};
use crate::tui::canvas::Sheet;
use crate::tui::links::{Link, Thing};
use crate::tui::past::Look;
use crate::tui::screen::{FindingKey, Focus, Page, Subject};
use async_trace_core::render::{FindingOptions, Narrator, Role, finding};
use async_trace_core::text::escape;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

pub(super) fn draw(pen: &mut Pen<'_>, area: Rect, app: &mut App, page: &mut Page) {
    let Some(process) = app.process() else { return };
    let look = process.shown.clone();
    header::title(pen, area, app, process);
    let narrator = Narrator::of(&look.snapshot, app.theme.ascii);
    if !page.gone {
        page.text = text(pen, page, &look, &narrator, usize::from(area.width));
    }
    let (_, body) = split(area, 1);
    let links = match page.links.len() as u16 {
        0 => 0,
        n => (n + 1).min(area.height / 3),
    };
    let (upper, lower) = split(body, body.height - links);
    let (head, rows) = split(upper, 1);
    page.room = usize::from(rows.height);
    page.scroll = page.scroll.min(page.last_scroll());
    pen.rule(head, 0, head_words(pen, page, &narrator));
    for (down, line) in page.text.iter().skip(page.scroll).take(page.room).enumerate() {
        pen.line(rows, down as u16, line);
    }
    if links > 0 {
        self::links(pen, lower, app, page, &narrator);
    }
}

fn head_words(pen: &Pen<'_>, page: &Page, narrator: &Narrator<'_>) -> Line<'static> {
    let what = match &page.subject {
        Subject::Task(_, name) => format!("task {}", escape(name)),
        Subject::Resource(id) => match narrator.index().get_resource(*id) {
            Some(resource) => {
                let mut name = String::new();
                narrator.resource_name(resource, &mut name);
                name
            }
            None => "lock or other resource".into(),
        },
        Subject::Finding(key) => format!("finding: {}", escape(key.check())),
        Subject::Threads => "loops and threads".into(),
    };
    let mut words = Line::from(Span::styled(what, pen.theme.role(Role::Heading)));
    if page.gone {
        let gone = match page.subject {
            Subject::Finding(_) => " is not found any more; this is what it was",
            _ => " is gone; this is what was seen last",
        };
        words.push_span(Span::styled(gone, pen.theme.role(Role::Alarm)));
    }
    if page.text.len() > page.room {
        let seen = format!(
            "  lines {} to {} of {}",
            page.scroll + 1,
            (page.scroll + page.room).min(page.text.len()),
            page.text.len()
        );
        words.push_span(Span::styled(seen, pen.theme.role(Role::Library)));
    }
    words
}

/// What is written on the page.
fn text(
    pen: &Pen<'_>,
    page: &Page,
    look: &Look,
    narrator: &Narrator<'_>,
    width: usize,
) -> Vec<Line<'static>> {
    let mut sheet = Sheet::new(pen.theme);
    let index = narrator.index();
    match &page.subject {
        Subject::Task(id, _) => {
            if let Some(place) = index.task(*id) {
                narrator.task(place, Some(width), &mut sheet);
            }
        }
        Subject::Resource(id) => {
            if let Some(resource) = index.get_resource(*id) {
                narrator.resource(resource, Some(width), &mut sheet);
            }
        }
        Subject::Finding(key) => {
            let options = FindingOptions { width: Some(width), ascii: pen.theme.ascii };
            if let Some(found) = look.findings.iter().find(|f| FindingKey::of(f) == *key) {
                finding(found, &look.snapshot, &options, &mut sheet);
            }
        }
        Subject::Threads => narrator.threads(Some(width), &mut sheet),
    }
    sheet.lines()
}

fn links(pen: &mut Pen<'_>, area: Rect, app: &mut App, page: &mut Page, narrator: &Narrator<'_>) {
    let (head, rows) = split(area, 1);
    let window = page.list.window(usize::from(rows.height));
    let mut words = Line::from(Span::styled("from here to", pen.theme.role(Role::Heading)));
    if page.links.len() > window.len() {
        let seen = format!("  {} to {} of {}", window.start + 1, window.end, page.links.len());
        words.push_span(Span::styled(seen, pen.theme.role(Role::Library)));
    }
    pen.rule(head, 0, words);
    app.rows.push(Rows { area: rows, first: window.start, focus: Focus::Lower });
    let left = area.width.saturating_sub(13 + 2 * 3);
    let name = (left / 3).clamp(16, 36);
    let columns = [Column::left("", 12), Column::left("", name), Column::left("", left.saturating_sub(name))];
    for (down, at) in window.enumerate() {
        let Some(link) = page.links.get(at) else { break };
        let [thing, more] = describe(pen, link, narrator);
        let relation = Line::styled(link.relation, pen.theme.role(Role::Library));
        pen.cells(rows, down as u16, &columns, vec![relation, thing, more]);
        if !page.moves_text() && at == page.list.at {
            pen.select(rows, down as u16);
        }
    }
}

/// What a link leads to: its name, and how it stands.
fn describe(pen: &Pen<'_>, link: &Link, narrator: &Narrator<'_>) -> [Line<'static>; 2] {
    let index = narrator.index();
    match link.to {
        Thing::Task(id) => match index.get_task(id) {
            Some(task) => {
                let name = Span::styled(escape(&task.name).into_owned(), pen.theme.role(Role::Task));
                [Line::from(vec![Span::raw("task "), name]), tasks::wait_of(pen, task, narrator)]
            }
            None => [Line::raw("task"), Line::default()],
        },
        Thing::Resource(id) => match index.get_resource(id) {
            Some(resource) => {
                let (mut name, mut state) = (Sheet::new(pen.theme), Sheet::new(pen.theme));
                narrator.resource_name(resource, &mut name);
                narrator.resource_state(resource, &mut state);
                let mut state = state.line();
                if let Some(first) = state.spans.first_mut() {
                    let text = first.content.trim_start_matches([',', ';', ' ']).to_owned();
                    first.content = text.into();
                }
                [name.line(), state]
            }
            None => [Line::raw("resource"), Line::default()],
        },
    }
}
