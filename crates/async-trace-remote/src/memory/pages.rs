//! A copy of the pages of a target that were looked at: the thing every reader reads from.
//!
//! Pages are copied when they are first touched. [`Pages::refresh`] copies all of them anew in a few
//! system calls, which is what happens while the target stands still: what a walk will need is known
//! from the walk before.

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
    /// The page read last, and its slot: most reads fall on the same page as the one before.
    last: Cell<(u64, u32)>,
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
    chunks: Vec<Box<[u8]>>,
    next_run: (u64, u32),
}

const GONE: u64 = u64::MAX;

impl Pages {
    /// An empty copy that will hold at most `max_bytes`.
    pub(crate) fn new(memory: Box<dyn Memory>, max_bytes: u64) -> Self {
        Self {
            memory,
            store: RefCell::default(),
            last: Cell::new((GONE, 0)),
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

    #[inline]
    fn copy(&self, page: u64, offset: usize, buf: &mut [u8]) -> Result<(), Unreadable> {
        let (last_page, last_slot) = self.last.get();
        let slot = if page == last_page {
            last_slot
        } else {
            let known = self.store.borrow().slots.get(&page).copied();
            let slot = match known {
                Some(slot) => slot,
                None => self.fetch(page)?,
            };
            self.last.set((page, slot));
            slot
        } as usize;
        let store = self.store.borrow();
        let start = slot % CHUNK_PAGES * PAGE_LEN + offset;
        let bytes =
            store.chunks.get(slot / CHUNK_PAGES).and_then(|chunk| chunk.get(start..start + buf.len()));
        buf.copy_from_slice(bytes.ok_or(Unreadable)?);
        Ok(())
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
            store.slots.insert(page + n as u64, first + u32::try_from(n).unwrap_or(0));
        }
        store.next_run = (page + whole as u64, u32::try_from(run).unwrap_or(FIRST_RUN));
        Ok(first)
    }

    /// Copies every known page anew, until `deadline`. Pages that are gone are forgotten. Returns how
    /// many pages could not be copied in time; they keep what they held before.
    pub(crate) fn refresh(&self, deadline: Option<Instant>) -> usize {
        let store = &mut *self.store.borrow_mut();
        self.last.set((GONE, 0));
        store.next_run = (GONE, FIRST_RUN);
        let mut left = store.pages.len();
        for (chunk, pages) in store.chunks.iter_mut().zip(store.pages.chunks_mut(CHUNK_PAGES)) {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return left;
            }
            left -= pages.len();
            let mut pieces = Vec::with_capacity(pages.len());
            let mut rest = &mut chunk[..pages.len() * PAGE_LEN];
            for run in pages.chunk_by(|a, b| a.wrapping_add(1) == *b && *a != GONE) {
                let (buf, after) = rest.split_at_mut(run.len() * PAGE_LEN);
                rest = after;
                if run[0] != GONE {
                    pieces.push(Piece { addr: run[0] * PAGE, buf, whole: false });
                }
            }
            self.memory.read_many(&mut pieces);
            let bytes: usize = pieces.iter().filter(|p| p.whole).map(|p| p.buf.len()).sum();
            self.bytes_read.set(self.bytes_read.get() + bytes as u64);
            let torn: Vec<_> =
                pieces.iter().filter(|p| !p.whole).map(|p| (p.addr / PAGE, p.buf.len())).collect();
            for (first, len) in torn {
                for page in first..first + (len / PAGE_LEN) as u64 {
                    store.slots.remove(&page);
                    if let Some(slot) = pages.iter_mut().find(|p| **p == page) {
                        *slot = GONE;
                    }
                }
            }
        }
        0
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

    /// Reads past the copy, straight from the target: for checking whether something has changed.
    pub(crate) fn read_now(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Unreadable> {
        if self.memory.read(addr.0, buf) == buf.len() { Ok(()) } else { Err(Unreadable) }
    }

    /// Forgets every page.
    pub(crate) fn clear(&self) {
        *self.store.borrow_mut() = Store::default();
        self.last.set((GONE, 0));
    }
}
