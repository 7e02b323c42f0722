//! A command that was started to be recorded.

use super::Asked;
use crate::{Error, Result};
use async_trace_core::Snapshot;
use async_trace_remote::{Error as Unread, Options, Watcher};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// How often to look whether asyncio runs by now.
const AGAIN: Duration = Duration::from_millis(10);
/// A launcher may start a launcher that starts a program; more than that is not followed.
const GENERATIONS: usize = 4;

/// A child of ours. Its input and its outputs are ours.
pub(super) struct Started {
    child: Child,
    words: String,
    status: Option<ExitStatus>,
}

impl Started {
    pub(super) fn new(command: &[OsString]) -> Result<Self> {
        let (program, arguments) = command.split_first().map_or((None, command), |(p, a)| (Some(p), a));
        let program = program.cloned().unwrap_or_default();
        let words = program.to_string_lossy().into_owned();
        let child = Command::new(&program)
            .args(arguments)
            .spawn()
            .map_err(|source| Error::NoCommand { command: words.clone(), source })?;
        Ok(Self { child, words, status: None })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn has_ended(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status.is_some()
    }

    /// Waits until asyncio runs in it, or in a process that it has started, and takes the first sample.
    pub(super) fn until_asyncio(
        &mut self,
        options: Options,
        patience: Option<Duration>,
        asked: &Asked,
    ) -> Result<(Watcher, Snapshot)> {
        let begin = Instant::now();
        loop {
            let mut failure = None;
            for pid in family(self.pid()) {
                match look(pid, options.clone()) {
                    Ok(Some(found)) => return Ok(found),
                    Ok(None) => {}
                    Err(error) => failure = Some(error),
                }
            }
            let reason = match failure {
                Some(error) => error.to_string(),
                _ if self.has_ended() => "it ended before asyncio ran in it".into(),
                _ if asked.is_set() => "asyncio did not run in it yet".into(),
                _ if patience.is_some_and(|patience| begin.elapsed() > patience) => {
                    "the time was over before asyncio ran in it".into()
                }
                _ => {
                    thread::sleep(AGAIN);
                    continue;
                }
            };
            return Err(Error::NotRecorded { command: self.words.clone(), reason });
        }
    }

    /// Waits for its end, and returns its exit code as a shell would. What we are asked it is asked, too.
    pub(super) fn wait(&mut self, asked: &Asked) -> Result<u8> {
        while !self.has_ended() {
            if asked.take().is_some() {
                // A terminal has sent its Ctrl-C to both of us; whoever asks again means it.
                let pid = Pid::from_raw(self.pid().cast_signed());
                // It may end in this very moment.
                let _ = kill(pid, Signal::SIGTERM);
            }
            asked.sleep_until(Instant::now() + AGAIN);
        }
        let status = self.status.unwrap_or_default();
        let signal = status.signal().map(|signal| 128 + signal);
        Ok(u8::try_from(status.code().or(signal).unwrap_or(1)).unwrap_or(1))
    }
}

/// A first look at a process in which asyncio runs; nothing when it may still come to that.
fn look(pid: u32, options: Options) -> Result<Option<(Watcher, Snapshot)>, Unread> {
    let look = || {
        let mut watcher = Watcher::new(pid, options);
        let snapshot = watcher.look()?;
        Ok((watcher, snapshot))
    };
    match look() {
        Ok((watcher, snapshot)) if !snapshot.loops.is_empty() || !snapshot.tasks.is_empty() => {
            Ok(Some((watcher, snapshot)))
        }
        Err(
            error @ (Unread::NoPermission { .. }
            | Unread::UnsupportedVersion { .. }
            | Unread::UnsupportedBuild { .. }),
        ) => Err(error),
        // It is starting, or it is a launcher, or it has not imported asyncio yet.
        _ => Ok(None),
    }
}

/// A process and those that it has started: commands are often launchers.
fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let mut known = 0;
    for _ in 0..GENERATIONS {
        let parents = family[known..].to_vec();
        known = family.len();
        for parent in parents {
            let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
            family.extend(
                children.unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
    }
    family
}
