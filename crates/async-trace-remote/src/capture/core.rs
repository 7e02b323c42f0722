//! A core file, ready to be read.

use super::Prepared;
use crate::Options;
use crate::error::Result;
use crate::memory::core_file::{CoreFile, CoreProcess};
use crate::memory::pages::Pages;
use crate::process::Identity;
use crate::process::surroundings::{Noted, Surroundings};
use async_trace_core::Snapshot;
use async_trace_core::snapshot::{Problem, ProblemCode, Source};
use async_trace_core::text::Text;
use std::path::Path;

/// Reads the core file at `path`.
pub(crate) fn file(path: &Path, options: &Options) -> Result<Snapshot> {
    let core = CoreFile::open(path)?;
    let located = core.locate()?;
    let problems = problems(&core);
    let CoreProcess { pid, uid, executable, command, threads, .. } = core.process().clone();
    let identity = Identity {
        pid,
        executable,
        command,
        state: 'X',
        uid: uid.unwrap_or(0),
        starttime: 0,
        // The kernel writes the number that the process has for itself.
        inner_pid: pid,
        permitted: true,
    };
    let target = Prepared {
        source: Source::Core,
        pages: Pages::new(Box::new(core), options.limits.copy),
        located,
        identity,
        os_threads: threads,
        surroundings: Surroundings::of_dead(Noted::default()),
        // A file's own time is that of its last copy, and the kernel notes none.
        time_s: Some(0.0),
        now: None,
        problems,
    };
    super::still(path, target, options)
}

fn problems(core: &CoreFile) -> Vec<Problem> {
    let problem = |message: Text, count: usize| Problem {
        code: ProblemCode::ProcessUnreadable,
        message,
        task: None,
        count: count as u64,
    };
    let mut out = Vec::new();
    if core.process().truncated {
        out.push(problem("the core file is cut off: not all of the memory is in it".into(), 1));
    }
    // Of other libraries nothing is read.
    let of_python = |file: &&str| *file == core.process().executable || file.contains("python");
    let missing: Vec<&str> = core.missing_files().into_iter().filter(of_python).collect();
    if let Some(first) = missing.first() {
        let others = match missing.len() - 1 {
            0 => String::new(),
            1 => " and another file".to_owned(),
            n => format!(" and {n} other files"),
        };
        let message = format!("parts of the memory are in {first}{others}, gone or changed since then");
        out.push(problem(message.into(), missing.len()));
    }
    out
}
