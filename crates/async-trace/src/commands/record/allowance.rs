//! How much CPU time recording may use: what is not used is saved up for a while, and a sample is taken when there is
//! enough for one.

use nix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// So much is saved up at most: half a second's.
const SAVED_S: f64 = 0.5;
/// So much of what was used before the first sample is made up for.
const MOST_OWED_S: f64 = 0.02;
/// How much the newest sample counts for what one costs.
const WEIGHT: f64 = 0.1;

/// CPU time that there is for samples.
pub(super) struct Allowance {
    /// The share of one core.
    share: f64,
    left_s: f64,
    cost_s: f64,
    since: Instant,
    used: Duration,
}

impl Allowance {
    /// For a share of one core.
    pub(super) fn new(share: f64) -> Self {
        let used = used();
        // What the beginning has cost is to be saved, too.
        let left_s = -used.as_secs_f64().min(MOST_OWED_S);
        Self { share, left_s, cost_s: 0.0, since: Instant::now(), used }
    }

    /// Whether there is enough for one more sample.
    pub(super) fn is_enough(&mut self) -> bool {
        let now = Instant::now();
        let earned_s = self.share * now.duration_since(self.since).as_secs_f64();
        self.since = now;
        self.left_s = (self.left_s + earned_s).min(self.share * SAVED_S + self.cost_s);
        self.left_s >= self.cost_s
    }

    /// Takes off what was used since the last time.
    pub(super) fn spend(&mut self) {
        let used = used();
        let cost_s = used.saturating_sub(self.used).as_secs_f64();
        self.used = used;
        self.left_s -= cost_s;
        self.cost_s += WEIGHT * (cost_s - self.cost_s);
    }
}

/// The CPU time that this process has used.
fn used() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}
