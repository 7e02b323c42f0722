//! What stayed the same over several snapshots of one process.
//!
//! An address can be used again for the next task or future, so a task is the same only if its name,
//! its coroutine and all it says about its wait are the same too; and a wait counts as one wait only
//! if every snapshot in between shows it.

mod compare;

pub use compare::{Comparison, Doing, Group, Growth, Side};

use crate::frame::{Frame, Origin};
use crate::snapshot::{
    Id, Job, Problem, ProblemCode, Snapshot, Target, Task, TaskState, Thread, Verb, WaitsFor,
};
use rustc_hash::{FxHashMap, FxHashSet};

/// How far two readings of the same timer may differ, in seconds: a loaded machine may do something else
/// between one clock and the other.
const TIMER_SLACK_S: f64 = 0.2;

/// The past of the newest of several snapshots.
#[derive(Debug)]
pub struct History<'a> {
    /// Seconds between the oldest snapshot and the newest; 0 when there is only one.
    pub interval_s: f64,
    /// For each task of the newest snapshot: since how many seconds its wait is the same.
    since: Vec<f64>,
    /// For each task of the newest snapshot: whether no snapshot shows it at another wait.
    unbroken: Vec<bool>,
    /// For each task of the newest snapshot, itself in the oldest one, where all in between have it.
    oldest: Vec<Option<&'a Task>>,
    snapshots: Vec<&'a Snapshot>,
    /// These and the glances between them.
    looks: Vec<&'a Snapshot>,
}

impl<'a> History<'a> {
    /// Compares snapshots of one process, the oldest first. Some of them may be glances, but not the newest.
    #[must_use]
    pub fn of(looks: &[&'a Snapshot]) -> Self {
        let snapshots: Vec<&Snapshot> = looks.iter().copied().filter(|s| !s.capture.glance).collect();
        let Some((&newest, earlier)) = snapshots.split_last() else {
            return Self {
                interval_s: 0.0,
                unbroken: Vec::new(),
                since: Vec::new(),
                oldest: Vec::new(),
                snapshots,
                looks: Vec::new(),
            };
        };
        let now = newest.capture.time_s;
        let mut since = vec![0.0; newest.tasks.len()];
        let mut oldest: Vec<Option<&Task>> = newest.tasks.iter().map(Some).collect();
        let mut same_wait = vec![true; newest.tasks.len()];
        // Tasks with equal stacks share one chain: each pair of chains is compared once.
        let mut chains = FxHashMap::default();
        for snapshot in earlier.iter().rev() {
            let tasks: FxHashMap<Id, &Task> = snapshot.tasks.iter().map(|t| (t.id, t)).collect();
            let gaps = Gaps::of(snapshot);
            let age_s = (now - snapshot.capture.time_s).max(0.0);
            for (i, task) in newest.tasks.iter().enumerate() {
                if oldest[i].is_none() {
                    continue;
                }
                let before = tasks.get(&task.id).copied().filter(|before| is_same_task(before, task));
                if gaps.may_hide(task.id, before.is_some()) {
                    continue;
                }
                oldest[i] = before;
                let elapsed_s = now - snapshot.capture.time_s;
                same_wait[i] = same_wait[i]
                    && before.is_some_and(|before| {
                        if polls(task) {
                            return is_same_poll(before, task, elapsed_s);
                        }
                        is_same_wait(before, task, elapsed_s)
                            && *chains
                                .entry((before.chain.as_ptr(), task.chain.as_ptr()))
                                .or_insert_with(|| same_lines(&before.chain, &task.chain))
                    });
                if same_wait[i] {
                    since[i] = age_s;
                }
            }
        }
        let interval_s = snapshots.first().map_or(0.0, |first| (now - first.capture.time_s).max(0.0));
        Self { interval_s, since, unbroken: same_wait, oldest, snapshots, looks: looks.to_vec() }
    }

    /// Since how many seconds, at least, a task of the newest snapshot is at the same wait.
    #[must_use]
    pub fn waits_since(&self, task: u32) -> f64 {
        self.since.get(task as usize).copied().unwrap_or(0.0)
    }

    /// Whether every snapshot that shows the task shows it at the same wait, and those lie at least
    /// three quarters of the whole time apart. With one snapshot always true.
    #[must_use]
    pub fn is_unchanged(&self, task: u32) -> bool {
        self.is_unbroken(task) && self.waits_since(task) >= 0.75 * self.interval_s
    }

    fn is_unbroken(&self, task: u32) -> bool {
        self.unbroken.get(task as usize).copied().unwrap_or(false)
    }

    /// The task as the oldest snapshot shows it, if it was there all the time.
    #[must_use]
    pub fn oldest(&self, task: u32) -> Option<&'a Task> {
        self.oldest.get(task as usize).copied().flatten()
    }

