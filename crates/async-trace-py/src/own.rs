//! The engine that reads other processes, turned on our own.
//!
//! The GIL is held while memory is copied, so no Python object changes meanwhile: what is read is of
//! one moment, without a pause.

use async_trace_core::Snapshot;
use async_trace_core::checks::{self, Config, LOOKS, Look};
use async_trace_core::finding::Report;
use async_trace_core::render::{self, Canvas, FindingOptions, Role};
use async_trace_remote::{Heap, Options, Watcher};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::thread;
use std::time::Duration;

/// The name of threads of this package.
const OWN_THREAD: &str = "async-trace";

fn watcher() -> Watcher {
    Watcher::new(std::process::id(), Options { pause: false, source: true, ..Options::default() })
}

fn read(watcher: &mut Watcher) -> PyResult<Snapshot> {
    let mut snapshot =
        watcher.look().map_err(|error| PyRuntimeError::new_err(format!("{error} [{}]", error.code())))?;
    // What looks is not what is looked at.
    snapshot.threads.retain(|thread| &*thread.name != OWN_THREAD);
    Ok(snapshot)
}

/// Text without colours.
#[derive(Default)]
struct Paper(String);

impl Canvas for Paper {
    fn span(&mut self, _role: Role, text: &str) {
        self.0.push_str(text);
    }

    fn end_line(&mut self) {
        self.0.push('\n');
    }
}

/// The snapshot of this process, as the tree that `async-trace dump` prints.
#[pyfunction]
#[pyo3(signature = (all_frames=false, threads=false, width=None))]
pub fn dump_text(all_frames: bool, threads: bool, width: Option<usize>) -> PyResult<String> {
    let snapshot = read(&mut watcher())?;
    let mut paper = Paper::default();
    render::tree(
        &snapshot,
        &render::Options { all_frames, threads, width, ..Default::default() },
        &mut paper,
    );
    Ok(paper.0)
}

/// The snapshot of this process, as the JSON that `async-trace dump --json` prints.
#[pyfunction]
pub fn dump_json() -> PyResult<String> {
    to_json(&read(&mut watcher())?)
}

/// What is wrong in this process, looked at for so many seconds: JSON and text as `async-trace check`
/// prints them.
#[pyfunction]
#[pyo3(signature = (seconds, width=None))]
pub fn check(py: Python<'_>, seconds: f64, width: Option<usize>) -> PyResult<(String, String)> {
    let time = Duration::try_from_secs_f64(seconds)
        .map_err(|_| pyo3::exceptions::PyValueError::new_err("seconds must be a time, 0 or more"))?;
    // One look has to see everything.
    let first = if time.is_zero() { LOOKS.len() - 1 } else { 0 };
    let mut snapshots = Vec::new();
    let mut watcher = watcher();
    let mut waited = Duration::ZERO;
    for (number, share) in LOOKS.iter().enumerate().skip(first) {
        let due = time.mul_f64(*share);
        py.detach(|| thread::sleep(due.saturating_sub(waited)));
        py.check_signals()?;
        waited = due;
        let look = checks::look(number, snapshots.first());
        watcher.options.glance = look == Look::Glance;
        watcher.options.heap = if look == Look::Heap { Heap::Again } else { Heap::Skip };
        snapshots.push(read(&mut watcher)?);
    }
    let seen: Vec<&Snapshot> = snapshots.iter().collect();
    let report = Report::new(&seen, checks::run(&seen, &Config::default()));
    let mut paper = Paper::default();
    if let Some(newest) = snapshots.last() {
        render::findings(&report, newest, &FindingOptions { width, ascii: false }, &mut paper);
    }
    Ok((to_json(&report)?, paper.0))
}

fn to_json(value: &impl serde::Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}
