//! Whole situations.

use super::{ABBA, BLOCKED, Options, narrow, shown};
use insta::assert_snapshot;

#[test]
fn a_deadlock_is_drawn_as_a_ring() {
    assert_snapshot!(shown(ABBA, &narrow()), @"
    process 4711: python3 app.py
    Python 3.11.7, 5 tasks, 1 loop, 1 thread; paused 3.1 ms
    files are below /srv/app

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
    ├─ task refresh-loop
    │    Stream.refresh_loop  app.py:38
    │    Stream._do_refresh   app.py:32
    │    → waits for Lock self._connect_lock, held by task reconnect at app.py:44
    │      (Stream.reconnect)
    │    • holds Lock self._token_refresh_lock, taken at app.py:37; 1 task waits
    │      for it
    ├─ task reconnect
    │    Stream.reconnect  app.py:44
    │    → waits for Lock self._token_refresh_lock, held by task refresh-loop at
    │      app.py:38 (Stream.refresh_loop)
    │    • holds Lock self._connect_lock, taken at app.py:42; 3 tasks wait for it
    └─ 2 tasks: publish-1, publish-2
         Stream.publish  app.py:49
         → each waits for Lock self._connect_lock, held by task reconnect at
           app.py:44 (Stream.reconnect)
    ");
}

#[test]
fn a_blocked_loop_shows_what_blocks_it_and_all_tasks() {
    assert_snapshot!(shown(BLOCKED, &narrow()), @"
    process 4711: python3 -m shop --port 8080
    Python 3.12.1, 10,003 tasks, 1 loop, 4 threads; paused 1.2 ms
    files are below /srv/app/shop

    loop in MainThread (thread 4711, asyncio): BUSY for 4.5 s, 10,003 tasks, 14
      callbacks wait, a timer is 4.2 s overdue
      task handler-7 is at prices.py:14 (price); nothing else runs in this loop
        until it gives way:
        <module>        __main__.py:12
        … 4 frames of asyncio
        handle          web.py:31
        price           prices.py:14
        … 2 frames of requests
        SSLSocket.read  ssl.py:1106
        → reads (recvfrom) from TCP connection 10.0.0.1:40112 → 10.0.0.2:443 (fd 17)

    task handler-7, runs now
      handle  web.py:31

    task handler-8, ready to run
      handle  web.py:29
      → gave way, and runs again in its turn

    task report
      report  report.py:70
      → waits for render in thread asyncio_0 (4712), which is at report.py:88
        (render), timeout in 3.5 s
      • was asked to cancel and has not ended

    10,000 tasks: ws-1, ws-2, ws-3, …
      echo  ws.py:12
      … 2 frames of aiohttp
      → each waits to read from TCP connection 10.0.0.1:8080 (fd 30),
        timeout in 20 s

    other threads
      thread asyncio_0 (4712) executes render for task report
        … 2 frames of concurrent.futures
        render  report.py:88
        → uses the CPU
      2 threads asyncio_1 (4713), asyncio_2 (4714): idle workers

    what could not be read
      a task's memory changed while it was read (12 times)
      ptrace is not permitted, so the process was not paused
    ");
}

#[test]
fn a_task_that_takes_a_lock_twice_waits_for_itself() {
    let text = "
lock cache as self._lock
task request-a
  request cache.py:31
  Cache.get cache.py:20
  holds cache taken 18
  Cache.put cache.py:24
  std Lock.acquire asyncio/locks.py:114
  waits acquire cache
";
    assert_snapshot!(shown(text, &narrow()), @"
    process 4711: python3 app.py
    Python 3.11.7, 1 task, 1 loop, 1 thread; paused 3.1 ms
    files are below /srv/app

    DEADLOCK: a task waits for itself
      ┌▶ task request-a
      │    waits at cache.py:24 (Cache.put)
      │    for Lock self._lock, taken at cache.py:18 (Cache.get) by
      └▶ task request-a

    loop in MainThread (thread 4711, asyncio): idle, 1 task, 0 ready

    task request-a
      request    cache.py:31
      Cache.get  cache.py:20
      Cache.put  cache.py:24
      → waits for Lock self._lock, held by this task itself at cache.py:20
        (Cache.get)
      • holds Lock self._lock, taken at cache.py:18; 1 task waits for it
    ");
}

#[test]
fn a_holder_that_is_only_likely_is_called_so() {
    let text = "
lock a as self.lock
lock b
task one
  one app.py:10
  holds a guessed
  waits acquire b
task two
  two app.py:20
  holds b
  waits acquire a
";
    assert_snapshot!(shown(text, &narrow()), @"
    process 4711: python3 app.py
    Python 3.11.7, 2 tasks, 1 loop, 1 thread; paused 3.1 ms
    files are below /srv/app

    probably a DEADLOCK: 2 tasks wait for each other
      ┌▶ task one
      │    waits at app.py:10 (one)
      │    for Lock b, held at app.py:20 (two) by
      ├▶ task two
      │    waits at app.py:20 (two)
      │    for Lock self.lock, probably held at app.py:10 (one) by
      └▶ task one, the first one again

    loop in MainThread (thread 4711, asyncio): idle, 2 tasks, 0 ready

    task one
      one  app.py:10
      → waits for Lock b, held by task two at app.py:20 (two)
      • probably holds Lock self.lock at app.py:10; 1 task waits for it

    task two
      two  app.py:20
      → waits for Lock self.lock, probably held by task one at app.py:10 (one)
      • holds Lock b at app.py:20; 1 task waits for it
    ");
}

#[test]
fn a_threading_lock_across_an_await_blocks_the_loop_for_good() {
    let text = "
thread-lock l as self._lock
loop main busy ready 2 turn 12
thread 4711 MainThread loop main task taker sleeping
  <module> app.py:50
  std Runner.run asyncio/runners.py:118
  TokenCache.get app.py:20
  waits acquire l
task taker running
  TokenCache.get app.py:20
task holder
  TokenCache.get app.py:22
  holds l taken 20
  fetch app.py:12
  waits sleep timer -3
";
    assert_snapshot!(shown(text, &narrow()), @"
    process 4711: python3 app.py
    Python 3.11.7, 2 tasks, 1 loop, 1 thread; paused 3.1 ms
    files are below /srv/app

    DEADLOCK: 1 task and 1 thread wait for each other
      ┌▶ task holder
      │    cannot run: its loop's thread is blocked
      ├▶ thread MainThread (4711)
      │    waits at app.py:20 (TokenCache.get)
      │    for threading.Lock self._lock, taken at app.py:20 (TokenCache.get) by
      └▶ task holder, the first one again
      1 more task waits behind it: taker

    loop in MainThread (thread 4711, asyncio): BUSY for 12 s, 2 tasks, 2 callbacks
      wait
      task taker is at app.py:20 (TokenCache.get); nothing else runs in this loop
        until it gives way:
        <module>        app.py:50
        … 1 frame of asyncio
        TokenCache.get  app.py:20
        → waits for threading.Lock self._lock, held by task holder at app.py:22
          (TokenCache.get)

    task taker, runs now
      TokenCache.get  app.py:20

    task holder
      TokenCache.get  app.py:22
      fetch           app.py:12
      → sleeps; its timer is 3.0 s overdue
      • holds threading.Lock self._lock, taken at app.py:20; 1 thread waits for it
    ");
}

#[test]
fn children_hang_under_the_task_that_awaits_them() {
    let text = "
task main
  main app.py:60
  waits gather tasks fetch-all shared-user
task fetch-all
  fetch_all app.py:40
  std TaskGroup.__aexit__ asyncio/taskgroups.py:136
  waits task_group tasks fetch-1 fetch-2 fetch-3 done 7
task fetch x3
  fetch app.py:31
  lib ClientSession._request aiohttp/client.py:605
  lib Connection.read aiohttp/client_proto.py:300
  waits read tcp 21 10.0.0.1:40000 10.0.0.9:443 timeout 300
task shared-user
  use app.py:70
  waits await task loader
task loader
  load app.py:80
  waits sleep timer 2.25
task other-user
  use app.py:70
  waits await task loader
";
    assert_snapshot!(shown(text, &narrow()), @"
    process 4711: python3 app.py
    Python 3.11.7, 8 tasks, 1 loop, 1 thread; paused 3.1 ms
    files are below /srv/app

    loop in MainThread (thread 4711, asyncio): idle, 8 tasks, 0 ready

    task main
    │  main  app.py:60
    │  → waits for 2 tasks in its gather
    ├─ task fetch-all
    │  │  fetch_all  app.py:40
    │  │  → waits for 3 tasks of its TaskGroup; 7 are done
    │  └─ 3 tasks: fetch-1, fetch-2, fetch-3
    │       fetch  app.py:31
    │       … 2 frames of aiohttp
    │       → each waits to read from TCP connection 10.0.0.1:40000 → 10.0.0.9:443
    │         (fd 21), timeout in 5 min 0 s
    └─ task shared-user
       │  use  app.py:70
       │  → waits for task loader
       └─ task loader
            load  app.py:80
            → sleeps for another 2.3 s

    task other-user
    │  use  app.py:70
    │  → waits for task loader
    └─ task loader, shown under task shared-user
    ");
}

#[test]
fn tasks_that_await_each_other_do_not_recurse() {
    let text = "
task a
  f app.py:1
  waits await task b
task b
  g app.py:2
  waits await task a
";
    assert_snapshot!(shown(text, &narrow()), @"
    process 4711: python3 app.py
    Python 3.11.7, 2 tasks, 1 loop, 1 thread; paused 3.1 ms
    files are below /srv/app

    DEADLOCK: 2 tasks wait for each other
      ┌▶ task a
      │    waits at app.py:1 (f)
      │    for the result of
      ├▶ task b
      │    waits at app.py:2 (g)
      │    for the result of
      └▶ task a, the first one again

    loop in MainThread (thread 4711, asyncio): idle, 2 tasks, 0 ready

    task a
    │  f  app.py:1
    │  → waits for task b
    └─ task b
       │  g  app.py:2
       │  → waits for task a
       └─ task a, shown above
    ");
}

#[test]
fn producers_and_consumers_of_a_queue() {
    let text = "
queue jobs 100/100 unfinished 103 as self.jobs
queue results 0/0 as results
task producer x12
  produce app.py:10
  std Queue.put asyncio/queues.py:116
  waits put jobs
task consumer
  consume app.py:20
  std Queue.get asyncio/queues.py:158
  waits get results
task main
  main app.py:30
  waits join jobs
";
    assert_snapshot!(shown(text, &narrow()), @"
    process 4711: python3 app.py
    Python 3.11.7, 14 tasks, 1 loop, 1 thread; paused 3.1 ms
    files are below /srv/app

    loop in MainThread (thread 4711, asyncio): idle, 14 tasks, 0 ready

    12 tasks: producer-1, producer-2, producer-3, …
      produce  app.py:10
      → each waits for room in Queue self.jobs (full: 100 of 100, 12 putters, no
        getter)

    task consumer
      consume  app.py:20
      → waits for an item from Queue results (empty, 1 getter)

    task main
      main  app.py:30
      → waits until all is done in Queue self.jobs (full: 100 of 100, 103 not
        finished, 12 putters, no getter)
    ");
}

#[test]
fn an_exhausted_pool_names_its_holders() {
    let text = "
pool pool 3/3 as self.pool
lock l
task request x5
  handle app.py:10
  lib Pool._acquire asyncpg/pool.py:860
  waits acquire pool timeout 30
task worker-1
  work app.py:30
  holds pool
  in asyncpg.transaction.Transaction
  lib Connection.fetch asyncpg/connection.py:600
  waits read tcp 9 10.0.0.1:40112 10.0.0.2:5432
task worker-2
  work app.py:31
  holds pool
  waits sleep timer 60
task worker-3
  audit app.py:44
  holds pool guessed
  waits await future asyncio.Future
";
    assert_snapshot!(shown(text, &narrow()), @"
    process 4711: python3 app.py
    Python 3.11.7, 8 tasks, 1 loop, 1 thread; paused 3.1 ms
    files are below /srv/app

    loop in MainThread (thread 4711, asyncio): idle, 8 tasks, 0 ready

    5 tasks: request-1, request-2, request-3, …
      handle  app.py:10
      … 1 frame of asyncpg
      → each waits for asyncpg Pool self.pool (size 3 of 3), held by task
        worker-1 at app.py:30 (work), task worker-2 at app.py:31 (work), probably
        task worker-3 at app.py:44 (audit), timeout in 30 s

    task worker-1
      work  app.py:30
      … 1 frame of asyncpg
      → waits to read from TCP connection 10.0.0.1:40112 → 10.0.0.2:5432 (fd 9)
      • holds asyncpg Pool self.pool at app.py:30; 5 tasks wait for it
      • inside asyncpg Transaction at app.py:30

    task worker-2
      work  app.py:31
      → sleeps for another 1 min 0 s
      • holds asyncpg Pool self.pool at app.py:31; 5 tasks wait for it

    task worker-3
      audit  app.py:44
      → waits for a Future; who completes it is not known
      • probably holds asyncpg Pool self.pool at app.py:44; 5 tasks wait for it
    ");
}

#[test]
fn a_queue_of_jobs_behind_busy_threads() {
    let text = "
executor pool 2/2 busy 2 unfinished 3 as loop.default_executor
thread 4711 MainThread loop main
  std Runner.run asyncio/runners.py:118
thread 4712 asyncio_0 disk job copy for copy-1 on pool syscall read file 12 /srv/data/big.bin
  std _worker concurrent/futures/thread.py:92
  copy app.py:14
thread 4713 asyncio_1 disk job copy for copy-2 on pool syscall read file 13 /srv/data/big.bin
  std _worker concurrent/futures/thread.py:92
  copy app.py:14
thread 4720 kafka-poll waits-for-gil sleeping syscall futex
  std Thread.run threading.py:1010
  lib Client.poll kafka/client.py:601
loop main idle
task copy-1
  save app.py:20
  waits call job copy thread 4712 on pool
task copy-2
  save app.py:20
  waits call job copy thread 4713 on pool
task resolve
  connect app.py:40
  std BaseEventLoop.getaddrinfo asyncio/base_events.py:868
  waits call job getaddrinfo queued 2 on pool
";
    assert_snapshot!(shown(text, &narrow()), @"
    process 4711: python3 app.py
    Python 3.11.7, 3 tasks, 1 loop, 4 threads; paused 3.1 ms
    files are below /srv/app

    loop in MainThread (thread 4711, asyncio): idle, 3 tasks, 0 ready

    2 tasks: copy-1, copy-2
      save  app.py:20
      → each waits for copy in a thread

    task resolve
      connect  app.py:40
      → waits for getaddrinfo, queued in ThreadPoolExecutor loop.default_executor
        behind 2 jobs; both its threads are busy

    other threads
      2 threads execute copy: asyncio_0 (4712) for task copy-1, asyncio_1 (4713) for
        task copy-2
        … 1 frame of concurrent.futures
        copy  app.py:14
        → reads (read)
      thread kafka-poll (4720)
        Thread.run   threading.py:1010
        Client.poll  kafka/client.py:601
        → waits for the GIL, which other threads use
    ");
}

#[test]
fn several_loops_stand_beside_each_other() {
    let text = "
process 7 python 3.13.1 running
loop main idle next 3.21 timers 3
loop second busy ready 1 kind uvloop.Loop debug
loop third stopped
loop fourth idle ready 2
thread 7 MainThread loop main
  <module> app.py:1
thread 8 io-thread loop second running
  run app.py:9
thread 9 late loop fourth
  run app.py:9
task a loop main
  a app.py:2
  waits sleep timer 3.21
task b loop third
  b app.py:3
  waits await future asyncio.Future
";
    assert_snapshot!(shown(text, &narrow()), @"
    process 7: python3 app.py
    Python 3.13.1, 2 tasks, 4 loops, 3 threads; read while it ran
    files are below /srv/app

    loop in MainThread (thread 7, asyncio): idle, 1 task, 0 ready, next timer in
      3.2 s

    task a
      a  app.py:2
      → sleeps for another 3.2 s

    loop in io-thread (thread 8, uvloop): BUSY, 0 tasks, 1 callback waits, debug
      mode
      a callback is at app.py:9 (run); nothing else runs in this loop until it gives
        way:
        run  app.py:9
        → uses the CPU

    loop 0x7f0000003000 (asyncio): not running, 1 task

    task b
      b  app.py:3
      → waits for a Future; who completes it is not known

    loop in late (thread 9, asyncio): asleep although 2 callbacks are ready, 0 tasks
    ");
}

#[test]
fn without_asyncio_there_are_threads() {
    let text = "
process 7 python 3.13.1 without-asyncio
thread 7 MainThread running
  <module> app.py:1
  work app.py:20
";
    assert_snapshot!(shown(text, &narrow()), @"
    process 7: python3 app.py
    Python 3.13.1, 1 thread; paused 3.1 ms
    asyncio is not imported in this process: it has no tasks
    files are below /srv/app

    threads
      thread MainThread (7)
        <module>  app.py:1
        work      app.py:20
        → uses the CPU
    ");
}

#[test]
fn hostile_names_cannot_touch_the_terminal() {
    let text = "
command \"python3\x1b]0;pwned\x07\" app.py
lock \"l\x1b[2J\"
task \"pay\x1b[31m\u{202e}\"
  \"f\x07\" \"/srv/app/\x1b[0m.py:1\" | x = '\x1b[5m'
  holds \"l\x1b[2J\"
  local \"a\x1b\" \"\x1b[1m\"
  waits await unknown \"T\x1b\"
problem budget 1 \"bad \x1b name\"
";
    let out = shown(text, &Options { source: true, locals: true, all_frames: true, ..narrow() });
    assert!(!out.contains(['\x1b', '\x07', '\u{202e}']), "{out}");
    assert_snapshot!(out, @r"
    process 4711: python3\x1b]0;pwned\x07 app.py
    Python 3.11.7, 1 task, 1 loop, 1 thread; paused 3.1 ms
    files are below /srv/app

    loop in MainThread (thread 4711, asyncio): idle, 1 task, 0 ready

    task pay\x1b[31m\u202e
      f\x07  \x1b[0m.py:1
          x = '\x1b[5m'
          a\x1b = \x1b[1m
      → waits for a T\x1b, which could not be followed
      • holds Lock l\x1b[2J at \x1b[0m.py:1

    what could not be read
      bad \x1b name
    ");
}

#[test]
fn coroutines_that_nobody_awaited() {
    let text = "
unstarted send_mail app.py:12 kept \"list of Outbox\"
  created main app.py:7 origin
unstarted send_mail app.py:12 kept \"list of Outbox\"
  created main app.py:7 origin
unstarted log app.py:20
  created main app.py:9 text
dropped Socket.ping keepalive app.py:31
";
    assert_snapshot!(shown(text, &narrow()), @"
    process 4711: python3 app.py
    Python 3.11.7, 0 tasks, 0 loops, 0 threads; paused 3.1 ms
    files are below /srv/app

    coroutines that were never started
      send_mail (2 times), defined at app.py:12, created at app.py:7 (main), kept by
        list of Outbox
      log, defined at app.py:20, created (guessed) at app.py:9 (main)

    coroutines that were never awaited, as Python has warned
      Socket.ping, dropped at app.py:31 (keepalive)
    ");
}

#[test]
fn a_lock_that_goes_by_two_names_is_called_by_both() {
    let text = "
lock a
lock b
task one
  transfer app.py:22
  holds a as target.lock taken 20
  withdraw app.py:15
  waits acquire b as account.lock
task two
  transfer app.py:22
  holds b as target.lock taken 20
  withdraw app.py:15
  waits acquire a as account.lock
";
    assert_snapshot!(shown(text, &narrow()), @"
    process 4711: python3 app.py
    Python 3.11.7, 2 tasks, 1 loop, 1 thread; paused 3.1 ms
    files are below /srv/app

    DEADLOCK: 2 tasks wait for each other
      ┌▶ task one
      │    waits at app.py:15 (withdraw)
      │    for Lock account.lock, taken as target.lock at app.py:20 (transfer) by
      ├▶ task two
      │    waits at app.py:15 (withdraw)
      │    for Lock account.lock, taken as target.lock at app.py:20 (transfer) by
      └▶ task one, the first one again

    loop in MainThread (thread 4711, asyncio): idle, 2 tasks, 0 ready

    task one
      transfer  app.py:22
      withdraw  app.py:15
      → waits for Lock account.lock, held by task two at app.py:22 (transfer)
      • holds Lock target.lock, taken at app.py:20; 1 task waits for it

    task two
      transfer  app.py:22
      withdraw  app.py:15
      → waits for Lock account.lock, held by task one at app.py:22 (transfer)
      • holds Lock target.lock, taken at app.py:20; 1 task waits for it
    ");
}
