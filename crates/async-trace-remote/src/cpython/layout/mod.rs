//! Where CPython keeps what: one table per minor version, and nothing else in this crate that knows
//! a version.
//!
//! The numbers are byte offsets for 64-bit little-endian builds with the GIL; x86_64 and aarch64 lay
//! these structures out alike (both are LP64 with natural alignment). They come from the debug
//! information and the compiled headers of each release. What moves between patch releases
//! (`PyInterpreterState`, `PyThreadState`) is overridden on 3.13+ by what the target says about itself
//! (`_Py_DebugOffsets`, `_AsyncioDebug`): see [`debug_offsets`].

pub(crate) mod debug_offsets;
use debug_offsets::DebugOffsets;

mod v3_09;
mod v3_10;
mod v3_11;
mod v3_12;
mod v3_13;
mod v3_14;
mod v3_15;

/// All tables, oldest first. Supporting another version is one file and one line.
const TABLES: &[&Layout] = &[
    &v3_09::LAYOUT,
    &v3_10::LAYOUT,
    &v3_11::LAYOUT,
    &v3_12::LAYOUT,
    &v3_13::LAYOUT,
    &v3_14::LAYOUT,
    &v3_15::LAYOUT,
];

/// The table for `3.minor`.
pub(crate) fn for_version(major: u8, minor: u8) -> Option<&'static Layout> {
    TABLES.iter().copied().find(|layout| layout.version == (major, minor))
}

/// Everything that differs between versions.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub version: (u8, u8),
    pub runtime: Runtime,
    pub interpreter: Interpreter,
    pub thread: ThreadState,
    pub types: TypeObject,
    pub text: Text,
    pub long: Long,
    pub tuple_items: u64,
    pub set: Set,
    pub dict: Dict,
    pub attributes: Attributes,
    pub deque: Deque,
    pub module_dict: u64,
    /// `PyBaseExceptionObject`: the traceback, with the context and the cause behind it, and the arguments (from 3.11
    /// on, notes too) before it.
    pub exception_traceback: u64,
    pub function: Function,
    pub code: Code,
    pub frames: Frames,
    pub generator: Generator,
    pub future: Future,
    pub task: Task,
    /// 3.13+: where the target itself tells what moves between patch releases.
    pub debug: Option<DebugOffsets>,
}

/// `_PyRuntimeState`.
#[derive(Clone, Debug)]
pub(crate) struct Runtime {
    pub interpreters_head: u64,
    /// 3.9–3.11 have one GIL for all interpreters, in the runtime.
    pub gil: Option<Gil>,
}

/// `_gil_runtime_state`, as offsets from the structure that embeds it (or from the GIL itself).
#[derive(Clone, Debug)]
pub(crate) struct Gil {
    pub locked: u64,
    pub last_holder: u64,
}

/// `_gc_runtime_state`, Include/internal/pycore_interp_structs.h and its forerunners: where it is in the
/// interpreter, and where the heads of its lists are in it: the generations, and what was frozen.
#[derive(Clone, Debug)]
pub(crate) struct Gc {
    pub at: u64,
    pub lists: [u64; 4],
}

/// `PyInterpreterState`.
#[derive(Clone, Debug)]
pub(crate) struct Interpreter {
    pub next: u64,
    pub id: u64,
    pub threads_head: u64,
    pub modules: u64,
    pub gc: Gc,
    /// 3.12+: a pointer to the interpreter's GIL.
    pub gil: Option<u64>,
    /// 3.14+: head of the list of tasks whose thread has ended.
    pub tasks_head: Option<u64>,
}

/// `PyThreadState` (3.13+: `_PyThreadStateImpl`, at the same address).
#[derive(Clone, Debug)]
pub(crate) struct ThreadState {
    pub next: u64,
    pub interp: u64,
    pub current_frame: CurrentFrame,
    /// The `pthread_t`.
    pub thread_id: u64,
    /// 3.11+: the kernel's thread id.
    pub native_thread_id: Option<u64>,
    pub running_loop: RunningLoop,
    /// 3.14+: the task whose step runs.
    pub running_task: Option<u64>,
    /// 3.14+: head of the list of tasks.
    pub tasks_head: Option<u64>,
}

