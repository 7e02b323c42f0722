//! A short stop of all threads of a process.
//!
//! It ends by itself when its time is over: whoever reads meanwhile may be held up by a page fault, by the
//! scheduler or by a hypervisor, and the target must not pay for it.
//!
//! It is done with `PTRACE_SEIZE` and `PTRACE_INTERRUPT`: no signal is sent, so that the target's
//! parent, its shell and its supervisor see nothing, and if this process is killed meanwhile, the kernel lets the
//! target run on. A `SIGSTOP` would do neither.
//!
//! A thread of its own does the tracing, because ptrace obeys only the thread that attached, and
//! because its end is the one way to let go of *everything*: of threads that never came to a stop,
//! and of those caught at the delivery of a real-time signal, which then is delivered as if nothing
//! had been. For this it never consumes a status (`WNOWAIT`).
//!
//! Nothing else in this process may wait for the target (`waitpid`) during a pause: it would be told
//! about stops that are not meant for it.

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use rustc_hash::FxHashMap;
use rustix::process::{getpriority_process, setpriority_process};
use rustix::thread::gettid;
use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Why a process was not paused. It runs on as if nothing had been.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It has ended.
    #[error("the process has ended")]
    Gone,
    /// It is the process that does the reading.
    #[error("a process cannot pause itself")]
    Own,
    /// A debugger or the like has it, and there can be only one.
    #[error("{name} (process {by}) traces it already, and only one tracer is possible")]
    Traced {
        /// The tracer's process id, as far as it can be seen from here.
        by: u32,
        /// Its name.
        name: String,
    },
    /// The Yama security module limits ptrace.
    #[error("the kernel setting kernel.yama.ptrace_scope = {scope} does not allow it")]
    Yama {
        /// The setting.
        scope: u8,
    },
    /// Not allowed: another user's process, or a container's seccomp profile.
    #[error("the kernel does not permit it: CAP_SYS_PTRACE is missing, or a container forbids ptrace")]
    Permission,
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// A process whose threads stand still. It runs on when this is dropped, and at the deadline at the latest.
#[derive(Debug)]
pub struct Paused {
    since: Instant,
    over: Over,
    stopped: usize,
    unstopped: Vec<u32>,
    _hurry: Hurry,
    /// The tracing thread lives as long as this does.
    release: Option<(Sender<()>, JoinHandle<Instant>)>,
}

/// Tells whether a pause is over.
#[derive(Clone, Debug, Default)]
pub struct Over(Arc<AtomicBool>);

