//! Looks at processes several times, so that what stands still can be told from what moves.

use crate::args::{CheckOptions, Thresholds};
use async_trace_core::Snapshot;
use async_trace_core::checks::{self, Config, LOOKS, Look};
use async_trace_core::finding::Report;
use async_trace_remote::{Heap, Options, Watcher};
use std::thread;
use std::time::{Duration, Instant};

/// A process and what was seen of it.
pub(super) struct Process {
    pub pid: u32,
    pub snapshots: Vec<Snapshot>,
    pub failed: Option<async_trace_remote::Error>,
}

impl Process {
    pub(super) fn new(pid: u32) -> Self {
        Self { pid, snapshots: Vec::new(), failed: None }
    }

    pub(super) fn runs_asyncio(&self) -> bool {
        self.snapshots
            .last()
            .is_some_and(|s| s.process.asyncio && !(s.loops.is_empty() && s.tasks.is_empty()))
    }
}

fn config(limits: &Thresholds) -> Config {
    Config {
        blocked_s: limits.blocked.as_secs_f64(),
        patience_s: limits.patience.as_secs_f64(),
        flood_tasks: limits.flood,
        leak_tasks: limits.leak,
        ..Config::default()
    }
}

/// What is wrong in snapshots of one process, the oldest first. `only` names the checks; none means all.
pub(super) fn report(snapshots: &[Snapshot], limits: &Thresholds, only: &[String]) -> Report {
    let config = config(limits);
    let snapshots: Vec<&Snapshot> = snapshots.iter().collect();
    let mut findings = checks::run(&snapshots, &config);
    if !only.is_empty() {
        findings = checks::only(findings, only);
    }
    Report::new(&snapshots, findings)
}

/// What the looks are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// To say what is wrong.
    Judge,
    /// To show them too, perhaps with local variables.
    Show { locals: bool },
}

/// Looks at all processes again and again until the time is over. One that ends meanwhile is healthy as
/// far as it was seen, unless it was never seen at all.
pub(super) fn look_at(processes: &mut [Process], how: &CheckOptions, to: To) {
    let mut begin = Instant::now();
    let mut watchers: Vec<Watcher> =
        processes.iter().map(|process| Watcher::new(process.pid, Options::default())).collect();
    // One look has to see everything.
    let first = if how.duration < Duration::from_millis(50) { LOOKS.len() - 1 } else { 0 };
    for (number, share) in LOOKS.iter().enumerate().skip(first) {
        let due = how.duration.mul_f64(*share);
        thread::sleep(due.saturating_sub(begin.elapsed()));
        let last = number + 1 == LOOKS.len();
        let options = Options {
            pause: !how.no_pause,
            pause_budget: how.pause_budget,
            // Once is enough for what costs most and does not change: the newest snapshot is the one shown.
            source: last,
            traffic: true,
            locals: last && to == To::Show { locals: true },
            ..Options::default()
        };
        let watched = processes.iter_mut().zip(&mut watchers);
        for (process, watcher) in watched.filter(|(process, _)| process.failed.is_none()) {
            let look = checks::look(number, process.snapshots.first());
            watcher.options = Options {
                glance: look == Look::Glance && to == To::Judge,
                heap: if look == Look::Heap { Heap::Again } else { Heap::Skip },
                ..options.clone()
            };
            let seen = if last { watcher.last_look() } else { watcher.look() };
            match seen {
                Ok(snapshot) => process.snapshots.push(snapshot),
                Err(error) => {
                    process.failed = Some(error);
                    // The newest one is shown.
                    let whole = process.snapshots.iter().rposition(|s| !s.capture.glance);
                    process.snapshots.truncate(whole.map_or(0, |at| at + 1));
                }
            }
        }
        // The time is between the looks: the first may have taken a while itself, and a later one that was held up must
        // not be followed at once by all that were due meanwhile.
        let late = begin.elapsed().saturating_sub(due);
        let gap = LOOKS.get(number + 1).map_or(0.0, |next| next - share);
        if number == first || late > how.duration.mul_f64(gap / 2.0) {
            begin += late;
        }
    }
}

/// For how long a process has to be looked at once more, so that a slow answer can be told from none.
pub(super) fn longer(process: &Process, how: &CheckOptions, limits: &Thresholds) -> Option<Duration> {
    /// What was due by then has happened by then.
    const SLACK: Duration = Duration::from_millis(300);
    if how.duration.is_zero() || process.failed.is_some() {
        return None;
    }
    let snapshots: Vec<&Snapshot> = process.snapshots.iter().collect();
    let left_s = checks::judge(&snapshots, &config(limits)).undecided_s?;
    Duration::try_from_secs_f64(left_s).ok().map(|left| left + SLACK)
}

/// Looks at a process some more times, the last one after this `time`.
pub(super) fn look_on(process: &mut Process, how: &CheckOptions, time: Duration) {
    const LOOKS: u32 = 3;
    let begin = Instant::now();
    let mut watcher = Watcher::new(process.pid, Options::default());
    for number in 1..=LOOKS {
        thread::sleep((time * number / LOOKS).saturating_sub(begin.elapsed()));
        watcher.options = Options {
            pause: !how.no_pause,
            pause_budget: how.pause_budget,
            source: number == LOOKS,
            traffic: true,
            heap: Heap::Again,
            ..Options::default()
        };
        match if number == LOOKS { watcher.last_look() } else { watcher.look() } {
            Ok(snapshot) => process.snapshots.push(snapshot),
            Err(error) => {
                process.failed = Some(error);
                return;
            }
        }
    }
}
