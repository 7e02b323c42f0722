//! `blocked-loop`, `executor-starved`, `lost-wakeup`.

use super::{after_two_seconds, at_once, changed};
use insta::assert_snapshot;

const SLEEPS: &str = "
loop main busy turn 3.4 ready 12
thread 4711 MainThread loop main task checkout-7 sleeping syscall clock_nanosleep cpu 1.5
  <module> shop.py:60
  std run asyncio/runners.py:190
  std Handle._run asyncio/events.py:80
  async checkout shop.py:20
  charge_card shop.py:12
task checkout-7 running
  checkout shop.py:20
task heartbeat x3
  heartbeat shop.py:30
  waits sleep timer -2.4
";

#[test]
fn time_sleep_in_a_handler() {
    assert_snapshot!(at_once(SLEEPS), @"
    0 blocked-loop (error, proven): the event loop of thread MainThread has been blocked for 3.4 s sleeping in charge_card() at shop.py:12, called by checkout() at shop.py:20 (task checkout-7)
      blocked task checkout-7 thread MainThread charge_card shop.py:12: blocks the loop's thread sleeping
      caller task checkout-7 checkout shop.py:20: the async function that called it
      => 3 [heartbeat-1 heartbeat-2 heartbeat-3] stand still with the loop; 12 callbacks ready to run
      try use `await asyncio.sleep(…)`
    ");
}

#[test]
fn a_short_turn_is_work() {
    assert_eq!(at_once(&SLEEPS.replace("turn 3.4", "turn 0.2")), "healthy");
    assert_eq!(after_two_seconds(&SLEEPS.replace("turn 3.4", "turn 0.2")), "healthy");
}

#[test]
fn without_a_measure_of_the_turn_time_tells() {
    let text = SLEEPS.replace("turn 3.4 ", "").replace("timer -2.4", "timer 5");
    assert_eq!(at_once(&text), "healthy");
    assert!(after_two_seconds(&text).contains(
        "blocked-loop (error, proven): the event loop of thread MainThread has been blocked for 2.0 s"
    ));
    let moved = text.replace("checkout shop.py:20", "checkout shop.py:19");
    assert_eq!(changed(&moved, &text), "healthy");
}

#[test]
fn an_overdue_timer_tells_too() {
    let text = SLEEPS.replace("turn 3.4 ", "next -2.4 ");
    assert!(at_once(&text).contains("blocked for 2.4 s"));
}

#[test]
fn a_task_that_spins_gives_way() {
    let spins = "
loop main busy ready 1 turn 0.0
thread 4711 MainThread loop main task spin running
  async spin app.py:4
task spin running
  spin app.py:4
";
    assert_eq!(after_two_seconds(spins), "healthy");
    assert_eq!(after_two_seconds(&spins.replace(" turn 0.0", "")), "healthy");
}

#[test]
fn a_socket_read_by_a_synchronous_client() {
    assert_snapshot!(after_two_seconds("
loop main busy turn 4
thread 4711 MainThread loop main task Task-9 sleeping syscall recvfrom tcp 9 127.0.0.1:50000 127.0.0.1:8080 ESTABLISHED
  std Handle._run asyncio/events.py:80
  async model_health app.py:28
  check_connectivity app.py:23
  lib get requests/api.py:73
  std SocketIO.readinto socket.py:706
task Task-9 running
  model_health app.py:28
"), @"
    0 blocked-loop (error, proven): the event loop of thread MainThread has been blocked for 4.0 s reading from tcp socket 127.0.0.1:8080 (fd 9) in check_connectivity() at app.py:23, inside of get() of requests, called by model_health() at app.py:28 (task Task-9)
      blocked task Task-9 thread MainThread check_connectivity app.py:23: blocks the loop's thread reading from tcp socket 127.0.0.1:8080 (fd 9)
      caller task Task-9 model_health app.py:28: the async function that called it
      try use an asynchronous client (aiohttp, httpx.AsyncClient, asyncpg, …), or `await asyncio.to_thread(…)`
    ");
}

#[test]
fn a_threading_lock_across_an_await() {
    assert_snapshot!(after_two_seconds("
thread-lock a
loop main busy turn 3
thread 4711 MainThread loop main task second sleeping syscall futex
  std Handle._run asyncio/events.py:80
  async TokenCache.get_token api.py:28
  waits acquire a as self._lock
task second running
  call_api api.py:35
  TokenCache.get_token api.py:28
task first
  call_api api.py:35
  TokenCache.get_token api.py:30
  holds a taken 28
  lib ClientSession._request aiohttp/client.py:700
  waits read tcp 9
task main
  main api.py:45
  waits gather tasks first second
"), @"
    0 deadlock (error, proven): task second, which blocks the event loop's thread, waits for threading.Lock `self._lock` in TokenCache.get_token() at api.py:28; task first holds threading.Lock `self._lock` in TokenCache.get_token() at api.py:30 and can go on only when that thread runs its loop
      blocked task second thread MainThread TokenCache.get_token api.py:28: waits for threading.Lock `self._lock`, blocking its thread
      holds task first TokenCache.get_token api.py:30: holds threading.Lock `self._lock`, taken at line 28
      waits task first TokenCache.get_token api.py:30: reads from tcp socket (fd 9)
      => 1 [main] waits for 2 tasks in main api.py:45
      try do not hold a threading lock across an `await`: use asyncio.Lock, or release it before
    1 blocked-loop (error, proven, caused by finding 0): the event loop of thread MainThread has been blocked for 3.0 s waiting for a lock in TokenCache.get_token() at api.py:28 (task second); threading.Lock `self._lock` is held by suspended task first in TokenCache.get_token() at api.py:30, which can only go on when the loop runs: deadlock
      blocked task second thread MainThread TokenCache.get_token api.py:28: blocks the loop's thread waiting for a lock
      caller task second TokenCache.get_token api.py:28: the async function that called it
      holds task first TokenCache.get_token api.py:30: holds threading.Lock `self._lock`, taken at line 28
      => 2 [first main] stand still with the loop
      try do not wait for a threading lock on the loop's thread: use asyncio.Lock, and never hold a threading lock across an `await`
    ");
}

#[test]
fn another_thread_that_does_not_let_go_of_the_gil() {
    assert_snapshot!(after_two_seconds("
loop main idle
thread 4711 MainThread loop main waits-for-gil syscall futex
  std EpollSelector.select selectors.py:468
thread 4712 cruncher running gil cpu 9
  crunch native.py:8
task a
  a app.py:1
  waits sleep timer 1
"), @"
    0 blocked-loop (error, proven): the event loop of thread MainThread has been blocked for 2.0 s waiting for the GIL in EpollSelector.select() at selectors.py:468; thread cruncher holds it all the time, computing in crunch() at native.py:8
      blocked thread MainThread EpollSelector.select selectors.py:468: blocks the loop's thread waiting for the GIL
      works thread cruncher crunch native.py:8: holds the GIL
      => 1 [a] stands still with the loop
      try the other thread runs native code that does not release the GIL: run it in another process
    ");
}

#[test]
fn a_regular_expression() {
    let text = "
loop main busy turn 8
thread 4711 MainThread loop main task t running cpu 9
  async validate app.py:12 | return PATTERN.match(text)
task t running
  validate app.py:12
";
    assert!(after_two_seconds(text).contains("matching a regular expression in validate()"));
}

#[test]
fn an_idle_loop_is_not_blocked() {
    assert_eq!(
        after_two_seconds(
            "
loop main idle next 5
thread 4711 MainThread loop main sleeping syscall epoll_wait
  std EpollSelector.select selectors.py:468
task a
  a app.py:1
  waits sleep timer 5
"
        ),
        "healthy"
    );
}

const STARVED: &str = "
executor pool 4/4 busy 4 unfinished 5
loop main idle executor pool
thread 4711 MainThread loop main
  std EpollSelector.select selectors.py:468
thread 1 default_0 job render_pdf for export-1 on pool
  render_pdf app.py:23
thread 2 default_1 job render_pdf for export-2 on pool
  render_pdf app.py:23
thread 3 default_2 job render_pdf for export-3 on pool
  render_pdf app.py:23
thread 4 default_3 job render_pdf for export-4 on pool
  render_pdf app.py:23
task export x4
  export app.py:27
  waits call job render_pdf thread 1 on pool
task late x4
  export app.py:27
  waits call job render_pdf queued 0 on pool
task webhook
  notify app.py:34
  lib ThreadedResolver.resolve aiohttp/resolver.py:40
  waits call job getaddrinfo queued 4 on pool
task main
  main app.py:50
  waits task_group tasks export-1 late-1 webhook
";

#[test]
fn all_threads_of_the_default_executor_are_busy() {
    assert_snapshot!(after_two_seconds(STARVED), @"
    0 executor-starved (error, proven): task webhook waits in notify() at app.py:34 for a job that is queued in the loop's default executor: all 4 threads have been busy for at least 2.0 s in render_pdf() at app.py:23, with 5 jobs behind them
      waits task webhook notify app.py:34: waits for getaddrinfo(), which no thread has begun
      resource: 4 of 4 threads busy, 5 jobs queued
      works ×4 task export-1 thread default_0 render_pdf app.py:23: keeps a thread of the executor busy
      => 4 [late-1 late-2 late-3 late-4] waits for render_pdf(), which no thread has begun in export app.py:27
      => 1 [main] waits for 3 tasks in main app.py:50
      try give slow jobs an executor of their own: `loop.run_in_executor(slow_jobs, …)`
      try or raise `max_workers`; getaddrinfo() and to_thread() share the default executor
    ");
}

#[test]
fn an_executor_that_takes_new_jobs_is_only_busy() {
    assert_eq!(at_once(STARVED), "healthy");
    let then =
        STARVED.replace("thread 3 default_2 job render_pdf for export-3 on pool", "thread 3 default_2");
    assert_eq!(changed(&then, STARVED), "healthy");
    assert_eq!(after_two_seconds(&STARVED.replace("pool 4/4", "pool 4/8")), "healthy");
}

const SLEEPY: &str = "
event connected set as device.connected
loop main idle ready 1
  ready wakeup wait-connected
thread 4711 MainThread loop main sleeping syscall epoll_wait
  std EpollSelector.select selectors.py:468
thread 4712 mqtt sleeping syscall poll
  Device.network device.py:80
task wait-connected ready
  wait_connected device.py:39
  waits wait connected
task main
  main device.py:50
  waits await task wait-connected
";

#[test]
fn a_loop_that_sleeps_on_its_work() {
    assert_snapshot!(after_two_seconds(SLEEPY), @"
    0 lost-wakeup (error, proven): the event loop of thread MainThread sleeps in its selector although 1 callback is ready to run (task wait-connected in wait_connected() at device.py:39): another thread scheduled it without call_soon_threadsafe()
      loop thread MainThread: asleep in its selector with 1 ready callback
      callback task wait-connected wait_connected device.py:39: wakeup() is scheduled and does not run
      works thread mqtt Device.network device.py:80: another thread, which may have scheduled it
      => 1 [main] waits for task wait-connected in main device.py:50
      try touch asyncio objects from other threads only by `loop.call_soon_threadsafe(…)` or `asyncio.run_coroutine_threadsafe(…)`
    ");
}

#[test]
fn a_loop_between_two_turns_is_awake() {
    assert_eq!(at_once(SLEEPY), "healthy");
    assert_eq!(
        changed(&SLEEPY.replace("  ready wakeup wait-connected\n", "  ready wakeup main\n"), SLEEPY),
        "healthy"
    );
}

#[test]
fn a_timer_set_from_another_thread() {
    assert!(after_two_seconds("
loop main idle next -5
task a
  a app.py:1
  waits sleep timer -5
").contains("lost-wakeup (error, proven): the event loop of thread MainThread sleeps in its selector although a timer was due 5.0 s ago"));
    assert_eq!(
        after_two_seconds("loop main idle next -0.01\ntask a\n  a app.py:1\n  waits sleep timer -0.01"),
        "healthy"
    );
}

#[test]
fn a_time_that_only_one_look_has_seen() {
    // A number that was freed while it was read says anything.
    assert_eq!(changed("loop main idle next 30", "loop main idle next -44340"), "healthy");
    assert_eq!(changed("loop main idle", "loop main idle next -44340"), "healthy");
    // A timer that another thread has set since the first look.
    assert!(
        changed("loop main idle next 30", "loop main idle next -1.9").contains("a timer was due 1.9 s ago")
    );
    let running = |next| {
        format!("loop main busy next {next}\nthread 4711 MainThread loop main running\n  work app.py:3")
    };
    assert_eq!(changed(&running("0.1"), &running("-44340")), "healthy");
}

#[test]
fn a_free_lock_with_waiters() {
    let text = "
lock a free
task b
  work app.py:9
  waits acquire a as self.lock
";
    assert_snapshot!(after_two_seconds(text), @"
    0 lost-wakeup (error, proven): 1 task has waited for at least 2.0 s in work() at app.py:9 for Lock `self.lock`, which has been free all the time: the wake-up was lost
      waits task b work app.py:9: waits for Lock `self.lock`
      try use asyncio's locks, events and queues from one loop and its thread only; other threads go through `loop.call_soon_threadsafe(…)`
    ");
    assert_eq!(at_once(text), "healthy");
    assert_eq!(changed(&text.replace("lock a free", "lock a locked"), text), "healthy");
}

const WAITS: &str = "
loop main busy turn 3.0
thread 4711 MainThread loop main task Task-7 sleeping syscall futex cpu 0.5
  std Handle._run asyncio/events.py:80
  async next_result app.py:20 | return results.get()
  std Queue.get queue.py:171
  std Condition.wait threading.py:355
task Task-7 running
  next_result app.py:20 | return results.get()
";

#[test]
fn what_a_loop_waits_for_is_told_by_the_function_that_was_called() {
    let told = at_once(WAITS);
    assert!(told.contains("waiting for another thread's queue in next_result() at app.py:20, inside of Queue.get() of queue (task Task-7)"), "{told}");
    let jobs = WAITS
        .replace("Queue.get queue.py:171", "wait concurrent/futures/_base.py:305")
        .replace("Condition.wait", "Event.wait");
    let told = at_once(&jobs);
    assert!(told.contains("waiting for jobs of an executor in next_result() at app.py:20, inside of wait() of concurrent.futures"), "{told}");
    let signal = WAITS.replace("  std Queue.get queue.py:171\n", "");
    let told = at_once(&signal);
    assert!(told.contains("waiting for a signal from another thread in"), "{told}");
}

const CHILD: &str = "
loop main busy turn 3.0
thread 4711 MainThread loop main task Task-7 sleeping syscall poll
  std BaseEventLoop._run_once asyncio/base_events.py:2000
  std Handle._run asyncio/events.py:80
  async thumbnail app.py:20 | subprocess.run(command, capture_output=True)
  std run subprocess.py:556
  std Popen._communicate subprocess.py:2128
  std _PollLikeSelector.select selectors.py:398
task Task-7 running
  thumbnail app.py:20
";

#[test]
fn who_runs_a_child_waits_in_a_selector_that_is_not_the_loop_s() {
    let told = at_once(CHILD);
    assert!(told.contains("blocked for 3.0 s waiting for a child process in thumbnail() at app.py:20, inside of run() of subprocess"), "{told}");
    let idle = "
loop main busy turn 3.0
thread 4711 MainThread loop main sleeping syscall epoll_wait
  std BaseEventLoop._run_once asyncio/base_events.py:1960
  std EpollSelector.select selectors.py:468
";
    assert_eq!(at_once(idle), "healthy");
}

#[test]
fn a_native_function_that_sleeps_is_not_asyncio_sleep() {
    let text = SLEEPS.replace("charge_card shop.py:12", "charge_card shop.py:12 | db.execute(INSERT, row)");
    let told = at_once(&text);
    assert!(told.contains("sleeping inside of a native function in charge_card()"), "{told}");
    assert!(!told.contains("asyncio.sleep"), "{told}");
    let told = at_once(&SLEEPS.replace("charge_card shop.py:12", "charge_card shop.py:12 | time.sleep(3)"));
    assert!(told.contains("blocked for 3.4 s sleeping in charge_card()"), "{told}");
}

#[test]
fn the_line_of_the_program_for_which_another_thread_has_a_library_s_lock() {
    let text = "
loop main busy turn 3.0
thread 4711 MainThread loop main task Task-7 sleeping syscall futex
  std Handle._run asyncio/events.py:80
  async handle app.py:14
  std Handler.handle logging/__init__.py:1025
  waits acquire handler-lock
thread 4712 exporter sleeping syscall write pipe 4
  export app.py:11
  std Handler.handle logging/__init__.py:1026
  holds handler-lock inferred
  std StreamHandler.flush logging/__init__.py:1136
  holds handler-lock inferred
task Task-7 running
  handle app.py:14
thread-lock handler-lock locked
  held thread 4712 std Handler.handle logging/__init__.py:1026 taken 1025
  held thread 4712 std StreamHandler.flush logging/__init__.py:1136 taken 1134
";
    let told = after_two_seconds(text);
    assert!(
        told.contains("is held by thread exporter in export() at app.py:11, in write() on pipe (fd 4)"),
        "{told}"
    );
    assert!(
        told.contains(
            "works thread exporter export app.py:11: has the lock meanwhile, in write() on pipe (fd 4)"
        ),
        "{told}"
    );
    assert_eq!(told.matches("holds thread exporter").count(), 1, "{told}");
}

#[test]
fn a_batch_of_jobs_takes_its_time() {
    let all = "export-1 export-2 export-3 export-4 late-1 late-2 late-3 late-4";
    let batch = STARVED.replace("export-1 late-1 webhook", all);
    let (before, _) = batch.split_once("task webhook").expect("a victim");
    let batch = format!("{before}task main\n  main app.py:50\n  waits task_group tasks {all}\n");
    assert_eq!(after_two_seconds(&batch), "healthy");
    // But not where a thread of it waits for another.
    let stuck = batch.replace(
        "job render_pdf for export-1 on pool",
        "sleeping syscall futex job render_pdf for export-1 on pool",
    );
    assert!(after_two_seconds(&stuck).contains("executor-starved"));
    // Nor where somebody else waits behind it.
    let others = batch.replace("late x4\n  export app.py:27", "late x4\n  show app.py:30");
    assert!(after_two_seconds(&others).contains("executor-starved"));
    // Nor where all of it waits for somebody who says nothing.
    let silent = |ms: u32| {
        let call = "sleeping syscall recvfrom tcp 9 10.0.0.1:50000 10.0.0.2:443 ESTABLISHED received 0";
        batch.replace(" job render_pdf for", &format!(" {call} {ms} sent 90 {ms} job render_pdf for"))
    };
    let told = after_two_seconds(&silent(34_000));
    assert!(told.contains("executor-starved (error, suspected)"), "{told}");
    assert!(
        told.contains("it waits for tcp socket 10.0.0.2:443 (fd 9), on which nothing was received for 34 s"),
        "{told}"
    );
    assert_eq!(after_two_seconds(&silent(6_000)), "healthy");
    let one_moves = silent(34_000).replacen("received 0 34000", "received 90 100", 1);
    assert_eq!(changed(&silent(34_000), &one_moves), "healthy");
}
