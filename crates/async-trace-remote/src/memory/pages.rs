//! A copy of the pages of a target that were looked at: the thing every reader reads from.
//!
//! Pages are copied when they are first touched. [`Pages::refresh`] copies those that hold something
//! that can change anew in a few system calls, which is what happens while the target stands still:
//! what a walk will need is known from the walk before. What never changes (types, code, texts) is
//! read between [`Pages::constant`] guards, and its pages are not copied again for it.

use super::addr::Addr;
use super::{Memory, Piece};
use rustc_hash::FxHashMap;
use std::cell::{Cell, RefCell};
use std::time::Instant;

const PAGE: u64 = 4096;
const PAGE_LEN: usize = 4096;
/// Pages are kept in chunks, so that the copy grows without moving.
const CHUNK_PAGES: usize = 256;
/// How many pages a miss copies at first, and at the most: neighbours tend to be needed too.
const FIRST_RUN: u32 = 4;
const LONGEST_RUN: u32 = 64;

/// An address that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// The copied pages of one target.
pub(crate) struct Pages {
    memory: Box<dyn Memory>,
    store: RefCell<Store>,
    /// The page read last, its slot, and whether it is current and marked as used: most reads fall on
    /// the same page as the one before.
    last: Cell<(u64, u32, bool)>,
    /// How many guards for reading constants are held.
    constant: Cell<u32>,
    /// The slots that are touched, while someone wants to know.
    trace: RefCell<Option<Vec<u32>>>,
    /// Whether a miss from now on is of a later moment than the rest, and how many there were.
    frozen: Cell<bool>,
    late: Cell<u64>,
    bytes_read: Cell<u64>,
    max_pages: usize,
}

#[derive(Default)]
struct Store {
    slots: FxHashMap<u64, u32>,
    /// The page in each slot; `GONE` for a slot whose page could not be copied again.
    pages: Vec<u64>,
    flags: Vec<u8>,
    chunks: Vec<Box<[u8]>>,
    next_run: (u64, u32),
}

const GONE: u64 = u64::MAX;

/// A region that is copied in one go, as large as a chunk; the pieces it is copied in (part of a region may
/// not be mapped); and how many wanted addresses make it worth while.
const REGION: u64 = 1 << 20;
const STRIP: usize = 16;
const DENSE: u32 = 64;

/// Something that can change was read from the page.
const USED: u8 = 1;
/// The page was left out of the last refresh: it holds what it held before.
const STALE: u8 = 2;

/// While it lives, what is read never changes.
pub(crate) struct Constant<'a>(&'a Cell<u32>);

impl Drop for Constant<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Pages {
    /// An empty copy that will hold at most `max_bytes`.
    pub(crate) fn new(memory: Box<dyn Memory>, max_bytes: u64) -> Self {
        Self {
            memory,
            store: RefCell::default(),
            last: Cell::new((GONE, 0, false)),
            constant: Cell::new(0),
            trace: RefCell::new(None),
            frozen: Cell::new(false),
            late: Cell::new(0),
            bytes_read: Cell::new(0),
            max_pages: usize::try_from(max_bytes / PAGE).unwrap_or(usize::MAX).max(64),
        }
    }

    /// Copies `buf.len()` bytes from `addr`.
    pub(crate) fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Unreadable> {
        let (page, offset) = (addr.0 / PAGE, usize::try_from(addr.0 % PAGE).unwrap_or(0));
        let first = buf.len().min(PAGE_LEN - offset);
        self.copy(page, offset, &mut buf[..first])?;
        let mut done = first;
        let mut page = page;
        while done < buf.len() {
            page += 1;
            let n = (buf.len() - done).min(PAGE_LEN);
            self.copy(page, 0, &mut buf[done..done + n])?;
            done += n;
        }
        Ok(())
    }