    /// All whole snapshots, the oldest first.
    #[must_use]
    pub fn snapshots(&self) -> &[&'a Snapshot] {
        &self.snapshots
    }

    /// All snapshots and the glances between them, which show threads and loops only, the oldest first.
    #[must_use]
    pub fn looks(&self) -> &[&'a Snapshot] {
        &self.looks
    }

    /// Whether the predicate holds for a thread in every look.
    pub fn thread_always(&self, tid: u32, mut is: impl FnMut(&Snapshot, &Thread) -> bool) -> bool {
        self.looks.iter().all(|s| s.threads.iter().find(|t| t.tid == tid).is_some_and(|t| is(s, t)))
    }

    /// Whether a thread stands at the same line of the same function, in every look.
    #[must_use]
    pub fn thread_stands_still(&self, thread: &Thread) -> bool {
        self.thread_always(thread.tid, |_, t| is_same_place(t, thread))
    }

    /// Whether a thread stood at the same line of the same function in the last look but one, too.
    #[must_use]
    pub fn thread_stood_still_last(&self, thread: &Thread) -> bool {
        let before = self.looks.iter().rev().nth(1);
        let then = before.and_then(|s| s.threads.iter().find(|t| t.tid == thread.tid));
        then.is_some_and(|then| is_same_place(then, thread))
    }
}

/// Whether tasks may be missing from a snapshot.
#[must_use]
pub fn has_gaps(snapshot: &Snapshot) -> bool {
    let is_gap = |p: &Problem| {
        matches!(p.code, ProblemCode::TaskListTorn | ProblemCode::TaskUnreadable | ProblemCode::Budget)
    };
    snapshot.problems.iter().any(is_gap)
}

/// What a snapshot could not read, and so says nothing about.
struct Gaps {
    tasks_missing: bool,
    torn: FxHashSet<Id>,
}

impl Gaps {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            tasks_missing: has_gaps(snapshot),
            torn: snapshot.problems.iter().filter_map(|p| p.task).collect(),
        }
    }

    /// Whether a task may have been there, or have been elsewhere than it says, without this snapshot
    /// knowing.
    fn may_hide(&self, task: Id, is_seen: bool) -> bool {
        self.torn.contains(&task) || self.tasks_missing && !is_seen
    }
}

fn is_same_place(a: &Thread, b: &Thread) -> bool {
    same_lines(&a.stack, &b.stack) && same_job(a.job.as_ref(), b.job.as_ref())
}

fn same_job(a: Option<&Job>, b: Option<&Job>) -> bool {
    a.map(|job| job.future) == b.map(|job| job.future)
}

/// Whether two stacks show the same functions at the same lines.
#[must_use]
pub fn same_lines(a: &[Frame], b: &[Frame]) -> bool {
    let same = |(a, b): (&Frame, &Frame)| a.line == b.line && a.function == b.function && a.file == b.file;
    std::ptr::eq(a, b) || a.len() == b.len() && a.iter().zip(b).all(same)
}

