//! Stacks: the user's own frames in full, those of libraries folded.

use super::line::{Line, Page, columns, shorten};
use super::paths::{Paths, package};
use super::units::amount;
use super::{Canvas, Role};
use crate::frame::{Frame, FrameKind, Origin};
use std::fmt::Write;

/// A function's name may push its file this far to the right, no further.
const FUNCTION_COLUMN: usize = 36;

/// How to show a stack.
#[derive(Clone, Copy)]
pub(super) struct Style {
    /// Fold nothing.
    pub all: bool,
    /// The innermost frame tells what is executed: it is shown whosever it is. (What a suspended
    /// task waits for is said in words.)
    pub innermost: bool,
    /// Leave out asyncio's own frames at the end: the words that follow say what they do.
    pub without_tail: bool,
    pub source: bool,
    pub locals: bool,
}

/// The line of a stack that tells its reader most: the innermost of the user's own, else the innermost.
#[must_use]
pub fn telling(stack: &[Frame]) -> Option<&Frame> {
    stack.iter().rev().find(|f| f.origin == Origin::Own && f.line > 0).or_else(|| stack.last())
}

enum Row<'a> {
    Frame(&'a Frame),
    Folded(&'a [Frame]),
}

/// Writes the rows of a stack, each behind `prefix`.
pub(super) fn show(
    canvas: &mut impl Canvas,
    page: &Page,
    paths: &Paths,
    prefix: &str,
    stack: &[Frame],
    style: Style,
) {
    let rows = fold(stack, style);
    let room = page.room(columns(prefix));
    let widest =
        rows.iter().filter_map(|row| if let Row::Frame(f) = row { Some(columns(&f.function)) } else { None });
    let column = widest.filter(|w| *w <= FUNCTION_COLUMN).max().unwrap_or(0);
    let mut line = Line::default();
    let mut place = String::new();
    for row in &rows {
        match row {
            Row::Folded(frames) => {
                line.put(Role::Library, page.ellipsis).put(Role::Library, " ");
                line.put(Role::Library, &folded(frames));
            }
            Row::Frame(frame) => {
                let own = frame.origin == Origin::Own;
                place.clear();
                if frame.line > 0 {
                    // Writing into a String cannot fail.
                    let _ = write!(place, "{}:{}", paths.short(frame), frame.line);
                } else {
                    place.push_str(paths.short(frame));
                }
                let mut function = frame.function.as_ref().into();
                let mut column = column;
                if let Some(room) = room {
                    // The place is what one needs most: a function's name gives way first.
                    let (name, file) = (columns(&frame.function), columns(&place));
                    if name.max(column) + 2 + file > room {
                        column = 0;
                    }
                    if name + 2 + file > room {
                        function = shorten(
                            &frame.function,
                            room.saturating_sub(file + 2).max(room / 3),
                            page.ellipsis,
                        );
                    }
                    if columns(&function) + 2 + file > room {
                        let left = room.saturating_sub(columns(&function) + 2).max(12);
                        place = shorten(&place, left, page.ellipsis).into_owned();
                    }
                }
                line.put(if own { Role::Function } else { Role::Library }, &function);
                if !place.is_empty() {
                    let pad = column.saturating_sub(columns(&function)) + 2;
                    line.say(&" ".repeat(pad));
                    line.put(if own { Role::Place } else { Role::Library }, &place);
                }
            }
        }
        // Already made to fit: a further break would tear a path.
        line.end(canvas, &Page { width: None, ellipsis: page.ellipsis }, [prefix, prefix], 0);
        if let Row::Frame(frame) = row {
            below(canvas, page, prefix, &mut line, frame, style);
        }
    }
}

/// The source line and the local variables of a frame.
fn below(canvas: &mut impl Canvas, page: &Page, prefix: &str, line: &mut Line, frame: &Frame, style: Style) {
    if let Some(source) = frame.source.as_deref().filter(|_| style.source) {
        line.put(Role::Source, "    ");
        let source = page
            .room(columns(prefix) + 4)
            .map_or(source.into(), |room| shorten_end(source, room, page.ellipsis));
        line.put(Role::Source, &source);
        line.end(canvas, &Page { width: None, ellipsis: page.ellipsis }, [prefix, prefix], 0);
    }
    if style.locals {
        for local in &frame.locals {
            line.put(Role::Source, "    ").put(Role::Source, &local.name).put(Role::Source, " = ");
            line.put(Role::Source, &local.value);
            line.end(canvas, page, [prefix, prefix], 6);
        }
    }
}

/// Source code says most at its beginning.
fn shorten_end<'a>(text: &'a str, room: usize, ellipsis: &str) -> std::borrow::Cow<'a, str> {
    if columns(text) <= room {
        return text.into();
    }
    let keep = room.saturating_sub(columns(ellipsis));
    text.chars().take(keep).chain(ellipsis.chars()).collect()
}

fn fold(stack: &[Frame], style: Style) -> Vec<Row<'_>> {
    if style.all {
        return stack.iter().map(Row::Frame).collect();
    }
    let mut stack = stack;
    if style.without_tail {
        let tail = stack.iter().rev().take_while(|f| f.origin != Origin::Own && is_plumbing(f)).count();
        if tail < stack.len() {
            stack = &stack[..stack.len() - tail];
        }
    }
    let mut rows = Vec::new();
    // A stack of library code alone is known by its first frame.
    let all_foreign = stack.iter().all(|f| f.origin != Origin::Own);
    let shown = |i: usize| {
        stack[i].origin == Origin::Own || (all_foreign && i == 0) || (style.innermost && i + 1 == stack.len())
    };
    let mut i = 0;
    while i < stack.len() {
        if shown(i) {
            rows.push(Row::Frame(&stack[i]));
            i += 1;
        } else {
            let end = (i..stack.len()).find(|j| shown(*j)).unwrap_or(stack.len());
            rows.push(Row::Folded(&stack[i..end]));
            i = end;
        }
    }
    rows
}

/// What asyncio is made of. An awaitable without code stands at the end of nearly every chain.
fn is_plumbing(frame: &Frame) -> bool {
    frame.kind == FrameKind::Awaitable || package(frame) == "asyncio"
}

/// `4 frames of aiohttp, asyncio`.
fn folded(frames: &[Frame]) -> String {
    let mut packages: Vec<&str> = Vec::new();
    for frame in frames {
        let package = package(frame);
        if !packages.contains(&package) {
            packages.push(package);
        }
    }
    let mut out = amount(frames.len() as u64, "frame");
    for (i, package) in packages.iter().take(3).enumerate() {
        out.push_str(if i == 0 { " of " } else { ", " });
        out.push_str(package);
    }
    if packages.len() > 3 {
        out.push_str(" and others");
    }
    out
}
