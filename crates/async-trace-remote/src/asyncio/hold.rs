//! What a task or thread holds: the `with` blocks that its frames are inside of.

use super::chain::{Node, kind_by_flags};
use super::names;
use super::places::Role;
use super::resource;
use super::walk::{Hold, Session, Walked};
use crate::cpython::frame::{Frame as PyFrame, With};
use crate::cpython::generator;
use crate::cpython::object::{Kind, Read, Reader};
use crate::memory::addr::Addr;
use async_trace_core::snapshot::{Context, ProblemCode, ResourceKind, Trust};

/// How far managers may be nested: an exit stack in a `@asynccontextmanager` in an exit stack …
const MAX_NESTING: u32 = 8;
/// How many managers one exit stack may have.
const MAX_STACKED: u64 = 256;

/// Reads what the frames of a chain hold.
pub(crate) fn read(session: &Session<'_>, nodes: &[Node], walked: &mut Walked) -> (Vec<Hold>, Vec<Context>) {
    let (mut holds, mut contexts) = (Vec::new(), Vec::new());
    for (index, node) in nodes.iter().enumerate() {
        let Some(frame) = &node.frame else { continue };
        match frame.withs(session.reader) {
            Ok(withs) => {
                for with in withs {
                    let mut at =
                        Place { session, nodes, index, with, holds: &mut holds, contexts: &mut contexts };
                    if let Err(torn) = at.add(with.manager, Trust::Read, MAX_NESTING, walked) {
                        walked.problems.note(ProblemCode::ResourceUnreadable, torn, None);
                    }
                }
            }
            Err(torn) => walked.problems.note(ProblemCode::ChainTorn, torn, None),
        }
    }
    (holds, contexts)
}

struct Place<'a, 's> {
    session: &'a Session<'s>,
    nodes: &'a [Node],
    index: usize,
    with: With,
    holds: &'a mut Vec<Hold>,
    contexts: &'a mut Vec<Context>,
}

impl Place<'_, '_> {
    fn add(&mut self, manager: Addr, trust: Trust, nesting: u32, walked: &mut Walked) -> Read<()> {
        let reader = self.session.reader;
        if nesting == 0 || manager.is_null() {
            return Ok(());
        }
        let of = reader.type_of(manager)?;
        match of.short_name() {
            "_AsyncGeneratorContextManager" | "_GeneratorContextManager" => {
                let Some(inner) = reader.attr(manager, "gen")? else { return Ok(()) };
                self.context(manager, generator::qualname(reader, inner).ok());
                if let (_, Some(frame)) = generator::state(reader, inner)? {
                    for with in frame.withs(reader)? {
                        self.add(with.manager, trust, nesting - 1, walked)?;
                    }
                }
                return Ok(());
            }
            "AsyncExitStack" | "ExitStack" => {
                self.context(manager, None);
                let Some(callbacks) = reader.attr(manager, "_exit_callbacks")? else { return Ok(()) };
                for pair in reader.deque(callbacks, MAX_STACKED)? {
                    if let Some(exit) = reader.tuple(pair)?.get(1)
                        && matches!(reader.kind_of(*exit)?, Kind::Method | Kind::Builtin)
                    {
                        self.add(reader.method(*exit)?.1, trust, nesting - 1, walked)?;
                    }
                }
                return Ok(());
            }
            // `async with lock` on 3.9 to 3.15 keeps the lock itself; these older helpers keep it inside.
            "_ContextManager" => {
                if let Some(lock) = reader.attr(manager, "_lock")? {
                    return self.add(lock, trust, nesting - 1, walked);
                }
            }
            _ => {}
        }
        match resource::kind(reader, manager)? {
            Some(ResourceKind::Condition) => {
                // The condition's lock is held, except while its own `wait()` has released it.
                if !self.is_waiting_on(manager)?
                    && let Some(lock) = reader.attr(manager, "_lock")?
                {
                    self.hold(lock, manager, trust, walked);
                }
            }
            Some(
                ResourceKind::Lock
                | ResourceKind::Semaphore
                | ResourceKind::ThreadLock
                | ResourceKind::ThreadRlock,
            ) => self.hold(manager, manager, trust, walked),
            _ if &*reader.full_type_name(&of) == "threading.Condition" => {
                if !self.is_waiting_on(manager)?
                    && let Some(lock) = reader.attr(manager, "_lock")?
                {
                    self.hold(lock, manager, trust, walked);
                }
            }
            _ => self.context(manager, None),
        }
        Ok(())
    }

