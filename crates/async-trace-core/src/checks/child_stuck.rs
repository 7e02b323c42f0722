//! A child process that cannot end: it writes into a pipe that nobody reads, or has ended unnoticed.

use super::words;
use super::{Check, Findings, Scene, finding};
use crate::diff::own_frame;
use crate::finding::{Evidence, Role, Severity};
use crate::snapshot::{Child, FileKind, Id, Target, ThreadState};

pub(super) const CHECK: Check = Check {
    slug: "child-stuck",
    about: "a child process is blocked on a pipe that nobody serves, or has ended without anyone noticing",
    run,
};

fn run(scene: &Scene<'_>, findings: &mut Findings) {
    for (place, task) in scene.tasks() {
        let Some(Target::Process { pid, command, child: Some(child) }) =
            task.waits_for.as_ref().map(|w| &w.target)
        else {
            continue;
        };
        if findings.explains(place) || !scene.is_still(place) || !scene.time_passed() {
            continue;
        }
        let Some((doing, advice, doubt)) = trouble(child) else { continue };
        if !always_so(scene, task.id, child) {
            continue;
        }
        let name = match (pid, command) {
            (Some(pid), Some(command)) => format!("child process {pid} ({command})"),
            (Some(pid), None) => format!("child process {pid}"),
            _ => "a child process".to_owned(),
        };
        let summary = format!(
            "{} waits in {} for {name}, which {doing}",
            words::task(task),
            words::place(own_frame(&task.chain)),
        );
        let mut text = format!("{name} {doing}");
        if let Some(fd) = child.our_end {
            text.push_str(&format!("; this process has the other end as fd {fd}"));
        }
        let mut found = finding(CHECK.slug, Severity::Error, summary)
            .evidence([scene.waits_evidence(place), Evidence::new(Role::Child, text)]);
        let behind = scene.behind(&[place]);
        found.consequences = scene.consequences(&behind);
        if let Some(doubt) = doubt {
            found = found.doubt(doubt);
        }
        findings.add(found.advice(advice), [place].into_iter().chain(behind));
    }
}

/// Whether the child was at the same system call in every look.
fn always_so(scene: &Scene<'_>, task: Id, now: &Child) -> bool {
    scene.history.snapshots().iter().all(|s| {
        let waits = s.tasks.iter().find(|t| t.id == task).and_then(|t| t.waits_for.as_ref());
        match waits.map(|w| &w.target) {
            Some(Target::Process { child: Some(then), .. }) => {
                (then.state, &then.syscall) == (now.state, &now.syscall)
            }
            // That look did not see the task, or not its child.
            _ => true,
        }
    })
}

type Trouble = (&'static str, &'static str, Option<&'static str>);

/// What keeps a child from ending, what helps, and what is not known.
fn trouble(child: &Child) -> Option<Trouble> {
    if child.state == ThreadState::Dead {
        return Some((
            "has ended already: the loop was not told",
            "let the loop that started the child run in the main thread, or attach a child watcher to it",
            None,
        ));
    }
    let call = child.syscall.as_ref()?;
    let on_pipe = call.file.as_ref().is_some_and(|f| {
        matches!(f.kind, FileKind::Pipe | FileKind::Unix | FileKind::Socket | FileKind::Unknown)
    });
    if child.served == Some(true) || child.state != ThreadState::Sleeping || !on_pipe {
        return None;
    }
    match (&*call.name, child.served) {
        ("write" | "writev" | "sendto" | "sendmsg", served) => Some((
            "is blocked writing into a pipe that nobody reads",
            "read its output while it runs: `await process.communicate()` instead of `await process.wait()`",
            served.is_none().then_some("who has the pipe's other end was not read"),
        )),
        // A child that waits for its next order is no trouble, unless the order cannot come.
        ("read" | "readv" | "recvfrom" | "recvmsg", Some(false)) if child.our_end.is_some() => Some((
            "is blocked reading from a pipe that nobody writes to or closes",
            "write its input and close it: `process.stdin.close()`, or `await process.communicate(input)`",
            None,
        )),
        _ => None,
    }
}
