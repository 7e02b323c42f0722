//! `async-trace report PID|FILE -o report.html`: one page for the browser that needs nothing else: what is
//! wrong, the wait graph drawn, every task.
//!
//! ```text
//! $ async-trace report 4711 -o report.html
//! report.html: 3 tasks of process 4711, 1 finding
//! ```

use super::look::{Process, look_at, report};
use crate::args::{ReportArguments, ReportFormat, Target};
use crate::export::html;
use crate::output::Output;
use crate::{Error, Outcome, Result};
use async_trace_core::Snapshot;
use async_trace_core::finding::Report;
use async_trace_core::render::units::amount;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

pub(crate) fn run(arguments: &ReportArguments, output: &mut Output) -> Result<Outcome> {
    let snapshots = snapshots(arguments)?;
    let Some(newest) = snapshots.last() else { return Ok(Outcome::Done) };
    let report = report(&snapshots, &arguments.thresholds, &[]);
    let page = match arguments.format {
        ReportFormat::Html => html::page(newest, &report, None),
    };
    if arguments.output.as_os_str() == "-" {
        output.data(|out| out.write_all(page.as_bytes()))?;
        return Ok(Outcome::Done);
    }
    write(&arguments.output, page.as_bytes())?;
    output.note(&said(&arguments.output, newest, &report));
    Ok(Outcome::Done)
}

/// What was seen of the target, the oldest first; at least once.
fn snapshots(arguments: &ReportArguments) -> Result<Vec<Snapshot>> {
    match &arguments.target {
        Target::Process(pid) if *pid == std::process::id() => Err(Error::Own { pid: *pid }),
        Target::Process(pid) => {
            let mut processes = [Process::new(*pid)];
            look_at(&mut processes, &arguments.how, arguments.locals);
            let [process] = processes;
            match process.failed {
                Some(error) if process.snapshots.is_empty() => Err(error.into()),
                _ => Ok(process.snapshots),
            }
        }
        Target::File(path) if is_json(path) => from_json(path),
        Target::File(path) => {
            let options = async_trace_remote::Options {
                source: true,
                heap: true,
                locals: arguments.locals,
                ..async_trace_remote::Options::default()
            };
            Ok(vec![async_trace_remote::capture_file(path, &options)?])
        }
    }
}

fn is_json(path: &Path) -> bool {
    let mut start = [0];
    // What cannot be opened is complained about by whoever reads it.
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok_and(|()| start == *b"{")
}

/// One snapshot or several of the same process, as `dump --json` has written them one after the other.
fn from_json(path: &Path) -> Result<Vec<Snapshot>> {
    let no_snapshot = |reason: String| Error::NoSnapshot { path: path.display().to_string(), reason };
    let text =
        std::fs::read(path).map_err(|source| Error::Io { what: path.display().to_string(), source })?;
    let all: Result<Vec<Snapshot>, _> = serde_json::Deserializer::from_slice(&text).into_iter().collect();
    let all = all.map_err(|error| no_snapshot(error.to_string()))?;
    match &all[..] {
        [] => Err(no_snapshot("it is empty".into())),
        [first, others @ ..] if others.iter().any(|other| other.process.pid != first.process.pid) => {
            Err(no_snapshot("it holds snapshots of several processes".into()))
        }
        _ => Ok(all),
    }
}

fn write(path: &Path, page: &[u8]) -> Result<()> {
    let failed = |source| Error::Io { what: format!("cannot write `{}`", path.display()), source };
    let mut out = BufWriter::new(std::fs::File::create(path).map_err(failed)?);
    out.write_all(page).and_then(|()| out.flush()).map_err(failed)
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
