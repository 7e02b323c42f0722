//! Code objects: whose code it is, which line an instruction belongs to, and which `with` blocks
//! are active there.

use super::layout::{Blocks, Bytecode, LineTable, Variables};
use super::object::{Read, Reader, Torn};
use crate::memory::addr::Addr;
use async_trace_core::text::Text;
use rustc_hash::FxHashMap;
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

/// Objects/codeobject.c refuses more; a frame is never larger.
const MAX_SLOTS: u32 = 1 << 16;
/// Bound on the nesting of handlers; the compiler allows 20 blocks in one function (CO_MAXBLOCKS),
/// of which each has a handler for its handler.
const MAX_BLOCKS: usize = 64;

/// `CO_FAST_CELL` and `CO_FAST_FREE`, Include/internal/pycore_code.h.
const CELL: u8 = 0x40;
const FREE: u8 = 0x80;
/// 3.9, 3.10.
const EXTENDED_ARG: u8 = 144;

/// A code object. It never changes, so it is read once.
pub(crate) struct Code {
    pub addr: Addr,
    pub name: Text,
    /// 3.11+; before that the bare name.
    pub qualname: Text,
    pub file: Text,
    pub first_line: u32,
    /// Locals, cells and free variables: the slots before the value stack.
    pub slots: u32,
    line_table: Vec<u8>,
    instructions: Instructions,
    exception_table: Vec<ExceptionEntry>,
    variables: OnceCell<Rc<[Variable]>>,
    active: RefCell<FxHashMap<i32, Rc<[ActiveWith]>>>,
}

/// A local variable's name and where it lives.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub name: Text,
    /// The slot holds a cell, which holds the value.
    pub in_cell: bool,
    /// A variable of an enclosing function.
    pub free: bool,
}

/// Where the instructions start, and on 3.9/3.10 what they are.
enum Instructions {
    Bytes(Vec<u8>),
    At(Addr),
}

#[derive(Clone, Copy, Debug)]
struct ExceptionEntry {
    start: u32,
    end: u32,
    target: u32,
    depth: u32,
}

/// A `with` block that is active at an instruction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ActiveWith {
    /// The depth of the value stack at its handler, just below which its exit lies.
    pub depth: u32,
    /// The index of the handler.
    pub handler: u32,
}

/// A line and, where known, the columns of the expression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub line: u32,
    pub columns: Option<(u32, u32)>,
}

impl Code {
    pub(crate) fn read(reader: &Reader<'_>, addr: Addr) -> Read<Self> {
        let l = &reader.layout.code;
        let name = reader.text(reader.ptr(addr + l.name)?)?;
        let qualname = match l.qualname {
            Some(offset) => reader.text(reader.ptr(addr + offset)?)?,
            None => name.clone(),
        };
        let file = reader.text(reader.ptr(addr + l.filename)?)?;
        let slots = match l.variables {
            Variables::One { count, .. } => reader.u32(addr + count)?,
            Variables::Three { nlocals, cellvars, freevars, .. } => {
                let cells = reader.size(reader.ptr(addr + cellvars)?)?;
                let frees = reader.size(reader.ptr(addr + freevars)?)?;
                u32::try_from(u64::from(reader.u32(addr + nlocals)?) + cells + frees).unwrap_or(u32::MAX)
            }
        };
        if slots > MAX_SLOTS {
            return Err(Torn("a function of impossible size"));
        }
        let instructions = match l.bytecode {
            Bytecode::Bytes(offset) => Instructions::Bytes(reader.bytes(reader.ptr(addr + offset)?)?),
            Bytecode::Inline(offset) => Instructions::At(addr + offset),
        };
        let exception_table = match l.blocks {
            Blocks::Table { exceptiontable } => {
                parse_exception_table(&reader.bytes(reader.ptr(addr + exceptiontable)?)?)
            }
            Blocks::Stack { .. } => Vec::new(),
        };
        Ok(Self {
            addr,
            name,
            qualname,
            file,
            first_line: reader.u32(addr + l.firstlineno)?,
            slots,
            line_table: reader.bytes(reader.ptr(addr + l.linetable)?)?,
            instructions,
            exception_table,
            variables: OnceCell::new(),
            active: RefCell::default(),
        })
    }

