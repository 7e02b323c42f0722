//! What options change.

use super::{ABBA, BLOCKED, Options, narrow, shown};
use insta::assert_snapshot;

#[test]
fn all_frames_in_ascii_with_threads() {
    let options = Options { all_frames: true, threads: true, ascii: true, ..narrow() };
    let out = shown(BLOCKED, &options);
    assert!(out.is_ascii());
    assert_snapshot!(out, @"
    process 4711: python3 -m shop --port 8080
    Python 3.12.1, 10,003 tasks, 1 loop, 4 threads; paused 1.2 ms
    files are below /srv/app/shop

    loop in MainThread (thread 4711, asyncio): BUSY for 4.5 s, 10,003 tasks, 14
      callbacks wait, a timer is 4.2 s overdue
      task handler-7 is at prices.py:14 (price); nothing else runs in this loop
        until it gives way:
        <module>                   __main__.py:12
        run                        asyncio/runners.py:194
        Runner.run                 asyncio/runners.py:118
        BaseEventLoop.run_forever  asyncio/base_events.py:641
        Handle._run                asyncio/events.py:88
        handle                     web.py:31
        price                      prices.py:14
        get                        requests/api.py:73
        Session.request            requests/sessions.py:589
        SSLSocket.read             ssl.py:1106
        -> reads (recvfrom) from TCP connection 10.0.0.1:40112 -> 10.0.0.2:443 (fd
          17)

    task handler-7, runs now
      handle  web.py:31

    task handler-8, ready to run
      handle  web.py:29
      -> gave way, and runs again in its turn

    task report
      report     report.py:70
      to_thread  asyncio/threads.py:25
      -> waits for render in thread asyncio_0 (4712), which is at report.py:88
        (render), timeout in 3.5 s
      *  was asked to cancel and has not ended

    10,000 tasks: ws-1, ws-2, ws-3, ...
      echo               ws.py:12
      WebSocket.receive  aiohttp/web_ws.py:503
      DataQueue.read     aiohttp/streams.py:680
      -> each waits to read from TCP connection 10.0.0.1:8080 (fd 30),
        timeout in 20 s

    other threads
      thread asyncio_0 (4712) executes render for task report
        _worker        concurrent/futures/thread.py:92
        _WorkItem.run  concurrent/futures/thread.py:58
        render         report.py:88
        -> uses the CPU
      2 threads asyncio_1 (4713), asyncio_2 (4714)
        _worker  concurrent/futures/thread.py:83

    what could not be read
      a task's memory changed while it was read (12 times)
      ptrace is not permitted, so the process was not paused
    ");
}

#[test]
fn one_task_with_all_that_it_has_to_do_with() {
    assert_snapshot!(shown(ABBA, &Options { task: Some("reconnect".into()), ..narrow() }), @"
    process 4711: python3 app.py
    Python 3.11.7, 5 tasks, 1 loop, 1 thread; paused 3.1 ms
    files are below /srv/app

    task reconnect, waits
      Stream.reconnect                 app.py:44
      _ContextManagerMixin.__aenter__  asyncio/locks.py:15
      Lock.acquire                     asyncio/locks.py:114
      → waits for Lock self._token_refresh_lock, held by task refresh-loop at
        app.py:38 (Stream.refresh_loop)
      • holds Lock self._connect_lock, taken at app.py:42; 3 tasks wait for it
      • id 0x7f1000000300, runs in thread MainThread (4711)

    what it waits for, to the end

    task refresh-loop, waits
      Stream.refresh_loop  app.py:38
      Stream._do_refresh   app.py:32
      … 2 frames of asyncio
      → waits for Lock self._connect_lock, held by task reconnect at app.py:44
        (Stream.reconnect)
      • holds Lock self._token_refresh_lock, taken at app.py:37; 1 task waits for it

    who else waits for it

    task main, waits
      main  app.py:66
      … 2 frames of asyncio
      → waits for 4 tasks of its TaskGroup

    task publish-1, waits
      Stream.publish  app.py:49
      … 2 frames of asyncio
      → waits for Lock self._connect_lock, held by task reconnect at app.py:44
        (Stream.reconnect)

    task publish-2, waits
      Stream.publish  app.py:49
      … 2 frames of asyncio
      → waits for Lock self._connect_lock, held by task reconnect at app.py:44
        (Stream.reconnect)
    ");
}

#[test]
fn a_filter_keeps_those_around_what_it_selects() {
    assert_snapshot!(shown(ABBA, &Options { filter: Some("publ".into()), ..narrow() }), @"
    process 4711: python3 app.py
    Python 3.11.7, 5 tasks, 1 loop, 1 thread; paused 3.1 ms
    files are below /srv/app
    only tasks with publ: 2 of 5

    DEADLOCK: 2 tasks wait for each other
      ┌▶ task refresh-loop
      │    waits at app.py:32 (Stream._do_refresh)
      │    for Lock self._connect_lock, taken at app.py:42 (Stream.reconnect) by
      ├▶ task reconnect
      │    waits at app.py:44 (Stream.reconnect)
      │    for Lock self._token_refresh_lock, taken at app.py:37
      │      (Stream.refresh_loop) by
      └▶ task refresh-loop, the first one again
      3 more tasks wait behind it: main, publish-1, publish-2

    loop in MainThread (thread 4711, asyncio): idle, 5 tasks, 0 ready

    task main
    │  main  app.py:66
    │  → waits for 4 tasks of its TaskGroup
    └─ 2 tasks: publish-1, publish-2
         Stream.publish  app.py:49
         → each waits for Lock self._connect_lock, held by task reconnect at
           app.py:44 (Stream.reconnect)
    ");
}

#[test]
fn source_lines_and_locals_stand_below_their_frame() {
    let text = "
task a
  transfer app.py:10 | async with target.lock:  # the other account
  local amount 10
  local source \"<Account object at 0x7f3a>\"
  columns 0 3
  waits sleep timer 3
";
    assert_snapshot!(shown(text, &Options { source: true, locals: true, ..narrow() }), @"
    process 4711: python3 app.py
    Python 3.11.7, 1 task, 1 loop, 1 thread; paused 3.1 ms
    files are below /srv/app

    loop in MainThread (thread 4711, asyncio): idle, 1 task, 0 ready

    task a
      transfer  app.py:10
          async with target.lock:  # the other account
          amount = 10
          source = <Account object at 0x7f3a>
      → sleeps for another 3.0 s
    ");
}

#[test]
fn no_more_groups_than_asked_for() {
    let mut text = String::new();
    for n in 0..20 {
        text.push_str(&format!("task t{n}\n  f{n} app.py:{n}1\n  waits sleep timer 1\n"));
    }
    assert_snapshot!(shown(&text, &Options { max: Some(2), ..narrow() }), @"
    process 4711: python3 app.py
    Python 3.11.7, 20 tasks, 1 loop, 1 thread; paused 3.1 ms
    files are below /srv/app

    loop in MainThread (thread 4711, asyncio): idle, 20 tasks, 0 ready

    task t0
      f0  app.py:1
      → sleeps for another 1.0 s

    task t1
      f1  app.py:11
      → sleeps for another 1.0 s

    … 18 more tasks not shown (--max)
    ");
}

#[test]
fn long_names_lose_their_middle() {
    let text = "
lock l as self._connections_by_customer[customer.identifier].write_lock_of_the_pool
task \"nightly-reconciliation-of-the-ledger-for-customer-0b9d6c1e-5c8a-4b65-9a53-2f1f3d2c1a77\"
  LedgerReconciliationService.reconcile_all_accounts_of_customer.<locals>.in_batches src/services/finance/ledger/reconciliation/service.py:1234
  run main.py:3
  holds l
task waiter
  f src/services/finance/ledger/reconciliation/a_very_long_file_name_that_never_ends_indeed.py:12
  waits acquire l
";
    assert_snapshot!(shown(text, &narrow()), @"
    process 4711: python3 app.py
    Python 3.11.7, 2 tasks, 1 loop, 1 thread; paused 3.1 ms
    files are below /srv/app

    loop in MainThread (thread 4711, asyncio): idle, 2 tasks, 0 ready

    task waiter
      f  src/services/finance/led…a_very_long_file_name_that_never_ends_indeed.py:12
      → waits for Lock
        self._connections_by_customer[customer.identifier].write_lock_of_the_pool,
        held by task
        nightly-reconciliation-of…-for-customer-0b9d6c1e-5c8a-4b65-9a53-2f1f3d2c1a77
        at main.py:3 (run)

    task
        nightly-reconciliation-of…-for-customer-0b9d6c1e-5c8a-4b65-9a53-2f1f3d2c1a77
      LedgerRe…ocals>.in_batches  src/services/fin…er/reconciliation/service.py:1234
      run  main.py:3
      • holds Lock
        self._connections_by_customer[customer.identifier].write_lock_of_the_pool at
        main.py:3; 1 task waits for it
    ");
}

#[test]
fn deep_trees_stop_moving_to_the_right() {
    let mut text = String::from("task t0\n  f0 app.py:1\n  waits sleep timer 1\n");
    for n in 1..14 {
        text.push_str(&format!("task t{n}\n  f{n} app.py:1\n  waits await task t{}\n", n - 1));
    }
    assert_snapshot!(shown(&text, &narrow()), @"
    process 4711: python3 app.py
    Python 3.11.7, 14 tasks, 1 loop, 1 thread; paused 3.1 ms
    files are below /srv/app

    loop in MainThread (thread 4711, asyncio): idle, 14 tasks, 0 ready

    task t13
    │  f13  app.py:1
    │  → waits for task t12
    └─ task t12
       │  f12  app.py:1
       │  → waits for task t11
       └─ task t11
          │  f11  app.py:1
          │  → waits for task t10
          └─ task t10
             │  f10  app.py:1
             │  → waits for task t9
             └─ task t9
                │  f9  app.py:1
                │  → waits for task t8
                └─ task t8
                   │  f8  app.py:1
                   │  → waits for task t7
                   └─ task t7
                      │  f7  app.py:1
                      │  → waits for task t6
                      └─ task t6
                         │  f6  app.py:1
                         │  → waits for task t5
                         └─ task t5
                            │  f5  app.py:1
                            │  → waits for task t4
                            └─ task t4
                               │  f4  app.py:1
                               │  → waits for task t3
                               └─ task t3
                                  │  f3  app.py:1
                                  │  → waits for task t2
                               └─ [11] task t2
                                  │  f2  app.py:1
                                  │  → waits for task t1
                               └─ [12] task t1
                                  │  f1  app.py:1
                                  │  → waits for task t0
                               └─ [13] task t0
                                    f0  app.py:1
                                    → sleeps for another 1.0 s
    ");
}
