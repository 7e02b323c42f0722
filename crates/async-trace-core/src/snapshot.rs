//! The snapshot: what was true of one process at one moment, in the words that are used everywhere.
//!
//! It is plain data. JSON is a contract ([`SCHEMA`]): fields are only ever added, enums only grow,
//! and a reader must accept both. Objects of the target are named by their address ([`Id`]).

use crate::frame::Frame;
use crate::text::Text;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// The number of this JSON contract.
pub const SCHEMA: u32 = 1;

/// The identity of an object within its process: its address. In JSON a string, `"0x7f3a90c4"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub u64);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // By hand: there are some per task, and `Display` would be half the time of writing them all.
        let mut text = [0; 18];
        let digits = (self.0.checked_ilog2().unwrap_or(0) / 4 + 1) as usize;
        for (place, byte) in text[2..2 + digits].iter_mut().rev().enumerate() {
            *byte = b"0123456789abcdef"[(self.0 >> (4 * place) & 0xf) as usize];
        }
        text[..2].copy_from_slice(b"0x");
        let text = std::str::from_utf8(&text[..2 + digits]).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(text)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.strip_prefix("0x")
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("an id is a string like \"0x7f3a90c4\""))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Id {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^0x[0-9a-f]+$",
            "description": "The identity of an object within its process: its address, in hexadecimal."
        })
    }
}

/// What was true of one process at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Snapshot {
    /// The number of this contract, [`SCHEMA`].
    pub schema: u32,
    /// Which process was read.
    pub process: Process,
    /// How it was read.
    pub capture: Capture,
    /// Its Python threads, the main thread first.
    pub threads: Vec<Thread>,
    /// Its event loops.
    pub loops: Vec<EventLoop>,
    /// Its tasks that are not done, and the done ones that are still referred to by a wait.
    pub tasks: Vec<Task>,
    /// What tasks and threads wait for or hold: locks, queues, pools, executors, …
    pub resources: Vec<Resource>,
    /// Coroutines that were created and never started. Filled only when the heap was walked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coroutines: Vec<UnstartedCoroutine>,
    /// Coroutines that were dropped without ever having been started, as Python has warned. Filled only when
    /// the heap was walked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<DroppedCoroutine>,
    /// What could not be read, in words, beside all that could.
    pub problems: Vec<Problem>,
}

impl Snapshot {
    /// Its tasks that are not done.
    pub fn alive(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter().filter(|task| task.state != TaskState::Done)
    }
}

/// Which process was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Process {
    /// The process id as the reader sees it; 0 where a core file does not tell.
    pub pid: u32,
    /// CPython's version, `3.11.7`; free-threaded builds end in `t`.
    pub python: Text,
    /// The executable's path as the target sees it.
    pub executable: Text,
    /// The command line.
    pub command: Vec<Text>,
    /// Whether asyncio has been imported at all.
    pub asyncio: bool,
}

/// How the snapshot was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Capture {
    /// Where the memory came from.
    pub source: Source,
    /// Whether all of it is of one moment.
    pub consistency: Consistency,
    /// When, in seconds since 1970 UTC; 0 where it is not known.
    pub time_s: f64,
    /// How long the target stood still, in microseconds; absent when it was not paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_us: Option<u64>,
    /// How long reading took in all, in microseconds.
    pub read_us: u64,
    /// How many times the reading was begun anew because the target was in the middle of a change.
    pub retries: u32,
    /// Bytes copied from the target.
    pub bytes_read: u64,
    /// Only threads and loops were looked at: that there are no tasks means nothing. Such a snapshot lies between
    /// two others, and is never shown.
    #[serde(skip)]
    pub glance: bool,
}

/// Where the memory came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Another running process.
    Live,
    /// The process that does the reading.
    Own,
    /// A core file.
    Core,
    /// A recorded memory image.
    Image,
}

/// Whether a snapshot is of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// All that can change was copied while the target stood still.
    Paused,
    /// The pause's budget ran out: what was copied after the release, or while a thread could not be stopped, is
    /// validated, but may be of another moment. A problem says how much.
    PartlyPaused,
    /// The target ran on while it was read; every object was validated on its own.
    Unpaused,
    /// The target does not run: a core file, an image, or a process that stood stopped already.
    Still,
}

