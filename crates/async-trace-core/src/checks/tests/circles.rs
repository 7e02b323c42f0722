//! `deadlock`.

use super::{after_two_seconds, at_once, changed};
use insta::assert_snapshot;

const TWO_LOCKS: &str = "
lock connect
lock token
task refresh-loop
  Stream.refresh_loop stream.py:38
  holds token taken 37 as self._token_lock
  Stream._do_refresh stream.py:32
  std Lock.acquire asyncio/locks.py:99
  waits acquire connect as self._connect_lock
task reconnect
  Stream.reconnect stream.py:44
  holds connect taken 42
  std Lock.acquire asyncio/locks.py:99
  waits acquire token as self._token_lock
task publish x2
  Stream.publish stream.py:49
  waits acquire connect as self._connect_lock
task main
  main stream.py:60
  waits task_group tasks refresh-loop reconnect publish-1 publish-2
";

#[test]
fn two_locks_in_opposite_order() {
    assert_snapshot!(after_two_seconds(TWO_LOCKS), @"
    0 deadlock (error, proven): task refresh-loop holds Lock `self._token_lock` and waits for Lock `self._connect_lock` in Stream._do_refresh() at stream.py:32; task reconnect holds Lock `self._connect_lock` and waits for Lock `self._token_lock` in Stream.reconnect() at stream.py:44
      holds task refresh-loop Stream.refresh_loop stream.py:38: holds Lock `self._token_lock`, taken at line 37
      waits task refresh-loop Stream._do_refresh stream.py:32: waits for Lock `self._connect_lock`
      holds task reconnect Stream.reconnect stream.py:44: holds Lock `self._connect_lock`, taken at line 42
      waits task reconnect Stream.reconnect stream.py:44: waits for Lock `self._token_lock`
      => 2 [publish-1 publish-2] waits for Lock `self._connect_lock` in Stream.publish stream.py:49
      => 1 [main] waits for 4 tasks in main stream.py:60
      try take these locks in the same order everywhere, or replace them by one
    ");
}

#[test]
fn one_look_at_a_paused_process_is_proof() {
    assert!(at_once(TWO_LOCKS).contains("proven"));
    assert!(at_once(&format!("process 1 running\n{TWO_LOCKS}")).contains("suspected"));
}

#[test]
fn a_cycle_that_was_not_there_before_is_only_suspected() {
    let then = TWO_LOCKS.replace("stream.py:44", "stream.py:43");
    assert!(changed(&then, TWO_LOCKS).contains("suspected"));
}

#[test]
fn a_guess_must_have_lasted() {
    let guessed = TWO_LOCKS.replace("holds connect taken 42", "holds connect guessed");
    assert!(after_two_seconds(&guessed).contains("deadlock (error, suspected)"));
    let then = guessed.replace("stream.py:44", "stream.py:43");
    assert_snapshot!(changed(&then, &guessed), @"healthy");
}

#[test]
fn a_timeout_that_fires_soon_ends_it() {
    assert_eq!(after_two_seconds(&TWO_LOCKS.replace("connect as", "connect timeout 5 as")), "healthy");
    assert!(at_once(&TWO_LOCKS.replace("connect as", "connect timeout 600 as")).contains("deadlock"));
}

#[test]
fn the_same_lock_twice() {
    assert_snapshot!(at_once("
lock a
task Task-7
  Account.pay bank.py:20
  holds a taken 19 as self.lock
  Account.balance bank.py:30
  waits acquire a as self.lock
task Task-8
  Account.pay bank.py:19
  waits acquire a as self.lock
"), @"
    0 deadlock (error, proven): task Task-7 waits in Account.balance() at bank.py:30 for Lock `self.lock`, which it holds itself
      holds task Task-7 Account.pay bank.py:20: holds Lock `self.lock`, taken at line 19
      waits task Task-7 Account.balance bank.py:30: waits for Lock `self.lock`
      => 1 [Task-8] waits for Lock `self.lock` in Account.pay bank.py:19
      try an asyncio.Lock cannot be taken twice: split the inner part into a function that expects the lock to be held
    ");
}

#[test]
fn many_alike_are_one_finding() {
    let mut text = String::new();
    for n in 0..50 {
        text.push_str(&format!(
            "lock l{n} as self.lock\ntask t{n}\n  pay bank.py:20\n  holds l{n}\n  balance bank.py:30\n  waits acquire l{n}\n"
        ));
    }
    let told = at_once(&text);
    assert!(told.starts_with("0 deadlock (error, proven) ×50: task t0 waits"), "{told}");
    assert!(!told.contains("\n1 "));
}

#[test]
fn a_ring_of_five() {
    let mut text = String::new();
    for n in 0..5 {
        text.push_str(&format!("lock fork-{n}\n"));
    }
    for n in 0..5 {
        let next = (n + 1) % 5;
        text.push_str(&format!(
            "task eater-{n}\n  eat table.py:9\n  holds fork-{n} taken 8 as left\n  waits acquire fork-{next} as right\n"
        ));
    }
    assert_snapshot!(at_once(&text), @"
    0 deadlock (error, proven): 5 tasks or threads wait for each other in a circle: task eater-0, task eater-1, task eater-2, task eater-3 and 1 more
      holds task eater-0 eat table.py:9: holds Lock `left`, taken at line 8
      waits task eater-0 eat table.py:9: waits for Lock `right`
      holds task eater-1 eat table.py:9: holds Lock `left`, taken at line 8
      waits task eater-1 eat table.py:9: waits for Lock `right`
      holds task eater-2 eat table.py:9: holds Lock `left`, taken at line 8
      waits task eater-2 eat table.py:9: waits for Lock `right`
      holds task eater-3 eat table.py:9: holds Lock `left`, taken at line 8
      waits task eater-3 eat table.py:9: waits for Lock `right`
      holds task eater-4 eat table.py:9: holds Lock `left`, taken at line 8
      waits task eater-4 eat table.py:9: waits for Lock `right`
      try take these locks in the same order everywhere, or replace them by one
    ");
}

#[test]
fn tasks_that_await_each_other() {
    assert_snapshot!(at_once("
task a
  first app.py:3
  waits await task b
task b
  second app.py:7
  waits gather tasks a c done 1
task c
  third app.py:9
  waits sleep timer 1
"), @"
    0 deadlock (error, proven): task a waits for task b in first() at app.py:3; task b waits for 2 tasks (1 is done) in second() at app.py:7
      waits task a first app.py:3: waits for task b
      waits task b second app.py:7: waits for 2 tasks (1 is done)
      try do not let tasks await each other in a circle
    ");
}

const POOL: &str = "
pool db 3/3 as app.state.pool
task order x3
  RequestResponseCycle.run_asgi /venv/lib/python3.11/site-packages/uvicorn/h11_impl.py:403
  load_order orders.py:33
  holds db taken 31
  load_lines orders.py:26
  lib PoolAcquireContext.__aenter__ asyncpg/pool.py:1014
  waits acquire db
task late x2
  RequestResponseCycle.run_asgi /venv/lib/python3.11/site-packages/uvicorn/h11_impl.py:403
  load_order orders.py:31
  waits acquire db
task heartbeat
  heartbeat orders.py:39
  waits sleep timer 0.1
";

#[test]
fn all_connections_of_a_pool() {
    assert_snapshot!(after_two_seconds(POOL), @"
    0 deadlock (error, proven): 3 tasks each hold 1 of 3 slots of asyncpg Pool `app.state.pool` in load_order() at orders.py:33 and wait for one more in load_lines() at orders.py:26
      holds ×3 task order-1 load_order orders.py:33: holds asyncpg Pool `app.state.pool`, taken at line 31
      waits ×3 task order-1 load_lines orders.py:26: waits for asyncpg Pool `app.state.pool`
      => 2 [late-1 late-2] waits for asyncpg Pool `app.state.pool` in load_order orders.py:31
      try pass the connection or slot that is held on to the inner call, instead of taking a second one
    ");
}

#[test]
fn one_holder_that_works_frees_a_connection() {
    let text = POOL.replace("task order x3", "task order x2").replace(
        "task heartbeat",
        "task query\n  holds db\n  run orders.py:50\n  waits read tcp 9\ntask heartbeat",
    );
    assert!(!at_once(&text).contains("deadlock"));
}

#[test]
fn a_holder_who_is_not_known_may_free_a_connection() {
    assert!(!at_once(&POOL.replace("db 3/3", "db 4/4")).contains("deadlock"));
}

#[test]
fn a_queue_inside_a_pool_stands_for_the_pool() {
    let text = POOL
        .replace("pool db 3/3", "pool db 3/3 type asyncpg.pool.Pool")
        .replace("task order", "queue holders within db\ntask order");
    let text = text.replace("waits acquire db", "waits get holders within db");
    assert!(
        at_once(&text).contains("3 tasks each hold 1 of 3 slots of asyncpg Pool `app.state.pool`"),
        "{}",
        at_once(&text)
    );
}

#[test]
fn a_semaphore_of_unknown_size_is_only_suspected() {
    let text = POOL.replace("pool db 3/3", "semaphore db locked");
    assert!(after_two_seconds(&text).contains("deadlock (error, suspected)"));
    assert_eq!(at_once(&text), "healthy");
}

const QUEUE: &str = "
queue frontier 4/4 unfinished 7 frames-reached
  user task worker-1 worker crawl.py:30
  user task worker-2 worker crawl.py:30
  user task worker-3 worker crawl.py:30
  user task main main crawl.py:44
task worker x3
  worker crawl.py:30
  crawl_page crawl.py:24
  std Queue.put asyncio/queues.py:130
  waits put frontier
task main
  main crawl.py:44
  waits join frontier
";

#[test]
fn workers_that_feed_the_queue_they_drain() {
    assert_snapshot!(after_two_seconds(QUEUE), @"
    0 deadlock (error, suspected): 3 tasks wait in put() on the full Queue `frontier` (4 of 4) in crawl_page() at crawl.py:24, and only they could take from it
      waits ×3 task worker-1 crawl_page crawl.py:24: waits in put() of Queue `frontier`
      => 1 [main] waits in join() of Queue `frontier` in main crawl.py:44
      ? who can take from the queue was not read: no other task is left that could
      try let those who take from the queue never wait for room in it: an unbounded queue, put_nowait, or separate tasks for putting
    ");
}

#[test]
fn a_consumer_at_work_drains_the_queue() {
    let text = QUEUE.replace("  user task main", "  user task other other crawl.py:70\n  user task main");
    let text = format!("{text}task other\n  other crawl.py:70\n  waits read tcp 9\n");
    assert_eq!(after_two_seconds(&text), "healthy");
    let getter = QUEUE.replace("frames-reached", "frames-reached getters 1");
    assert_eq!(after_two_seconds(&getter), "healthy");
}

#[test]
fn without_a_look_at_who_reaches_a_queue_anybody_might_take_from_it() {
    let unread: String = QUEUE.lines().filter(|l| !l.contains("user task")).collect::<Vec<_>>().join("\n");
    let unread = unread.replace(" frames-reached", "");
    assert!(after_two_seconds(&unread).contains("deadlock (error, suspected): 3 tasks wait in put()"));
    let beat = format!("{unread}\ntask beat\n  beat crawl.py:70\n  waits sleep timer 1\n");
    assert_eq!(after_two_seconds(&beat), "healthy");
    let thread = format!("{unread}\nthread 9 feeder\n  feed crawl.py:80\n");
    assert_eq!(after_two_seconds(&thread), "healthy");
    let moved = unread.replace("crawl.py:24", "crawl.py:25");
    assert_eq!(changed(&moved, &unread), "healthy");
}

const HOME_MADE: &str = "
queue free 0/0 as self._free
task request x2
  load_order shop.py:32
  in Pool.acquire
  load_lines shop.py:25
  std _AsyncGeneratorContextManager.__aenter__ contextlib.py:210
  agen Pool.acquire pool.py:17
  std Queue.get asyncio/queues.py:158
  waits get free
task late
  load_order shop.py:30
  std _AsyncGeneratorContextManager.__aenter__ contextlib.py:210
  agen Pool.acquire pool.py:17
  std Queue.get asyncio/queues.py:158
  waits get free
";

#[test]
fn a_home_made_pool() {
    assert_snapshot!(after_two_seconds(HOME_MADE), @"
    0 deadlock (error, suspected): 2 tasks each hold a slot of Queue `self._free` in load_order() at shop.py:32 and wait for one more in Pool.acquire() at pool.py:17
      holds ×2 task request-1 load_order shop.py:32: holds Queue `self._free`
      waits ×2 task request-1 Pool.acquire pool.py:17: waits in get() of Queue `self._free`
      => 1 [late] waits in get() of Queue `self._free` in Pool.acquire pool.py:17
      ? not every holder could be read from memory; some are inferred from code
      try pass the connection or slot that is held on to the inner call, instead of taking a second one
    ");
    // Somebody who works gives a connection back.
    let working = format!("{HOME_MADE}task query\n  run shop.py:50\n  in Pool.acquire\n  waits read tcp 9\n");
    assert!(!after_two_seconds(&working).contains("deadlock"));
    assert!(after_two_seconds(&working).contains("pool-exhausted (error, suspected)"));
    assert_eq!(changed(&working.replace("shop.py:50", "shop.py:51"), &working), "healthy");
}

#[test]
fn a_job_that_waits_for_a_job_of_the_same_executor() {
    assert_snapshot!(at_once("
executor pool 1/1 busy 1 unfinished 1
thread 4711 MainThread loop main
  std EpollSelector.select selectors.py:468
loop main idle executor pool
thread 4712 worker-0 job convert for outer on pool
  convert img.py:12
  waits await job resize queued 0 on pool
task outer
  outer img.py:20
  waits call job convert thread 4712 on pool
"), @"
    0 deadlock (error, proven): thread worker-0 waits in convert() at img.py:12 for a job that is queued in ThreadPoolExecutor `pool`, its own executor
      blocked thread worker-0 convert img.py:12: waits for resize(), which no thread has begun, blocking its thread
      => 1 [outer] waits for convert() in thread worker-0 in outer img.py:20
      try do not wait in a job of an executor for another job of the same executor
    ");
}

#[test]
fn a_coroutine_waited_for_on_the_loop_s_own_thread() {
    assert_snapshot!(after_two_seconds("
loop main busy turn 9 ready 3
thread 4711 MainThread loop main task handler sleeping syscall futex
  std run asyncio/runners.py:190
  async handler app.py:30
  get_user app.py:12
  std Future.result concurrent/futures/_base.py:451
  waits await task fetch
task handler running
  handler app.py:30
task fetch ready
  fetch app.py:40
task other
  other app.py:50
  waits sleep timer 1
"), @"
    0 deadlock (error, proven): task handler, which blocks the event loop's thread, waits for task fetch in get_user() at app.py:12; task fetch is in fetch() at app.py:40 and can go on only when that thread runs its loop
      blocked task handler thread MainThread get_user app.py:12: waits for task fetch, blocking its thread
      waits task fetch fetch app.py:40: is ready to run
      => 1 [other] sleeps for another 1.0 s in other app.py:50
      try do not wait synchronously on the event loop's thread for what the loop itself must do: `await` it
    1 blocked-loop (error, proven, caused by finding 0): the event loop of thread MainThread has been blocked for 9.0 s waiting for a result in get_user() at app.py:12, inside of Future.result() of concurrent.futures, called by handler() at app.py:30 (task handler); it waits for task fetch, which only this loop could run: deadlock
      blocked task handler thread MainThread get_user app.py:12: blocks the loop's thread waiting for a result
      caller task handler handler app.py:30: the async function that called it
      => 2 [fetch other] stand still with the loop; 3 callbacks ready to run
      try do not wait synchronously on the loop's thread: `await asyncio.wrap_future(…)`, or `await` the coroutine itself
    ");
}

#[test]
fn a_lock_whose_holder_has_ended() {
    assert_snapshot!(at_once("
lock a
  held task gone work job.py:7 taken 6
task gone raised ValueError
task next
  work job.py:20
  waits acquire a as self.lock
task last
  main job.py:40
  waits await task next
"), @"
    0 deadlock (error, proven): 1 task waits for Lock `self.lock`, which was taken in work() at job.py:7 and never released: its holder is gone
      waits task next work job.py:20: waits for Lock `self.lock`
      holds task gone work job.py:7: holds Lock `self.lock`, taken at line 6
      => 1 [last] waits for task next in main job.py:40
      try take the lock with `async with`, so that every way out of the block releases it
    ");
}

#[test]
fn a_lock_that_nobody_was_found_to_hold() {
    let text = "
lock a locked
task next
  work job.py:20
  waits acquire a as self.lock
";
    assert_snapshot!(after_two_seconds(text), @"
    0 deadlock (error, suspected): 1 task has waited for at least 2.0 s for Lock `self.lock`, which is taken although nobody was found who holds it
      waits task next work job.py:20: waits for Lock `self.lock`
      ? a holder that took it without `with`, and keeps it out of sight, is not found
      try take the lock with `async with`, so that every way out of the block releases it
    ");
    assert_eq!(at_once(text), "healthy");
    let moved = text.replace("job.py:20", "job.py:19");
    assert_eq!(changed(&moved, text), "healthy");
}

#[test]
fn the_first_of_several_is_enough() {
    let text = "
task a
  first app.py:3
  waits wait tasks b c any
task b
  second app.py:7
  waits await task a
task c
  third app.py:9
  waits read tcp 3
";
    assert_eq!(at_once(text), "healthy");
    assert!(at_once(&text.replace("waits read tcp 3", "waits await task a")).contains("deadlock"));
}

#[test]
fn a_coroutine_that_the_loop_has_not_begun_is_waited_for_on_its_thread() {
    let text = "
loop main busy turn 3.0 ready 1
thread 4711 MainThread loop main task Task-1 sleeping syscall futex
  std Handle._run asyncio/events.py:80
  async handle app.py:15
  Cache.get app.py:12
  std Future.result concurrent/futures/_base.py:451
  waits wait job lookup on loop main
task Task-1 running
  handle app.py:15
";
    let told = after_two_seconds(text);
    assert!(told.starts_with("0 deadlock (error, proven): task Task-1, which blocks the event loop's thread, waits for the event loop to begin lookup() in Cache.get() at app.py:12\n"), "{told}");
    assert!(told.contains("1 blocked-loop (error, proven, caused by finding 0)"), "{told}");
    assert!(
        told.contains(
            "it waits for the event loop to begin lookup(), which only this loop could run: deadlock\n"
        ),
        "{told}"
    );
    // Another thread may wait for it as long as the loop goes on.
    let from_outside = "
loop main idle
thread 4711 MainThread loop main sleeping syscall epoll_wait
  std BaseEventLoop._run_once asyncio/base_events.py:1960
  std EpollSelector.select selectors.py:468
thread 4712 worker sleeping syscall futex
  work app.py:12
  std Future.result concurrent/futures/_base.py:451
  waits wait job lookup on loop main
";
    assert_eq!(after_two_seconds(from_outside), "healthy");
}

/// A transaction that is open while its task waits for a lock, whose holder waits for the same database.
const ROWS: &str = "
lock stock locked
task settle
  settle pay.py:10
    in asyncpg.transaction.Transaction
  std Lock.acquire asyncio/locks.py:99
  waits acquire stock
task pay
  pay pay.py:15
  holds stock taken 14
  lib Connection.execute site-packages/asyncpg/connection.py:350
  waits await tcp 8 10.0.0.1:40000 10.0.0.2:5432 ESTABLISHED
";

#[test]
fn a_transaction_that_waits_for_whoever_waits_for_it() {
    assert_snapshot!(after_two_seconds(ROWS), @"
    0 deadlock (error, suspected): task settle keeps asyncpg Transaction open in settle() at pay.py:10, where it waits for Lock `stock`, in the end for task pay, which waits for tcp socket 10.0.0.2:5432 (fd 8) in pay() at pay.py:15: probably for what this transaction has locked
      holds task settle settle pay.py:10: keeps asyncpg Transaction open, which may have locked what is asked for; it waits for Lock `stock`
      holds task pay pay pay.py:15: holds Lock `stock`, taken at line 14
      waits task pay pay pay.py:15: waits for tcp socket 10.0.0.2:5432 (fd 8)
      ? what a transaction has locked is known to the database only
      try do not wait for other tasks inside of a transaction: end it first, or take their lock before it
      try ask the database who waits for whom: PostgreSQL's pg_stat_activity and pg_blocking_pids(), for one
    ");
    // Without a transaction, or where the call goes elsewhere, it is a lock that is held for long.
    for other in [
        ROWS.replace("    in asyncpg.transaction.Transaction\n", ""),
        ROWS.replace("asyncpg.transaction.Transaction", "psycopg.transaction.AsyncTransaction"),
        ROWS.replace("asyncpg.transaction.Transaction", "aiohttp.client.ClientSession"),
    ] {
        assert!(after_two_seconds(&other).starts_with("0 stuck-task"), "{other}");
    }
    // A transaction that is at work will be done.
    let works = "  lib Connection.execute site-packages/asyncpg/connection.py:350\n  waits await tcp 9 10.0.0.1:40001 10.0.0.2:5432 ESTABLISHED\n";
    let works = ROWS.replace("  std Lock.acquire asyncio/locks.py:99\n  waits acquire stock\n", works);
    assert_eq!(after_two_seconds(&works), "healthy");
}

#[test]
fn a_lock_that_a_suspended_generator_has() {
    let text = "
lock stock locked
task main
  main app.py:19
  holds stock guessed through rows app.py:8
  waits await tasks second
task second
  second app.py:14
  rows app.py:6
  std Lock.acquire asyncio/locks.py:99
  waits acquire stock
";
    assert_snapshot!(after_two_seconds(text), @"
    0 deadlock (error, suspected): task main holds Lock `stock` and waits for task second in main() at app.py:19; task second waits for Lock `stock` in rows() at app.py:6
      holds task main rows app.py:8: holds Lock `stock`, by way of a generator that is suspended there
      waits task main main app.py:19: waits for task second
      waits task second rows app.py:6: waits for Lock `stock`
      ? not every holder could be read from memory; some are inferred from code
      try a generator has what its `with` blocks took for as long as it is suspended: close it when done, by `contextlib.aclosing(…)`, or do not `yield` inside of such a block
    ");
    assert_eq!(
        after_two_seconds(&text.replace("waits await tasks second", "waits sleep timer 3")),
        "healthy"
    );
}
