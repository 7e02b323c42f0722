//! Numbers, texts, ids and stacks as bytes.
//!
//! A text, an id, a frame or a stack is written in full once. From then on it is a number: the place it
//! took in its table. Writer and reader fill the same tables in the same order.

use super::Wrong;
use crate::frame::Frame;
use crate::snapshot::Id;
use crate::text::Text;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// The most that a reader holds at once of one recording, in bytes: its tables and its newest sample.
const MEMORY: usize = 1 << 30;

/// How a value of the model becomes bytes, and bytes a value.
pub(super) trait Wire: Sized {
    fn write(&self, out: &mut Writer);
    fn read(input: &mut Reader<'_>) -> Result<Self, Wrong>;

    /// The memory that hangs on it and is not in a table, in bytes.
    fn heap(&self) -> usize {
        0
    }
}

/// Bytes in the making, and the numbers of what has been written already.
#[derive(Default)]
pub(super) struct Writer {
    pub bytes: Vec<u8>,
    texts: FxHashMap<Text, u64>,
    ids: FxHashMap<Id, u64>,
    frames: FxHashMap<Frame, u64>,
    stacks: FxHashMap<Arc<[Frame]>, u64>,
    /// The stacks of the snapshot at hand, by address and length: most are met many times.
    met: FxHashMap<(usize, usize), u64>,
}

impl Writer {
    /// Begins the next frame. What was at an address is no longer there.
    pub(super) fn begin(&mut self) {
        self.bytes.clear();
        self.met.clear();
    }

    /// Forgets all numbers.
    pub(super) fn forget(&mut self) {
        *self = Self { bytes: std::mem::take(&mut self.bytes), ..Self::default() };
    }

    /// How many things have numbers.
    pub(super) fn known(&self) -> usize {
        self.texts.len() + self.ids.len() + self.frames.len() + self.stacks.len()
    }

    /// Seven bits a byte, the lowest first.
    pub(super) fn number(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.bytes.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.bytes.push(n as u8);
    }

    fn stack(&mut self, stack: &Arc<[Frame]>) {
        let address = (stack.as_ptr().addr(), stack.len());
        if let Some(n) = self.met.get(&address) {
            return self.number(*n);
        }
        let next = self.stacks.len() as u64;
        let n = *self.stacks.entry(Arc::clone(stack)).or_insert(next);
        self.met.insert(address, n);
        self.number(n);
        if n == next {
            self.number(stack.len() as u64);
            for frame in stack.iter() {
                self.frame(frame);
            }
        }
    }

    fn frame(&mut self, frame: &Frame) {
        if let Some(n) = self.frames.get(frame) {
            return self.number(*n);
        }
        let next = self.frames.len() as u64;
        self.number(next);
        self.frames.insert(frame.clone(), next);
        super::model::write_frame(frame, self);
    }
}

/// Bytes that are read, and what they refer to.
pub(super) struct Reader<'a> {
    pub bytes: &'a [u8],
    pub tables: &'a mut Tables,
    /// How much more memory may be taken.
    pub memory: usize,
}

/// What a reader has met.
#[derive(Default)]
pub(super) struct Tables {
    texts: Vec<Text>,
    ids: Vec<Id>,
    frames: Vec<Frame>,
    stacks: Vec<Arc<[Frame]>>,
    /// How much memory they take.
    taken: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, while `taken` bytes of memory are in use beside the tables.
    pub(super) fn new(bytes: &'a [u8], tables: &'a mut Tables, taken: usize) -> Self {
        let memory = MEMORY.saturating_sub(taken).saturating_sub(tables.taken);
        Self { bytes, tables, memory }
    }

    pub(super) fn number(&mut self) -> Result<u64, Wrong> {
        let mut n = 0_u64;
        for (i, byte) in self.bytes.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            if i == 9 && bits > 1 {
                return Err(Wrong::Number);
            }
            n |= bits << (7 * i);
            if byte & 0x80 == 0 {
                self.bytes = &self.bytes[i + 1..];
                return Ok(n);
            }
        }
        Err(Wrong::Number)
    }

    /// Takes memory, while there is some.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Wrong> {
        self.memory = self.memory.checked_sub(bytes).ok_or(Wrong::TooLarge)?;
        Ok(())
    }

    fn take_for_table(&mut self, bytes: usize) -> Result<(), Wrong> {
        self.tables.taken += bytes;
        self.take(bytes)
    }

    fn slice(&mut self, length: u64) -> Result<&'a [u8], Wrong> {
        let length = usize::try_from(length).map_err(|_| Wrong::Number)?;
        let (slice, rest) = self.bytes.split_at_checked(length).ok_or(Wrong::Short)?;
        self.bytes = rest;
        Ok(slice)
    }

    /// The number of a thing in a table of `known` ones; `None` when it is a new one.
    fn place(&mut self, known: usize) -> Result<Option<usize>, Wrong> {
        match usize::try_from(self.number()?) {
            Ok(n) if n < known => Ok(Some(n)),
            Ok(n) if n == known => Ok(None),
            _ => Err(Wrong::Reference),
        }
    }

    fn stack(&mut self) -> Result<Arc<[Frame]>, Wrong> {
        if let Some(n) = self.place(self.tables.stacks.len())? {
            return Ok(Arc::clone(&self.tables.stacks[n]));
        }
        let length = self.number()?;
        let mut stack = Vec::new();
        for _ in 0..length {
            self.take_for_table(size_of::<Frame>())?;
            stack.push(self.frame()?);
        }
        let stack: Arc<[Frame]> = stack.into();
        self.tables.stacks.push(Arc::clone(&stack));
        Ok(stack)
    }

    fn frame(&mut self) -> Result<Frame, Wrong> {
        if let Some(n) = self.place(self.tables.frames.len())? {
            let frame = &self.tables.frames[n];
            let locals = frame.locals.heap();
            let frame = frame.clone();
            self.take_for_table(locals)?;
            return Ok(frame);
        }
        self.take_for_table(size_of::<Frame>())?;
        let frame = super::model::read_frame(self)?;
        self.tables.frames.push(frame.clone());
        Ok(frame)
    }
}

