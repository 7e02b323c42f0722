//! Interpreters and threads, from `_PyRuntime` on.

use super::frame::Frame;
use super::layout::{CurrentFrame, RunningLoop};
use super::object::{Kind, Read, Reader, Torn};
use crate::memory::addr::Addr;
use std::ops::Range;

const MAX_INTERPRETERS: usize = 256;
const MAX_THREADS: usize = 1 << 16;
const MAX_FRAMES: usize = 1 << 14;

/// glibc keeps the kernel's thread id at this offset of its `struct pthread` (x86_64 and aarch64
/// alike, since 2.34's merge of libpthread and before); the caller checks it against the real ids.
const PTHREAD_TID: u64 = 720;

/// An interpreter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interpreter {
    pub addr: Addr,
    pub id: i64,
    /// `sys.modules`.
    pub modules: Addr,
}

/// A thread that an interpreter knows.
#[derive(Clone)]
pub(crate) struct ThreadState {
    pub addr: Addr,
    pub interpreter: Interpreter,
    /// The kernel's id as CPython noted it, or as the C library does.
    pub tid: u32,
    /// `threading.get_ident()`.
    pub ident: u64,
    pub holds_gil: Option<bool>,
    /// The memory of its interpreter's GIL, its locks included.
    pub gil: Option<Range<Addr>>,
}

/// A thread's Python stack, innermost frame first.
pub(crate) struct Stack {
    pub frames: Vec<Frame>,
    /// Why it ends early, where it does.
    pub torn: Option<Torn>,
}

/// All interpreters, the main one first.
pub(crate) fn interpreters(reader: &Reader<'_>, runtime: Addr) -> Read<Vec<Interpreter>> {
    let l = &reader.layout.interpreter;
    let mut out = Vec::new();
    let mut addr = reader.ptr(runtime + reader.layout.runtime.interpreters_head)?;
    while !addr.is_null() {
        if out.len() >= MAX_INTERPRETERS {
            return Err(Torn("endless interpreters"));
        }
        let modules = reader.ptr(addr + l.modules)?;
        out.push(Interpreter { addr, id: reader.i64(addr + l.id)?, modules });
        addr = reader.ptr(addr + l.next)?;
    }
    out.sort_by_key(|interpreter| interpreter.id);
    Ok(out)
}

/// All threads of an interpreter, oldest first.
pub(crate) fn threads(
    reader: &Reader<'_>,
    runtime: Addr,
    interpreter: Interpreter,
) -> Read<Vec<ThreadState>> {
    let l = &reader.layout.thread;
    let gil = Gil::of(reader, runtime, interpreter).ok();
    let holder = gil.as_ref().and_then(|gil| gil.holder(reader).ok());
    let gil = gil.and_then(|gil| gil.memory());
    let mut out = Vec::new();
    let mut addr = reader.ptr(interpreter.addr + reader.layout.interpreter.threads_head)?;
    while !addr.is_null() {
        if out.len() >= MAX_THREADS {
            return Err(Torn("endless threads"));
        }
        // The back pointer is what tells a thread state from a torn one.
        if reader.ptr(addr + l.interp)? != interpreter.addr {
            return Err(Torn("a thread that belongs to no interpreter"));
        }
        let ident = reader.u64(addr + l.thread_id)?;
        let tid = match l.native_thread_id {
            Some(offset) => reader.u32(addr + offset)?,
            None => reader.u32(Addr(ident) + PTHREAD_TID).unwrap_or(0),
        };
        let holds_gil = holder.map(|h| h == Some(addr));
        out.push(ThreadState { addr, interpreter, tid, ident, holds_gil, gil: gil.clone() });
        addr = reader.ptr(addr + l.next)?;
    }
    out.reverse();
    Ok(out)
}

/// Where an interpreter's GIL lies: `struct _gil_runtime_state` (`pycore_gil.h`).
struct Gil {
    last_holder: Addr,
    locked: Addr,
}

impl Gil {
    /// Two numbers and two pointers, and then two condition variables with a mutex each.
    const SIZE: u64 = 4 * 8 + 2 * (48 + 40);

