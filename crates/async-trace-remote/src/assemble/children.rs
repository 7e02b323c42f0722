//! Child processes that tasks wait for, and who is at the other ends of their pipes.

use super::Assembly;
use crate::asyncio::input;
use crate::asyncio::walk::Walked;
use crate::memory::addr::Addr;
use crate::process::family::is_alone;
use async_trace_core::snapshot::{Child, ChildEnd, FileKind, Target, Task, TaskState, Verb};
use rustc_hash::FxHashMap;

/// How many tasks that wait for a pipe are asked for a child at its other end.
const MAX_PIPES: usize = 1024;

impl Assembly<'_, '_, '_> {
    /// Adds what is known of the pipes between the target and the children that its tasks wait for.
    pub(super) fn children(&mut self, tasks: &mut [Task], walked: &Walked) {
        let mut pipes = 0;
        let mut waiting: FxHashMap<u32, Vec<usize>> = FxHashMap::default();
        for (at, task) in tasks.iter().enumerate().filter(|(_, task)| task.state == TaskState::Waiting) {
            let Some(waits) = &task.waits_for else { continue };
            let child = match &waits.target {
                Target::Process { pid, child: Some(_), .. } => *pid,
                Target::File { file }
                    if matches!(file.kind, FileKind::Pipe | FileKind::Unix)
                        && waits.verb == Verb::Read
                        && pipes < MAX_PIPES =>
                {
                    pipes += 1;
                    self.facts.surroundings.family().and_then(|family| family.child_behind(file.fd))
                }
                _ => None,
            };
            if let Some(child) = child {
                waiting.entry(child).or_default().push(at);
            }
        }
        for (pid, places) in waiting {
            let Target::Process { command, child: Some(child), .. } =
                self.facts.surroundings.child(Some(pid))
            else {
                continue;
            };
            let addrs: Vec<Addr> = places.iter().map(|at| Addr(tasks[*at].id.0)).collect();
            let known = self.with_our_end(pid, *child, &addrs, walked);
            for at in places {
                match tasks[at].waits_for.as_mut().map(|waits| &mut waits.target) {
                    Some(Target::Process { child: Some(child), .. }) => **child = known.clone(),
                    Some(Target::File { file }) => {
                        file.child =
                            Some(Box::new(ChildEnd { pid, command: command.clone(), child: known.clone() }));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Says of a child that is blocked on one of its standard streams who has the other end.
    fn with_our_end(&mut self, pid: u32, mut child: Child, waiting: &[Addr], walked: &Walked) -> Child {
        let Some(call) = &child.syscall else { return child };
        let Some(fd) = call.file.as_ref().map(|file| file.fd) else { return child };
        let reads = call.name.starts_with("read") || call.name.starts_with("recv");
        let family = self.facts.surroundings.family();
        let Some((end, served)) = family.and_then(|family| family.our_end(pid, fd, reads)) else {
            return child;
        };
        // A thread may be at it, too.
        let in_thread = self.facts.os_threads.iter().any(|thread| {
            let file = thread.syscall.as_ref().and_then(|call| call.file(&|_, _| false));
            file == Some(end)
        });
        child.our_end = Some(end);
        child.served = served.map(|served| served || in_thread);
        if child.served == Some(false) {
            let abandoned = input::is_abandoned(self.session, walked, waiting, end);
            // It may have something else to do than what its main thread is at.
            child.abandoned = abandoned.filter(|abandoned| !abandoned || is_alone(pid));
        }
        child
    }
}