/// A thread that runs Python.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Thread {
    /// The kernel's thread id; 0 where it could not be found out.
    pub tid: u32,
    /// `threading`'s name for it, else the kernel's.
    pub name: Text,
    /// The number of its interpreter; 0 is the main one.
    pub interpreter: i64,
    /// What the kernel says the thread does.
    pub state: ThreadState,
    /// The system call the thread is in, where it is in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syscall: Option<Syscall>,
    /// Whether it holds its interpreter's GIL; absent where this is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds_gil: Option<bool>,
    /// Whether it waits for its interpreter's GIL: it sleeps on the lock of the GIL itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits_for_gil: bool,
    /// CPU time it has used, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_us: Option<u64>,
    /// Its Python stack, outermost frame first.
    #[serde(serialize_with = "crate::json::chain")]
    pub stack: Arc<[Frame]>,
    /// The event loop that runs in it.
    #[serde(rename = "loop", default, skip_serializing_if = "Option::is_none")]
    pub event_loop: Option<Id>,
    /// The task whose step it executes right now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Id>,
    /// The executor this thread works for, with the job it is at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// What the thread is blocked on, where this can be said better than by the system call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<WaitsFor>,
    /// What it holds in `with` blocks of its own frames (not of the task it runs).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Hold>,
}

/// What the kernel says a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ThreadState {
    /// On a CPU or waiting for one.
    Running,
    /// Asleep in the kernel, interruptible.
    Sleeping,
    /// Asleep in the kernel, uninterruptible: usually a disk or a network file system.
    Disk,
    /// Stopped by a signal or a debugger.
    Stopped,
    /// Ended.
    Dead,
    /// Not known.
    Unknown,
}

/// A system call in progress.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Syscall {
    /// Its name, `recvfrom`; `syscall 123` where we have no name.
    pub name: Text,
    /// The file descriptor it works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<OpenFile>,
}

/// An open file of the target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OpenFile {
    /// Its descriptor.
    pub fd: i32,
    /// What it is.
    pub kind: FileKind,
    /// This end: `127.0.0.1:8080`, a path, a pipe's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<Text>,
    /// The other end of a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Text>,
    /// The connection's state, `ESTABLISHED`, `CLOSE_WAIT`, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Text>,
    /// What has gone over it. Only `check` asks for that, of connections on which something waits, and where the kernel
    /// tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Box<Traffic>>,
    /// The child process that has the other end of a pipe, where only `check` asked for that, and there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<Box<ChildEnd>>,
}

/// The child process at the other end of a pipe.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChildEnd {
    /// Its process id.
    pub pid: u32,
    /// Its command, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Text>,
    /// What it does.
    pub child: Child,
}

/// What has gone over a TCP connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Traffic {
    /// Bytes that have come in.
    pub received: u64,
    /// Bytes sent that the other end has acknowledged.
    pub sent: u64,
    /// Milliseconds since something came in last, or since it was connected.
    pub received_ms: u64,
    /// Milliseconds since something was sent last, or since it was connected.
    pub sent_ms: u64,
    /// Bytes that wait in the kernel to be sent, or have not been acknowledged yet.
    pub unsent: u64,
    /// Bytes that have come in and that the process has not taken yet.
    pub unread: u64,
}

/// What kind of file a descriptor is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// TCP socket.
    Tcp,
    /// UDP socket.
    Udp,
    /// Unix domain socket.
    Unix,
    /// Another socket.
    Socket,
    /// Pipe or FIFO.
    Pipe,
    /// `epoll`, `eventfd`, `signalfd`, `timerfd`, `inotify`, …
    Event,
    /// File, device or directory.
    File,
    /// Not known.
    #[default]
    Unknown,
}

/// What a worker thread of an executor is at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Job {
    /// The `concurrent.futures` future that the job will complete.
    pub future: Id,
    /// The task that awaits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Id>,
    /// The function it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<Text>,
    /// The executor it belongs to, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<Id>,
}

/// An event loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventLoop {
    /// Its identity.
    pub id: Id,
    /// Its type, `asyncio.unix_events._UnixSelectorEventLoop` or `uvloop.Loop`.
    pub kind: Text,
    /// The thread that runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<u32>,
    /// What it does.
    pub state: LoopState,
    /// The task whose step runs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Id>,
    /// How many callbacks wait to be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<u64>,
    /// The first of those callbacks, in order; bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ready_callbacks: Vec<Callback>,
    /// How many timers are set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timers: Option<u64>,
    /// Seconds until the next timer fires; negative when it is overdue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_timer_s: Option<f64>,
    /// Seconds since the loop last came back from its selector: how long the turn it is in has
    /// lasted. Only while it is busy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_s: Option<f64>,
    /// How many file descriptors it watches (its own wake-up pipe not counted).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched_fds: Option<u64>,
    /// Whether asyncio's debug mode is on.
    pub debug: bool,
    /// Its default executor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<Id>,
}