/// How a thread state leads to its innermost frame.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CurrentFrame {
    Field(u64),
    /// 3.11, 3.12: through a `_PyCFrame` on the C stack.
    Through {
        cframe: u64,
        frame: u64,
    },
}

/// Where the running event loop of a thread is noted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RunningLoop {
    /// 3.9–3.12: in the thread's dict, key `__asyncio_running_event_loop__`. Up to 3.11 wrapped in a
    /// `_RunningLoopHolder {loop, pid}`.
    InDict {
        dict: u64,
        wrapped: bool,
    },
    Field(u64),
}

/// `PyTypeObject` and `PyHeapTypeObject`.
#[derive(Clone, Debug)]
pub(crate) struct TypeObject {
    pub name: u64,
    pub basicsize: u64,
    pub flags: u64,
    pub weaklistoffset: u64,
    pub base: u64,
    pub dict: u64,
    pub dictoffset: u64,
    pub qualname: u64,
    /// 3.11+: the keys that instances share.
    pub cached_keys: Option<u64>,
}

/// `PyASCIIObject` and its longer kin.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub ascii_size: u64,
    pub compact_size: u64,
    /// Where a text that is not compact (3.9–3.11 only) keeps its pointer.
    pub data: u64,
}

/// `PyLongObject`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Long {
    /// 3.9–3.11: `ob_size` holds sign and number of digits; digits follow.
    SignedSize,
    /// 3.12+: `lv_tag`.
    Tagged,
}

/// `PySetObject`.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    pub used: u64,
    pub mask: u64,
    pub table: u64,
}

/// `PyDictObject` with its keys object.
#[derive(Clone, Debug)]
pub(crate) struct Dict {
    pub used: u64,
    pub keys: u64,
    pub values: u64,
    pub shape: DictKeys,
    /// Where the pointers of a split dict's values begin.
    pub values_start: u64,
}

/// `PyDictKeysObject`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DictKeys {
    /// 3.9, 3.10: `dk_size` slots of index, 24-byte entries.
    Sized,
    /// 3.11+: logarithms, and 16-byte entries where all keys are text.
    Logarithmic,
}

/// Where an instance keeps its attributes when its type says "managed".
#[derive(Clone, Copy, Debug)]
pub(crate) enum Attributes {
    /// 3.9, 3.10: always a dict at `tp_dictoffset`.
    DictOffset,
    /// 3.11: dict at −24, else values at −32.
    TwoSlots,
    /// 3.12: dict or tagged values at −24.
    TaggedSlot,
    /// 3.13+: dict at −24, else values behind the instance.
    Inline,
}

/// `dequeobject`.
#[derive(Clone, Debug)]
pub(crate) struct Deque {
    pub leftblock: u64,
    pub leftindex: u64,
}

/// `PyFunctionObject`.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub code: u64,
    pub qualname: u64,
    pub closure: u64,
}

/// `PyCodeObject`.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub firstlineno: u64,
    /// `co_argcount`; `co_kwonlyargcount` is 8 bytes on.
    pub argcount: u64,
    pub stacksize: u64,
    pub flags: u64,
    pub names: u64,
    pub variables: Variables,
    pub filename: u64,
    pub name: u64,
    /// 3.11+.
    pub qualname: Option<u64>,
    pub linetable: u64,
    pub lines: LineTable,
    pub bytecode: Bytecode,
    pub blocks: Blocks,
    /// A `with` block's handler begins with this …
    pub with_except_start: u8,
    /// … or, where this is given, with this and then that.
    pub push_exc_info: Option<u8>,
    /// Opcodes from here on are written over others while code is traced.
    pub min_instrumented: u8,
    /// How many value-stack slots a `with` block's exit takes: 1 (a bound method) or 2 (function, self).
    pub exit_slots: u32,
}

/// Where the names of local variables are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Variables {
    /// 3.9, 3.10: three tuples.
    Three { nlocals: u64, varnames: u64, cellvars: u64, freevars: u64 },
    /// 3.11+: one tuple and a byte of kind for each.
    One { count: u64, names: u64, kinds: u64 },
}

/// The encoding of line numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LineTable {
    /// 3.9: `co_lnotab`, Objects/lnotab_notes.txt.
    Lnotab,
    /// 3.10: PEP 626.
    Pep626,
    /// 3.11+: Objects/locations.md.
    Locations,
}

