//! Memory that is nothing but noise, in two colours: random words, and a world in which every address is
//! an object of some type that means something to the reader.

use super::{Prepared, still};
use crate::cpython::Version;
use crate::cpython::layout::{self, DictKeys, Layout};
use crate::cpython::locate::Located;
use crate::error::Result;
use crate::memory::Memory;
use crate::memory::pages::Pages;
use crate::process::Identity;
use crate::process::surroundings::{Noted, Surroundings};
use crate::{Limits, Options};
use async_trace_core::Snapshot;
use async_trace_core::snapshot::Source;
use nix::time::{ClockId, clock_gettime};
use proptest::prelude::*;
use rustc_hash::FxHashMap;
use std::path::Path;
use std::time::Duration;

/// Where the fake types lie, each in a page of its own, and the names that they have.
const TYPES: u64 = 0x10_0000_0000;
const NAMES: u64 = 0x20_0000_0000;
/// Where everything else lies that is pointed to.
const OBJECTS: u64 = 0x30_0000_0000;
const RUNTIME: u64 = 0x40_0000_0000;
/// Not an address: where [`Planted`] keeps a number.
const ASCII_SIZE: u64 = 1;
/// The place of `str` in [`KINDS`], and of the first name there that is that of a class.
const STR: u64 = 4;
const BUILT_IN: u64 = 39;

#[rustfmt::skip]
const KINDS: &[&str] = &[
    "NoneType", "bool", "int", "float", "str", "bytes", "tuple", "list", "dict", "set", "collections.deque",
    "weakref.ReferenceType", "coroutine", "generator", "async_generator", "coroutine_wrapper",
    "async_generator_asend", "async_generator_athrow", "anext_awaitable", "_asyncio.FutureIter",
    "_asyncio.Future", "_asyncio.Task", "TaskStepMethWrapper", "TaskWakeupMethWrapper", "method",
    "builtin_function_or_method", "method_descriptor", "member_descriptor", "function", "functools.partial",
    "cell", "module", "type", "code", "frame", "_thread.lock", "_thread.RLock", "_RunningLoopHolder",
    "_cython_3_0_11.coroutine", "Lock", "asyncio.locks.Lock", "ConnectionPool", "uvloop.loop.Loop",
    "WeakValueDictionary", "uvloop.loop.UVPoll", "uvloop.loop.Handle", "uvloop.loop.TimerHandle",
    "SimpleQueue", "_GatheringFuture", "AsyncExitStack", "_AsyncGeneratorContextManager", "Timeout",
];

/// Texts that the reader looks for: names of modules, functions, files and attributes.
#[rustfmt::skip]
const TEXTS: &[&str] = &[
    "asyncio.tasks", "_asyncio", "threading", "_active", "_name", "__file__", "self", "fs", "h", "fut", "done",
    "_all_tasks", "_scheduled_tasks", "_eager_tasks", "_current_tasks", "data", "_coro", "_loop", "_state",
    "_callbacks", "_fut_waiter", "_waiters", "_queue", "_getters", "_putters", "_lock", "_tasks", "_children",
    "_exit_callbacks", "gen", "_ready", "_scheduled", "_selector", "_fd_to_key", "_transports", "_protocol",
    "_app_protocol", "_callback", "_args", "_when", "_default_executor", "_work_queue", "_threads", "wait",
    "acquire", "select", "_worker", "run", "asyncio/locks.py", "/lib/asyncio/tasks.py", "threading.py",
];

/// How far objects lie apart.
const STRIDE: u64 = 128;

struct Noise {
    seed: u64,
    /// How many different objects there are: few of them make short circles.
    objects: u64,
    /// Whether words make sense.
    world: bool,
    /// What has to be right, or reading would end before it has begun.
    planted: FxHashMap<u64, u64>,
}