    /// Copies `N` bytes from `addr`: the short way for what most reads are.
    #[inline]
    pub(crate) fn array<const N: usize>(&self, addr: Addr) -> Result<[u8; N], Unreadable> {
        let (page, offset) = (addr.0 / PAGE, usize::try_from(addr.0 % PAGE).unwrap_or(0));
        let (last_page, slot, marked) = self.last.get();
        if page == last_page && (marked || self.constant.get() > 0) && offset + N <= PAGE_LEN {
            let store = self.store.borrow();
            let slot = slot as usize;
            let start = slot % CHUNK_PAGES * PAGE_LEN + offset;
            let bytes = store.chunks.get(slot / CHUNK_PAGES).and_then(|chunk| chunk.get(start..));
            return bytes.and_then(|bytes| bytes.first_chunk()).copied().ok_or(Unreadable);
        }
        let mut bytes = [0; N];
        self.read(addr, &mut bytes)?;
        Ok(bytes)
    }

    #[inline]
    fn copy(&self, page: u64, offset: usize, buf: &mut [u8]) -> Result<(), Unreadable> {
        let (last_page, last_slot, marked) = self.last.get();
        let slot = if page == last_page && (marked || self.constant.get() > 0) {
            last_slot
        } else {
            self.turn_to(page)?
        } as usize;
        let store = self.store.borrow();
        let start = slot % CHUNK_PAGES * PAGE_LEN + offset;
        let bytes =
            store.chunks.get(slot / CHUNK_PAGES).and_then(|chunk| chunk.get(start..start + buf.len()));
        buf.copy_from_slice(bytes.ok_or(Unreadable)?);
        Ok(())
    }

    /// Makes `page` the current one: copies it where it is missing or stale, and marks it as used unless
    /// only constants are read.
    fn turn_to(&self, page: u64) -> Result<u32, Unreadable> {
        let known = self.store.borrow().slots.get(&page).copied();
        let slot = match known {
            Some(slot) => slot,
            None => self.fetch(page)?,
        };
        let marks = self.constant.get() == 0;
        if marks {
            let mut store = self.store.borrow_mut();
            let flags = store.flags.get(slot as usize).copied().unwrap_or(0);
            if flags & STALE != 0 {
                self.copy_again(&mut store, slot)?;
            }
            if let Some(flags) = store.flags.get_mut(slot as usize) {
                *flags = USED;
            }
            if let Some(trace) = &mut *self.trace.borrow_mut() {
                trace.push(slot);
            }
        }
        self.last.set((page, slot, marks));
        Ok(slot)
    }

    /// Copies one page anew.
    fn copy_again(&self, store: &mut Store, slot: u32) -> Result<(), Unreadable> {
        if self.frozen.get() {
            self.late.set(self.late.get() + 1);
        }
        let slot = slot as usize;
        let page = store.pages.get(slot).copied().ok_or(Unreadable)?;
        let start = slot % CHUNK_PAGES * PAGE_LEN;
        let chunk = store.chunks.get_mut(slot / CHUNK_PAGES).ok_or(Unreadable)?;
        let buf = chunk.get_mut(start..start + PAGE_LEN).ok_or(Unreadable)?;
        self.bytes_read.set(self.bytes_read.get() + PAGE);
        if self.memory.read(page * PAGE, buf) == PAGE_LEN { Ok(()) } else { Err(Unreadable) }
    }

    /// Copies whole regions of [`REGION`] bytes in a few system calls: where many addresses lie close
    /// together, what they lead to lies between them.
    pub(crate) fn prefetch(&self, addresses: &[Addr]) {
        let mut density: FxHashMap<u64, u32> = FxHashMap::default();
        for addr in addresses {
            *density.entry(addr.0 / REGION).or_default() += 1;
        }
        let mut regions: Vec<u64> =
            density.into_iter().filter(|(_, n)| *n >= DENSE).map(|(r, _)| r).collect();
        regions.sort_unstable();
        let store = &mut *self.store.borrow_mut();
        for region in regions {
            if store.pages.len() + 2 * CHUNK_PAGES > self.max_pages {
                return;
            }
            // The rest of a chunk that was begun is left empty: a region stays in one piece.
            while !store.pages.len().is_multiple_of(CHUNK_PAGES) {
                store.pages.push(GONE);
                store.flags.push(0);
            }
            let mut chunk = vec![0; CHUNK_PAGES * PAGE_LEN].into_boxed_slice();
            let mut pieces: Vec<_> = chunk
                .chunks_exact_mut(STRIP * PAGE_LEN)
                .enumerate()
                .map(|(n, buf)| Piece {
                    addr: region * REGION + (n * STRIP * PAGE_LEN) as u64,
                    buf,
                    whole: false,
                })
                .collect();
            self.memory.read_many(&mut pieces);
            let whole: Vec<bool> = pieces.iter().map(|piece| piece.whole).collect();
            for n in 0..CHUNK_PAGES {
                let page = region * (REGION / PAGE) + n as u64;
                let slot = u32::try_from(store.pages.len()).unwrap_or(u32::MAX);
                let taken = whole.get(n / STRIP) == Some(&true) && !store.slots.contains_key(&page);
                if taken {
                    store.slots.insert(page, slot);
                    self.bytes_read.set(self.bytes_read.get() + PAGE);
                }
                store.pages.push(if taken { page } else { GONE });
                store.flags.push(0);
            }
            store.chunks.push(chunk);
        }
    }

