//! A copy of the pages of a target that were looked at: the thing every reader reads from.
//!
//! Pages are copied when they are first touched. [`Pages::refresh`] copies those that hold something
//! that can change anew in a few system calls, which is what happens while the target stands still:
//! what a walk will need is known from the walk before. What never changes (types, code, texts) is
//! read between [`Pages::constant`] guards, and its pages are not copied again for it.

mod copies;

use super::addr::Addr;
use super::store::{GONE, Store};
use super::{Memory, Piece};
use crate::process::pause::Over;
use rustc_hash::FxHashSet;
use std::array;
use std::cell::{Cell, RefCell};
use std::mem::take;
use std::ops::Range;

pub(crate) use copies::{Copies, Raw, Route};

pub(super) const PAGE: u64 = 4096;
pub(super) const PAGE_LEN: usize = 4096;
/// How many pages a miss copies: neighbours tend to be needed too.
const RUN: usize = 2;
/// The pages of a region are neighbours of a kind: after some misses in one, all of it is copied, in
/// strips (part of it may not be mapped).
pub(super) const REGION_PAGES: u64 = 256;
const STRIP: usize = 16;
/// So many pages that need not be copied anew are copied with their neighbours: a piece more costs as much.
const GAP: usize = 4;
/// So many bytes between two pieces are copied with them: another piece costs as much.
const SPAN_GAP: u64 = 1024;
/// So much memory is kept for what is copied only to be compared.
const SCRATCH: usize = 1 << 20;
/// How many pages are copied between two looks whether the pause is over.
const BATCH: usize = 64;
/// How many pages are known without looking them up.
const NEAR: usize = 32;
/// So many bytes between two parts of a page count as read with them.
const STEP_GAP: u16 = 24;
/// Among so many steps before is looked for one that a read belongs to.
const STEPS_BACK: usize = 4;
/// What was read and what has changed is told apart in so many bytes of a page: a mask has a bit for each.
pub(super) const LINE: usize = PAGE_LEN / u32::BITS as usize;

/// An address that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// The copied pages of one target.
pub(crate) struct Pages {
    memory: Box<dyn Memory>,
    store: RefCell<Store>,
    /// Pages read lately, their slots, and whether they are current and marked as used: most reads fall
    /// on a page that was read just before.
    near: [Cell<Near>; NEAR],
    /// How many guards for reading constants are held.
    constant: Cell<u32>,
    /// What is read is read once, and no later look needs it.
    passing: Cell<bool>,
    /// What is read, while someone wants to know.
    tracing: Cell<bool>,
    trace: RefCell<Vec<(Addr, u32)>>,
    /// What is copied only to be compared.
    scratch: RefCell<Vec<u8>>,
    /// What is read of which pages, while someone wants to know.
    walking: Cell<bool>,
    footprint: RefCell<Vec<Step>>,
    /// There is one look only: what was read of a page need not be told apart from what is beside it.
    once: Cell<bool>,
    /// What is read for something that never changes, while someone wants to know, and what it was.
    keeping: Cell<bool>,
    constants: RefCell<Constants>,
    /// The pause that what is copied now belongs to. What is copied when it is over is of a later moment
    /// than the rest: how many pages that were, and how often one of them was turned to.
    pause: RefCell<Option<Over>>,
    late_pages: Cell<u64>,
    late_reads: Cell<u64>,
    /// What is read will be read again soon.
    for_good: Cell<bool>,
    /// The pause is over, and it was long enough: nothing of a later moment is wanted.
    settled: Cell<bool>,
    bytes_read: Cell<u64>,
    max_pages: usize,
}

/// A page, where its bytes are, whether it is current, whether it is marked as used too, and its place in the footprint.
#[derive(Clone, Copy)]
struct Near {
    page: u64,
    place: u32,
    /// The first of its footprint that may be its own, and the last.
    first: u32,
    step: u32,
    passed: bool,
    marked: bool,
}

/// A slot, which lines of it were read, and from which byte of it to which: what lies further apart has steps of its own,
/// because what is between is somebody else's, and changes when they do.
#[derive(Clone, Copy)]
struct Step {
    slot: u32,
    lines: u32,
    begin: u16,
    end: u16,
}

