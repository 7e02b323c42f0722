//! Stacks in words: function, file, line. Nothing here is needed until somebody asks.

use super::layout::{Frames, Walk};
use super::record::Record;
use super::{State, running_task, state};
use crate::origin::{Kind, kind_of};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyList, PyString, PyTuple};
use rustc_hash::FxHashMap;
use std::cell::{OnceCell, RefCell};
use std::ffi::c_int;
use std::rc::Rc;

unsafe extern "C" {
    /// Public, though not of the stable ABI; the same in all versions. `lasti` is in bytes.
    fn PyCode_Addr2Line(code: *mut ffi::PyObject, lasti: c_int) -> c_int;
}

/// One frame in words.
pub struct Line {
    /// `co_name`.
    pub name: Py<PyString>,
    /// `co_filename`.
    pub file: Py<PyString>,
    /// 1-based.
    pub line: u32,
    /// Whose code it is.
    pub kind: Kind,
    /// Whether it is the top level of a file.
    pub is_module: bool,
    /// What a trace says of this frame, made when first needed and copied from then on.
    pub entry: OnceCell<Py<PyDict>>,
    /// Keeps the key of the cache valid.
    _code: Py<PyAny>,
}

/// How many lines are remembered.
const REMEMBERED: usize = 1 << 14;

thread_local! {
    /// Per thread, because `Rc` is; few threads ever ask.
    static LINES: RefCell<FxHashMap<(usize, i32), Rc<Line>>> = RefCell::default();
}

/// Forgets what this thread remembers of code objects, so that they can be released.
pub fn forget_lines() {
    let lines = LINES.with(|lines| lines.try_borrow_mut().map(|mut lines| std::mem::take(&mut *lines)));
    drop(lines);
}

/// The frame that is at `lasti` in `code`.
fn line_of(py: Python<'_>, code: usize, lasti: i32) -> PyResult<Rc<Line>> {
    let known = LINES.with(|lines| lines.try_borrow().ok().and_then(|l| l.get(&(code, lasti)).cloned()));
    if let Some(line) = known {
        return Ok(line);
    }
    // SAFETY: the caller holds a frame or a node that keeps the code object alive; the GIL is held.
    let object = unsafe { Bound::from_borrowed_ptr(py, code as *mut ffi::PyObject) };
    // SAFETY: checked to be a code object by whoever made the frame or node.
    let number = unsafe { PyCode_Addr2Line(object.as_ptr(), lasti.max(0)) };
    let name = object.getattr("co_name")?.cast_into::<PyString>()?;
    let file = object.getattr("co_filename")?.cast_into::<PyString>()?;
    let line = Rc::new(Line {
        kind: kind_of(py, &file.to_string_lossy(), &name.to_string_lossy()),
        is_module: name.to_string_lossy() == "<module>",
        entry: OnceCell::new(),
        name: name.unbind(),
        file: file.unbind(),
        line: u32::try_from(number).unwrap_or(0),
        _code: object.unbind(),
    });
    if LINES.with(|lines| lines.try_borrow().map_or(0, |l| l.len())) >= REMEMBERED {
        forget_lines();
    }
    LINES.with(|lines| {
        if let Ok(mut lines) = lines.try_borrow_mut() {
            lines.insert((code, lasti), Rc::clone(&line));
        }
    });
    Ok(line)
}

/// The line at `lasti` in a code object.
pub fn line_at(code: &Bound<'_, PyAny>, lasti: i32) -> PyResult<Rc<Line>> {
    let kind = code.py().import("types")?.getattr("CodeType")?;
    if !code.is_instance(&kind)? {
        return Err(pyo3::exceptions::PyTypeError::new_err("a code object is needed"));
    }
    line_of(code.py(), code.as_ptr() as usize, lasti)
}

/// The calling thread's stack, innermost frame first.
pub struct Live {
    /// Its frames, down to the running task's coroutine, or all of them.
    pub frames: Vec<Rc<Line>>,
    /// Whether the last frame is the running task's coroutine.
    pub whole: bool,
    /// The running task, where there is one.
    pub task: Option<Py<PyAny>>,
}

/// The stack of the caller and the task that runs it; nothing where tracing has never been on.
pub fn live(py: Python<'_>) -> PyResult<Option<Live>> {
    let Some(state) = state() else { return Ok(None) };
    // SAFETY: the GIL is held. The frames walked are those of callers of this function: they stay.
    unsafe {
        let task = running_task(state);
        let (frames, whole) = match (*state).frames {
            Frames::Objects(walk) => walk_live(&*state, walk, task),
            Frames::Internal(walk) => walk_live(&*state, walk, task),
        };
        let frames = frames.into_iter().map(|(code, lasti)| line_of(py, code, lasti));
        let task = Bound::from_borrowed_ptr_or_opt(py, task as *mut ffi::PyObject).map(Bound::unbind);
        Ok(Some(Live { frames: frames.collect::<PyResult<_>>()?, whole, task }))
    }
}

unsafe fn walk_live<W: Walk>(state: &State, walk: W, task: usize) -> (Vec<(usize, i32)>, bool) {
    let mut frames = Vec::with_capacity(32);
    // SAFETY: the GIL is held, the frames are of the calling thread, `task` is its running task or 0.
    unsafe {
        let boundary = if task == 0 { 0 } else { state.boundary(walk, task) };
        let mut frame = walk.top(ffi::PyThreadState_Get() as usize);
        while frame != 0 {
            let code = walk.code(frame);
            frames.push((code, walk.lasti(code, walk.position(frame))));
            if frame == boundary {
                return (frames, true);
            }
            frame = walk.caller(frame);
        }
    }
    (frames, false)
}

