//! Times that pass by themselves: a timer that has less left, an operation that has taken longer.
//!
//! They differ in every sample, and yet nothing has changed. So what is compared is what they say of
//! the moment they point at, and a few milliseconds of difference count as none.

use crate::snapshot::{EventLoop, Target, Task, Thread, WaitsFor};

/// How far two readings of one moment may lie apart, in microseconds: the clocks of target and
/// reader are not read in the same instant. Times left are true to this.
pub(super) const SLACK_US: i64 = 20_000;

/// Seconds in whole microseconds.
pub(super) fn micros(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}

/// Microseconds in seconds.
pub(super) fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// How a time moves while nothing happens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// Time left.
    Down,
    /// Time taken.
    Up,
}

/// What has times in it.
pub(super) trait Timed {
    /// Calls `each` for every time, always in the same order.
    fn times(&mut self, each: &mut dyn FnMut(&mut f64, Flow));

    /// Rounds to what a recording keeps.
    fn round(&mut self) {
        self.times(&mut |time, _| *time = seconds(micros(*time)));
    }

    /// Lets time pass.
    fn pass(&mut self, elapsed_us: i64) {
        self.times(&mut |time, flow| {
            let by = if flow == Flow::Down { elapsed_us.saturating_neg() } else { elapsed_us };
            *time = seconds(micros(*time).saturating_add(by));
        });
    }

    /// Takes over the times of `before` that are the same but for the slack.
    fn settle(&mut self, before: &mut Self, scratch: &mut Vec<f64>) {
        scratch.clear();
        before.times(&mut |time, _| scratch.push(*time));
        let mut olds = scratch.iter();
        self.times(&mut |time, _| {
            if let Some(old) = olds.next()
                && micros(*time).abs_diff(micros(*old)) <= SLACK_US.unsigned_abs()
            {
                *time = *old;
            }
        });
    }
}

fn wait(wait: Option<&mut WaitsFor>, each: &mut dyn FnMut(&mut f64, Flow)) {
    let Some(wait) = wait else { return };
    if let Some(left) = &mut wait.timeout_s {
        each(left, Flow::Down);
    }
    if let Target::Timer { left_s: Some(left) } = &mut wait.target {
        each(left, Flow::Down);
    }
}

impl Timed for Task {
    fn times(&mut self, each: &mut dyn FnMut(&mut f64, Flow)) {
        wait(self.waits_for.as_mut(), each);
        for age in self.operations.iter_mut().filter_map(|o| o.age_s.as_mut()) {
            each(age, Flow::Up);
        }
    }
}

impl Timed for Thread {
    fn times(&mut self, each: &mut dyn FnMut(&mut f64, Flow)) {
        wait(self.waits_for.as_mut(), each);
    }
}

impl Timed for EventLoop {
    fn times(&mut self, each: &mut dyn FnMut(&mut f64, Flow)) {
        if let Some(left) = &mut self.next_timer_s {
            each(left, Flow::Down);
        }
        if let Some(turn) = &mut self.turn_s {
            each(turn, Flow::Up);
        }
    }
}

impl Timed for crate::snapshot::Resource {
    fn times(&mut self, _: &mut dyn FnMut(&mut f64, Flow)) {}
}
