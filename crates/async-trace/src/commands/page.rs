//! `async-trace report PID|FILE -o report.html`: one page for the browser that needs nothing else: what is
//! wrong, the wait graph drawn, every task.
//!
//! ```text
//! $ async-trace report 4711 -o report.html
//! report.html: 3 tasks of process 4711, 1 finding
//! ```

use super::look::{Process, To, look_at, report};
use super::recorded;
use super::report::{POINTS, write};
use crate::args::{ReportArguments, Target};
use crate::export::html;
use crate::output::Output;
use crate::{Error, Outcome, Result};
use async_trace_core::Snapshot;
use async_trace_core::finding::Report;
use async_trace_core::recording::{Timeline, TimelineBuilder};
use async_trace_core::render::units::amount;
use std::collections::VecDeque;
use std::io::IsTerminal;
use std::path::Path;

/// The findings of a recording are those of its last seconds, seen so often.
const LAST_S: f64 = 10.0;
const LOOKS: f64 = 8.0;

pub(super) fn run(arguments: &ReportArguments, output: &mut Output) -> Result<Outcome> {
    if arguments.output.is_none() && std::io::stdout().is_terminal() {
        return Err(Error::NoOutput);
    }
    let (snapshots, timeline) = match &arguments.target {
        Target::File(path) if recorded::is_recording(path)? => of_recording(path, output)?,
        _ => (snapshots(arguments)?, None),
    };
    let Some(newest) = snapshots.last() else { return Ok(Outcome::Done) };
    let report = report(&snapshots, &arguments.thresholds, &[]);
    let page = html::page(newest, &report, timeline.as_ref());
    write(arguments, output, |out| out.write_all(page.as_bytes()))?;
    if let Some(path) = arguments.output.as_deref().filter(|path| path.as_os_str() != "-") {
        output.note(&said(path, newest, &report));
    }
    Ok(Outcome::Done)
}

/// The last seconds of a recording, and what was before.
fn of_recording(path: &Path, output: &mut Output) -> Result<(Vec<Snapshot>, Option<Timeline>)> {
    let bytes = recorded::read(path)?;
    let mut reader = recorded::open(&bytes, path)?;
    let mut builder = TimelineBuilder::new(POINTS);
    let mut kept: VecDeque<Snapshot> = VecDeque::new();
    let mut newest: Option<Snapshot> = None;
    for sample in reader.by_ref() {
        builder.add(&sample.snapshot);
        let time_s = sample.snapshot.capture.time_s;
        let age_s = |s: &Snapshot| time_s - s.capture.time_s;
        if let Some(before) = newest.replace(sample.snapshot)
            && kept.back().is_none_or(|s| age_s(s) - age_s(&before) >= LAST_S / LOOKS)
        {
            kept.push_back(before);
        }
        while kept.front().is_some_and(|s| age_s(s) > LAST_S) {
            kept.pop_front();
        }
    }
    kept.extend(newest);
    recorded::note_ending(&reader, path, output);
    if kept.is_empty() {
        return Err(Error::EmptyRecording { path: path.to_owned() });
    }
    Ok((kept.into(), Some(builder.finish())))
}

/// What was seen of the target, the oldest first; at least once.
fn snapshots(arguments: &ReportArguments) -> Result<Vec<Snapshot>> {
    match &arguments.target {
        Target::Process(pid) if *pid == std::process::id() => Err(Error::Own { pid: *pid }),
        Target::Process(pid) => {
            let mut processes = [Process::new(*pid)];
            look_at(&mut processes, &arguments.how, To::Show { locals: arguments.locals });
            let [process] = processes;
            match process.failed {
                Some(error) if process.snapshots.is_empty() => Err(error.into()),
                _ => Ok(process.snapshots),
            }
        }
        Target::File(path) => {
            if let Some(all) = recorded::snapshots(path)? {
                return Ok(all);
            }
            let options = async_trace_remote::Options {
                source: true,
                heap: async_trace_remote::Heap::Walk,
                locals: arguments.locals,
                ..async_trace_remote::Options::default()
            };
            Ok(vec![async_trace_remote::capture_file(path, &options)?])
        }
    }
}

/// `report.html: 3 tasks of process 4711, 1 finding`.
fn said(path: &Path, snapshot: &Snapshot, report: &Report) -> String {
    let (pid, tasks) = (snapshot.process.pid, snapshot.tasks.len() as u64);
    let found = match report.findings.len() as u64 {
        0 => "nothing wrong was found".to_owned(),
        n => amount(n, "finding"),
    };
    format!("{}: {} of process {pid}, {found}", path.display(), amount(tasks, "task"))
}
