//! Every kind of wait, as a sentence.

use super::{narrow, shown};
use insta::assert_snapshot;

/// The sentence about what the first task waits for.
fn says(head: &str, waits: &str) -> String {
    let text = format!("{head}\ntask waiter\n  f app.py:1\n  waits {waits}\ntask other\n  g app.py:9");
    let out = shown(&text, &super::Options { width: None, ..narrow() });
    let line = out.lines().find(|line| line.contains("→ ")).unwrap_or_default();
    line.trim_start_matches(['│', ' ', '→']).to_owned()
}

#[test]
fn locks() {
    assert_snapshot!(says("lock a", "acquire a"), @"waits for Lock a; it is free now");
    assert_snapshot!(says("lock a locked anonymous", "acquire a"), @"waits for Lock 0x7f2000000100; it is taken, by whom could not be seen");
    assert_snapshot!(says("lock a locked", "acquire a as self.lock timeout 2.5"), @"waits for Lock self.lock; it is taken, by whom could not be seen, timeout in 2.5 s");
    assert_snapshot!(says("lock a locked\n  held transfer bank.py:40", "acquire a timeout -0.2"), @"waits for Lock a, held by code that no task runs any more, at bank.py:40 (transfer), its timeout is 0.2 s overdue");
    assert_snapshot!(says("lock a locked\n  held task other guessed g app.py:9", "acquire a"), @"waits for Lock a, probably held by task other at app.py:9 (g)");
    assert_snapshot!(says("thread-lock a\n  held thread 4711", "acquire a guessed"), @"probably waits for threading.Lock a, held by thread MainThread (4711)");
    assert_snapshot!(says("lock a\n  held task done g app.py:9\ntask done returned", "acquire a"), @"waits for Lock a, held by task done (which has ended) at app.py:9 (g)");
}

#[test]
fn counters() {
    assert_snapshot!(says("semaphore s 0/3", "acquire s"), @"waits for Semaphore s (0 of 3 free)");
    assert_snapshot!(says("pool p 10/10\nsemaphore s 0/10 within p", "acquire s within p"), @"waits for Semaphore s (0 of 10 free), part of asyncpg Pool p (size 10 of 10)");
    assert_snapshot!(says("barrier b 2/3", "wait b"), @"waits at Barrier b (2 of 3 have come)");
    assert_snapshot!(says("event e unset", "wait e"), @"waits for Event e, which is not set");
    assert_snapshot!(says("event e set", "wait e"), @"waits for Event e, which is set");
    assert_snapshot!(says("condition c locked", "wait c"), @"waits for a notify of Condition c");
    assert_snapshot!(says("condition c locked", "acquire c"), @"waits for the lock of Condition c; it is taken, by whom could not be seen");
    assert_snapshot!(says("manager m as session", "acquire m"), @"waits for aiohttp ClientSession session");
}

#[test]
fn queues() {
    assert_snapshot!(says("queue q 0/100", "get q"), @"waits for an item from Queue q (empty, 1 getter)");
    assert_snapshot!(says("queue q 0/0 type asyncio.queues.PriorityQueue getters 3", "get q"), @"waits for an item from PriorityQueue q (empty, 3 getters)");
    assert_snapshot!(says("queue q 100/100 getters 0 putters 12", "put q"), @"waits for room in Queue q (full: 100 of 100, 12 putters, no getter)");
    assert_snapshot!(says("queue q 0/0 unfinished 5", "join q"), @"waits until all is done in Queue q (empty, 5 not finished, no getter)");
}

#[test]
fn tasks() {
    assert_snapshot!(says("", "await task other"), @"waits for task other");
    assert_snapshot!(says("", "gather tasks other waiter2 done 3\ntask waiter2"), @"waits for 2 tasks in its gather; 3 are done");
    assert_snapshot!(says("", "task_group tasks other"), @"waits for task other of its TaskGroup");
    assert_snapshot!(says("", "wait tasks other waiter2 done 1 any\ntask waiter2"), @"waits for the first of 2 tasks (asyncio.wait); 1 is done");
    assert_snapshot!(says("", "wait tasks other waiter2\ntask waiter2"), @"waits for 2 tasks in asyncio.wait");
    assert_snapshot!(says("", "wait_for task other timeout 125"), @"waits for task other in wait_for, timeout in 2 min 5 s");
    assert_snapshot!(says("", "shield task other"), @"waits for task other behind a shield");
    assert_snapshot!(says("", "as_completed tasks other waiter2\ntask waiter2"), @"waits for the next of 2 tasks (as_completed)");
}

