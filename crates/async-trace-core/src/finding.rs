//! What a check says: a verdict, how certain it is, on what evidence, and what to try.
//!
//! Plain data, part of the published JSON contract like [`crate::snapshot`].

use crate::frame::Frame;
use crate::snapshot::{Id, Problem, SCHEMA, Task};
use crate::text::Text;
use serde::{Deserialize, Serialize};

/// What `async-trace check --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Report {
    /// The number of this contract.
    pub schema: u32,
    /// The process id; 0 where it is not known.
    pub pid: u32,
    /// How many snapshots were compared.
    pub snapshots: u32,
    /// The time between the first and the last of them, in seconds.
    pub interval_s: f64,
    /// What is wrong, the worst first. Empty: nothing was found.
    pub findings: Vec<Finding>,
    /// What could not be read of the newest snapshot, and so was not looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

impl Report {
    /// A report on some snapshots of one process.
    #[must_use]
    pub fn new(snapshots: &[&crate::Snapshot], findings: Vec<Finding>) -> Self {
        let time = |s: Option<&&crate::Snapshot>| s.map_or(0.0, |s| s.capture.time_s);
        Self {
            schema: SCHEMA,
            pid: snapshots.last().map_or(0, |s| s.process.pid),
            snapshots: snapshots.len() as u32,
            interval_s: (time(snapshots.last()) - time(snapshots.first())).max(0.0),
            findings,
            problems: snapshots.last().map_or_else(Vec::new, |s| s.problems.clone()),
        }
    }
}

/// One root cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// The check that found it: the name of its docs page and of its example too.
    pub check: Text,
    /// How bad it is.
    pub severity: Severity,
    /// Whether it is known or only likely.
    pub certainty: Certainty,
    /// The verdict, in one sentence.
    pub summary: Text,
    /// What it rests on: who, where, what.
    pub evidence: Vec<Evidence>,
    /// What else stands still because of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consequences: Vec<Consequence>,
    /// How many times the same was found; the evidence is of the first. Absent for once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Why it is only suspected, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Text>,
    /// The finding that this one follows from: its place in the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caused_by: Option<u32>,
    /// What to try.
    #[serde(rename = "try")]
    pub advice: Vec<Text>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Work is slow, leaks, or will stand still.
    Warning,
    /// Work stands still and will not go on by itself.
    Error,
}

/// How certain a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// Likely; [`Finding::doubt`] says what is not known.
    Suspected,
    /// It follows from what was read.
    Proven,
}

/// What an evidence line shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Where a task or thread waits.
    Waits,
    /// Where a task or thread holds what is waited for.
    Holds,
    /// Where a thread is blocked.
    Blocked,
    /// The `async def` that made the blocking call.
    Caller,
    /// Where a worker thread works.
    Works,
    /// Where a task or coroutine was created.
    Created,
    /// Where it was defined.
    Defined,
    /// The thing itself: a pool, a queue, an executor.
    Resource,
    /// The event loop.
    Loop,
    /// A callback that was scheduled.
    Callback,
    /// A child process.
    Child,
    /// Where something failed.
    Failed,
    /// What would have completed what is awaited.
    Completes,
    /// A connection.
    Connection,
    /// A timeout.
    Timeout,
}

/// One line of evidence; each field where it applies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Evidence {
    /// What the line shows.
    pub role: Role,
    /// The task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskRef>,
    /// The thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<ThreadRef>,
    /// The function, of the user's own code where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<Text>,
    /// Its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Text>,
    /// Its line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The source line, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Text>,
    /// The lock, queue, pool, … it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceRef>,
    /// How many tasks or threads the line stands for; absent for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// For how many seconds at least, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_s: Option<f64>,
    /// What is so, in words.
    pub text: Text,
}

impl Evidence {
    /// A line with nothing but words.
    #[must_use]
    pub fn new(role: Role, text: impl Into<Text>) -> Self {
        Self {
            role,
            task: None,
            thread: None,
            function: None,
            file: None,
            line: None,
            source: None,
            resource: None,
            count: None,
            age_s: None,
            text: text.into(),
        }
    }

    /// At this frame.
    #[must_use]
    pub fn at(mut self, frame: Option<&Frame>) -> Self {
        if let Some(frame) = frame {
            self.function = Some(frame.function.clone());
            self.file = (!frame.file.is_empty()).then(|| frame.file.clone());
            self.line = (frame.line != 0).then_some(frame.line);
            self.source = frame.source.clone();
        }
        self
    }
}

/// A task that a finding speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TaskRef {
    /// Its identity in the snapshot.
    pub id: Id,
    /// Its name.
    pub name: Text,
    /// Its own coroutine: the outermost function of its chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coroutine: Option<Text>,
}

impl TaskRef {
    /// Names a task.
    #[must_use]
    pub fn of(task: &Task) -> Self {
        Self {
            id: task.id,
            name: task.name.clone(),
            coroutine: task.chain.first().map(|f| f.function.clone()),
        }
    }
}

/// A thread that a finding speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ThreadRef {
    /// The kernel's id.
    pub tid: u32,
    /// Its name.
    pub name: Text,
}

/// A resource that a finding speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResourceRef {
    /// Its identity in the snapshot.
    pub id: Id,
    /// Its name and kind in words: ``Lock `self._lock` ``.
    pub text: Text,
}

/// Tasks that stand still at the same line because of a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Consequence {
    /// How many.
    pub count: u32,
    /// The first of them.
    pub tasks: Vec<TaskRef>,
    /// The function they wait in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<Text>,
    /// Its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Text>,
    /// Its line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What they do, in words.
    pub text: Text,
}