    fn of(reader: &Reader<'_>, runtime: Addr, interpreter: Interpreter) -> Read<Self> {
        match (&reader.layout.runtime.gil, reader.layout.interpreter.gil) {
            (Some(gil), _) => {
                Ok(Self { last_holder: runtime + gil.last_holder, locked: runtime + gil.locked })
            }
            (None, Some(offset)) => {
                let gil = reader.ptr(interpreter.addr + offset)?;
                Ok(Self { last_holder: gil + 8, locked: gil + 16 })
            }
            (None, None) => Err(Torn("a table without a GIL")),
        }
    }

    /// The thread state that holds it.
    fn holder(&self, reader: &Reader<'_>) -> Read<Option<Addr>> {
        match reader.i32(self.locked)? {
            1 => reader.ptr(self.last_holder).map(Addr::non_null),
            _ => Ok(None),
        }
    }

    fn memory(&self) -> Option<Range<Addr>> {
        let start = Addr(self.last_holder.0.checked_sub(8)?);
        Some(start..Addr(start.0.checked_add(Self::SIZE)?))
    }
}

/// The Python stack of a thread.
pub(crate) fn stack(reader: &Reader<'_>, thread: &ThreadState) -> Stack {
    let mut out = Stack { frames: Vec::new(), torn: None };
    if let Err(torn) = walk_stack(reader, thread, &mut out.frames) {
        out.torn = Some(torn);
    }
    out
}

fn walk_stack(reader: &Reader<'_>, thread: &ThreadState, frames: &mut Vec<Frame>) -> Read<()> {
    let mut addr = match reader.layout.thread.current_frame {
        CurrentFrame::Field(offset) => reader.ptr(thread.addr + offset)?,
        CurrentFrame::Through { cframe, frame } => match reader.ptr(thread.addr + cframe)?.non_null() {
            Some(cframe) => reader.ptr(cframe + frame)?,
            None => Addr::NULL,
        },
    };
    let mut steps = 0;
    while !addr.is_null() {
        steps += 1;
        if steps > MAX_FRAMES {
            return Err(Torn("a stack that is deeper than any"));
        }
        if !Frame::is_shim(reader, addr)? {
            frames.push(Frame::read(reader, addr)?);
        }
        addr = Frame::previous(reader, addr)?;
    }
    Ok(())
}

/// The event loop that runs in a thread.
pub(crate) fn running_loop(reader: &Reader<'_>, thread: &ThreadState, pid: u32) -> Read<Option<Addr>> {
    match reader.layout.thread.running_loop {
        RunningLoop::Field(offset) => reader.not_none(reader.ptr(thread.addr + offset)?.non_null()),
        RunningLoop::InDict { dict, wrapped } => {
            let Some(dict) = reader.ptr(thread.addr + dict)?.non_null() else { return Ok(None) };
            let Some(found) = reader.dict_get(dict, "__asyncio_running_event_loop__")? else {
                return Ok(None);
            };
            if !wrapped || reader.kind_of(found)? != Kind::RunningLoopHolder {
                // The pure-Python version keeps a tuple (loop, pid).
                if reader.kind_of(found)? == Kind::Tuple {
                    return reader.not_none(reader.tuple(found)?.first().copied());
                }
                return reader.not_none(Some(found));
            }
            // {head, loop, pid}: after a fork the child still has its parent's.
            let owner = reader.u32(found + 24)?;
            if pid != 0 && owner != pid && owner != 0 {
                return Ok(None);
            }
            reader.not_none(reader.ptr(found + 16)?.non_null())
        }
    }
}

/// A module of an interpreter, by its name: the dict of its globals.
pub(crate) fn module(
    reader: &Reader<'_>,
    interpreter: Interpreter,
    name: &'static str,
) -> Read<Option<Addr>> {
    // A module stays where it is; `sys.modules` is large.
    if let Some(known) = reader.known.modules.borrow().get(&(interpreter.addr, name)) {
        return Ok(Some(*known));
    }
    match reader.dict_get(interpreter.modules, name)? {
        Some(module) if reader.kind_of(module)? == Kind::Module => {
            let _constant = reader.mem.constant();
            let dict = reader.module_dict(module)?;
            reader.known.modules.borrow_mut().insert((interpreter.addr, name), dict);
            Ok(Some(dict))
        }
        _ => Ok(None),
    }
}
