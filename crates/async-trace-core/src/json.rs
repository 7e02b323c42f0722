//! A snapshot as JSON. Thousands of tasks share a chain: its text is made once, and written often.

use crate::Snapshot;
use crate::frame::Frame;
use rustc_hash::FxHashMap;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use std::cell::RefCell;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

thread_local! {
    /// The texts of chains, by address, while a snapshot is written that keeps the chains alive.
    static CHAINS: RefCell<Option<FxHashMap<*const Frame, Box<RawValue>>>> = const { RefCell::new(None) };
}

/// Forgets the texts when the snapshot is written, or could not be.
struct Writing;

impl Drop for Writing {
    fn drop(&mut self) {
        CHAINS.set(None);
    }
}

/// Writes a snapshot in one line.
///
/// # Errors
/// Those of `out`.
pub fn write(snapshot: &Snapshot, out: impl Write) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, out);
    CHAINS.set(Some(FxHashMap::default()));
    let _writing = Writing;
    serde_json::to_writer(&mut out, snapshot)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// What [`crate::snapshot`] writes chains with.
pub(crate) fn chain<S: Serializer>(chain: &Arc<[Frame]>, serializer: S) -> Result<S::Ok, S::Error> {
    if Arc::strong_count(chain) == 1 {
        return chain.serialize(serializer);
    }
    CHAINS.with_borrow_mut(|texts| {
        let Some(texts) = texts else { return chain.serialize(serializer) };
        let key = chain.as_ptr();
        if let Some(text) = texts.get(&key) {
            return text.serialize(serializer);
        }
        match to_raw_value(&**chain) {
            Ok(text) => texts.entry(key).or_insert(text).serialize(serializer),
            Err(_) => chain.serialize(serializer),
        }
    })
}
