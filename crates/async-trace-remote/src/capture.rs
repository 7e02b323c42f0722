//! Takes a snapshot of a process: learns what to copy, copies it while the target stands still, and
//! puts into words what was found.

use crate::Options;
use crate::assemble;
use crate::asyncio::Places;
use crate::asyncio::walk::{self, Check, Session, Walked};
use crate::cpython::layout::{self, Layout};
use crate::cpython::locate::{self, Located};
use crate::cpython::object::Reader;
use crate::error::{Error, Result};
use crate::memory::Memory;
use crate::memory::addr::Addr;
use crate::memory::live::Live;
use crate::memory::pages::Pages;
use crate::process::pause::{Paused, Refused};
use crate::process::{self, maps};
use async_trace_core::Snapshot;
use async_trace_core::snapshot::{Consistency, ProblemCode};
use nix::time::{ClockId, clock_gettime};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The most memory that copies of a target's pages may take.
const MAX_COPY: u64 = 4 << 30;
/// How many steps the walks of one capture may take in all: some hundred times what 100,000 tasks need.
const BUDGET: u64 = 1 << 33;
/// How often the copying is begun anew when the stop fell into a moment of change.
const MAX_RETRIES: u32 = 3;
/// How long the target runs on between two tries.
const BREATH: Duration = Duration::from_millis(1);

/// How a pass over the target went.
pub(crate) struct Pass {
    pub walked: Walked,
    pub consistency: Consistency,
    pub pause: Option<Duration>,
    pub retries: u32,
    pub refused: Option<Refused>,
    /// Pages that had to be copied after the target ran on.
    pub late: u64,
    pub unstopped: usize,
}

/// Reads the process `pid`.
pub(crate) fn process(pid: u32, options: &Options) -> Result<Snapshot> {
    let started = Instant::now();
    let identity = process::identity(pid)?;
    let pid = identity.pid;
    let no_permission = || Error::NoPermission { pid, uid: Some(identity.uid) };
    let maps = maps::read(pid).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::Gone { pid },
        std::io::ErrorKind::PermissionDenied => no_permission(),
        _ if source.raw_os_error() == Some(nix::errno::Errno::ESRCH as i32) => Error::Gone { pid },
        _ => Error::Io { what: format!("the mappings of process {pid}"), source },
    })?;
    let memory = Live::open(pid).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::Gone { pid },
        std::io::ErrorKind::PermissionDenied => no_permission(),
        _ => Error::Io { what: format!("the memory of process {pid}"), source },
    })?;
    // Headers of files and the like are read past the copy: they are not needed again.
    let located = locate::locate(pid, &maps, &|addr, buf| memory.read(addr, buf) == buf.len())?;
    let pages = Pages::new(Box::new(memory), MAX_COPY);
    let layout = layout_of(pid, &located, &pages)?;
    let reader = Reader::new(&pages, &layout, BUDGET);
    let session = Session {
        reader: &reader,
        places: Places::default(),
        runtime: Addr(located.runtime),
        inner_pid: identity.inner_pid,
        locals: options.locals,
        now: Cell::new(None),
        names: RefCell::default(),
        tick: RefCell::new(Box::new(|| {})),
    };
    let mut os_threads = process::threads::list(pid).unwrap_or_default();
    let pass = read(pid, &session, options)?;
    if os_threads.is_empty() {
        os_threads = process::threads::list(pid).unwrap_or_default();
    }
    let time_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64());
    let facts = assemble::Facts {
        identity: &identity,
        version: located.version,
        os_threads: &os_threads,
        time_s,
        started,
        options,
    };
    Ok(assemble::snapshot(&session, pass, &facts))
}

/// The table for a target, with what the target says about itself.
fn layout_of(pid: u32, located: &Located, pages: &Pages) -> Result<Layout> {
    let version = located.version;
    let table = layout::for_version(version.major, version.minor)
        .ok_or_else(|| Error::UnsupportedVersion { pid, version: version.to_string() })?;
    let unsupported = |build| Error::UnsupportedBuild { pid, version: version.to_string(), build };
    if located.free_threaded {
        return Err(unsupported("free-threaded"));
    }
    if located.debug_build {
        return Err(unsupported("debug"));
    }
    let mut layout = table.clone();
    if let Some(addr) = located.debug_offsets {
        layout.apply_debug_offsets(pages, Addr(addr)).map_err(|_| Error::Gone { pid })?;
    }
    if let Some(addr) = located.asyncio_debug {
        layout.apply_asyncio_debug(pages, Addr(addr)).map_err(|_| Error::Gone { pid })?;
    }
    Ok(layout)
}

