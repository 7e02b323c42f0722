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
    assert_snapshot!(after_two_seconds(SWALLOWED), @"
    0 swallowed-cancel (error, proven): task poller was cancelled once and goes on in poll() at app.py:23: poll() or what it calls caught the cancellation and did not raise it again; task main waits for it to end
      waits task poller poll app.py:23: reads from tcp socket (fd 9)
      waits task main main app.py:36: waits for task poller (1 is done)
      => 1 [main] waits for task poller (1 is done) in main app.py:36
      try look in poll() for `except BaseException`, a bare `except:`, or `except CancelledError` without `raise`
      try catch `Exception` instead, which leaves cancellations alone
    ");
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
fn a_main_task_that_shuts_down_in_order_is_not_awaited() {
    let text = "
task main cancelling 1 handling nothing
  main app.py:40
  lib Pool.close asyncpg/pool.py:900
  waits read tcp 9
";
    assert_eq!(after_two_seconds(text), "healthy");
    let ending = format!(
        "loop main idle\nthread 4711 MainThread loop main\n  std _cancel_all_tasks asyncio/runners.py:208\n{text}"
    );
    assert!(after_two_seconds(&ending).contains("swallowed-cancel"));
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
    assert_snapshot!(after_two_seconds(text), @"
    0 lost-timeout (error, proven): the timeout around fetch() at app.py:9 in task request passed 4.0 s ago, and the wait still lasts: its cancellation was swallowed
      waits task request fetch app.py:9: reads from tcp socket (fd 9)
      timeout task request: its timeout is 4.0 s overdue
      try look in fetch() and what it calls for `except BaseException`, a bare `except:`, or `except CancelledError` without `raise`
    ");
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
  waits wait child 4800 \"ffmpeg -i in.mp4\" sleeping syscall write pipe 1 end 7 unserved abandoned
";
    assert_snapshot!(after_two_seconds(text), @"
    0 child-stuck (error, proven): task convert waits in convert() at app.py:9 for child process 4800 (ffmpeg -i in.mp4), which is blocked writing into a pipe that nobody reads
      waits task convert convert app.py:9: waits for child process 4800
      child: child process 4800 (ffmpeg -i in.mp4) is blocked writing into a pipe that nobody reads; this process has the other end as fd 7
      try read its output while it runs: `await process.communicate()` instead of `await process.wait()`
    ");
    assert_eq!(at_once(text), "healthy");
    assert_eq!(after_two_seconds(&text.replace("unserved abandoned", "served")), "healthy");
    assert_eq!(
        after_two_seconds(&text.replace("syscall write pipe 1 end 7 unserved abandoned", "")),
        "healthy"
    );
    let unknown = text.replace(" end 7 unserved abandoned", "");
    assert!(after_two_seconds(&unknown).contains("child-stuck (error, suspected)"));
    assert_eq!(changed(&unknown.replace("syscall write pipe 1", ""), &unknown), "healthy");
    assert_eq!(after_two_seconds(&unknown.replace("syscall write", "syscall read")), "healthy");
    assert!(
        after_two_seconds(&text.replace("sleeping syscall write pipe 1 end 7 unserved abandoned", "dead"))
            .contains("has ended already")
    );
}

#[test]
fn a_child_that_waits_for_input_that_cannot_come() {
    let text = "
task convert
  convert app.py:9
  std StreamReader.read asyncio/streams.py:713
  waits read pipe 7 from 4800 sort sleeping cpu 1000 syscall read pipe 0 end 6 unserved abandoned
task main
  main app.py:12
  waits await task convert
";
    assert_snapshot!(after_two_seconds(text), @"
    0 child-stuck (error, proven): task convert waits in convert() at app.py:9 for the output of child process 4800 (sort), which is blocked reading from a pipe that nobody writes to or closes
      waits task convert convert app.py:9: reads what child process 4800 writes (fd 7)
      child: child process 4800 (sort) is blocked reading from a pipe that nobody writes to or closes; this process has the other end as fd 6
      => 1 [main] waits for task convert in main app.py:12
      try write its input and close it: `process.stdin.close()`, or `await process.communicate(input)`
    ");
    let wait = text.replace("read pipe 7 from 4800 sort", "wait child 4800 sort");
    assert!(
        after_two_seconds(&wait).contains("child-stuck (error, proven): task convert waits in convert()")
    );
    // A language server is asked now and then, by whoever has it; a worker that computes reads when it has done so.
    for near_miss in [
        text.replace("abandoned", "reached"),
        wait.replace("abandoned", "reached"),
        text.replace("unserved abandoned", "served"),
        text.replace("end 6 unserved abandoned", ""),
        text.replace("sleeping", "running"),
        text.replace("syscall read pipe 0", "syscall read file 0"),
    ] {
        assert_eq!(after_two_seconds(&near_miss), "healthy", "{near_miss}");
    }
    assert_eq!(changed(text, &text.replace("cpu 1000", "cpu 51000")), "healthy");
    // It writes, and what reads it is slow.
    let writes = text.replace("syscall read pipe 0", "syscall write pipe 1").replace("abandoned", "reached");
    assert_eq!(after_two_seconds(&writes), "healthy");
    assert_eq!(after_two_seconds(&writes.replace("read pipe 7 from", "wait child")), "healthy");
    let unknown = writes.replace("read pipe 7 from", "wait child").replace(" reached", "");
    assert!(after_two_seconds(&unknown).contains("child-stuck (error, suspected)"));
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
    assert_snapshot!(after_two_seconds(text), @"
    0 never-wakes (error, proven): task request will never go on: in ask() at app.py:9 it awaits a Future that nothing else in the process refers to
      waits task request ask app.py:9: waits for a Future
      => 1 [main] waits for task request in main app.py:20
      try find who should have completed it: a callback that was never registered, or an object that was dropped
    ");
    assert!(
        after_two_seconds(&text.replace("unreachable", "unreachable?"))
            .contains("never-wakes (error, suspected)")
    );
    assert_eq!(after_two_seconds(&text.replace(" unreachable", "")), "healthy");
}

#[test]
fn a_future_that_only_those_who_wait_can_reach() {
    let text = "
task request
  ask app.py:9
  waits await future asyncio.Future 1 unreachable user main
task main
  main app.py:20
  waits await task request
";
    // It may be the other's to complete it later, and so it would be a deadlock; or nobody's, and meant to last.
    assert_eq!(after_two_seconds(text), "healthy");
    let own = text.replace(" user main", "");
    assert!(after_two_seconds(&own).contains("never-wakes"));
    let live = text.replace("waits await task request", "waits sleep timer 5");
    assert_eq!(after_two_seconds(&live), "healthy");
}

#[test]
fn calls_whose_reader_has_failed() {
    let text = "
task first
  Client.call rpc.py:19
  waits await future asyncio.Future 1 unreachable user second failed ValueError Client.read rpc.py:11
task second
  Client.call rpc.py:19
  waits await future asyncio.Future 2 unreachable user first failed ValueError Client.read rpc.py:11
task main
  main app.py:20
  waits gather tasks first second
";
    assert_snapshot!(after_two_seconds(text), @"
    0 never-wakes (error, proven): 2 tasks will never go on: in Client.call() at rpc.py:19 they await a Future that nothing else in the process refers to; Client.read(), which had it, has failed: ValueError
      waits ×2 task first Client.call rpc.py:19: waits for a Future
      failed Client.read rpc.py:11: ValueError
      => 1 [main] waits for 2 tasks in main app.py:20
      try let it be completed when that fails, too: `try … finally`, or await the task that is to do it
      try find who should have completed it: a callback that was never registered, or an object that was dropped
    ");
    // Nobody has failed: one of them may be the one to complete the other's, and so it would be a deadlock.
    let text = text.replace(" failed ValueError Client.read rpc.py:11", "");
    assert_eq!(after_two_seconds(&text), "healthy");
}

#[test]
fn an_event_whose_setter_has_failed() {
    let text = "
event ready unset reached
  user task a a app.py:1
  failed ValueError load app.py:30
task a
  a app.py:1
  waits wait ready
";
    assert_snapshot!(after_two_seconds(text), @"
    0 never-wakes (error, proven): task a will never go on: in a() at app.py:1 it awaits Event `ready` that nothing else in the process refers to; load(), which had it, has failed: ValueError
      waits task a a app.py:1: waits for Event `ready`
      failed load app.py:30: ValueError
      try let it be completed when that fails, too: `try … finally`, or await the task that is to do it
      try find who should have completed it: a callback that was never registered, or an object that was dropped
    ");
    let other =
        text.replace("event ready unset reached", "event ready unset reached\n  other \"module app: ready\"");
    assert_eq!(after_two_seconds(&other), "healthy");
}

#[test]
fn an_idle_queue_whose_producer_has_failed() {
    let text = "
queue inbox 0/0 frames-reached
  user task a a app.py:1
  failed ValueError feed app.py:30
task a
  a app.py:1
  waits get inbox
task b
  b app.py:5
  waits sleep timer 5
";
    assert_snapshot!(after_two_seconds(text), @"
    0 never-wakes (error, suspected): task a will probably never go on: in a() at app.py:1 it waits in get() of Queue `inbox`; feed(), which had it, has failed: ValueError
      waits task a a app.py:1: waits in get() of Queue `inbox`
      failed feed app.py:30: ValueError
      ? who else could do so was looked for only in the variables of tasks, threads and modules
      try let it be completed when that fails, too: `try … finally`, or await the task that is to do it
    ");
    // Idle consumers are no error where nobody has failed, nor where somebody else can put into the queue.
    assert_eq!(after_two_seconds(&text.replace("  failed ValueError feed app.py:30\n", "")), "healthy");
    let other = text.replace("  failed", "  user task b b app.py:5\n  failed");
    assert_eq!(after_two_seconds(&other), "healthy");
}

#[test]
fn a_condition_that_no_line_notifies() {
    let text = "
condition ready
  unnotified put app.py:9
task a
  a app.py:1
  waits wait ready
task b
  b app.py:5
  waits sleep timer 5
";
    assert_snapshot!(after_two_seconds(text), @"
    0 never-wakes (error, suspected): task a will probably never go on: in a() at app.py:1 it awaits Condition `ready`; put() takes it, but no line of the program notifies it
      waits task a a app.py:1: waits for Condition `ready`
      completes put app.py:9: takes it, and does not notify it
      ? what else could do so was looked for only in the text of the program, not in its libraries
      try call `notify()` or `notify_all()` inside of the block that changes what is waited for
    ");
    assert_eq!(after_two_seconds(&text.replace("  unnotified put app.py:9\n", "")), "healthy");
}

#[test]
fn an_event_whose_setter_has_ended() {
    let text = "
event ready unset
  ended load app.py:30 dropped
task a
  a app.py:1
  waits wait ready
task b
  b app.py:5
  waits sleep timer 5
";
    assert_snapshot!(after_two_seconds(text), @"
    0 never-wakes (error, suspected): task a will probably never go on: in a() at app.py:1 it awaits Event `ready`; load(), which would set it, has ended, and nothing calls it again
      waits task a a app.py:1: waits for Event `ready`
      completes load app.py:30: nothing comes by here any more
      ? what else could do so was looked for only in the text of the program, not in its libraries
      try keep the task that create_task() returns, and look at how it ends: one that nobody keeps may fail unseen, or be taken by the garbage collector
    ");
    assert_eq!(after_two_seconds(&text.replace("  ended load app.py:30 dropped\n", "")), "healthy");
    // A queue may be idle, be filled, or be emptied: that nobody puts into it says nothing of who takes from it.
    let queue = text.replace("event ready unset", "queue ready 0/0").replace("wait ready", "get ready");
    assert_snapshot!(after_two_seconds(&queue), @"
    0 never-wakes (error, suspected): task a will probably never go on: in a() at app.py:1 it waits in get() of Queue `ready`; load(), which would put into it, has ended, and nothing calls it again
      waits task a a app.py:1: waits in get() of Queue `ready`
      completes load app.py:30: nothing comes by here any more
      ? what else could do so was looked for only in the text of the program, not in its libraries
      try keep the task that create_task() returns, and look at how it ends: one that nobody keeps may fail unseen, or be taken by the garbage collector
    ");
    let full = queue.replace("0/0", "2/2").replace("get ready", "put ready");
    let unknown = full.replace("  ended load app.py:30 dropped\n", "");
    assert_eq!(after_two_seconds(&full), after_two_seconds(&unknown));
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
    assert_snapshot!(after_two_seconds(&handlers(30, "disconnected")), @"
    0 task-leak (warning, proven): 30 tasks wait in send_updates() at app.py:24 although the clients they serve have disconnected
      waits ×30 task ws-1 send_updates app.py:24: waits in get() of Queue `q`
      connection: its client connection is closed
      try end the task with its client: run it beside the receiving side in a TaskGroup, so that one ends the other
      try or bound the wait, and look whether the client is still there
    ");
    assert_eq!(after_two_seconds(&handlers(30, "connected")), "healthy");
    assert_eq!(after_two_seconds(&handlers(3, "disconnected")), "healthy");
    assert_snapshot!(after_two_seconds(&handlers(30, "half-connected")), @"
    0 task-leak (warning, suspected): 30 tasks wait in send_updates() at app.py:24 although the clients they serve have closed their side of the connection
      waits ×30 task ws-1 send_updates app.py:24: waits in get() of Queue `q`
      connection: its client connection is closed by the client
      ? a client that sends no more may still wait for an answer
      try end the task with its client: run it beside the receiving side in a TaskGroup, so that one ends the other
      try or bound the wait, and look whether the client is still there
    ");
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
    assert_snapshot!(grown(&[200, 210, 220]), @"
    0 task-leak (warning, suspected): 220 tasks wait in watch() at app.py:7, 20 more than 2.0 s ago, and none of them has ended since
      waits ×220 task t-1 watch app.py:7: waits for Event `e`
      ? they may end later: the interval was short
      try end the task with its client: run it beside the receiving side in a TaskGroup, so that one ends the other
      try or bound the wait, and look whether the client is still there
    ");
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
    assert_snapshot!(at_once(text), @"
    0 task-flood (warning, proven): 3,000 tasks of on_message(), created in consume() at app.py:25, exist at once: most wait for Lock `self.lock` in store() at app.py:11
      waits ×3000 task msg-1 store app.py:11: waits for Lock `self.lock`
      created consume app.py:25: created
      try bound how many are created: a fixed number of workers on a queue, or a semaphore around *creating* them
    ");
    assert_eq!(at_once(&text.replace("x3000", "x300")), "healthy");
}

#[test]
fn ten_thousand_idle_handlers_are_no_flood() {
    assert_eq!(at_once("task ws x10000\n  handler app.py:3\n  waits read tcp 9"), "healthy");
    assert_eq!(at_once("task cron x10000\n  job app.py:3\n  waits sleep timer 100"), "healthy");
}

#[test]
fn coroutines_that_were_dropped() {
    let text = "
dropped WebSocketResponse.ping keepalive app.py:31
dropped WebSocketResponse.ping close app.py:47
dropped job Handle._run /usr/lib/python3.11/asyncio/events.py:80
dropped refresh lib renew client.py:9
";
    assert_snapshot!(at_once(text), @"
    0 never-awaited (warning, proven): WebSocketResponse.ping() was called and never awaited, in keepalive() at app.py:31 and 1 other place
      created keepalive app.py:31: dropped without `await`, as Python has warned
      created close app.py:47: dropped without `await`, as Python has warned
      try write `await WebSocketResponse.ping(…)`, or start it with `asyncio.create_task(…)`
    1 never-awaited (warning, proven): job() was called and never awaited, in Handle._run() at events.py:80
      created Handle._run events.py:80: dropped without `await`, as Python has warned
      try write `await job(…)`, or start it with `asyncio.create_task(…)`
    ");
    assert_eq!(at_once("dropped refresh lib renew client.py:9\n"), "healthy");
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
    assert_snapshot!(after_two_seconds(text), @"
    0 never-awaited (warning, proven): 1 coroutine of ping() was never awaited
      defined ping ws.py:5: never started
      try write `await ping(…)`, or start it with `asyncio.create_task(…)`
      try run with `python -X dev` or tracing on, to see where they are created
    1 never-awaited (warning, proven): 2 coroutines of register(), created in register_routes() at app.py:26, were never awaited; app['pending'] still refers to them
      defined ×2 register app.py:22: never started
      created register_routes app.py:26: created
      try write `await register(…)`, or start it with `asyncio.create_task(…)`
    ");
    let guessed = text.replace(" origin", " text");
    assert!(after_two_seconds(&guessed).contains("probably created in register_routes() at app.py:26,"));
    assert_eq!(at_once(text), "healthy");
    assert_eq!(changed("unstarted fetch app.py:3\n", "unstarted other app.py:9\n"), "healthy");
}

#[test]
fn coroutines_that_wait_for_their_turn() {
    // One of them had its turn meanwhile: the others lie in a queue.
    let queued = |n| "unstarted step app.py:3\n".repeat(n);
    assert_eq!(changed(&queued(3), &queued(2)), "healthy");
    // None had, but one is at work.
    let working =
        format!("{}task worker\n  worker app.py:9\n  step app.py:4\n  waits sleep timer 100\n", queued(2));
    let said = after_two_seconds(&working);
    assert!(said.starts_with("0 never-awaited (warning, suspected): 2 coroutines of step()"), "{said}");
    // Who works can see what keeps them.
    let in_turn = working.replace("app.py:3", "app.py:3 kept \"list `steps` of worker()\" waits-its-turn");
    assert_eq!(after_two_seconds(&in_turn), "healthy");
    // Those that went were dropped, as Python has warned.
    let dropped = format!("{}dropped step feed app.py:20\n", queued(2));
    assert!(changed(&queued(3), &dropped).contains("2 coroutines of step() were never awaited"));
    // All had, and others lie where they lay.
    let [mut then, now] = ["", "process 1 at 2\n"].map(|at| snapshot(&format!("{at}{}", queued(2))));
    then.coroutines.iter_mut().for_each(|coroutine| coroutine.arguments = 1);
    assert_eq!(told(&run(&[&then, &now], &Config::default())), "healthy");
}
