//! How late the loops were: what a callback would have had to wait that became due at a random moment.
//!
//! A sample sees for how long the turn that a loop is in has lasted already, or by how much the next timer is
//! overdue. That is the least that a callback due at this moment has waited; nothing is made up beyond it.

use super::Sample;
use super::timeline::Lateness;
use crate::snapshot::LoopState;
use serde::{Deserialize, Serialize};

/// The upper ends of the histogram's bars, in seconds; the last one has none.
const ENDS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0];

/// How late the loops of a recording were.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Latency {
    /// The time that was looked at, in seconds; of several loops the sum.
    pub observed_s: f64,
    /// Of it, the loops were asleep in their selectors.
    pub idle_s: f64,
    /// And busy.
    pub busy_s: f64,
    /// The longest that one turn was seen to last, in seconds.
    pub longest_turn_s: f64,
    /// For how long the loops were how late.
    pub buckets: Vec<Bucket>,
}

/// A bar of the histogram.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Bucket {
    /// From this lateness on, in seconds.
    pub from_s: f64,
    /// Below this; absent for the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_s: Option<f64>,
    /// For so long, in seconds.
    pub seconds: f64,
    /// In so many samples.
    pub samples: u64,
}

impl Latency {
    /// Of samples, each with the seconds that it lasted.
    pub fn of(samples: impl Iterator<Item = (Sample, f64)>) -> Self {
        let mut from = 0.0;
        let mut latency = Self::default();
        for to in ENDS.map(Some).into_iter().chain([None]) {
            latency.buckets.push(Bucket { from_s: from, to_s: to, ..Bucket::default() });
            from = to.unwrap_or_default();
        }
        let mut lateness = Lateness::default();
        for (sample, lasted_s) in samples {
            let now_s = sample.snapshot.capture.time_s;
            for event_loop in &sample.snapshot.loops {
                let (late_s, turn_s) = lateness.of(event_loop, now_s);
                match event_loop.state {
                    LoopState::Idle => latency.idle_s += lasted_s,
                    LoopState::Busy => latency.busy_s += lasted_s,
                    LoopState::NotRunning | LoopState::Closed | LoopState::Unknown => continue,
                }
                latency.observed_s += lasted_s;
                latency.longest_turn_s = latency.longest_turn_s.max(turn_s);
                let bucket = latency.buckets.iter_mut().find(|b| b.to_s.is_none_or(|to| late_s < to));
                if let Some(bucket) = bucket {
                    bucket.seconds += lasted_s;
                    bucket.samples += 1;
                }
            }
        }
        latency
    }

    /// The lateness that was exceeded for no more than `share` of the time, in seconds: the end of a bar.
    /// Nothing when it lies in the last one.
    #[must_use]
    pub fn exceeded_for(&self, share: f64) -> Option<f64> {
        let mut left = self.observed_s * (1.0 - share);
        for bucket in &self.buckets {
            left -= bucket.seconds;
            if left <= 1e-9 {
                return bucket.to_s;
            }
        }
        None
    }
}