    /// The index in bytes of the instruction that `pointer` (3.11+) points to.
    pub(crate) fn index_of(&self, pointer: Addr) -> i32 {
        match self.instructions {
            Instructions::At(start) => {
                i32::try_from(pointer.0.wrapping_sub(start.0).cast_signed()).unwrap_or(i32::MAX)
            }
            Instructions::Bytes(_) => 0,
        }
    }

    /// The code unit (opcode, argument) at an index in bytes.
    pub(crate) fn unit(&self, reader: &Reader<'_>, index: i32) -> Read<[u8; 2]> {
        let _constant = reader.mem.constant();
        let Ok(index) = usize::try_from(index) else { return Err(Torn("an instruction before the first")) };
        match &self.instructions {
            Instructions::Bytes(bytes) => match bytes.get(index..index + 2) {
                Some(unit) => Ok([unit[0], unit[1]]),
                None => Err(Torn("an instruction behind the last")),
            },
            Instructions::At(start) => reader.array(*start + index as u64),
        }
    }

    /// The position of the instruction at `lasti` (in bytes).
    pub(crate) fn position(&self, reader: &Reader<'_>, lasti: i32) -> Position {
        // Not begun: the line of the `def`.
        if lasti < 0 {
            return Position { line: self.first_line, columns: None };
        }
        if reader.spend_looking(self.line_table.len()).is_err() {
            return Position::default();
        }
        let lasti = i64::from(lasti);
        let first = i64::from(self.first_line);
        let (line, columns) = match reader.layout.code.lines {
            LineTable::Lnotab => (lnotab_line(&self.line_table, first, lasti), None),
            LineTable::Pep626 => (pep626_line(&self.line_table, first, lasti), None),
            LineTable::Locations => location(&self.line_table, first, lasti),
        };
        Position { line: line.and_then(|line| u32::try_from(line).ok()).unwrap_or(0), columns }
    }

    /// How many of the variables are parameters: they come first.
    pub(crate) fn parameters(&self, reader: &Reader<'_>) -> Read<usize> {
        /// `CO_VARARGS` and `CO_VARKEYWORDS`: one more for each.
        const MORE: u32 = 0x4 | 0x8;
        let _constant = reader.mem.constant();
        let l = &reader.layout.code;
        let count =
            reader.u32(self.addr + l.argcount)?.saturating_add(reader.u32(self.addr + l.argcount + 8)?);
        let more = (reader.u32(self.addr + l.flags)? & MORE).count_ones();
        Ok(count.saturating_add(more) as usize)
    }

    /// Names of the slots before the value stack, in order.
    pub(crate) fn variables(&self, reader: &Reader<'_>) -> Read<Rc<[Variable]>> {
        let _constant = reader.mem.constant();
        if let Some(known) = self.variables.get() {
            return Ok(known.clone());
        }
        let mut out = Vec::new();
        match reader.layout.code.variables {
            Variables::One { names, kinds, .. } => {
                let names = reader.tuple(reader.ptr(self.addr + names)?)?;
                let kinds = reader.bytes(reader.ptr(self.addr + kinds)?)?;
                for (name, kind) in names.into_iter().zip(kinds) {
                    out.push(Variable {
                        name: reader.text(name)?,
                        in_cell: kind & (CELL | FREE) != 0,
                        free: kind & FREE != 0,
                    });
                }
            }
            Variables::Three { varnames, cellvars, freevars, .. } => {
                for (tuple, in_cell, free) in
                    [(varnames, false, false), (cellvars, true, false), (freevars, true, true)]
                {
                    for name in reader.tuple(reader.ptr(self.addr + tuple)?)? {
                        out.push(Variable { name: reader.text(name)?, in_cell, free });
                    }
                }
            }
        }
        let out: Rc<[_]> = out.into();
        Ok(self.variables.get_or_init(|| out).clone())
    }

