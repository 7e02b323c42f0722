//! Where copies of pages are kept.
//!
//! Each page that was looked at has a *slot* for good: a number, with what is known of the page. Its bytes have a *place*
//! in a slab. Whoever reads a large target once reads most of its pages once: then the store can be told to be thrifty.
//! Pages that come for the first time go into a ring of a fixed size, which forgets the oldest for them, and keeps of
//! each only sums of its lines, which tell whether it has changed since. What is read again is kept for good: so no
//! page is copied for that more than once, and what is read all the time stays. (The idea is that of the 2Q algorithm:
//! Johnson and Shasha, VLDB 1994.)

use super::Piece;
use super::addr::Addr;
use super::pages::{LINE, PAGE, PAGE_LEN, REGION_PAGES, parts};
use memmap2::{Advice, MmapMut};
use rustc_hash::FxHashMap;
use std::iter::Peekable;
use std::ops::Range;

/// Pages are kept in slabs, so that the copy grows without moving. They are large, and asked for as huge
/// pages: touching new memory costs more than copying into it does.
const SLAB_PAGES: usize = 8192;
/// The ring of a thrifty store: some regions, each of which is copied at once.
const RING_PAGES: usize = 4 * REGION_PAGES as usize;
/// A region is worth copying whole after so many misses in it.
const MISSES: u8 = 40;

/// A slot whose page is gone from the target.
pub(super) const GONE: u64 = u64::MAX;
/// A bit for each word of a page.
pub(super) type Words = [u64; PAGE_LEN / 8 / 64];
/// The sums of a page's lines.
type Sums = [u64; PAGE_LEN / LINE];

/// Where the bytes of a page are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// There, counted in pages from the beginning of the first slab.
    At(u32),
    /// They were forgotten; these are their sums.
    Summed(u32),
    /// They were forgotten, and nobody has to know what they were.
    Nowhere,
}

/// The pages of one target, as far as they are kept.
#[derive(Default)]
pub(super) struct Store {
    pub slots: FxHashMap<u64, u32>,
    /// The page in each slot, or `GONE`.
    pub pages: Vec<u64>,
    pub flags: Vec<u8>,
    /// Which lines were found to hold something else when the page was copied again.
    changed: Vec<u32>,
    /// And which words of theirs, as far as that is known: what many tasks share has neighbours that change all the time.
    changed_words: FxHashMap<usize, Words>,
    places: Vec<Place>,
    slabs: Vec<MmapMut>,
    /// How many pages of the slabs are taken.
    taken: usize,
    ring: Option<Ring>,
    sums: Vec<Sums>,
    /// How often a page was missing, by region.
    misses: FxHashMap<u64, u8>,
}

/// Room that is used again and again. It is the beginning of a slab that is mapped for it alone.
struct Ring {
    begin: usize,
    next: usize,
    /// The slots that its pages belong to.
    owners: Vec<Option<u32>>,
}

/// New memory, in huge pages where the kernel has them.
fn slab(pages: usize) -> Option<MmapMut> {
    let slab = MmapMut::map_anon(pages * PAGE_LEN).ok()?;
    let _ = slab.advise(Advice::HugePage);
    Some(slab)
}

impl Store {
    /// From here on, pages are forgotten when others need their room.
    pub(super) fn be_thrifty(&mut self) {
        let begin = self.slabs.len() * SLAB_PAGES;
        if self.ring.is_none()
            && let Some(slab) = slab(RING_PAGES)
        {
            self.slabs.push(slab);
            self.taken = self.slabs.len() * SLAB_PAGES;
            self.ring = Some(Ring { begin, next: 0, owners: vec![None; RING_PAGES] });
        }
    }

    /// From here on, all that is there stays.
    pub(super) fn keep_all(&mut self) {
        self.ring = None;
    }

    /// Room for `count` pages (a region at the most) that lie one after the other, which are to be kept for good or not.
    /// Pages that are forgotten for it and from which something was read that can change have one of the flags in `needed`;
    /// each forgotten page is told.
    pub(super) fn room(
        &mut self,
        count: usize,
        for_good: bool,
        needed: u8,
        forgotten: impl FnMut(u64),
    ) -> Option<usize> {
        if let Some(ring) = &mut self.ring
            && !for_good
        {
            if ring.next + count > RING_PAGES {
                ring.next = 0;
            }
            let begin = ring.next;
            ring.next += count;
            let place = ring.begin + begin;
            let owners: Vec<u32> =
                ring.owners.get_mut(begin..begin + count)?.iter_mut().filter_map(Option::take).collect();
            self.forget(&owners, needed, forgotten);
            return Some(place);
        }
        if self.slabs.len() * SLAB_PAGES - self.taken < count {
            // What is left of the last slab stays empty.
            let slab = slab(SLAB_PAGES)?;
            self.taken = self.slabs.len() * SLAB_PAGES;
            self.slabs.push(slab);
        }
        self.taken += count;
        Some(self.taken - count)
    }