impl Step {
    fn new(slot: u32, offset: usize, len: usize) -> Self {
        let at = |offset: usize| u16::try_from(offset.min(PAGE_LEN)).unwrap_or(u16::MAX);
        Self { slot, lines: lines(offset, len), begin: at(offset), end: at(offset + len) }
    }

    /// Makes what was read here a part of it, if it is of that page and next to it.
    fn take_in(&mut self, other: Self) -> bool {
        let is_next = self.slot == other.slot
            && other.begin <= self.end.saturating_add(STEP_GAP)
            && self.begin <= other.end.saturating_add(STEP_GAP);
        if is_next {
            self.widen(other);
        }
        is_next
    }

    /// Makes what was read of the same page a part of it.
    fn widen(&mut self, other: Self) {
        self.lines |= other.lines;
        self.begin = self.begin.min(other.begin);
        self.end = self.end.max(other.end);
    }
}

/// The lines that some bytes of a page lie in.
fn lines(offset: usize, len: usize) -> u32 {
    let (first, last) = (offset / LINE, (offset + len.max(1) - 1) / LINE);
    (u32::MAX >> (31 - last.min(31))) & (u32::MAX << first.min(31))
}

/// What was taken for something that never changes: what is new, and what is known with what it was.
#[derive(Default)]
struct Constants {
    noted: Vec<(Addr, u32)>,
    seen: FxHashSet<(Addr, u32)>,
    parts: Vec<(Addr, u32)>,
    bytes: Vec<u8>,
}

const NOWHERE: Near = Near { page: GONE, place: 0, first: 0, step: 0, passed: false, marked: false };

