//! What has changed between two snapshots, in a form for people and for machines.
//!
//! Plain data, part of the published JSON contract like [`crate::snapshot`].

use super::{is_same_task, is_same_wait, own_frame, same_lines};
use crate::finding::TaskRef;
use crate::frame::Frame;
use crate::index::Index;
use crate::recording::sites::Site;
use crate::render::brief;
use crate::snapshot::{Id, SCHEMA, Snapshot, Task};
use crate::text::Text;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

/// What `async-trace diff --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Comparison {
    /// The number of this contract.
    pub schema: u32,
    /// What was.
    pub before: Side,
    /// What is.
    pub after: Side,
    /// The time between them, in seconds; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_s: Option<f64>,
    /// Whether both are of one process. If not, no task is the same in both, and only `sites` says something.
    pub same_process: bool,
    /// Tasks at the same wait in both, in groups that do the same.
    pub stuck: Vec<Group>,
    /// Tasks of both that have moved in between: each group from one place to one other.
    pub moved: Vec<Group>,
    /// Tasks that were not there before.
    pub new: Vec<Group>,
    /// Tasks that are no longer there.
    pub gone: Vec<Group>,
    /// How many tasks of each site there were and are, what has grown most first.
    pub sites: Vec<Growth>,
}

/// One of the two snapshots.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Side {
    /// The process id; 0 where it is not known.
    pub pid: u32,
    /// The command line.
    pub command: Vec<Text>,
    /// When, in seconds since 1970 UTC; 0 where it is not known.
    pub time_s: f64,
    /// How many tasks were not done.
    pub tasks: u32,
    /// Whether tasks may be missing, because they could not be read.
    pub has_gaps: bool,
}

/// Tasks that do the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Group {
    /// All of them.
    pub tasks: Vec<TaskRef>,
    /// What they did before; absent for new ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Doing>,
    /// What they do after; absent for those that are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Doing>,
}

/// What a task does, and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Doing {
    /// The innermost frame of the user's own code; where there is none, the innermost frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Frame>,
    /// `running`, `ready, …`, or what it waits for.
    pub text: Text,
}

/// The tasks of one site, before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Growth {
    /// The function that created them; where that is not known, their own coroutine function.
    pub function: Text,
    /// Its file.
    pub file: Text,
    /// The line that created them; 0 where that is not known.
    pub line: u32,
    /// How many there were.
    pub before: u32,
    /// How many there are.
    pub after: u32,
}

impl Comparison {
    /// Of two snapshots.
    #[must_use]
    pub fn of(before: &Snapshot, after: &Snapshot) -> Self {
        let same_process =
            before.process.pid == after.process.pid && before.process.command == after.process.command;
        let known = before.capture.time_s > 0.0 && after.capture.time_s > 0.0;
        let interval_s = known.then_some(after.capture.time_s - before.capture.time_s);
        let mut comparison = Self {
            schema: SCHEMA,
            before: Side::of(before),
            after: Side::of(after),
            interval_s,
            same_process,
            stuck: Vec::new(),
            moved: Vec::new(),
            new: Vec::new(),
            gone: Vec::new(),
            sites: growth(before, after),
        };
        if same_process {
            comparison.compare(before, after);
        }
        comparison
    }

    fn compare(&mut self, before: &Snapshot, after: &Snapshot) {
        let elapsed_s = self.interval_s.unwrap_or(0.0);
        let olds: FxHashMap<Id, &Task> = before.alive().map(|t| (t.id, t)).collect();
        let (then, now) = (Index::of(before), Index::of(after));
        let mut still = FxHashSet::default();
        let [mut stuck, mut moved, mut new, mut gone]: [Groups; 4] = Default::default();
        for task in after.alive() {
            let doing = Doing::of(&now, task);
            match olds.get(&task.id).filter(|old| is_same_task(old, task)) {
                Some(old) => {
                    still.insert(task.id);
                    let was = Doing::of(&then, old);
                    let same = is_same_wait(old, task, elapsed_s) && same_lines(&old.chain, &task.chain);
                    let groups = if same { &mut stuck } else { &mut moved };
                    groups.add(task, Some(was), Some(doing));
                }
                None => new.add(task, None, Some(doing)),
            }
        }
        for task in before.alive().filter(|t| !still.contains(&t.id)) {
            gone.add(task, Some(Doing::of(&then, task)), None);
        }
        (self.stuck, self.moved) = (stuck.finish(), moved.finish());
        (self.new, self.gone) = (new.finish(), gone.finish());
    }
}

impl Side {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            pid: snapshot.process.pid,
            command: snapshot.process.command.clone(),
            time_s: snapshot.capture.time_s,
            tasks: snapshot.alive().count() as u32,
            has_gaps: super::has_gaps(snapshot),
        }
    }
}

impl Doing {
    fn of(index: &Index<'_>, task: &Task) -> Self {
        Self { at: own_frame(&task.chain).cloned(), text: brief::task(index, task).into() }
    }
}

/// Groups in the order of their first members.
#[derive(Default)]
struct Groups {
    groups: Vec<Group>,
    places: FxHashMap<(Option<Doing>, Option<Doing>), usize>,
}

impl Groups {
    fn add(&mut self, task: &Task, before: Option<Doing>, after: Option<Doing>) {
        let groups = &mut self.groups;
        let place = *self.places.entry((before, after)).or_insert_with_key(|(before, after)| {
            groups.push(Group { tasks: Vec::new(), before: before.clone(), after: after.clone() });
            groups.len() - 1
        });
        groups[place].tasks.push(TaskRef::of(task));
    }

    fn finish(mut self) -> Vec<Group> {
        self.groups.sort_by_key(|group| std::cmp::Reverse(group.tasks.len()));
        self.groups
    }
}

fn growth(before: &Snapshot, after: &Snapshot) -> Vec<Growth> {
    let mut counts: FxHashMap<Site, (u32, u32)> = FxHashMap::default();
    for task in before.alive() {
        counts.entry(Site::of(task)).or_default().0 += 1;
    }
    for task in after.alive() {
        counts.entry(Site::of(task)).or_default().1 += 1;
    }
    let mut all: Vec<(Site, (u32, u32))> = counts.into_iter().collect();
    all.sort_by(|(a, x), (b, y)| {
        let grown = |(before, after): &(u32, u32)| i64::from(*after) - i64::from(*before);
        grown(y).cmp(&grown(x)).then(y.1.cmp(&x.1)).then_with(|| a.cmp(b))
    });
    let growth = |(site, (before, after)): (Site, (u32, u32))| {
        let Site { function, file, line } = site;
        Growth { function, file, line, before, after }
    };
    all.into_iter().map(growth).collect()
}
