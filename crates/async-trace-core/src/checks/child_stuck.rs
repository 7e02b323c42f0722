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
        let Some(waits) = &task.waits_for else { continue };
        let Some(at) = child(&waits.target) else { continue };
        if findings.explains(place)
            || !scene.is_still(place)
            || !scene.time_passed()
            || scene.ends_soon(waits.timeout_s)
        {
            continue;
        }
        let is_for_the_end = matches!(waits.target, Target::Process { .. });
        let Some((doing, advice, doubt)) = trouble(at.child, is_for_the_end) else { continue };
        if !always_so(scene, task.id, at.child) {
            continue;
        }
        let name = match (at.pid, at.command) {
            (Some(pid), Some(command)) => format!("child process {pid} ({command})"),
            (Some(pid), None) => format!("child process {pid}"),
            _ => "a child process".to_owned(),
        };
        let of = if is_for_the_end { "" } else { "the output of " };
        let summary = format!(
            "{} waits in {} for {of}{name}, which {doing}",
            words::task(task),
            words::place(own_frame(&scene.task(scene.spokesman(place)).chain)),
        );
        let mut text = format!("{name} {doing}");
        if let Some(fd) = at.child.our_end {
            text.push_str(&format!("; this process has the other end as fd {fd}"));
        }
        let mut found = finding(CHECK.slug, Severity::Error, summary)
            .evidence([scene.waits_evidence(place), Evidence::new(Role::Child, text)]);
        let behind = scene.behind(&[place]);
        found.consequences = scene.consequences(&behind);
        if let Some(doubt) = doubt {
            found = found.doubt(doubt);
        }
        // Others wait for the same child, each in its own way.
        let same = scene.tasks().filter(|(_, other)| {
            let other = other.waits_for.as_ref().and_then(|waits| child(&waits.target));
            at.pid.is_some() && other.is_some_and(|other| other.pid == at.pid)
        });
        let same: Vec<u32> = same.map(|(place, _)| place).collect();
        let behind = behind.into_iter().chain(scene.behind(&same)).chain(same);
        findings.add(found.advice(advice), [place].into_iter().chain(behind));
    }
}

/// A child that a task waits for, or whose output it reads.
struct Awaited<'a> {
    pid: Option<u32>,
    command: Option<&'a str>,
    child: &'a Child,
}

fn child(target: &Target) -> Option<Awaited<'_>> {
    match target {
        Target::Process { pid, command, child: Some(child) } => {
            Some(Awaited { pid: *pid, command: command.as_deref(), child })
        }
        Target::File { file } => {
            let end = file.child.as_deref()?;
            Some(Awaited { pid: Some(end.pid), command: end.command.as_deref(), child: &end.child })
        }
        _ => None,
    }
}

/// Whether the child was at the same system call in every look, and has used no CPU time since the first.
fn always_so(scene: &Scene<'_>, task: Id, now: &Child) -> bool {
    scene.history.snapshots().iter().all(|s| {
        let waits = s.tasks.iter().find(|t| t.id == task).and_then(|t| t.waits_for.as_ref());
        match waits.and_then(|w| child(&w.target)) {
            Some(Awaited { child: then, .. }) => {
                (then.state, &then.syscall, then.cpu_us, then.served, then.abandoned)
                    == (now.state, &now.syscall, now.cpu_us, now.served, now.abandoned)
            }
            // That look did not see the task, or not its child.
            None => true,
        }
    })
}

type Trouble = (&'static str, &'static str, Option<&'static str>);

/// What keeps a child from ending, what helps, and what is not known. Who reads its output waits for it to end only where
/// nobody else can get at it.
fn trouble(child: &Child, is_for_the_end: bool) -> Option<Trouble> {
    if child.state == ThreadState::Dead {
        return is_for_the_end.then_some((
            "has ended already: the loop was not told",
            "let the loop that started the child run in the main thread, or attach a child watcher to it",
            None,
        ));
    }
    let call = child.syscall.as_ref()?;
    let on_pipe = call.file.as_ref().is_some_and(|f| {
        matches!(f.kind, FileKind::Pipe | FileKind::Unix | FileKind::Socket | FileKind::Unknown)
    });
    let abandoned = child.abandoned == Some(true);
    if child.served == Some(true)
        || child.state != ThreadState::Sleeping
        || !on_pipe
        || child.abandoned == Some(false)
        || !is_for_the_end && !abandoned
    {
        return None;
    }
    match &*call.name {
        "write" | "writev" | "sendto" | "sendmsg" => Some((
            "is blocked writing into a pipe that nobody reads",
            "read its output while it runs: `await process.communicate()` instead of `await process.wait()`",
            match child.served {
                None => Some("who has the pipe's other end was not read"),
                _ if abandoned => None,
                _ => Some("whoever else has the process object may still read from it"),
            },
        )),
        // A child that waits for its next order is no trouble, unless the order cannot come.
        "read" | "readv" | "recvfrom" | "recvmsg" if child.served == Some(false) && abandoned => Some((
            "is blocked reading from a pipe that nobody writes to or closes",
            "write its input and close it: `process.stdin.close()`, or `await process.communicate(input)`",
            None,
        )),
        _ => None,
    }
}
