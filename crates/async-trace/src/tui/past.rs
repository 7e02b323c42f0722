//! The looks of one process that lie behind: what they add to the newest one. Since when a task waits, how
//! busy a loop is, what is wrong.

use super::looks::Taken;
use super::screen::FindingKey;
use async_trace_core::Snapshot;
use async_trace_core::checks::{self, Config};
use async_trace_core::diff::{History, has_gaps};
use async_trace_core::finding::Finding;
use async_trace_core::index::Index;
use async_trace_core::snapshot::{EventLoop, Id, LoopState};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many looks are kept for the checks.
const KEPT: usize = 6;
/// How long the checks rest, in times of how long they took. Tests do not wait.
const REST: f64 = if cfg!(test) { 0.0 } else { 50.0 };
/// How far two ways of counting the same seconds may differ.
const SLACK_S: f64 = 0.1;
/// How many readings of a loop are kept for its meters.
const READINGS: usize = 60;

/// One look at a process, with what is known from those before it.
pub(crate) struct Look {
    /// What was seen.
    pub snapshot: Arc<Snapshot>,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// For each task of the snapshot: since how many seconds, at least, it is at the same wait.
    pub ages: Vec<f32>,
    /// For each loop of the snapshot.
    pub meters: Vec<Meter>,
    /// The number of the look, from 1.
    pub number: u64,
    /// How many looks the findings rest on, and how many seconds lie between the first and the last.
    pub rests_on: (usize, f64),
}

/// How a loop has done lately.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Meter {
    /// How late it is now, in seconds: the age of the turn it is in, or of the timer that is due.
    pub late_s: f64,
    /// The worst of that lately.
    pub worst_s: f64,
    /// In how many looks of a hundred it was busy.
    pub busy_percent: u8,
    /// How much of one CPU its thread used between the last two looks, in percent.
    pub cpu_percent: Option<u8>,
    /// The same for earlier looks, the oldest first.
    pub cpu_before: Vec<u8>,
}

/// The past of one process.
pub(crate) struct Past {
    /// Looks closer than this, in seconds, are one to the checks.
    spacing_s: f64,
    kept: VecDeque<Arc<Snapshot>>,
    /// When the wait of a task has begun that was at it in all looks that are kept.
    since: FxHashMap<Id, f64>,
    readings: FxHashMap<Id, VecDeque<Reading>>,
    /// When the checks may run again, in seconds of the snapshots' clock.
    next_check_s: f64,
    /// What was found when the checks ran last, and when that was.
    standing: (f64, Vec<Finding>),
    /// CPU time of threads at the last look, in microseconds.
    cpu_us: FxHashMap<u32, u64>,
    last_s: f64,
    number: u64,
}

/// What one look says of a loop.
struct Reading {
    late_s: f64,
    busy: bool,
    cpu_percent: Option<u8>,
}

