//! Looks again and again at a program in motion, without a pause, and compares what is said of each task with what only
//! that task can have.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod target;

use async_trace_core::Snapshot;
use async_trace_core::snapshot::{Id, ProblemCode, Target as Awaited, TaskState};
use async_trace_remote::{Options, Watcher};
use std::time::{Duration, Instant};
use target::{Target, interpreters};

/// Tasks in a ring, each with a queue and a lock of types of its own. Both are made anew for each round, so that their memory
/// is another's soon after. Two more play ping-pong as fast as two tasks can. All of them rest and move by turns: a look begins
/// in rest and ends in motion or the other way round, and what it sees is seldom nothing but torn.
const PROGRAM: &str = "
import asyncio, time

RING = 30
MOVING, RESTING = 0.004, 0.004

def types(n):
    return type(f'Inbox{n}', (asyncio.Queue,), {}), type(f'Gate{n}', (asyncio.Lock,), {})

until = 0

def rest():
    global until
    if time.monotonic() > until:
        time.sleep(RESTING)
        until = time.monotonic() + MOVING

async def member(n, boxes, next):
    Inbox, Gate = types(n)
    while True:
        rest()
        inbox, gate = Inbox(), Gate()
        if boxes[n] is not None:
            while not boxes[n].empty():
                inbox.put_nowait(boxes[n].get_nowait())
        boxes[n] = inbox
        async with gate:
            message = await inbox.get()
        if boxes[next] is None:
            boxes[next] = asyncio.Queue()
        boxes[next].put_nowait(message)
        if message % 3 == 0:
            await asyncio.sleep(0)

async def main():
    boxes = [None] * RING
    pair = [None] * 2
    tasks = [asyncio.create_task(member(n, boxes, (n + 1) % RING), name=f'm-{n}') for n in range(RING)]
    tasks += [asyncio.create_task(member(n, pair, 1 - n), name=f'm-{n}') for n in range(2)]
    for n, task in enumerate(tasks[RING:]):
        task.set_name(f'm-{n}')
    await asyncio.sleep(0)
    for n in range(0, RING, 2):
        boxes[n].put_nowait(n)
    pair[0].put_nowait(1)
    print('READY', flush=True)
    await asyncio.gather(*tasks)

asyncio.run(main())
";

/// How many waiting tasks are to be seen on each interpreter.
const WAITING: usize = 400;
const PATIENCE: Duration = Duration::from_secs(60);

/// The type of a resource, as the program calls it.
fn type_of(snapshot: &Snapshot, id: Id) -> String {
    let found = snapshot.resources.iter().find(|resource| resource.id == id);
    found.map_or_else(|| "nothing".into(), |resource| resource.type_name.to_string())
}

#[test]
fn shows_no_task_with_what_is_another_tasks() {
    for python in interpreters() {
        let (target, _) = Target::python(&python, PROGRAM);
        let mut watcher = Watcher::new(target.pid(), Options { pause: false, ..Options::default() });
        let (mut waiting, mut unread) = (0, 0);
        let begun = Instant::now();
        while waiting < WAITING {
            assert!(begun.elapsed() < PATIENCE, "{python:?}: {waiting} seen waiting, {unread} unread");
            let snapshot = watcher.look().expect("a look");
            for problem in &snapshot.problems {
                unread += if problem.code == ProblemCode::TaskUnreadable { problem.count } else { 0 };
            }
            for task in &snapshot.tasks {
                let Some(number) = task.name.strip_prefix("m-") else { continue };
                let own = |what: &str, id| {
                    let name = type_of(&snapshot, id);
                    assert_eq!(name, format!("__main__.{what}{number}"), "{python:?}: {task:#?}");
                };
                task.holds.iter().for_each(|hold| own("Gate", hold.resource));
                let functions: Vec<&str> = task.chain.iter().map(|frame| &*frame.function).collect();
                let inner = functions.last().copied().unwrap_or_default();
                if task.state != TaskState::Running {
                    assert!(
                        matches!(functions[..], ["member"] | ["member", _] | ["member", "sleep", _]),
                        "{functions:?}"
                    );
                }
                if task.state == TaskState::Waiting && inner.ends_with("get") {
                    waiting += 1;
                    let Some(Awaited::Resource { id }) = task.waits_for.as_ref().map(|wait| &wait.target)
                    else {
                        panic!("{python:?}: {task:#?}");
                    };
                    own("Inbox", *id);
                    assert_eq!(task.holds.len(), 1, "{python:?}: {task:#?}");
                }
            }
        }
        eprintln!("{}: {waiting} seen waiting, {unread} unread", python.display());
    }
}