/// The clock of event loops.
fn monotonic() -> Option<f64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).ok()?;
    Some(Duration::from(now).as_secs_f64())
}

/// Walks the target: once as it runs, to learn which pages that needs; then, where it can be paused,
/// on a copy made while it stood still.
fn read(pid: u32, session: &Session<'_>, options: &Options) -> Result<Pass> {
    let pages = session.reader.mem;
    session.now.set(monotonic());
    // The first pass is only to learn what is needed; names and types that it finds stay.
    walk_once(pid, session, Check::Nothing)?;
    if !options.pause {
        return unpaused(pid, session, None);
    }
    let mut retries = 0;
    loop {
        let budget = options.pause_budget;
        let paused = match Paused::begin(pid, Instant::now() + budget) {
            Ok(paused) => paused,
            Err(refused) => return unpaused(pid, session, Some(refused)),
        };
        let since = paused.since();
        session.now.set(monotonic());
        // Copying comes first; what time is left may be spent on what the copy turns out to lack.
        let stale = pages.refresh(Some(since + budget * 3 / 4));
        pages.thaw();
        let unstopped = paused.unstopped().len();
        if stale > 0 {
            // More than the budget allows: the rest is copied from the running target, and what of it
            // has changed is found out by comparing.
            let pause = Some(paused.release());
            pages.refresh_rest();
            let walked = walk_once(pid, session, Check::All)?;
            let (consistency, late) = (Consistency::PartlyPaused, stale as u64);
            return Ok(Pass { walked, consistency, pause, retries, refused: None, late, unstopped });
        }
        let paused = Rc::new(RefCell::new(Some(paused)));
        let released = Rc::new(Cell::new(None));
        {
            let (paused, released) = (paused.clone(), released.clone());
            let mut ticks = 0u32;
            *session.tick.borrow_mut() = Box::new(move || {
                ticks += 1;
                if ticks % 32 == 0
                    && since.elapsed() >= budget
                    && let Some(paused) = paused.borrow_mut().take()
                {
                    pages.freeze();
                    released.set(Some(paused.release()));
                }
            });
        }
        let walked = walk_once(pid, session, Check::Late);
        *session.tick.borrow_mut() = Box::new(|| {});
        let pause = match paused.borrow_mut().take() {
            Some(paused) => paused.release(),
            None => released.get().unwrap_or_default(),
        };
        let (late, walked) = (pages.late(), walked?);
        if walked.fell_into_a_change() && retries < MAX_RETRIES {
            retries += 1;
            std::thread::sleep(BREATH);
            continue;
        }
        let consistency = if late == 0 { Consistency::Paused } else { Consistency::PartlyPaused };
        return Ok(Pass { walked, consistency, pause: Some(pause), retries, refused: None, late, unstopped });
    }
}

/// A pass over a target that runs on; each task is checked by itself.
fn unpaused(pid: u32, session: &Session<'_>, refused: Option<Refused>) -> Result<Pass> {
    session.reader.mem.refresh(None);
    session.now.set(monotonic());
    Ok(Pass {
        walked: walk_once(pid, session, Check::All)?,
        consistency: Consistency::Unpaused,
        pause: None,
        retries: 0,
        refused,
        late: 0,
        unstopped: 0,
    })
}

fn walk_once(pid: u32, session: &Session<'_>, check: Check) -> Result<Walked> {
    match walk::run(session, check) {
        Ok(walked) if walked.interpreters.is_empty() => Err(Error::NotInitialized { pid }),
        Ok(walked) => Ok(walked),
        // Nothing can be read of a process that has ended; of one that is starting, nothing yet.
        Err(_) => match process::identity(pid) {
            Ok(_) => Err(Error::NotInitialized { pid }),
            Err(Error::NoSuchProcess { .. } | Error::Zombie { .. }) => Err(Error::Gone { pid }),
            Err(error) => Err(error),
        },
    }
}
