//! For tests: looks from fixtures, and screens as text.

use super::app::App;
use super::draw::draw;
use super::looks::{Seen, Taken};
use super::past::{Look, Past};
use super::theme::Theme;
use async_trace_core::fixture::snapshot;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::sync::Arc;
use std::time::Duration;

/// A deadlock with three victims.
pub(crate) const BANK: &str = "
command python3 bank.py
loop main idle ready 0 timers 1 next 3.2
thread 4711 MainThread loop main cpu 0.5
lock a
lock b
task alice
  transfer /srv/bank.py:40 | async with b:
  holds a taken 39
  std Lock.acquire asyncio/locks.py:99
  waits acquire b as self.b
task bob
  refund /srv/bank.py:52
  holds b taken 51
  waits acquire a as self.a
task report x3
  report /srv/reports/daily.py:60
  waits acquire a as self.a
";

/// So many looks at the same, a second apart.
pub(crate) fn looks(text: &str, count: u32) -> Vec<Arc<Look>> {
    let mut past = Past::new(Duration::from_secs(1));
    let looks = (0..count).map(|second| {
        let mut snapshot = snapshot(text);
        snapshot.capture.time_s += f64::from(second);
        Arc::new(past.add(Taken { snapshot, whole: true }))
    });
    looks.collect()
}

/// A view of one process that has seen these looks, without colour.
pub(crate) fn app(looks: &[Arc<Look>]) -> App {
    let mut app = App::new(Theme { color: false, ascii: false }, false);
    for look in looks {
        app.see(0, Seen::Look(look.clone()));
    }
    app
}

/// What is drawn.
pub(crate) fn screen(app: &mut App, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, app)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let mut out = String::new();
    for y in 0..height {
        let line: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
