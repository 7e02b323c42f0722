//! What is wrong, in plain words: each check looks at a few snapshots of one process and returns
//! [findings](Finding).
//!
//! One file, one check, one slug; [`CHECKS`] lists them, and help, docs and tests iterate it. The order
//! matters: a task that an earlier check has explained is not accused again by a later one, so that
//! one root cause is one finding.
//!
//! Nothing here reads a clock: time is what lies between snapshots. A check that needs it to pass says
//! nothing about a single snapshot, unless that is a core file, which nobody takes of a healthy process.

mod blocked_loop;
mod child_stuck;
mod deadlock;
mod executor_starved;
mod lost_timeout;
mod lost_wakeup;
mod motion;
mod never_awaited;
mod never_wakes;
mod pool_exhausted;
mod queue_stuck;
mod shutdown_hang;
mod slow_call;
mod stuck_task;
mod swallowed_cancel;
mod task_flood;
mod task_leak;
mod transactions;
mod unread;
mod words;

use crate::diff::{History, own_frame};
use crate::finding::{Certainty, Consequence, Evidence, Finding, Severity, TaskRef};
use crate::graph::Graph;
use crate::index::Index;
use crate::snapshot::{Consistency, EventLoop, Snapshot, Source, Task};
use crate::text::Text;
use rustc_hash::FxHashMap;
use std::cell::Cell;

/// A check.
pub struct Check {
    /// Its name everywhere: module, docs page, example, JSON value, `--only` value.
    pub slug: &'static str,
    /// What it finds, in one line.
    pub about: &'static str,
    run: fn(&Scene<'_>, &mut Findings),
}

/// All checks, root causes before what may follow from them.
pub const CHECKS: &[Check] = &[
    deadlock::CHECK,
    blocked_loop::CHECK,
    lost_wakeup::CHECK,
    swallowed_cancel::CHECK,
    lost_timeout::CHECK,
    executor_starved::CHECK,
    pool_exhausted::CHECK,
    queue_stuck::CHECK,
    child_stuck::CHECK,
    never_wakes::CHECK,
    shutdown_hang::CHECK,
    stuck_task::CHECK,
    task_leak::CHECK,
    slow_call::CHECK,
    task_flood::CHECK,
    never_awaited::CHECK,
];

/// When to look at a process, as shares of the time that there is: not at equal distances, so that what comes back
/// with a period of its own is not taken for something that never went away.
pub const LOOKS: [f64; 6] = [0.0, 0.13, 0.31, 0.54, 0.79, 1.0];

/// What a look is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Threads and loops.
    Glance,
    /// Tasks and what they wait for, too.
    Tasks,
    /// And the heap.
    Heap,
}

/// What each of the [`LOOKS`] is for, given the first snapshot.
///
/// What lies in the heap for no good reason lies there from the second look to the last; something else may lie at its
/// address meanwhile. Where there are too many tasks to read them in passing, half of the looks are glances: growth shows
/// in three snapshots, too, and it is threads that may be at one line twice by chance.
#[must_use]
pub fn look(number: usize, first: Option<&Snapshot>) -> Look {
    const MANY_TASKS: usize = 2000;
    let many = first.is_some_and(|s| s.tasks.len() > MANY_TASKS);
    match (number, many) {
        (0, _) => Look::Tasks,
        (3 | 5, true) | (_, false) => Look::Heap,
        (_, true) => Look::Glance,
    }
}

/// The few thresholds.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Something counts as not moving when it did not move for this many seconds between snapshots.
    pub still_s: f64,
    /// A wait whose timeout fires within this many seconds is left alone: it ends by itself.
    pub patience_s: f64,
    /// A loop counts as blocked when one turn of it lasts this many seconds.
    pub blocked_s: f64,
    /// A timer or timeout counts as lost when it is overdue by this many seconds.
    pub overdue_s: f64,
    /// So many tasks of one kind that compete for one thing are a flood.
    pub flood_tasks: usize,
    /// So many tasks of one kind that nothing will ever wake, or that only grow in number, are a leak.
    pub leak_tasks: usize,
}

