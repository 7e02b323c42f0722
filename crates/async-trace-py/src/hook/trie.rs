//! Creation stacks, interned: a node is one frame (code object and instruction) below its caller.
//!
//! The same stack is always the same node, so a task needs four bytes to say where it was created,
//! and asking for a stack that was seen before allocates nothing. Nodes that no task stands on are
//! swept when the space runs out. The nodes lie in one block that never moves, which is what a reader
//! outside of the process sees (`block.rs`).

use super::layout::Walk;
use pyo3::ffi;
use std::alloc::{Layout, alloc_zeroed};

/// One frame of a creation stack.
///
/// Part of the memory format that `block.rs` describes.
#[repr(C)]
#[derive(Debug)]
pub struct Node {
    /// The code object (a strong reference); 0 for a node that is not in use.
    pub code: usize,
    /// Position as [`Walk::position`] gives it.
    position: usize,
    /// The caller's node.
    pub parent: u32,
    /// `f_lasti` in bytes.
    pub lasti: i32,
    /// Tasks created exactly here.
    pub created: u64,
    /// Those of them whose task object still exists.
    pub live: u32,
    /// Used while sweeping.
    marked: u32,
}

/// The node of "nothing is known", and the end of every stack.
pub const ROOT: u32 = 0;
/// The end of a stack that was longer than [`MAX_DEPTH`].
pub const CUT: u32 = 1;
const FIRST: u32 = 2;

/// How many nodes there can be. The memory (12 MiB) is touched, and so paid for, only as it is used.
pub const CAPACITY: u32 = 1 << 18;
/// How many frames of a stack are kept.
const MAX_DEPTH: usize = 512;
/// How many frames choose the place in the cache of last seen stacks.
const CACHE_FRAMES: usize = 4;
const CACHE_SIZE: usize = 1 << 11;

/// All stacks.
pub struct Trie {
    nodes: *mut Node,
    used: u32,
    free: Vec<u32>,
    /// Open-addressing table of nodes by (parent, code, position); 0 is an empty place.
    index: Vec<u32>,
    indexed: usize,
    /// Leaves of stacks seen lately, by their innermost frames.
    cache: Box<[u32]>,
    path: Vec<(usize, usize)>,
    /// Tasks whose stack was not kept because there was no space.
    pub dropped: u64,
}

impl Trie {
    /// An empty trie, or nothing when there is no memory for it.
    pub fn new() -> Option<Self> {
        let layout = Layout::array::<Node>(CAPACITY as usize).ok()?;
        // SAFETY: the size is not zero. A zeroed node is a valid, unused node.
        let nodes = unsafe { alloc_zeroed(layout) }.cast::<Node>();
        if nodes.is_null() {
            return None;
        }
        Some(Self {
            nodes,
            used: FIRST,
            free: Vec::new(),
            index: vec![0; 1 << 10],
            indexed: 0,
            cache: vec![ROOT; CACHE_SIZE].into_boxed_slice(),
            path: Vec::with_capacity(MAX_DEPTH),
            dropped: 0,
        })
    }

    /// Where the nodes lie; they never move.
    pub fn base(&self) -> *const Node {
        self.nodes
    }

    /// Nodes below this index have been used.
    pub fn used(&self) -> u32 {
        self.used
    }

    /// A node.
    #[inline(always)]
    pub fn node(&self, index: u32) -> &Node {
        debug_assert!(index < CAPACITY);
        // SAFETY: all indices that exist were given out by this trie and are below CAPACITY.
        unsafe { &*self.nodes.add(index as usize) }
    }

    #[inline(always)]
    fn node_mut(&mut self, index: u32) -> &mut Node {
        debug_assert!(index < CAPACITY);
        // SAFETY: as in `node`; `&mut self` makes it the only reference.
        unsafe { &mut *self.nodes.add(index as usize) }
    }

    /// Notes one more task on `leaf`.
    #[inline]
    pub fn enter(&mut self, leaf: u32) {
        let node = self.node_mut(leaf);
        node.created += 1;
        node.live += 1;
    }

    /// Keeps `leaf` without counting a task.
    pub fn hold(&mut self, leaf: u32) {
        self.node_mut(leaf).live += 1;
    }

    /// Undoes one `enter` or `hold`.
    #[inline]
    pub fn leave(&mut self, leaf: u32) {
        let node = self.node_mut(leaf);
        node.live = node.live.saturating_sub(1);
    }

    /// The node of the calling thread's stack down to the frame `boundary` (0: all of it), and
    /// whether that frame was met.
    ///
    /// # Safety
    /// The GIL is held and `thread` is the calling thread's `PyThreadState`.
    #[inline(always)]
    pub unsafe fn intern<W: Walk>(&mut self, walk: W, thread: usize, boundary: usize) -> (u32, bool) {
        // SAFETY: the caller's promise is the walk's. Frames stay as they are: nothing here runs Python.
        unsafe {
            let first = walk.top(thread);
            if first == 0 {
                return (ROOT, false);
            }
            let mut key = 0_usize;
            let mut frame = first;
            for _ in 0..CACHE_FRAMES {
                key = key.rotate_left(9) ^ walk.position(frame);
                if !W::POSITION_IS_UNIQUE {
                    key ^= walk.code(frame);
                }
                if frame == boundary {
                    break;
                }
                frame = walk.caller(frame);
                if frame == 0 {
                    break;
                }
            }
            let place = scramble(key) & (CACHE_SIZE - 1);
            let candidate = self.cache[place];
            if candidate != ROOT
                && let Some(reached) = self.matches(walk, candidate, first, boundary)
            {
                return (candidate, reached);
            }
            let (leaf, reached) = self.insert_stack(walk, first, boundary);
            self.cache[place] = leaf;
            (leaf, reached)
        }
    }

