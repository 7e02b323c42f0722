//! The hook: notes where each task is created, in native code, while the interpreter creates it.
//!
//! **How.** `_asyncio.Task`'s `tp_init` and the copy of it in the `__init__` slot wrapper are replaced
//! by [`task_init`]. Every way to make a task ends there: `create_task`, `gather`, `TaskGroup`, eager
//! factories, `asyncio.Task(...)` called directly, subclasses, uvloop. Task factories, which programs
//! may set and read, are left alone, and nothing is patched that Python code can see. The hook walks
//! the frames of the calling thread, down to the frame of the running task's coroutine, interns them
//! (`trie.rs`), and puts a record (`record.rs`) into the new task, which takes it away when it dies.
//!
//! **What it relies on.** Private layouts of CPython 3.9 to 3.15 with a GIL. They are checked when
//! tracing is switched on (`probe.rs`), and where they do not hold, tracing refuses.
//!
//! **Rights.** All unsafe code of the project is in this directory. Everything here needs the GIL and
//! the main interpreter. While a `&mut State` lives, nothing may run Python code, because that could
//! create a task: hence the raw pointer, borrowed for single steps.

pub mod block;
pub mod layout;
pub mod operations;
pub mod probe;
pub mod record;
pub mod slots;
pub mod stacks;
mod switch;
mod trie;

pub use switch::Switches;
use trie::{CUT, ROOT};

use layout::{Frames, THREAD_INTERPRETER, Walk, word};
use pyo3::ffi;
use pyo3::prelude::*;
use record::{Extra, Record};
use std::ffi::c_int;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use trie::Trie;

/// What the hook knows of the interpreter, and all it keeps. Made once; never freed, because records
/// in tasks outlive tracing.
pub struct State {
    /// How to walk frames.
    pub frames: Frames,
    /// Where in a future or task the slot of `_source_traceback` lies.
    pub source_traceback: usize,
    /// Where in a task its coroutine lies.
    pub coroutine: usize,
    /// How to find the running task.
    pub running: Running,
    /// `types.CoroutineType` and `types.GeneratorType`: what [`Walk::frame_of`] understands.
    pub native: [usize; 2],
    /// `_asyncio.Task`.
    pub task_type: usize,
    /// Where in a task its name lies: a text, or the number in `Task-7` (3.12+).
    pub name: usize,
    /// The only interpreter that is traced.
    pub interpreter: *mut ffi::PyInterpreterState,
    /// The record type.
    pub record_type: *mut ffi::PyTypeObject,
    /// All creation stacks.
    pub trie: Trie,
    /// Tasks whose `__init__` runs right now: an eager task runs its first step there.
    starting: Vec<(usize, *mut Record)>,
    /// Dead records for the next tasks.
    spare: Vec<*mut Record>,
    /// The same, of their extra parts.
    spare_extra: Vec<*mut Extra>,
}

/// How to find the running task of the calling thread.
pub enum Running {
    /// 3.14+: its offset in the thread state.
    Thread(usize),
    /// Before: `_asyncio._current_tasks` (loop → task), and what tells the running loop.
    Table {
        /// The dict.
        tasks: *mut ffi::PyObject,
        /// `_asyncio._get_running_loop`.
        running_loop: *mut ffi::PyObject,
    },
}

static STATE: AtomicPtr<State> = AtomicPtr::new(ptr::null_mut());

/// The state, once tracing has been on.
#[inline(always)]
pub fn state() -> Option<*mut State> {
    let state = STATE.load(Ordering::Acquire);
    (!state.is_null()).then_some(state)
}

/// Keeps the state for the life of the process.
fn set_state(state: State) {
    STATE.store(Box::into_raw(Box::new(state)), Ordering::Release);
}

impl State {
    /// The record in a task's slot, or null.
    ///
    /// # Safety
    /// The GIL is held and `task` is a `_asyncio.Task` or a subclass of it.
    #[inline(always)]
    pub unsafe fn record_of(&self, task: usize) -> *mut Record {
        // SAFETY: the slot is part of every task.
        unsafe {
            let object = word(task + self.source_traceback) as *mut ffi::PyObject;
            if !object.is_null() && ffi::Py_TYPE(object) == self.record_type {
                return object.cast();
            }
        }
        self.starting.iter().rev().find(|(address, _)| *address == task).map_or(ptr::null_mut(), |(_, r)| *r)
    }

    /// Gives a task without a record one that says "not known"; returns its record or null.
    ///
    /// # Safety
    /// As for [`Self::record_of`].
    #[inline(always)]
    pub unsafe fn ensure_record(state: *mut Self, task: usize) -> *mut Record {
        // SAFETY: the caller's promise; `state` is the one that lives for ever.
        unsafe {
            let record = (*state).record_of(task);
            if !record.is_null() {
                return record;
            }
            let record = Record::new(state, ROOT, ptr::null_mut());
            if !record.is_null() {
                store(state, task, record);
            }
            record
        }
    }
}

