//! Pauses running processes, and checks that nothing of it remains.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

mod target;

use async_trace_remote::process::pause::{Paused, Refused};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use target::{Target, interpreters};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

fn python() -> Option<PathBuf> {
    interpreters().pop()
}

/// The states of all threads, as the letters of `/proc`.
fn states(pid: u32) -> Vec<char> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    stats.map(|stat| stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()).collect()
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = soon();
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::yield_now();
    }
}

/// Sends itself signals from two threads: queued real-time ones as fast as it can, and SIGUSR1 in
/// ping-pong, because pending ones of those merge. A lost SIGUSR1 stops the second thread; the C-level handler
/// writes a byte for each signal, so that every one counts.
const STORM: &str = "
import os, signal, sys, threading
r, w = os.pipe(); os.set_blocking(w, False)
signal.set_wakeup_fd(w, warn_on_full_buffer=False)
sys.setswitchinterval(1e-5)
realtime = signal.SIGRTMIN + 3
for sig in (signal.SIGUSR1, realtime): signal.signal(sig, lambda *_: None)
came = {signal.SIGUSR1: 0, realtime: 0}
usr1 = threading.Semaphore(0)
stop = False
def count():
    while True:
        for byte in os.read(r, 65536):
            if byte in came: came[byte] += 1
            if byte == signal.SIGUSR1: usr1.release()
sent = {signal.SIGUSR1: 0, realtime: 0}
def ping():
    while not stop:
        os.kill(os.getpid(), signal.SIGUSR1); sent[signal.SIGUSR1] += 1
        if not usr1.acquire(timeout=20): os._exit(3)
def flood():
    while not stop:
        if sent[realtime] - came[realtime] < 500:
            os.kill(os.getpid(), realtime); sent[realtime] += 1
threading.Thread(target=count, daemon=True).start()
storm = [threading.Thread(target=ping), threading.Thread(target=flood)]
for thread in storm: thread.start()
print('READY', flush=True)
";

#[test]
fn loses_no_signal_in_200_pauses() {
    let Some(python) = python() else { return };
    // The main thread runs the handlers, so it must not block for ever in a read.
    let program = STORM.to_owned()
        + "
import select, time
while not select.select([0], [], [], 0.001)[0]: pass
sys.stdin.readline(); stop = True
for thread in storm: thread.join()
deadline = time.monotonic() + 20
while sent != came and time.monotonic() < deadline: time.sleep(0.001)
print(sent[signal.SIGUSR1], came[signal.SIGUSR1], sent[realtime], came[realtime], flush=True)
";
    let (mut target, _) = Target::python(&python, &program);
    let mut longest = Duration::ZERO;
    for _ in 0..200 {
        let paused = Paused::begin(target.pid(), soon()).unwrap();
        assert_eq!(paused.unstopped(), [0; 0]);
        longest = longest.max(paused.release());
    }
    let told = target.ask("stop");
    let counts: Vec<u64> = told.split(' ').map(|count| count.parse().unwrap()).collect();
    eprintln!("SIGUSR1 sent, came; real-time sent, came: {counts:?}; longest pause {longest:?}");
    assert_eq!((counts[0], counts[2]), (counts[1], counts[3]), "sent and came");
    assert!(counts[0] > 20 && counts[2] > 200, "no storm");
}

#[test]
fn stops_every_thread_while_threads_come_and_go() {
    let Some(python) = python() else { return };
    let (mut target, _) = Target::python(
        &python,
        "
import sys, threading
stop = False
def short(): sum(range(100))
def spawn():
    while not stop:
        t = threading.Thread(target=short); t.start(); t.join()
spawners = [threading.Thread(target=spawn) for _ in range(4)]
for t in spawners: t.start()
print('READY', flush=True)
sys.stdin.readline(); stop = True
for t in spawners: t.join()
print('well', flush=True)
",
    );
    for _ in 0..200 {
        let paused = Paused::begin(target.pid(), soon()).unwrap();
        assert_eq!(paused.unstopped(), [0; 0]);
        let states = states(target.pid());
        assert!(states.iter().all(|state| matches!(state, 't' | 'Z' | 'X')), "{states:?}");
        assert!(paused.stopped() >= 5);
    }
    assert_eq!(target.ask("stop"), "well");
}

const ECHO: &str = "
import sys
print('READY', flush=True)
for line in sys.stdin: print(line.strip(), flush=True)
";

#[test]
fn leaves_a_stopped_process_stopped() {
    let Some(python) = python() else { return };
    let (mut target, _) = Target::python(&python, ECHO);
    let pid = Pid::from_raw(target.pid().cast_signed());
    kill(pid, Signal::SIGSTOP).unwrap();
    wait_for("the stop", || states(target.pid()) == ['T']);
    for _ in 0..20 {
        let paused = Paused::begin(target.pid(), soon()).unwrap();
        assert_eq!((paused.stopped(), paused.unstopped()), (1, &[][..]));
        drop(paused);
        wait_for("the return to the stop", || states(target.pid()) == ['T']);
    }
    kill(pid, Signal::SIGCONT).unwrap();
    assert_eq!(target.ask("hello"), "hello");
}

