//! Why a process could not be read at all. Everything less than that is a *problem* in the snapshot.

use std::io;
use std::path::PathBuf;

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No process has this id.
    #[error("there is no process {pid}")]
    NoSuchProcess {
        /// The id asked for.
        pid: u32,
    },
    /// The process has ended and waits to be reaped; its memory is gone.
    #[error("process {pid} has ended already and waits for its parent to notice (a zombie)")]
    Zombie {
        /// The process.
        pid: u32,
    },
    /// The process is a kernel thread or otherwise has no memory of its own.
    #[error("process {pid} is a kernel thread: it runs no Python")]
    KernelThread {
        /// The process.
        pid: u32,
    },
    /// The process ended while it was being read, before anything useful was known.
    #[error("process {pid} ended while it was being read")]
    Gone {
        /// The process.
        pid: u32,
    },
    /// The kernel refused access to the memory.
    #[error("no permission to read the memory of process {pid}")]
    NoPermission {
        /// The process.
        pid: u32,
        /// The user it runs as, where this is known.
        uid: Option<u32>,
    },
    /// No CPython runtime was found in the process.
    #[error("process {pid} ({executable}) does not run CPython")]
    NotPython {
        /// The process.
        pid: u32,
        /// Its executable.
        executable: String,
    },
    /// CPython is there, but no interpreter has been set up yet, or it has been torn down.
    #[error("the Python interpreter of process {pid} is still starting (or has already finished)")]
    NotInitialized {
        /// The process.
        pid: u32,
    },
    /// Python runs, but asyncio was never imported.
    #[error("process {pid} runs Python {version}, but has not imported asyncio: it has no tasks")]
    NoAsyncio {
        /// The process.
        pid: u32,
        /// The version found.
        version: String,
    },
    /// A version without a layout table.
    #[error("process {pid} runs CPython {version}, which is not supported")]
    UnsupportedVersion {
        /// The process.
        pid: u32,
        /// The version found.
        version: String,
    },
    /// A supported version in a build whose objects lie differently (free-threaded, debug).
    #[error("process {pid} runs a {build} build of CPython {version}, which is not supported yet")]
    UnsupportedBuild {
        /// The process.
        pid: u32,
        /// The version found.
        version: String,
        /// What is special about it.
        build: &'static str,
    },
    /// A core file or image that cannot be used.
    #[error("{}: {reason}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
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
            Self::NoSuchProcess { .. } => "no-such-process",
            Self::Zombie { .. } => "zombie",
            Self::KernelThread { .. } => "kernel-thread",
            Self::Gone { .. } => "process-gone",
            Self::NoPermission { .. } => "no-permission",
            Self::NotPython { .. } => "not-python",
            Self::NotInitialized { .. } => "not-initialized",
            Self::NoAsyncio { .. } => "no-asyncio",
            Self::UnsupportedVersion { .. } => "unsupported-version",
            Self::UnsupportedBuild { .. } => "unsupported-build",
            Self::BadFile { .. } => "bad-file",
            Self::Io { .. } => "io",
        }
    }

    /// What the user can do about it, in a line.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoSuchProcess { .. } => {
                "`async-trace ps` lists the Python processes that can be read".into()
            }
            Self::Zombie { .. } => "nothing is left to read; look at its parent, or at a core file".into(),
            Self::KernelThread { .. } | Self::NotPython { .. } => {
                "`async-trace ps` lists the Python processes; a wrapper script is not the server itself"
                    .into()
            }
            Self::Gone { .. } => {
                "if a supervisor restarts it, `async-trace ps` shows the new process id".into()
            }
            Self::NoPermission { pid, .. } => {
                format!("`async-trace doctor {pid}` tells what is missing; usually `sudo` or CAP_SYS_PTRACE")
            }
            Self::NotInitialized { .. } => "try again in a moment".into(),
            Self::NoAsyncio { .. } => {
                "for a program without asyncio, a thread dump such as `py-spy dump` is what you need".into()
            }
            Self::UnsupportedVersion { .. } => "CPython 3.9 to 3.15 can be read".into(),
            Self::UnsupportedBuild { .. } => {
                "the ordinary (GIL, release) builds of CPython 3.9 to 3.15 can be read".into()
            }
            Self::BadFile { .. } => {
                "a core file of a Python process, or an image made by `async-trace`, is needed".into()
            }
            Self::Io { .. } => {
                "run it again; if it stays, please report it with the output of `async-trace doctor`".into()
            }
        }
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
