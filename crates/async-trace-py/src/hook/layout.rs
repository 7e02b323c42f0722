//! Where CPython keeps what the hook reads: the only file here that knows a version.
//!
//! Only the shape of frames comes from a table (sources: `Include/internal/pycore_frame.h`,
//! `Include/cpython/frameobject.h`, `pycore_pystate.h` of each version). Everything else is found by
//! looking for known values in objects made for that purpose, and the table itself is checked against
//! `sys._getframe()` before it is used (`probe.rs`).

/// Reads a machine word of this process.
///
/// # Safety
/// `address` must be readable for eight bytes.
#[inline(always)]
pub unsafe fn word(address: usize) -> usize {
    // SAFETY: the caller's promise. Interpreter structures are only guaranteed their own alignment.
    unsafe { (address as *const usize).read() }
}

/// How to walk the frames of a thread, innermost first. Frames are named by their address; 0 ends.
///
/// # Safety
/// All methods need the GIL, and frames that belong to the calling thread.
pub trait Walk: Copy {
    /// The innermost frame, shims left out.
    unsafe fn top(self, thread: usize) -> usize;
    /// The frame that called `frame`, shims left out.
    unsafe fn caller(self, frame: usize) -> usize;
    /// The code object a frame executes (borrowed).
    unsafe fn code(self, frame: usize) -> usize;
    /// Where in its code the frame is: within one code object equal only for the same instruction.
    unsafe fn position(self, frame: usize) -> usize;
    /// Whether the position alone tells the code object: true of addresses, not of offsets.
    const POSITION_IS_UNIQUE: bool;
    /// Turns a position into CPython's `f_lasti`, in bytes.
    fn lasti(self, code: usize, position: usize) -> i32;
    /// The frame of a coroutine or generator that has been started and has not ended.
    unsafe fn frame_of(self, coroutine: usize) -> usize;
}

/// 3.9 and 3.10: `PyFrameObject`s linked by `f_back`.
#[derive(Clone, Copy, Debug)]
pub struct ObjectFrames {
    lasti: usize,
    scale: i32,
}

/// Offsets in `PyThreadState`, `PyFrameObject` and `PyGenObject`, the same in 3.9 and 3.10.
const THREAD_FRAME: usize = 24;
const F_BACK: usize = 24;
const F_CODE: usize = 32;
const GI_FRAME: usize = 16;

impl Walk for ObjectFrames {
    const POSITION_IS_UNIQUE: bool = false;

    #[inline(always)]
    unsafe fn top(self, thread: usize) -> usize {
        // SAFETY: a PyThreadState; the trait's promise.
        unsafe { word(thread + THREAD_FRAME) }
    }

    #[inline(always)]
    unsafe fn caller(self, frame: usize) -> usize {
        // SAFETY: a live PyFrameObject; the trait's promise.
        unsafe { word(frame + F_BACK) }
    }

    #[inline(always)]
    unsafe fn code(self, frame: usize) -> usize {
        // SAFETY: a live PyFrameObject; the trait's promise.
        unsafe { word(frame + F_CODE) }
    }

    #[inline(always)]
    unsafe fn position(self, frame: usize) -> usize {
        // SAFETY: a live PyFrameObject; `f_lasti` is an int.
        let lasti = unsafe { ((frame + self.lasti) as *const i32).read() };
        lasti as usize
    }

    fn lasti(self, _code: usize, position: usize) -> i32 {
        position as i32 * self.scale
    }

    #[inline(always)]
    unsafe fn frame_of(self, coroutine: usize) -> usize {
        // SAFETY: a live PyGenObject; the trait's promise.
        unsafe { word(coroutine + GI_FRAME) }
    }
}

/// 3.11 and later: `_PyInterpreterFrame`s linked by `previous`.
#[derive(Clone, Copy, Debug)]
pub struct InternalFrames {
    /// Offset of the thread's `cframe` or `current_frame`.
    thread: usize,
    /// Offset of `current_frame` in `_PyCFrame`, where there is one.
    cframe: Option<usize>,
    code: usize,
    previous: usize,
    /// `prev_instr` (3.11, 3.12) or `instr_ptr`.
    instruction: usize,
    owner: usize,
    /// `co_code_adaptive` in `PyCodeObject`.
    bytecode: usize,
    /// `gi_iframe` in `PyGenObject`.
    in_generator: usize,
}

