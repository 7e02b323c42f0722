//! What a task carries to say where it came from: one small Python object in the slot in which
//! asyncio's debug mode keeps a creation traceback (`_source_traceback`).
//!
//! So a task needs no entry anywhere that would have to be removed, the garbage collector knows all
//! about it, and asyncio's own "never retrieved" and "destroyed but pending" reports show it. To code
//! that asks `if task._source_traceback:` (is debug mode on?) it is false, so `repr()` and
//! `create_task` do what they always did. In debug mode it stands in front of asyncio's own list and
//! behaves like it.

use super::{State, state};
use pyo3::ffi;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr;

/// Ancestors that a record keeps. Beyond, the chain is cut: a task that endlessly creates its own
/// successor must not grow.
const MAX_ANCESTORS: u16 = 64;

/// Set when pending operations name the task (`operations.rs`).
pub const HAS_OPERATIONS: u16 = 1;

/// Dead records that are kept for the next tasks. They keep their reference to the type.
const SPARE: usize = 1024;

/// The record of one task: 40 bytes.
#[repr(C)]
pub struct Record {
    head: [usize; 2],
    /// The record of the task that created this one (strong), or null.
    pub parent: *mut Record,
    /// The node of the creation stack; part of the memory format (`block.rs`).
    pub node: u32,
    /// How many ancestors hang on this record.
    pub depth: u16,
    /// [`HAS_OPERATIONS`].
    pub flags: u16,
    /// What few records need; null mostly.
    pub extra: *mut Extra,
}

/// Offset of `node` in a record, for readers from outside.
pub const NODE_OFFSET: usize = std::mem::offset_of!(Record, node);
/// Offset of `parent` in a record, for readers from outside.
pub const PARENT_OFFSET: usize = std::mem::offset_of!(Record, parent);

/// What is known of a task that has created tasks itself, or that was created in debug mode.
pub struct Extra {
    /// A weak reference to the task (owned), or null.
    pub task: *mut ffi::PyObject,
    /// Its name when it first created a task, as the task keeps it (owned), or null.
    pub name: *mut ffi::PyObject,
    /// asyncio's own `StackSummary` (owned), or null.
    pub debug: *mut ffi::PyObject,
    /// The address of the task, to remove its operations.
    pub address: usize,
}

impl Extra {
    const NOTHING: Self =
        Self { task: ptr::null_mut(), name: ptr::null_mut(), debug: ptr::null_mut(), address: 0 };
}

impl Record {
    /// Makes a record for a task on `node` below `parent`; null without memory.
    ///
    /// # Safety
    /// The GIL is held and `parent` is null or a record.
    #[inline]
    pub unsafe fn new(state: *mut State, node: u32, parent: *mut Record) -> *mut Record {
        // SAFETY: memory of the object allocator, initialised as an object before anything sees it. A
        // spare record is an object without references: one makes it alive again.
        unsafe {
            let record = match (*state).spare.pop() {
                Some(record) => {
                    (*record).head[0] = 1;
                    record
                }
                None => {
                    let record = ffi::PyObject_Malloc(size_of::<Record>()).cast::<Record>();
                    if record.is_null() {
                        return record;
                    }
                    ffi::PyObject_Init(record.cast(), (*state).record_type);
                    record
                }
            };
            let parent =
                if parent.is_null() || (*parent).depth >= MAX_ANCESTORS { ptr::null_mut() } else { parent };
            let depth = if parent.is_null() {
                0
            } else {
                ffi::Py_INCREF(parent.cast());
                (*parent).depth + 1
            };
            ptr::addr_of_mut!((*record).parent).write(parent);
            ptr::addr_of_mut!((*record).node).write(node);
            ptr::addr_of_mut!((*record).depth).write(depth);
            ptr::addr_of_mut!((*record).flags).write(0);
            ptr::addr_of_mut!((*record).extra).write(ptr::null_mut());
            record
        }
    }

    /// The record's extra part, made when it has none.
    pub fn extra(&mut self) -> &mut Extra {
        if self.extra.is_null() {
            // SAFETY: the GIL is held wherever a record is, and nothing of the state is borrowed there.
            let spare = state().and_then(|state| unsafe { (*state).spare_extra.pop() });
            self.extra = spare.unwrap_or_else(|| Box::into_raw(Box::new(Extra::NOTHING)));
        }
        // SAFETY: just made, or made here earlier; freed only with the record.
        unsafe { &mut *self.extra }
    }

    fn debug(&self) -> *mut ffi::PyObject {
        // SAFETY: `extra` is null or ours.
        unsafe { self.extra.as_ref() }.map_or(ptr::null_mut(), |extra| extra.debug)
    }
}

