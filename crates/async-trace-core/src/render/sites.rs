//! Tasks over time by where they come from: a row for each site, with a small curve.

use super::line::Line;
use super::line::Page;
use super::paths::Paths;
use super::units::{amount, number, seconds};
use super::{Canvas, PageOptions, Role, Table};
use crate::frame::{Frame, FrameKind, Origin};
use crate::recording::Timeline;
use crate::text::Text;

/// How many columns a curve takes.
const CURVE: usize = 16;
/// How many sites are shown.
const MOST: usize = 30;

/// Writes the table.
pub fn sites(timeline: &Timeline, options: &PageOptions, mut canvas: &mut dyn Canvas) {
    let frames: Vec<Frame> =
        timeline.sites.iter().map(|site| frame(&site.function, &site.file, site.line)).collect();
    let paths = Paths::of_stacks(frames.iter().map(std::slice::from_ref));
    let duration = timeline.times_s.last().copied().unwrap_or(0.0);
    let page = Page { width: options.width, ellipsis: if options.ascii { "..." } else { "…" } };
    let mut line = Line::default();
    let peak = timeline.tasks.iter().max().copied().unwrap_or(0);
    line.say("at most ").say(&amount(u64::from(peak), "task")).say(" at once in ").say(&seconds(duration));
    line.end(&mut canvas, &page, ["", ""], 2);
    canvas.end_line();
    let mut table = Table::new(&["FIRST", "LAST", "PEAK", "OVER TIME", "WHERE THEY COME FROM"]);
    let row = |counts: &[u32], role, place: String| {
        let edge = |n: Option<&u32>| number(u64::from(n.copied().unwrap_or(0)));
        [
            (Role::Plain, edge(counts.first())),
            (Role::Plain, edge(counts.last())),
            (Role::Plain, edge(counts.iter().max())),
            (Role::Resource, curve(counts, options.ascii)),
            (role, place),
        ]
    };
    for (site, frame) in timeline.sites.iter().zip(&frames).take(MOST) {
        table.row(row(&site.counts, Role::Place, place(&paths, frame)));
    }
    table.row(row(&timeline.tasks, Role::Heading, "all tasks".into()));
    table.draw(&mut canvas, options.width, options.ascii);
    if timeline.sites.len() > MOST {
        line.put(Role::Library, &amount((timeline.sites.len() - MOST) as u64, "more place"));
        line.end(&mut canvas, &page, ["", ""], 2);
    }
}

/// A site as a frame, so that its file is shortened like those of frames.
pub(super) fn frame(function: &Text, file: &Text, line: u32) -> Frame {
    Frame::new(function.clone(), file.clone(), line, FrameKind::Coroutine, Origin::of(file, None))
}

/// `created at app.py:40 (main)`, `handler (app.py)`.
pub(super) fn place(paths: &Paths, site: &Frame) -> String {
    match (&*site.function, site.line) {
        ("", _) => "elsewhere, or not known".into(),
        (function, 0) => format!("{function} ({})", paths.short(site)),
        (function, line) => format!("created at {}:{line} ({function})", paths.short(site)),
    }
}

/// A curve from nothing to the largest of the numbers, each column the largest of its share.
fn curve(counts: &[u32], ascii: bool) -> String {
    let steps: &[char] = if ascii {
        &['.', ':', '-', '=', '+', '*', '#', '@']
    } else {
        &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
    };
    let most = counts.iter().max().copied().unwrap_or(0);
    let columns = CURVE.min(counts.len());
    let column = |i: usize| {
        let share = &counts[i * counts.len() / columns..((i + 1) * counts.len() / columns).max(1)];
        let n = share.iter().max().copied().unwrap_or(0);
        match (n, most) {
            (0, _) | (_, 0) => ' ',
            _ => {
                let step = (n as usize * steps.len()).div_ceil(most as usize) - 1;
                steps.get(step).copied().unwrap_or('?')
            }
        }
    };
    let curve: String = (0..columns).map(column).collect();
    // A table takes away no spaces at the end of a cell, but a row of nothing looks like a mistake.
    if curve.trim().is_empty() { "-".into() } else { curve }
}

#[cfg(test)]
mod tests {
    use super::curve;

    #[test]
    fn a_curve_shows_growth_and_gaps() {
        assert_eq!(curve(&[0, 1, 2, 4, 8], false), " ▁▂▄█");
        assert_eq!(curve(&[5; 32], true), "@".repeat(16));
        assert_eq!(curve(&[0, 0], false), "-");
        assert_eq!(curve(&[], false), "-");
    }
}