    /// Copies a page that is not there yet, with some of its successors, and returns its slot.
    #[cold]
    fn fetch(&self, page: u64) -> Result<u32, Unreadable> {
        // Addresses of user space only: anything else is a torn pointer.
        if page == 0 || page >= 1 << 44 {
            return Err(Unreadable);
        }
        let store = &mut *self.store.borrow_mut();
        if store.pages.len() >= self.max_pages {
            return Err(Unreadable);
        }
        if self.frozen.get() {
            self.late.set(self.late.get() + 1);
        }
        let (expected, last_run) = store.next_run;
        let mut run = if page == expected { (last_run * 2).min(LONGEST_RUN) } else { FIRST_RUN };
        run = (1..run).find(|n| store.slots.contains_key(&(page + u64::from(*n)))).unwrap_or(run);
        // A run stays within its chunk, so that it is contiguous here too.
        let slot = store.pages.len();
        let room = CHUNK_PAGES - slot % CHUNK_PAGES;
        let run = (run as usize).min(room);
        if slot.is_multiple_of(CHUNK_PAGES) {
            store.chunks.push(vec![0; CHUNK_PAGES * PAGE_LEN].into_boxed_slice());
        }
        let start = slot % CHUNK_PAGES * PAGE_LEN;
        let chunk = store.chunks.last_mut().ok_or(Unreadable)?;
        let got = self.memory.read(page * PAGE, &mut chunk[start..start + run * PAGE_LEN]);
        let whole = got / PAGE_LEN;
        if whole == 0 {
            if slot.is_multiple_of(CHUNK_PAGES) {
                store.chunks.pop();
            }
            return Err(Unreadable);
        }
        self.bytes_read.set(self.bytes_read.get() + got as u64);
        let first = u32::try_from(slot).map_err(|_| Unreadable)?;
        for n in 0..whole {
            store.pages.push(page + n as u64);
            store.flags.push(0);
            store.slots.insert(page + n as u64, first + u32::try_from(n).unwrap_or(0));
        }
        store.next_run = (page + whole as u64, u32::try_from(run).unwrap_or(FIRST_RUN));
        Ok(first)
    }

    /// Copies every page anew from which something was read that can change, until `deadline`. Pages
    /// that are gone are forgotten. Returns how many could not be copied in time.
    pub(crate) fn refresh(&self, deadline: Option<Instant>) -> usize {
        self.refresh_those(deadline, |flags| flags & USED != 0)
    }

    /// Copies what the last refresh had no time for.
    pub(crate) fn refresh_rest(&self) {
        self.refresh_those(None, |flags| flags & USED != 0 && flags & STALE != 0);
    }