fn is_same_task(a: &Task, b: &Task) -> bool {
    let root = |t: &Task| t.chain.first().map(|f| (f.function.clone(), f.file.clone()));
    a.name == b.name && a.event_loop == b.event_loop && root(a) == root(b)
}

fn polls(task: &Task) -> bool {
    task.waits_for.as_ref().is_some_and(|waits| waits.verb == Verb::Poll)
}

/// Whether `a` asked for what `b` asks for, at the same line of the program: the library's function that does so moves on
/// and on, and may have been seen while it was running.
fn is_same_poll(a: &Task, b: &Task, elapsed_s: f64) -> bool {
    let part = |task: &Task| {
        let own = task.chain.iter().rposition(|frame| frame.origin == Origin::Own);
        own.map_or(0, |own| own + 1)
    };
    let is_awake = matches!(a.state, TaskState::Running | TaskState::Ready);
    (is_awake || is_same_wait(a, b, elapsed_s)) && same_lines(&a.chain[..part(a)], &b.chain[..part(b)])
}

fn is_same_wait(a: &Task, b: &Task, elapsed_s: f64) -> bool {
    a.state == b.state
        && a.state == TaskState::Waiting
        && match (&a.waits_for, &b.waits_for) {
            (Some(a), Some(b)) => is_same_target(a, b, elapsed_s),
            (None, None) => true,
            _ => false,
        }
}

fn is_same_target(a: &WaitsFor, b: &WaitsFor, elapsed_s: f64) -> bool {
    let same_end = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => (a - b - elapsed_s).abs() <= TIMER_SLACK_S + elapsed_s * 0.01,
        (a, b) => a.is_none() == b.is_none(),
    };
    if is_future_of(a, b) || is_future_of(b, a) {
        return a.verb == b.verb && same_end(a.timeout_s, b.timeout_s);
    }
    let same_future = a.future.is_none() || b.future.is_none() || a.future == b.future;
    same_future
        && a.verb == b.verb
        && a.within == b.within
        && same_end(a.timeout_s, b.timeout_s)
        && match (&a.target, &b.target) {
            (Target::Tasks { pending: a, done: x, .. }, Target::Tasks { pending: b, done: y, .. }) => {
                a == b && x == y
            }
            (Target::Resource { id: a }, Target::Resource { id: b }) => a == b,
            (Target::Timer { left_s: a }, Target::Timer { left_s: b }) => same_end(*a, *b),
            (Target::File { file: a }, Target::File { file: b }) => {
                (a.fd, a.kind, &a.local, &a.peer) == (b.fd, b.kind, &b.local, &b.peer)
            }
            (Target::Job { future: a, thread: x, .. }, Target::Job { future: b, thread: y, .. }) => {
                a == b && x == y
            }
            (Target::Process { pid: a, .. }, Target::Process { pid: b, .. }) => a == b,
            (Target::Future { id: a, .. }, Target::Future { id: b, .. }) => a == b,
            (Target::Unknown { type_name: a }, Target::Unknown { type_name: b }) => a == b,
            _ => false,
        }
}

/// Whether `a` names the resource whose future `b` names: a look that has not walked the heap does not know that
/// nobody but waiting tasks can reach the future itself.
fn is_future_of(a: &WaitsFor, b: &WaitsFor) -> bool {
    match (&a.target, &b.target) {
        (Target::Resource { id }, Target::Future { id: future, reach: Some(_), .. }) => {
            b.within == Some(*id) && a.future == Some(*future)
        }
        _ => false,
    }
}

/// The innermost frame of the user's own code; where there is none, the innermost frame.
#[must_use]
pub fn own_frame(chain: &[Frame]) -> Option<&Frame> {
    chain.iter().rev().find(|f| f.origin == Origin::Own).or_else(|| chain.last())
}

#[cfg(test)]
mod tests {
    use super::History;
    use crate::fixture::snapshot;
    use crate::snapshot::{Extent, Id, Reach, Target};

