//! Dead processes are read as live ones are: images and core files of every interpreter on this machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod target;

use async_trace_core::Snapshot;
use async_trace_core::render::{self, Canvas};
use async_trace_core::snapshot::{Consistency, LoopState, Problem, ProblemCode, Source, ThreadState};
use async_trace_remote::{Error, Options, capture, capture_core, capture_file, capture_image, record_image};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use target::{Target, interpreters};

/// A directory that is removed with all that is in it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("async-trace-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn example(python: &Path, name: &str) -> Target {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    Target::start(Command::new(python).arg(path)).0
}

/// Long enough for a machine that is busy with other tests.
fn patient() -> Options {
    Options { pause_budget: Duration::from_secs(5), ..Options::default() }
}

/// All that a person would see of it, but for how it was taken.
fn seen(snapshot: &Snapshot) -> String {
    struct Page(String);
    impl Canvas for Page {
        fn span(&mut self, _: render::Role, text: &str) {
            self.0.push_str(text);
        }
        fn end_line(&mut self) {
            self.0.push('\n');
        }
    }
    let options =
        render::Options { all_frames: true, threads: true, width: Some(80), ..render::Options::default() };
    let mut page = Page(String::new());
    render::tree(snapshot, &options, &mut page);
    let lines = page.0.lines().enumerate().filter(|(number, _)| *number != 1);
    lines.map(|(_, line)| format!("{line}\n")).collect()
}

/// Interpreters that can be read at all.
fn readable() -> Vec<PathBuf> {
    interpreters().into_iter().filter(|path| !path.to_string_lossy().ends_with('t')).collect()
}

#[test]
fn an_image_says_what_its_process_said() {
    let scratch = Scratch::new("image");
    for python in readable() {
        for name in ["deadlock_two_locks.py", "executor_full.py", "timeouts.py"] {
            let target = example(&python, name);
            let path = scratch.0.join("image");
            let live = record_image(target.pid(), &path, &patient()).unwrap();
            drop(target);
            let recorded = capture_image(&path, &patient()).unwrap();
            assert_eq!(seen(&live), seen(&recorded), "{python:?} {name}");
            let capture = &recorded.capture;
            assert_eq!((capture.source, capture.consistency), (Source::Image, Consistency::Still));
            assert_eq!((capture.pause_us, recorded.problems.len()), (None, 0), "{:?}", recorded.problems);
            assert!((capture.time_s - live.capture.time_s).abs() < 0.001);
        }
    }
}

#[test]
fn nobody_else_may_read_an_image() {
    use std::os::unix::fs::PermissionsExt;
    let Some(python) = readable().into_iter().next() else { return };
    let scratch = Scratch::new("private");
    let target = example(&python, "deadlock_two_locks.py");
    let path = scratch.0.join("image");
    record_image(target.pid(), &path, &patient()).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn an_image_says_that_it_was_recorded_without_a_pause() {
    let Some(python) = readable().into_iter().next() else { return };
    let scratch = Scratch::new("unpaused");
    let target = example(&python, "deadlock_two_locks.py");
    let path = scratch.0.join("image");
    record_image(target.pid(), &path, &Options { pause: false, ..Options::default() }).unwrap();
    let recorded = capture_image(&path, &Options::default()).unwrap();
    assert!(recorded.problems.iter().any(|problem| problem.message.contains("while the process ran")));
}

#[test]
fn a_core_file_says_what_its_process_said() {
    if Command::new("gcore").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        return eprintln!("skipped: gcore (of gdb) is not installed");
    }
    let scratch = Scratch::new("core");
    for python in readable() {
        let target = example(&python, "executor_full.py");
        let pid = target.pid();
        // READY is said from inside of the loop: where the machine is busy, it may still be at that, and its
        // threads on their way to where they wait.
        let at_rest = || {
            let live = capture(pid, &patient()).unwrap();
            let idle = live.loops.iter().all(|event_loop| event_loop.state == LoopState::Idle);
            let asleep = live.threads.iter().all(|t| t.state == ThreadState::Sleeping && !t.waits_for_gil);
            (idle && asleep).then_some(live)
        };
        let mut live = (0..1000).find_map(|_| at_rest()).expect("the example comes to rest");
        // gdb gives a thread's stack up at the guard pages that glibc makes since 2.42 (MADV_GUARD_INSTALL).
        let guarded = std::fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap().contains(" gu ");
        let mut gcore = Command::new("gcore");
        gcore.arg("-o").arg(scratch.0.join("core")).arg(pid.to_string());
        assert!(gcore.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
        drop(target);
        let path = scratch.0.join(format!("core.{pid}"));
        let mut dead = capture_file(&path, &patient()).unwrap();
        assert_eq!((dead.capture.source, dead.capture.consistency), (Source::Core, Consistency::Still));
        let torn = |problem: &Problem| guarded && problem.code == ProblemCode::StackTorn;
        assert!(dead.problems.iter().all(torn), "{python:?}: {:?}", dead.problems);
        // A core knows no clock, no files, and not what the kernel calls a thread's state.
        for snapshot in [&mut live, &mut dead] {
            for thread in &mut snapshot.threads {
                (thread.cpu_us, thread.state) = (None, ThreadState::Unknown);
                thread.syscall = None;
            }
            for event_loop in &mut snapshot.loops {
                (event_loop.next_timer_s, event_loop.turn_s) = (None, None);
            }
            snapshot.process.command.clear();
        }
        assert_eq!(live.tasks, dead.tasks, "{python:?}");
        assert_eq!(live.resources, dead.resources, "{python:?}");
        if dead.problems.is_empty() {
            assert_eq!(live.threads, dead.threads, "{python:?}");
        }
        assert_eq!(live.loops, dead.loops, "{python:?}");
        assert_eq!(live.process, dead.process, "{python:?}");
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn other_files_are_refused_with_a_reason() {
    let scratch = Scratch::new("others");
    let reason = |name: &str, content: Option<&str>| {
        let path = scratch.0.join(name);
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        match capture_file(&path, &Options::default()) {
            Err(Error::BadFile { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(reason("missing", None), "there is no such file");
    assert_eq!(reason("", None), "it is a directory");
    assert_eq!(reason("text", Some("hello, world")), "it is not a core file or image");
    assert_eq!(
        reason("newer", Some("async-trace image 2\n{}\n")),
        "it is an image of version 2; a newer async-trace reads it"
    );
    assert_eq!(reason("cut", Some("async-trace image 1\n{\"recorder\":")), "it is an image that is cut off");
    assert!(reason("other", Some("async-trace image 1\n{}\n")).starts_with("it is a damaged image: "));
    assert!(matches!(capture_core(&scratch.0.join("cut"), &Options::default()), Err(Error::BadFile { .. })));
}
