//! Rendering is linear. `cargo test --release -p async-trace-core -- --ignored --nocapture speed`
//! says how long it takes.

use super::{Options, tree};
use crate::fixture::snapshot;
use crate::snapshot::Snapshot;
use std::time::{Duration, Instant};

fn handlers(n: usize) -> Snapshot {
    snapshot(&format!(
        "
lock l
task holder
  hold app.py:1
  holds l
  waits sleep timer 3
task ws x{n}
  std Server.handle asyncio/streams.py:1
  echo shop/ws.py:12
  lib WebSocket.receive aiohttp/web_ws.py:503
  lib DataQueue.read aiohttp/streams.py:680
  waits acquire l timeout 20
"
    ))
}

/// The same with a stack of its own for each task.
fn strangers(n: usize) -> Snapshot {
    let mut s = handlers(n);
    for (i, task) in s.tasks.iter_mut().enumerate() {
        let mut frames = task.chain.to_vec();
        if let Some(frame) = frames.last_mut() {
            frame.line = i as u32 + 1;
        }
        task.chain = frames.into();
    }
    s
}

/// Each task awaits the one before it.
fn relay(n: usize) -> Snapshot {
    use crate::snapshot::{Awaiter, Target, TaskState, Trust, Verb, WaitsFor};
    let mut s = handlers(n);
    let ids: Vec<_> = s.tasks.iter().map(|t| t.id).collect();
    for (i, task) in s.tasks.iter_mut().enumerate().skip(1) {
        let target = Target::Tasks { pending: vec![ids[i - 1]], done: 0, any: None };
        task.state = TaskState::Waiting;
        task.waits_for = Some(WaitsFor {
            target,
            verb: Verb::Await,
            trust: Trust::Read,
            future: None,
            name: None,
            within: None,
            timeout_s: None,
        });
        if let Some(next) = ids.get(i + 1) {
            task.awaited_by = vec![Awaiter { task: *next, verb: Verb::Await }];
        }
    }
    s
}

fn render(s: &Snapshot, times: usize) -> (Duration, usize) {
    let options = Options { width: Some(80), ..Options::default() };
    let best = (0..times).map(|_| {
        let mut out = String::new();
        let begin = Instant::now();
        tree(s, &options, &mut out);
        (begin.elapsed(), out.len())
    });
    best.min().unwrap_or_default()
}

#[test]
fn many_tasks_need_no_recursion() {
    for s in [relay(30_000), handlers(30_000)] {
        assert!(render(&s, 1).1 > 500);
    }
}

/// How long it takes, which the machine's other work makes longer: the best of some runs.
#[test]
#[ignore = "takes the time"]
#[allow(clippy::print_stdout)]
fn speed() {
    for n in [10_000, 100_000] {
        for (what, s) in [("alike", handlers(n)), ("different", strangers(n)), ("in a chain", relay(n))] {
            println!("{n:>7} {what:<10} {:?}", render(&s, 10));
        }
    }
}
