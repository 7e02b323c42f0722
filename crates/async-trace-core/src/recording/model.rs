//! The model's types as bytes, each in a line or two.
//!
//! A field that the model gains is a compile error here until it is listed, and then a new
//! [`VERSION`](super::VERSION) of the format.

use super::Wrong;
use super::bytes::{Reader, Wire, Writer};
use crate::frame::{Frame, FrameKind, Local, Origin};
use crate::snapshot::*;
use crate::text::Text;
use std::sync::Arc;

/// A struct whose fields follow each other.
macro_rules! fields {
    ($name:ident { $($field:ident),* } $(but $($left:ident),+)?) => {
        impl Wire for $name {
            fn write(&self, out: &mut Writer) {
                let Self { $($field,)* $($($left: _),+)? } = self;
                $($field.write(out);)*
            }

            fn read(input: &mut Reader<'_>) -> Result<Self, Wrong> {
                Ok(Self { $($field: Wire::read(input)?,)* $($($left: None),+)? })
            }

            fn heap(&self) -> usize {
                0 $(+ self.$field.heap())*
            }
        }
    };
}

/// What is written as its differences from another of its kind.
pub(super) trait Sparse: Sized {
    fn write_changes(&self, base: &Self, out: &mut Writer);
    fn read_changes(base: &Self, input: &mut Reader<'_>) -> Result<Self, Wrong>;
    fn heap(&self) -> usize;
    fn blank() -> Self;
}

/// A struct of which the fields follow that differ from those of another, after a number with a bit
/// for each of them.
macro_rules! changes {
    ($name:ident { $($field:ident = $blank:expr),* }) => {
        impl Sparse for $name {
            fn write_changes(&self, base: &Self, out: &mut Writer) {
                let Self { $($field),* } = self;
                let differs = [$(*$field != base.$field),*];
                out.number(differs.iter().rev().fold(0, |bits, bit| bits << 1 | u64::from(*bit)));
                let mut differs = differs.iter();
                $(if differs.next() == Some(&true) { $field.write(out); })*
            }

            fn read_changes(base: &Self, input: &mut Reader<'_>) -> Result<Self, Wrong> {
                let mut bits = input.number()?;
                let mut next = || { let bit = bits & 1 == 1; bits >>= 1; bit };
                $(let $field = if next() { Wire::read(input)? } else { base.$field.clone() };)*
                if bits != 0 {
                    return Err(Wrong::Number);
                }
                Ok(Self { $($field),* })
            }

            fn heap(&self) -> usize {
                0 $(+ Wire::heap(&self.$field))*
            }

            fn blank() -> Self {
                Self { $($field: $blank),* }
            }
        }
    };
}

/// An enum of words, each with its number.
macro_rules! words {
    ($name:ident { $($variant:ident = $n:literal),* }) => {
        impl Wire for $name {
            fn write(&self, out: &mut Writer) {
                out.number(match self { $(Self::$variant => $n),* });
            }

            fn read(input: &mut Reader<'_>) -> Result<Self, Wrong> {
                match input.number()? { $($n => Ok(Self::$variant),)* _ => Err(Wrong::Variant) }
            }
        }
    };
}

/// An enum whose variants have fields.
macro_rules! variants {
    ($name:ident { $($variant:ident = $n:literal { $($field:tt: $var:ident),* }),* }) => {
        impl Wire for $name {
            fn write(&self, out: &mut Writer) {
                match self {
                    $(Self::$variant { $($field: $var),* } => { out.number($n); $($var.write(out);)* })*
                }
            }

            fn read(input: &mut Reader<'_>) -> Result<Self, Wrong> {
                match input.number()? {
                    $($n => Ok(Self::$variant { $($field: Wire::read(input)?),* }),)*
                    _ => Err(Wrong::Variant),
                }
            }

            fn heap(&self) -> usize {
                match self { $(Self::$variant { $($field: $var),* } => 0 $(+ $var.heap())*),* }
            }
        }
    };
}

changes!(Process { pid = 0, python = none(), executable = none(), command = Vec::new(), asyncio = false });
changes!(Capture {
    source = Source::Live, consistency = Consistency::Paused, time_s = 0.0, pause_us = None, read_us = 0,
    retries = 0, bytes_read = 0, glance = false
});
changes!(Thread {
    tid = 0, name = none(), interpreter = 0, state = ThreadState::Unknown, syscall = None, holds_gil = None,
    cpu_us = None, stack = no_frames(), event_loop = None, task = None, job = None, waits_for = None,
    holds = Vec::new(), waits_for_gil = false
});
changes!(EventLoop {
    id = Id(0), kind = none(), thread = None, state = LoopState::Idle, task = None, ready = None,
    ready_callbacks = Vec::new(), timers = None, next_timer_s = None, turn_s = None, watched_fds = None,
    debug = false, executor = None
});
changes!(Task {
    id = Id(0), name = none(), type_name = None, state = TaskState::Waiting, cancelling = 0,
    event_loop = None, thread = None, chain = no_frames(), waits_for = None, awaited_by = Vec::new(),
    holds = Vec::new(), contexts = Vec::new(), handling = None, connection = None, created = None,
    operations = Vec::new(), outcome = None
});
changes!(Resource {
    id = Id(0), kind = ResourceKind::Lock, type_name = none(), name = None,
    state = ResourceState::default(), holders = Vec::new(), waiters = Vec::new(),
    blocked_threads = Vec::new(), within = None, reach = None
});

fn none() -> Text {
    Arc::from("")
}

fn no_frames() -> Arc<[Frame]> {
    Arc::from(Vec::new())
}

fields!(Syscall { name, file });
fields!(OpenFile { fd, kind, local, peer, status } but traffic, child);
fields!(Job { future, task, function, executor });
fields!(Callback { function, task });
fields!(Operation { name, age_s, at });
fields!(Connection { closed, half_closed, file });
fields!(Reach { extent, users, others, failed, ended, unnotified });
fields!(Ended { at, created, dropped });
fields!(Failure { error, at, task });
fields!(FailedTask { name, function, created });
fields!(Child { state, syscall, our_end, served } but cpu_us, abandoned);
fields!(WaitsFor { target, verb, trust, name, within, timeout_s } but future);
fields!(Awaiter { task, verb });
fields!(Hold { resource, frame, trust, name, taken_line, through });
fields!(Context { type_name, frame, id });
fields!(Creation { stack, kept_by, task });
fields!(Detail { name, value });
fields!(Holder { task, thread, at, taken_line, trust });
fields!(UnstartedCoroutine { id, defined, created, kept_by, waits_its_turn, arguments });
fields!(DroppedCoroutine { function, at });
fields!(Problem { code, message, task, count });
fields!(Local { name, value });
fields!(ResourceState { locked, set, size, capacity, unfinished, getters, putters, busy, details });

pub(super) fn write_frame(frame: &Frame, out: &mut Writer) {
    let Frame { function, file, line, kind, origin, columns, source, locals } = frame;
    function.write(out);
    file.write(out);
    line.write(out);
    kind.write(out);
    origin.write(out);
    columns.write(out);
    source.write(out);
    locals.write(out);
}

pub(super) fn read_frame(input: &mut Reader<'_>) -> Result<Frame, Wrong> {
    Ok(Frame {
        function: Wire::read(input)?,
        file: Wire::read(input)?,
        line: Wire::read(input)?,
        kind: Wire::read(input)?,
        origin: Wire::read(input)?,
        columns: Wire::read(input)?,
        source: Wire::read(input)?,
        locals: Wire::read(input)?,
    })
}

words!(Source { Live = 0, Own = 1, Core = 2, Image = 3 });
words!(Consistency { Paused = 0, PartlyPaused = 1, Unpaused = 2, Still = 3 });
words!(ThreadState { Running = 0, Sleeping = 1, Disk = 2, Stopped = 3, Dead = 4, Unknown = 5 });
words!(FileKind { Tcp = 0, Udp = 1, Unix = 2, Socket = 3, Pipe = 4, Event = 5, File = 6, Unknown = 7 });
words!(LoopState { Idle = 0, Busy = 1, NotRunning = 2, Closed = 3, Unknown = 4 });
words!(Extent { Frames = 0, Partial = 1, Whole = 2 });
words!(TaskState { Running = 0, Ready = 1, Waiting = 2, Done = 3 });
words!(Trust { Read = 0, Inferred = 1, Guessed = 2 });
words!(Verb {
    Await = 0, Gather = 1, Wait = 2, WaitFor = 3, Shield = 4, TaskGroup = 5, AsCompleted = 6, Acquire = 7,
    Get = 8, Put = 9, Join = 10, Sleep = 11, Read = 12, Write = 13, Connect = 14, Accept = 15, Call = 16,
    Poll = 17
});
words!(CreationSource { DebugMode = 0, CoroutineOrigin = 1, Hook = 2, SourceText = 3 });
words!(ResourceKind {
    Lock = 0, Semaphore = 1, Condition = 2, Event = 3, Barrier = 4, Queue = 5, ThreadLock = 6,
    ThreadRlock = 7, Pool = 8, Executor = 9, Manager = 10
});
words!(ProblemCode {
    TaskUnreadable = 0, TaskListTorn = 1, ChainTorn = 2, StackTorn = 3, LoopUnreadable = 4,
    ResourceUnreadable = 5, HeapTorn = 6, PauseBudget = 7, PauseRefused = 8, Budget = 9, TargetGone = 10,
    ProcessUnreadable = 11, PartlySupported = 12
});
words!(FrameKind {
    Coroutine = 0, AsyncGenerator = 1, Generator = 2, Function = 3, Native = 4, Awaitable = 5
});
words!(Origin { Own = 0, Library = 1, Stdlib = 2 });

variants!(Handling { Nothing = 0 {}, Exception = 1 { 0: type_name } });
variants!(Outcome { Returned = 0 {}, Cancelled = 1 {}, Raised = 2 { 0: type_name } });
variants!(Target {
    Tasks = 0 { pending: pending, done: done, any: any },
    Resource = 1 { id: id },
    Timer = 2 { left_s: left_s },
    File = 3 { file: file },
    Job = 4 { future: future, thread: thread, queued_behind: behind, function: function, executor: executor },
    Process = 5 { pid: pid, command: command, child: child },
    Future = 6 { id: id, type_name: type_name, reach: reach },
    Turn = 7 {},
    Unknown = 8 { type_name: type_name }
});