impl Config {
    /// For how many seconds the other end of a connection may say nothing before that is called a hang: a slow answer takes some.
    fn silence_s(&self) -> f64 {
        self.patience_s / 3.0
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            still_s: 0.5,
            patience_s: 30.0,
            blocked_s: 1.0,
            overdue_s: 1.0,
            flood_tasks: 1000,
            leak_tasks: 10,
        }
    }
}

/// What was found in some snapshots.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// After so many seconds it could be told of something more: somebody waits for an answer which may still come.
    pub undecided_s: Option<f64>,
}

/// Finds what is wrong. `snapshots` are of one process, the oldest first; findings come the worst first.
#[must_use]
pub fn run(snapshots: &[&Snapshot], config: &Config) -> Vec<Finding> {
    judge(snapshots, config).findings
}

/// Finds what is wrong, as [`run`], and whether to look longer would tell more.
#[must_use]
pub fn judge(snapshots: &[&Snapshot], config: &Config) -> Verdict {
    let snapshots = up_to_a_whole_one(snapshots);
    let Some(&now) = snapshots.last() else { return Verdict::default() };
    let index = Index::of(now);
    let graph = Graph::of(&index, config.patience_s);
    let history = History::of(snapshots);
    let (served, undecided_s) = (motion::ends(&now.tasks), Cell::new(None));
    let scene = Scene { now, index, history, graph, config, served, undecided_s };
    let mut findings = Findings { explained: vec![false; now.tasks.len()], ..Findings::default() };
    for check in CHECKS {
        (check.run)(&scene, &mut findings);
    }
    Verdict { findings: findings.ranked(), undecided_s: scene.undecided_s.get() }
}

/// Leaves out the newest snapshots from which tasks are missing, where an older one is whole, and glances after the
/// last snapshot.
fn up_to_a_whole_one<'a, 's>(snapshots: &'s [&'a Snapshot]) -> &'s [&'a Snapshot] {
    let last = snapshots.iter().rposition(|s| !s.capture.glance).map_or(0, |at| at + 1);
    let whole = snapshots.iter().rposition(|s| !s.capture.glance && !crate::diff::has_gaps(s));
    match whole {
        Some(at) if at > 0 => &snapshots[..=at],
        _ => &snapshots[..last],
    }
}

/// What all checks look at.
struct Scene<'a> {
    now: &'a Snapshot,
    index: Index<'a>,
    history: History<'a>,
    graph: Graph,
    config: &'a Config,
    /// The tasks that serve connections, by the ends of these.
    served: motion::Ends<'a>,
    /// When more could be told.
    undecided_s: Cell<Option<f64>>,
}

impl<'a> Scene<'a> {
    /// Notes that something cannot be told yet of what was silent for so many seconds.
    fn leave_open(&self, silent_s: f64) {
        let left_s = (self.config.silence_s() - silent_s).max(0.0);
        self.undecided_s.set(Some(self.undecided_s.get().map_or(left_s, |known| known.max(left_s))));
    }

