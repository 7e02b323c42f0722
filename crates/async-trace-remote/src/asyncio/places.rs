//! Lines of code, each described once: whose code, which function, which line, and whether it is one
//! of the places in a library where waiting happens.

use crate::cpython::code::Code;
use crate::cpython::frame::Frame as PyFrame;
use crate::cpython::object::Reader;
use crate::memory::addr::Addr;
use async_trace_core::frame::{Frame, FrameKind, Origin};
use async_trace_core::text::Text;
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// What a function of the standard library, or of anyio, does when a task is suspended in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    LockAcquire,
    SemaphoreAcquire,
    EventWait,
    ConditionWait,
    BarrierWait,
    QueueGet,
    QueuePut,
    QueueJoin,
    Sleep,
    Wait,
    WaitFor,
    TaskGroup,
    AsCompleted,
    ProcessWait,
    StreamRead,
    StreamWrite,
    /// The two ends of a queue of anyio's, which is an object of its own behind both.
    MemoryStreamSend,
    MemoryStreamReceive,
    ServeForever,
    /// A function that only passes the wait on to what it calls.
    Passes,
    None,
}

/// The functions of asyncio that tasks are suspended in: file, qualified name, what it means.
const ROLES: &[(&str, &str, Role)] = &[
    ("asyncio/locks.py", "Lock.acquire", Role::LockAcquire),
    ("asyncio/locks.py", "Semaphore.acquire", Role::SemaphoreAcquire),
    ("asyncio/locks.py", "Event.wait", Role::EventWait),
    ("asyncio/locks.py", "Condition.wait", Role::ConditionWait),
    ("asyncio/locks.py", "Condition.wait_for", Role::Passes),
    ("asyncio/locks.py", "Barrier.wait", Role::BarrierWait),
    ("asyncio/locks.py", "Barrier._wait", Role::BarrierWait),
    ("asyncio/locks.py", "Barrier._block", Role::BarrierWait),
    ("asyncio/locks.py", "Barrier.__aenter__", Role::BarrierWait),
    ("asyncio/locks.py", "_ContextManagerMixin.__aenter__", Role::Passes),
    ("asyncio/queues.py", "Queue.get", Role::QueueGet),
    ("asyncio/queues.py", "Queue.put", Role::QueuePut),
    ("asyncio/queues.py", "Queue.join", Role::QueueJoin),
    ("asyncio/tasks.py", "sleep", Role::Sleep),
    ("asyncio/tasks.py", "_wait", Role::Wait),
    ("asyncio/tasks.py", "wait", Role::Passes),
    ("asyncio/tasks.py", "wait_for", Role::WaitFor),
    ("asyncio/tasks.py", "_AsCompletedIterator._wait_for_one", Role::AsCompleted),
    ("asyncio/tasks.py", "as_completed.<locals>._wait_for_one", Role::AsCompleted),
    ("asyncio/taskgroups.py", "TaskGroup.__aexit__", Role::TaskGroup),
    ("asyncio/taskgroups.py", "TaskGroup._aexit", Role::TaskGroup),
    ("asyncio/subprocess.py", "Process.wait", Role::ProcessWait),
    ("asyncio/base_subprocess.py", "BaseSubprocessTransport._wait", Role::ProcessWait),
    ("asyncio/streams.py", "StreamReader._wait_for_data", Role::StreamRead),
    ("asyncio/streams.py", "FlowControlMixin._drain_helper", Role::StreamWrite),
    ("asyncio/base_events.py", "Server.serve_forever", Role::ServeForever),
];

/// The same of libraries: anyio's queues wait by an event for each item.
const LIBRARY_ROLES: &[(&str, &str, Role)] = &[
    ("anyio/streams/memory.py", "MemoryObjectSendStream.send", Role::MemoryStreamSend),
    ("anyio/streams/memory.py", "MemoryObjectReceiveStream.receive", Role::MemoryStreamReceive),
];

/// A line of code.
pub(crate) struct Place {
    pub frame: Frame,
    pub role: Role,
}

/// All places of one target, and the chains made of them.
#[derive(Default)]
pub(crate) struct Places {
    stdlib: RefCell<Option<Text>>,
    all: RefCell<Vec<Rc<Place>>>,
    by_code: RefCell<FxHashMap<(Addr, i32, FrameKind), u32>>,
    /// The same, where it is not sure that the function is called so.
    unsure: RefCell<FxHashMap<(Addr, i32, FrameKind), u32>>,
    by_name: RefCell<FxHashMap<(Text, FrameKind), u32>>,
    chains: RefCell<FxHashMap<Vec<u32>, Arc<[Frame]>>>,
    qualnames: RefCell<FxHashMap<Addr, Text>>,
}