/// A callback in a loop's queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Callback {
    /// The function's name; `step` or `wakeup` for a task.
    pub function: Text,
    /// The task it will run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Id>,
}

/// What a loop does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LoopState {
    /// Asleep in its selector.
    Idle,
    /// Executes a task's step or a callback.
    Busy,
    /// Exists, but no thread runs it.
    NotRunning,
    /// Closed.
    Closed,
    /// Could not be read.
    Unknown,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Task {
    /// Its identity.
    pub id: Id,
    /// Its name, `Task-7` or the program's own.
    pub name: Text,
    /// Its type where it is not asyncio's own `Task`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_name: Option<Text>,
    /// What it does.
    pub state: TaskState,
    /// How many times `cancel()` was asked for and not yet taken back. Before 3.11 this is 1 while a
    /// cancellation is on its way and 0 otherwise.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cancelling: u32,
    /// Its event loop.
    #[serde(rename = "loop", default, skip_serializing_if = "Option::is_none")]
    pub event_loop: Option<Id>,
    /// The thread that runs its loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<u32>,
    /// Its await chain: from the task's own coroutine to the innermost frame.
    #[serde(serialize_with = "crate::json::chain")]
    pub chain: Arc<[Frame]>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<WaitsFor>,
    /// The tasks that wait for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub awaited_by: Vec<Awaiter>,
    /// What it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Hold>,
    /// Other `with` and `async with` blocks it is inside of, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contexts: Vec<Context>,
    /// Which exception its coroutines were handling when it was suspended; absent where this was
    /// not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handling: Option<Handling>,
    /// The client connection that it serves, where that could be found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Box<Connection>>,
    /// Where it was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Creation>,
    /// Operations that it has announced (`debug_before_await` of the Python package) and that are not
    /// over; only where tracing is on in the target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Operation>,
    /// How a done task ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// A named operation that a program has announced and that is not over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Operation {
    /// What the program calls it; long names are cut.
    pub name: Text,
    /// For how long it has been going on, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_s: Option<f64>,
    /// Where it was announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Frame>,
}

/// Which exception a suspended task is handling: whether it is in an `except` or `finally` block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Handling {
    /// None: it goes its ordinary way.
    Nothing,
    /// One of this type, `CancelledError`; of several the outermost `CancelledError`, else the innermost.
    Exception(Text),
}

/// The client connection that a task serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Connection {
    /// Whether its transport is closed or closing: the client has gone.
    pub closed: bool,
    /// Whether the client has closed the side on which it sends. It may still listen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub half_closed: bool,
    /// Its file, while it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<OpenFile>,
}

/// Who else can get at an object, and so could set it, put into it or complete it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Reach {
    /// How far the search went.
    pub extent: Extent,
    /// Tasks and threads whose frames lead to it, those that only wait for it included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<Holder>,
    /// Everything else that leads to it, in words: `module app: subscribers`, `timer`, `selector (fd 7)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Text>,
    /// What had it and has failed since, where what is left of that leads to it still: most likely who was to
    /// complete it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<Failure>,
    /// Where the program's text has it completed, if no such line can be reached any more, as far as the text tells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<Ended>,
    /// A line that takes a condition to change what it stands for, where no line of the program's text notifies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unnotified: Option<Frame>,
}

impl Reach {
    /// Nobody was found, as far as was searched.
    #[must_use]
    pub fn nobody(extent: Extent) -> Self {
        let (users, others, failed, ended) = Default::default();
        Self { extent, users, others, failed, ended, unnotified: None }
    }

    /// Whether somebody who would have completed what is awaited has failed or ended, or never existed.
    #[must_use]
    pub fn is_bereft(&self) -> bool {
        !self.failed.is_empty() || !self.ended.is_empty() || self.unnotified.is_some()
    }
}

/// A line that would have completed what is awaited, in a function that has ended and that nothing calls again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ended {
    /// The line.
    pub at: Frame,
    /// The only line found that makes a task of the function, or of one that calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Creation>,
    /// That line does not keep the task: it may have failed unseen, or the garbage collector may have taken it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dropped: bool,
}