#[test]
fn times() {
    assert_snapshot!(says("", "sleep timer 12.3"), @"sleeps for another 12 s");
    assert_snapshot!(says("", "sleep timer -0.8"), @"sleeps; its timer is 0.8 s overdue");
    assert_snapshot!(says("", "sleep timer"), @"sleeps");
    assert_snapshot!(says("", "await timer 3600"), @"waits for a timer: 1 h 0 min");
    assert_snapshot!(says("", "await turn"), @"gave way, and runs again in its turn");
}

#[test]
fn files() {
    assert_snapshot!(says("", "read tcp 17 127.0.0.1:4000 127.0.0.1:5432 ESTABLISHED"), @"waits to read from TCP connection 127.0.0.1:4000 → 127.0.0.1:5432 (fd 17)");
    assert_snapshot!(says("", "read tcp 17 127.0.0.1:4000 127.0.0.1:5432 CLOSE_WAIT"), @"waits to read from TCP connection 127.0.0.1:4000 → 127.0.0.1:5432 (fd 17, closed by the other end)");
    assert_snapshot!(says("", "connect tcp 17 - 10.0.0.2:443 SYN_SENT"), @"waits to connect to 10.0.0.2:443 (fd 17, SYN_SENT)");
    assert_snapshot!(says("", "accept tcp 6 0.0.0.0:8080 - LISTEN"), @"waits for connections on 0.0.0.0:8080 (fd 6)");
    assert_snapshot!(says("", "write pipe 5"), @"waits to write to pipe (fd 5)");
    assert_snapshot!(says("", "read unix 5 /run/x.sock"), @"waits to read from Unix socket /run/x.sock (fd 5)");
    assert_snapshot!(says("", "await fd 5"), @"waits for descriptor (fd 5)");
}

#[test]
fn work_elsewhere() {
    assert_snapshot!(says("thread 8 worker\n  h app.py:70", "call job work thread 8"), @"waits for work in thread worker (8), which is at app.py:70 (h)");
    assert_snapshot!(says("executor e 1/1 busy 1", "call job work queued 3 on e"), @"waits for work, queued in ThreadPoolExecutor e behind 3 jobs; its only thread is busy");
    assert_snapshot!(says("executor e 0/4 busy 0", "call job work queued 0 on e"), @"waits for work, queued in ThreadPoolExecutor e");
    assert_snapshot!(says("", "wait child 99 \"sleep 60\""), @"waits for child process 99 (sleep 60)");
    assert_snapshot!(says("", "wait child 99 make sleeping syscall write pipe 1 end 7 unserved"), @"waits for child process 99 (make), which writes (write) to pipe (fd 1); nobody serves our end of it (fd 7)");
}

#[test]
fn what_is_not_known() {
    assert_snapshot!(says("", "await future asyncio.Future"), @"waits for a Future; who completes it is not known");
    assert_snapshot!(says("", "await unknown trio.lowlevel.Trap"), @"waits for a trio.lowlevel.Trap, which could not be followed");
    assert_snapshot!(says("", "await future asyncio.Future unreachable"), @"waits for a Future; nobody else can reach it");
}

#[test]
fn who_has_left_and_who_only_sends_no_more_are_told_apart() {
    let handler = |words: &str| format!("task {words} {words}\n  serve app.py:4\n  waits get q\n");
    let words = ["connected", "half-connected", "disconnected"];
    let text = format!("queue q 0/0\n{}", words.map(handler).concat());
    let out = shown(&text, &narrow());
    assert!(out.contains("serves a client that has gone"), "{out}");
    assert!(out.contains("serves a client that has closed its side"), "{out}");
}