/// Puts a record (whose reference is taken) into a task, in front of what debug mode has put there.
unsafe fn store(state: *mut State, task: usize, record: *mut Record) {
    // SAFETY: the slot is part of every task and holds null or a strong reference, which moves into
    // the record; the record's reference moves into the slot.
    unsafe {
        let slot = (task + (*state).source_traceback) as *mut *mut ffi::PyObject;
        let old = slot.read();
        if !old.is_null() {
            if ffi::Py_TYPE(old) == (*state).record_type {
                slot.write(record.cast());
                ffi::Py_DECREF(old);
                return;
            }
            (*record).extra().debug = old;
        }
        slot.write(record.cast());
    }
}

/// What `_asyncio.Task`'s `tp_init` is while tracing is on.
///
/// # Safety
/// Called by the interpreter as a `tp_init`: the GIL is held, `task` is a task.
pub unsafe extern "C" fn task_init(
    task: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: the arguments are passed on as they came; `original_init` is what stood here before.
    unsafe {
        let record = begin(task as usize);
        let status = slots::original_init(task, args, kwargs);
        if !record.is_null() {
            finish(task as usize, record, status == 0);
        }
        status
    }
}

/// Notes where the calling code is. The record has one reference, and is among the starting ones.
#[inline(always)]
unsafe fn begin(task: usize) -> *mut Record {
    let Some(state) = state() else { return ptr::null_mut() };
    // SAFETY: the GIL is held. Up to `note_parent` no Python code runs.
    unsafe {
        let thread = ffi::PyThreadState_Get() as usize;
        // Before 3.12 one static type serves all interpreters.
        if word(thread + THREAD_INTERPRETER) != (*state).interpreter as usize {
            return ptr::null_mut();
        }
        if (*state).trie.is_nearly_full() {
            make_space(state);
        }
        let (leaf, parent) = match (*state).frames {
            Frames::Objects(walk) => stack_and_parent(state, walk, thread),
            Frames::Internal(walk) => stack_and_parent(state, walk, thread),
        };
        (*state).trie.enter(leaf);
        let parent_record = if parent == 0 { ptr::null_mut() } else { note_parent(state, parent) };
        let record = Record::new(state, leaf, parent_record);
        if record.is_null() {
            (*state).trie.leave(leaf);
        } else {
            (*state).starting.push((task, record));
        }
        record
    }
}

#[inline(always)]
unsafe fn finish(task: usize, record: *mut Record, created: bool) {
    let Some(state) = state() else { return };
    // SAFETY: `record` is what `begin` returned for `task`.
    unsafe {
        // Threads take turns, also in here: the last entry need not be ours.
        let starting = &mut (*state).starting;
        if let Some(place) = starting.iter().rposition(|(_, other)| *other == record) {
            starting.swap_remove(place);
        }
        if created {
            store(state, task, record);
        } else {
            ffi::Py_DECREF(record.cast());
        }
    }
}

/// A record of the calling code, as for a task that it would create; nothing outside of tasks.
pub fn here(py: Python<'_>) -> Option<Py<PyAny>> {
    let state = state()?;
    // SAFETY: the GIL is held; as in `begin`.
    unsafe {
        if ffi::PyInterpreterState_Get() != (*state).interpreter || (*state).trie.is_nearly_full() {
            return None;
        }
        let thread = ffi::PyThreadState_Get() as usize;
        let (leaf, parent) = match (*state).frames {
            Frames::Objects(walk) => stack_and_parent(state, walk, thread),
            Frames::Internal(walk) => stack_and_parent(state, walk, thread),
        };
        if parent == 0 {
            return None;
        }
        (*state).trie.hold(leaf);
        let parent = note_parent(state, parent);
        let record = Record::new(state, leaf, parent);
        if record.is_null() {
            (*state).trie.leave(leaf);
        }
        Bound::from_owned_ptr_or_opt(py, record.cast()).map(Bound::unbind)
    }
}

/// The node of the calling stack and the running task, 0 when there is none.
#[inline(always)]
unsafe fn stack_and_parent<W: Walk>(state: *mut State, walk: W, thread: usize) -> (u32, usize) {
    // SAFETY: as in `begin`.
    unsafe {
        let (task, certain) = match &(*state).running {
            Running::Thread(offset) => (checked_task(word(thread + offset) as *mut ffi::PyObject), true),
            Running::Table { tasks, .. } => only_task(*tasks),
        };
        let boundary = if task == 0 { 0 } else { (*state).boundary(walk, task) };
        let (leaf, reached) = (*state).trie.intern(walk, thread, boundary);
        // A task whose coroutine is on our own stack is the one that runs here. Otherwise (compiled
        // coroutines, several loops) the slow way decides.
        let parent = if certain || reached { task } else { running_task(state) };
        (leaf, parent)
    }
}

