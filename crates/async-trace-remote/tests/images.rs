//! Recorded images, read by the real reader and drawn by the real renderer: no interpreter is needed.
//!
//! `tools/record_images.py` records them. `BLESS=1 cargo test -p async-trace-remote --test images` writes
//! what is expected of them anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use async_trace_core::Snapshot;
use async_trace_core::render::{self, Canvas};
use async_trace_core::snapshot::{
    Consistency, LoopState, Source, Target, Task, TaskState, ThreadState, Trust,
};
use async_trace_remote::{Options, capture_image};
use std::fs;
use std::path::PathBuf;

fn home() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/images")
}

/// The names of all images.
fn images() -> Vec<String> {
    let entries = fs::read_dir(home()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> =
        entries.filter_map(|name| Some(name.to_str()?.strip_suffix(".image")?.to_owned())).collect();
    names.sort();
    assert!(names.len() >= 10, "{names:?}");
    names
}

fn read(name: &str) -> Snapshot {
    let path = home().join(format!("{name}.image"));
    capture_image(&path, &Options::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn tree(snapshot: &Snapshot) -> String {
    struct Page(String);
    impl Canvas for Page {
        fn span(&mut self, _: render::Role, text: &str) {
            self.0.push_str(text);
        }
        fn end_line(&mut self) {
            self.0.push('\n');
        }
    }
    let mut page = Page(String::new());
    render::tree(snapshot, &render::Options { width: Some(80), ..render::Options::default() }, &mut page);
    page.0
}

#[test]
fn each_image_looks_as_it_should() {
    let mut wrong = Vec::new();
    for name in images() {
        let seen = tree(&read(&name));
        let path = home().join(format!("{name}.txt"));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &seen).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if seen != expected {
            wrong.push(format!("{name}: expected\n{expected}\nbut there is\n{seen}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_image_is_of_one_moment_and_complete() {
    for name in images() {
        let snapshot = read(&name);
        assert_eq!(snapshot.problems, [], "{name}");
        let capture = &snapshot.capture;
        assert_eq!((capture.source, capture.consistency), (Source::Image, Consistency::Still), "{name}");
        assert!(capture.time_s > 1.7e9 && capture.pause_us.is_none(), "{name}");
        let minor = name.split('-').nth(1).unwrap();
        assert!(snapshot.process.python.starts_with(&format!("{minor}.")), "{name}");
        assert!(snapshot.threads.iter().all(|thread| thread.state == ThreadState::Sleeping), "{name}");
        assert!(snapshot.tasks.iter().all(|task| !task.chain.is_empty()), "{name}");
    }
}

fn task<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Task {
    snapshot.tasks.iter().find(|task| &*task.name == name).unwrap()
}

fn functions(task: &Task) -> Vec<&str> {
    task.chain.iter().map(|frame| &*frame.function).collect()
}

#[test]
fn a_deadlock_is_a_circle_of_holders() {
    let snapshot = read("deadlock_two_locks-3.10");
    let holder = |name: &str| {
        let wait = task(&snapshot, name).waits_for.as_ref().unwrap();
        let Target::Resource { id } = &wait.target else { panic!("{wait:?}") };
        let lock = snapshot.resources.iter().find(|resource| resource.id == *id).unwrap();
        let [holder] = &lock.holders[..] else { panic!("{lock:?}") };
        assert_eq!(holder.trust, Trust::Read);
        holder.task.unwrap()
    };
    let (alice, bob) = (task(&snapshot, "alice-pays-bob"), task(&snapshot, "bob-pays-alice"));
    assert_eq!((holder("alice-pays-bob"), holder("bob-pays-alice")), (bob.id, alice.id));
    assert_eq!(functions(alice)[..2], ["transfer", "withdraw"]);
}

#[test]
fn a_blocked_loop_has_a_task_that_runs() {
    let snapshot = read("blocked_loop_sleep-3.12");
    let [event_loop] = &snapshot.loops[..] else { panic!() };
    assert_eq!(
        (event_loop.state, event_loop.task),
        (LoopState::Busy, Some(task(&snapshot, "checkout-7").id))
    );
    // Time is that of the recording: the clock of today would make these days.
    assert!(event_loop.turn_s.unwrap() < 5.0 && event_loop.next_timer_s.unwrap() < 2.0);
    assert_eq!(task(&snapshot, "checkout-7").state, TaskState::Running);
    let call = snapshot.threads[0].syscall.as_ref().unwrap();
    assert_eq!(&*call.name, "clock_nanosleep");
}

#[test]
fn sockets_have_the_addresses_that_were_noted() {
    let snapshot = read("streams-3.12-uvloop");
    assert!(snapshot.loops[0].kind.starts_with("uvloop"));
    let wait = task(&snapshot, "read-answer").waits_for.as_ref().unwrap();
    let Target::File { file } = &wait.target else { panic!("{wait:?}") };
    assert!(file.local.as_ref().unwrap().starts_with("127.0.0.1:"));
    assert!(file.peer.as_ref().unwrap().starts_with("127.0.0.1:"));
}

#[test]
fn a_job_is_linked_with_its_thread() {
    let snapshot = read("executor_full-3.15");
    let wait = task(&snapshot, "export-0").waits_for.as_ref().unwrap();
    let Target::Job { thread: Some(tid), function, .. } = &wait.target else { panic!("{wait:?}") };
    assert_eq!(function.as_deref(), Some("render_pdf"));
    let thread = snapshot.threads.iter().find(|thread| thread.tid == *tid).unwrap();
    assert_eq!(thread.job.as_ref().unwrap().task, Some(task(&snapshot, "export-0").id));
}

#[test]
fn many_equal_tasks_are_all_there() {
    let snapshot = read("many_handlers-3.11");
    assert_eq!(snapshot.tasks.iter().filter(|task| functions(task) == CHAT).count(), 100);
}

const CHAT: [&str; 3] = ["chat", "WebSocket.receive", "Queue.get"];
