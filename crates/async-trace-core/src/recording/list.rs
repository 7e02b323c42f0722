//! A list as its differences from the list of the sample before.
//!
//! A cursor stands in the old list while the new one is written: *keep* the next `n`, *change* the next
//! one, *go* to another place, or a *new* one. Nothing in the old list is used twice, so that no few bytes
//! can make many things.

use super::Wrong;
use super::bytes::{Reader, Writer};
use super::model::Sparse;
use super::times::Timed;
use crate::snapshot::{EventLoop, Id, Resource, Task, Thread};
use rustc_hash::FxHashMap;
use std::hash::Hash;

const END: u64 = 0;
const KEEP: u64 = 1;
const GO: u64 = 2;
const CHANGE: u64 = 3;
const NEW: u64 = 4;

/// What is in such a list.
pub(super) trait Item: Sparse + Timed + Clone + PartialEq {
    type Key: Copy + Eq + Hash;
    fn key(&self) -> Self::Key;
}

impl Item for Task {
    type Key = Id;

    fn key(&self) -> Id {
        self.id
    }
}

impl Item for Resource {
    type Key = Id;

    fn key(&self) -> Id {
        self.id
    }
}

impl Item for EventLoop {
    type Key = Id;

    fn key(&self) -> Id {
        self.id
    }
}

impl Item for Thread {
    type Key = u32;

    fn key(&self) -> u32 {
        self.tid
    }
}

/// Writes `new` as its differences from `old`, after `elapsed_us`. `old` becomes what the reader will have;
/// what differs from it by less than can be told is made equal to it.
pub(super) fn write<T: Item>(new: &mut [T], old: &mut [T], elapsed_us: i64, out: &mut Writer) {
    let mut places: FxHashMap<T::Key, usize> = FxHashMap::default();
    let mut used = vec![false; old.len()];
    let (mut scratch, mut cursor, mut kept) = (Vec::new(), 0, 0);
    for old in &mut *old {
        old.pass(elapsed_us);
    }
    for item in new {
        item.round();
        // Mostly the order is that of the sample before.
        let place = match old.get(cursor) {
            Some(same) if same.key() == item.key() => Some(cursor),
            _ => {
                if places.is_empty() {
                    places.extend(old.iter().map(T::key).zip(0..));
                }
                places.get(&item.key()).copied()
            }
        };
        let Some(place) = place.filter(|place| !used[*place]) else {
            keep(&mut kept, out);
            out.number(NEW);
            item.write_changes(&T::blank(), out);
            continue;
        };
        used[place] = true;
        item.settle(&mut old[place], &mut scratch);
        if place != cursor {
            keep(&mut kept, out);
            out.number(GO);
            out.number(place as u64);
        }
        cursor = place + 1;
        if *item == old[place] {
            kept += 1;
        } else {
            keep(&mut kept, out);
            out.number(CHANGE);
            item.write_changes(&old[place], out);
        }
    }
    keep(&mut kept, out);
    out.number(END);
}

fn keep(kept: &mut u64, out: &mut Writer) {
    if *kept > 0 {
        out.number(KEEP);
        out.number(*kept);
        *kept = 0;
    }
}

/// Reads what [`write`] wrote.
pub(super) fn read<T: Item>(old: Vec<T>, elapsed_us: i64, input: &mut Reader<'_>) -> Result<Vec<T>, Wrong> {
    let mut old: Vec<Option<T>> = old.into_iter().map(Some).collect();
    let mut cursor = 0;
    let mut next = |cursor: &mut usize| {
        let mut item = old.get_mut(*cursor).and_then(Option::take).ok_or(Wrong::Reference)?;
        *cursor += 1;
        item.pass(elapsed_us);
        Ok(item)
    };
    let mut new: Vec<T> = Vec::new();
    loop {
        match input.number()? {
            END => return Ok(new),
            KEEP => {
                for _ in 0..input.number()? {
                    new.push(next(&mut cursor)?);
                }
            }
            GO => cursor = usize::try_from(input.number()?).map_err(|_| Wrong::Reference)?,
            CHANGE => {
                input.take(2 * size_of::<T>())?;
                new.push(T::read_changes(&next(&mut cursor)?, input)?);
            }
            NEW => {
                input.take(2 * size_of::<T>())?;
                new.push(T::read_changes(&T::blank(), input)?);
            }
            _ => return Err(Wrong::Variant),
        }
    }
}

/// The memory that a list takes, in bytes.
pub(super) fn memory<T: Item>(list: &[T]) -> usize {
    list.iter().map(|item| 2 * size_of::<T>() + item.heap()).sum()
}