impl Noise {
    fn random(&self, of: u64) -> u64 {
        // splitmix64
        let mut z = self.seed ^ of.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn object(&self, random: u64) -> u64 {
        OBJECTS + random % self.objects * STRIDE
    }

    /// The type of an object: texts and containers are the most frequent, as anywhere.
    fn kind(&self, object: u64) -> u64 {
        let random = self.random(object);
        match random % 8 {
            0 | 1 => STR,
            2 => 6 + random / 8 % 5,
            _ => random / 8 % KINDS.len() as u64,
        }
    }

    fn word(&self, addr: u64) -> u64 {
        if let Some(planted) = self.planted.get(&addr) {
            return *planted;
        }
        let (random, pick) = (self.random(addr), self.random(!addr) % 16);
        if !self.world {
            return random;
        }
        if (NAMES..NAMES + (1 << 20)).contains(&addr) {
            return characters(KINDS.get(((addr - NAMES) / 64) as usize).unwrap_or(&"object"), addr % 64);
        }
        if (TYPES..TYPES + (1 << 20)).contains(&addr) && addr % 4096 == 24 {
            return NAMES + (addr - TYPES) / 4096 * 64;
        }
        let object = addr & !(STRIDE - 1);
        let kind = self.kind(object);
        let text = TEXTS[(self.random(object + 1) % TEXTS.len() as u64) as usize];
        match (addr % STRIDE, pick) {
            (8, _) => TYPES + kind * 4096,
            (16, _) if kind == STR => text.len() as u64,
            // Compact ASCII, of one byte a character.
            (32, _) if kind == STR => 0x64,
            (at, _) if kind == STR && at >= self.planted[&ASCII_SIZE] => {
                characters(text, at - self.planted[&ASCII_SIZE])
            }
            // Sizes are there more often than not.
            (16 | 24, 0..=9) => random % 40,
            (_, 0..=9) => self.object(random),
            (_, 10 | 11) => random % 16,
            (_, 12..=14) => 0,
            _ => random,
        }
    }
}

/// Eight characters of a text.
fn characters(text: &str, from: u64) -> u64 {
    let rest = text.as_bytes().get(from as usize..).unwrap_or_default();
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(rest).for_each(|(byte, character)| *byte = *character);
    u64::from_le_bytes(bytes)
}

/// One interpreter with one thread and some tasks, of which no more is right than that they are tasks.
struct Planted {
    words: FxHashMap<u64, u64>,
    next: u64,
    layout: Layout,
}

impl Planted {
    fn new(minor: u8, tasks: u64) -> Self {
        let layout = layout::for_version(3, minor).expect("a table").clone();
        let mut new = Self { words: FxHashMap::default(), next: RUNTIME + (4 << 24), layout };
        let (interpreter, thread) = (RUNTIME + (1 << 24), RUNTIME + (2 << 24));
        let l = new.layout.clone();
        new.put(ASCII_SIZE, l.text.ascii_size);
        // Types that are built in; the rest of them are classes of whatever sort.
        for kind in 0..BUILT_IN {
            new.put(TYPES + kind * 4096 + l.types.flags, 0);
        }
        new.put(RUNTIME + l.runtime.interpreters_head, interpreter);
        new.put(interpreter + l.interpreter.next, 0);
        new.put(interpreter + l.interpreter.threads_head, thread);
        new.put(thread + l.thread.interp, interpreter);
        new.put(thread + l.thread.next, 0);
        let tasks: Vec<u64> = (0..tasks).map(|_| new.task()).collect();
        let all = new.set(&tasks);
        let globals = new.dict("_all_tasks", all);
        let module = new.object("module");
        new.put(module + l.module_dict, globals);
        let modules = new.dict("asyncio.tasks", module);
        new.put(interpreter + l.interpreter.modules, modules);
        new
    }

    fn put(&mut self, addr: u64, word: u64) {
        self.words.insert(addr, word);
    }

    fn object(&mut self, kind: &str) -> u64 {
        let object = self.next;
        self.next += 4096;
        let kind = KINDS.iter().position(|known| *known == kind).expect("a kind");
        self.put(object + 8, TYPES + kind as u64 * 4096);
        object
    }

    fn task(&mut self) -> u64 {
        let (task, coroutine) = (self.object("_asyncio.Task"), self.object("coroutine"));
        self.put(task + (self.layout.future.state & !7), 0);
        self.put(task + self.layout.task.coro, coroutine);
        let name = self.text("Task-1");
        self.put(task + self.layout.task.name, name);
        task
    }

