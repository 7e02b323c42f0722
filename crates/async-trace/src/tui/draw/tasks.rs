//! One process: findings, groups of tasks, what is selected in full; and the tasks of one group.

use super::header;
use super::pen::{Column, Pen};
use super::split;
use crate::tui::app::{App, Rows};
use crate::tui::canvas::Sheet;
use crate::tui::groups::{By, Group, title};
use crate::tui::past::Look;
use crate::tui::screen::{Focus, GroupScreen, Main};
use async_trace_core::finding::{Finding, Severity};
use async_trace_core::render::units::{amount, number, seconds};
use async_trace_core::render::{FindingOptions, Narrator, Role, certainty, finding, severity, shorten};
use async_trace_core::snapshot::{Task, TaskState, WaitsFor};
use async_trace_core::text::escape;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

pub(super) fn main(pen: &mut Pen<'_>, area: Rect, app: &mut App, main: &mut Main) {
    let Some(process) = app.process() else { return };
    let look = process.shown.clone();
    header::title(pen, area, app, process);
    header::facts(pen, area, 1, &look);
    let (loops, rest) = split(split(area, 2).1, header::loops_height(&look));
    header::loops(pen, loops, &look);

    let room = (area.height / 5).clamp(1, 8);
    let (upper, rest) = split(rest, 1 + (look.findings.len() as u16).min(room));
    findings(pen, upper, app, &look, main);

    let preview = if area.height >= 20 { 4 } else { 0 };
    let needed = 2 + main.most.min(1000) as u16;
    let (table, below) = split(rest, needed.max(5).min(rest.height.saturating_sub(preview)));
    let narrator = Narrator::of(&look.snapshot, app.theme.ascii);
    groups(pen, table, app, &look, main, &narrator);
    pen.rule(below, 0, Line::default());
    let (_, below) = split(below, 1);
    match main.focus {
        Focus::Upper => {
            let mut sheet = Sheet::new(pen.theme);
            let options = FindingOptions { width: Some(usize::from(below.width)), ascii: app.theme.ascii };
            if let Some(found) = look.findings.get(main.findings.at) {
                finding(found, &look.snapshot, &options, &mut sheet);
            }
            for (down, line) in (0..below.height).zip(sheet.lines().iter().skip(1)) {
                pen.line(below, down, line);
            }
        }
        Focus::Lower => {
            let group = main.groups.get(main.list.at);
            pen.paragraph(below, group.map_or(Vec::new(), |g| about(pen, below, g, &look, &narrator)));
        }
    }
}

/// The findings, a line each under a line that counts them.
fn findings(pen: &mut Pen<'_>, area: Rect, app: &mut App, look: &Look, main: &mut Main) {
    let of = |wanted| look.findings.iter().filter(|f| f.severity == wanted).count() as u64;
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    let (looks, over_s) = look.rests_on;
    let rests = match looks {
        1 => "in one look".to_owned(),
        n => format!("in {n} looks over {}", seconds(over_s)),
    };
    let mut words = Line::from(Span::styled("findings: ", pen.theme.role(Role::Heading)));
    if errors > 0 {
        words.push_span(Span::styled(amount(errors, "error"), pen.theme.role(Role::Alarm)));
    }
    if warnings > 0 {
        words.push_span(Span::raw(if errors > 0 { ", " } else { "" }));
        words.push_span(Span::styled(amount(warnings, "warning"), pen.theme.warning()));
    }
    words.push_span(Span::raw(if errors + warnings == 0 { "none " } else { " " }));
    words.push_span(Span::styled(rests, pen.theme.role(Role::Library)));
    let (head, rows) = split(area, 1);
    let window = main.findings.window(usize::from(rows.height));
    if look.findings.len() > window.len() {
        let more = format!(", {} to {} shown", window.start + 1, window.end);
        words.push_span(Span::styled(more, pen.theme.role(Role::Library)));
    }
    pen.rule(head, 0, words);
    app.rows.push(Rows { area: rows, first: window.start, focus: Focus::Upper });
    for (down, at) in window.enumerate() {
        let Some(finding) = look.findings.get(at) else { break };
        pen.line(
            Rect { x: rows.x + 2, width: rows.width - 2, ..rows },
            down as u16,
            &finding_line(pen, finding),
        );
        if main.focus == Focus::Upper && at == main.findings.at {
            pen.select(rows, down as u16);
        }
    }
}