#[test]
fn lets_the_target_go_when_killed() {
    let Some(python) = python() else { return };
    let (mut target, _) = Target::python(&python, ECHO);
    let mut tool = Command::new(env::current_exe().unwrap());
    tool.args(["--exact", "pauses_for_ever", "--ignored", "--nocapture", "--test-threads=1"]);
    tool.env("PAUSE_PID", target.pid().to_string());
    let mut tool = tool.spawn().unwrap();
    wait_for("the pause", || states(target.pid()) == ['t']);
    tool.kill().unwrap();
    tool.wait().unwrap();
    assert_eq!(target.ask("hello"), "hello");
    assert!(!states(target.pid()).contains(&'t'));
}

/// The tool that `lets_the_target_go_when_killed` kills.
#[test]
#[ignore = "runs for ever: it is a program for another test"]
fn pauses_for_ever() {
    let Some(pid) = env::var("PAUSE_PID").ok() else { return };
    let _paused = Paused::begin(pid.parse().unwrap(), soon()).unwrap();
    loop {
        std::thread::park();
    }
}

#[test]
fn says_why_it_is_refused() {
    assert_eq!(Paused::begin(std::process::id(), soon()).err(), Some(Refused::Own));
    assert_eq!(Paused::begin(u32::MAX >> 1, soon()).err(), Some(Refused::Gone));
    let Some(python) = python() else { return };
    let (target, _) = Target::python(&python, ECHO);
    let first = Paused::begin(target.pid(), soon()).unwrap();
    let again = Paused::begin(target.pid(), soon()).err();
    assert!(matches!(again, Some(Refused::Traced { by, .. }) if by != 0), "{again:?}");
    drop(first);

    // Killed and not yet waited for: a zombie.
    let pid = target.pid();
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
    wait_for("the end", || states(pid) == ['Z']);
    assert_eq!(Paused::begin(pid, soon()).err(), Some(Refused::Gone));
}

#[test]
fn a_pause_in_another_thread_than_the_release_is_fine() {
    let Some(python) = python() else { return };
    let (mut target, _) = Target::python(&python, ECHO);
    let pid = target.pid();
    let paused = std::thread::spawn(move || Paused::begin(pid, soon()).unwrap()).join().unwrap();
    assert_eq!(states(pid), ['t']);
    std::thread::spawn(move || paused.release()).join().unwrap();
    assert_eq!(target.ask("hello"), "hello");
}

#[test]
fn the_exit_of_the_target_reaches_its_parent() {
    let Some(python) = python() else { return };
    let (mut target, _) = Target::python(&python, ECHO);
    let paused = Paused::begin(target.pid(), soon()).unwrap();
    kill(Pid::from_raw(target.pid().cast_signed()), Signal::SIGKILL).unwrap();
    wait_for("the end", || states(target.pid()) == ['Z']);
    drop(paused);
    let status = target.child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
}

/// A thread that waits for its `vfork` child sleeps uninterruptibly, like one that waits for a disk.
#[test]
fn reports_a_thread_that_cannot_be_stopped() {
    let Some(python) = python() else { return };
    let (mut target, _) = Target::python(
        &python,
        "
import ctypes, signal, sys, threading
libc, PR_SET_PDEATHSIG = ctypes.CDLL(None), 1
def stuck():
    if libc.vfork() == 0: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL), libc.pause()
print('READY', flush=True)
threading.Thread(target=stuck, daemon=True).start()
for line in sys.stdin: print(line.strip(), flush=True)
",
    );
    let pid = target.pid();
    wait_for("the vfork", || states(pid).contains(&'D'));
    let begun = Instant::now();
    let paused = Paused::begin(pid, begun + Duration::from_millis(50)).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!((paused.stopped(), paused.unstopped().len()), (1, 1));
    assert_ne!(paused.unstopped(), [pid]);
    paused.release();
    assert_eq!(target.ask("hello"), "hello");
    wait_for("the release of the last thread", || {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        let status = |task: fs::DirEntry| fs::read_to_string(task.path().join("status")).unwrap();
        tasks.map(status).all(|status| status.contains("TracerPid:\t0\n"))
    });
}

#[test]
fn ends_by_itself_when_its_time_is_over() {
    let Some(python) = python() else { return };
    let (mut target, _) = Target::python(&python, ECHO);
    let paused = Paused::begin(target.pid(), Instant::now() + Duration::from_millis(50)).unwrap();
    assert_eq!((states(target.pid()), paused.over().is_over()), (vec!['t'], false));
    assert_eq!(target.ask("hello"), "hello");
    assert!(paused.over().is_over());
    let over = paused.over();
    let time = paused.release();
    assert!(over.is_over() && time < Duration::from_secs(2), "{time:?}");
}

#[test]
fn the_hurry_of_a_pause_is_over_with_it() {
    let Some(python) = python() else { return };
    let (target, _) = Target::python(&python, ECHO);
    let nice = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
    let before = nice();
    let paused = Paused::begin(target.pid(), soon()).unwrap();
    let during = nice();
    paused.release();
    assert_eq!(nice(), before);
    // Who may not hurry takes its turn.
    assert!(during == -20 || during == before, "{during}");
}
