//! Puts [`task_init`](super::task_init) into the types, and takes it out again.

use super::layout::{D_WRAPPED, TP_INIT, word};
use super::task_init;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::c_int;
use std::sync::atomic::{AtomicUsize, Ordering};

type Init = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject, *mut ffi::PyObject) -> c_int;

/// What stood in the slot before us: `_asyncio`'s own function, in this process for ever the same.
static ORIGINAL: AtomicUsize = AtomicUsize::new(0);

/// Calls what stood in the slot before us.
///
/// # Safety
/// As for a `tp_init`; only called from the function that [`install`] put there.
#[inline(always)]
pub unsafe fn original_init(
    task: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: ORIGINAL was read from a tp_init slot before our function could be reached.
    unsafe {
        let original = std::mem::transmute::<usize, Init>(ORIGINAL.load(Ordering::Relaxed));
        original(task, args, kwargs)
    }
}

/// Checks that `tp_init` of `_asyncio.Task` is where we think: its `__init__` wrapper, and where the
/// interpreter is willing to tell it, `PyType_GetSlot`, must name the same function.
pub fn check(task_type: &Bound<'_, PyAny>, wrapper: &Bound<'_, PyAny>) -> Result<(), &'static str> {
    // SAFETY: a type object and a slot wrapper (both checked by `probe`) are larger than the offsets.
    let (slot, wrapped) = unsafe { (slot_of(task_type), word(wrapper.as_ptr() as usize + D_WRAPPED)) };
    if slot == 0 || slot != wrapped {
        return Err("_asyncio.Task keeps its __init__ elsewhere");
    }
    // SAFETY: a type object; static types are answered from 3.10 on only.
    let told = unsafe {
        if ffi::PyType_GetFlags(task_type.as_ptr().cast()) & ffi::Py_TPFLAGS_HEAPTYPE == 0 {
            slot
        } else {
            ffi::PyType_GetSlot(task_type.as_ptr().cast(), ffi::Py_tp_init) as usize
        }
    };
    if told == slot { Ok(()) } else { Err("_asyncio.Task keeps tp_init elsewhere") }
}

/// Replaces the slot in `task_type`, in its wrapper, and in those of `subclasses` that inherited it.
/// The layout has been checked.
pub fn install(task_type: &Bound<'_, PyAny>, wrapper: &Bound<'_, PyAny>, subclasses: &[Bound<'_, PyAny>]) {
    let ours = task_init as *const () as usize;
    // SAFETY: `check` has found the slot. The GIL is held, so nobody is reading a slot meanwhile.
    unsafe {
        let original = slot_of(task_type);
        if original == ours {
            return;
        }
        ORIGINAL.store(original, Ordering::Relaxed);
        replace(wrapper.as_ptr() as usize + D_WRAPPED, original, ours);
        for kind in subclasses.iter().chain([task_type]) {
            replace(kind.as_ptr() as usize + TP_INIT, original, ours);
        }
    }
}

/// Puts back what was there. Slots that somebody else has changed since are left alone.
pub fn remove(task_type: &Bound<'_, PyAny>, wrapper: &Bound<'_, PyAny>, subclasses: &[Bound<'_, PyAny>]) {
    let ours = task_init as *const () as usize;
    let original = ORIGINAL.load(Ordering::Relaxed);
    if original == 0 {
        return;
    }
    // SAFETY: as in `install`.
    unsafe {
        replace(wrapper.as_ptr() as usize + D_WRAPPED, ours, original);
        for kind in subclasses.iter().chain([task_type]) {
            replace(kind.as_ptr() as usize + TP_INIT, ours, original);
        }
    }
}

/// Whether our function stands in the slot of this type.
pub fn is_installed(task_type: &Bound<'_, PyAny>) -> bool {
    // SAFETY: a type object is larger than the offset.
    unsafe { slot_of(task_type) == task_init as *const () as usize }
}

unsafe fn slot_of(kind: &Bound<'_, PyAny>) -> usize {
    // SAFETY: the caller passes a type object.
    unsafe { word(kind.as_ptr() as usize + TP_INIT) }
}

unsafe fn replace(address: usize, old: usize, new: usize) {
    // SAFETY: the caller passes the address of a function pointer in writable memory of CPython.
    unsafe {
        if word(address) == old {
            (address as *mut usize).write(new);
        }
    }
}
