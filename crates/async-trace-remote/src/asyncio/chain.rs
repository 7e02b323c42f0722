//! The await chain: from a task's coroutine through everything it awaits, down to the future.

use super::places::Places;
use crate::cpython::frame::Frame as PyFrame;
use crate::cpython::generator::{self, State};
use crate::cpython::object::{Kind, Read, Reader, Torn};
use crate::memory::addr::Addr;
use async_trace_core::frame::FrameKind;

/// Longer than any real chain; a longer one is a cycle or torn.
const MAX_CHAIN: usize = 1 << 14;

/// `CO_*` flags, Include/cpython/code.h.
const CO_GENERATOR: u32 = 0x20;
const CO_COROUTINE: u32 = 0x80;
const CO_ASYNC_GENERATOR: u32 = 0x200;

/// One link of a chain.
#[derive(Clone)]
pub(crate) struct Node {
    pub place: u32,
    /// The frame, unless it is compiled code.
    pub frame: Option<PyFrame>,
}

/// What a chain ends at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// A future or task.
    Future(Addr),
    /// Another object, which could not be followed.
    Object(Addr),
    /// A bare `yield`.
    Yield,
    /// It runs: the rest is on its thread's stack.
    Running,
    /// It has not begun.
    Created,
    /// It has ended.
    Done,
}

/// A chain that is being read; its memory is used again for the next.
#[derive(Default)]
pub(crate) struct Chain {
    pub nodes: Vec<Node>,
    pub end: Option<End>,
    /// Why it ends early, where it does.
    pub torn: Option<Torn>,
}

impl Chain {
    /// Reads the chain that begins with `coroutine`. `stacks` finds the thread that executes a frame:
    /// its stack from the innermost frame up to that one.
    pub(crate) fn read(
        &mut self,
        reader: &Reader<'_>,
        places: &Places,
        coroutine: Addr,
        stacks: &dyn Fn(Addr) -> Option<Vec<PyFrame>>,
    ) {
        self.nodes.clear();
        self.torn = None;
        self.end = None;
        match self.walk(reader, places, coroutine, stacks) {
            Ok(end) => self.end = Some(end),
            Err(torn) => self.torn = Some(torn),
        }
    }

    fn walk(
        &mut self,
        reader: &Reader<'_>,
        places: &Places,
        coroutine: Addr,
        stacks: &dyn Fn(Addr) -> Option<Vec<PyFrame>>,
    ) -> Read<End> {
        let mut at = coroutine;
        for _ in 0..MAX_CHAIN {
            reader.spend(1)?;
            let kind = reader.kind_of(at)?;
            match kind {
                Kind::Coroutine | Kind::Generator | Kind::AsyncGenerator => {
                    let (state, frame) = generator::state(reader, at)?;
                    // What a suspended frame awaits is suspended too: it runs, begins and ends only while the
                    // frame that awaits it runs.
                    if !self.nodes.is_empty() && matches!(state, State::Created | State::Done) {
                        return Err(Torn("it moved while it was read"));
                    }
                    if state == State::Suspended && kind == Kind::Coroutine {
                        return Err(Torn("a coroutine that is suspended at nothing"));
                    }
                    let Some(frame) = frame else { return Ok(End::Done) };
                    if state == State::Running {
                        return self.running(reader, places, at, frame, stacks);
                    }
                    let place = places.of_frame(reader, &frame, frame_kind(kind), Some(at));
                    let next = match state {
                        State::Awaiting => Ok(generator::awaited(reader, &frame)?),
                        State::Created => Err(End::Created),
                        State::Done => Err(End::Done),
                        State::Suspended | State::Running => Err(End::Yield),
                    };
                    // A pure-Python future awaits itself: `Future.__await__` yields, its self is the end.
                    if next == Err(End::Yield) && kind == Kind::Generator && &*frame.code.name == "__await__"
                    {
                        let future = frame.local(reader, "self")?;
                        if let Some(future) = future
                            && reader.attr(future, "_asyncio_future_blocking")?.is_some()
                        {
                            self.nodes.push(Node { place, frame: Some(frame) });
                            return Ok(End::Future(future));
                        }
                    }
                    self.nodes.push(Node { place, frame: Some(frame) });
                    match next {
                        Ok(next) if next.is_null() => return Err(Torn("an await of nothing")),
                        Ok(next) => at = next,
                        Err(end) => return Ok(end),
                    }
                }
                // Objects that only pass the wait on; the generator behind them is the next link.
                Kind::CoroutineWrapper | Kind::AsyncGenASend | Kind::AsyncGenAThrow | Kind::Anext => {
                    at = reader.ptr(at + 16)?;
                }
                Kind::FutureIter => {
                    return match reader.ptr(at + 16)?.non_null() {
                        Some(future) => Ok(End::Future(future)),
                        None => Ok(End::Done),
                    };
                }
                Kind::Future | Kind::Task => return Ok(End::Future(at)),
                Kind::CythonCoroutine => match self.cython(reader, places, at)? {
                    Some(next) => at = next,
                    None => return Ok(End::Object(at)),
                },
                Kind::None | Kind::Int | Kind::Str | Kind::Tuple | Kind::List | Kind::Dict => {
                    return Err(Torn("an await of what cannot be awaited"));
                }
                _ => {
                    // An awaitable of a library: many keep the coroutine they drive under these names.
                    let of = reader.type_of(at)?;
                    let name = reader.full_type_name(&of);
                    self.nodes.push(Node { place: places.of_name(&name, FrameKind::Awaitable), frame: None });
                    let mut next = None;
                    for attribute in ["_coro", "gen", "_gen", "coro", "_it", "_fut", "_future"] {
                        if let Some(found) = reader.attr(at, attribute)?
                            && is_link(reader.kind_of(found)?)
                        {
                            next = Some(found);
                            break;
                        }
                    }
                    match next {
                        Some(next) => at = next,
                        None => return Ok(End::Object(at)),
                    }
                }
            }
        }
        Err(Torn("a chain longer than any"))
    }

