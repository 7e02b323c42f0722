//! The call path of the running task, across the tasks that led to it, in the form that `async_trace`
//! has always returned: a dict with `frames`, `current_task` and `in_executor`.

use crate::hook::stacks::{Created, Line, Origin, line_at, live};
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

/// A task that waits for a thread, and its await chain (code object, `f_lasti`), innermost first.
pub type Handed<'py> = (Bound<'py, PyAny>, Vec<(Bound<'py, PyAny>, i32)>);

/// The code that handed work to a thread.
#[derive(FromPyObject)]
pub enum Caller<'py> {
    /// A task that waits, with its chain.
    Waiting(Handed<'py>),
    /// What `here` noted when the work was handed over.
    Note(Bound<'py, PyAny>),
}

/// A task in a path: what is known of its creation, itself, and its name if it is gone.
struct Ancestor {
    origin: Option<Origin>,
    task: Option<Py<PyAny>>,
    name: Option<Py<PyAny>>,
}

impl Ancestor {
    fn living(task: &Bound<'_, PyAny>) -> Self {
        Self { origin: Origin::of(task), task: Some(task.clone().unbind()), name: None }
    }

    fn noted(py: Python<'_>, origin: Origin) -> PyResult<Self> {
        let (task, name) = origin.task(py)?;
        Ok(Self { origin: Some(origin), task, name })
    }
}

/// Collects the call path.
///
/// `caller` is given when the calling thread is an executor's: what `here()` returned when the work was
/// handed over, or the waiting task and its await chain.
#[pyfunction]
#[pyo3(signature = (all=false, caller=None))]
pub fn collect<'py>(py: Python<'py>, all: bool, caller: Option<Caller<'py>>) -> PyResult<Bound<'py, PyDict>> {
    let filter = Filter { all };
    let in_executor = caller.is_some();
    let mut entries = Vec::with_capacity(16);
    let mut ancestor = None;
    if let Some(live) = live(py)? {
        let frames = if live.whole { &live.frames[..] } else { filter.inside(&live.frames) };
        let in_task = live.task.is_some() && !all;
        let shown = frames.iter().filter(|line| filter.shows(line.kind) && !(in_task && line.is_module));
        entries.extend(shown.map(Entry::frame));
        ancestor = live.task.map(|task| Ancestor::living(task.bind(py)));
    }
    match caller {
        Some(Caller::Waiting((task, chain))) => {
            let lines = chain.iter().map(|(code, lasti)| line_at(code, *lasti));
            push_handover(&mut entries, &lines.collect::<PyResult<Vec<_>>>()?, filter);
            ancestor = Some(Ancestor::living(&task));
        }
        Some(Caller::Note(note)) => {
            if let Some(note) = Origin::from_record(&note) {
                let created = note.created(py)?;
                push_handover(&mut entries, &created.frames, filter);
                ancestor = created.parent.map(|origin| Ancestor::noted(py, origin)).transpose()?;
            }
        }
        None => {}
    }
    let task = ancestor.as_ref().and_then(|ancestor| ancestor.task.as_ref().map(|task| task.clone_ref(py)));
    let own_side = entries.len();
    if let Some(ancestor) = ancestor {
        push_ancestors(py, &mut entries, ancestor, filter)?;
    }
    if in_executor && !entries.iter().any(|entry| entry.executor) {
        // Only a library was between the task and the thread (`wait_for(to_thread(…))` until 3.11).
        entries.iter_mut().skip(own_side).take(1).for_each(|entry| entry.executor = true);
    }
    let result = PyDict::new(py);
    result.set_item(intern!(py, "frames"), to_list(py, entries)?)?;
    result.set_item(intern!(py, "current_task"), task)?;
    result.set_item(intern!(py, "in_executor"), in_executor)?;
    Ok(result)
}

/// The lines that led to the hand-over to a thread, the innermost shown one marked.
fn push_handover(entries: &mut Vec<Entry>, lines: &[Rc<Line>], filter: Filter) {
    let mut boundary = true;
    for line in lines.iter().filter(|line| filter.shows(line.kind)) {
        entries.push(Entry { executor: std::mem::take(&mut boundary), ..Entry::frame(line) });
    }
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
    push_ancestors(py, &mut entries, Ancestor::living(task), Filter { all })?;
    to_list(py, entries)
}

/// Where a task was created, and the task that created it, and so on.
fn push_ancestors(
    py: Python<'_>,
    entries: &mut Vec<Entry>,
    mut ancestor: Ancestor,
    filter: Filter,
) -> PyResult<()> {
    loop {
        let Ancestor { origin, task, name } = ancestor;
        let created = match &origin {
            Some(origin) => origin.created(py)?,
            None => Created { frames: Vec::new(), in_task: false, parent: None },
        };
        let frames = if created.in_task { &created.frames[..] } else { filter.inside(&created.frames) };
        let shown = creation_frames(frames, filter, created.in_task);
        let this = match task {
            Some(task) => Some(task),
            None => finished_task(py, name)?,
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
        ancestor = Ancestor::noted(py, parent)?;
    }
}

/// The lines to show of a creation stack, the creating one first.
///
/// That is the user's line. Where only a library is between two tasks, the library's is shown, so that
/// no task is without a place for want of a filter; a task that the loop's start created has none.
fn creation_frames(frames: &[Rc<Line>], filter: Filter, in_task: bool) -> Vec<&Rc<Line>> {
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
    let outer = outer.filter(|line| filter.all || !line.is_module);
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
        let frame = match &entry.line {
            Some(line) => frame_of_line(py, line)?,
            None => {
                let unknown = || PyString::new(py, "a task").into_any().unbind();
                frame(py, entry.name.unwrap_or_else(unknown).bind(py), &py.None(), &py.None())?
            }
        };
        frame.set_item(intern!(py, "indent"), indent)?;
        if let Some(task) = entry.task {
            frame.set_item(intern!(py, "task"), task)?;
        }
        if entry.executor {
            frame.set_item(intern!(py, "is_executor"), true)?;
        }
        list.append(frame)?;
    }
    Ok(list)
}

/// A copy of what was said of this line before: quicker than a dict made key by key.
fn frame_of_line<'py>(py: Python<'py>, line: &Line) -> PyResult<Bound<'py, PyDict>> {
    if let Some(known) = line.entry.get() {
        return known.bind(py).copy();
    }
    let number = line.line.into_pyobject(py)?.into_any().unbind();
    let made = frame(py, line.name.bind(py), &number, line.file.as_any())?;
    let copy = made.copy()?;
    let _ = line.entry.set(made.unbind());
    Ok(copy)
}

fn frame<'py>(
    py: Python<'py>,
    name: &Bound<'py, PyAny>,
    line: &Py<PyAny>,
    filename: &Py<PyAny>,
) -> PyResult<Bound<'py, PyDict>> {
    let frame = PyDict::new(py);
    frame.set_item(intern!(py, "name"), name)?;
    frame.set_item(intern!(py, "line"), line)?;
    frame.set_item(intern!(py, "filename"), filename)?;
    frame.set_item(intern!(py, "indent"), 0)?;
    frame.set_item(intern!(py, "task"), py.None())?;
    frame.set_item(intern!(py, "is_executor"), false)?;
    Ok(frame)
}
