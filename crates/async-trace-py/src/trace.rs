//! The call path of the running task, across the tasks that led to it, in the form that `async_trace`
//! has always returned: a dict with `frames`, `current_task` and `in_executor`.

use crate::hook::stacks::{Created, Line, Origin, live};
use crate::origin::Kind;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use std::rc::Rc;

/// One entry of `frames`, innermost first.
struct Entry {
    /// Where; a task whose origin is not known (or is the loop's start) has no place.
    line: Option<Rc<Line>>,
    /// The task that this line created.
    task: Option<Py<PyAny>>,
    /// The text of an entry without a line.
    name: Option<Py<PyAny>>,
    /// Whether this line handed work to a thread.
    executor: bool,
}

impl Entry {
    fn frame(line: &Rc<Line>) -> Self {
        Self { line: Some(Rc::clone(line)), task: None, name: None, executor: false }
    }
}

/// What to leave out.
#[derive(Clone, Copy)]
struct Filter {
    /// Show library and runner frames too.
    all: bool,
}

impl Filter {
    fn shows(self, kind: Kind) -> bool {
        kind == Kind::Own || (self.all && kind != Kind::Tracer)
    }

    /// The part of a stack that led here: what lies outside of the loop's own frames only started it.
    fn inside(self, frames: &[Rc<Line>]) -> &[Rc<Line>] {
        let runner = frames.iter().position(|line| line.kind == Kind::Runner);
        match runner {
            Some(end) if !self.all => &frames[..end],
            _ => frames,
        }
    }
}

fn is_module(line: &Line, py: Python<'_>) -> bool {
    line.name.bind(py).to_cow().is_ok_and(|name| name == "<module>")
}

/// A task that waits for a thread, and its await chain (code object, `f_lasti`), innermost first.
type Handed<'py> = (Bound<'py, PyAny>, Vec<(Bound<'py, PyAny>, i32)>);

/// Collects the call path; `handed` is given when the calling thread is an executor's.
#[pyfunction]
#[pyo3(signature = (all=false, handed=None))]
pub fn collect<'py>(py: Python<'py>, all: bool, handed: Option<Handed<'py>>) -> PyResult<Bound<'py, PyDict>> {
    let filter = Filter { all };
    let mut entries = Vec::with_capacity(16);
    let mut task = None;
    if let Some(live) = live(py)? {
        let frames = if live.whole { &live.frames[..] } else { filter.inside(&live.frames) };
        let from_module = live.task.is_some() && !all;
        entries.extend(
            frames
                .iter()
                .filter(|line| filter.shows(line.kind) && !(from_module && is_module(line, py)))
                .map(Entry::frame),
        );
        task = live.task.map(|task| task.into_bound(py));
    }
    let in_executor = handed.is_some();
    if let Some((waiting, chain)) = handed {
        let mut boundary = true;
        for (code, lasti) in chain {
            let line = crate::hook::stacks::line_at(&code, lasti)?;
            if filter.shows(line.kind) {
                entries.push(Entry { executor: std::mem::take(&mut boundary), ..Entry::frame(&line) });
            }
        }
        task = Some(waiting);
    }
    if let Some(task) = &task {
        push_ancestors(py, &mut entries, task, filter)?;
    }
    let result = PyDict::new(py);
    result.set_item(intern!(py, "frames"), to_list(py, entries)?)?;
    result.set_item(intern!(py, "current_task"), task)?;
    result.set_item(intern!(py, "in_executor"), in_executor)?;
    Ok(result)
}

/// Collects where a task was created, and by whom, up to where it began.
#[pyfunction]
#[pyo3(signature = (task, all=false))]
pub fn collect_creation<'py>(
    py: Python<'py>,
    task: &Bound<'py, PyAny>,
    all: bool,
) -> PyResult<Bound<'py, PyList>> {
    let mut entries = Vec::new();
    push_ancestors(py, &mut entries, task, Filter { all })?;
    to_list(py, entries)
}

fn push_ancestors<'py>(
    py: Python<'py>,
    entries: &mut Vec<Entry>,
    task: &Bound<'py, PyAny>,
    filter: Filter,
) -> PyResult<()> {
    let mut origin = Origin::of(task);
    let mut task = Some(task.clone().unbind());
    let mut name = None;
    loop {
        let created = match &origin {
            Some(origin) => origin.created(py)?,
            None => Created { frames: Vec::new(), in_task: false, parent: None },
        };
        let frames = if created.in_task { &created.frames[..] } else { filter.inside(&created.frames) };
        let shown = creation_frames(py, frames, filter, created.in_task);
        let this = match task.take() {
            Some(task) => Some(task),
            None => finished_task(py, name.take())?,
        };
        let mut shown = shown.into_iter();
        match shown.next() {
            Some(line) => entries.push(Entry { task: this, ..Entry::frame(line) }),
            None => {
                let name = match &this {
                    Some(task) => Some(task.call_method0(py, intern!(py, "get_name"))?),
                    None => None,
                };
                entries.push(Entry { line: None, task: this, name, executor: false });
            }
        }
        entries.extend(shown.map(Entry::frame));
        let Some(parent) = created.parent else { return Ok(()) };
        (task, name) = parent.task(py)?;
        origin = Some(parent);
    }
}

/// The lines to show of a creation stack, the creating one first.
///
/// That is the user's line. Where only a library is between two tasks, the library's is shown, so that
/// no task is without a place for want of a filter; a task that the loop's start created has none.
fn creation_frames<'a>(
    py: Python<'_>,
    frames: &'a [Rc<Line>],
    filter: Filter,
    in_task: bool,
) -> Vec<&'a Rc<Line>> {
    let place = if filter.all {
        Some(0)
    } else {
        frames
            .iter()
            .position(|line| line.kind == Kind::Own)
            .or_else(|| frames.iter().position(|line| line.kind == Kind::Library).filter(|_| in_task))
    };
    let Some(place) = place.filter(|place| *place < frames.len()) else { return Vec::new() };
    let outer = frames[place + 1..].iter().filter(|line| filter.shows(line.kind));
    let outer = outer.filter(|line| filter.all || !is_module(line, py));
    std::iter::once(&frames[place]).chain(outer).collect()
}

/// What stands for a task that is gone: it has a name and is done.
fn finished_task(py: Python<'_>, name: Option<Py<PyAny>>) -> PyResult<Option<Py<PyAny>>> {
    let class = py.import(intern!(py, "async_trace._trace"))?.getattr(intern!(py, "FinishedTask"))?;
    Ok(Some(class.call1((name,))?.unbind()))
}

fn to_list(py: Python<'_>, entries: Vec<Entry>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for (indent, entry) in entries.into_iter().enumerate() {
        let frame = PyDict::new(py);
        match &entry.line {
            Some(line) => {
                frame.set_item(intern!(py, "name"), line.name.bind(py))?;
                frame.set_item(intern!(py, "line"), line.line)?;
                frame.set_item(intern!(py, "filename"), line.file.bind(py))?;
            }
            None => {
                let unknown = || PyString::new(py, "a task").into_any().unbind();
                frame.set_item(intern!(py, "name"), entry.name.unwrap_or_else(unknown))?;
                frame.set_item(intern!(py, "line"), py.None())?;
                frame.set_item(intern!(py, "filename"), py.None())?;
            }
        }
        frame.set_item(intern!(py, "indent"), indent)?;
        frame.set_item(intern!(py, "task"), entry.task)?;
        frame.set_item(intern!(py, "is_executor"), entry.executor)?;
        list.append(frame)?;
    }
    Ok(list)
}