    fn forget(&mut self, slots: &[u32], needed: u8, mut forgotten: impl FnMut(u64)) {
        for slot in slots.iter().map(|slot| *slot as usize) {
            if self.flags[slot] & needed == 0 {
                self.places[slot] = Place::Nowhere;
            } else if let Some(bytes) = self.bytes(slot)
                && let Ok(at) = u32::try_from(self.sums.len())
            {
                self.sums.push(sums(bytes));
                self.places[slot] = Place::Summed(at);
            }
            forgotten(self.pages[slot]);
        }
    }

    /// Gives a page a slot, and that the place for its bytes.
    pub(super) fn push(&mut self, page: u64, flags: u8, place: usize) -> Option<u32> {
        let slot = u32::try_from(self.pages.len()).ok()?;
        self.pages.push(page);
        self.flags.push(flags);
        self.changed.push(0);
        self.places.push(Place::Nowhere);
        self.slots.insert(page, slot);
        self.put_at(slot as usize, place)?;
        Some(slot)
    }

    fn put_at(&mut self, slot: usize, place: usize) -> Option<()> {
        if let Some(ring) = &mut self.ring
            && let Some(owner) = place.checked_sub(ring.begin).and_then(|at| ring.owners.get_mut(at))
        {
            *owner = u32::try_from(slot).ok();
        }
        *self.places.get_mut(slot)? = Place::At(u32::try_from(place).ok()?);
        Some(())
    }

    /// Notes that a page of a region was missing. Whether the rest of it is worth copying now, which it is
    /// once.
    pub(super) fn is_dense(&mut self, region: u64, max_pages: usize) -> bool {
        let misses = self.misses.entry(region).or_default();
        *misses = misses.saturating_add(1);
        *misses == MISSES && self.pages.len() + 2 * REGION_PAGES as usize <= max_pages
    }

    /// The bytes at some places of one slab.
    pub(super) fn at_mut(&mut self, places: Range<usize>) -> Option<&mut [u8]> {
        let start = places.start % SLAB_PAGES * PAGE_LEN;
        self.slabs.get_mut(places.start / SLAB_PAGES)?.get_mut(start..start + places.len() * PAGE_LEN)
    }

    /// The bytes from a place on, to the end of the page.
    #[inline]
    pub(super) fn at(&self, place: u32, offset: usize) -> Option<&[u8]> {
        let place = place as usize;
        let start = place % SLAB_PAGES * PAGE_LEN;
        self.slabs.get(place / SLAB_PAGES)?.get(start + offset..start + PAGE_LEN)
    }

    /// Where the bytes of a slot are, if they are kept.
    #[inline]
    pub(super) fn place(&self, slot: usize) -> Option<u32> {
        match self.places.get(slot) {
            Some(Place::At(place)) => Some(*place),
            _ => None,
        }
    }

    pub(super) fn bytes(&self, slot: usize) -> Option<&[u8]> {
        self.at(self.place(slot)?, 0)
    }

    /// Puts another copy in the place of one, and notes what has changed. What was forgotten and has not changed stays so,
    /// unless it is to be kept for good. Whether all went well.
    pub(super) fn replace(&mut self, slot: usize, fresh: &[u8], whole: bool, for_good: bool) -> bool {
        if !whole {
            self.note_changes(slot, u32::MAX, &words_of(u32::MAX));
            return true;
        }
        match self.places.get(slot) {
            Some(Place::At(place)) => {
                let place = *place as usize;
                let Some(known) = self.at_mut(place..place + 1) else { return false };
                if known != fresh {
                    let (lines, words) = differences(known, fresh);
                    known.copy_from_slice(fresh);
                    self.note_changes(slot, lines, &words);
                }
                true
            }
            Some(Place::Summed(at)) => {
                let Some(known) = self.sums.get(*at as usize) else { return false };
                let changed = other_sums(known, fresh);
                self.note_changes(slot, changed, &words_of(changed));
                (changed == 0 && !for_good) || self.keep(slot, fresh)
            }
            Some(Place::Nowhere) => !for_good || self.keep(slot, fresh),
            None => false,
        }
    }