impl Wire for Text {
    fn write(&self, out: &mut Writer) {
        if let Some(n) = out.texts.get(self) {
            return out.number(*n);
        }
        let next = out.texts.len() as u64;
        out.texts.insert(Self::clone(self), next);
        out.number(next);
        out.number(self.len() as u64);
        out.bytes.extend_from_slice(self.as_bytes());
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Wrong> {
        if let Some(n) = input.place(input.tables.texts.len())? {
            return Ok(Self::clone(&input.tables.texts[n]));
        }
        let length = input.number()?;
        let text = std::str::from_utf8(input.slice(length)?).map_err(|_| Wrong::Text)?;
        input.take_for_table(text.len() + 48)?;
        let text: Self = text.into();
        input.tables.texts.push(Self::clone(&text));
        Ok(text)
    }
}

impl Wire for Id {
    fn write(&self, out: &mut Writer) {
        let next = out.ids.len() as u64;
        let n = *out.ids.entry(*self).or_insert(next);
        out.number(n);
        if n == next {
            out.number(self.0);
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Wrong> {
        if let Some(n) = input.place(input.tables.ids.len())? {
            return Ok(input.tables.ids[n]);
        }
        input.take_for_table(size_of::<Self>())?;
        let id = Self(input.number()?);
        input.tables.ids.push(id);
        Ok(id)
    }
}

impl Wire for Arc<[Frame]> {
    fn write(&self, out: &mut Writer) {
        out.stack(self);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Wrong> {
        input.stack()
    }
}

impl Wire for Frame {
    fn write(&self, out: &mut Writer) {
        out.frame(self);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Wrong> {
        input.frame()
    }
}

impl Wire for bool {
    fn write(&self, out: &mut Writer) {
        out.bytes.push(u8::from(*self));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Wrong> {
        match input.number()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Wrong::Number),
        }
    }
}

impl Wire for u64 {
    fn write(&self, out: &mut Writer) {
        out.number(*self);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Wrong> {
        input.number()
    }
}

/// Small negative numbers are as short as small positive ones.
impl Wire for i64 {
    fn write(&self, out: &mut Writer) {
        out.number(((self << 1) ^ (self >> 63)).cast_unsigned());
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Wrong> {
        let n = input.number()?;
        Ok((n >> 1).cast_signed() ^ -(n & 1).cast_signed())
    }
}

impl Wire for u32 {
    fn write(&self, out: &mut Writer) {
        out.number(u64::from(*self));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Wrong> {
        Self::try_from(input.number()?).map_err(|_| Wrong::Number)
    }
}

impl Wire for i32 {
    fn write(&self, out: &mut Writer) {
        i64::from(*self).write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Wrong> {
        Self::try_from(i64::read(input)?).map_err(|_| Wrong::Number)
    }
}

/// All floats of the model are seconds: they are kept to the microsecond.
impl Wire for f64 {
    fn write(&self, out: &mut Writer) {
        super::times::micros(*self).write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Wrong> {
        Ok(super::times::seconds(i64::read(input)?))
    }
}

impl Wire for (u32, u32) {
    fn write(&self, out: &mut Writer) {
        self.0.write(out);
        self.1.write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Wrong> {
        Ok((u32::read(input)?, u32::read(input)?))
    }
}

impl<T: Wire> Wire for Option<T> {
    fn write(&self, out: &mut Writer) {
        self.is_some().write(out);
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Wrong> {
        Ok(if bool::read(input)? { Some(T::read(input)?) } else { None })
    }

    fn heap(&self) -> usize {
        self.as_ref().map_or(0, T::heap)
    }
}

impl<T: Wire> Wire for Box<T> {
    fn write(&self, out: &mut Writer) {
        T::write(self, out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Wrong> {
        input.take(size_of::<T>())?;
        Ok(Self::new(T::read(input)?))
    }

    fn heap(&self) -> usize {
        size_of::<T>() + T::heap(self)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn write(&self, out: &mut Writer) {
        out.number(self.len() as u64);
        for item in self {
            item.write(out);
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Wrong> {
        let length = input.number()?;
        let mut items = Self::new();
        for _ in 0..length {
            // Twice, as a vector that grows may hold twice what it needs.
            input.take(2 * size_of::<T>())?;
            items.push(T::read(input)?);
        }
        Ok(items)
    }

    fn heap(&self) -> usize {
        self.iter().map(|item| 2 * size_of::<T>() + item.heap()).sum()
    }
}