    #[test]
    fn what_a_look_could_not_read_changes_nothing() {
        let [then, now] = [0, 2].map(|at| snapshot(&format!("process 1 at {at}\n{THEN}")));
        let gap = "process 1 at 1\nproblem task_unreadable 1 \"a task could not be read\"\n";
        let unread = snapshot(&format!("{gap}{}", THEN.replace("task waiter", "task stranger")));
        let history = History::of(&[&then, &unread, &now]);
        assert!(history.is_unchanged(2));
        let gone = snapshot(&format!("process 1 at 1\n{}", THEN.replace("task waiter", "task stranger")));
        assert!(!History::of(&[&then, &gone, &now]).is_unchanged(2));
        assert!(!History::of(&[&unread, &unread, &now]).is_unchanged(2), "never seen before");
    }

    const THEN: &str = "
lock a
task sleeper
  main app.py:1
  waits sleep timer 10
task other-sleep
  main app.py:1
  waits sleep timer 3
task waiter
  main app.py:3
  waits acquire a
task moved
  main app.py:5
  waits acquire a
";

    #[test]
    fn a_timer_is_the_same_only_if_it_ends_at_the_same_time() {
        let then = snapshot(THEN);
        let now = THEN.replace("timer 10", "timer 8").replace("app.py:5", "app.py:6");
        let now = snapshot(&format!("process 1 at 2\n{now}"));
        let history = History::of(&[&then, &now]);
        assert_eq!(history.interval_s, 2.0);
        let unchanged: Vec<bool> = (0..4).map(|task| history.is_unchanged(task)).collect();
        assert_eq!(unchanged, [true, false, true, false]);
        assert_eq!(history.waits_since(2), 2.0);
    }

    #[test]
    fn a_future_is_the_same_whether_the_heap_was_walked_or_not() {
        let mut then = snapshot("process 1 at 0\nlock a\ntask waiter\n  main app.py:1\n  waits acquire a\n");
        let mut now = snapshot("process 1 at 2\nlock a\ntask waiter\n  main app.py:1\n  waits acquire a\n");
        let (lock, future) = (now.resources[0].id, Id(0x4000));
        then.tasks[0].waits_for.as_mut().expect("a wait").future = Some(future);
        let wait = now.tasks[0].waits_for.as_mut().expect("a wait");
        let reach = Reach::nobody(Extent::Whole);
        wait.target =
            Target::Future { id: future, type_name: "asyncio.Future".into(), reach: Some(Box::new(reach)) };
        (wait.future, wait.within) = (Some(future), Some(lock));
        assert!(History::of(&[&then, &now]).is_unchanged(0));
        assert!(History::of(&[&now, &then]).is_unchanged(0));
        then.tasks[0].waits_for.as_mut().expect("a wait").future = Some(Id(0x5000));
        assert!(!History::of(&[&then, &now]).is_unchanged(0));
    }

    #[test]
    fn a_glance_says_something_of_threads_and_nothing_of_tasks() {
        let [then, between, now] = [0, 1, 2]
            .map(|at| snapshot(&format!("process 1 at {at}\nthread 7 MainThread\n  f app.py:3\n{THEN}")));
        let mut glance = between;
        glance.capture.glance = true;
        glance.tasks.clear();
        let history = History::of(&[&then, &glance, &now]);
        assert!(history.is_unchanged(2));
        assert_eq!((history.snapshots().len(), history.looks().len()), (2, 3));
        assert!(history.thread_stands_still(&now.threads[0]));
        glance.threads[0].stack = Vec::new().into();
        assert!(!History::of(&[&then, &glance, &now]).thread_stands_still(&now.threads[0]));
    }

    #[test]
    fn one_snapshot_has_no_past() {
        let only = snapshot(THEN);
        let history = History::of(&[&only]);
        assert_eq!(history.interval_s, 0.0);
        assert!(history.is_unchanged(3));
    }
}
