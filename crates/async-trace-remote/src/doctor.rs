//! What can be read of a process from here, and what is missing, with the command that helps.
//!
//! It looks first and judges then: [`Facts`] is all that is looked at, so that every judgement can be
//! tested without a machine that is set up like that.

mod facts;
mod judge;

pub use facts::{Facts, Ourselves, Target};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing stands in the way.
    Ok,
    /// It works, but not in full, or not in every case.
    Warn,
    /// The process cannot be read for this reason.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// A word for it that never changes: `memory`, `yama`, …
    pub name: &'static str,
    /// How it came out.
    pub status: Status,
    /// What was found, in a sentence.
    pub sentence: String,
    /// A command that helps.
    pub fix: Option<String>,
}

/// What can be read of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The process.
    pub pid: u32,
    /// The checks, in the order in which one depends on another.
    pub checks: Vec<Check>,
}

impl Report {
    /// The worst that was found.
    #[must_use]
    pub fn status(&self) -> Status {
        let has = |status| self.checks.iter().any(|check| check.status == status);
        if has(Status::Fail) {
            Status::Fail
        } else if has(Status::Warn) {
            Status::Warn
        } else {
            Status::Ok
        }
    }
}

/// Examines the process `pid`. Where it may be paused at all, it is, for a moment.
#[must_use]
pub fn examine(pid: u32) -> Report {
    let facts = Facts::collect(pid);
    Report { pid, checks: judge::judge(&facts) }
}