/// An exception that ended a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Failure {
    /// The exception's type, `ValueError`.
    pub error: Text,
    /// Where it was raised: the innermost frame of the program's own code.
    pub at: Frame,
    /// The task that it has ended, where nobody has asked for its exception yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<FailedTask>,
}

/// A task that has failed, and nobody has looked at how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FailedTask {
    /// Its name.
    pub name: Text,
    /// The outermost function of the program's own code that it was in.
    pub function: Text,
    /// Who created it, where this is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Creation>,
}

/// How far a search for references went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// The frames of tasks and threads, and what lies a few steps behind their variables.
    Frames,
    /// The heap, with gaps: a budget ran out, or objects could not be followed.
    Partial,
    /// The whole heap: who is not listed cannot reach the object.
    Whole,
}

/// A child process that is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Child {
    /// What the kernel says it does; `dead` while it is a zombie.
    pub state: ThreadState,
    /// CPU time that it has used, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_us: Option<u64>,
    /// The system call it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syscall: Option<Syscall>,
    /// Where that is a pipe or socket pair: the target's own end of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub our_end: Option<i32>,
    /// Whether the target's event loop watches that end, so that it reads or writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<bool>,
    /// Whether nobody but tasks that wait for it to end can get at its standard streams, to write, read or close them: then
    /// it waits for ever. False where another task can; absent where this is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abandoned: Option<bool>,
}

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Its step executes right now.
    Running,
    /// Will run when the loop comes to it.
    Ready,
    /// Suspended until something happens.
    Waiting,
    /// Finished, failed or cancelled.
    Done,
}

/// How a done task ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Returned.
    Returned,
    /// Cancelled.
    Cancelled,
    /// Raised: the exception's type.
    Raised(Text),
}

/// How a fact is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Stands in memory as such.
    Read,
    /// Follows from what was read, by a rule that can fail only on code that defeats it.
    Inferred,
    /// Likely. Always shown as a guess.
    Guessed,
}

/// What a task or thread waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WaitsFor {
    /// The thing.
    pub target: Target,
    /// By which call.
    pub verb: Verb,
    /// How this is known.
    pub trust: Trust,
    /// The name by which the waiting line calls the thing, `self._lock`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// The future that stands for this wait, and for no other: by it, two looks at one wait are told from
    /// looks at two. It means nothing later, and is not written down.
    #[serde(skip)]
    pub future: Option<Id>,
    /// A pool, limiter or other object of a library that the thing belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Id>,
    /// Seconds until the nearest timeout around the wait fires; negative when it is overdue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<f64>,
}

/// The thing that is waited for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Target {
    /// Other tasks.
    Tasks {
        /// Those that are not done.
        pending: Vec<Id>,
        /// How many of those that were waited for are done already.
        done: u32,
        /// Whether the first of them to end is enough (`asyncio.wait` with `FIRST_COMPLETED`);
        /// absent where this was not read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        any: Option<bool>,
    },
    /// A lock, queue, event, pool, …: see [`Snapshot::resources`].
    Resource {
        /// Which.
        id: Id,
    },
    /// A point in time.
    Timer {
        /// Seconds left; negative when overdue; absent where the timer was not found.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left_s: Option<f64>,
    },
    /// A file descriptor.
    File {
        /// Which.
        file: OpenFile,
    },
    /// A function in an executor's thread.
    Job {
        /// The `concurrent.futures` future.
        future: Id,
        /// The thread that executes it; absent while it is queued.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thread: Option<u32>,
        /// How many jobs stand before it in the queue.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        queued_behind: Option<u32>,
        /// The function.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        function: Option<Text>,
        /// The executor.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        executor: Option<Id>,
    },
    /// A child process.
    Process {
        /// Its process id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pid: Option<u32>,
        /// Its command, where it could be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<Text>,
        /// What it does itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        child: Option<Box<Child>>,
    },
    /// A future of which no more could be said.
    Future {
        /// Which.
        id: Id,
        /// Its type.
        #[serde(rename = "type")]
        type_name: Text,
        /// Who could complete it; absent where this was not looked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reach: Option<Box<Reach>>,
    },
    /// Nothing: it gave way with a bare `yield` (`asyncio.sleep(0)`).
    Turn,
    /// Something that could not be followed.
    Unknown {
        /// The type of the object the chain ends at.
        #[serde(rename = "type")]
        type_name: Text,
    },
}