    /// Whether a fresh copy says the same as ours, as far as it is of these parts; those that it is of are passed over.
    pub(super) fn holds(
        &self,
        piece: &Piece<'_>,
        parts: &mut Peekable<impl Iterator<Item = (Addr, usize)>>,
    ) -> bool {
        let slot = self.slots.get(&(piece.addr / PAGE)).filter(|_| piece.whole);
        let Some(known) = slot.and_then(|slot| self.bytes(*slot as usize)) else { return false };
        let from = usize::try_from(piece.addr % PAGE).unwrap_or(0);
        let end = piece.addr + piece.buf.len() as u64;
        while let Some((addr, len)) = parts.next_if(|(addr, _)| addr.0 < end) {
            let at = usize::try_from(addr.0 - piece.addr).unwrap_or(0);
            if piece.buf.get(at..at + len) != known.get(from + at..from + at + len) {
                return false;
            }
        }
        true
    }

    /// Puts a fresh copy of a part of a page in the place of ours, and notes which lines have changed. Where it could not be
    /// read, the page gets a flag. Returns its slot.
    pub(super) fn replace_part(&mut self, piece: &Piece<'_>, unread: u8) -> Option<usize> {
        let slot = *self.slots.get(&(piece.addr / PAGE))? as usize;
        let from = usize::try_from(piece.addr % PAGE).unwrap_or(0);
        let fresh = &*piece.buf;
        let place = self.place(slot).map(|place| place as usize).filter(|_| piece.whole);
        let known = place.and_then(|place| self.at_mut(place..place + 1));
        let Some(known) = known.and_then(|page| page.get_mut(from..from + fresh.len())) else {
            self.flags[slot] |= unread;
            return Some(slot);
        };
        let (mut changed, mut words, mut at) = (0, Words::default(), 0);
        while at < fresh.len() {
            let end = fresh.len().min((from + at) / LINE * LINE + LINE - from);
            if known[at..end] != fresh[at..end] {
                changed |= 1 << ((from + at) / LINE);
                // To the word: what is beside it is mostly another task's, which has not moved.
                for at in (at..end).filter(|at| known[*at] != fresh[*at]) {
                    words[(from + at) / 8 / 64] |= 1 << ((from + at) / 8 % 64);
                }
            }
            at = end;
        }
        known.copy_from_slice(fresh);
        self.note_changes(slot, changed, &words);
        Some(slot)
    }

    fn note_changes(&mut self, slot: usize, lines: u32, words: &Words) {
        if lines != 0 {
            self.changed[slot] |= lines;
            let known = self.changed_words.entry(slot).or_default();
            known.iter_mut().zip(words).for_each(|(known, words)| *known |= words);
        }
    }

    /// Whether some bytes of a page hold something else than when they were copied first, as far as they are in these lines.
    pub(super) fn has_changed(&self, slot: usize, lines: u32, bytes: Range<u16>) -> bool {
        let Some(changed) = self.changed.get(slot) else { return true };
        if changed & lines == 0 {
            return false;
        }
        let Some(changed) = self.changed_words.get(&slot) else { return true };
        let read = words_of(lines);
        (usize::from(bytes.start) / 8..usize::from(bytes.end).div_ceil(8)).any(|word| {
            let both =
                |words: &Words| words.get(word / 64).is_some_and(|words| words >> (word % 64) & 1 == 1);
            both(changed) && both(&read)
        })
    }

    /// From here on, what has changed means: since now.
    pub(super) fn forget_changes(&mut self) {
        self.changed.fill(0);
        self.changed_words.clear();
    }

    /// Whether a page that was forgotten held something else.
    pub(super) fn is_other(&self, slot: usize, fresh: &[u8]) -> bool {
        match self.places.get(slot) {
            Some(Place::Summed(at)) => {
                self.sums.get(*at as usize).is_none_or(|known| other_sums(known, fresh) != 0)
            }
            _ => false,
        }
    }

    fn keep(&mut self, slot: usize, fresh: &[u8]) -> bool {
        let Some(place) = self.room(1, true, 0, |_| ()) else { return false };
        let Some(bytes) = self.at_mut(place..place + 1) else { return false };
        bytes.copy_from_slice(fresh);
        self.put_at(slot, place).is_some()
    }

    /// Forgets a page that is gone.
    pub(super) fn remove(&mut self, slot: usize) {
        self.slots.remove(&self.pages[slot]);
        self.pages[slot] = GONE;
    }

    /// Shows `len` bytes from `addr` on, in pieces, as long as that is wanted. Whether all of them were.
    pub(super) fn peek(&self, addr: Addr, len: u32, mut show: impl FnMut(&[u8]) -> bool) -> bool {
        parts(addr, len).all(|(addr, len)| {
            let offset = usize::try_from(addr.0 % PAGE).unwrap_or(0);
            let page = self.slots.get(&(addr.0 / PAGE)).and_then(|slot| self.bytes(*slot as usize));
            page.and_then(|page| page.get(offset..offset + len)).is_some_and(&mut show)
        })
    }
}

