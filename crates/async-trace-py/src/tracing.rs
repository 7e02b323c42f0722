//! Tracing as Python switches and asks it.

use crate::hook::{Switches, block, operations as table, probe, slots, stacks};
use crate::origin::Kind;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// Learns and checks the layout of this interpreter from the objects of `_probe.py`.
///
/// Raises RuntimeError when it is not one that is known.
#[pyfunction]
pub fn learn(objects: &Bound<'_, PyDict>) -> PyResult<()> {
    probe::learn(objects)
}

/// Puts the hook into `_asyncio.Task`, its `__init__` and its subclasses. `learn` has succeeded.
#[pyfunction]
pub fn install(task_type: &Bound<'_, PyAny>, init: &Bound<'_, PyAny>, subclasses: Vec<Bound<'_, PyAny>>) {
    if crate::hook::state().is_some() {
        slots::install(task_type, init, &subclasses);
        block::set_enabled(true);
    }
}

/// Puts back what `install` replaced.
#[pyfunction]
pub fn remove(task_type: &Bound<'_, PyAny>, init: &Bound<'_, PyAny>, subclasses: Vec<Bound<'_, PyAny>>) {
    slots::remove(task_type, init, &subclasses);
    block::set_enabled(false);
}

/// Whether the hook is in `task_type`.
#[pyfunction]
pub fn is_installed(task_type: &Bound<'_, PyAny>) -> bool {
    slots::is_installed(task_type)
}

/// A place in a program: function, file, line.
type Place = (Py<PyString>, Py<PyString>, u32);

fn place(py: Python<'_>, line: &stacks::Line) -> Place {
    (line.name.clone_ref(py), line.file.clone_ref(py), line.line)
}

/// The function, file and line at `lasti` in a code object.
#[pyfunction]
pub fn line_of(code: &Bound<'_, PyAny>, lasti: i32) -> PyResult<Place> {
    Ok(place(code.py(), &*stacks::line_at(code, lasti)?))
}

/// A note of the calling code and its task, for work that it hands to a thread; None outside of tasks.
#[pyfunction]
pub fn here(py: Python<'_>) -> Option<Py<PyAny>> {
    crate::hook::here(py)
}

/// Whether a code object is the user's own.
#[pyfunction]
pub fn is_own(code: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(stacks::line_at(code, 0)?.kind == Kind::Own)
}

/// For each creation stack: its place in the user's code (else the innermost), tasks created, alive.
#[pyfunction]
pub fn creation_sites(py: Python<'_>) -> PyResult<Vec<(Place, u64, u32)>> {
    let mut sites = Vec::new();
    for (frames, created, live) in stacks::sites(py)? {
        // The task with which tracing has tried itself out.
        if frames.first().is_some_and(|line| line.kind == Kind::Tracer) {
            continue;
        }
        let own = frames.iter().find(|line| line.kind == Kind::Own);
        let library = || frames.iter().find(|line| line.kind == Kind::Library);
        if let Some(line) = own.or_else(library).or(frames.first()) {
            sites.push((place(py, line), created, live));
        }
    }
    Ok(sites)
}

/// Notes the begin of an operation of the running task; returns its entry for `end_operation`, or
/// None when too many are pending.
#[pyfunction]
pub fn begin_operation(
    name: &str,
    code: &Bound<'_, PyAny>,
    lasti: i32,
    started_ns: u64,
    thread: u64,
) -> Option<usize> {
    table::begin(name, code, lasti, started_ns, thread)
}

/// Ends the operation that `begin_operation` noted with this entry and time.
#[pyfunction]
pub fn end_operation(py: Python<'_>, entry: usize, started_ns: u64) {
    table::end(py, entry, started_ns);
}

/// The newest operation of that name in the running task (or outside of tasks in this thread): its
/// entry and when it began.
#[pyfunction]
pub fn find_operation(py: Python<'_>, name: &str, thread: u64) -> Option<(usize, u64)> {
    table::find(py, name, thread)
}

/// An operation that is not over: entry, task, time of its begin, name, place.
type PendingOperation = (usize, Option<Py<PyAny>>, u64, String, Place);

/// The operations that began at `until_ns` (`time.monotonic_ns()`) or before and are not over.
#[pyfunction]
pub fn operations(py: Python<'_>, until_ns: u64) -> PyResult<Vec<PendingOperation>> {
    table::pending(py, until_ns)?
        .into_iter()
        .map(|op| {
            let line = stacks::line_at(op.code.bind(py), op.lasti)?;
            Ok((op.index, op.task, op.started_ns, op.name, place(py, &line)))
        })
        .collect()
}

/// Names the function behind one of the debug helpers.
#[pyfunction]
pub fn implement(name: &str, function: Bound<'_, PyAny>) {
    Switches::implement(name, function);
}

/// Switches the debug helpers on or off; returns whether they were on.
#[pyfunction]
pub fn set_helpers(on: bool) -> bool {
    Switches::set(on)
}

/// Whether the debug helpers do anything.
#[pyfunction]
pub fn helpers_on() -> bool {
    Switches::is_on()
}
