//! `async-trace record PID -o FILE`: what all tasks do over time, as samples in a file.
//!
//! ```text
//! $ async-trace record 4711 -d 30s
//! 300 samples of up to 1,002 tasks in 30 s: 84 kB in 4711.recording
//! $ async-trace report 4711.recording --format flamegraph -o waits.svg
//! ```
//!
//! Every sample is in the file as soon as it was taken, so that whatever ends us loses nothing. A sample
//! that is due while the one before is still being taken is left out and counted: samples never queue. So are those for
//! which there is no CPU time left of what recording may use.

mod allowance;
mod started;

use crate::args::RecordArguments;
use crate::output::Output;
use crate::{Error, Outcome, Result};
use allowance::Allowance;
use async_trace_core::recording::{Encoder, Info, Reason};
use async_trace_core::render::units::{amount, number, seconds};
use async_trace_remote::{Error as Unread, Options, Watcher};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use started::Started;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a wish to end may go unnoticed.
const REACTION: Duration = Duration::from_millis(20);
/// How often a terminal is told how far we are.
const PROGRESS: Duration = Duration::from_millis(250);
/// For how long a target may be unreadable (while its interpreter ends, say) before that is its end.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn run(arguments: &RecordArguments, output: &mut Output) -> Result<Outcome> {
    let asked = Asked::new()?;
    let options =
        Options { pause: arguments.pause, pause_budget: arguments.pause_budget, ..Options::default() };
    if let Some(pid) = arguments.pid {
        if pid == std::process::id() {
            return Err(Error::Own { pid });
        }
        let mut watcher = Watcher::new(pid, options);
        // What cannot be read at all makes no file.
        let first = watcher.look()?;
        let mut recording = Recording::new(arguments, &path(arguments, pid))?;
        recording.add(first)?;
        recording.watch(&mut watcher, arguments, &asked, true, output)?;
        recording.summarise(output);
        return Ok(Outcome::Done);
    }
    // What cannot be written is said before anything is started.
    let recording = arguments.output.as_deref().map(|path| Recording::new(arguments, path)).transpose()?;
    let mut command = Started::new(&arguments.command).inspect_err(|_| {
        // An empty recording helps nobody; if it cannot be removed, it does no harm either.
        let _ = arguments.output.as_deref().map(std::fs::remove_file);
    })?;
    let path = path(arguments, command.pid());
    let recording = recording.map_or_else(|| Recording::new(arguments, &path), Ok);
    let recorded = recording
        .and_then(|recording| record_command(&mut command, recording, arguments, options, &asked, output));
    if recorded.is_err() && command.has_ended() {
        recorded?;
    } else if let Err(error) = recorded {
        // It was started to run, not only to be recorded.
        output.error(&error);
    }
    Ok(Outcome::Ended(command.wait(&asked)?))
}

fn record_command(
    command: &mut Started,
    mut recording: Recording,
    arguments: &RecordArguments,
    options: Options,
    asked: &Asked,
    output: &mut Output,
) -> Result<()> {
    let begun = command.until_asyncio(options, arguments.duration, asked);
    let (mut watcher, first) = begun.inspect_err(|_| {
        let _ = std::fs::remove_file(&recording.path);
    })?;
    // Its time begins now, not with the interpreter.
    recording.begin = Instant::now();
    recording.add(first)?;
    recording.watch(&mut watcher, arguments, asked, false, output)?;
    recording.summarise(output);
    Ok(())
}

fn path(arguments: &RecordArguments, pid: u32) -> PathBuf {
    arguments.output.clone().unwrap_or_else(|| format!("{pid}.recording").into())
}

/// Whether we were asked to end, and by which signal.
struct Asked(Arc<AtomicUsize>);

impl Asked {
    fn new() -> Result<Self> {
        let asked = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register_usize(signal, Arc::clone(&asked), signal.unsigned_abs() as usize)
                .map_err(|source| Error::Io { what: "cannot listen for signals".into(), source })?;
        }
        Ok(Self(asked))
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// The signal, which counts as heard from now on.
    fn take(&self) -> Option<i32> {
        i32::try_from(self.0.swap(0, Ordering::Relaxed)).ok().filter(|signal| *signal != 0)
    }

    /// Sleeps until `until`, or until somebody asks.
    fn sleep_until(&self, until: Instant) {
        while !self.is_set() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(REACTION));
        }
    }
}

/// A recording in the making.
struct Recording {
    file: File,
    path: PathBuf,
    encoder: Option<Encoder>,
    interval: Duration,
    begin: Instant,
    samples: u64,
    missed: u64,
    /// Of [`Self::missed`], those that are not in the file yet.
    unsaid: u64,
    /// Of [`Self::missed`], those that were left out because they would have taken too much CPU time.
    spared: u64,
    most_cpu: f64,
    tasks: usize,
    bytes: u64,
    slowest: Duration,
    failure: Option<Unread>,
}