/// Where the instructions are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bytecode {
    /// 3.9, 3.10: a `bytes` object.
    Bytes(u64),
    /// 3.11+: behind the code object.
    Inline(u64),
}

/// How a frame's active blocks are known.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Blocks {
    /// 3.9, 3.10: a block stack in the frame; `SETUP_FINALLY`'s number, those of `SETUP_WITH` and
    /// `SETUP_ASYNC_WITH`, and how many bytes one of their argument is.
    Stack { setup_finally: i32, setup_with: [u8; 2], jump_unit: u32 },
    /// 3.11+: Objects/exception_handling_notes.txt.
    Table { exceptiontable: u64 },
}

/// Frames.
#[derive(Clone, Debug)]
pub(crate) struct Frames {
    pub code: u64,
    pub previous: u64,
    pub localsplus: u64,
    pub globals: u64,
    pub instruction: Instruction,
    pub stack: StackTop,
    /// 3.12+: who owns a frame; frames with an owner of at least this are not Python's.
    pub owner: Option<(u64, u8)>,
    /// 3.9, 3.10: `f_iblock`, `f_blockstack`.
    pub blocks: Option<(u64, u64)>,
    /// 3.9, 3.10: `f_gen`.
    pub generator: Option<u64>,
    /// 3.10: `f_state`.
    pub state: Option<u64>,
    /// 3.14+: slots and the code pointer carry tags in their two lowest bits.
    pub tagged: bool,
}

/// How a frame notes where it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Instruction {
    /// 3.9: index in bytes.
    ByteIndex(u64),
    /// 3.10: index in 2-byte units.
    UnitIndex(u64),
    /// 3.11+: a pointer.
    Pointer(u64),
}

/// How a suspended frame notes the top of its value stack.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StackTop {
    /// 3.9, 3.14+: a pointer behind the last slot.
    Pointer(u64),
    /// 3.10: the number of slots.
    Depth(u64),
    /// 3.11–3.13: the number of slots, locals included.
    Index(u64),
}

/// Generators, coroutines and async generators.
#[derive(Clone, Debug)]
pub(crate) struct Generator {
    pub qualname: u64,
    /// `exc_value` of `gi_exc_state`: the exception that it was handling when it was suspended.
    pub handled: u64,
    pub frame: GeneratorFrame,
    pub state: GeneratorState,
    /// The awaited object is this many slots below the top of the stack.
    pub awaited_slot: u64,
}

/// Where a generator's frame is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum GeneratorFrame {
    Pointer(u64),
    Embedded(u64),
}

/// How a generator's state is known.
#[derive(Clone, Copy, Debug)]
pub(crate) enum GeneratorState {
    /// 3.9: `gi_running`, `f_lasti`, and whether the next opcode is `YIELD_FROM`.
    Running { running: u64, yield_from: u8 },
    /// 3.10: the frame's `f_state`; then as in 3.9.
    FrameState { yield_from: u8 },
    /// 3.11, 3.12: `gi_frame_state`; awaiting when the next unit is a `RESUME` with an argument of 2 or more.
    Resume { state: u64, resume: [u8; 2] },
    /// 3.13+: `gi_frame_state` alone.
    Byte { state: u64, created: i8, suspended: i8, awaiting: [i8; 2], executing: i8 },
}

/// `FutureObj`.
#[derive(Clone, Debug)]
pub(crate) struct Future {
    pub event_loop: u64,
    pub callback0: u64,
    pub callbacks: u64,
    pub exception: u64,
    pub source_tb: u64,
    pub state: u64,
    /// Byte and mask of `fut_log_tb`: nobody has asked for its exception yet.
    pub log_traceback: (u64, u8),
    /// 3.14+: `fut_awaited_by` and the byte that tells whether it is a set.
    pub awaited_by: Option<(u64, u64)>,
}

/// `TaskObj`.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub size: u64,
    pub fut_waiter: u64,
    pub coro: u64,
    pub name: u64,
    /// Byte and mask of `task_must_cancel`.
    pub must_cancel: (u64, u8),
    /// 3.11+.
    pub num_cancels: Option<u64>,
    /// 3.14+: `task_node`.
    pub node: Option<u64>,
}