    fn refresh_those(&self, deadline: Option<Instant>, chosen: impl Fn(u8) -> bool) -> usize {
        let store = &mut *self.store.borrow_mut();
        self.last.set((GONE, 0, false));
        store.next_run = (GONE, FIRST_RUN);
        let mut left = store.flags.iter().filter(|flags| chosen(**flags)).count();
        let chunks = store.chunks.iter_mut().zip(store.pages.chunks_mut(CHUNK_PAGES));
        for ((chunk, pages), flags) in chunks.zip(store.flags.chunks_mut(CHUNK_PAGES)) {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                flags.iter_mut().for_each(|flags| *flags |= STALE);
                continue;
            }
            let mut pieces = Vec::with_capacity(pages.len());
            let mut rest = &mut chunk[..pages.len() * PAGE_LEN];
            let mut from = 0;
            while from < pages.len() {
                let wanted = |at: usize| chosen(flags[at]) && pages[at] != GONE;
                let follows = |at: &usize| wanted(*at) && pages[*at] == pages[*at - 1].wrapping_add(1);
                let run = 1 + (from + 1..pages.len()).take_while(|at| wanted(from) && follows(at)).count();
                let (buf, after) = rest.split_at_mut(run * PAGE_LEN);
                rest = after;
                if wanted(from) {
                    pieces.push(Piece { addr: pages[from] * PAGE, buf, whole: false });
                    flags[from..from + run].fill(USED);
                } else if flags[from] & USED == 0 {
                    flags[from] |= STALE;
                }
                from += run;
            }
            self.memory.read_many(&mut pieces);
            let torn: Vec<_> =
                pieces.iter().filter(|p| !p.whole).map(|p| (p.addr / PAGE, p.buf.len())).collect();
            let bytes: usize = pieces.iter().map(|p| p.buf.len()).sum();
            left -= (bytes / PAGE_LEN).min(left);
            self.bytes_read.set(self.bytes_read.get() + bytes as u64);
            for (first, len) in torn {
                for page in first..first + (len / PAGE_LEN) as u64 {
                    store.slots.remove(&page);
                    if let Some(slot) = pages.iter_mut().find(|p| **p == page) {
                        *slot = GONE;
                    }
                }
            }
        }
        left
    }

    /// While the guard lives, what is read is taken for something that never changes.
    pub(crate) fn constant(&self) -> Constant<'_> {
        self.constant.set(self.constant.get() + 1);
        Constant(&self.constant)
    }

    /// Begins to note which pages are read.
    pub(crate) fn begin_trace(&self) {
        *self.trace.borrow_mut() = Some(Vec::new());
        self.last.set((GONE, 0, false));
    }

    /// The slots of the pages read since [`Pages::begin_trace`].
    pub(crate) fn end_trace(&self) -> Box<[u32]> {
        let mut trace = self.trace.borrow_mut().take().unwrap_or_default();
        trace.sort_unstable();
        trace.dedup();
        trace.into()
    }

    /// Lets the next read of these pages copy them anew.
    pub(crate) fn expire(&self, slots: &[u32]) {
        self.last.set((GONE, 0, false));
        let store = &mut *self.store.borrow_mut();
        for slot in slots {
            if let Some(flags) = store.flags.get_mut(*slot as usize) {
                *flags |= STALE;
            }
        }
    }

    /// Which of these pages the target has changed since they were copied (or has unmapped).
    pub(crate) fn changed(&self, slots: &[u32]) -> Vec<u32> {
        let store = self.store.borrow();
        let mut out = Vec::new();
        let mut buf = vec![0; slots.len().min(CHUNK_PAGES) * PAGE_LEN];
        for batch in slots.chunks(CHUNK_PAGES) {
            let mut pieces: Vec<_> = buf
                .chunks_exact_mut(PAGE_LEN)
                .zip(batch)
                .map(|(buf, slot)| {
                    let page = store.pages.get(*slot as usize).copied().unwrap_or(GONE);
                    Piece { addr: page.wrapping_mul(PAGE), buf, whole: false }
                })
                .collect();
            self.memory.read_many(&mut pieces);
            for (piece, slot) in pieces.iter().zip(batch) {
                let at = *slot as usize;
                let start = at % CHUNK_PAGES * PAGE_LEN;
                let known = store.chunks.get(at / CHUNK_PAGES).and_then(|c| c.get(start..start + PAGE_LEN));
                if !piece.whole || known != Some(&*piece.buf) {
                    out.push(*slot);
                }
            }
        }
        out
    }

    /// From now on the target runs: what is copied from here on is of a later moment, and counted.
    pub(crate) fn freeze(&self) {
        self.frozen.set(true);
    }

    /// Undoes [`Pages::freeze`].
    pub(crate) fn thaw(&self) {
        self.frozen.set(false);
        self.late.set(0);
    }

    /// How many misses there were since the copy was frozen.
    pub(crate) fn late(&self) -> u64 {
        self.late.get()
    }

    /// Bytes copied so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read.get()
    }
}
