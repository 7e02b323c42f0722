//! What the page's script gets to read: everything is said once and referred to by its number, so that
//! ten thousand tasks that look alike cost little more than their names.

use async_trace_core::recording::Timeline;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// The number of a sentence in [`Tables::said`].
pub(super) type SaidId = u32;
/// The place of a task among the snapshot's.
pub(super) type Task = u32;

/// All of it.
#[derive(Serialize)]
pub(super) struct Data {
    pub version: &'static str,
    pub header: Header,
    pub findings: Vec<Finding>,
    pub rings: Vec<Ring>,
    pub graph: Graph,
    pub loops: Vec<SaidId>,
    pub tasks: Tasks,
    pub groups: Groups,
    pub resources: Vec<Resource>,
    pub threads: Vec<Thread>,
    pub never_started: Vec<SaidId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Timeline>,
    pub tables: Tables,
}

/// What other parts refer to by number.
#[derive(Default, Serialize)]
pub(super) struct Tables {
    pub text: Vec<String>,
    pub pieces: Vec<Piece>,
    /// Sentences, as pieces.
    pub said: Vec<Vec<u32>>,
    pub frames: Vec<Frame>,
    /// Stacks, as frames, outermost first.
    pub chains: Vec<Vec<u32>>,
    /// What tasks may wait for, for the filter.
    pub kinds: Vec<String>,
}

/// What can be linked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Link {
    /// A task, by place.
    Task(u32),
    /// A thread, by place.
    Thread(u32),
    /// An entry of [`Data::resources`].
    Resource(u32),
}

/// `"t12"`, `"h0"`, `"r3"`: also the page's anchors.
impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Task(n) => serializer.collect_str(&format_args!("t{n}")),
            Self::Thread(n) => serializer.collect_str(&format_args!("h{n}")),
            Self::Resource(n) => serializer.collect_str(&format_args!("r{n}")),
        }
    }
}

/// `[role, text]`, `[role, text, link]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Piece {
    pub role: u8,
    pub text: u32,
    pub link: Option<Link>,
}

impl Serialize for Piece {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.link {
            Some(link) => (self.role, self.text, link).serialize(serializer),
            None => (self.role, self.text).serialize(serializer),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Frame {
    /// These four are texts.
    pub function: u32,
    pub file: u32,
    pub short: u32,
    pub package: u32,
    pub line: u32,
    /// 0 own, 1 library, 2 standard library; 3 asyncio's own, which words speak of already.
    pub origin: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locals: Vec<(u32, u32)>,
}

#[derive(Serialize)]
pub(super) struct Header {
    pub pid: u32,
    /// The process; how it was read; what else is to be said of all.
    pub lines: Vec<SaidId>,
    pub looks: SaidId,
    /// In seconds since 1970.
    pub time_s: f64,
    /// Whether all of it is of one moment.
    pub consistent: bool,
    /// What could not be read.
    pub problems: Vec<SaidId>,
    /// Whether asyncio is imported at all.
    pub asyncio: bool,
}

#[derive(Serialize)]
pub(super) struct Finding {
    pub check: String,
    pub severity: &'static str,
    pub certainty: &'static str,
    pub summary: String,
    pub evidence: Vec<Evidence>,
    pub consequences: Vec<SaidId>,
    pub behind: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caused_by: Option<u32>,
    pub advice: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Evidence {
    pub said: SaidId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<Link>,
}

#[derive(Serialize)]
pub(super) struct Ring {
    pub headline: SaidId,
    /// Their nodes in the graph, each waiting for the next.
    pub nodes: Vec<u32>,
}

/// The wait graph, as far as it is drawn.
#[derive(Default, Serialize)]
pub(super) struct Graph {
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
    /// What is not drawn, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Node {
    /// `task`, `resource`, `thread`.
    pub kind: &'static str,
    /// `task`, `3 tasks`, `Lock`, `thread`.
    pub what: String,
    pub name: String,
    /// Where it stands, or how; and the same where there is little room.
    pub place: String,
    pub brief: String,
    pub link: Link,
    /// Whether a finding speaks of it.
    pub found: bool,
}

#[derive(Serialize)]
pub(super) struct Edge {
    pub from: u32,
    pub to: u32,
    pub words: &'static str,
    /// The ring it is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ring: Option<u32>,
    /// Whether it is only a guess.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub guessed: bool,
}

/// Columns: one entry for each task of the snapshot.
#[derive(Default, Serialize)]
pub(super) struct Tasks {
    pub id: Vec<String>,
    pub name: Vec<String>,
    /// 0 running, 1 ready, 2 waiting, 3 done.
    pub state: Vec<u8>,
    pub chain: Vec<u32>,
    /// What it waits for: a sentence, or -1.
    pub wait: Vec<i64>,
    pub kind: Vec<u32>,
    #[serde(rename = "loop")]
    pub event_loop: Vec<u32>,
    /// What else there is to say, where there is something.
    pub facts: BTreeMap<Task, Vec<SaidId>>,
    /// The tasks it waits for.
    pub pending: BTreeMap<Task, Vec<Task>>,
    /// The stack that created it.
    pub created: BTreeMap<Task, u32>,
    /// The places of those that a finding speaks of, with the findings.
    pub findings: BTreeMap<Task, Vec<u32>>,
}

/// Columns: the tree of tasks that look alike, each group before those it waits for.
#[derive(Default, Serialize)]
pub(super) struct Groups {
    #[serde(rename = "loop")]
    pub event_loop: Vec<u32>,
    pub level: Vec<u32>,
    pub members: Vec<Vec<Task>>,
    /// Groups that only refer to tasks that stand elsewhere.
    pub elsewhere: Vec<u32>,
    /// Of groups of several: how they are called, and what each does.
    pub title: BTreeMap<u32, SaidId>,
    pub facts: BTreeMap<u32, Vec<SaidId>>,
    /// Whether the first of the facts is the wait.
    pub waits: Vec<u8>,
}

/// A lock, queue, pool, …; or many alike that only one task each has to do with.
#[derive(Serialize)]
pub(super) struct Resource {
    pub kind: String,
    pub said: SaidId,
    pub count: u32,
    pub waiters: Vec<Task>,
    pub threads: Vec<u32>,
}

#[derive(Serialize)]
pub(super) struct Thread {
    pub said: SaidId,
    pub chain: u32,
    pub facts: Vec<SaidId>,
    /// The loop that runs in it.
    #[serde(rename = "loop", skip_serializing_if = "Option::is_none")]
    pub event_loop: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// Whether it only waits for its next job.
    pub idle: bool,
}
