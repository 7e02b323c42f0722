//! The Python processes of this machine, as far as we may see them.

use crate::cpython::Version;
use crate::cpython::locate::glance;
use crate::process::maps::{self, Mapping};
use crate::process::{Identity, identity, parent};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

/// A process that runs Python.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub pid: u32,
    /// The path of its executable; where we may not know, the first word of its command line.
    pub executable: String,
    /// The command line.
    pub command: Vec<String>,
    /// The user that it runs as.
    pub uid: u32,
    /// Whether its memory can be read from here.
    pub readable: bool,
    /// The version. Where the memory cannot be read, what the name of the executable says of it, with a
    /// patch release of 0, or nothing.
    pub version: Option<Version>,
}

/// All processes that run Python, in order of their ids. The calling process is left out.
///
/// Those whose memory we may not read are told by their command line alone, so that some that embed
/// Python are missed.
#[must_use]
pub fn python_processes() -> Vec<Found> {
    let own = std::process::id();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut pids: Vec<u32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids.into_iter().filter(|&pid| pid != own).filter_map(find).collect()
}

/// The process `root` and all below it: its children, theirs, and so on. In order of their ids.
#[must_use]
pub fn descendants(root: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return vec![root] };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let pairs: Vec<(u32, u32)> = pids.filter_map(|pid| Some((parent(pid)?, pid))).collect();
    let mut all = vec![root];
    let mut next = 0;
    while let Some(of) = all.get(next).copied() {
        next += 1;
        // A process that ends while we look may leave its id to a new one: none is taken twice.
        let children = pairs.iter().filter(|(parent, pid)| *parent == of && !all.contains(pid));
        all.extend(children.map(|(_, pid)| *pid).collect::<Vec<_>>());
    }
    all.sort_unstable();
    all
}

fn find(pid: u32) -> Option<Found> {
    let identity = identity(pid).ok()?;
    match memory(pid) {
        Some((maps, memory)) => {
            let read = |address, buffer: &mut [u8]| memory.read_exact_at(buffer, address).is_ok();
            // Libraries of a program that has nothing to do with Python are not worth to be opened.
            let python = maps.iter().filter_map(Mapping::file).any(|path| path.contains("python"));
            let worth =
                |mapping: &Mapping| python || mapping.file().is_none_or(|path| path == identity.executable);
            let maps: Vec<Mapping> = maps.into_iter().filter(worth).collect();
            let located = glance(pid, &identity.executable, &maps, &read)?;
            Some(found(identity, true, Some(located.version)))
        }
        None => {
            let name = identity.executable.rsplit('/').next().unwrap_or_default();
            let version = Version::from_path(name);
            name.contains("python").then(|| found(identity.clone(), false, version))
        }
    }
}

/// What is needed to read, if we may.
fn memory(pid: u32) -> Option<(Vec<Mapping>, File)> {
    let maps = maps::read(pid).ok().filter(|maps| !maps.is_empty())?;
    Some((maps, File::open(format!("/proc/{pid}/mem")).ok()?))
}

fn found(identity: Identity, readable: bool, version: Option<Version>) -> Found {
    let Identity { pid, executable, command, uid, .. } = identity;
    Found { pid, executable, command, uid, readable, version }
}
