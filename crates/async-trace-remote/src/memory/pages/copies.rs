//! Pages that are copied some times, one copy right after the other, after something was read from them.
//!
//! Words that are the same in all copies as they were when they were read have held what was read at one moment. So what a
//! dozen tasks were read from is looked at in one call, and that is cheap, because they lie in the same pages.

use super::{PAGE, PAGE_LEN, Pages, STALE, parts};
use crate::memory::Piece;
use crate::memory::addr::Addr;
use crate::memory::store::{Words, any_of, differences};
use std::mem::take;

/// Some pages, in order.
pub(crate) type Route = Vec<u64>;

/// Copies of some pages: what is left of them is which words were not the same in all, or not what they were before.
#[derive(Default)]
pub(crate) struct Copies {
    pages: Route,
    differ: Vec<Differ>,
    bytes: Vec<u8>,
}

/// What is not the same in all copies of a page.
#[derive(Clone, Copy)]
enum Differ {
    Nothing,
    These(Words),
    /// All of it, as not all copies could be made.
    Everything,
}

impl Pages {
    /// Copies pages so many times, all in one call, every second time in the opposite order: so what goes back and forth as
    /// fast as it is copied does not look the same by chance. The last copy is what is known from here on.
    pub(crate) fn copy_together(&self, route: &[u64], looks: usize, copies: &mut Copies) {
        let Copies { pages, differ, bytes } = copies;
        pages.clear();
        pages.extend_from_slice(route);
        differ.clear();
        differ.resize(pages.len(), Differ::Nothing);
        let size = pages.len() * PAGE_LEN;
        bytes.resize(bytes.len().max(size * looks), 0);
        self.bytes_read.set(self.bytes_read.get() + (size * looks) as u64);
        // Neighbours are one piece.
        let runs = || pages.chunk_by(|page, next| page + 1 == *next);
        let mut pieces = Vec::with_capacity(looks * pages.len());
        let mut rest = &mut bytes[..];
        for look in 0..looks {
            let begin = pieces.len();
            for run in runs() {
                let (buf, after) = rest.split_at_mut(run.len() * PAGE_LEN);
                rest = after;
                pieces.push(Piece { addr: run[0] * PAGE, buf, whole: false });
            }
            if look % 2 == 1 {
                pieces[begin..].reverse();
            }
        }
        self.memory.read_many(&mut pieces);
        let count = runs().count();
        for (at, piece) in pieces.iter().enumerate().filter(|(_, piece)| !piece.whole) {
            let (look, nth) = (at / count, at % count);
            let nth = if look % 2 == 1 { count - 1 - nth } else { nth };
            let begin = runs().take(nth).map(<[u64]>::len).sum::<usize>();
            differ[begin..begin + piece.buf.len() / PAGE_LEN].fill(Differ::Everything);
        }
        drop(pieces);
        self.leave();
        let store = &mut *self.store.borrow_mut();
        let (before, last) = bytes[..size * looks].split_at_mut(size * looks.saturating_sub(1));
        for ((n, fresh), differ) in last.chunks_exact_mut(PAGE_LEN).enumerate().zip(differ) {
            let slot = store.slots.get(&pages[n]);
            let known = slot.and_then(|slot| store.bytes(*slot as usize));
            let earlier =
                before.get(n * PAGE_LEN..).unwrap_or_default().chunks(PAGE_LEN).step_by(pages.len());
            for earlier in earlier.chain(known).filter(|earlier| *earlier != fresh) {
                let words = differences(earlier, fresh).1;
                *differ = match *differ {
                    Differ::Nothing => Differ::These(words),
                    Differ::These(known) => Differ::These(std::array::from_fn(|at| known[at] | words[at])),
                    Differ::Everything => Differ::Everything,
                };
            }
            let whole = !matches!(differ, Differ::Everything);
            let piece = Piece { addr: pages[n] * PAGE, buf: fresh, whole };
            match store.replace_part(&piece, STALE) {
                Some(slot) => {
                    store.flags[slot] &= if whole { !STALE } else { !0 };
                    self.note_late(store, slot);
                }
                // Whoever reads it copies it once more.
                None => *differ = Differ::Everything,
            }
        }
    }

    /// What was read since [`Pages::begin_trace`], as it came.
    pub(crate) fn end_raw(&self) -> Raw {
        self.tracing.set(false);
        Raw(take(&mut *self.trace.borrow_mut()))
    }
}

/// What was read for one purpose, as it came.
#[derive(Default)]
pub(crate) struct Raw(Vec<(Addr, u32)>);

impl Raw {
    /// Adds the pages that it is in.
    pub(crate) fn pages(&self, route: &mut Route) {
        let mut last = u64::MAX;
        for (addr, _) in self.0.iter().flat_map(|(addr, len)| parts(*addr, *len)) {
            if addr.0 / PAGE != last {
                last = addr.0 / PAGE;
                route.push(last);
            }
        }
    }

    /// Whether all of it is in these copies, and the same in all of them.
    pub(crate) fn is_still(&self, copies: &Copies) -> bool {
        let mut near = (u64::MAX, Differ::Everything);
        self.0.iter().flat_map(|(addr, len)| parts(*addr, *len)).all(|(addr, len)| {
            let page = addr.0 / PAGE;
            if near.0 != page {
                let place = copies.pages.binary_search(&page);
                near = (page, place.map_or(Differ::Everything, |place| copies.differ[place]));
            }
            match &near.1 {
                Differ::Nothing => true,
                Differ::These(words) => !any_of(words, (addr.0 % PAGE) as usize, len),
                Differ::Everything => false,
            }
        })
    }
}