/// Whether some words are among those that hold these bytes of a page.
pub(super) fn any_of(words: &Words, offset: usize, len: usize) -> bool {
    (offset / 8..(offset + len).div_ceil(8))
        .any(|word| words.get(word / 64).is_none_or(|words| words >> (word % 64) & 1 == 1))
}

/// All words of some lines.
fn words_of(lines: u32) -> Words {
    const IN_LINE: usize = LINE / 8;
    let mut words = [0; PAGE_LEN / 8 / 64];
    for line in (0..PAGE_LEN / LINE).filter(|line| lines >> line & 1 == 1) {
        words[line * IN_LINE / 64] |= ((1 << IN_LINE) - 1) << (line * IN_LINE % 64);
    }
    words
}

/// The lines, and the words of them, in which two copies of a page are not the same.
pub(super) fn differences(a: &[u8], b: &[u8]) -> (u32, Words) {
    let (mut lines, mut words) = (0, [0; PAGE_LEN / 8 / 64]);
    let pairs = a.chunks_exact(LINE).zip(b.chunks_exact(LINE)).enumerate();
    for (line, (a, b)) in pairs.filter(|(_, (a, b))| a != b) {
        lines |= 1 << line;
        for (word, (a, b)) in a.chunks_exact(8).zip(b.chunks_exact(8)).enumerate() {
            let at = line * (LINE / 8) + word;
            words[at / 64] |= u64::from(a != b) << (at % 64);
        }
    }
    (lines, words)
}

/// The lines of a page that have other sums.
fn other_sums(known: &Sums, fresh: &[u8]) -> u32 {
    let pairs = known.iter().zip(sums(fresh)).enumerate();
    pairs.fold(0, |mask, (line, (a, b))| mask | u32::from(*a != b) << line)
}