    /// Notes that `object` is held. The frame may know it by its `alias`: a condition's lock.
    fn hold(&mut self, object: Addr, alias: Addr, trust: Trust, walked: &mut Walked) {
        if !walked.resources.add(self.session.reader, object, &mut walked.problems) {
            return;
        }
        // Something that is free is held by nobody, whatever stands on a stack.
        if walked.resources.get(object).is_some_and(|resource| resource.state.locked == Some(false)) {
            return;
        }
        let frame = self.nodes.get(self.index).and_then(|node| node.frame.as_ref());
        let taken_line = frame.and_then(|f| self.with.line(self.session.reader, f));
        self.holds.push(Hold {
            resource: object,
            frame: u32::try_from(self.index).unwrap_or(0),
            trust,
            name: names::of(self.session, object, self.nodes, self.index)
                .or_else(|| names::of(self.session, alias, self.nodes, self.index)),
            taken_line,
            through: None,
        });
    }

    fn context(&mut self, manager: Addr, name: Option<async_trace_core::text::Text>) {
        let reader = self.session.reader;
        let type_name = match name {
            Some(name) => name,
            None => match reader.type_of(manager) {
                Ok(of) => reader.full_type_name(&of),
                Err(_) => return,
            },
        };
        self.contexts.push(Context {
            type_name,
            frame: u32::try_from(self.index).unwrap_or(0),
            id: manager.into(),
        });
    }

    /// Whether a frame further in is this condition's `wait()`.
    fn is_waiting_on(&self, condition: Addr) -> Read<bool> {
        self.session.reader.spend_looking(self.nodes.len())?;
        Ok(self.nodes[self.index..].iter().any(|node| {
            node.frame.as_ref().is_some_and(|frame| {
                let waits = self.session.places.role(node.place) == Role::ConditionWait
                    || (&*frame.code.name == "wait" && frame.code.file.ends_with("/threading.py"));
                waits && frame.local(self.session.reader, "self") == Ok(Some(condition))
            })
        }))
    }
}

/// Reads what the threads' own frames hold, and describes their stacks.
pub(crate) fn read_threads(session: &Session<'_>, walked: &mut Walked) {
    let reader = session.reader;
    for index in 0..walked.threads.len() {
        let thread = &walked.threads[index];
        let task_frame = thread.running_task.and_then(|task| root_frame(reader, task).ok());
        let nodes: Vec<Node> = thread
            .stack
            .iter()
            .rev()
            .map(|frame| Node {
                place: session.places.of_frame(
                    reader,
                    frame,
                    kind_by_flags(reader, frame),
                    frame.generator(reader),
                ),
                frame: Some(frame.clone()),
            })
            .collect();
        let chain = session.frames(&nodes);
        // Frames of the task that runs here are the task's; the thread's own end where they begin.
        let own = nodes
            .iter()
            .position(|node| node.frame.as_ref().map(|f| f.addr) == task_frame)
            .unwrap_or(nodes.len());
        let (holds, _) = read(session, &nodes[..own], walked);
        let waits_for = super::blocked::on(session, &nodes, walked);
        let thread = &mut walked.threads[index];
        thread.chain = chain;
        thread.holds = holds;
        thread.waits_for = waits_for;
    }
}

/// The frame of a task's own coroutine.
fn root_frame(reader: &Reader<'_>, task: Addr) -> Read<Addr> {
    let coroutine = match reader.kind_of(task)? {
        Kind::Task => reader.ptr(task + reader.layout.task.coro)?,
        _ => reader.need(task, "_coro")?,
    };
    generator::frame_addr(reader, coroutine)
}

impl With {
    /// The line of the `with` statement.
    pub(crate) fn line(&self, reader: &Reader<'_>, frame: &PyFrame) -> Option<u32> {
        frame.code.with_line(reader, self.handler).ok().filter(|line| *line > 0)
    }
}
