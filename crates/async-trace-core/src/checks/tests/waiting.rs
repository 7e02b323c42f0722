//! `pool-exhausted`, `queue-stuck`, `stuck-task`, `slow-call`, `shutdown-hang`.

use super::{after_two_seconds, at_once, changed};
use crate::fixture::snapshot;
use crate::snapshot::Detail;
use insta::assert_snapshot;

const ORPHAN: &str = "
pool db 1/1 as app.pool
task Task-9
  finalize_trace chat.py:25
  holds db taken 24
  lib Connection.execute asyncpg/connection.py:350
  waits read tcp 7 10.0.0.1:40000 10.0.0.2:5432 ESTABLISHED received 120 34000 sent 90 34100
task Task-12
  lib RequestHandler.start aiohttp/web_protocol.py:600
  list_chats chat.py:37
  waits acquire db
task Task-13
  lib RequestHandler.start aiohttp/web_protocol.py:600
  list_chats chat.py:37
  waits acquire db
";

#[test]
fn an_orphan_keeps_the_only_connection() {
    assert_snapshot!(after_two_seconds(ORPHAN), @"
    0 pool-exhausted (error, proven): 2 tasks have waited for at least 2.0 s in list_chats() at chat.py:37 for a slot of asyncpg Pool `app.pool`: its only slot is held by task Task-9 in finalize_trace() at chat.py:25, which nobody awaits
      waits ×2 task Task-12 list_chats chat.py:37: waits for asyncpg Pool `app.pool`
      resource: 1 of 1 connections, 2 waiters
      holds task Task-9 finalize_trace chat.py:25: holds asyncpg Pool `app.pool`, taken at line 24; it reads from tcp socket 10.0.0.2:5432 (fd 7), on which nothing was received for 34 s; nobody awaits it
      try bound what is done while the slot is held, by `asyncio.timeout(…)`
      try give the acquisition a timeout, so that waiting ends in an error that names the pool
    ");
}

#[test]
fn a_pool_whose_holders_change_is_in_use() {
    assert_eq!(at_once(ORPHAN), "healthy");
    assert_eq!(changed(&ORPHAN.replace("chat.py:25", "chat.py:26"), ORPHAN), "healthy");
    let other = ORPHAN.replace("task Task-9\n", "task Task-8\n");
    assert_eq!(changed(&other, ORPHAN), "healthy");
}

#[test]
fn connections_that_were_never_given_back() {
    let text = "
pool http 2/2 type httpcore.AsyncConnectionPool as client
event e1 unset within http
event e2 unset within http
task report-1
  report app.py:29
  lib AsyncConnectionPool.handle_async_request httpcore/pool.py:200
  waits acquire e1 within http
task report-2
  report app.py:29
  lib AsyncConnectionPool.handle_async_request httpcore/pool.py:200
  waits acquire e2 within http
task main
  main app.py:40
  waits task_group tasks report-1 report-2
";
    assert_snapshot!(after_two_seconds(text), @"
    0 pool-exhausted (error, suspected): 2 tasks have waited for at least 2.0 s in report() at app.py:29 for a slot of httpcore AsyncConnectionPool `client`: all 2 slots are taken, but nobody alive was found who would give one back
      waits ×2 task report-1 report app.py:29: waits for httpcore AsyncConnectionPool `client`
      resource: 2 of 2 connections, 2 waiters
      => 1 [main] waits for 2 tasks in main app.py:40
      ? a holder that took its slot without `with` is not found
      try find where a connection, response or slot is taken without `async with`, and is not closed on every way
      try give the acquisition a timeout, so that waiting ends in an error that names the pool
    ");
    assert_eq!(at_once(text), "healthy");
    let then = text.replace("task report-1\n", "task report-0\n").replace("tasks report-1", "tasks report-0");
    let then = then.replace(
        "task report-0\n",
        "task gone\n  report app.py:29\n  waits acquire e1 within http\ntask report-0\n",
    );
    assert!(!changed(&then, text).contains("pool-exhausted"));
}

#[test]
fn the_number_of_slots_may_stand_in_the_pool_s_own_fields() {
    let text = ORPHAN.replace("db 1/1", "db detail _maxsize 1 detail _generation 0");
    assert!(after_two_seconds(&text).contains("its only slot is held by task Task-9"));
    let larger = ORPHAN.replace("db 1/1", "db detail _maxsize 5");
    assert!(after_two_seconds(&larger).contains("(error, suspected)"));
}

#[test]
fn a_semaphore_that_nobody_releases() {
    assert_snapshot!(after_two_seconds("
semaphore slots 0/2 as self._slots
task download-1
  Downloader.download load.py:12
  holds slots taken 11
  Downloader.read_body load.py:16
  waits await future asyncio.Future 1
task download-2
  Downloader.download load.py:12
  holds slots taken 11
  Downloader.read_body load.py:16
  waits await future asyncio.Future 2
task late x5
  Downloader.download load.py:11
  waits acquire slots
"), @"
    0 pool-exhausted (error, proven): 5 tasks have waited for at least 2.0 s in Downloader.download() at load.py:11 for a slot of Semaphore `self._slots`: all 2 slots are held by 2 tasks, such as task download-1 in Downloader.download() at load.py:12
      waits ×5 task late-1 Downloader.download load.py:11: waits for Semaphore `self._slots`
      resource: 0 of 2 slots free, 5 waiters
      holds ×2 task download-1 Downloader.download load.py:12: holds Semaphore `self._slots`, taken at line 11; it waits for a Future; nobody awaits it
      try bound what is done while the slot is held, by `asyncio.timeout(…)`
      try give the acquisition a timeout, so that waiting ends in an error that names the pool
    ");
}

#[test]
fn waiters_that_give_up_soon_are_warned_of() {
    // SQLAlchemy's and psycopg's pools give up after 30 seconds, httpx's after 5: their errors tell nobody who has the slots.
    let text = ORPHAN.replace("waits acquire db", "waits acquire db timeout 10");
    let found = after_two_seconds(&text);
    assert!(found.contains("pool-exhausted (warning, proven)"), "{found}");
    assert!(found.contains("the first of them gives up in 10 s"), "{found}");
}

#[test]
fn a_slot_that_comes_back_by_itself_is_waited_for() {
    let with = |wait: &str| {
        after_two_seconds(&format!(
            "semaphore slots 0/1 as limit\ntask busy\n  fetch app.py:8\n  holds slots taken 7\n  waits {wait}\n\
             task late x5\n  fetch app.py:7\n  waits acquire slots\n"
        ))
    };
    assert_eq!(with("sleep timer 10"), "healthy");
    assert_eq!(with("read tcp 9 timeout 10"), "healthy");
    assert!(with("sleep timer 100").contains("pool-exhausted (error, proven)"));
}

#[test]
fn whoever_can_get_at_a_full_queue_may_take_from_it() {
    let with = |others: &str| {
        after_two_seconds(&format!(
            "queue jobs 2/2 unfinished 2 putters 1 frames-reached\n  user task producer produce app.py:9\n{others}\n\
             task producer\n  produce app.py:9\n  waits put jobs\ntask beat\n  beat app.py:30\n  waits sleep timer 100\n"
        ))
    };
    let consumer =
        "  user task consumer consume app.py:20\ntask consumer\n  consume app.py:20\n  waits sleep timer 9";
    assert_eq!(with(consumer), "healthy");
    // There are others, but not at this queue.
    assert!(with("").contains("queue-stuck (error, suspected)"));
    let joined = |others: &str| {
        after_two_seconds(&format!(
            "queue jobs 5/0 unfinished 5 frames-reached\n  user task main main app.py:9\n{others}\n\
             task main\n  main app.py:9\n  waits join jobs\ntask beat\n  beat app.py:30\n  waits sleep timer 100\n"
        ))
    };
    assert_eq!(joined(consumer), "healthy");
    assert!(joined("").contains("queue-stuck (error, suspected)"));
}

#[test]
fn a_full_queue_whose_consumer_has_died() {
    let text = "
queue jobs 10/10 unfinished 10
task producer x2
  produce app.py:9
  waits put jobs
task main
  main app.py:20
  waits gather tasks producer-1 producer-2 done 1
";
    assert_snapshot!(after_two_seconds(text), @"
    0 queue-stuck (error, suspected): 2 tasks have waited for at least 2.0 s in produce() at app.py:9 in put() on the full Queue `jobs`: nobody is left who would take from it
      waits ×2 task producer-1 produce app.py:9: waits in put() of Queue `jobs`
      resource: 10 of 10 items, 2 putters, 0 getters, 10 unfinished
      => 1 [main] waits for 2 tasks (1 is done) in main app.py:20
      ? who else can reach the queue was not read: no other task is left that could
      try find out why the task that takes from the queue has ended: it may have died of an exception
    ");
    assert_eq!(at_once(text), "healthy");
    // Somebody is at work on an item.
    let working = text.replace("unfinished 10", "unfinished 11");
    let working = format!("{working}task consumer\n  consume app.py:30\n  waits read tcp 9\n");
    assert_eq!(after_two_seconds(&working), "healthy");
    assert_eq!(changed(&text.replace("unfinished 10", "unfinished 9"), text), "healthy");
}

#[test]
fn a_join_without_task_done() {
    let text = "
queue jobs 0/0 unfinished 3
task worker x2
  worker app.py:9
  waits get jobs
task main
  main app.py:20
  waits join jobs
";
    assert_snapshot!(after_two_seconds(text), @"
    0 queue-stuck (error, suspected): task main has waited for at least 2.0 s in main() at app.py:20 in join() of Queue `jobs`: all who take from it are back at get(), but task_done() was not called for each item
      waits task main main app.py:20: waits in join() of Queue `jobs`
      resource: 0 items, 0 putters, 2 getters, 3 unfinished
      ? a task that would take from it may be busy elsewhere
      try call task_done() in a `finally` for each item taken, and keep the consumers alive until join() returns
    ");
    // A worker that works on the last item.
    let busy = format!("{text}task last\n  worker app.py:12\n  waits read tcp 7\n");
    assert_eq!(after_two_seconds(&busy), "healthy");
}

const CONVOY: &str = "
lock a
task holder
  refresh app.py:12
  holds a taken 11 as cache.lock
  lib Connection.fetch asyncpg/connection.py:690
  waits read tcp 7 10.0.0.1:40000 10.0.0.2:5432 ESTABLISHED received 120 34000 sent 90 34100
task request x500
  lib RequestHandler.start aiohttp/web_protocol.py:600
  show app.py:30
  waits acquire a as cache.lock
";

#[test]
fn five_hundred_requests_behind_one_lock() {
    assert_snapshot!(after_two_seconds(CONVOY), @"
    0 stuck-task (warning, proven): task holder, which nobody awaits, has held Lock `cache.lock` in refresh() at app.py:12 for at least 2.0 s, where it reads from tcp socket 10.0.0.2:5432 (fd 7), on which nothing was received for 34 s; 500 tasks wait for the lock in show() at app.py:30
      holds task holder refresh app.py:12: holds Lock `cache.lock`, taken at line 11
      waits task holder refresh app.py:12: reads from tcp socket 10.0.0.2:5432 (fd 7), on which nothing was received for 34 s
      waits ×500 task request-1 show app.py:30: waits for Lock `cache.lock`
      try do not wait for the network or another slow thing while holding a lock
      try or bound it by `asyncio.timeout(…)`
    ");
}

#[test]
fn a_lock_that_changes_hands_is_only_contended() {
    assert_eq!(at_once(CONVOY), "healthy");
    assert_eq!(changed(&CONVOY.replace("app.py:12", "app.py:13"), CONVOY), "healthy");
    // Sleeps again and again, 50 ms each, while it holds the lock.
    let naps = CONVOY.replace(
        "waits read tcp 7 10.0.0.1:40000 10.0.0.2:5432 ESTABLISHED received 120 34000 sent 90 34100",
        "waits sleep timer 0.03",
    );
    assert_eq!(changed(&naps.replace("timer 0.03", "timer 0.04"), &naps), "healthy");
}

#[test]
fn a_limit_to_the_rate_is_a_pause_inside_of_a_lock() {
    let pause = |s| {
        CONVOY.replace(
            "waits read tcp 7 10.0.0.1:40000 10.0.0.2:5432 ESTABLISHED received 120 34000 sent 90 34100",
            &format!("waits sleep timer {s}"),
        )
    };
    assert_eq!(after_two_seconds(&pause("2.7")), "healthy");
    // It is over, and the loop has not come to it yet; or its timer is not among those to come.
    assert_eq!(after_two_seconds(&pause("-0.2")), "healthy");
    assert_eq!(after_two_seconds(&pause("")), "healthy");
    assert!(after_two_seconds(&pause("3600")).contains("stuck-task"));
}

const DASHBOARD: &str = "
pool db 3/3
task Task-5
  lib RequestResponseCycle.run_asgi uvicorn/h11_impl.py:403
  dashboard app.py:58
  waits gather tasks section-customers done 2 timeout 580
task section-customers
  load_section app.py:39
  holds db taken 38 as conn
  top_customers app.py:34
  lib Connection.fetch asyncpg/connection.py:690
  lib Connection._execute asyncpg/connection.py:1864
  waits await unknown asyncpg.protocol.BaseProtocol
";

#[test]
fn a_query_that_does_not_come_back() {
    assert_snapshot!(after_two_seconds(DASHBOARD), @"
    0 slow-call (warning, suspected): task section-customers has waited for at least 2.0 s in top_customers() at app.py:34 in Connection.fetch(): it waits for an asyncpg BaseProtocol; meanwhile it keeps a slot of asyncpg Pool `db`
      waits task section-customers top_customers app.py:34: waits for an asyncpg BaseProtocol
      waits task Task-5 dashboard app.py:58: waits for task section-customers (2 are done)
      holds task section-customers load_section app.py:39: holds asyncpg Pool `conn`, taken at line 38
      timeout task Task-5: a timeout ends this in 9 min 40 s
      => 1 [Task-5] waits for task section-customers (2 are done) in dashboard app.py:58
      ? it may just take its time
      try look at the other end: a slow query, a lock in the database, a service that does not answer
      try bound the call by `asyncio.timeout(…)` or the client's own timeout
    ");
    assert_eq!(at_once(DASHBOARD), "healthy");
}

#[test]
fn whoever_listens_is_left_alone() {
    let listens =
        DASHBOARD.replace("Connection.fetch", "Connection.notifies").replace("Connection._execute", "_wait");
    assert_eq!(after_two_seconds(&listens), "healthy");
    let long_poll = DASHBOARD.replace("top_customers", "poll_updates");
    assert_eq!(after_two_seconds(&long_poll), "healthy");
    let bounded = DASHBOARD.replace(
        "waits await unknown asyncpg.protocol.BaseProtocol",
        "waits await unknown Protocol timeout 20",
    );
    assert_eq!(after_two_seconds(&bounded), "healthy");
}

#[test]
fn a_call_that_nobody_waits_for_is_left_alone() {
    assert_eq!(
        after_two_seconds(
            "
task poller
  bot.run app.py:9
  lib Client.request httpx/client.py:9
  waits read tcp 8
task main
  main app.py:3
  waits gather tasks poller
"
        ),
        "healthy"
    );
}

const SHUTDOWN: &str = "
queue prices 0/0
loop main idle kind uvloop.Loop
thread 4711 MainThread loop main
task Task-1
  lib Server.serve uvicorn/server.py:70
  lib Server.shutdown uvicorn/server.py:290
  std sleep asyncio/tasks.py:639
  waits sleep timer 0.05
task Task-7
  lib RequestResponseCycle.run_asgi uvicorn/h11_impl.py:403
  agen ticker_events app.py:29
  waits get prices
task Task-9
  lib LifespanOn.main uvicorn/lifespan/on.py:86
  lib receive uvicorn/lifespan/on.py:137
  waits get prices
";

#[test]
fn a_server_that_waits_for_a_stream_to_end() {
    assert_snapshot!(changed(&SHUTDOWN.replace("0.05", "0.07"), SHUTDOWN), @"
    0 shutdown-hang (error, suspected): Server.shutdown() in task Task-1 has waited for at least 2.0 s for 1 task to end, which waits in get() of Queue `prices` in ticker_events() at app.py:29
      waits task Task-7 ticker_events app.py:29: waits in get() of Queue `prices`
      caller task Task-1 Server.shutdown server.py:290: waits for the others to end
      ? it polls: that it waits for these tasks is inferred, not read
      try end them when the shutdown begins: watch the server's shutdown signal in long-lived handlers, or cancel them
      try bound the shutdown: uvicorn `--timeout-graceful-shutdown`, aiohttp `shutdown_timeout`, hypercorn `graceful_timeout`
    ");
}

#[test]
fn a_handler_that_waits_for_its_client_to_leave() {
    let connection = SHUTDOWN.replace("Server.shutdown", "WebSocketCommonProtocol.wait_closed");
    assert_eq!(after_two_seconds(&connection), "healthy");
    let server = SHUTDOWN.replace("Server.shutdown", "WebSocketServer.wait_closed");
    assert!(after_two_seconds(&server).contains("shutdown-hang"));
}

#[test]
fn a_shutdown_that_goes_on_is_healthy() {
    assert_eq!(at_once(SHUTDOWN), "healthy");
    let finishing = SHUTDOWN.replace("waits get prices", "waits sleep timer 3");
    assert_eq!(after_two_seconds(&finishing), "healthy");
    assert_eq!(changed(&SHUTDOWN.replace("Server.shutdown", "Server.main_loop"), SHUTDOWN), "healthy");
    let bounded = |left: u32| {
        after_two_seconds(
            &SHUTDOWN.replace("sleep timer 0.05", &format!("await future asyncio.Future timeout {left}")),
        )
    };
    assert_eq!(bounded(10), "healthy");
    assert!(bounded(100).contains("shutdown-hang"));
}

#[test]
fn a_generator_that_does_not_end_with_the_loop() {
    let found = after_two_seconds(
        "
event started unset
loop main idle
thread 4711 MainThread loop main
task Task-2
  std BaseEventLoop.shutdown_asyncgens asyncio/base_events.py:584
  waits gather tasks Task-3
task Task-3
  agen rows app.py:8
  waits wait started
",
    );
    assert!(
        found.contains("shutdown_asyncgens() in task Task-2 has waited for at least 2.0 s for 1 task to end"),
        "{found}"
    );
}

#[test]
fn a_shutdown_that_waits_for_a_thread() {
    assert!(
        after_two_seconds(
            "
executor pool 1/1 busy 1
loop main idle executor pool
thread 4711 MainThread loop main
thread 4712 worker-0 job copy on pool sleeping
  copy app.py:7
task main
  std BaseEventLoop.shutdown_default_executor asyncio/base_events.py:590
  waits await future asyncio.Future
"
        )
        .contains("has waited for at least 2.0 s for 1 thread to end, which is in copy() at app.py:7")
    );
}

const CLOSING: &str = "
loop main idle
thread 4711 MainThread loop main
task Task-1
  main app.py:13
  lib Pool.close asyncpg/pool.py:1092
  waits gather tasks release
task release
  lib PoolConnectionHolder.wait_until_released asyncpg/pool.py:298
  waits await future asyncio.Future
task report
  report app.py:6
  in asyncpg.pool.PoolAcquireContext
  lib AsyncClient.get httpx/_client.py:1768
  waits await future asyncio.Future
";

#[test]
fn a_pool_that_is_closed_while_somebody_has_a_connection() {
    assert_snapshot!(after_two_seconds(CLOSING), @"
    0 shutdown-hang (error, suspected): Pool.close() in task Task-1, called in main() at app.py:13, has waited for at least 2.0 s for 1 task to give back what is of the pool, which waits for a Future in report() at app.py:6
      waits task report report app.py:6: waits for a Future
      caller task Task-1 main app.py:13: waits for what was taken from the pool
      ? that they have what the pool waits for is inferred from the library that it is of
      try bound what is done with a connection, by `asyncio.timeout(…)`, or cancel it before the pool is closed
      try bound the closing: `asyncio.wait_for(pool.close(), …)`, then give the connections up (asyncpg: `terminate()`)
    ");
    // What it has is of another library; then nobody is known who would give a connection back.
    assert_snapshot!(after_two_seconds(&CLOSING.replace("in asyncpg.", "in redis.")), @"
    0 shutdown-hang (error, suspected): Pool.close() in task Task-1, called in main() at app.py:13, has waited for at least 2.0 s for what was taken from the pool: nobody alive was found who would give it back
      caller task Task-1 main app.py:13: waits for what was taken from the pool
      ? what the pool waits for is inferred, and who took a connection without `async with` is not found
      try take connections with `async with`, so that they are given back on every way
    ");
    let moving = CLOSING.replace(
        "httpx/_client.py:1768\n  waits await future asyncio.Future",
        "httpx/_client.py:1768\n  waits sleep timer 3",
    );
    assert_eq!(after_two_seconds(&moving), "healthy");
    assert_eq!(
        after_two_seconds(
            &CLOSING.replace("waits gather tasks release", "waits gather tasks release timeout 10")
        ),
        "healthy"
    );
}

#[test]
fn a_pool_with_a_limit_for_each_host_does_not_say_which_is_reached() {
    let slots = |per_host| {
        let mut pool = snapshot("pool http 2/2 type aiohttp.connector.TCPConnector").resources.remove(0);
        let detail = |name: &str, value| Detail { name: name.into(), value };
        pool.state.capacity = None;
        pool.state.details = vec![detail("_limit", 100), detail("_limit_per_host", per_host)];
        crate::graph::slots(&pool)
    };
    assert_eq!((slots(0), slots(2)), (Some(100), None));
}

#[test]
fn a_consumer_is_not_what_a_server_waits_for() {
    let consumer = "task consumer\n  consume app.py:40\n  waits get prices\n";
    let told =
        changed(&format!("{}{consumer}", SHUTDOWN.replace("0.05", "0.07")), &format!("{SHUTDOWN}{consumer}"));
    assert!(told.contains("for 1 task to end") && !told.contains("consumer"), "{told}");
    // The stream goes on, and will end some time.
    let moves = SHUTDOWN.replace("app.py:29\n  waits get prices", "app.py:29\n  waits sleep timer 0.2");
    assert_eq!(after_two_seconds(&format!("{moves}{consumer}")), "healthy");
}

#[test]
fn the_handler_on_the_connection_that_a_server_closes() {
    let text = "
loop main idle
task Task-1
  main app.py:24
  lib Server.shutdown aiohttp/web_server.py:71
  waits gather tasks Task-2
task Task-2
  lib RequestHandler.shutdown aiohttp/web_protocol.py:326
  waits await tcp 7
task Task-3 connected
  lib RequestHandler.start aiohttp/web_protocol.py:686
  waits await task Task-4
task Task-4
  lib RequestHandler._handle_request aiohttp/web_protocol.py:400
  ws_handler app.py:11
  lib WebSocketResponse.receive aiohttp/web_ws.py:500
  waits read tcp 7
task client
  poll app.py:60
  waits read tcp 7
";
    let told = after_two_seconds(text);
    assert!(
        told.contains("for 1 task to end, which reads from tcp socket (fd 7) in ws_handler() at app.py:11"),
        "{told}"
    );
    assert!(!told.contains("client"), "{told}");
}

#[test]
fn those_who_have_the_slots_wait_for_others_that_want_one() {
    let told = after_two_seconds(
        "
pool limiter 2/2
  held task outer-1 outer app.py:13
  held task outer-2 outer app.py:13
task outer x2
  outer app.py:13
  waits task_group task inner
task inner
  inner app.py:6
  waits acquire limiter
",
    );
    assert!(told.contains("deadlock (error, proven): 2 tasks each hold 1 of 2 slots of"), "{told}");
    assert!(
        told.contains(
            "in outer() at app.py:13 and wait for 1 task, which waits for one more in inner() at app.py:6"
        ),
        "{told}"
    );
}

#[test]
fn a_query_that_a_transaction_of_another_task_may_block() {
    let text = "
task settle
  settle pay.py:10
    in asyncpg.transaction.Transaction
  lib ClientSession._request site-packages/aiohttp/client.py:770
  waits read tcp 9 10.0.0.1:40001 10.0.0.3:80 ESTABLISHED
task pay
  pay pay.py:15
  lib Connection.execute site-packages/asyncpg/connection.py:350
  waits await tcp 8 10.0.0.1:40000 10.0.0.2:5432 ESTABLISHED
";
    assert_snapshot!(after_two_seconds(text), @"
    0 slow-call (warning, suspected): task pay has waited for at least 2.0 s in pay() at pay.py:15 in Connection.execute(): it waits for tcp socket 10.0.0.2:5432 (fd 8); task settle keeps asyncpg Transaction open in settle() at pay.py:10, where it reads from tcp socket 10.0.0.3:80 (fd 9)
      waits task pay pay pay.py:15: waits for tcp socket 10.0.0.2:5432 (fd 8)
      holds task settle settle pay.py:10: keeps asyncpg Transaction open, which may have locked what is asked for; it reads from tcp socket 10.0.0.3:80 (fd 9)
      ? it may just take its time
      try look at the other end: a slow query, a lock in the database, a service that does not answer
      try bound the call by `asyncio.timeout(…)` or the client's own timeout
    ");
    let without = text.replace("    in asyncpg.transaction.Transaction\n", "");
    assert_eq!(after_two_seconds(&without), "healthy");
}

/// Three tasks that ask for a lock that lies elsewhere.
const ASKING: &str = "
lock jobs type redis.asyncio.lock.Lock
task worker x3
  work app.py:13
  lib Lock.acquire site-packages/redis/asyncio/lock.py:232
  waits poll jobs
";

#[test]
fn a_lock_elsewhere_that_several_ask_for() {
    assert_snapshot!(after_two_seconds(ASKING), @"
    0 stuck-task (warning, suspected): 3 tasks have asked again and again for at least 2.0 s for redis Lock `jobs` in work() at app.py:13, and nobody in this process is known to have it
      waits ×3 task worker-1 work app.py:13: asks again and again for redis Lock `jobs`
      ? another process may have it, and give it back
      try look who has it where it lies; if its holder has ended without giving it back, delete it there
      try let it expire by itself, and give it back on every way out: `async with`, or `try … finally`
    ");
    assert_eq!(after_two_seconds(&ASKING.replace(" x3", "")), "healthy");
    assert_eq!(after_two_seconds(&ASKING.replace("poll jobs", "poll jobs timeout 5")), "healthy");
    // They were awake at the other look; or elsewhere.
    let awake = ASKING.replace("worker x3", "worker x3 ready").replace("  waits poll jobs\n", "");
    assert!(changed(&awake, ASKING).starts_with("0 stuck-task"), "{}", changed(&awake, ASKING));
    assert_eq!(changed(&awake.replace("app.py:13", "app.py:12"), ASKING), "healthy");
    let gone = ASKING.replace("\ntask", "\n  held crash app.py:9 guessed\ntask");
    assert!(
        after_two_seconds(&gone).starts_with("0 deadlock (error, suspected)"),
        "{}",
        after_two_seconds(&gone)
    );
}