/// A number for each line of a page, which is another one when the line is (but for one case in 2⁶⁴).
fn sums(page: &[u8]) -> Sums {
    // Products of pairs of words that keys were added to: NH, of UMAC (RFC 4418), with 64-bit words, folded.
    const KEY: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut sums = [0; PAGE_LEN / LINE];
    for (sum, line) in sums.iter_mut().zip(page.chunks_exact(LINE)) {
        let mut key = KEY;
        for pair in line.chunks_exact(16) {
            let (a, b) = pair.split_at(8);
            let word = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            let product = u128::from(word(a) ^ key) * u128::from(word(b) ^ key.rotate_left(32));
            #[allow(clippy::cast_possible_truncation)] // both halves are taken
            let folded = product as u64 ^ (product >> 64) as u64;
            *sum = u64::wrapping_add(*sum, folded);
            key = key.wrapping_add(KEY);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::super::pages::{Pages, Unreadable};
    use super::*;
    use crate::memory::Memory;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// Some pages that lie one after the other, each full of one byte, and how many reads there were.
    #[derive(Clone, Default)]
    struct Fake(Rc<RefCell<(Vec<u8>, usize)>>);

    const BASE: u64 = 0x10_0000;

    impl Fake {
        fn new(pages: usize) -> Self {
            let fake = Self::default();
            fake.0.borrow_mut().0 = (0..pages).flat_map(|n| [n as u8; PAGE_LEN]).collect();
            fake
        }

        fn set(&self, page: usize, offset: usize, byte: u8) {
            self.0.borrow_mut().0[page * PAGE_LEN + offset] = byte;
        }

        fn reads(&self) -> usize {
            self.0.borrow().1
        }
    }

    impl Memory for Fake {
        fn read(&self, addr: u64, buf: &mut [u8]) -> usize {
            let (bytes, reads) = &mut *self.0.borrow_mut();
            *reads += 1;
            let Some(rest) = usize::try_from(addr - BASE).ok().and_then(|at| bytes.get(at..)) else {
                return 0;
            };
            let len = rest.len().min(buf.len());
            buf[..len].copy_from_slice(&rest[..len]);
            len
        }
    }

    const COUNT: usize = 4 * RING_PAGES;

    fn byte(pages: &Pages, page: usize, offset: usize) -> Result<u8, Unreadable> {
        pages.array::<1>(Addr(BASE + (page * PAGE_LEN + offset) as u64)).map(|[byte]| byte)
    }

    /// A copy of which all pages were read once, and the footprints of each.
    fn read_once(fake: &Fake, thrifty: bool) -> (Pages, Vec<crate::memory::pages::Footprint>) {
        let pages = Pages::new(Box::new(fake.clone()), 1 << 30);
        if thrifty {
            pages.be_thrifty();
        }
        pages.note_footprints(true);
        let footprints = (0..COUNT)
            .map(|page| {
                let begin = pages.begin_footprint();
                assert_eq!(byte(&pages, page, 300), Ok(page as u8));
                pages.end_footprint(begin)
            })
            .collect();
        pages.note_footprints(false);
        (pages, footprints)
    }

    #[test]
    fn tells_what_has_changed_in_pages_that_it_has_forgotten() {
        for thrifty in [true, false] {
            let fake = Fake::new(COUNT);
            let (pages, footprints) = read_once(&fake, thrifty);
            // The line that was read, another line of a page, and the last page, which is there still.
            fake.set(7, 301, 0xee);
            fake.set(8, 4000, 0xee);
            fake.set(COUNT - 1, 300, 0xee);
            assert_eq!(pages.refresh(), 0);
            let changed: Vec<usize> =
                (0..COUNT).filter(|page| !pages.is_unchanged(&footprints[*page])).collect();
            assert_eq!(changed, [7, COUNT - 1], "thrifty: {thrifty}");
            assert_eq!(
                [byte(&pages, 7, 301), byte(&pages, 8, 4000), byte(&pages, 9, 0)],
                [Ok(0xee), Ok(0xee), Ok(9)]
            );
        }
    }

    #[test]
    fn a_change_is_told_to_the_word() {
        let (a, mut b) = ([0; PAGE_LEN], [0; PAGE_LEN]);
        assert_eq!(differences(&a, &b), (0, [0; 8]));
        (b[0], b[128], b[4095]) = (1, 1, 1);
        assert_eq!(differences(&a, &b), (1 | 2 | 1 << 31, [1 | 1 << 16, 0, 0, 0, 0, 0, 0, 1 << 63]));
        assert_eq!(words_of(1 | 1 << 31), [0xffff, 0, 0, 0, 0, 0, 0, 0xffff << 48]);
    }

    #[test]
    fn what_many_share_may_have_neighbours_that_change() {
        let fake = Fake::new(COUNT);
        let pages = Pages::new(Box::new(fake.clone()), 1 << 30);
        pages.note_footprints(true);
        let footprint = |offset: usize| {
            let begin = pages.begin_footprint();
            assert_eq!(byte(&pages, 7, offset), Ok(7));
            pages.end_footprint(begin)
        };
        // Two words of one line, and what lies before and behind them.
        let (changed, same) = (footprint(300), footprint(308));
        let begin = pages.begin_footprint();
        let around = [byte(&pages, 7, 256), byte(&pages, 7, 320)];
        let around = (around, pages.end_footprint(begin)).1;
        fake.set(7, 303, 0xee);
        pages.refresh();
        assert_eq!([&changed, &same, &around].map(|f| pages.is_unchanged(f)), [false, true, true]);
        pages.forget_changes();
        assert!(pages.is_unchanged(&changed));
    }

    #[test]
    fn copies_no_page_more_than_twice() {
        let fake = Fake::new(COUNT);
        let pages = read_once(&fake, true).0;
        let first = fake.reads();
        let all = || (0..COUNT).for_each(|page| assert_eq!(byte(&pages, page, 0), Ok(page as u8)));
        all();
        let second = fake.reads();
        assert!(second - first <= COUNT, "{first} {second}");
        all();
        assert_eq!(fake.reads(), second);
    }

    #[test]
    fn reads_nothing_of_a_later_moment_when_all_is_settled() {
        let fake = Fake::new(COUNT);
        let pages = read_once(&fake, true).0;
        pages.refresh();
        pages.settle();
        fake.set(7, 0, 0xee);
        assert_eq!([byte(&pages, 7, 300), byte(&pages, 7, 0)], [Err(Unreadable); 2]);
        assert_eq!(byte(&pages, 8, 300), Ok(8));
    }

    #[test]
    fn a_line_that_is_another_has_another_sum() {
        let mut page = [0; PAGE_LEN];
        let zero = sums(&page);
        for bit in 0..8 * LINE {
            page[LINE + bit / 8] ^= 1 << (bit % 8);
            assert_eq!(other_sums(&zero, &page), 2, "{bit}");
            page[LINE + bit / 8] ^= 1 << (bit % 8);
        }
        // Words that have changed places.
        page[..8].copy_from_slice(&1_u64.to_le_bytes());
        let first = sums(&page);
        page[..LINE].rotate_right(8);
        assert_eq!(other_sums(&first, &page), 1);
    }
}
