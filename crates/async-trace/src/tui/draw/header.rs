//! The first lines: which process, and how its loops do.

use super::pen::{Column, Pen};
use crate::tui::app::{App, Process};
use crate::tui::past::{Look, Meter};
use async_trace_core::index::Index;
use async_trace_core::render::tree::{command, how};
use async_trace_core::render::units::{amount, milliseconds, number, seconds};
use async_trace_core::render::{Role, shorten};
use async_trace_core::snapshot::{EventLoop, LoopState};
use async_trace_core::text::escape;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

/// A turn or delay from which on it is worth a colour, in seconds.
const LATE_S: f64 = 0.1;
/// How many loops are listed.
const MOST_LOOPS: usize = 3;

/// `process 4711: python3 bank.py`, and at the right how fresh this is.
pub(super) fn title(pen: &mut Pen<'_>, area: Rect, app: &App, process: &Process) {
    let s = &process.shown.snapshot;
    let right = match (&process.end, app.paused) {
        (Some(_), _) => "ENDED".to_owned(),
        (None, true) => "PAUSED".to_owned(),
        (None, false) => format!("look {}", number(process.shown.number)),
    };
    let role = if process.end.is_some() || app.paused { Role::Alarm } else { Role::Library };
    let right = Line::styled(right, pen.theme.role(role));
    let place = match app.processes.len() {
        1 => String::new(),
        n => format!("{} of {n}: ", app.current + 1),
    };
    let name = format!("{place}process {}", s.process.pid);
    let room = usize::from(area.width).saturating_sub(name.len() + 4 + right.width());
    let command = escape(&command(&s.process)).into_owned();
    let left = Line::from(vec![
        Span::styled(name, pen.theme.role(Role::Heading)),
        Span::raw(format!(": {}", shorten(&command, room, pen.theme.ellipsis()))),
    ]);
    pen.line(area, 0, &left);
    pen.at_right(area, 0, &right);
}

/// `Python 3.11.7, 3 tasks, 1 loop, 1 thread; paused 1.2 ms, read in 9 ms`.
pub(super) fn facts(pen: &mut Pen<'_>, area: Rect, down: u16, look: &Look) {
    let s = &look.snapshot;
    let tasks = s.alive().count();
    let [tasks, loops, threads] = [(tasks, "task"), (s.loops.len(), "loop"), (s.threads.len(), "thread")]
        .map(|(n, noun)| amount(n as u64, noun));
    let words = format!(
        "Python {}, {tasks}, {loops}, {threads}; {}, read in {}",
        escape(&s.process.python),
        how(&s.capture),
        milliseconds(s.capture.read_us),
    );
    let problems: u64 = s.problems.iter().map(|p| p.count.max(1)).sum();
    let mut gaps = Line::default();
    if problems > 0 {
        gaps = Line::styled(format!("  {} could not be read", number(problems)), pen.theme.warning());
    }
    pen.at_right(area, down, &gaps);
    pen.line(Rect { width: area.width.saturating_sub(gaps.width() as u16), ..area }, down, &Line::raw(words));
}

/// How many lines the loops take.
pub(super) fn loops_height(look: &Look) -> u16 {
    1 + look.snapshot.loops.len().clamp(1, MOST_LOOPS) as u16
}

/// The loops, a line each.
pub(super) fn loops(pen: &mut Pen<'_>, area: Rect, look: &Look) {
    let loops = &look.snapshot.loops;
    if loops.is_empty() {
        return pen.line(area, 0, &Line::styled("  no event loop", pen.theme.role(Role::Library)));
    }
    let name = (area.width / 5).clamp(10, 30);
    let fixed = name + 12 + 5 + 6 + 7 + 7 + 5 + 5 + 2 * 8 + 2;
    let columns = [
        Column::left("LOOP IN", name),
        Column::left("STATE", 12),
        Column::right("READY", 5),
        Column::right("TIMERS", 6),
        Column::right("LATE", 7),
        Column::right("WORST", 7),
        Column::right("BUSY", 5),
        Column::right("CPU", 5),
        Column::left("", area.width.saturating_sub(fixed).min(60)),
    ];
    pen.headings(area, 0, &columns);
    let index = Index::of(&look.snapshot);
    let shown = if loops.len() > MOST_LOOPS { MOST_LOOPS - 1 } else { loops.len() };
    for (at, (event_loop, meter)) in loops.iter().zip(&look.meters).take(shown).enumerate() {
        let thread = event_loop.thread.and_then(|tid| index.get_thread(tid));
        let name = match thread {
            Some(thread) => Line::styled(escape(&thread.name).into_owned(), pen.theme.role(Role::Thread)),
            None => Line::raw(event_loop.id.to_string()),
        };
        let (style, state) = state(pen, event_loop);
        let count = |n: Option<u64>| n.map_or("?".to_owned(), number);
        let percent = |p: Option<u8>| p.map_or("-".to_owned(), |p| format!("{p} %"));
        let room = usize::from(columns[8].width);
        let bars = if room >= 4 { pen.theme.bars(&meter.cpu_before, room) } else { String::new() };
        let cells = vec![
            name,
            Line::styled(state, style),
            Line::raw(count(event_loop.ready)),
            Line::raw(count(event_loop.timers)),
            Line::styled(short(meter.late_s), lateness(pen, meter)),
            Line::raw(short(meter.worst_s)),
            Line::raw(percent(Some(meter.busy_percent))),
            Line::raw(percent(meter.cpu_percent)),
            Line::raw(bars),
        ];
        pen.cells(area, 1 + at as u16, &columns, cells);
    }
    if shown < loops.len() {
        let words = format!("  and {}: t lists all", amount((loops.len() - shown) as u64, "more loop"));
        pen.line(area, 1 + shown as u16, &Line::styled(words, pen.theme.role(Role::Library)));
    }
}

fn lateness(pen: &Pen<'_>, meter: &Meter) -> Style {
    if meter.late_s >= LATE_S { pen.theme.role(Role::Alarm) } else { Style::new() }
}

/// `idle`, `busy 3 ms`, `BUSY 4.2 s`.
pub(super) fn state(pen: &Pen<'_>, event_loop: &EventLoop) -> (Style, String) {
    let alarm = pen.theme.role(Role::Alarm);
    let turn_s = event_loop.turn_s.unwrap_or(0.0);
    match event_loop.state {
        LoopState::Idle => (Style::new(), "idle".into()),
        LoopState::Busy if turn_s >= LATE_S => (alarm, format!("BUSY {}", short(turn_s))),
        LoopState::Busy if event_loop.turn_s.is_some() => (Style::new(), format!("busy {}", short(turn_s))),
        LoopState::Busy => (Style::new(), "busy".into()),
        LoopState::NotRunning => (alarm, "not running".into()),
        LoopState::Closed => (alarm, "closed".into()),
        LoopState::Unknown => (alarm, "unknown".into()),
    }
}

/// A time in one unit: `2 min`, not `2 min 5 s`.
pub(super) fn short(time_s: f64) -> String {
    let text = seconds(time_s);
    let mut words = text.split(' ');
    match (words.next(), words.next()) {
        (Some(number), Some(unit)) => format!("{number} {unit}"),
        _ => text,
    }
}
