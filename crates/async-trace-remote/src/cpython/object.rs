//! CPython's built-in objects, read from a copy of the target's memory.
//!
//! Every number that comes from the target is a claim: sizes are bounded before anything is
//! allocated, and a walk that could be led in circles spends a budget.

use super::code::Code;
use super::layout::{Attributes, DictKeys, Layout, Long};
use crate::memory::addr::Addr;
use crate::memory::pages::{Pages, Unreadable};
use async_trace_core::snapshot::ResourceKind;
use async_trace_core::text::Text;
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Why an object could not be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Torn(pub &'static str);

/// The work that was allowed is done.
pub(crate) const OVER_BUDGET: Torn = Torn("more work than the budget allows");

impl From<Unreadable> for Torn {
    fn from(_: Unreadable) -> Self {
        Self("memory that is not readable")
    }
}

pub(crate) type Read<T> = Result<T, Torn>;

/// The most that is read of one container, text or bytes.
pub(crate) const MAX_ITEMS: u64 = 1 << 22;
const MAX_TABLE: u64 = 1 << 24;
const MAX_TEXT: u64 = 64 * 1024;
const MAX_BYTES: u64 = 1 << 20;
const MAX_BASES: usize = 64;

/// `Py_TPFLAGS_*`, Include/object.h.
const INLINE_VALUES: u64 = 1 << 2;
const MANAGED_DICT: u64 = 1 << 4;
const HEAP_TYPE: u64 = 1 << 9;

/// Names and offsets of `__slots__`.
type Slots = Rc<[(Text, u64)]>;

/// A type of the target.
#[derive(Debug)]
pub(crate) struct Type {
    pub addr: Addr,
    /// `tp_name`: dotted for most built-in types, bare for classes.
    pub name: Text,
    pub kind: Kind,
    pub basicsize: u64,
    pub base: Addr,
    flags: u64,
    dictoffset: i64,
    /// Where an instance has its list of weak references; 0 where it can have none, negative before the object.
    weaklistoffset: i64,
    cached_keys: Addr,
    /// Attributes in `__slots__`, of this type and its bases.
    slots: RefCell<Option<Slots>>,
    module: RefCell<Option<Text>>,
}

impl Type {
    /// The last part of the name.
    pub(crate) fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }
}

impl Type {
    /// Whether it was made at run time, by a `class` statement or by an extension.
    pub(crate) fn is_heap(&self) -> bool {
        self.flags & HEAP_TYPE != 0
    }

    /// Whether its instances have fields that are not attributes: a compiled class.
    pub(crate) fn has_fields_of_c(&self) -> bool {
        self.name.contains('.')
            && self.basicsize > 32
            && self.dictoffset == 0
            && self.flags & MANAGED_DICT == 0
    }
}

/// The types that mean something to this crate. Subclasses are of their base's kind where the
/// base's layout is what counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    None,
    Bool,
    Int,
    Float,
    Str,
    Bytes,
    Tuple,
    List,
    Dict,
    Set,
    Deque,
    /// What a loop goes through a list or tuple with.
    Iterator,
    Weakref,
    Coroutine,
    Generator,
    AsyncGenerator,
    CoroutineWrapper,
    AsyncGenASend,
    AsyncGenAThrow,
    Anext,
    FutureIter,
    Future,
    Task,
    TaskStep,
    TaskWakeup,
    Method,
    Builtin,
    MethodDescriptor,
    MemberDescriptor,
    Function,
    Partial,
    Cell,
    Module,
    Type,
    Code,
    Frame,
    Traceback,
    Exception,
    ThreadLock,
    ThreadRlock,
    RunningLoopHolder,
    CythonCoroutine,
    Other,
}

/// Reads objects of one target.
pub(crate) struct Reader<'t> {
    pub mem: &'t Pages,
    pub layout: &'t Layout,
    pub known: Known,
    /// How many steps the walks may still take.
    pub budget: Cell<u64>,
}

