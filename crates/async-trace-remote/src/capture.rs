//! Takes a snapshot of a process: learns what to copy, copies it while the target stands still, and
//! puts into words what was found.

pub(crate) mod core;
pub(crate) mod image;
pub(crate) mod live;
#[cfg(test)]
mod noise;

use crate::assemble;
use crate::asyncio::heap::OnHeap;
use crate::asyncio::users::Unhelped;
use crate::asyncio::walk::{self, Check, Names, Session, Walked};
use crate::asyncio::{Places, Scouted, failed, heap, link, polls, reach, users};
use crate::cpython::layout::{self, Layout};
use crate::cpython::locate::Located;
use crate::cpython::object::{Known, Reader};
use crate::error::{Error, Result};
use crate::memory::addr::Addr;
use crate::memory::pages::Pages;
use crate::process::pause::{Paused, Refused};
use crate::process::surroundings::Surroundings;
use crate::process::threads::OsThread;
use crate::process::{self, Identity};
use crate::{Heap, Options};
use async_trace_core::Snapshot;
use async_trace_core::snapshot::{Consistency, Problem, Source, UnstartedCoroutine};
use nix::time::{ClockId, clock_gettime};
use std::cell::{Cell, RefCell};
use std::mem::take;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often the copying is begun anew when the stop fell into a moment of change.
const MAX_RETRIES: u32 = 3;
/// A target of which so few tasks have moved between two looks is calm: it is not worth a pass to learn what the
/// next look will need, because reading these few in the pause takes less than a millisecond.
const CALM: usize = 16;
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

/// A target that is ready to be read, be it alive, dead or recorded.
pub(crate) struct Prepared {
    pub source: Source,
    pub pages: Pages,
    pub located: Located,
    pub identity: Identity,
    pub os_threads: Vec<OsThread>,
    pub surroundings: Surroundings,
    /// The wall clock; now, where the target runs.
    pub time_s: Option<f64>,
    /// The clock of its event loops at the moment that its memory is of, where that is past and known.
    pub now: Option<f64>,
    /// What its memory had lost already before it came here.
    pub problems: Vec<Problem>,
}

/// What was found where the heap was walked.
struct Found {
    on_heap: OnHeap,
    /// What is awaited, and reached by nobody else.
    reached: Vec<Addr>,
}

/// What one look at a target leaves for the next.
#[derive(Default)]
pub(crate) struct Kept {
    known: Known,
    places: Places,
    names: Names,
    scouted: Scouted,
    found: Option<Found>,
    /// How many tasks the look before had to read anew, where there was one.
    moved: Option<usize>,
    /// There will be another one.
    on: bool,
}

impl Kept {
    /// Nothing yet, but there will be more looks than one.
    pub(crate) fn begin() -> Self {
        Self { on: true, ..Self::default() }
    }

    /// There will be no look after the next.
    pub(crate) fn end(&mut self) {
        self.on = false;
    }

    /// How much there is of it: it is not worth keeping for ever.
    pub(crate) fn size(&self) -> usize {
        self.known.texts() + self.names.len()
    }
}

/// Reads the process `pid`.
pub(crate) fn process(pid: u32, options: &Options) -> Result<Snapshot> {
    let started = Instant::now();
    let mut target = live::prepare(pid, options, |memory| Box::new(memory))?;
    if options.pause {
        target.pages.be_thrifty();
    }
    running(&mut target, &mut Kept::default(), options, started)
}

/// Reads a running target.
pub(crate) fn running(
    target: &mut Prepared,
    kept: &mut Kept,
    options: &Options,
    started: Instant,
) -> Result<Snapshot> {
    let (pid, version, moved) = (target.identity.pid, target.located.version, kept.moved);
    let snapshot = snapshot(target, kept, options, started, |session| read(pid, session, options, moved))?;
    if !snapshot.process.asyncio {
        return Err(Error::NoAsyncio { pid, version: version.to_string() });
    }
    Ok(snapshot)
}

