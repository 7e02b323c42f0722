//! Why a command could not do its work: what, why, what to try, and a code for scripts.

use async_trace_core::recording::Wrong;
use std::io;
use std::path::PathBuf;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The target could not be read.
    #[error(transparent)]
    Remote(#[from] async_trace_remote::Error),
    /// The target is this very process.
    #[error("process {pid} is async-trace itself")]
    Own {
        /// The process.
        pid: u32,
    },
    /// No task has the name or id that was asked for.
    #[error("no task is called `{name}`")]
    NoSuchTask {
        /// What was asked for.
        name: String,
        /// Names that are there.
        others: Vec<String>,
    },
    /// The demo needs an interpreter to run its server with.
    #[error("`{python}` cannot be started: {source}")]
    NoPython {
        /// What was tried.
        python: String,
        /// How it failed.
        source: io::Error,
    },
    /// The demo's server did not come up.
    #[error("the demo's server ended before it was ready: {reason}")]
    DemoFailed {
        /// The last thing it said.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("cannot {verb} {}: {source}", path.display())]
    File {
        /// What was tried.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
    /// A file is not a recording that can be read here.
    #[error("{} cannot be read as a recording: {wrong}", path.display())]
    Recording {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        wrong: Wrong,
    },
    /// A recording without a single sample.
    #[error("{} holds no sample", path.display())]
    EmptyRecording {
        /// The file.
        path: PathBuf,
    },
    /// A recording was expected, and a process was named.
    #[error("this is made from a recording, not from process {pid}")]
    NeedsRecording {
        /// The process.
        pid: u32,
    },
    /// A page would fill the terminal.
    #[error("a page for the browser is a file, and none was named")]
    NoOutput,
    /// What `dump --json` prints was expected.
    #[error("{} is no snapshot: {reason}", path.display())]
    NoSnapshot {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Two things are to be compared, and only one was named that is no recording.
    #[error("there is nothing to compare {what} with")]
    NothingToCompare {
        /// What was named.
        what: String,
    },
    /// A command that was to be recorded could not be started.
    #[error("`{command}` cannot be started: {source}")]
    NoCommand {
        /// What was tried.
        command: String,
        /// How it failed.
        source: io::Error,
    },
    /// A command that was to be recorded ended, or the time was over, before asyncio ran in it.
    #[error("`{command}` was not recorded: {reason}")]
    NotRecorded {
        /// The command.
        command: String,
        /// Why not.
        reason: String,
    },
    /// The live view needs a terminal.
    #[error("`top` draws on a terminal, and stdout is none")]
    NoTerminal,
    /// None of the processes that were to be watched can be.
    #[error("no process with asyncio was found that could be watched")]
    NothingToShow,
    /// A part of the live view has panicked, which was reported then.
    #[error("a part of async-trace has failed")]
    Broken,
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[source] io::Error),
    /// The operating system failed in another way.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// How it failed.
        source: io::Error,
    },
}

impl Error {
    /// A word for scripts; it never changes its meaning.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Remote(error) => error.code(),
            Self::Own { .. } => "own-process",
            Self::NoSuchTask { .. } => "no-such-task",
            Self::NoPython { .. } => "no-python",
            Self::DemoFailed { .. } => "demo-failed",
            Self::File { .. } => "file",
            Self::Recording { wrong: Wrong::NotARecording, .. } => "not-a-recording",
            Self::Recording { wrong: Wrong::Version(_), .. } => "recording-version",
            Self::Recording { .. } => "recording-damaged",
            Self::EmptyRecording { .. } => "empty-recording",
            Self::NeedsRecording { .. } => "needs-recording",
            Self::NoOutput => "no-output",
            Self::NoSnapshot { .. } => "not-a-snapshot",
            Self::NothingToCompare { .. } => "nothing-to-compare",
            Self::NoCommand { .. } => "no-command",
            Self::NotRecorded { .. } => "not-recorded",
            Self::NoTerminal => "no-terminal",
            Self::NothingToShow => "nothing-to-show",
            Self::Broken => "bug",
            Self::Output(_) => "output",
            Self::Io { .. } => "io",
        }
    }

    /// What the user can do about it, in a line.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Remote(error) => error.hint(),
            Self::Own { .. } => "`async-trace ps` lists the Python processes that can be read".into(),
            Self::NoSuchTask { others, .. } if others.is_empty() => "the process has no tasks now".into(),
            Self::NoSuchTask { others, .. } => {
                format!(
                    "there are, among others: {}; `--filter` searches in names and stacks",
                    others.join(", ")
                )
            }
            Self::NoPython { .. } => {
                "name an interpreter: `async-trace demo --python /path/to/python3`".into()
            }
            Self::DemoFailed { .. } => {
                "it needs Python 3.9 or newer: `async-trace demo --python /path/to/python3`".into()
            }
            Self::File { verb: "read", .. } => "name a file that exists and can be read".into(),
            Self::File { .. } => "name a file that can be written: `-o FILE`".into(),
            Self::Recording { wrong: Wrong::NotARecording, .. } => {
                "`async-trace record PID -o FILE` makes one; images and core files are for `async-trace dump`".into()
            }
            Self::Recording { wrong: Wrong::Version(_), .. } => {
                "read it with the version of async-trace that recorded it, or with a newer one".into()
            }
            Self::Recording { .. } => "its very beginning is damaged, so that nothing can be read".into(),
            Self::EmptyRecording { .. } => "record for longer, or at a higher rate".into(),
            Self::NeedsRecording { pid } => {
                format!("make one: `async-trace record {pid} -d 30s -o {pid}.recording`")
            }
            Self::NoOutput => "name it: `-o report.html`; `-o -` is stdout".into(),
            Self::NoSnapshot { .. } => {
                "name a process, a recording, an image, a core file, or what `async-trace dump PID --json` prints".into()
            }
            Self::NothingToCompare { .. } => {
                "name a second one: `async-trace diff BEFORE AFTER`; only a recording has both in it".into()
            }
            Self::NoCommand { .. } => "name a program as you would start it yourself, after `--`".into(),
            Self::NotRecorded { .. } => {
                "start it yourself and record it by its id: `async-trace ps`, `async-trace doctor PID`".into()
            }
            Self::NoTerminal => {
                "for pipes and files there are `async-trace dump PID` and `async-trace check PID`, with --json too"
                    .into()
            }
            Self::NothingToShow => "`async-trace ps --all` tells why Python processes cannot be read".into(),
            Self::Broken => "please report it with the line above".into(),
            Self::Output(_) | Self::Io { .. } => {
                "check the disk and the permissions, then run it again".into()
            }
        }
    }

    /// Whether the reader of our output has gone: then there is nobody to complain to.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(source) if source.kind() == io::ErrorKind::BrokenPipe)
    }
}
