//! Frames, running or suspended: where they are, what their locals are, which `with` blocks they are
//! inside of.

use super::code::Code;
use super::layout::{Blocks, Instruction, StackTop};
use super::object::{Kind, Read, Reader, Torn};
use crate::memory::addr::Addr;
use std::rc::Rc;

/// Bound on the depth of a value stack; the compiler's own is smaller.
const MAX_DEPTH: u64 = 4096;

/// A frame of a Python function.
#[derive(Clone)]
pub(crate) struct Frame {
    pub addr: Addr,
    pub code: Rc<Code>,
    /// The current instruction, as an index in bytes.
    pub lasti: i32,
}

/// A `with` or `async with` block whose body a frame is inside of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct With {
    /// The context manager.
    pub manager: Addr,
    /// The index of the block's handler.
    pub handler: u32,
    /// The depth of the value stack in its body: its exit lies just below.
    pub depth: u32,
}

/// What lies in a slot of a frame.
fn untag(reader: &Reader<'_>, slot: u64) -> Addr {
    // 3.14+: `_PyStackRef` (Include/internal/pycore_stackref.h). Two low bits: 3 is a tagged int,
    // 1 is borrowed or immortal, and NULL is 1.
    match (reader.layout.frames.tagged, slot & 3) {
        (false, _) | (true, 0) => Addr(slot),
        (true, 3) => Addr::NULL,
        (true, _) => Addr(slot & !3),
    }
}

impl Frame {
    /// The frame at `addr`.
    pub(crate) fn read(reader: &Reader<'_>, addr: Addr) -> Read<Self> {
        let l = &reader.layout.frames;
        let code = untag(reader, reader.u64(addr + l.code)?);
        let code = reader.code(code)?;
        let lasti = match l.instruction {
            Instruction::ByteIndex(offset) => reader.i32(addr + offset)?,
            Instruction::UnitIndex(offset) => reader.i32(addr + offset)?.saturating_mul(2),
            Instruction::Pointer(offset) => code.index_of(reader.ptr(addr + offset)?),
        };
        Ok(Self { addr, code, lasti })
    }

    /// The frame that called `addr`.
    pub(crate) fn previous(reader: &Reader<'_>, addr: Addr) -> Read<Addr> {
        reader.ptr(addr + reader.layout.frames.previous)
    }

    /// The generator that a running frame belongs to (3.9, 3.10, where only it knows its qualified name).
    pub(crate) fn generator(&self, reader: &Reader<'_>) -> Option<Addr> {
        let offset = reader.layout.frames.generator?;
        reader.ptr(self.addr + offset).ok()?.non_null()
    }

    /// Whether the frame at `addr` is one that the interpreter put there for itself.
    pub(crate) fn is_shim(reader: &Reader<'_>, addr: Addr) -> Read<bool> {
        match reader.layout.frames.owner {
            Some((offset, first)) => Ok(reader.u8(addr + offset)? >= first),
            None => Ok(false),
        }
    }

    fn stack_base(&self, reader: &Reader<'_>) -> Addr {
        self.addr + reader.layout.frames.localsplus + 8 * u64::from(self.code.slots)
    }

    /// How many slots the value stack has while the frame is suspended.
    pub(crate) fn depth(&self, reader: &Reader<'_>) -> Read<u64> {
        let l = &reader.layout.frames;
        let depth = match l.stack {
            StackTop::Pointer(offset) => {
                let top = reader.u64(self.addr + offset)?;
                if top == 0 { 0 } else { top.wrapping_sub(self.stack_base(reader).0) / 8 }
            }
            StackTop::Depth(offset) => u64::try_from(reader.i32(self.addr + offset)?).unwrap_or(0),
            StackTop::Index(offset) => {
                u64::from(reader.u32(self.addr + offset)?).wrapping_sub(u64::from(self.code.slots))
            }
        };
        if depth > MAX_DEPTH { Err(Torn("a stack of impossible depth")) } else { Ok(depth) }
    }

    /// The object in a slot of the value stack, counted from its bottom.
    pub(crate) fn stack_slot(&self, reader: &Reader<'_>, index: u64) -> Read<Addr> {
        Ok(untag(reader, reader.u64(self.stack_base(reader) + 8 * index)?))
    }

    /// What lies in the slots of the value stack, used or left over: for frames that run, whose depth is
    /// not in memory.
    pub(crate) fn live_slots(&self, reader: &Reader<'_>) -> Read<Vec<Addr>> {
        let size = {
            let _constant = reader.mem.constant();
            reader.u32(self.code.addr + reader.layout.code.stacksize)?
        };
        let slots = reader.pointers(self.stack_base(reader), u64::from(size).min(MAX_DEPTH))?;
        Ok(slots.into_iter().map(|slot| untag(reader, slot.0)).collect())
    }

