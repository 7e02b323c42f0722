//! Reads a running (or dead) CPython process from outside into a [`Snapshot`].
//!
//! The target is sacred: nothing here writes to it or runs code in it. It is paused for some
//! milliseconds at most, by a means that the kernel undoes even if this process is killed.
#![forbid(unsafe_code)]

mod assemble;
mod asyncio;
mod capture;
pub mod cpython;
pub mod discover;
pub mod doctor;
pub mod elf;
mod error;
mod memory;
pub mod process;
mod source;
mod watch;

pub use error::{Error, Result};
pub use watch::Watcher;

use async_trace_core::Snapshot;
use std::path::Path;
use std::time::Duration;

/// How to read.
#[derive(Clone, Debug)]
pub struct Options {
    /// Pause the target while what can change is copied.
    pub pause: bool,
    /// The longest that the target may stand still.
    pub pause_budget: Duration,
    /// Read local variables too.
    pub locals: bool,
    /// Attach source lines to frames, where the files can be read.
    pub source: bool,
    /// Whether to look through the heap: for coroutines that were never started, and for who can reach what tasks await.
    pub heap: Heap,
    /// Look at threads and loops only, which takes a small part of the time: for moments between two whole looks of
    /// one [`Watcher`].
    pub glance: bool,
    /// Whether to ask the kernel what has gone over the connections on which tasks and threads wait.
    pub traffic: bool,
    /// How much memory and work it may take.
    pub limits: Limits,
}

/// Whether to look through the heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Heap {
    /// No.
    #[default]
    Skip,
    /// Through all of it.
    Walk,
    /// Only at what the same [`Watcher`] has found when it walked; through all of it where it has not.
    Again,
}

/// How much memory and work reading may take, whatever the target's memory holds. Where a limit is reached,
/// the rest is missing, and a problem says so.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most bytes of the target that are copied.
    pub copy: u64,
    /// The most steps that its walks may take. A step is a read, or a word of a longer one; what is read
    /// in a step takes 32 bytes at most in the end.
    pub budget: u64,
}

impl Default for Limits {
    fn default() -> Self {
        // 100,000 tasks take some ten million steps, and in the worst case these take some seconds.
        Self { copy: 4 << 30, budget: 1 << 28 }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pause: true,
            pause_budget: Duration::from_millis(8),
            locals: false,
            source: false,
            heap: Heap::Skip,
            glance: false,
            traffic: false,
            limits: Limits::default(),
        }
    }
}

/// Reads the process `pid`.
///
/// # Errors
/// When nothing useful can be read: see [`Error`]. Whatever is less than that is a problem in the
/// snapshot.
pub fn capture(pid: u32, options: &Options) -> Result<Snapshot> {
    capture::process(pid, options)
}

/// Reads the core file at `path`.
///
/// # Errors
/// [`Error::BadFile`] where it is none of a Python process; else as [`capture`].
pub fn capture_core(path: &Path, options: &Options) -> Result<Snapshot> {
    capture::core::file(path, options)
}

/// Reads the core file or image at `path`, whichever it is.
///
/// # Errors
/// [`Error::BadFile`] where it is neither, or not of a Python process; else as [`capture`].
pub fn capture_file(path: &Path, options: &Options) -> Result<Snapshot> {
    if memory::image::is_image(path)? { capture_image(path, options) } else { capture_core(path, options) }
}

/// Reads the image at `path`, which [`record_image`] has made.
///
/// # Errors
/// [`Error::BadFile`] where it is none, or too damaged; else as [`capture`].
pub fn capture_image(path: &Path, options: &Options) -> Result<Snapshot> {
    capture::image::file(path, options)
}

/// Reads an image from memory: what the file that [`record_image`] makes contains.
///
/// # Errors
/// As [`capture_image`].
pub fn read_image(content: &[u8], options: &Options) -> Result<Snapshot> {
    capture::image::content(content, options)
}

/// Reads the process `pid` as [`capture`] does, and writes the memory that was needed for it into an
/// image at `path`.
///
/// # Errors
/// As [`capture`], and where the file cannot be written.
pub fn record_image(pid: u32, path: &Path, options: &Options) -> Result<Snapshot> {
    capture::image::record(pid, path, options)
}
