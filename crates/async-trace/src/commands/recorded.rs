//! Files as commands find them: recordings that may end in the middle, saved snapshots, or something else.

use crate::output::Output;
use crate::{Error, Result};
use async_trace_core::Snapshot;
use async_trace_core::recording::{Ending, Reader};
use async_trace_core::render::units::number;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The bytes of a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| Error::File { verb: "read", path: path.to_owned(), source })
}

/// Whether a file is a recording, of whatever version.
pub(super) fn is_recording(path: &Path) -> Result<bool> {
    Ok(Reader::recognises(&head(path)?))
}

/// The first bytes of a file, which may be a core file of many gigabytes.
fn head(path: &Path) -> Result<Vec<u8>> {
    let failed = |source| Error::File { verb: "read", path: path.to_owned(), source };
    let mut head = Vec::new();
    File::open(path).map_err(failed)?.take(16).read_to_end(&mut head).map_err(failed)?;
    Ok(head)
}

/// The snapshots in a file to which `dump --json` has written them, one after the other, of one process; none
/// where the file is something else.
pub(super) fn snapshots(path: &Path) -> Result<Option<Vec<Snapshot>>> {
    if !head(path)?.trim_ascii_start().starts_with(b"{") {
        return Ok(None);
    }
    let bytes = read(path)?;
    let wrong = |reason: String| Error::NoSnapshot { path: path.to_owned(), reason };
    let all: Result<Vec<Snapshot>, _> = serde_json::Deserializer::from_slice(&bytes).into_iter().collect();
    let all = all.map_err(|error| wrong(error.to_string()))?;
    match &all[..] {
        [first, others @ ..] if others.iter().any(|other| other.process.pid != first.process.pid) => {
            Err(wrong("it holds snapshots of several processes".into()))
        }
        _ => Ok(Some(all)),
    }
}

/// Reads a recording that lies in `bytes`.
pub(super) fn open<'a>(bytes: &'a [u8], path: &Path) -> Result<Reader<'a>> {
    Reader::new(bytes).map_err(|wrong| Error::Recording { path: path.to_owned(), wrong })
}

/// Says what is missing at the end of a recording that has been read to its end.
pub(super) fn note_ending(reader: &Reader<'_>, path: &Path, output: &mut Output) {
    let path = path.display();
    match reader.ending() {
        None | Some(Ending::Ended { .. }) => {}
        Some(Ending::CutOff { .. }) => {
            output.note(&format!("note: {path} is cut off; what is before the cut was read"));
        }
        Some(Ending::Damaged { at, wrong }) => output.note(&format!(
            "note: {path} is damaged at byte {}, where {wrong}; only what is before it was read",
            number(*at)
        )),
    }
}
