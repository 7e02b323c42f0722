//! The threads of a process as the kernel sees them.

use super::stat::Stat;
use super::syscalls::RawSyscall;
use async_trace_core::snapshot::ThreadState;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;

/// A thread of the operating system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OsThread {
    /// The kernel's thread id.
    pub tid: u32,
    /// The kernel's name for it, 15 bytes at most.
    pub name: String,
    /// What it does. During a pause every thread is [`ThreadState::Stopped`]: look before.
    pub state: ThreadState,
    /// CPU time it has used, in microseconds.
    pub cpu_us: u64,
    /// The system call it is in, where it is in one and we may know.
    pub syscall: Option<RawSyscall>,
}

/// The threads of process `pid`, the main thread first. One that ends meanwhile is left out.
///
/// # Errors
/// When there is no such process.
pub fn list(pid: u32) -> io::Result<Vec<OsThread>> {
    let mut tids: Vec<u32> = fs::read_dir(format!("/proc/{pid}/task"))?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    tids.sort_unstable_by_key(|&tid| (tid != pid, tid));
    Ok(tids.into_iter().filter_map(|tid| thread(pid, tid)).collect())
}

/// One thread of process `pid`.
#[must_use]
pub fn thread(pid: u32, tid: u32) -> Option<OsThread> {
    let directory = format!("/proc/{pid}/task/{tid}");
    let directory = Path::new(&directory);
    let text = |name: &str| fs::read(directory.join(name)).ok();
    let stat = Stat::parse(&text("stat")?)?;
    // Exact, where the kernel keeps it; the ticks of `stat` are hundredths of a second.
    let exact = text("schedstat").and_then(|text| schedstat(&String::from_utf8_lossy(&text)));
    let syscall = text("syscall").and_then(|text| syscall(&String::from_utf8_lossy(&text)));
    let wchan = || text("wchan").map(|text| String::from_utf8_lossy(&text).into_owned());
    let syscall = syscall.map(|call| call.resumed(wchan));
    Some(OsThread {
        tid,
        state: state(stat.state),
        cpu_us: exact.unwrap_or_else(|| stat.ticks.saturating_mul(10_000)),
        name: stat.name,
        syscall,
    })
}

fn state(letter: char) -> ThreadState {
    match letter {
        'R' | 'W' => ThreadState::Running,
        'S' | 'I' | 'P' => ThreadState::Sleeping,
        'D' | 'K' => ThreadState::Disk,
        'T' | 't' => ThreadState::Stopped,
        'Z' | 'X' | 'x' => ThreadState::Dead,
        _ => ThreadState::Unknown,
    }
}

/// The time on a CPU, in microseconds.
fn schedstat(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse::<u64>().ok().map(|ns| ns / 1000)
}

/// `7 0x3 0x7f… 0x1000 0x0 0x0 0x0 SP PC`; `running`; `-1 SP PC` when stopped outside of a call.
fn syscall(text: &str) -> Option<RawSyscall> {
    let mut words = text.split_whitespace();
    let number = words.next()?.parse().ok()?;
    let mut args = [0; 6];
    for arg in &mut args {
        *arg = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    }
    Some(RawSyscall { number, args })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_system_calls() {
        let text = "45 0x5 0x7f12 0x1000 0x0 0x0 0x0 0x7ffe0 0x7f11\n";
        assert_eq!(syscall(text), Some(RawSyscall { number: 45, args: [5, 0x7f12, 0x1000, 0, 0, 0] }));
        for not in ["running\n", "-1 0x7ffe0 0x7f11\n", "", "45 0x5", "45 5 5 5 5 5 5 5 5"] {
            assert_eq!(syscall(not), None, "{not}");
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn knows_a_call_again_that_the_kernel_restarts() {
        let restarted = RawSyscall { number: 219, args: [0x7f12, 1, 5000, 0, 0, 0] };
        let of = |wchan: Option<&str>| restarted.resumed(|| wchan.map(str::to_owned));
        assert_eq!(of(Some("poll_schedule_timeout.constprop.0")).name(), Some("poll"));
        assert_eq!(of(Some("poll_schedule_timeout.constprop.0")).args, restarted.args);
        assert_eq!(of(Some("hrtimer_nanosleep")).name(), Some("clock_nanosleep"));
        assert_eq!(of(Some("futex_wait_queue")).name(), Some("futex"));
        for unknown in [None, Some("0"), Some("")] {
            assert_eq!(of(unknown).name(), Some("restart_syscall"), "{unknown:?}");
        }
        let other = RawSyscall { number: 0, ..restarted };
        assert_eq!(other.resumed(|| Some("futex_wait".to_owned())), other);
    }

    #[test]
    fn knows_the_threads_of_this_process() {
        let (told, tell) = std::sync::mpsc::channel::<()>();
        let sleeper = std::thread::Builder::new().name("sleeper (1)".into());
        let sleeper = sleeper.spawn(move || tell.recv()).expect("a thread");
        let pid = std::process::id();
        let find = || list(pid).expect("threads").into_iter().find(|thread| thread.name == "sleeper (1)");
        let asleep = |thread: &OsThread| thread.state == ThreadState::Sleeping;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while !find().as_ref().is_some_and(asleep) {
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
        assert_eq!(list(pid).expect("threads")[0].tid, pid);
        drop(told);
        assert!(sleeper.join().expect("an end").is_err());
    }
}