    fn text(&mut self, text: &str) -> u64 {
        let object = self.object("str");
        self.put(object + 16, text.len() as u64);
        self.put(object + 32, 0x64);
        for at in (0..text.len() as u64).step_by(8) {
            self.put(object + self.layout.text.ascii_size + at, characters(text, at));
        }
        object
    }

    fn set(&mut self, members: &[u64]) -> u64 {
        let (set, table) = (self.object("set"), self.next);
        self.next += 4096;
        let size = members.len().next_power_of_two();
        self.put(set + self.layout.set.mask, size as u64 - 1);
        self.put(set + self.layout.set.used, members.len() as u64);
        self.put(set + self.layout.set.table, table);
        for at in 0..size as u64 {
            self.put(table + 16 * at, members.get(at as usize).copied().unwrap_or(0));
            self.put(table + 16 * at + 8, 1);
        }
        set
    }

    /// A dict with one entry.
    fn dict(&mut self, key: &str, value: u64) -> u64 {
        let (dict, key, keys) = (self.object("dict"), self.text(key), self.next);
        self.next += 4096;
        self.put(dict + self.layout.dict.keys, keys);
        self.put(dict + self.layout.dict.values, 0);
        let entry = match self.layout.dict.shape {
            DictKeys::Sized => {
                self.put(keys + 8, 8);
                self.put(keys + 32, 1);
                keys + 48
            }
            DictKeys::Logarithmic => {
                self.put(keys + 8, 3 << 8);
                self.put(keys + 24, 1);
                keys + 40
            }
        };
        self.put(entry + 8, key);
        self.put(entry + 16, value);
        dict
    }
}

impl Memory for Noise {
    fn read(&self, addr: u64, buf: &mut [u8]) -> usize {
        // Whole words and one page at a time, since noise takes its time; only pages are asked for.
        let size = buf.len().min(4096);
        for (bytes, at) in buf[..size].chunks_mut(8).zip((addr..).step_by(8)) {
            bytes.copy_from_slice(&self.word(at).to_le_bytes()[..bytes.len()]);
        }
        size
    }
}

fn read(noise: Noise, minor: u8, own_offsets: bool, locals: bool) -> Result<Snapshot> {
    let options = Options {
        locals,
        heap: crate::Heap::Walk,
        limits: Limits { copy: 16 << 20, budget: 1 << 20 },
        ..Options::default()
    };
    let target = Prepared {
        source: Source::Image,
        pages: Pages::new(Box::new(noise), options.limits.copy),
        located: Located {
            runtime: RUNTIME,
            version: Version::new(3, minor, 0),
            asyncio_debug: own_offsets.then_some(RUNTIME),
            free_threaded: false,
            debug_offsets: own_offsets.then_some(RUNTIME),
            debug_build: false,
            file: String::new(),
        },
        identity: Identity {
            pid: 1,
            executable: String::new(),
            command: Vec::new(),
            state: 'S',
            uid: 0,
            starttime: 0,
            inner_pid: 0,
            permitted: true,
        },
        os_threads: Vec::new(),
        surroundings: Surroundings::of_dead(Noted::default()),
        time_s: Some(0.0),
        now: Some(0.0),
        problems: Vec::new(),
    };
    let cpu = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock"));
    let begin = cpu();
    let outcome = still(Path::new("noise"), target, &options);
    let took = cpu() - begin;
    assert!(took < Duration::from_secs(20), "{took:?}");
    outcome
}

proptest! {
    #[test]
    fn reading_noise_ends(seed: u64, minor in 9..=15u8, own_offsets: bool) {
        let planted = Planted::new(minor, 1).words;
        let _ = read(Noise { seed, objects: 1, world: false, planted }, minor, own_offsets, true);
    }

    #[test]
    fn reading_a_world_of_random_objects_ends(
        seed: u64,
        objects in prop_oneof![1..8u64, 8..1000u64, 1000..100_000u64],
        minor in 9..=15u8,
        tasks in 1..50u64,
        own_offsets: bool,
        locals: bool,
    ) {
        let planted = Planted::new(minor, tasks).words;
        let outcome = read(Noise { seed, objects, world: true, planted }, minor, own_offsets, locals);
        prop_assert!(own_offsets || outcome.is_ok_and(|snapshot| snapshot.process.asyncio));
    }
}
