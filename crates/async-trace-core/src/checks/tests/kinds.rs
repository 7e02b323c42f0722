//! `swallowed-cancel`, `lost-timeout`, `child-stuck`, `never-wakes`, `task-leak`, `task-flood`, `never-awaited`.

use super::{Config, after_two_seconds, at_once, changed, run, told};
use crate::fixture::snapshot;
use insta::assert_snapshot;

const SWALLOWED: &str = "
task poller cancelling 1 handling nothing
  poll app.py:23
  lib AsyncClient.get httpx/client.py:1768
  waits read tcp 9
task main
  main app.py:36
  std TaskGroup.__aexit__ asyncio/taskgroups.py:94
  waits task_group tasks poller done 1
";

#[test]
fn a_retry_loop_that_swallows_its_cancellation() {
    assert_snapshot!(after_two_seconds(SWALLOWED), @"");
}

#[test]
fn a_task_that_cleans_up_is_on_its_way_out() {
    assert_eq!(
        after_two_seconds(&SWALLOWED.replace("handling nothing", "handling CancelledError")),
        "healthy"
    );
    assert_eq!(at_once(SWALLOWED), "healthy");
    assert_eq!(changed(&SWALLOWED.replace("cancelling 1 ", ""), SWALLOWED), "healthy");
}

#[test]
fn without_a_look_at_what_it_handles_it_is_only_suspected() {
    let text = SWALLOWED.replace(" handling nothing", "");
    assert!(after_two_seconds(&text).contains("swallowed-cancel (error, suspected)"));
    assert_eq!(changed(&text.replace("app.py:23", "app.py:25"), &text), "healthy");
}

#[test]
fn a_group_that_waits_for_its_cancelled_children_is_not_to_blame() {
    let text = SWALLOWED.replace("task main", "task main cancelling 1 handling nothing");
    assert!(!after_two_seconds(&text).contains("task main was cancelled"));
}

#[test]
fn a_timeout_that_was_swallowed() {
    let text = "
task request handling nothing
  fetch app.py:9
  waits read tcp 9 timeout -4
";
    assert_snapshot!(after_two_seconds(text), @"");
    assert_eq!(after_two_seconds(&text.replace("handling nothing", "handling CancelledError")), "healthy");
    assert_eq!(after_two_seconds(&text.replace("timeout -4", "timeout -0.1")), "healthy");
    assert!(
        !at_once(&format!("loop main busy turn 5\nthread 4711 M loop main\n  f app.py:1\n{text}"))
            .contains("lost-timeout")
    );
}

#[test]
fn a_child_that_writes_into_a_pipe_nobody_reads() {
    let text = "
task convert
  convert app.py:9
  std Process.wait asyncio/subprocess.py:137
  waits wait child 4800 \"ffmpeg -i in.mp4\" sleeping syscall write pipe 1 end 7 unserved
";
    assert_snapshot!(after_two_seconds(text), @"");
    assert_eq!(at_once(text), "healthy");
    assert_eq!(after_two_seconds(&text.replace("unserved", "served")), "healthy");
    assert_eq!(after_two_seconds(&text.replace("syscall write pipe 1 end 7 unserved", "")), "healthy");
    assert!(
        after_two_seconds(&text.replace("sleeping syscall write pipe 1 end 7 unserved", "dead"))
            .contains("has ended already")
    );
}

#[test]
fn a_future_that_nobody_can_complete() {
    let text = "
task request
  ask app.py:9
  waits await future asyncio.Future 1 unreachable
task main
  main app.py:20
  waits await task request
";
    assert_snapshot!(after_two_seconds(text), @"");
    assert!(
        after_two_seconds(&text.replace("unreachable", "unreachable?"))
            .contains("never-wakes (error, suspected)")
    );
    assert_eq!(after_two_seconds(&text.replace(" unreachable", "")), "healthy");
}

