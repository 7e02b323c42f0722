//! A recorded memory image: the pages of a process that a reading looked at, and what the operating
//! system said about it, in one file. Whoever has it reads what the recorder read, without the process,
//! its interpreter or its machine.
//!
//! ```text
//! async-trace image 1\n            the magic word and the version of the format
//! {"recorder":…,"located":…}\n     [`Facts`], in one line of JSON
//! block*                           pages, in order of their addresses
//!   u32  pages in the block; 0 ends the file
//!   u32  1 when the rest is packed (zlib), 0 when it is stored
//!   u32  bytes that follow
//!   [u64]         for each page its number × 2, plus 1 where all of it is zero
//!   [[u8; 4096]]  the others
//! ```
//!
//! Numbers are little-endian. The facts only grow, as JSON does: a field that is added has a default.

mod file;
#[cfg(test)]
mod tests;

use super::Memory;
use crate::cpython::locate::Located;
use crate::process::Identity;
use crate::process::surroundings::Noted;
use crate::process::threads::OsThread;
use async_trace_core::snapshot::Problem;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::rc::Rc;

pub(crate) use file::{is_image, parse, write};

pub(crate) const PAGE_LEN: usize = 4096;
const PAGE: u64 = PAGE_LEN as u64;

/// What is known of a recorded process beside its memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// The program that recorded it, for bug reports.
    pub recorder: String,
    /// The architecture, as Rust calls it: numbers of system calls are its own.
    pub arch: String,
    pub located: Located,
    pub identity: Identity,
    pub threads: Vec<OsThread>,
    #[serde(default)]
    pub surroundings: Noted,
    /// The clock of event loops, in nanoseconds.
    #[serde(default)]
    pub monotonic_ns: Option<u64>,
    /// The wall clock, in nanoseconds since 1970 UTC.
    #[serde(default)]
    pub unix_ns: u64,
    /// What went wrong while it was recorded and cannot be seen in the image.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// How many pages the image has.
    pub pages: u64,
}

/// A recorded image.
pub(crate) struct Image {
    pub facts: Facts,
    pub pages: PageSet,
    /// How many pages were lost because the file is cut off or damaged.
    pub lost: u64,
}

/// Pages by their numbers.
#[derive(Clone, Default)]
pub(crate) struct PageSet {
    /// Where in `bytes` a page begins; nothing for a page of zeros.
    slots: FxHashMap<u64, Option<usize>>,
    bytes: Vec<u8>,
}

impl PageSet {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Adds a page, or replaces it.
    pub(crate) fn put(&mut self, number: u64, content: &[u8; PAGE_LEN]) {
        if let Some(Some(start)) = self.slots.get(&number)
            && let Some(known) = self.bytes.get_mut(*start..*start + PAGE_LEN)
        {
            known.copy_from_slice(content);
            return;
        }
        if *content == [0; PAGE_LEN] {
            self.slots.insert(number, None);
            return;
        }
        self.slots.insert(number, Some(self.bytes.len()));
        self.bytes.extend_from_slice(content);
    }

    /// The content of a page.
    pub(crate) fn get(&self, number: u64) -> Option<&[u8; PAGE_LEN]> {
        match self.slots.get(&number)? {
            Some(start) => self.bytes.get(*start..)?.first_chunk(),
            None => Some(&[0; PAGE_LEN]),
        }
    }

    /// The numbers, in order.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.slots.keys().copied().collect();
        numbers.sort_unstable();
        numbers
    }

    /// Fills `buf` from `addr` on, to the end of the page at most.
    fn read_page(&self, addr: u64, buf: &mut [u8]) -> usize {
        let offset = usize::try_from(addr % PAGE).unwrap_or(0);
        let Some(rest) = self.get(addr / PAGE).and_then(|page| page.get(offset..)) else { return 0 };
        let size = rest.len().min(buf.len());
        match (buf.get_mut(..size), rest.get(..size)) {
            (Some(to), Some(from)) => to.copy_from_slice(from),
            _ => return 0,
        }
        size
    }
}

impl Memory for PageSet {
    fn read(&self, addr: u64, buf: &mut [u8]) -> usize {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(at) = addr.checked_add(done as u64) else { break };
            match self.read_page(at, rest) {
                0 => break,
                size => done += size,
            }
        }
        done
    }
}

/// Keeps every page that is read through it, in its newest version.
pub(crate) struct Recorder<M> {
    memory: M,
    kept: Rc<RefCell<PageSet>>,
}

impl<M: Memory> Recorder<M> {
    pub(crate) fn new(memory: M, kept: Rc<RefCell<PageSet>>) -> Self {
        Self { memory, kept }
    }

    fn keep(&self, addr: u64, bytes: &[u8]) {
        let mut kept = self.kept.borrow_mut();
        let skipped = usize::try_from((PAGE - addr % PAGE) % PAGE).unwrap_or(0);
        let whole = bytes.get(skipped..).unwrap_or_default().chunks_exact(PAGE_LEN);
        for (number, page) in (addr.div_ceil(PAGE)..).zip(whole) {
            if let Some(page) = page.first_chunk() {
                kept.put(number, page);
            }
        }
    }
}

impl<M: Memory> Memory for Recorder<M> {
    fn read(&self, addr: u64, buf: &mut [u8]) -> usize {
        let size = self.memory.read(addr, buf);
        self.keep(addr, buf.get(..size).unwrap_or_default());
        size
    }

    fn read_many(&self, pieces: &mut [super::Piece<'_>]) {
        self.memory.read_many(pieces);
        for piece in pieces.iter().filter(|piece| piece.whole) {
            self.keep(piece.addr, piece.buf);
        }
    }
}

/// Gives out one page at a time, and notes which: so it is found out what a reading needs.
pub(crate) struct Touched {
    pages: Rc<PageSet>,
    touched: Rc<RefCell<PageSet>>,
}

impl Touched {
    pub(crate) fn new(pages: Rc<PageSet>, touched: Rc<RefCell<PageSet>>) -> Self {
        Self { pages, touched }
    }
}

impl Memory for Touched {
    fn read(&self, addr: u64, buf: &mut [u8]) -> usize {
        let number = addr / PAGE;
        if let Some(page) = self.pages.get(number) {
            self.touched.borrow_mut().put(number, page);
        }
        self.pages.read_page(addr, buf)
    }
}
