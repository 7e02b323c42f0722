//! What is made from a recording, from snapshots that are written by hand.

use crate::fixture::snapshot;
use crate::recording::latency::Latency;
use crate::recording::stacks::{Of, Stacks};
use crate::recording::trace::TraceWriter;
use crate::recording::{Sample, Timeline, speedscope};
use serde_json::Value;

/// Two tasks in turn hold a lock, a third comes and goes, the loop is busy once.
const MOMENTS: [&str; 4] = [
    "process 7 at 100
loop main idle
lock a
queue jobs 0/0
task one
  work /srv/app.py:10
  holds a
  waits sleep timer 1
task two
  work /srv/app.py:9
  waits acquire a",
    "process 7 at 101
loop main busy turn 0.3
thread 7 MainThread loop main task one
  <module> /srv/app.py:99
  work /srv/app.py:11
lock a
queue jobs 0/0
task one running
  work /srv/app.py:11
  holds a
task two
  work /srv/app.py:9
  waits acquire a
task three
  \"evil;<b>\" /srv/app.py:20
  waits await tasks one",
    "process 7 at 102
loop main idle
lock a
queue jobs 0/0
task one returned
task two
  work /srv/app.py:10
  holds a
  waits sleep timer 1
task three
  \"evil;<b>\" /srv/app.py:21
  waits get jobs",
    "process 7 at 104
loop main idle
lock a
queue jobs 0/0
task one returned
task two
  work /srv/app.py:10
  holds a
  waits sleep timer 1",
];

fn lasting() -> Vec<(Sample, f64)> {
    let lasted = [1.0, 1.0, 2.0, 0.5];
    let samples = MOMENTS.iter().map(|text| Sample { snapshot: snapshot(text), missed: 0 });
    samples.zip(lasted).collect()
}

#[test]
fn folded_stacks_say_where_tasks_waited_and_for_what() {
    let stacks = Stacks::of(lasting().into_iter(), Of::Waiting);
    let lines: Vec<String> = stacks.lines().collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    work (app.py:10);[sleep] 3500000
    work (app.py:9);[Lock a] 2000000
    evil,<b> (app.py:20);[task work] 1000000
    evil,<b> (app.py:21);[get from Queue jobs] 2000000
    ");
    let busy = Stacks::of(lasting().into_iter(), Of::Busy);
    insta::assert_snapshot!(busy.lines().collect::<Vec<_>>().join("\n"), @"<module> (app.py:99);work (app.py:11);[task one] 1000000");
    let mut json = Vec::new();
    speedscope::write(&stacks, &busy, "app", "async-trace", &mut json).unwrap();
    let file: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(file["profiles"][0]["weights"].as_array().unwrap().len(), lines.len());
    assert_eq!(file["profiles"][1]["endValue"], 1.0);
}

#[test]
fn a_trace_has_a_track_for_each_task_and_arrows_between_them() {
    let mut json = Vec::new();
    let mut trace = TraceWriter::new(&mut json).unwrap();
    for (sample, _) in lasting() {
        trace.add(&sample).unwrap();
    }
    trace.finish(0.5).unwrap();
    let file: Value = serde_json::from_slice(&json).unwrap();
    let mut text = String::new();
    for event in file["traceEvents"].as_array().unwrap() {
        let part = |key: &str| event.get(key).map_or(String::new(), |v| v.to_string().replace('"', ""));
        let name = event["args"].get("name").map_or(String::new(), Value::to_string);
        let row = [part("ts"), part("ph"), part("tid"), part("id"), part("name"), name];
        text.push_str(row.join(" ").trim());
        text.push('\n');
    }
    insta::assert_snapshot!(text, @r#"
    M 0  process_name "python3 app.py"
    M 5000001  thread_name "task one"
    0 B 5000001  sleep
    M 5000002  thread_name "task two"
    0 B 5000002  Lock a
    0 s 5000002 0 waits for
    0 f 5000001 0 waits for
    M 7  thread_name "thread MainThread"
    0 C 0  tasks
    0 C 0  ready callbacks
    1000000 E 5000001
    1000000 B 5000001  running
    M 5000003  thread_name "task three"
    1000000 B 5000003  task work
    1000000 s 5000003 1 waits for
    1000000 f 5000001 1 waits for
    1000000 B 7  task one: work
    1000000 C 0  tasks
    2000000 s 5000001 2 woke
    2000000 s 5000001 3 woke
    2000000 E 5000001
    2000000 E 5000002
    2000000 B 5000002  sleep
    2000000 E 5000003
    2000000 B 5000003  get from Queue jobs
    2000000 f 5000002 2 woke
    2000000 f 5000003 3 woke
    2000000 E 7
    2000000 C 0  tasks
    4000000 E 5000003
    4000000 C 0  tasks
    4500000 E 5000002
    "#);
}

#[test]
fn latency_counts_the_time_that_a_loop_was_late() {
    let latency = Latency::of(lasting().into_iter());
    assert_eq!((latency.observed_s, latency.busy_s, latency.longest_turn_s), (4.5, 1.0, 0.3));
    let bar = latency.buckets.iter().find(|b| b.from_s == 0.2).unwrap();
    assert_eq!((bar.to_s, bar.seconds, bar.samples), (Some(0.5), 1.0, 1));
    assert_eq!((latency.exceeded_for(0.5), latency.exceeded_for(0.01)), (Some(0.001), Some(0.5)));
}

#[test]
fn a_timeline_counts_tasks_by_site_and_halves_itself() {
    let snapshots: Vec<_> = MOMENTS.iter().map(|text| snapshot(text)).collect();
    let timeline = Timeline::of(&snapshots, 100);
    assert_eq!(timeline.times_s, [0.0, 1.0, 2.0, 4.0]);
    assert_eq!(timeline.tasks, [2, 3, 2, 1]);
    assert_eq!(timeline.busy, [0.0, 1.0, 0.0, 0.0]);
    assert_eq!(timeline.lag_s, [0.0, 0.3, 0.0, 0.0]);
    let sites: Vec<_> = timeline.sites.iter().map(|s| (&*s.function, &s.counts[..])).collect();
    assert_eq!(sites, [("work", &[2, 2, 1, 1][..]), ("evil;<b>", &[0, 1, 1, 0])]);
    let halved = Timeline::of(&snapshots, 2);
    assert_eq!((halved.times_s, halved.tasks, halved.busy), (vec![0.0, 2.0], vec![3, 2], vec![0.5, 0.0]));
}
