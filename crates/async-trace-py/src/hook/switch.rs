//! The debug helpers as plain C functions: while they are switched off a call costs a function call
//! and a load, and allocates nothing. Switched on, they hand over to their Python implementation.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule, PyTuple};
use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// Whether helpers do anything.
static ON: AtomicBool = AtomicBool::new(false);

/// The functions and their implementations.
pub struct Switches;

const COUNT: usize = 7;
/// `METH_FASTCALL`: of the stable ABI since 3.10, and the same in 3.9.
const METH_FASTCALL: std::ffi::c_int = 0x80;
static IMPLEMENTATIONS: [AtomicPtr<ffi::PyObject>; COUNT] =
    [const { AtomicPtr::new(ptr::null_mut()) }; COUNT];

/// Name and signature (as `inspect.signature` wants it), in the order of the functions.
const TEXTS: [(&CStr, &CStr); COUNT] = [
    (c"debug_async_trace", c"debug_async_trace(label='', *, sample=None)\n--\n\nPrint the call path of the running task under a label.\n\n``sample`` prints only that share of the calls (0.01 is one in a hundred)."),
    (c"debug_before_await", c"debug_before_await(name)\n--\n\nNote that the operation ``name`` begins here; it is pending until ``debug_after_await(name)``."),
    (c"debug_after_await", c"debug_after_await(name)\n--\n\nEnd the operation ``name`` of this task and print how long it took."),
    (c"debug_database_call", c"debug_database_call(name)\n--\n\nPrint the call path in front of a database call."),
    (c"debug_http_request", c"debug_http_request(name)\n--\n\nPrint the call path at the begin of a request."),
    (c"debug_task_creation", c"debug_task_creation()\n--\n\nPrint where tasks are created, with the number of tasks of each place."),
    (c"log_task_info", c"log_task_info()\n--\n\nPrint the tasks of the running loop: how many, created where, where they wait, what is pending.\n\nTasks that were created at one place and wait at one place are one line."),
];

type FastCall = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *const *mut ffi::PyObject,
    ffi::Py_ssize_t,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

unsafe extern "C" fn helper<const INDEX: usize>(
    _module: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    positional: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: called by the interpreter as METH_FASTCALL | METH_KEYWORDS, the GIL is held.
    unsafe {
        if !ON.load(Ordering::Relaxed) {
            let none = ffi::Py_None();
            ffi::Py_INCREF(none);
            return none;
        }
        forward(INDEX, args, positional, names)
    }
}

#[cold]
#[inline(never)]
unsafe fn forward(
    index: usize,
    args: *const *mut ffi::PyObject,
    positional: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as in `helper`: `args` holds `positional` values and then one for each of `names`.
    let called = unsafe {
        let py = Python::assume_attached();
        let count = usize::try_from(positional).unwrap_or(0);
        let value = |i: usize| Bound::from_borrowed_ptr(py, *args.add(i));
        let call = || -> PyResult<Py<PyAny>> {
            let Some(function) =
                Bound::from_borrowed_ptr_or_opt(py, IMPLEMENTATIONS[index].load(Ordering::Acquire))
            else {
                return Ok(py.None());
            };
            let keywords = PyDict::new(py);
            if let Some(names) = Bound::from_borrowed_ptr_or_opt(py, names) {
                for (i, name) in names.cast_into::<PyTuple>()?.iter().enumerate() {
                    keywords.set_item(name, value(count + i))?;
                }
            }
            let positional = PyTuple::new(py, (0..count).map(value))?;
            Ok(function.call(positional, Some(&keywords))?.unbind())
        };
        call().map_err(|error| error.restore(py))
    };
    called.map_or(ptr::null_mut(), Py::into_ptr)
}

impl Switches {
    /// Adds the functions to the module.
    pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let functions: [FastCall; COUNT] =
            [helper::<0>, helper::<1>, helper::<2>, helper::<3>, helper::<4>, helper::<5>, helper::<6>];
        let name = module.name()?;
        for ((name_text, doc), function) in TEXTS.into_iter().zip(functions) {
            let method = ffi::PyMethodDef {
                ml_name: name_text.as_ptr(),
                ml_meth: ffi::PyMethodDefPointer {
                    // SAFETY: only the flags below say how the function is called.
                    PyCFunction: unsafe { std::mem::transmute::<FastCall, ffi::PyCFunction>(function) },
                },
                ml_flags: METH_FASTCALL | ffi::METH_KEYWORDS,
                ml_doc: doc.as_ptr(),
            };
            // A function refers to its definition for ever.
            let method = Box::leak(Box::new(method));
            // SAFETY: the definition is valid and never freed; the GIL is held.
            let function = unsafe {
                Bound::from_owned_ptr_or_err(
                    module.py(),
                    ffi::PyCFunction_NewEx(method, ptr::null_mut(), name.as_ptr()),
                )?
            };
            module.add(name_text.to_str().unwrap_or_default(), function)?;
        }
        Ok(())
    }

    /// Names the function that does the work of the helper `name`.
    pub fn implement(name: &str, function: Bound<'_, PyAny>) {
        if let Some(index) = TEXTS.iter().position(|(text, _)| text.to_bytes() == name.as_bytes()) {
            let old = IMPLEMENTATIONS[index].swap(function.into_ptr(), Ordering::AcqRel);
            // SAFETY: the GIL is held; the reference was ours.
            unsafe { ffi::Py_XDECREF(old) };
        }
    }

    /// Switches the helpers; returns what they were.
    pub fn set(on: bool) -> bool {
        ON.swap(on, Ordering::AcqRel)
    }

    /// Whether helpers do anything.
    pub fn is_on() -> bool {
        ON.load(Ordering::Relaxed)
    }
}