impl Recording {
    fn new(arguments: &RecordArguments, path: &Path) -> Result<Self> {
        let failed = |source| Error::File { verb: "write", path: path.to_owned(), source };
        let interval = Duration::from_secs_f64(1.0 / arguments.rate);
        let info = Info {
            tool: concat!("async-trace ", env!("CARGO_PKG_VERSION")).into(),
            started_s: now_s(),
            interval_s: interval.as_secs_f64(),
        };
        let (encoder, bytes) = Encoder::new(&info);
        let file = File::create(path).map_err(failed)?;
        let mut recording = Self {
            file,
            path: path.to_owned(),
            encoder: Some(encoder),
            interval,
            begin: Instant::now(),
            samples: 0,
            missed: 0,
            unsaid: 0,
            spared: 0,
            most_cpu: arguments.max_cpu / 100.0,
            tasks: 0,
            bytes: 0,
            slowest: Duration::ZERO,
            failure: None,
        };
        recording.write(&bytes)?;
        Ok(recording)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        let failed = |source| Error::File { verb: "write", path: self.path.clone(), source };
        self.file.write_all(bytes).map_err(failed)
    }

    fn add(&mut self, snapshot: async_trace_core::Snapshot) -> Result<()> {
        self.tasks = self.tasks.max(snapshot.tasks.len());
        let Some(encoder) = &mut self.encoder else { return Ok(()) };
        match encoder.sample(snapshot, self.unsaid) {
            Some(bytes) => {
                self.samples += 1;
                self.unsaid = 0;
                self.write(&bytes)
            }
            None => {
                self.miss(1);
                Ok(())
            }
        }
    }

    fn miss(&mut self, samples: u64) {
        self.missed += samples;
        self.unsaid += samples;
    }

    /// Takes samples until the time is over, somebody asks, or there is nothing left to look at.
    fn watch(
        &mut self,
        watcher: &mut Watcher,
        arguments: &RecordArguments,
        asked: &Asked,
        visible: bool,
        output: &mut Output,
    ) -> Result<()> {
        let end = arguments.duration.map(|duration| self.begin + duration);
        let (mut due, mut shown) = (self.begin + self.interval, self.begin);
        let mut unread_since: Option<Instant> = None;
        let mut allowance = Allowance::new(self.most_cpu);
        let reason = loop {
            if visible && shown.elapsed() >= PROGRESS {
                shown = Instant::now();
                output.progress(&self.words());
            }
            asked.sleep_until(end.map_or(due, |end| end.min(due)));
            if asked.take().is_some() {
                break Reason::Asked;
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                break Reason::Time;
            }
            if !allowance.is_enough() {
                self.spared += 1;
                self.miss(1);
                due += self.interval;
                continue;
            }
            let begin = Instant::now();
            match watcher.look() {
                Ok(snapshot) => {
                    self.add(snapshot)?;
                    unread_since = None;
                }
                Err(Unread::Gone { .. } | Unread::NoSuchProcess { .. } | Unread::Zombie { .. }) => {
                    break Reason::TargetEnded;
                }
                Err(error) => {
                    self.miss(1);
                    if begin.duration_since(*unread_since.get_or_insert(begin)) > PATIENCE {
                        self.failure = Some(error);
                        break Reason::Unreadable;
                    }
                }
            }
            self.slowest = self.slowest.max(begin.elapsed());
            allowance.spend();
            due += self.interval;
            while due < Instant::now() {
                due += self.interval;
                self.miss(1);
            }
        };
        if visible {
            output.progress("");
        }
        match self.encoder.take() {
            Some(encoder) => self.write(&encoder.end(reason, self.unsaid, now_s())),
            None => Ok(()),
        }
    }

    fn words(&self) -> String {
        let mut words = format!(
            "{}, {}, {}, {}",
            seconds(self.begin.elapsed().as_secs_f64()),
            amount(self.samples, "sample"),
            amount(self.tasks as u64, "task"),
            size(self.bytes),
        );
        if self.missed > 0 {
            words += &format!(", {} missed", number(self.missed));
        }
        words
    }

    fn summarise(&self, output: &mut Output) {
        output.note(&format!(
            "{} of up to {} in {}: {} in {}",
            amount(self.samples, "sample"),
            amount(self.tasks as u64, "task"),
            seconds(self.begin.elapsed().as_secs_f64()),
            size(self.bytes),
            self.path.display(),
        ));
        let samples = |n| if n == 1 { "1 sample was".into() } else { format!("{} samples were", number(n)) };
        if self.missed > 0 {
            let late = match self.missed - self.spared {
                0 => String::new(),
                _ => format!(
                    ": the slowest took {}, and one was due every {}",
                    seconds(self.slowest.as_secs_f64()),
                    seconds(self.interval.as_secs_f64()),
                ),
            };
            output.note(&format!("{} missed{late}", samples(self.missed)));
        }
        if self.spared > 0 {
            output.note(&format!(
                "{} left out to use no more than {:.0} % of a core (--max-cpu)",
                if self.spared == self.missed { "they were".into() } else { samples(self.spared) },
                self.most_cpu * 100.0,
            ));
        }
        if let Some(error) = &self.failure {
            output.note(&format!("the recording ends because the process could no longer be read: {error}"));
        }
    }
}

fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// `84 kB`, `1.2 MB`.
fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{} bytes", number(bytes)),
        10_000..1_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
