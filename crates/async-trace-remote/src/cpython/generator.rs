//! Coroutines, generators and async generators: what they are suspended at.

use super::frame::Frame;
use super::layout::{GeneratorFrame, GeneratorState};
use super::object::{Read, Reader, Torn, Type};
use crate::memory::addr::Addr;
use std::rc::Rc;

/// What a generator of any sort is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Created,
    /// Suspended at a `yield` of its own.
    Suspended,
    /// Suspended in `await` or `yield from`.
    Awaiting,
    Running,
    Done,
}

/// The address of the frame of a generator; NULL when it is done (3.9, 3.10).
pub(crate) fn frame_addr(reader: &Reader<'_>, generator: Addr) -> Read<Addr> {
    match reader.layout.generator.frame {
        GeneratorFrame::Pointer(offset) => reader.ptr(generator + offset),
        GeneratorFrame::Embedded(offset) => Ok(generator + offset),
    }
}

/// The state of a generator, with its frame unless it is done.
pub(crate) fn state(reader: &Reader<'_>, generator: Addr) -> Read<(State, Option<Frame>)> {
    let addr = frame_addr(reader, generator)?;
    if addr.is_null() {
        return Ok((State::Done, None));
    }
    let state = match reader.layout.generator.state {
        GeneratorState::Running { running, .. } => {
            let frame = Frame::read(reader, addr)?;
            let state = if reader.u8(generator + running)? != 0 {
                State::Running
            } else if frame.lasti < 0 {
                State::Created
            } else {
                awaiting_by_opcode(reader, &frame)?
            };
            return Ok((state, Some(frame)));
        }
        GeneratorState::FrameState { .. } => {
            // PyFrame_States of 3.10: CREATED −2, SUSPENDED −1, EXECUTING 0, then the ends.
            let offset = reader.layout.frames.state.ok_or(Torn("a table without a state"))?;
            let frame = Frame::read(reader, addr)?;
            let state = match reader.u8(addr + offset)?.cast_signed() {
                -2 => State::Created,
                -1 => awaiting_by_opcode(reader, &frame)?,
                0 => State::Running,
                _ => return Ok((State::Done, None)),
            };
            return Ok((state, Some(frame)));
        }
        GeneratorState::Resume { state, resume } => match reader.u8(generator + state)?.cast_signed() {
            -2 => State::Created,
            -1 => {
                // RESUME's argument says after what: 0 start, 1 yield, 2 yield from, 3 await.
                let frame = Frame::read(reader, addr)?;
                let [opcode, argument] = frame.code.unit(reader, frame.lasti.saturating_add(2))?;
                let awaiting = resume.contains(&opcode) && argument & 3 >= 2;
                return Ok((if awaiting { State::Awaiting } else { State::Suspended }, Some(frame)));
            }
            0 => State::Running,
            _ => State::Done,
        },
        GeneratorState::Byte { state, created, suspended, awaiting, executing } => {
            match reader.u8(generator + state)?.cast_signed() {
                s if s == created => State::Created,
                s if s == suspended => State::Suspended,
                s if awaiting.contains(&s) => State::Awaiting,
                s if s == executing => State::Running,
                _ => State::Done,
            }
        }
    };
    match state {
        State::Done => Ok((state, None)),
        _ => Ok((state, Some(Frame::read(reader, addr)?))),
    }
}

/// Whether a generator has not begun: what [`state`] says too, but for one read mostly.
pub(crate) fn is_created(reader: &Reader<'_>, generator: Addr) -> Read<bool> {
    let created = match reader.layout.generator.state {
        GeneratorState::Running { .. } | GeneratorState::FrameState { .. } => {
            return Ok(state(reader, generator)?.0 == State::Created);
        }
        GeneratorState::Resume { state, .. } => reader.u8(generator + state)?.cast_signed() == -2,
        GeneratorState::Byte { state, created, .. } => reader.u8(generator + state)?.cast_signed() == created,
    };
    Ok(created)
}

fn awaiting_by_opcode(reader: &Reader<'_>, frame: &Frame) -> Read<State> {
    let (GeneratorState::Running { yield_from, .. } | GeneratorState::FrameState { yield_from }) =
        reader.layout.generator.state
    else {
        return Err(Torn("a table without an opcode"));
    };
    let next = frame.code.unit(reader, frame.lasti.saturating_add(2));
    let awaiting = next.is_ok_and(|[opcode, _]| opcode == yield_from);
    Ok(if awaiting { State::Awaiting } else { State::Suspended })
}

/// The object that a generator in [`State::Awaiting`] awaits (`_PyGen_yf`).
pub(crate) fn awaited(reader: &Reader<'_>, frame: &Frame) -> Read<Addr> {
    let below = reader.layout.generator.awaited_slot;
    match frame.depth(reader)?.checked_sub(below) {
        Some(index) => frame.stack_slot(reader, index),
        None => Err(Torn("an await with nothing on the stack")),
    }
}

/// The qualified name that the generator itself keeps.
pub(crate) fn qualname(reader: &Reader<'_>, generator: Addr) -> Read<async_trace_core::text::Text> {
    reader.text(reader.ptr(generator + reader.layout.generator.qualname)?)
}

/// The type of the exception that the suspended generator of a frame is handling, if any: whether it is in an `except`
/// or `finally` block, or in `__aexit__` of one that was left so.
pub(crate) fn handled(reader: &Reader<'_>, frame: &Frame) -> Read<Option<Rc<Type>>> {
    let generator = match reader.layout.generator.frame {
        GeneratorFrame::Pointer(_) => frame.generator(reader),
        GeneratorFrame::Embedded(offset) => Some(Addr(frame.addr.0.wrapping_sub(offset))),
    };
    let Some(generator) = generator else { return Ok(None) };
    let exception = reader.ptr(generator + reader.layout.generator.handled)?;
    match reader.not_none(exception.non_null())? {
        Some(exception) => reader.type_of(exception).map(Some),
        None => Ok(None),
    }
}
