//! `pool-exhausted`, `queue-stuck`, `stuck-task`, `slow-call`, `shutdown-hang`.

use super::{after_two_seconds, at_once, changed};
use insta::assert_snapshot;

const ORPHAN: &str = "
pool db 1/1 as app.pool
task Task-9
  finalize_trace chat.py:25
  holds db taken 24
  lib Connection.execute asyncpg/connection.py:350
  waits await unknown asyncpg.protocol.BaseProtocol
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
    assert_snapshot!(after_two_seconds(ORPHAN), @"");
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
    assert_snapshot!(after_two_seconds(text), @"");
    assert_eq!(at_once(text), "healthy");
    let then = text.replace("task report-1\n", "task report-0\n").replace("tasks report-1", "tasks report-0");
    let then = then.replace(
        "task report-0\n",
        "task gone\n  report app.py:29\n  waits acquire e1 within http\ntask report-0\n",
    );
    assert!(!changed(&then, text).contains("pool-exhausted"));
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
"), @"");
}

#[test]
fn waiters_whose_timeout_is_near_are_left_alone() {
    assert_eq!(
        after_two_seconds(&ORPHAN.replace("waits acquire db", "waits acquire db timeout 10")),
        "healthy"
    );
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
    assert_snapshot!(after_two_seconds(text), @"");
    assert_eq!(at_once(text), "healthy");
    // Somebody is at work on an item.
    assert_eq!(after_two_seconds(&text.replace("unfinished 10", "unfinished 11")), "healthy");
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
    assert_snapshot!(after_two_seconds(text), @"");
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
  waits read tcp 7 10.0.0.1:40000 10.0.0.2:5432 ESTABLISHED
task request x500
  lib RequestHandler.start aiohttp/web_protocol.py:600
  show app.py:30
  waits acquire a as cache.lock
";

#[test]
fn five_hundred_requests_behind_one_lock() {
    assert_snapshot!(after_two_seconds(CONVOY), @"");
}

#[test]
fn a_lock_that_changes_hands_is_only_contended() {
    assert_eq!(at_once(CONVOY), "healthy");
    assert_eq!(changed(&CONVOY.replace("app.py:12", "app.py:13"), CONVOY), "healthy");
    // Sleeps again and again, 50 ms each, while it holds the lock.
    let naps =
        CONVOY.replace("waits read tcp 7 10.0.0.1:40000 10.0.0.2:5432 ESTABLISHED", "waits sleep timer 0.03");
    assert_eq!(changed(&naps.replace("timer 0.03", "timer 0.04"), &naps), "healthy");
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
    assert_snapshot!(after_two_seconds(DASHBOARD), @"");
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
    assert_snapshot!(changed(&SHUTDOWN.replace("0.05", "0.07"), SHUTDOWN), @"");
}

#[test]
fn a_shutdown_that_goes_on_is_healthy() {
    assert_eq!(at_once(SHUTDOWN), "healthy");
    let finishing = SHUTDOWN.replace("waits get prices", "waits sleep timer 3");
    assert_eq!(after_two_seconds(&finishing), "healthy");
    assert_eq!(changed(&SHUTDOWN.replace("Server.shutdown", "Server.main_loop"), SHUTDOWN), "healthy");
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
        .contains("waits for at least 2.0 s for 1 thread to end, which is in copy() at app.py:7")
    );
}