    /// The globals and attributes that the function mentions.
    pub(crate) fn mentioned(&self, reader: &Reader<'_>) -> Read<Vec<Text>> {
        let _constant = reader.mem.constant();
        let names = reader.tuple(reader.ptr(self.addr + reader.layout.code.names)?)?;
        names.into_iter().map(|name| reader.text(name)).collect()
    }

    /// Whether the function mentions the global or attribute `name`.
    pub(crate) fn mentions(&self, reader: &Reader<'_>, name: &str) -> Read<bool> {
        Ok(self.mentioned(reader)?.iter().any(|mentioned| &**mentioned == name))
    }

    /// The `with` blocks that are active at `lasti`, innermost first (3.11+, from the exception table).
    ///
    /// The slot alone would not prove anything: a task that waits in `__aenter__` has it too. A handler
    /// that begins with `WITH_EXCEPT_START` covers the body and nothing else.
    pub(crate) fn active_withs(&self, reader: &Reader<'_>, lasti: i32) -> Read<Rc<[ActiveWith]>> {
        let _constant = reader.mem.constant();
        if let Some(known) = self.active.borrow().get(&lasti) {
            return Ok(known.clone());
        }
        let mut out = Vec::new();
        let mut at = u32::try_from(lasti).unwrap_or(u32::MAX);
        let mut seen = Vec::new();
        reader.spend_looking(self.exception_table.len())?;
        while let Some(entry) = self.exception_table.iter().rfind(|e| e.start <= at && at < e.end) {
            if seen.contains(&entry.target) || seen.len() >= MAX_BLOCKS {
                break;
            }
            seen.push(entry.target);
            reader.spend_looking(self.exception_table.len())?;
            if self.is_with_handler(reader, entry.target)? {
                out.push(ActiveWith { depth: entry.depth, handler: entry.target });
            }
            at = entry.target;
        }
        let out: Rc<[_]> = out.into();
        self.active.borrow_mut().insert(lasti, out.clone());
        Ok(out)
    }

    /// The line of the `with` statement whose handler is at this index; 0 where it is not known.
    pub(crate) fn with_line(&self, reader: &Reader<'_>, handler: u32) -> Read<u32> {
        let Blocks::Stack { setup_with, jump_unit, .. } = reader.layout.code.blocks else {
            // The compiler gives the handler the line of the statement.
            return Ok(i32::try_from(handler).map_or(0, |handler| self.position(reader, handler).line));
        };
        // 3.9 gives it the line before it. The instruction that has set up the block leads to it.
        let _constant = reader.mem.constant();
        let mut argument = 0_u32;
        for at in (0..handler).step_by(2) {
            let index = i32::try_from(at).map_err(|_| Torn("code without an end"))?;
            let [opcode, low] = self.unit(reader, index)?;
            argument = argument << 8 | u32::from(low);
            if opcode == EXTENDED_ARG {
                continue;
            }
            if setup_with.contains(&opcode) && at + 2 + argument.saturating_mul(jump_unit) == handler {
                return Ok(self.position(reader, index).line);
            }
            argument = 0;
        }
        Ok(0)
    }

    /// Whether the handler at this index is that of a `with` block.
    pub(crate) fn is_with_handler(&self, reader: &Reader<'_>, target: u32) -> Read<bool> {
        let l = &reader.layout.code;
        let Ok(target) = i32::try_from(target) else { return Ok(false) };
        let first = self.unit(reader, target)?[0];
        match l.push_exc_info {
            None => Ok(first == l.with_except_start),
            // Line tracing writes its own opcode over the first unit (and only over that).
            Some(push) => Ok((first == push || first >= l.min_instrumented)
                && self.unit(reader, target.saturating_add(2))?[0] == l.with_except_start),
        }
    }
}