    /// The rest of a running chain, from the stack of the thread that executes it.
    fn running(
        &mut self,
        reader: &Reader<'_>,
        places: &Places,
        coroutine: Addr,
        frame: PyFrame,
        stacks: &dyn Fn(Addr) -> Option<Vec<PyFrame>>,
    ) -> Read<End> {
        match stacks(generator::frame_addr(reader, coroutine)?) {
            Some(stack) => {
                for frame in stack.into_iter().rev() {
                    let kind = kind_by_flags(reader, &frame);
                    let place = places.of_frame(reader, &frame, kind, frame.generator(reader));
                    self.nodes.push(Node { place, frame: Some(frame) });
                }
            }
            None => {
                let place = places.of_frame(reader, &frame, FrameKind::Coroutine, Some(coroutine));
                self.nodes.push(Node { place, frame: Some(frame) });
            }
        }
        Ok(End::Running)
    }

    /// A coroutine that was compiled by Cython: it has a name, and the object it awaits.
    ///
    /// Its structure differs between versions of Cython and of CPython, but the name and the qualified
    /// name are two texts side by side, and what is awaited is the nearest object before them.
    fn cython(&mut self, reader: &Reader<'_>, places: &Places, object: Addr) -> Read<Option<Addr>> {
        let words = reader.pointers(object + 16, 18)?;
        let is_text = |addr: Addr| reader.is_object(addr) && reader.kind_of(addr) == Ok(Kind::Str);
        let name_at = (3..words.len() - 1).find(|i| is_text(words[*i]) && is_text(words[*i + 1]));
        let Some(name_at) = name_at else { return Ok(None) };
        let name = reader.text(words[name_at + 1])?;
        self.nodes.push(Node { place: places.of_name(&name, FrameKind::Native), frame: None });
        let next = words[..name_at].iter().rev().find(|word| {
            reader.is_object(**word)
                && reader.kind_of(**word).is_ok_and(|k| !matches!(k, Kind::Type | Kind::Tuple))
        });
        Ok(next.copied().filter(|next| reader.kind_of(*next).is_ok_and(is_link)))
    }
}

/// Whether an object of this kind can be a link of a chain, or its end.
fn is_link(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Coroutine
            | Kind::Generator
            | Kind::AsyncGenerator
            | Kind::CoroutineWrapper
            | Kind::AsyncGenASend
            | Kind::AsyncGenAThrow
            | Kind::Anext
            | Kind::FutureIter
            | Kind::Future
            | Kind::Task
            | Kind::CythonCoroutine
    )
}

fn frame_kind(kind: Kind) -> FrameKind {
    match kind {
        Kind::Coroutine => FrameKind::Coroutine,
        Kind::AsyncGenerator => FrameKind::AsyncGenerator,
        _ => FrameKind::Generator,
    }
}

/// The kind of a frame on a thread's stack.
pub(crate) fn kind_by_flags(reader: &Reader<'_>, frame: &PyFrame) -> FrameKind {
    let _constant = reader.mem.constant();
    match reader.u32(frame.code.addr + reader.layout.code.flags) {
        Ok(flags) if flags & CO_COROUTINE != 0 => FrameKind::Coroutine,
        Ok(flags) if flags & CO_ASYNC_GENERATOR != 0 => FrameKind::AsyncGenerator,
        Ok(flags) if flags & CO_GENERATOR != 0 => FrameKind::Generator,
        _ => FrameKind::Function,
    }
}
