//! What surrounds a target: its open files, and the children that it waits for. Of a running process the
//! kernel is asked, each thing once; of a dead one there is what was noted while it lived, or nothing.

use super::children;
use super::family::Family;
use super::files::Files;
use async_trace_core::snapshot::{OpenFile, Target};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The surroundings of one process.
pub(crate) struct Surroundings {
    /// Whom to ask; nobody when the process is dead.
    live: Option<(u32, Files)>,
    noted: Noted,
    family: Option<Family>,
}

/// Answers that were given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Noted {
    pub files: BTreeMap<i32, OpenFile>,
    pub children: BTreeMap<u32, Target>,
}

impl Surroundings {
    /// Those of the running process `pid`.
    pub(crate) fn of_live(pid: u32) -> Self {
        Self { live: Some((pid, Files::new(pid))), noted: Noted::default(), family: None }
    }

    /// Those of a process that is no more.
    pub(crate) fn of_dead(noted: Noted) -> Self {
        Self { live: None, noted, family: None }
    }

    /// What the descriptor `fd` is.
    pub(crate) fn file(&mut self, fd: i32) -> OpenFile {
        if let Some(known) = self.noted.files.get(&fd) {
            return known.clone();
        }
        let Some((_, files)) = &mut self.live else {
            return OpenFile { fd, ..OpenFile::default() };
        };
        let file = files.describe(fd);
        self.noted.files.insert(fd, file.clone());
        file
    }

    /// What the child `pid` (as the target numbers it) is.
    pub(crate) fn child(&mut self, pid: Option<u32>) -> Target {
        if let Some(known) = pid.and_then(|pid| self.noted.children.get(&pid)) {
            return known.clone();
        }
        let Some((parent, files)) = &mut self.live else {
            return Target::Process { pid, command: None, child: None };
        };
        let child = children::describe(*parent, pid, files);
        if let Some(pid) = pid {
            self.noted.children.insert(pid, child.clone());
        }
        child
    }

    /// The pipes between it and its children, where it is alive.
    pub(crate) fn family(&mut self) -> Option<&Family> {
        let (pid, _) = self.live.as_ref()?;
        Some(self.family.get_or_insert_with(|| Family::read(*pid)))
    }

    /// All that was asked for.
    pub(crate) fn noted(&self) -> &Noted {
        &self.noted
    }
}
