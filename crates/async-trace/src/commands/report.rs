//! `async-trace report`: something to look at: a page for the browser, or one of many things made from a
//! recording.
//!
//! ```text
//! $ async-trace report 4711 -o report.html
//! $ async-trace report 4711.recording --format flamegraph -o waits.svg
//! $ async-trace report 4711.recording --format latency
//! ```

use super::{page, recorded};
use crate::args::{Counted, ReportArguments, ReportFormat, Target};
use crate::export::{self, Title};
use crate::output::Output;
use crate::{Error, Outcome, Result};
use async_trace_core::recording::latency::Latency;
use async_trace_core::recording::stacks::{Of, Stacks};
use async_trace_core::recording::trace::TraceWriter;
use async_trace_core::recording::{Reader, Timeline, TimelineBuilder, speedscope};
use async_trace_core::render;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// So many points in time are enough for a table or a curve.
pub(super) const POINTS: usize = 240;

pub(crate) fn run(arguments: &ReportArguments, output: &mut Output) -> Result<Outcome> {
    if arguments.format == ReportFormat::Html {
        return page::run(arguments, output);
    }
    let path = match &arguments.target {
        Target::Process(pid) => return Err(Error::NeedsRecording { pid: *pid }),
        Target::File(path) => path,
    };
    let bytes = recorded::read(path)?;
    let open = || recorded::open(&bytes, path);
    let title = Title::of(&mut open()?).ok_or_else(|| Error::EmptyRecording { path: path.clone() })?;
    let mut reader = open()?;
    match arguments.format {
        ReportFormat::Html => {}
        ReportFormat::Flamegraph => {
            let stacks = Stacks::of(reader.lasting(), counted(arguments.of));
            write(arguments, output, |out| export::flamegraph(&stacks, arguments.of, &title, out))?;
        }
        ReportFormat::Folded => {
            let stacks = Stacks::of(reader.lasting(), counted(arguments.of));
            write(arguments, output, |out| stacks.write_folded(out))?;
        }
        ReportFormat::Speedscope => {
            let waiting = Stacks::of(open()?.lasting(), Of::Waiting);
            let busy = Stacks::of(reader.lasting(), Of::Busy);
            let exporter = concat!("async-trace ", env!("CARGO_PKG_VERSION"));
            write(arguments, output, |out| {
                speedscope::write(&waiting, &busy, &title.process, exporter, out)
            })?;
        }
        ReportFormat::Perfetto => write(arguments, output, |out| trace(&mut reader, out))?,
        ReportFormat::Latency => {
            let latency = Latency::of(reader.lasting());
            if arguments.json {
                write(arguments, output, |out| json(&latency, out))?;
            } else {
                draw(arguments, output, |paper, options| render::latency(&latency, options, paper))?;
            }
        }
        ReportFormat::Sites => {
            let timeline = timeline(&mut reader);
            if arguments.json {
                write(arguments, output, |out| json(&timeline, out))?;
            } else {
                draw(arguments, output, |paper, options| render::sites(&timeline, options, paper))?;
            }
        }
    }
    // All of them read to the end.
    reader.by_ref().for_each(drop);
    recorded::note_ending(&reader, path, output);
    Ok(Outcome::Done)
}

fn counted(of: Counted) -> Of {
    match of {
        Counted::Waiting => Of::Waiting,
        Counted::Busy => Of::Busy,
    }
}

fn timeline(reader: &mut Reader<'_>) -> Timeline {
    let mut builder = TimelineBuilder::new(POINTS);
    for sample in reader {
        builder.add(&sample.snapshot);
    }
    builder.finish()
}

fn trace(reader: &mut Reader<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut trace = TraceWriter::new(out)?;
    let mut last = 0.0;
    for (sample, lasted_s) in reader.lasting() {
        trace.add(&sample)?;
        last = lasted_s;
    }
    trace.finish(last)
}

fn json(what: &impl serde::Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, what)?;
    out.write_all(b"\n")
}

/// Writes to the file that was asked for, else to stdout.
pub(super) fn write(
    arguments: &ReportArguments,
    output: &mut Output,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let path = match &arguments.output {
        Some(path) if path.as_os_str() != "-" => path,
        _ => return output.data(write),
    };
    to_file(path, write).map_err(|source| Error::File { verb: "write", path: path.clone(), source })
}

fn to_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, File::create(path)?);
    write(&mut out)?;
    out.flush()
}

/// Draws text: in colour on a terminal, without into a file.
fn draw(
    arguments: &ReportArguments,
    output: &mut Output,
    draw: impl FnOnce(&mut dyn render::Canvas, &render::PageOptions),
) -> Result<()> {
    let options = render::PageOptions { width: output.width(), ascii: output.ascii() };
    if arguments.output.as_ref().is_none_or(|path| path.as_os_str() == "-") {
        return output.draw(|paper| draw(paper, &options));
    }
    let mut text = String::new();
    draw(&mut text, &options);
    write(arguments, output, |out| out.write_all(text.as_bytes()))
}
