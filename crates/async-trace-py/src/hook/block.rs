//! What readers outside of the process find: one static block of memory, in the ELF section
//! `.AsyncTrace` of `_core.abi3.so` (also the exported symbol `_AsyncTrace`; `async_trace._core._block`
//! is its address).
//!
//! All words are native. A reader checks `magic` and `version`, and that `size` is at least what it
//! knows; new fields are only added at the end.
//!
//! * **Where a task was created.** A task's `_source_traceback` slot (`source_traceback` bytes into
//!   it) points to an object whose type is `record_type`: `record_node` bytes into it lies the `u32`
//!   index of a node, `record_parent` bytes into it the record of the creating task, or null.
//! * **A node** is `node_size` bytes at `nodes + index * node_size`: code object (0: unused),
//!   position, `u32` index of the calling frame's node, `i32` `f_lasti` in bytes, `u64` tasks created
//!   here, `u32` of them alive. Index 0 ends a stack, index 1 ends one that was too deep.
//! * **Pending operations** (`debug_before_await`): `operations_used` entries of `operation_size`
//!   bytes at `operations`, see [`Operation`](super::operations::Operation). An entry whose task is 0
//!   is free.
//!
//! A reader that does not stop the process may see an entry half-written: it reads `sequence` of an
//! entry before and after, and skips it when it is odd or has changed.

use super::operations::{self, Operation};
use super::record::{NODE_OFFSET, PARENT_OFFSET};
use super::state;
use super::trie::{CAPACITY, Node};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// The block; see the module's text.
#[repr(C)]
pub struct Block {
    /// `AsyncTrc`.
    magic: [u8; 8],
    /// Of this format.
    version: u32,
    /// Of this block, in bytes.
    size: u32,
    /// Whether tracing is on now.
    enabled: AtomicU32,
    /// Bytes of a node.
    node_size: u32,
    /// Address of node 0; 0 until tracing has been on.
    nodes: AtomicUsize,
    /// How many nodes there can be.
    node_capacity: u64,
    /// Address of the type of records.
    record_type: AtomicUsize,
    /// Offset of the node's index in a record.
    record_node: u32,
    /// Offset of the parent's record in a record.
    record_parent: u32,
    /// Offset of the slot in a task.
    source_traceback: AtomicU64,
    /// Address of the first operation; 0 while there has been none.
    operations: AtomicUsize,
    /// How many entries there are.
    operation_count: u32,
    /// Bytes of an entry.
    operation_size: u32,
    /// Entries from this one on have never been used.
    operations_used: AtomicU32,
    reserved: u32,
}

/// The block itself.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".AsyncTrace")]
#[used]
#[allow(non_upper_case_globals)]
pub static _AsyncTrace: Block = Block {
    magic: *b"AsyncTrc",
    version: 1,
    size: size_of::<Block>() as u32,
    enabled: AtomicU32::new(0),
    node_size: size_of::<Node>() as u32,
    nodes: AtomicUsize::new(0),
    node_capacity: CAPACITY as u64,
    record_type: AtomicUsize::new(0),
    record_node: NODE_OFFSET as u32,
    record_parent: PARENT_OFFSET as u32,
    source_traceback: AtomicU64::new(0),
    operations: AtomicUsize::new(0),
    operation_count: operations::CAPACITY as u32,
    operation_size: size_of::<Operation>() as u32,
    operations_used: AtomicU32::new(0),
    reserved: 0,
};

/// Fills in what is known once the layout has been learnt.
pub fn publish() {
    let Some(state) = state() else { return };
    // SAFETY: the state lives for ever; the GIL is held.
    unsafe {
        _AsyncTrace.record_type.store((*state).record_type as usize, Ordering::Relaxed);
        _AsyncTrace.source_traceback.store((*state).source_traceback as u64, Ordering::Relaxed);
        _AsyncTrace.nodes.store((*state).trie.base() as usize, Ordering::Release);
    }
}

/// Says whether tracing is on.
pub fn set_enabled(on: bool) {
    _AsyncTrace.enabled.store(u32::from(on), Ordering::Release);
}

/// Says how many entries have been used.
pub fn set_operations_used(count: usize) {
    _AsyncTrace.operations_used.store(count as u32, Ordering::Release);
}

/// Where the block lies.
pub fn address() -> usize {
    &raw const _AsyncTrace as usize
}

/// Says where operations lie.
pub fn set_operations(base: *const Operation) {
    _AsyncTrace.operations.store(base as usize, Ordering::Release);
}
