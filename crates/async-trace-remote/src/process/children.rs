//! A child process that a task waits for.

use super::files::Files;
use super::threads;
use async_trace_core::snapshot::{Child, Syscall, Target};
use async_trace_core::text::Text;
use std::fs;

/// How much of a command line is shown.
const MAX_COMMAND: usize = 200;

/// Describes the child `pid` (as the target `parent` numbers it) of a process.
///
/// Where the target lives in another pid namespace, its number for the child is not ours: then it is
/// shown as it is, without more.
pub(crate) fn describe(parent: u32, pid: Option<u32>, _files: &mut Files) -> Target {
    let Some(pid) = pid else { return Target::Process { pid: None, command: None, child: None } };
    let stat = fs::read(format!("/proc/{pid}/stat")).ok();
    let is_child =
        stat.as_deref().and_then(super::stat::Stat::parse).is_some_and(|stat| stat.parent == parent);
    if !is_child {
        return Target::Process { pid: Some(pid), command: None, child: None };
    }
    let command = fs::read(format!("/proc/{pid}/cmdline")).ok().map(|bytes| {
        let text = String::from_utf8_lossy(&bytes).trim_end_matches('\0').replace('\0', " ");
        Text::from(text.chars().take(MAX_COMMAND).collect::<String>())
    });
    // All its threads together, in hundredths of a second.
    let ticks = stat.as_deref().and_then(super::stat::Stat::parse).map(|stat| stat.ticks);
    let child = threads::thread(pid, pid).map(|thread| {
        let syscall = thread.syscall.as_ref().map(|call| Syscall {
            name: call.name().map_or_else(|| format!("syscall {}", call.number).into(), Text::from),
            file: call.file(&|_, _| false).map(|fd| Files::new(pid).describe(fd)),
        });
        let cpu_us = ticks.map(|ticks| ticks * 10_000);
        Box::new(Child { state: thread.state, cpu_us, syscall, our_end: None, served: None, abandoned: None })
    });
    Target::Process { pid: Some(pid), command: command.filter(|c| !c.is_empty()), child }
}
