//! Why a command could not do its work: what, why, what to try, and a code for scripts.

use std::io;

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