    /// Whether the stack from `frame` outwards is exactly that of `leaf`; if so, whether it ended at
    /// the boundary. This is what a task costs: a dozen instructions a frame.
    #[inline(always)]
    unsafe fn matches<W: Walk>(&self, walk: W, leaf: u32, mut frame: usize, boundary: usize) -> Option<bool> {
        let mut node = self.node(leaf);
        loop {
            // SAFETY: as in `intern`. Nodes keep their code objects alive, so that an address in one
            // of them cannot come to mean something else.
            unsafe {
                if node.position != walk.position(frame)
                    || (!W::POSITION_IS_UNIQUE && node.code != walk.code(frame))
                {
                    return None;
                }
                if frame == boundary {
                    return (node.parent == ROOT).then_some(true);
                }
                frame = walk.caller(frame);
            }
            if node.parent <= CUT {
                return match (node.parent, frame) {
                    (CUT, _) => Some(true),
                    (_, 0) => Some(false),
                    _ => None,
                };
            }
            if frame == 0 {
                return None;
            }
            node = self.node(node.parent);
        }
    }

    #[cold]
    #[inline(never)]
    unsafe fn insert_stack<W: Walk>(&mut self, walk: W, mut frame: usize, boundary: usize) -> (u32, bool) {
        let mut path = std::mem::take(&mut self.path);
        path.clear();
        let mut reached = false;
        while frame != 0 && path.len() < MAX_DEPTH {
            // SAFETY: as in `intern`.
            unsafe {
                path.push((walk.code(frame), walk.position(frame)));
                reached = frame == boundary;
                frame = if reached { 0 } else { walk.caller(frame) };
            }
        }
        let (mut parent, reached) = if frame == 0 { (ROOT, reached) } else { (CUT, true) };
        for &(code, position) in path.iter().rev() {
            match self.child(parent, code, position) {
                Some(node) => parent = node,
                None if self.has_space() => {
                    parent = self.add(parent, code, position, walk.lasti(code, position));
                }
                None => {
                    self.dropped += 1;
                    parent = ROOT;
                    break;
                }
            }
        }
        self.path = path;
        (parent, reached)
    }

    fn has_space(&self) -> bool {
        self.used < CAPACITY || !self.free.is_empty()
    }

    /// Whether a stack of any depth may not fit any more; [`Self::sweep`] may help.
    #[inline(always)]
    pub fn is_nearly_full(&self) -> bool {
        self.used as usize + MAX_DEPTH >= CAPACITY as usize && self.free.len() < MAX_DEPTH
    }

    fn child(&self, parent: u32, code: usize, position: usize) -> Option<u32> {
        let mask = self.index.len() - 1;
        let mut place = hash(parent, code, position) & mask;
        loop {
            let index = self.index[place];
            if index == 0 {
                return None;
            }
            let node = self.node(index);
            if node.parent == parent && node.code == code && node.position == position {
                return Some(index);
            }
            place = (place + 1) & mask;
        }
    }

    fn add(&mut self, parent: u32, code: usize, position: usize, lasti: i32) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.used += 1;
            self.used - 1
        });
        // SAFETY: a frame of this thread executes it, so it is alive, and the GIL is held.
        unsafe { ffi::Py_IncRef(code as *mut ffi::PyObject) };
        *self.node_mut(index) = Node { code, position, parent, lasti, created: 0, live: 0, marked: 0 };
        if (self.indexed + 1) * 2 > self.index.len() {
            self.rebuild_index(self.index.len() * 2);
        } else {
            self.place_in_index(index);
        }
        index
    }

    fn place_in_index(&mut self, index: u32) {
        let mask = self.index.len() - 1;
        let node = self.node(index);
        let mut place = hash(node.parent, node.code, node.position) & mask;
        while self.index[place] != 0 {
            place = (place + 1) & mask;
        }
        self.index[place] = index;
        self.indexed += 1;
    }

    fn rebuild_index(&mut self, size: usize) {
        self.index = vec![0; size];
        self.indexed = 0;
        for index in FIRST..self.used {
            if self.node(index).code != 0 {
                self.place_in_index(index);
            }
        }
    }

    /// Frees the nodes that no task stands on and returns the code objects they referred to.
    ///
    /// The caller releases those only when the trie is no longer borrowed: releasing one may run
    /// Python code, which may create tasks.
    #[must_use]
    pub fn sweep(&mut self) -> Vec<*mut ffi::PyObject> {
        for index in FIRST..self.used {
            let mut at = index;
            if self.node(at).live == 0 {
                continue;
            }
            while at >= FIRST && self.node(at).marked == 0 {
                self.node_mut(at).marked = 1;
                at = self.node(at).parent;
            }
        }
        let mut released = Vec::new();
        for index in FIRST..self.used {
            let node = self.node_mut(index);
            if node.marked != 0 {
                node.marked = 0;
            } else if node.code != 0 {
                released.push(node.code as *mut ffi::PyObject);
                node.code = 0;
                self.free.push(index);
            }
        }
        self.cache.fill(ROOT);
        self.rebuild_index(self.index.len());
        released
    }
}

fn hash(parent: u32, code: usize, position: usize) -> usize {
    scramble(position.wrapping_add(code.rotate_left(20)) ^ (parent as usize).wrapping_mul(0x9E37_79B9))
}

/// Spreads an address over the low bits (Fibonacci hashing).
#[inline(always)]
fn scramble(key: usize) -> usize {
    let product = (key as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (product >> 40) as usize
}
