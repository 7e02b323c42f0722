//! What the checks cost. `cargo test --release -p async-trace-core -- --ignored --nocapture speed`

use super::{Config, run};
use crate::fixture::snapshot;
use std::time::{Duration, Instant};

/// Ten thousand parked tasks of five frames, some behind locks and pools.
fn crowd() -> String {
    "
lock a
pool db 2/2
queue jobs 0/0
task holder
  work app.py:3
  holds a
  waits sleep timer 5
task conn x2
  query app.py:9
  holds db
  waits read tcp 9
task waiter x3000
  f1 app.py:1
  f2 app.py:2
  f3 app.py:3
  f4 app.py:4
  f5 app.py:5
  waits acquire a
task client x3000
  f1 app.py:1
  f2 app.py:2
  f3 app.py:3
  f4 app.py:4
  f5 app.py:6
  waits acquire db
task idle x4000
  f1 app.py:1
  f2 app.py:2
  f3 app.py:3
  f4 app.py:4
  f5 app.py:7
  waits get jobs
"
    .to_owned()
}

#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stdout)]
fn ten_thousand_tasks_take_milliseconds() {
    let now = snapshot(&crowd());
    let mut then = now.clone();
    then.capture.time_s -= 2.0;
    let measure = |snapshots: &[&crate::Snapshot]| {
        let runs = (0..20).map(|_| {
            let begin = Instant::now();
            std::hint::black_box(run(snapshots, &Config::default()));
            begin.elapsed()
        });
        runs.min().unwrap_or(Duration::ZERO)
    };
    let (one, two) = (measure(&[&now]), measure(&[&then, &now]));
    println!("10,000 tasks: one snapshot {one:?}, two {two:?}");
    assert!(two < Duration::from_millis(if cfg!(debug_assertions) { 500 } else { 20 }));
}