impl State {
    /// The frame of a task's coroutine, 0 where it has none.
    #[inline(always)]
    unsafe fn boundary<W: Walk>(&self, walk: W, task: usize) -> usize {
        // SAFETY: `task` is a task; its coroutine is an object or null.
        unsafe {
            let coroutine = word(task + self.coroutine);
            if coroutine == 0 {
                return 0;
            }
            let kind = ffi::Py_TYPE(coroutine as *mut ffi::PyObject) as usize;
            if self.native.contains(&kind) { walk.frame_of(coroutine) } else { 0 }
        }
    }

    /// Whether `task` is a task made in C, or a subclass of it.
    pub unsafe fn is_task(&self, task: *mut ffi::PyObject) -> bool {
        // SAFETY: an object and a type; the GIL is held.
        unsafe { ffi::PyObject_TypeCheck(task, self.task_type as *mut ffi::PyTypeObject) != 0 }
    }
}

/// The task in a table of one loop, which is nearly always the one; never certain.
#[inline(always)]
unsafe fn only_task(tasks: *mut ffi::PyObject) -> (usize, bool) {
    // SAFETY: a dict; references are borrowed, and nothing runs in between.
    unsafe {
        if ffi::PyDict_Size(tasks) != 1 {
            return (0, false);
        }
        let (mut place, mut event_loop, mut task) = (0, ptr::null_mut(), ptr::null_mut());
        ffi::PyDict_Next(tasks, &raw mut place, &raw mut event_loop, &raw mut task);
        (checked_task(task), false)
    }
}

/// A task that the hook understands, else 0: `_current_tasks` also holds pure-Python tasks.
#[inline(always)]
unsafe fn checked_task(task: *mut ffi::PyObject) -> usize {
    let Some(state) = state().filter(|_| !task.is_null()) else { return 0 };
    // SAFETY: `task` is an object; the GIL is held.
    if unsafe { (*state).is_task(task) } { task as usize } else { 0 }
}

/// The task that the calling thread's loop runs, found the way asyncio itself does it; 0 for none.
///
/// # Safety
/// The GIL is held.
pub unsafe fn running_task(state: *mut State) -> usize {
    // SAFETY: `state` lives for ever; `_get_running_loop` neither runs Python code nor creates tasks.
    unsafe {
        match &(*state).running {
            Running::Thread(offset) => {
                checked_task(word(ffi::PyThreadState_Get() as usize + offset) as *mut ffi::PyObject)
            }
            Running::Table { tasks, running_loop } => {
                if ffi::PyDict_Size(*tasks) == 0 {
                    return 0;
                }
                let event_loop = ffi::PyObject_CallObject(*running_loop, ptr::null_mut());
                if event_loop.is_null() {
                    ffi::PyErr_Clear();
                    return 0;
                }
                let task = ffi::PyDict_GetItemWithError(*tasks, event_loop);
                ffi::Py_DECREF(event_loop);
                if task.is_null() {
                    ffi::PyErr_Clear();
                }
                checked_task(task)
            }
        }
    }
}

/// The record of a task that creates a task; from now on it knows its task's name.
#[inline(always)]
unsafe fn note_parent(state: *mut State, task: usize) -> *mut Record {
    // SAFETY: `task` runs and is alive.
    unsafe {
        let record = State::ensure_record(state, task);
        if !record.is_null() && ((*record).extra.is_null() || (*(*record).extra).task.is_null()) {
            remember_task(state, task, record);
        }
        record
    }
}

#[cold]
#[inline(never)]
unsafe fn remember_task(state: *mut State, task: usize, record: *mut Record) {
    // SAFETY: `task` runs and is alive, so its record is. A weak reference may start a collection,
    // and so Python code: nothing of the state is borrowed here.
    unsafe {
        let object = task as *mut ffi::PyObject;
        let reference = ffi::PyWeakref_NewRef(object, ptr::null_mut());
        if reference.is_null() {
            ffi::PyErr_Clear();
        }
        let name = word(task + (*state).name) as *mut ffi::PyObject;
        ffi::Py_XINCREF(name);
        let extra = (*record).extra();
        let old = (std::mem::replace(&mut extra.task, reference), std::mem::replace(&mut extra.name, name));
        ffi::Py_XDECREF(old.0);
        ffi::Py_XDECREF(old.1);
    }
}

#[cold]
#[inline(never)]
unsafe fn make_space(state: *mut State) {
    // SAFETY: the trie is borrowed for `sweep` only; releasing code objects may run Python code.
    unsafe {
        let released = (*state).trie.sweep();
        stacks::forget_lines();
        for code in released {
            ffi::Py_DECREF(code);
        }
    }
}
