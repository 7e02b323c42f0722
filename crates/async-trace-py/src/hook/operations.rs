//! Operations that have been announced (`debug_before_await`) and are not over.
//!
//! A table of fixed size, allocated with the first operation, readable from outside (`block.rs`).
//! An entry goes when the operation ends or its task dies, whichever comes first.

use super::record::{HAS_OPERATIONS, Record};
use super::{State, block, note_parent, running_task, state};
use pyo3::ffi;
use pyo3::prelude::*;
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicPtr, Ordering, fence};
use std::{alloc, ptr};

/// How many can be pending at once; more are not recorded.
pub const CAPACITY: usize = 1 << 14;
/// Bytes kept of a name.
const NAME: usize = 72;

/// One operation. Part of the memory format that `block.rs` describes.
#[repr(C)]
pub struct Operation {
    /// Odd while the entry is being changed.
    pub sequence: u64,
    /// The address of the task; 0 for a free entry; 1 for code outside of any task.
    pub task: u64,
    /// When it began, nanoseconds of CLOCK_MONOTONIC (`time.monotonic_ns()`).
    pub started_ns: u64,
    /// The code object that announced it (a strong reference).
    pub code: u64,
    /// `f_lasti` there, in bytes.
    pub lasti: i32,
    /// Bytes of the name in use.
    pub name_length: u32,
    /// UTF-8, cut at a character's border.
    pub name: [u8; NAME],
    /// The operating system's id of the thread.
    pub thread: u64,
    /// The task's record (which removes the entry when it dies), or 0.
    record: u64,
}

/// The task of an operation that was announced outside of any task.
pub const NO_TASK: u64 = 1;

/// The table, and where to look for a free entry next. Only touched with the GIL held.
struct Table(UnsafeCell<(usize, usize)>);

// SAFETY: only touched with the GIL held.
unsafe impl Sync for Table {}

/// Next entry to try, and entries that were ever used.
static NEXT: Table = Table(UnsafeCell::new((0, 0)));
static ENTRIES: AtomicPtr<Operation> = AtomicPtr::new(ptr::null_mut());

/// A pending operation, copied out.
pub struct Pending {
    /// Its entry.
    pub index: usize,
    /// Its task, if it belongs to one that still exists.
    pub task: Option<Py<PyAny>>,
    /// When it began, as `time.monotonic_ns()`.
    pub started_ns: u64,
    /// The code object that announced it.
    pub code: Py<PyAny>,
    /// Where in it.
    pub lasti: i32,
    /// What it was called.
    pub name: String,
}

fn entries() -> Option<*mut Operation> {
    let known = ENTRIES.load(Ordering::Acquire);
    if !known.is_null() {
        return Some(known);
    }
    let layout = alloc::Layout::array::<Operation>(CAPACITY).ok()?;
    // SAFETY: the size is not zero; a zeroed entry is a free one.
    let made = unsafe { alloc::alloc_zeroed(layout) }.cast::<Operation>();
    if made.is_null() {
        return None;
    }
    ENTRIES.store(made, Ordering::Release);
    block::set_operations(made);
    Some(made)
}

/// Records an operation of the running task; returns its entry, or nothing when there is no room.
pub fn begin(name: &str, code: &Bound<'_, PyAny>, lasti: i32, started_ns: u64, thread: u64) -> Option<usize> {
    let entries = entries()?;
    // SAFETY: the GIL is held (`code` proves it); no Python code runs while the table is changed.
    unsafe {
        let (task, record) = state().map_or((NO_TASK, 0), |state| task_with_record(state));
        let (next, used) = &mut *NEXT.0.get();
        let free = (0..CAPACITY).map(|i| (*next + i) % CAPACITY).find(|i| (*entries.add(*i)).task == 0);
        let index = free?;
        *next = index + 1;
        if index >= *used {
            *used = index + 1;
            block::set_operations_used(*used);
        }
        let name = cut(name).as_bytes();
        ffi::Py_INCREF(code.as_ptr());
        change(entries.add(index), |entry| {
            entry.task = task;
            entry.started_ns = started_ns;
            entry.code = code.as_ptr() as u64;
            entry.lasti = lasti;
            entry.name_length = name.len() as u32;
            entry.name[..name.len()].copy_from_slice(name);
            entry.thread = thread;
            entry.record = record;
        });
        Some(index)
    }
}

/// The running task's address, its record marked so that its death removes its operations.
unsafe fn task_with_record(state: *mut State) -> (u64, u64) {
    // SAFETY: as in `begin`; the running task is alive, and so is its record.
    unsafe {
        let task = running_task(state);
        let record = if task == 0 { ptr::null_mut() } else { note_parent(state, task) };
        if record.is_null() {
            return (NO_TASK, 0);
        }
        (*record).flags |= HAS_OPERATIONS;
        (*record).extra().address = task;
        (task as u64, record as u64)
    }
}

