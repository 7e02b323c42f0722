//! What the operating system tells about a Python process: threads, system calls, files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod target;

use async_trace_core::snapshot::{FileKind, ThreadState};
use async_trace_remote::process::files::Files;
use async_trace_remote::process::threads::{self, OsThread};
use std::time::{Duration, Instant};
use target::{Target, interpreters, memory};

const PROGRAM: &str = "
import os, select, socket, sys, threading, time
server = socket.create_server(('127.0.0.1', 0))
port = server.getsockname()[1]
plain = socket.create_connection(('127.0.0.1', port))
timed = socket.create_connection(('127.0.0.1', port)); timed.settimeout(600)
kept = server.accept(), server.accept()
r, w = os.pipe()
lock = threading.Lock(); lock.acquire()
jobs = [
    lambda: plain.recv(1), lambda: timed.recv(1), lambda: server.accept(), lambda: os.read(r, 1),
    lambda: lock.acquire(), lambda: time.sleep(600), lambda: select.epoll().poll(),
]
started = []
for job in jobs:
    known = threading.Event()
    def run(job=job, known=known):
        started.append(threading.get_native_id()); known.set(); job()
    threading.Thread(target=run, daemon=True).start(); known.wait()
print('READY', port, plain.getsockname()[1], timed.getsockname()[1], *started, flush=True)
sys.stdin.read()
";

#[test]
fn says_what_blocked_threads_wait_for() {
    let Some(python) = interpreters().pop() else { return };
    let (target, told) = Target::python(&python, PROGRAM);
    let tids: Vec<u32> = told[3..].iter().map(|tid| tid.parse().unwrap()).collect();
    let asleep = |thread: &OsThread| thread.state == ThreadState::Sleeping && thread.syscall.is_some();
    let deadline = Instant::now() + Duration::from_secs(5);
    let all = loop {
        let all = threads::list(target.pid()).unwrap();
        if all.iter().all(asleep) {
            break all;
        }
        assert!(Instant::now() < deadline, "{all:?}");
        std::thread::yield_now();
    };
    assert_eq!((all.len(), all[0].tid), (tids.len() + 1, target.pid()));

    let read = memory(target.pid());
    let mut files = Files::new(target.pid());
    let mut seen = |index: usize| {
        let syscall = all.iter().find(|thread| thread.tid == tids[index]).unwrap().syscall.unwrap();
        let file = syscall.file(&read).map(|fd| files.describe(fd));
        (syscall.name().unwrap_or("?"), file)
    };
    let address = |port: &str| Some(format!("127.0.0.1:{port}"));

    let (name, file) = seen(0);
    let file = file.unwrap();
    assert_eq!((name, file.kind, file.status.as_deref()), ("recvfrom", FileKind::Tcp, Some("ESTABLISHED")));
    assert_eq!(
        (file.local.as_deref(), file.peer.as_deref()),
        (address(&told[1]).as_deref(), address(&told[0]).as_deref())
    );

    let (name, file) = seen(1);
    let file = file.unwrap();
    assert!(["poll", "ppoll"].contains(&name), "{name}");
    assert_eq!(file.local.as_deref(), address(&told[2]).as_deref());

    let (name, file) = seen(2);
    let file = file.unwrap();
    assert!(["accept4", "accept"].contains(&name), "{name}");
    assert_eq!(
        (file.local.as_deref(), file.status.as_deref()),
        (address(&told[0]).as_deref(), Some("LISTEN"))
    );

    let (name, file) = seen(3);
    assert_eq!((name, file.unwrap().kind), ("read", FileKind::Pipe));
    assert_eq!(seen(4), ("futex", None));
    assert_eq!(seen(5), ("clock_nanosleep", None));
    let (name, file) = seen(6);
    let file = file.unwrap();
    assert!(["epoll_wait", "epoll_pwait"].contains(&name), "{name}");
    assert_eq!((file.kind, file.local.as_deref()), (FileKind::Event, Some("eventpoll")));
}
