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

use crate::args::{CheckArguments, FailOn};
use crate::output::Output;
use crate::{Error, Outcome, Result};
use async_trace_core::Snapshot;
use async_trace_core::checks::{self, Config};
use async_trace_core::finding::{Report, Severity};
use async_trace_core::render::{self, FindingOptions};
use async_trace_remote::discover::python_processes;
use std::thread;
use std::time::{Duration, Instant};

/// When to look, as shares of the whole time: not at equal distances, so that what comes back with a
/// period of its own is not taken for something that never went away.
const LOOKS: [f64; 6] = [0.0, 0.13, 0.31, 0.54, 0.79, 1.0];

pub(crate) fn run(arguments: &CheckArguments, output: &mut Output) -> Result<Outcome> {
    let mut processes = match arguments.pid {
        Some(pid) if pid == std::process::id() => return Err(Error::Own { pid }),
        Some(pid) => vec![Process::new(pid)],
        None => python_processes().iter().map(|found| Process::new(found.pid)).collect(),
    };
    look_at(&mut processes, arguments);
    let mut outcome = Outcome::Done;
    let mut first = true;
    for process in &mut processes {
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
        let report = process.report(arguments);
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

/// A process and what was seen of it.
struct Process {
    pid: u32,
    snapshots: Vec<Snapshot>,
    failed: Option<async_trace_remote::Error>,
}

impl Process {
    fn new(pid: u32) -> Self {
        Self { pid, snapshots: Vec::new(), failed: None }
    }

    fn runs_asyncio(&self) -> bool {
        self.snapshots
            .last()
            .is_some_and(|s| s.process.asyncio && !(s.loops.is_empty() && s.tasks.is_empty()))
    }

    fn report(&self, arguments: &CheckArguments) -> Report {
        let limits = &arguments.thresholds;
        let config = Config {
            blocked_s: limits.blocked.as_secs_f64(),
            patience_s: limits.patience.as_secs_f64(),
            flood_tasks: limits.flood,
            leak_tasks: limits.leak,
            ..Config::default()
        };
        let snapshots: Vec<&Snapshot> = self.snapshots.iter().collect();
        let mut findings = checks::run(&snapshots, &config);
        if !arguments.only.is_empty() {
            findings = checks::only(findings, &arguments.only);
        }
        Report::new(&snapshots, findings)
    }
}

/// Looks at all processes again and again until the time is over. One that ends meanwhile is healthy as
/// far as it was seen, unless it was never seen at all.
fn look_at(processes: &mut [Process], arguments: &CheckArguments) {
    let mut begin = Instant::now();
    let looks = if arguments.duration < Duration::from_millis(50) { &LOOKS[..1] } else { &LOOKS[..] };
    for (number, share) in looks.iter().enumerate() {
        let due = arguments.duration.mul_f64(*share);
        thread::sleep(due.saturating_sub(begin.elapsed()));
        let last = number + 1 == looks.len();
        let options = async_trace_remote::Options {
            pause: !arguments.no_pause,
            pause_budget: arguments.pause_budget,
            // Once is enough for what costs most and does not change: the newest snapshot is the one shown.
            source: last,
            heap: last || number == 0,
            ..async_trace_remote::Options::default()
        };
        for process in processes.iter_mut().filter(|p| p.failed.is_none()) {
            match async_trace_remote::capture(process.pid, &options) {
                Ok(snapshot) => process.snapshots.push(snapshot),
                Err(error) => process.failed = Some(error),
            }
        }
        // The time is between the looks: the first may have taken a while itself.
        if number == 0 {
            begin = Instant::now();
        }
    }
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