impl Places {
    /// Notes the directory of the target's standard library, from where asyncio was imported.
    pub(crate) fn set_stdlib(&self, directory: &str) {
        *self.stdlib.borrow_mut() = Some(directory.into());
    }

    /// The place of a frame. `qualname` is asked for code objects that have none of their own.
    pub(crate) fn of_frame(
        &self,
        reader: &Reader<'_>,
        frame: &PyFrame,
        kind: FrameKind,
        qualname: Option<Addr>,
    ) -> u32 {
        self.of_code(reader, &frame.code, frame.lasti, kind, qualname)
    }

    /// The place of an instruction.
    pub(crate) fn of_code(
        &self,
        reader: &Reader<'_>,
        code: &Code,
        lasti: i32,
        kind: FrameKind,
        qualname: Option<Addr>,
    ) -> u32 {
        let key = (code.addr, lasti, kind);
        if let Some(known) = self.by_code.borrow().get(&key) {
            return *known;
        }
        let known_name = self.function_name(reader, code, qualname);
        let by_code = if known_name.is_some() { &self.by_code } else { &self.unsure };
        if let Some(known) = by_code.borrow().get(&key) {
            return *known;
        }
        let function = known_name.unwrap_or_else(|| code.name.clone());
        let position = code.position(reader, lasti);
        let origin = self.origin_of(&code.file);
        let role = role_of(&code.file, &function, origin);
        let index = self.add(Place {
            frame: Frame {
                columns: position.columns,
                ..Frame::new(function, code.file.clone(), position.line, kind, origin)
            },
            role,
        });
        by_code.borrow_mut().insert(key, index);
        index
    }

    /// A place that has a name and nothing else.
    pub(crate) fn of_name(&self, name: &Text, kind: FrameKind) -> u32 {
        let key = (name.clone(), kind);
        if let Some(known) = self.by_name.borrow().get(&key) {
            return *known;
        }
        let index = self.add(Place {
            frame: Frame::new(name.clone(), "".into(), 0, kind, Origin::Library),
            role: Role::None,
        });
        self.by_name.borrow_mut().insert(key, index);
        index
    }

    /// The qualified name of a function. 3.9 and 3.10 keep it in the generator; the code then goes by it
    /// everywhere. A generator that was just freed, and its memory used again, has the name of another.
    fn function_name(&self, reader: &Reader<'_>, code: &Code, generator: Option<Addr>) -> Option<Text> {
        if reader.layout.code.qualname.is_some() {
            return Some(code.qualname.clone());
        }
        if let Some(known) = self.qualnames.borrow().get(&code.addr) {
            return Some(known.clone());
        }
        let name = crate::cpython::generator::qualname(reader, generator?).ok()?;
        if name.rsplit('.').next() != Some(&*code.name) {
            return None;
        }
        self.qualnames.borrow_mut().insert(code.addr, name.clone());
        Some(name)
    }

    /// Whose code a file is.
    pub(crate) fn origin_of(&self, file: &str) -> Origin {
        Origin::of(file, self.stdlib.borrow().as_deref())
    }

    fn add(&self, place: Place) -> u32 {
        let mut all = self.all.borrow_mut();
        all.push(Rc::new(place));
        u32::try_from(all.len() - 1).unwrap_or(u32::MAX)
    }

    pub(crate) fn get(&self, index: u32) -> Option<Rc<Place>> {
        self.all.borrow().get(index as usize).cloned()
    }

    pub(crate) fn role(&self, index: u32) -> Role {
        self.all.borrow().get(index as usize).map_or(Role::None, |place| place.role)
    }

    pub(crate) fn origin(&self, index: u32) -> Origin {
        self.all.borrow().get(index as usize).map_or(Origin::Library, |place| place.frame.origin)
    }

    pub(crate) fn frame(&self, index: u32) -> Option<Frame> {
        self.all.borrow().get(index as usize).map(|place| place.frame.clone())
    }

    /// The chain of these places; equal chains are one.
    pub(crate) fn chain(&self, places: &[u32]) -> Arc<[Frame]> {
        if let Some(known) = self.chains.borrow().get(places) {
            return known.clone();
        }
        let all = self.all.borrow();
        let frames: Arc<[Frame]> = places
            .iter()
            .filter_map(|index| all.get(*index as usize))
            .map(|place| place.frame.clone())
            .collect();
        self.chains.borrow_mut().insert(places.to_vec(), frames.clone());
        frames
    }
}

fn role_of(file: &str, function: &str, origin: Origin) -> Role {
    let roles = match origin {
        Origin::Stdlib => ROLES,
        Origin::Library => LIBRARY_ROLES,
        _ => return Role::None,
    };
    roles
        .iter()
        .find(|(suffix, name, _)| *name == function && file.ends_with(suffix))
        .map_or(Role::None, |(_, _, role)| *role)
}