/// The call by which something is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// `await x`.
    Await,
    /// `asyncio.gather`.
    Gather,
    /// `asyncio.wait`, `Event.wait`, `Condition.wait`, `Barrier.wait`, `Process.wait`.
    Wait,
    /// `asyncio.wait_for`.
    WaitFor,
    /// `asyncio.shield`.
    Shield,
    /// The end of an `asyncio.TaskGroup`.
    TaskGroup,
    /// `asyncio.as_completed`.
    AsCompleted,
    /// `acquire()` or the start of an `async with`.
    Acquire,
    /// `Queue.get`.
    Get,
    /// `Queue.put`.
    Put,
    /// `Queue.join`, `Thread.join`.
    Join,
    /// `asyncio.sleep`.
    Sleep,
    /// Reading or receiving.
    Read,
    /// Writing or draining.
    Write,
    /// Connecting.
    Connect,
    /// Accepting connections.
    Accept,
    /// A call in another thread.
    Call,
    /// Asking for a library's lock again and again, and sleeping in between.
    Poll,
}

/// Who waits for a task, and by which call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Awaiter {
    /// The waiting task.
    pub task: Id,
    /// By which call.
    pub verb: Verb,
}

/// Something that is held, and where it was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Hold {
    /// What.
    pub resource: Id,
    /// The holding frame: an index into the task's chain or the thread's stack.
    pub frame: u32,
    /// How this is known.
    pub trust: Trust,
    /// The name by which the holding frame calls it, where it could be found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// The line of the `with` that took it, in the holding frame's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_line: Option<u32>,
    /// The suspended generator whose `with` took it, and where that stands: the holding frame goes through what it yields,
    /// or has it in a variable (then it is guessed that it will go on with it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<Frame>,
}

/// A `with` or `async with` block a frame is inside of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Context {
    /// The context manager's type, `asyncpg.transaction.Transaction`; for a
    /// `@contextmanager` function, that function's name.
    #[serde(rename = "type")]
    pub type_name: Text,
    /// The frame: an index into the task's chain.
    pub frame: u32,
    /// The manager itself.
    pub id: Id,
}

/// Where a task or coroutine was created.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Creation {
    /// The stack at that moment, outermost frame first.
    #[serde(serialize_with = "crate::json::chain")]
    pub stack: Arc<[Frame]>,
    /// Who kept it.
    pub kept_by: CreationSource,
    /// The task that created it, where the creator is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Id>,
}

/// Who kept a creation stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CreationSource {
    /// asyncio's debug mode (`PYTHONASYNCIODEBUG=1`).
    DebugMode,
    /// `sys.set_coroutine_origin_tracking_depth`.
    CoroutineOrigin,
    /// async-trace's own hook in the target.
    Hook,
    /// Nobody: it is the only line that calls the function and does not await it (or, for a task, that makes one of it), in
    /// the files of the program that tasks and threads run, and its own.
    SourceText,
}

/// Something that can be waited for or held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Resource {
    /// Its identity.
    pub id: Id,
    /// What it is.
    pub kind: ResourceKind,
    /// Its type, `asyncio.locks.Lock`.
    #[serde(rename = "type")]
    pub type_name: Text,
    /// The name by which a waiting line calls it, `self._lock`; else the one a holder uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// Its state, as far as its kind has one.
    pub state: ResourceState,
    /// Who holds it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<Holder>,
    /// The tasks that wait for it, in its own order where it has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiters: Vec<Id>,
    /// The threads that are blocked on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked_threads: Vec<u32>,
    /// The pool or other object it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Id>,
    /// Who else can get at it; absent where this was not looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<Reach>,
}

impl Resource {
    /// Who could take from a queue, where that was looked for.
    #[must_use]
    pub fn takers(&self) -> Option<&Reach> {
        self.reach.as_ref().filter(|reach| reach.ended.is_empty())
    }
}

/// What a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// `asyncio.Lock`.
    Lock,
    /// `asyncio.Semaphore`, `BoundedSemaphore`.
    Semaphore,
    /// `asyncio.Condition`.
    Condition,
    /// `asyncio.Event`.
    Event,
    /// `asyncio.Barrier`.
    Barrier,
    /// `asyncio.Queue` and its kin.
    Queue,
    /// `threading.Lock`.
    ThreadLock,
    /// `threading.RLock`.
    ThreadRlock,
    /// A connection pool, connector or limiter of a library.
    Pool,
    /// An executor of threads.
    Executor,
    /// Another context manager that is held: a session, a transaction.
    Manager,
}