impl Past {
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            spacing_s: interval.as_secs_f64().clamp(0.0, 1.0) * 0.9,
            kept: VecDeque::new(),
            since: FxHashMap::default(),
            readings: FxHashMap::default(),
            next_check_s: 0.0,
            standing: (0.0, Vec::new()),
            cpu_us: FxHashMap::default(),
            last_s: 0.0,
            number: 0,
        }
    }

    /// Adds what was seen just now.
    pub(crate) fn add(&mut self, taken: Taken) -> Look {
        let snapshot = Arc::new(taken.snapshot);
        self.keep(snapshot.clone());
        self.number += 1;
        let all: Vec<&Snapshot> = self.kept.iter().map(|s| &**s).collect();
        // The look before tells all that is needed, unless something is missing in one of the two.
        let two = all.len().saturating_sub(2);
        let from = if all[two..].iter().any(|s| has_gaps(s)) { 0 } else { two };
        let ages = ages(&snapshot, &History::of(&all[from..]), &mut self.since);
        let now_s = snapshot.capture.time_s;
        let is_due = now_s >= self.next_check_s;
        let mut findings = Vec::new();
        if is_due {
            let begin = Instant::now();
            findings = checks::run(&all, &Config::default());
            self.next_check_s = now_s + begin.elapsed().as_secs_f64() * REST;
        }
        // What was found among very many tasks stands until there was time to look for it again.
        if !(is_due && taken.whole) {
            stand(&mut findings, &self.standing, &snapshot, &ages);
        }
        if is_due {
            self.standing = (now_s, findings.clone());
        }
        let interval_s = all.first().map_or(0.0, |first| (now_s - first.capture.time_s).max(0.0));
        let meters = self.meters(&snapshot);
        let number = self.number;
        Look { snapshot, findings, ages, meters, number, rests_on: (self.kept.len(), interval_s) }
    }

    /// Keeps looks that lie far enough apart, and always the newest.
    fn keep(&mut self, snapshot: Arc<Snapshot>) {
        if let [.., before, newest] = self.kept.make_contiguous()
            && newest.capture.time_s - before.capture.time_s < self.spacing_s.max(0.2)
        {
            self.kept.pop_back();
        }
        self.kept.push_back(snapshot);
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }

    fn meters(&mut self, snapshot: &Snapshot) -> Vec<Meter> {
        let index = Index::of(snapshot);
        let elapsed_s = snapshot.capture.time_s - self.last_s;
        self.last_s = snapshot.capture.time_s;
        let mut readings = FxHashMap::default();
        let meters = snapshot.loops.iter().map(|event_loop| {
            let mut past = self.readings.remove(&event_loop.id).unwrap_or_default();
            let thread = event_loop.thread.and_then(|tid| index.get_thread(tid));
            let used_us = thread.and_then(|t| t.cpu_us?.checked_sub(*self.cpu_us.get(&t.tid)?));
            let share = used_us.filter(|_| elapsed_s > 0.01).map(|us| us as f64 / 1e6 / elapsed_s);
            let mut late_s = late(event_loop);
            if past.back().is_some_and(|before| !before.busy && before.late_s == 0.0) {
                // It was at rest at the last look: whatever is late now has become so since.
                late_s = late_s.min(elapsed_s.max(0.0));
            }
            past.push_back(Reading {
                late_s,
                busy: event_loop.state == LoopState::Busy,
                cpu_percent: share.map(|share| (share * 100.0).round().clamp(0.0, 100.0) as u8),
            });
            if past.len() > READINGS {
                past.pop_front();
            }
            let meter = Meter::of(&past);
            readings.insert(event_loop.id, past);
            meter
        });
        let meters = meters.collect();
        self.readings = readings;
        self.cpu_us = snapshot.threads.iter().filter_map(|t| Some((t.tid, t.cpu_us?))).collect();
        meters
    }
}

impl Meter {
    fn of(readings: &VecDeque<Reading>) -> Self {
        let busy = readings.iter().filter(|r| r.busy).count();
        Self {
            late_s: readings.back().map_or(0.0, |r| r.late_s),
            worst_s: readings.iter().map(|r| r.late_s).fold(0.0, f64::max),
            busy_percent: (busy * 100 / readings.len().max(1)) as u8,
            cpu_percent: readings.back().and_then(|r| r.cpu_percent),
            cpu_before: readings.iter().filter_map(|r| r.cpu_percent).collect(),
        }
    }
}

/// Adds what the last whole look has found and this one could not see: as far as the tasks that it speaks of
/// have not moved since.
fn stand(findings: &mut Vec<Finding>, standing: &(f64, Vec<Finding>), snapshot: &Snapshot, ages: &[f32]) {
    let (then_s, before) = standing;
    if before.is_empty() {
        return;
    }
    let index = Index::of(snapshot);
    let elapsed_s = snapshot.capture.time_s - then_s;
    let stands = |id: Id| {
        let age_s = index.task(id).and_then(|place| ages.get(place as usize));
        age_s.is_some_and(|age_s| f64::from(*age_s) >= elapsed_s - SLACK_S)
    };
    let known: Vec<FindingKey> = findings.iter().map(FindingKey::of).collect();
    for finding in before.iter().filter(|f| !known.contains(&FindingKey::of(f))) {
        if finding.evidence.iter().filter_map(|e| e.task.as_ref()).all(|task| stands(task.id)) {
            // Its place in the list was another one.
            findings.push(Finding { caused_by: None, ..finding.clone() });
        }
    }
}