    fn task(&self, place: u32) -> &'a Task {
        &self.now.tasks[place as usize]
    }

    fn tasks(&self) -> impl Iterator<Item = (u32, &'a Task)> {
        (0..).zip(&self.now.tasks)
    }

    /// Whether enough time lies between the snapshots to say that something does not move.
    fn time_passed(&self) -> bool {
        self.history.interval_s >= 0.9 * self.config.still_s || self.now.capture.source == Source::Core
    }

    /// Whether a wait ends by itself, and soon: its timer or timeout, if there is one, fires in so many seconds.
    fn ends_soon(&self, left_s: Option<f64>) -> bool {
        left_s.is_some_and(|left| (0.0..=self.config.patience_s).contains(&left))
    }

    /// Whether a task is at the same wait in all snapshots.
    fn is_still(&self, task: u32) -> bool {
        self.history.is_unchanged(task)
    }

    /// For how many seconds the first timer of a loop has been due; 0 where an earlier look, which should have seen
    /// that, has not.
    fn overdue_s(&self, event_loop: &EventLoop) -> f64 {
        /// How far two looks at one timer may differ: a clock is read, and a moment later memory.
        const SLACK_S: f64 = 0.25;
        let overdue_s = |l: &EventLoop| l.next_timer_s.map_or(0.0, |left| -left);
        let now_s = overdue_s(event_loop);
        let agrees = |then: &&Snapshot| {
            let expected_s = now_s - (self.now.capture.time_s - then.capture.time_s);
            expected_s < SLACK_S
                || then
                    .loops
                    .iter()
                    .find(|l| l.id == event_loop.id)
                    .is_some_and(|l| (overdue_s(l) - expected_s).abs() < SLACK_S)
        };
        if self.history.looks().iter().all(agrees) { now_s } else { 0.0 }
    }

    /// Whether the newest snapshot is of one moment, or confirmed by an older one.
    fn is_trustworthy(&self) -> bool {
        self.history.interval_s > 0.0
            || matches!(self.now.capture.consistency, Consistency::Paused | Consistency::Still)
    }

    /// `for 2.0 s`, as far as that is known.
    fn for_interval(&self) -> String {
        if self.history.interval_s > 0.0 {
            format!(" for at least {}", words::seconds(self.history.interval_s))
        } else {
            String::new()
        }
    }

    /// Groups tasks by the line of the user's code they wait at and by what they wait for.
    fn consequences(&self, tasks: &[u32]) -> Vec<Consequence> {
        /// So many groups are shown, and so many tasks of each.
        const GROUPS: usize = 6;
        const TASKS: usize = 5;
        let mut groups: FxHashMap<_, Vec<u32>> = FxHashMap::default();
        for &place in tasks {
            let task = self.task(place);
            let line = own_frame(&task.chain).map(|f| (&*f.function, &*f.file, f.line));
            let thing = task.waits_for.as_ref().and_then(|w| crate::graph::acquired(&self.index, w));
            let thing = thing.map(|place| self.now.resources[place as usize].id);
            groups.entry((line, thing)).or_default().push(place);
        }
        let mut groups: Vec<Vec<u32>> = groups.into_values().collect();
        groups.sort_unstable_by_key(|group| (std::cmp::Reverse(group.len()), group[0]));
        let rest: usize = groups.iter().skip(GROUPS).map(Vec::len).sum();
        let mut out: Vec<Consequence> = groups
            .iter()
            .take(GROUPS)
            .map(|group| {
                let first = self.task(group[0]);
                let frame = own_frame(&first.chain);
                Consequence {
                    count: group.len() as u32,
                    tasks: group.iter().take(TASKS).map(|t| TaskRef::of(self.task(*t))).collect(),
                    function: frame.map(|f| f.function.clone()),
                    file: frame.map(|f| f.file.clone()),
                    line: frame.map(|f| f.line),
                    text: self.doing(first).into(),
                }
            })
            .collect();
        if rest > 0 {
            out.push(Consequence {
                count: rest as u32,
                tasks: Vec::new(),
                function: None,
                file: None,
                line: None,
                text: if rest == 1 { "waits elsewhere" } else { "wait elsewhere" }.into(),
            });
        }
        out
    }

    /// All tasks that wait for one of these, mediately or not, without those themselves.
    fn behind(&self, roots: &[u32]) -> Vec<u32> {
        let mut seen = vec![false; self.now.tasks.len()];
        for root in roots {
            seen[*root as usize] = true;
        }
        let mut wave = roots.to_vec();
        let mut found = Vec::new();
        while let Some(place) = wave.pop() {
            let task = self.task(place);
            let held = task.holds.iter().filter_map(|hold| self.index.get_resource(hold.resource));
            let waiting = held.flat_map(|resource| &resource.waiters);
            for id in task.awaited_by.iter().map(|a| &a.task).chain(waiting) {
                if let Some(next) = self.index.task(*id).filter(|next| !seen[*next as usize]) {
                    seen[next as usize] = true;
                    found.push(next);
                    wave.push(next);
                }
            }
        }
        found.sort_unstable();
        found
    }
}

/// A verdict in the making.
fn finding(check: &'static str, severity: Severity, summary: impl Into<Text>) -> Finding {
    Finding {
        check: check.into(),
        severity,
        certainty: Certainty::Proven,
        summary: summary.into(),
        evidence: Vec::new(),
        consequences: Vec::new(),
        count: None,
        doubt: None,
        caused_by: None,
        advice: Vec::new(),
    }
}

impl Finding {
    fn evidence(mut self, lines: impl IntoIterator<Item = Evidence>) -> Self {
        self.evidence.extend(lines);
        self
    }

