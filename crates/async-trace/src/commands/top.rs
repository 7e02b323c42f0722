//! `async-trace top PID`: what a process is at, live: its loops, what is wrong, its tasks in groups; each can
//! be opened, down to one task's lines or the waiters of one lock.
//!
//! What is drawn and how keys change it is in `tui`; here is where its looks come from.

use crate::args::TopArguments;
use crate::output::Output;
use crate::tui::{self, Looks, Open, Source, Sources, Taken, Theme};
use crate::{Error, Outcome, Result};
use async_trace_core::Snapshot;
use async_trace_remote::discover::{descendants, python_processes};
use async_trace_remote::{Heap, Options, Watcher};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

pub(crate) fn run(arguments: &TopArguments, output: &mut Output) -> Result<Outcome> {
    let theme = Theme { color: output.colored(), ascii: output.ascii() };
    let options = tui::Options { interval: arguments.interval, theme, mouse: !arguments.no_mouse };
    tui::run(sources(arguments)?, &options)?;
    Ok(Outcome::Done)
}

fn sources(arguments: &TopArguments) -> Result<Sources> {
    let own = std::process::id();
    let read = Options {
        pause: !arguments.no_pause,
        pause_budget: arguments.pause_budget,
        locals: arguments.locals,
        source: true,
        ..Options::default()
    };
    let find: Box<dyn Fn() -> Vec<u32> + Send> = match arguments.workers {
        Some(root) if root == own => return Err(Error::Own { pid: own }),
        Some(root) => {
            async_trace_remote::process::identity(root)?;
            Box::new(move || descendants(root))
        }
        None if arguments.all => Box::new(|| python_processes().iter().map(|found| found.pid).collect()),
        None => {
            let mut known = BTreeSet::new();
            let pids: Vec<u32> = arguments.pids.iter().copied().filter(|pid| known.insert(*pid)).collect();
            if pids.contains(&own) {
                return Err(Error::Own { pid: own });
            }
            let known = pids.into_iter().map(|pid| source(pid, &read, None)).collect();
            return Ok(Sources { known, more: None, all_needed: true });
        }
    };
    let known = Known::default();
    let new = move || -> Vec<Source> {
        let found = find();
        let mut pids = known.lock().unwrap_or_else(PoisonError::into_inner);
        // An id may come back as another process.
        pids.retain(|pid| found.contains(pid));
        let new: Vec<u32> = found.into_iter().filter(|pid| *pid != own && pids.insert(*pid)).collect();
        new.into_iter().map(|pid| source(pid, &read, Some(known.clone()))).collect()
    };
    Ok(Sources { known: new(), more: Some(Box::new(new)), all_needed: false })
}

/// The processes that need not be tried again.
type Known = Arc<Mutex<BTreeSet<u32>>>;

/// A process; with `known` it was not asked for by its id, and is left out as long as it runs no asyncio.
fn source(pid: u32, options: &Options, known: Option<Known>) -> Source {
    let options = options.clone();
    let open: Open = Box::new(move || {
        let looks = open(pid, options, known.is_some());
        use async_trace_remote::Error::{NoAsyncio, NotInitialized};
        if let (Err(Error::Remote(NoAsyncio { .. } | NotInitialized { .. })), Some(known)) = (&looks, known) {
            // It may be a server that is still starting.
            known.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid);
        }
        Ok(Box::new(looks?) as Box<dyn Looks>)
    });
    Source { open }
}

/// What cannot be read at all is to be known before the screen is taken over.
fn open(pid: u32, options: Options, only_asyncio: bool) -> Result<Process> {
    let mut watcher = Watcher::new(pid, Options { heap: Heap::Walk, ..options });
    let first = watcher.look()?;
    if only_asyncio && first.loops.is_empty() && first.tasks.is_empty() {
        let version = first.process.python.to_string();
        return Err(async_trace_remote::Error::NoAsyncio { pid, version }.into());
    }
    Ok(Process { pid, watcher, next_whole: Instant::now(), first: Some(first) })
}

/// A running process.
struct Process {
    pid: u32,
    watcher: Watcher,
    /// When it is time to look at the heap too, without which some checks see nothing.
    next_whole: Instant,
    first: Option<Snapshot>,
}

/// How much of the time whole looks may take: one part in so many.
const SHARE: u32 = 100;

impl Process {
    fn read(&mut self) -> Result<Taken, async_trace_remote::Error> {
        let begin = Instant::now();
        let whole = begin >= self.next_whole;
        self.watcher.options.heap = if whole { Heap::Walk } else { Heap::Skip };
        let snapshot = self.watcher.look()?;
        if whole {
            self.next_whole = begin + begin.elapsed() * SHARE;
        }
        Ok(Taken { snapshot, whole })
    }
}

impl Looks for Process {
    fn look(&mut self) -> Result<Option<Taken>> {
        use async_trace_remote::Error::{Gone, NoSuchProcess, Zombie};
        if let Some(snapshot) = self.first.take() {
            return Ok(Some(Taken { snapshot, whole: true }));
        }
        match self.read() {
            Ok(taken) => Ok(Some(taken)),
            Err(Gone { .. } | NoSuchProcess { .. } | Zombie { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn ended(&self) -> String {
        format!("process {} has ended", self.pid)
    }
}
