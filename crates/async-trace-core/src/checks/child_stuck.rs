//! A child process that cannot end: it writes into a pipe that nobody reads, or has ended unnoticed.

use super::words;
use super::{Check, Findings, Scene, finding};
use crate::diff::own_frame;
use crate::finding::{Evidence, Role, Severity};
use crate::snapshot::{Child, FileKind, Target, ThreadState};

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
        let Some((doing, advice)) = trouble(child) else { continue };
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
        findings.add(found.advice(advice), [place].into_iter().chain(behind));
    }
}

/// What keeps a child from ending, and what helps.
fn trouble(child: &Child) -> Option<(&'static str, &'static str)> {
    if child.state == ThreadState::Dead {
        return Some((
            "has ended already: the loop was not told",
            "let the loop that started the child run in the main thread, or attach a child watcher to it",
        ));
    }
    let call = child.syscall.as_ref()?;
    let on_pipe = call.file.as_ref().is_some_and(|f| {
        matches!(f.kind, FileKind::Pipe | FileKind::Unix | FileKind::Socket | FileKind::Unknown)
    });
    if child.served != Some(false) || child.our_end.is_none() || !on_pipe {
        return None;
    }
    match &*call.name {
        "write" | "writev" | "sendto" | "sendmsg" => Some((
            "is blocked writing into a pipe that nobody reads here",
            "read its output while it runs: `await process.communicate()` instead of `await process.wait()`",
        )),
        "read" | "readv" | "recvfrom" | "recvmsg" => Some((
            "is blocked reading from a pipe that nobody writes to or closes here",
            "write its input and close it: `process.stdin.close()`, or `await process.communicate(input)`",
        )),
        _ => None,
    }
}