impl Over {
    /// Whether the target runs on, or is about to. What was copied before this said no is of one moment.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Comes before the first thread is let go.
    fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Paused {
    /// Stops all threads of process `pid`, until `deadline` at the latest. Those that have not come to a
    /// stop by then are left alone and reported by [`Paused::unstopped`].
    ///
    /// # Errors
    /// Where the kernel does not let us: see [`Refused`].
    pub fn begin(pid: u32, deadline: Instant) -> Result<Self, Refused> {
        if pid == std::process::id() {
            return Err(Refused::Own);
        }
        let hurry = Hurry::begin();
        let (report, reported) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let over = Over::default();
        let told = over.clone();
        let thread = thread::Builder::new()
            .name("pause".into())
            .spawn(move || trace(pid, deadline, &report, &released, &told))
            .map_err(|error| Refused::Failed(format!("no thread for the pause: {error}")))?;
        let outcome =
            reported.recv().unwrap_or_else(|_| Err(Refused::Failed("the pause came to nothing".into())));
        match outcome {
            Ok(Report { since, stopped, unstopped }) => {
                Ok(Self { since, over, stopped, unstopped, _hurry: hurry, release: Some((release, thread)) })
            }
            Err(refused) => {
                let _ = thread.join();
                Err(refused)
            }
        }
    }

    /// What tells whether the pause is over.
    #[must_use]
    pub fn over(&self) -> Over {
        self.over.clone()
    }

    /// How many threads stand still.
    #[must_use]
    pub fn stopped(&self) -> usize {
        self.stopped
    }

    /// The threads that did not stop in time. They are in the kernel, mostly in an uninterruptible
    /// sleep (a disk, `vfork`).
    #[must_use]
    pub fn unstopped(&self) -> &[u32] {
        &self.unstopped
    }

    /// Lets the process run on, and says how long it stood still.
    pub fn release(mut self) -> Duration {
        let since = self.since;
        self.finish().unwrap_or_else(Instant::now).saturating_duration_since(since)
    }

    fn finish(&mut self) -> Option<Instant> {
        let (release, thread) = self.release.take()?;
        drop(release);
        thread.join().ok()
    }
}

/// While it lives, the thread that began it comes first, however much else wants the CPU: the target waits for it.
/// Without CAP_SYS_NICE it takes its turn. (A priority is that of a thread: Linux differs from POSIX there, setpriority(2).)
#[derive(Debug)]
struct Hurry(Option<(rustix::process::Pid, i32)>);

impl Hurry {
    fn begin() -> Self {
        let thread = gettid();
        let before = getpriority_process(Some(thread)).ok();
        Self(before.filter(|_| setpriority_process(Some(thread), -20).is_ok()).map(|before| (thread, before)))
    }
}

impl Drop for Hurry {
    fn drop(&mut self) {
        // It may have ended, and its number be another's.
        if let Some((thread, before)) = self.0
            && fs::exists(format!("/proc/self/task/{thread}")).unwrap_or(false)
        {
            let _ = setpriority_process(Some(thread), before);
        }
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        self.finish();
    }
}

struct Report {
    since: Instant,
    stopped: usize,
    unstopped: Vec<u32>,
}

/// What became of a thread of the target.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Thread {
    /// Seized, and told to stop.
    Told,
    /// Stands still. A signal that was about to be delivered goes with it.
    Still(Option<Signal>),
    /// Stands still, to be let go by the end of the tracing thread.
    StillUntilTheEnd,
    /// Ended.
    Ended,
}

/// The tracing thread: stops the target, reports, waits for the word, lets it go.
fn trace(
    pid: u32,
    deadline: Instant,
    report: &Sender<Result<Report, Refused>>,
    released: &Receiver<()>,
    over: &Over,
) -> Instant {
    // It sleeps through most of the pause, and has to be awake in time to end it.
    let _hurry = Hurry::begin();
    let mut threads = FxHashMap::default();
    let outcome = stop(pid, deadline, &mut threads).map(|since| Report {
        since,
        stopped: threads.values().filter(|thread| !matches!(thread, Thread::Told | Thread::Ended)).count(),
        unstopped: threads
            .iter()
            .filter(|&(_, &thread)| thread == Thread::Told)
            .map(|(&tid, _)| tid)
            .collect(),
    });
    let paused = outcome.is_ok();
    if report.send(outcome).is_ok() && paused {
        // Nothing is ever sent: it ends when the other side is dropped, or when the time is over.
        let _ = released.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
    over.set();
    for (tid, thread) in threads {
        if let Thread::Still(signal) = thread {
            // It fails when the thread was killed meanwhile.
            let _ = ptrace::detach(raw(tid), signal);
        }
    }
    Instant::now()
}

fn raw(tid: u32) -> Pid {
    Pid::from_raw(tid.cast_signed())
}

/// Stops all threads, those too that are created while it does so.
fn stop(pid: u32, deadline: Instant, threads: &mut FxHashMap<u32, Thread>) -> Result<Instant, Refused> {
    let mut since = None;
    loop {
        let before = threads.len();
        for tid in tasks(pid)? {
            if threads.contains_key(&tid) {
                continue;
            }
            match seize(tid) {
                Ok(()) => {
                    since.get_or_insert_with(Instant::now);
                    threads.insert(tid, Thread::Told);
                    // Right after: a signal that comes in between is caught at its delivery.
                    let _ = ptrace::interrupt(raw(tid));
                }
                Err(error) if error == Errno::ESRCH || has_ended(pid, tid) => {
                    threads.insert(tid, Thread::Ended);
                }
                Err(error) => return Err(refusal(tid, error)),
            }
        }
        // Threads that stand still create no others.
        if threads.len() == before {
            break;
        }
        wait(threads, deadline);
        if Instant::now() >= deadline {
            break;
        }
    }
    since.ok_or(Refused::Gone)
}

/// Attaches to a thread. An earlier pause of ours lets go of its last threads a moment after it was
/// released, when its tracing thread is gone.
fn seize(tid: u32) -> nix::Result<()> {
    const MOMENT: Duration = Duration::from_millis(5);
    let begun = Instant::now();
    loop {
        match ptrace::seize(raw(tid), ptrace::Options::empty()) {
            Err(Errno::EPERM) if traced_by_us(tid) && begun.elapsed() < MOMENT => thread::yield_now(),
            outcome => return outcome,
        }
    }
}

fn traced_by_us(tid: u32) -> bool {
    tracer(tid).is_some_and(|(by, _)| fs::exists(format!("/proc/self/task/{by}")).unwrap_or(false))
}

/// The thread that traces `tid`, with its name.
fn tracer(tid: u32) -> Option<(u32, String)> {
    let status = fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    let by = status.lines().find_map(|line| line.strip_prefix("TracerPid:")?.trim().parse().ok())?;
    let name = fs::read_to_string(format!("/proc/{by}/comm")).unwrap_or_default();
    (by != 0).then(|| (by, name.trim_end().to_owned()))
}

/// The threads of a process.
fn tasks(pid: u32) -> Result<Vec<u32>, Refused> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Refused::Gone,
        _ => Refused::Failed(format!("the list of threads: {error}")),
    })?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// Waits until all threads stand still, have ended, or the deadline has come.