/// Something that can change was read from the page.
const USED: u8 = 1;
/// The page was left out of the last refresh: it holds what it held before.
const STALE: u8 = 2;
/// It was copied after the target ran on: whoever reads it reads of a later moment.
const LATE: u8 = 4;
/// Something that never changes was read from the page, while that is noted.
const CONSTANT: u8 = 8;
/// Pages that a refresh copies.
const NEEDED: u8 = USED | CONSTANT;

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
            near: array::from_fn(|_| Cell::new(NOWHERE)),
            constant: Cell::new(0),
            passing: Cell::new(false),
            tracing: Cell::new(false),
            trace: RefCell::default(),
            scratch: RefCell::default(),
            walking: Cell::new(false),
            footprint: RefCell::default(),
            once: Cell::new(false),
            keeping: Cell::new(false),
            constants: RefCell::default(),
            pause: RefCell::default(),
            late_pages: Cell::new(0),
            late_reads: Cell::new(0),
            for_good: Cell::new(false),
            settled: Cell::new(false),
            bytes_read: Cell::new(0),
            max_pages: usize::try_from(max_bytes / PAGE).unwrap_or(usize::MAX).max(64),
        }
    }

    /// Copies `buf.len()` bytes from `addr`.
    pub(crate) fn read(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Unreadable> {
        self.read_silently(addr, buf)?;
        self.note(addr, buf.len());
        Ok(())
    }

    /// Copies `buf.len()` bytes from `addr`, of which those up to the first `end` are what is asked for: says how many
    /// these are, without `end`, unless it is not among them.
    pub(crate) fn read_until(
        &self,
        addr: Addr,
        buf: &mut [u8],
        end: u8,
    ) -> Result<Option<usize>, Unreadable> {
        self.read_silently(addr, buf)?;
        let end = buf.iter().position(|byte| *byte == end);
        self.note(addr, end.map_or(buf.len(), |end| end + 1));
        Ok(end)
    }

    fn read_silently(&self, addr: Addr, buf: &mut [u8]) -> Result<(), Unreadable> {
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
        if offset + N <= PAGE_LEN {
            let place = self.place(page, offset, N)?;
            self.note(addr, N);
            let store = self.store.borrow();
            let bytes = store.at(place, offset).and_then(|bytes| bytes.first_chunk());
            return bytes.copied().ok_or(Unreadable);
        }
        let mut bytes = [0; N];
        self.read(addr, &mut bytes)?;
        Ok(bytes)
    }

    #[inline]
    fn copy(&self, page: u64, offset: usize, buf: &mut [u8]) -> Result<(), Unreadable> {
        let place = self.place(page, offset, buf.len())?;
        let store = self.store.borrow();
        let bytes = store.at(place, offset).and_then(|bytes| bytes.get(..buf.len()));
        buf.copy_from_slice(bytes.ok_or(Unreadable)?);
        Ok(())
    }

    #[inline]
    fn note(&self, addr: Addr, len: usize) {
        if self.constant.get() == 0 {
            if self.tracing.get() {
                self.trace.borrow_mut().push((addr, u32::try_from(len).unwrap_or(u32::MAX)));
            }
        } else if self.keeping.get() {
            self.constants.borrow_mut().noted.push((addr, u32::try_from(len).unwrap_or(u32::MAX)));
        }
    }

    /// Where the bytes of a page are, now that it is read from.
    #[inline]
    fn place(&self, page: u64, offset: usize, len: usize) -> Result<u32, Unreadable> {
        let near = self.near[page as usize % NEAR].get();
        if page == near.page {
            if self.constant.get() > 0 {
                return Ok(near.place);
            }
            if near.passed && self.passing.get() {
                return Ok(near.place);
            }
            if near.marked {
                if self.walking.get() {
                    self.step_on(near, offset, len);
                }
                return Ok(near.place);
            }
        }
        self.turn_to(page, offset, len)
    }

    /// Notes that one more part of a page was read.
    #[inline]
    fn step_on(&self, near: Near, offset: usize, len: usize) {
        let mut footprint = self.footprint.borrow_mut();
        let at = near.step as usize;
        let Some(slot) = footprint.get(at).map(|step| step.slot) else { return };
        let step = Step::new(slot, offset, len);
        if self.once.get() {
            footprint[at].widen(step);
            return;
        }
        let first = at.saturating_sub(STEPS_BACK).max(near.first as usize);
        if !footprint[first..=at].iter_mut().rev().any(|known| known.take_in(step)) {
            let near = Near { step: u32::try_from(footprint.len()).unwrap_or(u32::MAX), ..near };
            self.near[near.page as usize % NEAR].set(near);
            footprint.push(step);
        }
    }

    /// Forgets which pages were read lately.
    fn leave(&self) {
        self.near.iter().for_each(|near| near.set(NOWHERE));
    }

    /// Makes `page` the current one: copies it where it is missing or stale, and marks it as used unless
    /// only constants are read.
    fn turn_to(&self, page: u64, offset: usize, len: usize) -> Result<u32, Unreadable> {
        let known = self.store.borrow().slots.get(&page).copied();
        let slot = match known {
            Some(slot) => slot,
            None => self.fetch(page)?,
        };
        if self.store.borrow().place(slot as usize).is_none() {
            self.bring_back(slot)?;
        }
        let mut passes = self.constant.get() == 0;
        let mut marks = passes && !self.passing.get();
        let mut step = 0;
        if !passes
            && self.keeping.get()
            && let Some(flags) = self.store.borrow_mut().flags.get_mut(slot as usize)
        {
            *flags |= CONSTANT;
        }
        if passes {
            let mut store = self.store.borrow_mut();
            let flags = store.flags.get(slot as usize).copied().unwrap_or(0);
            if flags & STALE != 0 {
                self.copy_again(&mut store, slot)?;
            }
            if let Some(flags) = store.flags.get_mut(slot as usize) {
                *flags = *flags & !STALE | if marks { USED } else { 0 };
                // Each read of it is one of a later moment, and has to come by here.
                if *flags & LATE != 0 {
                    self.late_reads.set(self.late_reads.get() + 1);
                    (passes, marks) = (false, false);
                }
            }
            if self.walking.get() {
                let mut footprint = self.footprint.borrow_mut();
                step = u32::try_from(footprint.len()).unwrap_or(u32::MAX);
                footprint.push(Step::new(slot, offset, len));
            }
        }
        let place = self.store.borrow().place(slot as usize).ok_or(Unreadable)?;
        self.near[page as usize % NEAR].set(Near {
            page,
            place,
            first: step,
            step,
            passed: passes,
            marked: marks,
        });
        Ok(place)
    }

    /// The flags of a page that was just copied for the first time. When the pause is over, it is good for
    /// what never changes only; anything else is copied once more, and counted as late.
    fn new_flags(&self) -> u8 {
        if self.is_late() { STALE } else { 0 }
    }

    /// Copies a page that was forgotten, to be kept for good.
    #[cold]
    fn bring_back(&self, slot: u32) -> Result<(), Unreadable> {
        let store = &mut *self.store.borrow_mut();
        let fresh = self.copy_of(store, slot as usize)?;
        // The rest is as it was.
        if self.settled.get() && store.is_other(slot as usize, &fresh) {
            return Err(Unreadable);
        }
        if self.put(store, slot as usize, &fresh, true) { Ok(()) } else { Err(Unreadable) }
    }

    /// Copies one page anew.
    fn copy_again(&self, store: &mut Store, slot: u32) -> Result<(), Unreadable> {
        let slot = slot as usize;
        let fresh = self.copy_of(store, slot);
        let done = self.put(store, slot, fresh.as_ref().unwrap_or(&[0; PAGE_LEN]), fresh.is_ok());
        fresh.and(if done { Ok(()) } else { Err(Unreadable) })
    }

    /// What the page of a slot holds now.
    fn copy_of(&self, store: &Store, slot: usize) -> Result<[u8; PAGE_LEN], Unreadable> {
        let page = store.pages.get(slot).copied().ok_or(Unreadable)?;
        let mut fresh = [0; PAGE_LEN];
        self.bytes_read.set(self.bytes_read.get() + PAGE);
        let got = self.memory.read(page.wrapping_mul(PAGE), &mut fresh);
        if got == PAGE_LEN { Ok(fresh) } else { Err(Unreadable) }
    }

    /// Puts a copy in the place of an earlier one. Whether there was room.
    fn put(&self, store: &mut Store, slot: usize, fresh: &[u8], whole: bool) -> bool {
        let done = store.replace(slot, fresh, whole, true);
        self.note_late(store, slot);
        done
    }

    /// Notes that something was put into a page, which is of a later moment than the rest where the pause is over.
    fn note_late(&self, store: &mut Store, slot: usize) {
        if self.is_late() {
            self.late_pages.set(self.late_pages.get() + u64::from(store.flags[slot] & LATE == 0));
            store.flags[slot] |= LATE;
        }
    }

    /// Copies a page that is not there yet, with some of its neighbours, and returns its slot.
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
        // While the target waits, nothing is copied on suspicion.
        if !self.is_awaited() && store.is_dense(page / REGION_PAGES, self.max_pages) {
            self.fetch_region(store, page / REGION_PAGES);
            if let Some(slot) = store.slots.get(&page) {
                return Ok(*slot);
            }
        }
        let run = (1..RUN).find(|n| store.slots.contains_key(&(page + *n as u64))).unwrap_or(RUN);
        let place =
            store.room(run, self.for_good.get(), NEEDED, |page| self.leave_page(page)).ok_or(Unreadable)?;
        let buf = store.at_mut(place..place + run).ok_or(Unreadable)?;
        let got = self.memory.read(page * PAGE, buf);
        let whole = got / PAGE_LEN;
        if whole == 0 {
            return Err(Unreadable);
        }
        self.bytes_read.set(self.bytes_read.get() + got as u64);
        for (page, place) in (page..).zip(place..).take(whole) {
            store.push(page, self.new_flags(), place).ok_or(Unreadable)?;
        }
        store.slots.get(&page).copied().ok_or(Unreadable)
    }

    /// Copies all of a region that is not there yet. What is there already keeps its place: the room for
    /// it stays empty, so that the rest lies here as it does there.
    fn fetch_region(&self, store: &mut Store, region: u64) {
        let count = REGION_PAGES as usize;
        let first = region * REGION_PAGES;
        let Some(place) = store.room(count, self.for_good.get(), NEEDED, |page| self.leave_page(page)) else {
            return;
        };
        let Some(buf) = store.at_mut(place..place + count) else { return };
        let strips = (first..first + REGION_PAGES).step_by(STRIP);
        let pieces = self.copy_out(strips.map(|page| (page * PAGE, STRIP * PAGE_LEN)), buf);
        let whole: Vec<bool> = pieces.iter().map(|piece| piece.whole).collect();
        for n in 0..count {
            let page = first + n as u64;
            if whole.get(n / STRIP) == Some(&true) && !store.slots.contains_key(&page) {
                store.push(page, self.new_flags(), place + n);
                self.bytes_read.set(self.bytes_read.get() + PAGE);
            }
        }
    }

    /// From here on until the next refresh, pages that were read are forgotten when others need their room, and
    /// copied once more where they are read again: for a target that is read once, after which it is compared with
    /// what it was.
    pub(crate) fn be_thrifty(&self) {
        self.once.set(true);
        self.store.borrow_mut().be_thrifty();
    }

    /// Begins or ends to read what will be read again soon: a thrifty copy keeps it, too.
    pub(crate) fn keep(&self, for_good: bool) {
        self.for_good.set(for_good);
    }

    /// A page has lost its place.
    fn leave_page(&self, page: u64) {
        let near = &self.near[page as usize % NEAR];
        if near.get().page == page {
            near.set(NOWHERE);
        }
    }

    /// Copies every page anew from which something was read that can change, until the pause is over. Pages
    /// that are gone are forgotten. Returns how many could not be copied in time.
    pub(crate) fn refresh(&self) -> usize {
        self.refresh_those(|flags| flags & NEEDED != 0)
    }

    /// Copies a page anew only when it is turned to: for a look that needs few of them.
    pub(crate) fn age(&self) {
        self.leave();
        self.store.borrow_mut().flags.iter_mut().for_each(|flags| *flags |= STALE);
    }

    /// Copies what the last refresh had no time for.
    pub(crate) fn refresh_rest(&self) {
        self.refresh_those(|flags| flags & NEEDED != 0 && flags & STALE != 0);
    }

    fn refresh_those(&self, chosen: impl Fn(u8) -> bool) -> usize {
        let store = &mut *self.store.borrow_mut();
        self.leave();
        store.keep_all();
        let mut left = 0;
        for (page, flags) in store.pages.iter().zip(&mut store.flags) {
            // What is left out, or not reached in time, holds what it held before.
            left += usize::from(*page != GONE && chosen(*flags));
            if *flags & NEEDED == 0 || chosen(*flags) {
                *flags |= STALE;
            }
        }
        let mut from = 0;
        let fresh = &mut *self.scratch.borrow_mut();
        let size = BATCH.min(store.pages.len()) * PAGE_LEN;
        fresh.resize(fresh.len().max(size), 0);
        while from < store.pages.len() && left > 0 && !self.is_late() {
            let to = store.pages.len().min(from + BATCH);
            left -= self.refresh_batch(store, from..to, &chosen, &mut fresh[..size]).min(left);
            from = to;
        }
        left
    }

    /// Copies those of a batch of slots (none is larger than a part of a slab) in few pieces, and marks
    /// those that hold something else than before. Returns how many of them were copied in time.
    fn refresh_batch(
        &self,
        store: &mut Store,
        batch: Range<usize>,
        chosen: impl Fn(u8) -> bool,
        fresh: &mut [u8],
    ) -> usize {
        let wanted = |at: usize| store.pages[at] != GONE && chosen(store.flags[at]);
        // Slots up to this one hold what follows a run's pages in the target.
        let follows = |run: &Range<usize>, at: usize| {
            let expected = store.pages[run.end - 1] + 1..;
            store.pages[run.end..=at].iter().zip(expected).all(|(page, expected)| *page == expected)
        };
        let mut runs: Vec<Range<usize>> = Vec::new();
        let mut count = 0;
        for at in batch.clone().filter(|at| wanted(*at)) {
            count += 1;
            match runs.last_mut() {
                Some(run) if at - run.end <= GAP && follows(run, at) => run.end = at + 1,
                _ => runs.push(at..at + 1),
            }
        }
        let spans = runs.iter().map(|run| (store.pages[run.start] * PAGE, run.len() * PAGE_LEN));
        let pieces = self.copy_out(spans, fresh);
        if self.is_late() {
            return 0;
        }
        for (run, piece) in runs.into_iter().zip(&pieces) {
            self.bytes_read.set(self.bytes_read.get() + piece.buf.len() as u64);
            for (slot, fresh) in run.zip(piece.buf.chunks_exact(PAGE_LEN)) {
                store.flags[slot] &= !(STALE | LATE);
                if !store.replace(slot, fresh, piece.whole, false) || !piece.whole {
                    store.remove(slot);
                }
            }
        }
        count
    }

    /// While the guard lives, what is read is taken for something that never changes.
    pub(crate) fn constant(&self) -> Constant<'_> {
        self.constant.set(self.constant.get() + 1);
        Constant(&self.constant)
    }

    /// Begins or ends to read in passing: a later refresh leaves out what is read now.
    pub(crate) fn pass(&self, passing: bool) {
        self.passing.set(passing);
    }

    /// Begins or ends to note which pages are read, but for constants.
    pub(crate) fn note_footprints(&self, walking: bool) {
        self.walking.set(walking);
        self.leave();
    }

    /// What follows has a footprint of its own, from here on.
    pub(crate) fn begin_footprint(&self) -> usize {
        if self.walking.get() {
            self.leave();
        }
        self.footprint.borrow().len()
    }

    /// The footprint that was begun there: what was read since then.
    pub(crate) fn end_footprint(&self, begin: usize) -> Footprint {
        let end = self.footprint.borrow().len();
        let at = |place| u32::try_from(place).unwrap_or(u32::MAX);
        Footprint(at(begin)..at(end))
    }

    /// Whether what was read is, as far as is known, what it was when its pages were copied first;
    /// whoever has refreshed them knows it.
    pub(crate) fn is_unchanged(&self, footprint: &Footprint) -> bool {
        let store = self.store.borrow();
        let steps = self.footprint.borrow();
        let steps = footprint.of(&steps);
        let same = |step: &Step| {
            let slot = step.slot as usize;
            store.pages.get(slot).is_some_and(|page| *page != GONE)
                && store.flags.get(slot).is_some_and(|flags| flags & STALE == 0)
                && !store.has_changed(slot, step.lines, step.begin..step.end)
        };
        !steps.is_empty() && steps.iter().all(same)
    }

    /// From here on, what has changed means: since now.
    pub(crate) fn forget_changes(&self) {
        self.store.borrow_mut().forget_changes();
    }

    /// Forgets all footprints but these.
    pub(crate) fn keep_footprints<'f>(&self, kept: impl Iterator<Item = &'f mut Footprint>) {
        let mut steps = self.footprint.borrow_mut();
        let mut left = Vec::with_capacity(steps.len());
        let at = |place| u32::try_from(place).unwrap_or(u32::MAX);
        for Footprint(range) in kept {
            let begin = left.len();
            left.extend_from_slice(Footprint(range.clone()).of(&steps));
            *range = at(begin)..at(left.len());
        }
        *steps = left;
    }

    /// From here on, notes what is taken for something that never changes.
    pub(crate) fn note_constants(&self) {
        self.keeping.set(true);
        self.leave();
    }

    /// Keeps what has been taken for constant since the last time.
    pub(crate) fn keep_constants(&self) {
        let store = self.store.borrow();
        let Constants { noted, seen, parts, bytes } = &mut *self.constants.borrow_mut();
        for part in noted.drain(..).filter(|part| seen.insert(*part)) {
            let begin = bytes.len();
            if store.peek(part.0, part.1, |piece| {
                bytes.extend_from_slice(piece);
                true
            }) {
                parts.push(part);
            } else {
                bytes.truncate(begin);
            }
        }
    }

    /// Whether all that was taken for constant is still what it was, in the copy as it is now.
    pub(crate) fn constants_hold(&self) -> bool {
        let store = self.store.borrow();
        let Constants { parts, bytes, .. } = &*self.constants.borrow();
        let mut known = &bytes[..];
        parts.iter().all(|(addr, len)| {
            store.peek(*addr, *len, |piece| {
                let (expected, rest) = known.split_at_checked(piece.len()).unwrap_or_default();
                known = rest;
                expected == piece
            })
        })
    }

    /// How many pages are kept.
    pub(crate) fn count(&self) -> usize {
        self.store.borrow().slots.len()
    }

    /// Begins to note what is read, but for constants.
    pub(crate) fn begin_trace(&self) {
        self.trace.borrow_mut().clear();
        self.tracing.set(true);
    }

    /// What was read since [`Pages::begin_trace`].
    pub(crate) fn end_trace(&self) -> Trace {
        self.tracing.set(false);
        let mut trace = self.trace.borrow_mut();
        trace.sort_unstable();
        let mut pieces: Vec<(Addr, u32)> = Vec::with_capacity(trace.len() / 2);
        for (addr, len) in trace.drain(..) {
            let end = addr.0.saturating_add(u64::from(len));
            match pieces.last_mut() {
                Some((first, known)) if addr.0 <= first.0 + u64::from(*known) => {
                    *known = (*known).max(u32::try_from(end - first.0).unwrap_or(u32::MAX));
                }
                _ => pieces.push((addr, len)),
            }
        }
        Trace(pieces.into())
    }

    /// Copies what a trace holds anew, all of it at once.
    pub(crate) fn renew(&self, trace: &Trace) {
        self.is_same_still(trace, 1);
    }

    /// Whether the target still has what was read of it, each of so many times that all of it is copied, one right after
    /// the other: the more often, the less can what goes back and forth look the same by chance. Where it has changed, the
    /// new is known from here on.
    pub(crate) fn is_same(&self, trace: &Trace, looks: usize) -> bool {
        let spans = trace.spans();
        // Mostly the first look tells.
        self.looks_same(trace, &spans, 1) && (looks < 2 || self.looks_same(trace, &spans, looks - 1))
    }

    /// The same for what is likely to have changed. Then it leads to something else, which often lies in the same pages: so
    /// these are known from here on.
    pub(crate) fn is_same_still(&self, trace: &Trace, looks: usize) -> bool {
        self.looks_same(trace, &trace.pages(), 1)
            && (looks < 2 || self.looks_same(trace, &trace.spans(), looks - 1))
    }

    fn looks_same(&self, trace: &Trace, spans: &[(Addr, usize)], looks: usize) -> bool {
        let scratch = &mut *self.scratch.borrow_mut();
        let size = looks * spans.iter().map(|(_, len)| len).sum::<usize>();
        scratch.resize(scratch.len().max(size), 0);
        self.bytes_read.set(self.bytes_read.get() + size as u64);
        let all = (0..looks).flat_map(|_| spans).map(|(addr, len)| (addr.0, *len));
        let pieces = self.copy_out(all, &mut scratch[..size]);
        let store = &mut *self.store.borrow_mut();
        let is_same = pieces.chunks(spans.len().max(1)).all(|look| {
            let mut parts = trace.parts().peekable();
            look.iter().all(|piece| store.holds(piece, &mut parts))
        });
        if !is_same {
            self.leave();
            // The last look is the newest.
            for piece in &pieces[pieces.len() - spans.len()..] {
                // What cannot be read now is asked for once more by whoever needs it.
                if let Some(slot) = store.replace_part(piece, STALE) {
                    self.note_late(store, slot);
                }
            }
        }
        scratch.truncate(SCRATCH);
        scratch.shrink_to(SCRATCH);
        is_same
    }

    /// Copies bytes of the target, by address and length, into `buf`, one piece after the other.
    fn copy_out<'b>(
        &self,
        spans: impl Iterator<Item = (u64, usize)>,
        mut buf: &'b mut [u8],
    ) -> Vec<Piece<'b>> {
        let cut = |(addr, len)| {
            let (piece, rest) = take(&mut buf).split_at_mut(len);
            buf = rest;
            Piece { addr, buf: piece, whole: false }
        };
        let mut pieces: Vec<_> = spans.map(cut).collect();
        self.memory.read_many(&mut pieces);
        pieces
    }

    /// What is copied from now on belongs to this pause. While it lasts, the target waits for us, and only
    /// what is asked for is copied; what is copied when it is over is late, and counted.
    pub(crate) fn begin_pause(&self, over: Over) {
        self.pause.replace(Some(over));
        self.late_pages.set(0);
    }

    /// All of the copy is of one moment, and is to stay so: a page that was forgotten and has changed since then
    /// cannot be read any more.
    pub(crate) fn settle(&self) {
        self.settled.set(true);
    }

    /// What is copied from now on belongs to no pause.
    pub(crate) fn end_pause(&self) {
        self.pause.replace(None);
    }

    /// Whether the target waits for us.
    fn is_awaited(&self) -> bool {
        self.pause.borrow().as_ref().is_some_and(|over| !over.is_over())
    }

    /// Whether what was just copied came too late for the pause that it belongs to.
    fn is_late(&self) -> bool {
        self.pause.borrow().as_ref().is_some_and(Over::is_over)
    }

    /// How many pages were copied when the pause was over.
    pub(crate) fn late_pages(&self) -> u64 {
        self.late_pages.get()
    }

    /// How often such a page was read: what is read without a change of this number is of one moment.
    pub(crate) fn late_reads(&self) -> u64 {
        self.late_reads.get()
    }

    /// Bytes copied so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read.get()
    }
}

