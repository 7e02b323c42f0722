//! A running process, ready to be read.

use super::Prepared;
use crate::Options;
use crate::cpython::locate;
use crate::error::{Error, Result};
use crate::memory::Memory;
use crate::memory::live::Live;
use crate::memory::pages::Pages;
use crate::process::surroundings::Surroundings;
use crate::process::{self, maps};
use async_trace_core::snapshot::Source;
use nix::errno::Errno;
use std::io;

/// Finds CPython in process `pid`. Its memory is read through what `through` makes of it.
pub(crate) fn prepare(
    pid: u32,
    options: &Options,
    through: impl FnOnce(Live) -> Box<dyn Memory>,
) -> Result<Prepared> {
    let identity = process::identity(pid)?;
    let pid = identity.pid;
    let failed = |what: &'static str| {
        move |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => Error::Gone { pid },
            io::ErrorKind::PermissionDenied => Error::NoPermission { pid, uid: Some(identity.uid) },
            _ if source.raw_os_error() == Some(Errno::ESRCH as i32) => Error::Gone { pid },
            _ => Error::Io { what: format!("{what} of process {pid}"), source },
        }
    };
    let maps = maps::read(pid).map_err(failed("the mappings"))?;
    let memory = Live::open(pid).map_err(failed("the memory"))?;
    // Headers of files and the like are read past the copy: they are not needed again.
    let located = locate::locate(pid, &maps, &|addr, buf| memory.read(addr, buf) == buf.len());
    let located = located.map_err(|error| match (&error, process::identity(pid)) {
        // What ends while it is looked at looks like anything but Python.
        (
            Error::NotPython { .. },
            Err(Error::NoSuchProcess { .. } | Error::Zombie { .. } | Error::Gone { .. }),
        ) => Error::Gone { pid },
        _ => error,
    })?;
    Ok(Prepared {
        source: Source::Live,
        pages: Pages::new(through(memory), options.limits.copy),
        located,
        os_threads: process::threads::list(pid).unwrap_or_default(),
        surroundings: Surroundings::of_live(pid),
        identity,
        time_s: None,
        now: None,
        problems: Vec::new(),
    })
}
