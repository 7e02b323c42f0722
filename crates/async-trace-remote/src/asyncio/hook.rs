//! What async-trace's own package keeps in a target that runs with tracing on: where each task was
//! created, and by which task; and operations that were announced and are not over.
//!
//! The format is described where it is written, in `async-trace-py/src/hook/block.rs`. As long as the
//! package is loaded, its native module names the address of the block in `_block`.

use super::walk::{Session, Task, Walked};
use crate::cpython::object::{Read, Reader, Torn, half, word};
use crate::cpython::runtime::{self, Interpreter};
use crate::memory::addr::Addr;
use async_trace_core::frame::FrameKind;
use async_trace_core::snapshot::{Creation, CreationSource, Operation};
use async_trace_core::text::Text;
use rustc_hash::FxHashMap;

const MAGIC: [u8; 8] = *b"AsyncTrc";
const VERSION: u32 = 1;
/// What this version of the block has at least.
const SIZE: u32 = 88;
/// Bytes of a node, and of an operation's fixed part, that are read.
const NODE: usize = 24;
const OPERATION: usize = 40;
/// Nodes 0 and 1 end a stack.
const ENDS: u32 = 2;
/// Bounds on what is hostile or torn.
const MAX_DEPTH: usize = 512;
const MAX_OPERATIONS: u32 = 1 << 16;
const MAX_NAME: u64 = 256;
const MAX_STRIDE: u32 = 4096;

/// Where things lie.
pub(crate) struct Hook {
    nodes: Addr,
    node_size: u32,
    node_capacity: u64,
    record_type: Addr,
    record_node: u32,
    record_parent: u32,
    operations: Addr,
    operation_size: u32,
    operations_used: u32,
}

/// The records of a task.
#[derive(Clone, Copy)]
pub(crate) struct Records {
    own: Addr,
    parent: Addr,
}

impl Hook {
    /// The hook of an interpreter, where there is one.
    pub(crate) fn find(reader: &Reader<'_>, interpreter: Interpreter) -> Read<Option<Self>> {
        let Some(module) = runtime::module(reader, interpreter, "async_trace._core")? else {
            return Ok(None);
        };
        let Some(block) = reader.dict_get(module, "_block")? else { return Ok(None) };
        let block = Addr(reader.uint(block)?);
        let version = reader.u32(block + 8)?;
        if reader.array::<8>(block)? != MAGIC || version != VERSION || reader.u32(block + 12)? < SIZE {
            return Ok(None);
        }
        let hook = Self {
            node_size: reader.u32(block + 20)?,
            nodes: reader.ptr(block + 24)?,
            node_capacity: reader.u64(block + 32)?,
            record_type: reader.ptr(block + 40)?,
            record_node: reader.u32(block + 48)?,
            record_parent: reader.u32(block + 52)?,
            operations: reader.ptr(block + 64)?,
            operation_size: reader.u32(block + 76)?,
            operations_used: reader.u32(block + 80)?.min(MAX_OPERATIONS),
        };
        let sane = |size: u32, least: usize| (least as u32..=MAX_STRIDE).contains(&size);
        let known = sane(hook.node_size, NODE) && sane(hook.operation_size, OPERATION);
        // Before tracing was on for the first time there are no nodes.
        Ok((known && hook.nodes != Addr::NULL).then_some(hook))
    }

    /// Whether an object is a record of this hook.
    pub(crate) fn is_record(&self, reader: &Reader<'_>, object: Addr) -> Read<bool> {
        Ok(reader.type_of(object)?.addr == self.record_type)
    }

    /// Where a task with this record was created; nothing when it is older than tracing.
    pub(crate) fn creation(&self, session: &Session<'_>, record: Addr) -> Read<(Option<Creation>, Records)> {
        let reader = session.reader;
        let parent = reader.ptr(record + u64::from(self.record_parent))?;
        let mut node = reader.u32(record + u64::from(self.record_node))?;
        let mut places = Vec::new();
        while node >= ENDS && places.len() < MAX_DEPTH {
            if u64::from(node) >= self.node_capacity {
                return Err(Torn("a node of a creation stack outside of its table"));
            }
            let bytes = reader.array::<NODE>(self.nodes + u64::from(node) * u64::from(self.node_size))?;
            let (code, lasti) = (word(&bytes), half(&bytes[20..]).cast_signed());
            if code == 0 {
                return Err(Torn("a node of a creation stack that is not in use"));
            }
            let code = reader.code(Addr(code))?;
            places.push(session.places.of_code(reader, &code, lasti, FrameKind::Function, None));
            node = half(&bytes[16..]);
        }
        places.reverse();
        let records = Records { own: record, parent };
        if places.is_empty() {
            return Ok((None, records));
        }
        let stack = session.places.chain(&places);
        Ok((Some(Creation { stack, kept_by: CreationSource::Hook, task: None }), records))
    }

    /// The operations that are not over, by task.
    fn operations(&self, session: &Session<'_>) -> Read<FxHashMap<Addr, Vec<Operation>>> {
        let reader = session.reader;
        let mut found: FxHashMap<Addr, Vec<Operation>> = FxHashMap::default();
        if self.operations == Addr::NULL {
            return Ok(found);
        }
        for index in 0..self.operations_used {
            let entry = self.operations + u64::from(index) * u64::from(self.operation_size);
            let bytes = reader.array::<OPERATION>(entry)?;
            let (sequence, task) = (word(&bytes), word(&bytes[8..]));
            // Odd: it is being changed. 1: outside of any task.
            if sequence % 2 == 1 || task <= 1 {
                continue;
            }
            let began = word(&bytes[16..]) as f64 / 1e9;
            let code = reader.code(Addr(word(&bytes[24..])))?;
            let place = session.places.of_code(
                reader,
                &code,
                half(&bytes[32..]).cast_signed(),
                FrameKind::Function,
                None,
            );
            let name = self.name(reader, entry, u64::from(half(&bytes[36..])))?;
            found.entry(Addr(task)).or_default().push(Operation {
                name,
                age_s: session.now.get().map(|now| (now - began).max(0.0)),
                at: session.places.frame(place),
            });
        }
        Ok(found)
    }

    fn name(&self, reader: &Reader<'_>, entry: Addr, length: u64) -> Read<Text> {
        let room = u64::from(self.operation_size).saturating_sub(OPERATION as u64);
        let length = length.min(room).min(MAX_NAME);
        let bytes = (0..length).map(|at| reader.u8(entry + OPERATION as u64 + at));
        let bytes: Vec<u8> = bytes.collect::<Read<_>>()?;
        Ok(String::from_utf8_lossy(&bytes).as_ref().into())
    }
}

/// Tells tasks which task created them, and which operations of theirs are not over.
pub(crate) fn link(session: &Session<'_>, walked: &mut Walked) {
    let Some(hook) = &walked.hook else { return };
    let mut operations = hook.operations(session).unwrap_or_default();
    if walked.scouting {
        return;
    }
    let owner = |task: &Task| Some((task.rare.as_ref()?.records?.own, task.addr));
    let owners: FxHashMap<Addr, Addr> = walked.tasks.iter().filter_map(owner).collect();
    for task in &mut walked.tasks {
        let operations = operations.remove(&task.addr);
        let rare = match operations {
            Some(_) => Some(task.rare.get_or_insert_default()),
            None => task.rare.as_mut(),
        };
        let Some(rare) = rare else { continue };
        rare.operations = operations.unwrap_or_default();
        if let (Some(created), Some(records)) = (&mut rare.created, rare.records) {
            created.task = owners.get(&records.parent).map(|creator| (*creator).into());
        }
    }
}