/// The pages that were read for one purpose, one after the other: where they are listed.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Footprint(Range<u32>);

impl Footprint {
    fn of<'s>(&self, steps: &'s [Step]) -> &'s [Step] {
        steps.get(self.0.start as usize..self.0.end as usize).unwrap_or_default()
    }
}

/// What was read for one purpose: addresses and lengths, in order, and none over another.
#[derive(Default)]
pub(crate) struct Trace(Box<[(Addr, u32)]>);

impl Trace {
    /// The pages that hold it, in order, as what is to be copied.
    fn pages(&self) -> Vec<(Addr, usize)> {
        let mut pages: Vec<_> =
            self.parts().map(|(addr, _)| (Addr(addr.0 / PAGE * PAGE), PAGE_LEN)).collect();
        pages.dedup();
        pages
    }

    /// What it takes to copy it in few pieces, none of which goes over the end of a page.
    fn spans(&self) -> Vec<(Addr, usize)> {
        let mut spans: Vec<(Addr, usize)> = Vec::new();
        for (addr, len) in self.parts() {
            match spans.last_mut() {
                Some((begin, known))
                    if begin.0 / PAGE == addr.0 / PAGE && addr.0 - begin.0 < *known as u64 + SPAN_GAP =>
                {
                    *known = usize::try_from(addr.0 - begin.0).unwrap_or(0) + len;
                }
                _ => spans.push((addr, len)),
            }
        }
        spans
    }

    /// What was read, cut where pages end.
    fn parts(&self) -> impl Iterator<Item = (Addr, usize)> {
        self.0.iter().flat_map(|(addr, len)| parts(*addr, *len))
    }
}

/// Some bytes, cut where pages end.
pub(super) fn parts(addr: Addr, len: u32) -> impl Iterator<Item = (Addr, usize)> {
    let end = addr.0.saturating_add(u64::from(len));
    let mut at = addr.0;
    std::iter::from_fn(move || {
        let here = end.min((at / PAGE + 1).saturating_mul(PAGE)).saturating_sub(at);
        let part = (Addr(at), usize::try_from(here).unwrap_or(0));
        at += here;
        (here > 0).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::{PAGE_LEN, lines};

    #[test]
    fn a_line_is_a_bit() {
        assert_eq!((lines(0, 1), lines(127, 1), lines(127, 2), lines(128, 8)), (1, 1, 3, 2));
        assert_eq!((lines(0, PAGE_LEN), lines(4088, 8), lines(256, 128)), (u32::MAX, 1 << 31, 4));
    }
}