/// `ERROR deadlock (proven): task alice holds …`.
fn finding_line(pen: &Pen<'_>, finding: &Finding) -> Line<'static> {
    let style = match finding.severity {
        Severity::Error => pen.theme.role(Role::Alarm),
        Severity::Warning => pen.theme.warning(),
    };
    Line::from(vec![
        Span::styled(format!("{:<7} ", severity(finding.severity)), style),
        Span::styled(escape(&finding.check).into_owned(), pen.theme.role(Role::Heading)),
        Span::raw(format!(" ({}): {}", certainty(finding.certainty), escape(&finding.summary))),
    ])
}

fn groups(
    pen: &mut Pen<'_>,
    area: Rect,
    app: &mut App,
    look: &Look,
    main: &mut Main,
    narrator: &Narrator<'_>,
) {
    let tasks: usize = main.groups.iter().map(|g| g.members.len()).sum();
    let order = &app.order;
    let mut words = Line::from(Span::styled(amount(tasks as u64, "task"), pen.theme.role(Role::Heading)));
    words.push_span(Span::raw(format!(" in {} ", amount(main.groups.len() as u64, "group"))));
    words.push_span(Span::styled(
        format!("{}, {}", order.by.words(), order.sort.words()),
        pen.theme.role(Role::Library),
    ));
    if !order.filter.is_empty() {
        words.push_span(Span::styled(format!(", with `{}`", escape(&order.filter)), pen.theme.warning()));
    }
    pen.rule(area, 0, words);
    let fixed = 7 + 9 + 8 + 2 * 4 + 2;
    let left = area.width.saturating_sub(fixed);
    let place = (left * 9 / 20).clamp(12, 44);
    let columns = [
        Column::right("COUNT", 7),
        Column::left("STATE", 9),
        Column::right("WAITS >=", 8),
        Column::left(if order.by == By::Stack { "AT" } else { "FROM" }, place),
        Column::left("FOR", left.saturating_sub(place)),
    ];
    let (_, rest) = split(area, 1);
    pen.headings(rest, 0, &columns);
    let (_, rows) = split(rest, 1);
    let window = main.list.window(usize::from(rows.height));
    app.rows.push(Rows { area: rows, first: window.start, focus: Focus::Lower });
    if main.groups.is_empty() {
        let words =
            if app.order.filter.is_empty() { "there are no tasks" } else { "no task fits the filter" };
        pen.line(rows, 0, &Line::styled(format!("  {words}"), pen.theme.role(Role::Library)));
    }
    for (down, at) in window.enumerate() {
        let Some(group) = main.groups.get(at) else { break };
        let Some(first) = group.members.first().map(|p| &look.snapshot.tasks[*p as usize]) else { continue };
        let cells = vec![
            Line::raw(number(group.members.len() as u64)),
            state(pen, group.state.0, group.state.1),
            age(group.age_s),
            place_of(pen, first, app.order.by, narrator, place.into()),
            waits(pen, group, look, narrator).line,
        ];
        pen.cells(rows, down as u16, &columns, cells);
        if main.focus == Focus::Lower && at == main.list.at {
            pen.select(rows, down as u16);
        }
    }
}

/// `waiting`, `running +3` where others are in another state.
fn state(pen: &Pen<'_>, state: TaskState, others: usize) -> Line<'static> {
    let more = if others > 0 { format!(" +{others}") } else { String::new() };
    let (style, word) = match state {
        TaskState::Running => (pen.theme.role(Role::Alarm), "running"),
        TaskState::Ready => (pen.theme.warning(), "ready"),
        TaskState::Waiting => (Style::new(), "waiting"),
        TaskState::Done => (Style::new(), "done"),
    };
    Line::styled(format!("{word}{more}"), style)
}

fn age(age_s: f32) -> Line<'static> {
    if age_s <= 0.0 { Line::raw("-") } else { Line::raw(header::short(f64::from(age_s))) }
}

/// `transfer  bank.py:40`; the file gives way first, but not its line.
fn place_of(pen: &Pen<'_>, task: &Task, by: By, narrator: &Narrator<'_>, room: usize) -> Line<'static> {
    let Some(frame) = title(task, by) else {
        return Line::styled("not known", pen.theme.role(Role::Library));
    };
    let function = escape(&frame.function);
    let dots = pen.theme.ellipsis();
    let place = narrator.place(frame).unwrap_or_default();
    let number = frame.line.to_string().len() + 1 + dots.chars().count();
    let name = shorten(&function, room.saturating_sub(number + 2).max(8), dots).into_owned();
    let left = room.saturating_sub(name.chars().count() + 2);
    let all = place.chars().count();
    let place = if all <= left || all <= number {
        place
    } else {
        let end: String =
            place.chars().skip(all - left.saturating_sub(dots.chars().count()).min(all)).collect();
        format!("{dots}{end}")
    };
    Line::from(vec![
        Span::styled(name, pen.theme.role(Role::Function)),
        Span::raw("  "),
        Span::styled(place, pen.theme.role(Role::Place)),
    ])
}

/// What most tasks of a group wait for.
struct Waits {
    line: Line<'static>,
    /// The places of those that do.
    members: Vec<u32>,
    /// How many wait for something else.
    others: usize,
}