/// How late a loop is: what is due now has waited so long.
fn late(event_loop: &EventLoop) -> f64 {
    let overdue_s = event_loop.next_timer_s.map_or(0.0, |s| -s);
    overdue_s.max(event_loop.turn_s.unwrap_or(0.0)).max(0.0)
}

/// Since when each task waits. What is unchanged in all looks that are kept has begun before them, and may be
/// known from the time when those before were still there.
fn ages(snapshot: &Snapshot, history: &History<'_>, since: &mut FxHashMap<Id, f64>) -> Vec<f32> {
    let now_s = snapshot.capture.time_s;
    let mut next = FxHashMap::with_capacity_and_hasher(snapshot.tasks.len(), Default::default());
    let ages = snapshot.tasks.iter().zip(0..).map(|(task, place)| {
        let seen_s = history.waits_since(place);
        let mut begin_s = now_s - seen_s;
        if seen_s > 0.0 && history.is_unchanged(place) {
            begin_s = since.get(&task.id).copied().unwrap_or(begin_s).min(begin_s);
        }
        next.insert(task.id, begin_s);
        (now_s - begin_s) as f32
    });
    let ages = ages.collect();
    *since = next;
    ages
}

#[cfg(test)]
mod tests {
    use super::{Past, Taken};
    use async_trace_core::fixture::snapshot;
    use std::time::Duration;

    fn at(seconds: f64, rest: &str) -> Taken {
        Taken { snapshot: snapshot(&format!("process 7 at {seconds}\n{rest}")), whole: true }
    }

    #[test]
    fn what_a_whole_look_has_found_stands_until_something_moves() {
        let mut past = Past::new(Duration::from_secs(1));
        let seen = "event e unset reached as e\ntask x x20\n  f app.py:1\n  waits wait e\n";
        let unseen = seen.replace(" reached", "");
        let partly = |seconds: f64, rest: &str| Taken { whole: false, ..at(seconds, rest) };
        past.add(at(0.0, seen));
        let found = past.add(at(1.0, seen)).findings.len();
        assert!(found > 0, "nobody can set it");
        assert_eq!(past.add(partly(2.0, &unseen)).findings.len(), found);
        assert_eq!(past.add(partly(3.0, &unseen.replace("app.py:1", "app.py:2"))).findings.len(), 0);
        assert_eq!(past.add(partly(4.0, &unseen)).findings.len(), 0, "it had moved");
    }

    #[test]
    fn a_wait_is_older_than_the_looks_that_are_kept() {
        let mut past = Past::new(Duration::from_secs(1));
        let waits = "lock a\ntask x\n  f app.py:1\n  waits acquire a\n";
        for second in 0..30 {
            let look = past.add(at(f64::from(second), waits));
            assert_eq!(look.ages, [second as f32]);
        }
        let look = past.add(at(30.0, &waits.replace("app.py:1", "app.py:2")));
        assert_eq!((look.ages[0], look.rests_on.0, look.number), (0.0, 6, 31));
    }

    #[test]
    fn looks_in_quick_succession_do_not_push_out_the_old_ones() {
        let mut past = Past::new(Duration::from_millis(100));
        for tenth in 0..100 {
            past.add(at(f64::from(tenth) / 10.0, ""));
        }
        let look = past.add(at(10.0, ""));
        assert!(look.rests_on.1 >= 0.8, "{:?}", look.rests_on);
    }

    #[test]
    fn meters_of_a_loop() {
        let mut past = Past::new(Duration::from_secs(1));
        let loop_ =
            |state: &str, cpu: &str| format!("loop main {state}\nthread 7 MainThread loop main cpu {cpu}\n");
        past.add(at(0.0, &loop_("idle next 3", "1.0")));
        past.add(at(1.0, &loop_("busy turn 0.5", "1.25")));
        let look = past.add(at(2.0, &loop_("idle next -0.125", "2.25")));
        let meter = &look.meters[0];
        assert_eq!((meter.late_s, meter.worst_s, meter.busy_percent), (0.125, 0.5, 33));
        assert_eq!((meter.cpu_percent, &meter.cpu_before[..]), (Some(100), &[25, 100][..]));
    }
}
