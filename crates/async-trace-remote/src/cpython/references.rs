//! Which objects an object of Python keeps alive, and how many keep it: the two sides of reference counting.
//!
//! Only references that are counted are told, each as often as it is. Whoever finds as many of them as an
//! object's count says knows all that lead to it, be they in memory of Python or of an extension. What is
//! left out here is thus never taken for what is not there.

use super::frame::Frame;
use super::generator;
use super::layout::GeneratorFrame;
use super::object::{Kind, Read, Reader};
use crate::memory::addr::Addr;

/// The most items of one container that are followed.
const MAX_ITEMS: u64 = 1 << 16;

/// `ob_refcnt`: how many references to an object are counted; nothing where it lives for ever (3.12+,
/// `_Py_IsImmortal` in Include/refcount.h: the sign of the lower half).
pub(crate) fn count(reader: &Reader<'_>, object: Addr) -> Read<Option<u64>> {
    Ok(u64::try_from(reader.i32(object)?).ok())
}

/// Whether an object is of a kind that leads nowhere: plain values, and what is there as long as its module is.
pub(crate) fn is_end(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::None
            | Kind::Bool
            | Kind::Int
            | Kind::Float
            | Kind::Str
            | Kind::Bytes
            | Kind::Module
            | Kind::Type
            | Kind::Code
            | Kind::Weakref
    )
}

/// What an object refers to. Tasks, event loops and whatever else is to be no way through is for the caller to
/// leave out.
pub(crate) fn of(reader: &Reader<'_>, object: Addr) -> Read<Vec<Addr>> {
    let mut out = Vec::new();
    let mut words = |offsets: &[u64]| -> Read<()> {
        for offset in offsets {
            out.extend(reader.ptr(object + *offset)?.non_null());
        }
        Ok(())
    };
    match reader.kind_of(object)? {
        Kind::Cell
        | Kind::CoroutineWrapper
        | Kind::AsyncGenASend
        | Kind::AsyncGenAThrow
        | Kind::Anext
        | Kind::FutureIter => words(&[16])?,
        // {function, object}; a method of C has its definition where the function would be.
        Kind::Method => words(&[16, 24])?,
        // {index, sequence or iterator} (listiterobject, tupleiterobject, enumobject).
        Kind::Builtin | Kind::Iterator => words(&[24])?,
        // {function, arguments, keywords}, which are attributes too.
        Kind::Partial => {
            words(&[16, 24, 32])?;
            return Ok(out);
        }
        Kind::Function => words(&[reader.layout.function.closure])?,
        Kind::Future | Kind::Task => {
            // Behind the callbacks: the exception, from 3.10 on its traceback, and the result.
            let l = &reader.layout.future;
            words(&[l.callback0])?;
            words(&(l.callbacks..l.source_tb).step_by(8).collect::<Vec<_>>())?;
        }
        Kind::Frame => {
            // f_back, the first field (Include/internal/pycore_frame.h; up to 3.10 Include/cpython/frameobject.h): of a
            // frame that has ended it is set, and counted.
            let back = match reader.layout.generator.frame {
                GeneratorFrame::Pointer(_) => 24,
                GeneratorFrame::Embedded(_) => 16,
            };
            out.extend(reader.ptr(object + back)?.non_null());
            if let Some(frame) = of_frame_object(reader, object)? {
                out.extend(slots(reader, &frame)?.into_iter().map(|(object, _)| object));
            }
            return Ok(out);
        }
        Kind::Traceback => words(&[16, 24])?,
        Kind::Exception => {
            let cause = reader.layout.exception_traceback + 16;
            words(&(24..=cause).step_by(8).collect::<Vec<_>>())?;
        }
        Kind::Coroutine | Kind::Generator | Kind::AsyncGenerator => {
            if let (_, Some(frame)) = generator::state(reader, object)? {
                match reader.layout.generator.frame {
                    GeneratorFrame::Pointer(_) => out.push(frame.addr),
                    GeneratorFrame::Embedded(_) => {
                        out.extend(slots(reader, &frame)?.into_iter().map(|(object, _)| object));
                    }
                }
            }
            return Ok(out);
        }
        Kind::Tuple => out = reader.tuple(object)?,
        Kind::List if reader.size(object)? <= MAX_ITEMS => out = reader.list(object)?,
        Kind::Set if reader.set_len(object)? <= MAX_ITEMS => out = reader.set(object)?,
        Kind::Deque if reader.size(object)? <= MAX_ITEMS => out = reader.deque(object, MAX_ITEMS)?,
        Kind::Dict if reader.dict_len(object)? <= MAX_ITEMS => {
            out.extend(reader.dict(object)?.into_iter().flat_map(|(key, value)| [key, value]));
        }
        Kind::Other => {}
        _ => return Ok(out),
    }
    out.extend(reader.held_by_instance(object)?);
    out.retain(|object| !object.is_null());
    Ok(out)
}

/// The frame that a frame object keeps: its own, or none while it stands for one of a thread or generator (3.11+).
fn of_frame_object(reader: &Reader<'_>, object: Addr) -> Read<Option<Frame>> {
    /// `_f_frame_data` begins behind a few fields of PyFrameObject.
    const FIELDS: u64 = 128;
    if let GeneratorFrame::Pointer(_) = reader.layout.generator.frame {
        return Frame::read(reader, object).map(Some);
    }
    let frame = reader.ptr(object + 24)?;
    let is_inside = (16..FIELDS).contains(&frame.0.wrapping_sub(object.0));
    if is_inside { Frame::read(reader, frame).map(Some) } else { Ok(None) }
}

/// The frames that an exception has passed, the outermost first, and the instruction at which it did.
pub(crate) fn traceback(reader: &Reader<'_>, exception: Addr) -> Read<Vec<(Frame, i32)>> {
    /// Longer than what is of use.
    const MAX_FRAMES: usize = 1000;
    let mut out = Vec::new();
    let mut at = reader.ptr(exception + reader.layout.exception_traceback)?;
    while !at.is_null() && out.len() < MAX_FRAMES {
        // PyTracebackObject {next, frame, lasti, lineno}; a frame object leads to its code by way of its frame.
        let object = reader.ptr(at + 24)?;
        let frame = match reader.layout.generator.frame {
            GeneratorFrame::Pointer(_) => object,
            GeneratorFrame::Embedded(_) => reader.ptr(object + 24)?,
        };
        out.push((Frame::read(reader, frame)?, reader.i32(at + 32)?));
        at = reader.ptr(at + 16)?;
    }
    Ok(out)
}

/// What the slots of a suspended frame refer to, and whether each is a variable's. A slot may borrow what is in
/// it (3.14+); that counts for nothing.
pub(crate) fn slots(reader: &Reader<'_>, frame: &Frame) -> Read<Vec<(Addr, bool)>> {
    let variables = u64::from(frame.code.slots);
    let all =
        reader.pointers(frame.addr + reader.layout.frames.localsplus, variables + frame.depth(reader)?)?;
    let tags = if reader.layout.frames.tagged { 3 } else { 0 };
    let owned = (0..).zip(all).filter(|(_, slot)| !slot.is_null() && slot.0 & tags == 0);
    Ok(owned.map(|(index, slot)| (slot, index < variables)).collect())
}
