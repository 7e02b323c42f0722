//! Learns the layout of this interpreter from objects made for the purpose (`_probe.py`), and checks
//! the table of `layout.rs` against what Python itself says, before anything is relied on.
//!
//! Reads go through the kernel (`/proc/self/mem`) until an address has proven good: a wrong table
//! must end in a refusal, not in a crash.

use super::layout::{Frames, THREAD_INTERPRETER, Walk, frames, word};
use super::record::make_type;
use super::trie::Trie;
use super::{Running, State, block, set_state, slots, state};
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// As much of a structure as the hook ever reads at once.
const READ_SIZE: usize = 96;
/// More frames than this need not be compared.
const COMPARED: usize = 200;

/// Our own memory, read by the kernel; without `/proc` nothing can be tested.
struct Memory(Option<File>);

impl Memory {
    fn is_readable(&self, address: usize) -> bool {
        let mut bytes = [0; READ_SIZE];
        address != 0
            && self.0.as_ref().is_none_or(|file| file.read_exact_at(&mut bytes, address as u64).is_ok())
    }
}

/// Learns from the objects of `_probe.py`. Called by a coroutine that is among them.
pub fn learn(objects: &Bound<'_, PyDict>) -> PyResult<()> {
    if state().is_some() {
        return Ok(());
    }
    let py = objects.py();
    let get = |name: &str| {
        objects.get_item(name)?.ok_or_else(|| PyRuntimeError::new_err(format!("the probe lacks {name}")))
    };
    let refuse = |reason: &str| PyRuntimeError::new_err(reason.to_owned());

    let task_type = get("task_type")?.cast_into::<PyType>()?.into_any();
    let init = get("init")?;
    if !init.get_type().name()?.to_string_lossy().starts_with("wrapper_descriptor") {
        return Err(refuse("_asyncio.Task.__init__ is not a slot"));
    }
    slots::check(&task_type, &init).map_err(refuse)?;
    let minor = py.version_info().minor;
    let layout = frames(minor).ok_or_else(|| refuse("this version of Python is not known"))?;
    let stack: Vec<(usize, i32)> = get("stack")?.extract()?;
    let running = get("running")?;
    match layout {
        Frames::Objects(walk) => check_frames(walk, &stack, &running),
        Frames::Internal(walk) => check_frames(walk, &stack, &running),
    }
    .map_err(refuse)?;

    let source_traceback = find(&get("future")?, get("traceback")?.as_ptr() as usize)
        .ok_or_else(|| refuse("futures keep their creation traceback elsewhere"))?;
    let coroutine = find(&get("task")?, get("coroutine")?.as_ptr() as usize)
        .ok_or_else(|| refuse("tasks keep their coroutine elsewhere"))?;
    let name = find(&get("task")?, get("name")?.as_ptr() as usize)
        .ok_or_else(|| refuse("tasks keep their name elsewhere"))?;
    let current = get("current_tasks")?;
    let running = if current.is_none() {
        Running::Thread(find_in_thread(get("current")?.as_ptr() as usize).map_err(refuse)?)
    } else {
        Running::Table {
            tasks: current.cast_into::<PyDict>()?.into_ptr(),
            running_loop: get("running_loop")?.into_ptr(),
        }
    };
    let trie = Trie::new().ok_or_else(|| refuse("there is no memory for creation stacks"))?;
    // SAFETY: the GIL is held.
    let (interpreter, record_type) = unsafe { (ffi::PyInterpreterState_Get(), make_type()) };
    // SAFETY: a thread state is larger than the offset.
    if unsafe { word(ffi::PyThreadState_Get() as usize + THREAD_INTERPRETER) } != interpreter as usize {
        return Err(refuse("threads keep their interpreter elsewhere"));
    }
    if record_type.is_null() {
        return Err(PyErr::fetch(py));
    }
    set_state(State {
        frames: layout,
        source_traceback,
        coroutine,
        running,
        native: [get("coroutine_type")?.as_ptr() as usize, get("generator_type")?.as_ptr() as usize],
        // Types and functions live as long as the state: their references are given away.
        task_type: task_type.into_ptr() as usize,
        name,
        interpreter,
        record_type,
        trie,
        starting: Vec::new(),
        spare: Vec::new(),
        spare_extra: Vec::new(),
    });
    block::publish();
    Ok(())
}

/// Compares a walk of the frames with `sys._getframe()`'s (code object and `f_lasti`, innermost
/// first; the innermost is still moving), and the frame of a running coroutine with its own.
fn check_frames<W: Walk>(
    walk: W,
    expected: &[(usize, i32)],
    coroutine: &Bound<'_, PyAny>,
) -> Result<(), &'static str> {
    const WRONG: &str = "frames lie differently in this build of Python";
    let memory = Memory(File::open("/proc/self/mem").ok());
    // SAFETY: the GIL is held, and each address is read through the kernel before it is used. A shim
    // that is skipped blindly is followed by such a test.
    unsafe {
        let thread = ffi::PyThreadState_Get() as usize;
        let mut frame = walk.top(thread);
        for (depth, (code, lasti)) in expected.iter().take(COMPARED).enumerate() {
            if !memory.is_readable(frame) || walk.code(frame) != *code {
                return Err(WRONG);
            }
            if depth == 0 {
                if walk.frame_of(coroutine.as_ptr() as usize) != frame {
                    return Err("coroutines keep their frame elsewhere");
                }
            } else if walk.lasti(*code, walk.position(frame)) != *lasti {
                return Err(WRONG);
            }
            frame = walk.caller(frame);
        }
        if expected.len() <= COMPARED && frame != 0 {
            return Err(WRONG);
        }
    }
    Ok(())
}

/// The only place in an object's own fields that holds `value`.
fn find(object: &Bound<'_, PyAny>, value: usize) -> Option<usize> {
    let size: usize = object.get_type().getattr("__basicsize__").ok()?.extract().ok()?;
    // SAFETY: an object is at least as large as its type says.
    let holds = |offset: &usize| unsafe { word(object.as_ptr() as usize + offset) } == value;
    let mut found = (16..size).step_by(8).filter(holds);
    let place = found.next()?;
    found.next().is_none().then_some(place)
}

/// Where the calling thread's state names the task that runs.
fn find_in_thread(task: usize) -> Result<usize, &'static str> {
    /// Larger than any thread state so far; the end may be unmapped.
    const SEARCHED: usize = 1280;
    let mut bytes = [0; SEARCHED];
    // SAFETY: the GIL is held.
    let thread = unsafe { ffi::PyThreadState_Get() } as usize;
    let read = File::open("/proc/self/mem").and_then(|file| file.read_at(&mut bytes, thread as u64));
    let length = read.map_err(|_| "/proc/self/mem cannot be read")?;
    let mut places = bytes[..length]
        .chunks_exact(8)
        .enumerate()
        .filter(|(_, bytes)| **bytes == task.to_ne_bytes())
        .map(|(index, _)| index * 8);
    match (places.next(), places.next()) {
        (Some(place), None) => Ok(place),
        _ => Err("threads keep their running task elsewhere"),
    }
}