/// From here on `owner` marks frames of C calls, which have no code (3.12+; 3.11 knows only 0 to 2).
const FIRST_SHIM_OWNER: u8 = 3;
/// Since 3.14 the lowest bits of a stack reference are tags; before, they are zero.
const TAGS: usize = 3;

impl InternalFrames {
    #[inline(always)]
    unsafe fn skip_shims(self, mut frame: usize) -> usize {
        // SAFETY: `frame` is 0 or a live frame of this thread; the trait's promise.
        unsafe {
            while frame != 0 && ((frame + self.owner) as *const u8).read() >= FIRST_SHIM_OWNER {
                frame = word(frame + self.previous);
            }
        }
        frame
    }
}

impl Walk for InternalFrames {
    const POSITION_IS_UNIQUE: bool = true;

    #[inline(always)]
    unsafe fn top(self, thread: usize) -> usize {
        // SAFETY: a PyThreadState, whose `cframe` is never NULL; the trait's promise.
        unsafe {
            let first = word(thread + self.thread);
            self.skip_shims(match self.cframe {
                Some(offset) => word(first + offset),
                None => first,
            })
        }
    }

    #[inline(always)]
    unsafe fn caller(self, frame: usize) -> usize {
        // SAFETY: a live frame; the trait's promise.
        unsafe { self.skip_shims(word(frame + self.previous)) }
    }

    #[inline(always)]
    unsafe fn code(self, frame: usize) -> usize {
        // SAFETY: a live frame; the trait's promise.
        unsafe { word(frame + self.code) & !TAGS }
    }

    #[inline(always)]
    unsafe fn position(self, frame: usize) -> usize {
        // SAFETY: a live frame; the trait's promise.
        unsafe { word(frame + self.instruction) }
    }

    fn lasti(self, code: usize, position: usize) -> i32 {
        position.wrapping_sub(code + self.bytecode) as isize as i32
    }

    #[inline(always)]
    unsafe fn frame_of(self, coroutine: usize) -> usize {
        coroutine + self.in_generator
    }
}

/// The shape of frames in the interpreter that runs us.
#[derive(Clone, Copy, Debug)]
pub enum Frames {
    /// 3.9, 3.10.
    Objects(ObjectFrames),
    /// 3.11 and later.
    Internal(InternalFrames),
}

/// The table for `3.minor`, if there is one.
pub fn frames(minor: u8) -> Option<Frames> {
    let internal = |thread, cframe, code, previous, owner, bytecode, in_generator| {
        Some(Frames::Internal(InternalFrames {
            thread,
            cframe,
            code,
            previous,
            instruction: 56,
            owner,
            bytecode,
            in_generator,
        }))
    };
    match minor {
        9 => Some(Frames::Objects(ObjectFrames { lasti: 104, scale: 1 })),
        10 => Some(Frames::Objects(ObjectFrames { lasti: 96, scale: 2 })),
        11 => internal(56, Some(8), 32, 48, 69, 184, 80),
        12 => internal(56, Some(0), 0, 8, 70, 192, 72),
        13 => internal(72, None, 0, 8, 70, 200, 72),
        14 | 15 => internal(72, None, 0, 8, 74, 208, 72),
        _ => None,
    }
}

/// `interp` in `PyThreadState`, unchanged from 3.9 to 3.15. Checked against `PyInterpreterState_Get`.
pub const THREAD_INTERPRETER: usize = 16;
/// `tp_init` in `PyTypeObject`, unchanged from 3.9 to 3.15. Checked against the slot wrapper's copy.
pub const TP_INIT: usize = 296;
/// `d_wrapped` in `PyWrapperDescrObject`, unchanged from 3.9 to 3.15.
pub const D_WRAPPED: usize = 48;