unsafe extern "C" fn dealloc(object: *mut ffi::PyObject) {
    // SAFETY: the interpreter calls this once, with the GIL, for a record without references.
    unsafe {
        let record = object.cast::<Record>();
        let (node, parent, flags) = ((*record).node, (*record).parent, (*record).flags);
        let extra = std::mem::replace(&mut (*record).extra, ptr::null_mut());
        if flags & HAS_OPERATIONS != 0 && !extra.is_null() {
            super::operations::forget_task((*extra).address);
        }
        match state() {
            Some(state) if (*state).spare.len() < SPARE => {
                (*state).trie.leave(node);
                (*state).spare.push(record);
            }
            _ => {
                let kind = ffi::Py_TYPE(object);
                ffi::PyObject_Free(object.cast());
                ffi::Py_DECREF(kind.cast());
                if let Some(state) = state() {
                    (*state).trie.leave(node);
                }
            }
        }
        if !extra.is_null() {
            let Extra { task, name, debug, .. } = extra.replace(Extra::NOTHING);
            match state() {
                Some(state) if (*state).spare_extra.len() < SPARE => (*state).spare_extra.push(extra),
                _ => drop(Box::from_raw(extra)),
            }
            ffi::Py_XDECREF(task);
            ffi::Py_XDECREF(name);
            ffi::Py_XDECREF(debug);
        }
        if !parent.is_null() {
            ffi::Py_DECREF(parent.cast());
        }
    }
}

/// What the record looks like to code that wants a list: asyncio's own list in debug mode, else the
/// frames as tuples (file, line, function, None), outermost first. A new reference, or null with an
/// exception.
unsafe fn as_list(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: `object` is a record; the GIL is held, as in every slot.
    unsafe {
        let record = object.cast::<Record>();
        let debug = (*record).debug();
        if debug.is_null() {
            return super::stacks::as_list((*record).node);
        }
        ffi::Py_INCREF(debug);
        debug
    }
}

unsafe extern "C" fn is_true(object: *mut ffi::PyObject) -> c_int {
    // SAFETY: as in `as_list`.
    unsafe {
        let debug = (*object.cast::<Record>()).debug();
        if debug.is_null() { 0 } else { ffi::PyObject_IsTrue(debug) }
    }
}

unsafe extern "C" fn length(object: *mut ffi::PyObject) -> ffi::Py_ssize_t {
    // SAFETY: as in `as_list`.
    unsafe {
        let list = as_list(object);
        if list.is_null() {
            return -1;
        }
        let length = ffi::PyObject_Size(list);
        ffi::Py_DECREF(list);
        length
    }
}

unsafe extern "C" fn subscript(object: *mut ffi::PyObject, key: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: as in `as_list`.
    unsafe {
        let list = as_list(object);
        if list.is_null() {
            return list;
        }
        let item = ffi::PyObject_GetItem(list, key);
        ffi::Py_DECREF(list);
        item
    }
}

/// `del stack[-1]` is how asyncio hides its own frame from the list of debug mode.
unsafe extern "C" fn assign(
    object: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: as in `as_list`.
    unsafe {
        let debug = (*object.cast::<Record>()).debug();
        if debug.is_null() {
            ffi::PyErr_SetString(ffi::PyExc_TypeError, c"a creation stack cannot be changed".as_ptr());
            return -1;
        }
        if value.is_null() {
            ffi::PyObject_DelItem(debug, key)
        } else {
            ffi::PyObject_SetItem(debug, key, value)
        }
    }
}

unsafe extern "C" fn iterate(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: as in `as_list`.
    unsafe {
        let list = as_list(object);
        if list.is_null() {
            return list;
        }
        let iterator = ffi::PyObject_GetIter(list);
        ffi::Py_DECREF(list);
        iterator
    }
}

unsafe extern "C" fn describe(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: as in `as_list`.
    unsafe {
        let list = as_list(object);
        if list.is_null() {
            return list;
        }
        let text = ffi::PyUnicode_FromFormat(c"<creation stack %R>".as_ptr(), list);
        ffi::Py_DECREF(list);
        text
    }
}

/// Makes the record type. A new reference, or null with an exception.
///
/// # Safety
/// The GIL is held.
pub unsafe fn make_type() -> *mut ffi::PyTypeObject {
    let slot = |slot: c_int, function: *mut c_void| ffi::PyType_Slot { slot, pfunc: function };
    let mut slots = [
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_repr, describe as *mut c_void),
        slot(ffi::Py_tp_iter, iterate as *mut c_void),
        slot(ffi::Py_nb_bool, is_true as *mut c_void),
        slot(ffi::Py_mp_length, length as *mut c_void),
        slot(ffi::Py_mp_subscript, subscript as *mut c_void),
        slot(ffi::Py_mp_ass_subscript, assign as *mut c_void),
        slot(ffi::Py_sq_length, length as *mut c_void),
        slot(ffi::Py_tp_doc, DOC.as_ptr().cast_mut().cast()),
        slot(0, ptr::null_mut()),
    ];
    let mut spec = ffi::PyType_Spec {
        name: NAME.as_ptr().cast::<c_char>(),
        basicsize: size_of::<Record>() as c_int,
        itemsize: 0,
        flags: ffi::Py_TPFLAGS_DEFAULT as c_uint,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: spec and slots live through the call; name and doc are static. An instance that Python
    // code makes with `object.__new__` is all zeros, which is a valid record of nothing.
    unsafe { ffi::PyType_FromSpec(&raw mut spec).cast() }
}

const NAME: &std::ffi::CStr = c"async_trace.CreationStack";
const DOC: &std::ffi::CStr =
    c"Where a task was created: frames as (file, line, function, None), outermost first.";