#[test]
fn an_event_that_only_stuck_tasks_can_set() {
    let text = "
event ready unset reached
  user task a a app.py:1
  user task b b app.py:5
event done unset reached
  user task a a app.py:1
task a
  a app.py:1
  waits wait ready
task b
  b app.py:5
  waits wait done
";
    // a waits for b, and b for a: who knows both ends sees the circle.
    assert!(at_once(text).contains("deadlock"));
    let other =
        text.replace("event ready unset reached", "event ready unset reached\n  other \"module app: ready\"");
    assert_eq!(at_once(&other), "healthy");
}

#[test]
fn an_idle_consumer_of_its_own_queue_is_no_error() {
    assert_eq!(
        after_two_seconds(
            "
queue jobs 0/0 reached
  user task consumer consume app.py:3
task consumer
  consume app.py:3
  waits get jobs
"
        ),
        "healthy"
    );
}

fn handlers(n: usize, words: &str) -> String {
    format!(
        "queue q 0/0\ntask ws x{n} {words}\n  lib run_asgi uvicorn/ws.py:9\n  send_updates app.py:24\n  waits get q\n"
    )
}

#[test]
fn handlers_whose_clients_are_gone() {
    assert_snapshot!(after_two_seconds(&handlers(30, "disconnected")), @"");
    assert_eq!(after_two_seconds(&handlers(30, "connected")), "healthy");
    assert_eq!(after_two_seconds(&handlers(3, "disconnected")), "healthy");
}

#[test]
fn many_tasks_that_nothing_will_wake() {
    let mut text = String::new();
    for n in 0..20 {
        text.push_str(&format!(
            "queue q{n} 0/0 reached\n  user task t{n} send app.py:7\ntask t{n}\n  send app.py:7\n  waits get q{n}\n"
        ));
    }
    let told = after_two_seconds(&text);
    assert!(told.starts_with("0 task-leak (warning, proven): 20 tasks wait in send() at app.py:7 for what nobody can ever bring"), "{told}");
}

fn grown(sizes: &[usize]) -> String {
    let snapshots: Vec<_> = sizes
        .iter()
        .enumerate()
        .map(|(i, n)| {
            let mut s = snapshot(&format!("event e unset\ntask t x{n}\n  watch app.py:7\n  waits wait e\n"));
            s.capture.time_s += i as f64;
            s
        })
        .collect();
    told(&run(&snapshots.iter().collect::<Vec<_>>(), &Config::default()))
}

#[test]
fn tasks_that_only_grow_in_number() {
    assert_snapshot!(grown(&[200, 210, 220]), @"");
    assert_eq!(grown(&[200, 200, 220]), "healthy");
    assert_eq!(grown(&[10, 20, 30]), "healthy");
    assert_eq!(grown(&[200, 201, 202]), "healthy");
}

#[test]
fn a_task_for_each_message() {
    let text = "
lock sink
task writer
  store app.py:12
  holds sink
  waits sleep timer 0.01
task msg x3000
  on_message app.py:20
  store app.py:11
  waits acquire sink as self.lock
  created consume app.py:25
";
    assert_snapshot!(at_once(text), @"");
    assert_eq!(at_once(&text.replace("x3000", "x300")), "healthy");
}

#[test]
fn ten_thousand_idle_handlers_are_no_flood() {
    assert_eq!(at_once("task ws x10000\n  handler app.py:3\n  waits read tcp 9"), "healthy");
    assert_eq!(at_once("task cron x10000\n  job app.py:3\n  waits sleep timer 100"), "healthy");
}

#[test]
fn coroutines_that_were_never_started() {
    let text = "
unstarted register app.py:22 kept \"app['pending']\"
  created register_routes app.py:26 origin
unstarted register app.py:22 kept \"app['pending']\"
  created register_routes app.py:26 origin
unstarted ping ws.py:5
";
    assert_snapshot!(after_two_seconds(text), @"");
    assert_eq!(at_once(text), "healthy");
    assert_eq!(changed("unstarted fetch app.py:3\n", "unstarted other app.py:9\n"), "healthy");
}