fn waits(pen: &Pen<'_>, group: &Group, look: &Look, narrator: &Narrator<'_>) -> Waits {
    let tasks = &look.snapshot.tasks;
    let mut shapes: FxHashMap<_, Vec<u32>> = FxHashMap::default();
    let mut moving = Vec::new();
    for place in &group.members {
        let task = &tasks[*place as usize];
        match &task.waits_for {
            Some(wait) if task.state != TaskState::Running => {
                shapes.entry(narrator.wait_shape(wait)).or_default().push(*place);
            }
            _ => moving.push(*place),
        }
    }
    // Of those that are equally many, always the same.
    let most = shapes.into_values().max_by_key(|places| (places.len(), Reverse(places.first().copied())));
    let Some(members) = most else {
        return Waits { line: Line::default(), members: moving, others: 0 };
    };
    let waiting = members.iter().map(|p| &tasks[*p as usize]);
    let waits: Vec<&WaitsFor> = waiting.clone().filter_map(|task| task.waits_for.as_ref()).collect();
    let by = if members.len() == 1 { waiting.map(|task| task.id).next() } else { None };
    let mut sheet = Sheet::new(pen.theme);
    narrator.wait(&waits, by, &mut sheet);
    let others = group.members.len() - members.len() - moving.len();
    Waits { line: sheet.line().without_waits(), members, others }
}

/// In a column that is headed FOR, nobody needs to read `waits for` in each row.
trait WithoutWaits {
    fn without_waits(self) -> Self;
}

impl WithoutWaits for Line<'static> {
    fn without_waits(mut self) -> Self {
        if let Some(first) = self.spans.first_mut() {
            let text = first.content.strip_prefix("each ").unwrap_or(&first.content);
            let text = text.strip_prefix("waits for ").unwrap_or(text).to_owned();
            first.content = text.into();
        }
        self
    }
}

/// What is selected, in full where there is room.
fn about(
    pen: &Pen<'_>,
    area: Rect,
    group: &Group,
    look: &Look,
    narrator: &Narrator<'_>,
) -> Vec<Line<'static>> {
    let Waits { line: wait, members, others } = waits(pen, group, look, narrator);
    let others = (others > 0)
        .then(|| Line::raw(format!("{} at these lines for something else", waiting(others as u64))));
    let mut sheet = Sheet::new(pen.theme);
    narrator.group(&members, Some(usize::from(area.width)), &mut sheet);
    let mut lines = sheet.lines();
    lines.extend(others.clone());
    if lines.len() <= usize::from(area.height) {
        return lines;
    }
    // Who and for what is worth more than half of the stack.
    lines.truncate(1);
    if !wait.spans.is_empty() {
        let mut line = Line::raw(pen.theme.arrow());
        line.extend(wait);
        lines.push(line);
    }
    lines.extend(others);
    lines
}

fn waiting(tasks: u64) -> String {
    format!("{} {}", amount(tasks, "task"), if tasks == 1 { "waits" } else { "wait" })
}

pub(super) fn group(pen: &mut Pen<'_>, area: Rect, app: &mut App, group: &mut GroupScreen) {
    let Some(process) = app.process() else { return };
    let look = process.shown.clone();
    header::title(pen, area, app, process);
    let narrator = Narrator::of(&look.snapshot, app.theme.ascii);
    let tasks = &look.snapshot.tasks;
    let mut words =
        Line::from(Span::styled(amount(group.members.len() as u64, "task"), pen.theme.role(Role::Heading)));
    if let Some(first) = group.members.first().map(|p| &tasks[*p as usize]) {
        words.push_span(Span::raw(if app.order.by == By::Stack { " at " } else { " from " }));
        words.extend(place_of(pen, first, app.order.by, &narrator, usize::from(area.width / 2)));
        words.push_span(Span::styled(format!("  {}", order_words(app)), pen.theme.role(Role::Library)));
    } else {
        words.push_span(Span::raw(" are left in this group"));
    }
    pen.rule(area, 1, words);
    let (_, rest) = split(area, 2);
    let left = area.width.saturating_sub(8 + 8 + 2 * 3 + 2);
    let name = (left / 3).clamp(10, 40);
    let columns = [
        Column::left("TASK", name),
        Column::left("STATE", 8),
        Column::right("WAITS >=", 8),
        Column::left("FOR", left.saturating_sub(name)),
    ];
    pen.headings(rest, 0, &columns);
    let (_, rows) = split(rest, 1);
    let window = group.list.window(usize::from(rows.height));
    app.rows.push(Rows { area: rows, first: window.start, focus: Focus::Lower });
    for (down, at) in window.enumerate() {
        let Some(place) = group.members.get(at).copied() else { break };
        let task = &tasks[place as usize];
        let cells = vec![
            Line::styled(escape(&task.name).into_owned(), pen.theme.role(Role::Task)),
            state(pen, task.state, 0),
            age(look.ages.get(place as usize).copied().unwrap_or(0.0)),
            wait_of(pen, task, &narrator),
        ];
        pen.cells(rows, down as u16, &columns, cells);
        if at == group.list.at {
            pen.select(rows, down as u16);
        }
    }
}

fn order_words(app: &App) -> &'static str {
    use crate::tui::groups::Sort;
    match app.order.sort {
        Sort::Count => Sort::Age.words(),
        other => other.words(),
    }
}

/// What one task waits for.
pub(super) fn wait_of(pen: &Pen<'_>, task: &Task, narrator: &Narrator<'_>) -> Line<'static> {
    let Some(wait) = task.waits_for.as_ref().filter(|_| task.state != TaskState::Running) else {
        return Line::default();
    };
    let mut sheet = Sheet::new(pen.theme);
    narrator.wait(&[wait], Some(task.id), &mut sheet);
    sheet.line().without_waits()
}