/// Reads a target, by the passes that `read` makes over it.
fn snapshot(
    target: &mut Prepared,
    kept: &mut Kept,
    options: &Options,
    started: Instant,
    read: impl FnOnce(&Session<'_>) -> Result<Pass>,
) -> Result<Snapshot> {
    let pid = target.identity.pid;
    let layout = layout_of(pid, &target.located, &target.pages)?;
    let reader = Reader::new(&target.pages, &layout, take(&mut kept.known), options.limits.budget);
    let session = Session {
        reader: &reader,
        places: take(&mut kept.places),
        runtime: Addr(target.located.runtime),
        inner_pid: target.identity.inner_pid,
        locals: options.locals,
        now: Cell::new(target.now),
        names: RefCell::new(take(&mut kept.names)),
        scouted: RefCell::new(take(&mut kept.scouted)),
        keeps: kept.on,
        glance: options.glance,
        may_pause: Cell::new(None),
        paused_again: Cell::default(),
    };
    let mut pass = read(&session)?;
    if !options.glance {
        link::late(&session, &mut pass.walked);
    }
    let (mut coroutines, mut keepers, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
    let mut unhelped = Unhelped::default();
    let mut found = kept.found.take();
    if options.glance {
        // Of tasks, and who could reach what they await, nothing is known now.
    } else if options.heap == Heap::Skip {
        // What an earlier look has found is the same in all that follow.
        let known = found.as_ref().map_or(&[][..], |found| &found.reached);
        pass.walked.reached = reach::read(&session, Some(known), &[], &pass.walked);
    } else {
        let (known, reached) =
            found.filter(|_| options.heap == Heap::Again).map(|found| (found.on_heap, found.reached)).unzip();
        let OnHeap { coroutines: created, failed } =
            known.unwrap_or_else(|| heap::read(&session, &mut pass.walked));
        (coroutines, keepers) = heap::unstarted(&session, created, &pass.walked).into_iter().unzip();
        dropped = heap::dropped(&session, &pass.walked);
        let failures = failed::read(&session, &failed);
        pass.walked.reached = reach::read(&session, reached.as_deref(), &failures, &pass.walked);
        pass.walked.users = users::read(&session, &failures, &pass.walked);
        pass.walked.gone = polls::gone(&session, &failures, &pass.walked);
        unhelped = users::unhelped(&session, &pass.walked);
        let on_heap = OnHeap {
            coroutines: coroutines
                .iter()
                .map(|coroutine: &UnstartedCoroutine| Addr(coroutine.id.0))
                .collect(),
            failed,
        };
        found = Some(Found { on_heap, reached: pass.walked.reached.keys().copied().collect() });
    }
    if target.source == Source::Live && target.os_threads.is_empty() {
        target.os_threads = process::threads::list(pid).unwrap_or_default();
    }
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64());
    let mut facts = assemble::Facts {
        source: target.source,
        identity: &target.identity,
        version: target.located.version,
        os_threads: &target.os_threads,
        surroundings: &mut target.surroundings,
        problems: &target.problems,
        time_s: target.time_s.unwrap_or_else(now),
        connections: options.traffic,
    };
    let moved = pass.walked.moved;
    let mut snapshot = assemble::snapshot(&session, pass, &mut facts);
    (snapshot.coroutines, snapshot.dropped) = (coroutines, dropped);
    if options.traffic && target.source == Source::Live {
        process::traffic::attach(pid, &mut snapshot);
    }
    // The files of today may say something else than those that a dead process ran.
    let identity = (target.source == Source::Live).then_some(&target.identity);
    crate::source::attach(&mut snapshot, &keepers, &unhelped, identity, options.source && identity.is_some());
    snapshot.capture.read_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    target.now = session.now.get();
    let Session { places, names, scouted, .. } = session;
    let (names, scouted) = (names.into_inner(), scouted.into_inner());
    let moved = if options.glance { kept.moved } else { Some(moved).filter(|_| kept.on) };
    *kept = Kept { known: reader.known, places, names, scouted, found, moved, on: kept.on };
    if kept.on {
        target.pages.keep_footprints(kept.scouted.footprints());
    }
    Ok(snapshot)
}

/// Reads a target that stands still for good: `path` is the file that it is in.
fn still(path: &Path, mut target: Prepared, options: &Options) -> Result<Snapshot> {
    let bad = |reason| Error::BadFile { path: path.to_owned(), reason };
    let read = |session: &Session<'_>| match walk::run(session, Check::Late) {
        Ok(walked) if !walked.interpreters.is_empty() => Ok(Pass {
            walked,
            consistency: Consistency::Still,
            pause: None,
            retries: 0,
            refused: None,
            late: 0,
            unstopped: 0,
        }),
        Ok(_) => Err(bad("its Python interpreter was still starting, or had finished already".into())),
        Err(torn) => Err(bad(format!("its Python interpreter cannot be read: {}", torn.0))),
    };
    match snapshot(&mut target, &mut Kept::default(), options, Instant::now(), read) {
        Err(Error::Gone { .. }) => Err(bad("its Python interpreter cannot be read".into())),
        outcome => outcome,
    }
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

/// Walks the target: once as it runs, to learn which pages that needs; then, where it can be paused, on a copy
/// made while it stood still.
///
/// `moved` is how many tasks the look before had to read anew, if there was one.
fn read(pid: u32, session: &Session<'_>, options: &Options, moved: Option<usize>) -> Result<Pass> {
    let pages = session.reader.mem;
    session.now.set(monotonic());
    if session.glance {
        return unpaused(pid, session, None);
    }
    // The first pass is only to learn what is needed; names and types that it finds stay. After an earlier look most
    // of it is known: what is not is worth a pass only where there is much of it, and to keep the pause short.
    let mut scouted = 0;
    if moved.is_none_or(|moved| options.pause && moved > CALM) {
        if moved.is_some() {
            pages.refresh();
        }
        let walked = walk_once(pid, session, Check::Nothing)?;
        // To the first look all are new.
        scouted = if moved.is_some() { walked.moved } else { 0 };
    }
    if !options.pause {
        return unpaused(pid, session, None);
    }
    let note = |mut walked: Walked| {
        walked.moved = walked.moved.max(scouted);
        walked
    };
    let mut retries = 0;
    loop {
        let paused = match Paused::begin(pid, Instant::now() + options.pause_budget) {
            Ok(paused) => paused,
            Err(refused) => return unpaused(pid, session, Some(refused)),
        };
        pages.begin_pause(paused.over());
        session.now.set(monotonic());
        let unstopped = paused.unstopped().len();
        let stale = pages.refresh();
        session.may_pause.set(Some(pid));
        if stale > 0 {
            // More than the budget allows: the rest is copied from the running target, and what of it
            // has changed is found out by comparing.
            let pause = paused.release();
            pages.end_pause();
            pages.refresh_rest();
            let walked = note(walk_once(pid, session, Check::All)?);
            let pause = Some(pause + session.paused_again.take());
            let (consistency, late) = (Consistency::PartlyPaused, stale as u64);
            return Ok(Pass { walked, consistency, pause, retries, refused: None, late, unstopped });
        }
        // A thread that would not stop may change what the others left alone.
        let check = if unstopped > 0 { Check::All } else { Check::Late };
        let walked = walk_once(pid, session, check);
        let pause = paused.release() + session.paused_again.take();
        let late = pages.late_pages();
        pages.end_pause();
        session.may_pause.set(None);
        let walked = note(walked?);
        if walked.fell_into_a_change() && retries < MAX_RETRIES {
            retries += 1;
            std::thread::sleep(BREATH);
            continue;
        }
        let whole = late == 0 && unstopped == 0;
        let consistency = if whole { Consistency::Paused } else { Consistency::PartlyPaused };
        if check == Check::Late {
            pages.settle();
        }
        return Ok(Pass { walked, consistency, pause: Some(pause), retries, refused: None, late, unstopped });
    }
}

/// A pass over a target that runs on; each task is checked by itself.
fn unpaused(pid: u32, session: &Session<'_>, refused: Option<Refused>) -> Result<Pass> {
    let pages = session.reader.mem;
    if session.glance {
        pages.age();
    } else {
        pages.refresh();
    }
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
