//! `async-trace diff BEFORE AFTER`: what moved, is stuck, is new and is gone, and what has grown.
//!
//! ```text
//! $ async-trace dump 4711 --json > before.json
//! $ async-trace diff before.json 4711
//! process 4711: python3 app.py
//! 60 s between the two looks; 12 tasks before, 112 after
//! …
//! ```

use super::{dump, recorded};
use crate::args::{DiffArguments, ReadOptions, Target};
use crate::output::Output;
use crate::{Error, Outcome, Result};
use async_trace_core::Snapshot;
use async_trace_core::diff::Comparison;
use async_trace_core::render;
use std::path::Path;

pub(crate) fn run(arguments: &DiffArguments, output: &mut Output) -> Result<Outcome> {
    let (before, after) = match (&arguments.before, &arguments.after) {
        (before, Some(after)) => {
            (look(before, &arguments.read, output)?, look(after, &arguments.read, output)?)
        }
        (Target::File(path), None) if recorded::is_recording(path)? => {
            let (first, last) = ends(path, output)?;
            (first, last.ok_or_else(|| nothing(path.display().to_string()))?)
        }
        (Target::File(path), None) => return Err(nothing(path.display().to_string())),
        (Target::Process(pid), None) => return Err(nothing(format!("process {pid}"))),
    };
    let comparison = Comparison::of(&before, &after);
    if arguments.json {
        output.data(|out| {
            serde_json::to_writer(&mut *out, &comparison)?;
            out.write_all(b"\n")
        })?;
    } else {
        let options = render::PageOptions { width: output.width(), ascii: output.ascii() };
        output.draw(|paper| render::comparison(&comparison, arguments.max, &options, paper))?;
    }
    Ok(Outcome::Done)
}

fn nothing(what: String) -> Error {
    Error::NothingToCompare { what }
}

/// One look at whatever was named; of a recording the last.
fn look(target: &Target, read: &ReadOptions, output: &mut Output) -> Result<Snapshot> {
    let Target::File(path) = target else { return dump::read(target, read) };
    if recorded::is_recording(path)? {
        let (first, last) = ends(path, output)?;
        return Ok(last.unwrap_or(first));
    }
    let Some(mut all) = recorded::snapshots(path)? else { return dump::read(target, read) };
    match (all.pop(), all.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(Error::NoSnapshot { path: path.clone(), reason: "it holds several snapshots".to_owned() }),
    }
}

/// The first and the last sample of a recording, if these are two.
fn ends(path: &Path, output: &mut Output) -> Result<(Snapshot, Option<Snapshot>)> {
    let bytes = recorded::read(path)?;
    let mut reader = recorded::open(&bytes, path)?;
    let first = reader.next().ok_or_else(|| Error::EmptyRecording { path: path.to_owned() })?;
    let last = reader.by_ref().last();
    recorded::note_ending(&reader, path, output);
    Ok((first.snapshot, last.map(|sample| sample.snapshot)))
}