fn wait(threads: &mut FxHashMap<u32, Thread>, deadline: Instant) {
    /// Most stops take some microseconds; only then is it worth to sleep.
    const EAGER: Duration = Duration::from_micros(300);
    const MIN_LOOKS: u32 = 20;
    let flags = WaitPidFlag::WSTOPPED
        | WaitPidFlag::WEXITED
        | WaitPidFlag::WNOHANG
        | WaitPidFlag::WNOWAIT
        | WaitPidFlag::__WALL;
    let begun = Instant::now();
    // We may have had no CPU ourselves until now: a few looks are always due.
    let mut looks = 0;
    loop {
        let mut all = true;
        for (tid, thread) in threads.iter_mut().filter(|(_, thread)| **thread == Thread::Told) {
            *thread = match waitid(Id::Pid(raw(*tid)), flags) {
                Ok(WaitStatus::StillAlive) => Thread::Told,
                // The event 0 is the delivery of a signal, any other (`PTRACE_EVENT_STOP`) our interrupt
                // or a job-control stop, which goes on after the release.
                Ok(WaitStatus::PtraceEvent(_, signal, 0)) => Thread::Still(Some(signal)),
                Ok(WaitStatus::PtraceEvent(..) | WaitStatus::Stopped(..)) => Thread::Still(None),
                // A signal without a name here, which is a real-time one.
                Err(Errno::EINVAL) => Thread::StillUntilTheEnd,
                Err(Errno::EINTR) => Thread::Told,
                _ => Thread::Ended,
            };
            all &= *thread != Thread::Told;
        }
        let now = Instant::now();
        looks += 1;
        if all || (now >= deadline && looks > MIN_LOOKS) {
            return;
        }
        if now.duration_since(begun) < EAGER {
            thread::yield_now();
        } else {
            thread::sleep(Duration::from_micros(50));
        }
    }
}

/// Whether the thread is a zombie, which the kernel refuses to trace as if it were forbidden.
fn has_ended(pid: u32, tid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")) else { return true };
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    matches!(state, None | Some('Z' | 'X'))
}

fn refusal(tid: u32, error: Errno) -> Refused {
    if error != Errno::EPERM {
        return Refused::Failed(format!("ptrace: {}", error.desc()));
    }
    if let Some((by, name)) = tracer(tid) {
        return Refused::Traced { by, name };
    }
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    match scope.trim().parse() {
        Ok(scope @ 1..) => Refused::Yama { scope },
        _ => Refused::Permission,
    }
}