/// Objects/lnotab_notes.txt (3.9): pairs of unsigned byte increments of the address and signed ones
/// of the line.
fn lnotab_line(table: &[u8], first: i64, lasti: i64) -> Option<i64> {
    let (mut addr, mut line) = (0, first);
    for pair in table.chunks_exact(2) {
        addr += i64::from(pair[0]);
        if addr > lasti {
            break;
        }
        line += i64::from(pair[1].cast_signed());
    }
    Some(line)
}

/// Objects/lnotab_notes.txt (3.10): ranges with a signed increment of the line; −128 is "no line".
fn pep626_line(table: &[u8], first: i64, lasti: i64) -> Option<i64> {
    let (mut end, mut line) = (0, first);
    for pair in table.chunks_exact(2) {
        let start = end;
        end += i64::from(pair[0]);
        let delta = pair[1].cast_signed();
        if delta != i8::MIN {
            line += i64::from(delta);
        }
        if start <= lasti && lasti < end {
            return (delta != i8::MIN).then_some(line);
        }
    }
    None
}

/// Objects/locations.md (3.11+).
fn location(table: &[u8], first: i64, lasti: i64) -> (Option<i64>, Option<(u32, u32)>) {
    let mut bytes = table.iter().copied();
    let (mut addr, mut line) = (0, first);
    while let Some(head) = bytes.next() {
        let code = head >> 3 & 15;
        let end = addr + 2 * (i64::from(head & 7) + 1);
        let mut columns = None;
        let mut known = true;
        match code {
            15 => known = false,
            14 => {
                line += signed_varint(&mut bytes);
                let end_line = varint(&mut bytes);
                let (start, stop) = (varint(&mut bytes), varint(&mut bytes));
                if end_line == 0 && start > 0 && stop > 0 {
                    columns = Some((start - 1, stop - 1));
                }
            }
            13 => line += signed_varint(&mut bytes),
            10..=12 => {
                line += i64::from(code) - 10;
                columns = bytes.next().map(u32::from).zip(bytes.next().map(u32::from));
            }
            _ => {
                let second = bytes.next().map_or(0, u32::from);
                let start = u32::from(code) * 8 + (second >> 4);
                columns = Some((start, start + (second & 15)));
            }
        }
        if addr <= lasti && lasti < end {
            return if known { (Some(line), columns) } else { (None, None) };
        }
        addr = end;
    }
    (None, None)
}

fn varint(bytes: &mut impl Iterator<Item = u8>) -> u32 {
    let (mut value, mut shift) = (0u32, 0);
    for byte in bytes {
        value |= u32::from(byte & 63).checked_shl(shift).unwrap_or(0);
        shift += 6;
        if byte & 64 == 0 {
            break;
        }
    }
    value
}

fn signed_varint(bytes: &mut impl Iterator<Item = u8>) -> i64 {
    let value = i64::from(varint(bytes));
    if value & 1 == 1 { -(value >> 1) } else { value >> 1 }
}

/// Objects/exception_handling_notes.txt (3.11+): start, length, target and depth, in 6-bit groups
/// with the most significant first, in units of two bytes.
fn parse_exception_table(table: &[u8]) -> Vec<ExceptionEntry> {
    let mut bytes = table.iter().copied().peekable();
    let mut out = Vec::new();
    let mut number = || -> Option<u32> {
        let mut value = 0u32;
        loop {
            let byte = bytes.next()?;
            value = value << 6 | u32::from(byte & 63);
            if byte & 64 == 0 {
                return Some(value);
            }
        }
    };
    while let (Some(start), Some(length), Some(target), Some(depth)) =
        (number(), number(), number(), number())
    {
        let start = start.wrapping_mul(2);
        out.push(ExceptionEntry {
            start,
            end: start.saturating_add(length.wrapping_mul(2)),
            target: target.wrapping_mul(2),
            depth: depth >> 1,
        });
    }
    out
}