/// What never changes in a target, each read once.
#[derive(Default)]
pub(crate) struct Known {
    types: RefCell<FxHashMap<Addr, Rc<Type>>>,
    texts: RefCell<FxHashMap<Addr, Text>>,
    interned: RefCell<rustc_hash::FxHashSet<Text>>,
    codes: RefCell<FxHashMap<Addr, Rc<Code>>>,
    /// Where an attribute stands among the shared keys of a type.
    key_index: RefCell<FxHashMap<(Addr, &'static str), u32>>,
    /// What instances of a type are as resources; filled by `asyncio::resource`.
    pub resource_kinds: RefCell<FxHashMap<Addr, Option<ResourceKind>>>,
    /// The dicts of modules, by interpreter and name.
    pub modules: RefCell<FxHashMap<(Addr, &'static str), Addr>>,
}

impl Known {
    /// How many texts there are: the names of tasks are among them, and there are ever more of those.
    pub(crate) fn texts(&self) -> usize {
        self.interned.borrow().len()
    }
}

impl<'t> Reader<'t> {
    /// Reads from `mem`; `known` was read from there before.
    pub(crate) fn new(mem: &'t Pages, layout: &'t Layout, known: Known, budget: u64) -> Self {
        Self { mem, layout, known, budget: Cell::new(budget) }
    }

    /// Pays for `n` steps of a walk.
    #[inline]
    pub(crate) fn spend(&self, n: u64) -> Read<()> {
        match self.budget.get().checked_sub(n) {
            Some(left) => {
                self.budget.set(left);
                Ok(())
            }
            None => {
                self.budget.set(0);
                Err(OVER_BUDGET)
            }
        }
    }

    /// Pays for looking through `n` things that were read already: some are looked at in a step.
    #[inline]
    pub(crate) fn spend_looking(&self, n: usize) -> Read<()> {
        self.spend(n as u64 / 8 + 1)
    }

    // ---- plain numbers

    pub(crate) fn array<const N: usize>(&self, addr: Addr) -> Read<[u8; N]> {
        self.spend(1)?;
        Ok(self.mem.array(addr)?)
    }

    pub(crate) fn u64(&self, addr: Addr) -> Read<u64> {
        self.array(addr).map(u64::from_le_bytes)
    }

    /// A pointer.
    pub(crate) fn ptr(&self, addr: Addr) -> Read<Addr> {
        self.array(addr).map(|bytes| Addr(u64::from_le_bytes(bytes)))
    }

    pub(crate) fn i64(&self, addr: Addr) -> Read<i64> {
        self.array(addr).map(i64::from_le_bytes)
    }

    pub(crate) fn u32(&self, addr: Addr) -> Read<u32> {
        self.array(addr).map(u32::from_le_bytes)
    }

    pub(crate) fn i32(&self, addr: Addr) -> Read<i32> {
        self.array(addr).map(i32::from_le_bytes)
    }

    pub(crate) fn u8(&self, addr: Addr) -> Read<u8> {
        self.array::<1>(addr).map(|b| b[0])
    }

    /// `size` bytes from `addr` on. No more is allocated than turns out to be there, and a claim that is
    /// not true costs next to nothing.
    pub(crate) fn block(&self, addr: Addr, size: u64) -> Read<Vec<u8>> {
        const PIECE: usize = 1 << 16;
        let size = usize::try_from(size).map_err(|_| Torn("an impossible size"))?;
        let mut out = vec![0; size.min(PIECE)];
        let mut done = 0;
        loop {
            let piece = out.get_mut(done..).unwrap_or_default();
            self.spend(piece.len() as u64 / 8 + 1)?;
            self.mem.read(addr + done as u64, piece)?;
            done = out.len();
            if done >= size {
                return Ok(out);
            }
            out.resize(size.min(done + PIECE), 0);
        }
    }

    /// `count` pointers from `addr` on.
    pub(crate) fn pointers(&self, addr: Addr, count: u64) -> Read<Vec<Addr>> {
        let bytes = self.block(addr, count.saturating_mul(8))?;
        Ok(bytes.chunks_exact(8).map(|b| Addr(word(b))).collect())
    }

    /// A NUL-terminated string of C.
    pub(crate) fn c_string(&self, addr: Addr) -> Read<Text> {
        let mut out = Vec::new();
        while out.len() < 512 {
            // Byte by byte would be slow, and a long read could leave the mapping: stop at its page.
            let at = addr + out.len() as u64;
            let n = usize::try_from(64 - at.0 % 64).unwrap_or(1);
            let mut piece = [0; 64];
            self.spend(1)?;
            match self.mem.read_until(at, &mut piece[..n], 0)? {
                Some(end) => {
                    out.extend_from_slice(&piece[..end]);
                    return Ok(self.intern(&String::from_utf8_lossy(&out)));
                }
                None => out.extend_from_slice(&piece[..n]),
            }
        }
        Err(Torn("a name without an end"))
    }

    /// The one shared copy of a text.
    pub(crate) fn intern(&self, text: &str) -> Text {
        let mut interned = self.known.interned.borrow_mut();
        if let Some(known) = interned.get(text) {
            return known.clone();
        }
        let new: Text = text.into();
        interned.insert(new.clone());
        new
    }

    // ---- types

    pub(crate) fn type_of(&self, object: Addr) -> Read<Rc<Type>> {
        self.type_at(self.ptr(object + 8)?)
    }

    pub(crate) fn kind_of(&self, object: Addr) -> Read<Kind> {
        let addr = self.ptr(object + 8)?;
        if let Some(known) = self.known.types.borrow().get(&addr) {
            return Ok(known.kind);
        }
        Ok(self.type_at(addr)?.kind)
    }

    pub(crate) fn type_at(&self, addr: Addr) -> Read<Rc<Type>> {
        if let Some(known) = self.known.types.borrow().get(&addr) {
            return Ok(known.clone());
        }
        let _constant = self.mem.constant();
        let l = &self.layout.types;
        let name = self.c_string(self.ptr(addr + l.name)?)?;
        if name.is_empty() {
            return Err(Torn("a type without a name"));
        }
        let flags = self.u64(addr + l.flags)?;
        let basicsize = self.u64(addr + l.basicsize)?;
        let base = self.ptr(addr + l.base)?;
        let mut kind = kind_of_name(&name, flags & HEAP_TYPE != 0);
        if kind == Kind::Other {
            kind = self.inherited_kind(base)?;
        }
        let cached_keys = match l.cached_keys {
            Some(offset) if flags & HEAP_TYPE != 0 => self.ptr(addr + offset)?,
            _ => Addr::NULL,
        };
        let dictoffset = self.i64(addr + l.dictoffset)?;
        let weaklistoffset = self.i64(addr + l.weaklistoffset)?;
        let new = Rc::new(Type {
            addr,
            name,
            kind,
            basicsize,
            base,
            flags,
            dictoffset,
            weaklistoffset,
            cached_keys,
            slots: RefCell::default(),
            module: RefCell::default(),
        });
        self.known.types.borrow_mut().insert(addr, new.clone());
        Ok(new)
    }

    fn inherited_kind(&self, mut base: Addr) -> Read<Kind> {
        for _ in 0..MAX_BASES {
            if base.is_null() {
                return Ok(Kind::Other);
            }
            let name = self.c_string(self.ptr(base + self.layout.types.name)?)?;
            let flags = self.u64(base + self.layout.types.flags)?;
            match kind_of_name(&name, flags & HEAP_TYPE != 0) {
                Kind::Other => base = self.ptr(base + self.layout.types.base)?,
                kind => return Ok(kind),
            }
        }
        Err(Torn("a type with endless bases"))
    }

    /// The types an object's type derives from, itself first.
    pub(crate) fn bases(&self, object: Addr) -> Read<Vec<Rc<Type>>> {
        let mut out = vec![self.type_of(object)?];
        while let Some(last) = out.last()
            && !last.base.is_null()
        {
            if out.len() >= MAX_BASES {
                return Err(Torn("a type with endless bases"));
            }
            let next = self.type_at(last.base)?;
            out.push(next);
        }
        Ok(out)
    }

    /// `asyncio.locks.Lock`: the module as the type names it, and its qualified name.
    pub(crate) fn full_type_name(&self, of: &Type) -> Text {
        if of.flags & HEAP_TYPE == 0 || of.name.contains('.') {
            return of.name.clone();
        }
        if let Some(known) = &*of.module.borrow() {
            return known.clone();
        }
        let _constant = self.mem.constant();
        let qualname = self
            .ptr(of.addr + self.layout.types.qualname)
            .and_then(|q| self.text(q))
            .unwrap_or_else(|_| of.name.clone());
        let module = self
            .ptr(of.addr + self.layout.types.dict)
            .and_then(|dict| self.dict_get(dict, "__module__"))
            .ok()
            .flatten()
            .and_then(|m| self.text(m).ok());
        let full = match module {
            Some(module) if &*module != "builtins" => self.intern(&format!("{module}.{qualname}")),
            _ => qualname,
        };
        *of.module.borrow_mut() = Some(full.clone());
        full
    }

    // ---- values

    /// A `str`. Texts are immutable and most are shared: each is decoded once.
    pub(crate) fn text(&self, object: Addr) -> Read<Text> {
        if let Some(known) = self.known.texts.borrow().get(&object) {
            return Ok(known.clone());
        }
        let _constant = self.mem.constant();
        let text = self.fresh_text(object)?;
        self.known.texts.borrow_mut().insert(object, text.clone());
        Ok(text)
    }

    /// A `str` that is not worth remembering (a task's name: another may stand there soon).
    pub(crate) fn fresh_text(&self, object: Addr) -> Read<Text> {
        self.text_up_to(object, MAX_TEXT)
    }

    /// The first `max` characters of a `str`.
    pub(crate) fn text_up_to(&self, object: Addr, max: u64) -> Read<Text> {
        if self.kind_of(object)? != Kind::Str {
            return Err(Torn("a text that is none"));
        }
        // Behind the count of references, which is not the text's own.
        let head: [u8; 24] = self.array(object + 16)?;
        let length = word(&head[..8]);
        let state = half(&head[16..]);
        let (kind, compact, ascii) = (state >> 2 & 7, state >> 5 & 1 != 0, state >> 6 & 1 != 0);
        let l = &self.layout.text;
        let data = match (compact, ascii) {
            (true, true) => object + l.ascii_size,
            (true, false) => object + l.compact_size,
            (false, _) => self.ptr(object + l.data)?,
        };
        if !matches!(kind, 1 | 2 | 4) {
            return Err(Torn("a text of unknown form"));
        }
        let shown = length.min(max);
        self.spend(shown / 8 + 1)?;
        let size = usize::try_from(shown * u64::from(kind)).unwrap_or(0);
        let mut small = [0; 256];
        let mut large;
        let bytes = if size <= small.len() {
            &mut small[..size]
        } else {
            large = vec![0; size];
            &mut large[..]
        };
        self.mem.read(data, bytes)?;
        if kind == 1 && bytes.is_ascii() {
            return Ok(self.intern(std::str::from_utf8(bytes).unwrap_or_default()));
        }
        let char_of = |code: u32| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        let text: String = match kind {
            1 => bytes.iter().map(|b| char::from(*b)).collect(),
            2 => {
                bytes.chunks_exact(2).map(|b| char_of(u32::from(u16::from_le_bytes([b[0], b[1]])))).collect()
            }
            _ => {
                bytes.chunks_exact(4).map(|b| char_of(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect()
            }
        };
        Ok(self.intern(&text))
    }

    /// Whether `object` is the ASCII `str` `expected`.
    fn text_is(&self, object: Addr, expected: &str) -> Read<bool> {
        if let Some(known) = self.known.texts.borrow().get(&object) {
            return Ok(&**known == expected);
        }
        let _constant = self.mem.constant();
        if self.u64(object + 16)? != expected.len() as u64 {
            return Ok(false);
        }
        Ok(self.kind_of(object)? == Kind::Str && &*self.text(object)? == expected)
    }

    /// An `int`, where it fits.
    pub(crate) fn int(&self, object: Addr) -> Read<i64> {
        let (digits, negative, start) = match self.layout.long {
            Long::SignedSize => {
                let size = self.i64(object + 16)?;
                (size.unsigned_abs(), size < 0, object + 24)
            }
            Long::Tagged => {
                let tag = self.u64(object + 16)?;
                (tag >> 3, tag & 3 == 2, object + 24)
            }
        };
        if digits > 3 {
            return Err(Torn("a larger number than expected"));
        }
        let mut value: i128 = 0;
        for i in 0..digits {
            value |= i128::from(self.u32(start + 4 * i)?) << (30 * i);
        }
        i64::try_from(if negative { -value } else { value })
            .map_err(|_| Torn("a larger number than expected"))
    }

    /// An unsigned `int` of 64 bits (a thread's identity).
    pub(crate) fn uint(&self, object: Addr) -> Read<u64> {
        self.int(object).map(i64::cast_unsigned)
    }

    pub(crate) fn float(&self, object: Addr) -> Read<f64> {
        match self.kind_of(object)? {
            Kind::Float => self.array(object + 16).map(f64::from_le_bytes),
            #[allow(clippy::cast_precision_loss)] // a time in seconds
            Kind::Int => self.int(object).map(|n| n as f64),
            _ => Err(Torn("a number that is none")),
        }
    }

    pub(crate) fn bytes(&self, object: Addr) -> Read<Vec<u8>> {
        if self.kind_of(object)? != Kind::Bytes {
            return Err(Torn("bytes that are none"));
        }
        let size = self.u64(object + 16)?;
        if size > MAX_BYTES {
            return Err(Torn("bytes of impossible size"));
        }
        self.block(object + 32, size)
    }

    // ---- containers

    /// `ob_size`.
    pub(crate) fn size(&self, object: Addr) -> Read<u64> {
        let size = self.u64(object + 16)?;
        if size > MAX_ITEMS { Err(Torn("a container of impossible size")) } else { Ok(size) }
    }

    pub(crate) fn tuple(&self, object: Addr) -> Read<Vec<Addr>> {
        if self.kind_of(object)? != Kind::Tuple {
            return Err(Torn("a tuple that is none"));
        }
        self.pointers(object + self.layout.tuple_items, self.size(object)?)
    }

    pub(crate) fn list(&self, object: Addr) -> Read<Vec<Addr>> {
        if self.kind_of(object)? != Kind::List {
            return Err(Torn("a list that is none"));
        }
        let size = self.size(object)?;
        if size == 0 { Ok(Vec::new()) } else { self.pointers(self.ptr(object + 24)?, size) }
    }

    /// The members of a `set` or `frozenset`.
    pub(crate) fn set(&self, object: Addr) -> Read<Vec<Addr>> {
        if self.kind_of(object)? != Kind::Set {
            return Err(Torn("a set that is none"));
        }
        let l = &self.layout.set;
        let mask = self.u64(object + l.mask)?;
        let used = self.u64(object + l.used)?;
        if mask > MAX_TABLE || !(mask + 1).is_power_of_two() || used > mask + 1 {
            return Err(Torn("a set of impossible size"));
        }
        let bytes = self.block(self.ptr(object + l.table)?, (mask + 1) * 16)?;
        // A deleted entry keeps a dummy key with the hash −1, which no object has.
        let entries = bytes.chunks_exact(16).map(|e| (word(&e[..8]), word(&e[8..])));
        Ok(entries.filter(|(key, hash)| *key != 0 && *hash != u64::MAX).map(|(key, _)| Addr(key)).collect())
    }

    /// How many members a `set` has.
    pub(crate) fn set_len(&self, object: Addr) -> Read<u64> {
        self.u64(object + self.layout.set.used)
    }

    /// The first `max` items of a `deque`.
    pub(crate) fn deque(&self, object: Addr, max: u64) -> Read<Vec<Addr>> {
        /// Modules/_collectionsmodule.c: `BLOCKLEN`, and the right link behind left link and items.
        const BLOCK: u64 = 64;
        const RIGHT: u64 = 520;
        if self.kind_of(object)? != Kind::Deque {
            return Err(Torn("a deque that is none"));
        }
        let mut left = self.size(object)?.min(max);
        let mut block = self.ptr(object + self.layout.deque.leftblock)?;
        let mut index = self.u64(object + self.layout.deque.leftindex)?;
        let mut out = Vec::new();
        while left > 0 {
            if index > BLOCK {
                return Err(Torn("a deque with an impossible index"));
            }
            // `popleft` steps over the last item of a block before it goes on to the next one.
            let n = left.min(BLOCK - index);
            out.extend(self.pointers(block + 8 + 8 * index, n)?);
            left -= n;
            index = 0;
            if left > 0 {
                block = self.ptr(block + RIGHT)?;
            }
        }
        Ok(out)
    }

    /// The items of a `dict`, in order.
    pub(crate) fn dict(&self, object: Addr) -> Read<Vec<(Addr, Addr)>> {
        if self.kind_of(object)? != Kind::Dict {
            return Err(Torn("a dict that is none"));
        }
        let l = &self.layout.dict;
        let (keys, values) = (self.ptr(object + l.keys)?, self.ptr(object + l.values)?);
        let values = values.non_null().map(|values| values + l.values_start);
        self.entries(keys, values)
    }

    pub(crate) fn dict_len(&self, object: Addr) -> Read<u64> {
        self.u64(object + self.layout.dict.used)
    }

    /// The value of an ASCII key.
    pub(crate) fn dict_get(&self, object: Addr, name: &str) -> Read<Option<Addr>> {
        for (key, value) in self.dict(object)? {
            if self.text_is(key, name)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// Pairs of a keys object, with the values in a separate array where it is split.
    fn entries(&self, keys: Addr, values: Option<Addr>) -> Read<Vec<(Addr, Addr)>> {
        let (start, width, count) = match self.layout.dict.shape {
            DictKeys::Sized => {
                let size = self.u64(keys + 8)?;
                let index = match size {
                    0..=0xff => 1,
                    0x100..=0xffff => 2,
                    0x1_0000..=0xffff_ffff => 4,
                    _ => return Err(Torn("a dict of impossible size")),
                };
                (keys + 40 + size * index, 24, self.u64(keys + 32)?)
            }
            DictKeys::Logarithmic => {
                let head: [u8; 24] = self.array(keys + 8)?;
                let (log2_index_bytes, kind) = (head[1], head[2]);
                if log2_index_bytes > 40 || kind > 2 {
                    return Err(Torn("a dict of unknown form"));
                }
                (keys + 32 + (1 << log2_index_bytes), if kind == 0 { 24 } else { 16 }, word(&head[16..]))
            }
        };
        if count > MAX_ITEMS {
            return Err(Torn("a dict of impossible size"));
        }
        let bytes = self.block(start, count * width)?;
        let key_at = usize::from(width == 24) * 8;
        let pairs = bytes
            .chunks_exact(usize::try_from(width).unwrap_or(24))
            .map(|e| (Addr(word(&e[key_at..key_at + 8])), Addr(word(&e[key_at + 8..key_at + 16]))));
        let pairs: Vec<_> = match values {
            None => pairs.collect(),
            Some(values) => {
                let values = self.pointers(values, count)?;
                pairs.zip(values).map(|((key, _), value)| (key, value)).collect()
            }
        };
        Ok(pairs.into_iter().filter(|(key, value)| !key.is_null() && !value.is_null()).collect())
    }

    // ---- attributes

    /// Where an instance keeps its attributes: a dict, or an array of values for the type's keys.
    fn storage(&self, object: Addr, of: &Type) -> Read<Storage> {
        if of.flags & MANAGED_DICT != 0 {
            let found = match self.layout.attributes {
                Attributes::DictOffset => None,
                Attributes::TwoSlots => match (self.ptr(object - 24)?, self.ptr(object - 32)?) {
                    (Addr::NULL, Addr::NULL) => Some(Storage::Nothing),
                    (Addr::NULL, values) => Some(Storage::Values(values)),
                    (dict, _) => Some(Storage::Dict(dict)),
                },
                Attributes::TaggedSlot => Some(match self.ptr(object - 24)? {
                    Addr::NULL => Storage::Nothing,
                    values if values.0 & 1 == 1 => Storage::Values(values + 1),
                    dict => Storage::Dict(dict),
                }),
                Attributes::Inline => Some(match self.ptr(object - 24)? {
                    Addr::NULL if of.flags & INLINE_VALUES == 0 => Storage::Nothing,
                    Addr::NULL => {
                        // PyDictValues: capacity, size, embedded, valid.
                        let values = object + of.basicsize;
                        let valid = self.u8(values + 3)? != 0;
                        if valid { Storage::Values(values + 8) } else { Storage::Nothing }
                    }
                    dict => Storage::Dict(dict),
                }),
            };
            if let Some(found) = found {
                return Ok(found);
            }
        }
        match u64::try_from(of.dictoffset) {
            Ok(offset) if offset > 0 => match self.ptr(object + offset)? {
                Addr::NULL => Ok(Storage::Nothing),
                dict => Ok(Storage::Dict(dict)),
            },
            _ => Ok(Storage::Nothing),
        }
    }

    /// An attribute of an instance, from its dict or its slots; never from its class.
    pub(crate) fn attr(&self, object: Addr, name: &'static str) -> Read<Option<Addr>> {
        let of = self.type_of(object)?;
        let found = match self.storage(object, &of)? {
            Storage::Nothing => None,
            Storage::Dict(dict) => self.dict_get_cached(dict, name)?,
            Storage::Values(values) => match self.key_position(of.cached_keys, name)? {
                Some(index) => Some(self.ptr(values + 8 * u64::from(index))?).filter(|v| !v.is_null()),
                None => None,
            },
        };
        match found {
            Some(value) => Ok(Some(value)),
            None => {
                let slots = self.slots(&of)?;
                self.spend_looking(slots.len())?;
                match slots.iter().find(|(slot, _)| &**slot == name) {
                    Some((_, offset)) => Ok(Some(self.ptr(object + *offset)?).filter(|v| !v.is_null())),
                    None => Ok(None),
                }
            }
        }
    }

    /// An attribute that has to be there.
    pub(crate) fn need(&self, object: Addr, name: &'static str) -> Read<Addr> {
        self.attr(object, name)?.ok_or(Torn("an attribute that is missing"))
    }

    /// Looks a key up in a dict; for split dicts its place is the same for all that share the keys.
    fn dict_get_cached(&self, dict: Addr, name: &'static str) -> Read<Option<Addr>> {
        let l = &self.layout.dict;
        let values = self.ptr(dict + l.values)?;
        if values.is_null() {
            return self.dict_get(dict, name);
        }
        let keys = self.ptr(dict + l.keys)?;
        match self.key_position(keys, name)? {
            Some(index) => {
                Ok(Some(self.ptr(values + l.values_start + 8 * u64::from(index))?).filter(|v| !v.is_null()))
            }
            None => Ok(None),
        }
    }

    /// Shared keys only ever grow: a place once found stays; a miss is not remembered.
    fn key_position(&self, keys: Addr, name: &'static str) -> Read<Option<u32>> {
        if let Some(known) = self.known.key_index.borrow().get(&(keys, name)) {
            return Ok(Some(*known));
        }
        for (index, key) in self.shared_keys(keys)?.into_iter().enumerate() {
            if !key.is_null() && self.text_is(key, name)? {
                let index = u32::try_from(index).map_err(|_| Torn("a dict of impossible size"))?;
                self.known.key_index.borrow_mut().insert((keys, name), index);
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// The keys that instances of a type share, in their order.
    fn shared_keys(&self, keys: Addr) -> Read<Vec<Addr>> {
        if keys.is_null() {
            return Ok(Vec::new());
        }
        let (start, width, key_at, count) = match self.layout.dict.shape {
            DictKeys::Sized => {
                let size = self.u64(keys + 8)?;
                let index = match size {
                    0..=0xff => 1,
                    0x100..=0xffff => 2,
                    _ => return Err(Torn("shared keys of impossible size")),
                };
                (keys + 40 + size * index, 24, 8, self.u64(keys + 32)?)
            }
            DictKeys::Logarithmic => {
                let head: [u8; 24] = self.array(keys + 8)?;
                if head[1] > 40 {
                    return Err(Torn("a dict of unknown form"));
                }
                let general = head[2] == 0;
                (
                    keys + 32 + (1 << head[1]),
                    if general { 24 } else { 16 },
                    u64::from(general) * 8,
                    word(&head[16..]),
                )
            }
        };
        // CPython's SHARED_KEYS_MAX_SIZE is 30; split dicts of 3.9 and 3.10 are small too.
        if count > 4096 {
            return Err(Torn("shared keys of impossible size"));
        }
        (0..count).map(|i| self.ptr(start + i * width + key_at)).collect()
    }

    /// All attributes of an instance: its dict's, then its slots'.
    pub(crate) fn attrs(&self, object: Addr) -> Read<Vec<(Text, Addr)>> {
        let of = self.type_of(object)?;
        let pairs = match self.storage(object, &of)? {
            Storage::Nothing => Vec::new(),
            Storage::Dict(dict) => self.dict(dict)?,
            Storage::Values(values) => {
                let keys = self.shared_keys(of.cached_keys)?;
                let values = self.pointers(values, keys.len() as u64)?;
                keys.into_iter().zip(values).filter(|(k, v)| !k.is_null() && !v.is_null()).collect()
            }
        };
        let mut out = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            if self.kind_of(key)? == Kind::Str {
                out.push((self.text(key)?, value));
            }
        }
        for (name, offset) in self.slots(&of)?.iter() {
            let value = self.ptr(object + *offset)?;
            if !value.is_null() {
                out.push((name.clone(), value));
            }
        }
        Ok(out)
    }

    /// What an instance refers to by its attributes: its dict or the values that stand in for it, and its slots.
    pub(crate) fn held_by_instance(&self, object: Addr) -> Read<Vec<Addr>> {
        let of = self.type_of(object)?;
        let mut out = match self.storage(object, &of)? {
            Storage::Nothing => Vec::new(),
            Storage::Dict(dict) => vec![dict],
            Storage::Values(values) => {
                let count = self.shared_keys(of.cached_keys)?.len();
                self.pointers(values, count as u64)?
            }
        };
        for (_, offset) in self.slots(&of)?.iter() {
            out.push(self.ptr(object + *offset)?);
        }
        Ok(out)
    }

    /// `__slots__`: names and offsets, from the member descriptors of a class and its bases.
    fn slots(&self, of: &Type) -> Read<Slots> {
        if let Some(known) = &*of.slots.borrow() {
            return Ok(known.clone());
        }
        let _constant = self.mem.constant();
        let mut out = Vec::new();
        let mut addr = of.addr;
        for _ in 0..MAX_BASES {
            if addr.is_null() {
                break;
            }
            // Static types keep no dict of their own since 3.12, and have no slots of this sort.
            let flags = self.u64(addr + self.layout.types.flags)?;
            let dict = self.ptr(addr + self.layout.types.dict)?;
            if flags & HEAP_TYPE != 0 && !dict.is_null() {
                for (key, value) in self.dict(dict)? {
                    if self.kind_of(value)? == Kind::MemberDescriptor {
                        // PyMemberDescrObject.d_member → PyMemberDef {name, type, offset}; T_OBJECT(_EX).
                        let member = self.ptr(value + 40)?;
                        if matches!(self.i32(member + 8)?, 6 | 16) {
                            out.push((self.text(key)?, self.u64(member + 16)? & 0xffff));
                        }
                    }
                }
            }
            addr = self.ptr(addr + self.layout.types.base)?;
        }
        let out: Rc<[_]> = out.into();
        *of.slots.borrow_mut() = Some(out.clone());
        Ok(out)
    }

    /// A code object. Code never changes, so each is read once.
    pub(crate) fn code(&self, object: Addr) -> Read<Rc<Code>> {
        if let Some(known) = self.known.codes.borrow().get(&object) {
            return Ok(known.clone());
        }
        let _constant = self.mem.constant();
        if self.kind_of(object)? != Kind::Code {
            return Err(Torn("a frame without code"));
        }
        let new = Rc::new(Code::read(self, object)?);
        self.known.codes.borrow_mut().insert(object, new.clone());
        Ok(new)
    }

    // ---- callables

    /// A bound method: its function and its object.
    pub(crate) fn method(&self, object: Addr) -> Read<(Addr, Addr)> {
        Ok((self.ptr(object + 16)?, self.ptr(object + 24)?))
    }

    /// A method of C: its name and its object.
    pub(crate) fn builtin(&self, object: Addr) -> Read<(Text, Addr)> {
        let definition = self.ptr(object + 16)?;
        Ok((self.c_string(self.ptr(definition)?)?, self.ptr(object + 24)?))
    }

    pub(crate) fn function_qualname(&self, object: Addr) -> Read<Text> {
        self.text(self.ptr(object + self.layout.function.qualname)?)
    }

    /// A `functools.partial`: its function and its arguments.
    pub(crate) fn partial(&self, object: Addr) -> Read<(Addr, Vec<Addr>)> {
        Ok((self.ptr(object + 16)?, self.tuple(self.ptr(object + 24)?)?))
    }

    pub(crate) fn cell(&self, object: Addr) -> Read<Addr> {
        self.ptr(object + 16)
    }

    pub(crate) fn module_dict(&self, object: Addr) -> Read<Addr> {
        self.ptr(object + self.layout.module_dict)
    }

    /// Whether there are weak references to an object.
    pub(crate) fn has_weak_references(&self, object: Addr) -> Read<bool> {
        match self.type_of(object)?.weaklistoffset {
            0 => Ok(false),
            offset => Ok(!self.ptr(Addr(object.0.wrapping_add_signed(offset)))?.is_null()),
        }
    }

    /// The variables of a module, where the object is one.
    pub(crate) fn globals_of(&self, object: Addr) -> Read<Option<Addr>> {
        if self.kind_of(object)? == Kind::Module { self.module_dict(object).map(Some) } else { Ok(None) }
    }

    /// The file that a module is from, by its variables.
    pub(crate) fn module_file(&self, globals: Addr) -> Read<Option<Text>> {
        match self.dict_get(globals, "__file__")? {
            Some(file) if self.kind_of(file)? == Kind::Str => self.text(file).map(Some),
            _ => Ok(None),
        }
    }

    /// A weak reference's object, unless it is gone.
    pub(crate) fn weakref(&self, object: Addr) -> Read<Option<Addr>> {
        let referent = self.ptr(object + 16)?;
        if referent.is_null() || self.kind_of(referent)? == Kind::None {
            return Ok(None);
        }
        // An object that is being deallocated can still be referred to.
        if self.u64(referent)? == 0 { Ok(None) } else { Ok(Some(referent)) }
    }

    /// Whether a pointer could be an object: its type can be read.
    pub(crate) fn is_object(&self, object: Addr) -> bool {
        !object.is_null() && object.0.is_multiple_of(8) && self.type_of(object).is_ok()
    }

    /// Whether this is `True`.
    pub(crate) fn truth(&self, object: Addr) -> Read<bool> {
        self.int(object).map(|n| n != 0)
    }

    /// A member's value unless it is `None`.
    pub(crate) fn not_none(&self, object: Option<Addr>) -> Read<Option<Addr>> {
        match object {
            Some(object) if self.kind_of(object)? != Kind::None => Ok(Some(object)),
            _ => Ok(None),
        }
    }
}

enum Storage {
    Nothing,
    Dict(Addr),
    Values(Addr),
}

/// Eight bytes, little-endian; the callers slice exactly eight.
pub(crate) fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |b| u64::from_le_bytes(*b))
}

/// The same, of four bytes.
pub(crate) fn half(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |b| u32::from_le_bytes(*b))
}

/// The kind of a type by its `tp_name`. Classes have bare names: `class coroutine` is not fooled by.
fn kind_of_name(name: &str, heap: bool) -> Kind {
    if name.starts_with("_cython_") && name.ends_with("coroutine_wrapper") {
        return Kind::CoroutineWrapper;
    }
    match name {
        "_asyncio.Task" => return Kind::Task,
        "_asyncio.Future" => return Kind::Future,
        "_asyncio.FutureIter" => return Kind::FutureIter,
        "_asyncio.TaskStepMethWrapper" => return Kind::TaskStep,
        "_asyncio._RunningLoopHolder" => return Kind::RunningLoopHolder,
        "collections.deque" => return Kind::Deque,
        "functools.partial" => return Kind::Partial,
        "_thread.lock" => return Kind::ThreadLock,
        "_thread.RLock" => return Kind::ThreadRlock,
        _ => {}
    }
    if heap {
        return if name.starts_with("_cython_") && name.ends_with("coroutine") {
            Kind::CythonCoroutine
        } else {
            Kind::Other
        };
    }
    match name {
        "NoneType" => Kind::None,
        "bool" => Kind::Bool,
        "int" => Kind::Int,
        "float" => Kind::Float,
        "str" => Kind::Str,
        "bytes" => Kind::Bytes,
        "tuple" => Kind::Tuple,
        "list" => Kind::List,
        "dict" => Kind::Dict,
        "set" | "frozenset" => Kind::Set,
        "list_iterator" | "tuple_iterator" | "list_reverseiterator" | "enumerate" => Kind::Iterator,
        "weakref" | "weakref.ReferenceType" | "weakref.KeyedRef" => Kind::Weakref,
        "coroutine" => Kind::Coroutine,
        "generator" => Kind::Generator,
        "async_generator" => Kind::AsyncGenerator,
        "coroutine_wrapper" => Kind::CoroutineWrapper,
        "async_generator_asend" => Kind::AsyncGenASend,
        "async_generator_athrow" => Kind::AsyncGenAThrow,
        "anext_awaitable" => Kind::Anext,
        "FutureIter" => Kind::FutureIter,
        "TaskStepMethWrapper" => Kind::TaskStep,
        "TaskWakeupMethWrapper" => Kind::TaskWakeup,
        "_RunningLoopHolder" => Kind::RunningLoopHolder,
        "method" => Kind::Method,
        "builtin_function_or_method" => Kind::Builtin,
        "method_descriptor" => Kind::MethodDescriptor,
        "member_descriptor" => Kind::MemberDescriptor,
        "function" => Kind::Function,
        "cell" => Kind::Cell,
        "module" => Kind::Module,
        "type" => Kind::Type,
        "code" => Kind::Code,
        "frame" => Kind::Frame,
        "traceback" => Kind::Traceback,
        "BaseException" => Kind::Exception,
        _ if name.starts_with("_cython_") && name.ends_with("coroutine") => Kind::CythonCoroutine,
        _ => Kind::Other,
    }
}
