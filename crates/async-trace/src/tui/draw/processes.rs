//! All processes, a line each.

use super::header::short;
use super::pen::{Column, Pen};
use super::split;
use crate::tui::app::{App, Process, Rows};
use crate::tui::list::List;
use crate::tui::screen::Focus;
use async_trace_core::finding::Severity;
use async_trace_core::render::tree::command;
use async_trace_core::render::units::{amount, number};
use async_trace_core::render::{Role, shorten};
use async_trace_core::snapshot::LoopState;
use async_trace_core::text::escape;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

pub(super) fn draw(pen: &mut Pen<'_>, area: Rect, app: &mut App, list: &mut List<usize>) {
    let processes = match app.processes.len() {
        1 => "1 process".to_owned(),
        n => format!("{n} processes"),
    };
    let tasks: u64 = app.processes.iter().map(tasks).sum();
    let words = format!("{processes}, {}", amount(tasks, "task"));
    pen.rule(area, 0, Line::from(Span::styled(words, pen.theme.role(Role::Heading))));
    let (_, rest) = split(area, 1);
    let fixed = 7 + 7 + 11 + 7 + 5 + 12 + 2 * 6 + 2;
    let columns = [
        Column::right("PID", 7),
        Column::right("TASKS", 7),
        Column::left("LOOP", 11),
        Column::right("LATE", 7),
        Column::right("CPU", 5),
        Column::left("FINDINGS", 12),
        Column::left("COMMAND", area.width.saturating_sub(fixed)),
    ];
    pen.headings(rest, 0, &columns);
    let (_, rows) = split(rest, 1);
    let window = list.window(usize::from(rows.height));
    app.rows.push(Rows { area: rows, first: window.start, focus: Focus::Lower });
    for (down, at) in window.enumerate() {
        let Some(process) = app.processes.get(at) else { break };
        let cells = row(pen, process, usize::from(columns[6].width));
        pen.cells(rows, down as u16, &columns, cells);
        if at == list.at {
            pen.select(rows, down as u16);
        }
    }
}

fn tasks(process: &Process) -> u64 {
    process.shown.snapshot.alive().count() as u64
}

fn row(pen: &Pen<'_>, process: &Process, room: usize) -> Vec<Line<'static>> {
    let look = &process.shown;
    let s = &look.snapshot;
    // Of several loops the one that is worst off.
    let worst = s.loops.iter().max_by_key(|l| {
        (l.state == LoopState::Busy, (l.turn_s.unwrap_or(0.0) * 1e3) as u64, l.state == LoopState::Idle)
    });
    let (style, state) = match (&process.end, worst) {
        (Some(_), _) => (pen.theme.role(Role::Alarm), "ENDED".into()),
        (None, Some(event_loop)) => super::header::state(pen, event_loop),
        (None, None) => (Style::new(), "no loop".into()),
    };
    let late_s = look.meters.iter().map(|m| m.late_s).fold(0.0, f64::max);
    let cpu = look.meters.iter().filter_map(|m| m.cpu_percent).map(u32::from).reduce(|a, b| a + b);
    let of = |wanted| look.findings.iter().filter(|f| f.severity == wanted).count() as u64;
    let (style_found, found) = match (of(Severity::Error), of(Severity::Warning)) {
        (0, 0) => (pen.theme.role(Role::Library), "none".into()),
        (0, n) => (pen.theme.warning(), amount(n, "warning")),
        (n, 0) => (pen.theme.role(Role::Alarm), amount(n, "error")),
        (n, m) => (pen.theme.role(Role::Alarm), format!("{} +{m}", amount(n, "error"))),
    };
    let command = escape(&command(&s.process)).into_owned();
    vec![
        Line::styled(s.process.pid.to_string(), pen.theme.role(Role::Heading)),
        Line::raw(number(tasks(process))),
        Line::styled(state, style),
        Line::raw(short(late_s)),
        Line::raw(cpu.map_or("-".into(), |p| format!("{p} %"))),
        Line::styled(found, style_found),
        Line::raw(shorten(&command, room, pen.theme.ellipsis()).into_owned()),
    ]
}
