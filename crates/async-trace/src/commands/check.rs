//! `async-trace check PID`: what is wrong, how certain that is, on what evidence, and what to try.
//!
//! ```text
//! $ async-trace check 4711
//! process 4711: python3 bank.py
//! 1 finding in 6 looks in 2.0 s
//!
//! ERROR deadlock (proven)
//!   task alice holds Lock `a` and waits for Lock `b` in transfer() at bank.py:40; task bob holds …
//! ```

use super::look::{Process, To, longer, look_at, look_on, report};
use crate::args::{CheckArguments, FailOn};
use crate::output::Output;
use crate::{Error, Outcome, Result};
use async_trace_core::finding::{Report, Severity};
use async_trace_core::render::{self, FindingOptions};
use async_trace_remote::discover::python_processes;
use std::mem::ManuallyDrop;

pub(crate) fn run(arguments: &CheckArguments, output: &mut Output) -> Result<Outcome> {
    let processes = match arguments.pid {
        Some(pid) if pid == std::process::id() => return Err(Error::Own { pid }),
        Some(pid) => vec![Process::new(pid)],
        None => python_processes().iter().map(|found| Process::new(found.pid)).collect(),
    };
    // The program ends with this: to free all parts of the snapshots one by one would be for nothing.
    let mut processes = ManuallyDrop::new(processes);
    look_at(&mut processes, &arguments.how, To::Judge);
    if let [process] = &mut processes[..]
        && !arguments.all
        && let Some(time) = longer(process, &arguments.how, &arguments.thresholds)
    {
        let seconds = time.as_secs_f64();
        output.progress(&format!("an answer may still come: looking for {seconds:.0} seconds more"));
        look_on(process, &arguments.how, time);
        output.progress("");
    }
    let mut outcome = Outcome::Done;
    let mut first = true;
    for process in processes.iter_mut() {
        if process.snapshots.is_empty() {
            match process.failed.take() {
                Some(error) if !arguments.all => return Err(error.into()),
                Some(error) => output.note(&format!("process {} was not looked at: {error}", process.pid)),
                None => {}
            }
            continue;
        }
        if arguments.all && !process.runs_asyncio() {
            continue;
        }
        let report = report(&process.snapshots, &arguments.thresholds, &arguments.only);
        if report
            .findings
            .iter()
            .any(|f| arguments.fail_on == FailOn::Warning || f.severity == Severity::Error)
        {
            outcome = Outcome::Found;
        }
        show(process, &report, arguments.json, first, output)?;
        first = false;
    }
    Ok(outcome)
}

fn show(process: &Process, report: &Report, json: bool, first: bool, output: &mut Output) -> Result<()> {
    if json {
        return output.data(|out| {
            serde_json::to_writer(&mut *out, report)?;
            out.write_all(b"\n")
        });
    }
    let Some(newest) = process.snapshots.last() else { return Ok(()) };
    let options = FindingOptions { width: output.width(), ascii: output.ascii() };
    output.draw(|paper| {
        if !first {
            render::Canvas::end_line(paper);
        }
        render::findings(report, newest, &options, paper);
    })
}
