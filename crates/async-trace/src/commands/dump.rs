//! `async-trace dump PID`: every task of a process, as a tree or as JSON. The process may be a dead one, in
//! a core file or in an image that `async-trace image` has recorded.
//!
//! ```text
//! $ async-trace dump 4711
//! process 4711: python3 bank.py
//! Python 3.11.7, 3 tasks, 1 loop, 1 thread; paused 1.2 ms
//!
//! DEADLOCK: 2 tasks wait for each other
//!   ┌▶ task alice-pays-bob
//!   │    waits at bank.py:15 (withdraw)
//!   │    for Lock account.lock, held at bank.py:23 (transfer) by
//!   …
//! ```

use crate::args::{DumpArguments, DumpFormat, ReadOptions, ShowOptions, Target};
use crate::output::Output;
use crate::{Error, Outcome, Result};
use async_trace_core::{Snapshot, json, render};
use std::mem::ManuallyDrop;

pub(crate) fn run(arguments: &DumpArguments, output: &mut Output) -> Result<Outcome> {
    // The program ends after it: to take 100,000 tasks apart first would only take time.
    let snapshot = ManuallyDrop::new(read(&arguments.target, &arguments.read)?);
    if arguments.json {
        output.data(|out| json::write(&snapshot, out))?;
        return Ok(Outcome::Done);
    }
    match arguments.format {
        DumpFormat::Tree => {}
        DumpFormat::Dot => {
            output.draw(|paper| render::dot(&snapshot, paper))?;
            return Ok(Outcome::Done);
        }
        DumpFormat::Mermaid => {
            output.draw(|paper| render::mermaid(&snapshot, paper))?;
            return Ok(Outcome::Done);
        }
    }
    let options = show(&arguments.show, &arguments.read, output);
    if let Some(name) = &options.task {
        find(&snapshot, name)?;
    }
    output.draw(|paper| render::tree(&snapshot, &options, paper))?;
    Ok(Outcome::Done)
}

/// Reads the target.
pub(super) fn read(target: &Target, options: &ReadOptions) -> Result<Snapshot> {
    match target {
        Target::Process(pid) if *pid == std::process::id() => Err(Error::Own { pid: *pid }),
        Target::Process(pid) => Ok(async_trace_remote::capture(*pid, &options.into())?),
        Target::File(path) => Ok(async_trace_remote::capture_file(path, &options.into())?),
    }
}

impl From<&ReadOptions> for async_trace_remote::Options {
    fn from(options: &ReadOptions) -> Self {
        Self {
            pause: !options.no_pause,
            pause_budget: options.pause_budget,
            locals: options.locals,
            source: options.source,
            heap: if options.heap { async_trace_remote::Heap::Walk } else { async_trace_remote::Heap::Skip },
            ..Self::default()
        }
    }
}

fn show(show: &ShowOptions, read: &ReadOptions, output: &Output) -> render::Options {
    render::Options {
        all_frames: show.all_frames,
        source: read.source,
        locals: read.locals,
        threads: show.threads,
        filter: show.filter.clone(),
        task: show.task.clone(),
        max: show.max,
        width: output.width(),
        ascii: output.ascii(),
    }
}

/// A task that is not there is an error, and a typing mistake is likely: name some that are.
fn find(snapshot: &Snapshot, name: &str) -> Result<()> {
    if !render::tree::named(snapshot, name).is_empty() {
        return Ok(());
    }
    let alike = snapshot.tasks.iter().filter(|t| t.name.contains(name));
    let others = alike.chain(&snapshot.tasks).take(3).map(|t| t.name.to_string());
    let mut others: Vec<String> = others.collect();
    others.dedup();
    Err(Error::NoSuchTask { name: name.to_owned(), others })
}
