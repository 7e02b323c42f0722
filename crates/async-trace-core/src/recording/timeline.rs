//! What of a recording can be drawn over time: how many tasks, where they come from, how busy the loops.

use super::sites::{Site, Sites};
use crate::snapshot::{EventLoop, Id, LoopState, Snapshot};
use crate::text::Text;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// The most sites that a timeline tells apart; the rest is one.
const MAX_SITES: usize = 50;
/// How far the clocks of a target and of its reader may differ, in seconds.
const SLACK_S: f64 = 0.02;

/// Some numbers over time. All lists of numbers are of the same length: one number for each time.
///
/// Where several samples share a time, the numbers are the largest of them; `busy` is the share of
/// them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Timeline {
    /// When the first sample was taken, in seconds since 1970 UTC.
    pub started_s: f64,
    /// The times, in seconds since then.
    pub times_s: Vec<f64>,
    /// How many tasks there were.
    pub tasks: Vec<u32>,
    /// How many callbacks waited to be called, in all loops.
    pub ready: Vec<u64>,
    /// In which share of the samples a loop was busy, 0 to 1; of several loops the busiest.
    pub busy: Vec<f64>,
    /// How late a loop was, in seconds: how long it had not come back to its selector, or by how much
    /// its next timer was overdue.
    pub lag_s: Vec<f64>,
    /// Tasks by where they come from, the most first.
    pub sites: Vec<SiteCounts>,
}

/// The tasks of one site over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SiteCounts {
    /// The function that created them; where that is not known, their own coroutine function. Empty for
    /// all that have no site of their own here.
    pub function: Text,
    /// Its file.
    pub file: Text,
    /// The line that created them; 0 where that is not known.
    pub line: u32,
    /// How many there were.
    pub counts: Vec<u32>,
}

impl Timeline {
    /// Of samples, the oldest first, with at most so many times.
    pub fn of<'s>(snapshots: impl IntoIterator<Item = &'s Snapshot>, points: usize) -> Self {
        let mut builder = TimelineBuilder::new(points);
        for snapshot in snapshots {
            builder.add(snapshot);
        }
        builder.finish()
    }
}

/// Makes a [`Timeline`] while the samples come in.
pub struct TimelineBuilder {
    points: usize,
    /// How many samples share a time.
    stride: usize,
    started_s: f64,
    times: Vec<Point>,
    sites: Sites,
    lateness: Lateness,
}

#[derive(Default)]
struct Point {
    time_s: f64,
    samples: usize,
    tasks: u32,
    ready: u64,
    busy_samples: usize,
    lag_s: f64,
    /// By the number of the site.
    counts: Vec<u32>,
}

impl Point {
    /// Takes in the next one.
    fn merge(&mut self, other: &Self) {
        self.samples += other.samples;
        self.busy_samples += other.busy_samples;
        self.tasks = self.tasks.max(other.tasks);
        self.ready = self.ready.max(other.ready);
        self.lag_s = self.lag_s.max(other.lag_s);
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, other) in self.counts.iter_mut().zip(&other.counts) {
            *count = (*count).max(*other);
        }
    }
}

impl TimelineBuilder {
    /// With at most so many times.
    #[must_use]
    pub fn new(points: usize) -> Self {
        Self {
            points: points.max(2),
            stride: 1,
            started_s: 0.0,
            times: Vec::new(),
            sites: Sites::default(),
            lateness: Lateness::default(),
        }
    }

    /// Adds the next sample.
    pub fn add(&mut self, snapshot: &Snapshot) {
        if self.times.is_empty() {
            self.started_s = snapshot.capture.time_s;
        }
        let point = self.point(snapshot);
        match self.times.last_mut() {
            Some(last) if last.samples < self.stride => last.merge(&point),
            _ => self.times.push(point),
        }
        if self.times.len() > self.points {
            self.halve();
        }
    }

    fn point(&mut self, snapshot: &Snapshot) -> Point {
        let now_s = snapshot.capture.time_s;
        let lag_s = snapshot.loops.iter().map(|l| self.lateness.of(l, now_s).0).fold(0.0, f64::max);
        Point {
            time_s: snapshot.capture.time_s - self.started_s,
            samples: 1,
            tasks: snapshot.alive().count() as u32,
            ready: snapshot.loops.iter().filter_map(|l| l.ready).fold(0, u64::saturating_add),
            busy_samples: usize::from(snapshot.loops.iter().any(|l| l.state == LoopState::Busy)),
            lag_s,
            counts: self.sites.count(snapshot),
        }
    }

    /// Two times become one.
    fn halve(&mut self) {
        self.stride *= 2;
        let mut halved: Vec<Point> = Vec::with_capacity(self.points / 2 + 1);
        for (i, point) in std::mem::take(&mut self.times).into_iter().enumerate() {
            match halved.last_mut() {
                Some(last) if i % 2 == 1 => last.merge(&point),
                _ => halved.push(point),
            }
        }
        self.times = halved;
    }

    /// All of them.
    #[must_use]
    pub fn finish(self) -> Timeline {
        let times = &self.times;
        let count = |point: &Point, site: usize| point.counts.get(site).copied().unwrap_or(0);
        let column = |site: usize| times.iter().map(|p| count(p, site)).collect::<Vec<u32>>();
        let mut sites: Vec<(Site, Vec<u32>)> =
            self.sites.known().iter().enumerate().map(|(n, site)| (site.clone(), column(n))).collect();
        sites.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.iter().copied().max().unwrap_or(0)));
        let mut rest = sites.split_off(sites.len().min(MAX_SITES)).into_iter();
        if let Some((_, mut others)) = rest.next() {
            for (_, counts) in rest {
                for (sum, count) in others.iter_mut().zip(counts) {
                    *sum = sum.saturating_add(count);
                }
            }
            sites.push((Site::default(), others));
        }
        let site = |(site, counts): (Site, Vec<u32>)| SiteCounts {
            function: site.function,
            file: site.file,
            line: site.line,
            counts,
        };
        Timeline {
            started_s: self.started_s,
            times_s: times.iter().map(|p| p.time_s).collect(),
            tasks: times.iter().map(|p| p.tasks).collect(),
            ready: times.iter().map(|p| p.ready).collect(),
            busy: times.iter().map(|p| p.busy_samples as f64 / p.samples.max(1) as f64).collect(),
            lag_s: times.iter().map(|p| p.lag_s).collect(),
            sites: sites.into_iter().map(site).collect(),
        }
    }
}

/// How late loops are.
#[derive(Default)]
pub(super) struct Lateness {
    /// When each loop was last seen to be idle.
    idle_s: FxHashMap<Id, f64>,
}

impl Lateness {
    /// How late a loop is at this moment, and how long its turn has lasted, both in seconds.
    pub(super) fn of(&mut self, event_loop: &EventLoop, now_s: f64) -> (f64, f64) {
        if event_loop.state != LoopState::Busy {
            self.idle_s.insert(event_loop.id, now_s);
            return (0.0, 0.0);
        }
        // A turn begins after the loop was idle. What says otherwise was read in the middle of a change.
        let most = self.idle_s.get(&event_loop.id).map_or(f64::INFINITY, |idle_s| now_s - idle_s);
        let possible = |s: &f64| (0.0..=most + SLACK_S).contains(s);
        let turn_s = event_loop.turn_s.filter(possible).unwrap_or(0.0);
        let overdue_s = event_loop.next_timer_s.map(|left| -left).filter(possible).unwrap_or(0.0);
        (turn_s.max(overdue_s), turn_s)
    }
}