/// A link in the chain of creation: a task (or what is left of it) and where it was created.
pub struct Created {
    /// The creation stack, innermost first; empty when the task is older than tracing.
    pub frames: Vec<Rc<Line>>,
    /// Whether the stack ends at the coroutine of the task that created this one.
    pub in_task: bool,
    /// The record of the creating task.
    pub parent: Option<Origin>,
}

/// A task, if it still exists, and its name.
pub type Named = (Option<Py<PyAny>>, Option<Py<PyAny>>);

/// A reference to a task's record.
pub struct Origin(Py<PyAny>);

impl Origin {
    /// The record of a task; nothing for a task from before tracing, or not made in C.
    pub fn of(task: &Bound<'_, PyAny>) -> Option<Self> {
        let state = state()?;
        // SAFETY: the GIL is held; the type is checked before the slot is read.
        unsafe {
            if !(*state).is_task(task.as_ptr()) {
                return None;
            }
            let record = (*state).record_of(task.as_ptr() as usize);
            Bound::from_borrowed_ptr_or_opt(task.py(), record.cast()).map(|record| Self(record.unbind()))
        }
    }

    /// The record that [`super::here`] made.
    pub fn from_record(record: &Bound<'_, PyAny>) -> Option<Self> {
        let state = state()?;
        // SAFETY: the GIL is held.
        let is_record = unsafe { ffi::Py_TYPE(record.as_ptr()) == (*state).record_type };
        is_record.then(|| Self(record.clone().unbind()))
    }

    fn record(&self) -> *mut Record {
        self.0.as_ptr().cast()
    }

    /// The task, if it still exists and has created tasks, and its name at that time.
    pub fn task(&self, py: Python<'_>) -> PyResult<Named> {
        // SAFETY: a record that we own a reference to; `extra` is null or valid, its objects owned.
        unsafe {
            let Some(extra) = (*self.record()).extra.as_ref() else { return Ok((None, None)) };
            let task = match Bound::from_borrowed_ptr_or_opt(py, extra.task) {
                Some(reference) => Some(reference.call0()?).filter(|task| !task.is_none()),
                None => None,
            };
            let name = match Bound::from_borrowed_ptr_or_opt(py, extra.name) {
                Some(number) if number.is_instance_of::<PyInt>() => {
                    Some(PyString::new(py, &format!("Task-{number}")).into_any())
                }
                name => name,
            };
            Ok((task.map(Bound::unbind), name.map(Bound::unbind)))
        }
    }

    /// Where the task was created.
    pub fn created(&self, py: Python<'_>) -> PyResult<Created> {
        // SAFETY: as in `task`.
        let (node, parent) = unsafe { ((*self.record()).node, (*self.record()).parent) };
        // SAFETY: null or a strong reference that the record holds.
        let parent = unsafe { Bound::from_borrowed_ptr_or_opt(py, parent.cast()) };
        let parent = parent.map(|record| Self(record.unbind()));
        Ok(Created { frames: frames(py, node)?, in_task: parent.is_some(), parent })
    }
}

/// The frames of a node, innermost first.
pub fn frames(py: Python<'_>, mut node: u32) -> PyResult<Vec<Rc<Line>>> {
    let mut frames = Vec::new();
    let Some(state) = state() else { return Ok(frames) };
    while node > super::CUT {
        // SAFETY: the GIL is held; copied out, because resolving a line may run Python code.
        let (code, lasti, parent) = unsafe {
            let node = (*state).trie.node(node);
            (node.code, node.lasti, node.parent)
        };
        if code == 0 {
            break;
        }
        frames.push(line_of(py, code, lasti)?);
        node = parent;
    }
    Ok(frames)
}

/// A creation stack, innermost frame first, the tasks created there, and those alive.
pub type Site = (Vec<Rc<Line>>, u64, u32);

/// All creation stacks that tasks stand on, or stood on and are still remembered.
pub fn sites(py: Python<'_>) -> PyResult<Vec<Site>> {
    let Some(state) = state() else { return Ok(Vec::new()) };
    // SAFETY: the GIL is held; each borrow ends before Python code could run.
    let leaves: Vec<_> = unsafe {
        let trie = &(*state).trie;
        (super::CUT + 1..trie.used())
            .map(|index| (index, trie.node(index)))
            .filter(|(_, node)| node.code != 0 && node.created != 0)
            .map(|(index, node)| (index, node.created, node.live))
            .collect()
    };
    leaves.into_iter().map(|(leaf, created, live)| Ok((frames(py, leaf)?, created, live))).collect()
}

/// Frames of a node as asyncio's debug mode lists them. A new reference, or null with an exception.
///
/// # Safety
/// The GIL is held.
pub unsafe fn as_list(node: u32) -> *mut ffi::PyObject {
    // SAFETY: the caller's promise.
    let py = unsafe { Python::assume_attached() };
    let list = || -> PyResult<Py<PyList>> {
        let list = PyList::empty(py);
        let frames = frames(py, node)?;
        // asyncio's own way from `create_task` to the task says nothing.
        let inner = frames.iter().take_while(|line| line.kind == Kind::Stdlib).count();
        for line in frames[if inner == frames.len() { 0 } else { inner }..].iter().rev() {
            let name = line.name.bind(py);
            let item = (line.file.bind(py), line.line, name, py.None());
            list.append(PyTuple::new(
                py,
                [item.0.as_any(), item.1.into_pyobject(py)?.as_any(), item.2.as_any(), item.3.bind(py)],
            )?)?;
        }
        Ok(list.unbind())
    };
    match list() {
        Ok(list) => list.into_ptr(),
        Err(error) => {
            error.restore(py);
            std::ptr::null_mut()
        }
    }
}