    /// What lies in the slots of its variables, as it lies there.
    pub(crate) fn slots(&self, reader: &Reader<'_>) -> Read<Vec<Addr>> {
        let slots = u64::from(self.code.slots).min(MAX_DEPTH);
        reader.pointers(self.addr + reader.layout.frames.localsplus, slots)
    }

    /// The value of the slot of a local variable; NULL when it is unbound.
    fn local_slot(&self, reader: &Reader<'_>, index: usize) -> Read<Addr> {
        Ok(untag(reader, reader.u64(self.addr + reader.layout.frames.localsplus + 8 * index as u64)?))
    }

    /// Local variables that are bound, by name.
    pub(crate) fn locals(&self, reader: &Reader<'_>) -> Read<Vec<(async_trace_core::text::Text, Addr)>> {
        let variables = self.code.variables(reader)?;
        let mut out = Vec::with_capacity(variables.len());
        for (index, variable) in variables.iter().enumerate() {
            let mut value = self.local_slot(reader, index)?;
            if variable.in_cell && !value.is_null() && reader.kind_of(value)? == Kind::Cell {
                value = reader.cell(value)?;
            }
            if !value.is_null() {
                out.push((variable.name.clone(), value));
            }
        }
        Ok(out)
    }

    /// One local variable.
    pub(crate) fn local(&self, reader: &Reader<'_>, name: &str) -> Read<Option<Addr>> {
        let variables = self.code.variables(reader)?;
        reader.spend_looking(variables.len())?;
        // 3.9 and 3.10 have an argument that is also a cell twice: the cell is the one that lives.
        for (index, variable) in variables.iter().enumerate().rev() {
            if &*variable.name != name {
                continue;
            }
            let mut value = self.local_slot(reader, index)?;
            if variable.in_cell && !value.is_null() && reader.kind_of(value)? == Kind::Cell {
                value = reader.cell(value)?;
            }
            if !value.is_null() {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// A local variable that has to be there.
    pub(crate) fn need_local(&self, reader: &Reader<'_>, name: &str) -> Read<Addr> {
        self.local(reader, name)?.ok_or(Torn("a local variable that is missing"))
    }

    /// The module's globals.
    pub(crate) fn globals(&self, reader: &Reader<'_>) -> Read<Addr> {
        Ok(untag(reader, reader.u64(self.addr + reader.layout.frames.globals)?))
    }

    /// The `with` blocks whose body this frame is inside of, outermost first. Works on running frames
    /// too: the slots are in memory at the place that the code tells.
    pub(crate) fn withs(&self, reader: &Reader<'_>) -> Read<Vec<With>> {
        let mut out = Vec::new();
        match (reader.layout.code.blocks, reader.layout.frames.blocks) {
            (Blocks::Stack { setup_finally, .. }, Some((count, stack))) => {
                // PyTryBlock {type, handler, level}, Include/cpython/frameobject.h; CO_MAXBLOCKS is 20.
                let count = reader.u32(self.addr + count)?.min(20);
                for i in 0..u64::from(count) {
                    let block: [u8; 12] = reader.array(self.addr + stack + 12 * i)?;
                    let number = |at: usize| {
                        i32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
                    };
                    let (kind, handler, level) = (number(0), number(4), number(8));
                    let unit = match reader.layout.frames.instruction {
                        Instruction::UnitIndex(_) => 2,
                        _ => 1,
                    };
                    let target = u32::try_from(handler).unwrap_or(u32::MAX).saturating_mul(unit);
                    if kind == setup_finally && self.code.is_with_handler(reader, target)? {
                        self.add_with(reader, u32::try_from(level).unwrap_or(0), target, &mut out)?;
                    }
                }
            }
            _ => {
                for with in self.code.active_withs(reader, self.lasti)?.iter().rev() {
                    self.add_with(reader, with.depth, with.handler, &mut out)?;
                }
            }
        }
        Ok(out)
    }

    /// The block whose exit lies just below `depth`.
    fn add_with(&self, reader: &Reader<'_>, depth: u32, handler: u32, out: &mut Vec<With>) -> Read<()> {
        let slots = reader.layout.code.exit_slots;
        let Some(bottom) = depth.checked_sub(slots) else { return Ok(()) };
        let exit = self.stack_slot(reader, u64::from(bottom))?;
        if exit.is_null() {
            return Err(Torn("a with block without its exit"));
        }
        let manager = if slots == 2 { self.stack_slot(reader, u64::from(bottom) + 1)? } else { Addr::NULL };
        // A bound method, of Python or C, keeps its object; a plain function has it beside it.
        let manager = match reader.kind_of(exit)? {
            Kind::Method | Kind::Builtin => reader.method(exit)?.1,
            _ if !manager.is_null() => manager,
            // `method-wrapper` {head, descriptor, self}.
            _ if reader.type_of(exit)?.short_name() == "method-wrapper" => reader.ptr(exit + 24)?,
            _ => return Ok(()),
        };
        out.push(With { manager, handler, depth });
        Ok(())
    }
}