unsafe fn change(entry: *mut Operation, write: impl FnOnce(&mut Operation)) {
    // SAFETY: an entry of the table, with the GIL held. Readers outside go by `sequence`.
    unsafe {
        let sequence = ptr::addr_of_mut!((*entry).sequence);
        sequence.write_volatile(sequence.read() + 1);
        fence(Ordering::SeqCst);
        write(&mut *entry);
        fence(Ordering::SeqCst);
        sequence.write_volatile(sequence.read() + 1);
    }
}

/// Ends an operation. The entry may have gone already, with its task.
pub fn end(py: Python<'_>, index: usize, started_ns: u64) {
    let Some(entries) = entries().filter(|_| index < CAPACITY) else { return };
    // SAFETY: as in `begin`; the code object is released last.
    unsafe {
        let entry = entries.add(index);
        if (*entry).task != 0 && (*entry).started_ns == started_ns {
            let code = (*entry).code;
            change(entry, |entry| entry.task = 0);
            drop(Bound::from_owned_ptr(py, code as *mut ffi::PyObject));
        }
    }
}

/// Removes the operations of a task that has died.
///
/// # Safety
/// The GIL is held.
pub unsafe fn forget_task(task: usize) {
    let entries = ENTRIES.load(Ordering::Acquire);
    if entries.is_null() || task == 0 {
        return;
    }
    // SAFETY: the caller's promise. Releasing a code object may run Python code, which must not meet
    // the entries that are to go.
    unsafe {
        let (_, used) = *NEXT.0.get();
        let mut released = Vec::new();
        for index in 0..used {
            let entry = entries.add(index);
            if (*entry).task == task as u64 {
                released.push((*entry).code as *mut ffi::PyObject);
                change(entry, |entry| entry.task = 0);
            }
        }
        for code in released {
            ffi::Py_DECREF(code);
        }
    }
}

/// The pending operations that began at `until_ns` or before, in no particular order.
pub fn pending(py: Python<'_>, until_ns: u64) -> PyResult<Vec<Pending>> {
    let entries = ENTRIES.load(Ordering::Acquire);
    if entries.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: the GIL is held. First only copies are made, then Python code may run: a record lives
    // as long as its entries, so its weak reference is taken over in the first step.
    let found: Vec<_> = unsafe {
        let (_, used) = *NEXT.0.get();
        (0..used)
            .map(|index| (index, &*entries.add(index)))
            .filter(|(_, entry)| entry.task != 0 && entry.started_ns <= until_ns)
            .map(|(index, entry)| {
                let reference = task_reference(py, entry.record as *const Record);
                (
                    reference,
                    Pending {
                        index,
                        task: None,
                        started_ns: entry.started_ns,
                        code: Bound::from_borrowed_ptr(py, entry.code as *mut ffi::PyObject).unbind(),
                        lasti: entry.lasti,
                        name: String::from_utf8_lossy(&entry.name[..entry.name_length as usize]).into_owned(),
                    },
                )
            })
            .collect()
    };
    let resolve = |(reference, pending): (Option<Py<PyAny>>, Pending)| {
        let task = reference.map(|reference| reference.call0(py)).transpose()?;
        Ok(Pending { task: task.filter(|task| !task.is_none(py)), ..pending })
    };
    found.into_iter().map(resolve).collect()
}

/// The weak reference of a record to its task.
unsafe fn task_reference(py: Python<'_>, record: *const Record) -> Option<Py<PyAny>> {
    // SAFETY: the caller passes null or a record that is alive.
    unsafe {
        let extra = record.as_ref()?.extra.as_ref()?;
        Bound::from_borrowed_ptr_or_opt(py, extra.task).map(Bound::unbind)
    }
}

/// The newest operation `name` of the running task, or of the thread outside of any task: its entry
/// and when it began.
pub fn find(_py: Python<'_>, name: &str, thread: u64) -> Option<(usize, u64)> {
    let entries = ENTRIES.load(Ordering::Acquire);
    if entries.is_null() {
        return None;
    }
    // SAFETY: the GIL is held, and nothing is changed.
    unsafe {
        let task = state().map_or(0, |state| running_task(state)) as u64;
        let task = if task == 0 { NO_TASK } else { task };
        let name = cut(name).as_bytes();
        let (_, used) = *NEXT.0.get();
        (0..used)
            .map(|index| (index, &*entries.add(index)))
            .filter(|(_, entry)| entry.task == task && (task != NO_TASK || entry.thread == thread))
            .filter(|(_, entry)| &entry.name[..entry.name_length as usize] == name)
            .map(|(index, entry)| (index, entry.started_ns))
            .max_by_key(|(_, started_ns)| *started_ns)
    }
}

/// As much of a name as an entry keeps.
fn cut(name: &str) -> &str {
    let mut end = name.len().min(NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}