impl ResourceKind {
    /// Whether it is for one task to tell others that something has happened.
    #[must_use]
    pub fn is_signal(self) -> bool {
        matches!(self, Self::Event | Self::Condition | Self::Barrier)
    }
}

/// The state of a resource; each kind fills what it has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResourceState {
    /// A lock: whether it is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked: Option<bool>,
    /// An event: whether it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<bool>,
    /// A semaphore: free slots. A queue: items in it. A barrier: parties that have come. A pool:
    /// connections it has. An executor: its threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
    /// The most that `size` can be; 0 for an unbounded queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<i64>,
    /// A queue: items fetched whose `task_done()` has not been called, together with those in it.
    /// An executor: jobs in its queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<i64>,
    /// A queue: how many wait in `get()`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub getters: Option<u32>,
    /// A queue: how many wait in `put()`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub putters: Option<u32>,
    /// An executor: threads that are at a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy: Option<u32>,
    /// Numbers and sizes of a library's object, by attribute: `_max_connections`: 2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Detail>,
}

/// A number that an object of a library keeps about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Detail {
    /// The attribute, or `len(attribute)`.
    pub name: Text,
    /// Its value.
    pub value: i64,
}

/// Who holds a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Holder {
    /// The holding task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Id>,
    /// The holding thread, where no task holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<u32>,
    /// The function and line that hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Frame>,
    /// The line of the `with` that took it, in the file of `at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_line: Option<u32>,
    /// How this is known.
    pub trust: Trust,
}

/// A coroutine that was created and never started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UnstartedCoroutine {
    /// Its identity.
    pub id: Id,
    /// Its function, at the line of its `def`.
    pub defined: Frame,
    /// Where it was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Creation>,
    /// Who still refers to it, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_by: Option<Text>,
    /// Whether it seems to wait for its turn: it lies in a queue, or in what a loop of a waiting function goes through; a
    /// waiting function will await it; or one that can see what refers to it is awaiting another coroutine of its kind.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits_its_turn: bool,
    /// A digest of its arguments: it tells apart coroutines that lie at one address one after the other. 0 where it
    /// is not known.
    #[serde(skip)]
    pub arguments: u64,
}

/// A coroutine that was dropped without ever having been started: Python's warning about it, of which each module
/// remembers one for each line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DroppedCoroutine {
    /// The qualified name of its function.
    pub function: Text,
    /// Where it was dropped, which mostly is where it was created.
    pub at: Frame,
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Problem {
    /// A stable word for its kind.
    pub code: ProblemCode,
    /// What, in a sentence.
    pub message: Text,
    /// The task it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Id>,
    /// How many times the same happened.
    pub count: u64,
}

/// The kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// A task's memory could not be read or made no sense.
    TaskUnreadable,
    /// The task list was damaged or changed while it was walked; tasks may be missing.
    TaskListTorn,
    /// A chain ended early.
    ChainTorn,
    /// A thread's stack ended early.
    StackTorn,
    /// A loop's state could not be read.
    LoopUnreadable,
    /// A lock, queue or other resource could not be read.
    ResourceUnreadable,
    /// The search for coroutines that were never started ended early.
    HeapTorn,
    /// The pause's budget ran out; the rest was read while the target ran.
    PauseBudget,
    /// The target could not be paused; it was read while it ran.
    PauseRefused,
    /// A bound on the amount of work was reached; the rest is missing.
    Budget,
    /// The target ended while it was read.
    TargetGone,
    /// A part of the process could not be looked at: descriptors, threads, files.
    ProcessUnreadable,
    /// An interpreter or build that is only partly known.
    PartlySupported,
}

#[cfg(test)]
mod tests {
    use super::Id;

    #[test]
    fn an_id_is_written_as_it_is_shown() {
        for id in [0, 1, 0xf, 0x10, 0x7f3a_90c4, 0x1234_5678_9abc_def0, u64::MAX].map(Id) {
            assert_eq!(serde_json::to_string(&id).ok(), Some(format!("\"{id}\"")));
            assert_eq!(serde_json::from_str(&format!("\"{id}\"")).ok(), Some(id));
        }
    }
}
