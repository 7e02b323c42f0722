//! Recorded images: making one of a running process, and reading one.

use super::{Kept, Prepared, live};
use crate::Options;
use crate::error::{Error, Result};
use crate::memory::Memory;
use crate::memory::image::{self, Facts, Image, PageSet, Recorder, Touched};
use crate::memory::pages::Pages;
use crate::process::surroundings::Surroundings;
use async_trace_core::Snapshot;
use async_trace_core::snapshot::{Consistency, Problem, ProblemCode, Source};
use std::cell::RefCell;
use std::env::consts::ARCH;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

/// Reads the image at `path`.
pub(crate) fn file(path: &Path, options: &Options) -> Result<Snapshot> {
    let file = File::open(path)
        .map_err(|source| Error::Io { what: format!("cannot open {}", path.display()), source })?;
    parse(path, BufReader::new(file), options)
}

/// Reads an image that is in memory already.
pub(crate) fn content(content: &[u8], options: &Options) -> Result<Snapshot> {
    parse(Path::new("image"), content, options)
}

fn parse(path: &Path, from: impl BufRead, options: &Options) -> Result<Snapshot> {
    let image = image::parse(from).map_err(|reason| Error::BadFile { path: path.to_owned(), reason })?;
    super::still(path, prepare(image, options), options)
}

/// An image, ready to be read.
pub(crate) fn prepare(image: Image, options: &Options) -> Prepared {
    let Image { facts, pages, lost } = image;
    let mut target = prepare_from(&facts, Box::new(pages), options);
    if lost > 0 {
        target.problems.push(Problem {
            code: ProblemCode::ProcessUnreadable,
            message: format!("the image is damaged or cut off: {lost} of its pages are missing").into(),
            task: None,
            count: lost,
        });
    }
    target
}

fn prepare_from(facts: &Facts, memory: Box<dyn Memory>, options: &Options) -> Prepared {
    let mut os_threads = facts.threads.clone();
    if facts.arch != ARCH {
        os_threads.iter_mut().for_each(|thread| thread.syscall = None);
    }
    #[allow(clippy::cast_precision_loss)] // times in seconds
    let seconds = |ns: u64| ns as f64 / 1e9;
    Prepared {
        source: Source::Image,
        pages: Pages::new(memory, options.limits.copy),
        located: facts.located.clone(),
        identity: facts.identity.clone(),
        os_threads,
        surroundings: Surroundings::of_dead(facts.surroundings.clone()),
        time_s: Some(seconds(facts.unix_ns)),
        now: facts.monotonic_ns.map(seconds),
        problems: facts.problems.clone(),
    }
}

/// Reads process `pid`, and writes what that needed into a new image at `path`.
pub(crate) fn record(pid: u32, path: &Path, options: &Options) -> Result<Snapshot> {
    let started = Instant::now();
    let kept = Rc::new(RefCell::new(PageSet::default()));
    let mut target = live::prepare(pid, options, |memory| Box::new(Recorder::new(memory, kept.clone())))?;
    let pid = target.identity.pid;
    let snapshot = super::snapshot(&mut target, &mut Kept::default(), options, started, |session| {
        super::read(pid, session, options, None)
    })?;
    let facts = facts(&target, &snapshot);
    drop(target);
    // Pages are copied with their neighbours. Reading once more tells which of them are needed.
    let pages = Rc::new(kept.take());
    let touched = Rc::new(RefCell::new(PageSet::default()));
    let again = prepare_from(&facts, Box::new(Touched::new(pages, touched.clone())), options);
    super::still(path, again, options)?;
    write(&facts, &touched.borrow(), path)
        .map_err(|source| Error::Io { what: format!("cannot write {}", path.display()), source })?;
    Ok(snapshot)
}

fn facts(target: &Prepared, snapshot: &Snapshot) -> Facts {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates
    let ns = |seconds: f64| (seconds * 1e9).round() as u64;
    let of_the_pause =
        |problem: &&Problem| matches!(problem.code, ProblemCode::PauseBudget | ProblemCode::PauseRefused);
    let mut problems: Vec<Problem> = snapshot.problems.iter().filter(of_the_pause).cloned().collect();
    if problems.is_empty() && snapshot.capture.consistency == Consistency::Unpaused {
        problems.push(Problem {
            code: ProblemCode::PauseRefused,
            message: "the image was recorded while the process ran: not all of it is of one moment".into(),
            task: None,
            count: 1,
        });
    }
    Facts {
        recorder: concat!("async-trace ", env!("CARGO_PKG_VERSION")).into(),
        arch: ARCH.into(),
        located: target.located.clone(),
        identity: target.identity.clone(),
        threads: target.os_threads.clone(),
        surroundings: target.surroundings.noted().clone(),
        monotonic_ns: target.now.map(ns),
        unix_ns: ns(snapshot.capture.time_s),
        problems,
        pages: 0,
    }
}

/// Memory of a process is for its owner's eyes only.
fn write(facts: &Facts, pages: &PageSet, path: &Path) -> std::io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut out = BufWriter::new(file);
    image::write(facts, pages, &mut out)?;
    out.flush()
}