    fn advice(mut self, advice: impl Into<Text>) -> Self {
        self.advice.push(advice.into());
        self
    }

    /// Only suspected, because of this.
    fn doubt(mut self, doubt: impl Into<Text>) -> Self {
        self.certainty = Certainty::Suspected;
        self.doubt.get_or_insert(doubt.into());
        self
    }
}

/// What was found so far, and whom it explains.
#[derive(Default)]
struct Findings {
    found: Vec<Finding>,
    /// For each task, whether a finding explains why it stands still.
    explained: Vec<bool>,
    /// Findings that explain why a thread stands still, by its place.
    threads: FxHashMap<u32, usize>,
    /// Findings of the same shape, to be counted rather than repeated.
    shapes: FxHashMap<String, usize>,
}

impl Findings {
    /// Adds a finding that explains these tasks.
    fn add(&mut self, finding: Finding, tasks: impl IntoIterator<Item = u32>) -> usize {
        self.explain(tasks);
        self.found.push(finding);
        self.found.len() - 1
    }

    /// Adds a finding, or counts it with an earlier one of the same shape.
    fn add_alike(&mut self, shape: String, new: Finding, tasks: impl IntoIterator<Item = u32>) -> usize {
        self.explain(tasks);
        if let Some(at) = self.shapes.get(&shape).copied()
            && let Some(known) = self.found.get_mut(at)
        {
            known.count = Some(known.count.unwrap_or(1) + 1);
            merge(&mut known.consequences, new.consequences);
            return at;
        }
        self.found.push(new);
        self.shapes.insert(shape, self.found.len() - 1);
        self.found.len() - 1
    }

    fn explain(&mut self, tasks: impl IntoIterator<Item = u32>) {
        for task in tasks {
            if let Some(explained) = self.explained.get_mut(task as usize) {
                *explained = true;
            }
        }
    }

    fn explains(&self, task: u32) -> bool {
        self.explained.get(task as usize).copied().unwrap_or(false)
    }

    /// The worst first; what follows from another finding right behind it.
    fn ranked(self) -> Vec<Finding> {
        let reach = |f: &Finding| f.consequences.iter().map(|c| u64::from(c.count)).sum::<u64>();
        let rank = |f: &Finding| std::cmp::Reverse((f.severity, f.certainty, reach(f)));
        let cause = |at: usize| self.found[at].caused_by.map_or(at, |cause| cause as usize);
        let mut order: Vec<usize> = (0..self.found.len()).collect();
        order.sort_by_key(|&at| (rank(&self.found[cause(at)]), cause(at), at != cause(at), at));
        let mut place = vec![0_u32; order.len()];
        for (new, &old) in order.iter().enumerate() {
            place[old] = new as u32;
        }
        let mut found: Vec<Option<Finding>> = self.found.into_iter().map(Some).collect();
        let mut out: Vec<Finding> = order.iter().filter_map(|old| found[*old].take()).collect();
        for finding in &mut out {
            finding.caused_by = finding.caused_by.map(|cause| place[cause as usize]);
        }
        out
    }
}

/// Keeps only the findings of some checks.
#[must_use]
pub fn only(findings: Vec<Finding>, slugs: &[impl AsRef<str>]) -> Vec<Finding> {
    let is_wanted = |f: &Finding| slugs.iter().any(|slug| *slug.as_ref() == *f.check);
    let mut place = Vec::with_capacity(findings.len());
    let mut next = 0;
    for finding in &findings {
        place.push(is_wanted(finding).then_some(next));
        next += u32::from(is_wanted(finding));
    }
    let mut kept: Vec<Finding> = findings.into_iter().filter(is_wanted).collect();
    for finding in &mut kept {
        finding.caused_by = finding.caused_by.and_then(|cause| place[cause as usize]);
    }
    kept
}

fn merge(into: &mut Vec<Consequence>, new: Vec<Consequence>) {
    for one in new {
        let same = |c: &&mut Consequence| {
            (&c.function, &c.file, c.line) == (&one.function, &one.file, one.line) && c.text == one.text
        };
        match into.iter_mut().find(same) {
            Some(known) => known.count += one.count,
            None => into.push(one),
        }
    }
}

#[cfg(test)]
mod tests;
